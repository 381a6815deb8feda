"""The grader of chapter 02. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: loops over positions, dense matrices, cases with a known
answer. All sizes in a test are different primes (layers, heads, batch, positions, widths, words), so that one slip
cannot look like another; random models come in several shapes and seeds, so that nothing can be right by luck.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mi_lib
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, grades
from mi_lib.course.grading.expectations import NUMBERS
from mi_lib.course.grading.material import (
    activation,
    causal_mask,
    generator,
    logits_with,
    randn,
    random_tokens,
    random_transformer,
    with_weights,
)
from mi_lib.models import Transformer, TransformerConfig
from mi_lib.worlds import repeats

#         layers heads d_model d_head d_vocab batch positions seed
SHAPES = ((3, 5, 13, 11, 17, 2, 7, 1), (2, 3, 11, 7, 13, 5, 17, 0), (2, 7, 17, 5, 11, 3, 13, 2))


@functools.cache
def random_model(n_layers: int, n_heads: int, d_model: int, d_head: int, d_vocab: int, seed: int) -> Transformer:
    """A small random model, sharp enough that its heads differ."""
    sizes = {"n_layers": n_layers, "d_model": d_model, "n_heads": n_heads, "d_head": d_head, "d_vocab": d_vocab}
    return random_transformer(seed, scale=0.36, n_ctx=19, **sizes)


def random_pattern(batch: int, heads: int, pos: int, seed: int) -> Tensor:
    """Causal attention: every row sums to 1."""
    scores = 3 * randn(batch, heads, pos, pos, seed=200 + seed)
    return scores.masked_fill(~causal_mask(pos), -torch.inf).softmax(-1)


def cases() -> list[tuple[Transformer, Tensor]]:
    return [
        (random_model(layers, heads, d_model, d_head, words, seed), random_tokens(batch, pos, words, seed))
        for layers, heads, d_model, d_head, words, batch, pos, seed in SHAPES
    ]


def some_heads(model: Transformer) -> list[tuple[int, int]]:
    """The first and the last head of every layer, and one between them."""
    last = model.cfg.n_heads - 1
    return [(layer, head) for layer in range(model.cfg.n_layers) for head in (0, 1 + layer % (last - 1), last)]


# --- 02.1 -------------------------------------------------------------------------------------------------------------


def patterns_by_hand(model: Transformer, tokens: Tensor, layer: int) -> dict[str, Tensor]:
    """Patterns and scores of one layer from the residual stream, with plain matrix products."""
    _, cache = model.run_with_cache(tokens, ("resid_pre", layer))
    x = cache["resid_pre", layer]
    q = torch.stack([x @ W for W in model.W_Q[layer]], dim=1)  # [batch head pos d_head]
    k = torch.stack([x @ W for W in model.W_K[layer]], dim=1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(model.cfg.d_head)
    mask = causal_mask(tokens.shape[1])
    return {
        "pattern": scores.masked_fill(~mask, -torch.inf).softmax(-1),
        "scores": scores.masked_fill(~mask, -torch.inf),
        "unmasked": scores.softmax(-1),
        "unscaled": (scores * math.sqrt(model.cfg.d_head)).masked_fill(~mask, -torch.inf).softmax(-1),
    }


@grades("02.1", weight=2)
def test_patterns_of_random_models(answer):
    """The patterns of every layer, on random models of several shapes."""
    for model, tokens in cases():
        every = [patterns_by_hand(model, tokens, layer) for layer in range(model.cfg.n_layers)]
        for layer, by_hand in enumerate(every):
            others = {
                f"These are the patterns of layer {other}. The test asked for layer {layer}.": every[other]["pattern"]
                for other in range(model.cfg.n_layers)
                if other != layer
            }
            want = by_hand["pattern"]
            expect_close(
                answer.attention_pattern(model, tokens, layer),
                want,
                f"the pattern of layer {layer}",
                axes="batch head query key",
                mistakes={
                    "These are attention scores, from before the softmax. The pattern is what comes after it; "
                    "its site is hook_pattern.": by_hand["scores"],
                    "Here positions look at what comes after them: the causal mask is missing.": by_hand["unmasked"],
                    "These scores were not divided by √d_head before the softmax.": by_hand["unscaled"],
                    "This is the pattern of the first sequence alone. Keep the batch axis.": want[0],
                    "Every sequence has the pattern of the first one. Each has its own.": want[:1].expand_as(want),
                    "This is the pattern of one head. Keep all heads.": want[:, 0],
                    "This is the mean over heads. Heads do different things: keep them apart.": want.mean(1),
                    "This is the mean over the batch. Keep every sequence.": want.mean(0),
                    "Queries and keys are exchanged: every row of a pattern, over its last axis, sums to 1.": want.mT,
                    "Heads and sequences are exchanged: the axes are [batch head query key].": want.transpose(0, 1),
                    "The heads stand behind the queries: the axes are [batch head query key].": want.transpose(1, 2),
                    "These are the patterns of all layers. The test asked for one.": torch.stack(
                        [by["pattern"] for by in every]
                    ),
                    **others,
                },
            )


@grades("02.1")
def test_pattern_of_the_bundled_model(answer):
    """The patterns of the trained model, whose positions are read by queries and keys alone."""
    model = mi_lib.load("induction-2l")
    tokens = repeats.sample(2, seed=5, period=6).tokens
    want = patterns_of(model, tokens)
    for layer in range(2):
        got = answer.attention_pattern(model, tokens, layer)
        other = {f"These are the patterns of layer {1 - layer}. The test asked for layer {layer}.": want[1 - layer]}
        expect_close(
            got, want[layer], f"the pattern of layer {layer}", axes="batch head query key", atol=1e-4, mistakes=other
        )


def patterns_of(model: Transformer, tokens: Tensor) -> list[Tensor]:
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
    return [cache[f"blocks.{layer}.attn.hook_pattern"] for layer in range(model.cfg.n_layers)]


# --- 02.2 -------------------------------------------------------------------------------------------------------------


def loss_with_loops(logits: Tensor, tokens: Tensor, shift: int = 1) -> Tensor:
    """−log p, one entry at a time; shift=0 judges the logits at t by token t."""
    x = logits.double().numpy()
    batch, pos = tokens.shape
    loss = np.zeros((batch, pos - 1))
    for b in range(batch):
        for t in range(pos - 1):
            row = x[b, t] - x[b, t].max()
            loss[b, t] = np.log(np.exp(row).sum()) - row[int(tokens[b, t + shift])]
    return torch.tensor(loss)


@grades("02.2")
def test_equal_logits_give_log_of_the_vocabulary(answer):
    """If all words are equally likely, each costs log(d_vocab) nats."""
    tokens = random_tokens(2, 5, 7, 0)
    same = torch.ones(2, 4)
    expect_close(
        answer.loss_per_token(torch.zeros(2, 5, 7), tokens),
        same * math.log(7),
        "the loss",
        axes="batch pos-1",
        mistakes={
            "Only the sign is wrong: a loss is minus the log probability, so it is never negative.": (
                -same * math.log(7)
            ),
            "These are bits. Use the natural logarithm, which gives nats.": same * math.log2(7),
            "These are probabilities. The loss is minus their logarithm.": same / 7,
            "This is one minus the probability. The loss is minus the logarithm of the probability.": same * 6 / 7,
            "This is one number for everything. Keep the loss of every token.": torch.tensor(math.log(7)),
        },
    )


@grades("02.2", weight=2)
def test_each_position_is_judged_by_the_next_token(answer):
    """Random logits, compared with a sum written out entry by entry."""
    for seed, (batch, pos, d_vocab) in enumerate([(3, 7, 5), (1, 2, 3), (5, 11, 31)]):
        logits = 3 * randn(batch, pos, d_vocab, seed=seed)
        tokens = random_tokens(batch, pos, d_vocab, seed)
        want = loss_with_loops(logits, tokens)
        nexts = tokens[:, 1:, None]
        log_probs = logits.log_softmax(-1)
        everywhere = -log_probs.gather(-1, tokens.roll(-1, 1)[..., None])[..., 0]
        expect_close(
            answer.loss_per_token(logits, tokens),
            want,
            "the loss",
            axes="batch pos-1",
            mistakes={
                "You judge the logits at position t by token t, which the model has already seen. "
                "They are a guess at token t + 1.": loss_with_loops(logits, tokens, shift=0),
                "You judge the logits at position t + 1 by token t. The logits at position t are a guess at token "
                "t + 1.": -log_probs[:, 1:].gather(-1, tokens[:, :-1, None])[..., 0],
                "The log-softmax is missing: logits are not log probabilities until they are normalised.": (
                    -logits[:, :-1].gather(-1, nexts)[..., 0]
                ),
                "You normalise twice. Give log_softmax (or cross_entropy) the logits themselves, not probabilities.": (
                    -logits.softmax(-1).log_softmax(-1)[:, :-1].gather(-1, nexts)[..., 0]
                ),
                "You normalise over positions. Normalise over the vocabulary, the last axis.": (
                    -logits.log_softmax(1)[:, :-1].gather(-1, nexts)[..., 0]
                ),
                "Only the sign is wrong: a loss is minus the log probability, so it is never negative.": -want,
                "These are bits. Use the natural logarithm, which gives nats.": want / math.log(2),
                "These are probabilities. The loss is minus their logarithm.": (-want).exp(),
                "Token 0 is a word like any other, and its loss counts: leave out `ignore_index=0`.": torch.where(
                    tokens[:, 1:] == 0, 0.0, want
                ),
                "Every sequence has the losses of the first one. Each has its own.": want[:1].expand_as(want),
                "The last position has no next token, and so no loss: leave it out.": everywhere,
                "This is the mean. Keep the loss of every token.": want.mean(),
                "This is the sum. Keep the loss of every token.": want.sum(),
                "This is the mean over the batch. Keep every sequence.": want.mean(0),
                "This is one number for each sequence. Keep the loss of every token.": want.mean(1),
                "This is the first sequence alone. Keep every sequence.": want[0],
                "All sequences lie in one long row. Keep the axes [batch pos-1].": want.flatten(),
            },
        )


@grades("02.2")
def test_very_large_logits(answer):
    """Logits of a thousand give finite losses."""
    logits = torch.tensor([[[1000.0, 0.0, -1000.0], [0.0, 1000.0, -1000.0], [0.0, 0.0, 0.0]]])
    got = answer.loss_per_token(logits, torch.tensor([[0, 1, 1]]))
    expect_close(
        got,
        torch.tensor([[1000.0, 0.0]]),
        "the loss of a word that the model is sure will not come, and then of one that it is sure will come,",
        mistakes={
            **{
                f"The loss stops at {-math.log(tiny):.1f} nats: {tiny:g} was added to the probabilities. Take "
                "log_softmax of the logits, which needs no such number.": torch.tensor([[-math.log(tiny), 0.0]])
                for tiny in (10.0**-power for power in range(4, 41))
            },
            "The loss became infinite. Take log_softmax at once, not the logarithm of a softmax: "
            "exp(−1000) is 0 in a computer.": torch.tensor([[math.inf, 0.0]]),
        },
    )


# --- 02.3 and 02.4 ----------------------------------------------------------------------------------------------------


def copy_masks(batch: int, pos: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two masks without any rule behind them, which share no position; some positions lie in neither."""
    kind = torch.randint(0, 3, (batch, pos), generator=generator(300 + seed))
    kind[:, 0] = torch.arange(batch) % 2  # token 0 lies in a first copy here, in a later one there
    kind[0, 1], kind[0, 2], kind[0, -1] = 0, 1, 1
    kind[-1, 1:] = 2 - 2 * (torch.arange(pos - 1) % 3 == 0).long()  # the last sequence has no later copy
    return kind == 0, kind == 1


