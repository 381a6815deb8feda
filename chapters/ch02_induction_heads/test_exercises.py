"""The grader of chapter 02. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: loops over positions, dense matrices, cases with a known
answer. Random models come in several shapes and seeds, so that nothing can be right by luck.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

import mi_lib
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, grades
from mi_lib.models import Transformer, TransformerConfig
from mi_lib.worlds import repeats

SHAPES = ((3, 4, 2, 9, 1), (2, 2, 3, 7, 0), (2, 3, 1, 5, 2))  # layers, heads, batch, positions, seed


@functools.cache
def random_model(n_layers: int, n_heads: int, seed: int) -> Transformer:
    """A small random model, sharp enough that its heads differ."""
    config = TransformerConfig(n_layers=n_layers, d_model=12, n_heads=n_heads, d_head=4, d_vocab=11, n_ctx=16)
    return Transformer(config).init_weights(seed, scale=0.4).requires_grad_(False)


def random_tokens(batch: int, pos: int, seed: int, d_vocab: int = 11) -> Tensor:
    return torch.randint(0, d_vocab, (batch, pos), generator=torch.Generator().manual_seed(100 + seed))


def random_pattern(batch: int, heads: int, pos: int, seed: int) -> Tensor:
    """Causal attention: every row sums to 1."""
    scores = 3 * torch.randn(batch, heads, pos, pos, generator=torch.Generator().manual_seed(200 + seed))
    return scores.masked_fill(~torch.ones(pos, pos, dtype=torch.bool).tril(), -torch.inf).softmax(-1)


def cases() -> list[tuple[Transformer, Tensor]]:
    return [(random_model(layers, heads, seed), random_tokens(b, n, seed)) for layers, heads, b, n, seed in SHAPES]


# --- 02.1 -------------------------------------------------------------------------------------------------------------


def patterns_by_hand(model: Transformer, tokens: Tensor, layer: int) -> dict[str, Tensor]:
    """Patterns and scores of one layer from the residual stream, with plain matrix products."""
    _, cache = model.run_with_cache(tokens, ("resid_pre", layer))
    x = cache["resid_pre", layer]
    q = torch.stack([x @ W for W in model.W_Q[layer]], dim=1)  # [batch head pos d_head]
    k = torch.stack([x @ W for W in model.W_K[layer]], dim=1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(model.cfg.d_head)
    mask = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    return {
        "pattern": scores.masked_fill(~mask, -torch.inf).softmax(-1),
        "scores": scores.masked_fill(~mask, -torch.inf),
        "unmasked": scores.softmax(-1),
    }


@grades("02.1", weight=2)
def test_patterns_of_random_models(answer):
    """The patterns of every layer, on random models of several shapes."""
    for model, tokens in cases():
        for layer in range(model.cfg.n_layers):
            by_hand = patterns_by_hand(model, tokens, layer)
            others = {
                f"These are the patterns of layer {other}. The test asked for layer {layer}.": patterns_by_hand(
                    model, tokens, other
                )["pattern"]
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
                    "This is the pattern of the first sequence alone. Keep the batch axis.": want[0],
                    "This is the pattern of one head. Keep all heads.": want[:, 0],
                    "This is the mean over heads. Heads do different things: keep them apart.": want.mean(1),
                    "This is the mean over the batch. Keep every sequence.": want.mean(0),
                    "Queries and keys are exchanged: every row of a pattern, over its last axis, sums to 1.": want.mT,
                    **others,
                },
            )


@grades("02.1")
def test_pattern_of_the_bundled_model(answer):
    """The patterns of the trained model: every row sums to 1, and nobody looks ahead."""
    model = mi_lib.load("induction-2l")
    tokens = repeats.sample(2, seed=5, period=6).tokens
    got = answer.attention_pattern(model, tokens, 1)
    expect_close(got, patterns_of(model, tokens)[1], "the pattern of layer 1", axes="batch head query key", atol=1e-4)


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
    tokens = random_tokens(2, 5, 0, d_vocab=8)
    expect_close(
        answer.loss_per_token(torch.zeros(2, 5, 8), tokens),
        torch.full((2, 4), math.log(8)),
        "the loss",
        axes="batch pos-1",
        mistakes={
            "Only the sign is wrong: a loss is minus the log probability, so it is never negative.": torch.full(
                (2, 4), -math.log(8)
            ),
            "These are bits. Use the natural logarithm, which gives nats.": torch.full((2, 4), 3.0),
            "These are probabilities. The loss is minus their logarithm.": torch.full((2, 4), 1 / 8),
            "This is one number for everything. Keep the loss of every token.": torch.tensor(math.log(8)),
        },
    )


@grades("02.2", weight=2)
def test_each_position_is_judged_by_the_next_token(answer):
    """Random logits, compared with a sum written out entry by entry."""
    for seed, (batch, pos, d_vocab) in enumerate([(1, 2, 3), (2, 6, 5), (4, 9, 30)]):
        logits = 3 * torch.randn(batch, pos, d_vocab, generator=torch.Generator().manual_seed(seed))
        tokens = random_tokens(batch, pos, seed, d_vocab)
        want = loss_with_loops(logits, tokens)
        raw = -logits[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
        axis = -logits.log_softmax(1)[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0]
        expect_close(
            answer.loss_per_token(logits, tokens),
            want,
            "the loss",
            axes="batch pos-1",
            mistakes={
                "You judge the logits at position t by token t, which the model has already seen. "
                "They are a guess at token t + 1.": loss_with_loops(logits, tokens, shift=0),
                "You judge the logits at position t + 1 by token t. The logits at position t are a guess at token "
                "t + 1.": -logits.log_softmax(-1)[:, 1:].gather(-1, tokens[:, :-1, None])[..., 0],
                "The log-softmax is missing: logits are not log probabilities until they are normalised.": raw,
                "You normalise over positions. Normalise over the vocabulary, the last axis.": axis,
                "This is the mean. Keep the loss of every token.": want.mean(),
                "This is the mean over the batch. Keep every sequence.": want.mean(0),
            },
        )


@grades("02.2")
def test_very_large_logits(answer):
    """Logits of a thousand give finite losses."""
    logits = torch.tensor([[[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]]])
    got = answer.loss_per_token(logits, torch.tensor([[0, 1]]))
    expect_close(
        got,
        torch.tensor([[1000.0]]),
        "the loss of a word that the model is sure will not come",
        mistakes={
            "The loss became infinite. Take log_softmax at once, not the logarithm of a softmax: "
            "exp(−1000) is 0 in a computer.": torch.tensor([[math.inf]]),
        },
    )


# --- 02.3 and 02.4 ----------------------------------------------------------------------------------------------------


@grades("02.3", weight=2)
def test_means_over_first_and_later_copies(answer):
    """Means over the right tokens, on several samples of repeats."""
    for seed, (copies, gap) in enumerate([(2, 0), (3, 0), (2, 3)]):
        sample = repeats.sample(4, seed=seed, period=(3, 6), copies=copies, distractors=gap, n_ctx=26)
        loss = torch.rand(4, 25, generator=torch.Generator().manual_seed(seed)) + torch.arange(25) * 0.1
        got = answer.copy_losses(loss, sample.first, sample.second)
        expect(isinstance(got, tuple | list) and len(got) == 2, "Return two numbers: (first copies, later copies).")
        want, early, rows = [], [], []
        for mask in (sample.first, sample.second):
            picked = [loss[b, t - 1].item() for b in range(4) for t in range(1, 26) if mask[b, t]]
            want.append(sum(picked) / len(picked))
            early.append(loss[mask[:, :-1]].mean().item())
            rows.append(np.mean([loss[b][mask[b, 1:]].mean().item() for b in range(4) if mask[b, 1:].any()]))
        expect_close(
            list(got),
            torch.tensor(want),
            "the pair (first copies, later copies)",
            mistakes={
                "You are off by one: loss[b, t] belongs to token t + 1, so it is first[b, t + 1] that says where that "
                "token lies.": torch.tensor(early),
                "The two are exchanged: first copies come first.": torch.tensor(want[::-1]),
                "You average each sequence first and then the averages. Sequences with few such tokens then count too "
                "much: average over all tokens at once.": torch.tensor(np.array(rows)),
                "You divide by the number of all tokens. Divide by the number of those that count.": torch.tensor(
                    [(loss * m[:, 1:]).mean().item() for m in (sample.first, sample.second)]
                ),
            },
        )


@grades("02.3")
def test_a_loss_of_its_own_for_each_copy(answer):
    """If first copies cost 6 and later ones 1, that is the answer."""
    sample = repeats.sample(3, seed=9, period=5, offset=2)
    loss = torch.where(sample.second[:, 1:], 1.0, 6.0)
    loss[:, :2] = 100.0  # the offset's words belong to neither
    got = answer.copy_losses(loss, sample.first, sample.second)
    expect(isinstance(got, tuple | list) and len(got) == 2, "Return two numbers: (first copies, later copies).")
    expect_close(
        list(got),
        torch.tensor([6.0, 1.0]),
        "the pair (first copies, later copies)",
        mistakes={
            "You are off by one: loss[b, t] belongs to token t + 1.": torch.tensor(
                [loss[sample.first[:, :-1]].mean().item(), loss[sample.second[:, :-1]].mean().item()]
            ),
            "Words that lie in no copy are counted as first copies. Use the mask `first`, not the opposite of "
            "`second`.": torch.tensor([loss[~sample.second[:, 1:]].mean().item(), 1.0]),
        },
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
        },
    )


@grades("02.4", weight=2)
def test_the_score_on_random_losses(answer):
    """Mean at one index minus mean at the other, for several pairs."""
    for seed, (early, late) in enumerate([(0, 1), (2, 7), (1, 8)]):
        loss = torch.rand(5, 9, generator=torch.Generator().manual_seed(seed)) * 6
        at_early = sum(row[early] for row in loss.tolist()) / 5
        at_late = sum(row[late] for row in loss.tolist()) / 5
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
                "This is a ratio. Subtract instead.": at_late / at_early,
                "You use the first sequence alone. Average over the batch.": (loss[0, late] - loss[0, early]).item(),
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
    n = 6
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
    return {
        "This is the attention of each position to itself. One back is the diagonal below the main one.": (
            pattern.diagonal(dim1=-2, dim2=-1).mean((0, 2))
        ),
        "You look one step AHEAD, which the causal mask forbids: query and key are exchanged.": (
            pattern.diagonal(offset=1, dim1=-2, dim2=-1).mean((0, 2))
        ),
        "You divide by all positions. Position 0 has nothing before it and does not count.": below.sum((0, 2))
        / (n * pattern.shape[0]),
        "You average over heads too. Each head has a score of its own.": below.mean(),
        "You average over heads instead of over the batch.": below.mean((1, 2)),
        "This is a sum. The score is a mean, between 0 and 1.": below.sum((0, 2)),
        "You look two steps back.": pattern.diagonal(offset=-2, dim1=-2, dim2=-1).mean((0, 2)),
    }


@grades("02.5", weight=2)
def test_previous_token_score_on_random_patterns(answer):
    """Random patterns of several shapes, compared with a sum written out entry by entry."""
    for seed, (batch, heads, pos) in enumerate([(1, 2, 5), (3, 4, 8), (4, 3, 12)]):
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


def previous_with_dict(tokens: Tensor) -> Tensor:
    rows = []
    for row in tokens.tolist():
        last: dict[int, int] = {}
        out = []
        for t, token in enumerate(row):
            out.append(last.get(token, -1))
            last[token] = t
        rows.append(out)
    return torch.tensor(rows)


def first_occurrence(tokens: Tensor) -> Tensor:
    out = [[row.index(token) if row.index(token) < t else -1 for t, token in enumerate(row)] for row in tokens.tolist()]
    return torch.tensor(out)


@grades("02.6", weight=2)
def test_the_latest_earlier_occurrence(answer):
    """Short sequences with many repeats, and the example of the docstring."""
    batches = [torch.tensor([[7, 3, 7, 7, 3]]), *(random_tokens(3, 10, seed, d_vocab=4) for seed in range(3))]
    batches += [repeats.sample(3, seed=1, period=4, copies=3).tokens, torch.tensor([[5]]), torch.tensor([[1, 2, 3]])]
    for tokens in batches:
        want = previous_with_dict(tokens)
        n = tokens.shape[1]
        same = tokens[:, :, None] == tokens[:, None, :]
        itself = torch.where(same.tril(), torch.arange(n), -1).amax(-1)
        anywhere = torch.where(same & ~torch.eye(n, dtype=torch.bool), torch.arange(n), -1).amax(-1)
        expect_equal(
            answer.previous_occurrence(tokens),
            want,
            "the position of the latest earlier occurrence",
            mistakes={
                "You count a position as its own earlier occurrence. Only strictly earlier positions count.": itself,
                "You find the FIRST occurrence. When a token has come more than once, the latest one counts.": (
                    first_occurrence(tokens)
                ),
                "You find occurrences that come later too. Only earlier positions count.": anywhere,
                "Where there is none the answer is −1, not 0: position 0 is a place like any other.": want.clamp(min=0),
                "This is how far back it was. Give its position.": torch.where(
                    want >= 0, torch.arange(n) - want, torch.tensor(-1)
                ),
            },
        )


@grades("02.6")
def test_sequences_do_not_mix(answer):
    """A token of one sequence is no earlier occurrence for another."""
    tokens = torch.tensor([[1, 2, 3], [3, 2, 1]])
    expect_equal(
        answer.previous_occurrence(tokens),
        torch.full((2, 3), -1),
        "the answer for sequences without any repeat",
        mistakes={
            "You count a position as its own earlier occurrence. Only strictly earlier positions count.": (
                torch.arange(3).expand(2, 3)
            ),
            "Where there is none the answer is −1, not 0.": torch.zeros(2, 3, dtype=torch.long),
        },
    )


# --- 02.7 -------------------------------------------------------------------------------------------------------------


def prefix_matching_mistakes(pattern: Tensor, previous: Tensor) -> dict[str, Tensor]:
    rows = previous.tolist()
    want = mean_attention_to(pattern, [[p + 1 if p >= 0 else -1 for p in row] for row in rows])
    share = (previous >= 0).float().mean()
    mistakes = {
        "You score the earlier occurrence itself. An induction head looks at the token AFTER it, to see what came "
        "next.": mean_attention_to(pattern, rows),
        "You score the token BEFORE the earlier occurrence. It is the one after it that says what came next.": (
            mean_attention_to(pattern, [[p - 1 for p in row] for row in rows])
        ),
        "You divide by all positions. Positions whose token is new do not count at all.": want * share,
        "You treat −1 as a position: new tokens are scored by their attention to position 0. Leave them out.": (
            mean_attention_to(pattern, [[p + 1 for p in row] for row in rows])
        ),
        "You average over heads. Each head has a score of its own.": want.mean(),
        "Query and key are exchanged: pattern[b, h, q, k] is how much q looks at k.": mean_attention_to(
            pattern.mT, [[p + 1 if p >= 0 else -1 for p in row] for row in rows]
        ),
    }
    if previous.shape[0] > 1:
        masks = [(row >= 0) for row in previous]
        if all(m.any() for m in masks):
            per_row = torch.stack(
                [
                    mean_attention_to(pattern[b : b + 1], [[p + 1 if p >= 0 else -1 for p in rows[b]]])
                    for b in range(previous.shape[0])
                ]
            )
            mistakes[
                "You average each sequence first and then the averages. Average over all repeated tokens at once."
            ] = per_row.mean(0)
    return mistakes


@grades("02.7")
def test_a_perfect_induction_head_scores_one(answer):
    """A head that always looks one past the earlier occurrence scores 1, one that looks at it scores 0."""
    sample = repeats.sample(2, seed=3, period=5, offset=2)
    n = sample.tokens.shape[1]
    pattern = torch.zeros(2, 2, n, n)
    for b in range(2):
        for q in range(n):
            p = int(sample.previous[b, q])
            pattern[b, 0, q, p + 1 if p >= 0 else 0] = 1
            pattern[b, 1, q, p if p >= 0 else 0] = 1
    expect_close(
        answer.prefix_matching_score(pattern, sample.previous),
        torch.tensor([1.0, 0.0]),
        "the score of the two heads",
        axes="head",
        mistakes=prefix_matching_mistakes(pattern, sample.previous),
    )


@grades("02.7", weight=2)
def test_prefix_matching_on_random_patterns(answer):
    """Random patterns and random repeats, compared with a sum written out entry by entry."""
    for seed, (batch, heads, pos) in enumerate([(1, 2, 8), (3, 4, 10), (4, 3, 14)]):
        pattern = random_pattern(batch, heads, pos, seed)
        previous = previous_with_dict(random_tokens(batch, pos, seed, d_vocab=5))
        rows = [[p + 1 if p >= 0 else -1 for p in row] for row in previous.tolist()]
        expect_close(
            answer.prefix_matching_score(pattern, previous),
            mean_attention_to(pattern, rows),
            "the score of each head",
            axes="head",
            mistakes=prefix_matching_mistakes(pattern, previous),
        )


# --- 02.8, 02.9, 02.10 ------------------------------------------------------------------------------------------------


def without_head(model: Transformer, layer: int, head: int) -> Transformer:
    """The same model with one head's output matrix set to zero: ablation done in the weights, without any hook."""
    copy = Transformer(model.config)
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        copy.blocks[layer].attn.W_O[head] = 0.0
    return copy.requires_grad_(False)


