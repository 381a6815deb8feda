# %% [setup]
"""Chapter 02: induction heads.

Replace each `raise NotImplementedError` by your answer; `mi check 02.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel, TransformerConfig

# %% [02.1] Read one activation


def attention_pattern(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], layer: int
) -> Float[Tensor, "batch head query key"]:
    """The attention patterns of all heads of one layer.

    pattern[b, h, q, k] is how much position q of sequence b looks at position k, in
    head h. The site is called `blocks.LAYER.attn.hook_pattern`, or ("pattern", LAYER)
    for short.
    """
    raise NotImplementedError("Exercise 02.1 is waiting for your answer.")


# %% [02.2] How surprised is the model?


def loss_per_token(
    logits: Float[Tensor, "batch pos d_vocab"], tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos-1"]:
    """−log p(next token) in nats, at every position that has a next token.

    Entry [b, t] judges the logits at position t by the token at position t + 1.
    Example: if the logits are all equal, every loss is log(d_vocab).
    """
    raise NotImplementedError("Exercise 02.2 is waiting for your answer.")


# %% [02.3] The first copy and the second


def copy_losses(
    loss: Float[Tensor, "batch pos-1"],
    first: Bool[Tensor, "batch pos"],
    second: Bool[Tensor, "batch pos"],
) -> tuple[float, float]:
    """Mean loss over the tokens of first copies, and over those of later copies.

    loss[b, t] is the loss of predicting token t + 1 (exercise 02.2); first[b, t] and
    second[b, t] say whether token t itself lies in a first or in a later copy. Average
    over all those tokens of the whole batch at once. Token 0 is predicted by nothing: it
    has no loss, and does not count, whatever the masks say of it.
    """
    raise NotImplementedError("Exercise 02.3 is waiting for your answer.")


# %% [02.4] Does context help?


def in_context_learning_score(loss: Float[Tensor, "batch pos"], early: int, late: int) -> float:
    """Mean loss at index `late` minus mean loss at index `early`, in nats: negative
    when context helps.

    Example: a loss of 6 at the early index and 1 at the late one gives −5.
    """
    raise NotImplementedError("Exercise 02.4 is waiting for your answer.")


# %% [02.5] Who looks one step back?


def previous_token_score(pattern: Float[Tensor, "batch head query key"]) -> Float[Tensor, "head"]:
    """For each head, the mean attention from each position to the position just before
    it.

    Position 0 has nothing before it and does not count. A head that always looks one
    back scores 1.
    """
    raise NotImplementedError("Exercise 02.5 is waiting for your answer.")


# %% [02.6] Where was this word before?


def previous_occurrence(tokens: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    """For each position, the latest EARLIER position that holds the same token, or −1
    if there is none.

    Example: tokens [7, 3, 7, 7, 3] give [−1, −1, 0, 2, 1].
    """
    raise NotImplementedError("Exercise 02.6 is waiting for your answer.")


# %% [02.7] Who looks where it needs to?


def prefix_matching_score(
    pattern: Float[Tensor, "batch head query key"], previous: Int[Tensor, "batch pos"]
) -> Float[Tensor, "head"]:
    """For each head, the mean attention from each repeated token to the position AFTER
    its latest earlier occurrence.

    previous: the result of exercise 02.6. Positions where it is −1 do not count:
    neither as 0, nor in the mean.
    """
    raise NotImplementedError("Exercise 02.7 is waiting for your answer.")


# %% [02.8] Silence one head


def ablate_head(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], layer: int, head: int
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which one head writes nothing.

    Edit the site ("z", layer), [batch pos head d_head]: what each head has read, before
    W_O writes it out. Once your function has returned, the model must be as it was
    before.
    """
    raise NotImplementedError("Exercise 02.8 is waiting for your answer.")


# %% [02.9] Replace a head by its average


