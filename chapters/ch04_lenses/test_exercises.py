"""The grader of chapter 04. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: loops in double precision, runs of the model with a part
taken out, gradients. The random models have large biases and norm weights, so that leaving one out shows; and all sizes
of a case are different, so that one axis cannot be taken for another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import mi_lib
from mi_lib import lens
from mi_lib.course import findings, index
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, expect_gradients, grades
from mi_lib.course.grading.expectations import SHAPE
from mi_lib.course.grading.gradients import gradients, no_gradient
from mi_lib.course.grading.material import (
    activation,
    generator,
    logits_with,
    randn,
    random_tokens,
    random_transformer,
    with_weights,
)
from mi_lib.models import HookedModel, Transformer

# layers, heads, d_head, neurons, a bias of the unembedding, sequences, positions, seed
SHAPES = ((2, 3, 5, 19, True, 7, 11, 0), (3, 2, 11, 19, False, 5, 7, 1), (1, 5, 3, 7, True, 2, 11, 2))
D_MODEL, D_VOCAB = 13, 17


# What does not depend on the answer is computed once for a process, not once for a verdict. The keys are the models and
# tensors themselves, which the cached cases keep alive; those of a single test are forgotten again.
oracle_cache = functools.lru_cache(256)


@functools.cache
def random_model(n_layers: int, n_heads: int, d_head: int, d_mlp: int, b_U: bool, seed: int) -> Transformer:
    return random_transformer(
        seed,
        scale=0.4,
        n_layers=n_layers,
        d_model=D_MODEL,
        n_heads=n_heads,
        d_head=d_head,
        d_vocab=D_VOCAB,
        n_ctx=16,
        d_mlp=d_mlp,
        act="gelu",
        norm="layernorm",
        attn_bias=True,
        unembed_bias=b_U,
    )


@functools.cache
def cases() -> tuple[tuple[HookedModel, Tensor], ...]:
    return tuple(
        (random_model(layers, heads, d_head, d_mlp, b_U, seed), random_tokens(batch, pos, D_VOCAB, seed))
        for layers, heads, d_head, d_mlp, b_U, batch, pos, seed in SHAPES
    )


@functools.cache
def bundled() -> tuple[HookedModel, Tensor]:
    """A trained model in the format of GPT-2."""
    return mi_lib.load("repeats-gpt2", check=False), random_tokens(3, 7, 64, 5)


def answers(batch: int, seed: int, d_vocab: int = D_VOCAB) -> tuple[Tensor, Tensor]:
    """Two different tokens for every sequence."""
    source = generator(300 + seed)
    right = torch.randint(0, d_vocab, (batch,), generator=source)
    return right, (right + torch.randint(1, d_vocab, (batch,), generator=source)) % d_vocab


def exchanged(want: Tensor, axes: str) -> dict[str, Tensor]:
    """Every way to exchange two axes of a result, and what to say then."""
    names = axes.split()
    return {
        f"The axes {names[a]} and {names[b]} are exchanged: the result is [{axes}].": want.transpose(a, b)
        for b in range(want.ndim)
        for a in range(b)
    }


# --- 04.1 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def stream_of(model: HookedModel, tokens: Tensor) -> Tensor:
    """The residual stream, by stopping the model before each block; at the end, what the last block has added."""
    depths = [model(tokens, stop_at_layer=layer) for layer in range(model.cfg.n_layers)]
    last = model.cfg.n_layers - 1
    _, cache = model.run_with_cache(tokens, [("attn_out", last), ("mlp_out", last)])
    return torch.stack([*depths, depths[-1] + cache["attn_out", last] + cache["mlp_out", last]])


def norm_by_hand(model: HookedModel, x: Tensor) -> Tensor:
    weight, bias, epsilon, _ = model.norm_parts(model.ln_final)
    return F.layer_norm(x.double(), x.shape[-1:], weight.double(), bias.double(), epsilon)


def unembed_by_hand(model: HookedModel, y: Tensor) -> Tensor:
    return y.double() @ model.W_U.double() + (0 if model.b_U is None else model.b_U.double())


def lens_by_hand(model: HookedModel, stream: Tensor) -> Tensor:
    return unembed_by_hand(model, norm_by_hand(model, stream))


def twice(model: HookedModel, stream: Tensor) -> Tensor:
    return unembed_by_hand(model, norm_by_hand(model, norm_by_hand(model, stream)))


@grades("04.1")
def test_the_stream_at_every_depth(answer):
    """The residual stream of random models, before each block and after the last."""
    for model, tokens in cases():
        want = stream_of(model, tokens)
        expect_close(
            answer.residual_stream(model, tokens),
            want,
            "the residual stream",
            axes="depth batch pos d_model",
            atol=1e-4,
            mistakes=lambda model=model, tokens=tokens, want=want: {
                "The last depth is missing: what the model reads in the end is what leaves its last block, "
                '("resid_post", n_layers − 1).': want[:-1],
                "This is what LEAVES each block. Take what enters it, and at the end what leaves the last.": torch.cat(
                    [want[1:], want[-1:]]
                ),
                "The first depth is missing: what enters block 0 is the embedding, before any layer has spoken.": (
                    want[1:]
                ),
                "Nothing should be normalised yet: this is the stream itself.": norm_by_hand(model, want),
                "Keep the batch axis: this is the first sequence alone.": want[:, 0],
                "Keep all positions: this is the last one alone.": want[:, :, -1],
                "This is the stream in the MIDDLE of each block, after its attention. Take what enters the block.": (
                    middle_of_blocks(model, tokens, want)
                ),
                "Every depth is the first one here. Take another site for each depth.": want[:1].expand_as(want),
                "Every depth is the last one here. Take another site for each depth.": want[-1:].expand_as(want),
                "Every depth is what enters the last block. Take another site for each depth.": want[-2:-1].expand_as(
                    want
                ),
                'The last depth is what the last block\'s MLP reads. Take what leaves the block, ("resid_post", '
                "n_layers − 1).": torch.cat([want[:-1], middle_of_blocks(model, tokens, want)[-2:-1]]),
                "These are the steps from one depth to the next. The stream is their sum so far.": torch.cat(
                    [want[:1], want.diff(dim=0)]
                ),
                **exchanged(want, "depth batch pos d_model"),
            },
        )


def middle_of_blocks(model: HookedModel, tokens: Tensor, stream: Tensor) -> Tensor:
    _, cache = model.run_with_cache(tokens, [("attn_out", layer) for layer in range(model.cfg.n_layers)])
    middles = [stream[layer] + cache["attn_out", layer] for layer in range(model.cfg.n_layers)]
    return torch.stack([*middles, stream[-1]])


@grades("04.1", weight=2)
def test_the_logits_at_every_depth(answer):
    """The logit lens of random models; at the last depth it is the model itself."""
    for model, tokens in cases():
        stream = stream_of(model, tokens)
        want = lens_by_hand(model, stream)
        expect_close(
            answer.logit_lens(model, tokens),
            want,
            "the logits at each depth",
            axes="depth batch pos d_vocab",
            atol=1e-4,
            mistakes=lambda model=model, stream=stream: lens_mistakes(model, stream),
        )


def lens_mistakes(model: HookedModel, stream: Tensor) -> dict[str, Tensor]:
    want = lens_by_hand(model, stream)
    last_only = torch.cat([unembed_by_hand(model, stream[:-1]), want[-1:]])
    return {
        "The final norm is missing: the unembedding is made to read what the norm gives.": unembed_by_hand(
            model, stream
        ),
        "You normalise twice. The final norm comes once, and then the unembedding.": twice(model, stream),
        "You normalise at the last depth alone. Every depth goes through the final norm.": last_only,
        "The bias of the unembedding is missing: use model.unembed, or add model.b_U where there is one.": (
            norm_by_hand(model, stream) @ model.W_U.double()
        ),
        "These are probabilities. The lens gives logits.": want.softmax(-1),
        "These are log probabilities. The lens gives logits, before any softmax.": want.log_softmax(-1),
        "The last depth is missing.": want[:-1],
        "You read what LEAVES each block. Read what enters it, and at the end what leaves the last.": torch.cat(
            [want[1:], want[-1:]]
        ),
        "You read after each block and leave out the embedding: the first depth is what enters block 0.": want[1:],
        "The weight and the bias of the final norm are missing. Use model.ln_final, which has both.": unembed_by_hand(
            model, F.layer_norm(stream.double(), stream.shape[-1:])
        ),
        "This is the last position alone. The lens reads every position.": want[:, :, -1],
        "This is the first sequence alone. Keep the batch axis.": want[:, 0],
        **exchanged(want, "depth batch pos d_vocab"),
    }


@grades("04.1")
def test_the_bundled_model_at_every_depth(answer):
    """A trained model in the format of GPT-2, whose last depth must be its own logits."""
    model, tokens = bundled()
    got = answer.logit_lens(model, tokens)
    stream = stream_of(model, tokens)
    want = torch.cat([lens_by_hand(model, stream[:-1]), model(tokens)[None].double()])
    expect_close(
        got,
        want,
        "the logits at each depth",
        axes="depth batch pos d_vocab",
        atol=1e-3,
        mistakes=lambda: lens_mistakes(model, stream),
    )


# --- 04.2 -------------------------------------------------------------------------------------------------------------


@grades("04.2")
def test_what_has_left_a_norm_and_what_has_not(answer):
    """Random vectors, before and after a LayerNorm with a weight and a bias."""
    for seed, (batch, pos, d) in enumerate([(2, 3, 12), (1, 5, 40), (3, 1, 7)]):
        weight, bias = 0.5 + randn(d, seed=seed).abs(), randn(d, seed=seed + 10)
        x = 3 * randn(batch, pos, d, seed=seed + 20) + 1
        after = F.layer_norm(x, (d,), weight, bias)
        cases = (
            (after, True, "This has just left the LayerNorm, and your function says no. Undo bias and weight, in this "
             "order, and take the variance with division by d_model (unbiased=False)."),
            (x, False, "This has gone through no norm, and your function says it has."),
            (F.layer_norm(x, (d,)), False, "This was normalised, but without this weight and bias: it cannot have left "
             "THIS norm. Undo the bias and the weight before you look at mean and variance."),
            (after + 0.5 * weight, False, "The variance of this is right and its mean is not, and your function says "
             "yes. Look at the mean too."),
            ((after - bias) * 1.5 + bias, False, "The mean of this is right and its variance is not, and your function "
             "says yes. Look at the variance too."),
        )  # fmt: skip
        for value, want, sentence in cases:
            expect(answer.is_normalised(value, weight, bias) == want, sentence)


@grades("04.2")
def test_one_position_is_enough_to_say_no(answer):
    """All positions but one are normalised, or only their average is."""
    weight, bias = 0.5 + randn(9, seed=1).abs(), randn(9, seed=2)
    y = F.layer_norm(randn(2, 4, 9, seed=0), (9,))
    one_wrong = y.clone()
    one_wrong[1, 2] *= 2
    expect(
        not answer.is_normalised(one_wrong * weight + bias, weight, bias),
        "One position of this is not normalised. Every position must be: use .all().",
    )
    shifted = y + torch.tensor([1.0, -1.0, 0.5, -0.5])[:, None]
    expect(
        not answer.is_normalised(shifted / shifted.std(unbiased=False) * weight + bias, weight, bias),
        "Only the average over positions has mean 0 here. Take mean and variance over the last axis, for each "
        "position on its own.",
    )


# mean, variance − 1. On both sides of 0, because whoever forgets abs() sees one side only; on both sides of 0.02; and
# where the standard deviation is still within 0.02 while the variance is not.
OFF = (
    (-0.4, 0.0), (0.4, 0.0), (0.0, -0.4), (0.0, 0.4), (-0.024, 0.0), (0.024, 0.0), (0.0, -0.024), (0.0, 0.024),
    (-0.016, 0.0), (0.016, 0.0), (0.0, -0.016), (0.0, 0.016), (0.016, -0.016), (0.024, 0.016), (-0.016, 0.024),
)  # fmt: skip


@grades("04.2", weight=2)
def test_within_two_hundredths(answer):
    """Vectors whose mean or variance is a little off: more than 0.02, and less."""
    for seed, (batch, pos, d) in enumerate([(2, 3, 11), (3, 5, 29)]):
        signs = torch.where(torch.arange(d) % 2 > 0, -1.0, 1.0)  # a weight may be negative
        weight = (0.5 + randn(d, seed=seed + 3).abs()) * signs
        bias = randn(d, seed=seed + 6)
        plain = F.layer_norm(randn(batch, pos, d, seed=seed + 9).double(), (d,), eps=0)
        for mean, variance in OFF:
            y = plain * (1 + variance) ** 0.5 + mean
            want = max(abs(mean), abs(variance)) < 0.02
            said = answer.is_normalised((y * weight + bias).float(), weight, bias)
            expect(said == want, off_sentence(mean, variance, want))
            single = plain.clone()
            single[-1, -1] = y[-1, -1]
            said = answer.is_normalised((single * weight + bias).float(), weight, bias)
            expect(said == want, f"Only the last position of the last sequence is off. {ONE_IS_ENOUGH}")


ONE_IS_ENOUGH = "EVERY position of every sequence must have mean 0 and variance 1, within 0.02."


def off_sentence(mean: float, variance: float, want: bool) -> str:
    base = f"Here every position has mean {mean:g} and variance {1 + variance:g}, and your function says {not want}."
    if want:
        return f"{base} Both are within 0.02 of 0 and 1, so it is normalised."
    side, which = "too small" if mean < 0 else "too large", "mean"
    if abs(mean) < 0.02:
        side, which = "too small" if variance < 0 else "too large", "variance (not its square root)"
    return f"{base} The {which} is {side} by more than 0.02. What counts is the distance, on either side: abs()."


@grades("04.2")
def test_only_the_last_one_may_be_normalised_already(answer):
    """Inputs of blocks that look as if a norm had made them: they go through the norm all the same."""
    model, tokens = cases()[0]
    stream = stream_of(model, tokens)
    looks_done = norm_by_hand(model, stream[1]).float()
    states = [stream[0], looks_done, stream[2]]
    read = lens_by_hand(model, torch.stack(states))
    expect_close(
        answer.lens_of_hidden_states(model, states),
        read,
        "the lens of hidden states of which one in the middle looks normalised",
        axes="depth batch pos d_vocab",
        atol=1e-4,
        mistakes={
            "You ask of every hidden state whether it is normalised. Only the last one can be: what enters a block "
            "never is, however it looks.": torch.stack([read[0], unembed_by_hand(model, looks_done), read[2]]),
        },
    )


@grades("04.2", weight=2)
def test_hidden_states_of_either_kind(answer):
    """Hidden states of random models, with the last one before and after the final norm."""
    for model, tokens in cases():
        stream = stream_of(model, tokens)
        want = lens_by_hand(model, stream)
        normalised = norm_by_hand(model, stream[-1]).float()
        for last, kind in ((normalised, "after"), (stream[-1], "before")):
            inputs = list(stream[:-1])
            expect_close(
                answer.lens_of_hidden_states(model, [*inputs, last]),
                want,
                f"the lens of hidden states whose last one comes {kind} the final norm",
                axes="depth batch pos d_vocab",
                atol=1e-4,
                mistakes=lambda m=model, x=inputs, y=last, kind=kind: hidden_state_mistakes(m, x, y, kind),
            )


def hidden_state_mistakes(model: HookedModel, inputs: list[Tensor], last: Tensor, kind: str) -> dict[str, Tensor]:
    raw, read = unembed_by_hand(model, torch.stack([*inputs, last])), lens_by_hand(model, torch.stack([*inputs, last]))
    said = {
        "after": "The last hidden state is normalised already, and you normalise it again: what you read there is "
        "not what the model says.",
        "before": "You normalise nothing: every hidden state here comes before the norm.",
    }
    found = {said[kind]: read if kind == "after" else raw}
    found["The inputs of the blocks are never normalised: they must go through the final norm."] = torch.cat(
        [raw[:-1], read[-1:] if kind == "before" else raw[-1:]]
    )
    if kind == "before":
        found["The last hidden state comes before the norm here, and you do not normalise it. Ask is_normalised."] = (
            torch.cat([read[:-1], raw[-1:]])
        )
    want = torch.cat([read[:-1], raw[-1:]]) if kind == "after" else read
    missing = (
        "The last depth is missing: there should be n_layers + 1 of them, but yours are the inputs of the blocks alone."
    )
    found[missing] = read[:-1]
    found["The bias of the unembedding is missing: use model.unembed, or add model.b_U where there is one."] = (
        want if model.b_U is None else want - model.b_U
    )
    return found | exchanged(want, "depth batch pos d_vocab")


@grades("04.2")
def test_what_transformers_returns(answer):
    """`output_hidden_states=True` on a trained model in the format of GPT-2."""
    model, tokens = bundled()
    with torch.no_grad():
        out = model.hf(input_ids=tokens, output_hidden_states=True)
    hidden_states = list(out.hidden_states)
    want = torch.cat([lens_by_hand(model, torch.stack(hidden_states[:-1])), out.logits[None].double()])
    expect_close(
        answer.lens_of_hidden_states(model, hidden_states),
        want,
        "the lens of what transformers returns",
        axes="depth batch pos d_vocab",
        atol=1e-3,
        mistakes=lambda: hidden_state_mistakes(model, hidden_states[:-1], hidden_states[-1], "after"),
    )


# --- 04.3 -------------------------------------------------------------------------------------------------------------


def kl_with_loops(p_logits: Tensor, q_logits: Tensor) -> float:
    """Σ p log(p / q), term by term, in double precision."""
    p, q = p_logits.double().softmax(-1).tolist(), q_logits.double().softmax(-1).tolist()
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def kl_table(lens: Tensor, swap: bool = False) -> Tensor:
    depth, batch, pos, _ = lens.shape
    table = torch.zeros(depth, batch, pos, dtype=torch.float64)
    for d in range(depth):
        for b in range(batch):
            for t in range(pos):
                p, q = lens[-1, b, t], lens[d, b, t]
                table[d, b, t] = kl_with_loops(q, p) if swap else kl_with_loops(p, q)
    return table


@grades("04.3", weight=2)
def test_the_divergence_to_the_final_prediction(answer):
    """Random logits, compared with a sum written out term by term."""
    for seed, (depth, batch, pos, d_vocab) in enumerate([(3, 2, 5, 7), (5, 1, 3, 11), (2, 3, 7, 29)]):
        lens = 2 * randn(depth, batch, pos, d_vocab, seed=seed)
        want = kl_table(lens)
        first = (lens[0].log_softmax(-1).exp() * (lens[0].log_softmax(-1) - lens.log_softmax(-1))).sum(-1)
        cross = -(lens[-1].softmax(-1) * lens.log_softmax(-1)).sum(-1)
        unnormalised = (lens[-1].softmax(-1) * (lens[-1] - lens)).sum(-1)
        expect_close(
            answer.kl_to_final(lens),
            want,
            "the divergence",
            axes="depth batch pos",
            mistakes={
                "This is KL(lens ‖ final). The probabilities that weigh the sum are those of the FINAL prediction.": (
                    kl_table(lens, swap=True)
                ),
                "These are bits. Use the natural logarithm, which gives nats.": want / math.log(2),
                "Only the sign is wrong: a divergence is never negative.": -want,
                "You compare with the first depth. The final prediction is the last one.": first,
                "This is the cross-entropy. Subtract the entropy of the final prediction: at the last depth the "
                "divergence is 0.": cross,
                "You take logits for log probabilities. They are that only after log_softmax.": unnormalised,
                "This is a mean over the vocabulary. Sum over it.": want / d_vocab,
                "This is the mean over batch and positions. Keep every position.": want.mean((1, 2)),
                "This is the last position alone. Keep every position.": want[:, :, -1],
                "You compare each depth with the NEXT one. Compare it with the last.": kl_to_next(lens),
                "You compare with the final prediction at the last position. Each position has its own.": kl_table(
                    torch.cat([lens, lens[-1:, :, -1:].expand_as(lens[-1:])])
                )[:-1],
                "You compare with the final prediction of the first sequence. Each sequence has its own.": kl_table(
                    torch.cat([lens, lens[-1:, :1].expand_as(lens[-1:])])
                )[:-1],
                **exchanged(want, "depth batch pos"),
            },
        )


def kl_to_next(lens: Tensor) -> Tensor:
    after = torch.cat([lens[1:], lens[-1:]])
    return torch.stack([kl_table(torch.stack([q, p]))[0] for q, p in zip(lens, after, strict=True)])


def divergence_by_hand(lens: Tensor) -> Tensor:
    """[depth batch pos], in double precision, with gradients."""
    p = lens[-1].double().softmax(-1)
    return torch.stack([(p * (p.log() - q.double().softmax(-1).log())).sum(-1) for q in lens])


TRAINED_LATER = "and exercise 04.5 trains by it"


def check_trains(answer: Any, name: str, lens: Tensor, weights: Tensor, oracle: Callable, what: str) -> None:
    """The gradients with respect to the logits of every depth but the last are those of the oracle.

    The numbers come first: whoever has them wrong would otherwise be told of gradients.
    """
    expect_close(getattr(answer, name)(lens), oracle(lens), f"the {what}")
    want = lens.clone().requires_grad_()
    (oracle(want) * weights).sum().backward()
    got = gradients(answer, name, {"lens": lens}, weights, lost=no_gradient(name, so=TRAINED_LATER))["lens"]
    off = (got - want.grad)[:-1].abs().max()
    expect(
        bool(off <= 1e-3 * want.grad[:-1].abs().max()),
        f"The {what} is right, but its gradients are not: somewhere on the way a part of it is detached, or computed "
        "without torch.",
    )


@grades("04.3")
def test_the_divergence_can_be_trained(answer):
    """Its gradients with respect to the logits of every depth but the last, compared with a sum written out."""
    lens, weights = 2 * randn(3, 2, 5, 7, seed=71), randn(3, 2, 5, seed=72)
    check_trains(answer, "kl_to_final", lens, weights, divergence_by_hand, "divergence")


@grades("04.3")
def test_the_entropy_of_known_distributions(answer):
    """Uniform over 8 tokens, over 2 of 8, certain, and random ones."""
    uniform, two = torch.zeros(8), torch.full((8,), -1000.0)
    two[[1, 5]] = 1000.0
    sure = torch.zeros(8)
    sure[3] = 1000.0
    logits = torch.stack([uniform, two, sure, 2 * randn(8, seed=0)])
    p = logits[3].double().softmax(-1).tolist()
    want = torch.tensor([math.log(8), math.log(2), 0.0, -sum(a * math.log(a) for a in p)])
    got = answer.entropy(logits)
    expect(
        not (isinstance(got, Tensor) and bool(got.isnan().any())),
        "The entropy is NaN where a probability is 0: 0 · log(0) is 0 · (−∞). Take log_softmax of the logits instead "
        "of the logarithm of a softmax.",
    )
    expect_close(
        got,
        want,
        "the entropy",
        axes="distribution",
        mistakes={
            "Only the sign is wrong: an entropy is never negative.": -want,
            "These are bits. Use the natural logarithm, which gives nats.": want / math.log(2),
            "This is the mean over the vocabulary. Sum over it.": want / 8,
            "This is the sum over all distributions. Keep the axes before the vocabulary.": want.sum(),
        },
    )
    for leading in ((2, 3, 5), ()):
        logits = randn(*leading, 7, seed=0)
        expect_close(
            answer.entropy(logits),
            torch.distributions.Categorical(logits=logits).entropy(),
            f"the entropy of logits with {len(leading) or 'no'} leading axes",
        )


@grades("04.3")
def test_the_entropy_over_a_large_vocabulary(answer):
    """All 50 257 tokens of GPT-2 equally likely: log 50257."""
    n = 50257
    expect_close(
        answer.entropy(torch.zeros(1, n)),
        [math.log(n)],
        f"the entropy of {n} equally likely tokens",
        rtol=1e-5,
        mistakes={
            f"You take log(p + {small:g}). Where p itself is that small, as in a large vocabulary, this is another "
            "number. Take log_softmax of the logits, and add nothing.": [-math.log(1 / n + small)]
            for small in (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
        },
    )


@grades("04.3")
def test_the_place_of_the_answer(answer):
    """Random logits, compared with sorting."""
    for seed, (depth, batch, pos, d_vocab) in enumerate([(3, 5, 2, 7), (2, 3, 5, 19), (5, 1, 1, 11)]):
        lens = randn(depth, batch, pos, d_vocab, seed=seed)
        right = torch.randint(0, d_vocab, (batch,), generator=generator(seed))

        def places(t: int, key, lens=lens, right=right) -> Tensor:
            rows = [
                [sorted(row[t].tolist(), key=key).index(row[t][int(r)].item()) for row, r in zip(x, right, strict=True)]
                for x in lens
            ]
            return torch.tensor(rows)

        want = places(-1, lambda v: -v)
        expect_equal(
            answer.answer_rank(lens, right),
            want,
            "the rank of each answer",
            mistakes={
                "You count from 1. The first guess has rank 0: count the tokens with a LARGER logit.": want + 1,
                "You count the tokens with a smaller logit. The first guess has rank 0.": places(-1, lambda v: v),
                "You look at the first position. The answer is expected at the last.": places(0, lambda v: -v),
                "This is which token has the answer's number as its rank, not the rank of the answer. Count the larger "
                "logits.": lens[:, :, -1].argsort(-1, descending=True)[:, torch.arange(batch), right],
                "You use one answer for all sequences. Each has its own.": (
                    lens[:, :, -1] > lens[:, :, -1, right[:1]]
                ).sum(-1),
                "You use the logits of the first sequence for all. Each sequence has its own.": want[:, :1].expand_as(
                    want
                )
                if batch == 1
                else torch.stack([(x[:1, -1] > x[:1, -1, right].T).sum(-1) for x in lens]),
                "The axes depth and batch are exchanged: the result is [depth batch].": want.T,
            },
        )


@grades("04.3")
def test_tokens_as_likely_as_the_answer(answer):
    """Whole numbers for logits, so that many are equal: only larger ones count."""
    for seed, (depth, batch, pos, d_vocab) in enumerate([(3, 5, 2, 7), (2, 7, 3, 19)]):
        lens = randn(depth, batch, pos, d_vocab, seed=20 + seed).round()
        right = torch.randint(0, d_vocab, (batch,), generator=generator(20 + seed))

        def count(larger, lens=lens, right=right) -> Tensor:
            rows = [[sum(larger(v, x[-1][r]) for v in x[-1]) for x, r in zip(d, right, strict=True)] for d in lens]
            return torch.tensor(rows)

        equal = "Some tokens have the same logit as the answer. They are not in front of it: count the LARGER ones (>)"
        expect_equal(
            answer.answer_rank(lens, right),
            count(lambda v, mine: int(v > mine)),
            "the rank of answers whose logit others have too",
            mistakes={
                f"{equal}; yours are all that are as large, less the answer itself.": count(
                    lambda v, mine: int(v >= mine)
                )
                - 1,
                f"{equal}, and not those as large (>=).": count(lambda v, mine: int(v >= mine)),
            },
        )


# --- 04.4 -------------------------------------------------------------------------------------------------------------


def translated_by_hand(stream: Tensor, A: Tensor, b: Tensor, turn: bool = False, keep: bool = True) -> Tensor:
    """h + A h + b, column by column, in double precision."""
    depths = []
    for layer in range(len(A)):
        matrix = (A[layer].T if turn else A[layer]).double()
        h = stream[layer].double()
        rows = torch.stack([torch.mv(matrix, column) for column in h.flatten(0, 1)]).view(h.shape)
        depths.append((h if keep else 0) + rows + b[layer].double())
    return torch.stack([*depths, stream[-1].double()])


@grades("04.4")
def test_zero_translators_change_nothing(answer):
    """With A = 0 and b = 0 the tuned lens is the logit lens."""
    for model, tokens in [*cases(), bundled()]:
        stream, n, d = stream_of(model, tokens), model.cfg.n_layers, model.cfg.d_model
        want = lens_by_hand(model, stream)
        expect_close(
            answer.tuned_lens(model, stream, torch.zeros(n, d, d), torch.zeros(n, d)),
            want,
            "the lens with A = 0 and b = 0",
            axes="depth batch pos d_vocab",
            atol=1e-3,
            mistakes=lambda model=model, stream=stream, want=want: {
                "With A = 0 and b = 0 you read nothing but zeros: the h is missing in h + A h + b.": lens_by_hand(
                    model, torch.cat([torch.zeros_like(stream[:-1]), stream[-1:]])
                ),
                "The final norm is missing.": unembed_by_hand(model, stream),
                "You normalise twice.": twice(model, stream),
                "The last depth is missing: it is read without a translator.": want[:-1],
            },
        )


@grades("04.4", weight=2)
def test_random_translators(answer):
    """Random A and b on random models, compared with products of a matrix and a column."""
    for seed, (model, tokens) in enumerate(cases()):
        stream, n, d = stream_of(model, tokens), model.cfg.n_layers, model.cfg.d_model
        A, b = 0.4 * randn(n, d, d, seed=seed), randn(n, d, seed=seed + 5)
        by_hand = translated_by_hand(stream, A, b)
        expect_close(
            answer.tuned_lens(model, stream, A, b),
            lens_by_hand(model, by_hand),
            "the logits of the tuned lens",
            axes="depth batch pos d_vocab",
            atol=1e-3,
            mistakes=lambda model=model, stream=stream, A=A, b=b: tuned_mistakes(model, stream, A, b),
        )


def tuned_mistakes(model: HookedModel, stream: Tensor, A: Tensor, b: Tensor) -> dict[str, Tensor]:
    n, d = b.shape
    by_hand, normed = translated_by_hand(stream, A, b), norm_by_hand(model, stream)
    want = lens_by_hand(model, by_hand)
    after = torch.cat([translated_by_hand(normed, A, b)[:-1], normed[-1:]])
    last_too = torch.cat([by_hand[:-1], translated_by_hand(stream[-1:].repeat(2, 1, 1, 1), A[-1:], b[-1:])[:1]])
    shifted = stream.double().clone()
    shifted[:-1] += b.double()[:, None, None]
    return {
        "A is transposed. For rows, A h is h @ A.T.": lens_by_hand(model, translated_by_hand(stream, A, b, turn=True)),
        "The h itself is missing: it is h + A h + b.": lens_by_hand(
            model, translated_by_hand(stream, A, b, keep=False)
        ),
        "b is missing.": lens_by_hand(model, translated_by_hand(stream, A, 0 * b)),
        "A is missing.": lens_by_hand(model, shifted),
        "b is inside: that is h + A (h + b). A multiplies h alone, and b is added to the result.": lens_by_hand(
            model, translated_by_hand(stream, A, torch.einsum("lij,lj->li", A, b))
        ),
        "b is subtracted. Add it.": lens_by_hand(model, translated_by_hand(stream, A, -b)),
        "A h is subtracted. Add it.": lens_by_hand(model, translated_by_hand(stream, -A, b)),
        "You translate what the norm gives. Translate the stream first, then normalise.": unembed_by_hand(model, after),
        "You translate the last depth too. It is what the model itself reads, and needs no translation.": (
            lens_by_hand(model, last_too)
        ),
        "The final norm is missing.": unembed_by_hand(model, by_hand),
        "You normalise twice.": twice(model, by_hand),
        "You use the translator of layer 0 everywhere. Each layer has its own.": lens_by_hand(
            model, translated_by_hand(stream, A[:1].expand(n, d, d), b[:1].expand(n, d))
        ),
        "You use the translator of another layer: A[l] and b[l] belong to what enters block l.": lens_by_hand(
            model, translated_by_hand(stream, A.roll(1, 0), b.roll(1, 0))
        ),
        "The translators pile up: each layer translates what the one before has translated. Every depth starts from "
        "its own h.": lens_by_hand(model, piled_up(stream, A, b)),
        "You add b before you multiply by A: that is A (h + b).": lens_by_hand(
            model, translated_by_hand(shifted, A, 0 * b)
        ),
        "The last depth is missing: it is read without a translator.": want[:-1],
        "The bias of the unembedding is missing: use model.unembed.": want if model.b_U is None else want - model.b_U,
        **exchanged(want, "depth batch pos d_vocab"),
    }


def piled_up(stream: Tensor, A: Tensor, b: Tensor) -> Tensor:
    """What comes of h += A h + b, written into one h for all depths."""
    h, depths = stream.double()[0], []
    for layer in range(len(A)):
        h = h + h @ A[layer].double().T + b[layer].double()
        depths.append(h)
    return torch.stack([*depths, stream[-1].double()])


@grades("04.4")
def test_gradients_reach_the_translators(answer):
    """The gradients of A and b, with which exercise 04.5 trains them."""
    model, tokens = cases()[0]
    stream, n, d = stream_of(model, tokens)[:, :2], model.cfg.n_layers, model.cfg.d_model
    args = {"model": model, "stream": stream, "A": 0.3 * randn(n, d, d, seed=3), "b": randn(n, d, seed=4)}

    def oracle(model: HookedModel, stream: Tensor, A: Tensor, b: Tensor) -> Tensor:
        return lens_by_hand(model, translated_by_hand(stream, A, b))

    expect_gradients(answer, "tuned_lens", args, oracle, "what is to be trained", wrt=("A", "b"), so=TRAINED_LATER)


# --- 04.5 -------------------------------------------------------------------------------------------------------------


@grades("04.5")
def test_the_loss(answer):
    """Random logits, compared with a sum written out term by term."""
    for seed, (depth, batch, pos, d_vocab) in enumerate([(3, 2, 5, 7), (5, 3, 2, 11), (2, 1, 7, 13)]):
        lens = 2 * randn(depth, batch, pos, d_vocab, seed=30 + seed)
        want = kl_table(lens).mean((1, 2)).sum()
        turned = kl_table(lens, swap=True).mean((1, 2)).sum()
        expect_close(
            answer.lens_loss(lens),
            want,
            "the loss",
            mistakes=lambda lens=lens, want=want, turned=turned, depth=depth, batch=batch, pos=pos, d_vocab=d_vocab: {
                "The two sides are exchanged: this is KL(lens ‖ final). F.kl_div(q, p) takes the lens's log "
                "probabilities FIRST and gives KL(p ‖ q).": turned,
                "You average over depths. Sum over them, so that every layer learns at the full rate.": want / depth,
                "You average over depths. Sum over them (the last one adds 0, so there are n_layers of them).": (
                    want / (depth - 1)
                ),
                "You sum over batch and positions. Average over them.": want * batch * pos,
                "You average over positions and sum over the batch. Average over both.": want * batch,
                "You sum over positions and average over the batch. Average over both.": want * pos,
                "You average over depths and sum over positions. It is the other way round.": want * pos / depth,
                "You average over depths and sum over the batch. It is the other way round.": want * batch / depth,
                "You look at the last position alone. Average over all.": kl_table(lens)[:, :, -1].mean(1).sum(),
                "You look at the first depth alone. Sum over depths.": kl_table(lens)[0].mean(),
                "You compare each depth with the NEXT one. Compare it with the last.": (
                    kl_to_next(lens).mean((1, 2)).sum()
                ),
                "This is the cross-entropy with the final prediction. Subtract its entropy: at the last depth the loss "
                "is 0.": -(lens[-1].softmax(-1) * lens.log_softmax(-1)).sum(-1).mean((1, 2)).sum(),
                "These are bits. Use the natural logarithm.": want / math.log(2),
                "You average over the vocabulary too, as F.kl_div does with reduction='mean'. Sum over it.": want
                / depth
                / d_vocab,
                "You divide by the size of the vocabulary. Sum over it.": want / d_vocab,
                "Only the sign is wrong: a divergence is never negative.": -want,
                "This is a loss for each depth. Sum over them.": kl_table(lens).mean((1, 2)),
            },
        )


@grades("04.5")
def test_no_loss_when_every_depth_says_the_same(answer):
    """Equal logits at all depths, up to a number added to all of them."""
    lens = randn(1, 2, 3, 7, seed=0).repeat(4, 1, 1, 1) + randn(4, 1, 1, 1, seed=3)
    expect_close(
        answer.lens_loss(lens),
        0.0,
        "the loss of a lens that always says what the model says",
        mistakes={
            "This is the cross-entropy, which is not 0 even for a perfect lens. Subtract the entropy.": (
                4 * torch.distributions.Categorical(logits=lens[0]).entropy().mean()
            ),
        },
    )


@grades("04.5")
def test_the_loss_can_be_trained(answer):
    """Its gradients with respect to the logits of every depth but the last, compared with a loss written out."""
    lens = 2 * randn(3, 2, 5, 7, seed=61)

    def oracle(lens: Tensor) -> Tensor:
        return divergence_by_hand(lens).mean((1, 2)).sum()

    check_trains(answer, "lens_loss", lens, torch.tensor(1.0), oracle, "loss")


def train_by_hand(
    model: HookedModel,
    tokens: Tensor,
    steps: int,
    lr: float,
    bias_only: bool,
    *,
    swap: bool = False,
    accumulate: bool = False,
    labels: bool = False,
    sgd: bool = False,
    decay: float = 0.0,
    one: bool = False,
    in_turn: bool = False,
    matrix_only: bool = False,
) -> tuple[Tensor, Tensor]:
    """One layer after the other, with Adam written out, in double precision. The switches make known mistakes."""
    stream, d = stream_of(model, tokens).double(), model.cfg.d_model
    final = lens_by_hand(model, stream[-1]).log_softmax(-1)
    result = []
    for layer in range(model.cfg.n_layers):
        A, b = torch.zeros(d, d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
        moments = [[torch.zeros_like(p), torch.zeros_like(p), torch.zeros_like(p)] for p in (A, b)]
        for step in range(1, steps + 1):
            A.requires_grad_(), b.requires_grad_()
            if one:
                stream, final = stream[:, :1], final[:1]
            taken = slice((step - 1) % len(final), (step - 1) % len(final) + 1) if in_turn else slice(None)
            h, last = stream[layer, taken], final[taken]
            lens = lens_by_hand(model, h + h @ A.T + b).log_softmax(-1)
            if labels:
                loss = F.cross_entropy(lens[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
            else:
                p, q = (lens, last) if swap else (last, lens)
                loss = (p.exp() * (p - q)).sum(-1).mean()
            gradients = torch.autograd.grad(loss, [A, b])
            new = []
            for p, gradient, m in zip((A, b), gradients, moments, strict=True):
                m[2] = m[2] + gradient if accumulate else gradient
                m[0] = 0.9 * m[0] + 0.1 * m[2]
                m[1] = 0.999 * m[1] + 0.001 * m[2] ** 2
                ratio = (m[0] / (1 - 0.9**step)) / ((m[1] / (1 - 0.999**step)).sqrt() + 1e-8)
                new.append(p.detach() * (1 - lr * decay) - lr * (gradient if sgd else ratio))
            A, b = (A.detach() if bias_only else new[0]), (b.detach() if matrix_only else new[1])
        result.append((A, b))
    return torch.stack([A for A, _ in result]), torch.stack([b for _, b in result])


def trainable(model: Transformer) -> Transformer:
    """A copy that asks for gradients, so that an optimizer that takes the model's weights does change them."""
    return with_weights(model).requires_grad_(True)