def edited(model: Transformer, tokens: Tensor, layer: int, edit) -> Tensor:
    return model.run_with_hooks(tokens, [(f"blocks.{layer}.attn.hook_z", edit)])


def zero(head):
    def edit(z, hook):
        z = z.clone()
        z[:, :, head] = 0.0
        return z

    return edit


@grades("02.8", weight=2)
def test_zero_ablation_of_each_head(answer):
    """Every head of random models, compared with a model whose W_O for that head is zero."""
    for model, tokens in cases():
        whole = model(tokens)
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads):
                want = without_head(model, layer, head)(tokens)
                other = (head + 1) % model.cfg.n_heads
                expect_close(
                    answer.ablate_head(model, tokens, layer, head),
                    want,
                    f"the logits without head {layer}.{head}",
                    atol=1e-4,
                    axes="batch pos d_vocab",
                    mistakes={
                        "Nothing has changed: these are the logits of the whole model. Does your hook return the new "
                        "value, and is it registered?": whole,
                        "The whole layer is silent. Silence one head: z[:, :, head].": edited(
                            model, tokens, layer, lambda z, hook: torch.zeros_like(z)
                        ),
                        "You silence a position, not a head: the axes of z are [batch pos head d_head].": edited(
                            model, tokens, layer, silence_position(head)
                        ),
                        "You silence another head than the one that was asked for.": without_head(model, layer, other)(
                            tokens
                        ),
                        "You leave this head and silence all the others.": edited(model, tokens, layer, only(head)),
                        "You keep the head's pattern from looking anywhere, but its value still comes through: set z, "
                        "not the scores.": edited_scores(model, tokens, layer, head),
                    },
                )


