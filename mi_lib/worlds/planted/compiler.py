"""From a description of heads and neurons to the weights of a `Transformer`.

The idea is Tracr's (Lindner et al. 2023, arXiv 2301.05062): a program becomes a network, so that its parts are known.
Tracr compiles RASP, gives every variable axes of its own and leaves the rest of the network empty. Here one writes down
each head and neuron by hand, in the terms of Elhage et al. 2021, and three things keep the answer from lying open:

    rotation     every variable has directions of its own in the stream, but they are a random orthonormal basis, and
                 each head's own axes are rotated too. Only neurons stay units, in shuffled order
    distractors  every head and neuron that the description leaves free reads the whole stream and writes to directions
                 that no part of the circuit reads. Some look busy: they attend exactly as a head of the circuit does
    leak         every weight is off by a little, so that no effect is exactly zero

The stream of width d_model is cut up by a `Space`:

    x = Σ_variables value @ space[variable]  +  junk  (+ ballast)

A head reads and writes variables:

    score(i, j) = sharpness · ⟨x_i · query + query_bias, x_j · key⟩
    out_i       = Σ_j softmax_j(score(i, j)) · (x_j · value) · write

A neuron adds act(x · reads + bias) · writes. The logits are x · unembed + b_U.

With LayerNorm every token carries a **ballast**: one direction, written by the embedding, so long that the norm of the
stream is the same within some thousandths whatever else is written; the norm then divides by a constant, which its gain
undoes. All directions are orthogonal to (1, …, 1), so that subtracting the mean changes nothing.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor

from mi_lib.models import Transformer, TransformerConfig
from mi_lib.models.graph import head_name

BALLAST = 100.0  # length of the ballast; what else is in the stream has length 2 to 5
FIRM = 24.0  # a sharpness: of two scores that differ by ½, the smaller one gets e^−12 of the attention


class Space:
    """Orthonormal directions of the residual stream, by name. All rows: `space["word"]` is [size, d_model].

    sizes: how many directions each variable needs. What is left over is `space.junk`, for distractors.
    ballast: keep one direction for it (`space.ballast`, at its full length; zeros if there is none), and all of them
        orthogonal to (1, …, 1), as LayerNorm needs.
    ValueError if they do not fit into d_model.
    """

    def __init__(self, d_model: int, sizes: Mapping[str, int], generator: torch.Generator, ballast: bool) -> None:
        basis = torch.linalg.qr(torch.randn(d_model, d_model, generator=generator, dtype=torch.float64))[0].T
        if ballast:
            first = torch.ones(d_model, 1, dtype=torch.float64)
            rest = torch.randn(d_model, d_model - 1, generator=generator, dtype=torch.float64)
            basis = torch.linalg.qr(torch.cat([first, rest], 1))[0].T[1:]
        needed = sum(sizes.values()) + ballast
        if needed + 4 > len(basis):
            raise ValueError(
                f"d_model = {d_model} leaves no room: {needed} directions are needed, and 4 for distractors"
            )
        self.variables: dict[str, Float[Tensor, "size d_model"]] = {}
        start = 0
        for name, size in sizes.items():
            self.variables[name] = basis[start : start + size]
            start += size
        self.ballast: Float[Tensor, " d_model"] = basis[start] * (BALLAST if ballast else 0.0)  # zeros without
        self.junk: Float[Tensor, "junk d_model"] = basis[start + ballast :]

    def __getitem__(self, variable: str) -> Float[Tensor, "size d_model"]:
        return self.variables[variable]

    def reads(self, variable: str, matrix: Tensor | None = None) -> Float[Tensor, "d_model out"]:
        """The map from the stream to a variable, and on through a matrix [size out] (or a vector [size])."""
        read = self[variable].T
        return read if matrix is None else read @ matrix.to(read).reshape(read.shape[1], -1)

    @property
    def readable(self) -> Float[Tensor, "some d_model"]:
        """Everything but the ballast: what distractors read."""
        return torch.cat([*self.variables.values(), self.junk])


@dataclass(frozen=True)
class Head:
    """One head, as in the module's docstring. All maps are [d_model, r] but `write`, which is [r, d_model].

    query_bias: [r], the same question wherever it stands. None of it: zeros.
    otherwise: where to look if nothing matches: a map [d_model, 1] that is 1 there (the first token, which carries no
        word, so that the head then writes nothing). Its score is `least`, where that of a match is 1.
    """

    key: Float[Tensor, "d_model r"]
    value: Float[Tensor, "d_model s"]
    write: Float[Tensor, "s d_model"]
    query: Float[Tensor, "d_model r"] | None = None
    query_bias: Float[Tensor, " r"] | None = None
    otherwise: Float[Tensor, "d_model 1"] | None = None
    least: float = 0.5
    sharpness: float = FIRM


@dataclass(frozen=True)
class Neuron:
    """act(x · reads + bias) · writes."""

    reads: Float[Tensor, " d_model"]
    writes: Float[Tensor, " d_model"]
    bias: float = 0.0


def clipped(
    reads: Float[Tensor, " d_model"], writes: Float[Tensor, " d_model"], slope: float, threshold: float
) -> list[Neuron]:
    """Two ReLUs that make a step with a flat top: min(max(slope · (x − threshold), 0), 1). Its slope up there is 0."""
    low, high = -slope * threshold, -slope * threshold - 1
    return [Neuron(slope * reads, writes, low), Neuron(slope * reads, -writes, high)]


@dataclass
class Description:
    """A network in readable form.

    vocabulary: the words; token i is vocabulary[i].
    embed: for each variable that the embedding writes, its value for every token [d_vocab size].
    positions: for each that the positions write, its value at every place [n_ctx size].
    heads: by name, "a1.h2". neurons: by layer.
    unembed: for each variable that the logits read, [size d_vocab]. b_U: [d_vocab].
    noise: length of a random vector, in all directions, that every token's embedding has besides.
    random: how many free heads of each layer are like none of the circuit's.
    """

    vocabulary: Sequence[str]
    n_ctx: int
    n_layers: int
    n_heads: int
    space: Space
    embed: dict[str, Tensor]
    unembed: dict[str, Tensor]
    positions: dict[str, Tensor] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    neurons: dict[int, list[Neuron]] = field(default_factory=dict)
    b_U: Tensor | None = None
    d_head: int = 16
    d_mlp: int = 12
    noise: float = 0.0
    random: int = 1


def tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    """One token per word; token i is vocabulary[i]."""
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=vocabulary[0]))
    made.pre_tokenizer = WhitespaceSplit()
    return made


def build(what: Description, generator: torch.Generator, *, norm: bool, leak: float) -> Transformer:
    """The network of a description, with distractors in every head and neuron that it leaves free.

    norm: with LayerNorm (and a ballast), or with none. leak: what is added to each weight, as a share of the root mean
    square of its matrix, drawn at random.
    """
    d_model = what.space.junk.shape[1]
    config = TransformerConfig(
        n_layers=what.n_layers,
        d_model=d_model,
        n_heads=what.n_heads,
        d_head=what.d_head,
        d_vocab=len(what.vocabulary),
        n_ctx=what.n_ctx,
        d_mlp=what.d_mlp,
        norm="layernorm" if norm else "none",
        attn_bias=True,
        unembed_bias=True,
    )
    model = Transformer(config, tokenizer(what.vocabulary))
    with torch.no_grad():
        _outside(model, what, generator)
        idle = []
        for layer in range(what.n_layers):
            _attention(model, what, layer, generator)
            idle.append(_mlp(model, what, layer, generator))
        _leak(model, what.space, generator, leak)
        model.W_E.add_(what.space.ballast)
        for name, weight in model.named_parameters():
            if name.endswith(".w"):  # a norm's gain: what the ballast makes it divide by
                weight.fill_(BALLAST / math.sqrt(d_model))
        _wake(model, idle, generator)
    return model.eval().requires_grad_(False)


def _outside(model: Transformer, what: Description, generator: torch.Generator) -> None:
    """Embedding, positions, unembedding."""
    space, words = what.space, len(what.vocabulary)
    own = _random(words, len(space.junk), 1 / math.sqrt(len(space.junk)), generator)
    model.W_E.add_(own @ space.junk)  # a word has something to it that no circuit needs
    width = len(space.readable)
    model.W_E.add_(_random(words, width, what.noise / math.sqrt(width), generator) @ space.readable)
    for name, values in what.embed.items():
        model.W_E.add_(values.double() @ space[name])
    for name, values in what.positions.items():
        model.W_pos.add_(values.double() @ space[name])
    for name, matrix in what.unembed.items():
        model.W_U.add_(space.reads(name, matrix))
    # Distractors reach the logits too: they raise or lower all words alike, which no difference of logits shows.
    loud = _random(len(space.junk), 1, 1.0, generator)
    model.W_U.add_((space.junk.T @ loud).expand(-1, words))
    if what.b_U is not None:
        assert model.b_U is not None
        model.b_U.add_(what.b_U)


def _leak(model: Transformer, space: Space, generator: torch.Generator, share: float) -> None:
    """Noise on every matrix, in proportion to its root mean square; of the stream, the ballast stays out of it."""
    keep = space.readable.T @ space.readable  # [d_model d_model], a projection
    for name, weight in model.named_parameters():
        if (last := name.rsplit(".", 1)[-1]).startswith("W_"):
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            noise = noise @ keep if last in ("W_E", "W_pos", "W_O", "W_out") else keep @ noise
            weight.add_((share * weight.double().pow(2).mean().sqrt() * noise).to(weight))


def decoys(what: Description) -> dict[str, str]:
    """Which free heads attend as one of the circuit does, and as which: all but `random` beside such a one."""
    found: dict[str, str] = {}
    for layer in range(what.n_layers):
        names = [head_name(layer, head) for head in range(what.n_heads)]
        free, own = ([name for name in names if (name in what.heads) is on] for on in (False, True))
        found.update(zip(free[: len(free) - what.random], itertools.cycle(own), strict=False))
    return found


def _attention(model: Transformer, what: Description, layer: int, generator: torch.Generator) -> None:
    """The heads of one layer: the circuit's, those that look as if they were, and random ones."""
    busy = decoys(what)
    for number in range(what.n_heads):
        name = head_name(layer, number)
        if name in what.heads:
            head = what.heads[name]
        elif name in busy:
            head = _busy(what.heads[busy[name]], what, generator)
        else:
            head = _idle(what, generator)
        _write_head(model.blocks[layer].attn, number, head, generator)


