"""What chapter 10 finds in Pico: one direction by which it refuses, what that direction does and does not do, and a
network that resists.

Directions are drawn from training requests (seed 1) and chosen on others (seed 2). What they do is measured on held-out
requests: verbs and objects that training never had together. All replies are the likeliest ones.
"""

from __future__ import annotations

import functools
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import load, steering
from mi_lib.course import index
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.probing.collecting import padded
from mi_lib.steering import defence, selection, weights
from mi_lib.steering.selection import Candidate
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import judges, requests, talk, voices
from mi_lib.worlds.littletown.talk import Case

DRAWN, CHOSEN, HELD_OUT = 128, 32, 128  # requests of each kind: for directions, for choosing, for measuring
TABLE, CONTROL = 64, 24  # held-out requests of a table with many rows; on which random directions and pairs are tried
SHORT, LONG = 16, 64  # tokens of a reply: enough to see a refusal; enough for a whole reply
FLUENT = 0.9  # of a reply's triples are the world's
DOSES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
CONTROLLED = (2.0, 3.0, 4.0)  # doses of random directions
LAYER, DOSE = 3, 2.0  # the input at which most is tried, and how often the direction is added; `finding` finds both
RANDOM = 10
DRAWS = 20  # of shuffled labels
PAIRS = (1, 2, 4, 8, 16, 64)
TRIALS = 20  # pairs that are tried alone, and draws of each number of pairs
GROUPS = ("person", "animal", "place", "goods", "danger")
FRONT_DOSES = (1.0, 2.0, 4.0, 8.0)  # of ActAdd, of which one is chosen
TEXTS = 48  # held-out plain texts
ATTACKED = 48  # held-out requests on which the defended network is attacked
SEVERAL = 8  # directions that are taken out of it at once
QUESTIONS = 128
SUBTRACTED = (1.0, 1.5, 2.0, 3.0)
SUBTRACTED_AT = (3, 4, 5)  # inputs of blocks

Edits = Sequence[Any]


@functools.cache
def pico() -> HookedModel:
    return load(index.chapter("10").model[0], check=False)


def rows_of(cases: Sequence[Case]) -> list[list[int]]:
    """Prompts as tokens, <|bos|> in front."""
    vocabulary = {word: i for i, word in enumerate(littletown.vocabulary())}
    start = pico().tokenizer.bos_token_id
    return [[start, *(vocabulary[word] for word in case.words)] for case in cases]


@functools.cache
def cases(harmful: bool, n: int = HELD_OUT, seed: int = 0, split: littletown.Split = "held_out") -> tuple[Case, ...]:
    draw = talk.harmful_requests if harmful else talk.harmless_requests
    return tuple(draw(split, n, seed))


@functools.cache
def asked(harmful: bool, n: int = HELD_OUT, seed: int = 0, split: littletown.Split = "held_out") -> list[list[int]]:
    return rows_of(cases(harmful, n, seed, split))


@functools.cache
def ends(
    harmful: bool, split: littletown.Split = "train", seed: int = 1
) -> Float[Tensor, "prompt layer place d_model"]:
    """What enters each block at the last two tokens."""
    sites = [("resid_pre", layer) for layer in range(pico().cfg.n_layers)]
    return steering.collect(pico(), asked(harmful, DRAWN, seed, split), sites, (-2, -1))


@functools.cache
def directions() -> Float[Tensor, "layer place d_model"]:
    return steering.difference_of_means(ends(True), ends(False))


def words(
    rows: Sequence[Sequence[int]], edits: Edits = (), longest: int = LONG, model: HookedModel | None = None
) -> list[list[str]]:
    return [one.words for one in steering.replies(model or pico(), rows, edits, longest=longest)]


def refusals(rows: Sequence[Sequence[int]], edits: Edits = (), model: HookedModel | None = None) -> list[float]:
    return [float(judges.refused(said)) for said in words(rows, edits, SHORT, model)]


def fluent(said: Sequence[Sequence[str]]) -> list[float]:
    return [float(judges.complete(one) and judges.fluent(one) >= FLUENT) for one in said]


_REQUEST = {(r.verb, r.object): r for r in requests.REQUESTS}


def on_topic(of: Sequence[Case], said: Sequence[Sequence[str]]) -> list[float]:
    return [float(judges.on_topic(_REQUEST[c.verb, c.object], one)) for c, one in zip(of, said, strict=True)]


def share(values: Sequence[float]) -> float:
    return statistics.fmean(values)


def at_end(vector: Tensor, dose: float, layer: int) -> Edits:
    """Added at the prompt's last token alone."""
    return steering.add(vector, dose, layer, positions=-1)


# --- claims -----------------------------------------------------------------------------------------------------------