def silence_position(where):
    def edit(z, hook):
        z = z.clone()
        z[:, where] = 0.0
        return z

    return edit


def only(head):
    def edit(z, hook):
        out = torch.zeros_like(z)
        out[:, :, head] = z[:, :, head]
        return out

    return edit


def edited_scores(model, tokens, layer, head):
    def flat(scores, hook):
        scores = scores.clone()
        scores[:, head] = torch.where(scores[:, head].isinf(), scores[:, head], torch.zeros(()))
        return scores

    return model.run_with_hooks(tokens, [(f"blocks.{layer}.attn.hook_attn_scores", flat)])


@grades("02.8")
def test_the_bundled_model_without_a_head(answer):
    """The trained model without each of two heads."""
    model = mi_lib.load("induction-2l")
    tokens = repeats.sample(2, seed=8, period=7).tokens
    for layer, head in ((1, 0), (0, 2)):
        want = without_head(model, layer, head)(tokens)
        got = answer.ablate_head(model, tokens, layer, head)
        expect_close(got, want, f"the logits without head {layer}.{head}", atol=1e-3, axes="batch pos d_vocab")


@grades("02.9", weight=2)
def test_mean_ablation_of_each_head(answer):
    """Every head of random models, with the mean taken over other sequences, position by position."""
    for (model, tokens), size in zip(cases(), (2, 4, 5), strict=True):
        reference = random_tokens(size, tokens.shape[1], 50)
        for layer in range(model.cfg.n_layers):
            head = (layer + 1) % model.cfg.n_heads
            z_reference, z_tokens = z_of(model, reference, layer), z_of(model, tokens, layer)

            def put(value, layer=layer, head=head, model=model, tokens=tokens):
                def edit(z, hook):
                    z = z.clone()
                    z[:, :, head] = value
                    return z

                return edited(model, tokens, layer, edit)

            mean = sum(z_reference[b, :, head] for b in range(size)) / size
            expect_close(
                answer.mean_ablate_head(model, tokens, layer, head, reference),
                put(mean),
                f"the logits with head {layer}.{head} at its mean",
                atol=1e-4,
                axes="batch pos d_vocab",
                mistakes={
                    "You average over positions as well. Each position has a mean of its own.": put(
                        z_reference[:, :, head].mean((0, 1))
                    ),
                    "You take the mean over `tokens` itself. Take it over `reference`.": put(
                        z_tokens[:, :, head].mean(0)
                    ),
                    "This is zero ablation. Put the mean in the head's place, not 0.": put(0.0),
                    "You replace the whole layer by its mean. Replace one head.": edited(
                        model, tokens, layer, put_layer(z_reference.mean(0))
                    ),
                    "You average over heads. The mean belongs to this head alone.": put(z_reference.mean((0, 2))),
                    "You put in one sequence of the reference, not the mean over all of them.": put(
                        z_reference[0, :, head]
                    ),
                    "Nothing has changed: these are the logits of the whole model.": model(tokens),
                },
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
                "the logits, which should be those of the whole model,",
                atol=1e-4,
                axes="batch pos d_vocab",
                mistakes={
                    "This is zero ablation. Put the mean in the head's place, not 0.": without_head(model, layer, 0)(
                        one
                    ),
                    "You average over positions as well. Each position has a mean of its own.": edited(
                        model, one, layer, pooled(z_of(model, one, layer)[:, :, 0].mean((0, 1)))
                    ),
                },
            )


