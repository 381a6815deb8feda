"""What a planted circuit is: a network, its prompts, and the truth about its nodes and edges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models import Transformer
from mi_lib.models.graph import EMBED, LOGITS, POS_EMBED, Edge, all_edges, node_of, receivers, senders
from mi_lib.worlds.planted.compiler import Space

Places = Float[Tensor, "n_ctx size"]


@dataclass(frozen=True)
class Pairs:
    """Clean prompts, each with a corrupted one of the same length that has another answer.

    The answer stands after the last token. Tokens are [batch pos], answers [batch] (token numbers).
    """

    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"]
    answers: Int[Tensor, " batch"]
    corrupted_answers: Int[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.clean)


@dataclass(frozen=True)
class Circuit:
    """A network of which every part's work is known.

    name, task: what it is called, and what it does, in a sentence.
    edges: those that carry what the answer depends on. Patching one with the corrupted prompt changes the answer.
    constant_edges: those that the circuit needs too, but that carry the same in every prompt of this length: where a
        token stands, or that it is a word at all. No patch with another prompt shows them; removing them does (of what
        the embedding writes, all but `space.ballast`, without which a norm would not divide by a constant any more).
    together: sets of edges of which one alone suffices. Patching any of them alone changes nothing, all of them does.
    dormant: edges of heads that are asleep: they carry something only once other heads have been silenced.
    roles: what each node of the circuit does, in a sentence.
    decoys: heads that attend as a head of the circuit does and carry the same, to where nobody reads it.
    space: the directions of the residual stream, by the name of what they hold.
    """

    name: str
    task: str
    model: Transformer
    edges: frozenset[Edge]
    constant_edges: frozenset[Edge]
    together: tuple[frozenset[Edge], ...]
    roles: Mapping[str, str]
    decoys: Mapping[str, str]
    space: Space
    norm: bool
    _draw: Callable[[int, torch.Generator], Pairs]
    _prompts: Callable[[int, torch.Generator], tuple[Tensor, Tensor]] | None = None
    dormant: frozenset[Edge] = frozenset()

    def __repr__(self) -> str:
        c = self.model.cfg
        return (
            f"<Circuit {self.name}: {len(self.edges)} edges in {c.n_layers} layers of {c.n_heads} heads. {self.task}>"
        )

    @property
    def nodes(self) -> frozenset[str]:
        """The senders and receivers of all of the circuit's edges: "embed", "a1.h2", "logits"."""
        every = self.edges | self.constant_edges | self.dormant
        return frozenset({e.sender for e in every} | {node_of(e.receiver) for e in every})

    @property
    def parts(self) -> frozenset[str]:
        """The heads and MLPs among the nodes: what a method has to find."""
        return self.nodes - {EMBED, POS_EMBED, LOGITS}

    def truth(self) -> dict[Edge, bool]:
        """Whether each possible edge belongs to the circuit: what a method's scores are judged against.

        Constant and dormant edges, about which no patch can tell, are left out: they are neither right nor wrong.
        """
        silent = self.constant_edges | self.dormant
        return {e: e in self.edges for e in all_edges(self.model.cfg) if e not in silent}

    def node_truth(self) -> dict[str, bool]:
        """Whether each node belongs to the circuit: "a1.h2.k" if an edge ends there, "a1.h2" or "m1" if one begins.

        Nodes of which only constant or dormant edges are known are left out, as in `truth`.
        """
        silent, cfg = self.constant_edges | self.dormant, self.model.cfg
        on, quiet = ({name for edge in edges for name in edge} for edges in (self.edges, silent))
        every = dict.fromkeys([*senders(cfg), *receivers(cfg)])
        names = [name for name in every if name not in (EMBED, POS_EMBED, LOGITS)]
        return {name: name in on for name in names if name in on or name not in quiet}

    def pairs(self, n: int, seed: int) -> Pairs:
        """n pairs of prompts. The same seed gives the same pairs on every machine. ValueError for n < 1."""
        return self._draw(_count(n), torch.Generator().manual_seed(seed))

    def prompts(self, n: int, seed: int) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, " batch"]]:
        """n prompts of the whole task with their answers, to see whether the network can do it. ValueError: n < 1."""
        generator = torch.Generator().manual_seed(seed)
        if self._prompts is not None:
            return self._prompts(_count(n), generator)
        pairs = self._draw(_count(n), generator)
        return pairs.clean, pairs.answers

    def metric(self, logits: Float[Tensor, "batch pos d_vocab"], pairs: Pairs) -> Float[Tensor, " batch"]:
        """logit(answer) − logit(the corrupted prompt's answer) at the last position.

        ValueError if there are not as many rows as pairs.
        """
        if len(logits) != len(pairs):
            raise ValueError(
                f"{len(logits)} rows of logits for {len(pairs)} pairs; give the logits of these very pairs"
            )
        last, rows = logits[:, -1], torch.arange(len(pairs))
        return last[rows, pairs.answers] - last[rows, pairs.corrupted_answers]

    def text(self, tokens: Int[Tensor, " pos"]) -> str:
        """A prompt as words."""
        return " ".join(self.model.to_str_tokens(tokens))


def _count(n: int) -> int:
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}: how many prompts are wanted?")
    return n


def edges_of(*texts: str) -> frozenset[Edge]:
    """Edges as they are written down: "embed->a0.h1.v"."""
    return frozenset(map(Edge.parse, texts))


def places(n_ctx: int) -> Places:
    """A vector for every position; any two have the same inner product −1/(n_ctx − 1), of length 1 each.

    Fourier components of an odd n_ctx, so that moving on by one is a rotation (Vaswani et al. 2017, section 3.5):
    `place @ moved(n_ctx, -1)` is the place before.
    """
    if n_ctx % 2 == 0:
        raise ValueError(f"n_ctx must be odd, not {n_ctx}: the Fourier components then come in pairs")
    angles = 2 * torch.pi / n_ctx * torch.outer(torch.arange(n_ctx), torch.arange(1, n_ctx // 2 + 1)).double()
    waves = torch.stack([angles.cos(), angles.sin()], -1).flatten(1)
    return waves / (n_ctx // 2) ** 0.5


def moved(n_ctx: int, by: int) -> Float[Tensor, "size size"]:
    """The rotation that takes each place to the one `by` further on (around the end of n_ctx)."""
    angles = 2 * torch.pi * by / n_ctx * torch.arange(1, n_ctx // 2 + 1).double()
    turn = torch.zeros(n_ctx - 1, n_ctx - 1, dtype=torch.float64)
    for i, (cos, sin) in enumerate(zip(angles.cos(), angles.sin(), strict=True)):
        turn[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = torch.tensor([[cos, sin], [-sin, cos]])
    return turn


def choose(n: int, count: int, of: int, generator: torch.Generator) -> Int[Tensor, "n count"]:
    """n rows of `count` different numbers below `of`, in random order."""
    return torch.rand(n, of, generator=generator).argsort(-1)[:, :count]


def rows(n: int, *columns: int | Int[Tensor, "n *some"]) -> Int[Tensor, "n pos"]:
    """Columns side by side; a number stands for a column of it."""
    wide = [torch.full((n, 1), c) if isinstance(c, int) else c.reshape(n, -1) for c in columns]
    return torch.cat(wide, 1)


def one_hot(tokens: int | range | list[int], d_vocab: int) -> Float[Tensor, "d_vocab size"]:
    """For each of these tokens a coordinate of its own; zeros for all others."""
    chosen = [tokens] if isinstance(tokens, int) else list(tokens)
    return torch.eye(d_vocab, dtype=torch.float64)[:, chosen]
