"""Indirect objects, planted: the circuit of Wang et al. 2022 (arXiv 2211.00593) in weights.

    <bos> when mary and john went home , john gave a ring to → mary

IO is the name to say (mary), S the other one, S1 and S2 its two places, END the last token. In GPT-2 the circuit was
found; here it was written down, so that each step of finding it can be judged.

    1. a0.h1   previous token    at every token, notes the name before it in "previous"
    2. a0.h3   duplicate token   at S2, looks at the same name at another place: marks S2 as "again", and notes
                                 the place of S1 in "where"
    3. a1.h2   induction         at S2, looks where "previous" is its own name (S1 + 1), and marks S2 as "again" too
    4. a2.h0   S-inhibition      at END, looks at what is marked by both (half a mark is not enough), and notes its name
               by token          in "avoid"
    5. a2.h3   S-inhibition      the same, and brings the "where" of S2 to END
               by position
    6. a3.h0,  name movers       at END, look at names, less at the name in "avoid", less at the place in "where"; write
       a3.h2                     the name to "said"
    7. a4.h0   negative mover    looks as the movers do, and writes against it
    8. a4.h1,  backup movers     at END, look at names, not at the name in "avoid", nor at one that has been "said".
       a4.h3                     While either mover works, there is no such name, and they look at <bos>. Once both are
                                 silenced, by any means, they say the name

The other ten heads are idle, and each looks exactly where one of these looks (`circuit.decoys`). Every token's
embedding has noise: a random vector of length 1 in directions that no part of the circuit reads, and one of length .01
in all directions.

Corrupted prompts are the paper's ABC: the same template and places, three other names. The metric is the paper's,
logit(IO) − logit(S), so that `corrupted_answers` holds S, and the metric of a corrupted prompt is about 0.

About the backups a patch says curious things, all of them right. What they read matters in the clean run, for it keeps
them asleep: `avoid` (they would say S), the names in their keys, and the two movers (`together`: either is enough).
What they carry and write does not: these edges are `dormant`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from mi_lib.models.graph import Edge
from mi_lib.worlds.planted.circuit import Pairs, choose, edges_of, moved, one_hot, places
from mi_lib.worlds.planted.compiler import Description, Head, Space
from mi_lib.worlds.planted.plan import Plan

NAMES = tuple("mary john alice tom emma james lucy peter".split())
TEMPLATES = (  # [A] and [B] are the two names in either order, [S] is one of them again
    "<bos> when [A] and [B] went home , [S] gave a [thing] to",
    "<bos> [A] and [B] had a long day and [S] passed [thing] to",
    "<bos> then [A] met [B] at [place] , [S] sent a [thing] to",
    "<bos> after the talk [A] and [B] sat down [S] handed [thing] to",
)
THINGS, PLACES = tuple("ring book key cup".split()), tuple("school market".split())
_OTHERS = dict.fromkeys(w for t in TEMPLATES for w in t.split() if not w.startswith(("[", "<")))
VOCABULARY = ("<bos>", *NAMES, *THINGS, *PLACES, *_OTHERS)
N_CTX = 13  # every template has as many tokens

CLASSES = {
    "previous token": ("a0.h1",),
    "duplicate token": ("a0.h3",),
    "induction": ("a1.h2",),
    "s-inhibition": ("a2.h0", "a2.h3"),
    "name mover": ("a3.h0", "a3.h2"),
    "negative mover": ("a4.h0",),
    "backup mover": ("a4.h1", "a4.h3"),
}
LOUD = 7.0  # the logit of a name that is said once
MOVER, NEGATIVE, BACKUP = 0.75, -0.6, 0.6  # how loud each head says a name
AVOID, WHERE = 1.75 / 12, 3.5 / 12  # how much a mover's score falls for the name, and for the place, to avoid


@dataclass(frozen=True)
class NamePairs(Pairs):
    """Pairs with what is where: the template of each, and the positions of the names (END is the last one)."""

    template: Int[Tensor, " batch"]
    io: Int[Tensor, " batch"]
    s1: Int[Tensor, " batch"]
    s2: Int[Tensor, " batch"]


def ioi(generator: torch.Generator, norm: bool) -> Plan:
    """The circuit of the module's docstring."""
    n, d_vocab = len(NAMES), len(VOCABULARY)
    sizes = {"name": n, "place": N_CTX - 1, "previous": n, "where": N_CTX - 1, "avoid": n, "said": n}
    flags = {"again": 1, "start": 1, "word": 1, "end": 1}
    s = Space(80, sizes | flags, generator, norm)
    name = one_hot(range(1, n + 1), d_vocab)
    return Plan(
        name="ioi",
        task="Two people, and one of them gives something: say to whom.",
        description=Description(
            VOCABULARY,
            N_CTX,
            5,
            4,
            s,
            embed={
                "name": name,
                "start": one_hot(0, d_vocab),
                "word": 1 - one_hot(0, d_vocab),
                "end": one_hot(VOCABULARY.index("to"), d_vocab),
            },
            positions={"place": places(N_CTX)},
            heads=_heads(s),
            unembed={"said": LOUD * name.T},
            d_head=24,
            d_mlp=8,
            noise=0.01,
            random=0,
        ),
        edges=_edges(),
        constant_edges=_constant_edges(),
        roles=_roles(),
        draw=_draw,
        together=tuple(
            edges_of(*(f"{mover}->{backup}.q" for mover in CLASSES["name mover"])) for backup in CLASSES["backup mover"]
        ),
        dormant=edges_of(
            *(edge for b in CLASSES["backup mover"] for edge in (f"embed->{b}.v", f"{b}->logits")),
        ),
    )