def picked(loss: Tensor, mask: Tensor) -> list[float]:
    """Loss by loss: those of the tokens in the mask."""
    return [loss[b, t - 1].item() for b in range(len(loss)) for t in range(1, mask.shape[1]) if mask[b, t]]


@grades("02.3", weight=2)
def test_means_over_first_and_later_copies(answer):
    """Means over the right tokens: masks of all kinds, and masks of real samples of repeats."""
    masks = []  # every sequence has both copies first: where one has none, a mean of means is NaN and names no slip
    for seed, (copies, gap) in enumerate([(2, 0), (3, 0), (2, 3)]):
        sample = repeats.sample(5, seed=seed, period=(3, 6), copies=copies, distractors=gap, n_ctx=29)
        masks.append((sample.first, sample.second))
    masks += [copy_masks(3, 7, 0), copy_masks(5, 11, 1)]
    for seed, (first, second) in enumerate(masks):
        batch, pos = first.shape
        loss = torch.rand(batch, pos - 1, generator=generator(seed)) + torch.arange(pos - 1) * 0.1
        values = [picked(loss, mask) for mask in (first, second)]
        want = torch.tensor([sum(v) / len(v) for v in values])
        expect_close(
            answer.copy_losses(loss, first, second),
            want,
            "the pair (first copies, later copies)",
            mistakes=copy_mistakes(loss, first, second, want),
        )


def copy_mistakes(loss: Tensor, first: Tensor, second: Tensor, want: Tensor) -> dict[str, Tensor]:
    both = (first, second)
    padded = torch.nn.functional.pad(loss, (1, 0))  # as if token 0 had a loss of 0

    def pair(one: Callable[[Tensor], Tensor]) -> Tensor:
        return torch.stack([one(mask) for mask in both])

    def of_rows(mask: Tensor) -> Tensor:
        return torch.stack([loss[b][m].mean() for b, m in enumerate(mask[:, 1:]) if m.any()]).mean()

    return {
        "You are off by one: loss[b, t] belongs to token t + 1, so it is first[b, t + 1] that says where that "
        "token lies.": pair(lambda m: loss[m[:, :-1]].mean()),
        "You count token 0, as if it had a loss of 0. Nothing predicts token 0: it has no loss, and does not "
        "count.": pair(lambda m: padded[m].mean()),
        "The two are exchanged: first copies come first.": want.flip(0),
        "Both numbers are about first copies.": want[[0, 0]],
        "Both numbers are about later copies.": want[[1, 1]],
        "You average each sequence first and then the averages. Sequences with few such tokens then count too "
        "much: average over all tokens at once.": pair(of_rows),
        "You average each sequence first and then the averages. Sequences without any such token then count as 0: "
        "average over all tokens at once.": pair(lambda m: of_rows(m) * m[:, 1:].any(1).double().mean()),
        "You average each position first and then the averages: average over all tokens at once.": pair(
            lambda m: torch.stack(
                [loss[:, t][m[:, t + 1]].mean() for t in range(loss.shape[1]) if m[:, t + 1].any()]
            ).mean()
        ),
        "You divide by the number of all tokens. Divide by the number of those that count.": pair(
            lambda m: (loss * m[:, 1:]).mean()
        ),
        "You divide by the number of sequences. Divide by the number of tokens that count.": pair(
            lambda m: (loss * m[:, 1:]).sum() / len(loss)
        ),
        "These are sums. Take means.": pair(lambda m: (loss * m[:, 1:]).sum()),
        "You use the first sequence alone. Average over all of them.": pair(lambda m: loss[0][m[0, 1:]].mean()),
        "Words that lie in no copy are counted as first copies. Use the mask `first`, not the opposite of `second`.": (
            torch.stack([loss[~second[:, 1:]].mean(), want[1]])
        ),
        "Words that lie in no copy are counted as later copies. Use the mask `second`, not the opposite of `first`.": (
            torch.stack([want[0], loss[~first[:, 1:]].mean()])
        ),
    }


@grades("02.3")
def test_a_loss_of_its_own_for_each_copy(answer):
    """If first copies cost 6 and later ones 1, that is the answer."""
    sample = repeats.sample(3, seed=9, period=5, offset=2)
    loss = torch.where(sample.second[:, 1:], 1.0, 6.0)
    loss[:, :2] = 100.0  # the offset's words belong to neither
    want = torch.tensor([6.0, 1.0])
    expect_close(
        answer.copy_losses(loss, sample.first, sample.second),
        want,
        "the pair (first copies, later copies)",
        mistakes=copy_mistakes(loss, sample.first, sample.second, want),
    )


@grades("02.4")
def test_the_sign_of_the_score(answer):
    """A loss that falls with position gives a negative score."""
    loss = torch.tensor([[6.0, 4.0, 1.0], [6.0, 2.0, 1.0]])
    expect_close(
        answer.in_context_learning_score(loss, 0, 2),
        -5.0,
        "the score",
        mistakes={
            "The sign is turned round: it is the late loss minus the early one, so that learning from context is "
            "negative.": 5.0,
            "This is the sum over the batch. Take the mean.": -10.0,
            "This is a ratio. Subtract instead.": 1 / 6,
        },
    )


@grades("02.4", weight=2)
def test_the_score_on_random_losses(answer):
    """Mean at one index minus mean at the other, for several pairs of indices."""
    for seed, (early, late) in enumerate([(1, 7), (0, 1), (2, 9), (6, 3), (5, 5)]):
        loss = torch.rand(7, 11, generator=generator(seed)) * 6
        at_early = sum(row[early] for row in loss.tolist()) / 7
        at_late = sum(row[late] for row in loss.tolist()) / 7
        expect_close(
            answer.in_context_learning_score(loss, early, late),
            at_late - at_early,
            "the score",
            mistakes={
                "The sign is turned round: it is the late loss minus the early one.": at_early - at_late,
                "You compare everything up to `late` with everything up to `early`. Compare the losses AT the two "
                "indices.": (loss[:, : late + 1].mean() - loss[:, : early + 1].mean()).item(),
                "You average over positions on either side. Compare the losses AT the two indices.": (
                    loss[:, late:].mean() - loss[:, : early + 1].mean()
                ).item(),
                "You are one column too far to the right: `early` and `late` count columns of the loss.": (
                    (loss[:, late + 1] - loss[:, early + 1]).mean().item()
                ),
                "You are one column too far to the left: `early` and `late` count columns of the loss.": (
                    (loss[:, late - 1] - loss[:, early - 1]).mean().item()
                ),
                "This is a ratio. Subtract instead.": at_late / at_early,
                "This is the sum over the batch. Take the mean.": 7 * (at_late - at_early),
                "You use the first sequence alone. Average over the batch.": (loss[0, late] - loss[0, early]).item(),
                "This is the median over the batch. Take the mean.": (
                    (loss[:, late].median() - loss[:, early].median()).item()
                ),
                "Rows and columns are exchanged: `early` and `late` are positions, the second axis.": (
                    (loss[late] - loss[early]).mean().item() if max(late, early) < 7 else math.nan
                ),
            },
        )


# --- 02.5 -------------------------------------------------------------------------------------------------------------


def mean_attention_to(pattern: Tensor, target: list[list[int]]) -> Tensor:
    """Entry by entry: the mean attention of each head to target[b][q]; −1 does not count."""
    batch, heads, pos, _ = pattern.shape
    scores = []
    for h in range(heads):
        paid = [pattern[b, h, q, target[b][q]].item() for b in range(batch) for q in range(pos) if target[b][q] >= 0]
        scores.append(sum(paid) / max(len(paid), 1))
    return torch.tensor(scores)


@grades("02.5")
def test_a_perfect_previous_token_head(answer):
    """A head that always looks one back scores 1; one that looks at itself scores 0; an even spread lies between."""
    n = 7
    pattern = torch.zeros(1, 3, n, n)
    pattern[0, 0, 0, 0] = 1
    pattern[0, 0, torch.arange(1, n), torch.arange(n - 1)] = 1
    pattern[0, 1] = torch.eye(n)
    pattern[0, 2] = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    spread = sum(1 / (q + 1) for q in range(1, n)) / (n - 1)
    expect_close(
        answer.previous_token_score(pattern),
        torch.tensor([1.0, 0.0, spread]),
        "the score of the three heads",
        axes="head",
        mistakes=previous_token_mistakes(pattern),
    )


def previous_token_mistakes(pattern: Tensor) -> dict[str, Tensor]:
    n = pattern.shape[-1]
    below = pattern.diagonal(offset=-1, dim1=-2, dim2=-1)
    back = torch.arange(1, n) - 1
    return {
        "This is the attention of each position to itself. One back is the diagonal below the main one.": (
            pattern.diagonal(dim1=-2, dim2=-1).mean((0, 2))
        ),
        "You look one step AHEAD, which the causal mask forbids: query and key are exchanged.": (
            pattern.diagonal(offset=1, dim1=-2, dim2=-1).mean((0, 2))
        ),
        "You divide by all positions. Position 0 has nothing before it and does not count.": below.sum((0, 2))
        / (n * pattern.shape[0]),
        "You count position 0 too, by what it pays to itself. It has nothing before it and does not count.": (
            torch.cat([pattern[:, :, 0, :1], below], -1).mean((0, 2))
        ),
        "You leave out position 1. It has a position before it: only position 0 does not count.": (
            below[..., 1:].mean((0, 2))
        ),
        "You average over heads too. Each head has a score of its own.": below.mean(),
        "You average over heads instead of over the batch.": below.mean((1, 2)),
        "You keep the batch: average over all sequences, so that one number is left for each head.": below.mean(2),
        "You keep the positions: average over them too, so that one number is left for each head.": below.mean(0),
        "You use the first sequence alone. Average over the batch.": below[0].mean(1),
        "This is a sum. The score is a mean, between 0 and 1.": below.sum((0, 2)),
        "You look two steps back.": pattern.diagonal(offset=-2, dim1=-2, dim2=-1).mean((0, 2)),
        "This is the highest attention. The score is a mean.": below.amax((0, 2)),
        "You count how often a head looks most at the position before. The score is the mean attention itself.": (
            (pattern[:, :, 1:].argmax(-1) == back).double().mean((0, 2))
        ),
        "`diagonal` takes the axes 0 and 1 unless it is told otherwise. Give it dim1=-2 and dim2=-1.": (
            pattern.diagonal(offset=-1).mean((0, 2)) if min(pattern.shape[:2]) > 1 else below.mean((0, 2))
        ),
    }


@grades("02.5", weight=2)
def test_previous_token_score_on_random_patterns(answer):
    """Random patterns of several shapes, compared with a sum written out entry by entry."""
    for seed, (batch, heads, pos) in enumerate([(3, 5, 11), (1, 3, 5), (5, 2, 13), (3, 7, 2)]):
        pattern = random_pattern(batch, heads, pos, seed)
        want = mean_attention_to(pattern, [[q - 1 for q in range(pos)] for _ in range(batch)])
        expect_close(
            answer.previous_token_score(pattern),
            want,
            "the score of each head",
            axes="head",
            mistakes=previous_token_mistakes(pattern),
        )


# --- 02.6 -------------------------------------------------------------------------------------------------------------


def previous_with_dict(tokens: Tensor, carry: bool = False) -> Tensor:
    """The latest earlier position, with a dictionary; `carry`: one dictionary for all sequences."""
    rows = []
    last: dict[int, int] = {}
    for row in tokens.tolist():
        last = last if carry else {}
        out = []
        for t, token in enumerate(row):
            out.append(last.get(token, -1))
            last[token] = t
        rows.append(out)
    return torch.tensor(rows)


