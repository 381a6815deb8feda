"""Knocking heads out: what a head has read is exchanged for its mean over prompts that do not tell the answer.

The mean is taken over ABC prompts, **for each template and each position** (Wang et al. 2022, arXiv 2211.00593,
section 2.1). So a head that is knocked out still says what is the same in all prompts of a template (where the words
stand, what kind of words they are), and nothing of who is who. MLPs are untouched: they follow.

Ways to get it wrong, which `how` has for comparison:

    "pooled"     one mean over all templates: at the same position stand words of another kind, so that the head also
                 loses its grammar, and the circuit is blamed for it
    "clean"      over the clean prompts: their mean still says that the name at S2 was there before, so that the heads
                 which find that out seem not to matter
    "zero"       no mean: later parts were never trained to read a head that says nothing
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.circuits.data import IOIData
from mi_lib.circuits.parts import layer_and_head
from mi_lib.models import Hook, HookedModel

How = Literal["per template", "pooled", "clean", "zero"]
Edit = tuple[str | tuple, Callable[[Tensor, Hook], Tensor | None]]


@dataclass(frozen=True)
class Means:
    """What each head holds (z) in the mean, for each template and position. NaN for templates that were not seen."""

    z: Float[Tensor, "layer template pos head d_head"]

    def rows(self, layer: int, template: Int[Tensor, " batch"]) -> Float[Tensor, "batch pos head d_head"]:
        """Of one layer, for prompts of these templates. ValueError for a template without a mean."""
        known = ~self.z[0, :, 0, 0, 0].isnan()
        strangers = [t for t in template.unique().tolist() if t >= len(known) or not bool(known[t])]
        if strangers:
            raise ValueError(
                f"no mean was taken over prompts of template {strangers[0]}; take the means over data with the same "
                "templates"
            )
        return self.z[layer, template]


def abc_means(model: HookedModel, data: IOIData, how: How = "per template") -> Means:
    """The means of all heads over ABC prompts. how: see the module's docstring; all but the first are wrong.

    ValueError for another `how`.
    """
    if how not in ("per template", "pooled", "clean", "zero"):
        raise ValueError(f"how must be 'per template', 'pooled', 'clean' or 'zero', not {how!r}")
    tokens = data.clean if how == "clean" else data.corrupted["ABC"]
    _, cache = model.run_with_cache(tokens, [("z", layer) for layer in range(model.cfg.n_layers)])
    z = cache.stack("z")  # [layer batch pos head d_head]
    means = z.new_full((len(z), int(data.template.max()) + 1, *z.shape[2:]), torch.nan)
    for template in data.template.unique().tolist():
        of_it = z if how == "pooled" else z[:, data.template == template]
        means[:, template] = 0 if how == "zero" else of_it.mean(1)
    return Means(means)


def knock_out(model: HookedModel, heads: Iterable[str], means: Means, template: Int[Tensor, " batch"]) -> list[Edit]:
    """Edits under which these heads hold their means: for `model.run_with_hooks` or `with model.hooks(…)`.

    heads: "a1.h2", … template: of each prompt that will be run. ValueError for a head that the model has not, and for
    a template without a mean.
    """
    by_layer: dict[int, list[int]] = {}
    for layer, head in dict.fromkeys(layer_and_head(name, model.cfg) for name in heads):
        by_layer.setdefault(layer, []).append(head)

    def silence(layer: int) -> Edit:
        rows = means.rows(layer, template)

        def edit(z: Tensor, hook: Hook) -> None:
            z[:, :, by_layer[layer]] = rows[:, :, by_layer[layer]].to(z)

        return ("z", layer), edit

    return [silence(layer) for layer in by_layer]


def run_without(
    model: HookedModel, data: IOIData, heads: Iterable[str], means: Means, *, logits_to_keep: int = 0
) -> Float[Tensor, "batch pos d_vocab"]:
    """Logits of the clean prompts with these heads knocked out; of the last positions alone, if some are to be kept.

    Errors as `knock_out`.
    """
    edits = knock_out(model, heads, means, data.template)
    with torch.no_grad():
        return model.run_with_hooks(data.clean, edits, logits_to_keep=logits_to_keep)
