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
    raise NotImplementedError("Exercise 09.1 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.1 is waiting for your answer.")


def flipped_prompts(
    tokens: Int[Tensor, "batch pos"],
    io_at: Int[Tensor, "batch"],
    s2_at: Int[Tensor, "batch"],
) -> Int[Tensor, "batch pos"]:
    """The same prompts with the other one as the giver: IO's name stands at S2, too.

    Every other word stays. So the right answer is the other name now.
    """
    raise NotImplementedError("Exercise 09.1 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.2 is waiting for your answer.")


def mean_interval(values: Float[Tensor, "batch"]) -> tuple[float, float, float]:
    """(mean, lower end, upper end) of the 95 % interval of a mean over prompts.

    It reaches 1.96 standard errors to either side. The standard error is s / √n, where
    s² is the sum of the squared distances from the mean, divided by n − 1.
    """
    raise NotImplementedError("Exercise 09.2 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.3 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.4 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.5 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.6 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.7 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.8 is waiting for your answer.")


def strongest(effects: Float[Tensor, "layer head"], share: float) -> list[tuple[int, int]]:
    """The heads, as (layer, head), whose effect has at least this share of the largest
    one, whatever its sign. The largest first."""
    raise NotImplementedError("Exercise 09.8 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.9 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.9 is waiting for your answer.")


# %% [09.10] What to put in its place


def abc_means(
    model: HookedModel,
    corrupted: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
) -> Float[Tensor, "template layer pos head d_head"]:
    """The mean z of every head over ABC prompts: for each template and position apart.

    template[b] is the template of prompt b: 0, 1, …, and each occurs.
    """
    raise NotImplementedError("Exercise 09.10 is waiting for your answer.")


def knock_out(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    template: Int[Tensor, "batch"],
    means: Float[Tensor, "template layer pos head d_head"],
    heads: Heads,
) -> Float[Tensor, "batch pos d_vocab"]:
    """The logits with these heads knocked out: at every position, the z of each is the
    mean for the prompt's template. Without heads to knock out, the model as it is."""

    raise NotImplementedError("Exercise 09.10 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.11 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.11 is waiting for your answer.")


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

    raise NotImplementedError("Exercise 09.12 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.13 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.13 is waiting for your answer.")


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

    raise NotImplementedError("Exercise 09.14 is waiting for your answer.")


def precision_recall(found: list[str], truth: list[str]) -> tuple[float, float]:
    """(The share of what was found that is true, the share of what is true that was
    found). The precision of nothing found is 1: it says nothing wrong. No name stands
    twice in a list, and `truth` is not empty."""
    raise NotImplementedError("Exercise 09.14 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.15 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.16 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.16 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 09.16 is waiting for your answer.")