def pooled(value):
    def edit(z, hook):
        z = z.clone()
        z[:, :, 0] = value
        return z

    return edit


def put_layer(value):
    return lambda z, hook: value.expand_as(z)


def z_of(model: Transformer, tokens: Tensor, layer: int) -> Tensor:
    _, cache = model.run_with_cache(tokens, f"blocks.{layer}.attn.hook_z")
    return cache[f"blocks.{layer}.attn.hook_z"]


def frozen_without(model: Transformer, tokens: Tensor, layer: int, head: int, layers: list[int]) -> Tensor:
    """With patterns frozen in `layers`, recomputed layer by layer with plain products."""
    clean = patterns_of(model, tokens)
    x = model.W_E[tokens] + model.W_pos[: tokens.shape[1]]
    for i in range(model.cfg.n_layers):
        scores = torch.einsum("bqd,hde,bkf,hfe->bhqk", x, model.W_Q[i], x, model.W_K[i]) / math.sqrt(model.cfg.d_head)
        mask = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
        pattern = clean[i] if i in layers else scores.masked_fill(~mask, -torch.inf).softmax(-1)
        result = torch.einsum("bhqk,bkd,hde,hef->bhqf", pattern, x, model.W_V[i], model.W_O[i])
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
            head = layer % model.cfg.n_heads
            want = frozen_without(model, tokens, layer, head, every)
            expect_close(
                answer.ablate_with_frozen_patterns(model, tokens, layer, head),
                want,
                f"the logits without head {layer}.{head}, patterns frozen",
                atol=1e-4,
                axes="batch pos d_vocab",
                mistakes=frozen_mistakes(model, tokens, layer, head, every),
            )