@grades("04.5", weight=2)
def test_a_few_steps_of_training(answer):
    """A few steps on random models, compared with Adam written out."""
    for number, steps, lr in ((0, 4, 0.02), (1, 3, 0.05), (1, 3, 0.4)):
        model, tokens = cases()[number]
        for bias_only in (False, True):
            # What is not given is what the docstring says: bias_only is False.
            given = (model, tokens, steps, lr, *((True,) if bias_only else ()))
            A, b = answer.train_tuned_lens(*given)
            arguments = (model, tokens, steps, lr, bias_only)
            want = train_by_hand(*arguments)
            for got, i, name in ((A, 0, "A"), (b, 1, "b")):
                expect_close(
                    got,
                    want[i],
                    f"{name} after {steps} steps" + (" with bias_only" if bias_only else ""),
                    mistakes=lambda arguments=arguments, i=i: training_mistakes(arguments, i),
                    axes="layer d_model" if i else "layer d_model d_model",
                    atol=0.02 * lr,
                    rtol=1e-3,
                )


def training_mistakes(arguments: tuple, i: int) -> dict[str, Tensor]:
    """What A (i = 0) or b (i = 1) would be."""
    by_hand, bias_only = functools.partial(train_by_hand, *arguments[:-1]), arguments[-1]
    right = by_hand(bias_only)[i]
    if i == 0 and bias_only:
        alone = "With bias_only, b alone is trained and A stays 0. You train A alone: the optimizer gets b."
        return {
            "With bias_only, A must stay 0: give the optimizer b alone.": by_hand(False)[0],
            alone: by_hand(False, matrix_only=True)[0],
        }
    still_0 = (
        "b is still 0: it was not trained. The optimizer gets b itself, not a copy."
        if i
        else "A is still 0: it was not trained. Without bias_only (and that is False where nobody says otherwise), the "
        "optimizer gets both A and b, and not copies of them."
    )
    found = {
        "You minimise KL(lens ‖ final). It is the other way round: KL(final ‖ lens).": by_hand(bias_only, swap=True)[i],
        "Gradients pile up: each step needs optimizer.zero_grad() before backward().": (
            by_hand(bias_only, accumulate=True)[i]
        ),
        "You train the lens to predict the next token. It learns to predict what the MODEL will say.": (
            by_hand(bias_only, labels=True)[i]
        ),
        "This is plain gradient descent (SGD). The optimizer is torch.optim.Adam.": by_hand(bias_only, sgd=True)[i],
        "This is AdamW, which also shrinks what it trains. The optimizer is torch.optim.Adam.": (
            by_hand(bias_only, decay=0.01)[i]
        ),
        "Each step takes ALL tokens: you train on the first sequence alone.": by_hand(bias_only, one=True)[i],
        "Each step takes ALL tokens: you take one sequence per step.": by_hand(bias_only, in_turn=True)[i],
        "Each step takes ALL tokens at once: you make a step for every sequence, steps × batch of them.": one_by_one(
            arguments
        )[i],
        still_0: torch.zeros_like(right),
        "You make one step too few.": other_steps(arguments, -1)[i],
        "You make one step too many.": other_steps(arguments, 1)[i],
    }
    if bias_only:
        found[
            "With bias_only, A must not move during the training: this b was trained together with an A, and setting A "
            "to 0 afterwards does not undo that. Give the optimizer b alone."
        ] = by_hand(False)[1]
    elif i:
        found["Without bias_only, A is trained too. bias_only is False where nobody says otherwise."] = by_hand(True)[i]
    if i == 0:
        found["A is transposed: in `tuned_lens`, A[l] stands for A h, which is h @ A.T for rows."] = right.mT
    return found


