# %% [setup]
"""Chapter 01: a transformer from scratch.

Replace each `raise NotImplementedError` by your answer; `mi check 01.1` says how you
do. Every line that starts with `# %%` begins a section. Leave those lines where they
are.

A network is a function of tokens and of its weights: a dict from names to tensors. The
names are those of GPT-2's own files.

In exercise 01.10 the network learns. Then gradients must come through all that you have
written before, so compute with torch from beginning to end.
"""

import math

import einops
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

Weights = dict[str, Tensor]


def part(weights: Weights, prefix: str) -> Weights:
    """The weights under a prefix, named without it: part(weights, "h.0.attn.")."""
    names = [name for name in weights if name.startswith(prefix)]
    return {name.removeprefix(prefix): weights[name] for name in names}


# %% [01.1] Words become vectors


def embed(
    tokens: Int[Tensor, "batch pos"],
    W_E: Float[Tensor, "d_vocab d_model"],
    W_pos: Float[Tensor, "n_ctx d_model"],
) -> Float[Tensor, "batch pos d_model"]:
    """The vector that stands for each token: its row of W_E, plus the row of W_pos for
    the place where it stands. The first token of every sequence stands at place 0.
    """
    raise NotImplementedError("Exercise 01.1 is waiting for your answer.")


# %% [01.2] LayerNorm


def layer_norm(
    x: Float[Tensor, "batch pos d_model"],
    weight: Float[Tensor, "d_model"],
    bias: Float[Tensor, "d_model"],
    eps: float = 1e-5,
) -> Float[Tensor, "batch pos d_model"]:
    """Each vector of x by itself: subtract its mean, divide by √(variance + eps), then
    multiply by weight and add bias. The variance is the mean of the squares of what is
    left.
    """
    raise NotImplementedError("Exercise 01.2 is waiting for your answer.")


# %% [01.3] How well do two positions fit?


def attention_scores(
    q: Float[Tensor, "batch query d_head"], k: Float[Tensor, "batch key d_head"]
) -> Float[Tensor, "batch query key"]:
    """The scores of one head: scores[b, i, j] says how well the query of position i
    fits the key of position j. It is their dot product, divided by √d_head.
    """
    raise NotImplementedError("Exercise 01.3 is waiting for your answer.")


# %% [01.4] Nobody sees the future


def causal_pattern(
    scores: Float[Tensor, "... query key"],
) -> Float[Tensor, "... query key"]:
    """From scores to attention: where position i may look (at itself and before), a
    softmax over the scores; everywhere else exactly 0. Each row sums to 1.

    There are at least as many keys as queries. The last query stands at the place of
    the last key, the query before it one place earlier, and so on.
    """
    raise NotImplementedError("Exercise 01.4 is waiting for your answer.")


# %% [01.5] Many heads


def attention(
    x: Float[Tensor, "batch pos d_model"],
    w: Weights,
    n_heads: int,
) -> Float[Tensor, "batch pos d_model"]:
    """All attention heads of one layer.

    w holds c_attn.weight [d_model, 3 · d_model] and c_attn.bias: x times the one, plus
    the other, gives the queries of all heads, then all keys, then all values. Of each
    of the three, head 0 has the first d_head numbers, head 1 the next, and so on. Each
    head averages its values with its pattern. Side by side, in the order of the heads,
    the results go through c_proj.weight [d_model, d_model] and c_proj.bias.
    """
    raise NotImplementedError("Exercise 01.5 is waiting for your answer.")


# %% [01.6] A place to think


def mlp(
    x: Float[Tensor, "batch pos d_model"],
    w: Weights,
) -> Float[Tensor, "batch pos d_model"]:
    """Two layers with a bend between them: c_fc.weight [d_model, d_mlp] and c_fc.bias,
    then GELU, then c_proj.weight [d_mlp, d_model] and c_proj.bias.

    GPT-2's GELU is 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    """
    raise NotImplementedError("Exercise 01.6 is waiting for your answer.")


# %% [01.7] One block


