"""Feature absorption: a latent that stands for a concept is silent at some of its words, where another does its work.

Where "a town" comes with its child "Selby", a sparse dictionary saves a latent by writing "a town" into the row of
"Selby". The latent "a town" then has exceptions that nobody sees in its top texts. In steps:

    1. A logistic probe on x finds the direction of the concept, and where it is for sure: its true positives.
    2. Main latents: those of the k-sparse probe. A logistic probe with an L1 penalty on f orders the latents by weight;
       a probe on the first k alone has F1(k); k grows as long as F1 grows by more than F1_JUMP (what has been split
       into several latents is not absorbed).
    3. What latent i says of the direction d̂ in an input: f_i · cos(row_i, d̂). What there is to say: x · d̂.
    4. Full absorption: no main latent is active; the latent that says most has a cosine of at least FULL_COSINE and
       says at least SHARE of x · d̂.
    5. Absorption fraction, also partial: of what the main latents and the absorbers say, the absorbers' part. Absorbers
       are other latents with a cosine of at least FRACTION_COSINE, the MOST that say most; they must say at least SHARE
       of x · d̂. 0 where the main latents say it all, 1 where they say nothing.

Both are averaged over the probe's true positives, in held-out texts. What this cannot see: an absorber that has taken
over so many of a concept's words that its F1 alone adds more than F1_JUMP counts as a main latent, a split, and step 4
finds nothing. So absorption by many rare children shows, and that by one frequent child does not.
Source: Chanin et al. 2024, arXiv 2409.14507 (full absorption); Karvonen et al. 2025, arXiv 2503.09532 (SAEBench),
which adds the fraction; steps and thresholds are those of the code of its evaluation `absorption`. Theirs asks for the
first letters of words, and trains both probes by gradient steps on raw activations; here the concept is any, and the
probes are fitted to convergence, on f in units of its mean active value (or λ = L1 would mean another at every site).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from mi_lib.saes.entries import ROWS, Values, entries

F1_JUMP, MAX_SPLIT = 0.03, 10
L1 = 0.01  # of the weights, against a mean cross-entropy
FULL_COSINE, FRACTION_COSINE = 0.025, 0.1
SHARE, MOST = 0.4, 3


class Probe(NamedTuple):
    """The concept holds where x · direction + bias > 0. direction: not normalised."""

    direction: Float[Tensor, " d"]
    bias: float

    def says(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        return x @ self.direction.to(x) + self.bias > 0


class Absorbed(NamedTuple):
    """Of each input: the absorption fraction, whether absorption is full, and the latent that says most of it."""

    fraction: Float[Tensor, " n"]
    full: Bool[Tensor, " n"]
    latent: Int[Tensor, " n"]


class Absorption(NamedTuple):
    """Of a concept. mean_fraction and full_share are over the probe's true positives; NaN where there are none."""

    main: list[int]  # the latents that stand for the concept
    mean_fraction: float
    full_share: float
    true_positives: int
    probe_f1: float  # on the same texts; where it is low (SAEBench leaves out .6 and below) the direction means little
    absorbers: dict[int, int]  # at how many words of full absorption which latent did the work; the busiest first


def measure_absorption(
    x: Float[Tensor, "n d"],
    f: Values,
    holds: Bool[Tensor, " n"],
    new_x: Float[Tensor, "m d"],
    new_f: Float[Tensor, "m latent"],
    new_holds: Bool[Tensor, " m"],
    decoder: Float[Tensor, "latent d"],
    *,
    origin: Float[Tensor, " d"] | None = None,
) -> Absorption:
    """All steps: probe and main latents from x, f and holds; absorption where the concept holds in the new texts.

    The number of main latents is chosen by F1 on the new texts, as SAEBench does. origin: subtracted from x before it
    is projected on the direction; None as there, `sae.b_dec` where the mean of x is far from 0.
    ValueError for labels that are all alike, for shapes that do not fit, and for values that are not numbers.
    """
    probe = fit_probe(x, holds)
    main = main_latents(f, holds, new_f, new_holds)
    said, holds_anew = probe.says(new_x).cpu(), new_holds.cpu().bool()
    at = (said & holds_anew).nonzero()[:, 0]
    found = absorbed(new_x[at] if origin is None else new_x[at] - origin, new_f[at], decoder, probe.direction, main)
    right = 2 * len(at) / max(1, int(said.sum() + holds_anew.sum()))
    busy = Counter(found.latent[found.full].tolist()).most_common()
    fraction, full = found.fraction.double().mean().item(), found.full.double().mean().item()
    return Absorption(main, fraction, full, len(at), right, dict(busy))