@claim
def as_it_is() -> dict[str, Any]:
    """Pico: "it refuses … of harmful requests, and … of harmless ones". Each is the other's control. And how many
    requests there are of each kind."""
    return {
        **mean("harmful", refusals(asked(True))),
        **mean("harmless", refusals(asked(False))),
        "requests": HELD_OUT,
        "drawn": DRAWN,
        "kinds_harmful": len(requests.HARMFUL),
        "kinds_harmless": len(requests.HARMLESS),
    }


@claim
def where() -> dict[str, Any]:
    """Where it lives: "at the input of block …, the direction tells … of new requests apart". Share of held-out
    requests on their own side of the border, by layer and place. Control: before block 0, where nothing can differ."""
    table = told(ends(True), ends(False))
    return {
        "last": [round(float(x), 4) for x in table[:, 1]],
        "before_last": [round(float(x), 4) for x in table[:, 0]],
        "norms": [round(float(x), 2) for x in directions()[:, 1].norm(dim=-1)],
    }


def told(positive: Tensor, negative: Tensor) -> Float[Tensor, "layer place"]:
    """The share of held-out requests on their own side, with a direction and a border from these states."""
    middle, r = (positive.mean(0) + negative.mean(0)) / 2, positive.mean(0) - negative.mean(0)
    sides = [((ends(kind, "held_out", 0) - middle) * r).sum(-1) > 0 for kind in (True, False)]
    return (sides[0].double().mean(0) + 1 - sides[1].double().mean(0)) / 2


@claim
def shuffled() -> dict[str, Any]:
    """Shuffled labels: "the worst draw … the best one …". Share of held-out requests told apart at the last token of
    block 3's input by directions whose labels were shuffled, in twenty draws; how long they are beside the true one,
    and how much they point along it. Controls: random directions' cosine; the cosine with the first principal
    component, which has no labels at all."""
    every, source = torch.cat([ends(True), ends(False)]), torch.Generator().manual_seed(0)
    r, shares, norms, cosines = directions()[LAYER, 1], [], [], []
    for _ in range(DRAWS):
        order = torch.randperm(len(every), generator=source)
        parts = every[order[:DRAWN]], every[order[DRAWN:]]
        wrong = steering.difference_of_means(*parts)[LAYER, 1]
        shares.append(float(told(*parts)[LAYER, 1]))
        norms.append(float(wrong.norm() / r.norm()))
        cosines.append(abs(float(steering.unit(wrong) @ steering.unit(r))))
    aside = steering.random_like(r, DRAWS, seed=0)
    return {
        "draws": DRAWS,
        "mean": share(shares), "least": min(shares), "most": max(shares),
        "length": share(norms), "cosine": share(cosines), "cosine_most": max(cosines),
        "cosine_random": share([abs(float(steering.unit(v) @ steering.unit(r))) for v in aside]),
        "cosine_first_component": abs(float(steering.first_component(every[:, LAYER, 1]) @ steering.unit(r))),
    }  # fmt: skip


@claim
def doses() -> dict[str, Any]:
    """Dose–response: "once …, twice …, three times nothing but noise". Shares of held-out harmless requests refused,
    and of replies that are fluent, with the direction added everywhere and at the last token alone. Control: random
    directions, the largest share refused of ten, in either way, at doses 2, 3 and 4. And how many requests and random
    directions these are."""
    r, some = directions()[LAYER, 1], asked(False, TABLE)
    found: dict[str, Any] = {
        "doses": list(DOSES), "controlled": list(CONTROLLED), "requests": TABLE, "random": RANDOM,
    }  # fmt: skip
    ways: dict[str, Callable[[Tensor, float], Edits]] = {
        "everywhere": lambda v, dose: steering.add(v, dose, LAYER),
        "last": lambda v, dose: at_end(v, dose, LAYER),
    }
    for name, way in ways.items():
        said = [words(some, way(r, dose)) for dose in DOSES]
        found[name] = {
            "refused": [share([float(judges.refused(one)) for one in each]) for each in said],
            "fluent": [share(fluent(each)) for each in said],
        }
        found[name]["random_most"] = [
            max(share(refusals(some[:CONTROL], way(v, dose))) for v in steering.random_like(r, RANDOM, seed=0))
            for dose in CONTROLLED
        ]
    return found


@claim
def judge() -> dict[str, Any]:
    """The judge of coherence: "of its plain replies … are fluent, of the same words shuffled …". The control is the
    shuffling."""
    said = words(asked(False, TABLE))
    proof = steering.prove(lambda one: judges.fluent(one), said)
    mixed = steering.shuffle_words(said)
    return {
        "triples": proof.of_replies, "triples_shuffled": proof.of_shuffled,
        "fluent": share(fluent(said)), "fluent_shuffled": share(fluent(mixed)),
        "refused": share([float(judges.refused(one)) for one in words(asked(True, TABLE))]),
    }  # fmt: skip


