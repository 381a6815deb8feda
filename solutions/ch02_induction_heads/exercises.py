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
    ### BEGIN SOLUTION
    _, cache = model.run_with_cache(tokens, ("pattern", layer))
    return cache["pattern", layer]
    ### END SOLUTION


# %% [02.2] How surprised is the model?


def loss_per_token(
    logits: Float[Tensor, "batch pos d_vocab"], tokens: Int[Tensor, "batch pos"]
) -> Float[Tensor, "batch pos-1"]:
    """−log p(next token) in nats, at every position that has a next token.

    Entry [b, t] judges the logits at position t by the token at position t + 1.
    Example: if the logits are all equal, every loss is log(d_vocab).
    """
    ### BEGIN SOLUTION
    log_probs = logits[:, :-1].log_softmax(dim=-1)
    return -log_probs.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    return loss[first[:, 1:]].mean().item(), loss[second[:, 1:]].mean().item()
    ### END SOLUTION


# %% [02.4] Does context help?


def in_context_learning_score(loss: Float[Tensor, "batch pos"], early: int, late: int) -> float:
    """Mean loss at index `late` minus mean loss at index `early`, in nats: negative
    when context helps.

    Example: a loss of 6 at the early index and 1 at the late one gives −5.
    """
    ### BEGIN SOLUTION
    return (loss[:, late].mean() - loss[:, early].mean()).item()
    ### END SOLUTION


# %% [02.5] Who looks one step back?


def previous_token_score(pattern: Float[Tensor, "batch head query key"]) -> Float[Tensor, "head"]:
    """For each head, the mean attention from each position to the position just before
    it.

    Position 0 has nothing before it and does not count. A head that always looks one
    back scores 1.
    """
    ### BEGIN SOLUTION
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=(0, 2))
    ### END SOLUTION


# %% [02.6] Where was this word before?


def previous_occurrence(tokens: Int[Tensor, "batch pos"]) -> Int[Tensor, "batch pos"]:
    """For each position, the latest EARLIER position that holds the same token, or −1
    if there is none.

    Example: tokens [7, 3, 7, 7, 3] give [−1, −1, 0, 2, 1].
    """
    ### BEGIN SOLUTION
    n = tokens.shape[1]
    same = tokens[:, :, None] == tokens[:, None, :]
    earlier = torch.ones(n, n, dtype=torch.bool).tril(diagonal=-1)
    return torch.where(same & earlier, torch.arange(n), -1).amax(dim=-1)
    ### END SOLUTION


# %% [02.7] Who looks where it needs to?


def prefix_matching_score(
    pattern: Float[Tensor, "batch head query key"], previous: Int[Tensor, "batch pos"]
) -> Float[Tensor, "head"]:
    """For each head, the mean attention from each repeated token to the position AFTER
    its latest earlier occurrence.

    previous: the result of exercise 02.6. Positions where it is −1 do not count:
    neither as 0, nor in the mean.
    """
    ### BEGIN SOLUTION
    batch, query = (previous >= 0).nonzero(as_tuple=True)
    paid = pattern[batch, :, query, previous[batch, query] + 1]  # [repeated tokens, head]
    return paid.mean(dim=0)
    ### END SOLUTION


# %% [02.8] Silence one head