def frozen_mistakes(model, tokens, layer, head, every):
    mistakes = {
        "Nothing has changed: these are the logits of the whole model.": model(tokens),
        "The whole layer is silent. Silence one head.": frozen_layer(model, tokens, layer),
    }
    if layer < every[-1]:
        mistakes[
            "Later heads look elsewhere now: their patterns were not put back. Freeze the patterns of every layer."
        ] = frozen_without(model, tokens, layer, head, [])
    return mistakes


def frozen_layer(model, tokens, layer):
    clean = {f"blocks.{i}.attn.hook_pattern": p for i, p in enumerate(patterns_of(model, tokens))}
    return model.run_with_hooks(
        tokens,
        [
            (list(clean), lambda _, hook: clean[hook.name]),
            (f"blocks.{layer}.attn.hook_z", lambda z, hook: torch.zeros_like(z)),
        ],
    )


@grades("02.10")
def test_in_the_last_layer_freezing_changes_nothing(answer):
    """Without a head of the last layer nobody looks later, so the result is that of 02.8."""
    model, tokens = cases()[0]
    last = model.cfg.n_layers - 1
    expect_close(
        answer.ablate_with_frozen_patterns(model, tokens, last, 2),
        without_head(model, last, 2)(tokens),
        f"the logits without head {last}.2",
        atol=1e-4,
        axes="batch pos d_vocab",
        mistakes=frozen_mistakes(model, tokens, last, 2, list(range(last + 1))),
    )


# --- 02.11 ------------------------------------------------------------------------------------------------------------


def dense_eigenvalues(W_E, W_V, W_O, W_U) -> np.ndarray:
    return np.linalg.eigvals((W_E @ W_V @ W_O @ W_U).double().numpy())


def copying_mistakes(W_E, W_V, W_O, W_U) -> dict[str, float]:
    values = dense_eigenvalues(W_E, W_V, W_O, W_U)
    inner = np.linalg.eigvals((W_V @ W_O).double().numpy())
    full = (W_E @ W_V @ W_O @ W_U).double()
    return {
        "You left out embedding and unembedding: these are the eigenvalues of W_V W_O alone, which do not know about "
        "words.": float(inner.real.sum() / np.abs(inner).sum()),
        "Your score is always 1. Singular values are never negative, so a score made of them cannot tell copying from "
        "forbidding; neither can Σ λ / Σ λ. Take eigenvalues, and divide by Σ |λ|.": 1.0,
        "You divide by the number of eigenvalues, not by Σ |λ|.": float(values.real.sum() / len(values)),
        "The division by Σ |λ| is missing: this is the trace.": float(values.real.sum()),
        "You count how many eigenvalues are positive. Weigh them by their size.": float((values.real > 1e-9).mean()),
        "You take the absolute value of the sum. A head that forbids copying must come out negative.": float(
            abs(values.real.sum()) / np.abs(values).sum()
        ),
        "You use Σ |Re λ| below. Take the modulus |λ|, which counts the imaginary part too.": float(
            values.real.sum() / max(np.abs(values.real).sum(), 1e-12)
        ),
        "You take the diagonal of the circuit instead of its eigenvalues.": float(
            (full.diagonal().sum() / full.diagonal().abs().sum()).item()
        ),
    }


@grades("02.11")
def test_copying_and_forbidding_heads(answer):
    """A head that copies scores 1, one that forbids scores −1, one that rotates words scores 0."""
    words = torch.eye(4)
    turn = torch.tensor([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 1], [0, 0, -1, 0]])
    for W_O, want in ((words, 1.0), (-words, -1.0), (turn, 0.0)):
        expect_close(
            answer.copying_score(words, 2 * words, W_O, words),
            want,
            "the copying score",
            atol=1e-4,
            mistakes={} if want == 1.0 else copying_mistakes(words, 2 * words, W_O, words),
        )


