"""What a dictionary does not explain, x − x̂: how much it is, what the model loses with it, whether it is noise.

Were it noise, nothing could tell it from x. Much of it can be told by a linear map, its size more than its direction
(Engels et al. 2024, arXiv 2410.14670): it is made of what the dictionary has no latents for, "dark matter".
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import saes
from mi_lib.models import HookedModel
from mi_lib.recipes.dictionaries import data
from mi_lib.recipes.dictionaries.checks import encoded, losses
from mi_lib.recipes.dictionaries.train import Made
from mi_lib.statistics import interval

FOR_LOSS = 200  # held-out texts


def told_linearly(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], new: Float[Tensor, "m d"], new_y: Float[Tensor, "m k"]
) -> float:
    """R² on new rows, of least squares from x and a constant, fitted on x and y."""

    def with_one(rows: Tensor) -> Tensor:
        return torch.cat([rows, torch.ones(len(rows), 1)], 1).double()

    fit = torch.linalg.lstsq(with_one(x), y.double()).solution
    left = (new_y.double() - with_one(new) @ fit).pow(2).sum()
    return 1 - float(left / (new_y - new_y.mean(0)).double().pow(2).sum())


def measure(model: HookedModel, one: Made, sae: saes.Dictionary) -> dict[str, Any]:
    """Control of what is told linearly: the errors dealt out anew over the words of the texts that are fitted."""
    first, second = (
        data.activations(model, documents, [one.site])[one.site]
        for documents in (data.training_texts(data.CHOOSE), data.held_out_texts())
    )
    e, new_e = (x - sae.decode(encoded(sae, x)) for x in (first, second))
    size, new_size = (error.pow(2).sum(1, keepdim=True) for error in (e, new_e))
    dealt = torch.randperm(len(e), generator=torch.Generator().manual_seed(0))
    texts, splice = data.held_out_texts(FOR_LOSS), saes.spliced(sae)
    clean = losses(model, texts, one.site, None)
    spliced = losses(model, texts, one.site, lambda x: splice(x, None))
    kept = saes.spliced(sae, keep_error=True)
    whole = losses(model, texts, one.site, lambda x: kept(x, None))
    nats = lambda rows: float((spliced - clean)[0, rows].sum() / clean[1, rows].sum())  # noqa: E731
    every = range(len(texts))
    return {
        "variance": round(1 - saes.fve(second, second - new_e), 4),
        "nats": round(nats(every), 4),
        "nats_interval": [round(bound, 4) for bound in interval(nats, len(texts))],
        "nats_with_the_error": round(float((whole - clean)[0].sum() / clean[1].sum()), 6),
        "told_linearly": round(told_linearly(first, e, second, new_e), 4),
        "told_linearly_dealt_anew": round(told_linearly(first, e[dealt], second, new_e), 4),
        "size_told_linearly": round(told_linearly(first, size, second, new_size), 4),
        "size_told_linearly_dealt_anew": round(told_linearly(first, size[dealt], second, new_size), 4),
    }