def one_by_one(arguments: tuple) -> tuple[Tensor, Tensor]:
    """A step for each sequence, in each of the steps."""
    model, tokens, steps, lr, bias_only = arguments
    return train_by_hand(model, tokens, steps * len(tokens), lr, bias_only, in_turn=True)


def other_steps(arguments: tuple, more: int) -> tuple[Tensor, Tensor]:
    model, tokens, steps, lr, bias_only = arguments
    return train_by_hand(model, tokens, steps + more, lr, bias_only)


# In the learner's process: A, b, by how much any weight of the model has changed, and whether all still ask for
# gradients.
TRAINED = """lambda torch, train, model, tokens, steps, lr: (
    lambda before: [*train(model, tokens, steps, lr),
                    max(float((p.detach() - before[n]).abs().max()) for n, p in model.named_parameters()),
                    all(p.requires_grad for p in model.parameters())]
)({n: p.detach().clone() for n, p in model.named_parameters()})"""


@grades("04.5")
def test_the_model_stays_as_it_is(answer):
    """A model whose weights ask for gradients, as they do after any training: only A and b are trained."""
    for model, tokens in cases()[:2]:
        answer.train_tuned_lens(trainable(model), tokens, 1, 0.05)  # of the right kind, before more is asked of it
        run = answer.torch.attr("builtins").attr("eval")(TRAINED)
        result = run(answer.torch, answer.train_tuned_lens, trainable(model), tokens, 3, 0.05)
        fits = isinstance(result, tuple | list) and len(result) == 4
        expect(fits, "Return two tensors: (A, b).")
        expect(
            float(result[2]) == 0,
            "The model's own weights have changed. The optimizer gets A and b, and nothing else: else A and b fit "
            "another model than the one you were given.",
        )
        expect(
            result[3],
            "The model asked for gradients before your training, and does not any more: requires_grad_(False) stays "
            "after your function has returned. Give the optimizer A and b alone, and the model needs no freezing.",
        )
        for got, want, name in zip(result, train_by_hand(model, tokens, 3, 0.05, False), "Ab", strict=False):
            expect_close(got, want, f"{name} after 3 steps on a model that asks for gradients", atol=1e-3, rtol=1e-3)