def previous_mistakes(tokens: Tensor) -> dict[str, Tensor]:
    rows = tokens.tolist()
    n = tokens.shape[1]
    want = previous_with_dict(tokens)

    def at(choose: Callable[[list[int], int], int]) -> Tensor:
        return torch.tensor([[choose(row, t) for t in range(n)] for row in rows])

    def earlier(row: list[int], t: int, gap: int = 1) -> list[int]:
        return [p for p in range(t - gap + 1) if row[p] == row[t]]

    def elsewhere(row: list[int], t: int) -> list[int]:
        return [p for p in range(n) if row[p] == row[t] and p != t]

    return {
        "You count a position as its own earlier occurrence. Only strictly earlier positions count.": at(
            lambda row, t: t
        ),
        "You find the FIRST occurrence. When a token has come more than once, the latest one counts.": at(
            lambda row, t: min(earlier(row, t), default=-1)
        ),
        "You find the first place where the token stands at all, and for a new token that is its own.": at(
            lambda row, t: row.index(row[t])
        ),
        "You leave out the position just before. The same token may come twice in a row.": at(
            lambda row, t: max(earlier(row, t, 2), default=-1)
        ),
        "You find occurrences that come later too. Only earlier positions count.": at(
            lambda row, t: max(elsewhere(row, t), default=-1)
        ),
        "You look forward: this is where the token comes next. Look for where it was before.": at(
            lambda row, t: min((p for p in elsewhere(row, t) if p > t), default=-1)
        ),
        "Where there is none the answer is −1, not 0: position 0 is a place like any other.": want.clamp(min=0),
        "Where there is none the answer is −1, not the position itself.": torch.where(want < 0, torch.arange(n), want),
        "An earlier occurrence at position 0 is one like any other, and not −1.": torch.where(want == 0, -1, want),
        "This is how far back it was. Give its position.": torch.where(want >= 0, torch.arange(n) - want, -1),
        "This is the position after the earlier occurrence. Give that of the occurrence itself.": torch.where(
            want >= 0, want + 1, -1
        ),
        "This is how often the token has come before. Give the position where it was last.": at(
            lambda row, t: len(earlier(row, t))
        ),
        "You carry tokens over from one sequence to the next: one sequence is no past for another.": (
            previous_with_dict(tokens, carry=True)
        ),
        "This is the first sequence alone. Keep every sequence.": want[0],
        "You look for the tokens of the first sequence in all of them. Each has tokens of its own.": (
            want[:1].expand_as(want)
        ),
        "Sequences and positions are exchanged: the axes are [batch pos].": want.T,
    }


@grades("02.6", weight=2)
def test_the_latest_earlier_occurrence(answer):
    """Sequences with many repeats, also side by side, and the example of the docstring."""
    batches = [
        random_tokens(batch, pos, words, seed) for seed, (batch, pos, words) in enumerate([(5, 13, 3), (3, 7, 5)])
    ]
    batches += [torch.tensor([[7, 3, 7, 7, 3]]), torch.tensor([[0, 0, 0]]), torch.tensor([[5]])]
    batches += [repeats.sample(3, seed=1, period=5, copies=3).tokens, torch.tensor([[1, 2, 3]])]
    for tokens in batches:
        expect_equal(
            answer.previous_occurrence(tokens),
            previous_with_dict(tokens),
            "the position of the latest earlier occurrence",
            mistakes=previous_mistakes(tokens),
        )


@grades("02.6")
def test_sequences_do_not_mix(answer):
    """A token of one sequence is no earlier occurrence for another."""
    tokens = torch.tensor([[1, 2, 1, 1, 3], [3, 4, 2, 4, 4], [5, 5, 1, 5, 3]])
    expect_equal(
        answer.previous_occurrence(tokens),
        torch.tensor([[-1, -1, 0, 2, -1], [-1, -1, -1, 1, 3], [-1, 0, -1, 1, -1]]),
        "the position of the latest earlier occurrence",
        mistakes=previous_mistakes(tokens),
    )


# --- 02.7 -------------------------------------------------------------------------------------------------------------


def prefix_matching_mistakes(pattern: Tensor, previous: Tensor) -> dict[str, Tensor]:
    rows = previous.tolist()
    after = [[p + 1 if p >= 0 else -1 for p in row] for row in rows]
    want = mean_attention_to(pattern, after)
    b, q = (previous >= 0).nonzero(as_tuple=True)
    paid = pattern[b, :, q, previous[b, q] + 1]  # [repeated tokens, head]
    most = pattern.argmax(-1)[b, :, q] == (previous[b, q] + 1)[:, None]
    mistakes = {
        "You score the earlier occurrence itself. An induction head looks at the token AFTER it, to see what came "
        "next.": mean_attention_to(pattern, rows),
        "You score the token BEFORE the earlier occurrence. It is the one after it that says what came next.": (
            mean_attention_to(pattern, [[p - 1 for p in row] for row in rows])
        ),
        "You go two steps on from the earlier occurrence. It is the token just after it that came next.": (
            mean_attention_to(pattern, [[p + 2 if 0 <= p < len(row) - 2 else -1 for p in row] for row in rows])
        ),
        "You divide by all positions. Positions whose token is new do not count at all.": paid.sum(0)
        / previous.numel(),
        "You treat −1 as a position: new tokens are scored by their attention to position 0. Leave them out.": (
            mean_attention_to(pattern, [[p + 1 for p in row] for row in rows])
        ),
        "An earlier occurrence at position 0 counts too: only −1 means that there is none.": mean_attention_to(
            pattern, [[p + 1 if p > 0 else -1 for p in row] for row in rows]
        ),
        "You average over heads. Each head has a score of its own.": want.mean(),
        "You average over heads instead of over tokens.": paid.mean(1),
        "You keep the repeated tokens: average over them, so that one number is left for each head.": paid,
        "This is a sum. The score is a mean, between 0 and 1.": paid.sum(0),
        "The last place of a sequence is one like any other: a last token that repeats its neighbour should look at "
        "itself.": mean_attention_to(pattern, [[min(p, len(row) - 2) for p in row] for row in after]),
        "You use the first sequence alone. Average over all repeated tokens.": paid[b == 0].mean(0),
        "You use `previous` of the first sequence for all of them. Each has its own.": mean_attention_to(
            pattern, [after[0]] * len(after)
        ),
        "You count how often a head looks most at the right place. The score is the mean attention itself.": (
            most.double().mean(0)
        ),
        "Query and key are exchanged: pattern[b, h, q, k] is how much q looks at k.": mean_attention_to(
            pattern.mT, after
        ),
    }
    per_row = [mean_attention_to(pattern[i : i + 1], [row]) for i, row in enumerate(after) if max(row) >= 0]
    if len(per_row) > 1:
        mistakes["You average each sequence first and then the averages. Average over all repeated tokens at once."] = (
            torch.stack(per_row).mean(0)
        )
    return mistakes


@grades("02.7")
def test_a_perfect_induction_head_scores_one(answer):
    """A head that always looks one past the earlier occurrence scores 1, those that look beside it score 0."""
    sample = repeats.sample(2, seed=3, period=5, offset=2)
    n = sample.tokens.shape[1]
    pattern = torch.zeros(2, 3, n, n)
    for b in range(2):
        for q in range(n):
            p = int(sample.previous[b, q])
            pattern[b, 0, q, p + 1 if p >= 0 else 0] = 1
            pattern[b, 1, q, p if p >= 0 else 0] = 1
            pattern[b, 2, q, max(p - 1, 0)] = 1
    expect_close(
        answer.prefix_matching_score(pattern, sample.previous),
        torch.tensor([1.0, 0.0, 0.0]),
        "the score of the three heads",
        axes="head",
        mistakes=prefix_matching_mistakes(pattern, sample.previous),
    )


@grades("02.7", weight=2)
def test_prefix_matching_on_random_patterns(answer):
    """Random patterns and random repeats, compared with a sum written out entry by entry."""
    # In the first batch every sequence repeats something: where one does not, a mean of means is NaN and names no slip.
    for seed, (batch, heads, pos) in enumerate([(2, 3, 11), (3, 5, 11), (1, 2, 7), (5, 3, 13)]):
        pattern = random_pattern(batch, heads, pos, seed)
        tokens = random_tokens(batch, pos, 5, seed)
        if batch == 2:
            tokens[1, :8] = torch.arange(8)  # fewer repeats than in the other sequence
        if batch > 2:
            tokens[-1] = torch.arange(pos)  # a sequence without any repeat
            tokens[0, -1] = tokens[0, -2]  # the one past the earlier occurrence is the last place itself
        previous = previous_with_dict(tokens)
        rows = [[p + 1 if p >= 0 else -1 for p in row] for row in previous.tolist()]
        expect_close(
            answer.prefix_matching_score(pattern, previous),
            mean_attention_to(pattern, rows),
            "the score of each head",
            axes="head",
            mistakes=prefix_matching_mistakes(pattern, previous),
        )


# --- 02.8, 02.9, 02.10 ------------------------------------------------------------------------------------------------


def without_head(model: Transformer, *heads: tuple[int, int]) -> Transformer:
    """The same model with the output matrices of some heads set to zero: ablation in the weights, without any hook."""
    copy = with_weights(model)
    for layer, head in heads:
        copy.blocks[layer].attn.W_O[head] = 0.0
    return copy


Put = Callable[[Tensor], Any]  # changes a z [batch pos head d_head] in place


def entry(index: Any, value: Any = 0.0) -> Put:
    """Puts a value at an index."""

    def put(z: Tensor) -> None:
        z[index] = value

    return put


def other_heads(head: int) -> Put:
    def put(z: Tensor) -> None:
        z[:, :, [h for h in range(z.shape[2]) if h != head]] = 0.0

    return put


def flat_scores(head: int) -> Put:
    def put(scores: Tensor) -> None:
        scores[:, head] = torch.where(scores[:, head].isinf(), scores[:, head], torch.zeros(()))

    return put


def without_direct_effect(model: Transformer, tokens: Tensor, layer: int, head: int) -> Tensor:
    """What a head writes is taken out of the last residual stream; later heads have read it."""
    return model(tokens) - (activation(model, tokens, ("z", layer))[:, :, head] @ model.W_O[layer, head]) @ model.W_U


NOTHING = (
    "Nothing has changed: these are the logits of the whole model. Does your hook return the new value, and is it "
    "registered?"
)


def ablation_mistakes(model: Transformer, tokens: Tensor, layer: int, head: int) -> dict[str, Tensor]:
    heads, layers = model.cfg.n_heads, model.cfg.n_layers
    everything = slice(None)

    def z(put: Put, site: str = "z") -> Tensor:
        return logits_with(model, tokens, (site, layer), put)

    mistakes = {
        NOTHING: model(tokens),
        "The whole layer is silent. Silence one head: z[:, :, head].": z(entry(everything)),
        "You silence a position, not a head: the axes of z are [batch pos head d_head].": z(
            entry((everything, head)) if head < tokens.shape[1] else entry(())
        ),
        "You silence a sequence, not a head: the axes of z are [batch pos head d_head].": (
            z(entry(head)) if head < len(tokens) else z(lambda value: None)
        ),
        "You silence one number of every head: the head is axis 2 of z, and your index stands on axis 3.": z(
            entry((..., head)) if head < model.cfg.d_head else entry(())
        ),
        "You silence the head in the first sequence alone.": z(entry((0, everything, head))),
        "You silence the head at the last position alone. Silence it everywhere.": z(entry((everything, -1, head))),
        "You leave this head and silence all the others.": z(other_heads(head)),
        "You set the head's scores to 0. It then looks everywhere alike, and still writes: set z.": z(
            flat_scores(head), "attn_scores"
        ),
        "You silence this head in every layer. Silence it in the one layer that was asked for.": without_head(
            model, *[(i, head) for i in range(layers)]
        )(tokens),
        "You take away what the head writes to the logits alone, its direct effect. Later heads read it too: set z to "
        "0 while the model runs.": without_direct_effect(model, tokens, layer, head),
        "You put the mean in the head's place. Put 0.": z(
            lambda value: value[:, :, head].copy_(value[:, :, head].mean(0).expand_as(value[:, :, head]))
        ),
    }
    for other in ((head + 1) % heads, (head - 1) % heads):
        mistakes[f"You silence head {layer}.{other}, and the test asked for head {layer}.{head}."] = without_head(
            model, (layer, other)
        )(tokens)
    for other in range(layers):
        if other != layer:
            mistakes[f"You silence head {other}.{head}, and the test asked for head {layer}.{head}."] = without_head(
                model, (other, head)
            )(tokens)
    return mistakes