@torch.no_grad()
def absorbed(
    x: Float[Tensor, "n d"],
    f: Float[Tensor, "n latent"],
    decoder: Float[Tensor, "latent d"],
    direction: Float[Tensor, " d"],
    main: Sequence[int],
) -> Absorbed:
    """Steps 3 to 5, for inputs in which the concept is there. ValueError for shapes that do not fit, or no main latent.

    One departure from SAEBench's code, where it divides by zero or by what is negative: an input whose projection
    x · d̂ is not above 0 has nothing to absorb, so its fraction is 0.
    """
    if x.ndim != 2 or f.shape != (len(x), len(decoder)) or not decoder.shape[1:] == x.shape[1:] == direction.shape:
        raise ValueError(
            f"x [n d], f [n latent], decoder [latent d] and direction [d] do not fit: {list(x.shape)}, "
            f"{list(f.shape)}, {list(decoder.shape)}, {list(direction.shape)}"
        )
    if not main or not all(0 <= i < len(decoder) for i in main):
        raise ValueError(f"the main latents must be some of the {len(decoder)} that there are, not {list(main)}")
    if not bool(direction.norm() > 0):
        raise ValueError("the probe's direction is 0 or no number: it points nowhere")
    cosines = F.cosine_similarity(decoder, direction.to(decoder)[None], dim=1)
    parts = [
        _absorbed(rows @ F.normalize(direction, dim=0).to(x), latents, cosines.to(f), list(main))
        for rows, latents in zip(x.split(ROWS), f.split(ROWS), strict=True)
    ]
    return Absorbed(*(torch.cat(part).cpu() for part in zip(*parts, strict=True)))


def _absorbed(
    there: Float[Tensor, " n"], f: Float[Tensor, "n latent"], cosines: Float[Tensor, " latent"], main: list[int]
) -> Absorbed:
    says = f * cosines
    by_main = says[:, main].sum(1)
    others = (says > 0) & (cosines >= FRACTION_COSINE)
    others[:, main] = False
    by_others = torch.where(others, says, 0.0).topk(min(MOST, says.shape[1]), dim=1).values.sum(1)
    left = torch.minimum(by_others, there - by_main)
    fraction = torch.where(by_main > 0, left / (left + by_main), 1.0)
    fraction = torch.where((by_main < there) & (by_others >= SHARE * there) & (there > 0), fraction, 0.0)
    most, latent = says.max(1)
    full = (f[:, main] == 0).all(1) & (cosines[latent] >= FULL_COSINE) & (most >= SHARE * there) & (there > 0)
    return Absorbed(fraction, full, latent)


def fit_probe(x: Float[Tensor, "n d"], holds: Bool[Tensor, " n"]) -> Probe:
    """Logistic regression with scikit-learn's own light L2 penalty. ValueError for labels that are all alike.

    Where the concept holds an input weighs as much more as it is rarer, in this probe and in that of `main_latents`.
    """
    from sklearn.linear_model import LogisticRegression

    _check_labels(holds, len(x))
    spread = x.float().std().clamp(min=1e-12).item()  # so that the penalty does not depend on the units of x
    options = {"max_iter": 2000, "class_weight": _weights(holds)}
    fitted = LogisticRegression(**options).fit((x.float() / spread).cpu().numpy(), holds.cpu().numpy())
    return Probe(torch.from_numpy(fitted.coef_[0]).float() / spread, float(fitted.intercept_[0]))


def main_latents(
    f: Values,
    holds: Bool[Tensor, " n"],
    new_f: Values,
    new_holds: Bool[Tensor, " m"],
    *,
    jump: float = F1_JUMP,
    most: int = MAX_SPLIT,
) -> list[int]:
    """Step 2: at least one latent. ValueErrors as for `measure_absorption`."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import f1_score

    old, new = _sparse(f, holds), _sparse(new_f, new_holds)
    labels, labels_anew = holds.cpu().numpy(), new_holds.cpu().numpy()
    scale = old.data.mean() if old.nnz else 1.0
    # Its objective is |w| + C · Σ loss, so that this is L1 · |w| + the mean loss.
    options = {"l1_ratio": 1, "solver": "liblinear", "C": 1 / (L1 * len(labels)), "class_weight": _weights(holds)}
    ordered = LogisticRegression(intercept_scaling=100.0, random_state=0, max_iter=500, **options).fit(
        old / scale, labels
    )
    order = np.argsort(-ordered.coef_[0], kind="stable")[: min(most, old.shape[1])]
    best, main = -1.0, order[:1]
    for k in range(1, len(order) + 1):
        probe = LogisticRegression(max_iter=500, class_weight="balanced").fit(old[:, order[:k]] / scale, labels)
        score = f1_score(labels_anew, probe.predict(new[:, order[:k]] / scale), zero_division=0.0)
        if not score > best + jump:
            break
        best, main = score, order[:k]
    return [int(i) for i in main]


def _sparse(f: Values, holds: Tensor) -> Any:
    """f as a sparse matrix of scipy, in columns."""
    from scipy.sparse import csr_matrix

    found = entries(f)
    _check_labels(holds, len(found))
    parts = (found.value.double().numpy(), found.latent.numpy(), found.start.numpy())
    return csr_matrix(parts, shape=(len(found), found.width)).tocsc()


def _weights(holds: Bool[Tensor, " n"]) -> dict[int, float]:
    """1 for what is not the concept, (not the concept) / (the concept) for what is."""
    return {0: 1.0, 1: float((~holds).sum() / holds.sum())}


def _check_labels(holds: Tensor, rows: int) -> None:
    if holds.shape != (rows,):
        raise ValueError(f"the labels of one concept for {rows} inputs are [{rows}], not {list(holds.shape)}")
    if bool(holds.all()) or not bool(holds.any()):
        raise ValueError("the concept holds everywhere or nowhere in these texts: nothing can be learnt from that")