@grades("04.5")
def test_before_the_first_step(answer):
    """With no step at all, A and b are what they begin as."""
    model, tokens = cases()[1]
    A, b = answer.train_tuned_lens(model, tokens, 0, 0.1)
    n, d = model.cfg.n_layers, model.cfg.d_model
    for got, want, name in ((A, torch.zeros(n, d, d), "A"), (b, torch.zeros(n, d), "b")):
        expect_close(
            got,
            want,
            f"{name} before any step",
            mistakes={"A begins at the identity. It is h + A h + b: begin at 0.": torch.eye(d).expand(n, d, d)},
        )


@grades("04.5", weight=2)
def test_training_brings_the_lens_close_to_the_model(answer):
    """A layer that adds a constant needs a bias alone; layers that mix need the matrix too."""
    for model, tokens, bias_only, factor in (
        (constant_model(), torch.arange(D_VOCAB)[:, None], True, 0.05),
        (cases()[0][0], random_tokens(11, 7, D_VOCAB, 7), False, 0.3),
    ):
        stream = stream_of(model, tokens)
        before = kl_mean(model, stream, None)
        A, b = answer.train_tuned_lens(model, tokens, 150, 0.03, bias_only)
        after = kl_mean(model, stream, (A, b))
        expect(
            after < factor * before,
            f"After 150 steps the divergence is {after:.3f} nats, from {before:.3f} at the beginning; below "
            f"{factor * before:.3f} is possible. Does each step compute the loss anew, and does the optimizer get A "
            "and b themselves, and not copies of them?",
        )


def constant_model() -> Transformer:
    """One block whose attention adds the same vector to everything, and whose MLP adds nothing."""
    model = with_weights(cases()[2][0])
    for p in (model.blocks[0].attn.W_O, model.blocks[0].mlp.W_out, model.blocks[0].mlp.b_out):
        p.zero_()
    model.blocks[0].attn.b_O.mul_(2)
    return model


def kl_mean(model: HookedModel, stream: Tensor, translators: tuple[Tensor, Tensor] | None) -> float:
    inputs = stream if translators is None else translated_by_hand(stream, *translators)
    return kl_table(lens_by_hand(model, inputs)).mean((1, 2)).sum().item()


# --- 04.6 -------------------------------------------------------------------------------------------------------------


def frozen_by_hand(
    parts: Tensor,
    residual: Tensor,
    weight: Tensor,
    epsilon: float,
    centred: bool,
    *,
    own_scale: bool = False,
    mean_of: str = "part",
    power: float = 1.0,
    correction: int = 0,
) -> Tensor:
    """One vector at a time, in double precision. The switches make known mistakes."""
    out = torch.zeros(parts.shape, dtype=torch.float64)
    d = parts.shape[-1]
    for i in range(parts.shape[0]):
        for n in range(parts.shape[1]):
            x, whole = parts[i, n].double(), residual[n].double()
            source = x if own_scale else whole
            deviation = source - source.sum() / d if centred else source
            scale = math.sqrt(float((deviation * deviation).sum()) / (d - correction) + epsilon)
            mean = {"part": x.sum() / d, "whole": whole.sum() / d, "none": 0.0}[mean_of] if centred else 0.0
            out[i, n] = (x - mean) / scale**power * weight.double()
    return out


FROZEN_MISTAKES = {
    "Each part is divided by its own scale. Hold the scale at that of `residual`, else the parts do not sum to the "
    "whole.": {"own_scale": True},
    "You subtract the mean of `residual` from each part. Each part has its own mean subtracted.": {"mean_of": "whole"},
    "The mean of the parts is not subtracted. LayerNorm subtracts it.": {"mean_of": "none"},
    "You divide by the variance. The scale is its square root.": {"power": 2.0},
    "You divide the sum of squares by d_model − 1. LayerNorm divides by d_model.": {"correction": 1},
}


@grades("04.6")
def test_the_whole_stream_as_its_only_part(answer):
    """At the stream itself, the frozen norm is the norm without its bias."""
    for seed, (batch, d) in enumerate([(3, 7), (1, 13), (5, 11)]):
        residual, weight = 2 * randn(batch, d, seed=seed) + 1, 1 + 0.4 * randn(d, seed=seed + 9)
        for centred, want in (
            (True, F.layer_norm(residual, (d,), weight, None, 1e-5)),
            (False, F.rms_norm(residual, (d,), weight, 1e-5)),
        ):
            other = F.rms_norm(residual, (d,), weight, 1e-5) if centred else F.layer_norm(residual, (d,), weight)
            expect_close(
                answer.through_frozen_norm(residual[None], residual, weight, 1e-5, centred),
                want[None],
                f"the whole stream through the frozen norm (centred = {centred})",
                axes="part batch d_model",
                mistakes={
                    "You take no account of `centred`, or the wrong way round.": other[None],
                    "The weight is missing.": (want / weight)[None],
                    "You multiply by 1 + weight. Multiply by the weight as it is given.": (
                        want / weight * (1 + weight)
                    )[None],
                    "The axis of the parts is missing.": want,
                    **frozen_slips(residual[None], residual, weight, 1e-5, centred),
                },
            )


@grades("04.6", weight=2)
def test_parts_sum_to_the_norm_of_the_whole(answer):
    """Random parts, compared one vector at a time; their sum is LN(residual) − bias."""
    for seed, (n, batch, d) in enumerate([(5, 3, 7), (7, 1, 13), (2, 5, 11)]):
        parts, weight = randn(n, batch, d, seed=seed) + randn(n, batch, 1, seed=seed + 4), 1 + randn(d, seed=seed)
        residual = parts.sum(0)
        for centred in (True, False):
            arguments = (parts, residual, weight, 1e-5, centred)
            want = frozen_by_hand(*arguments)
            mistakes = {sentence: frozen_by_hand(*arguments, **wrong) for sentence, wrong in FROZEN_MISTAKES.items()}
            other = frozen_by_hand(parts, residual, weight, 1e-5, not centred)
            if not centred:
                mistakes["RMSNorm subtracts no mean: look at `centred`, in both places."] = other
                mistakes["RMSNorm subtracts no mean from the parts either: look at `centred`."] = frozen_by_hand(
                    parts - parts.mean(-1, keepdim=True), residual, weight, 1e-5, False
                )
            expect_close(
                answer.through_frozen_norm(*arguments),
                want,
                f"the parts through the frozen norm (centred = {centred})",
                axes="part batch d_model",
                mistakes={**mistakes, **frozen_shape_mistakes(want, weight), **frozen_slips(*arguments)},
            )


def frozen_slips(parts: Tensor, residual: Tensor, weight: Tensor, epsilon: float, centred: bool) -> dict[str, Tensor]:
    """What comes of sums over another axis, and of a division the wrong way round."""
    x, whole, w = parts.double(), residual.double(), weight.double()

    def deviation(v: Tensor, axis: int = -1) -> Tensor:
        return v - v.mean(axis, keepdim=True) if centred else v

    def root(square: Tensor) -> Tensor:
        return (square + epsilon).sqrt()

    def scale(v: Tensor) -> Tensor:
        return root(v.pow(2).mean(-1, keepdim=True))

    squares = deviation(whole).pow(2)
    slips = {
        "You multiply by the scale. Divide by it.": deviation(x) * root(squares.mean(-1, keepdim=True)) * w,
        "Every sequence is divided by the scale of the first. Each has its own.": (
            deviation(x) / scale(deviation(whole[:1])) * w
        ),
        "The mean of the squares runs over the batch. Take it over d_model, the last axis.": (
            deviation(x) / root(squares.mean(0, keepdim=True)) * w
        ),
        "You divide each number by its own size: the MEAN of the squares over d_model is missing.": (
            deviation(x) / root(squares) * w
        ),
        "Every part is the first one here. Each is normalised by itself.": (
            (deviation(x) / scale(deviation(whole)) * w)[:1].expand_as(x)
        ),
        "The scale is upside down: you divide it by the parts. Divide the parts by the scale.": (
            scale(deviation(whole)) / deviation(x) * w
        ),
    }
    if centred:
        slips |= {
            "The sign is wrong: subtract the mean from x, not x from the mean.": (
                -deviation(x) / scale(deviation(whole)) * w
            ),
            "You subtract the mean over the batch. Subtract that over d_model, the last axis.": (
                deviation(x, -2) / scale(deviation(whole, -2)) * w
            ),
            "You subtract the mean over the first axis. Subtract that over d_model, the last axis.": (
                deviation(x, 0) / scale(deviation(whole, 0)) * w
            ),
            "You subtract the SUM over d_model. Subtract the mean.": (
                (x - x.sum(-1, keepdim=True)) / scale(whole - whole.sum(-1, keepdim=True)) * w
            ),
        }
    return slips