def block(
    x: Float[Tensor, "batch pos d_model"],
    w: Weights,
    n_heads: int,
) -> Float[Tensor, "batch pos d_model"]:
    """One block of GPT-2. Attention reads the stream through the norm ln_1, and its
    output is added to the stream. Then the MLP reads the stream through ln_2, and its
    output is added too.

    w holds ln_1.weight, ln_1.bias, ln_2.weight, ln_2.bias, and what attention and MLP
    need under "attn." and "mlp.": part(w, "attn.") gives it.
    """
    raise NotImplementedError("Exercise 01.7 is waiting for your answer.")


# %% [01.8] The whole network


def gpt2(
    tokens: Int[Tensor, "batch pos"],
    weights: Weights,
    n_heads: int,
) -> Float[Tensor, "batch pos d_vocab"]:
    """From tokens to logits.

    weights holds wte.weight (W_E) and wpe.weight (W_pos), the blocks under "h.0.",
    "h.1.", … as many as there are, and the last norm as ln_f.weight and ln_f.bias.
    There is no unembedding of its own: the logit of a token is the dot product of the
    last norm's output with the token's embedding.
    """
    raise NotImplementedError("Exercise 01.8 is waiting for your answer.")


# %% [01.9] How wrong was it?


def next_token_loss(
    logits: Float[Tensor, "batch pos d_vocab"],
    tokens: Int[Tensor, "batch pos"],
) -> Float[Tensor, ""]:
    """The mean of −log p(next token), in nats, over all positions that have a next
    token: a tensor, so that its gradient can be taken.

    The logits at position t are judged by the token at position t + 1.
    """
    raise NotImplementedError("Exercise 01.9 is waiting for your answer.")


# %% [01.10] Learning


def train(
    weights: Weights,
    tokens: Int[Tensor, "batch pos"],
    n_heads: int,
    steps: int,
    learning_rate: float,
) -> tuple[Weights, list[float]]:
    """Train on the same few sequences, over and over, until they are known by heart.

    Use torch.optim.Adam with the given learning rate on all weights, and all sequences
    in every step. losses[i] is the loss before step i. Returns the trained weights and
    the losses. The weights that were passed in must stay as they are: train copies.
    """
    raise NotImplementedError("Exercise 01.10 is waiting for your answer.")


# %% [01.11] Bold or careful: temperature and top-k


def next_token_probabilities(
    logits: Float[Tensor, "batch d_vocab"], temperature: float, top_k: int | None = None
) -> Float[Tensor, "batch d_vocab"]:
    """The probabilities from which the next token is drawn.

    Divide the logits by the temperature. If top_k is given, only the top_k largest can
    be drawn: all others get probability 0. (It may be more than there are words: then
    all can be drawn.) Then softmax. At temperature 0 the whole probability is on the
    largest logit.
    """
    raise NotImplementedError("Exercise 01.11 is waiting for your answer.")


# %% [01.12] The nucleus: top-p


def nucleus(
    probabilities: Float[Tensor, "batch d_vocab"],
    p: float,
) -> Float[Tensor, "batch d_vocab"]:
    """Keep the fewest tokens that together have at least probability p, the likeliest
    first; the others get 0. Divide, so that what is left sums to 1. One token is always
    kept.
    """
    raise NotImplementedError("Exercise 01.12 is waiting for your answer.")


# %% [01.13] Never think twice: the key-value cache

# For each layer its keys and values, each [batch head pos d_head].
Cache = list[tuple[Tensor, Tensor]]


def step(
    tokens: Int[Tensor, "batch new"], cache: Cache, weights: Weights, n_heads: int
) -> tuple[Float[Tensor, "batch new d_vocab"], Cache]:
    """The logits at NEW positions only, given the keys and values of all earlier ones.

    cache is empty at the start: []. Later it has one pair (keys, values) for each
    layer. Returns the logits and the cache with the new positions added at its end. The
    old cache must stay as it is. The earlier tokens themselves are not known here, and
    not needed.
    """
    raise NotImplementedError("Exercise 01.13 is waiting for your answer.")


