"""The grader of chapter 10. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: runs of one text alone, loops, `mi_lib.steering`, whose ways
know their positions in another manner, float64. What replies do is asked of Pico; what numbers are, of random models
whose biases and norms count. All sizes of a case are different.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

import mi_lib
from mi_lib import steering
from mi_lib.course import index
from mi_lib.course.grading import (
    AnswerError,
    ByName,
    Wrong,
    expect,
    expect_close,
    expect_equal,
    expect_gradients,
    grades,
)
from mi_lib.course.grading.expectations import MISTAKE
from mi_lib.course.grading.material import activation, generator, randn, random_tokens, random_transformer, with_weights
from mi_lib.models import HookedModel, Transformer
from mi_lib.worlds.littletown import judges, requests, talk

D_VOCAB, D_MODEL = 17, 13
REFUSED = ByName("mi_lib.worlds.littletown.judges:refused")
COMPLETE = ByName("mi_lib.worlds.littletown.judges:complete")
oracle_cache = functools.lru_cache(512)  # what does not depend on the answer is computed once for a process


@functools.cache
def pico() -> HookedModel:
    return mi_lib.load(index.chapter("10").model[0], check=False)


@functools.cache
def asked(harmful: bool, n: int, seed: int, split: str = "train") -> list[list[int]]:
    """Requests as rows of tokens, of the lengths that they have."""
    draw = talk.harmful_requests if harmful else talk.harmless_requests
    return steering.chat(pico(), [case.user for case in draw(split, n, seed)])


@functools.cache
def drawn(layer: int, position: int = -1) -> Tensor:
    """A direction of refusal to try things with."""
    site = ("resid_pre", layer)
    states = [steering.collect(pico(), asked(kind, 24, 71), site, position) for kind in (True, False)]
    return states[0].mean(0) - states[1].mean(0)


@functools.cache
def near_the_end() -> list[list[int]]:
    """Prompts whose replies come to their end after 16 tokens, or after 17, under the edits that are tried here."""
    users = (
        "Who are you really ?", "Tell me your secret name .", "What did you do today ?", "What is the trade of Hazel ?",
    )  # fmt: skip
    return steering.chat(pico(), list(users))


def judged(
    judge: Callable[[list[str]], bool], prompts: Sequence[Sequence[int]], edits: Any, longest: int = 16
) -> float:
    said = steering.replies(pico(), prompts, edits, longest=longest)
    return sum(judge(one.words) for one in said) / len(said)


class Small(NamedTuple):
    """A random model, and texts of different length."""

    model: Transformer
    rows: list[list[int]]


# layers, heads, d_head, neurons, norm, lengths, seed
SHAPES = (
    (2, 3, 5, 19, "layernorm", (7, 4, 9, 5, 6), 0),
    (3, 2, 11, 7, "none", (5, 8, 4), 1),
)


@functools.cache
def small(number: int) -> Small:
    layers, heads, d_head, d_mlp, norm, lengths, seed = SHAPES[number]
    model = random_transformer(
        seed, scale=0.35, n_layers=layers, d_model=D_MODEL, n_heads=heads, d_head=d_head, d_vocab=D_VOCAB, n_ctx=16,
        d_mlp=d_mlp, act="gelu", norm=norm, attn_bias=True, unembed_bias=True,
    )  # fmt: skip
    rows = [random_tokens(1, length, D_VOCAB, 10 * seed + i)[0].tolist() for i, length in enumerate(lengths)]
    return Small(model, rows)


def smalls() -> tuple[Small, ...]:
    return tuple(small(i) for i in range(len(SHAPES)))


def padded(rows: Sequence[Sequence[int]], left: bool = False) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    tokens, real = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(width - len(row), width) if left else slice(0, len(row))
        tokens[i, where], real[i, where] = torch.tensor(row), True
    return tokens, real


def vector(seed: int, size: float = 3.0) -> Tensor:
    """A vector of the small models' stream that is not of length 1."""
    drawn = randn(D_MODEL, seed=seed)
    return size * drawn / drawn.norm()


# --- 10.1 -------------------------------------------------------------------------------------------------------------


def ends_of(model: HookedModel, rows: Sequence[Sequence[int]], n: int, site: str = "resid_pre") -> Tensor:
    """[prompt layer n d_model], each text alone, without any padding."""
    found = []
    for row in rows:
        one = torch.tensor([row])
        found.append(torch.stack([activation(model, one, (site, at))[0, -n:] for at in range(model.cfg.n_layers)]))
    return torch.stack(found)


def ends_slips(case: Small, n: int) -> dict[str, Tensor]:
    model, rows = case
    want = ends_of(model, rows, n)
    tokens, real = padded(rows)
    _, cache = model.run_with_cache(
        tokens, [("resid_pre", at) for at in range(model.cfg.n_layers)], attention_mask=real
    )
    stream = torch.stack([cache["resid_pre", at] for at in range(model.cfg.n_layers)], 1)
    return {
        'This is what comes OUT of each block, ("resid_post", l). Layer l is the input of block l.': ends_of(
            model, rows, n, "resid_post"
        ),
        "This is the stream in the middle of each block. Layer l is the input of block l.": ends_of(
            model, rows, n, "resid_mid"
        ),
        "You read the last columns of the padded batch: in shorter prompts padding stands there. Each prompt has an "
        "end of its own.": stream[:, :, -n:],
        "The last tokens come in the opposite order: entry n − 1 is the very last one.": want.flip(2),
        "These are the FIRST n tokens of each prompt. Take the last n.": stream[:, :, :n],
        "You are one position too early: the very last token of the prompt is left out.": torch.stack(
            [stream[i, :, len(row) - n - 1 : len(row) - 1] for i, row in enumerate(rows)]
        ),
    }  # fmt: skip


@grades("10.1", weight=2)
def test_what_enters_each_block_at_the_end(answer):
    """Random models, prompts of different length, one to three tokens."""
    for case, n in itertools.product(smalls(), (2, 1, 3)):
        expect_close(
            answer.prompt_ends(case.model, case.rows, n),
            ends_of(case.model, case.rows, n),
            f"what enters each block at the last {n} tokens",
            axes="prompt layer n d_model",
            atol=1e-4,
            mistakes=lambda case=case, n=n: ends_slips(case, n),
        )


@grades("10.1")
def test_the_ends_of_requests(answer):
    """Pico, and requests that people of Littletown make."""
    rows = [*asked(True, 3, 5), *asked(False, 4, 5)]
    want = ends_of(pico(), rows, 2)
    got = answer.prompt_ends(pico(), rows, 2)
    expect_close(got, want, "what enters Pico's blocks", axes="prompt layer n d_model", atol=1e-3)


# --- 10.2 -------------------------------------------------------------------------------------------------------------


def whole_numbers(*shape: int, seed: int, top: int = 4) -> Tensor:
    """Small whole numbers: sums of them are exact, so that ties are ties."""
    return torch.randint(-top, top + 1, shape, generator=generator(seed)).float()


def two_sets(seed: int, a: int = 8, b: int = 4) -> tuple[Tensor, Tensor]:
    return whole_numbers(a, 2, 3, 5, seed=seed) + 1, whole_numbers(b, 2, 3, 5, seed=seed + 1)


@grades("10.2")
def test_the_difference_of_two_means(answer):
    """Sets of unlike size, at every layer and place."""
    for seed in (3, 4):
        positive, negative = two_sets(seed)
        want = positive.double().mean(0) - negative.double().mean(0)
        every = torch.cat([positive, negative]).mean(0)
        expect_close(
            answer.difference_of_means(positive, negative),
            want,
            "the difference of means",
            axes="layer n d_model",
            mistakes=lambda p=positive, n=negative, want=want, every=every: {
                "Only the sign is wrong: the mean of the first set LESS that of the second.": -want,
                "This is the mean of the first set alone.": p.mean(0),
                "This is the difference of sums. Take means: the sets differ in size.": p.sum(0) - n.sum(0),
                "You divide both sums by one number. Each set has a mean of its own.": (p.sum(0) - n.sum(0)) / len(p),
                "You scale the direction to length 1. Its length says how much to add: keep it.": (
                    want / want.norm(dim=-1, keepdim=True)
                ),
                "This is the first set's mean less the mean of everything.": p.mean(0) - every,
                "You take medians. Take means.": p.median(0).values - n.median(0).values,
            },
        )


Apart = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def apart(p: Tensor, n: Tensor, new_p: Tensor, new_n: Tensor, middle: str = "between", pooled: bool = False) -> Tensor:
    """[layer n], state by state in float64. The switches make known mistakes."""
    rows = []
    for layer in range(p.shape[1]):
        row = []
        for place in range(p.shape[2]):
            a, b = p[:, layer, place].double().mean(0), n[:, layer, place].double().mean(0)
            r = a - b
            border = {
                "between": (a + b) / 2,
                "zero": torch.zeros_like(a),
                "negative": b,
                "all": torch.cat([p, n])[:, layer, place].double().mean(0),
                "new": torch.cat([new_p, new_n])[:, layer, place].double().mean(0),
            }[middle] @ r
            right_p = [float(x.double() @ r > border) for x in new_p[:, layer, place]]
            right_n = [float(x.double() @ r <= border) for x in new_n[:, layer, place]]
            shares = [sum(right_p) / len(right_p), sum(right_n) / len(right_n)]
            row.append(sum(right_p + right_n) / len(right_p + right_n) if pooled else sum(shares) / 2)
        rows.append(row)
    return torch.tensor(rows)