def frozen_shape_mistakes(want: Tensor, weight: Tensor) -> dict[str, Tensor]:
    return {
        "The weight is missing.": want / weight.double(),
        "You multiply by 1 + weight. Multiply by the weight as it is given.": want / weight.double() * (1 + weight),
        "You divide by the weight. Multiply.": want / weight.double() ** 2,
        "You sum over the parts. Keep them apart.": want.sum(0),
        **exchanged(want, "part batch d_model"),
    }


@grades("04.6", weight=2)
def test_some_parts_of_a_larger_stream(answer):
    """Parts that are not all there is: the scale is still that of `residual`, one for each sequence."""
    for seed, (n, batch, d) in enumerate([(2, 5, 7), (3, 7, 11)]):
        parts, residual = randn(n, batch, d, seed=seed + 30), 3 * randn(batch, d, seed=seed + 35) + 2
        residual = residual * (1 + torch.arange(batch))[:, None]
        weight = 1 + randn(d, seed=seed + 37)
        for centred, epsilon in ((True, 1e-5), (False, 1e-5), (True, 0.7), (False, 0.7)):
            arguments = (parts, residual, weight, epsilon, centred)
            want = frozen_by_hand(*arguments)
            mistakes = {sentence: frozen_by_hand(*arguments, **wrong) for sentence, wrong in FROZEN_MISTAKES.items()}
            mistakes |= {
                "You take the sum of the parts for the whole stream. There may be other parts: the scale is that of "
                "`residual`.": frozen_by_hand(parts, parts.sum(0), weight, epsilon, centred),
                "You take one scale for all sequences. Each has its own.": one_scale(*arguments),
                "You divide by the length of the stream, √(Σ x²). The scale is the root of the MEAN of the squares.": (
                    by_length(*arguments)
                ),
                "You add epsilon to the root. It stands under it.": beside_the_root(*arguments),
                "What you add under the root is not the `epsilon` that is given: it is nothing, or always 1e-5.": (
                    frozen_by_hand(parts, residual, weight, 1e-5, centred)
                ),
                "You take no account of `centred`, or the wrong way round.": frozen_by_hand(
                    parts, residual, weight, epsilon, not centred
                ),
            }
            if centred:
                mistakes["You subtract the mean over the PARTS. The mean is over d_model, the last axis."] = (
                    frozen_by_hand(parts - parts.mean(0), residual, weight, epsilon, True, mean_of="none")
                )
            else:
                mistakes["RMSNorm subtracts no mean from the parts either: look at `centred`."] = frozen_by_hand(
                    parts - parts.mean(-1, keepdim=True), residual, weight, epsilon, False
                )
                mistakes["RMSNorm subtracts no mean from `residual` either: look at `centred`."] = frozen_by_hand(
                    parts, residual - residual.mean(-1, keepdim=True), weight, epsilon, False
                )
            expect_close(
                answer.through_frozen_norm(*arguments),
                want,
                f"some parts through the frozen norm (centred = {centred}, epsilon = {epsilon})",
                axes="part batch d_model",
                mistakes={**mistakes, **frozen_shape_mistakes(want, weight), **frozen_slips(*arguments)},
            )


def centred_by_hand(x: Tensor, centred: bool) -> Tensor:
    return x.double() - x.double().mean(-1, keepdim=True) if centred else x.double()


def one_scale(parts: Tensor, residual: Tensor, weight: Tensor, epsilon: float, centred: bool) -> Tensor:
    scale = (centred_by_hand(residual, centred).pow(2).mean() + epsilon).sqrt()
    return centred_by_hand(parts, centred) / scale * weight


def by_length(parts: Tensor, residual: Tensor, weight: Tensor, epsilon: float, centred: bool) -> Tensor:
    length = (centred_by_hand(residual, centred).pow(2).sum(-1, keepdim=True) + epsilon).sqrt()
    return centred_by_hand(parts, centred) / length * weight


def beside_the_root(parts: Tensor, residual: Tensor, weight: Tensor, epsilon: float, centred: bool) -> Tensor:
    root = centred_by_hand(residual, centred).pow(2).mean(-1, keepdim=True).sqrt()
    return centred_by_hand(parts, centred) / (root + epsilon) * weight


@grades("04.6")
def test_a_stream_so_small_that_epsilon_counts(answer):
    """With a stream near 0, leaving out epsilon, or adding it outside of the root, shows."""
    parts, weight = 0.01 * randn(3, 2, 7, seed=0), torch.ones(7)
    arguments = (parts, parts.sum(0), weight)
    centred = parts.sum(0) - parts.sum(0).mean(-1, keepdim=True)
    std = centred.pow(2).mean(-1, keepdim=True).sqrt()
    want = frozen_by_hand(*arguments, 1e-3, True)
    expect_close(
        answer.through_frozen_norm(*arguments, 1e-3, True),
        want,
        "the parts of a very small stream",
        axes="part batch d_model",
        mistakes={
            "epsilon is missing under the root.": frozen_by_hand(*arguments, 0.0, True),
            "You always add 1e-5. Take the `epsilon` that is given.": frozen_by_hand(*arguments, 1e-5, True),
            "You add epsilon to the root. It stands under it.": (parts - parts.mean(-1, keepdim=True)) / (std + 1e-3),
            "Each part is divided by its own scale. Hold the scale at that of `residual`.": frozen_by_hand(
                *arguments, 1e-3, True, own_scale=True
            ),
        },
    )


# --- 04.7 to 04.10 ----------------------------------------------------------------------------------------------------


def difference(logits: Tensor, right: Tensor, wrong: Tensor) -> Tensor:
    rows = torch.arange(len(right))
    return logits[rows, right] - logits[rows, wrong]


@oracle_cache
def pull(model: HookedModel, tokens: Tensor, right: Tensor, wrong: Tensor, frozen: bool = True) -> Tensor:
    """How the logit difference at the last position changes with the stream after the last block: its gradient,

    [batch d_model], with the scale of the final norm held still by a hook. With `frozen=False` the scale moves too.
    """
    last = ("resid_post", model.cfg.n_layers - 1)
    hold = [(("scale", "ln_final"), lambda scale, hook: scale.detach() if frozen else scale)]
    with model.hooks(hold):
        logits, cache = model.run_with_cache(tokens, last, grad=True)
        difference(logits[:, -1], right, wrong).sum().backward()
    return cache.grad(last)[:, -1]


def residual_at_end(model: HookedModel, tokens: Tensor) -> Tensor:
    return stream_of(model, tokens)[-1][:, -1]


def to_logits_by_hand(
    model: HookedModel,
    parts: Tensor,
    residual: Tensor,
    right: Tensor,
    wrong: Tensor | None,
    weighed: bool = True,
    **switches,
) -> Tensor:
    """[part batch], one vector at a time in double precision; `wrong` None: the logit of `right` alone."""
    weight, _, epsilon, centred = model.norm_parts(model.ln_final)
    weight = weight if weighed else torch.ones_like(weight)
    normed = frozen_by_hand(parts, residual, weight, epsilon, centred, **switches)
    out = torch.zeros(parts.shape[:2], dtype=torch.float64)
    for n in range(len(right)):
        direction = model.W_U[:, int(right[n])].double()
        direction = direction if wrong is None else direction - model.W_U[:, int(wrong[n])].double()
        out[:, n] = normed[:, n] @ direction
    return out


def direct_mistakes(model: HookedModel, parts: Tensor, residual: Tensor, right: Tensor, wrong: Tensor) -> dict:
    """What the usual slips between a part and a logit give, each [part batch]."""
    arguments = (model, parts, residual, right, wrong)
    want = to_logits_by_hand(*arguments)
    directions = (model.W_U[:, right] - model.W_U[:, wrong]).double()  # [d_model batch]
    bias = model.norm_parts(model.ln_final).bias.double()
    return {
        "Only the sign is wrong: it is right minus wrong.": -want,
        "The final norm is missing: before the unembedding, every part goes through it.": torch.einsum(
            "pbd,db->pb", parts.double(), directions
        ),
        "The weight of the final norm is missing.": to_logits_by_hand(*arguments, weighed=False),
        "This is what is added to the logit of `right` alone. Subtract what is added to that of `wrong`.": (
            to_logits_by_hand(model, parts, residual, right, None)
        ),
        "You put every part through the final norm by itself. That divides each by its own scale, and adds the bias to "
        "each: hold the scale at that of `residual`, and leave the bias out.": (
            to_logits_by_hand(*arguments, own_scale=True) + bias @ directions
        ),
        "The bias of the final norm is added to every part. It is one term of its own.": want + bias @ directions,
        "You use the answers of the first sequence for all. Each sequence has its own.": to_logits_by_hand(
            model, parts, residual, right[:1].expand(len(right)), wrong[:1].expand(len(wrong))
        ),
        **{sentence: to_logits_by_hand(*arguments, **switches) for sentence, switches in FROZEN_MISTAKES.items()},
    }


@functools.cache
def attribution_cases() -> tuple[tuple[HookedModel, Tensor, Tensor, Tensor], ...]:
    """Models with prompts and a pair of answers for each prompt."""
    found = []
    for seed, (model, tokens) in enumerate([*cases(), bundled()]):
        found.append((model, tokens, *answers(len(tokens), seed, model.cfg.d_vocab)))
    return tuple(found)


@grades("04.7")
def test_any_parts_to_a_logit_difference(answer):
    """Random parts of a random stream, compared one vector at a time."""
    for model, tokens, right, wrong in attribution_cases():
        parts = randn(11, len(tokens), model.cfg.d_model, seed=7) + 0.5
        residual = 2 * randn(len(tokens), model.cfg.d_model, seed=8)
        want = to_logits_by_hand(model, parts, residual, right, wrong)
        expect_close(
            answer.to_logits(model, parts, residual, right, wrong),
            want,
            "what each part adds to the logit difference",
            mistakes=lambda arguments=(model, parts, residual, right, wrong), want=want: {
                **direct_mistakes(*arguments),
                "You take the sum of the parts for the whole stream. There may be other parts: the scale is that of "
                "`residual`.": to_logits_by_hand(arguments[0], arguments[1], arguments[1].sum(0), *arguments[3:]),
                **exchanged(want, "part batch"),
            },
            axes="part batch",
            atol=1e-4,
        )


def written_by_layers(model: HookedModel, tokens: Tensor, position: int = -1) -> dict[str, Tensor]:
    """name: [batch d_model], what each layer has written at one position."""
    _, cache = model.run_with_cache(tokens)
    names = {"embed": "hook_embed", "pos_embed": "hook_pos_embed"}
    for layer in range(model.cfg.n_layers):
        names |= {f"{site} {layer}": f"blocks.{layer}.hook_{site}_out" for site in ("attn", "mlp")}
    shape = (len(tokens), model.cfg.d_model)
    return {name: cache[site][:, position].expand(shape) for name, site in names.items()}


@oracle_cache
def constants(model: HookedModel, tokens: Tensor, right: Tensor, wrong: Tensor) -> dict[str, Tensor]:
    """What biases add: the answer of a stream that is 0, at the frozen scale."""
    _, cache = model.run_with_cache(tokens, ("scale", "ln_final"))
    edits = [
        (("resid_post", model.cfg.n_layers - 1), lambda x, hook: torch.zeros_like(x)),
        (("scale", "ln_final"), lambda scale, hook: cache["scale", "ln_final"]),
    ]
    together = difference(model.run_with_hooks(tokens, edits)[:, -1], right, wrong)
    of_b_U = torch.zeros(len(right)) if model.b_U is None else model.b_U[right] - model.b_U[wrong]
    return {"norm bias": together - of_b_U, "b_U": of_b_U}


@grades("04.7", weight=2)
def test_each_layer_by_its_name(answer):
    """Every term on random models and a trained one, compared with the gradient at a frozen scale."""
    for model, tokens, right, wrong in attribution_cases():
        written = written_by_layers(model, tokens)
        g = pull(model, tokens, right, wrong)
        want = {name: (part * g).sum(-1) for name, part in written.items()}
        want |= constants(model, tokens, right, wrong)
        got = answer.layer_contributions(model, tokens, right, wrong)
        names = [str(name) for name in got]
        expect(
            sorted(names) != sorted(want) or names == list(want),
            f"The names are right and their order is not. It should be {', '.join(want)}.",
        )
        expect(
            names == list(want),
            f"The names should be {', '.join(want)}, in this order; yours are {', '.join(names)}.",
        )
        for i, name in enumerate(want):
            expect_close(
                got[name],
                want[name],
                f"what {name} adds",
                mistakes=lambda case=(model, tokens, right, wrong), name=name, i=i, want=want: layer_mistakes(
                    *case, name, i, want
                ),
                axes="batch",
                atol=1e-4,
            )


