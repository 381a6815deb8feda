"""The checks of the trained IOI network: can it, with which heads, and by which algorithm?

Everything is judged on stories whose pairs of names training never saw. What had to be chosen before (the circuit, the
giver heads) was chosen on other stories, with pairs of training.

The algorithm, as the checks have it: **it adds both names and takes the giver's away.**

    giver heads   look from END at S2, as the heads of S-inhibition do in GPT-2, and the answer depends on them. They
                  are found by the scores of `circuits.head_roles`, and have no role there: they inhibit nobody's look

What else could be, and the check that would show it:

    it inhibits, as GPT-2 does: later looks depend on them       no_roles_of_gpt2, not_by_looks, by_what_is_written
    it finds out which name was said before                      suppresses_a_new_giver
    it goes by where S1 stands, not by who gives                 not_by_places
    it only brings the name that is not the giver's              adds_both_names, suppresses_what_is_read
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib import zoo
from mi_lib.attribution import patch_edges
from mi_lib.circuits import (
    Alone,
    IOIData,
    abc_means,
    all_heads,
    attention_scores,
    completeness,
    faithfulness,
    giving_data,
    head_roles,
    heads_alone,
    most_minimality,
    planted_data,
    powerset,
    run_without,
    smallest_circuit,
    worst_completeness,
)
from mi_lib.circuits.parts import layer_and_head
from mi_lib.models import HookedModel
from mi_lib.models.graph import LOGITS, Edge, all_edges, head_name
from mi_lib.recipes.checks import Check, Parts
from mi_lib.recipes.ioi.train import untrained
from mi_lib.statistics import interval
from mi_lib.worlds import giving, planted

Heads = tuple[str, ...]
MEANS, CHOOSE, JUDGE = (1080, 91_001), (90, 91_002), (216, 91_003)  # stories and seed; training draws from other seeds
LOOK = "END to S2"
HALF = 0.5  # of the heads may belong to the circuit
KEPT = 0.87  # of the difference: what the paper's circuit keeps (Wang et al. 2022, section 4.1)
RANDOM_SETS = 5


def held_out(templates: giving.Which = "train") -> IOIData:
    """The stories that everything is judged on."""
    n, seed = JUDGE
    return giving_data(n, seed, templates=templates)


def to_choose_on() -> IOIData:
    n, seed = CHOOSE
    return giving_data(n, seed, names="train")


def alone(model: HookedModel, data: IOIData) -> Alone[str]:
    """F, with means over stories that are neither chosen nor judged on."""
    n, seed = MEANS
    return heads_alone(model, data, abc_means(model, giving_data(n, seed, names="train")))


def find_circuit(model: HookedModel) -> Heads:
    """The smallest set of heads that keeps .9 of the difference and lacks at most .15 of it, whichever K is taken out.

    A little stricter than what is asked of it on the stories that it is judged on.
    """
    return tuple(sorted(smallest_circuit(alone(model, to_choose_on()), share=0.9, gap=0.15)))


def find_giver_heads(model: HookedModel) -> Heads:
    """Heads that look from END at S2, twice as much as random heads do, and on which the answer depends."""
    found = head_roles(model, to_choose_on())
    looks, by_chance, effect = found.scores[LOOK], found.controls[LOOK], found.scores["total effect"]
    chosen = (looks >= 0.3) & (looks >= 2 * by_chance) & (effect >= 0.02)
    return tuple(head_name(layer, head) for layer, head in chosen.nonzero().tolist())


# --- can it? ----------------------------------------------------------------------------------------------------------


def says(logits: Float[Tensor, "batch pos d_vocab"], names: Int[Tensor, " batch"]) -> Bool[Tensor, " batch"]:
    """Whether of all words this name comes first at END."""
    return logits[:, -1].argmax(-1) == names


def behaviour(model: HookedModel) -> list[Check]:
    """It says IO, in both orders; under ABC there is nothing to say."""
    known, new, blank = held_out(), held_out("held_out"), untrained()
    io_first = known.io < known.s1
    left_out = "pairs of names that training left out"
    checks = [
        _share("abba", f"IO comes first (ABBA), {left_out}", model, blank, known.rows(io_first)),
        _share("baba", f"S comes first (BABA), {left_out}", model, blank, known.rows(~io_first)),
        _share("templates", f"{left_out}, in templates that it left out too", model, blank, new, 0.95),
    ]
    with torch.no_grad():
        mine, theirs = (known.metric(net(known.clean)) for net in (model, blank))
        nobody = known.metric(model(known.corrupted["ABC"])) > 0
    whole = float((mine > 0).float().mean())
    away = lambda rows: abs(nobody[torch.as_tensor(rows)].float().mean().item() - 0.5)  # noqa: E731
    low, high = interval(away, len(nobody))
    return [
        *checks,
        _mean("difference", "mean of logit(IO) − logit(S)", mine, 3.0, theirs.mean().item(), "an untrained network"),
        Check(
            "chance_under_abc",
            "with three other names in the story, how far from .5 the share is in which IO is above S",
            away(range(len(nobody))),
            0.1,
            False,
            whole - 0.5,
            "the stories themselves",
            low,
            high,
        ),
    ]


def _share(name: str, claim: str, model: HookedModel, blank: HookedModel, data: IOIData, bound: float = 0.99) -> Check:
    with torch.no_grad():
        mine, theirs = (says(net(data.clean), data.io_tokens).float() for net in (model, blank))
    return _mean(
        name,
        f"share of stories in which it says IO: {claim}",
        mine,
        bound,
        theirs.mean().item(),
        "an untrained network",
    )


def _mean(name: str, claim: str, values: Float[Tensor, " n"], bound: float, control: float, control_is: str) -> Check:
    """A mean over stories that must reach a bound, with its interval."""
    low, high = interval(lambda rows: values[torch.as_tensor(rows)].mean().item(), len(values))
    return Check(name, claim, values.mean().item(), bound, True, control, control_is, low, high)


# --- with which heads? ------------------------------------------------------------------------------------------------


def circuit_checks(model: HookedModel, circuit: Heads) -> list[Check]:
    """Half of the heads do it alone, and lack little; each is needed."""
    F = alone(model, held_out())
    whole, heads = F(F.everything), all_heads(model.cfg)
    others = random_sets(model, circuit)
    worst = {C: worst_completeness(F, C, powerset(C))[1] / whole for C in (circuit, *others)}
    typical = {C: _mean_of(completeness(F, C, K) for K in powerset(C)) / whole for C in (circuit, *others)}
    least = {C: min(most_minimality(F, C, v, powerset(C))[1] for v in C) / whole for C in (circuit, *others)}
    alike = "random sets of as many heads in each layer, the mean"
    return [
        Check(
            "circuit_size",
            "share of the heads that belong to the circuit",
            len(circuit) / len(heads),
            HALF,
            False,
            _mean_of(in_random_order(F, KEPT, seed) for seed in range(RANDOM_SETS)) / len(heads),
            f"heads taken in random order, until they keep {KEPT} of the difference",
        ),
        Check(
            "faithfulness",
            "share of the difference that the circuit keeps alone, all other heads at their ABC means",
            faithfulness(F, circuit).share,
            KEPT,
            True,
            _mean_of(faithfulness(F, C).share for C in others),
            alike,
        ),
        Check(
            "completeness",
            "how far F(C∖K) lies from F(M∖K), as a share of F(M): the mean over every K in the circuit",
            typical[circuit],
            0.1,
            False,
            _mean_of(typical[C] for C in others),
            alike,
        ),
        Check(
            "worst_completeness",
            "the same for the worst K of all",
            worst[circuit],
            0.2,
            False,
            _mean_of(worst[C] for C in others),
            alike,
        ),
        Check(
            "minimality",
            "what the least member of the circuit adds for the K where it adds most, as a share of F(M)",
            least[circuit],
            0.05,
            True,
            _mean_of(least[C] for C in others),
            alike,
        ),
    ]


def says_alone(model: HookedModel, circuit: Heads) -> float:
    """Share of stories in which of all words the circuit alone says IO.

    The difference asks for less: it does not see who lifts both names above all other words.
    """
    (n, seed), data = MEANS, held_out()
    means = abc_means(model, giving_data(n, seed, names="train"))
    others = [head for head in all_heads(model.cfg) if head not in circuit]
    return says(run_without(model, data, others, means), data.io_tokens).float().mean().item()


def random_sets(model: HookedModel, circuit: Heads) -> list[Heads]:
    """Other sets of heads, as many in each layer as the circuit has."""
    rng = random.Random(0)
    found: list[Heads] = []
    by_layer: dict[int, list[str]] = {}
    for head in all_heads(model.cfg):
        by_layer.setdefault(layer_of(model, head), []).append(head)
    while len(found) < RANDOM_SETS:
        drawn = [rng.sample(of, sum(head in circuit for head in of)) for of in by_layer.values()]
        heads = tuple(sorted(head for layer in drawn for head in layer))
        if heads not in (circuit, *found):
            found.append(heads)
    return found


def in_random_order(F: Alone[str], share: float, seed: int) -> int:
    """How many heads it takes, the first of a shuffled list, until they keep so much."""
    heads = sorted(F.everything)
    random.Random(seed).shuffle(heads)
    return next(n for n in range(1, len(heads) + 1) if faithfulness(F, heads[:n]).share >= share)


def _mean_of(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


# --- by which algorithm? ----------------------------------------------------------------------------------------------


def algorithm(model: HookedModel, givers: Heads) -> list[Check]:
    """It adds both names, and takes the giver's away."""
    return [*look_checks(model, givers), *exchange_checks(model, givers), *name_checks(model, givers)]


