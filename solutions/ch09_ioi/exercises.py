# %% [setup]
"""Chapter 09: indirect object identification.

Replace each `raise NotImplementedError` by your answer; `mi check 09.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

    from mi_lib.worlds import planted
    circuit = planted.circuit("ioi")        # the patient: circuit.model
    pairs = circuit.pairs(32, seed=0)       # prompts, and where the names stand

`pairs.clean` and `pairs.corrupted` are prompts [batch pos]; `pairs.answers` is the name
to say (IO), `pairs.corrupted_answers` the giver's (S); `pairs.io`, `pairs.s1` and
`pairs.s2` say where the names stand, and `pairs.template` which template it is. All
prompts have the same length, and END is the last position.

A head is a pair (layer, head). What it has read is its z, [batch pos head d_head], at
the site ("z", LAYER). An edit `function(value, hook)` is given a copy of what stands at
its site; it may change it, or return another. `with model.hooks(edits): ...` holds
edits for several calls.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution import patch_edges
from mi_lib.lens import frozen_norm
from mi_lib.models import HookedModel
from mi_lib.models.graph import Edge

Heads = list[tuple[int, int]]


def final_norm_of_parts(
    model: HookedModel,
    parts: Float[Tensor, "... d_model"],
    residual: Float[Tensor, "... d_model"],
) -> Float[Tensor, "... d_model"]:
    """Your `through_frozen_norm` of exercise 04.6: what the final norm makes of parts of
    the stream, at the scale that it has for the whole stream. Parts, where there is no
    norm."""
    return frozen_norm(model, residual).linear(parts)


# %% [09.1] Other names


def other_names(
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    names: Int[Tensor, "name"],
    seed: int,
) -> Int[Tensor, "batch 3"]:
    """Three names for each prompt: different from each other, from its IO and from its S.

    They are drawn from `names` (all of them different tokens, five or more), any three
    in any order being equally likely, by a generator with this seed: the same seed
    gives the same names, another seed other ones.
    """
    ### BEGIN SOLUTION
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(len(io), len(names), generator=generator)
    order[(names == io[:, None]) | (names == s[:, None])] = 2  # behind all others
    return names[order.argsort(1)[:, :3]]
    ### END SOLUTION


def abc_prompts(
    tokens: Int[Tensor, "batch pos"],
    io_at: Int[Tensor, "batch"],
    s1_at: Int[Tensor, "batch"],
    s2_at: Int[Tensor, "batch"],
    others: Int[Tensor, "batch 3"],
) -> Int[Tensor, "batch pos"]:
    """The same prompts with three other names, so that none of them is said twice.

    Of prompt b, others[b, 0] stands where IO stood, others[b, 1] where S1 and
    others[b, 2] where S2 stood. Every other word stays. `tokens` must not change.
    """
    ### BEGIN SOLUTION
    rows, new = torch.arange(len(tokens)), tokens.clone()
    for i, at in enumerate((io_at, s1_at, s2_at)):
        new[rows, at] = others[:, i]
    return new
    ### END SOLUTION


def flipped_prompts(
    tokens: Int[Tensor, "batch pos"],
    io_at: Int[Tensor, "batch"],
    s2_at: Int[Tensor, "batch"],
) -> Int[Tensor, "batch pos"]:
    """The same prompts with the other one as the giver: IO's name stands at S2, too.

    Every other word stays. So the right answer is the other name now.
    """
    ### BEGIN SOLUTION
    rows, new = torch.arange(len(tokens)), tokens.clone()
    new[rows, s2_at] = tokens[rows, io_at]
    return new
    ### END SOLUTION


# %% [09.2] A difference, and how sure of it


def logit_difference(
    logits: Float[Tensor, "batch pos d_vocab"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    end: Int[Tensor, "batch"] | None = None,
) -> Float[Tensor, "batch"]:
    """logit[IO] − logit[S] of each prompt, at its END.

    end: where each prompt ends, for prompts of several lengths that were padded on the
    right. None: all end at the last position.
    """
    ### BEGIN SOLUTION
    rows = torch.arange(len(logits))
    at_end = logits[:, -1] if end is None else logits[rows, end]
    return at_end[rows, io] - at_end[rows, s]
    ### END SOLUTION


def mean_interval(values: Float[Tensor, "batch"]) -> tuple[float, float, float]:
    """(mean, lower end, upper end) of the 95 % interval of a mean over prompts.

    It reaches 1.96 standard errors to either side. The standard error is s / √n, where
    s² is the sum of the squared distances from the mean, divided by n − 1.
    """
    ### BEGIN SOLUTION
    mean = values.mean().item()
    error = values.std().item() / len(values) ** 0.5
    return mean, mean - 1.96 * error, mean + 1.96 * error
    ### END SOLUTION


# %% [09.3] Which layer, at which word?


def patch_words(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    at: Int[Tensor, "word batch"],
) -> Float[Tensor, "layer word"]:
    """What comes back of the answer, for each layer and each word.

    at[w, b] is where word w stands in prompt b: in another prompt the same word may
    stand elsewhere. For every layer and word, run the CORRUPTED prompts with the input
    of that block, ("resid_pre", LAYER), at that word alone, as it was in the clean run.
    With m the mean of the logit difference over all prompts, the result is

        (m_patched − m_corrupted) / (m_clean − m_corrupted)
    """
    ### BEGIN SOLUTION
    layers, rows = range(model.cfg.n_layers), torch.arange(len(clean))
    logits, cache = model.run_with_cache(clean, [("resid_pre", layer) for layer in layers])

    def m(logits: Tensor) -> Tensor:
        return logit_difference(logits, io, s).mean()

    def patched(layer: int, where: Tensor) -> Tensor:
        def put(x: Tensor, hook) -> None:
            x[rows, where] = cache["resid_pre", layer][rows, where]

        return m(model.run_with_hooks(corrupted, [(("resid_pre", layer), put)]))

    table = torch.stack([torch.stack([patched(layer, where) for where in at]) for layer in layers])
    m_clean, m_corrupted = m(logits), m(model(corrupted))
    return (table - m_corrupted) / (m_clean - m_corrupted)
    ### END SOLUTION


# %% [09.4] Who says the name?


def direct_effects(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
) -> Float[Tensor, "layer head"]:
    """What each head writes into logit[IO] − logit[S] at END, as a mean over prompts.

    A head writes z W_O. `final_norm_of_parts` (above) holds the norm, where there is
    one, at the scale of the whole stream, ("resid_post", n_layers − 1). Then comes the
    difference of two columns of W_U. Biases belong to no head.
    """
    ### BEGIN SOLUTION
    layers = range(model.cfg.n_layers)
    last = ("resid_post", -1)
    _, cache = model.run_with_cache(tokens, [*(("z", layer) for layer in layers), last])
    z = torch.stack([cache["z", layer][:, -1] for layer in layers])  # [layer batch head d_head]
    written = torch.einsum("lbhd,lhdm->lhbm", z, model.W_O)
    written = final_norm_of_parts(model, written, cache[last][:, -1])
    direction = (model.W_U[:, io] - model.W_U[:, s]).T  # [batch d_model]
    return (written * direction).sum(-1).mean(-1)
    ### END SOLUTION


# %% [09.5] The whole effect


def total_effects(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
) -> Float[Tensor, "layer head"]:
    """m_patched − m_clean for each head, as a mean over prompts.

    The clean prompts are run with the z of one head, at all positions, as it was in the
    corrupted run. All that comes after is computed anew. Below 0: the head helps.
    """
    ### BEGIN SOLUTION
    cfg = model.cfg
    _, cache = model.run_with_cache(corrupted, lambda name: name.endswith("hook_z"))
    m_clean = logit_difference(model(clean), io, s).mean()

    def patched(layer: int, head: int) -> Tensor:
        def put(z: Tensor, hook) -> None:
            z[:, :, head] = cache["z", layer][:, :, head]

        return logit_difference(model.run_with_hooks(clean, [(("z", layer), put)]), io, s).mean()

    table = [[patched(layer, head) for head in range(cfg.n_heads)] for layer in range(cfg.n_layers)]
    return torch.tensor(table) - m_clean
    ### END SOLUTION


# %% [09.6] One path alone


def path_to_logits(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    sender: tuple[int, int],
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of the clean prompts, if only the logits hear that one head speaks of
    the corrupted ones.

    Run the clean prompts. The z of every head, at all positions, is held at its clean
    value; only that of `sender`, (layer, head), is what it was in the corrupted run.
    MLPs and norms are computed anew: they are no heads.
    """
    ### BEGIN SOLUTION
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    z_sites = [("z", layer) for layer in layers]
    _, held = model.run_with_cache(clean, z_sites)
    _, other = model.run_with_cache(corrupted, ("z", its_layer))

    def hold(layer: int):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    return model.run_with_hooks(clean, [hold(layer) for layer in layers])
    ### END SOLUTION


