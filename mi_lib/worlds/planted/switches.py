"""Circuits that say yes or no: a conjunction, a redundant pair, a pair that cancels.

Words are bright or dull: "word" has one coordinate for each, and BRIGHT reads which it is. "?" stands at the end. A
variable "yes" between 0 and 1 is what the circuit decides: logit(yes) = LOUD · yes, and logit(no) = LOUD / 2, always.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lib.worlds.planted.circuit import Pairs, choose, edges_of, moved, one_hot, places, rows
from mi_lib.worlds.planted.compiler import Description, Head, Neuron, Space, clipped
from mi_lib.worlds.planted.plan import Plan

BRIGHT_WORDS, DULL_WORDS = "gold ruby silver pearl coral amber".split(), "mud ash clay soot rust lead".split()
VOCABULARY = ("<bos>", "?", *BRIGHT_WORDS, *DULL_WORDS, "yes", "no")
BOS, ASK, FIRST, YES, NO = 0, 1, 2, 14, 15
BRIGHT = torch.cat([torch.ones(6), torch.zeros(6)])  # of each word
LOUD = 8.0
N_CTX, LENGTH = 9, 6  # positions, and words in a prompt


def _description(
    s: Space, n_layers: int, n_heads: int, heads: dict[str, Head], neurons: dict[int, list[Neuron]]
) -> Description:
    d_vocab = len(VOCABULARY)
    b_U = torch.zeros(d_vocab)
    b_U[NO] = LOUD / 2
    return Description(
        VOCABULARY,
        N_CTX,
        n_layers,
        n_heads,
        s,
        embed={"word": one_hot(range(FIRST, FIRST + 12), d_vocab), "start": one_hot(BOS, d_vocab)},
        positions={"place": places(N_CTX)},
        heads=heads,
        neurons=neurons,
        unembed={"yes": LOUD * one_hot(YES, d_vocab).T},
        b_U=b_U,
    )


def _space(sizes: dict[str, int], generator: torch.Generator, norm: bool) -> Space:
    return Space(48, {"word": 12, "place": N_CTX - 1, "start": 1, "yes": 1, **sizes}, generator, norm)


def _back(s: Space, steps: int, variable: str) -> Head:
    """Looks so many places back, and notes in a variable whether the word there is bright."""
    return Head(
        query=s.reads("place", moved(N_CTX, -steps)),
        key=s.reads("place"),
        value=s.reads("word", BRIGHT),
        write=s[variable],
        otherwise=s.reads("start"),
    )


def _prompt(bright: Tensor, generator: torch.Generator) -> Tensor:
    """<bos>, words that are bright where `bright` [n LENGTH] says so and dull elsewhere, "?"."""
    n = len(bright)
    words = torch.where(bright, choose(n, LENGTH, 6, generator), 6 + choose(n, LENGTH, 6, generator))
    return rows(n, BOS, FIRST + words, ASK)


def _coins(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, LENGTH, generator=generator) < 0.5


def _answers(yes: Tensor) -> Tensor:
    return torch.where(yes, YES, NO)


def conjunction(generator: torch.Generator, norm: bool) -> Plan:
    """A conjunction in an MLP that saturates: "<bos> mud gold ash clay ruby rust ?" → yes, for both slots are bright.

        1. a0.h1 at "?" looks 5 places back (the second word) and notes in "left" whether the word there is bright.
        2. a1.h2 at "?" looks 2 places back (the fifth word) and notes it in "right".
        3. m1 has two neurons that make a step of x = left + right: 0 up to x = 1.25, 1 from x = 1.75 on.
           "yes" is therefore 1 where both are bright, and there the step is flat: the gradient of the answer with
           respect to either is 0, though each of them alone turns it into "no".

    Clean: both bright, answer yes. Corrupted: neither, answer no. All other words are bright or dull by chance.
    """
    s = _space({"left": 1, "right": 1}, generator, norm)
    step = clipped(s["left"][0] + s["right"][0], s["yes"][0], slope=2.0, threshold=1.25)

    def prompt(n: int, generator: torch.Generator, both: bool | None) -> tuple[Tensor, Tensor]:
        bright = _coins(n, generator)
        if both is not None:
            bright[:, [1, 4]] = both
        return _prompt(bright, generator), _answers(bright[:, 1] & bright[:, 4])

    def draw(n: int, generator: torch.Generator) -> Pairs:
        (clean, answers), (corrupted, others) = (prompt(n, generator, both) for both in (True, False))
        return Pairs(clean, corrupted, answers, others)

    return Plan(
        name="conjunction",
        task="Are the second and the fifth word both bright?",
        description=_description(s, 2, 4, {"a0.h1": _back(s, 5, "left"), "a1.h2": _back(s, 2, "right")}, {1: step}),
        edges=edges_of("embed->a0.h1.v", "embed->a1.h2.v", "a0.h1->m1", "a1.h2->m1", "m1->logits"),
        constant_edges=edges_of(
            *(f"pos_embed->{head}.{which}" for head in ("a0.h1", "a1.h2") for which in "qk"),
        ),
        roles={
            "a0.h1": "At the end, notes whether the second word is bright.",
            "a1.h2": "At the end, notes whether the fifth word is bright.",
            "m1": "Says yes if both are; its step is flat there.",
        },
        draw=draw,
        prompts=lambda n, generator: prompt(n, generator, None),
    )


def redundant(generator: torch.Generator, norm: bool) -> Plan:
    """A redundant pair: "<bos> mud clay gold ash lead rust ?" → yes, for there is a bright word.

        1. a0.h0 looks for a bright word, at <bos> if there is none, and notes in "seen" that it is bright.
        2. a1.h3 does the same, and notes it in "found".
        3. m1 has two neurons that make a step of x = seen + found: 0 up to x = .25, 1 from x = .75 on.

    One head is enough, so **patching any edge of one head alone changes nothing**, and the gradient is 0 as well. The
    same edge of both, patched together, turns yes into no (`circuit.together`). m1 -> logits shows alone.
    Clean: one bright word. Corrupted: none.
    """
    s = _space({"seen": 1, "found": 1}, generator, norm)

    def search(variable: str) -> Head:
        return Head(
            key=s.reads("word", BRIGHT),
            query_bias=torch.ones(1),
            value=s.reads("word", BRIGHT),
            write=s[variable],
            otherwise=s.reads("start"),
        )

    step = clipped(s["seen"][0] + s["found"][0], s["yes"][0], slope=2.0, threshold=0.25)

    def prompt(generator: torch.Generator, present: Tensor) -> tuple[Tensor, Tensor]:
        where = torch.randint(LENGTH, (len(present), 1), generator=generator)
        bright = (torch.arange(LENGTH) == where) & present[:, None]
        return _prompt(bright, generator), _answers(present)

    def draw(n: int, generator: torch.Generator) -> Pairs:
        one, none = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
        (clean, answers), (corrupted, others) = (prompt(generator, present) for present in (one, none))
        return Pairs(clean, corrupted, answers, others)

    pairs = [("embed->a0.h0.k", "embed->a1.h3.k"), ("embed->a0.h0.v", "embed->a1.h3.v"), ("a0.h0->m1", "a1.h3->m1")]
    return Plan(
        name="redundant",
        task="Is there a bright word?",
        description=_description(s, 2, 4, {"a0.h0": search("seen"), "a1.h3": search("found")}, {1: step}),
        edges=edges_of(*(edge for pair in pairs for edge in pair), "m1->logits"),
        constant_edges=frozenset(),
        together=tuple(edges_of(*pair) for pair in pairs),
        roles={
            "a0.h0": "Looks for a bright word and notes that there is one.",
            "a1.h3": "Does the same again: either of the two suffices.",
            "m1": "Says yes if at least one of them has seen a bright word.",
        },
        draw=draw,
        prompts=lambda n, generator: prompt(generator, _coins(n, generator)[:, 0]),
    )


def cancelling(generator: torch.Generator, norm: bool) -> Plan:
    """A pair that cancels: "<bos> mud gold ruby clay rust ash ?" → yes, for the third word is bright.

        1. a0.h2 at "?" looks 4 places back (the third word) and notes in "seen" whether the word there is bright: x.
        2. a1.h1 looks at its own place, reads x and writes 2x to "yes".
        3. m1 has a neuron that writes −max(2x − 1, 0) to "yes".

    Together they make min(2x, 1): 1 at x = 1, where the slopes 2 and −2 cancel. So the **gradient** of the answer with
    respect to x is 0, and whatever follows it back to a0.h2 finds nothing, although the network has no other source.
    Patched alone, the two edges behind x change the answer by twice its range and by minus once; together, as when x
    itself is patched, by what remains of the two: its range.
    Clean: the third word is bright. Corrupted: it is dull. All other words are bright or dull by chance.
    """
    s = _space({"seen": 1}, generator, norm)
    double = Head(
        query=s.reads("place"),
        key=s.reads("place"),
        value=s.reads("seen", 2 * torch.ones(1)),
        write=s["yes"],
        otherwise=s.reads("start"),
    )
    against = Neuron(2 * s["seen"][0], -s["yes"][0], -1.0)

    def prompt(n: int, generator: torch.Generator, third: bool | None) -> tuple[Tensor, Tensor]:
        bright = _coins(n, generator)
        if third is not None:
            bright[:, 2] = third
        return _prompt(bright, generator), _answers(bright[:, 2])

    def draw(n: int, generator: torch.Generator) -> Pairs:
        (clean, answers), (corrupted, others) = (prompt(n, generator, third) for third in (True, False))
        return Pairs(clean, corrupted, answers, others)

    return Plan(
        name="cancelling",
        task="Is the third word bright?",
        description=_description(s, 2, 4, {"a0.h2": _back(s, 4, "seen"), "a1.h1": double}, {1: [against]}),
        edges=edges_of("embed->a0.h2.v", "a0.h2->a1.h1.v", "a0.h2->m1", "a1.h1->logits", "m1->logits"),
        constant_edges=edges_of(*(f"pos_embed->{head}.{which}" for head in ("a0.h2", "a1.h1") for which in "qk")),
        roles={
            "a0.h2": "At the end, notes whether the third word is bright.",
            "a1.h1": "Says yes, twice as loud as it should.",
            "m1": "Takes half of that back, by a slope that cancels the other's.",
        },
        draw=draw,
        prompts=lambda n, generator: prompt(n, generator, None),
    )