def _heads(s: Space) -> dict[str, Head]:
    n, start = len(NAMES), s.reads("start")
    is_name = s.reads("name", torch.ones(n))
    previous = Head(
        query=s.reads("place", moved(N_CTX, -1)),
        key=s.reads("place"),
        value=s.reads("name"),
        write=s["previous"],
        otherwise=start,
    )
    duplicate = Head(
        query=torch.cat([s.reads("name"), -s.reads("place")], 1),
        key=torch.cat([s.reads("name"), s.reads("place")], 1),
        value=torch.cat([is_name / 2, s.reads("place")], 1),
        write=torch.cat([s["again"], s["where"]]),
        otherwise=start,
    )
    induction = Head(
        query=s.reads("name"),
        key=s.reads("previous"),
        value=s.reads("word") / 2,
        write=s["again"],
        otherwise=start,
    )
    found = {"a0.h1": previous, "a0.h3": duplicate, "a1.h2": induction}
    for head, value in (("a2.h0", "name"), ("a2.h3", "where")):
        write = s["avoid" if value == "name" else "where"]
        found[head] = Head(
            query=s.reads("end"),
            key=s.reads("again"),
            value=s.reads(value),
            write=write,
            otherwise=start,
            least=0.75,
        )
    for kind, loud in (("name mover", MOVER), ("negative mover", NEGATIVE)):
        for head in CLASSES[kind]:
            found[head] = Head(
                query=torch.cat([s.reads("end"), -AVOID * s.reads("avoid"), -WHERE * s.reads("where")], 1),
                key=torch.cat([is_name, s.reads("name"), s.reads("place")], 1),
                value=s.reads("name"),
                write=loud * s["said"],
                sharpness=12,
            )
    for head in CLASSES["backup mover"]:
        found[head] = Head(
            query=torch.cat([s.reads("end"), -s.reads("avoid") - 1.6 * s.reads("said")], 1),
            key=torch.cat([is_name, s.reads("name")], 1),
            value=s.reads("name"),
            write=BACKUP * s["said"],
            otherwise=start,
            sharpness=16,
        )
    return found


