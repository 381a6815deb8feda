"""Training an oracle: a copy of the subject learns to answer questions about the subject's activations.

A step: some texts are read by the subject, each is asked some questions, the activations (minus their mean) are added
at the placeholders, and the copy learns the one word that answers (asked yes or no: the word, then the verdict). All
weights are trained, or thin matrices beside them (`lora`). Whatever draws is seeded by the step's number, so training
can stop at any step and go on as it would have.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.models import HookedModel
from mi_lib.oracles import dataset, injection, questions
from mi_lib.oracles.dataset import Example
from mi_lib.oracles.prompts import ids, prompts
from mi_lib.probing.collecting import padded

GROUPS, IGNORED = 4, -100  # of prompts of one length, about; a place where nothing is learned


@dataclass(frozen=True)
class Plan:
    """How an oracle is trained. kinds: of question, all that may be asked unless fewer are given."""

    steps: int = 2400
    texts: int = 8
    each: int = 16  # questions about a text
    learning_rate: float = 1e-3
    warm_up: int = 50
    cool_down: float = 0.35  # the share of the steps over which the learning rate falls
    weight_decay: float = 0.02
    clip: float = 1.0
    kinds: tuple[str, ...] = questions.ASKED
    way: injection.Way = "add"
    layer: int = injection.LAYER
    centred: bool = True
    outright: bool = False  # yes or no at once, without the word that is read; kept to show that it is not learned


def examples_of(plan: Plan, step: int, seed: int) -> list[Example]:
    """The questions of one step."""
    rng = random.Random(f"{seed}/{step}")
    texts = (dataset.document(step * plan.texts + i, 100 + seed, "train") for i in range(plan.texts))
    found = [one for text in texts for one in dataset.make(text, plan.each, rng, plan.kinds)]
    if plan.outright:
        return [one._replace(question=one.question._replace(said="")) for one in found]
    return found


@torch.no_grad()
def activations(
    subject: HookedModel, examples: Sequence[Example], means: Float[Tensor, "depth d_model"] | None
) -> list[Float[Tensor, "word d_model"]]:
    """What the subject has at the words of each example, minus the mean at its depth. Each text is read once."""
    numbers = {id(one.text): i for i, one in enumerate({id(e.text): e for e in examples}.values())}
    table, long = ids(), dict.fromkeys(numbers, 0)
    texts = {id(one.text): one.text for one in examples}
    for one in examples:
        long[id(one.text)] = max(long[id(one.text)], one.at + 1)
    rows = [[table["<|bos|>"], *(table[w] for w in texts[key].words[: long[key]])] for key in numbers]
    tokens, mask = padded(subject, rows)
    deepest = max(one.depth for one in examples)
    sites = {d: ("resid_pre", d) if d < subject.cfg.n_layers else ("resid_post", d - 1) for d in range(deepest + 1)}
    wanted = sorted({one.depth for one in examples})
    _, cache = subject.run_with_cache(
        tokens,
        [sites[d] for d in wanted],
        attention_mask=mask,
        stop_at_layer=min(deepest + 1, subject.cfg.n_layers) if deepest < subject.cfg.n_layers else None,
    )
    found = []
    for one in examples:
        vectors = cache[sites[one.depth]][numbers[id(one.text)], 1 + one.first : 2 + one.at]
        found.append(vectors if means is None else vectors - means[one.depth])
    return found


def logits(
    oracle: HookedModel,
    asked: Sequence[Sequence[str]],
    depths: Sequence[int],
    vectors: Sequence[Float[Tensor, "word d_model"]],
    way: injection.Way = "add",
    layer: int = injection.LAYER,
    said: Sequence[str] = (),
    keep: int = 1,
) -> Float[Tensor, "row d_vocab"]:
    """What the oracle would say to each question about these (centred) activations: the logits of its next word.

    said: what it has said already ("" or a word, for each). keep: of how many last places, if not of one; then the
    result is [row place d_vocab].
    """
    batch = prompts(asked, depths, [len(v) for v in vectors], said)
    stacked = torch.zeros(*batch.places.shape, oracle.cfg.d_model)
    for i, v in enumerate(vectors):
        stacked[i, : len(v)] = v
    edit = injection.inject(stacked, batch.places, batch.real, way)
    with oracle.hooks([(f"blocks.{layer}.hook_resid_post", edit)]):
        found = oracle(batch.tokens, batch.mask, logits_to_keep=keep)[:, -keep:]
    return found[:, 0] if keep == 1 else found


def loss(
    oracle: HookedModel, subject: HookedModel, examples: Sequence[Example], means: Tensor | None, plan: Plan
) -> Float[Tensor, ""]:
    """The mean surprise at the right answers, in nats; asked yes or no, that at the word and at the verdict added up.

    Short and long prompts are read apart: less padding.
    """
    vectors = activations(subject, examples, means)
    order = sorted(range(len(examples)), key=lambda i: len(vectors[i]) + len(examples[i].question.words))
    total, size = torch.zeros(()), -(-len(order) // GROUPS)
    for members in (order[at : at + size] for at in range(0, len(order), size)):
        some = [examples[i] for i in members]
        found = logits(
            oracle,
            [one.question.words for one in some],
            [one.depth for one in some],
            [vectors[i] for i in members],
            plan.way,
            plan.layer,
            [one.question.said for one in some],
            keep=2,
        )
        first = torch.tensor([ids()[one.question.said] if one.question.said else IGNORED for one in some])
        last = torch.tensor([ids()[one.question.answer] for one in some])
        total = total + nn.functional.cross_entropy(
            found.float().flatten(0, 1), torch.stack([first, last], 1).flatten(), ignore_index=IGNORED, reduction="sum"
        )
    return total / len(examples)


class Optimizers:
    """Muon for the matrices inside the blocks, AdamW for all else (as Pico itself was trained)."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], plan: Plan, muon: bool = True) -> None:
        named = [(n, p) for n, p in named if p.requires_grad]
        inside = [p for n, p in named if muon and p.ndim == 2 and ".h." in n]
        held = {id(p) for p in inside}
        others = [p for _, p in named if id(p) not in held]
        self.each: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay)
        ]
        if inside:
            self.each.append(
                torch.optim.Muon(
                    inside, lr=plan.learning_rate, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"
                )
            )

    def step(self, rate: float) -> None:
        for optimizer in self.each:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()

    def state_dict(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.each]

    def load_state_dict(self, states: Sequence[dict]) -> None:
        for optimizer, state in zip(self.each, states, strict=True):
            optimizer.load_state_dict(state)


def rate(plan: Plan, step: int) -> float:
    """A linear warm-up, then the same for long, and over the last part of the steps straight down to a twentieth."""
    if step < plan.warm_up:
        return plan.learning_rate * (step + 1) / plan.warm_up
    left = (plan.steps - step) / (plan.steps * plan.cool_down)
    return plan.learning_rate * max(0.05, min(1.0, left))


def train_step(
    oracle: HookedModel,
    subject: HookedModel,
    optimizers: Optimizers,
    means: Tensor | None,
    plan: Plan,
    step: int,
    seed: int,
) -> float:
    """One step of training; its loss in nats."""
    with torch.autocast(oracle.device.type, torch.bfloat16):
        found = loss(oracle, subject, examples_of(plan, step, seed), means, plan)
    found.backward()
    trained = [p for p in oracle.parameters() if p.requires_grad]
    nn.utils.clip_grad_norm_(trained, plan.clip)
    optimizers.step(rate(plan, step))
    return float(found.detach())


def restricted(kinds: Collection[str]) -> tuple[str, ...]:
    """Those kinds of question, in the order of all; KeyError for one that there is not."""
    for kind in kinds:
        questions.KINDS[kind]
    return tuple(kind for kind in questions.ASKED if kind in kinds)
