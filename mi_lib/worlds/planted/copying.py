"""Circuits that find a word and copy it: previous token, induction, duplicate token, two hops, by position.

Prompts begin with `<bos>`, which carries no word: a head that looks there writes nothing. Every word is a token of its
own with a direction of its own in the variable "word"; the logits read "said", each word at LOUD.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lib.worlds.planted.circuit import Pairs, choose, edges_of, moved, one_hot, places, rows
from mi_lib.worlds.planted.compiler import Description, Head, Space
from mi_lib.worlds.planted.plan import Plan

BOS, ASK, FIRST = 0, 1, 2  # <bos>, the question at the end, and the first word
WORDS = tuple("apple bell cloud drum eagle fern glass harp iris jar kite lemon".split())
LOUD = 8.0  # the logit of the word that is said


def _words(vocabulary: tuple[str, ...]) -> Tensor:
    """The variable "word" of every token: one coordinate for each word, none for <bos> and the question."""
    return one_hot(range(FIRST, len(vocabulary)), len(vocabulary))


def _said(vocabulary: tuple[str, ...]) -> Tensor:
    return LOUD * _words(vocabulary).T


def _one_back(s: Space, n_ctx: int, value: Tensor, variable: str) -> Head:
    """Looks one place back (`<bos>` has none before it) and notes what is read there in a variable."""
    return Head(
        query=s.reads("place", moved(n_ctx, -1)),
        key=s.reads("place"),
        value=value,
        write=s[variable],
        otherwise=s.reads("start"),
    )


def previous(generator: torch.Generator, norm: bool) -> Plan:
    """The previous token, copied: "<bos> drum iris fern ?" → fern.

        1. a1.h0 at "?" asks for the place one back (its own place, rotated by one step), which is the key there.
        2. It reads the word there, and writes it to "said", which the logits read.

    It stands in layer 1, so that layer 0 holds nothing but distractors. Corrupted: other words.
    """
    vocabulary, n_ctx = ("<bos>", "?", *WORDS), 9
    s = Space(48, {"word": 12, "place": n_ctx - 1, "said": 12, "start": 1}, generator, norm)

    def draw(n: int, generator: torch.Generator) -> Pairs:
        words = FIRST + choose(n, 12, 12, generator)
        clean, corrupted = rows(n, BOS, words[:, :6], ASK), rows(n, BOS, words[:, 6:], ASK)
        return Pairs(clean, corrupted, words[:, 5], words[:, 11])

    return Plan(
        name="previous",
        task="Copy the token that stands before the last one.",
        description=Description(
            vocabulary,
            n_ctx,
            2,
            3,
            s,
            embed={"word": _words(vocabulary), "start": one_hot(BOS, 14)},
            positions={"place": places(n_ctx)},
            heads={"a1.h0": _one_back(s, n_ctx, s.reads("word"), "said")},
            unembed={"said": _said(vocabulary)},
        ),
        edges=edges_of("embed->a1.h0.v", "a1.h0->logits"),
        constant_edges=edges_of("pos_embed->a1.h0.q", "pos_embed->a1.h0.k"),
        roles={"a1.h0": "At the end, looks one place back and says the word that stands there."},
        draw=draw,
    )


def induction(generator: torch.Generator, norm: bool) -> Plan:
    """Induction (Elhage et al. 2021; Olsson et al. 2022): "<bos> drum iris fern harp iris" → fern.

        1. a0.h2 at every token looks one place back, and notes that word in "previous".
        2. a1.h1 asks for a token whose "previous" is its own word: the one after that word's earlier occurrence.
           If there is none it looks at <bos>, where there is no word.
        3. It reads the word there and writes it to "said".

    Corrupted: other words, repeated at another place.
    """
    vocabulary, n_ctx = ("<bos>", *WORDS), 9
    first = 1
    words = one_hot(range(first, 13), 13)
    s = Space(64, {"word": 12, "place": n_ctx - 1, "previous": 12, "said": 12, "start": 1}, generator, norm)
    look = Head(
        query=s.reads("word"),
        key=s.reads("previous"),
        value=s.reads("word"),
        write=s["said"],
        otherwise=s.reads("start"),
    )

    def draw(n: int, generator: torch.Generator) -> Pairs:
        drawn = first + choose(n, 12, 12, generator)
        clean, answers = _with_repeat(drawn[:, :6], generator)
        corrupted, corrupted_answers = _with_repeat(drawn[:, 6:], generator)
        return Pairs(clean, corrupted, answers, corrupted_answers)

    return Plan(
        name="induction",
        task="The last word has occurred before: say what came after it.",
        description=Description(
            vocabulary,
            n_ctx,
            2,
            4,
            s,
            embed={"word": words, "start": one_hot(BOS, 13)},
            positions={"place": places(n_ctx)},
            heads={"a0.h2": _one_back(s, n_ctx, s.reads("word"), "previous"), "a1.h1": look},
            unembed={"said": LOUD * words.T},
        ),
        edges=edges_of("embed->a0.h2.v", "a0.h2->a1.h1.k", "embed->a1.h1.q", "embed->a1.h1.v", "a1.h1->logits"),
        constant_edges=edges_of("pos_embed->a0.h2.q", "pos_embed->a0.h2.k"),
        roles={
            "a0.h2": "Previous-token head: at every token, notes the word before it.",
            "a1.h1": "Induction head: looks where the word before is the present one, and says what stands there.",
        },
        draw=draw,
    )


def _with_repeat(words: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """<bos>, the words, and one of them again (not the last); what followed it."""
    n, many = words.shape
    which = torch.randint(many - 1, (n,), generator=generator)
    at = torch.arange(n)
    return rows(n, BOS, words, words[at, which]), words[at, which + 1]


def duplicate(generator: torch.Generator, norm: bool) -> Plan:
    """Duplicate token: "<bos> drum iris fern iris harp ?" → iris.

        1. a0.h1 at every token looks for the same word at another place: its score is 1 for the same word, less 1 for
           the same place; if there is none, it looks at <bos>. It reads that there is a word, and writes a 1 to
           "again". So only the second occurrence carries it.
        2. a1.h0 at "?" looks for "again", reads the word there and writes it to "said".

    Corrupted: other words, with the repeat at other places.
    """
    vocabulary, n_ctx = ("<bos>", "?", *WORDS), 9
    words = _words(vocabulary)
    s = Space(64, {"word": 12, "place": n_ctx - 1, "again": 1, "said": 12, "start": 1, "ask": 1}, generator, norm)
    both = torch.cat([s.reads("word"), s.reads("place")], 1)
    sign = torch.cat([torch.ones(12), -torch.ones(n_ctx - 1)]).double()
    same = Head(
        query=both * sign,
        key=both,
        value=s.reads("word", torch.ones(12)),
        write=s["again"],
        otherwise=s.reads("start"),
    )
    say = Head(
        query=s.reads("ask"), key=s.reads("again"), value=s.reads("word"), write=s["said"], otherwise=s.reads("start")
    )

    def draw(n: int, generator: torch.Generator) -> Pairs:
        drawn = FIRST + choose(n, 12, 12, generator)
        order = choose(n, 6, 6, generator)  # the corrupted repeat stands where the clean one does not
        clean, answers = _with_duplicate(drawn[:, :5], order)
        corrupted, corrupted_answers = _with_duplicate(drawn[:, 6:11], order[:, [2, 3, 0, 1, 4, 5]])
        return Pairs(clean, corrupted, answers, corrupted_answers)

    return Plan(
        name="duplicate",
        task="One word occurs twice: say which.",
        description=Description(
            vocabulary,
            n_ctx,
            2,
            4,
            s,
            embed={"word": words, "start": one_hot(BOS, 14), "ask": one_hot(ASK, 14)},
            positions={"place": places(n_ctx)},
            heads={"a0.h1": same, "a1.h0": say},
            unembed={"said": _said(vocabulary)},
            d_head=24,
        ),
        edges=edges_of("embed->a0.h1.q", "embed->a0.h1.k", "a0.h1->a1.h0.k", "embed->a1.h0.v", "a1.h0->logits"),
        constant_edges=edges_of("pos_embed->a0.h1.q", "pos_embed->a0.h1.k", "embed->a0.h1.v", "embed->a1.h0.q"),
        roles={
            "a0.h1": "Duplicate-token head: marks a token whose word has occurred before.",
            "a1.h0": "At the end, looks at the marked token and says its word.",
        },
        draw=draw,
    )


def _with_duplicate(words: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """<bos>, five words at the places of `order`, the first word at two of them, "?"; the word that is there twice."""
    twice = torch.cat([words[:, :1], words], 1)
    return rows(len(words), BOS, torch.zeros_like(twice).scatter(1, order, twice), ASK), words[:, 0]


PEOPLE, TOWNS, RIVERS = "ada ben cleo dan".split(), "york lima bonn oslo".split(), "nile ebro rhine volga".split()


def two_hop(generator: torch.Generator, norm: bool) -> Plan:
    """Two hops: "<bos> ada york . lima ebro . ben lima . york nile . ada" → nile.

        1. a0.h1 at every token notes the word before it in "previous".
        2. a1.h2 at the end asks for a token whose "previous" is the present word (ada), reads the town there (york) and
           writes it to "town".
        3. a2.h0 asks for a token whose "previous" is that town, reads the river there (nile), and writes it to "said".

    Corrupted: the other people, towns and rivers, in another order.
    """
    vocabulary, n_ctx = ("<bos>", ".", *PEOPLE, *TOWNS, *RIVERS), 15
    people, towns, rivers = range(2, 6), range(6, 10), range(10, 14)
    word = one_hot(range(2, 14), 14)
    s = Space(
        64,
        {"word": 12, "place": n_ctx - 1, "previous": 8, "town": 4, "said": 4, "start": 1, "stop": 1},
        generator,
        norm,
    )
    eye = torch.eye(12)
    note = _one_back(s, n_ctx, s.reads("word", eye[:, :8]), "previous")  # rivers are never asked for
    hop = Head(
        query=s.reads("word", eye[:, :4]),
        key=s.reads("previous", eye[:8, :4]),
        value=s.reads("word", eye[:, 4:8]),
        write=s["town"],
        otherwise=s.reads("start"),
    )
    second = Head(
        query=torch.cat([s.reads("town"), 0 * s.reads("stop")], 1),
        query_bias=torch.tensor([0.0, 0, 0, 0, -1]),
        key=torch.cat([s.reads("previous", eye[:8, 4:8]), s.reads("stop")], 1),
        value=s.reads("word", eye[:, 8:]),
        write=s["said"],
        otherwise=s.reads("start"),
    )

    def draw(n: int, generator: torch.Generator) -> Pairs:
        who, where, what = (kind[0] + choose(n, 4, 4, generator) for kind in (people, towns, rivers))
        clean = _facts(who[:, :2], where[:, :2], what[:, :2], generator)
        corrupted = _facts(who[:, 2:], where[:, 2:], what[:, 2:], generator)
        return Pairs(clean, corrupted, what[:, 0], what[:, 2])

    return Plan(
        name="two_hop",
        task="Who lives in which town, and which river flows there: say the river of the last person's town.",
        description=Description(
            vocabulary,
            n_ctx,
            3,
            3,
            s,
            embed={"word": word, "start": one_hot(BOS, 14), "stop": one_hot(1, 14)},
            positions={"place": places(n_ctx)},
            heads={"a0.h1": note, "a1.h2": hop, "a2.h0": second},
            unembed={"said": LOUD * one_hot(rivers, 14).T},
        ),
        edges=edges_of(
            "embed->a0.h1.v",
            *("embed->a1.h2.q", "a0.h1->a1.h2.k", "embed->a1.h2.v"),
            *("a1.h2->a2.h0.q", "a0.h1->a2.h0.k", "embed->a2.h0.v", "a2.h0->logits"),
        ),
        constant_edges=edges_of("pos_embed->a0.h1.q", "pos_embed->a0.h1.k", "embed->a2.h0.k"),
        roles={
            "a0.h1": "Previous-token head: at every token, notes the person or town before it.",
            "a1.h2": "First hop: at the end, looks where the word before is this person, and notes the town there.",
            "a2.h0": "Second hop: looks where the word before is the town just found, and says the river there.",
        },
        draw=draw,
    )


def _facts(who: Tensor, where: Tensor, what: Tensor, generator: torch.Generator) -> Tensor:
    """Four facts in random order, each ended by a full stop, and the first person again."""
    n = len(who)
    facts = torch.stack([torch.stack(pair, 1) for pair in ((who[:, 0], where[:, 0]), (who[:, 1], where[:, 1]))], 1)
    more = torch.stack([torch.stack(pair, 1) for pair in ((where[:, 0], what[:, 0]), (where[:, 1], what[:, 1]))], 1)
    every = torch.cat([facts, more], 1)  # [n, 4 facts, 2 words]
    every = every.gather(1, choose(n, 4, 4, generator)[..., None].expand(-1, -1, 2))
    return rows(n, BOS, torch.cat([every, torch.full((n, 4, 1), 1)], 2), who[:, 0])


ORDINALS = "first second third fourth fifth".split()


def position(generator: torch.Generator, norm: bool) -> Plan:
    """By position: "<bos> drum iris fern harp lemon second ?" → iris.

        1. a0.h3 at "?" looks one place back, reads which number is asked for and notes it in "number".
        2. a1.h2 asks for the place of that number, whatever word is there, reads it, and writes it to "said".

    What the second head does depends on the position alone, and on no word. Corrupted: other words, another number.
    """
    vocabulary, n_ctx = ("<bos>", "?", *WORDS, *ORDINALS), 9
    words, numbers = range(2, 14), range(14, 19)
    s = Space(64, {"word": 12, "ordinal": 5, "place": n_ctx - 1, "number": 5, "said": 12, "start": 1}, generator, norm)
    note = _one_back(s, n_ctx, s.reads("ordinal"), "number")
    pick = Head(
        query=s.reads("number", places(n_ctx)[1:6]),
        key=s.reads("place"),
        value=s.reads("word"),
        write=s["said"],
        otherwise=s.reads("start"),
    )

    def draw(n: int, generator: torch.Generator) -> Pairs:
        drawn, which = words[0] + choose(n, 12, 12, generator), choose(n, 2, 5, generator)
        at = torch.arange(n)
        halves = drawn[:, :5], drawn[:, 5:10]
        clean, corrupted = (rows(n, BOS, w, numbers[0] + which[:, i], ASK) for i, w in enumerate(halves))
        return Pairs(clean, corrupted, *(w[at, which[:, i]] for i, w in enumerate(halves)))

    return Plan(
        name="position",
        task="Say the first, second, … or fifth word, as the number at the end asks.",
        description=Description(
            vocabulary,
            n_ctx,
            2,
            5,
            s,
            embed={"word": one_hot(words, 19), "ordinal": one_hot(numbers, 19), "start": one_hot(BOS, 19)},
            positions={"place": places(n_ctx)},
            heads={"a0.h3": note, "a1.h2": pick},
            unembed={"said": LOUD * one_hot(words, 19).T},
        ),
        edges=edges_of("embed->a0.h3.v", "a0.h3->a1.h2.q", "embed->a1.h2.v", "a1.h2->logits"),
        constant_edges=edges_of("pos_embed->a0.h3.q", "pos_embed->a0.h3.k", "pos_embed->a1.h2.k"),
        roles={
            "a0.h3": "At the end, looks one place back and notes which number is asked for.",
            "a1.h2": "Looks at the place with that number, whatever word is there, and says the word.",
        },
        draw=draw,
    )
