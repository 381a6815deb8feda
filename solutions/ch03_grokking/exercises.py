# %% [setup]
"""Chapter 03: grokking modular addition.

Replace each `raise NotImplementedError` by your answer; `mi check 03.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import Transformer

# %% [03.1] All there is to know


def dataset(p: int) -> tuple[Int[Tensor, "pairs 3"], Int[Tensor, "pairs"]]:
    """Every sum mod p: the inputs (a, b, "=") and the answers (a + b) mod p.

    The token "=" is number p. The pair (a, b) stands in row a·p + b, so b runs fastest.
    Both tensors are int64, so that they can look up rows of a table.
    Example: dataset(3) starts with the inputs (0, 0, 3), (0, 1, 3), (0, 2, 3), (1, 0, 3)
    and the answers 0, 1, 2, 1.
    """
    ### BEGIN SOLUTION
    a = torch.arange(p).repeat_interleave(p)
    b = torch.arange(p).repeat(p)
    return torch.stack([a, b, torch.full((p * p,), p)], dim=1), (a + b) % p
    ### END SOLUTION


# %% [03.2] A loss that does not round


def precise_loss(logits: Float[Tensor, "batch d_vocab"], answers: Int[Tensor, "batch"]) -> Tensor:
    """Mean cross-entropy in nats, correct even when it is as small as 1e-10.

    The logits come in float32. Gradients must flow back to them. Returns one number as a
    tensor.
    """
    ### BEGIN SOLUTION
    return F.cross_entropy(logits.double(), answers)
    ### END SOLUTION


# %% [03.3] Train it


def train(
    model: Transformer,
    tokens: Int[Tensor, "batch 3"],
    answers: Int[Tensor, "batch"],
    steps: int,
    weight_decay: float,
) -> tuple[Transformer, list[float]]:
    """Train on all given inputs at once, `steps` times. Returns the model and the losses.

    losses[i] is the loss before step i: `precise_loss` of the logits after "=", the last
    position. Use torch.optim.AdamW with learning rate 1e-3, betas (0.9, 0.98) and the
    given weight decay. The model's parameters already ask for gradients.
    """
    ### BEGIN SOLUTION
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=weight_decay)
    losses = []
    for _ in range(steps):
        loss = precise_loss(model(tokens)[:, -1], answers)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model, losses
    ### END SOLUTION


# %% [03.4] Waves on p numbers


def fourier_basis(p: int) -> Float[Tensor, "component number"]:
    """The orthonormal Fourier basis on the numbers a = 0 … p − 1, for an odd p; float64.

    Row 0 is constant. Row 2k − 1 is a cosine and row 2k a sine of frequency k,

        cos(2π k a / p)   and   sin(2π k a / p),      k = 1 … (p − 1)/2,

    each row scaled to length 1. There are p rows.
    """
    ### BEGIN SOLUTION
    a = torch.arange(p, dtype=torch.float64)
    rows = [torch.ones(p, dtype=torch.float64)]
    for k in range(1, (p - 1) // 2 + 1):
        rows.append(torch.cos(2 * math.pi * k * a / p))
        rows.append(torch.sin(2 * math.pi * k * a / p))
    basis = torch.stack(rows)
    return basis / basis.norm(dim=1, keepdim=True)
    ### END SOLUTION


# %% [03.5] The spectrum of the embedding


def spectrum(W_E: Float[Tensor, "number d_model"]) -> Float[Tensor, "frequency"]:
    """How the energy of the embedding is shared among frequencies; entry k − 1 is
    frequency k = 1 … (p − 1)/2, for an odd number p of numbers.

    Transform W_E along its numbers. The energy of a component is the sum of its squares
    over d_model. A frequency has the energy of its cosine and of its sine. Leave out the
    constant, and divide, so that all entries sum to 1.
    """
    ### BEGIN SOLUTION
    energy = (fourier_basis(len(W_E)) @ W_E.double()).pow(2).sum(dim=1)
    energy = energy[1::2] + energy[2::2]
    return energy / energy.sum()
    ### END SOLUTION


# %% [03.6] Waves over two numbers


def fourier_2d(
    x: Float[Tensor, "a b neuron"],
) -> Float[Tensor, "component_a component_b neuron"]:
    """The Fourier transform of x over both its numbers.

    Entry [i, j] says how much of x is the wave basis[i] in a, times the wave basis[j]
    in b: the sum over a and b of basis[i, a] · basis[j, b] · x[a, b]. Sum over one of
    them first and then over the other: all at once needs a table of p⁴ numbers.
    """
    ### BEGIN SOLUTION
    basis = fourier_basis(x.shape[0])
    over_a = torch.einsum("ia,abn->ibn", basis, x.double())
    return torch.einsum("jb,ibn->ijn", basis, over_a)
    ### END SOLUTION


# %% [03.7] What does a neuron listen to?


def neuron_frequencies(
    activations: Float[Tensor, "a b neuron"],
) -> tuple[Int[Tensor, "neuron"], Float[Tensor, "neuron"]]:
    """For each neuron the frequency that explains most of it, and the share it explains.

    Frequency k has nine components: {1, cos k, sin k} in a, times the same three in b.
    The first of them, 1 · 1, is the neuron's mean: set its energy to 0. The frequency
    explains the energy (the sum of squares) of the other eight, as a share of the energy
    of all p² components without the mean. Frequencies count from 1. No neuron here is
    constant.
    """
    ### BEGIN SOLUTION
    energy = fourier_2d(activations).pow(2)
    energy[0, 0] = 0.0
    by_frequency = []
    for k in range(1, (activations.shape[0] - 1) // 2 + 1):
        rows = torch.tensor([0, 2 * k - 1, 2 * k])
        by_frequency.append(energy[rows][:, rows].sum(dim=(0, 1)))
    best, index = torch.stack(by_frequency).max(dim=0)
    return index + 1, best / energy.sum(dim=(0, 1))
    ### END SOLUTION


# %% [03.8] The frequencies that matter


def key_frequencies(activations: Float[Tensor, "a b neuron"]) -> list[int]:
    """The key frequencies of a network, ascending: those that have neurons of their own.

    A neuron is live if its variance over all (a, b) is at least 1/1000 of the largest
    neuron's. It belongs to its frequency if that explains at least half of it. A
    frequency is key if at least 2 % of the live neurons belong to it. The list may be
    empty. Neurons that never vary do occur here.
    """
    ### BEGIN SOLUTION
    variance = activations.double().var(dim=(0, 1))
    live = activations[:, :, variance >= variance.max() / 1000]
    frequency, explained = neuron_frequencies(live)
    counts = torch.bincount(frequency[explained >= 0.5])
    return [k for k in range(len(counts)) if counts[k] >= 0.02 * live.shape[2]]
    ### END SOLUTION


# %% [03.9] The waves of a sum


def sum_waves(p: int, k: int) -> Float[Tensor, "2 pairs"]:
    """cos(w (a + b)) and sin(w (a + b)) over all pairs, with w = 2πk/p; float64.

    Pairs are in the order of exercise 03.1. Each of the two rows has length 1.
    """
    ### BEGIN SOLUTION
    numbers = torch.arange(p, dtype=torch.float64)
    angle = 2 * math.pi * k / p * (numbers[:, None] + numbers).flatten()
    waves = torch.stack([angle.cos(), angle.sin()])
    return waves / waves.norm(dim=1, keepdim=True)
    ### END SOLUTION


# %% [03.10] With the waves alone


def restricted_loss(
    logits: Float[Tensor, "pairs answer"], answers: Int[Tensor, "pairs"], frequencies: list[int]
) -> float:
    """The loss that is left if of the logits we keep ONLY the waves of the key
    frequencies.

    Keep, for every answer: the mean of its logits over all pairs, and their projection on
    the two waves of exercise 03.9 for each of the frequencies. Returns `precise_loss` of
    that over all pairs.
    """
    ### BEGIN SOLUTION
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    return precise_loss(logits.mean(dim=0) + waves.T @ (waves @ logits), answers).item()
    ### END SOLUTION


# %% [03.11] Without the waves


def excluded_loss(
    logits: Float[Tensor, "pairs answer"],
    answers: Int[Tensor, "pairs"],
    frequencies: list[int],
    in_training: Bool[Tensor, "pairs"],
) -> float:
    """The loss on the TRAINING pairs if we take the waves of the key frequencies away.

    Subtract from the logits of all pairs their projection on the waves, and nothing else.
    Then measure `precise_loss` on the pairs of the training set.
    """
    ### BEGIN SOLUTION
    logits = logits.double()
    waves = torch.cat([sum_waves(logits.shape[1], k) for k in frequencies])
    rest = logits - waves.T @ (waves @ logits)
    return precise_loss(rest[in_training], answers[in_training]).item()
    ### END SOLUTION


# %% [03.12] How sparse?


def gini(x: Float[Tensor, "n"]) -> float:
    """The Gini coefficient of n numbers, none negative and not all 0: how unequal they
    are.

    Sort the numbers in ascending order, x_1 ≤ … ≤ x_n. Then

        G = Σ_i (2 i − n − 1) x_i / (n Σ_i x_i),      i = 1 … n.

    It is 0 if all are equal, and (n − 1)/n if only one of them is not 0.
    """
    ### BEGIN SOLUTION
    x = x.double().sort().values
    n = len(x)
    i = torch.arange(1, n + 1)
    return (((2 * i - n - 1) * x).sum() / (n * x.sum())).item()
    ### END SOLUTION


# %% [03.13] Three phases


def phases(
    checkpoints: list[tuple[int, Transformer]],
    in_training: Bool[Tensor, "pairs"],
    frequencies: list[int],
) -> tuple[int | None, int | None, int | None]:
    """When are memorisation, circuit formation and clean-up over?

    checkpoints: (step, model) in the order of training. Returns three steps, each the
    first one at which

        memorised   at least 99.9 % of the training pairs are answered rightly
        circuit     the same, AND the excluded loss on them is at least 1 nat
        cleaned     at least 99.9 % of the OTHER pairs are answered rightly

    or None, if that is never so. (Before anything is memorised, a high excluded loss
    only says that the network knows nothing yet.) A model may have a logit for "=":
    drop it. Its answer is the largest of the p others.
    """
    ### BEGIN SOLUTION
    p = checkpoints[0][1].cfg.d_vocab - 1
    tokens, answers = dataset(p)
    memorised = circuit = cleaned = None
    for step, model in checkpoints:
        with torch.no_grad():
            logits = model(tokens)[:, -1, :p]
        right = (logits.argmax(dim=-1) == answers).double()
        knows = right[in_training].mean() >= 0.999
        if memorised is None and knows:
            memorised = step
        if circuit is None and knows and excluded_loss(logits, answers, frequencies, in_training) >= 1.0:
            circuit = step
        if cleaned is None and right[~in_training].mean() >= 0.999:
            cleaned = step
    return memorised, circuit, cleaned
    ### END SOLUTION


# %% [03.14] The formula


def find_formula(model: Transformer) -> tuple[int, dict[int, float]]:
    """Read the formula out of a network that you have never seen.

    The network was trained on a + b or on a − b, modulo a prime that you can tell from
    its vocabulary. Returns (sign, amplitudes): sign is 1 for a + b and −1 for a − b;
    amplitudes maps each key frequency k of its neurons (exercise 03.8, at the site
    ("post", 0), last position) to the A_k with which the wave

        D_k = cos(w_k (a + sign·b − c)),      w_k = 2πk/p

    stands in its logits L, over all pairs (a, b) and answers c:
    A_k = ⟨L, D_k⟩ / ⟨D_k, D_k⟩, where ⟨x, y⟩ is the sum of x · y over all of these. An
    amplitude may be negative. The right sign is the one whose waves have the larger
    Σ A_k². A network without key frequencies has not grokked: return (1, {}).
    """
    ### BEGIN SOLUTION
    p = model.cfg.d_vocab - 1
    tokens, _ = dataset(p)
    with torch.no_grad():
        logits, cache = model.run_with_cache(tokens, ("post", 0))
    logits = logits[:, -1, :p].double()
    frequencies = key_frequencies(cache["post", 0][:, -1].reshape(p, p, -1))

    def amplitudes(sign: int) -> dict[int, float]:
        waves = {k: formula(p, sign, {k: 1.0}) for k in frequencies}
        return {k: ((logits * D).sum() / (D * D).sum()).item() for k, D in waves.items()}

    found = {sign: amplitudes(sign) for sign in (1, -1)}
    sign = max(found, key=lambda s: sum(A**2 for A in found[s].values()))
    return sign, found[sign]
    ### END SOLUTION


def formula(p: int, sign: int, amplitudes: dict[int, float]) -> Float[Tensor, "pairs answer"]:
    """The formula that replaces the network: Σ_k A_k cos(w_k (a + sign·b − c)).

    Pairs are in the order of exercise 03.1. No weights, no network: a sum of waves.
    """
    ### BEGIN SOLUTION
    tokens, _ = dataset(p)
    difference = (tokens[:, 0] + sign * tokens[:, 1])[:, None] - torch.arange(p)  # [pairs, answer]
    logits = torch.zeros(p * p, p, dtype=torch.float64)
    for k, A in amplitudes.items():
        logits += A * torch.cos(2 * math.pi * k / p * difference.double())
    return logits
    ### END SOLUTION