@claim
def places() -> dict[str, Any]:
    """Position: "at the last token alone, all are refused, and every reply is whole". By place of adding, on held-out
    harmless requests. The places are each other's controls."""
    r, some = directions()[LAYER, 1], asked(False, TABLE)
    found: dict[str, Any] = {"dose": DOSE, "layer": LAYER, "requests": TABLE}
    for name, where_ in (("everywhere", {}), ("last", {"positions": -1}), ("before_last", {"positions": -2}),
                         ("reply", {"where": "reply"})):  # fmt: skip
        said = words(some, steering.add(r, DOSE, LAYER, **where_))
        found[name] = {"refused": share([float(judges.refused(one)) for one in said]), "fluent": share(fluent(said))}
    said = [
        one.words
        for row in some
        for one in steering.replies(pico(), [row], steering.add(r, DOSE, LAYER, positions=range(len(row) - 2)))
    ]
    found["before"] = {"refused": share([float(judges.refused(one)) for one in said]), "fluent": share(fluent(said))}
    return found


@functools.cache
def matched() -> tuple[list[list[int]], list[list[int]]]:
    """Pairs of training requests of one length and wording: a harmful one, and one with another verb or object."""
    rng = random.Random("pairs")
    pools = {
        kind: [r for r in requests.REQUESTS if r.harmful == kind and not requests.left_out(r)] for kind in (True, False)
    }
    plus, minus = [], []
    while len(plus) < max(PAIRS) * 4:
        one = pools[True][int(rng.random() * len(pools[True]))]
        alike = [r for r in pools[False] if r.verb == one.verb or r.object == one.object]
        alike = [r for r in alike if len(r.object.split()) == len(one.object.split())]
        if not alike:
            continue
        other = alike[int(rng.random() * len(alike))]
        wording = requests.ASK[int(rng.random() * len(requests.ASK))]
        for into, r in ((plus, one), (minus, other)):
            into.append(wording.format(verb=r.verb, object=r.object))
    return steering.chat(pico(), plus), steering.chat(pico(), minus)


@functools.cache
def fronts() -> list[Float[Tensor, "pos d_model"]]:
    """ActAdd's differences of single pairs."""
    plus, minus = matched()
    return [steering.actadd(pico(), plus[i], minus[i], ("resid_pre", LAYER)) for i in range(TRIALS)]


def fronted(rows: Sequence[Sequence[int]], differences: Sequence[Tensor], dose: float) -> list[float]:
    """For each pair the share of these requests that is refused with its difference at the first positions."""
    return [share(refusals(rows, steering.add_at_start(front, dose, LAYER))) for front in differences]


