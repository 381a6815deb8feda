"""How much is enough, and what it costs: replies at growing doses, and what else an edit changes.

    dose_response   shares of replies by each judge, how odd the replies are, dose by dose; controls by the same call
    side_effects    plain text, known facts and harmless requests, with the edits and without

A direction is only shown to do something where random ones of its norm, and those of shuffled labels, do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.passes import prompts_end
from mi_lib.probing.collecting import padded
from mi_lib.steering.judging import Judge, Share, rate, share
from mi_lib.steering.prompts import Prompts, rows_of
from mi_lib.steering.replies import replies
from mi_lib.steering.ways import Edits

BATCH = 64
WayOf = Callable[[Tensor, float], Edits]  # the edits that apply a direction with a dose


class Response(NamedTuple):
    """What replies are like at each dose.

    shares: for each judge a share at every dose. surprise: nats per token that the model *without* edits finds in the
    replies; it grows as they fall apart (and not where they only repeat themselves). controls: for each judge the
    shares under each control direction.
    """

    doses: list[float]
    shares: dict[str, list[Share]]
    surprise: list[float]
    controls: dict[str, Float[np.ndarray, "control dose"]]


def dose_response(
    model: HookedModel,
    prompts: Prompts,
    direction: Float[Tensor, "*rest d"],
    way: WayOf,
    doses: Sequence[float],
    judges: Mapping[str, Judge],
    controls: Float[Tensor, "n *rest d"] | Sequence[Tensor] = (),
    *,
    longest: int = 64,
    seed: int | None = None,
) -> Response:
    """Replies to all prompts at every dose, judged; and the same under each control.

    way: how the direction is applied, for example `lambda v, dose: add(v, dose, layers=3)`.
    controls: other directions of the same shape: `random_like(direction)`, `shuffled(positive, negative)`.
    ValueError without doses or judges, and at a dose under which the model's numbers are no longer finite.
    """
    if not len(doses) or not judges:
        raise ValueError("give at least one dose and one judge: there is nothing to draw otherwise")
    rows = rows_of(model, prompts)
    shares: dict[str, list[Share]] = {name: [] for name in judges}
    surprises = []
    for dose in doses:
        said = replies(model, rows, way(direction, dose), longest=longest, seed=seed)
        for name, judge in judges.items():
            shares[name].append(share([judge(reply.words) for reply in said]))
        surprises.append(surprise(model, rows, [reply.tokens for reply in said]))
    found = np.zeros((len(judges), len(controls), len(doses)))
    for i, control in enumerate(controls):
        for j, dose in enumerate(doses):
            said = replies(model, rows, way(control, dose), longest=longest, seed=seed)
            found[:, i, j] = [rate([judge(r.words) for r in said]) for judge in judges.values()]
    return Response(list(doses), shares, surprises, dict(zip(judges, found, strict=True)))


def least_dose(response: Response, judge: str, enough: float) -> float:
    """The least dose at which this judge's share is enough; the one with the largest share if none is."""
    shares = [one.value for one in response.shares[judge]]
    pairs = zip(response.doses, shares, strict=True)
    return next((dose for dose, value in pairs if value >= enough), response.doses[int(np.argmax(shares))])


@torch.no_grad()
def token_losses(
    model: HookedModel,
    rows: Sequence[Sequence[int]],
    edits: Edits | Sequence = (),
    prompts: Sequence[int] | None = None,
) -> list[Float[Tensor, " pos"]]:
    """−log p of each token after the first, in nats, for each text.

    prompts: how many tokens of each text are its prompt, for edits that act in a reply alone. By default one: plain
    text is read as if the model had written it, and such edits act on all of it.
    """
    found: list[Tensor] = []
    for at in range(0, len(rows), BATCH):
        some = rows[at : at + BATCH]
        tokens, mask = padded(model, some)
        lengths = [1] * len(some) if prompts is None else list(prompts[at : at + BATCH])
        with prompts_end(lengths), model.hooks(edits):
            log_p = model(tokens, mask)[:, :-1].float().log_softmax(-1)
        losses = -log_p.gather(-1, tokens[:, 1:, None].to(log_p.device))[..., 0]
        found += [losses[i, : len(row) - 1] for i, row in enumerate(some)]
    return found


def surprise(model: HookedModel, prompts: Sequence[Sequence[int]], said: Sequence[Sequence[int]]) -> float:
    """Nats per token of replies, as the model without edits finds them."""
    texts = [[*prompt, *reply][: model.cfg.n_ctx] for prompt, reply in zip(prompts, said, strict=True)]
    losses = token_losses(model, texts, (), [len(prompt) for prompt in prompts])
    return float(torch.cat([one[len(p) - 1 :] for one, p in zip(losses, prompts, strict=True)]).mean())


def perplexity(model: HookedModel, texts: Prompts, edits: Edits | Sequence = ()) -> float:
    """exp of the mean loss per token of plain texts. ValueError for texts of a single token."""
    rows = rows_of(model, texts)
    if all(len(row) < 2 for row in rows):
        raise ValueError("these texts have a single token each: there is no next one to be surprised by")
    return math.exp(float(torch.cat(token_losses(model, rows, edits)).mean()))


def knows(model: HookedModel, facts: Sequence[tuple[Sequence[int], int]], edits: Edits | Sequence = ()) -> list[bool]:
    """For each fact (tokens up to the answer, the answer's first token) whether that token is the likeliest."""
    if not facts:
        raise ValueError("there are no facts to ask for: give at least one (tokens, answer)")
    found: list[bool] = []
    for at in range(0, len(facts), BATCH):
        some = facts[at : at + BATCH]
        rows = [list(row) for row, _ in some]
        tokens, mask = padded(model, rows)
        with torch.no_grad(), prompts_end([len(row) for row in rows]), model.hooks(edits):
            logits = model(tokens, mask)
        found += [
            int(logits[i, len(row) - 1].argmax()) == answer
            for i, (row, (_, answer)) in enumerate(zip(rows, some, strict=True))
        ]
    return found


class Effects(NamedTuple):
    """What an edit costs: (without it, with it)."""

    perplexity: tuple[float, float]  # of plain texts
    facts: tuple[Share, Share]  # whose answer is the likeliest next token
    requests: tuple[Share, Share]  # harmless ones that are answered well
    surprise: tuple[float, float]  # of the answers, in nats per token, by the model without edits


def side_effects(
    model: HookedModel,
    edits: Edits | Sequence,
    texts: Prompts,
    facts: Sequence[tuple[Sequence[int], int]],
    requests: Prompts,
    well: Sequence[Judge] | Judge,
    *,
    longest: int = 64,
) -> Effects:
    """well: a judge of the replies to the requests, or one for each request (its own topic, say)."""
    rows = rows_of(model, requests)
    judges = [well] * len(rows) if callable(well) else list(well)
    read, known, answered, odd = [], [], [], []
    for some in ((), edits):
        said = replies(model, rows, some, longest=longest)
        read.append(perplexity(model, texts, some))
        known.append(share(knows(model, facts, some)))
        answered.append(share([judge(reply.words) for judge, reply in zip(judges, said, strict=True)]))
        odd.append(surprise(model, rows, [reply.tokens for reply in said]))
    return Effects((read[0], read[1]), (known[0], known[1]), (answered[0], answered[1]), (odd[0], odd[1]))
