"""Generation, token by token: what the model says, how likely it found it, and what it nearly said.

    for step in stream(model, model.to_tokens("Mira lives in"), temperature=0.7, seed=1):
        print(step.token, step.log_prob, step.top)

    for reply in generate(model, ["Mira lives in", "Selby has a"], max_new_tokens=5):
        print(reply.tokens)

Keys and values of earlier positions are kept between steps (the KV cache), so a pass reads only the newest token, also
under edits: see `whole`, which lets every edit mean what it means in a full forward pass.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models.edits import edits_called_by, sites_of
from mi_lib.models.hooked import HookedModel
from mi_lib.models.passes import running
from mi_lib.models.whole import Unsteady, Whole

Generators = torch.Generator | list[torch.Generator]


class Step(NamedTuple):
    """One generated token.

    log_prob: the natural logarithm (nats) of the probability that the model gives it, whatever the temperature.
    top: the likeliest tokens at this place and their probabilities, best first.
    """

    token: int
    log_prob: float
    top: list[tuple[int, float]]


class Reply(NamedTuple):
    """What a model said after one prompt: the new tokens (with the one that stopped it), and each one's log_prob."""

    tokens: list[int]
    log_probs: list[float]


class _Choice(NamedTuple):
    """How the next token is chosen."""

    temperature: float
    top_k: int | None
    top_p: float | None
    top: int


def stream(
    model: HookedModel,
    tokens: Int[Tensor, " pos"] | Int[Tensor, "1 pos"] | Sequence[int],
    temperature: float = 0.0,
    seed: int = 0,
    stop: Collection[int] = (),
    max_new_tokens: int = 100,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    top: int = 5,
    cache: bool = True,
) -> Iterator[Step]:
    """Go on from `tokens` (one sequence), yielding each new token as soon as it is chosen.

    temperature: 0 takes the likeliest token; else tokens are drawn from softmax(logits / temperature), the same ones
        for the same seed. top_k: only of the k likeliest; top_p: of the fewest that together have this probability.
    stop: tokens that end the text; the one that does is yielded too. It also ends where the context of the model is
        full, and after `max_new_tokens`. top: how many tokens each step names as the likeliest.
    cache: keep keys and values between steps. The result is the same without.
    Hooks hold while the steps are taken: iterate inside `with model.hooks(...)`.
    Raises ValueError, at the first step, for an empty or too long prompt, a batch, or options out of their range.
    """
    choice = _choice(temperature, top_k, top_p, top)
    generators = [torch.Generator().manual_seed(seed)]
    for (step,) in _steps(model, [_one_row(tokens)], choice, generators, set(stop), max_new_tokens, cache):
        assert step is not None
        yield step


def generate(
    model: HookedModel,
    prompts: Sequence[str] | str | Int[Tensor, "batch pos"] | Sequence[Sequence[int]],
    *,
    attention_mask: Bool[Tensor, "batch pos"] | None = None,
    max_new_tokens: int = 100,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | Sequence[int] | torch.Generator = 0,
    stop: Collection[int] = (),
    cache: bool = True,
) -> list[Reply]:
    """What the model says after each of several prompts, which may differ in length: a `Reply` for each.

    prompts: texts, or tokens; of a padded batch `attention_mask` says which are real. They are read together, and the
        result is that of reading each alone. The options are those of `stream`.
    seed: the first prompt's; the next ones take seed + 1, seed + 2, … (or give one for each). One generator draws for
        all of them together, as `transformers` does: then a text's reply depends on which others are read with it.
    Hooks hold: call it inside `with model.hooks(...)`. An edit is called once for the texts of each length, with all
    their tokens so far and without padding, so that a position means the same in every text; one that says that it is
    `by_position` is called with the new positions alone (see `whole`).
    """
    rows = _rows(model, prompts, attention_mask)
    replies = [Reply([], []) for _ in rows]
    choice = _choice(temperature, top_k, top_p, 0)
    for steps in _steps(model, rows, choice, _generators(seed, len(rows)), set(stop), max_new_tokens, cache):
        for reply, step in zip(replies, steps, strict=True):
            if step is not None:
                reply.tokens.append(step.token)
                reply.log_probs.append(step.log_prob)
    return replies