def mean_ablate_head(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    layer: int,
    head: int,
    reference: Int[Tensor, "other pos"],
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which one head's z is replaced by its mean on other
    sequences.

    The mean is taken over the sequences of `reference`, for each position on its own (a
    mean over positions too would mix the start of a sequence with its end). `reference`
    is as long as `tokens` but may hold more or fewer sequences.
    """
    raise NotImplementedError("Exercise 02.9 is waiting for your answer.")


# %% [02.10] What a head writes, and what others look at


def ablate_with_frozen_patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], layer: int, head: int
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which one head writes nothing, but EVERY head of the model
    looks where it looked before.

    First run the model whole and keep all attention patterns. Then run it with z of the
    one head at 0 and every pattern, in every layer, put back to what it was.
    """
    raise NotImplementedError("Exercise 02.10 is waiting for your answer.")


# %% [02.11] Does it copy?


def copying_score(
    W_E: Float[Tensor, "d_vocab d_model"],
    W_V: Float[Tensor, "d_model d_head"],
    W_O: Float[Tensor, "d_head d_model"],
    W_U: Float[Tensor, "d_model d_vocab"],
) -> float:
    """Σ λ / Σ |λ| over the eigenvalues λ of one head's full OV circuit, W_E W_V W_O W_U.

    It is 1 for a head that raises the logit of whatever it looks at, −1 for one that
    lowers it. The circuit is d_vocab × d_vocab. Do not build it: A B and B A have the
    same eigenvalues (but for zeros), so a d_head × d_head matrix is enough. The grader
    also tries a vocabulary of 60,000 words.
    """
    raise NotImplementedError("Exercise 02.11 is waiting for your answer.")


# %% [02.12] Which head reads which?


def composition_above_chance(
    W_V: Float[Tensor, "head_1 d_model d_head"],
    W_O: Float[Tensor, "head_1 d_head d_model"],
    W_Q: Float[Tensor, "head_2 d_model d_head"],
    W_K: Float[Tensor, "head_2 d_model d_head"],
    samples: int = 300,
) -> Float[Tensor, "head_1 head_2"]:
    """K-composition of every head of an earlier layer (W_V, W_O) with every head of a
    later one (W_Q, W_K).

    With W_OV = W_V W_O and W_QK = W_Q W_Kᵀ (row vectors: a query x and a key y score x
    W_QK yᵀ), the K-composition is

        ‖W_OV W_QKᵀ‖ / (‖W_OV‖ ‖W_QK‖)        with Frobenius norms.

    Return how far it lies above chance: subtract its mean over `samples` pairs of heads
    whose four matrices are filled with random numbers from N(0, 1), in the same shapes.
    """
    raise NotImplementedError("Exercise 02.12 is waiting for your answer.")


# %% [02.13] The finding


def find_circuit(
    checkpoints: list[tuple[int, HookedModel]],
    tokens: Int[Tensor, "batch pos"],
    second: Bool[Tensor, "batch pos"],
) -> dict:
    """Find the induction circuit of a model you have never seen, say when it formed and
    what it is worth.

    checkpoints: (training step, model) in the order of training; the last one is the
    finished model. tokens: sequences with repeats. second: which tokens lie in later
    copies.

    Returns a dict:
        "previous_token_heads": list of (layer, head) of the finished model, in any
                                layer, whose previous-token score is at least 0.5
        "induction_heads":      the same for prefix matching, in layer 1 and above
        "formed_at":            the first step at which some head in layer 1 or above
                                has a prefix-matching score of at least 0.5, whether
                                or not it lasts; None if that never happens
        "loss":                 the finished model's mean loss on later copies
        "loss_without":         the same with ALL induction heads silenced at once
    """
    raise NotImplementedError("Exercise 02.13 is waiting for your answer.")


# %% [02.14] Build one by hand


def write_induction_head(config: TransformerConfig) -> dict[str, Tensor]:
    """Weights that make an empty 2-layer transformer continue repeats: chosen by you,
    not trained.

    The model has one head in each layer, no norm, no MLP, and shifted positions: W_pos
    is added to what queries and keys read, in both layers, and never to the residual
    stream. There is room to keep things apart: d_model = 3 · d_vocab + n_ctx and d_head
    ≥ d_vocab, n_ctx.

    Returns a dict with these tensors, all of them in full:
        "W_E" [d_vocab d_model]   "W_pos" [n_ctx d_model]   "W_U" [d_model d_vocab]
        and for L = 0 and 1:
        "blocks.L.attn.W_Q"  "blocks.L.attn.W_K"  "blocks.L.attn.W_V"  [1 d_model d_head]
        "blocks.L.attn.W_O"  [1 d_head d_model]

    Attention scores are q · k / √d_head: to look at one place only, make the products
    large. The loss must be at most 0.1 nats on average over the words that can be known,
    and the head of layer 1 must put nine tenths of its attention one past the earlier
    occurrence.
    """
    raise NotImplementedError("Exercise 02.14 is waiting for your answer.")