@grades("02.8", weight=2)
def test_zero_ablation_of_each_head(answer):
    """Heads of random models, compared with a model whose W_O for that head is zero."""
    for model, tokens in cases():
        for layer, head in some_heads(model):
            expect_close(
                answer.ablate_head(model, tokens, layer, head),
                without_head(model, (layer, head))(tokens),
                f"the tensor of logits without head {layer}.{head}",
                atol=1e-4,
                axes="batch pos d_vocab",
                mistakes=functools.partial(ablation_mistakes, model, tokens, layer, head),
            )


@grades("02.8")
def test_the_bundled_model_without_a_head(answer):
    """The trained model without one head, then without another: the first one is back."""
    model = mi_lib.load("induction-2l")
    tokens = repeats.sample(2, seed=8, period=7).tokens
    gone: list[tuple[int, int]] = []
    for layer, head in ((1, 1), (0, 3), (1, 1)):
        expect_close(
            answer.ablate_head(model, tokens, layer, head),
            without_head(model, (layer, head))(tokens),
            f"the tensor of logits without head {layer}.{head}",
            atol=1e-3,
            axes="batch pos d_vocab",
            mistakes={
                NOTHING: model(tokens),
                "The model is not as it was before: a head that an earlier call silenced is still silent. Leave its "
                "weights alone, and let no hook stay in it.": without_head(model, (layer, head), *gone)(tokens),
            },
        )
        gone.append((layer, head))


def mean_mistakes(model: Transformer, tokens: Tensor, layer: int, head: int, reference: Tensor) -> dict[str, Tensor]:
    z_reference, z_tokens = activation(model, reference, ("z", layer)), activation(model, tokens, ("z", layer))
    everything = slice(None)

    def put(value: Any) -> Tensor:
        return logits_with(model, tokens, ("z", layer), entry((everything, everything, head), value))

    mistakes = {
        "You average over positions as well. Each position has a mean of its own.": put(
            z_reference[:, :, head].mean((0, 1))
        ),
        "You average over positions and keep the sequences. Average over the sequences of `reference`.": (
            put(z_reference[:, :, head].mean(1)[:1].expand(len(tokens), -1)[:, None])
        ),
        "You take the mean over `tokens` itself. Take it over `reference`.": put(z_tokens[:, :, head].mean(0)),
        "You take the mean over `tokens` and `reference` together. Take it over `reference` alone.": put(
            torch.cat([z_tokens, z_reference])[:, :, head].mean(0)
        ),
        "This is zero ablation. Put the mean in the head's place, not 0.": put(0.0),
        "You put the sum over the reference in the head's place, not the mean.": put(z_reference[:, :, head].sum(0)),
        "You put the median over the reference in the head's place, not the mean.": put(
            z_reference[:, :, head].median(0).values
        ),
        "You replace the whole layer by its mean. Replace one head.": logits_with(
            model, tokens, ("z", layer), entry(everything, z_reference.mean(0))
        ),
        "You average over heads. The mean belongs to this head alone.": put(z_reference.mean((0, 2))),
        "You average over d_head too: each of a head's numbers has a mean of its own.": put(
            z_reference[:, :, head].mean((0, 2))[:, None]
        ),
        "You put in one sequence of the reference, not the mean over all of them.": put(z_reference[0, :, head]),
        "You subtract the mean. Put it in the head's place.": put(
            z_tokens[:, :, head] - z_reference[:, :, head].mean(0)
        ),
        "The two are exchanged: run the model on `tokens`, and take the mean over `reference`.": logits_with(
            model, reference, ("z", layer), entry((everything, everything, head), z_tokens[:, :, head].mean(0))
        ),
        NOTHING: model(tokens),
    }
    other = (head + 1) % model.cfg.n_heads
    mistakes["You put the mean of another head in this one's place."] = put(z_reference[:, :, other].mean(0))
    mistakes[f"You replace head {layer}.{other}, and the test asked for head {layer}.{head}."] = logits_with(
        model, tokens, ("z", layer), entry((everything, everything, other), z_reference[:, :, other].mean(0))
    )
    mistakes["You replace the head in as many sequences as `reference` has. Replace it in all of them."] = logits_with(
        model,
        tokens,
        ("z", layer),
        entry((slice(len(reference)), everything, head), z_reference[:, :, head].mean(0)),
    )
    mistakes["You replace the head in the first sequence alone."] = logits_with(
        model, tokens, ("z", layer), entry((0, everything, head), z_reference[:, :, head].mean(0))
    )
    return mistakes


@grades("02.9", weight=2)
def test_mean_ablation_of_each_head(answer):
    """Heads of random models, with the mean taken over other sequences, position by position."""
    for (model, tokens), size in zip(cases(), (7, 3, 11), strict=True):
        reference = random_tokens(size, tokens.shape[1], model.cfg.d_vocab, 50)
        for layer in range(model.cfg.n_layers):
            head = (layer + 1) % model.cfg.n_heads
            z_reference = activation(model, reference, ("z", layer))
            mean = sum(z_reference[b, :, head] for b in range(size)) / size
            expect_close(
                answer.mean_ablate_head(model, tokens, layer, head, reference),
                logits_with(model, tokens, ("z", layer), entry((slice(None), slice(None), head), mean)),
                f"the tensor of logits with head {layer}.{head} at its mean",
                atol=1e-4,
                axes="batch pos d_vocab",
                mistakes=functools.partial(mean_mistakes, model, tokens, layer, head, reference),
            )


@grades("02.9")
def test_a_mean_of_equal_sequences_changes_nothing(answer):
    """If all reference sequences equal the one that is run, the mean is what the head says anyway."""
    for model, tokens in cases():
        one = tokens[:1]
        for layer in range(model.cfg.n_layers):
            expect_close(
                answer.mean_ablate_head(model, one, layer, 0, one.expand(3, -1)),
                model(one),
                "the tensor of logits, which should be that of the whole model,",
                mistakes=functools.partial(mean_mistakes, model, one, layer, 0, one.expand(3, -1)),
                atol=1e-4,
                axes="batch pos d_vocab",
            )


def by_products(
    model: Transformer,
    tokens: Tensor,
    silent: list[tuple[int, int]],
    frozen: list[int],
    clean: list[Tensor] | None = None,
    heads: list[int] | None = None,
) -> Tensor:
    """The forward pass written out as plain products: some heads silent, and the patterns of some layers held, of all
    heads or of some: at `clean`, by default what they were in the whole model."""
    clean = patterns_of(model, tokens) if clean is None else clean
    heads = list(range(model.cfg.n_heads)) if heads is None else heads
    x = model.W_E[tokens] + model.W_pos[: tokens.shape[1]]
    mask = causal_mask(tokens.shape[1])
    for i in range(model.cfg.n_layers):
        scores = torch.einsum("bqd,hde,bkf,hfe->bhqk", x, model.W_Q[i], x, model.W_K[i]) / math.sqrt(model.cfg.d_head)
        pattern = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        if i in frozen:
            pattern[:, heads] = clean[i][:, heads]
        result = torch.einsum("bhqk,bkd,hde,hef->bhqf", pattern, x, model.W_V[i], model.W_O[i])
        for layer, head in silent:
            if i == layer:
                result[:, head] = 0.0
        x = x + result.sum(1)
    return x @ model.W_U


@grades("02.10", weight=2)
def test_frozen_patterns_on_random_models(answer):
    """Every layer's patterns stay; compared with the forward pass written out as plain products."""
    for model, tokens in cases():
        every = list(range(model.cfg.n_layers))
        for layer in every:
            head = (2 * layer + 1) % model.cfg.n_heads
            expect_close(
                answer.ablate_with_frozen_patterns(model, tokens, layer, head),
                by_products(model, tokens, [(layer, head)], every),
                f"the tensor of logits without head {layer}.{head}, patterns frozen",
                atol=1e-4,
                axes="batch pos d_vocab",
                mistakes=functools.partial(frozen_mistakes, model, tokens, layer, head),
            )


def frozen_mistakes(model: Transformer, tokens: Tensor, layer: int, head: int) -> dict[str, Tensor]:
    heads, every = model.cfg.n_heads, list(range(model.cfg.n_layers))

    def run(silent: list[tuple[int, int]], frozen: list[int] = every, **held: Any) -> Tensor:
        return by_products(model, tokens, silent, frozen, **held)

    clean = patterns_of(model, tokens)

    mistakes = {
        "Nothing has changed: these are the logits of the whole model.": model(tokens),
        "The whole layer is silent. Silence one head.": run([(layer, h) for h in range(heads)]),
        "You leave this head and silence all the others.": run([(layer, h) for h in range(heads) if h != head]),
        "You silence this head in every layer. Silence it in the one layer that was asked for.": run(
            [(i, head) for i in every]
        ),
        "Every sequence has the patterns of the first one. Each has its own.": run(
            [(layer, head)], clean=[p[:1].expand_as(p) for p in clean]
        ),
        "You put back the mean of the patterns over the batch. Each sequence has its own.": run(
            [(layer, head)], clean=[p.mean(0, keepdim=True).expand_as(p) for p in clean]
        ),
        "You silence the head in the first sequence alone.": torch.cat([run([(layer, head)])[:1], model(tokens)[1:]]),
    }
    for other in ((head + 1) % heads, (head - 1) % heads):
        mistakes[f"You silence head {layer}.{other}, and the test asked for head {layer}.{head}."] = run(
            [(layer, other)]
        )
    if layer < every[-1]:
        mistakes[
            "Later heads look elsewhere now: their patterns were not put back. Freeze the patterns of every layer."
        ] = run([(layer, head)], [])
        mistakes[
            f"You freeze the patterns of head {head} alone in every layer. Freeze those of all heads: pattern[:, :], "
            "not pattern[:, head]."
        ] = run([(layer, head)], heads=[head])
        mistakes[
            "You freeze the next layer alone. Those behind it look elsewhere too: freeze the patterns of every layer."
        ] = run([(layer, head)], [layer, layer + 1])
        mistakes[
            "You freeze the last layer alone. Those before it look elsewhere too: freeze the patterns of every layer."
        ] = run([(layer, head)], every[-1:])
        mistakes[
            "You hold what later heads write, not where they look. They should write what they find there now."
        ] = without_direct_effect(model, tokens, layer, head)
    return mistakes


@grades("02.10")
def test_in_the_last_layer_freezing_changes_nothing(answer):
    """Without a head of the last layer nobody looks later, so the result is that of 02.8."""
    for model, tokens in cases()[:2]:
        last = model.cfg.n_layers - 1
        expect_close(
            answer.ablate_with_frozen_patterns(model, tokens, last, 2),
            without_head(model, (last, 2))(tokens),
            f"the tensor of logits without head {last}.2",
            atol=1e-4,
            axes="batch pos d_vocab",
            mistakes=functools.partial(frozen_mistakes, model, tokens, last, 2),
        )


# --- 02.11 ------------------------------------------------------------------------------------------------------------


def dense_eigenvalues(W_E: Tensor, W_V: Tensor, W_O: Tensor, W_U: Tensor) -> np.ndarray:
    return np.linalg.eigvals((W_E @ W_V @ W_O @ W_U).double().numpy())


