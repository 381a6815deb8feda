"""Where the positions of a running pass stand in their texts: what an edit asks that acts in a reply alone.

An edit is handed the values of some positions. In a padded batch, or with a key-value cache, these do not tell which
position of its text each is, nor where the prompt ends. Whoever runs the model says it here, for the calling context.

    number    0, 1, 2, … over the real positions of each text, −1 at padding
    prompt    how many positions each text's prompt has; what follows is the reply
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor


class Pass:
    """The positions that a pass computes: the last `new` ones of texts whose real positions `mask` tells.

    mask: None if nothing is padded. prompts: the length of each text's prompt; None if no reply has begun.
    """

    def __init__(self, mask: Bool[Tensor, "batch all_pos"] | None, prompts: Int[Tensor, " batch"] | None) -> None:
        self.mask = mask
        self.prompts = prompts

    @cached_property
    def _numbers(self) -> Int[Tensor, "batch all_pos"]:
        assert self.mask is not None
        return torch.where(self.mask, self.mask.long().cumsum(-1) - 1, -1)

    def numbers(self, new: int, device: torch.device) -> Int[Tensor, "rows new"]:
        """The number of each of the last `new` positions in its own text, −1 at padding; rows: 1 if all are alike."""
        if self.mask is None:
            return torch.arange(new, device=device)[None]
        return self._numbers[:, -new:].to(device)

    def lengths(self, new: int, device: torch.device) -> Int[Tensor, " rows"]:
        """How long each prompt is: the whole text where no reply has begun."""
        if self.prompts is not None:
            return self.prompts.to(device)
        if self.mask is None:
            return torch.tensor([new], device=device)
        return self.mask.sum(-1).to(device)

    @property
    def has_reply(self) -> bool:
        return self.prompts is not None


_PASS: ContextVar[Pass | None] = ContextVar("mi_lib running pass", default=None)
_PROMPTS: ContextVar[Tensor | None] = ContextVar("mi_lib lengths of prompts", default=None)


def current() -> Pass:
    """The pass that is running in this context; where nobody has said more, one without padding and reply."""
    return _PASS.get() or Pass(None, _PROMPTS.get())


@contextmanager
def running(mask: Tensor | None, prompts: Tensor | None = None) -> Iterator[None]:
    """Say of the pass inside the `with` block which positions are real, and how long the prompts are."""
    token = _PASS.set(Pass(mask, _PROMPTS.get() if prompts is None else prompts))
    try:
        yield
    finally:
        _PASS.reset(token)


@contextmanager
def prompts_end(lengths: Sequence[int] | Int[Tensor, " batch"]) -> Iterator[None]:
    """Say of the texts read inside the `with` block how many tokens of each are its prompt: the rest is its reply.

    For a pass over prompts with their replies. Generation knows it by itself.
    """
    token = _PROMPTS.set(torch.as_tensor(lengths))
    try:
        yield
    finally:
        _PROMPTS.reset(token)
