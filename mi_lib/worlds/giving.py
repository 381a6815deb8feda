"""Giving: two people, and one of them gives something. Here we know who stands where, and to whom it is given.

    <bos> when mary and john met , and so john gave a very old ring to → mary
          [A]       [B]                  [S]                         END

IO is the name to say (mary), S the one who gives (john), S1 and S2 its two places, END the last token. Either may come
first: IO, S, S is called ABBA, and S, IO, S is called BABA (Wang et al. 2022, arXiv 2211.00593, section 2.1).

A template is an opening and a closing that together have N_CTX tokens, so that END is the same place in all of them and
the names are not. What is kept back from training, to be judged on:

    names        one pair of names in six, in either role; every name has partners of both kinds
    templates    one in three: every opening and every closing is known, but not the two together

Corrupted prompts are the paper's ABC: the same template, three other names. The giver is always the last name, and is
always one of the first two, so whoever writes against the last name does not need to know that it was said before.
"""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mi_lib.worlds.planted.ioi import NamePairs

NAMES = tuple(
    "mary john alice tom emma james lucy peter anna henry ella simon "
    "clara oscar nina felix ruth victor laura martin helen bruno grace leo".split()
)
THINGS = tuple("ring book key cup lamp coat drum kite clock scarf".split())
PLACES = tuple("school market station garden library harbour".split())
_PARTS = (  # openings, and the closings that have the right length for them
    (
        (
            "<bos> when [A] and [B] met ,",
            "<bos> then [A] saw [B] there ,",
            "<bos> [A] and [B] went home ,",
        ),
        (
            "and so [S] gave a very old [thing] to",
            "in the end [S] sent the old [thing] to",
            "then [S] took a [thing] and handed it to",
        ),
    ),
    (
        (
            "<bos> after lunch [A] and [B] talked ,",
            "<bos> [A] met [B] at the [place] ,",
            "<bos> when [A] came home [B] laughed ,",
        ),
        (
            "and then [S] sent the old [thing] to",
            "[S] found a [thing] and gave it to",
            "in the end [S] handed the [thing] to",
        ),
    ),
    (
        (
            "<bos> one day [A] and [B] were there ,",
            "<bos> [A] talked with [B] at the [place] ,",
            "<bos> when [A] was home [B] came there ,",
        ),
        (
            "and [S] gave a new [thing] to",
            "then [S] handed a new [thing] to",
            "[S] then sent the old [thing] to",
        ),
    ),
)
N_CTX = 16  # tokens of a prompt; the name that is to be said is one more
TEMPLATES = tuple(f"{o} {c}" for openings, closings in _PARTS for o in openings for c in closings)
HELD_OUT_TEMPLATES = tuple(i for i in range(len(TEMPLATES)) if i % 9 in (0, 4, 8))  # the first with the first, …
TRAIN_TEMPLATES = tuple(i for i in range(len(TEMPLATES)) if i not in HELD_OUT_TEMPLATES)
_SLOTS = ("[A]", "[B]", "[S]", "[thing]", "[place]")
_OTHERS = dict.fromkeys(w for t in TEMPLATES for w in t.split() if w not in (*_SLOTS, "<bos>"))
VOCABULARY = ("<bos>", *NAMES, *THINGS, *PLACES, *_OTHERS)  # token i is VOCABULARY[i]
D_VOCAB = len(VOCABULARY)
NAME_TOKENS = tuple(range(1, len(NAMES) + 1))
HELD_OUT_PAIRS = tuple((a, b) for a, b in combinations(NAME_TOKENS, 2) if (a + b) % 6 == 0)
TRAIN_PAIRS = tuple(pair for pair in combinations(NAME_TOKENS, 2) if pair not in HELD_OUT_PAIRS)

Which = Literal["train", "held_out", "all"]


def stories(n: int, *, seed: int, names: Which = "train", templates: Which = "train") -> NamePairs:
    """n prompts, in both orders, each with its corrupted one. The same arguments give the same on every machine.

    Tokens are [n, N_CTX]; `answers` holds IO and `corrupted_answers` S, [n], as in `planted.ioi`.
    names, templates: those of training, those kept back, or all. ValueError for n < 1, or another word.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}: how many stories are wanted?")
    couples = torch.tensor(_chosen("names", names, TRAIN_PAIRS, HELD_OUT_PAIRS))
    allowed = torch.tensor(_chosen("templates", templates, TRAIN_TEMPLATES, HELD_OUT_TEMPLATES))
    generator = torch.Generator().manual_seed(seed)

    def draw(below: int) -> Int[Tensor, " n"]:
        return torch.randint(below, (n,), generator=generator)

    couple = couples[draw(len(couples))]
    turned = draw(2)[:, None]
    io, s = couple.gather(1, torch.cat([turned, 1 - turned], 1)).unbind(1)
    template, io_first = allowed[draw(len(allowed))], draw(2).bool()
    rest = {"[thing]": 1 + len(NAMES) + draw(len(THINGS))}
    rest["[place]"] = 1 + len(NAMES) + len(THINGS) + draw(len(PLACES))
    first, second = torch.where(io_first, io, s), torch.where(io_first, s, io)
    clean = _filled(template, {"[A]": first, "[B]": second, "[S]": s, **rest})
    corrupted = _filled(
        template, dict(zip(("[A]", "[B]", "[S]"), _three_others(couple, generator), strict=True)) | rest
    )
    at_a, at_b, s2 = (_PLACE_OF[slot][template] for slot in ("[A]", "[B]", "[S]"))
    io_at, s1 = torch.where(io_first, at_a, at_b), torch.where(io_first, at_b, at_a)
    return NamePairs(clean, corrupted, io, s, template, io_at, s1, s2)


def whole_texts(drawn: NamePairs) -> Int[Tensor, "n pos"]:
    """The stories with the name that is to be said, N_CTX + 1 tokens each."""
    return torch.cat([drawn.clean, drawn.answers[:, None]], 1)


def _three_others(couple: Int[Tensor, "n 2"], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Three different names for each story, neither of the couple among them."""
    order = torch.rand(len(couple), len(NAMES), generator=generator)
    order.scatter_(1, couple - 1, 2.0)  # the last in the order
    return (1 + order.argsort(1)[:, :3]).unbind(1)


def _chosen(what: str, which: str, train: tuple, held_out: tuple) -> tuple:
    known = {"train": train, "held_out": held_out, "all": train + held_out}
    if which not in known:
        raise ValueError(f"{what} must be 'train', 'held_out' or 'all', not {which!r}")
    return known[which]


def _filled(template: Int[Tensor, " n"], words: dict[str, Int[Tensor, " n"]]) -> Int[Tensor, "n pos"]:
    tokens = _TABLE[template].clone()
    for slot, word in words.items():
        at = _PLACE_OF[slot][template]
        here = at >= 0
        tokens[here, at[here]] = word[here]
    return tokens


# For each template its tokens, 0 in the slots, and where each slot stands, −1 where there is none.
_SPLIT = [template.split() for template in TEMPLATES]
_TABLE = torch.tensor([[0 if w in _SLOTS else VOCABULARY.index(w) for w in words] for words in _SPLIT])
_PLACE_OF = {slot: torch.tensor([ws.index(slot) if slot in ws else -1 for ws in _SPLIT]) for slot in _SLOTS}
