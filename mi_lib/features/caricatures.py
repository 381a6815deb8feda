"""More of what an image does to a layer: a caricature of it; and a picture of what it does at each of its places.

Source: Olah et al. 2018, "The Building Blocks of Interpretability" (Distill), for grids.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.features import data
from mi_lib.features.data import Unusable, Vision
from mi_lib.features.objectives import direction, resembles
from mi_lib.features.rendering import render
from mi_lib.features.transforming import none


def caricature(
    model: Vision, layer: str, image: Float[Tensor, "3 h w"], power: float = 1.0, **how: Any
) -> Float[Tensor, "3 h w"]:
    """A picture whose activations in a layer point where those of the image do, and farther. how: as of `render`.

    It is not moved while it is made, unless `transform` is given: each place of the map is to stay where it was.
    """
    data.images(image[None], "the image")
    with torch.no_grad():
        target = model.run(image[None], [layer])[layer][0]
    fixed: dict[str, Any] = {"transform": none(), "size": tuple(image.shape[1:]), **how}
    return render(model, resembles(layer, target, power), 1, **fixed).images[0]


def grid(
    model: Vision, layer: str, image: Float[Tensor, "3 h w"], every: int = 1, **how: Any
) -> Float[Tensor, "row column 3 size size"]:
    """For every so-manieth place of a layer's map a picture of the direction in which the image excites it there.

    All places are rendered in one optimisation. how: as of `render`.
    """
    data.images(image[None], "the image")
    with torch.no_grad():
        acts = model.run(image[None], [layer])[layer][0]
    if acts.ndim != 3:
        raise Unusable(f"the units of {layer} have no places: a grid needs a layer with a map")
    places = acts[:, ::every, ::every]
    rows, columns = places.shape[1:]
    vectors = places.flatten(1).T
    silent = (vectors.norm(dim=1) == 0).nonzero().flatten().tolist()
    if silent:
        raise Unusable(f"nothing of {layer} is active at place {divmod(silent[0], columns)}: it has no direction there")
    pictures = render(model, direction(layer, vectors, power=1.0), len(vectors), **how).images
    return pictures.reshape(rows, columns, *pictures.shape[1:])
