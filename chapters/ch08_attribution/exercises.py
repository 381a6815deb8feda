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
    raise NotImplementedError("Exercise 08.1 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.1 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.2 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.2 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.3 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.4 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.5 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.6 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.7 is waiting for your answer.")


# %% [08.8] What one part says to one other


def writes(model: HookedModel, cache: ActivationCache, sender: str) -> Float[Tensor, "batch pos d_model"]:
    """What one part writes to the residual stream, in the run that the cache is of.

    `cache` holds all sites of a run: `_, cache = model.run_with_cache(tokens)`.
    "embed" and "pos_embed" are sites of this name, the MLP "m1" writes what is at
    ("mlp_out", 1), and head "a1.h2" its z, at ("z", 1), times its own matrix
    model.W_O[1, 2].
    """
    raise NotImplementedError("Exercise 08.8 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.8 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.9 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.9 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.10 is waiting for your answer.")


# %% [08.11] Judging a method


def strength(scores: Float[Tensor, "edge batch"]) -> Float[Tensor, "edge"]:
    """How much each edge is held to matter: the absolute value, in the mean over pairs."""
    raise NotImplementedError("Exercise 08.11 is waiting for your answer.")


def auroc(strengths: Float[Tensor, "edge"], truth: Bool[Tensor, "edge"]) -> float:
    """The chance that an edge of the circuit is held to be stronger than one that is not
    in it. Each pair of an edge on it (truth = True) and one off it counts 1 if the one
    on it is stronger, ½ if they tie, 0 otherwise. The result is the mean over all pairs.
    """
    raise NotImplementedError("Exercise 08.11 is waiting for your answer.")


def average_precision(strengths: Float[Tensor, "edge"], truth: Bool[Tensor, "edge"]) -> float:
    """For each edge of the circuit: of all edges that are at least as strong as it (it
    is one of them), which share belongs to the circuit? The mean over these edges.
    """
    raise NotImplementedError("Exercise 08.11 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.12 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.12 is waiting for your answer.")


# %% [08.13] Another network, the same answer?


def rank_correlation(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> float:
    """Spearman's ρ: the correlation of the ranks. Equal numbers share the mean of their
    ranks. Neither a nor b is constant.
    """
    raise NotImplementedError("Exercise 08.13 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.13 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.14 is waiting for your answer.")


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
    raise NotImplementedError("Exercise 08.14 is waiting for your answer.")
