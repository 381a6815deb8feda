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
    ### BEGIN SOLUTION
    return W_E[tokens] + W_pos[: tokens.shape[1]]
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    x = x - x.mean(dim=-1, keepdim=True)
    scale = (x.pow(2).mean(dim=-1, keepdim=True) + eps).sqrt()
    return x / scale * weight + bias
    ### END SOLUTION


# %% [01.3] How well do two positions fit?


def attention_scores(
    q: Float[Tensor, "batch query d_head"], k: Float[Tensor, "batch key d_head"]
) -> Float[Tensor, "batch query key"]:
    """The scores of one head: scores[b, i, j] says how well the query of position i
    fits the key of position j. It is their dot product, divided by √d_head.
    """
    ### BEGIN SOLUTION
    return q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    ### END SOLUTION


# %% [01.4] Nobody sees the future


def causal_pattern(
    scores: Float[Tensor, "... query key"],
) -> Float[Tensor, "... query key"]:
    """From scores to attention: where position i may look (at itself and before), a
    softmax over the scores; everywhere else exactly 0. Each row sums to 1.

    There are at least as many keys as queries. The last query stands at the place of
    the last key, the query before it one place earlier, and so on.
    """
    ### BEGIN SOLUTION
    n_query, n_key = scores.shape[-2:]
    allowed = torch.ones(n_query, n_key, dtype=torch.bool).tril(diagonal=n_key - n_query)
    return scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1)
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    qkv = x @ w["c_attn.weight"] + w["c_attn.bias"]
    q, k, v = einops.rearrange(qkv, "batch pos (three head d) -> three (batch head) pos d", three=3, head=n_heads)
    z = causal_pattern(attention_scores(q, k)) @ v
    z = einops.rearrange(z, "(batch head) pos d -> batch pos (head d)", head=n_heads)
    return z @ w["c_proj.weight"] + w["c_proj.bias"]
    ### END SOLUTION


# %% [01.6] A place to think


def mlp(
    x: Float[Tensor, "batch pos d_model"],
    w: Weights,
) -> Float[Tensor, "batch pos d_model"]:
    """Two layers with a bend between them: c_fc.weight [d_model, d_mlp] and c_fc.bias,
    then GELU, then c_proj.weight [d_mlp, d_model] and c_proj.bias.

    GPT-2's GELU is 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))).
    """
    ### BEGIN SOLUTION
    pre = x @ w["c_fc.weight"] + w["c_fc.bias"]
    post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
    return post @ w["c_proj.weight"] + w["c_proj.bias"]
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    x = x + attention(layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]), part(w, "attn."), n_heads)
    return x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"])
    layer = 0
    while w := part(weights, f"h.{layer}."):
        x = block(x, w, n_heads)
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T
    ### END SOLUTION


# %% [01.9] How wrong was it?


def next_token_loss(
    logits: Float[Tensor, "batch pos d_vocab"],
    tokens: Int[Tensor, "batch pos"],
) -> Float[Tensor, ""]:
    """The mean of −log p(next token), in nats, over all positions that have a next
    token: a tensor, so that its gradient can be taken.

    The logits at position t are judged by the token at position t + 1.
    """
    ### BEGIN SOLUTION
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    weights = {name: w.detach().clone().requires_grad_() for name, w in weights.items()}
    optimizer = torch.optim.Adam(weights.values(), lr=learning_rate)
    losses = []
    for _ in range(steps):
        loss = next_token_loss(gpt2(tokens, weights, n_heads), tokens)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: w.detach() for name, w in weights.items()}, losses
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    if temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None and top_k < logits.shape[-1]:
        kept = logits.topk(top_k, dim=-1)
        logits = torch.full_like(logits, -torch.inf).scatter(-1, kept.indices, kept.values)
    return logits.softmax(dim=-1)
    ### END SOLUTION


# %% [01.12] The nucleus: top-p


def nucleus(
    probabilities: Float[Tensor, "batch d_vocab"],
    p: float,
) -> Float[Tensor, "batch d_vocab"]:
    """Keep the fewest tokens that together have at least probability p, the likeliest
    first; the others get 0. Divide, so that what is left sums to 1. One token is always
    kept.
    """
    ### BEGIN SOLUTION
    ordered, order = probabilities.sort(dim=-1, descending=True)
    before = ordered.cumsum(dim=-1) - ordered  # what the likelier tokens have together
    kept = torch.where(before < p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]
    result = torch.zeros_like(probabilities).scatter(-1, order, kept)
    return result / result.sum(dim=-1, keepdim=True)
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    seen = cache[0][0].shape[2] if cache else 0
    x = embed(tokens, weights["wte.weight"], weights["wpe.weight"][seen:])
    layer, longer = 0, []
    while w := part(weights, f"h.{layer}."):
        qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
        q, k, v = einops.rearrange(qkv, "batch pos (three head d) -> three batch head pos d", three=3, head=n_heads)
        if cache:
            k, v = (torch.cat([old, new], dim=2) for old, new in zip(cache[layer], (k, v), strict=True))
        longer.append((k, v))
        z = causal_pattern(attention_scores(q, k)) @ v
        z = einops.rearrange(z, "batch head pos d -> batch pos (head d)")
        x = x + z @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
        x = x + mlp(layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]), part(w, "mlp."))
        layer += 1
    return layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"]) @ weights["wte.weight"].T, longer
    ### END SOLUTION