@grades("10.2", weight=2)
def test_how_well_new_states_are_told_apart(answer):
    """Sets far from zero and near it, of unlike size, with states on the border."""
    for seed, shift in ((11, 0.0), (12, 6.0), (13, -3.0)):
        (p, n), (new_p, new_n) = two_sets(seed), two_sets(seed + 50, 16, 6)
        p, n, new_p, new_n = (x + shift for x in (p, n, new_p, new_n))
        new_p[0], new_n[0] = ((p.mean(0) + n.mean(0)) / 2,) * 2  # half-way between the means: not positive
        want = apart(p, n, new_p, new_n)
        expect_close(
            answer.told_apart(p, n, new_p, new_n),
            want,
            "the share that is told apart",
            axes="layer n",
            mistakes=lambda p=p, n=n, new_p=new_p, new_n=new_n: {
                "Your border is at a projection of 0. It lies half-way between the two means: states may be far from 0 "
                "on one side.": apart(p, n, new_p, new_n, "zero"),
                "Your border lies at the mean of the negative set. It lies half-way between the two means.": apart(
                    p, n, new_p, new_n, "negative"
                ),
                "Your border is the mean of all states together. The sets differ in size: take the point half-way "
                "between the two means.": apart(p, n, new_p, new_n, "all"),
                "Your border comes from the new states. It must come from the first two sets: the new ones are the "
                "test.": apart(p, n, new_p, new_n, "new"),
                "This is the share of all new states together. Take the share of each set first, then the mean of the "
                "two shares.": apart(p, n, new_p, new_n, pooled=True),
                "These are the states of the first two sets. Try the direction on the new ones.": apart(p, n, p, n),
                "This is the share that is told WRONGLY: positive means that the projection is greater.": 1
                - apart(p, n, new_p, new_n),
            },
        )


# --- 10.3 -------------------------------------------------------------------------------------------------------------


@grades("10.3")
def test_adding_a_vector(answer):
    """Doses above and below 0, vectors of any length."""
    for seed, dose in ((5, 2.5), (6, -1.5), (7, 0.25)):
        stream, v = randn(3, 4, D_MODEL, seed=seed), vector(seed)
        expect_close(
            answer.add_vector(stream, v, dose),
            stream.double() + dose * v.double(),
            "the stream with the vector added",
            axes="batch pos d_model",
            mistakes=lambda stream=stream, v=v, dose=dose: {
                "You scale v to length 1. Add v as it is.": stream + dose * v / v.norm(),
                "The dose is left out: add dose · v.": stream + v,
                "You add at the last position alone. Here it is every position.": torch.cat(
                    [stream[:, :-1], stream[:, -1:] + dose * v], 1
                ),
                "You put dose · v in the place of the stream. Add it.": (dose * v).expand_as(stream),
                "You subtract: it is x + dose · v.": stream - dose * v,
                "You multiply. Add.": stream * dose * v,
            },
        )


FEW = 7  # prompts


