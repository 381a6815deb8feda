# %% [setup]
"""Chapter 04: reading the residual stream.

Replace each `raise NotImplementedError` by your answer; `mi check 04.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

`logits, cache = model.run_with_cache(tokens)` runs a model and keeps every activation:
`cache["resid_pre", 0]`. `model.cfg.n_layers` and `model.cfg.n_heads` are its sizes. An
edit is a pair (site, function): `function(value, hook)` gets an activation and returns
the new one; clone the value before you change it.

What a model offers besides: `model.ln_final(x)`, the final norm;
`model.unembed(y)`, which makes logits of what the norm gives; the weights `model.W_U`,
`model.W_O`, `model.b_O`, `model.W_out`, `model.b_out` and `model.b_U`; and
`model.norm_parts(model.ln_final)`, the norm's (weight, bias, epsilon, centred).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import HookedModel

# %% [04.1] A guess after every layer


def residual_stream(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
) -> Float[Tensor, "depth batch pos d_model"]:
    """The residual stream at every depth: before each block, and after the last one.

    That is n_layers + 1 depths. The sites are ("resid_pre", LAYER) and, for the last
    depth, ("resid_post", n_layers − 1). Nothing is normalised here.
    """
    ### BEGIN SOLUTION
    last = model.cfg.n_layers - 1
    names = [("resid_pre", layer) for layer in range(last + 1)] + [("resid_post", last)]
    _, cache = model.run_with_cache(tokens, names)
    return torch.stack([cache[name] for name in names])
    ### END SOLUTION


def logit_lens(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
) -> Float[Tensor, "depth batch pos d_vocab"]:
    """The logits that the model would give if it stopped at each depth.

    What the model does after its last block is done at every depth: the final norm,
    once, and then the unembedding. At the last depth these are the model's own logits.
    """
    ### BEGIN SOLUTION
    return model.unembed(model.ln_final(residual_stream(model, tokens)))
    ### END SOLUTION


# %% [04.2] The trap in the last hidden state


def is_normalised(
    x: Float[Tensor, "batch pos d_model"],
    weight: Float[Tensor, "d_model"],
    bias: Float[Tensor, "d_model"],
) -> bool:
    """Whether x can have left a LayerNorm with this weight (gain) and bias.

    LayerNorm gives each position mean 0 and variance 1, then multiplies by the weight
    and adds the bias. Undo the last two steps and look: x is normalised if EVERY
    position has mean 0 and variance 1, both within 0.02.
    """
    ### BEGIN SOLUTION
    y = (x - bias) / weight
    mean, variance = y.mean(-1), y.var(-1, unbiased=False)
    return bool((mean.abs() < 0.02).all() and ((variance - 1).abs() < 0.02).all())
    ### END SOLUTION


def lens_of_hidden_states(
    model: HookedModel,
    hidden_states: list[Float[Tensor, "batch pos d_model"]],
) -> Float[Tensor, "depth batch pos d_vocab"]:
    """The logit lens of hidden states that somebody else has collected.

    They are n_layers + 1 tensors: what enters each block, and what comes out at the
    end. Code that uses hooks gives the end BEFORE the final norm. What `transformers`
    returns for `output_hidden_states=True` gives it AFTER. So the last one may be
    normalised already, and must then not be normalised again. The others never are.

    The final norm is a LayerNorm, and `model.norm_parts(model.ln_final)` gives its
    (weight, bias, epsilon, centred).
    """
    ### BEGIN SOLUTION
    weight, bias, _, _ = model.norm_parts(model.ln_final)
    *inputs, last = hidden_states
    normalised = [model.ln_final(x) for x in inputs]
    normalised.append(last if is_normalised(last, weight, bias) else model.ln_final(last))
    return model.unembed(torch.stack(normalised))
    ### END SOLUTION


# %% [04.3] How far from the answer?


def kl_to_final(
    lens: Float[Tensor, "depth batch pos d_vocab"],
) -> Float[Tensor, "depth batch pos"]:
    """KL(final ‖ lens) = Σ p log(p / q) in nats, at every depth.

    p is the final prediction (the last depth), q the lens's. It says what it costs to
    believe the lens if the model's answer is the truth. Gradients must flow to the
    logits of all depths but the last: exercise 04.5 trains by them.
    """
    ### BEGIN SOLUTION
    log_q = lens.log_softmax(-1)
    log_p = log_q[-1]
    return (log_p.exp() * (log_p - log_q)).sum(-1)
    ### END SOLUTION


def entropy(logits: Float[Tensor, "... d_vocab"]) -> Float[Tensor, "..."]:
    """−Σ p log p in nats: log(d_vocab) if all tokens are equally likely, 0 if one is
    certain.

    Logits may be as large as 1000, so that some p is 0 in a computer.
    """
    ### BEGIN SOLUTION
    log_p = logits.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)
    ### END SOLUTION


def answer_rank(
    lens: Float[Tensor, "depth batch pos d_vocab"],
    answer: Int[Tensor, "batch"],
) -> Int[Tensor, "depth batch"]:
    """How many tokens have a larger logit than the answer, at the last position.

    0 means that the answer is the first guess. Each sequence has an answer of its own.
    """
    ### BEGIN SOLUTION
    logits = lens[:, :, -1]  # [depth batch d_vocab]
    own = logits[:, torch.arange(len(answer)), answer]  # [depth batch]
    return (logits > own[..., None]).sum(-1)
    ### END SOLUTION


# %% [04.4] A lens for each layer


def tuned_lens(
    model: HookedModel,
    stream: Float[Tensor, "depth batch pos d_model"],
    A: Float[Tensor, "layer d_model d_model"],
    b: Float[Tensor, "layer d_model"],
) -> Float[Tensor, "depth batch pos d_vocab"]:
    """The logits of the tuned lens: at depth l, those of h + A_l h + b_l.

    Here h is a column, and A_l h the product of a matrix and a vector:
    (A_l h)_i = Σ_j A_l[i, j] h_j. In `stream` each h is a row. The translated h goes
    through the final norm and the unembedding as in exercise 04.1.

    There are n_layers translators but n_layers + 1 depths: the last depth is what the
    model itself reads, and is not translated. With A = 0 and b = 0 this is the logit
    lens. Gradients must flow to A and b: exercise 04.5 trains them.
    """
    ### BEGIN SOLUTION
    inputs, last = stream[:-1], stream[-1:]
    translated = inputs + inputs @ A.mT[:, None] + b[:, None, None]
    return model.unembed(model.ln_final(torch.cat([translated, last])))
    ### END SOLUTION


# %% [04.5] Training it


def lens_loss(lens: Float[Tensor, "depth batch pos d_vocab"]) -> Float[Tensor, ""]:
    """What the training minimises: KL(final ‖ lens) in nats, averaged over batch and
    positions, and summed over depths.

    The last depth is the final prediction and adds 0. Gradients must flow from the loss
    to the logits of all other depths; it is the same for training whether they flow to
    the last one.
    """
    ### BEGIN SOLUTION
    return kl_to_final(lens).mean((1, 2)).sum()
    ### END SOLUTION


def train_tuned_lens(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    steps: int,
    lr: float,
    bias_only: bool = False,
) -> tuple[Float[Tensor, "layer d_model d_model"], Float[Tensor, "layer d_model"]]:
    """Train the translators of all layers at once, and return (A, b).

    A and b start at 0. Each step takes all tokens and makes one step of
    `torch.optim.Adam` with learning rate lr on `lens_loss`. The model stays as it is:
    it runs once, before the training. With `bias_only`, b alone is trained and A stays
    0: the control that tells a layer which speaks another language from one which is
    only shifted.
    """
    ### BEGIN SOLUTION
    stream = residual_stream(model, tokens).detach()
    n, d = model.cfg.n_layers, model.cfg.d_model
    A = torch.zeros(n, d, d, requires_grad=not bias_only)
    b = torch.zeros(n, d, requires_grad=True)
    optimizer = torch.optim.Adam([b] if bias_only else [A, b], lr=lr)
    for _ in range(steps):
        loss = lens_loss(tuned_lens(model, stream, A, b))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return A.detach(), b.detach()
    ### END SOLUTION


# %% [04.6] Hold the norm still


def through_frozen_norm(
    parts: Float[Tensor, "part batch d_model"],
    residual: Float[Tensor, "batch d_model"],
    weight: Float[Tensor, "d_model"],
    epsilon: float,
    centred: bool,
) -> Float[Tensor, "part batch d_model"]:
    """What the final norm makes of parts of the residual stream, at the scale of the
    run.

    LayerNorm (centred = True) is

        LN(x) = (x − mean(x)) / scale(x) · weight + bias,
        scale(x) = √(mean((x − mean(x))²) + epsilon),

    with means over d_model. RMSNorm (centred = False) is the same without − mean(x), in
    both places. The scale depends on the whole stream, so the norm of a sum is not the
    sum of the norms. But with the scale held at that of `residual`, the norm is linear,
    but for its bias. Return that linear map of every part, WITHOUT the bias: then the
    results of parts that sum to `residual` sum to LN(residual) − bias.
    """
    ### BEGIN SOLUTION

    def centre(x: Tensor) -> Tensor:
        return x - x.mean(-1, keepdim=True) if centred else x

    scale = (centre(residual).pow(2).mean(-1, keepdim=True) + epsilon).sqrt()
    return centre(parts) / scale * weight
    ### END SOLUTION


# %% [04.7] Who wrote the answer?


def to_logits(
    model: HookedModel,
    parts: Float[Tensor, "part batch d_model"],
    residual: Float[Tensor, "batch d_model"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "part batch"]:
    """What each part of the residual stream adds to logit[right] − logit[wrong].

    `residual` is the whole stream after the last block, at the same position: it gives
    the scale of the final norm. Then comes the difference of two columns of W_U,
    another one for each sequence. No biases here.
    """
    ### BEGIN SOLUTION
    weight, _, epsilon, centred = model.norm_parts(model.ln_final)
    direction = (model.W_U[:, right] - model.W_U[:, wrong]).T  # [batch d_model]
    return (through_frozen_norm(parts, residual, weight, epsilon, centred) * direction).sum(-1)
    ### END SOLUTION


def layer_contributions(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> dict[str, Float[Tensor, "batch"]]:
    """logit[right] − logit[wrong] at the last position, as a sum over all that wrote to
    it.

    The keys, in this order:
        "embed", "pos_embed"         the sites of these names
        "attn 0", "mlp 0", …         the sites ("attn_out", 0), ("mlp_out", 0), …
        "norm bias"                  what the bias of the final norm adds
        "b_U"                        what the bias of the unembedding adds; 0 if the
                                     model has none (model.b_U is None)
    The values sum to the logit difference.
    """
    ### BEGIN SOLUTION
    names = {"embed": ("embed",), "pos_embed": ("pos_embed",)}
    for layer in range(model.cfg.n_layers):
        names |= {f"attn {layer}": ("attn_out", layer), f"mlp {layer}": ("mlp_out", layer)}
    last = ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, [*names.values(), last])
    residual = cache[last][:, -1]
    parts = torch.stack([cache[site][:, -1].expand_as(residual) for site in names.values()])
    result = dict(zip(names, to_logits(model, parts, residual, right, wrong), strict=True))
    bias = model.norm_parts(model.ln_final).bias
    result["norm bias"] = bias @ (model.W_U[:, right] - model.W_U[:, wrong])
    result["b_U"] = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
    return result
    ### END SOLUTION


# %% [04.8] Head by head


def head_contributions(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> tuple[Float[Tensor, "batch layer head"], Float[Tensor, "batch layer"]]:
    """What each head adds to logit[right] − logit[wrong] at the last position, and what
    the biases b_O add.

    A head writes z W_O: its z, [batch pos head d_head] at ("z", LAYER), times its own
    matrix model.W_O[LAYER, HEAD], [d_head d_model]. The bias model.b_O[LAYER] belongs
    to no head. Heads and bias of a layer sum to its "attn" of exercise 04.7.
    """
    ### BEGIN SOLUTION
    layers = range(model.cfg.n_layers)
    last = ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, [*(("z", layer) for layer in layers), last])
    residual = cache[last][:, -1]
    heads, biases = [], []
    for layer in layers:
        outputs = torch.einsum("bhd,hdm->hbm", cache["z", layer][:, -1], model.W_O[layer])
        heads.append(to_logits(model, outputs, residual, right, wrong).T)
        bias = model.b_O[layer].expand(1, len(right), -1)
        biases.append(to_logits(model, bias, residual, right, wrong)[0])
    return torch.stack(heads, dim=1), torch.stack(biases, dim=1)
    ### END SOLUTION


# %% [04.9] Neuron by neuron


def neuron_contributions(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    layer: int,
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> tuple[Float[Tensor, "batch neuron"], Float[Tensor, "batch"]]:
    """What each neuron of one layer's MLP adds to logit[right] − logit[wrong] at the
    last position, and what the bias b_out adds.

    A neuron writes its activation, at ("post", LAYER), times its own row of
    model.W_out[LAYER], [neuron d_model]. Neurons and bias sum to the "mlp" of exercise
    04.7.
    """
    ### BEGIN SOLUTION
    last = ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, [("post", layer), last])
    residual = cache[last][:, -1]
    activation = cache["post", layer][:, -1]  # [batch neuron]
    parts = activation.T[:, :, None] * model.W_out[layer][:, None]  # [neuron batch d_model]
    bias = model.b_out[layer].expand(1, len(right), -1)
    neurons = to_logits(model, parts, residual, right, wrong)
    return neurons.T, to_logits(model, bias, residual, right, wrong)[0]
    ### END SOLUTION


# %% [04.10] Where does the head take it from?


def source_contributions(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    layer: int,
    head: int,
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "batch source"]:
    """What one head adds to logit[right] − logit[wrong] at the last position, split by
    the token it takes it from.

    The head's z is Σ_source pattern[source] · v[source]. The sites are ("pattern",
    LAYER), [batch head query key], and ("v", LAYER), [batch pos head d_head]. The
    result, summed over sources, is the head's contribution of exercise 04.8.
    """
    ### BEGIN SOLUTION
    last = ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(tokens, [("pattern", layer), ("v", layer), last])
    attention = cache["pattern", layer][:, head, -1]  # [batch source]
    v = cache["v", layer][:, :, head]  # [batch source d_head]
    written = (attention[:, :, None] * v) @ model.W_O[layer, head]  # [batch source d_model]
    return to_logits(model, written.transpose(0, 1), cache[last][:, -1], right, wrong).T
    ### END SOLUTION


# %% [04.11] How a fact travels


def patch_residual(
    model: HookedModel,
    clean: Int[Tensor, "1 pos"],
    corrupt: Int[Tensor, "1 pos"],
    right: int,
    wrong: int,
) -> Float[Tensor, "layer pos"]:
    """Where the answer is, layer by layer and position by position.

    m is logit[right] − logit[wrong] at the last position. For every layer and position,
    run the CORRUPT prompt with the input of that block, ("resid_pre", LAYER), at that
    position alone, replaced by what it was in the clean run. The result is

        (m_patched − m_corrupt) / (m_clean − m_corrupt)

    which is 0 where nothing changes and 1 where the whole answer comes back.
    `model.run_edits(corrupt, [(site, function), ...])` does many edited runs at once
    and returns [edit pos d_vocab].
    """
    ### BEGIN SOLUTION
    layers, positions = range(model.cfg.n_layers), range(clean.shape[1])
    logits, cache = model.run_with_cache(clean, [("resid_pre", layer) for layer in layers])

    def put(layer: int, pos: int):
        def edit(x: Tensor, hook) -> Tensor:
            x = x.clone()
            x[:, pos] = cache["resid_pre", layer][:, pos]
            return x

        return ("resid_pre", layer), edit

    def m(logits: Tensor) -> Tensor:
        return logits[:, -1, right] - logits[:, -1, wrong]

    patched = m(model.run_edits(corrupt, [put(layer, pos) for layer in layers for pos in positions]))
    m_clean, m_corrupt = m(logits), m(model(corrupt))
    return ((patched - m_corrupt) / (m_clean - m_corrupt)).view(len(layers), len(positions))
    ### END SOLUTION


# %% [04.12] The finding


def find_recall(
    model: HookedModel,
    pairs: list[tuple[Int[Tensor, "1 pos"], Int[Tensor, "1 pos"], int, int]],
) -> tuple[int, int]:
    """The head that brings the answer to the last position: (layer, head).

    pairs: (clean, corrupt, right, wrong), as in exercise 04.11. For every head, replace
    its z, ("z", LAYER), at the last position of the corrupt run and at no other, by
    that of the clean run, and take the same ratio. The answer is the head with the
    largest mean ratio over all pairs.
    """
    ### BEGIN SOLUTION
    heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]

    def take(z_clean: Tensor, head: int):
        def edit(z: Tensor, hook) -> Tensor:
            z = z.clone()
            z[:, -1, head] = z_clean[:, -1, head]
            return z

        return edit

    ratios = []
    for clean, corrupt, right, wrong in pairs:
        logits, cache = model.run_with_cache(clean, lambda name: name.endswith("hook_z"))
        edits = [(("z", layer), take(cache["z", layer], head)) for layer, head in heads]
        runs = torch.cat([logits[:, -1], model(corrupt)[:, -1], model.run_edits(corrupt, edits)[:, -1]])
        m = runs[:, right] - runs[:, wrong]  # clean, corrupt, then one for each head
        ratios.append((m[2:] - m[1]) / (m[0] - m[1]))
    return heads[int(torch.stack(ratios).mean(0).argmax())]
    ### END SOLUTION


def swap_answer(
    model: HookedModel,
    tokens: Int[Tensor, "1 pos"],
    other: Int[Tensor, "1 pos"],
    layer: int,
    head: int,
) -> Float[Tensor, "d_vocab"]:
    """The logits at the last position of `tokens`, if one head brings there what it
    would bring in the prompt `other`: its z at the last position is that of `other`.
    """
    ### BEGIN SOLUTION
    _, cache = model.run_with_cache(other, ("z", layer))

    def edit(z: Tensor, hook) -> Tensor:
        z = z.clone()
        z[:, -1, head] = cache["z", layer][:, -1, head]
        return z

    return model.run_with_hooks(tokens, [(("z", layer), edit)])[0, -1]
    ### END SOLUTION