def copying_mistakes(W_E: Tensor, W_V: Tensor, W_O: Tensor, W_U: Tensor) -> dict[str, float]:
    values = dense_eigenvalues(W_E, W_V, W_O, W_U)
    kept = values[np.abs(values).argsort()[-W_V.shape[1] :]]  # the others are 0
    inner = np.linalg.eigvals((W_V @ W_O).double().numpy())
    small = (W_O @ W_U @ W_E @ W_V).double().numpy()
    diagonal = (W_E @ W_V @ W_O @ W_U).double().diagonal()
    mistakes = {
        "You left out embedding and unembedding: these are the eigenvalues of W_V W_O alone, which do not know about "
        "words.": float(inner.real.sum() / np.abs(inner).sum()),
        "Your score is always 1. Singular values are never negative, so a score made of them cannot tell copying from "
        "forbidding; neither can Σ λ / Σ λ. Take eigenvalues, and divide by Σ |λ|.": 1.0,
        "You divide by the number of eigenvalues, not by Σ |λ|.": float(values.real.sum() / len(kept)),
        "You divide by the number of words, not by Σ |λ|.": float(values.real.sum() / len(values)),
        "The division by Σ |λ| is missing: this is the trace.": float(values.real.sum()),
        "You count how many eigenvalues are positive. Weigh them by their size.": float((kept.real > 0).mean()),
        "You take the mean sign of the eigenvalues. Weigh them by their size.": float(np.sign(kept.real).mean()),
        "You take the absolute value of the sum. A head that forbids copying must come out negative.": float(
            abs(values.real.sum()) / np.abs(values).sum()
        ),
        "You use Σ |Re λ| below. Take the modulus |λ|, which counts the imaginary part too.": float(
            values.real.sum() / max(np.abs(values.real).sum(), 1e-12)
        ),
        "You take the imaginary parts. The real part says whether a head copies.": float(
            values.imag.sum() / np.abs(values).sum()
        ),
        "eigvalsh and eigh are for symmetric matrices, and this one is not symmetric: they read half of it. Take "
        "eigvals.": float(np.linalg.eigvalsh(small).sum() / np.abs(np.linalg.eigvalsh(small)).sum()),
        **{
            f"You divide by the sum of the singular values {of}. Divide by Σ |λ|, the sum of the moduli of the "
            "eigenvalues.": float(values.real.sum() / np.linalg.svd(matrix, compute_uv=False).sum())
            for of, matrix in (
                ("of the circuit", (W_E @ W_V @ W_O @ W_U).double().numpy()),
                ("of the small matrix", small),
            )
        },
        "The sign is turned round.": float(-values.real.sum() / np.abs(values).sum()),
    }
    if float(diagonal.abs().sum()) > 0:
        mistakes["You take the diagonal of the circuit instead of its eigenvalues."] = float(
            diagonal.sum() / diagonal.abs().sum()
        )
    return mistakes


@grades("02.11", weight=2)
def test_copying_score_of_random_heads(answer):
    """Random heads, compared with the eigenvalues of the whole circuit in double precision."""
    for seed, (d_vocab, d_model, d_head) in enumerate([(13, 11, 3), (7, 5, 2), (23, 11, 5), (11, 17, 7)]):
        source = generator(seed)
        shapes = ((d_vocab, d_model), (d_model, d_head), (d_head, d_model), (d_model, d_vocab))
        weights = [torch.randn(*shape, generator=source) for shape in shapes]
        values = dense_eigenvalues(*weights)
        expect_close(
            answer.copying_score(*weights),
            float(values.real.sum() / np.abs(values).sum()),
            "the copying score",
            atol=1e-3,
            mistakes=copying_mistakes(*weights),
        )


@grades("02.11")
def test_copying_and_forbidding_heads(answer):
    """A head that copies scores 1, one that forbids scores −1, one that rotates words scores 0."""
    words = torch.eye(5)
    turn = torch.zeros(5, 5)
    turn[0, 1], turn[1, 0], turn[2, 3], turn[3, 2] = 1, -1, 1, -1
    for W_O, want in ((words, 1.0), (-words, -1.0), (turn, 0.0), (torch.diag(torch.tensor([3.0, -1, 0, 0, 0])), 0.5)):
        expect_close(
            answer.copying_score(words, 2 * words, W_O, words),
            want,
            "the copying score",
            atol=1e-4,
            mistakes={
                "A head that lowers the logit of whatever it looks at scores −1, and yours comes out as 1. Take "
                "eigenvalues, which have a sign (singular values have none), and no absolute value of their sum.": 1.0
            }
            if want == -1
            else {},
        )


@grades("02.11")
def test_a_large_vocabulary(answer):
    """60,000 words: too many for a square matrix of them."""
    source = generator(3)
    W_E, W_U = (torch.randn(60_000, 5, generator=source) for _ in range(2))
    W_V, W_O = torch.randn(5, 3, generator=source), torch.randn(3, 5, generator=source)
    small = np.linalg.eigvals((W_O @ (W_U.T @ W_E) @ W_V).double().numpy())
    want = float(small.real.sum() / np.abs(small).sum())
    try:
        got = answer.copying_score(W_E, W_V, W_O, W_U.T.contiguous())
    except Exception as error:
        if "memory" in str(error).lower() or "allocate" in str(error).lower():
            raise Wrong(
                "A matrix of 60,000 × 60,000 numbers takes 14 gigabytes. Reorder the product: A B and B A have the "
                "same eigenvalues, so start with W_O W_U W_E W_V."
            ) from None
        raise
    expect_close(got, want, "the copying score with 60,000 words", atol=1e-3)


# --- 02.12 ------------------------------------------------------------------------------------------------------------


def raw_composition(W_V: Tensor, W_O: Tensor, W_Q: Tensor, W_K: Tensor, how: str = "K", norm: Any = "fro") -> Tensor:
    """Head by head, with dense matrices in double precision."""
    out = torch.zeros(len(W_V), len(W_Q), dtype=torch.float64)
    for i in range(len(W_V)):
        for j in range(len(W_Q)):
            ov, qk = (W_V[i] @ W_O[i]).double(), (W_Q[j] @ W_K[j].T).double()
            product = {"K": ov @ qk.T, "Q": ov @ qk, "reversed": qk.T @ ov}[how]
            sizes = [torch.linalg.matrix_norm(matrix, norm) for matrix in (product, ov, qk)]
            out[i, j] = sizes[0] / (sizes[1] * sizes[2])
    return out


def draws_for(d_head: int) -> int:
    """How many random pairs our own baseline is a mean of: the scores of narrow heads scatter most."""
    return 20_000 if d_head == 1 else 3_000


@functools.cache
def chance(d_model: int, d_head: int, norm: Any = "fro") -> tuple[float, float]:
    """Mean and standard deviation of the score of random heads."""
    draws = draws_for(d_head) if norm == "fro" else 500
    source = generator(17)
    V, O, Q, K = (torch.randn(draws, d_model, d_head, generator=source) for _ in range(4))  # noqa: E741
    if norm == "fro":
        scores = _norm(V @ (O.mT @ K), Q) / (_norm(V, O) * _norm(Q, K))
    else:
        ov, qk = V @ O.mT, Q @ K.mT
        sizes = [torch.linalg.matrix_norm(matrix, norm) for matrix in (ov @ qk.mT, ov, qk)]
        scores = sizes[0] / (sizes[1] * sizes[2])
    return scores.mean().item(), scores.std().item()


@functools.cache
def chance_of_positive_numbers(d_model: int) -> float:
    """The same for heads of width 1 whose matrices hold numbers between 0 and 1."""
    written, read = (torch.rand(2000, d_model, generator=generator(seed)) for seed in (3, 4))
    return torch.cosine_similarity(written, read).mean().item()


def _norm(left: Tensor, right: Tensor) -> Tensor:
    """The Frobenius norm of left @ rightᵀ, for stacks of thin matrices: ‖L Rᵀ‖² = Σ (LᵀL) ∘ (RᵀR)."""
    return ((left.mT @ left) * (right.mT @ right)).sum((-1, -2)).sqrt()


def random_heads(heads_1: int, heads_2: int, d_model: int, d_head: int, seed: int) -> list[Tensor]:
    source = generator(seed)
    shapes = [(heads_1, d_model, d_head), (heads_1, d_head, d_model), *[(heads_2, d_model, d_head)] * 2]
    return [torch.randn(*shape, generator=source) for shape in shapes]


def composition_mistakes(weights: list[Tensor]) -> dict[str, Tensor]:
    W_V, W_O, W_Q, W_K = weights
    base = chance(*W_V.shape[1:])[0]
    spectral = chance(*W_V.shape[1:], norm=2)[0]
    raw = raw_composition(*weights)
    ov, qk = (W_V @ W_O).double(), (W_Q @ W_K.mT).double()
    plain = torch.stack([torch.stack([(a @ b.T).norm() for b in qk]) for a in ov])
    halves = plain / torch.linalg.matrix_norm(ov)[:, None], plain / torch.linalg.matrix_norm(qk)[None]
    return {
        "The baseline is missing. Two random heads do not score 0: subtract what they score.": raw,
        "This is Q-composition: the transpose of W_QK is missing. The earlier head's output is read by the KEYS.": (
            raw_composition(*weights, how="Q") - base
        ),
        "The product is the wrong way round: what the earlier head writes (W_OV) comes first, then the later head "
        "reads it.": raw_composition(*weights, how="reversed") - base,
        "The division by the two norms is missing.": plain - base,
        "You divide by the norm of W_OV alone. Divide by that of W_QK too.": halves[0] - base,
        "You divide by the norm of W_QK alone. Divide by that of W_OV too.": halves[1] - base,
        "The two heads are exchanged: rows are heads of the earlier layer.": (raw - base).T,
        "You subtract the mean over the pairs that you were given. If most of them compose, that is not chance: take "
        "the mean over pairs of random heads.": raw - raw.mean(),
        "You added the baseline. Subtract it.": raw + base,
        "You divide by the baseline. Subtract it.": raw / base,
        "The sign is turned round: subtract the baseline from the score.": base - raw,
        "This is the spectral norm, the largest singular value alone. Take the Frobenius norm.": (
            raw_composition(*weights, norm=2) - spectral
        ),
        "These are the squares of the scores: the root is missing in the norm.": raw**2 - base**2,
    }


def expect_composition(answer: Any, weights: list[Tensor], samples: int | None) -> None:
    """The result lies as near to the truth as the mean over so many random pairs must: within six standard errors."""
    base, spread = chance(*weights[0].shape[1:])
    within = 6 * spread * math.sqrt(1 / (samples or 300) + 1 / draws_for(weights[0].shape[2])) + 1e-4
    got = answer.composition_above_chance(*weights, *([] if samples is None else [samples]))
    expect_close(
        got,
        raw_composition(*weights) - base,
        "the composition above chance",
        atol=within,
        rtol=0,
        axes="head_1 head_2",
        mistakes=functools.partial(composition_mistakes, weights),
    )


@grades("02.12")
def test_a_planted_pair(answer):
    """Heads of which exactly one writes what another reads."""
    W_V, W_O, W_Q, W_K = random_heads(5, 2, 23, 3, 5)
    W_O[1] = W_K[0].T  # head 1 of the earlier layer writes just where head 0 of the later one reads its keys
    expect_composition(answer, [W_V, W_O, W_Q, W_K], None)


@grades("02.12", weight=2)
def test_random_heads_compose_by_chance(answer):
    """Random heads of several shapes: what is left is near 0 once the baseline is taken off."""
    for seed, (heads_1, heads_2, d_model, d_head) in enumerate([(2, 3, 11, 5), (5, 2, 17, 7), (3, 7, 31, 5)]):
        expect_composition(answer, random_heads(heads_1, heads_2, d_model, d_head, seed), None)