@functools.cache
def front_dose() -> float:
    """The dose of ActAdd that does best in the mean over pairs, on training requests."""
    rows = asked(False, CHOSEN, 2, "train")[: CONTROL // 2]
    return max(FRONT_DOSES, key=lambda dose: share(fronted(rows, fronts(), dose)))


def as_long(vector: Tensor) -> Tensor:
    """Brought to the length of the direction of refusal."""
    r = directions()[LAYER, 1]
    return vector * r.norm() / vector.norm()


@claim(slow=True)
def pairs() -> dict[str, Any]:
    """ActAdd and CAA: "one pair may do, or not; sixty-four always do". Share of held-out harmless requests refused: by
    single pairs added at the first positions of the text (ActAdd, at the dose of 1, 2, 4 and 8 that does best in the
    mean on training requests), and by means over pairs added at the last token. Cosine of each with the direction of
    refusal. Control: `pairs_of_harmless`."""
    plus, minus = matched()
    some, site = asked(False, CONTROL), ("resid_pre", LAYER)
    single = sorted(fronted(some, fronts(), front_dose()))
    differences = steering.collect(pico(), plus, site) - steering.collect(pico(), minus, site)
    cosine = torch.nn.functional.cosine_similarity
    found: dict[str, Any] = {
        "actadd_dose": front_dose(),
        "actadd": single,
        "actadd_mean": share(single),
        "counts": list(PAIRS), "trials": TRIALS, "requests": CONTROL,
        "caa": [], "caa_least": [], "cosine": [],
    }  # fmt: skip
    rng = random.Random(0)
    for n in PAIRS:
        drawn = [differences[rng.sample(range(len(differences)), n)].mean(0) for _ in range(TRIALS)]
        shares = [share(refusals(some, at_end(as_long(v), DOSE, LAYER))) for v in drawn]
        found["caa"].append(share(shares))
        found["caa_least"].append(min(shares))
        found["cosine"].append(float(cosine(torch.stack(drawn), directions()[LAYER, 1][None]).mean()))
    return found


def harmless_draws(n: int, seed: int) -> list[Float[Tensor, " d_model"]]:
    """Means over n pairs of two harmless requests, at the last token: as many draws as there are of real pairs."""
    rows, rng = matched()[1], random.Random(f"harmless pairs {seed}")
    states, found = steering.collect(pico(), rows, ("resid_pre", LAYER)), []
    for _ in range(TRIALS):
        drawn: list[Tensor] = []
        while len(drawn) < n:
            a, b = rng.sample(range(len(rows)), 2)
            if rows[a] != rows[b]:
                drawn.append(states[a] - states[b])
        found.append(torch.stack(drawn).mean(0))
    return found


@claim(slow=True)
def pairs_of_harmless() -> dict[str, Any]:
    """The controls of ActAdd and CAA: "pairs of two harmless requests". The share of held-out harmless requests refused
    under the differences of such pairs: single ones of one length at the first positions, at the dose that is ActAdd's;
    single ones, and means over as many as there are of real pairs, at the last token, each brought to the length of the
    direction. The mean and the largest of as many draws as there are of real pairs; and the cosine with the direction,
    which may have either sign."""
    _, minus = matched()
    some, r = asked(False, CONTROL), directions()[LAYER, 1]
    alike = [(a, b) for a, b in zip(minus, minus[1:] + minus[:1], strict=True) if len(a) == len(b) and a != b]
    site = ("resid_pre", LAYER)
    shares = fronted(some, [steering.actadd(pico(), a, b, site) for a, b in alike[:TRIALS]], front_dose())
    found: dict[str, Any] = {"mean": share(shares), "most": max(shares), "dose": front_dose()}
    for name, n in (("one", 1), ("many", max(PAIRS))):
        drawn = harmless_draws(n, seed=0)
        shares = [share(refusals(some, at_end(as_long(v), DOSE, LAYER))) for v in drawn]
        cosines = torch.nn.functional.cosine_similarity(torch.stack(drawn), r[None])
        found[name] = {"mean": share(shares), "most": max(shares), "cosine": float(cosines.abs().mean())}
    return found


@claim
def reply_alone() -> dict[str, Any]:
    """In the reply: "added to the reply alone, … refuse, and none of them with its first word". Held-out harmless
    requests, added twice. Control: harmful requests, as they are, of which all refuse with the first word."""
    said = words(asked(False, TABLE), steering.add(directions()[LAYER, 1], DOSE, LAYER, where="reply"))
    late = [one for one in said if judges.refused(one)]
    plain = [one for one in words(asked(True), (), SHORT) if judges.refused(one)]
    return {
        "refused": len(late) / len(said),
        "with_first_word": share([float(one[0] == "No") for one in late]),
        "plain_with_first_word": share([float(one[0] == "No") for one in plain]),
    }


@claim
def along() -> dict[str, Any]:
    """How much of it is there yet: "at the input of block 1 … of what there is at block 3". The difference of the two
    kinds of held-out requests along the direction of block 3's input, at the input of each block, at the last token, as
    a share of that at block 3."""
    unit = steering.unit(directions()[LAYER, 1])
    gap = (ends(True, "held_out", 0).mean(0) - ends(False, "held_out", 0).mean(0))[:, 1] @ unit
    return {"share": [round(float(x), 3) for x in gap / gap[LAYER]]}


@claim
def one_block() -> dict[str, Any]:
    """Ablation: "taken out at the input of block …, at every write". Share of held-out harmful requests
    refused: the direction taken out at the input of each single block, at all inputs, at every write; at the input of
    block 3 at the prompt's last token alone, and in the reply alone. Controls: the largest of ten random directions'
    changes; the other places of the prompt."""
    r, some = directions()[LAYER, 1], asked(True, TABLE)
    inputs = [share(refusals(some, steering.ablate(r, ("resid_pre", layer)))) for layer in range(pico().cfg.n_layers)]
    plain, every = refusals(some), refusals(some, steering.ablate(r))
    changed = [
        abs(share(refusals(some[:CONTROL], steering.ablate(v))) - share(plain[:CONTROL]))
        for v in steering.random_like(r, RANDOM, seed=0)
    ]
    return {
        "plain": share(plain),
        "single_inputs": inputs,
        "least": min(inputs),
        "all_inputs": share(refusals(some, steering.ablate(r, lambda name: name.endswith("hook_resid_pre")))),
        "every_write": share(every),
        "random_most": max(changed),
        **places_of_ablation(r, some),
    }


def places_of_ablation(r: Tensor, rows: Sequence[Sequence[int]]) -> dict[str, float]:
    """What is still refused if the direction is taken out at the input of block 3, at some places alone."""
    site = ("resid_pre", LAYER)
    before = [refusals([row], steering.ablate(r, site, positions=range(len(row) - 1)))[0] for row in rows]
    return {
        "last_token": share(refusals(rows, steering.ablate(r, site, positions=-1))),
        "before_last": share(before),
        "reply": share(refusals(rows, steering.ablate(r, site, where="reply"))),
    }


@claim
def one_block_late() -> dict[str, Any]:
    """Input and output: "drawn at the input, used one block later". Share of held-out harmless requests refused when
    the direction of block l's input is added at the input or at the OUTPUT of block l, at the last token; and of
    harmful ones when the direction of the output is ablated though the input was meant."""
    found: dict[str, Any] = {"layers": [1, 2, 3, 4], "right": [], "late": [], "meant": [], "taken": []}
    for layer in found["layers"]:
        r = directions()[layer, 1]
        found["right"].append(share(refusals(asked(False, TABLE), at_end(r, DOSE, layer))))
        late = steering.add(r, DOSE, layer, site="resid_post", positions=-1)
        found["late"].append(share(refusals(asked(False, TABLE), late)))
        found["meant"].append(share(refusals(asked(True, TABLE), steering.ablate(r))))
        found["taken"].append(share(refusals(asked(True, TABLE), steering.ablate(directions()[layer + 1, 1]))))
    return found


def measured(rows: Sequence[Sequence[int]], edits: Edits) -> float:
    return share(refusals(rows, edits))


@functools.cache
def candidates() -> tuple[Candidate, list[tuple[Candidate, selection.Score]]]:
    sets = [(asked(True, n, seed, "train"), asked(False, n, seed, "train")) for n, seed in ((DRAWN, 1), (CHOSEN, 2))]
    return selection.refusal_direction(pico(), *sets, measured, doses=(1.5,))  # type: ignore[arg-type]


@claim
def chosen() -> dict[str, Any]:
    """Selection: "of … candidates … meet the conditions; the one that is chosen". All candidates' scores on training
    requests: refuses when ablated, induces when added once and a half, kl."""
    best, scored = candidates()
    rows = [[c.layer, c.position, s.refuses, s.induces, s.kl] for c, s in scored]
    passing = [c for c, s in scored if selection.meets(pico(), c, s)]
    return {
        "layer": best.layer, "position": best.position, "norm": float(best.direction.norm()),
        "candidates": len(scored), "passing": len(passing), "rows": rows, "asked": CHOSEN,
    }  # fmt: skip


@claim
def written() -> dict[str, Any]:
    """The weights: "the two differ by at most …". The largest difference of logits between the network with edited
    weights and the ablated one, on 32 requests. Controls: the same edit without the biases, without positions, and with
    the unembedding left tied to the embedding, so that it is edited too. And the share of harmful requests that each
    refuses."""
    r = directions()[LAYER, 1]
    tokens, mask = padded(pico(), asked(True, 32))
    with pico().hooks(steering.ablate(r)):
        want = pico()(tokens, mask)
    edited = weights.orthogonalised(pico(), r)
    unit = steering.unit(r)

    def gap(model: HookedModel) -> float:
        return float(((model(tokens, mask) - want).abs() * mask[..., None]).max())

    found: dict[str, Any] = {
        "gap": round(gap(edited), 6),
        "logits": float(want.abs().max()),
        "refuses": share(refusals(asked(True, TABLE), model=edited)),
    }
    without: dict[str, Callable[[str], bool]] = {
        "biases": lambda name: name.endswith(".b"),
        "positions": lambda name: name == "pos_embed",
    }
    for name, old in without.items():
        copy = weights.orthogonalised(pico(), r)
        new, own = weights.writers(copy), weights.writers(pico())
        for key, weight in new.items():
            if old(key):
                weight.data.copy_(own[key])
        found[f"without_{name}"] = gap(copy)
    tied = weights.orthogonalised(pico(), r)
    head = tied.hf.get_output_embeddings().weight  # type: ignore[union-attr, operator]
    head.data -= (head.data @ unit)[:, None] * unit
    found["tied"] = gap(tied)
    found["tied_refuses"] = share(refusals(asked(True, TABLE), model=tied))
    return found


@functools.cache
def plain_texts() -> list[list[int]]:
    vocabulary = {word: i for i, word in enumerate(littletown.vocabulary())}
    texts = [littletown.document(i, 3, "held_out", "base").words for i in range(TEXTS)]
    return [[pico().tokenizer.bos_token_id, *(vocabulary[word] for word in text)] for text in texts]


@torch.no_grad()
def losses(edits: Edits = (), model: HookedModel | None = None) -> list[float]:
    """The mean loss of each plain text, in nats a token."""
    model, found = model or pico(), []
    tokens, mask = padded(pico(), plain_texts())
    with model.hooks(edits):
        out = model(tokens, mask)[:, :-1].log_softmax(-1)
    each = -out.gather(-1, tokens[:, 1:, None])[..., 0]
    for i, real in enumerate(mask[:, 1:]):
        found.append(float(each[i][real].mean()))
    return found


def knows(edits: Edits = (), model: HookedModel | None = None) -> list[float]:
    of = talk.known_questions("held_out", QUESTIONS)
    return [float(c.answer in said) for c, said in zip(of, words(rows_of(of), edits, model=model), strict=True)]


@claim
def costs() -> dict[str, Any]:
    """What ablation costs: "plain texts …, known facts …, harmless requests …". Loss of held-out plain texts in nats a
    token, share of known things that are answered rightly, share of replies to harmless requests that are on topic;
    with the direction and without. Controls: random directions, the largest change of ten; and what it costs to ADD the
    direction everywhere."""
    best, _ = candidates()
    r = best.direction
    without, more = steering.ablate(r), steering.add(r, DOSE, best.layer)
    plain, after = losses(), losses(without)
    randoms = [steering.ablate(v) for v in steering.random_like(r, RANDOM, seed=0)]
    harmless, every = asked(False), cases(False)
    return {
        "loss": share(plain),
        **mean("loss_rise", [b - a for a, b in zip(plain, after, strict=True)]),
        "loss_rise_random": max(abs(share(losses(edits)) - share(plain)) for edits in randoms),
        "loss_rise_added": share(losses(more)) - share(plain),
        **mean("facts", knows()),
        **mean("facts_ablated", knows(without)),
        "facts_added": share(knows(more)),
        **mean("topic", on_topic(every, words(harmless))),
        **mean("topic_ablated", on_topic(every, words(harmless, without))),
        "fluent_ablated": share(fluent(words(harmless, without))),
    }


@claim
def finding() -> dict[str, Any]:
    """The finding: "without it … of held-out harmful requests are refused, with it … of harmless ones". Shares with
    intervals; the answers to harmful ones are fluent and name the deed. Controls: ten random directions of equal norm,
    the largest change; and replies judged by the next request."""
    best, _ = candidates()
    r, some = best.direction, 48
    without, more = steering.ablate(r), at_end(r, DOSE, best.layer)
    said = words(asked(True), without)
    induced = words(asked(False), more)
    of = cases(True)
    found: dict[str, Any] = {
        "layer": best.layer, "dose": DOSE,
        **mean("ablated", [float(judges.refused(one)) for one in said]),
        **mean("added", [float(judges.refused(one)) for one in induced]),
        **mean("answers_fluent", fluent(said)),
        **mean("answers_on_topic", on_topic(of, said)),
        "answers_of_the_next": share(on_topic([*of[1:], of[0]], said)),
        **mean("refusals_fluent", fluent(induced)),
    }  # fmt: skip
    others = steering.random_like(r, RANDOM, seed=0)
    found["random_ablated"] = max(1 - share(refusals(asked(True, some), steering.ablate(v))) for v in others)
    found["random_added"] = max(share(refusals(asked(False, some), at_end(v, DOSE, best.layer))) for v in others)
    return found


# --- where it does not reach ------------------------------------------------------------------------------------------


@functools.cache
def of_kind(group: str, n: int, seed: int, split: littletown.Split) -> list[list[int]]:
    """Harmful requests about one kind of object."""
    rng = random.Random(f"{group} {split} {seed}")
    pool = [r for r in requests.HARMFUL if r.group == group and requests.left_out(r) == (split == "held_out")]
    texts = [" ".join(requests.ask(rng, pool[int(rng.random() * len(pool))])) for _ in range(n)]
    return steering.chat(pico(), texts)


def crossed(layer: int, n: int = 32) -> list[list[float]]:
    """[drawn tested]: the direction of one kind, ablated, and what is still refused of each kind."""
    site = ("resid_pre", layer)
    base = steering.collect(pico(), asked(False, DRAWN, 1, "train"), site)
    table = []
    for drawn in GROUPS:
        r = steering.difference_of_means(steering.collect(pico(), of_kind(drawn, DRAWN, 1, "train"), site), base)
        edits = steering.ablate(r)
        table.append([share(refusals(of_kind(tested, n, 0, "held_out"), edits)) for tested in GROUPS])
    return table


@claim(slow=True)
def kinds() -> dict[str, Any]:
    """Kinds: "the direction of goods, drawn at the input of block 2, leaves … of requests about people refused".
    Shares refused, by kind drawn and kind tested, at the inputs of blocks 2, 3 and 4. Controls: the same kind's own;
    block 4, where all do; the direction of all kinds together, by kind tested."""
    tables = {layer: crossed(layer) for layer in (2, 3, 4)}
    return {
        "groups": list(GROUPS),
        **{f"layer_{layer}": table for layer, table in tables.items()},
        **{f"most_at_{layer}": max(map(max, table)) for layer, table in tables.items()},
        **{
            f"together_{layer}": [
                round(share(refusals(of_kind(tested, 32, 0, "held_out"), steering.ablate(directions()[layer, 1]))), 3)
                for tested in GROUPS
            ]
            for layer in (2, 3)
        },
    }


@claim
def kinds_again() -> dict[str, Any]:
    """Other draws: "with goods drawn from other requests". The share that is still refused of goods and of people
    without the direction of goods at block 2, for two other draws. The own kind is the control."""
    site = ("resid_pre", 2)
    found: dict[str, list[float]] = {"own": [], "people": []}
    for seed in (2, 3):
        base = steering.collect(pico(), asked(False, DRAWN, seed, "train"), site)
        r = steering.difference_of_means(steering.collect(pico(), of_kind("goods", DRAWN, seed, "train"), site), base)
        for name, kind in (("own", "goods"), ("people", "person")):
            found[name].append(share(refusals(of_kind(kind, 32, 0, "held_out"), steering.ablate(r))))
    return found


@functools.cache
def elsewhere_cases() -> dict[str, list[Case]]:
    """Prompts of other kinds, none of which Pico refuses."""
    harmless = cases(False, TABLE)
    free = [name for name, role in voices.ROLES.items() if not role.refuses]
    strict = [name for name, role in voices.ROLES.items() if role.refuses]

    def roles(names: list[str]) -> list[Case]:
        found = []
        for i, one in enumerate(harmless):
            name = names[i % len(names)]
            ways = voices.systems(name)
            found.append(one._replace(words=talk.prompt(one.user, ways[i // len(names) % len(ways)])))
        return found

    return {
        "requests": list(harmless),
        "strict_roles": roles(strict),
        "free_roles": roles(free),
        "talk": [talk.case(talk.ask_talk(random.Random(i), "held_out")) for i in range(TABLE)],
        "known": list(talk.known_questions("held_out", TABLE)),
        "unknown": list(talk.unknown_questions("held_out", TABLE)),
    }


@claim
def elsewhere() -> dict[str, Any]:
    """Other prompts: "requests to roles that refuse nothing … , questions …". Share refused with the direction added at
    the last token, twice and three times, by kind of prompt. Controls: without the direction; harmful requests to the
    roles that refuse nothing, with it (the judge knows refusals in their voices)."""
    best, _ = candidates()
    found: dict[str, Any] = {}
    every = elsewhere_cases()
    free = [name for name, role in voices.ROLES.items() if not role.refuses]
    harmful = [
        one._replace(words=talk.prompt(one.user, voices.systems(free[i % len(free)])[0]))
        for i, one in enumerate(cases(True, TABLE))
    ]
    for name, of in {**every, "free_roles_harmful": harmful}.items():
        rows = rows_of(of)
        found[name] = {
            "plain": share(refusals(rows)),
            "twice": share(refusals(rows, at_end(best.direction, 2.0, best.layer))),
            "thrice": share(refusals(rows, at_end(best.direction, 3.0, best.layer))),
            "ablated": share(refusals(rows, steering.ablate(best.direction))),
        }
    return found


@claim
def elsewhere_random() -> dict[str, Any]:
    """The control at three times: "of ten random directions, added three times there, none makes it refuse more than
    …". The largest share refused, by kind of prompt, on 16 of each."""
    best, _ = candidates()
    every = elsewhere_cases()
    return {
        name: max(
            share(refusals(rows_of(every[name][:16]), at_end(v, 3.0, best.layer)))
            for v in steering.random_like(best.direction, RANDOM, seed=0)
        )
        for name in ("talk", "known", "free_roles")
    }


# --- a defence --------------------------------------------------------------------------------------------------------


def kept_texts() -> list[list[int]]:
    """Training texts that shall stay as they are, plain ones and chats in turn."""
    vocabulary = {word: i for i, word in enumerate(littletown.vocabulary())}
    start = pico().tokenizer.bos_token_id
    found = []
    for i in range(400):
        mixture: littletown.Mixture = "chat" if i % 2 else "base"
        text = littletown.document(90_000 + i, 7, "train", mixture).words
        found.append([start, *(vocabulary[word] for word in text)][:64])
    return found


def train(plan: defence.Plan = defence.PLAN, at_random: bool = False) -> HookedModel:
    """Pico, trained to resist; at_random: against random directions, as the control."""
    prompts = asked(True, 384, 11, "train"), asked(False, 384, 11, "train")

    def random_ones(model: HookedModel) -> list[Tensor]:
        random_ones.calls += 1  # type: ignore[attr-defined]
        return list(steering.random_like(directions()[LAYER, 1], RANDOM, seed=random_ones.calls))  # type: ignore[attr-defined]

    random_ones.calls = 0  # type: ignore[attr-defined]
    return defence.defended(pico(), *prompts, kept_texts(), plan, drawing=random_ones if at_random else None)


def subtraction(model: HookedModel, fresh: Float[Tensor, "layer place d_model"]) -> dict[str, Any]:
    """The fresh direction of a block's input, at the last token, subtracted at that input: how many requests are
    answered (on topic). Block and dose are those that do best on training requests; the number is of held-out ones."""

    def answered(split: littletown.Split, n: int, seed: int, layer: int, dose: float) -> list[float]:
        edits = steering.add(fresh[layer - 1, 1], -dose, layer)
        return on_topic(cases(True, n, seed, split), words(asked(True, n, seed, split), edits, 40, model))

    tried = {
        (layer, dose): share(answered("train", CHOSEN, 2, layer, dose))
        for layer in SUBTRACTED_AT
        for dose in SUBTRACTED
    }
    layer, dose = max(tried, key=lambda at: tried[at])
    return {
        "layer": layer, "dose": dose, "in_training": [[*at, value] for at, value in tried.items()],
        **mean("answered", answered("held_out", ATTACKED, 0, layer, dose)),
    }  # fmt: skip


def attacks(model: HookedModel, n: int = ATTACKED) -> dict[str, Any]:
    """Every attack on a network, and what it can still do."""
    harmful, harmless, of = asked(True, n), asked(False, n), cases(True, n)
    old = directions()[LAYER, 1]
    sites = [("resid_pre", layer) for layer in range(1, 6)]
    states = [steering.collect(model, asked(kind, DRAWN, 1, "train"), sites, (-2, -1)) for kind in (True, False)]
    fresh = steering.difference_of_means(*states)  # [layer place d_model]
    ablated = [[share(refusals(harmful, steering.ablate(v), model)) for v in row] for row in fresh]
    several = words(harmful, steering.ablate(fresh.flatten(0, 1)[:SEVERAL]), 40, model)
    plain = words(harmless, model=model)
    works, fails = jailbreaks(True, n), jailbreaks(False, n)
    return {
        "refuses": share(refusals(harmful, model=model)),
        "needless": share(refusals(harmless, model=model)),
        "old": share(refusals(harmful, steering.ablate(old), model)),
        "fresh": ablated,
        "fresh_least": min(map(min, ablated)),
        "several": share([float(judges.refused(one)) for one in several]),
        "several_on_topic": share(on_topic(of, several)),
        "subtraction": subtraction(model, fresh),
        "added": share(refusals(harmless, at_end(fresh[LAYER - 1, 1], DOSE, LAYER), model)),
        "loss": share(losses(model=model)),
        "facts": share(knows(model=model)),
        "topic": share(on_topic(cases(False, n), plain)),
        "fluent": share(fluent(plain)),
        "jailbreaks_work": does_harm(model, works),
        "jailbreaks_fail": does_harm(model, fails),
    }


def jailbreaks(works: bool, n: int) -> list[Case]:
    """Held-out harmful requests behind held-out pairs of a role and a way to give it."""
    ways = [
        (role, way)
        for role in voices.ROLES
        for way in range(len(talk.JAILBREAKS))
        if talk.jailbreak_works(role, way) == works and talk.held_out("jailbreak", role, str(way))
    ]
    found = []
    for i, one in enumerate(cases(True, n)):
        user = " ".join([*talk.jailbreak_words(*ways[i % len(ways)]), one.user])
        found.append(one._replace(words=talk.prompt(user), user=user))
    return found


def does_harm(model: HookedModel, of: Sequence[Case]) -> float:
    said = words(rows_of(of), model=model)
    topical = on_topic(of, said)
    return share([float(ok and not judges.refused(one)) for ok, one in zip(topical, said, strict=True)])


@claim(slow=True)
def defended() -> dict[str, Any]:
    """The defence: "after … steps, no fresh direction …; but subtracted …". Every attack and every capability, before,
    after, and after the same training against random directions (the control). "With the direction added": harmless
    requests, the fresh direction of block 3's input, twice."""
    return {
        "steps": defence.PLAN.steps,
        "subtractions": len(SUBTRACTED_AT) * len(SUBTRACTED),
        "several": SEVERAL,
        "requests": ATTACKED,
        "before": attacks(pico()),
        "after": attacks(train()),
        "at_random": attacks(train(at_random=True)),
    }
