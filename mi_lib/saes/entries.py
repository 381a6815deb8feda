"""The positive entries of a wide matrix of activations: what is not 0, row after row.

Of 12,000 latents some thirty are active at a word. What is asked of them (who is active where a concept holds?) then
costs time and memory by entries, not by rows × latents. A matrix is taken in as it comes, in chunks of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Values = Float[Tensor, "n latent"] | Iterable[Float[Tensor, "chunk latent"]]  # whole, or in chunks of rows
ROWS = 2048  # of a whole matrix, looked at together


@dataclass(frozen=True)
class Entries:
    """start: where the entries of each row begin, and their number at the end. latent, value: of each entry."""

    start: Int[Tensor, " n+1"]
    latent: Int[Tensor, " entry"]
    value: Float[Tensor, " entry"]
    width: int

    def __len__(self) -> int:
        return len(self.start) - 1

    def of_rows(self, rows: Int[Tensor, " row"]) -> Int[Tensor, " entry"]:
        """The numbers of the entries that stand in these rows."""
        first, count = self.start[rows], self.start[rows + 1] - self.start[rows]
        within = torch.arange(int(count.sum())) - (count.cumsum(0) - count).repeat_interleave(count)
        return first.repeat_interleave(count) + within

    def largest(self) -> Float[Tensor, " latent"]:
        """The largest value of each latent; 0 for one that is never active."""
        return torch.zeros(self.width).scatter_reduce(0, self.latent.long(), self.value, "amax")


def entries(values: Values) -> Entries:
    """ValueError for no rows, for rows of different widths, and for what is not a number."""
    starts, latents, kept, width, total = [torch.zeros(1, dtype=torch.long)], [], [], -1, 0
    for chunk in chunks(values):
        if width not in (-1, chunk.shape[1]):
            raise ValueError(f"some rows of the activations have {width} latents and others {chunk.shape[1]}")
        width = chunk.shape[1]
        row, latent = chunk.nonzero(as_tuple=True)  # without a mask of the chunk's size, which would litter the heap
        value = chunk[row, latent].float().cpu()
        row, latent, value = row.cpu()[value > 0], latent.cpu()[value > 0], value[value > 0]
        starts.append(total + torch.bincount(row, minlength=len(chunk)).cumsum(0))
        latents.append(latent.int())
        kept.append(value)
        total += len(row)
    if width < 0:
        raise ValueError("there are no activations: give at least one row")
    return Entries(torch.cat(starts), torch.cat(latents), torch.cat(kept), width)


def chunks(values: Values) -> Iterator[Float[Tensor, "chunk latent"]]:
    """Some rows at a time, without gradients. ValueError for another number of axes, NaN or infinity."""
    for chunk in values.split(ROWS) if isinstance(values, Tensor) else values:
        if chunk.ndim != 2:
            raise ValueError(f"activations must be [n latent], not {list(chunk.shape)}")
        if not bool(chunk.sum().isfinite()) and not bool(chunk.isfinite().all()):  # the sum alone is one quick pass
            raise ValueError("some activations are not numbers: look at what produced them")
        if len(chunk):
            yield chunk.detach()