def _edges() -> frozenset[Edge]:
    """What each head reads of whom, and what the logits do."""
    found = ["embed->a0.h1.v", "embed->a0.h3.q", "embed->a0.h3.k", "embed->a1.h2.q", "a0.h1->a1.h2.k"]
    found += [f"{marks}->{looks}.k" for marks in ("a0.h3", "a1.h2") for looks in CLASSES["s-inhibition"]]
    found += ["embed->a2.h0.v", "a0.h3->a2.h3.v"]
    for head in (*CLASSES["name mover"], *CLASSES["negative mover"]):
        found += [f"a2.h0->{head}.q", f"a2.h3->{head}.q", f"embed->{head}.k", f"embed->{head}.v", f"{head}->logits"]
    for head in CLASSES["backup mover"]:
        found += [f"a2.h0->{head}.q", f"embed->{head}.k", *(f"{mover}->{head}.q" for mover in CLASSES["name mover"])]
    return edges_of(*found)


def _constant_edges() -> frozenset[Edge]:
    """Where tokens stand, that they are names or words, and that this is the end."""
    found = ["pos_embed->a0.h1.q", "pos_embed->a0.h1.k", *(f"pos_embed->a0.h3.{which}" for which in "qkv")]
    found += ["embed->a0.h3.v", "embed->a1.h2.v", *(f"embed->{head}.q" for head in CLASSES["s-inhibition"])]
    for head in (*CLASSES["name mover"], *CLASSES["negative mover"]):
        found += [f"embed->{head}.q", f"pos_embed->{head}.k"]
    return edges_of(*found)


def _roles() -> dict[str, str]:
    says = {
        "previous token": "Previous-token head: at every token, notes the name before it.",
        "duplicate token": "Duplicate-token head: at S2, marks that the name was there before, and notes where.",
        "induction": "Induction head: at S2, looks behind S1, and marks S2 too.",
        "name mover": "Name mover: at END, looks at the name that is not to be avoided, and says it.",
        "negative mover": "Negative mover: looks as the movers do, and writes against that name.",
        "backup mover": "Backup mover: asleep while a mover says the name; says it once both are silenced.",
    }
    roles = {head: says[kind] for kind, heads in CLASSES.items() if kind in says for head in heads}
    roles["a2.h0"] = "S-inhibition by token: at END, looks at S2 and notes its name as one to avoid."
    roles["a2.h3"] = "S-inhibition by position: at END, looks at S2 and brings the place of S1, as one to avoid."
    return roles


def _draw(n: int, generator: torch.Generator) -> NamePairs:
    """Prompts of all templates, in both orders, each with three other names in its corrupted one."""
    people = 1 + choose(n, 5, len(NAMES), generator)  # IO, S, then A, B and C
    template = torch.randint(len(TEMPLATES), (n,), generator=generator)
    io_first = torch.rand(n, generator=generator) < 0.5
    things, towns = (torch.randint(len(words), (n,), generator=generator) for words in (THINGS, PLACES))
    clean, corrupted = [], []
    for row in range(n):
        io, s, *others = people[row].tolist()
        pair = (io, s) if io_first[row] else (s, io)
        rest = {"[thing]": THINGS[int(things[row])], "[place]": PLACES[int(towns[row])]}
        words = TEMPLATES[int(template[row])].split()
        clean.append(_filled(words, dict(zip(("[A]", "[B]", "[S]"), (*pair, s), strict=True)), rest))
        corrupted.append(_filled(words, dict(zip(("[A]", "[B]", "[S]"), others, strict=True)), rest))
    where = torch.tensor([[t.split().index(slot) for slot in ("[A]", "[B]", "[S]")] for t in TEMPLATES])[template]
    first, second, s2 = where.unbind(1)
    io_at, s1 = torch.where(io_first, first, second), torch.where(io_first, second, first)
    return NamePairs(torch.tensor(clean), torch.tensor(corrupted), people[:, 0], people[:, 1], template, io_at, s1, s2)


def _filled(words: list[str], names: dict[str, int], rest: dict[str, str]) -> list[int]:
    return [names[w] if w in names else VOCABULARY.index(rest.get(w, w)) for w in words]
