"""Edits during generation: each sees its text whole, from the first token to the newest, and without padding.

With a key-value cache a pass computes only the newest position. An edit that is handed this position alone cannot know
which it is: `value[:, :3] += v` would steer every new word. So what each edited site held is remembered here, and the
edit is called with all of it. Only what it makes of the new positions is used, for the others are in the cache already.

    the same edit, called with one position more, must make the same of the earlier ones

An edit such as `value[:, -1] = 0` does not: what was last is so no longer. Then `Unsteady` is raised, and generation
goes on without a cache, where every pass starts from the first token.

An edit that says of itself that it is `by_position` needs none of this: it makes of each position something that
depends on this position alone, asks `passes` which one it is, and writes into nothing that it is given. It is called
with the new positions, padded or not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lib.models.edits import Entry, call_edit
from mi_lib.models.passes import running
from mi_lib.models.sites import Hook

_PAIRS = ("hook_attn_scores", "hook_pattern")  # [batch head query key]


class Unsteady(Exception):
    """An edit that makes something else of a position once another follows it."""


class Whole:
    """Calls edits for one generation. `padding`: how many positions at the left of each row are none of its text.

    remember: put the values of earlier passes in front. Without it every pass holds the whole text anyway.
    width: of the prompts, padding included.
    """

    def __init__(self, padding: list[int], remember: bool, width: int = 0) -> None:
        self.width = width
        self.rows: dict[int, list[int]] = {}
        for row, pad in enumerate(padding):
            self.rows.setdefault(pad, []).append(row)
        self.remember = remember
        self.seen: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}  # what an edit was given, and what it made of it

    def __call__(self, value: Tensor, entry: Entry, hook: Hook) -> Tensor | None:
        """What the edit makes of the positions of this pass; None if it leaves them as they are."""
        if getattr(entry.function, "by_position", False):
            return entry.function(value, hook)  # no copy: it writes nowhere but into what it returns
        axis = 2 if hook.name.endswith(_PAIRS) else 1
        key, old = (hook.name, id(entry)), 0
        before = self.seen.get(key) if self.remember and not hook.name.endswith("hook_rot_k") else None
        whole = value
        if before is not None:
            old = before[0].shape[axis]
            whole = torch.cat([_widened(before[0], value, axis), value], axis)
        made = self._by_length(whole, entry, hook, axis)
        if self.remember:
            if before is not None:
                kept = made.narrow(axis, 0, old)
                if not _same(kept, _widened(before[1], value, axis)):
                    raise Unsteady(hook.name)
            self.seen[key] = (whole, made)
        if made is whole:
            return None
        return made.narrow(axis, old, value.shape[axis])

    def _by_length(self, whole: Tensor, entry: Entry, hook: Hook, axis: int) -> Tensor:
        """The edit of all rows, called once for the texts of each length; `whole` itself if it changes none."""
        made = whole
        for pad, rows in self.rows.items():
            text = whole if len(self.rows) == 1 else whole[rows]
            text = text.narrow(axis, pad, text.shape[axis] - pad)
            text = text[..., pad:] if axis == 2 else text  # keys too
            with running(None, torch.tensor([self.width - pad])):  # texts of one length: one prompt stands for all
                new = call_edit(text, entry, hook)
            if new is None:
                continue
            made = whole.clone() if made is whole else made
            place = made[rows].narrow(axis, pad, made.shape[axis] - pad)
            place = place[..., pad:] if axis == 2 else place
            index = (rows, *(slice(None),) * (axis - 1), slice(pad, None), *((slice(pad, None),) if axis == 2 else ()))
            assert place.shape == new.shape
            made[index] = new
        return made


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal but for the rounding of sums of another length."""
    step = 16 * torch.finfo(a.dtype).eps
    size = float(b.abs().nan_to_num(posinf=0).max()) if b.numel() else 0.0
    return torch.allclose(a, b, rtol=step, atol=step * size, equal_nan=True)


def _widened(earlier: Tensor, value: Tensor, axis: int) -> Tensor:
    """Earlier rows of a pattern or of scores, with the keys that have come since: not looked at."""
    if axis == 1 or earlier.shape[-1] == value.shape[-1]:
        return earlier
    nothing = earlier.new_zeros(*earlier.shape[:-1], value.shape[-1] - earlier.shape[-1])
    return torch.cat([earlier, nothing], -1)