# %% [09.7] From one head to another


def path_patch(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    sender: tuple[int, int],
    receivers: list[tuple[int, int]],
    inputs: list[str],
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits of the clean prompts, if only some inputs of some heads hear that one
    head speaks of the corrupted ones.

    inputs: "q", "k", "v", one or more: which inputs of the receivers, at all positions.

        A   run the corrupted prompts, and keep the z of the sender
        B   run the clean prompts, and keep the z of every head
        C   run the clean prompts with every z held as in B, and the sender's as in A.
            Keep what the receivers have there, ("q", LAYER) for "q"
        D   run the clean prompts with these inputs of the receivers as in C. All else is
            computed as it comes
    """
    ### BEGIN SOLUTION
    layers, (its_layer, its_head) = range(model.cfg.n_layers), sender
    _, other = model.run_with_cache(corrupted, ("z", its_layer))  # A
    _, held = model.run_with_cache(clean, [("z", layer) for layer in layers])  # B

    def hold(layer: int):
        value = held["z", layer].clone()
        if layer == its_layer:
            value[:, :, its_head] = other["z", layer][:, :, its_head]
        return ("z", layer), lambda z, hook: value

    def put(which: str, layer: int, head: int):
        def edit(x: Tensor, hook) -> None:
            x[:, :, head] = heard[which, layer][:, :, head]

        return (which, layer), edit

    with model.hooks([hold(layer) for layer in layers]):  # C
        _, heard = model.run_with_cache(clean, [(which, layer) for which in inputs for layer, _ in receivers])
    return model.run_with_hooks(clean, [put(which, *head) for which in inputs for head in receivers])  # D
    ### END SOLUTION


# %% [09.8] Who speaks to them?


def who_speaks_to(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    receivers: list[tuple[int, int]],
    inputs: list[str],
) -> Float[Tensor, "layer head"]:
    """What becomes of the answer if one head speaks to these inputs of other prompts:
    m_patched − m_clean for every head as the sender of `path_patch`, as a mean over
    prompts.
    """
    ### BEGIN SOLUTION
    cfg = model.cfg
    m_clean = logit_difference(model(clean), io, s).mean()

    def effect(sender: tuple[int, int]) -> Tensor:
        return logit_difference(path_patch(model, clean, corrupted, sender, receivers, inputs), io, s).mean() - m_clean

    table = [[effect((layer, head)) for head in range(cfg.n_heads)] for layer in range(cfg.n_layers)]
    return torch.tensor(table)
    ### END SOLUTION


def strongest(effects: Float[Tensor, "layer head"], share: float) -> list[tuple[int, int]]:
    """The heads, as (layer, head), whose effect has at least this share of the largest
    one, whatever its sign. The largest first."""
    ### BEGIN SOLUTION
    size = effects.abs()
    found = (size >= share * size.max()).nonzero().tolist()
    return sorted([(layer, head) for layer, head in found], key=lambda head: -size[head])
    ### END SOLUTION


# %% [09.9] Roles, by tests


def attention_to(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    query_at: Int[Tensor, "batch"],
    key_at: Int[Tensor, "batch"],
) -> Float[Tensor, "layer head"]:
    """How much each head looks from one word at another, as a mean over prompts.

    In prompt b the head looks from position query_at[b] at position key_at[b]. The site
    is ("pattern", LAYER), [batch head query key].
    """
    ### BEGIN SOLUTION
    layers, rows = range(model.cfg.n_layers), torch.arange(len(tokens))
    _, cache = model.run_with_cache(tokens, [("pattern", layer) for layer in layers])
    return torch.stack([cache["pattern", layer][rows, :, query_at, key_at].mean(0) for layer in layers])
    ### END SOLUTION


def copy_scores(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    name_at: Int[Tensor, "batch"],
    k: int,
    negative: bool = False,
) -> Float[Tensor, "layer head"]:
    """The share of prompts in which a head that looked at the name alone would say it.

    Take the stream at the name, position name_at[b], as it leaves block 0
    (("resid_post", 0)). Send it through the head as if all attention were there: its
    norm, model.pre_norm(LAYER, "attn"), which may be None; W_V and b_V; W_O. What the
    head writes then goes by itself through model.ln_final (which may be None) and
    model.unembed. The name counts as said if its logit is among the k largest.

    negative: the opposite of what the head writes, −1 times it, is what goes on: a head
    that writes AGAINST the name scores high.
    """
    ### BEGIN SOLUTION
    rows, cfg = torch.arange(len(tokens)), model.cfg
    _, cache = model.run_with_cache(tokens, ("resid_post", 0))
    stream, names = cache["resid_post", 0][rows, name_at], tokens[rows, name_at]

    def score(layer: int, head: int) -> Tensor:
        norm = model.pre_norm(layer, "attn")
        x = stream if norm is None else norm(stream)
        written = (x @ model.W_V[layer, head] + model.b_V[layer, head]) @ model.W_O[layer, head]
        written = -written if negative else written
        logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
        best = logits.topk(k).indices  # [batch k]
        return (best == names[:, None]).any(1).float().mean()

    return torch.tensor([[score(layer, head) for head in range(cfg.n_heads)] for layer in range(cfg.n_layers)])
    ### END SOLUTION


# %% [09.10] What to put in its place


def abc_means(
    model: HookedModel,
    corrupted: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
) -> Float[Tensor, "template layer pos head d_head"]:
    """The mean z of every head over ABC prompts: for each template and position apart.

    template[b] is the template of prompt b: 0, 1, …, and each occurs.
    """
    ### BEGIN SOLUTION
    layers = range(model.cfg.n_layers)
    _, cache = model.run_with_cache(corrupted, [("z", layer) for layer in layers])
    z = torch.stack([cache["z", layer] for layer in layers], 1)  # [batch layer pos head d_head]
    return torch.stack([z[template == t].mean(0) for t in range(int(template.max()) + 1)])
    ### END SOLUTION


def knock_out(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    heads: Heads,
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits with these heads knocked out: at every position, the z of each is the
    mean for the prompt's template. Without heads to knock out, the model as it is."""

    ### BEGIN SOLUTION
    def edit(layer: int):
        own = [head for its_layer, head in heads if its_layer == layer]

        def put(z: Tensor, hook) -> None:
            z[:, :, own] = means[template, layer][:, :, own]

        return ("z", layer), put

    return model.run_with_hooks(tokens, [edit(layer) for layer in {layer for layer, _ in heads}])
    ### END SOLUTION


# %% [09.11] Is the circuit enough?


def circuit_difference(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    circuit: Heads,
) -> float:
    """F(C): the mean logit difference if every head OUTSIDE the circuit is knocked out."""
    ### BEGIN SOLUTION
    cfg = model.cfg
    every = [(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]
    logits = knock_out(model, tokens, template, means, [head for head in every if head not in circuit])
    return logit_difference(logits, io, s).mean().item()
    ### END SOLUTION


def faithfulness(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    circuit: Heads,
) -> tuple[float, float]:
    """(|F(M) − F(C)|, F(C) / F(M)), where M is the whole model."""
    ### BEGIN SOLUTION
    whole = logit_difference(model(tokens), io, s).mean().item()
    alone = circuit_difference(model, tokens, template, means, io, s, circuit)
    return abs(whole - alone), alone / whole
    ### END SOLUTION


# %% [09.12] The backup, caught in the act


def after_silencing(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    silenced: Heads,
) -> Float[Tensor, "layer head"]:
    """How the direct effect of every head changes when some heads are knocked out: its
    direct effect in the run without them, minus that in the run with them.

    Both are `direct_effects`, the first in a model in which the z of each silenced head
    is the mean for the prompt's template, at every position.
    """

    ### BEGIN SOLUTION
    def edit(layer: int):
        own = [head for its_layer, head in silenced if its_layer == layer]

        def put(z: Tensor, hook) -> None:
            z[:, :, own] = means[template, layer][:, :, own]

        return ("z", layer), put

    before = direct_effects(model, tokens, io, s)
    with model.hooks([edit(layer) for layer in {layer for layer, _ in silenced}]):
        return direct_effects(model, tokens, io, s) - before
    ### END SOLUTION


# %% [09.13] Is it whole, and is it small?


def completeness(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    circuit: Heads,
    removed: list[Heads],
) -> Float[Tensor, "set 2"]:
    """For each set K of heads to remove: F(C∖K), the circuit without them, and F(M∖K),
    the whole model without them."""
    ### BEGIN SOLUTION
    cfg = model.cfg
    every = [(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]

    def without(heads: Heads, gone: Heads) -> float:
        return circuit_difference(model, tokens, template, means, io, s, [head for head in heads if head not in gone])

    return torch.tensor([[without(circuit, gone), without(every, gone)] for gone in removed])
    ### END SOLUTION


def minimality(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    circuit: Heads,
    removed: list[Heads],
) -> Float[Tensor, "member"]:
    """What each member v of the circuit is worth: |F(C∖(K ∪ {v})) − F(C∖K)| / F(M).

    removed[i] is the K of circuit[i]: members that are removed before it is asked for,
    because they would hide it. It may be empty.
    """
    ### BEGIN SOLUTION
    whole = logit_difference(model(tokens), io, s).mean().item()

    def without(gone: Heads) -> float:
        kept = [head for head in circuit if head not in gone]
        return circuit_difference(model, tokens, template, means, io, s, kept)

    worth = [without([*k, v]) - without(k) for v, k in zip(circuit, removed, strict=True)]
    return torch.tensor(worth).abs() / whole
    ### END SOLUTION


# %% [09.14] By machine


def acdc(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
    edges: list[str],
    tau: float,
) -> list[str]:
    """The edges that remain when every edge that matters less than tau has been dropped.

    edges: as "a0.h1->a1.h2.k", in the order of a forward pass. Go through them from the
    last to the first. A dropped edge carries what its sender wrote in the corrupted
    run: `patch_edges(model, clean, corrupted, [Edge.parse(text), ...])` gives the
    logits of the clean prompts with all these edges dropped. It wants one edge at
    least: with none dropped they are `model(clean)`. m is the mean of the logit
    difference.

    Drop an edge for good if m changes by less than tau, up or down, from what it was
    with the edges dropped so far. Return what remains, in the order of `edges`.
    """

    ### BEGIN SOLUTION
    def m(logits: Tensor) -> float:
        return logit_difference(logits, io, s).mean().item()

    dropped: list[Edge] = []
    now = m(model(clean))
    for edge in map(Edge.parse, reversed(edges)):
        new = m(patch_edges(model, clean, corrupted, [*dropped, edge]))
        if abs(new - now) < tau:
            dropped, now = [*dropped, edge], new
    return [text for text in edges if Edge.parse(text) not in dropped]
    ### END SOLUTION


def precision_recall(found: list[str], truth: list[str]) -> tuple[float, float]:
    """(The share of what was found that is true, the share of what is true that was
    found). The precision of nothing found is 1: it says nothing wrong. No name stands
    twice in a list, and `truth` is not empty."""
    ### BEGIN SOLUTION
    right = len(set(found) & set(truth))
    return (right / len(found) if found else 1.0), right / len(truth)
    ### END SOLUTION


# %% [09.15] The finding


def find_circuit(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    io: Int[Tensor, "batch"],
    s: Int[Tensor, "batch"],
) -> Heads:
    """A circuit, as heads (layer, head), that is faithful, complete and minimal.

    Heads outside are knocked out with the means over the ABC prompts `corrupted`. On
    OTHER prompts than these the circuit must keep 87 % to 113 % of F(M); for sets K of
    its members F(C∖K) must stay within 15 % of F(M) from F(M∖K); and each member must
    change F by 1 % of F(M) or more for some K. Which heads they are is up to you, but
    none is named twice.
    """
    ### BEGIN SOLUTION
    cfg = model.cfg
    every = [(layer, head) for layer in range(cfg.n_layers) for head in range(cfg.n_heads)]
    given = (model, tokens, template, abc_means(model, corrupted, template), io, s)

    def missed(head: tuple[int, int], among: Heads, gone: Heads) -> bool:
        """Whether F of these heads, some of them gone, changes if one more goes."""
        rest = [other for other in among if other not in gone]
        less = [other for other in rest if other != head]
        return abs(circuit_difference(*given, less) - circuit_difference(*given, rest)) >= small

    small = 0.03 * circuit_difference(*given, every)
    circuit = list(every)
    for head in reversed(every):  # from the end to the beginning: whom does nobody miss?
        if not missed(head, circuit, []):
            circuit.remove(head)
    speakers = strongest(direct_effects(model, tokens, io, s), 0.3)  # and who is missed once these are silent?
    return circuit + [head for head in every if head not in circuit and missed(head, every, speakers)]
    ### END SOLUTION


# %% [09.16] A sentence that can be refuted


def told_by(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    other: Int[Tensor, "batch pos"],
    heads: Heads,
    hold: bool = False,
) -> Float[Tensor, "batch d_vocab"]:
    """The logits at END of the prompts `tokens`, if some heads bring there what they
    bring in the prompts `other`.

    The z of these heads at the last position, and there alone, is that of the run on
    `other`. With `hold`, the z of all other heads, and of these at other positions, stays
    as it is in the run on `tokens`; without, it is computed as it comes. MLPs and norms
    are computed anew.
    """
    ### BEGIN SOLUTION
    z_sites = [("z", layer) for layer in range(model.cfg.n_layers)]
    _, now = model.run_with_cache(tokens, z_sites)
    _, then = model.run_with_cache(other, z_sites)

    def edit(z: Tensor, hook) -> Tensor:
        z = now[hook.name].clone() if hold else z
        own = [head for layer, head in heads if layer == hook.layer]
        z[:, -1, own] = then[hook.name][:, -1, own]
        return z

    return model.run_with_hooks(tokens, [(z_sites, edit)])[:, -1]
    ### END SOLUTION


def giver_rise(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    other: Int[Tensor, "batch pos"],
    s: Int[Tensor, "batch"],
    third: Int[Tensor, "batch"],
    heads: Heads,
    hold: bool = False,
) -> float:
    """By how much S rises when these heads say that somebody else gives.

    In `other` stands `third` where S stands in `tokens` as the giver. v is logit[S] −
    logit[third] at END, as a mean over prompts. The result is v of `told_by` minus v of
    the prompts `tokens` as they are: above 0 if these heads speak against the giver.
    """
    ### BEGIN SOLUTION
    rows = torch.arange(len(tokens))
    change = told_by(model, tokens, other, heads, hold) - model(tokens)[:, -1]
    return (change[rows, s] - change[rows, third]).mean().item()
    ### END SOLUTION


def giver_heads(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    other: Int[Tensor, "batch pos"],
    s: Int[Tensor, "batch"],
    third: Int[Tensor, "batch"],
    least: float,
) -> Heads:
    """The heads that speak against the giver themselves: each alone, with all others
    held, makes S rise by at least so many logits. In the order of layers and heads."""
    ### BEGIN SOLUTION
    every = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    return [head for head in every if giver_rise(model, tokens, other, s, third, [head], hold=True) >= least]
    ### END SOLUTION
