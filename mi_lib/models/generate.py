"""Generation, token by token: what the model says, how likely it found it, and what it nearly said.

    for step in stream(model, model.to_tokens("Mira lives in"), temperature=0.7, seed=1):
        print(step.token, step.log_prob, step.top)

Each step is one forward pass. Where the model is one of `transformers`, keys and values of earlier positions are kept
between steps (the KV cache), so a pass reads only the newest token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.models.hooked import HookedModel


class Step(NamedTuple):
    """One generated token.

    log_prob: the natural logarithm (nats) of the probability that the model gives it, whatever the temperature.
    top: the likeliest tokens at this place and their probabilities, best first.
    """

    token: int
    log_prob: float
    top: list[tuple[int, float]]


def stream(
    model: HookedModel,
    tokens: Int[Tensor, " pos"] | Int[Tensor, "1 pos"] | Sequence[int],
    temperature: float = 0.0,
    seed: int = 0,
    stop: Collection[int] = (),
    max_new_tokens: int = 100,
    *,
    top: int = 5,
    cache: bool | None = None,
) -> Iterator[Step]:
    """Go on from `tokens` (one sequence), yielding each new token as soon as it is chosen.

    temperature: 0 takes the likeliest token; else tokens are drawn from softmax(logits / temperature), the same ones
        for the same seed. stop: tokens that end the text; the one that does is yielded too. It also ends where the
        context of the model is full, and after `max_new_tokens`.
    cache: keep keys and values between steps. With it, an edit made by a hook sees the whole prompt once and then one
        position at a time. None, the default: only while no hook is active, so that every edit means what it means in
        a full forward pass. An edit that treats all positions alike, such as steering, may say True and is faster.
    Hooks hold while the steps are taken: iterate inside `with model.hooks(...)`.
    Raises ValueError, at the first step, for an empty or too long prompt, a batch, or a negative temperature.
    """
    ids = [int(token) for token in _one_row(tokens)]
    if not ids or len(ids) > model.cfg.n_ctx:
        raise ValueError(f"the prompt has {len(ids)} tokens; this model reads 1 to {model.cfg.n_ctx}")
    if temperature < 0:
        raise ValueError(f"the temperature must not be negative, and {temperature} is")
    generator = torch.Generator().manual_seed(seed)
    past: Any = None
    for _ in range(min(max_new_tokens, model.cfg.n_ctx - len(ids) + 1)):
        keep = getattr(model, "hf", None) is not None and (not model._active_names() if cache is None else cache)
        logits, past = _next_logits(model, ids, past if keep else None, keep)
        log_p = logits.log_softmax(-1)
        if temperature:
            probabilities = (logits / temperature).softmax(-1)
            token = int(torch.multinomial(probabilities, 1, generator=generator))
        else:
            token = int(logits.argmax())
        best = log_p.topk(min(top, len(log_p)))
        yield Step(
            token, log_p[token].item(), list(zip(best.indices.tolist(), best.values.exp().tolist(), strict=True))
        )
        if token in stop:
            return
        ids.append(token)


@torch.no_grad()  # around each pass and not around the generator, whose caller would run without gradients too
def _next_logits(model: HookedModel, ids: list[int], past: Any, keep: bool) -> tuple[Float[Tensor, " d_vocab"], Any]:
    """Logits after the last token, in float32 on the CPU, and the KV cache if it is kept."""
    if not keep:
        return model(torch.tensor([ids]), logits_to_keep=1)[0, -1].float().cpu(), None
    known = 0 if past is None else past.get_seq_length()
    out = model.hf(  # type: ignore[operator]
        input_ids=torch.tensor([ids[known:]], device=model.device),
        position_ids=torch.arange(known, len(ids), device=model.device)[None],
        past_key_values=past,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[0, -1].float().cpu(), out.past_key_values


def _one_row(tokens: Tensor | Sequence[int]) -> list[int]:
    row = torch.as_tensor(tokens)
    row = row[0] if row.ndim == 2 and len(row) == 1 else row
    if row.ndim != 1 or (len(row) and row.is_floating_point()):
        raise ValueError(f"stream goes on from one sequence of whole numbers [pos], not {tuple(row.shape)}")
    return row.tolist()
