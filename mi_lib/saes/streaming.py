"""Activations of any site of any model, as a stream of shuffled batches that holds no more than it says.

    stream = saes.ActivationStream(model, ("resid_pre", 2), texts, batch=512, memory=64, drop=[bos])
    saes.train(saes.BatchTopK(model.cfg.d_model, 1024, k=24), stream, steps=3000)

1. The corpus is read some texts at a time (`corpus`). The model stops at the site; padding and what is to be dropped
   are left out.
2. What is left goes into the free slots of a buffer, until it is full, or the corpus has been read to its end.
3. Batches are drawn from the buffer, without replacement. When half is gone, it is filled again, and all that it holds
   is shuffled: neighbours in a text do not meet in a batch.

`memory` bounds all of this at once: the buffer, its slots, the batch that is handed out, and the activations inside the
model while it reads. How much one text takes to be read is measured, by counting (`holding`); so many texts are read at
once as fit into a third of the memory. What is not counted: the model's weights and the caller's corpus.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import Hook, HookedModel
from mi_lib.models.sites import PAIRS, resolve
from mi_lib.models.text import BOS
from mi_lib.saes.corpus import Corpus, Piece
from mi_lib.saes.holding import Holding

MIB = 2**20
SLOT = 24  # bytes: a slot's number, and twice that while slots are shuffled
STEP = 16  # texts are measured as if they were as long as the next multiple


class ActivationStream(Iterator[Float[Tensor, "batch d"]]):
    """Batches of the activations at one site. Iterate over it; it goes on where it was, and ends where the corpus ends.

    corpus: texts or tokens, see `corpus`. epochs: how often it is read; None: without end (an iterator: once).
    batch: activations in a batch; the last one may have fewer. memory: MiB that are held at most.
    drop: tokens whose activations are left out, such as the first of every text, where many models keep something huge
        (`special_tokens` names them). positions: only these of each text, counted in its real tokens; −1 is its last.
    heads: at a site with a head axis, "flatten" puts all heads side by side (d = heads · d_head), a number takes one.
    dtype: of what is stored, float32 or bfloat16. device: where it is stored; the model's if None.
    Raises UnknownSite; ValueError for a site without one vector at each position, for too little memory, for a corpus
    of which nothing is kept, and for NaN or infinity, naming the texts.
    """

    def __init__(
        self,
        model: HookedModel,
        site: str | tuple,
        corpus: Any,
        *,
        batch: int = 512,
        memory: float = 64,
        epochs: int | None = None,
        drop: Collection[int] = (),
        positions: Sequence[int] | slice | None = None,
        heads: Literal["flatten"] | int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        seed: int = 0,
    ) -> None:
        if dtype not in (torch.float32, torch.bfloat16):
            raise ValueError(f"activations are stored in float32 or bfloat16, not {dtype}")
        if batch < 1:
            raise ValueError(f"a batch needs at least one activation, not {batch}")
        self.model, self.site, self.heads = model, _name(model, site), heads
        self.batch, self.dtype, self.seed = batch, dtype, seed
        self.device = model.device if device is None else torch.device(device)
        self.drop = torch.tensor(sorted(drop), dtype=torch.long, device=model.device)
        self.positions = positions
        self.corpus = Corpus(corpus, model.tokenize, epochs)
        one = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        self.d = self._vectors(one, torch.ones_like(one, dtype=torch.bool)).shape[-1]
        self.reading = int(memory * MIB) // 3  # bytes
        row = self.d * dtype.itemsize
        slots = (int(memory * MIB) - self.reading - batch * row) // (row + SLOT)
        if slots < 2 * batch:
            least = 1.5 * (batch * row + 2 * batch * (row + SLOT)) / MIB
            raise ValueError(
                f"{memory:g} MiB hold too few activations of width {self.d} for batches of {batch}: "
                f"give it {least:.3g} MiB or more"
            )
        self.buffer = Buffer(slots, self.d, dtype, self.device)
        self.generator = torch.Generator().manual_seed(seed)
        self.half = 0  # of what was held when it was filled last
        self._takes: dict[int, int] = {}  # bytes to read one text, by its length

    def __next__(self) -> Float[Tensor, "batch d"]:
        if self.buffer.held < max(self.batch, self.half):
            self._fill()
        if not self.buffer.held:
            raise StopIteration
        return self.buffer.draw(self.batch)

    def _fill(self) -> None:
        """Read until there is no room for what comes next, or the corpus begins again or ends; then shuffle."""
        begun, before = self.corpus.epoch, self.buffer.held
        while (piece := self.corpus.waiting()) is not None:
            if self.corpus.epoch > begun and self.buffer.held >= self.batch:
                break
            piece = Piece(*(part[: self._texts_at_once(piece)].to(self.model.device) for part in piece))
            kept = self._kept(*piece)
            fit = int((kept.sum(1).cumsum(0) <= self.buffer.size - self.buffer.held).sum())
            if fit < len(kept) and self.buffer.held >= self.buffer.size // 2:
                break
            if fit == 0:
                raise ValueError(
                    f"one text has {int(kept[0].sum())} activations, and there is room for {self.buffer.size}: "
                    "give the stream more memory"
                )
            self.buffer.put(self._activations(piece.tokens[:fit], piece.mask[:fit], kept[:fit]))
            self.corpus.taken(fit)
            if self.corpus.epoch > begun + 1 and self.buffer.held == before:
                raise ValueError("nothing of this corpus is kept: look at `drop`, at `positions` and at the mask")
        self.buffer.shuffle(self.generator)
        self.half = self.buffer.held // 2

    def _texts_at_once(self, piece: Piece) -> int:
        """As many as fit into what is set aside for reading."""
        length = piece.tokens.shape[1]
        length = max(length, min(-(-length // STEP) * STEP, self.model.cfg.n_ctx))
        if length not in self._takes:
            with Holding() as held:
                one = torch.zeros(1, length, dtype=torch.long, device=self.model.device)
                real = torch.ones_like(one, dtype=torch.bool)
                self._activations(one, real, self._kept(one, real) | True)
            self._takes[length] = held.peak
        texts = (self.reading - self.corpus.made) // self._takes[length]
        if texts < 1:
            takes = (self._takes[length] + self.corpus.made) / MIB
            raise ValueError(
                f"to read {length} tokens takes {takes:.3g} MiB, and the stream sets aside {self.reading / MIB:.3g} of "
                f"its memory for that: give it {3.01 * takes:.3g} or more"
            )
        return texts

    def _activations(
        self, tokens: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"], kept: Bool[Tensor, "row pos"]
    ) -> Float[Tensor, "n d"]:
        found = self._vectors(tokens, mask)[kept].to(self.device, self.dtype)
        if not bool(found.isfinite().all()):
            _, item, row = self.corpus.place
            raise ValueError(
                f"{self.site} holds NaN or infinite numbers in one of the {len(tokens)} texts from row {row} of item "
                f"{item} of the corpus on: look at what the model does there"
            )
        return found

    def _vectors(self, tokens: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"]) -> Float[Tensor, "row pos d"]:
        """What the model says at the site; it stops there."""

        def see(value: Tensor, hook: Hook) -> Tensor:
            raise _Seen(value)

        try:
            with torch.no_grad():
                self.model.run_with_hooks(tokens, [(self.site, see)], mask)
        except _Seen as seen:
            value = seen.value
        if value.ndim == 3:
            return value
        if self.heads is None:
            raise ValueError(
                f"{self.site} has a vector for each head, [batch pos head d]: say heads='flatten' to put them side by "
                f"side (width {value.shape[-2] * value.shape[-1]}), or the number of one head"
            )
        return value.flatten(2) if self.heads == "flatten" else value[:, :, self.heads]

    def _kept(self, tokens: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"]) -> Bool[Tensor, "row pos"]:
        """Which activations are asked for."""
        kept = mask & ~torch.isin(tokens, self.drop)
        if self.positions is not None:
            number = mask.cumsum(1) - 1
            for row, length in enumerate(mask.sum(1).tolist()):
                kept[row] &= torch.isin(number[row], self._chosen(length, number.device))
        return kept

    def _chosen(self, length: int, device: torch.device) -> Int[Tensor, " chosen"]:
        """The chosen positions of a text of this length that it has."""
        if isinstance(self.positions, slice):
            found = list(range(length)[self.positions])
        else:
            assert self.positions is not None
            found = [p % length for p in self.positions if length and -length <= p < length]
        return torch.tensor(found, dtype=torch.long, device=device)

    # --- where it is ----------------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        """What it must have in common with another one that goes on where this one stopped."""
        positions = self.positions if self.positions is None or isinstance(self.positions, slice) else [*self.positions]
        of = (self.site, self.d, self.batch, self.buffer.size, self.drop.tolist(), positions, self.heads, self.dtype)
        names = ("site", "width", "batch", "room", "drop", "positions", "heads", "dtype")
        model = getattr(self.model, "source", None)
        return {**{name: str(value) for name, value in zip(names, of, strict=True)}, "model": str(model)}

    def state(self) -> dict[str, Tensor]:
        """All that it takes to go on from here: what the buffer holds, and the place in the corpus."""
        held = self.buffer.slots[: self.buffer.held]
        return {
            "rows": self.buffer.rows[held].cpu(),
            "slots": self.buffer.slots.cpu().clone(),
            "generator": self.generator.get_state(),
            "place": torch.tensor([*self.corpus.place, self.half]),
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on where another stream over the same corpus had come to. An iterator must begin anew."""
        self.buffer.restore(state["slots"], state["rows"])
        self.generator.set_state(state["generator"])
        epoch, item, row, self.half = state["place"].tolist()
        self.corpus.go_to((epoch, item, row))


