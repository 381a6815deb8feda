"""A picture that a unit likes, by gradient ascent.

    pictures = render(model, channel("conv3", range(64)), count=64).images

1. Start from grey with a little noise, as parameters of the picture: pixels, or waves.
2. Make the image, move it a little, and run the network on it up to the deepest layer that the objective reads.
3. Go uphill: the gradient of the objective with respect to the parameters, a step of Adam. Weights stay as they are.

Pictures of one batch do not touch each other, unless the objective compares them: a picture comes out the same
whatever is rendered beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim.adam import adam

from mi_lib.features import transforming
from mi_lib.features.data import IMAGE, Unusable, Vision
from mi_lib.features.data import images as looked_at
from mi_lib.features.objectives import Objective
from mi_lib.features.pictures import Parameterisation, Waves
from mi_lib.features.transforming import Transform

PATIENCE = 8  # steps in which a picture must have had a gradient
# Bytes that are asked for once, and given back unused. glibc keeps what a step frees for the next step only if it has
# seen a piece as large as this; otherwise it hands pages back after each, which costs a quarter of the time.
ROOM = 24 << 20


class Rendered(NamedTuple):
    """images: the pictures. values: the objective before each step, of the images as they were moved."""

    images: Float[Tensor, "picture 3 h w"]
    values: Float[Tensor, "step picture"]


def render(
    model: Vision,
    objective: Objective,
    count: int = 1,
    *,
    size: int | tuple[int, int] = 64,
    steps: int = 128,
    rate: float = 0.05,
    seeds: int | Sequence[int] = 0,
    parameterisation: Parameterisation | None = None,
    transform: Transform | None = None,
    start: Float[Tensor, "picture 3 h w"] | None = None,
) -> Rendered:
    """`count` pictures that make the objective large.

    size: height and width in pixels. seeds: what noise each picture starts from, a number for each or the first of
    consecutive ones; the movements are the same in every call. parameterisation: `Waves()` if none is given.
    transform: `standard()` if none is given; `none()` leaves pictures where they are. start: images to start from
    instead of noise. `Unusable` where the objective has no gradient (dead ReLUs), or is NaN.
    """
    *_, last = rendering(
        model, objective, count, size=size, steps=steps, rate=rate, seeds=seeds, parameterisation=parameterisation,
        transform=transform, start=start,
    )  # fmt: skip
    return last


def rendering(
    model: Vision,
    objective: Objective,
    count: int = 1,
    *,
    size: int | tuple[int, int] = 64,
    steps: int = 128,
    rate: float = 0.05,
    seeds: int | Sequence[int] = 0,
    parameterisation: Parameterisation | None = None,
    transform: Transform | None = None,
    start: Float[Tensor, "picture 3 h w"] | None = None,
) -> Iterator[Rendered]:
    """As `render`, and yields what there is after each step, so that a picture can be watched and stopped."""
    own = Waves() if parameterisation is None else parameterisation
    moved = transforming.standard() if transform is None else transform
    numbers = list(range(seeds, seeds + count)) if isinstance(seeds, int) else list(seeds)
    if count < 1 or steps < 1:
        raise Unusable(f"there must be one picture and one step at least, not {count} and {steps}")
    if len(numbers) != count:
        raise Unusable(f"{count} pictures need {count} seeds, and there are {len(numbers)}")
    if start is not None:
        if len(looked_at(start, "the images to start from")) != count:
            raise Unusable(f"there are {len(start)} images to start from for {count} pictures")
        size = (start.shape[2], start.shape[3])
    shape = (size, size) if isinstance(size, int) else size
    parameters = own.start(shape, numbers) if start is None else own.of(start)
    parameters = parameters.detach().clone().requires_grad_()
    torch.empty(ROOM, dtype=torch.uint8)  # see there
    climb = uphill(parameters, rate)
    source = torch.Generator().manual_seed(0)
    values, alive = [], torch.zeros(count, dtype=torch.bool)
    image = own.image(parameters, shape)
    for step in range(steps):
        value = _values(model, objective, image, lambda image: moved(image, source), count)
        _not_nan(value, step)
        gradient = _gradient(value, parameters, objective)
        values.append(value.detach())
        alive |= gradient.flatten(1).abs().amax(1).cpu() > 0
        if step == min(PATIENCE, steps) - 1:
            _not_dead(alive, objective)
        climb(gradient)
        image = own.image(parameters, shape)  # made once: it is shown, and the next step begins with it
        yield Rendered(image.detach().clone(), torch.stack(values))


def uphill(parameters: Tensor, rate: float) -> Callable[[Tensor], None]:
    """A step of Adam, in place, for each gradient that it is given.

    As `torch.optim.Adam(…, maximize=True)`, whose function this is; the class imports torch's compiler, a second or
    more, before its first step.
    """
    mean, square, count = torch.zeros_like(parameters), torch.zeros_like(parameters), torch.zeros(())

    @torch.no_grad()
    def step(gradient: Tensor) -> None:
        adam(
            [parameters], [gradient], [mean], [square], [], [count], foreach=False, maximize=True, amsgrad=False,
            beta1=0.9, beta2=0.999, lr=rate, weight_decay=0.0, eps=1e-8,
        )  # fmt: skip

    return step


def judged(model: Vision, objective: Objective, images: Float[Tensor, "picture 3 h w"]) -> Float[Tensor, " picture"]:
    """The objective of images as they are."""
    with torch.no_grad():
        return _values(model, objective, looked_at(images), lambda image: image, len(images))


def _values(
    model: Vision, objective: Objective, image: Tensor, move: Callable[[Tensor], Tensor], count: int
) -> Float[Tensor, " picture"]:
    layers = [layer for layer in objective.layers if layer != IMAGE]
    acts = dict(model.run(move(image), layers)) if layers else {}
    value = objective({**acts, IMAGE: image})
    return value.expand(count) if value.ndim == 0 else value


def _gradient(value: Tensor, parameters: Tensor, objective: Objective) -> Tensor:
    if not value.requires_grad:
        raise Unusable(f"{objective} does not depend on the picture: it has no gradient")
    return torch.autograd.grad(value.sum(), parameters)[0]


def _not_nan(value: Tensor, step: int) -> None:
    if not bool(torch.isfinite(value).all()):
        raise Unusable(
            f"the objective of picture {int((~torch.isfinite(value)).int().argmax())} is NaN or infinite at step "
            f"{step}: take a smaller rate, or look for NaN in the weights"
        )


def _not_dead(alive: Tensor, objective: Objective) -> None:
    if not bool(alive.all()):
        dead = ", ".join(str(i) for i, lives in enumerate(alive.tolist()) if not lives)
        raise Unusable(
            f"{objective} has no gradient in {PATIENCE} steps for picture {dead}: its ReLU is 0 at every place, or "
            "that of all it reads. Start from more noise (sd=…) or from a dataset example (start=…), or take the "
            "layer before the ReLU"
        )
