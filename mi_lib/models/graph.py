"""A model as a graph: who writes to the residual stream, who reads it, and every edge between them.

What a part reads is the sum of all that was written before it. So the stream is a set of edges, one for each writer
and each later reader, and a circuit is a subset of them (Conmy et al. 2023, arXiv 2304.14997, section 2).

    senders      "embed", "pos_embed", "a1.h2" (head 2 of layer 1), "m0" (the MLP of layer 0)
    receivers    "a1.h2.q", "a1.h2.k", "a1.h2.v" (a head reads three times), "m0", "logits"
    an edge      Edge("a0.h1", "a1.h2.k"), written "a0.h1->a1.h2.k"

Where heads share keys and values (`cfg.n_kv_heads`), these are read once for all of them, under the name of the first:
of heads 2 and 3, "a1.h2.k". Biases are nobody's: they are the same whatever the input.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mi_lib.models.config import ModelConfig

EMBED, POS_EMBED, LOGITS = "embed", "pos_embed", "logits"
_HEAD = re.compile(r"a(\d+)\.h(\d+)(?:\.([qkv]))?")


class Edge(NamedTuple):
    """What `sender` adds to what `receiver` reads."""

    sender: str
    receiver: str

    def __str__(self) -> str:
        return f"{self.sender}->{self.receiver}"

    @classmethod
    def parse(cls, text: str) -> Edge:
        """The inverse of `str`: "a0.h1->a1.h2.k". ValueError for a text that is no edge."""
        sender, arrow, receiver = (part.strip() for part in text.partition("->"))
        if not (sender and arrow and receiver):
            raise ValueError(f"{text!r} is no edge: write sender->receiver, as in a0.h1->a1.h2.k")
        return cls(sender, receiver)


def head_name(layer: int, head: int) -> str:
    """(1, 2) → "a1.h2"."""
    return f"a{layer}.h{head}"


def mlp_name(layer: int) -> str:
    """0 → "m0"."""
    return f"m{layer}"


def head_of(name: str) -> tuple[int, int] | None:
    """(layer, head) of a head or of one of its inputs: "a1.h2" and "a1.h2.k" → (1, 2). None for what is no head."""
    found = _HEAD.fullmatch(name)
    return (int(found[1]), int(found[2])) if found else None


def node_of(receiver: str) -> str:
    """Whose input it is: "a1.h2.k" → "a1.h2", "m0" → "m0"."""
    found = _HEAD.fullmatch(receiver)
    return head_name(int(found[1]), int(found[2])) if found else receiver


def senders(cfg: ModelConfig) -> list[str]:
    """All that write to the residual stream, in the order of a forward pass.

    The positions are among them only where they have a vector in the stream ("learned").
    """
    names = [EMBED, *([POS_EMBED] if cfg.positions == "learned" else [])]
    for layer in range(cfg.n_layers):
        names += [head_name(layer, head) for head in range(cfg.n_heads)]
        names += [mlp_name(layer)] if cfg.d_mlp else []
    return names


def receivers(cfg: ModelConfig) -> list[str]:
    """All that read the residual stream, in the order of a forward pass: q, k and v of each head apart."""
    names, shared = [], cfg.n_heads // cfg.kv_heads
    for layer in range(cfg.n_layers):
        for head in range(cfg.n_heads):
            names += [f"{head_name(layer, head)}.{which}" for which in ("q" if head % shared else "qkv")]
        names += [mlp_name(layer)] if cfg.d_mlp else []
    return [*names, LOGITS]


def all_edges(cfg: ModelConfig) -> list[Edge]:
    """Every edge that a model of this shape can have: each sender with each receiver after it, in order of receivers.

    In a parallel block (GPT-NeoX) the MLP does not read the heads beside it.
    """
    when = {name: _written(name) for name in senders(cfg)}
    edges = []
    for receiver in receivers(cfg):
        read = _read(receiver, cfg)
        edges += [Edge(sender, receiver) for sender, written in when.items() if written < read]
    return edges


def check_edge(edge: Edge, cfg: ModelConfig) -> None:
    """ValueError, in one sentence, for an edge that this model cannot have."""
    sender, receiver = edge
    for kind, name, known in (("sender", sender, senders(cfg)), ("receiver", receiver, receivers(cfg))):
        if name not in known:
            raise ValueError(f"{edge.sender}->{edge.receiver}: this model has no {kind} {name!r}{_hint(name, known)}")
    if not _written(sender) < _read(receiver, cfg):
        raise ValueError(f"{sender}->{receiver} runs backwards: {receiver} is computed before {sender} has written")


def _written(sender: str) -> tuple[float, int]:
    """When a sender has written: (layer, 0 for heads, 1 for the MLP)."""
    if sender in (EMBED, POS_EMBED):
        return (-1, 0)
    head = head_of(sender)
    return (head[0], 0) if head else (int(sender[1:]), 1)


def _read(receiver: str, cfg: ModelConfig) -> tuple[float, int]:
    """What is written before this has been read."""
    if receiver == LOGITS:
        return (cfg.n_layers, 0)
    head = head_of(receiver)
    return (head[0], 0) if head else (int(receiver[1:]), 0 if cfg.parallel else 1)


def _hint(name: str, known: list[str]) -> str:
    if f"{name}.q" in known:
        return f"; say which of its inputs: {name}.q, {name}.k or {name}.v"
    if name.endswith((".k", ".v")) and f"{name[:-1]}q" in known:
        return "; heads of this model share keys and values, which are read under the name of the first of them"
    if name[:-2] in known and _HEAD.fullmatch(name):
        return f"; a head writes once, as {name[:-2]}"
    if name in (EMBED, POS_EMBED, LOGITS):
        return "; embed and pos_embed are senders, logits is a receiver"
    heads = [n for n in known if head_of(n)]
    return f"; it has {known[0]} to {known[-1]}, heads such as {heads[-1]}"
