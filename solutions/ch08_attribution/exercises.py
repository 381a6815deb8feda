# %% [setup]
"""Chapter 08: which parts caused the answer?

Replace each `raise NotImplementedError` by your answer; `mi check 08.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

Everything starts from pairs of prompts: `clean` has the answer that is to be explained,
`corrupted` is of the same length and has another. `right` is the answer of each clean
prompt, `wrong` that of its corrupted one, as tokens. What is explained is

    m = logit[right] − logit[wrong] at the last position,

one number for each pair: `logit_difference(logits, right, wrong)`.

To play: `from mi_lib.worlds import planted`, `circuit = planted.circuit("induction")`,
`pairs = circuit.pairs(4, seed=0)`, then `circuit.model`, `pairs.clean`,
`pairs.corrupted`, `pairs.answers`, `pairs.corrupted_answers`.
`circuit.text(pairs.clean[0])` shows a prompt.

Parts have names: "embed", "pos_embed", "a1.h2" (head 2 of layer 1), "m0" (the MLP of
layer 0). A part that reads is named with what it reads for: "a1.h2.q", "a1.h2.k",
"a1.h2.v", "m0", "logits". An edge is a text, "a0.h1->a1.h2.k".
`head_of("a1.h2.k")` is (1, 2); of a name that is no head it is None.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.attribution import randomised, run_circuit
from mi_lib.attribution.straight import silenced, straightened
from mi_lib.models import ActivationCache, HookedModel
from mi_lib.models.graph import Edge, all_edges, head_of, receivers, senders


def logit_difference(
    logits: Float[Tensor, "batch pos d_vocab"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "batch"]:
    """m = logit[right] − logit[wrong] at the last position, for each pair."""
    rows = torch.arange(len(right))
    return logits[rows, -1, right] - logits[rows, -1, wrong]


# %% [08.1] Gradient times input


def gradient_at(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    x: Float[Tensor, "batch pos d_model"],
) -> Float[Tensor, "batch pos d_model"]:
    """∂m/∂x: how m changes with the embeddings, at the point where they are x.

    Run `tokens` with the site "embed" holding x, whatever the tokens' own embeddings
    are. Positions are added to the stream later, and stay as they are. Pairs do not see
    each other, so the gradient of the sum of m over pairs is that of each pair. x itself
    must not be changed.
    """
    ### BEGIN SOLUTION
    x = x.detach().clone().requires_grad_()
    logits = model.run_with_hooks(tokens, [("embed", lambda value, hook: x)])
    return torch.autograd.grad(logit_difference(logits, right, wrong).sum(), x)[0]
    ### END SOLUTION


def gradient_x_input(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "batch pos"]:
    """(x − x') · ∂m/∂x at x, summed over d_model: a number for each word.

    x are the embeddings of the clean prompts (the site "embed"), x' those of the
    corrupted ones. In units of m; not divided by anything.
    """
    ### BEGIN SOLUTION
    x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
    return ((x - start) * gradient_at(model, clean, right, wrong, x)).sum(-1)
    ### END SOLUTION


# %% [08.2] Where the slope is flat


def one_word_effects(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "batch pos"]:
    """What each word is worth: m of the clean prompt, less m of the clean prompt in
    which this one word is the corrupted prompt's. In units of m.
    """
    ### BEGIN SOLUTION
    m = logit_difference(model(clean), right, wrong)
    effects = []
    for pos in range(clean.shape[1]):
        changed = clean.clone()
        changed[:, pos] = corrupted[:, pos]
        effects.append(m - logit_difference(model(changed), right, wrong))
    return torch.stack(effects, dim=1)
    ### END SOLUTION


def blind_spots(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Bool[Tensor, "batch pos"]:
    """Where gradient × input sees nothing, and there is something.

    True where the word's worth (`one_word_effects`) is at least half of the pair's range
    m(clean) − m(corrupted), while gradient × input is less than 0.05 of the range, in
    absolute value. The range is positive.
    """
    ### BEGIN SOLUTION
    whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
    worth = one_word_effects(model, clean, corrupted, right, wrong) / whole[:, None]
    said = gradient_x_input(model, clean, corrupted, right, wrong) / whole[:, None]
    return (worth >= 0.5) & (said.abs() < 0.05)
    ### END SOLUTION


# %% [08.3] The whole way


def integrated_gradients(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    steps: int,
) -> tuple[Float[Tensor, "batch pos"], Float[Tensor, "batch"]]:
    """Integrated gradients of each word, and the completeness gap of each pair.

    (x − x') · (mean of ∂m/∂x over the way from x' to x), summed over d_model, where x
    are the clean embeddings and x' the corrupted ones. The way is cut into `steps` equal
    pieces, and the gradient is taken in the middle of each: at x' + α (x − x') for
    α = ½/steps, 1½/steps, … , (steps − ½)/steps.

    The gap is the sum over words less m(clean) − m(corrupted).
    """
    ### BEGIN SOLUTION
    x, start = (model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (clean, corrupted))
    mean = torch.zeros_like(x)
    for step in range(steps):
        alpha = (step + 0.5) / steps
        mean += gradient_at(model, clean, right, wrong, start + alpha * (x - start)) / steps
    words = ((x - start) * mean).sum(-1)
    whole = logit_difference(model(clean), right, wrong) - logit_difference(model(corrupted), right, wrong)
    return words, words.sum(-1) - whole
    ### END SOLUTION


# %% [08.4] Two ways to exchange a head


def patch_heads(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    noising: bool,
) -> Float[Tensor, "layer head batch"]:
    """Where the answer stands if one head's z is exchanged, at all positions.

    noising = True: run the clean prompt, with the head's z of the corrupted run.
    noising = False (denoising): run the corrupted prompt, with the head's z of the clean
    run. Both are told on the same scale,

        (m_patched − m_corrupted) / (m_clean − m_corrupted),

    for each pair: 0 is the corrupted answer, 1 the clean one. z is at ("z", LAYER),
    [batch pos head d_head].
    """
    ### BEGIN SOLUTION
    base, source = (clean, corrupted) if noising else (corrupted, clean)
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    _, cache = model.run_with_cache(source, [("z", layer) for layer in layers])

    def put(layer: int, head: int):
        def edit(z: Tensor, hook) -> Tensor:
            z = z.clone()
            z[:, :, head] = cache["z", layer][:, :, head]
            return z

        return [(("z", layer), edit)]

    def m(logits: Tensor) -> Tensor:
        return logit_difference(logits, right, wrong)

    m_clean, m_corrupted = m(model(clean)), m(model(corrupted))
    rows = [[m(model.run_with_hooks(base, put(layer, head))) for head in heads] for layer in layers]
    patched = torch.stack([torch.stack(row) for row in rows])
    return (patched - m_corrupted) / (m_clean - m_corrupted)
    ### END SOLUTION


# %% [08.5] And, or


def logic_of(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    first: tuple[int, int],
    second: tuple[int, int],
) -> str:
    """How two heads, (layer, head) each, make the answer together: "and", "or" or
    "neither".

    Take `patch_heads` both ways, in the mean over pairs.

        "and"      after noising either head alone, less than half of the answer is left;
                   denoising either alone brings less than half of it back
        "or"       after noising either alone, at least half is left; denoising either
                   alone brings at least half back
        "neither"  everything else
    """
    ### BEGIN SOLUTION
    two = torch.tensor([first, second])
    ways = [patch_heads(model, clean, corrupted, right, wrong, noising).mean(-1) for noising in (True, False)]
    shares = torch.stack([way[two[:, 0], two[:, 1]] for way in ways])
    if (shares < 0.5).all():
        return "and"
    return "or" if (shares >= 0.5).all() else "neither"
    ### END SOLUTION


# %% [08.6] All heads at once


def attribution_patching(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "layer head batch"]:
    """To first order, the share of the answer that is lost if a head's z is noised.

        Σ (z_corrupted − z_clean) · ∂m/∂z at the clean run

    over positions and d_head estimates m_patched − m_clean. Divide by
    m_corrupted − m_clean, for each pair: 0 says that nothing is lost, 1 that all is. So
    this estimates 1 − `patch_heads(..., noising=True)`, for all heads from one backward
    pass: `model.run_with_cache(clean, names, grad=True)` keeps activations through which
    gradients flow.
    """
    ### BEGIN SOLUTION
    names = [("z", layer) for layer in range(model.cfg.n_layers)]
    logits, now = model.run_with_cache(clean, names, grad=True)
    m_clean = logit_difference(logits, right, wrong)
    slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
    other, then = model.run_with_cache(corrupted, names)
    whole = logit_difference(other, right, wrong) - m_clean.detach()
    changes = [(then[name] - now[name].detach()) * slope for name, slope in zip(names, slopes, strict=True)]
    return torch.stack([change.sum((1, 3)).T for change in changes]) / whole
    ### END SOLUTION


# %% [08.7] A softmax that is sure


def query_effects(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> Float[Tensor, "layer head batch"]:
    """What is lost if a head's queries are noised, with the softmax computed anew (AtP*).

        Σ (A_patched − A_clean) · ∂m/∂A at the clean run, over queries and keys,

    divided by m_corrupted − m_clean. A is the head's pattern, ("pattern", LAYER),
    [batch head query key]. A_patched is the pattern of the clean run if the queries of
    this layer, ("q", LAYER), are those of the corrupted run: the softmax is computed as
    it is, and only what follows the pattern is taken to first order. Heads of a layer do
    not read each other, so all queries of a layer can be exchanged in one run.
    """
    ### BEGIN SOLUTION
    layers = range(model.cfg.n_layers)
    names = [("pattern", layer) for layer in layers]
    logits, now = model.run_with_cache(clean, names, grad=True)
    m_clean = logit_difference(logits, right, wrong)
    slopes = torch.autograd.grad(m_clean.sum(), [now[name] for name in names])
    other, then = model.run_with_cache(corrupted, [("q", layer) for layer in layers])
    whole = logit_difference(other, right, wrong) - m_clean.detach()
    effects = []
    for layer, slope in zip(layers, slopes, strict=True):
        with model.hooks([(("q", layer), lambda q, hook: then["q", hook.layer])]):
            _, patched = model.run_with_cache(clean, ("pattern", layer))
        change = patched["pattern", layer] - now["pattern", layer].detach()
        effects.append((change * slope).sum((2, 3)).T)
    return torch.stack(effects) / whole
    ### END SOLUTION


# %% [08.8] What one part says to one other


def writes(model: HookedModel, cache: ActivationCache, sender: str) -> Float[Tensor, "batch pos d_model"]:
    """What one part writes to the residual stream, in the run that the cache is of.

    `cache` holds all sites of a run: `_, cache = model.run_with_cache(tokens)`.
    "embed" and "pos_embed" are sites of this name, the MLP "m1" writes what is at
    ("mlp_out", 1), and head "a1.h2" its z, at ("z", 1), times its own matrix
    model.W_O[1, 2].
    """
    ### BEGIN SOLUTION
    head = head_of(sender)
    if head:
        layer, number = head
        return cache["z", layer][:, :, number] @ model.W_O[layer, number]
    return cache["mlp_out", int(sender[1:])] if sender.startswith("m") else cache[sender]
    ### END SOLUTION


def edge_effect(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    sender: str,
    receiver: str,
) -> Float[Tensor, "batch"]:
    """The share of the answer that is lost if one part hears the corrupted word of one
    other, and everybody else hears the clean one.

    Run the clean prompt, and where the receiver reads, add (corrupted − clean) of what
    the sender writes. All that follows the receiver is computed anew. Where it reads:

        "a1.h2.q"   the site ("q_input", 1), [batch pos head d_model], of head 2 alone;
                    in the same way .k and .v
        "m1"        ("mlp_in", 1), [batch pos d_model]
        "logits"    ("resid_post", n_layers − 1), [batch pos d_model]

    The result is (m_clean − m_patched) / (m_clean − m_corrupted) for each pair.
    """
    ### BEGIN SOLUTION
    logits, now = model.run_with_cache(clean)
    other, then = model.run_with_cache(corrupted)
    difference = writes(model, then, sender) - writes(model, now, sender)
    head = head_of(receiver)

    def edit(value: Tensor, hook) -> Tensor:
        value = value.clone()
        if head:
            value[:, :, head[1]] += difference
        else:
            value += difference
        return value

    if head:
        site = (f"{receiver[-1]}_input", head[0])
    else:
        site = ("resid_post", model.cfg.n_layers - 1) if receiver == "logits" else ("mlp_in", int(receiver[1:]))
    patched = model.run_with_hooks(clean, [(site, edit)])
    m_clean, m_corrupted, m_patched = (logit_difference(run, right, wrong) for run in (logits, other, patched))
    return (m_clean - m_patched) / (m_clean - m_corrupted)
    ### END SOLUTION


# %% [08.9] All edges at once


def reader_gradients(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> dict[str, Float[Tensor, "batch pos d_model"]]:
    """∂m/∂(what v reads) for every receiver v of `receivers(model.cfg)`, by its name.

    The sites are those of exercise 08.8. One forward pass and one backward pass.
    """
    ### BEGIN SOLUTION
    sites, last = {}, ("resid_post", model.cfg.n_layers - 1)
    for name in receivers(model.cfg):
        head = head_of(name)
        if head:
            sites[name] = (f"{name[-1]}_input", head[0])
        else:
            sites[name] = last if name == "logits" else ("mlp_in", int(name[1:]))
    distinct = list(dict.fromkeys(sites.values()))
    logits, cache = model.run_with_cache(tokens, distinct, grad=True)
    m = logit_difference(logits, right, wrong)
    found = torch.autograd.grad(m.sum(), [cache[site] for site in distinct])
    slope = dict(zip(distinct, found, strict=True))
    heads = {name: head_of(name) for name in sites}
    return {name: slope[site][:, :, heads[name][1]] if heads[name] else slope[site] for name, site in sites.items()}
    ### END SOLUTION


def eap(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
) -> dict[str, Float[Tensor, "batch"]]:
    """Edge attribution patching: `edge_effect` of every edge, to first order.

        Σ (z'_u − z_u) · ∂m/∂(what v reads) at the clean run, over positions and d_model,

    divided by m_corrupted − m_clean. z_u is what sender u writes in the clean run, z'_u
    in the corrupted one. The keys are the edges as texts, str(edge) for each edge of
    `all_edges(model.cfg)`; edge.sender and edge.receiver are the names of its ends.
    """
    ### BEGIN SOLUTION
    logits, now = model.run_with_cache(clean)
    other, then = model.run_with_cache(corrupted)
    whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
    heard = reader_gradients(model, clean, right, wrong)
    change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
    return {
        str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
    }
    ### END SOLUTION


# %% [08.10] Along the way


def eap_ig(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    steps: int,
) -> dict[str, Float[Tensor, "batch"]]:
    """EAP with the gradient averaged along the embeddings: EAP-IG.

    As `eap`, but ∂m/∂(what v reads) is the mean over `steps` runs of the clean prompt,
    in which the site "embed" holds x' + (k / steps) (x − x') for k = 1 … steps: from
    near the corrupted embeddings x' to the clean ones x, these included. What senders
    write is taken from the two whole runs, as before.
    """
    ### BEGIN SOLUTION
    logits, now = model.run_with_cache(clean)
    other, then = model.run_with_cache(corrupted)
    whole = logit_difference(other, right, wrong) - logit_difference(logits, right, wrong)
    x, start = now["embed"], then["embed"]
    heard: dict[str, Tensor] = {}
    for k in range(1, steps + 1):
        between = start + k / steps * (x - start)
        with model.hooks([("embed", lambda value, hook, between=between: between)]):
            slopes = reader_gradients(model, clean, right, wrong)
        heard = {name: heard.get(name, 0) + slope / steps for name, slope in slopes.items()}
    change = {u: writes(model, then, u) - writes(model, now, u) for u in senders(model.cfg)}
    return {
        str(edge): (change[edge.sender] * heard[edge.receiver]).sum((1, 2)) / whole for edge in all_edges(model.cfg)
    }
    ### END SOLUTION


# %% [08.11] Judging a method


def strength(scores: Float[Tensor, "edge batch"]) -> Float[Tensor, "edge"]:
    """How much each edge is held to matter: the absolute value, in the mean over pairs."""
    ### BEGIN SOLUTION
    return scores.abs().mean(1)
    ### END SOLUTION


def auroc(strengths: Float[Tensor, "edge"], truth: Bool[Tensor, "edge"]) -> float:
    """The chance that an edge of the circuit is held to be stronger than one that is not
    in it. Each pair of an edge on it (truth = True) and one off it counts 1 if the one
    on it is stronger, ½ if they tie, 0 otherwise. The result is the mean over all pairs.
    """
    ### BEGIN SOLUTION
    on, off = strengths[truth][:, None], strengths[~truth][None]
    return float(((on > off) + (on == off) / 2).mean())
    ### END SOLUTION


def average_precision(strengths: Float[Tensor, "edge"], truth: Bool[Tensor, "edge"]) -> float:
    """For each edge of the circuit: of all edges that are at least as strong as it (it
    is one of them), which share belongs to the circuit? The mean over these edges.
    """
    ### BEGIN SOLUTION
    above = strengths[None] >= strengths[truth][:, None]
    return float((above[:, truth].sum(1) / above.sum(1)).mean())
    ### END SOLUTION


# %% [08.12] Does the circuit do it alone?


def faithfulness_curve(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    ranking: list[str],
    fractions: list[float],
) -> Float[Tensor, "fraction"]:
    """How much of the answer the first k edges of a ranking bring alone.

    For each fraction: the circuit C is the first int(fraction · len(ranking)) edges.
    `run_circuit(model, clean, [Edge.parse(text), ...], corrupted)` gives the logits of a
    run in which only the edges of C carry the clean prompt, and all others the corrupted
    one. With means over pairs,

        f(C) = (m(C) − m(∅)) / (m(N) − m(∅)),

    where m(∅) is m of the corrupted prompts and m(N) of the clean ones. With no edge at
    all f is 0: `run_circuit` refuses an empty circuit.
    """
    ### BEGIN SOLUTION
    m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong).mean() for tokens in (clean, corrupted))
    found = []
    for fraction in fractions:
        kept = [Edge.parse(text) for text in ranking[: int(fraction * len(ranking))]]
        m = logit_difference(run_circuit(model, clean, kept, corrupted), right, wrong).mean() if kept else m_corrupted
        found.append((m - m_corrupted) / (m_clean - m_corrupted))
    return torch.stack(found)
    ### END SOLUTION


def cpr_and_cmd(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    scores: dict[str, Float[Tensor, "batch"]],
    fractions: list[float],
) -> tuple[float, float]:
    """(CPR, CMD) of a method's scores; `fractions` ascend.

    CPR = ∫ f dk, where edges are ranked by their mean score, sign and all, largest
    first: which edges help most? CMD = ∫ |1 − f| dk, ranked by the mean of the absolute
    scores, largest first: which edges matter most? k is the fraction itself, on a
    linear axis, and the areas are those of trapezoids, from the first fraction to the
    last.
    """
    ### BEGIN SOLUTION
    signed = sorted(scores, key=lambda edge: -float(scores[edge].mean()))
    absolute = sorted(scores, key=lambda edge: -float(scores[edge].abs().mean()))
    k = torch.tensor(fractions)
    helps, matters = (
        faithfulness_curve(model, clean, corrupted, right, wrong, ranking, fractions) for ranking in (signed, absolute)
    )
    return float(torch.trapezoid(helps, k)), float(torch.trapezoid((1 - matters).abs(), k))
    ### END SOLUTION


# %% [08.13] Another network, the same answer?


def rank_correlation(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> float:
    """Spearman's ρ: the correlation of the ranks. Equal numbers share the mean of their
    ranks. Neither a nor b is constant.
    """
    ### BEGIN SOLUTION

    def ranks(x: Tensor) -> Tensor:
        below, equal = (x[None] < x[:, None]).sum(1), (x[None] == x[:, None]).sum(1)
        return below + equal / 2

    u, v = (ranks(x) - ranks(x).mean() for x in (a, b))
    return float(u @ v / (u.norm() * v.norm()))
    ### END SOLUTION


def sanity_check(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    seeds: list[int],
) -> Float[Tensor, "seed"]:
    """How much of the ranking of heads is left when nothing of the network is left.

    For each seed, the rank correlation of what `attribution_patching` says of all heads
    (the absolute value, in the mean over pairs) for the network and for
    `randomised(model, seed)`, a copy in which the numbers of each weight are shuffled.
    """
    ### BEGIN SOLUTION

    def heads(of: HookedModel) -> Tensor:
        return attribution_patching(of, clean, corrupted, right, wrong).abs().mean(-1).flatten()

    own = heads(model)
    return torch.tensor([rank_correlation(own, heads(randomised(model, seed))) for seed in seeds])
    ### END SOLUTION


# %% [08.14] The finding


def errors(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    sender: str,
    receiver: str,
) -> tuple[float, float]:
    """How far off two methods are about one edge, in the mean over pairs.

    First EAP: |EAP − exact noising|. Then exact noising itself: |exact denoising − exact
    noising|. Exact noising is `edge_effect`; denoising is the share of the answer that
    comes BACK if, in the corrupted run, this one edge carries the clean word: the same
    function, with the two prompts exchanged. The mean is taken last, over the absolute
    differences of each pair.
    """
    ### BEGIN SOLUTION
    edge = f"{sender}->{receiver}"
    noising = edge_effect(model, clean, corrupted, right, wrong, sender, receiver)
    denoising = edge_effect(model, corrupted, clean, right, wrong, sender, receiver)
    quick = eap(model, clean, corrupted, right, wrong)[edge]
    return float((quick - noising).abs().mean()), float((denoising - noising).abs().mean())
    ### END SOLUTION


def cause(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    right: Int[Tensor, "batch"],
    wrong: Int[Tensor, "batch"],
    sender: str,
    receiver: str,
) -> tuple[str, str]:
    """Which part is to blame that the methods disagree about this edge: an edit
    (what is done, to which part) after which they agree.

        ("straighten", "a1.h2")  `with straightened(model, clean, corrupted, "a1.h2"):`
                                 this head's softmax, or the MLP "m1", is a straight line
                                 between the two runs. Both runs stay as they are.
        ("silence", "a1.h2")     `with silenced(model, "a1.h2"):` this head, or the MLP,
                                 writes nothing in any run.

    Inside the `with` block all your functions see the edited network. The edit is right
    if, after it,

        both errors of this edge (`errors`) are below 0.1,
        exact noising of the edge still costs at least a twentieth of the answer, and
        the network still answers both prompts of each pair: m(clean) > 0 > m(corrupted).

    Others may do it as well: any edit of which this is true is right.
    """
    ### BEGIN SOLUTION
    pair = (model, clean, corrupted, right, wrong)
    for part in (name for name in senders(model.cfg) if "embed" not in name):
        for kind in ("straighten", "silence"):
            edit = straightened(model, clean, corrupted, part) if kind == "straighten" else silenced(model, part)
            with edit:
                m_clean, m_corrupted = (logit_difference(model(tokens), right, wrong) for tokens in (clean, corrupted))
                if (m_clean <= 0).any() or (m_corrupted >= 0).any():
                    continue
                worth = edge_effect(*pair, sender, receiver).mean()
                if worth >= 0.05 and max(errors(*pair, sender, receiver)) < 0.1:
                    return kind, part
    raise ValueError(f"no edit makes the methods agree about {sender}->{receiver}")
    ### END SOLUTION