def _steps(
    model: HookedModel,
    rows: list[list[int]],
    choice: _Choice,
    generators: Generators,
    stop: set[int],
    max_new_tokens: int,
    cache: bool,
) -> Iterator[list[Step | None]]:
    """The next token of every text, again and again; None for a text that has ended."""
    for row in rows:
        if not row or len(row) > model.cfg.n_ctx:
            raise ValueError(f"the prompt has {len(row)} tokens; this model reads 1 to {model.cfg.n_ctx}")
    if not rows:
        return
    left = [min(max_new_tokens, model.cfg.n_ctx - len(row) + 1) for row in rows]
    reader = _Reader(model, rows, cache)
    while any(left):
        logits = reader.next_logits()
        chosen = _choose(logits, choice, generators, reader.members, [bool(left[i]) for i in reader.members], len(rows))
        steps: list[Step | None] = [None] * len(rows)
        for i, step in zip(reader.members, chosen, strict=True):
            if step is not None:
                left[i] = 0 if step.token in stop else left[i] - 1
                steps[i] = step
        yield steps
        reader.append([step.token if step and left[i] else None for i, step in enumerate(steps)])


class _Reader:
    """Texts that grow, padded on the left, and the model's logits after them.

    members: the numbers of the texts that are still read; those that have ended are dropped once they are many.
    """

    def __init__(self, model: HookedModel, rows: list[list[int]], cache: bool) -> None:
        self.model = model
        width = max(map(len, rows))
        self.members = list(range(len(rows)))
        self.padding = [width - len(row) for row in rows]
        self.tokens = torch.tensor(
            [[0] * pad + row for pad, row in zip(self.padding, rows, strict=True)], device=model.device
        )
        self.mask = torch.tensor([[i >= pad for i in range(width)] for pad in self.padding], device=model.device)
        self.cache = cache
        self.past: Any = None
        self.known = 0  # positions whose keys and values are kept
        self.prompts = torch.tensor([len(row) for row in rows], device=model.device)
        self.edits = Whole(self.padding, remember=True, width=width)
        self.active: list[int] = []

    def append(self, tokens: list[int | None]) -> None:
        """One more token for each text; None for one that has ended, where padding follows."""
        self._drop_ended([tokens[i] is not None for i in self.members])
        tokens = [tokens[i] for i in self.members]
        new = torch.tensor([[0 if token is None else token] for token in tokens], device=self.tokens.device)
        real = torch.tensor([[token is not None] for token in tokens], device=self.mask.device)
        self.tokens, self.mask = torch.cat([self.tokens, new], 1), torch.cat([self.mask, real], 1)

    def _drop_ended(self, going: list[bool]) -> None:
        """Read the texts that have ended no longer, where they are a quarter at least.

        Not where edits are called with whole texts: what is remembered for them is remembered for all rows.
        """
        if not 0 < sum(going) <= 0.75 * len(going) or self.edits.seen:
            return
        kept = torch.tensor([i for i, goes in enumerate(going) if goes], device=self.tokens.device)
        self.tokens, self.mask, self.prompts = self.tokens[kept], self.mask[kept], self.prompts[kept]
        self.members = [self.members[i] for i in kept.tolist()]
        self.padding = [self.padding[i] for i in kept.tolist()]
        self.edits = Whole(self.padding, remember=True, width=self.edits.width)
        if self.past is not None:
            self.past = self.model._keep_rows(self.past, kept)

    @torch.no_grad()  # around each pass and not around the generator, whose caller would run without gradients too
    def next_logits(self) -> Float[Tensor, "batch d_vocab"]:
        """Logits after the last token of each text, in float32 on the CPU."""
        active = [id(entry) for entries in sites_of(self.model._key).values() for entry in entries]
        if active != self.active:  # an edit has come or gone: what is kept was made without it, or with it
            self.past, self.known, self.active = None, 0, active
            self.edits = Whole(self.padding, remember=True, width=self.edits.width)
        if self.cache:
            try:
                with edits_called_by(self.edits), running(self.mask, self.prompts):
                    logits, self.past = self.model._step(self.tokens[:, self.known :], self.mask, self.past)
                self.known = self.tokens.shape[1]
                return logits.float().cpu()
            except Unsteady:
                self.cache, self.past = False, None
        again = Whole(self.padding, remember=False, width=self.edits.width)
        with edits_called_by(again), running(self.mask, self.prompts):
            logits, _ = self.model._step(self.tokens, self.mask, None)
        return logits.float().cpu()