def layer_mistakes(
    model: HookedModel, tokens: Tensor, right: Tensor, wrong: Tensor, name: str, i: int, want: dict
) -> dict:
    """Of one term, the i-th: what it is in an answer with a slip."""
    written = written_by_layers(model, tokens)
    residual = residual_at_end(model, tokens)
    if name == "norm bias":
        return norm_bias_mistakes(model, residual, right, wrong, want)
    if name == "b_U":
        if model.b_U is None:
            return {}
        return {
            "The bias of the unembedding adds something: model.b_U is not None here.": torch.zeros(len(right)),
            "Only the sign is wrong: it is right minus wrong.": -want[name],
            "This is for `right` alone. Subtract that of `wrong`.": model.b_U[right],
        }
    parts = torch.stack(list(written.values()))
    mistakes = {
        sentence: values[i] for sentence, values in direct_mistakes(model, parts, residual, right, wrong).items()
    }
    mistakes |= {sentence: want[name] * factor for sentence, factor in scale_mistakes(model, tokens).items()}
    first = written_by_layers(model, tokens, 0)[name]
    mistakes["This is another position. The answer is read at the last one."] = to_logits_by_hand(
        model, first[None], residual, right, wrong
    )[0]
    kind, _, layer = name.partition(" ")
    if layer:
        other = f"{'mlp' if kind == 'attn' else 'attn'} {layer}"
        mistakes[f"This is what {other} adds: attention and MLP are exchanged."] = want[other]
        for n in range(model.cfg.n_layers):
            if n != int(layer):
                mistakes[f"This is what {kind} {n} adds: the layer is another one."] = want[f"{kind} {n}"]
    return mistakes


def scale_mistakes(model: HookedModel, tokens: Tensor) -> dict[str, Tensor]:
    """By how much every contribution is wrong, [batch], at the scale of a stream that the final norm never sees."""
    _, cache = model.run_with_cache(tokens)
    last = stream_of(model, tokens)[-1]
    others = {f"The scale is that of the stream at the first position. {LAST_SCALE}": last[:, 0]}
    for layer in range(model.cfg.n_layers):
        for site, which in (("resid_pre", "enters"), ("resid_mid", "stands in the middle of")):
            others[f"The scale is that of the stream which {which} block {layer}. {LAST_SCALE}"] = cache[site, layer][
                :, -1
            ]
    return {sentence: scale_of(model, last[:, -1]) / scale_of(model, other) for sentence, other in others.items()}


LAST_SCALE = (
    "The final norm stands after ALL blocks: it divides by the scale of the stream that leaves the LAST block, at "
    'the last position, ("resid_post", n_layers − 1). That is the `residual` of every part.'
)


def scale_of(model: HookedModel, x: Tensor) -> Tensor:
    """By what the final norm would divide."""
    _, _, epsilon, centred = model.norm_parts(model.ln_final)
    return (centred_by_hand(x, centred).pow(2).mean(-1) + epsilon).sqrt()


def scales_of_own_layer(model: HookedModel, tokens: Tensor) -> dict[str, Tensor]:
    """By how much the contributions of each layer are wrong, [layer batch], at the scale of the stream around it."""
    _, cache = model.run_with_cache(tokens)
    right = scale_of(model, residual_at_end(model, tokens))
    found = {}
    for site, which in (("resid_pre", "enters"), ("resid_mid", "stands in the middle of"), ("resid_post", "leaves")):
        scales = [right / scale_of(model, cache[site, layer][:, -1]) for layer in range(model.cfg.n_layers)]
        found[f"For each layer the scale is that of the stream which {which} it. {LAST_SCALE}"] = torch.stack(scales)
    return found


def norm_bias_mistakes(model: HookedModel, residual: Tensor, right: Tensor, wrong: Tensor, normed: dict) -> dict:
    bias = model.norm_parts(model.ln_final).bias
    through = to_logits_by_hand(model, bias.expand(1, *residual.shape), residual, right, wrong)[0]
    return {
        "The norm's bias goes through the norm in your code. It is added after it.": through,
        "The bias of the final norm adds something too: its product with the direction.": torch.zeros(len(right)),
        "The bias of the unembedding is counted here as well. It has a term of its own.": (
            normed["norm bias"] + normed["b_U"]
        ),
        "This is for `right` alone. Subtract that of `wrong`.": bias @ model.W_U[:, right],
    }


@grades("04.7")
def test_nothing_is_left_over(answer):
    """The terms sum to the logit difference of the model itself."""
    for model, tokens, right, wrong in attribution_cases():
        got = answer.layer_contributions(model, tokens, right, wrong)
        want = difference(model(tokens)[:, -1], right, wrong)
        total = torch.zeros(len(right), dtype=torch.float64)
        for name, value in got.items():
            numbers = torch.as_tensor(value)
            if numbers.shape != right.shape:
                sentence = f"What {name} adds should be {len(right)} numbers, one for each sequence; yours has shape"
                raise Wrong(f"{sentence} {tuple(numbers.shape)}.", SHAPE)
            total += numbers.double()
        expect_close(total, want, "the sum over all terms", axes="batch", atol=2e-4)


# --- 04.8 -------------------------------------------------------------------------------------------------------------


def heads_by_hand(
    model: HookedModel, tokens: Tensor, position: int | slice = -1, shift: int = 0, layer_shift: int = 0
) -> Tensor:
    """[layer head batch d_model]: z W_O, one head and one sequence at a time; `shift` takes a neighbour's W_O.

    A slice of positions is added up."""
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)
    _, cache = model.run_with_cache(tokens, [("z", layer) for layer in layers])
    rows = []
    for layer in layers:
        for head in heads:
            W_O = model.W_O[(layer + layer_shift) % len(layers), (head + shift) % len(heads)]
            z = [cache["z", layer][n, position, head].view(-1, W_O.shape[0]).sum(0) for n in range(len(tokens))]
            rows.append(torch.stack([x @ W_O for x in z]))
    return torch.stack(rows).view(len(layers), len(heads), len(tokens), -1)


@grades("04.8", weight=2)
def test_each_head(answer):
    """Every head on random models and a trained one, compared with the gradient at a frozen scale."""
    for model, tokens, right, wrong in attribution_cases():
        got, _ = answer.head_contributions(model, tokens, right, wrong)
        want = heads_arranged((heads_by_hand(model, tokens) * pull(model, tokens, right, wrong)).sum(-1))
        expect_close(
            got,
            want,
            "what each head adds",
            mistakes=lambda case=(model, tokens, right, wrong): head_mistakes(*case),
            axes="batch layer head",
            atol=1e-4,
        )


def heads_arranged(values: Tensor) -> Tensor:
    """[layer head batch] → [batch layer head]."""
    return values.permute(2, 0, 1)


def head_mistakes(model: HookedModel, tokens: Tensor, right: Tensor, wrong: Tensor) -> dict[str, Tensor]:
    g, residual = pull(model, tokens, right, wrong), residual_at_end(model, tokens)
    written = heads_by_hand(model, tokens)
    sizes = written.shape[:3]
    want = heads_arranged((written * g).sum(-1))
    b_O = model.b_O[:, None, None]

    def of(values: Tensor) -> Tensor:
        return heads_arranged((values * g).sum(-1))

    alike = tokens[:1].expand_as(tokens)
    mistakes = {
        "You use the W_O of another head.": of(heads_by_hand(model, tokens, shift=1)),
        "Every sequence gets the numbers of the first one. Each has its own z and its own scale.": heads_arranged(
            (heads_by_hand(model, alike) * pull(model, alike, right, wrong)).sum(-1)
        ),
        "Every sequence gets the z of the first one. Each has its own.": of(heads_by_hand(model, alike)),
        "This is the first position. The answer is read at the last one.": of(heads_by_hand(model, tokens, position=0)),
        "b_O is spread over the heads. It belongs to none of them: give it as the second result.": of(
            written + b_O / model.cfg.n_heads
        ),
        "b_O is added to every head. It belongs to none of them: give it as the second result.": of(written + b_O),
        "Each head is divided by its own scale. Hold the scale at that of the whole stream.": heads_arranged(
            to_logits_by_hand(model, written.flatten(0, 1), residual, right, wrong, own_scale=True).view(sizes)
        ),
        "You average over positions. The answer is read at the last one, and z is taken there alone.": of(
            heads_by_hand(model, tokens, position=slice(None)) / tokens.shape[1]
        ),
        "You sum over positions. The answer is read at the last one, and z is taken there alone.": of(
            heads_by_hand(model, tokens, position=slice(None))
        ),
        "You average over the batch. Keep every sequence.": want.mean(0),
        "You sum over the heads. Keep them apart.": want.sum(2),
        **exchanged(want, "batch layer head"),
        "The axes are in another order: the result is [batch layer head].": want.permute(1, 2, 0),
    }
    for sentence, values in direct_mistakes(model, written.flatten(0, 1), residual, right, wrong).items():
        mistakes.setdefault(sentence, heads_arranged(values.view(sizes)))
    for sentence, factor in scale_mistakes(model, tokens).items():
        mistakes[sentence] = heads_arranged((written * g).sum(-1) * factor)
    for sentence, factors in scales_of_own_layer(model, tokens).items():
        mistakes[sentence] = heads_arranged((written * g).sum(-1) * factors[:, None])
    if model.cfg.n_layers > 1:
        mistakes["You use the W_O of another layer."] = of(heads_by_hand(model, tokens, layer_shift=1))
    return mistakes


@grades("04.8")
def test_heads_and_bias_sum_to_their_layer(answer):
    """What is lost when a whole attention layer is taken out of the last stream, at the frozen scale."""
    for model, tokens, right, wrong in attribution_cases():
        heads, biases = answer.head_contributions(model, tokens, right, wrong)
        g = pull(model, tokens, right, wrong)
        want = torch.stack([(bias * g).sum(-1) for bias in model.b_O], dim=1)
        expect_close(
            biases,
            want,
            "what the biases b_O add",
            axes="batch layer",
            atol=1e-4,
            mistakes={
                "b_O goes through the frozen norm too, like every part of the stream.": torch.stack(
                    [bias @ (model.W_U[:, right] - model.W_U[:, wrong]) for bias in model.b_O], dim=1
                ),
                "The biases add something: model.b_O is not 0 in this model.": torch.zeros_like(want),
                "Only the sign is wrong.": -want,
                "Each layer has a b_O of its own: these are all those of layer 0.": want[:, :1].expand_as(want),
                **exchanged(want, "batch layer"),
            },
        )
        whole = [without(model, tokens, right, wrong, ("attn_out", layer)) for layer in range(model.cfg.n_layers)]
        expect_close(heads.double().sum(-1) + biases, torch.stack(whole, dim=1), "heads and bias together", atol=2e-4)


@oracle_cache
def without(model: HookedModel, tokens: Tensor, right: Tensor, wrong: Tensor, site: tuple) -> Tensor:
    """By how much the logit difference falls if what `site` has written is taken out of the last stream alone."""
    _, cache = model.run_with_cache(tokens, [site, ("scale", "ln_final")])
    edits = [
        (("resid_post", model.cfg.n_layers - 1), lambda x, hook: x - cache[site]),
        (("scale", "ln_final"), lambda scale, hook: cache["scale", "ln_final"]),
    ]
    edited = model.run_with_hooks(tokens, edits)
    return difference(model(tokens)[:, -1], right, wrong) - difference(edited[:, -1], right, wrong)


# --- 04.9 -------------------------------------------------------------------------------------------------------------


@functools.cache
def neuron_cases() -> tuple[tuple[HookedModel, Tensor, Tensor, Tensor], ...]:
    """And a model with as many neurons as d_model, where a transposed W_out still fits."""
    square, tokens = random_model(1, 2, 5, D_MODEL, True, 3), random_tokens(3, 7, D_VOCAB, 3)
    return (*attribution_cases(), (square, tokens, *answers(3, 9)))


@grades("04.9", weight=2)
def test_each_neuron(answer):
    """Every neuron on random models and a trained one, compared with the gradient at a frozen scale."""
    for model, tokens, right, wrong in neuron_cases():
        g = pull(model, tokens, right, wrong)
        for layer in range(model.cfg.n_layers):
            got, _ = answer.neuron_contributions(model, tokens, layer, right, wrong)
            expect_close(
                got,
                (written_by_neurons(model, tokens, layer) * g).sum(-1).T,
                f"what each neuron of layer {layer} adds",
                mistakes=lambda case=(model, tokens, layer, right, wrong): neuron_mistakes(*case),
                axes="batch neuron",
                atol=1e-4,
            )


def written_by_neurons(
    model: HookedModel,
    tokens: Tensor,
    layer: int,
    site: str = "post",
    position: int = -1,
    out_of: int | None = None,
    turn: bool = False,
    relu: bool = False,
) -> Tensor:
    """[neuron batch d_model]. The switches make known mistakes."""
    _, cache = model.run_with_cache(tokens, (site, layer))
    activations = cache[site, layer][:, position]
    activations = activations.relu() if relu else activations
    W_out = model.W_out[layer if out_of is None else out_of]
    return torch.einsum("bn,nd->nbd", activations, W_out.T if turn else W_out)