@grades("02.12")
def test_the_baseline_has_the_shape_of_the_heads(answer):
    """Heads of width 1, and many samples: there a baseline of other matrices shows."""
    weights = random_heads(3, 5, 11, 1, 7)
    base = raw_composition(*weights) - answer.composition_above_chance(*weights, 2000).double()
    right, spread = chance(11, 1)
    within = 6 * spread * math.sqrt(1 / 2000 + 1 / draws_for(1))
    if float((base - right).abs().max()) > within:
        full = 1 / math.sqrt(11)
        expect(
            float((base - full).abs().max()) > within,
            "Your baseline is that of matrices of full rank (or the root of a mean of squares, in place of a mean): a "
            "product W_V W_O of a head has rank d_head at most. Draw four random matrices in the shapes of W_V, W_O, "
            "W_Q and W_K, and multiply them as a head does.",
        )
        expect(
            float((base - chance_of_positive_numbers(11)).abs().max()) > within,
            "Your baseline is far too high. torch.rand gives numbers between 0 and 1, all of them positive; N(0, 1) is "
            "torch.randn.",
        )
        given = raw_composition(*weights).mean()
        one_number = float(base.std()) < 1e-5 and float((base - given).abs().max()) > 1e-5
        expect(
            not one_number or not 0 < float(base.mean()) < 1,
            f"The scores are right, but what you subtract is {float(base.mean()):.3f} for heads of width 1 in 11 "
            f"dimensions. The mean over many random pairs of this shape is {right:.3f}. Do your random matrices have "
            "the shapes that the function was given, and is it a mean over `samples` pairs, not one pair?",
        )
    expect_composition(answer, weights, 2000)


@grades("02.12")
def test_the_baseline_is_a_mean_over_so_many_samples(answer):
    """With `samples` = 1 the baseline is a single random pair, and so it is hardly ever right."""
    errors = []
    for seed, d_model in enumerate((7, 11, 13, 17, 19, 23)):
        weights = random_heads(2, 3, d_model, 1, 20 + seed)
        got = answer.composition_above_chance(*weights, samples=1)
        expect_close(got, got.new_zeros(2, 3), "the composition above chance", atol=2.0, axes="head_1 head_2")
        errors.append(float((raw_composition(*weights) - got.double()).mean()) - chance(d_model, 1)[0])
    expect(
        max(abs(error) for error in errors) > 0.04,
        "`samples` is not used: with samples=1 the baseline is still the mean over many random pairs.",
    )


# --- 02.13 ------------------------------------------------------------------------------------------------------------

WORDS, PLACES = 29, 31  # of the models that are built by hand


class Built:
    """A model with shifted positions, written by hand: every head looks at what it is told to, and writes a little.

    Rooms of the residual stream: the present word; the note about the word before; the guess; places.
    """

    def __init__(self, n_layers: int, n_heads: int, seed: int) -> None:
        config = TransformerConfig(
            n_layers=n_layers,
            d_model=3 * WORDS + PLACES,
            n_heads=n_heads,
            d_head=37,
            d_vocab=WORDS,
            n_ctx=PLACES,
            positions="shifted",
        )
        self.model = Transformer(config).requires_grad_(False)
        self.word, self.note, self.guess = (slice(i * WORDS, (i + 1) * WORDS) for i in range(3))
        self.place = slice(3 * WORDS, 3 * WORDS + PLACES)
        source = generator(seed)
        for weight, rows in ((self.model.W_E, self.word), (self.model.W_pos, self.place)):
            weight[:, rows] = torch.eye(len(weight))
        self.model.W_U[self.guess] = torch.eye(WORDS)
        for block in self.model.blocks:  # every head says something, and adds to nothing but the guess
            attn = block.attn
            attn.W_V[:, self.word, :WORDS] = torch.eye(WORDS)
            attn.W_O[:, :WORDS, self.guess] = 0.4 * torch.randn(n_heads, WORDS, WORDS, generator=source)

    def back(self, layer: int, head: int, steps: int, *, sharp: float = 60.0, and_itself: bool = False) -> Built:
        """Looks so many places back: only there, or with a score of `sharp` there and 0 everywhere else."""
        attn = self.model.blocks[layer].attn
        query = torch.zeros(PLACES, PLACES)
        for place in range(PLACES):
            for there in {place - steps, *({place} if and_itself else set())}:
                query[place, there] = 1.0 if there >= 0 else 0.0
        attn.W_Q[head, self.place, :PLACES] = sharp * math.sqrt(self.model.cfg.d_head) * query
        attn.W_K[head, self.place, :PLACES] = torch.eye(PLACES)
        return self

    def notes(self, layer: int, head: int) -> Built:
        """Writes which word it looks at into the room of notes."""
        attn = self.model.blocks[layer].attn
        attn.W_O[head] = 0.0
        attn.W_O[head, :WORDS, self.note] = torch.eye(WORDS)
        return self

    def match(self, layer: int, head: int, room: slice, copies: float = 0.0) -> Built:
        """Looks for the present word in a room; and says what stands there, as loudly as it is told."""
        attn = self.model.blocks[layer].attn
        attn.W_Q[head] = attn.W_K[head] = 0.0
        attn.W_Q[head, self.word, :WORDS] = 60.0 * math.sqrt(self.model.cfg.d_head) * torch.eye(WORDS)
        attn.W_K[head, room, :WORDS] = torch.eye(WORDS)
        attn.W_O[head, :WORDS, self.guess] += copies * torch.eye(WORDS)
        return self


PERIOD, SHORT = 11, 5
WEAK_BACK, WEAK_PREFIX = 2.35, 2.8  # scores at which a head has a little less than one half of its attention there


def hand_sample(seed: int) -> repeats.Repeats:
    """One block of eleven words and its repeat, so that a fixed distance finds what an induction head finds."""
    return repeats.sample(5, seed=seed, period=PERIOD, offset=3, vocab=WORDS, n_ctx=2 * PERIOD + 4)


def three_by_three(seed: int = 1) -> Built:
    """Three layers of three heads, in which every rule of the docstring has a head on either side of it."""
    built = Built(3, 3, seed)
    built.back(0, 1, PERIOD - 1)  # looks one past the earlier occurrence, by counting: layer 0 does not count
    built.back(0, 2, 1).notes(0, 2)  # the previous-token head
    built.back(0, 0, 1, and_itself=True)  # a previous-token score of exactly one half
    built.back(1, 0, 1)  # a previous-token head in another layer
    built.match(1, 1, built.word)  # a duplicate-token head
    built.match(1, 2, built.note, copies=3.0)  # an induction head
    built.match(2, 0, built.note, copies=5.0)  # and another, in another layer
    built.back(2, 1, PERIOD - 1, and_itself=True)  # a prefix-matching score of exactly one half
    built.back(2, 2, 1, sharp=WEAK_BACK)  # looks one back, and too little
    return built


def sample_with_a_tail(seed: int) -> repeats.Repeats:
    """Short blocks, and after them the same words in any order: repeated tokens of which most lie in no later copy."""
    short = repeats.sample(5, seed=seed, period=SHORT, offset=0, vocab=WORDS, n_ctx=1 + 2 * SHORT)
    source = generator(seed)
    tail = [row[1 + torch.randint(0, SHORT, (17,), generator=source)] for row in short.tokens]
    tokens = torch.cat([short.tokens, torch.stack(tail)], dim=1)
    previous = previous_with_dict(tokens)
    first, second = (torch.nn.functional.pad(mask, (0, 17)) for mask in (short.first, short.second))
    return dataclasses.replace(short, tokens=tokens, previous=previous, first=first, second=second)


def by_distance() -> Built:
    """Heads that look one past the earlier occurrence in a later copy, by counting, and hardly anywhere else."""
    built = Built(2, 3, 11)
    built.back(0, 1, 1).notes(0, 1)
    built.back(0, 2, SHORT - 1)
    built.back(1, 0, SHORT - 1)
    built.match(1, 2, built.note, copies=4.0)
    return built


def two_by_five(seed: int = 2) -> Built:
    """Two layers of five heads: the circuit stands in the last ones."""
    built = Built(2, 5, seed)
    built.back(0, 4, 1).notes(0, 4)
    built.back(0, 0, 1, sharp=WEAK_BACK)
    built.back(0, 1, 1, sharp=4.0)  # more than one half, and not the best
    built.back(0, 2, PERIOD - 1)  # in layer 0, and so no induction head
    built.match(1, 4, built.note, copies=6.0)
    built.match(1, 0, built.word)
    built.back(1, 2, PERIOD - 1, sharp=WEAK_PREFIX)
    built.back(1, 3, 1)
    return built


def permuted(model: Transformer, order: list[int]) -> Transformer:
    """The same function with the heads of every layer in another order."""
    return with_weights(model, {name: w[order] for name, w in model.state_dict().items() if ".attn." in name})


Head = tuple[int, int]
Checkpoints = list[tuple[int, Transformer]]


def scores_of(model: Transformer, tokens: Tensor, targets: list[list[int]]) -> dict[Head, float]:
    """The mean attention of every head to its targets."""
    return {
        (layer, head): float(score)
        for layer, pattern in enumerate(patterns_of(model, tokens))
        for head, score in enumerate(mean_attention_to(pattern, targets))
    }


class Facts:
    """What is true of a model, found with loops and with weights, not with the reference answer."""

    def __init__(self, checkpoints: Checkpoints, sample: repeats.Repeats) -> None:
        tokens, self.sample = sample.tokens, sample
        self.checkpoints = checkpoints
        self.final = checkpoints[-1][1]
        rows = sample.previous.tolist()
        after = [[p + 1 if p >= 0 else -1 for p in row] for row in rows]
        before = [[q - 1 for q in range(tokens.shape[1])] for _ in rows]
        self.back = scores_of(self.final, tokens, before)
        self.prefix = scores_of(self.final, tokens, after)
        copied = [
            [p if later else -1 for p, later in zip(row, mask, strict=True)]
            for row, mask in zip(after, sample.second.tolist(), strict=True)
        ]
        self.prefix_in_copies = scores_of(self.final, tokens, copied)
        self.duplicate = scores_of(self.final, tokens, rows)
        self.previous_heads = [head for head, score in self.back.items() if score >= 0.5]
        self.induction_heads = [head for head, score in self.prefix.items() if score >= 0.5 and head[0] > 0]
        # Of every checkpoint, the layers in which some head matches the prefix; 0 among them where one of layer 0 does.
        self.matching = [
            (step, sorted({head[0] for head, score in scores_of(model, tokens, after).items() if score >= 0.5}))
            for step, model in checkpoints
        ]
        self.formed_at = next((step for step, layers in self.matching if any(layers)), None)
        self.loss = self.loss_of(self.final)
        self.loss_without = self.loss_of(without_head(self.final, *self.induction_heads))

    def loss_of(self, model: Transformer, mask: Tensor | None = None) -> float:
        tokens = self.sample.tokens
        mask = self.sample.second[:, 1:] if mask is None else mask
        return loss_with_loops(model(tokens), tokens)[mask].mean().item()

    def mean_of_means(self, model: Transformer) -> float:
        loss, mask = loss_with_loops(model(self.sample.tokens), self.sample.tokens), self.sample.second[:, 1:]
        return torch.stack([row[where].mean() for row, where in zip(loss, mask, strict=True)]).mean().item()


def heads_in(value: Any, key: str) -> list[Head]:
    """The learner's list of heads as pairs; whatever holds pairs of whole numbers will do."""
    form = f"`{key}` should be a list of pairs of whole numbers, (layer, head)"
    if isinstance(value, Tensor | np.ndarray):
        value = value.tolist()
    expect(isinstance(value, list | tuple | set | frozenset), f"{form}; yours is {kind_of(value)}.")
    heads = []
    for head in value:
        pair = head.tolist() if isinstance(head, Tensor | np.ndarray) else head
        numbers = [whole(part) for part in pair] if isinstance(pair, list | tuple) else []
        expect(len(numbers) == 2 and None not in numbers, f"{form}; yours holds {kind_of(head)}.")
        heads.append((int(numbers[0]), int(numbers[1])))  # type: ignore[arg-type]
    twice = sorted({head for head in heads if heads.count(head) > 1})
    expect(not twice, f"`{key}` names {twice[0] if twice else ''} more than once.")
    return sorted(heads)