def ablate_head(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], layer: int, head: int
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which one head writes nothing.

    Edit the site ("z", layer), [batch pos head d_head]: what each head has read, before
    W_O writes it out. Once your function has returned, the model must be as it was
    before.
    """
    ### BEGIN SOLUTION

    def silence(z: Tensor, hook) -> Tensor:
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(("z", layer), silence)])
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    _, cache = model.run_with_cache(reference, ("z", layer))
    mean = cache["z", layer][:, :, head].mean(dim=0)  # [pos d_head]

    def replace(z: Tensor, hook) -> Tensor:
        z = z.clone()
        z[:, :, head] = mean
        return z

    return model.run_with_hooks(tokens, [(("z", layer), replace)])
    ### END SOLUTION


# %% [02.10] What a head writes, and what others look at


def ablate_with_frozen_patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], layer: int, head: int
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of a run in which one head writes nothing, but EVERY head of the model
    looks where it looked before.

    First run the model whole and keep all attention patterns. Then run it with z of the
    one head at 0 and every pattern, in every layer, put back to what it was.
    """
    ### BEGIN SOLUTION
    _, clean = model.run_with_cache(tokens, lambda name: name.endswith("hook_pattern"))

    def freeze(pattern: Tensor, hook) -> Tensor:
        return clean[hook.name]

    def silence(z: Tensor, hook) -> Tensor:
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, [(list(clean), freeze), (("z", layer), silence)])
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    eigenvalues = torch.linalg.eigvals(W_O @ W_U @ W_E @ W_V)
    return (eigenvalues.real.sum() / eigenvalues.abs().sum()).item()
    ### END SOLUTION


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
    ### BEGIN SOLUTION

    def k_composition(W_V: Tensor, W_O: Tensor, W_Q: Tensor, W_K: Tensor) -> Tensor:
        OV, QK = W_V @ W_O, W_Q @ W_K.mT
        norm = torch.linalg.matrix_norm
        return norm(OV @ QK.mT) / (norm(OV) * norm(QK))

    d_model, d_head = W_V.shape[-2:]
    generator = torch.Generator().manual_seed(0)
    V, out, Q, K = (torch.randn(samples, d_model, d_head, generator=generator) for _ in range(4))
    chance = k_composition(V, out.mT, Q, K).mean()
    pairs = k_composition(W_V[:, None], W_O[:, None], W_Q[None], W_K[None])
    return pairs - chance
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    previous = previous_occurrence(tokens)

    def heads_above(model: HookedModel, score, first_layer: int) -> list[tuple[int, int]]:
        found = []
        for layer in range(first_layer, model.cfg.n_layers):
            values = score(attention_pattern(model, tokens, layer))
            found += [(layer, head) for head in range(model.cfg.n_heads) if values[head] >= 0.5]
        return found

    def induction_heads(model: HookedModel) -> list[tuple[int, int]]:
        return heads_above(model, lambda pattern: prefix_matching_score(pattern, previous), 1)

    def mean_loss(logits: Tensor) -> float:
        return loss_per_token(logits, tokens)[second[:, 1:]].mean().item()

    _, final = checkpoints[-1]
    induction = induction_heads(final)

    def silence(z: Tensor, hook) -> Tensor:
        z = z.clone()
        for layer, head in induction:
            if layer == hook.layer:
                z[:, :, head] = 0.0
        return z

    layers = sorted({layer for layer, _ in induction})
    without = final.run_with_hooks(tokens, [(("z", layer), silence) for layer in layers])
    return {
        "previous_token_heads": heads_above(final, previous_token_score, 0),
        "induction_heads": induction,
        "formed_at": next((step for step, model in checkpoints if induction_heads(model)), None),
        "loss": mean_loss(final(tokens)),
        "loss_without": mean_loss(without),
    }
    ### END SOLUTION


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
    ### BEGIN SOLUTION
    V, n, d, h = config.d_vocab, config.n_ctx, config.d_model, config.d_head
    token, before, out = (slice(i * V, (i + 1) * V) for i in range(3))  # three rooms of the residual stream
    place = slice(3 * V, 3 * V + n)  # and one that only positions use
    sharp = 60.0 * math.sqrt(h)

    def head(rows: dict[str, tuple[slice, Tensor]]) -> dict[str, Tensor]:
        """Matrices that are zero but for one block of rows (of columns, for W_O)."""
        made = {}
        for name, (where, block) in rows.items():
            matrix = torch.zeros(h, d) if name == "W_O" else torch.zeros(d, h)
            if name == "W_O":
                matrix[: block.shape[0], where] = block
            else:
                matrix[where, : block.shape[1]] = block
            made[name] = matrix[None]
        return made

    words, places = torch.eye(V), torch.eye(n)
    one_back = torch.zeros(n, n)
    one_back[torch.arange(1, n), torch.arange(n - 1)] = 1.0  # the query of place i is the key of place i − 1
    # Layer 0 notes, at each position, which word came just before.
    first = head(
        {"W_Q": (place, sharp * one_back), "W_K": (place, places), "W_V": (token, words), "W_O": (before, words)}
    )
    # Layer 1 looks for the present word among those notes, and copies the word that it finds there.
    second = head(
        {"W_Q": (token, sharp * words), "W_K": (before, words), "W_V": (token, words), "W_O": (out, 20.0 * words)}
    )
    weights = {"W_E": torch.zeros(V, d), "W_pos": torch.zeros(n, d), "W_U": torch.zeros(d, V)}
    weights["W_E"][:, token] = words
    weights["W_pos"][:, place] = places
    weights["W_U"][out] = words
    for layer, matrices in enumerate((first, second)):
        weights |= {f"blocks.{layer}.attn.{name}": matrix for name, matrix in matrices.items()}
    return weights
    ### END SOLUTION