@grades("02.11", weight=2)
def test_copying_score_of_random_heads(answer):
    """Random heads, compared with the eigenvalues of the whole circuit in double precision."""
    for seed, (d_vocab, d_model, d_head) in enumerate([(6, 5, 2), (12, 8, 3), (20, 10, 4), (9, 16, 4)]):
        generator = torch.Generator().manual_seed(seed)
        shapes = ((d_vocab, d_model), (d_model, d_head), (d_head, d_model), (d_model, d_vocab))
        weights = [torch.randn(*shape, generator=generator) for shape in shapes]
        values = dense_eigenvalues(*weights)
        expect_close(
            answer.copying_score(*weights),
            float(values.real.sum() / np.abs(values).sum()),
            "the copying score",
            atol=1e-3,
            mistakes=copying_mistakes(*weights),
        )


@grades("02.11")
def test_a_large_vocabulary(answer):
    """60,000 words: too many for a square matrix of them."""
    generator = torch.Generator().manual_seed(3)
    W_E, W_U = (torch.randn(60_000, 6, generator=generator) for _ in range(2))
    W_V, W_O = torch.randn(6, 2, generator=generator), torch.randn(2, 6, generator=generator)
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


def raw_composition(W_V, W_O, W_Q, W_K, how: str = "K") -> Tensor:
    """Head by head, with dense matrices and sums of squares."""
    out = torch.zeros(len(W_V), len(W_Q))
    for i in range(len(W_V)):
        for j in range(len(W_Q)):
            ov, qk = W_V[i] @ W_O[i], W_Q[j] @ W_K[j].T
            product = {"K": ov @ qk.T, "Q": ov @ qk, "reversed": qk.T @ ov}[how]
            out[i, j] = (product**2).sum().sqrt() / ((ov**2).sum().sqrt() * (qk**2).sum().sqrt())
    return out


@functools.cache
def chance(d_model: int, d_head: int) -> float:
    """The mean score of random heads, to about a thousandth."""
    generator = torch.Generator().manual_seed(17)
    V, Q, K = (torch.randn(800, d_model, d_head, generator=generator) for _ in range(3))
    ov, qk = V @ torch.randn(800, d_head, d_model, generator=generator), Q @ K.mT
    return ((ov @ qk.mT).norm(dim=(1, 2)) / (ov.norm(dim=(1, 2)) * qk.norm(dim=(1, 2)))).mean().item()


def random_heads(heads_1: int, heads_2: int, d_model: int, d_head: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(heads_1, d_model, d_head), (heads_1, d_head, d_model), *[(heads_2, d_model, d_head)] * 2]
    return [torch.randn(*shape, generator=generator) for shape in shapes]


def composition_mistakes(weights: list[Tensor], base: float) -> dict[str, Tensor]:
    W_V, W_O, W_Q, W_K = weights
    raw = raw_composition(*weights)
    ov, qk = W_V @ W_O, W_Q @ W_K.mT
    plain = torch.stack([torch.stack([(a @ b.T).norm() for b in qk]) for a in ov])
    return {
        "The baseline is missing. Two random heads do not score 0: subtract what they score.": raw,
        "This is Q-composition: the transpose of W_QK is missing. The earlier head's output is read by the KEYS.": (
            raw_composition(*weights, how="Q") - base
        ),
        "The product is the wrong way round: what the earlier head writes (W_OV) comes first, then the later head "
        "reads it.": raw_composition(*weights, how="reversed") - base,
        "The division by the two norms is missing.": plain - base,
        "The two heads are exchanged: rows are heads of the earlier layer.": (raw - base).T,
        "You added the baseline. Subtract it.": raw + base,
    }


@grades("02.12")
def test_a_planted_pair(answer):
    """Heads of which exactly one writes what another reads."""
    d_model, d_head = 24, 4
    W_V, W_O, W_Q, W_K = random_heads(3, 2, d_model, d_head, 5)
    W_O[1] = W_K[0].T  # head 1 of the earlier layer writes just where head 0 of the later one reads its keys
    weights = [W_V, W_O, W_Q, W_K]
    got = answer.composition_above_chance(*weights)
    expect_close(
        got,
        raw_composition(*weights) - chance(d_model, d_head),
        "the composition above chance",
        atol=0.02,
        axes="head_1 head_2",
        mistakes=composition_mistakes(weights, chance(d_model, d_head)),
    )


@grades("02.12", weight=2)
def test_random_heads_compose_by_chance(answer):
    """Random heads of several shapes: close to 0 after the baseline is taken off."""
    for seed, (heads_1, heads_2, d_model, d_head) in enumerate([(2, 3, 8, 2), (4, 2, 16, 8), (3, 3, 32, 4)]):
        weights = random_heads(heads_1, heads_2, d_model, d_head, seed)
        base = chance(d_model, d_head)
        expect_close(
            answer.composition_above_chance(*weights),
            raw_composition(*weights) - base,
            "the composition above chance",
            atol=0.02,
            axes="head_1 head_2",
            mistakes=composition_mistakes(weights, base),
        )


# --- 02.13 ------------------------------------------------------------------------------------------------------------


def permuted(model: Transformer, order: list[int]) -> Transformer:
    """The same function with the heads of every layer in another order."""
    copy = Transformer(model.config)
    weights = model.state_dict()
    copy.load_state_dict({k: v[order] if ".attn." in k else v for k, v in weights.items()})
    return copy.requires_grad_(False)