def look_checks(model: HookedModel, givers: Heads) -> list[Check]:
    """Where the giver heads look, and whether anybody does what heads of GPT-2 do."""
    data, circuit = held_out(), planted.circuit("ioi")
    looks, turned = (attention_scores(model, data, turned=seed)[LOOK] for seed in (None, 0))
    best = max((layer_and_head(head, model.cfg) for head in givers), key=lambda at: looks[at])
    return [
        Check(
            "looks_at_the_giver",
            "attention of the best giver head, from END to S2",
            looks[best].item(),
            0.8,
            True,
            turned[best].item(),
            "the same head, its queries turned at random",
        ),
        Check(
            "no_roles_of_gpt2",
            "heads that do what S-inhibition heads or name movers do, by the tests of the library",
            heads_with_roles(model, data),
            0,
            False,
            heads_with_roles(circuit.model, planted_data(circuit, 60, JUDGE[1])),
            "the planted IOI circuit",
        ),
    ]


def heads_with_roles(model: HookedModel, data: IOIData) -> int:
    """How many heads inhibit S, or move names, as in GPT-2 (Wang et al. 2022, sections 3.1 and 3.2)."""
    roles = head_roles(model, data).roles
    return len({*roles["s-inhibition"], *roles["name mover"]})


def lost(model: HookedModel, data: IOIData, way: str, edges: Iterable[Edge]) -> Float[Tensor, " batch"]:
    """What is lost of the answer when these edges carry the corrupted prompt, in the mean as a share of all.

    (m − m_patched) / mean(m − m_corrupted), for each story.
    """
    edges = list(edges)
    if not edges:  # heads of the last layer speak to no look
        return torch.zeros(len(data))
    with torch.no_grad():
        clean, corrupted = (data.metric(model(tokens)) for tokens in (data.clean, data.corrupted[way]))
    return (clean - data.metric(patch_edges(model, data.clean, data.corrupted[way], edges))) / (
        clean - corrupted
    ).mean()