def generate(
    tokens: Int[Tensor, "batch pos"], weights: Weights, n_heads: int, n_new: int
) -> Int[Tensor, "batch pos+n_new"]:
    """The tokens, and n_new more: each time the one with the largest logit. Every
    position goes through `step` once.
    """
    ### BEGIN SOLUTION
    logits, cache = step(tokens, [], weights, n_heads)
    for i in range(n_new):
        new = logits[:, -1:].argmax(dim=-1)
        tokens = torch.cat([tokens, new], dim=1)
        if i + 1 < n_new:
            logits, cache = step(new, cache, weights, n_heads)
    return tokens
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    batch, n = tokens.shape
    seen = {"hook_embed": weights["wte.weight"][tokens]}
    seen["hook_pos_embed"] = weights["wpe.weight"][:n].expand(batch, n, -1)
    x = seen["hook_embed"] + seen["hook_pos_embed"]
    layer = 0
    while w := part(weights, f"h.{layer}."):
        at = f"blocks.{layer}."
        seen[at + "hook_resid_pre"] = x
        qkv = layer_norm(x, w["ln_1.weight"], w["ln_1.bias"]) @ w["attn.c_attn.weight"] + w["attn.c_attn.bias"]
        q, k, v = einops.rearrange(qkv, "batch pos (three head d) -> three batch pos head d", three=3, head=n_heads)
        seen |= {at + "attn.hook_q": q, at + "attn.hook_k": k, at + "attn.hook_v": v}
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(q.shape[-1])
        pattern = seen[at + "attn.hook_pattern"] = causal_pattern(scores)
        z = seen[at + "attn.hook_z"] = torch.einsum("bhqk,bkhd->bqhd", pattern, v)
        out = seen[at + "hook_attn_out"] = z.flatten(2) @ w["attn.c_proj.weight"] + w["attn.c_proj.bias"]
        x = seen[at + "hook_resid_mid"] = x + out
        pre = layer_norm(x, w["ln_2.weight"], w["ln_2.bias"]) @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
        post = 0.5 * pre * (1 + torch.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
        seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post}
        out = seen[at + "hook_mlp_out"] = post @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]
        x = seen[at + "hook_resid_post"] = x + out
        layer += 1
    x = seen["ln_final.hook_normalized"] = layer_norm(x, weights["ln_f.weight"], weights["ln_f.bias"])
    seen["logits"] = x @ weights["wte.weight"].T
    return seen
    ### END SOLUTION


def first_difference(
    mine: dict[str, Tensor],
    other: dict[str, Tensor],
    tolerance: float = 1e-4,
) -> str | None:
    """The first name, in the order of `mine`, whose two tensors differ by more than the
    tolerance anywhere. NaN differs from every number. None if there is no such name.
    Names that `other` lacks are passed over.
    """
    ### BEGIN SOLUTION
    for name, x in mine.items():
        if name in other and not (x - other[name]).abs().max() <= tolerance:
            return name
    return None
    ### END SOLUTION


# %% [01.15] A few years later: RMSNorm and rotary positions


def rms_norm(
    x: Float[Tensor, "... d_model"], weight: Float[Tensor, "d_model"], eps: float = 1e-6
) -> Float[Tensor, "... d_model"]:
    """Llama's norm: divide by √(mean of squares + eps), then multiply by weight.
    Nothing is subtracted, nothing is added.
    """
    ### BEGIN SOLUTION
    return x / (x.pow(2).mean(dim=-1, keepdim=True) + eps).sqrt() * weight
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * base ** (-torch.arange(half) / half)  # [pos, half]
    first, second = x[..., :half], x[..., half:]
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    read = rms_norm(x, w["input_layernorm.weight"])
    q, k, v = (
        einops.rearrange(
            read @ w[f"self_attn.{name}_proj.weight"].T, "batch pos (head d) -> batch head pos d", head=heads
        )
        for name, heads in (("q", n_heads), ("k", n_kv_heads), ("v", n_kv_heads))
    )
    k, v = (t.repeat_interleave(n_heads // n_kv_heads, dim=1) for t in (rotate(k), v))
    z = causal_pattern(attention_scores(rotate(q), k)) @ v
    x = x + einops.rearrange(z, "batch head pos d -> batch pos (head d)") @ w["self_attn.o_proj.weight"].T
    read = rms_norm(x, w["post_attention_layernorm.weight"])
    gate, up = read @ w["mlp.gate_proj.weight"].T, read @ w["mlp.up_proj.weight"].T
    return x + (F.silu(gate) * up) @ w["mlp.down_proj.weight"].T
    ### END SOLUTION