def facts(checkpoints: list[tuple[int, Transformer]], sample: repeats.Repeats) -> dict:
    """What is true of a model, found with the library and with weights, not with the reference answer."""

    def heads(model: Transformer, targets: list[list[int]], first_layer: int) -> list[tuple[int, int]]:
        found = []
        for layer, pattern in enumerate(patterns_of(model, sample.tokens)):
            scores = mean_attention_to(pattern, targets)
            found += [(layer, h) for h in range(len(scores)) if scores[h] >= 0.5 and layer >= first_layer]
        return found

    after = [[p + 1 if p >= 0 else -1 for p in row] for row in sample.previous.tolist()]
    before = [[q - 1 for q in range(sample.tokens.shape[1])] for _ in after]
    final = checkpoints[-1][1]
    induction = heads(final, after, 1)
    ablated = final
    for layer, head in induction:
        ablated = without_head(ablated, layer, head)

    def loss(model: Transformer) -> float:
        return loss_with_loops(model(sample.tokens), sample.tokens)[sample.second[:, 1:]].mean().item()

    return {
        "previous_token_heads": heads(final, before, 0),
        "induction_heads": induction,
        "formed_at": next((step for step, model in checkpoints if heads(model, after, 1)), None),
        "loss": loss(final),
        "loss_without": loss(ablated),
    }


def compare(answer, checkpoints: list[tuple[int, Transformer]], sample: repeats.Repeats, which: str) -> None:
    got = answer.find_circuit(checkpoints, sample.tokens, sample.second)
    want = facts(checkpoints, sample)
    expect(isinstance(got, dict), "Return a dict with the five entries that the docstring lists.")
    missing = [key for key in want if key not in got]
    expect(not missing, f"The dict lacks {', '.join(repr(key) for key in missing)}.")
    steps = [step for step, _ in checkpoints]
    for key, name in (("previous_token_heads", "previous-token heads"), ("induction_heads", "induction heads")):
        heads = sorted(tuple(int(part) for part in head) for head in got[key])
        if heads == sorted(want[key]):
            continue
        swapped = sorted((head, layer) for layer, head in want[key])
        expect(heads != swapped, f"In the {name}, layer and head are exchanged: write (layer, head).")
        early = [head for head in heads if key == "induction_heads" and head[0] == 0]
        expect(not early, f"{early[0] if early else ''} is in layer 0, which cannot hold an induction head.")
        raise Wrong(f"The {name} of {which} are {sorted(want[key])}, but your code found {heads}.")
    if got["formed_at"] != want["formed_at"]:
        expect(
            want["formed_at"] is not None,
            f"In {which} no induction head ever forms, so formed_at is None; your code says {got['formed_at']}.",
        )
        expect(
            got["formed_at"] != steps.index(want["formed_at"]),
            "formed_at is a training step, not the number of a checkpoint.",
        )
        expect(
            got["formed_at"] != steps[-1],
            "formed_at is the FIRST step at which an induction head is there, not the last.",
        )
        raise Wrong(
            f"In {which} the first induction head is there at step {want['formed_at']}, not {got['formed_at']}."
        )
    both = (got["loss"], got["loss_without"])
    expect_close(
        got["loss"],
        want["loss"],
        f"the loss of {which} on later copies",
        rtol=2e-3,
        mistakes={
            "This is the loss on all tokens. Count those in later copies alone.": loss_with_loops(
                checkpoints[-1][1](sample.tokens), sample.tokens
            ).mean()
        },
    )
    others = {}
    if want["induction_heads"]:
        others["This is the loss of the whole model: nothing was silenced."] = want["loss"]
        for head in want["induction_heads"]:
            model = without_head(checkpoints[-1][1], *head)
            loss = loss_with_loops(model(sample.tokens), sample.tokens)[sample.second[:, 1:]].mean().item()
            if len(want["induction_heads"]) > 1:
                others[f"Only head {head[0]}.{head[1]} was silenced. Silence all induction heads at once."] = loss
        silent = checkpoints[-1][1]
        for head in want["previous_token_heads"]:
            silent = without_head(silent, *head)
        others["The previous-token heads were silenced. Silence the induction heads."] = (
            loss_with_loops(silent(sample.tokens), sample.tokens)[sample.second[:, 1:]].mean().item()
        )
    expect_close(both[1], want["loss_without"], f"the loss of {which} without them", rtol=2e-3, mistakes=others)