def layer_of(model: HookedModel, head: str) -> int:
    return layer_and_head(head, model.cfg)[0]


def edges_from(model: HookedModel, heads: Iterable[str], ends: tuple[str, ...]) -> list[Edge]:
    """All that these heads say to readers of this kind: ".q", ".k", ".v", or "logits"."""
    return [edge for edge in all_edges(model.cfg) if edge.sender in set(heads) and edge.receiver.endswith(ends)]


def exchange_checks(model: HookedModel, givers: Heads) -> list[Check]:
    """What the giver heads say where IO gives ("S2" of `circuits.data`: now S is to be said), put into the story."""
    data, layers = held_out(), {layer_of(model, head) for head in givers}
    others = [head for head in all_heads(model.cfg) if layer_of(model, head) in layers and head not in givers]
    every, looks, written = (".q", ".k", ".v", LOGITS), (".q", ".k"), (".v", LOGITS)
    circuit = planted.circuit("ioi")
    theirs, inhibitors = planted_data(circuit, 60, JUDGE[1]), planted.ioi.CLASSES["s-inhibition"]
    planted_is = "the heads of S-inhibition of the planted IOI circuit"

    def flips(heads: Iterable[str]) -> Tensor:
        edges = edges_from(model, heads, every)
        return says(patch_edges(model, data.clean, data.corrupted["S2"], edges), data.s_tokens).float()

    def share(ends: tuple[str, ...], way: str = "S2") -> tuple[Tensor, float]:
        mine = lost(model, data, way, edges_from(model, givers, ends))
        return mine, lost(circuit.model, theirs, way, edges_from(circuit.model, inhibitors, ends)).mean().item()

    turned = flips(givers)
    by_looks, planted_looks = share(looks)
    by_writing, planted_writing = share(written)
    places = data.metric(patch_edges(model, data.clean, data.corrupted["places"], edges_from(model, givers, every)))
    with torch.no_grad():
        start = data.metric(model(data.clean)).mean()
        theirs_start = theirs.metric(circuit.model(theirs.clean)).mean()
    planted_places = theirs.metric(
        patch_edges(
            circuit.model, theirs.clean, theirs.corrupted["places"], edges_from(circuit.model, inhibitors, every)
        )
    )
    return [
        _mean(
            "giver_heads_decide",
            "share of stories in which S is said, once the giver heads say what they say where IO gives",
            turned,
            0.95,
            flips(others).mean().item(),
            "all other heads of the same layers at once",
        ),
        _at_most(
            "not_by_looks",
            "share of that exchange which goes by the queries and keys of later heads",
            by_looks,
            0.1,
            planted_looks,
            planted_is,
        ),
        _mean(
            "by_what_is_written",
            "share of it which goes straight to the logits, or by the values of later heads",
            by_writing,
            0.75,
            planted_writing,
            planted_is,
        ),
        _at_most(
            "not_by_places",
            "share of the difference that is lost, once the giver heads say what they say where IO and S1 have "
            "changed places",
            (start - places) / start,
            0.1,
            float((theirs_start - planted_places.mean()) / theirs_start),
            planted_is,
        ),
    ]


