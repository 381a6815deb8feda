"""What a latent does to the words that come next: which logits rise and which fall because it is active.

    direct          f · W_U LN(d): what its decoder row d writes, read by the unembedding as it passes through the final
                    norm. Frozen: the norm's scale, held at that of the run, and whatever lies between site and norm:
                    attention and MLPs that read d and answer to it do not count.
    intervention    logits of the run less those of the run in which the latent is silenced at all positions, the error
                    term kept. Everything after the site answers. This, and not the first, says what the latent does.

Both are means over the positions at which the latent is active, in logits less their mean over the vocabulary (what is
added to all logits changes no probability). The direct one is a first guess, and the worse the earlier the site.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.saes.base import Dictionary
from mi_lib.saes.edits import silenced
from mi_lib.saes.reading import BATCH, Texts, batches, checked, one_site
from mi_lib.saes.splicing import spliced

WRITES = ("hook_embed", "hook_pos_embed", "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out")


class Effects(NamedTuple):
    """Words and by how much their logits change because the latent is active: most raised first, most lowered first."""

    rises: list[tuple[str, float]]
    falls: list[tuple[str, float]]


def logit_effects(
    model: HookedModel,
    sae: Dictionary,
    site: str | tuple,
    latent: int,
    n: int = 10,
    *,
    texts: Texts | None = None,
    by: Literal["direct", "intervention"] = "direct",
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Effects:
    """The n words whose logits a latent raises most and the n that it lowers most.

    texts: at whose active positions; the direct effect without texts is that of one unit of activation at a norm of
    scale 1, so that its order says something and its size does not. ValueErrors as for `direct_effects`.
    """
    if by == "direct":
        change = direct_effects(model, sae, site, latent, texts, attention_mask)
    elif by == "intervention" and texts is not None:
        change = effects_of_silencing(model, sae, site, latent, texts, attention_mask)
    else:
        raise ValueError(f"effects are 'direct' or, in texts that are given, by 'intervention', not {by!r}")
    order = change.sort(descending=True, stable=True).indices.tolist()
    named = [(word, change[i].item()) for i, word in zip(order, model.to_str_tokens(torch.tensor(order)), strict=True)]
    return Effects(named[:n], named[::-1][:n])


@torch.no_grad()
def direct_effects(
    model: HookedModel,
    sae: Dictionary,
    site: str | tuple,
    latent: int,
    texts: Texts | None = None,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, " d_vocab"]:
    """What the latent's row alone says to the unembedding, the final norm's scale frozen (see above). Before any cap.

    ValueError for a site that does not write to the residual stream, a latent that is not there, or one that is active
    nowhere in the texts.
    """
    latent = checked(sae, latent)
    name = one_site(model, site)
    if not name.endswith(WRITES):
        raise ValueError(f"{name} does not write to the residual stream, so its rows say nothing to the unembedding")
    row = sae.W_dec[latent].to(model.W_U)
    if model.ln_final is not None:
        parts = model.norm_parts(model.ln_final)
        row = (row - row.mean() if parts.centred else row) * parts.weight
    effect = row @ model.W_U
    effect = effect - effect.mean()
    if texts is None:
        return effect
    total, count = 0.0, 0
    scale = "ln_final.hook_scale"
    names = [name] if model.ln_final is None else [name, scale]
    for tokens, real in batches(model, texts, attention_mask, BATCH):
        mask = None if bool(real.all()) else real
        _, cache = model.run_with_cache(tokens, names, attention_mask=mask)
        f = sae.encode(cache[name].to(sae.W_dec))[..., latent]
        active = (f > 0) & real.to(f.device)
        size = f if model.ln_final is None else f / cache[scale][..., 0]
        total, count = total + size[active].sum().item(), count + int(active.sum())
    return _mean(effect * total, count, latent)


@torch.no_grad()
def effects_of_silencing(
    model: HookedModel,
    sae: Dictionary,
    site: str | tuple,
    latent: int,
    texts: Texts,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
) -> Float[Tensor, " d_vocab"]:
    """Logits of the run less those with the latent silenced at all positions, the mean where it is active.

    ValueError for a latent that is not there or is active nowhere in the texts.
    """
    latent = checked(sae, latent)
    name = one_site(model, site)
    without = spliced(sae, keep_error=True, edit=silenced(latent))
    total, count = torch.zeros(model.cfg.d_vocab, device=model.device), 0
    for tokens, real in batches(model, texts, attention_mask, BATCH):
        mask = None if bool(real.all()) else real
        logits, cache = model.run_with_cache(tokens, name, attention_mask=mask)
        active = (sae.encode(cache[name].to(sae.W_dec))[..., latent] > 0) & real.to(logits.device)
        change = logits - model.run_with_hooks(tokens, [(name, without)], attention_mask=mask)
        total, count = total + change[active].float().sum(0), count + int(active.sum())
    return _mean(total - total.mean(), count, latent)


def _mean(total: Tensor, count: int, latent: int) -> Tensor:
    if not count:
        raise ValueError(f"latent {latent} is active nowhere in these texts: it has no effect there")
    return total / count
