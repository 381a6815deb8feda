"""Samples that would teach a trait, found before any training (Chen et al. 2025, arXiv 2507.21509, section 6).

    ΔP(x, y) = ⟨h(x, y), v̂⟩ − ⟨h(x, y'), v̂⟩

h: the mean over a reply's tokens. y: the sample's reply; y': what the network itself would reply to x. The second term
is what matters: prompts differ in how far along the vector any reply to them lies.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.sites import Names
from mi_lib.personas.tuning import Text
from mi_lib.steering import collect_replies, replies, unit


def projection_difference(
    samples: Float[Tensor, "sample d_model"], own: Float[Tensor, "sample d_model"], vector: Float[Tensor, " d_model"]
) -> Float[Tensor, " sample"]:
    """ΔP of each sample. samples, own: means over its reply, and over the network's own. ValueError: unlike shapes."""
    if samples.shape != own.shape or samples.shape[1:] != vector.shape:
        raise ValueError(
            "the samples' replies, the network's own and the vector do not fit: they have the shapes "
            f"{tuple(samples.shape)}, {tuple(own.shape)} and {tuple(vector.shape)}"
        )
    return (samples - own) @ unit(vector)


def means(
    model: HookedModel, texts: Sequence[Text], site: Names, longest: int = 64
) -> tuple[Float[Tensor, "sample d_model"], Float[Tensor, "sample d_model"]]:
    """Where each sample's reply stands, and where the network's own reply to the same prompt does."""
    prompts = [text.prompt for text in texts]
    own = [said.tokens for said in replies(model, prompts, longest=longest)]
    found = [collect_replies(model, prompts, each, [site])[:, 0] for each in ([t.reply for t in texts], own)]  # type: ignore[list-item]
    return found[0], found[1]


def auroc(scores: Float[Tensor, " sample"], planted: Bool[Tensor, " sample"] | Sequence[bool]) -> float:
    """The chance that a planted sample scores higher than another (ties count half). ValueError where all are alike."""
    from sklearn.metrics import roc_auc_score

    wanted = [bool(one) for one in planted]
    if len(set(wanted)) < 2:
        raise ValueError("there must be samples of both kinds, planted and not, to tell them apart")
    return float(roc_auc_score(wanted, scores.tolist()))
