"""What a head's weights do, without running the model (Elhage et al. 2021).

With row vectors, as in this library (a head reads x W_Q, x W_K, x W_V and writes … W_O):

    W_QK = W_Q W_Kᵀ     x_query W_QK x_keyᵀ is the attention score: where the head looks
    W_OV = W_V W_O      x_key W_OV is what it writes when it looks there

Both are d_model × d_model of rank d_head at most, and W_E … W_U of them is vocabulary × vocabulary. So they are kept as
two thin factors, and every question is answered by small matrices.

Where a model has norms, a head reads the stream through their gains, and so do the logits: if the gains are wide, even
signs of copying scores are others without them. So every function here takes its weights from `model.folded()`, a copy
whose norms have no gains left, and multiplies W_O by the gain of a norm that stands between attention and stream
(Gemma). What a norm divides by, one positive number for each position, is left out, and so are norms of queries and
keys (Qwen 3, Gemma 3) and rotations. `fold=False` takes the weights as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.places import head_number, layer_number

Kind = Literal["Q", "K", "V"]


@dataclass(frozen=True)
class FactoredMatrix:
    """The product left @ right, never formed unless `full()` is called. Leading axes are batch axes.

    left: [... rows rank], right: [... rank columns].
    """

    left: Float[Tensor, "... rows rank"]
    right: Float[Tensor, "... rank columns"]

    def __post_init__(self) -> None:
        if self.left.shape[-1] != self.right.shape[-2]:
            raise ValueError(f"the factors do not fit: {tuple(self.left.shape)} @ {tuple(self.right.shape)}")

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the product."""
        return self.left.shape[-2], self.right.shape[-1]

    @property
    def T(self) -> FactoredMatrix:
        """The transposed product."""
        return FactoredMatrix(self.right.transpose(-1, -2), self.left.transpose(-1, -2))

    def __matmul__(self, other: FactoredMatrix | Tensor) -> FactoredMatrix:
        """The product with a matrix or another factored matrix; the rank stays this one's."""
        if isinstance(other, Tensor):
            return FactoredMatrix(self.left, self.right @ other)
        return FactoredMatrix(self.left, self.right @ other.left @ other.right)

    def __rmatmul__(self, other: Tensor) -> FactoredMatrix:
        return FactoredMatrix(other @ self.left, self.right)

    def full(self) -> Float[Tensor, "... rows columns"]:
        """The product itself: rows × columns numbers."""
        return self.left @ self.right

    def norm(self) -> Float[Tensor, ...]:
        """The Frobenius norm: ‖LR‖² = trace((LᵀL)(RRᵀ)), two rank × rank matrices."""
        gram_left = self.left.transpose(-1, -2) @ self.left
        gram_right = self.right @ self.right.transpose(-1, -2)
        return (gram_left * gram_right.transpose(-1, -2)).sum((-1, -2)).clamp(min=0).sqrt()

    def eigenvalues(self) -> Tensor:
        """The eigenvalues of a square product that can differ from zero, complex, [... rank].

        LR and RL have the same ones, and RL is only rank × rank.
        """
        if self.shape[0] != self.shape[1]:
            raise ValueError(f"only a square matrix has eigenvalues; this one is {self.shape[0]} × {self.shape[1]}")
        return torch.linalg.eigvals(self.right @ self.left)

    def singular_values(self) -> Tensor:
        """The singular values, descending, [... rank]: by QR of both factors."""
        _, r_left = torch.linalg.qr(self.left)
        _, r_right = torch.linalg.qr(self.right.transpose(-1, -2))
        return torch.linalg.svdvals(r_left @ r_right.transpose(-1, -2))


def plain_norms(model: HookedModel, fold: bool = True) -> HookedModel:
    """A copy of a model that has norms, without gains in them (`model.folded()`); else, or without `fold`, itself."""
    return model.folded() if fold and model.cfg.norm != "none" else model


def written(model: HookedModel, layer: int, fold: bool = True) -> Float[Tensor, "head d_head d_model"]:
    """W_O of a layer as its heads write to the stream: times the gain of the norm behind them, where there is one."""
    norm = model.post_norm(layer, "attn")
    if norm is None or not fold:
        return model.W_O[layer]
    gain, _, _, centred = model.norm_parts(norm)
    W_O = model.W_O[layer]
    return (W_O - W_O.mean(-1, keepdim=True) if centred else W_O) * gain


def ov_circuit(model: HookedModel, layer: int, head: int, tokens: bool = False, *, fold: bool = True) -> FactoredMatrix:
    """W_V W_O [d_model d_model]; with `tokens`, W_E W_V W_O W_U [d_vocab d_vocab]: attended token → raised logits.

    fold: with the gains of the model's norms (see above); each call copies the model, where it has norms.
    """
    layer, head, model = layer_number(model.cfg, layer), head_number(model.cfg, head), plain_norms(model, fold)
    circuit = FactoredMatrix(model.W_V[layer, head], written(model, layer, fold)[head])
    return model.W_E @ circuit @ model.W_U if tokens else circuit