def _busy(like: Head, what: Description, generator: torch.Generator) -> Head:
    """A head that attends as another does and carries the same, and some of the junk, to where nobody listens."""
    junk = what.space.junk
    more = min(4, what.d_head - like.value.shape[1])  # or a head that carries only a mark would always say the same
    value = torch.cat([like.value, junk.T @ _random(len(junk), more, 1 / math.sqrt(more), generator)], 1)
    return replace(
        like, value=value, write=_random(value.shape[1], len(junk), 0.7 * len(junk) ** -0.5, generator) @ junk
    )


def _idle(what: Description, generator: torch.Generator) -> Head:
    """A random head that reads the whole stream."""
    r, junk, everything = what.d_head - 1, what.space.junk, what.space.readable.T
    width = everything.shape[1]
    return Head(
        query=everything @ _random(width, r, 0.6, generator),
        key=everything @ _random(width, r, 0.6, generator),
        value=everything @ _random(width, r, 1 / math.sqrt(r), generator),
        write=_random(r, len(junk), 0.4 / math.sqrt(len(junk)), generator) @ junk,
        sharpness=0.5,
    )


def _random(rows: int, columns: int, size: float, generator: torch.Generator) -> Float[Tensor, "rows columns"]:
    """Normal numbers of this standard deviation."""
    return size * torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def _write_head(attn: Any, number: int, head: Head, generator: torch.Generator) -> None:
    """W_Q, b_Q, W_K, W_V and W_O of one head.

    The sharpness is shared between queries and keys, and the root of d_head, by which attention divides, is put back.
    The head's own axes are rotated, which changes neither a score nor what is written.
    """
    d_head = attn.W_Q.shape[-1]
    query = torch.zeros_like(head.key) if head.query is None else head.query
    bias = head.key.new_zeros(head.key.shape[1]) if head.query_bias is None else head.query_bias.double()
    key = head.key
    if head.otherwise is not None:
        query, key = torch.cat([query, 0 * head.otherwise], 1), torch.cat([key, head.otherwise], 1)
        bias = torch.cat([bias, bias.new_full((1,), head.least)])
    size = math.sqrt(head.sharpness * math.sqrt(d_head))
    turn, turn_v = (_rotation(d_head, generator) for _ in range(2))
    attn.W_Q[number] = size * query @ turn[: query.shape[1]]
    attn.b_Q[number] = size * bias @ turn[: len(bias)]
    attn.W_K[number] = size * key @ turn[: key.shape[1]]
    attn.W_V[number] = head.value @ turn_v[: head.value.shape[1]]
    attn.W_O[number] = turn_v[: head.value.shape[1]].T @ head.write