class Buffer:
    """Rows in slots. The first `held` of `slots` are those in use, in a random order; the rest are free."""

    def __init__(self, size: int, d: int, dtype: torch.dtype, device: torch.device) -> None:
        self.rows = torch.empty(size, d, dtype=dtype, device=device)
        self.slots = torch.arange(size, device=device)
        self.held = 0

    @property
    def size(self) -> int:
        return len(self.slots)

    def put(self, new: Float[Tensor, "n d"]) -> None:
        self.rows[self.slots[self.held : self.held + len(new)]] = new
        self.held += len(new)

    def shuffle(self, generator: torch.Generator) -> None:
        order = torch.randperm(self.held, generator=generator).to(self.slots.device)
        self.slots[: self.held] = self.slots[: self.held][order]

    def draw(self, n: int) -> Float[Tensor, "n d"]:
        """Take n rows out, or all where there are fewer."""
        first = max(0, self.held - n)
        drawn = self.rows[self.slots[first : self.held]]
        self.held = first
        return drawn

    def restore(self, slots: Int[Tensor, " size"], rows: Float[Tensor, "held d"]) -> None:
        self.slots.copy_(slots)
        self.held = len(rows)
        self.rows[self.slots[: self.held]] = rows.to(self.rows)


class _Seen(Exception):
    """Ends a run of the model at the site."""

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.value = value


def special_tokens(model: HookedModel) -> list[int]:
    """The tokens of a model's vocabulary that stand for no text: the first of every text, the end, padding."""
    tokenizer = model.tokenizer
    if hasattr(tokenizer, "all_special_ids"):
        return sorted(tokenizer.all_special_ids)
    bos = None if tokenizer is None else tokenizer.token_to_id(BOS)
    return [] if bos is None else [bos]


def _name(model: HookedModel, site: str | tuple) -> str:
    """The full name of one site that has a vector at each position."""
    (name, *more) = resolve(site, model.hook_names, model.cfg.n_layers)
    if more:
        raise ValueError(f"a stream reads one site, not {1 + len(more)}")
    if name.endswith(PAIRS):
        raise ValueError(f"{name} has a number for each pair of positions, and a dictionary reads one vector at each")
    return name