def _choose(
    logits: Float[Tensor, "batch d_vocab"],
    choice: _Choice,
    generators: Generators,
    members: list[int],
    going: list[bool],
    count: int,
) -> list[Step | None]:
    """The next token of every text that is still going. members: which of all `count` texts the rows are."""
    likeliest = logits.max(-1, keepdim=True)
    total = likeliest.values + (logits - likeliest.values).exp().sum(-1, keepdim=True).log()
    if choice.temperature:
        tokens = _drawn(logits, choice, generators, members, going, count)
    else:
        tokens = likeliest.indices[:, 0]
    chances = (logits.gather(1, tokens[:, None]) - total)[:, 0].tolist()
    best = logits.topk(min(choice.top, logits.shape[1]))
    found = zip(
        tokens.tolist(), chances, best.indices.tolist(), (best.values - total).exp().tolist(), going, strict=True
    )
    return [
        Step(token, chance, list(zip(names, likely, strict=True))) if go else None
        for token, chance, names, likely, go in found
    ]


def _drawn(
    logits: Float[Tensor, "batch d_vocab"],
    choice: _Choice,
    generators: Generators,
    members: list[int],
    going: list[bool],
    count: int,
) -> Int[Tensor, " batch"]:
    if isinstance(generators, torch.Generator):  # draws for those that have ended too, so that nothing shifts
        chances = torch.ones(count, logits.shape[1])
        chances[members] = torch.stack([_probabilities(row, choice) for row in logits])
        return torch.multinomial(chances, 1, generator=generators)[members, 0]
    tokens = torch.zeros(len(logits), dtype=torch.long)
    for i, (row, member) in enumerate(zip(logits, members, strict=True)):
        if going[i]:
            tokens[i] = torch.multinomial(_probabilities(row, choice), 1, generator=generators[member])[0]
    return tokens


def _probabilities(logits: Float[Tensor, " d_vocab"], choice: _Choice) -> Float[Tensor, " d_vocab"]:
    """softmax(logits / temperature), of the tokens that top_k and then top_p leave."""
    p = (logits / choice.temperature).softmax(-1)
    if choice.top_k is not None:
        kept = p.topk(min(choice.top_k, len(p))).indices
        p = torch.zeros_like(p).index_copy(0, kept, p[kept])
        p = p / p.sum()
    if choice.top_p is not None:
        ordered, order = p.sort(descending=True, stable=True)
        outside = ordered.cumsum(0) - ordered >= choice.top_p  # what comes before it has the probability already
        p = p.index_fill(0, order[outside], 0.0)
    return p / p.sum()


def _generators(seed: int | Sequence[int] | torch.Generator, count: int) -> Generators:
    """One for each text, or the one that was given for all."""
    if isinstance(seed, torch.Generator):
        return seed
    seeds = [seed + i for i in range(count)] if isinstance(seed, int) else [int(one) for one in seed]
    if len(seeds) != count:
        raise ValueError(f"there are {count} prompts and {len(seeds)} seeds")
    return [torch.Generator().manual_seed(one) for one in seeds]


def _choice(temperature: float, top_k: int | None, top_p: float | None, top: int) -> _Choice:
    if temperature < 0:
        raise ValueError(f"the temperature must not be negative, and {temperature} is")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be at least 1, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie above 0 and at most at 1, not at {top_p}")
    return _Choice(float(temperature), top_k, top_p, top)


def _rows(model: HookedModel, prompts: Any, mask: Tensor | None) -> list[list[int]]:
    """The tokens of each prompt, without padding."""
    if isinstance(prompts, str):
        prompts = [prompts]
    if not isinstance(prompts, Tensor) and len(prompts) and isinstance(prompts[0], str):
        tokens, mask = model.tokenize(prompts)
    elif isinstance(prompts, Tensor):
        tokens = prompts[None] if prompts.ndim == 1 else prompts
    else:
        return [[int(token) for token in row] for row in prompts]
    if mask is None:
        return tokens.tolist()
    return [row[real.bool()].tolist() for row, real in zip(tokens, mask.to(tokens.device), strict=True)]


def _one_row(tokens: Tensor | Sequence[int]) -> list[int]:
    row = torch.as_tensor(tokens)
    if row.ndim == 2 and row.shape[0] == 1:
        row = row[0]
    if row.ndim != 1 or (len(row) and row.is_floating_point()):
        raise ValueError(f"`tokens` must be one sequence of whole numbers, not {row.dtype} {tuple(row.shape)}")
    return [int(token) for token in row]