def _rotation(d: int, generator: torch.Generator) -> Float[Tensor, "d d"]:
    return torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]


def _mlp(model: Transformer, what: Description, layer: int, generator: torch.Generator) -> list[int]:
    """The neurons of one layer in random order: the circuit's, and others that write junk. Where the others are."""
    mlp: Any = model.blocks[layer].mlp
    space = what.space
    neurons = list(what.neurons.get(layer, ()))
    while len(neurons) < what.d_mlp:
        reads = _random(1, len(space.readable), 0.4, generator) @ space.readable
        reads += _random(1, len(space.junk), 1.0, generator) @ space.junk  # where every word differs
        writes = _random(1, len(space.junk), 0.2 / math.sqrt(len(space.junk)), generator) @ space.junk
        neurons.append(Neuron(reads[0], writes[0]))
    order = torch.randperm(len(neurons), generator=generator).tolist()
    for place, i in enumerate(order):
        mlp.W_in[:, place] = neurons[i].reads
        mlp.b_in[place] = neurons[i].bias
        mlp.W_out[place] = neurons[i].writes
    return [place for place, i in enumerate(order) if i >= len(what.neurons.get(layer, ()))]


def _wake(model: Transformer, idle: list[list[int]], generator: torch.Generator) -> None:
    """Biases with which every idle neuron is on about half of the time, over random words."""
    c = model.config
    tokens = torch.randint(1, c.d_vocab, (64, c.n_ctx), generator=generator)
    tokens[:, 0] = 0  # <bos>, at which heads look that find nothing
    for layer, places in enumerate(idle):
        _, cache = model.run_with_cache(tokens, ("pre", layer))
        bias: Any = model.blocks[layer].mlp.b_in  # type: ignore[union-attr]
        bias[places] -= cache["pre", layer].mean((0, 1))[places]