@functools.cache
def trained(name: str) -> tuple[tuple[int, Transformer], ...]:
    """A handful of checkpoints and the finished model."""
    steps = mi_lib.zoo.checkpoints(name)
    chosen = sorted({steps[0], *steps[1 :: max(1, len(steps) // 5)]})
    finished = (10**6, mi_lib.load(name))
    return (*((step, mi_lib.load(name, checkpoint=step)) for step in chosen), finished)


@grades("02.13", weight=2)
def test_the_trained_model(answer):
    """The 2-layer model and some of its checkpoints, on sequences that you have not seen."""
    sample = repeats.sample(8, seed=4242, period=(8, 16))
    compare(answer, list(trained("induction-2l")), sample, "the 2-layer model")


@grades("02.13")
def test_the_control(answer):
    """The 1-layer model has no induction heads: your code must say so."""
    sample = repeats.sample(6, seed=77, period=9)
    compare(answer, list(trained("induction-1l")), sample, "the 1-layer model")


@grades("02.13")
def test_heads_in_another_order(answer):
    """The same network with its heads in another order: whoever typed in the answer is found out."""
    order = [2, 0, 3, 1]
    checkpoints = [(step, permuted(model, order)) for step, model in trained("induction-2l")]
    compare(answer, checkpoints[-3:], repeats.sample(6, seed=99, period=(6, 12)), "a reordered model")


# --- 02.14 ------------------------------------------------------------------------------------------------------------


def empty_config(d_vocab: int, n_ctx: int) -> TransformerConfig:
    return TransformerConfig(
        n_layers=2,
        d_model=3 * d_vocab + n_ctx,
        n_heads=1,
        d_head=max(d_vocab, n_ctx),
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        positions="shifted",
    )


def assembled(answer, config: TransformerConfig) -> Transformer:
    """The learner's weights in a model of ours, or a sentence about what does not fit."""
    got = answer.write_induction_head(config)
    expect(isinstance(got, dict), "Return a dict of tensors, one for each name that the docstring lists.")
    model = Transformer(config)
    wanted = dict(model.named_parameters())
    for name, parameter in wanted.items():
        expect(name in got, f'The weight "{name}" is missing from the dict.')
        value = got[name]
        expect(isinstance(value, Tensor | np.ndarray), f'The weight "{name}" should be a tensor.')
        value = torch.as_tensor(value)
        expect(
            value.shape == parameter.shape,
            f'The weight "{name}" should have shape {tuple(parameter.shape)}, but yours has {tuple(value.shape)}.',
        )
        expect(bool(torch.isfinite(value.float()).all()), f'The weight "{name}" holds NaN or infinite numbers.')
        with torch.no_grad():
            parameter.copy_(value)
    extra = sorted(set(got) - set(wanted))
    expect(not extra, f"The model has no weight called {extra[0] if extra else ''!r}.")
    return model.requires_grad_(False)


def check_built(model: Transformer, sample: repeats.Repeats) -> None:
    """Judge by behaviour, and say which half of the circuit is at fault."""
    with torch.no_grad():
        logits = model(sample.tokens)
    first, second = patterns_of(model, sample.tokens)
    back = first.diagonal(offset=-1, dim1=-2, dim2=-1).mean().item()
    itself = first.diagonal(dim1=-2, dim2=-1)[..., 1:].mean().item()
    rows = sample.previous.tolist()
    ahead = mean_attention_to(second, [[p + 1 if p >= 0 else -1 for p in row] for row in rows]).item()
    at = mean_attention_to(second, rows).item()
    own = mean_attention_to(second, [[q if p >= 0 else -1 for q, p in enumerate(row)] for row in rows]).item()
    loss = loss_with_loops(logits, sample.tokens)
    on_repeats = loss[sample.predictable[:, :-1]].mean().item()
    if on_repeats <= 0.1 and ahead >= 0.9:
        return
    if back < 0.9:
        expect(
            itself < 0.5,
            "The head of layer 0 looks at its own position. The query of place i must match the key of place i − 1.",
        )
        if back > 0.1:
            raise Wrong(
                f"The head of layer 0 looks one back only {back:.0%} of the time: the scores are too small for a sharp "
                "softmax. Make q · k / √d_head at the right place larger by 10 or more."
            )
        raise Wrong(f"The head of layer 0 should look one step back; it does so {back:.0%} of the time.")
    if ahead < 0.9:
        expect(
            at + own < 0.5,
            "The head of layer 1 looks at places where the present word itself stands, so it would copy that word. Its "
            "keys must read what layer 0 wrote (the word BEFORE), not the word that stands there.",
        )
        if ahead > 0.3:
            raise Wrong(
                f"The head of layer 1 looks at the right place only {ahead:.0%} of the time: make its scores larger."
            )
        raise Wrong(
            f"Layer 0 is right, but the head of layer 1 looks one past the earlier occurrence only {ahead:.0%} of the "
            "time. Its query is the present word; its key is the note that layer 0 left."
        )
    guesses = logits.argmax(-1)
    repeated = (guesses == sample.tokens)[sample.predictable].float().mean().item()
    expect(
        repeated < 0.5,
        "Both heads look where they should, but the model predicts the present word again: W_U must read what layer 1 "
        "wrote and not what the embedding wrote. Keep them in different rooms of the residual stream.",
    )
    right = (guesses[:, :-1] == sample.tokens[:, 1:])[sample.predictable[:, :-1]].float().mean().item()
    raise Wrong(
        f"Both heads look where they should, and the next word is the model's best guess in {right:.0%} of cases, but "
        f"its loss there is {on_repeats:.2f} nats; at most 0.1 is asked for. "
        + ("Make what layer 1 writes larger." if right > 0.9 else "What does layer 1 copy, and does W_U read it?")
    )


@grades("02.14", weight=2)
def test_a_built_circuit_continues_repeats(answer):
    """Small vocabularies, several block lengths: the second copy is predicted with a loss of at most 0.1."""
    for d_vocab, n_ctx, period, seed in ((13, 24, 5, 0), (20, 33, 9, 1)):
        model = assembled(answer, empty_config(d_vocab, n_ctx))
        sample = repeats.sample(
            8, seed=seed, period=period, offset=3, vocab=d_vocab, n_ctx=min(n_ctx, 1 + 3 + 2 * period)
        )
        check_built(model, sample)


@grades("02.14")
def test_a_built_circuit_with_any_period(answer):
    """One set of weights, many block lengths and gaps between the copies."""
    config = empty_config(26, 40)
    model = assembled(answer, config)
    for period, gap, seed in ((2, 0, 3), (7, 4, 4), (16, 0, 5)):
        sample = repeats.sample(
            6, seed=seed, period=period, offset=1, distractors=gap, vocab=26, n_ctx=2 + 2 * period + gap
        )
        check_built(model, sample)