def neuron_mistakes(model: HookedModel, tokens: Tensor, layer: int, right: Tensor, wrong: Tensor) -> dict[str, Tensor]:
    g, residual = pull(model, tokens, right, wrong), residual_at_end(model, tokens)
    written = functools.partial(written_by_neurons, model, tokens, layer)
    parts = written()
    want = (parts * g).sum(-1).T
    other = (layer + 1) % model.cfg.n_layers
    slips = {
        "These are the activations from BEFORE the activation function. A neuron writes what comes after it, at "
        '("post", LAYER).': written(site="pre"),
        "You apply a ReLU of your own. The activation function of this model is another one: take what comes after it, "
        'at ("post", LAYER).': written(site="pre", relu=True),
        "This is the first position. The answer is read at the last one.": written(position=0),
        "b_out is spread over the neurons. It belongs to none of them.": parts + model.b_out[layer] / len(parts),
        "b_out is added to every neuron. It belongs to none of them.": parts + model.b_out[layer],
        "The activation is missing: this is what each neuron would add if it were 1.": (
            torch.ones_like(parts) * model.W_out[layer][:, None]
        ),
        "You use the W_out of another layer.": written(out_of=other),
        "These are the neurons of the last layer. Take those of `layer`.": written_by_neurons(
            model, tokens, model.cfg.n_layers - 1
        ),
        "These are the neurons of another layer.": written_by_neurons(model, tokens, other),
    }
    if model.W_out.shape[1] == model.W_out.shape[2]:
        slips["W_out is transposed: a neuron's own direction is a ROW of it, [neuron d_model]."] = written(turn=True)
    mistakes = {sentence: (wrong_parts * g).sum(-1).T for sentence, wrong_parts in slips.items()}
    for sentence, values in direct_mistakes(model, parts, residual, right, wrong).items():
        mistakes.setdefault(sentence, values.T)
    for sentence, factor in scale_mistakes(model, tokens).items():
        mistakes[sentence] = ((parts * g).sum(-1) * factor).T
    mistakes["This is the sum over neurons. Keep them apart."] = want.sum(1)
    mistakes["You average over the batch. Keep every sequence."] = want.mean(0)
    return mistakes | exchanged(want, "batch neuron")


@grades("04.9")
def test_neurons_and_bias_sum_to_their_layer(answer):
    """What is lost when a whole MLP is taken out of the last stream, at the frozen scale."""
    for model, tokens, right, wrong in attribution_cases():
        g = pull(model, tokens, right, wrong)
        for layer in range(model.cfg.n_layers):
            neurons, bias = answer.neuron_contributions(model, tokens, layer, right, wrong)
            expect_close(
                bias,
                (model.b_out[layer] * g).sum(-1),
                "what the bias b_out adds",
                axes="batch",
                atol=1e-4,
                mistakes={
                    "b_out goes through the frozen norm too, like every part of the stream.": model.b_out[layer]
                    @ (model.W_U[:, right] - model.W_U[:, wrong]),
                    "The bias adds something: model.b_out is not 0 in this model.": torch.zeros(len(right)),
                    "This is the b_out of another layer.": (model.b_out[(layer + 1) % model.cfg.n_layers] * g).sum(-1),
                },
            )
            whole = without(model, tokens, right, wrong, ("mlp_out", layer))
            expect_close(neurons.double().sum(-1) + bias, whole, "neurons and bias together", axes="batch", atol=2e-4)


# --- 04.10 ------------------------------------------------------------------------------------------------------------


def sources_by_hand(
    model: HookedModel,
    tokens: Tensor,
    layer: int,
    head: int,
    *,
    query: int = -1,
    values_of: int | None = None,
    weigh: bool = True,
    turn: bool = False,
    out_of: int | None = None,
) -> Tensor:
    """[source batch d_model], source by source. The switches make known mistakes."""
    _, cache = model.run_with_cache(tokens, [("pattern", layer), ("v", layer)])
    pattern, v = cache["pattern", layer][:, head], cache["v", layer]
    pattern = pattern.mT if turn else pattern
    W_O = model.W_O[layer, head if out_of is None else out_of]
    rows = []
    for source in range(tokens.shape[1]):
        value = v[:, source, head if values_of is None else values_of]
        rows.append((pattern[:, query, source, None] if weigh else 1.0) * value @ W_O)
    return torch.stack(rows)


@grades("04.10", weight=2)
def test_each_source_of_each_head(answer):
    """Every head on random models and two of a trained one, compared with the gradient at a frozen scale."""
    for model, tokens, right, wrong in attribution_cases():
        g = pull(model, tokens, right, wrong)
        for layer in range(model.cfg.n_layers):
            for head in range(model.cfg.n_heads) if model.cfg.d_vocab < 20 else (0, 3):
                expect_close(
                    answer.source_contributions(model, tokens, layer, head, right, wrong),
                    (sources_by_hand(model, tokens, layer, head) * g).sum(-1).T,
                    f"what head {layer}.{head} adds from each source",
                    mistakes=lambda case=(model, tokens, layer, head, right, wrong): source_mistakes(*case),
                    axes="batch source",
                    atol=1e-4,
                )


def source_mistakes(
    model: HookedModel, tokens: Tensor, layer: int, head: int, right: Tensor, wrong: Tensor
) -> dict[str, Tensor]:
    g, residual = pull(model, tokens, right, wrong), residual_at_end(model, tokens)
    by_hand = functools.partial(sources_by_hand, model, tokens, layer, head)
    other, n = (head + 1) % model.cfg.n_heads, model.cfg.n_layers
    parts = by_hand()
    want = (parts * g).sum(-1).T
    slips = {
        "The attention is missing: each value counts as much as the last position looks at it.": by_hand(weigh=False),
        "Query and key are exchanged: pattern[b, h, q, k] is how much q looks at k.": by_hand(turn=True),
        "This is what the first position reads. The query is the last position.": by_hand(query=0),
        "These are the values of another head.": by_hand(values_of=other),
        "You use the W_O of another head.": by_hand(out_of=other),
        "This is another head. Take `head`.": sources_by_hand(model, tokens, layer, other),
        "This is head 0. Take `head`.": sources_by_hand(model, tokens, layer, 0),
        "This is another layer. Take `layer`.": sources_by_hand(model, tokens, (layer + 1) % n, head),
        "This is the sum over all heads. Take `head` alone.": torch.stack(
            [sources_by_hand(model, tokens, layer, h) for h in range(model.cfg.n_heads)]
        ).sum(0),
    }
    mistakes = {sentence: (wrong_parts * g).sum(-1).T for sentence, wrong_parts in slips.items()}
    for sentence, values in direct_mistakes(model, parts, residual, right, wrong).items():
        mistakes.setdefault(sentence, values.T)
    for sentence, factor in scale_mistakes(model, tokens).items():
        mistakes[sentence] = want * factor[:, None]
    mistakes["This is the sum over sources. Keep them apart."] = want.sum(1)
    _, cache = model.run_with_cache(tokens, ("pattern", layer))
    mistakes["This is the attention itself. Multiply it by what each source adds."] = cache["pattern", layer][
        :, head, -1
    ]
    return mistakes | exchanged(want, "batch source")


@grades("04.10")
def test_sources_sum_to_their_head(answer):
    """The sum over sources is what the head adds, by its z."""
    for model, tokens, right, wrong in attribution_cases():
        g = pull(model, tokens, right, wrong)
        heads = (heads_by_hand(model, tokens) * g).sum(-1)
        layer, head = model.cfg.n_layers - 1, 1
        got = answer.source_contributions(model, tokens, layer, head, right, wrong)
        expect_close(got.double().sum(1), heads[layer, head], "the sum over sources", axes="batch", atol=2e-4)


# --- 04.11 ------------------------------------------------------------------------------------------------------------


@oracle_cache
def patch_table(
    model: HookedModel,
    clean: Tensor,
    corrupt: Tensor,
    right: int,
    wrong: int,
    *,
    site: str = "resid_pre",
    where: str = "here",
    raw: bool = False,
    read: int | str = -1,
    late: bool = False,
    alone: bool = False,
    probabilities: bool = False,
) -> Tensor:
    """One patched run after another. The switches make known mistakes.

    where: which positions are replaced for `pos`. read: the position whose logits are compared, or "patched", or
    "all", their mean.
    """

    def m(logits: Tensor, pos: int) -> float:
        logits = logits.softmax(-1) if probabilities else logits
        values = logits[0, :, right] - (0 if alone else logits[0, :, wrong])
        return (values.mean() if read == "all" else values[pos if read == "patched" else read]).item()

    clean_logits, cache = model.run_with_cache(clean)
    corrupt_logits = model(corrupt)
    n = clean.shape[1]
    table = torch.zeros(model.cfg.n_layers, n, dtype=torch.float64)
    for layer in range(model.cfg.n_layers):
        for pos in range(n):

            def put(x, hook, layer=layer, pos=pos):
                x = x.clone()
                if late:  # layer and position as they are after the loop
                    x[:, -1] = cache[site, model.cfg.n_layers - 1][:, -1]
                    return x
                chosen = {"here": slice(pos, pos + 1), "all": slice(None), "on": slice(pos, None), "to": slice(pos + 1)}
                x[:, chosen[where]] = cache[site, layer][:, chosen[where]]
                return x

            m_clean, m_corrupt = m(clean_logits, pos), m(corrupt_logits, pos)
            patched = m(model.run_with_hooks(corrupt, [((site, layer), put)]), pos)
            table[layer, pos] = patched - m_corrupt if raw else (patched - m_corrupt) / (m_clean - m_corrupt)
    return table


@functools.cache
def patch_cases() -> tuple[tuple[HookedModel, Tensor, Tensor, int, int], ...]:
    found = []
    for model, tokens in [*cases(), bundled()]:
        clean, corrupt = tokens[:1], tokens[1:2]
        # The pair of answers on which the two prompts differ most, so that nothing is divided by almost 0.
        change = (model(clean) - model(corrupt))[0, -1]
        found.append((model, clean, corrupt, int(change.argmax()), int(change.argmin())))
    return tuple(found)


ONE = (
    "If the answer then comes back, you cannot say which of them has brought it. Replace one position, and leave the "
    "others as the corrupt run has them."
)
LAST = "Wherever you patch, the answer stands at the LAST position: there the town is said."
LATE = (
    "All edits take the same vector: a function made in a loop sees the last values of the loop's variables. Make it "
    "in a function of its own that takes layer and position as arguments."
)


@grades("04.11", weight=3)
def test_every_layer_and_position(answer):
    """Random models and a trained one, compared with patched runs done one by one."""
    for model, clean, corrupt, right, wrong in patch_cases():
        arguments = (model, clean, corrupt, right, wrong)
        want = patch_table(*arguments)
        expect_close(
            answer.patch_residual(*arguments),
            want,
            "the table",
            axes="layer pos",
            atol=5e-4,
            rtol=1e-3,
            mistakes=lambda arguments=arguments: patch_mistakes(*arguments),
        )


def patch_mistakes(model: HookedModel, clean: Tensor, corrupt: Tensor, right: int, wrong: int) -> dict[str, Tensor]:
    arguments = (model, clean, corrupt, right, wrong)
    want = patch_table(*arguments)
    return {
        # At one position the two are the same: all that stands between them, the MLP, acts on each position alone.
        "You patch what LEAVES each block, or the middle of it. The site is resid_pre: what enters it.": patch_table(
            *arguments, site="resid_post"
        ),
        "You patch what the attention adds. The site is resid_pre, the whole stream.": patch_table(
            *arguments, site="attn_out"
        ),
        "You put the corrupt stream into the clean run. It is the clean stream that goes into the corrupt run, "
        "and shows where the answer comes back.": 1 - patch_table(model, corrupt, clean, right, wrong),
        "The two prompts are exchanged: the run that is edited is the corrupt one.": patch_table(
            model, corrupt, clean, right, wrong
        ),
        "You replace all positions at once. Replace one.": patch_table(*arguments, where="all"),
        f"You replace this position and all LATER ones. {ONE}": patch_table(*arguments, where="on"),
        f"You replace this position and all EARLIER ones. {ONE}": patch_table(*arguments, where="to"),
        "This is the bare change of the logit difference. Divide by m_clean − m_corrupt.": patch_table(
            *arguments, raw=True
        ),
        "This is what is lost, 1 minus what comes back.": 1 - want,
        "The sign is wrong: m is logit[right] − logit[wrong], in all three runs.": -want,
        "The answer is read at the first position. Read it at the last.": patch_table(*arguments, read=0),
        f"The answer is read at the position that you patch. {LAST}": patch_table(*arguments, read="patched"),
        f"The answer is read at all positions, and averaged. {LAST}": patch_table(*arguments, read="all"),
        LATE: patch_table(*arguments, late=True),
        f"{LATE} ": want[:, -1:].expand_as(want),
        "Nothing changes: does your edit return the new value?": torch.zeros_like(want),
        "You forgot to subtract m_corrupt, above or below the line.": unshifted(*arguments, above=False),
        "You forgot to subtract m_corrupt above the line.": unshifted(*arguments, above=True),
        "You divide by m_clean alone. Divide by m_clean − m_corrupt.": over_clean(*arguments),
        "This is for `right` alone: m is logit[right] − logit[wrong].": patch_table(*arguments, alone=True),
        "These are differences of probabilities. m is a difference of LOGITS, before any softmax.": patch_table(
            *arguments, probabilities=True
        ),
        "You patch what the MLP adds. The site is resid_pre, the whole stream.": patch_table(
            *arguments, site="mlp_out"
        ),
        **exchanged(want, "layer pos"),
        "The numbers are in another order: the runs are laid out position by position, and read layer by "
        "layer.": want.T.reshape(want.shape),
    }