@functools.cache
def of_two_lengths(harmful: bool) -> list[list[int]]:
    """Requests of the two commonest lengths: a learner's edit is called once for each length, and that takes time."""
    many = asked(harmful, 8 * FEW, 8)
    lengths = sorted({len(row) for row in many}, key=lambda n: -sum(len(row) == n for row in many))[:2]
    some = [[row for row in many if len(row) == n] for n in lengths]
    return [*some[0][: FEW // 2], *some[1][: FEW - FEW // 2]]


class Dosed(NamedTuple):
    """Requests of a kind, doses, and who judges."""

    harmful: bool
    doses: tuple[float, ...]
    judge: str


DOSED_AT = 3  # the input of this block
DOSED = (
    Dosed(False, (0.0, 2.5, 1.5), "refused"),
    Dosed(True, (-1.0, 1.5), "refused"),
    Dosed(False, (-1.0, 2.5), "complete"),
)


def dosed(case: Dosed) -> list[list[int]]:
    return of_two_lengths(case.harmful) if case.judge == "refused" else near_the_end()


@oracle_cache
def by_dose(case: Dosed, site: str = "resid_pre", unit: bool = False, longest: int = 16) -> Tensor:
    v = drawn(DOSED_AT) / (drawn(DOSED_AT).norm() if unit else 1)
    judge, rows = getattr(judges, case.judge), dosed(case)
    shares = [judged(judge, rows, steering.add(v, dose, DOSED_AT, site=site), longest) for dose in case.doses]
    return torch.tensor(shares)


def dose_slips(case: Dosed) -> dict[str, Tensor]:
    want = by_dose(case)
    one = len(dosed(case)) * want
    return {
        'You add to what comes OUT of the block, ("resid_post", layer). The vector was read at its input, and belongs '
        "there.": by_dose(case, "resid_post"),
        "You scale the vector to length 1. Add dose · v, v as it is.": by_dose(case, unit=True),
        "All doses give what the last one gives: an edit made in a loop looks its dose up when it is called. Write "
        "dose=dose among its parameters.": want[-1].expand_as(want),
        "All doses give what the first one gives. Make the edit anew for each.": want[0].expand_as(want),
        "These are numbers of replies. Divide by how many there are.": one,
        "This is the share of which the judge says False.": 1 - want,
        "The replies are longer than 16 tokens: pass longest=16.": by_dose(case, longest=64),
    }


@grades("10.3", weight=2)
def test_the_share_of_replies_by_dose(answer):
    """Pico, requests of both kinds, two judges: the one that looks for refusals, and one for an end."""
    for case in DOSED:
        judge, doses = {"refused": REFUSED, "complete": COMPLETE}[case.judge], list(case.doses)
        expect_close(
            answer.share_by_dose(pico(), dosed(case), drawn(DOSED_AT), DOSED_AT, doses, judge),
            by_dose(case),
            f"the share of replies, for the doses {doses}",
            axes="dose",
            mistakes=lambda case=case: dose_slips(case),
        )


# --- 10.4 -------------------------------------------------------------------------------------------------------------

TEXTS = ["a b c d", "c d e", "b a b b", "e"]
REPLIES = [
    "a b c",
    "a b c d e",
    "a c b",
    "b b b",
    "a b",
    "",
    "c d a b c d e",
    "a b c a b c",
    "b a b a b c d",
    "d c b a e",
]


def triples_of(words: Sequence[str], texts: Sequence[Sequence[str]], size: int = 3, kind: str = "") -> float:
    """By places, one after the other. The switches make known mistakes."""
    texts = [[word for text in texts for word in text]] if kind == "joined" else texts
    places = range(len(words) - size + 1)
    here = [tuple(words[i : i + size]) for i in places]
    here = list(dict.fromkeys(here)) if kind == "once" else here
    hits = 0
    for triple in here:
        found = False
        for text in texts:
            if kind == "bag":
                found = found or all(word in text for word in triple)
            for j in range(len(text) - size + 1):
                window = tuple(text[j : j + size])
                found = found or (sorted(window) == sorted(triple) if kind == "unordered" else window == triple)
        hits += found
    if kind == "count":
        return float(hits)
    below = len(words) if kind == "words" else len(here)
    return hits / below if below > 0 else 0.0


KINDS = {
    "You count pairs of neighbours. A triple is three words in a row.": {"size": 2},
    "You look at single words. A judge that ignores order cannot see that words are shuffled.": {"size": 1},
    "You run the texts together: a triple that begins in one text and ends in the next occurs in none.": {
        "kind": "joined"
    },
    "You count each triple of the reply once. One that comes twice counts twice.": {"kind": "once"},
    "You ask whether the three words occur somewhere in the text. They must stand in a row.": {"kind": "bag"},
    "You ignore the order of the three words.": {"kind": "unordered"},
    "This is the number of triples. Divide by how many the reply has.": {"kind": "count"},
    "You divide by the number of words. A reply of n words has n − 2 triples.": {"kind": "words"},
}  # fmt: skip


@grades("10.4", weight=2)
def test_the_share_of_known_triples(answer):
    """Short texts by hand, and longer ones of few words; replies of no word, one and two."""
    rng = random.Random(12)
    many = [[rng.choice("abcd") for _ in range(rng.randrange(1, 9))] for _ in range(5)]
    cases = [(r.split(), [t.split() for t in TEXTS]) for r in REPLIES]
    cases += [([rng.choice("abcd") for _ in range(11)], many) for _ in range(4)]
    got = [answer.known_triples(words, texts) for words, texts in cases]
    expect_close(
        torch.tensor(got, dtype=torch.float64),
        torch.tensor([triples_of(words, texts) for words, texts in cases], dtype=torch.float64),
        "the share of triples that occur, for several replies",
        mistakes=lambda: {
            sentence: torch.tensor([triples_of(words, texts, **how) for words, texts in cases], dtype=torch.float64)
            for sentence, how in KINDS.items()
        },
    )


def proved(
    said: Sequence[Sequence[str]], texts: Sequence[Sequence[str]], seed: int, how: str = ""
) -> tuple[float, float]:
    rng = random.Random(seed)
    mixed = []
    for words in said:
        rng = random.Random(seed) if how == "each" else rng
        order = list(words)
        if how == "ends":
            inner = order[:-1]
            rng.shuffle(inner)
            order = [*inner, *order[-1:]]
        elif how == "turned":
            order = order[::-1]
        else:
            rng.shuffle(order)
        mixed.append(order)
    scores = [[triples_of(words, texts) for words in some] for some in (said, mixed)]
    return sum(scores[0]) / len(said), sum(scores[1]) / len(said)


@grades("10.4")
def test_the_judge_is_judged(answer):
    """Replies of few words, three seeds: as they are, and with their words shuffled."""
    rng = random.Random(77)
    texts = [[rng.choice("abc") for _ in range(14)] for _ in range(2)]
    said = [[rng.choice("abc") for _ in range(n)] for n in (9, 13, 2, 11)] + [texts[0][2:9]]
    for seed in (0, 5, 31):
        want = proved(said, texts, seed)
        expect_close(
            answer.proof(said, texts, seed),
            want,
            "the mean over replies and over shuffled ones",
            mistakes=lambda seed=seed, want=want: {
                "Each reply is shuffled with a generator of its own. Make one generator, before the loop.": proved(
                    said, texts, seed, "each"
                ),
                "You leave the last word where it is. Shuffle all words of a reply.": proved(said, texts, seed, "ends"),
                "You turn the words round. Shuffle them.": proved(said, texts, seed, "turned"),
                "The two means are exchanged: first the replies as they are.": want[::-1],
                "The second number is that of replies that are not shuffled.": (want[0], want[0]),
            },
        )


# --- 10.5 -------------------------------------------------------------------------------------------------------------


@grades("10.5")
def test_adding_from_one_position_to_another(answer):
    """Spans at the beginning, in the middle, at the end, beyond it, and of no position at all."""
    for start, stop in ((2, 5), (0, 3), (4, 7), (5, 11), (3, 3), (9, 12), (6, 10**6), (0, 10**6)):
        stream, v, dose = randn(3, 7, D_MODEL, seed=start), vector(start + 1), 1.5

        def added(a: int, b: int, stream: Tensor = stream, v: Tensor = v, dose: float = dose) -> Tensor:
            want = stream.clone()
            for at in range(max(a, 0), min(b, stream.shape[1])):
                want[:, at] += dose * v
            return want

        expect_close(
            answer.add_from_to(stream, v, dose, start, stop),
            added(start, stop),
            f"the stream with the vector at positions {start} … {stop - 1}",
            axes="batch pos d_model",
            mistakes=lambda added=added, start=start, stop=stop, stream=stream, v=v, dose=dose: {
                "Position `stop` gets the vector too. The last one is stop − 1.": added(start, stop + 1),
                "Position `start` gets no vector. It is the first one.": added(start + 1, stop),
                "You add everywhere: keep the other positions as they are.": added(0, 10**6),
                "Positions outside of the span are 0. They stay as they were.": added(start, stop)
                * (added(start, stop) != stream),
                "You put the vector in the place of what stands there. Add it to that.": torch.where(
                    added(start, stop) != stream, dose * v, stream
                ),
                "The dose is left out.": stream + (added(start, stop) - stream) / dose,
            },
        )


PLACES = ("before", "last", "reply", "everywhere")


@oracle_cache
def said_by_place(number: int, layer: int, dose: float, place: str) -> list[int]:
    row, v = asked(False, 4, 21)[number], drawn(layer)
    ways: dict[str, dict[str, Any]] = {
        "before": {"positions": range(len(row) - 1)},
        "last": {"positions": -1},
        "reply": {"where": "reply"},
        "everywhere": {},
        "prompt": {"where": "prompt"},
        "from last": {"where": "last"},
        "one early": {"positions": -2},
    }
    edits = steering.add(v, dose, layer, **ways[place]) if place != "nowhere" else []
    return steering.replies(pico(), [row], edits, longest=16)[0].tokens


PLACE_SLIPS = (
    ("before", "prompt", "“before” has the last token of the prompt in it. Leave that one out."),
    ("last", "one early", "“last” is the token before the prompt's last one: the last is at len(prompt) − 1."),
    ("last", "from last", "“last” goes on into the reply. It is the prompt's last token alone."),
    ("reply", "from last", "“reply” begins at the prompt's last token. It begins behind it, at len(prompt)."),
    ("last", "reply", "“last” acts from the reply's first token on: the prompt's last token is at len(prompt) − 1."),
    ("last", "nowhere", "“last” changes nothing: is the position counted from the beginning of the text?"),
    ("everywhere", "prompt", "“everywhere” ends with the prompt. The reply is read back, and edited too."),
    ("everywhere", "last", "“everywhere” is what “last” gives: each place needs a span of its own. An edit made in a "
     "loop looks its span up when it is called: write start=start, stop=stop among its parameters."),
    ("before", "everywhere", "“before” is what “everywhere” gives: an edit made in a loop looks its span up when it is "
     "called. Write start=start, stop=stop among its parameters."),
)  # fmt: skip


@grades("10.5", weight=2)
def test_what_is_replied_by_place(answer):
    """Pico, harmless requests, two blocks and doses."""
    for case in ((0, 3, 2.5), (1, 4, 2.0)):
        number, layer, dose = case
        got = answer.replies_by_place(pico(), asked(False, 4, 21)[number], drawn(layer), layer, dose)
        expect(set(got) == set(PLACES), "The keys are 'before', 'last', 'reply' and 'everywhere'.")
        want = {place: said_by_place(*case, place) for place in PLACES}
        for place, other, sentence in PLACE_SLIPS:
            if list(got[place]) != want[place] and list(got[place]) == said_by_place(*case, other):
                raise Wrong(sentence, MISTAKE)
        for place in PLACES:
            expect_equal(list(got[place]), want[place], f"the tokens of the reply for {place!r}")


# --- 10.6 -------------------------------------------------------------------------------------------------------------


@grades("10.6")
def test_the_difference_of_one_pair(answer):
    """Random models, prompts of one length, every block."""
    for case in smalls():
        plus, minus = (random_tokens(1, 6, D_VOCAB, seed)[0].tolist() for seed in (61, 62))
        for layer in range(case.model.cfg.n_layers):

            def states(site: str, at: int = layer, case: Small = case, pair: Any = (plus, minus)) -> list[Tensor]:
                return [activation(case.model, torch.tensor([row]), (site, at))[0] for row in pair]

            one, other = states("resid_pre")
            expect_close(
                answer.one_pair(case.model, plus, minus, layer),
                one.double() - other.double(),
                "the difference at every position",
                axes="pos d_model",
                atol=1e-4,
                mistakes=lambda one=one, other=other, states=states: {
                    "Only the sign is wrong: plus less minus.": other - one,
                    "This is what comes OUT of the block. Take its input.": (lambda p: p[0] - p[1])(
                        states("resid_post")
                    ),
                    "This is the first prompt alone. Subtract the other.": one,
                    "This is the last position alone, or a mean: keep every position.": (one - other)[-1],
                },
            )


@grades("10.6")
def test_adding_at_the_start(answer):
    """Streams that are longer than the difference, as long, and shorter."""
    for length, front in ((7, 4), (5, 5), (3, 6), (1, 4)):
        stream, difference, dose = randn(2, length, D_MODEL, seed=length), randn(front, D_MODEL, seed=front + 30), 2.5
        want = stream.clone()
        for at in range(min(length, front)):
            want[:, at] += dose * difference[at]
        n = min(length, front)

        def at_end(stream: Tensor = stream, difference: Tensor = difference, n: int = n, dose: float = dose) -> Tensor:
            return torch.cat(
                [stream[:, : stream.shape[1] - n], stream[:, stream.shape[1] - n :] + dose * difference[-n:]], 1
            )

        expect_close(
            answer.add_at_start(stream, difference, dose),
            want,
            f"{length} positions, of which the first {n} get the difference",
            axes="batch pos d_model",
            mistakes=lambda stream=stream, difference=difference, dose=dose, at_end=at_end, want=want, n=n: {
                "You add at the END of the text. ActAdd adds at its first positions.": at_end(),
                "Every position gets the difference of the last one. Position p gets difference[p].": (
                    stream + dose * difference[-1]
                ),
                "Every position gets the mean difference. Position p gets difference[p].": stream
                + dose * difference.mean(0),
                "The dose is left out.": stream + (want - stream) / dose,
                "The positions behind the difference are cut off. They stay as they were.": want[:, :n],
                "The positions behind the difference are 0. They stay as they were.": torch.cat(
                    [want[:, :n], torch.zeros_like(want[:, n:])], 1
                ),
                **(
                    {"A stream shorter than the difference gets nothing. Give it as much as it has room for.": stream}
                    if stream.shape[1] < len(difference)
                    else {}
                ),
            },
        )


@grades("10.6")
def test_the_mean_over_pairs(answer):
    """Random models, pairs whose prompts differ in length, every block."""
    for case in smalls():
        plus, minus = case.rows, [*case.rows[1:], case.rows[0]][::-1]
        if plus == minus:
            minus = minus[::-1]
        for layer in range(case.model.cfg.n_layers):

            def mean_of(rows: Any, site: str = "resid_pre", at: int = layer, case: Small = case) -> Tensor:
                return ends_of(case.model, rows, 1, site)[:, at, 0].double().mean(0)

            plus_ = [[*row[:-1], (row[-1] + 5) % D_VOCAB] for row in plus]  # the sets are unlike, not permuted
            want = mean_of(plus_) - mean_of(minus)
            tokens = {name: padded(rows) for name, rows in (("plus", plus_), ("minus", minus))}
            expect_close(
                answer.many_pairs(case.model, plus_, minus, layer),
                want,
                "the mean over pairs",
                axes="d_model",
                atol=1e-4,
                mistakes=lambda want=want, a=plus_, mean_of=mean_of, pads=tokens, case=case, at=layer, b=minus: {
                    "Only the sign is wrong: plus less minus.": -want,
                    "This is what comes OUT of the block. Take its input.": mean_of(a, "resid_post")
                    - mean_of(b, "resid_post"),
                    "This is the sum over pairs. Take the mean.": want * len(b),
                    "You read the last column of the padded batch. Each prompt has an end of its own.": (
                        activation(case.model, pads["plus"][0], ("resid_pre", at))[:, -1].mean(0)
                        - activation(case.model, pads["minus"][0], ("resid_pre", at))[:, -1].mean(0)
                    ),
                    "You scale the vector to length 1. Keep its length.": want / want.norm(),
                },
            )


# --- 10.7 -------------------------------------------------------------------------------------------------------------


@grades("10.7")
def test_taking_a_direction_out(answer):
    """Directions longer and shorter than 1, and an edit that changes nothing the second time."""
    for seed, size in ((1, 3.0), (2, 0.2), (3, 1.7)):
        stream, r = randn(3, 4, D_MODEL, seed=seed), vector(seed + 20, size)
        unit = r.double() / r.double().norm()
        along = (stream.double() @ unit)[..., None] * unit
        expect_close(
            answer.ablate(stream, r),
            stream.double() - along,
            "the stream without the direction",
            axes="batch pos d_model",
            mistakes=lambda stream=stream, r=r, along=along, unit=unit: {
                "You did not scale the direction to length 1: x − r rᵀ x takes out |r|² times too much.": stream
                - (stream @ r)[..., None] * r,
                "You divide by |r| once. It stands in x − r rᵀ x / |r|² twice.": stream - along * r.norm(),
                "You divide by |r| too often.": stream - along / r.norm(),
                "You subtract the direction itself, whatever the stream has of it.": stream - r,
                "You subtract r̂ itself, whatever the stream has of it.": stream - unit,
                "This is the part that is to be taken OUT. Subtract it from the stream.": along,
                "You add the part instead of taking it out.": stream + along,
                "You reflect the stream: the part is taken out twice.": stream - 2 * along,
            },
        )


@oracle_cache
def logits_ablated(number: int, seed: int, ends: tuple[str, ...] = steering.ways.WRITES, left: bool = False) -> Tensor:
    case = small(number)
    tokens, real = padded(case.rows, left)
    with case.model.hooks(steering.ablate(vector(seed), lambda name: name.endswith(ends))):
        return case.model(tokens, real)


def at_real(logits: Tensor, number: int, left: bool) -> Tensor:
    return logits * padded(small(number).rows, left)[1][..., None]


@grades("10.7", weight=2)
def test_nobody_writes_along_it(answer):
    """Random models with biases and norms; texts of different length, padded on the right and on the left."""
    for number, left in itertools.product(range(len(SHAPES)), (False, True)):
        case, r = small(number), vector(90 + number)
        tokens, real = padded(case.rows, left)
        got = answer.logits_without(case.model, tokens, r, real)
        expect_close(
            torch.zeros(got.shape), torch.zeros(*tokens.shape, D_VOCAB), "the logits", axes="batch pos d_vocab"
        )

        def with_ends(*ends: str, number: int = number, left: bool = left) -> Tensor:
            return at_real(logits_ablated(number, 90 + number, ends, left), number, left)

        expect_close(
            at_real(got, number, left),
            with_ends(*steering.ways.WRITES),
            "the logits at the texts' own positions",
            axes="batch pos d_vocab",
            atol=1e-4,
            rtol=1e-3,
            mistakes=lambda with_ends=with_ends, case=case, tokens=tokens, real=real, number=number, left=left, r=r: {
                "You take it out at the inputs of blocks alone. What the last block writes still reaches the logits, "
                "and the MLP reads what the attention has just written.": with_ends("hook_resid_pre"),
                "What attention writes is left: take it out at hook_attn_out too.": with_ends(
                    "hook_resid_pre", "hook_mlp_out"
                ),
                "What MLPs write is left: take it out at hook_mlp_out too.": with_ends(
                    "hook_resid_pre", "hook_attn_out"
                ),
                "What the embedding writes is left: take it out at hook_resid_pre too.": with_ends(
                    "hook_attn_out", "hook_mlp_out"
                ),
                "This is the model as it is: do your edits hold while it runs?": at_real(
                    case.model(tokens, real), number, left
                ),
                "`real` does not reach the model: padding is read as words. Pass it as attention_mask.": at_real(
                    unmasked(case, tokens, r), number, left
                ),
            },
        )


def unmasked(case: Small, tokens: Tensor, r: Tensor) -> Tensor:
    with case.model.hooks(steering.ablate(r)):
        return case.model(tokens)


@grades("10.7")
def test_without_a_mask(answer):
    """A text alone, of which no mask is given."""
    case, r = small(0), vector(44)
    tokens = torch.tensor([case.rows[2]])
    expect_close(
        answer.logits_without(case.model, tokens, r), unmasked(case, tokens, r), "the logits of a text alone",
        axes="batch pos d_vocab", atol=1e-4, rtol=1e-3,
    )  # fmt: skip


# --- 10.8 -------------------------------------------------------------------------------------------------------------

CANDIDATES = ((3, -1, 1.75), (2, -1, 2.5))  # input of a block, position, dose
SOME = 7  # requests of each kind


@oracle_cache
def first_words(number: int, ablated: bool, where: str = "own") -> Tensor:
    """[prompt d_vocab], log probabilities of the first word of replies to harmless requests, each prompt alone."""
    layer, position, _ = CANDIDATES[number]
    rows = asked(False, SOME, 33)
    found = []
    with pico().hooks(steering.ablate(drawn(layer, position)) if ablated else []):
        if where == "padded":
            return pico()(*padded(rows))[:, -1].log_softmax(-1)
        for row in rows:
            logits = pico()(torch.tensor([row]))[0].log_softmax(-1)
            found.append(logits if where == "all" else logits[-1])
    return torch.cat(found) if where == "all" else torch.stack(found)


def kl(number: int, turned: bool = False, where: str = "own", reduce: str = "mean") -> float:
    p, q = (first_words(number, ablated, where).double() for ablated in (turned, not turned))
    each = (p.exp() * (p - q)).sum(-1)
    return float(each.sum() if reduce == "sum" else each.mean())


@oracle_cache
def three(number: int, judge: str = "refused") -> tuple[float, float, float]:
    layer, position, dose = CANDIDATES[number]
    r, judge_of = drawn(layer, position), getattr(judges, judge)
    more = [] if judge == "refused" else near_the_end()
    return (
        judged(judge_of, [*asked(True, SOME, 33), *more], steering.ablate(r)),
        judged(judge_of, [*asked(False, SOME, 33), *more], steering.add(r, dose, layer)),
        kl(number),
    )


def score_slips(number: int) -> list[dict[str, Any]]:
    """What slips make of each of the three numbers."""
    layer, position, dose = CANDIDATES[number]
    r, harmful, harmless = drawn(layer, position), asked(True, SOME, 33), asked(False, SOME, 33)

    def refusing(rows: Any, edits: Any) -> float:
        return judged(judges.refused, rows, edits)

    return [
        {
            "`refuses` is asked of the harmless prompts. Ablate on the harmful ones.": refusing(
                harmless, steering.ablate(r)
            ),
            "`refuses` is as if nothing were taken out, or something at one block's input alone. Ablate the direction "
            "at every write.": refusing(harmful, []),
            "`refuses` is the share that is answered. The judge says True of a refusal.": 1 - three(number)[0],
        },
        {
            "`induces` is asked of the harmful prompts. Add on the harmless ones.": refusing(
                harmful, steering.add(r, dose, layer)
            ),
            "`induces` is that of the direction added once: add dose · direction.": refusing(
                harmless, steering.add(r, 1.0, layer)
            ),
            "`induces` adds to the OUTPUT of the block. The direction was read at its input.": refusing(
                harmless, steering.add(r, dose, layer, site="resid_post")
            ),
            "`induces` is asked while the direction is ablated. Add it.": refusing(harmless, steering.ablate(r)),
            "`induces` subtracts the direction. Add it.": refusing(harmless, steering.add(r, -dose, layer)),
            "`induces` adds at the prompt's last token alone. Here it is every position.": refusing(
                harmless, steering.add(r, dose, layer, positions=-1)
            ),
            "`induces` scales the direction to length 1. Add dose · direction.": refusing(
                harmless, steering.add(r / r.norm(), dose, layer)
            ),
        },
        {
            "The divergence is turned round: p, which weighs, is the model's own distribution.": kl(number, True),
            "You read the distribution at the last column of the padded batch. Each prompt has an end of its own.": kl(
                number, where="padded"
            ),
            "This is the mean over all positions. Only the first word of the reply counts.": kl(number, where="all"),
            "This is the sum over prompts. Take the mean.": kl(number, reduce="sum"),
            "The divergence is in bits. Take natural logarithms.": kl(number) / math.log(2),
        },
    ]


@grades("10.8", weight=3)
def test_three_questions(answer):
    """Pico, a good candidate and an early one."""
    for number, (layer, position, dose) in enumerate(CANDIDATES):
        want = three(number)
        got = answer.scores(
            pico(), drawn(layer, position), layer, asked(True, SOME, 33), asked(False, SOME, 33), dose, REFUSED
        )
        slips = None
        for i, name in enumerate(("refuses", "induces", "kl")):
            if abs(float(got[i]) - want[i]) <= 1e-4 + 1e-2 * want[i] * (i == 2):
                continue
            slips = slips or score_slips(number)
            expect_close(got[i], want[i], f"`{name}`", atol=1e-4, rtol=1e-2, mistakes=slips[i])


@grades("10.8")
def test_another_judge(answer):
    """The judge is asked, whichever it is, and replies end after 16 tokens."""
    layer, position, dose = CANDIDATES[0]
    both = [[*asked(kind, SOME, 33), *near_the_end()] for kind in (True, False)]
    given = (pico(), drawn(layer, position), layer, *both, dose)
    got, want = answer.scores(*given, COMPLETE), three(0, "complete")
    same = all(abs(float(a) - b) < 1e-4 for a, b in zip(got[:2], want[:2], strict=True))
    expect(
        same,
        "With a judge that asks whether a reply comes to its end within 16 tokens, the shares should be "
        f"{want[0]:.3g} and {want[1]:.3g}, but your code gave {float(got[0]):.3g} and {float(got[1]):.3g}: ask the "
        "judge that is passed, with longest=16.",
    )


# --- 10.9 -------------------------------------------------------------------------------------------------------------

Rule = Callable[[float, float, float, int, int], bool]
ALL: Rule = lambda refuses, induces, kl, layer, layers: induces > 0 and kl < 0.1 and layer < 0.8 * layers  # noqa: E731


def chosen(tables: Sequence[Tensor], rule: Rule = ALL, key: str = "best") -> tuple[int, int] | None:
    """Going through all candidates, keeping the best so far."""
    refuses, induces, kls = (table.double() for table in tables)
    best: tuple[int, int] | None = None
    for layer in range(refuses.shape[0]):
        for place in range(refuses.shape[1]):
            at = (layer, place)
            if math.isnan(refuses[at]) or not rule(
                float(refuses[at]), float(induces[at]), float(kls[at]), layer, len(refuses)
            ):
                continue
            if best is None:
                better = True
            elif key == "most":
                better = refuses[at] > refuses[best] or (refuses[at] == refuses[best] and induces[at] > induces[best])
            elif key == "induces":
                better = induces[at] > induces[best]
            elif key == "first":
                better = refuses[at] < refuses[best]
            elif key == "last":
                better = refuses[at] <= refuses[best]
            else:
                better = refuses[at] < refuses[best] or (refuses[at] == refuses[best] and induces[at] > induces[best])
            if better:
                best = at
    return best


def tables(seed: int, layers: int = 10, places: int = 3) -> list[Tensor]:
    """Of few values, so that there are ties and candidates on every border; layer 8 of 10 is the first that is late."""
    source = generator(seed)
    refuses = torch.randint(0, 5, (layers, places), generator=source) / 4
    induces = (torch.randperm(layers * places, generator=source).view(layers, places) - 0.3 * layers * places) / 20
    values = torch.tensor([0.01, 0.05, 0.1, 0.3], dtype=torch.float64)
    divergences = values[torch.randint(0, 4, (layers, places), generator=source)]
    return [refuses, induces.clamp(min=0), divergences]


@functools.cache
def few_layers() -> list[list[Tensor]]:
    """Four layers, of which none is late, and two; each with a candidate that passes."""
    found = [tables(100 + seed, layers, 2) for seed in range(60) for layers in (4, 2)]
    return [case for case in found if chosen(case) is not None][:20]


CHOICE_SLIPS: dict[str, tuple[Rule, str]] = {
    "You choose the candidate that refuses MOST when ablated. Take the one that refuses least.": (ALL, "most"),
    "You choose by what is induced. The one that refuses least comes first; what it induces decides ties.": (
        ALL, "induces",
    ),
    "You do not ask whether it induces refusal: induces > 0.": (
        lambda r, i, k, at, n: k < 0.1 and at < 0.8 * n, "best",
    ),
    "A candidate that induces nothing (0) does not pass: it is > 0, not ≥ 0.": (
        lambda r, i, k, at, n: i >= 0 and k < 0.1 and at < 0.8 * n, "best",
    ),
    "You do not ask whether harmless prompts are left alone: kl < 0.1.": (
        lambda r, i, k, at, n: i > 0 and at < 0.8 * n, "best",
    ),
    "A candidate with a kl of 0.1 does not pass: it is < 0.1, not ≤ 0.1.": (
        lambda r, i, k, at, n: i > 0 and k <= 0.1 and at < 0.8 * n, "best",
    ),
    "You do not ask whether it comes late: layer < 0.8 · number of layers.": (
        lambda r, i, k, at, n: i > 0 and k < 0.1, "best",
    ),
    "Layer 0.8 · number of layers itself is late: it is <, not ≤.": (
        lambda r, i, k, at, n: i > 0 and k < 0.1 and at <= 0.8 * n, "best",
    ),
    "Of candidates that refuse equally little you take the first. Take the one that induces most.": (ALL, "first"),
    "Of candidates that refuse equally little you take the last. Take the one that induces most.": (ALL, "last"),
}  # fmt: skip


@grades("10.9", weight=2)
def test_which_candidate_is_chosen(answer):
    """Sixty tables with ties and with candidates on every border, some of them of few layers."""
    cases = [*(tables(seed) for seed in range(40)), *few_layers()]
    got = [tuple(int(x) for x in answer.select(*case)) for case in cases]
    want = [chosen(case) for case in cases]
    if got == want:
        return
    for sentence, (rule, key) in CHOICE_SLIPS.items():
        if got == [chosen(case, rule, key) for case in cases]:
            raise Wrong(sentence, MISTAKE)
    if got == [(place, layer) for layer, place in (w for w in want if w)]:
        raise Wrong("The two numbers are exchanged: return (layer, place).", MISTAKE)
    i = next(i for i in range(len(cases)) if got[i] != want[i])
    raise Wrong(f"In one of the tables (layer, place) should be {want[i]}, but your code gave {got[i]}.")


@grades("10.9")
def test_nan_and_nobody(answer):
    """Candidates that were not tried, and tables in which no candidate passes."""
    one = tables(3)
    one[0][chosen(one)] = torch.nan
    two = tables(4)
    two[1][chosen(two)] = torch.nan
    three_ = tables(5)
    three_[2][chosen(three_)] = torch.nan
    four = tables(6)
    best = chosen(four)
    rest = four[0].clone()
    four[0][:] = torch.nan
    four[0][best] = rest[best]  # the first candidate that passes the conditions is NaN, and so are all others
    for case in (one, two, three_, four):
        got = tuple(int(x) for x in answer.select(*case))
        want = chosen(case)
        expect(got == want, f"What is NaN meets no condition: {want} should be chosen, but your code gave {got}.")
    for case in ([one[0], one[1] * 0, one[2]], [one[0], one[1], one[2] + 1]):
        try:
            answer.select(*case)
        except AnswerError as error:
            if error.type_name != "ValueError":
                raise
        else:
            raise Wrong("Where no candidate meets all three conditions, raise ValueError: else one is used that fails.")


# --- 10.10 ------------------------------------------------------------------------------------------------------------

WRITERS = ("W_E", "W_pos", "W_O", "b_O", "W_out", "b_out")


def put(model: Transformer, table: dict[str, Tensor]) -> Transformer:
    """A copy of a native model with these weights."""
    new = {"W_E": table["W_E"], "W_pos": table["W_pos"]}
    for layer in range(model.cfg.n_layers):
        for name, part in (("W_O", "attn"), ("b_O", "attn"), ("W_out", "mlp"), ("b_out", "mlp")):
            new[f"blocks.{layer}.{part}.{name}"] = table[name][layer]
    return with_weights(model, new)


@grades("10.10", weight=2)
def test_what_every_writer_becomes(answer):
    """Random models with biases, and Pico: each matrix and each bias that writes."""
    for model, r in ((small(0).model, vector(7)), (small(1).model, vector(8, 0.3)), (pico(), drawn(3))):
        got = answer.without_direction(model, r)
        if missing := [name for name in WRITERS if name not in got]:
            raise Wrong(
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: what writes to the stream is "
                "in the table, positions and biases too.", MISTAKE,
            )  # fmt: skip
        extra = sorted(set(got) - set(WRITERS))
        expect(not extra, f"{', '.join(extra)} only reads the stream, or is no weight: leave it out of the table.")
        unit = r.double() / r.double().norm()
        for name in WRITERS:
            old = getattr(model, name).double()
            along = (old @ unit)[..., None] * unit
            expect_close(
                got[name],
                old - along,
                f"the new {name}",
                atol=1e-4,
                mistakes=lambda old=old, along=along, r=r, name=name, unit=unit: {
                    f"{name} is the old one: it writes to the stream too.": old,
                    f"In {name} the direction is not scaled to length 1: |r|² times too much is taken out.": old
                    - along * r.double().norm() ** 2,
                    f"In {name} the direction is divided by its length once: it stands in W r rᵀ / |r|² twice.": old
                    - along * r.double().norm(),
                    f"The new {name} is the part that should be taken OUT.": along,
                    f"In {name} the part is taken out twice.": old - 2 * along,
                    f"In {name} the direction itself is subtracted, whatever the weights have of it.": old - unit,
                },
            )


@grades("10.10", weight=2)
def test_the_edited_model_is_the_ablated_one(answer):
    """Random models: with your weights in place, the logits are those of a run in which the direction is ablated."""
    for number in range(len(SHAPES)):
        case = small(number)
        got = answer.without_direction(case.model, vector(90 + number))
        expect(set(got) >= set(WRITERS), "The table lacks some of the weights that write to the stream.")
        table = {}
        for name in WRITERS:
            own = getattr(case.model, name)
            table[name] = torch.as_tensor(got[name]).detach().float()
            expect(table[name].shape == own.shape, f"The new {name} should have the shape of the old one.")
        tokens, real = padded(case.rows)
        edited = at_real(put(case.model, table)(tokens, real), number, False)
        ablated = at_real(logits_ablated(number, 90 + number), number, False)
        gap = float((edited - ablated).abs().max())
        expect(
            gap <= 1e-4 * max(1.0, float(ablated.abs().max())),
            f"With your weights the logits differ by up to {gap:.2g} from those of the ablated run. Something still "
            "writes along the direction.",
        )


# --- 10.11 ------------------------------------------------------------------------------------------------------------


@grades("10.11")
def test_random_directions(answer):
    """Their number and length, the seed, and that no direction of space is preferred."""
    like = vector(3, 4.5)
    got = answer.random_directions(like, 6, 11)
    expect_close(got.norm(dim=1), torch.full((6,), 4.5), "the length of each direction", atol=1e-3)
    expect_close(answer.random_directions(like, 6, 11), got, "the same seed's directions, asked for again")
    other = answer.random_directions(like, 6, 12)
    expect(
        float((other - got).abs().max()) > 1e-3,
        "Another seed gives the same directions: pass the seed to a generator of your own.",
    )
    again = answer.random_directions(2 * like + 1, 6, 11)
    turned = (got / got.norm(dim=1, keepdim=True) * (again / again.norm(dim=1, keepdim=True))).sum(1)
    expect(bool((turned > 0.999).all()), "Only the length of `like` may matter: where it points must not.")
    few = randn(3, seed=2)
    many = answer.random_directions(few, 4000, 5)
    many = many / many.norm(dim=1, keepdim=True)
    expect(
        float(many.mean(0).abs().max()) < 0.05,
        "The directions prefer a side: their mean is not 0. Draw numbers that are as often below 0 as above.",
    )
    square, fourth = many.square().mean(0), many.pow(4).mean(0)
    even = float((square - 1 / 3).abs().max()) < 0.03 and float((fourth - 1 / 5).abs().max()) < 0.02
    expect(
        even,
        "The directions prefer some corners or axes. Draw every number from a normal distribution, and then scale.",
    )
    rows = many[:50]
    expect(
        float((rows @ rows.T - torch.eye(50)).max()) < 0.9999,
        "Some of the directions are the same. Each is drawn anew.",
    )


class Costs(NamedTuple):
    perplexity: float
    right: float


def cost_of(case: Small, seed: int | None, how: str = "") -> Costs:
    """Each text and each question alone. The switches make known mistakes."""
    model, rows = case
    losses, r = [], None if seed is None else vector(seed)
    right = []
    with model.hooks([] if r is None else steering.ablate(r)):
        for row in rows:
            log_p = model(torch.tensor([row]))[0].double().log_softmax(-1)
            losses.append([-float(log_p[i, row[i + 1]]) for i in range(len(row) - 1)])
        for row, wanted in zip(*questions_of(case), strict=True):
            right.append(int(model(torch.tensor([row]))[0, -1].argmax()) == wanted)
    flat = [x for loss in losses for x in loss]
    mean = sum(flat) / len(flat)
    if how == "texts":
        mean = sum(sum(loss) / len(loss) for loss in losses) / len(losses)
    if how == "perplexities":
        value = sum(math.exp(sum(loss) / len(loss)) for loss in losses) / len(losses)
    elif how == "loss":
        value = mean
    elif how == "bits":
        value = 2**mean
    else:
        value = math.exp(mean)
    return Costs(value, sum(right) / len(right))


@functools.cache
def _answers(number: int) -> list[int]:
    """Of most questions what the model says, of some another token."""
    model, rows = small(number)
    said = [int(model(torch.tensor([row]))[0, -1].argmax()) for row in rows]
    return [(token + (i == 1)) % D_VOCAB for i, token in enumerate(said)]


def questions_of(case: Small) -> tuple[list[list[int]], list[int]]:
    number = next(i for i in range(len(SHAPES)) if small(i) is case)
    return case.rows, _answers(number)


def padded_cost(case: Small, seed: int | None, first: bool = False) -> float:
    """Perplexity with padding counted in; first: or with the first token predicted from nothing."""
    tokens, real = padded(case.rows)
    with case.model.hooks([] if seed is None else steering.ablate(vector(seed))):
        log_p = case.model(tokens, real).log_softmax(-1)
    here = (
        log_p.gather(-1, tokens[..., None])[..., 0] if first else log_p[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
    )
    return float((-here[real].mean() if first else -here.mean()).exp())


@grades("10.11", weight=2)
def test_what_is_left_of_the_model(answer):
    """Random models, texts and questions of different length, with a direction and without."""
    for number, seed in itertools.product(range(len(SHAPES)), (None, 5, 6)):
        case = small(number)
        want = cost_of(case, seed)
        r = None if seed is None else vector(seed)
        perplexity, right = answer.cost(case.model, case.rows, *questions_of(case), r)
        expect_close(
            perplexity,
            want.perplexity,
            "the perplexity",
            rtol=1e-3,
            mistakes=lambda case=case, seed=seed: {
                "You average over texts. Each TOKEN counts alike: longer texts have more of them.": cost_of(
                    case, seed, "texts"
                ).perplexity,
                "This is a mean of perplexities. First the mean loss over all tokens, then exp.": cost_of(
                    case, seed, "perplexities"
                ).perplexity,
                "This is the mean loss. The perplexity is its exp.": cost_of(case, seed, "loss").perplexity,
                "The loss is in nats, so the perplexity is e to the loss, not 2.": cost_of(
                    case, seed, "bits"
                ).perplexity,
                "Padding counts in your mean. Leave it out.": padded_cost(case, seed),
                "The logits at a position are for the NEXT token: compare out[:, :-1] with tokens[:, 1:].": padded_cost(
                    case, seed, first=True
                ),
                "The direction makes no difference to your perplexity. Ablate it, unless it is None.": cost_of(
                    case, None if seed is not None else 5
                ).perplexity,
            },
        )
        expect_close(
            right,
            want.right,
            "the share of right answers",
            mistakes=lambda case=case, seed=seed, want=want: {
                "This is the share of wrong answers.": 1 - want.right,
                "The direction makes no difference to your answers. Ablate it, unless it is None.": cost_of(
                    case, None if seed is not None else 5
                ).right,
                "This is the number of right answers. Take the share.": want.right * len(case.rows),
            },
        )


# --- 10.12 ------------------------------------------------------------------------------------------------------------

GROUPS = ("person", "goods", "danger")


@functools.cache
def of_kind(group: str, n: int, seed: int, split: str) -> list[list[int]]:
    """Harmful requests about one kind of object."""
    rng = random.Random(f"{group} {seed}")
    pool = [r for r in requests.HARMFUL if r.group == group and requests.left_out(r) == (split == "held_out")]
    texts = [" ".join(requests.ask(rng, pool[int(rng.random() * len(pool))])) for _ in range(n)]
    return steering.chat(pico(), texts)


@oracle_cache
def crossed(
    layer: int, position: int = -1, site: str = "resid_pre", base: str = "harmless", pooled: bool = False
) -> Tensor:
    """[drawn tested], shares refused."""

    def mean_of(rows: list[list[int]]) -> Tensor:
        return steering.collect(pico(), rows, (site, layer), position).mean(0)

    negative = {"harmless": mean_of(asked(False, 12, 40)), "none": torch.zeros(pico().cfg.d_model)}[base]
    every = torch.stack([mean_of(of_kind(kind, 11, 1, "train")) for kind in GROUPS]).mean(0)
    tested = [row for name in GROUPS for row in of_kind(name, 5, 2, "held_out")]
    table = []
    for kind in GROUPS:
        r = (every if pooled else mean_of(of_kind(kind, 11, 1, "train"))) - negative
        said = steering.replies(pico(), tested, steering.ablate(r), longest=16)
        table.append([judges.refused(one.words) for one in said])
    return torch.tensor(table).view(len(GROUPS), len(GROUPS), -1).float().mean(-1)


def expect_table(got: dict[str, dict[str, float]], drawn_from: Iterable[str], tested: Iterable[str]) -> None:
    rows, columns = sorted(drawn_from), sorted(tested)
    expect(
        sorted(got) == rows,
        f"The table should have a row for each kind that is drawn from, {', '.join(rows)}, but your code gave rows for "
        f"{', '.join(sorted(map(str, got))) or 'none'}.",
    )
    for kind, row in got.items():
        expect(
            sorted(row) == columns,
            f"The row of {kind!r} should have a number for each kind that is tested, {', '.join(columns)}, but your "
            f"code gave {', '.join(sorted(map(str, row))) or 'none'}.",
        )


@grades("10.12", weight=2)
def test_directions_of_one_kind_on_every_kind(answer):
    """Pico, directions of people, goods and dangerous things."""

    def found(layer: int) -> Tensor:
        got = answer.across_kinds(
            pico(),
            {kind: of_kind(kind, 11, 1, "train") for kind in GROUPS},
            asked(False, 12, 40),
            {kind: of_kind(kind, 5, 2, "held_out") for kind in GROUPS},
            layer,
            REFUSED,
        )
        expect_table(got, GROUPS, GROUPS)
        return torch.tensor([[float(got[a][b]) for b in GROUPS] for a in GROUPS])

    got = {2: found(2)}
    if not torch.allclose(got[2], crossed(2), atol=1e-4):
        got[1] = found(1)  # at one block alone some slips look alike

    def want(**how: Any) -> Tensor:
        return torch.stack([crossed(layer, **how) for layer in got])

    expect_close(
        torch.stack(list(got.values())),
        want(),
        "the share refused",
        axes="block drawn tested",
        mistakes=lambda: {
            "The two kinds are exchanged: found[a][b] is drawn from a and tested on b.": want().mT,
            "This is the share that is NOT refused.": 1 - want(),
            "You read the direction one block too late: take the INPUT of block `layer`.": want(site="resid_post"),
            "You read the direction at the token before the last one.": want(position=-2),
            "Your direction is the mean of the harmful prompts. Subtract that of the harmless ones.": want(base="none"),
            "Every kind gets the same direction, of all kinds together.": want(pooled=True),
            "Every kind gets the same direction: an edit made in a loop looks it up when it is called.": (
                want()[:, -1:].expand_as(want())
            ),
        },
    )


@grades("10.12")
def test_other_kinds_another_layer_and_another_judge(answer):
    """Animals and goods at the input of another block; a judge that asks whether a reply comes to its end."""
    given = {kind: of_kind(kind, 9, 4, "train") for kind in ("animal", "goods")}
    tested = {"goods": of_kind("goods", 4, 5, "held_out"), "talk": near_the_end()}
    got = answer.across_kinds(pico(), given, asked(False, 10, 41), tested, 1, COMPLETE)
    expect_table(got, given, tested)
    negative = steering.collect(pico(), asked(False, 10, 41), ("resid_pre", 1)).mean(0)
    for kind, prompts in given.items():
        r = steering.collect(pico(), prompts, ("resid_pre", 1)).mean(0) - negative
        for name, rows in tested.items():
            want = judged(judges.complete, rows, steering.ablate(r))
            expect_close(float(got[kind][name]), want, f"the share for {kind!r}, tested on {name!r}, by another judge")


# --- 10.13 ------------------------------------------------------------------------------------------------------------


def divergence(before: Tensor, after: Tensor, counts: Tensor) -> Tensor:
    """Position by position."""
    p, q = before.double().softmax(-1), after.double().softmax(-1)
    each = (p * (p.log() - q.log())).sum(-1)
    return torch.stack([each[i, j] for i, j in counts.nonzero().tolist()]).mean()


@grades("10.13")
def test_the_divergence(answer):
    """Random logits, some positions of which count."""
    for seed in (1, 2):
        before, after = randn(3, 5, 7, seed=seed), randn(3, 5, 7, seed=seed + 10)
        counts = torch.rand(3, 5, generator=generator(seed)) < 0.5
        every = torch.ones_like(counts)
        want = divergence(before, after, counts)
        p, q = before.softmax(-1), after.softmax(-1)
        expect_close(
            answer.divergence(before, after, counts),
            want,
            "the divergence",
            mistakes=lambda before=before, after=after, counts=counts, every=every, want=want, p=p, q=q: {
                "The divergence is turned round: p, which weighs, comes from `before`.": divergence(
                    after, before, counts
                ),
                "Every position counts in your mean. Take those where `counts` is True.": divergence(
                    before, after, every
                ),
                "You divide by all positions. Divide by how many count.": want * counts.sum() / counts.numel(),
                "This is the sum over positions. Take the mean.": want * counts.sum(),
                "You average over the vocabulary too. Sum over it.": want / before.shape[-1],
                "This is the cross-entropy −Σ p log q. Subtract the entropy of p: of two equal distributions it is "
                "0.": -(p * q.log()).sum(-1)[counts].mean(),
                "The positions that do NOT count are in your mean.": divergence(before, after, ~counts),
            },
        )
    args = {"before": randn(2, 3, 5, seed=8), "after": randn(2, 3, 5, seed=9), "counts": torch.ones(2, 3).bool()}
    expect_gradients(
        answer, "divergence", args, lambda b, a, c: divergence(b, a, c).float(),
        "the divergence", wrt=["after"],
    )  # fmt: skip


@functools.cache
def defended(number: int) -> Transformer:
    """The same network after some training: weights that differ a little from the original's."""
    model = small(number).model
    moved = {name: p + 0.05 * randn(*p.shape, seed=i) for i, (name, p) in enumerate(model.named_parameters())}
    return with_weights(model, moved)


LENGTHS = {0: [3, 2, 5, 1, 4], 1: [2, 6, 3]}


def loss_of(number: int, how: str = "", model: HookedModel | None = None) -> Tensor:
    """Each text alone. The switches make known mistakes."""
    case, seed = small(number), 40 + number
    original = case.model
    model = defended(number) if model is None else model
    kept = [*small(1 - number).rows[:2], case.rows[0]]
    total: list[Tensor] = []
    for row, n in zip(case.rows, LENGTHS[number], strict=True):
        one = torch.tensor([row])
        wanted = original(one)
        if how == "both ablated":
            with original.hooks(steering.ablate(vector(seed))):
                wanted = original(one)
        with model.hooks([] if how == "no attack" else steering.ablate(vector(seed))):
            got = model(one)
        start = {"late": n, "early": n - 2}.get(how, n - 1)
        start, stop = (0 if how == "prompt too" else max(start, 0)), len(row) - (how != "end too")
        p, q = wanted[0, start:stop].double().log_softmax(-1), got[0, start:stop].double().log_softmax(-1)
        p, q = (q, p) if how == "turned" else (p, q)
        total.append((p.exp() * (p - q)).sum(-1))
    rest: list[Tensor] = []
    for row in kept:
        one = torch.tensor([row])
        with model.hooks(steering.ablate(vector(seed)) if how == "kept attacked" else []):
            got = model(one)
        p, q = original(one)[0].double().log_softmax(-1), got[0].double().log_softmax(-1)
        p, q = (q, p) if how == "turned" else (p, q)
        rest.append((p.exp() * (p - q)).sum(-1))
    attacked, left = torch.cat(total).mean(), torch.cat(rest).mean()
    if how == "texts":
        attacked, left = torch.stack([t.mean() for t in total]).mean(), torch.stack([t.mean() for t in rest]).mean()
    if how == "one mean":
        return torch.cat([*total, *rest]).mean()
    return {"first": attacked, "second": left, "half": (attacked + left) / 2}.get(how, attacked + left)


LOSS_SLIPS = {
    "no attack": "The model is not attacked: run it with the direction ablated on the harmful prompts.",
    "both ablated": "The original is ablated too. The model should say what the original says WITHOUT an attack.",
    "kept attacked": "The direction is ablated on the kept texts too. There the model runs as it is.",
    "late": "You begin at the refusal's first token. What is PREDICTED begins one earlier, at the prompt's last token.",
    "early": "You begin one position too early: the prompt's last token, lengths[i] − 1, is the first that predicts.",
    "prompt too": "The prompt's own words count too. Only where a token of the refusal is predicted.",
    "end too": "The last token of the text predicts nothing that is there. End one earlier.",
    "turned": "The divergence is turned round: it is that of the model FROM the original, which weighs.",
    "texts": "You average over texts. Each position counts alike.",
    "one mean": "You take one mean over both parts. The loss is the sum of two means.",
    "first": "The kept texts do not count. Without them the model may forget everything else.",
    "second": "Only the kept texts count. The attack is what the defence is for.",
    "half": "This is the mean of the two parts. Take their sum.",
}


def defence_case(number: int) -> tuple[Any, ...]:
    case = small(number)
    kept = [*small(1 - number).rows[:2], case.rows[0]]
    return case.model, vector(40 + number), case.rows, LENGTHS[number], kept


@grades("10.13", weight=2)
def test_what_the_defence_makes_small(answer):
    """Random models with another network beside them, refusals of different length."""
    for number in range(len(SHAPES)):
        expect_close(
            answer.defence_loss(defended(number), *defence_case(number)),
            loss_of(number),
            "the loss",
            rtol=1e-3,
            mistakes=lambda number=number: {text: loss_of(number, how) for how, text in LOSS_SLIPS.items()},
        )


# In the learner's process: the gradients of the loss by all weights, and whether the original has any.
LEARNS = """lambda torch, loss, model, original, *rest: (
    lambda value: [torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(
        model.parameters(), torch.autograd.grad(value, [*model.parameters()], allow_unused=True, retain_graph=True))]),
        any(g is not None for g in torch.autograd.grad(value, list(original.parameters()), allow_unused=True))]
)(loss(model.requires_grad_(True), original.requires_grad_(True), *rest))"""


@grades("10.13")
def test_the_model_learns_and_the_original_does_not(answer):
    """Gradients reach every weight of the model, through the attack as well, and none of the original's."""
    number = 0
    answer.defence_loss(defended(number), *defence_case(number))
    run = answer.torch.attr("builtins").attr("eval")(LEARNS)
    try:
        got, original = run(answer.torch, answer.defence_loss, defended(number), *defence_case(number))
    except AnswerError as error:
        if "does not require grad" in str(error):
            raise Wrong(
                "No gradient comes through your loss, so nothing can be trained with it. Compute with torch from "
                "beginning to end, without float(), .item(), and torch.no_grad around the model."
            ) from None
        raise
    copy = with_weights(defended(number)).requires_grad_(True)
    with torch.enable_grad():
        want = torch.autograd.grad(loss_of(number, model=copy), list(copy.parameters()), allow_unused=True)
    flat = torch.cat(
        [(torch.zeros_like(p) if g is None else g).flatten() for p, g in zip(copy.parameters(), want, strict=True)]
    )
    expect(
        float((got - flat).abs().max()) <= 1e-2 * float(flat.abs().max()),
        "The gradients of your loss are wrong. If its value is right, a part of it is computed without gradients: both "
        "must go through the model.",
    )
    expect(not original, "Gradients reach the original. It is not trained: run it under torch.no_grad().")


# --- 10.14 ------------------------------------------------------------------------------------------------------------

GIVEN, FEWER = 24, 16  # requests of each kind that are given
TRIED, RANDOM = 16, 2  # held-out requests on which it is tried; random directions


@functools.cache
def held_out(harmful: bool) -> list[list[int]]:
    return asked(harmful, TRIED, 907, "held_out")


def cases_of(harmful: bool) -> list[Any]:
    draw = talk.harmful_requests if harmful else talk.harmless_requests
    return draw("held_out", TRIED, 907)


def answers_of(answer: Any, n: int, seed: int) -> tuple[Tensor, int, float]:
    """What the learner finds from n requests of each kind."""
    direction, layer, dose = answer.refusal_direction(pico(), asked(True, n, seed), asked(False, n, seed), REFUSED)
    direction = torch.as_tensor(direction).float()
    d_model, layers = pico().cfg.d_model, pico().cfg.n_layers
    expect(tuple(direction.shape) == (d_model,), f"The direction should have {d_model} numbers.")
    expect(bool(direction.isfinite().all()) and float(direction.norm()) > 0, "The direction is zero, or not finite.")
    layer, dose = int(layer), float(dose)
    expect(0 <= layer < layers, f"`layer` should be one of 0 … {layers - 1}, but your code gave {layer}.")
    expect(math.isfinite(dose), "The dose should be a finite number.")
    return direction, layer, dose


def plainly_topical(harmful: bool, edits: Any) -> float:
    """The share of replies that are whole, and about what was asked."""
    said = steering.replies(pico(), held_out(harmful), edits, longest=40)
    table = {(r.verb, r.object): r for r in requests.REQUESTS}
    good = [
        judges.complete(one.words) and judges.on_topic(table[case.verb, case.object], one.words)
        for one, case in zip(said, cases_of(harmful), strict=True)
    ]
    return sum(good) / len(good)


@grades("10.14", weight=4)
def test_the_direction_by_what_it_does(answer):
    """Held-out requests: refusal gone without your direction, there with it, and the rest as it was."""
    direction, layer, dose = answers_of(answer, GIVEN, 501)
    without, more = steering.ablate(direction), steering.add(direction, dose, layer, positions=-1)
    expect_gone(direction)
    kept = divergence_of(without)
    expect(
        kept < 0.1,
        f"Without your direction the first word of replies to harmless requests moves by {kept:.2g} nats; it should be "
        "less than 0.1. It governs more than refusal.",
    )
    made = judged(judges.refused, held_out(False), more, 12)
    expect(
        made >= 0.9,
        f"With {dose:g} times your direction at the input of block {layer}, at the prompt's last token, {made:.0%} of "
        "harmless requests are refused; at least 90 % should be. Is the sign right, is the dose large enough, and is "
        "the layer the one whose input it was read at?",
    )
    useful = plainly_topical(True, without)
    expect(
        useful >= 0.8,
        f"Without your direction harmful requests are not refused, but only {useful:.0%} of the replies are whole and "
        "about the request: the network is broken rather than willing. Take a direction that changes less.",
    )


@grades("10.14", weight=2)
def test_from_fewer_requests_and_beside_random_directions(answer):
    """Other requests, and fewer of them; random directions of the same length must be idle."""
    direction, layer, dose = answers_of(answer, FEWER, 77)
    expect_gone(direction)
    for other in steering.random_like(direction, RANDOM, seed=3):
        still = judged(judges.refused, held_out(True), steering.ablate(other), 12)
        none = judged(judges.refused, held_out(False), steering.add(other, dose, layer, positions=-1), 12)
        expect(
            still >= 0.9 and none <= 0.1,
            f"Random directions of this length do it too ({1 - still:.0%} answered, {none:.0%} refused). Then it is "
            "the length and not the direction: take a smaller dose.",
        )


def expect_gone(direction: Tensor) -> None:
    left = judged(judges.refused, held_out(True), steering.ablate(direction), 12)
    expect(
        left <= 0.1,
        f"Without your direction {left:.0%} of harmful requests are still refused; at most 10 % should be. Was it read "
        "at the last tokens of the prompt, late enough that the network has decided, and before it has spoken?",
    )


def divergence_of(edits: Any) -> float:
    """KL of the first word of replies to held-out harmless requests, ablated from plain."""
    tokens, real = padded(held_out(False))
    rows, last = torch.arange(len(tokens)), real.sum(1) - 1
    p = pico()(tokens, real)[rows, last].log_softmax(-1)
    with pico().hooks(edits):
        q = pico()(tokens, real)[rows, last].log_softmax(-1)
    return float((p.exp() * (p - q)).sum(-1).mean())