def generate(
    tokens: Int[Tensor, "batch pos"], weights: Weights, n_heads: int, n_new: int
) -> Int[Tensor, "batch pos+n_new"]:
    """The tokens, and n_new more: each time the one with the largest logit. Every
    position goes through `step` once.
    """
    raise NotImplementedError("Exercise 01.13 is waiting for your answer.")


# %% [01.14] The finding: the same network


def activations(
    tokens: Int[Tensor, "batch pos"],
    weights: Weights,
    n_heads: int,
) -> dict[str, Tensor]:
    """Everything that your network computes, in the order in which it does, under the
    names that the field uses, for the layers L = 0, 1, …:

        hook_embed                      rows of W_E            [batch pos d_model]
        hook_pos_embed                  rows of W_pos          [batch pos d_model]
        blocks.L.hook_resid_pre         what enters block L    [batch pos d_model]
        blocks.L.attn.hook_q            and hook_k, hook_v     [batch pos head d_head]
        blocks.L.attn.hook_pattern                             [batch head query key]
        blocks.L.attn.hook_z            the averaged values    [batch pos head d_head]
        blocks.L.hook_attn_out          what attention adds    [batch pos d_model]
        blocks.L.hook_resid_mid         the stream after it    [batch pos d_model]
        blocks.L.mlp.hook_pre           before the GELU        [batch pos d_mlp]
        blocks.L.mlp.hook_post          after it               [batch pos d_mlp]
        blocks.L.hook_mlp_out           what the MLP adds      [batch pos d_model]
        blocks.L.hook_resid_post        what leaves block L    [batch pos d_model]
        ln_final.hook_normalized        after the last norm    [batch pos d_model]
        logits                                                 [batch pos d_vocab]
    """
    raise NotImplementedError("Exercise 01.14 is waiting for your answer.")


def first_difference(
    mine: dict[str, Tensor],
    other: dict[str, Tensor],
    tolerance: float = 1e-4,
) -> str | None:
    """The first name, in the order of `mine`, whose two tensors differ by more than the
    tolerance anywhere. NaN differs from every number. None if there is no such name.
    Names that `other` lacks are passed over.
    """
    raise NotImplementedError("Exercise 01.14 is waiting for your answer.")


# %% [01.15] A few years later: RMSNorm and rotary positions


def rms_norm(
    x: Float[Tensor, "... d_model"], weight: Float[Tensor, "d_model"], eps: float = 1e-6
) -> Float[Tensor, "... d_model"]:
    """Llama's norm: divide by √(mean of squares + eps), then multiply by weight.
    Nothing is subtracted, nothing is added.
    """
    raise NotImplementedError("Exercise 01.15 is waiting for your answer.")


def rotate(
    x: Float[Tensor, "batch head pos d_head"],
    base: float = 10000.0,
) -> Float[Tensor, "batch head pos d_head"]:
    """Rotary positions: turn the queries or keys of position t by angles that grow with
    t.

    With h = d_head / 2, the numbers x[i] and x[i + h] form a pair, for i = 0 … h − 1,
    and the angle is t · base^(−i/h):

        x[i]     →  x[i] cos − x[i + h] sin
        x[i + h] →  x[i + h] cos + x[i] sin
    """
    raise NotImplementedError("Exercise 01.15 is waiting for your answer.")


# %% [01.16] A few years later: a modern block


def llama_block(
    x: Float[Tensor, "batch pos d_model"], w: Weights, n_heads: int, n_kv_heads: int
) -> Float[Tensor, "batch pos d_model"]:
    """One block of Llama: the same plan as GPT-2's, with other parts.

    Norms (`rms_norm`): input_layernorm.weight and post_attention_layernorm.weight.
    Attention: self_attn.q_proj.weight, k_proj, v_proj and o_proj, no biases. There are
    fewer heads of keys and values (n_kv_heads) than of queries: with r = n_heads /
    n_kv_heads, the query heads 0 … r − 1 share the first of them, the next r the
    second. Queries and keys are turned by `rotate`, values are not. MLP:
    down_proj(silu(gate_proj(x)) · up_proj(x)), under "mlp.", no biases.

    Every weight is [out, in]: the transpose of GPT-2's.
    """
    raise NotImplementedError("Exercise 01.16 is waiting for your answer.")