def unshifted(model: HookedModel, clean: Tensor, corrupt: Tensor, right: int, wrong: int, above: bool) -> Tensor:
    """m_patched / m_clean, or m_patched / (m_clean − m_corrupt)."""
    logits = [model(tokens)[0, -1] for tokens in (clean, corrupt)]
    m_clean, m_corrupt = ((x[right] - x[wrong]).item() for x in logits)
    patched = patch_table(model, clean, corrupt, right, wrong, raw=True) + m_corrupt
    return patched / (m_clean - m_corrupt if above else m_clean)


def over_clean(model: HookedModel, clean: Tensor, corrupt: Tensor, right: int, wrong: int) -> Tensor:
    x = model(clean)[0, -1]
    return patch_table(model, clean, corrupt, right, wrong, raw=True) / (x[right] - x[wrong]).item()


@grades("04.11")
def test_where_only_the_last_token_differs(answer):
    """All of the answer comes back at the last position and nothing elsewhere, at every layer."""
    for model, clean, _, _, _ in patch_cases():
        corrupt = clean.clone()
        corrupt[0, -1] = (corrupt[0, -1] + 3) % model.cfg.d_vocab
        change = (model(clean) - model(corrupt))[0, -1]
        want = torch.zeros(model.cfg.n_layers, clean.shape[1])
        want[:, -1] = 1
        expect_close(
            answer.patch_residual(model, clean, corrupt, int(change.argmax()), int(change.argmin())),
            want,
            "the table of two prompts that differ in their last token",
            axes="layer pos",
            atol=1e-3,
            mistakes={
                "This is what is lost, 1 minus what comes back.": 1 - want,
                "Nothing changes: does your edit return the new value?": torch.zeros_like(want),
                "Every edit brings everything back: replace one position, not all, and not all from it on.": (
                    torch.ones_like(want)
                ),
            },
        )


# --- 04.12 ---------------------------------------------------------------------------------------------------------


def with_z(model: HookedModel, tokens: Tensor, other: Tensor, layer: int, heads, positions) -> Tensor:
    """Logits of `tokens` at the last position, with z of some heads and positions taken from `other`."""
    return put_z(model, tokens, activation(model, other, ("z", layer)), layer, heads, positions)


def put_z(model: HookedModel, tokens: Tensor, source: Tensor, layer: int, heads, positions) -> Tensor:
    def put(z: Tensor) -> None:
        z[:, positions, heads] = source[:, positions, heads]

    return logits_with(model, tokens, ("z", layer), put)[0, -1]


def head_ratios(model: HookedModel, pairs: list, positions=-1, back: bool = False, whole: bool = False) -> Tensor:
    """[pair layer head], one patched run after another. back: into the clean run. whole: all heads of a layer."""
    table = torch.zeros(len(pairs), model.cfg.n_layers, model.cfg.n_heads)
    for i, (clean, corrupt, right, wrong) in enumerate(pairs):
        into, source = (clean, corrupt) if back else (corrupt, clean)
        m_source, m_into = (difference_of(model(tokens)[0, -1], right, wrong) for tokens in (source, into))
        for layer in range(model.cfg.n_layers):
            z = activation(model, source, ("z", layer))
            for head in range(model.cfg.n_heads):
                x = put_z(model, into, z, layer, slice(None) if whole else head, positions)
                table[i, layer, head] = (difference_of(x, right, wrong) - m_into) / (m_source - m_into)
    return table


def difference_of(logits: Tensor, right: int, wrong: int) -> float:
    return (logits[right] - logits[wrong]).item()


# (shape, seed of the clean prompts, seed of the corrupt ones, right and wrong of each pair). Searched for, so that each
# known mistake names another head in at least one of them, and so that neither layer nor head is always the same.
CHOSEN = (
    (1, 9912, 24987, ((5, 14), (16, 6), (11, 12), (14, 5), (3, 16))),
    (1, 4179, 21931, ((7, 10), (10, 16), (1, 13))),
    (0, 616, 21039, ((8, 16), (13, 7), (15, 6), (8, 12), (15, 0))),
    (2, 7768, 26451, ((16, 15), (10, 13), (13, 3))),
    (1, 6423, 26364, ((8, 9), (4, 6), (12, 2))),
)


def recall_case(
    shape: int, clean_seed: int, corrupt_seed: int, tokens: tuple[tuple[int, int], ...]
) -> tuple[HookedModel, list]:
    layers, heads, d_head, d_mlp, b_U, *_, number = SHAPES[shape]
    pairs = [
        (random_tokens(1, 7, D_VOCAB, clean_seed + i), random_tokens(1, 7, D_VOCAB, corrupt_seed + i), right, wrong)
        for i, (right, wrong) in enumerate(tokens)
    ]
    return random_model(layers, heads, d_head, d_mlp, b_U, number), pairs


@functools.cache
def recall_cases() -> list[tuple[HookedModel, list]]:
    return [recall_case(*chosen) for chosen in CHOSEN]


def strongest(table: Tensor) -> list[int]:
    """[layer, head] of the largest number of a table [layer head]."""
    return list(divmod(int(table.argmax()), table.shape[1]))


def undivided(model: HookedModel, pairs: list) -> Tensor:
    """[pair layer head]: m_patched − m_corrupt."""
    scale = [difference_of((model(clean) - model(corrupt))[0, -1], *tokens) for clean, corrupt, *tokens in pairs]
    return head_ratios(model, pairs) * torch.tensor(scale)[:, None, None]


def recall_mistakes(model: HookedModel, pairs: list) -> dict[str, list[int]]:
    """The head that an answer with a slip would name."""
    table = head_ratios(model, pairs)
    mean = table.mean(0)
    place = strongest(mean)
    return {
        "You replace z at every position. What a head writes at EARLIER positions can reach the end through later "
        "layers, so that is another question. Replace it at the last one.": strongest(
            head_ratios(model, pairs, slice(None)).mean(0)
        ),
        "You replace z at the first position. Replace it at the last one.": strongest(
            head_ratios(model, pairs, 0).mean(0)
        ),
        "You use the first pair alone. Average over all pairs.": strongest(table[0]),
        "You use the last pair alone. Average over all pairs.": strongest(table[-1]),
        "You take the largest ratio of any pair. Average over all pairs first.": strongest(table.max(0).values),
        "You take the head that is the strongest in most pairs. Average the ratios over all pairs.": most_often(table),
        "You look for the smallest ratio.": strongest(-mean),
        "You look for the largest ABSOLUTE ratio. A head with a negative one pushes the answer away: take the largest "
        "ratio, with its sign.": strongest(mean.abs()),
        "You average ABSOLUTE ratios: a head that pushes the answer away counts as one that brings it.": strongest(
            table.abs().mean(0)
        ),
        "The number of the best head in the flat table is divided by n_layers. A row of the table [layer head] has "
        "n_heads entries: divmod(best, n_heads).": list(divmod(int(mean.argmax()), model.cfg.n_layers)),
        "You take the MEDIAN over the pairs. Take the mean.": strongest(table.median(0).values),
        "The pair is exchanged: (layer, head).": place[::-1],
        "You look for the strongest head in the layer that is strongest as a whole. Compare all heads of all layers.": (
            in_strongest_layer(mean)
        ),
        "You replace all heads of a layer at once. Replace one head.": strongest(
            head_ratios(model, pairs, whole=True).mean(0)
        ),
        "The prompts are exchanged: the run that is edited is the corrupt one, with z of the clean one.": strongest(
            head_ratios(model, pairs, back=True).mean(0)
        ),
        "You average m_patched − m_corrupt. Divide by m_clean − m_corrupt first, else pairs with far logits count for "
        "more.": strongest(undivided(model, pairs).mean(0)),
        "You divide by m_clean alone. Divide by m_clean − m_corrupt.": strongest(over_m_clean(model, pairs).mean(0)),
        "Heads are counted from 0, and so are layers.": [n + 1 for n in place],
    }


def most_often(table: Tensor) -> list[int]:
    winners = table.flatten(1).argmax(1).tolist()
    return list(divmod(max(winners, key=winners.count), table.shape[2]))


def in_strongest_layer(mean: Tensor) -> list[int]:
    layer = int(mean.sum(1).argmax())
    return [layer, int(mean[layer].argmax())]


def over_m_clean(model: HookedModel, pairs: list) -> Tensor:
    scale = [difference_of(model(clean)[0, -1], *tokens) for clean, _, *tokens in pairs]
    return undivided(model, pairs) / torch.tensor(scale)[:, None, None]


@grades("04.12", weight=2)
def test_the_head_that_brings_the_answer(answer):
    """Random prompts on random models, compared with patched runs done one by one."""
    found, want = [], recall_answers()
    for model, pairs in recall_cases():
        found.append([int(n) for n in answer.find_recall(model, pairs)])
    if found == want:
        return
    slips: dict[str, list] = {}
    for model, pairs in recall_cases():
        for sentence, place in recall_mistakes(model, pairs).items():
            slips.setdefault(sentence, []).append(place)
    what = f"the head that brings the answer, (layer, head) in each of {len(want)} cases,"
    expect_equal(found, want, what, mistakes=slips)


@functools.cache
def recall_answers() -> list[list[int]]:
    return [strongest(head_ratios(model, pairs).mean(0)) for model, pairs in recall_cases()]


@grades("04.12")
def test_the_answer_is_swapped(answer):
    """The logits with one head's z taken from another prompt."""
    for model, pairs in recall_cases()[:3]:
        tokens, other, _, _ = pairs[0]
        for layer in range(model.cfg.n_layers):
            for head in (0, model.cfg.n_heads - 1):
                expect_close(
                    answer.swap_answer(model, tokens, other, layer, head),
                    with_z(model, tokens, other, layer, head, -1),
                    f"the logits with head {layer}.{head} swapped",
                    mistakes=lambda case=(model, tokens, other, layer, head): swap_mistakes(*case),
                    axes="d_vocab",
                    atol=1e-4,
                )


def swap_mistakes(model: HookedModel, tokens: Tensor, other: Tensor, layer: int, head: int) -> dict[str, Tensor]:
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    want = with_z(model, tokens, other, layer, head, -1)
    return {
        "Nothing has changed: does your edit return the new value?": model(tokens)[0, -1],
        "You replace the whole layer. Replace one head.": with_z(model, tokens, other, layer, slice(None), -1),
        "You replace the head at every position. Replace it at the last one.": with_z(
            model, tokens, other, layer, head, slice(None)
        ),
        "You replace the head at the first position. Replace it at the last one.": with_z(
            model, tokens, other, layer, head, 0
        ),
        "The prompts are exchanged: run `tokens`, with z of `other`.": with_z(model, other, tokens, layer, head, -1),
        "These are the logits of `other` itself.": model(other)[0, -1],
        "You replace another head. Take `head`.": with_z(model, tokens, other, layer, (head + 1) % n_heads, -1),
        "You always replace head 0. Take `head`.": with_z(model, tokens, other, layer, 0, -1),
        "You replace a head of another layer. Take `layer`.": with_z(
            model, tokens, other, (layer + 1) % n_layers, head, -1
        ),
        "You set the head to 0. Put in its z in the other prompt.": put_z(
            model, tokens, torch.zeros_like(activation(model, other, ("z", layer))), layer, head, -1
        ),
        "These are probabilities. The result is logits.": want.softmax(-1),
        "These are log probabilities. The result is logits.": want.log_softmax(-1),
    }


@functools.cache
def pico_pairs() -> tuple[HookedModel, tuple[Any, ...]]:
    """Pico, and pairs of sentences about two residents of Littletown."""
    reading = findings.module(index.chapter("04"))
    # Unchecked: the self-checks are twenty times as dear as the loading, and the suite makes them.
    return mi_lib.load("pico", check=False), tuple(reading.pairs(5, sentence=reading.SENTENCES[1], seed=4))


@functools.cache
def pico_head() -> tuple[int, int]:
    model, pairs = pico_pairs()
    ratios = torch.stack(
        [lens.head_patching(model, p.clean, p.corrupt, lens.logit_difference(p.right, p.wrong)) for p in pairs]
    )
    return divmod(int(ratios.mean(0).argmax()), model.cfg.n_heads)


@grades("04.12", weight=2)
def test_where_pico_recalls_a_town(answer):
    """Pico itself: the head that brings the town, and what Pico says when that head brings another one."""
    model, pairs = pico_pairs()
    layer, head = pico_head()
    got = answer.find_recall(model, [tuple(pair) for pair in pairs])
    expect_equal([int(n) for n in got], [layer, head], "the head that brings the town in Pico")
    for pair in pairs[:2]:
        expect_close(
            answer.swap_answer(model, pair.clean, pair.corrupt, layer, head),
            with_z(model, pair.clean, pair.corrupt, layer, head, -1),
            f"Pico's logits with head {layer}.{head} swapped",
            axes="d_vocab",
            atol=1e-3,
        )