def qk_circuit(model: HookedModel, layer: int, head: int, tokens: bool = False, *, fold: bool = True) -> FactoredMatrix:
    """W_Q W_Kᵀ [d_model d_model]; with `tokens`, W_E W_Q W_Kᵀ W_Eᵀ [d_vocab d_vocab]: query token → key token.

    fold: as in `ov_circuit`.
    """
    layer, head, model = layer_number(model.cfg, layer), head_number(model.cfg, head), plain_norms(model, fold)
    circuit = FactoredMatrix(model.W_Q[layer, head], model.W_K[layer, head].transpose(-1, -2))
    return model.W_E @ circuit @ model.W_E.transpose(-1, -2) if tokens else circuit


def copying_score_eigenvalues(model: HookedModel, *, fold: bool = True) -> Float[Tensor, "layer head"]:
    """Σ λ / Σ |λ| over the eigenvalues of W_E W_V W_O W_U for every head: 1 copies what it attends to, −1 forbids it.

    Elhage et al. 2021, "copying heads". Eigenvalues come in conjugate pairs, so the sum is real. fold: as in
    `ov_circuit`.
    """
    model = plain_norms(model, fold)
    W_O = torch.stack([written(model, layer, fold) for layer in range(model.cfg.n_layers)])
    circuits = model.W_E @ FactoredMatrix(model.W_V, W_O) @ model.W_U
    values = circuits.eigenvalues()
    return values.real.sum(-1) / values.abs().sum(-1).clamp(min=1e-12)


def composition(
    model: HookedModel, kind: Kind, from_layer: int, to_layer: int, *, fold: bool = True
) -> Float[Tensor, "from_head to_head"]:
    """How much of what each earlier head writes is read by the queries, keys or values of each later head.

    With row vectors: Q ‖W_OV W_QK‖, K ‖W_OV W_QKᵀ‖, V ‖W_OV W_OV'‖, each over the product of the two norms
    (Elhage et al. 2021, "composition"). In [0, 1]; compare with `composition_baseline`, which is not 0. fold: as in
    `ov_circuit`.
    """
    first, second = (layer_number(model.cfg, layer) for layer in (from_layer, to_layer))
    if first >= second:
        raise ValueError(f"a head composes with heads of later layers only, not {from_layer} with {to_layer}")
    model = plain_norms(model, fold)
    writes = FactoredMatrix(model.W_V[first], written(model, first, fold))
    return _scores(writes, _reads(model, kind, second, fold))


def composition_baseline(model: HookedModel, kind: Kind, samples: int = 200, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of the same score for heads of this shape with random (Gaussian) weights.

    It depends on the shapes alone: two random low-rank matrices overlap more, the larger the rank is beside d_model.
    """
    generator = torch.Generator().manual_seed(seed)
    d_model, d_head = model.cfg.d_model, model.cfg.d_head

    def random() -> FactoredMatrix:
        left, right = (torch.randn(samples, d_model, d_head, generator=generator) for _ in range(2))
        return FactoredMatrix(left, right.transpose(-1, -2))

    if kind not in ("Q", "K", "V"):
        raise ValueError(f"kind must be 'Q', 'K' or 'V', not {kind!r}")
    first, second = random(), random()  # a random matrix is as good transposed, so one baseline serves all kinds
    scores = (first @ second).norm() / (first.norm() * second.norm())
    return scores.mean().item(), scores.std().item()


def _reads(model: HookedModel, kind: Kind, layer: int, fold: bool) -> FactoredMatrix:
    """For every head of a layer, the matrix through which it reads by its queries, keys or values."""
    if kind == "V":
        return FactoredMatrix(model.W_V[layer], written(model, layer, fold))
    qk = FactoredMatrix(model.W_Q[layer], model.W_K[layer].transpose(-1, -2))
    if kind == "Q":
        return qk
    if kind == "K":
        return qk.T
    raise ValueError(f"kind must be 'Q', 'K' or 'V', not {kind!r}")


def _scores(first: FactoredMatrix, second: FactoredMatrix) -> Float[Tensor, "from_head to_head"]:
    """‖A B‖ / (‖A‖ ‖B‖) for every A in `first` and B in `second`."""
    pairs = FactoredMatrix(first.left[:, None], first.right[:, None]) @ FactoredMatrix(second.left, second.right)
    return pairs.norm() / (first.norm()[:, None] * second.norm()[None]).clamp(min=1e-12)