def whole(value: Any) -> int | None:
    """A whole number in any of its forms, or None."""
    if isinstance(value, Tensor | np.ndarray | np.generic) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None


def kind_of(value: Any) -> str:
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)[:60]
    return f"a {type(value).__name__}"


def check_heads(got: list[Head], want: list[Head], facts: Facts, key: str, which: str) -> None:
    """Equal, or a sentence about the rule that was missed."""
    if got == sorted(want):
        return
    name, score = {
        "previous_token_heads": ("previous-token heads", facts.back),
        "induction_heads": ("induction heads", facts.prefix),
    }[key]

    def only(keep: Callable[[Head], bool], sentence: str) -> None:
        expect(got != sorted(head for head in want if keep(head)), sentence)

    expect(
        got != sorted((head, layer) for layer, head in want),
        f"In the {name}, layer and head are exchanged: write (layer, head).",
    )
    for shift, what in (((1, 0), "layers"), ((0, 1), "heads"), ((1, 1), "layers and heads")):
        moved = sorted((layer + shift[0], head + shift[1]) for layer, head in want)
        expect(got != moved, f"In the {name}, {what} are counted from 1. The first is 0.")
    if key == "induction_heads":
        early = [head for head in got if head[0] == 0]
        expect(not early, f"{early[0] if early else ''} is in layer 0, which cannot hold an induction head.")
        only(lambda h: h[0] == 1, "You look for induction heads in layer 1 alone. Look in layer 1 and above.")
        copies = sorted(head for head, value in facts.prefix_in_copies.items() if value >= 0.5 and head[0] > 0)
        expect(
            got != copies,
            "You score the tokens of later copies alone. The prefix-matching score counts every repeated token, "
            "wherever it lies.",
        )
        alike = sorted(head for head, value in facts.duplicate.items() if value >= 0.5 and head[0] > 0)
        expect(
            got != alike,
            "These are duplicate-token heads: they look at the earlier occurrence itself, not one past it.",
        )
    else:
        only(lambda h: h[0] == 0, "You look for previous-token heads in layer 0 alone. Look in every layer.")
        only(lambda h: h[0] > 0, "You leave out layer 0, where a previous-token head may stand as well.")
    last = facts.final.cfg.n_layers - 1
    only(
        lambda h: h[0] < last, f"You leave out the last layer. This model has {last + 1}: take the number from its cfg."
    )
    only(lambda h: h[1] < 4, "You look at four heads in each layer. Take the number of heads from the model's cfg.")
    only(lambda h: score[h] > 0.5, "A score of exactly 0.5 counts too: at least 0.5 is asked for.")
    expect(
        len(got) != 1 or got[0] not in want or score[got[0]] < max(score[head] for head in want),
        f"You name the best head alone. Name all {name}: those with a score of at least 0.5.",
    )
    only(
        lambda h: score[h] == max(score[other] for other in want if other[0] == h[0]),
        "You name the best head of each layer. Name all heads with a score of at least 0.5.",
    )
    raise Wrong(f"The {name} of {which} should be {sorted(want)}, but your code found {got}.", NUMBERS)


def check_formed(got: Any, facts: Facts, which: str) -> None:
    want, steps = facts.formed_at, [step for step, _ in facts.checkpoints]
    step = whole(got)
    if step == want:
        return
    expect(
        step is not None or got is None,
        f"`formed_at` should be a training step, or None if there is no induction head; yours is {kind_of(got)}.",
    )
    with_layer_0 = next((s for s, layers in facts.matching if layers), None)
    expect(
        step is None or step != with_layer_0,
        f"At step {with_layer_0} only a head of layer 0 looks one past the earlier occurrence. For formed_at too, "
        "heads of layer 1 and above count.",
    )
    expect(
        want is not None,
        f"In {which} no induction head ever forms, so formed_at is None; your code says {got}.",
    )
    there = [s for s, layers in facts.matching if any(layers)]
    expect(
        step is not None or want != 0 or there[-1] == steps[-1],
        "The first induction head is there at step 0 and goes away again: formed_at is 0, whether or not it lasts. "
        "(And 0 is a step like any other: it is not None.)",
    )
    expect(
        step is not None or want != 0,
        "The first induction head is there at step 0, and 0 is a step like any other: it is not None.",
    )
    expect(
        step is not None or there[-1] == steps[-1],
        "formed_at is the first step at which an induction head is there, whether or not it lasts: also if the "
        "finished model has none.",
    )
    expect(step is not None, f"In {which} an induction head forms, at step {want}; your code says None.")
    expect(step != steps.index(want), "formed_at is a training step, not the number of a checkpoint.")
    lasting = [s for s in there if all(other in there for other in steps if other >= s)]
    expect(
        not (lasting and step == lasting[0]),
        "An induction head was there before, and went away again. formed_at is the FIRST step at which one is there.",
    )
    expect(step != there[-1], "formed_at is the FIRST step at which an induction head is there, not the last.")
    raise Wrong(f"In {which} the first induction head is there at step {want}, not {got}.", NUMBERS)


MEAN_OF_MEANS = (
    "You average each sequence first and then the averages. Average over all tokens of later copies at once."
)
FIRST_ALONE = "This is the loss of the first sequence alone. Average over all of them."


def only_first(mask: Tensor) -> Tensor:
    """The mask with nothing in it but its first row."""
    return mask & (torch.arange(len(mask)) == 0)[:, None]


def loss_mistakes(facts: Facts) -> dict[str, float]:
    sample, final = facts.sample, facts.final
    return {
        MEAN_OF_MEANS: facts.mean_of_means(final),
        FIRST_ALONE: facts.loss_of(final, only_first(sample.second[:, 1:])),
        "This is the loss on all tokens. Count those in later copies alone.": facts.loss_of(
            final, torch.ones_like(sample.second[:, 1:])
        ),
        "This is the loss on first copies. Count the tokens of later ones.": facts.loss_of(final, sample.first[:, 1:]),
        "In the loss, mask and loss are off by one: loss[b, t] belongs to token t + 1.": facts.loss_of(
            final, sample.second[:, :-1]
        ),
        "This is the loss of the first checkpoint. The finished model is the last one.": facts.loss_of(
            facts.checkpoints[0][1]
        ),
        "This is the loss without the induction heads. Give that of the whole model.": facts.loss_without,
    }


def loss_without_mistakes(facts: Facts) -> dict[str, float]:
    sample, final, found = facts.sample, facts.final, facts.induction_heads
    layers, heads = {layer for layer, _ in found}, {head for _, head in found}

    def without(silent: list[Head], mask: Tensor | None = None) -> float:
        return facts.loss_of(without_head(final, *silent), mask)

    idle = any(abs(without([head]) - facts.loss) < 1e-3 for head in found)
    nothing = (
        "nothing was silenced, or of several heads of a layer only one, which writes nothing."
        if idle
        else "nothing was silenced."
    )
    mistakes = {
        f"This is the loss of the whole model: {nothing}": facts.loss,
        "This is the loss on all tokens, not on later copies alone.": without(
            found, torch.ones_like(sample.second[:, 1:])
        ),
        MEAN_OF_MEANS: facts.mean_of_means(without_head(final, *found)),
        FIRST_ALONE: without(found, only_first(sample.second[:, 1:])),
        "The previous-token heads were silenced. Silence the induction heads.": without(facts.previous_heads),
        "The previous-token heads are silent too. Silence the induction heads alone.": without(
            sorted({*found, *facts.previous_heads})
        ),
        "Other heads of the same layers are silent too. Silence the induction heads alone.": without(
            [(layer, head) for layer in layers for head in heads]
        ),
        "Whole layers are silent. Silence the induction heads alone.": without(
            [(layer, head) for layer in layers for head in range(final.cfg.n_heads)]
        ),
        "The heads were silenced in every layer, layer 0 too. Silence the induction heads alone.": without(
            [(layer, head) for layer in range(final.cfg.n_layers) for head in heads]
        ),
    }
    for one in (max, min):
        mistakes[
            f"Of several heads of a layer only one was silenced, the {'last' if one is max else 'first'}. An edit for "
            "each head needs an entry of its own in the list (a dict keeps one for each key), and a number of its own "
            "(a function made in a loop sees the loop's last one)."
        ] = without([one(head for head in found if head[0] == layer) for layer in layers])
    mistakes[
        "Only the last of the heads was silenced, in every layer with an induction head: a function made in a loop "
        "sees the loop's last head. Give the head to a function that makes the edit."
    ] = without([(layer, found[-1][1]) for layer in layers])
    for layer, head in found if len(found) > 1 else []:
        mistakes[f"Only head {layer}.{head} was silenced. Silence all induction heads at once."] = without(
            [(layer, head)]
        )
        mistakes[f"Only the induction heads of layer {layer} were silenced. Silence all of them at once."] = without(
            [other for other in found if other[0] == layer]
        )
    if len(found) > 1:
        mean = sum(without([head]) for head in found) / len(found)
        mistakes["You silence one induction head at a time and average. Silence all of them at once."] = mean
    return mistakes


def check_losses(got: dict[str, Any], facts: Facts, which: str) -> None:
    what = f"the loss of {which} on later copies"
    expect_close(got["loss"], facts.loss, what, mistakes=functools.partial(loss_mistakes, facts), rtol=2e-3)
    what = f"the loss of {which} without them"
    if not facts.induction_heads:
        same = "There is no induction head to silence here, so loss_without should equal loss"
        expect_close(got["loss_without"], facts.loss, f"{same}: it", rtol=2e-3)
        return
    expect_close(
        got["loss_without"],
        facts.loss_without,
        what,
        mistakes=functools.partial(loss_without_mistakes, facts),
        rtol=2e-3,
    )


KEYS = ("previous_token_heads", "induction_heads", "formed_at", "loss", "loss_without")


def compare(answer: Any, facts: Facts, which: str) -> None:
    got = answer.find_circuit(facts.checkpoints, facts.sample.tokens, facts.sample.second)
    missing = [key for key in KEYS if key not in got]
    expect(
        not missing, f"The dict should have five entries, but yours lacks {', '.join(repr(key) for key in missing)}."
    )
    for key, want in zip(KEYS, (facts.previous_heads, facts.induction_heads), strict=False):
        check_heads(heads_in(got[key], key), want, facts, key, which)
    check_formed(got["formed_at"], facts, which)
    check_losses(got, facts, which)


@functools.cache
def facts_of(case: str) -> Facts:
    """The cases, and what is true of them: made once."""
    if case == "trained":
        return Facts(list(trained("induction-2l")), repeats.sample(7, seed=4242, period=(8, 16)))
    if case == "control":
        return Facts(list(trained("induction-1l")), repeats.sample(5, seed=77, period=9))
    if case == "reordered":
        checkpoints = [(step, permuted(model, [2, 0, 3, 1])) for step, model in trained("induction-2l")]
        return Facts(checkpoints[-3:], repeats.sample(5, seed=99, period=(6, 12)))
    if case == "three layers":
        early = Built(3, 3, 3).back(0, 1, PERIOD - 1).model  # only layer 0 has a head that looks there
        return Facts([(13, early), (101, three_by_three().model)], hand_sample(6))
    if case == "comes and goes":
        # At 7 a head of layer 2 matches, by exactly one half; at 3 and at 19 one nearly does; at 43 others do.
        first = Built(3, 3, 4).back(2, 1, PERIOD - 1, and_itself=True).model
        none = Built(3, 3, 5).back(0, 0, 1).back(1, 1, PERIOD - 1, sharp=WEAK_PREFIX).model
        return Facts([(3, none), (7, first), (19, none), (43, three_by_three(7).model)], hand_sample(7))
    if case == "gone":
        first = Built(2, 5, 8).back(1, 3, PERIOD - 1).model
        return Facts(
            [(0, first), (31, Built(2, 5, 9).back(0, 2, 1).back(1, 4, PERIOD - 1, sharp=WEAK_PREFIX).model)],
            hand_sample(8),
        )
    if case == "with a tail":
        return Facts(
            [(5, Built(2, 3, 12).back(1, 0, SHORT - 1).model), (37, by_distance().model)], sample_with_a_tail(5)
        )
    assert case == "five heads"
    return Facts([(17, Built(2, 5, 10).back(0, 4, 1).model), (53, two_by_five().model)], hand_sample(9))