def _at_most(name: str, claim: str, values: Tensor, bound: float, control: float, control_is: str) -> Check:
    check = _mean(name, claim, values, bound, control, control_is)
    return replace(check, at_least=False)


def routes(model: HookedModel, givers: Heads) -> dict[str, float]:
    """By which way the exchange of `exchange_checks` goes, as shares of what is lost if S2 is exchanged outright.

    What the giver heads read at S2 (the name itself, or what layer 0 has noted there), and who reads them.
    """
    data, first = held_out(), [head for head in all_heads(model.cfg) if layer_of(model, head) == 0]

    def share(edges: Iterable[Edge]) -> float:
        return lost(model, data, "S2", edges).mean().item()

    later = {f"{head}.v" for head in givers if layer_of(model, head) > 0}
    return {
        "read: the name itself": share(Edge("embed", f"{head}.v") for head in givers),
        "read: notes of layer 0": share(Edge(note, value) for note in first for value in later),
        "written: all": share(edges_from(model, givers, (".q", ".k", ".v", LOGITS))),
        "written: to the logits": share(edges_from(model, givers, (LOGITS,))),
        "written: to later values": share(edges_from(model, givers, (".v",))),
        "written: to later looks": share(edges_from(model, givers, (".q", ".k"))),
    }


def name_checks(model: HookedModel, givers: Heads) -> list[Check]:
    """What becomes of each name."""
    data = held_out()
    layers = {layer_of(model, head) for head in givers}
    others = [head for head in all_heads(model.cfg) if layer_of(model, head) in layers and head not in givers]
    nobody = replace(data, clean=data.corrupted["ABC"])  # here three different names are said, and the last one gives
    a, b, c = (_at(nobody.clean, place) for place in (data.io, data.s1, data.s2))
    n, seed = MEANS
    with torch.no_grad():
        mine, blank = (net(nobody.clean)[:, -1] for net in (model, untrained()))
        silent = run_without(model, nobody, givers, abc_means(model, giving_data(n, seed, names="train")))[:, -1]

    def above(logits: Float[Tensor, "batch d_vocab"], name: Int[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """A logit above the mean of the names that are not in the story."""
        return _at(logits, name) - absent_mean(logits, nobody.clean)

    third = c  # a name that does not occur in the story
    exchanged = data.clean.scatter(1, data.s2[:, None], third[:, None])
    with torch.no_grad():
        before = model(data.clean)[:, -1]

    def falls(heads: Iterable[str]) -> Float[Tensor, " batch"]:
        edges = [Edge("embed", f"{head}.v") for head in heads]
        after = patch_edges(model, data.clean, exchanged, edges)[:, -1]
        drop = lambda name: _at(before, name) - _at(after, name)  # noqa: E731
        return drop(third) - drop(data.s_tokens)

    both = torch.minimum(above(mine, a), above(mine, b))
    return [
        _mean(
            "adds_both_names",
            "three different names (ABC): how far the lower one of the first two lies above names that do not occur",
            both,
            1.0,
            torch.minimum(above(blank, a), above(blank, b)).mean().item(),
            "an untrained network",
        ),
        _mean(
            "suppresses_a_new_giver",
            "ABC: how far the giver, who was not named before, lies below names that do not occur",
            -above(mine, c),
            1.0,
            -above(silent, c).mean().item(),
            "without the giver heads (ABC means)",
        ),
        _mean(
            "suppresses_what_is_read",
            "another name for the giver's in the values of the giver heads alone: how far that one falls and S rises",
            falls(givers),
            2.0,
            falls(others).mean().item(),
            "the same in the values of all other heads of the same layers",
        ),
    ]


def absent_mean(logits: Float[Tensor, "batch d_vocab"], tokens: Int[Tensor, "batch pos"]) -> Float[Tensor, " batch"]:
    """The mean logit of the names that do not occur in each story."""
    names = torch.tensor(giving.NAME_TOKENS)
    absent = (tokens[:, :, None] != names).all(1)
    return (logits[:, names] * absent).sum(1) / absent.sum(1)


def _at(values: Tensor, column: Int[Tensor, " batch"]) -> Tensor:
    return values.gather(1, column[:, None])[:, 0]


def parts(name: str) -> Parts:
    """The checks of the trained IOI network. Circuit and giver heads are those of its card."""
    claimed: Callable[[], dict] = lambda: zoo.card(name)["circuit"]  # noqa: E731
    return {
        "behaviour": behaviour,
        "circuit": lambda model: circuit_checks(model, tuple(claimed()["heads"])),
        "algorithm": lambda model: algorithm(model, tuple(claimed()["giver_heads"])),
    }
