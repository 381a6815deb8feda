"""A dictionary spliced into a model: at one site, what flows on is x̂ in place of x.

    without the error term    x̂                        how much of what the model does has the dictionary kept?
    with it                   x + (x̂ after an edit of f − x̂ before)      nothing changes but what the edit does

With the error term and no edit the model's logits are the same to the last bit: the difference is then exactly 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.saes.base import Dictionary
from mi_lib.saes.edits import EditLatents

Edit = Callable[[Tensor, Any], Tensor]


def spliced(sae: Dictionary, *, keep_error: bool = False, edit: EditLatents | None = None) -> Edit:
    """The edit to hand to `model.run_with_hooks(tokens, [(site, spliced(sae))])`.

    edit: what to do with the activations of the latents before they are decoded (`edits`). keep_error:
    add what the dictionary does not explain. Gradients pass, through x̂ and through the error. ValueError, when it runs,
    for a site of another width; and here for a dictionary in `train()` mode, which would let inputs of a batch depend
    on each other.
    """
    if sae.training:
        raise ValueError("this dictionary is in training mode: call `.eval()` before it is spliced in")

    def exchange(x: Float[Tensor, "batch pos d"], hook: Any) -> Float[Tensor, "batch pos d"]:
        f = sae.encode(x.to(sae.W_dec))
        out = sae.decode(f if edit is None else edit(f.clone()))
        return x + (out - sae.decode(f)).to(x) if keep_error else out.to(x)

    return exchange


class Recovered(NamedTuple):
    """Mean losses in nats, and the share that the dictionary recovers."""

    clean: float
    spliced: float
    ablated: float

    @property
    def share(self) -> float:
        """(ablated − spliced) / (ablated − clean): 1 where nothing is lost. NaN where ablation costs nothing."""
        lost = self.ablated - self.clean
        return (self.ablated - self.spliced) / lost if lost else float("nan")


@torch.no_grad()
def loss_recovered(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    site: str | tuple,
    sae: Dictionary,
    *,
    ablation: Literal["mean", "zero"] = "mean",
    keep_error: bool = False,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Recovered:
    """The loss on the next tokens as it is, with the dictionary, and with the site ablated.

    ablation: the site's mean over these tokens, or 0. Zero is the harsher one and flatters the dictionary, so shares
    are comparable only with the same one. attention_mask: True at real tokens; padding counts nowhere.
    """
    real = torch.ones_like(tokens, dtype=torch.bool) if attention_mask is None else attention_mask.bool()

    def ablate(x: Tensor, hook: Any) -> Tensor:
        mask = real.to(x.device)
        return x[mask].mean(0).expand_as(x) if ablation == "mean" else torch.zeros_like(x)

    def loss(*edits: tuple[str | tuple, Edit]) -> float:
        logits = model.run_with_hooks(tokens, list(edits), attention_mask=attention_mask)
        log_probs = logits[:, :-1].log_softmax(-1)
        of_next = -log_probs.gather(-1, tokens[:, 1:, None].to(logits.device))[..., 0]
        return of_next[(real[:, 1:] & real[:, :-1]).to(logits.device)].mean().item()

    if ablation not in ("mean", "zero"):
        raise ValueError(f"ablation must be 'mean' or 'zero', not {ablation!r}")
    return Recovered(loss(), loss((site, spliced(sae, keep_error=keep_error))), loss((site, ablate)))