@functools.cache
def trained(name: str) -> tuple[tuple[int, Transformer], ...]:
    """A handful of checkpoints and the finished model."""
    steps = mi_lib.zoo.checkpoints(name)
    chosen = sorted({steps[0], *steps[1 :: max(1, len(steps) // 5)]})
    finished = (10**6, mi_lib.load(name))
    return (*((step, mi_lib.load(name, checkpoint=step)) for step in chosen), finished)


@grades("02.13", weight=2)
def test_models_built_by_hand(answer):
    """Three layers of three heads and two of five: in every layer there are heads on either side of each rule."""
    compare(answer, facts_of("five heads"), "a model of two layers and five heads")
    compare(answer, facts_of("three layers"), "a model of three layers and three heads")
    compare(answer, facts_of("with a tail"), "a model of two layers and three heads")


@grades("02.13")
def test_a_head_that_comes_and_goes(answer):
    """Training in which an induction head is there, then none, then another; and one that ends without any."""
    compare(answer, facts_of("comes and goes"), "a model whose first induction head goes away again")
    compare(answer, facts_of("gone"), "a model that has lost its induction head")


@grades("02.13", weight=2)
def test_the_trained_model(answer):
    """The 2-layer model and some of its checkpoints, on sequences that you have not seen."""
    compare(answer, facts_of("trained"), "the 2-layer model")


@grades("02.13")
def test_the_control(answer):
    """The 1-layer model has no induction heads: your code must say so."""
    compare(answer, facts_of("control"), "the 1-layer model")


@grades("02.13")
def test_heads_in_another_order(answer):
    """The same network with its heads in another order: whoever typed in the answer is found out."""
    compare(answer, facts_of("reordered"), "a reordered model")


# --- 02.14 ------------------------------------------------------------------------------------------------------------


def empty_config(d_vocab: int, n_ctx: int, d_head: int) -> TransformerConfig:
    return TransformerConfig(
        n_layers=2,
        d_model=3 * d_vocab + n_ctx,
        n_heads=1,
        d_head=d_head,
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        positions="shifted",
    )


def assembled(answer: Any, config: TransformerConfig) -> Transformer:
    """The learner's weights in a model of ours, or a sentence about what does not fit."""
    got = answer.write_induction_head(config)
    model = Transformer(config)
    wanted = dict(model.named_parameters())
    for name, parameter in wanted.items():
        expect(name in got, f'The dict should hold the weight "{name}", but yours lacks it.')
        value = got[name]
        expect(isinstance(value, Tensor | np.ndarray), f'The weight "{name}" should be a tensor.')
        value = torch.as_tensor(value)
        expect(
            value.shape == parameter.shape,
            f'The weight "{name}" should have shape {tuple(parameter.shape)}, but yours has {tuple(value.shape)}.',
        )
        expect(
            not value.is_complex() and value.dtype != torch.bool,
            f'The weight "{name}" should hold numbers, but yours holds {value.dtype}.',
        )
        expect(bool(torch.isfinite(value.double()).all()), f'The weight "{name}" holds NaN or infinite numbers.')
        with torch.no_grad():
            parameter.copy_(value)
    extra = sorted(str(name) for name in set(got) - set(wanted))
    expect(not extra, f"The model has no weight called {extra[0] if extra else ''!r}.")
    return model.requires_grad_(False)


class Looks:
    """Where the two heads of a built model look on a sample, in shares of their attention, and what the model says."""

    def __init__(self, model: Transformer, sample: repeats.Repeats) -> None:
        self.model, self.sample = model, sample
        self.logits = model(sample.tokens)
        self.first, self.second = patterns_of(model, sample.tokens)
        rows = sample.previous.tolist()
        self.back = self.first.diagonal(offset=-1, dim1=-2, dim2=-1).mean().item()
        self.itself = self.first.diagonal(dim1=-2, dim2=-1)[..., 1:].mean().item()
        self.ahead = mean_attention_to(self.second, [[p + 1 if p >= 0 else -1 for p in row] for row in rows]).item()
        at = mean_attention_to(self.second, rows).item()
        own = mean_attention_to(self.second, [[q if p >= 0 else -1 for q, p in enumerate(row)] for row in rows]).item()
        self.on_present_word = at + own
        loss = loss_with_loops(self.logits, sample.tokens)
        self.loss = loss[sample.predictable[:, :-1]].mean().item()

    def with_weights(self, factor: float, *names: str) -> Looks:
        """The same with some weights multiplied."""
        state = self.model.state_dict()
        return Looks(with_weights(self.model, {name: factor * state[name] for name in names}), self.sample)

    def says(self, logits: Tensor, ahead: int) -> float:
        """How often the best guess is the next word (ahead = 1), the present one (0) or the one before (−1)."""
        known = self.sample.predictable[:, 1:-1]
        tokens = self.sample.tokens
        return (logits.argmax(-1)[:, 1:-1] == tokens.roll(-ahead, 1)[:, 1:-1])[known].float().mean().item()

    def written_by_layer_1(self) -> Tensor:
        """The logits that the head of layer 1 alone makes."""
        _, cache = self.model.run_with_cache(self.sample.tokens, ("z", 1))
        return cache["z", 1][:, :, 0] @ self.model.W_O[1, 0] @ self.model.W_U


def check_built(model: Transformer, sample: repeats.Repeats) -> None:
    """Judge by behaviour, and say what is at fault. Each sentence has been tried: what it names is changed in a copy of
    the model, and it is told only if that makes the difference."""
    looks = Looks(model, sample)
    if looks.loss <= 0.1 and looks.ahead >= 0.9:
        return
    if looks.back < 0.9:
        first_head(looks)
    if looks.ahead < 0.9:
        second_head(looks)
    guess(looks)


def first_head(looks: Looks) -> None:
    """The head of layer 0 does not look one back."""
    expect(
        looks.itself < 0.5,
        "The head of layer 0 looks at its own position. The query of place i must match the key of place i − 1.",
    )
    two = looks.first.diagonal(offset=-2, dim1=-2, dim2=-1).mean().item()
    expect(
        two < 0.5, "The head of layer 0 looks two places back. The query of place i must match the key of place i − 1."
    )
    start = looks.first[:, 0, 2:, 0].mean().item()
    expect(start < 0.5, "The head of layer 0 looks at the first place, wherever it stands, and not one place back.")
    if looks.with_weights(10.0, "blocks.0.attn.W_Q").back >= 0.9:
        raise Wrong(
            f"The head of layer 0 looks one back only {looks.back:.0%} of the time: the scores are too small for a "
            "sharp softmax. Make q · k / √d_head at the right place larger by 10 or more."
        )
    if looks.model.blocks[0].attn.W_Q.abs().sum() == 0 or looks.model.blocks[0].attn.W_K.abs().sum() == 0:
        raise Wrong("The head of layer 0 looks everywhere alike: its queries or its keys are all zero.")
    if looks.model.W_pos.abs().sum() == 0:
        raise Wrong("W_pos is zero, so that queries and keys cannot know their places.")
    raise Wrong(
        f"The head of layer 0 should look one step back; it does so {looks.back:.0%} of the time. Which key answers "
        "the query of place i?"
    )


def second_head(looks: Looks) -> None:
    """The head of layer 1 does not look one past the earlier occurrence."""
    expect(
        looks.on_present_word < 0.5,
        "The head of layer 1 looks at places where the present word itself stands. Its keys must read what layer 0 "
        "wrote (the word BEFORE), not the word that stands there.",
    )
    layer_0 = "The head of layer 0 looks one back, as it should. " if looks.back >= 0.9 else ""
    if looks.with_weights(10.0, "blocks.1.attn.W_Q").ahead >= 0.9:
        raise Wrong(
            f"{layer_0}The head of layer 1 looks at the right place only {looks.ahead:.0%} of the time: make its "
            "scores larger."
        )
    silent = looks.with_weights(0.0, "blocks.0.attn.W_O")
    if torch.allclose(silent.second, looks.second, atol=1e-4):
        raise Wrong(
            f"{layer_0}But what it writes makes no difference to where the head of layer 1 looks: no key there reads "
            "it."
        )
    raise Wrong(
        f"{layer_0}The head of layer 1 looks one past the earlier occurrence only {looks.ahead:.0%} of the time. Its "
        "query is the present word; its key is the note that layer 0 left."
    )


def guess(looks: Looks) -> None:
    """Both heads look where they should, and the guess is wrong or too unsure."""
    head = "The head of layer 1 looks where it should, "
    alone = looks.written_by_layer_1()
    right = looks.says(looks.logits, 1)
    if right > 0.5 and looks.with_weights(10.0, "blocks.1.attn.W_O").loss <= 0.1:
        raise Wrong(
            f"{head}and the next word is the model's best guess in {right:.0%} of cases, but its loss there is "
            f"{looks.loss:.2f} nats; at most 0.1 is asked for. Make what layer 1 writes larger."
        )
    expect(
        float(alone.abs().max()) > 1e-6,
        f"{head}but nothing that it writes reaches the logits: W_U must read the room that W_O of layer 1 writes into.",
    )
    expect(
        looks.says(alone, 0) < 0.5,
        f"{head}but what it copies from there is the word before, which is the present one again: W_V of layer 1 must "
        "read the word that stands there, not the note.",
    )
    expect(
        looks.says(alone, 1) < 0.5 or looks.says(looks.logits, 0) < 0.5,
        f"{head}and writes the next word, but the model predicts the present word again: W_U must read what layer 1 "
        "wrote and not what the embedding wrote. Keep them in different rooms of the residual stream.",
    )
    expect(
        looks.says(alone, 1) < 0.5 or looks.says(looks.logits, -1) < 0.5,
        f"{head}and writes the next word, but the model predicts the word before: W_U also reads the notes of layer 0. "
        "Keep them in another room of the residual stream.",
    )
    raise Wrong(
        f"{head}and the next word is the model's best guess in {right:.0%} of cases; its loss there is "
        f"{looks.loss:.2f} nats, and at most 0.1 is asked for. What does layer 1 copy, and does W_U read it?"
    )


@grades("02.14", weight=2)
def test_a_built_circuit_continues_repeats(answer):
    """Small vocabularies, several widths and block lengths: the second copy is predicted with a loss of at most 0.1."""
    for d_vocab, n_ctx, d_head, period, seed in ((13, 23, 23, 5, 0), (19, 31, 37, 11, 1), (23, 17, 29, 7, 2)):
        model = assembled(answer, empty_config(d_vocab, n_ctx, d_head))
        sample = repeats.sample(
            7, seed=seed, period=period, offset=2, vocab=d_vocab, n_ctx=min(n_ctx, 1 + 2 + 2 * period)
        )
        check_built(model, sample)


@grades("02.14")
def test_a_built_circuit_with_any_period(answer):
    """One set of weights, many block lengths and gaps between the copies, up to the last place."""
    config = empty_config(29, 37, 41)
    model = assembled(answer, config)
    for period, gap, seed in ((2, 0, 3), (7, 4, 4), (17, 0, 5)):
        length = 37 if period == 17 else 2 + 2 * period + gap
        sample = repeats.sample(5, seed=seed, period=period, offset=1, distractors=gap, vocab=29, n_ctx=length)
        check_built(model, sample)
