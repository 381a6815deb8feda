"""The grader of chapter 01. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are the modules of torch and `transformers`, with small random weights, and networks with one known fault, which
name the mistake. Both come in several shapes and seeds, so that nothing can be right by luck.
"""

from __future__ import annotations

import copy
import functools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper
from transformers.models.gpt2.modeling_gpt2 import GPT2MLP, GPT2Attention, GPT2Block
from transformers.models.llama import modeling_llama as hf_llama

import mi_lib
from mi_lib.course import index
from mi_lib.course.grading import (
    AnswerError,
    Handle,
    Wrong,
    expect,
    expect_close,
    expect_equal,
    expect_gradients,
    grades,
    seconds_used,
)
from mi_lib.course.grading.expectations import SHAPE
from mi_lib.course.grading.material import causal_mask, generator, randn, random_tokens, randomised
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.worlds import repeats

NAME, PICO = index.chapter("01").model  # the bundled networks that this chapter builds again


def gpt2_config(d_model: int, n_heads: int, **more: int) -> Any:
    """A small GPT-2 of `transformers`."""
    sizes: dict[str, Any] = {"n_embd": d_model, "n_head": n_heads, "n_positions": 16, "vocab_size": 11, **more}
    return GPT2Config(**sizes, bos_token_id=None, eos_token_id=None, attn_implementation="eager")


def future_mask(pos: int) -> Tensor:
    """What the blocks of `transformers` add to their scores: −∞ where the key is later than the query."""
    return torch.zeros(pos, pos).masked_fill(~causal_mask(pos), -math.inf)


def values(got: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The learner's numbers in double precision, once their shape is right. For laws, which need no expected value."""
    try:
        numbers = torch.as_tensor(got, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"{what[:1].upper()}{what[1:]} should be one tensor of shape {shape}.", SHAPE) from None
    if tuple(numbers.shape) != tuple(shape):
        said = f"{what[:1].upper()}{what[1:]} should have shape {shape}, but yours has shape {tuple(numbers.shape)}."
        raise Wrong(said, SHAPE)
    return numbers


def explaining(sentences: dict[str, str], call: Any, *args: Any) -> Any:
    """What the learner's function returns. If its error holds one of these texts, the learner is told the sentence."""
    try:
        return call(*args)
    except AnswerError as error:
        for text, sentence in sentences.items():
            expect(text not in str(error), sentence)
        raise


def no_nan(got: Any, sentence: str) -> None:
    """NaN where numbers were asked for, with the sentence that says where it comes from here."""
    holds = isinstance(got, Tensor) and got.is_floating_point() and bool(got.isnan().any())
    expect(not holds, sentence)


def check_no_future(run: Callable[[Tensor], Any], x: Tensor, other: Tensor, shape: tuple[int, ...], what: str) -> None:
    """A change at position t moves nothing before t."""
    before = values(run(x), shape, what)
    for t in range(1, x.shape[1]):
        changed = x.clone()
        changed[:, t] = other[:, t]
        gap = (values(run(changed), shape, what) - before).abs().flatten(2).amax((0, 2))
        moved = [i for i in range(t) if gap[i] > 1e-4]
        expect(
            not moved,
            f"The input was changed at position {t}, and {what} at position {moved[0] if moved else 0} moved. "
            "Nothing may depend on what comes later: is the future hidden in every layer?",
        )


def check_sequences_apart(run: Callable[[Tensor], Any], x: Tensor, shape: tuple[int, ...], what: str) -> None:
    """The same sequences in another order give the same results in that order."""
    order = torch.arange(x.shape[0]).roll(1)
    gap = (values(run(x[order]), shape, what) - values(run(x), shape, what)[order]).abs().max()
    expect(
        not gap > 1e-4,
        f"The same sequences in another order should give {what} in that order, with the same numbers. In yours, "
        "sequences of a batch see one another: look for a sum, a norm or a reshape that runs over the batch.",
    )


# --- 01.1 -------------------------------------------------------------------------------------------------------------


def embed_mistakes(tokens: Tensor, W_E: Tensor, W_pos: Tensor) -> dict[str, Tensor | None]:
    """What known errors would return; None where they would not come so far."""
    batch, pos = tokens.shape
    words, places = W_E[tokens], W_pos[:pos]
    enough = W_pos.shape[0] > batch * pos  # rows of W_pos, so that wrong ones exist
    return {
        "The places are missing: add the row of W_pos for each position.": words,
        "The words are missing: add the row of W_E for each token.": places.expand_as(words),
        "You look up W_pos by the token. Its rows belong to places, 0 for the first token, 1 for the next: take its "
        "first rows.": words + W_pos[tokens] if W_E.shape[0] <= W_pos.shape[0] else None,
        "W_pos has a row for every place there can be. Take only as many as the sequence is long: W_pos[:pos].": (
            words + W_pos if pos == 1 else None
        ),
        "You count places from 1. The first token stands at place 0.": words + W_pos[1 : pos + 1] if enough else None,
        "You take the last rows of W_pos. The first token has row 0.": words + W_pos[-pos:],
        "Every position gets the same row of W_pos. Each place has a row of its own.": words + W_pos[pos - 1],
        "Your places run on from one sequence to the next. Each sequence begins at place 0.": (
            words + W_pos[: batch * pos].view(batch, pos, -1) if enough else None
        ),
        "You take one row of W_pos for each sequence. Take one for each position, the same ones in every sequence.": (
            words + W_pos[:batch, None] if batch <= W_pos.shape[0] else None
        ),
        "Only the first sequence gets its places. Every sequence has the same ones.": words
        + places * (torch.arange(batch) == 0)[:, None, None],
        "The places run backwards: the first token stands at place 0.": words + places.flip(0),
        "This is half of it, a mean of the two. Add them.": (words + places) / 2,
        "You multiply the two. Add them.": words * places,
        "You scale the words by √d_model, as the first transformer did. GPT-2 adds them as they are.": (
            words * math.sqrt(W_E.shape[1]) + places
        ),
        "This is the sum over positions. Keep a vector for each of them.": (words + places).sum(1),
    }


def embedding_from(answer: Any, tokens: Tensor, W_E: Tensor, W_pos: Tensor) -> Any:
    pos, n_ctx = tokens.shape[1], W_pos.shape[0]
    sentence = (
        f"W_pos has {n_ctx} rows, one for every place there can be, and your sequence has {pos} tokens. Take only as "
        "many: W_pos[:pos]."
    )
    sentences = {f"({pos}) must match the size of tensor b ({n_ctx})": sentence}
    return explaining(sentences, answer.embed, tokens, W_E, W_pos)


@grades("01.1", weight=2)
def test_words_and_places_are_added(answer):
    """Random tables of several shapes, compared with torch's own look-up."""
    cases = ((3, 5, 7, 11, 17, 0), (4, 4, 4, 4, 4, 1), (2, 7, 3, 29, 7, 2), (1, 3, 11, 5, 7, 3))
    for batch, pos, d_model, d_vocab, n_ctx, seed in cases:
        dtype = torch.float64 if seed == 3 else torch.float32
        W_E, W_pos = randn(d_vocab, d_model, seed=seed).to(dtype), randn(n_ctx, d_model, seed=50 + seed).to(dtype)
        tokens = random_tokens(batch, pos, d_vocab, seed)
        places = torch.arange(pos).expand(batch, pos)
        expect_close(
            embedding_from(answer, tokens, W_E, W_pos),
            F.embedding(tokens, W_E) + F.embedding(places, W_pos),
            "the embedding",
            axes="batch pos d_model",
            mistakes=embed_mistakes(tokens, W_E, W_pos),
        )


@grades("01.1")
def test_a_single_word_stands_at_place_0(answer):
    """Sequences of one word, with a table that has room for more."""
    for batch, n_ctx, seed in ((3, 6, 4), (1, 8, 5)):
        W_E, W_pos = randn(5, 3, seed=seed), randn(n_ctx, 3, seed=50 + seed)
        tokens = random_tokens(batch, 1, 5, seed)
        want = torch.stack([(W_E[int(token)] + W_pos[0])[None] for token in tokens])
        expect_close(
            embedding_from(answer, tokens, W_E, W_pos),
            want,
            "the embedding of one word",
            axes="batch pos d_model",
            mistakes=embed_mistakes(tokens, W_E, W_pos),
        )


def embed_learns(answer: Any) -> None:
    """Gradients come through to both tables, for rows that are used twice as well."""
    tokens = torch.tensor([[3, 0, 3, 1, 6], [2, 3, 3, 0, 0], [5, 1, 0, 6, 2]])
    args = {"tokens": tokens, "W_E": randn(7, 11, seed=11), "W_pos": randn(13, 11, seed=12)}
    expect_gradients(
        answer,
        "embed",
        args,
        lambda t, W_E, W_pos: F.embedding(t, W_E) + F.embedding(torch.arange(5).expand(3, 5), W_pos),
        "the embedding",
    )


# --- 01.2 -------------------------------------------------------------------------------------------------------------

NORM_ERRORS = {
    "unbiased": "You divide the sum of squares by d_model − 1: that is what x.var() and x.std() do. Here the variance "
    "is the mean of the squares; see the option unbiased=False.",
    "unbiased std plus eps": "This divides by x.std() + eps. x.std() divides by d_model − 1, and eps belongs under the "
    "root: √(variance + eps), with the mean of the squares as variance.",
    "eps outside": "eps stands outside the root. It belongs under it: √(variance + eps).",
    "no eps": "eps is missing, far too small, or not added to the variance: √(variance + eps). Without it, a vector of "
    "equal numbers gives 0/0.",
    "eps ignored": "You always use eps = 0.00001. Use the argument eps.",
    "no mean": "The mean is never subtracted (this is RMSNorm). Subtract it first, then take the mean of the squares.",
    "raw variance": "Your variance is the mean of x². Subtract the mean from x first; the squares are of what is left.",
    "mean kept": "You divide by the right number, but the mean is still in x. Subtract it before you divide.",
    "no root": "You divide by the variance. Divide by its square root.",
    "no division": "You subtract the mean and never divide by √(variance + eps).",
    "over positions": "You take mean and variance over positions. Each vector is normalised by itself: use the last "
    "axis.",
    "over the batch": "You take mean and variance over the batch. Each vector is normalised by itself: use the last "
    "axis.",
    "all at once": "You take one mean and variance for the whole of x. Each vector is normalised by itself: use the "
    "last axis.",
    "each sequence": "You take one mean and variance for each sequence. Each vector is normalised by itself: use the "
    "last axis alone.",
    "first sequence": "Every sequence is normalised with the mean and variance of the first. Each vector has its own.",
    "clamped": "You take eps or the variance, whichever is larger. Add the two: √(variance + eps).",
    "default 1e-6": "If no eps is passed in, it is 0.00001. Yours is 0.000001.",
    "default 1e-12": "If no eps is passed in, it is 0.00001. Yours is 0.000000000001, BERT's.",
    "absolute": "You divide by the mean of the absolute numbers. Take the root of the mean of their SQUARES (and eps).",
    "length": "You divide by the root of the SUM of squares. The variance is their mean.",
    "no weight and bias": "The numbers are normalised, but weight and bias are missing: multiply by the one and add "
    "the other.",
    "no weight": "The weight is missing: multiply by it before you add the bias.",
    "no bias": "The bias is missing: add it at the end.",
    "bias first": "You add the bias before you multiply. Multiply by the weight first.",
    "weight plus 1": "You multiply by 1 + weight, as Gemma does. Here it is the weight itself.",
}
NORM_AXES = {"over positions": (1,), "over the batch": (0,), "all at once": (0, 1, 2), "each sequence": (1, 2)}


def norm_gone_wrong(x: Tensor, weight: Tensor, bias: Tensor, eps: float, how: str) -> Tensor:
    """LayerNorm with one known error."""
    axes = NORM_AXES.get(how, (-1,))
    eps = {"eps ignored": 1e-5, "default 1e-6": 1e-6, "default 1e-12": 1e-12}.get(how, eps)
    mean = x.mean(axes, keepdim=True)
    variance = (x - mean).pow(2).mean(axes, keepdim=True)
    if how.startswith("unbiased"):
        variance = variance * x.shape[-1] / (x.shape[-1] - 1)
    if how == "first sequence":
        mean, variance = mean[:1], variance[:1]
    if how == "absolute":
        variance = (x - mean).abs().mean(-1, keepdim=True).pow(2)
    if how == "length":
        variance = variance * x.shape[-1]
    if how in ("no mean", "raw variance"):
        variance = x.pow(2).mean(-1, keepdim=True)
    below = {
        "unbiased std plus eps": variance.sqrt() + eps,
        "eps outside": variance.sqrt() + eps,
        "no eps": variance.sqrt(),
        "no root": variance + eps,
        "clamped": variance.clamp(min=eps).sqrt(),
        "no division": torch.ones_like(variance),
    }.get(how, (variance + eps).sqrt())
    z = (x if how in ("no mean", "mean kept") else x - mean) / below
    ends = {
        "no weight and bias": z,
        "no weight": z + bias,
        "no bias": z * weight,
        "bias first": (z + bias) * weight,
        "weight plus 1": z * (1 + weight) + bias,
    }
    return ends.get(how, z * weight + bias)


def check_norm(answer, x: Tensor, seed: int, eps: float | None = None) -> None:
    d_model = x.shape[-1]
    weight, bias = (randn(d_model, seed=seed + i).to(x.dtype) for i in (300, 301))
    used = 1e-5 if eps is None else eps
    expect_close(
        answer.layer_norm(x, weight, bias) if eps is None else answer.layer_norm(x, weight, bias, eps),
        F.layer_norm(x.double(), (d_model,), weight.double(), bias.double(), used),
        "the normalised x",
        axes="batch pos d_model",
        mistakes={
            sentence: norm_gone_wrong(x, weight, bias, used, how)
            for how, sentence in NORM_ERRORS.items()
            # With an eps of its own: hardly different from the usual one, which is then the likelier error.
            if eps is None or (how != "no eps" and not how.startswith("default"))
        },
    )


@grades("01.2", weight=2)
def test_the_norm_of_random_vectors(answer):
    """Random vectors of several shapes, compared with torch's own LayerNorm."""
    for seed, shape in enumerate(((2, 3, 7), (4, 4, 4), (3, 5, 2), (1, 1, 5), (2, 3, 41))):
        x = 2 * randn(*shape, seed=seed) + randn(*shape[:2], 1, seed=20 + seed)
        check_norm(answer, x.double() if seed == 4 else x, seed)


@grades("01.2")
def test_eps_keeps_tiny_vectors_tiny(answer):
    """Vectors so short that eps matters, vectors of equal numbers, and another eps."""
    check_norm(answer, 1e-3 * randn(2, 3, 5, seed=7), 7)
    check_norm(answer, randn(2, 4, 6, seed=8), 8, eps=0.5)
    equal = torch.tensor([3.0, -0.5, 0.0])[None, :, None].expand(1, 3, 4).clone()
    check_norm(answer, equal, 9)


@grades("01.2")
def test_neither_scale_nor_shift_matters(answer):
    """Mean 0 and variance 1 before weight and bias; a larger or a shifted vector gives the same."""
    x = 3 * randn(2, 5, 17, seed=10)
    one, zero, shape = torch.ones(17), torch.zeros(17), (2, 5, 17)
    got = values(answer.layer_norm(x, one, zero), shape, "the normalised x")
    mean, variance = got.mean(-1).abs().max(), got.var(-1, unbiased=False)
    expect(
        mean < 1e-2, "With weight 1 and bias 0 each vector should have mean 0: subtract its mean, over the last axis."
    )
    expect(
        (variance - 1).abs().max() < 1e-2,
        f"With weight 1 and bias 0 each vector should have variance 1, but the first of yours has "
        f"{float(variance[0, 0]):.3g}. Divide by √(variance + eps), where the variance is the mean of the squares.",
    )
    large = values(answer.layer_norm(1e4 * x, one, zero), shape, "the normalised x")
    expect(
        (large - got).abs().max() < 1e-2,
        "10000 times the vector should give the same as the vector: only its direction matters to the norm.",
    )
    shifted = values(answer.layer_norm(x + 4096, one, zero), shape, "the normalised x")
    expect(
        (shifted - got).abs().max() < 1e-2,
        "If 4096 is added to every number of x, the result should stay the same, and yours changes. The mean of x² "
        "minus the square of the mean is the difference of two huge numbers, and float32 rounds it away. Subtract the "
        "mean from x first, and then take the mean of the squares.",
    )


def layer_norm_learns(answer: Any) -> None:
    """Gradients come through to x, weight and bias; the scale depends on x as well."""
    args = {"x": 2 * randn(2, 3, 7, seed=12), "weight": randn(7, seed=13), "bias": randn(7, seed=14)}
    expect_gradients(
        answer,
        "layer_norm",
        args,
        lambda x, weight, bias: F.layer_norm(x, (7,), weight, bias, 1e-5),
        "the normalised x",
    )


# --- 01.3 -------------------------------------------------------------------------------------------------------------


def score_mistakes(q: Tensor, k: Tensor) -> dict[str, Tensor | None]:
    """What known errors would return; None where they would not come so far."""
    q, k = q.double(), k.double()
    d_head, n_query, n_key = q.shape[-1], q.shape[-2], k.shape[-2]
    dots = torch.einsum("bid,bjd->bij", q, k)
    want = dots / math.sqrt(d_head)
    lengths = q.norm(dim=-1)[:, :, None] * k.norm(dim=-1)[:, None, :]
    cube = q.shape == k.shape and len(set(q.shape)) == 1
    return {
        "The division by √d_head is missing.": dots,
        "You divide by d_head. Divide by its square root.": dots / d_head,
        "You multiply by √d_head. Divide by it.": dots * math.sqrt(d_head),
        "You divide by 8 = √64, which is right for GPT-2 only. Take d_head from the last axis of q.": dots / 8,
        "You divide by the root of the number of keys. It is the width of the head that counts: q.shape[-1].": (
            dots / math.sqrt(n_key)
        ),
        "You divide by the root of the number of queries. It is the width of the head that counts: q.shape[-1].": (
            dots / math.sqrt(n_query)
        ),
        "Queries and keys are exchanged: the first of the two position axes belongs to the query.": want.mT,
        "This is after a softmax. The scores come before it.": want.softmax(-1),
        "You hide the future already. That comes in the next exercise: here all pairs are wanted.": (
            want.masked_fill(torch.ones(n_query, n_key, dtype=torch.bool).triu(1), -torch.inf)
        ),
        "You divide by the lengths of the vectors too (the cosine). The score is the dot product itself.": dots
        / lengths,
        "Every query meets the keys of the first sequence. Each sequence has its own keys.": (
            torch.einsum("bid,jd->bij", q, k[0]) / math.sqrt(d_head)
        ),
        "These are the scores of the first sequence, for every sequence. Each has its own.": want[:1].expand_as(want),
        "A query meets the keys of all sequences together. Each sequence has its own keys.": (
            torch.einsum("bid,cjd->bij", q, k) / math.sqrt(d_head)
        ),
        "You turn k with a reshape or view, which only cuts the same numbers anew. Exchange its last two axes: "
        "k.transpose(-1, -2), or k.mT.": q @ k.contiguous().reshape(k.shape[0], d_head, n_key) / math.sqrt(d_head),
        "These are absolute values. A query may also point away from a key: then the score is negative.": want.abs(),
        "You divide by √d_head rounded down. Use math.sqrt.": dots / math.isqrt(d_head),
        "This is minus the distance of the two. The score is their dot product.": (
            -torch.cdist(q, k) / math.sqrt(d_head)
        ),
        "You sum over positions. The sum runs over d_head, the last axis of both.": (
            torch.einsum("bid,bie->bde", q, k) / math.sqrt(d_head) if n_query == n_key else None
        ),
        "k.T turns all three axes round, the batch too. Exchange the last two: k.transpose(-1, -2), or k.mT.": (
            torch.einsum("bid,zdb->biz", q, k) / math.sqrt(d_head) if cube else None
        ),
    }


@grades("01.3", weight=2)
def test_the_scores_of_random_queries_and_keys(answer):
    """Random queries and keys of several shapes, compared with dot products taken one by one."""
    for seed, (batch, n_query, n_key, d_head) in enumerate(
        ((2, 3, 5, 7), (4, 4, 4, 4), (3, 6, 2, 9), (1, 1, 1, 1), (2, 5, 5, 3))
    ):
        q, k = randn(batch, n_query, d_head, seed=seed), randn(batch, n_key, d_head, seed=40 + seed)
        if seed == 4:
            q, k = q.double(), k.double()
        a, b = q.double().numpy(), k.double().numpy()
        dots = [[[float(np.dot(x, y)) for y in b[n]] for x in a[n]] for n in range(batch)]
        expect_close(
            answer.attention_scores(q, k),
            torch.tensor(dots) / d_head**0.5,
            "the tensor of scores",
            axes="batch query key",
            mistakes=score_mistakes(q, k),
        )


@grades("01.3")
def test_a_query_that_equals_one_key(answer):
    """Keys at right angles: a query of length 6 along one of nine directions fits one key with 6/√9 = 2."""
    k = torch.eye(9)[None, :4].repeat(2, 1, 1)
    q = 6 * torch.eye(9)[torch.tensor([[2, 0], [8, 3]])]
    want = torch.zeros(2, 2, 4)
    want[0, 0, 2] = want[0, 1, 0] = want[1, 1, 3] = 2.0
    expect_close(
        answer.attention_scores(q, k),
        want,
        "the tensor of scores",
        axes="batch query key",
        mistakes=score_mistakes(q, k),
    )


def attention_scores_learns(answer: Any) -> None:
    """Gradients come through to queries and keys."""
    args = {"q": randn(2, 3, 7, seed=60), "k": randn(2, 5, 7, seed=61)}
    expect_gradients(
        answer,
        "attention_scores",
        args,
        lambda q, k: torch.einsum("bid,bjd->bij", q, k) / math.sqrt(7),
        "the tensor of scores",
    )


# --- 01.4 -------------------------------------------------------------------------------------------------------------


def pattern_by_torch(scores: Tensor) -> Tensor:
    """torch's attention, with queries that are the scores: keys and values are the identity."""
    n_query, n_key = scores.shape[-2:]
    eye = torch.eye(n_key, dtype=torch.float64).expand(*scores.shape[:-2], n_key, n_key)
    return F.scaled_dot_product_attention(scores.double(), eye, eye, attn_mask=causal_mask(n_query, n_key), scale=1.0)


def pattern_mistakes(scores: Tensor) -> dict[str, Tensor | None]:
    """What known errors would return."""
    s = scores.double()
    n_query, n_key = s.shape[-2:]
    here = causal_mask(n_query, n_key)
    strictly = here.roll(-1, dims=-1)  # without the position itself
    strictly[:, -1] = False
    from_start = torch.ones(n_query, n_key, dtype=torch.bool).tril()  # torch's tril counts from the top left corner

    def soft(allowed: Tensor, fill: float = -math.inf) -> Tensor:
        return torch.where(allowed, s, torch.tensor(fill, dtype=torch.float64)).softmax(-1)

    masked = torch.where(here, s, -math.inf)
    corner = (
        "With more keys than queries your mask starts in the wrong corner. The LAST query stands at the place of the "
        "last key, so it may look at all of them: see the diagonal of tril."
    )
    itself = "A position may look at itself as well, and your mask hides it. The first one is left with "
    around = "The mask is the wrong way round: you keep the future and hide the past"
    finite = "leaves some attention in the future. Put −∞ (-torch.inf) there: only then the softmax gives exactly 0."
    ahead = here.roll(1, dims=-1)  # and one more
    ahead[:, 0] = True
    more = "Where there are more keys than queries, nothing" if n_key > n_query else "Nothing"
    return {
        f"{more} is hidden: this is a softmax over all keys. Put −∞ where the key is later than the query.": (
            s.softmax(-1)
        ),
        "Each position also sees the next one. It may look at itself and before: see the diagonal of your triangle.": (
            soft(ahead)
        ),
        "All attention goes to the largest score. Take a softmax, which gives each a share.": F.one_hot(
            masked.argmax(-1), n_key
        ).double(),
        corner: soft(from_start) if n_key > n_query else None,
        f"{around}.": soft(~strictly),
        f"{around}, and the position itself.": soft(~here),
        f"{itself}nothing to see, which is 0/0.": soft(strictly),
        f"{itself}nothing to see, and then looks everywhere.": soft(strictly, -1e9),
        "You hide the future after the softmax, so the rows no longer sum to 1. Put −∞ into the scores before it.": (
            s.softmax(-1) * here
        ),
        "You put 0 in place of the hidden scores, and 0 is a score like any other: e⁰ = 1. Put −∞ there.": soft(
            here, 0
        ),
        f"A small negative number in place of −∞ {finite}": soft(here, -10),
        f"To subtract a number like 10 {finite}": (s - 10 * ~here).softmax(-1),
        "Your softmax runs over queries. Each row, over the last axis (keys), must sum to 1.": masked.softmax(-2),
        "Your softmax runs over an axis in front of the positions. Each row, over the last axis (keys), must sum to "
        "1.": masked.softmax(0) if s.ndim > 2 else None,
        "The softmax is missing: these are the masked scores.": masked,
        "These are logarithms: use softmax, not log_softmax.": masked.log_softmax(-1),
        "Your rows do not depend on the scores: take a softmax over them.": here / here.sum(-1, keepdim=True) + 0 * s,
    }


def check_pattern(answer, scores: Tensor) -> Tensor:
    got = answer.causal_pattern(scores)
    leading = "... " if scores.ndim > 2 else ""
    expect_close(
        got,
        pattern_by_torch(scores),
        "the pattern",
        axes=f"{leading}query key",
        mistakes=pattern_mistakes(scores),
    )
    numbers = values(got, tuple(scores.shape), "the pattern")
    expect(
        not numbers[..., ~causal_mask(*scores.shape[-2:])].any(),
        "The future should get exactly 0, and yours is a little above it: put −∞ into the scores, not a small number.",
    )
    return numbers


@grades("01.4", weight=2)
def test_each_row_is_a_softmax_over_the_past(answer):
    """As many keys as queries, with and without leading axes, down to a single position."""
    for seed, shape in enumerate(((2, 5, 5), (7, 7), (2, 3, 7, 7), (3, 3, 3), (1, 1), (2, 1, 11, 11))):
        scores = 2 * randn(*shape, seed=seed)
        check_pattern(answer, scores.double() if seed == 5 else scores)


@grades("01.4")
def test_more_keys_than_queries(answer):
    """The last query stands at the last key: this is how a model writes on, one token at a time."""
    for seed, shape in enumerate(((3, 7), (2, 3, 5), (3, 2, 1, 7), (1, 5))):
        check_pattern(answer, 2 * randn(*shape, seed=10 + seed))


@grades("01.4")
def test_the_size_of_scores_does_not_matter(answer):
    """The same number added to every score changes nothing, and neither does anything in the future."""
    scores = (8 * randn(3, 6, 6, seed=20)).round() / 4  # multiples of 1/4, so that float32 adds large numbers exactly
    want = check_pattern(answer, scores)
    for shift, off in ((300.0, 1e-3), (-300.0, 1e-3), (-3e5, 0.05)):  # there float32 counts in steps of 1/32
        got = values(answer.causal_pattern(scores + shift), (3, 6, 6), "the pattern")
        expect(
            not got.isnan().any(),
            f"With scores of about {shift:.0f} your pattern holds NaN: e³⁰⁰ is infinite in float32, and e⁻³⁰⁰ is 0. "
            "torch's softmax subtracts the largest score of each row first, which changes nothing else.",
        )
        expect(
            (got - want).abs().max() < off,
            f"If {shift:.0f} is added to every score the pattern should stay as it is, and yours changes. Does a "
            "number like −100 or −10000 stand in place of −∞? It is small only beside scores that are larger. Put −∞ "
            "there.",
        )
    loud = scores + 300.0 * ~causal_mask(6)
    got = values(answer.causal_pattern(loud), (3, 6, 6), "the pattern")
    expect(
        (got - want).abs().max() < 1e-3,  # NaN fails too
        "Large scores in the future change your pattern. If the softmax comes before the mask, the future takes part "
        "in it and may leave nothing for the past. Hide it before the softmax.",
    )


def causal_pattern_learns(answer: Any) -> None:
    """Gradients come through to the scores of the past, and those of the future have none."""

    def oracle(scores: Tensor) -> Tensor:
        return torch.where(causal_mask(*scores.shape[-2:]), scores, -math.inf).softmax(-1)

    expect_gradients(answer, "causal_pattern", {"scores": randn(2, 3, 5, seed=62)}, oracle, "the pattern")


# --- 01.5 -------------------------------------------------------------------------------------------------------------

ORDER = "The last axis of the product holds queries first, then keys, then values. You take it as "
ATTENTION_ERRORS = {
    "qvk": ORDER + "queries, values, keys.",
    "kqv": ORDER + "keys, queries, values.",
    "kvq": ORDER + "keys, values, queries.",
    "vqk": ORDER + "values, queries, keys.",
    "vkq": ORDER + "values, keys, queries.",
    "head by head": "You cut the product into heads first, and each head into its query, key and value. All queries "
    "come first: cut it into three, and then each of the three into heads.",
    "interleaved": "Head 0 has the FIRST d_head numbers, not every n_heads-th: the axes of the last axis are "
    "(three head d), in this order.",
    "view": "You split the heads with a view or reshape alone, which mixes positions. First make the last axis into "
    "(head, d_head), then bring the head in front of the positions with transpose.",
    "view both": "You split and join the heads with views alone, which mixes positions. Make the last axis into "
    "(head, d_head), bring the head in front with transpose, and take it back in the same way.",
    "joined by view": "The heads are right, but you join them with a view or reshape alone, which mixes positions. "
    "Bring the head axis back behind the positions first.",
    "joined interleaved": "The heads are right, but side by side means: all numbers of head 0, then all of head 1. The "
    "last axis must be (head d), not (d head).",
    "one head": "You use one head. Cut queries, keys and values into n_heads heads first.",
    "sqrt d_model": "The scores are divided by √d_model. A head is d_head = d_model / n_heads wide: divide by √d_head.",
    "no scale": "The scores are not divided by √d_head. Your attention_scores does it.",
    "twice": "The scores are divided by √d_head twice. Your attention_scores has done it already.",
    "no mask": "Positions look into the future. Send the scores through your causal_pattern.",
    "no softmax": "The softmax is missing: send the scores through your causal_pattern.",
    "turned": "The pattern is turned: position i takes the values of j, weighted by pattern[i, j]. Write pattern @ v.",
    "keys for values": "You average keys. The pattern says how to average the values.",
    "exchanged in": "Going into the heads you exchange batch and heads: the axes in front of the positions are cut in "
    "one order and read in another.",
    "exchanged out": "Coming out of the heads you exchange batch and heads: what went in as (batch head) must come out "
    "as (batch head).",
    "mean pattern": "All heads share one pattern, the mean of theirs. Each head averages its values with its own.",
    "first pattern": "All heads use the pattern of head 0. Each head averages its values with its own.",
    "backwards": "The heads stand side by side in reverse order. Head 0 comes first.",
    "summed": "You add the heads up. They lie side by side: head 0 has the first d_head numbers, head 1 the next.",
    "bias each": "c_proj.bias is added once for every head. Add it once.",
    "over heads": "The heads of a position look at each other. Positions look at positions, in each head by itself.",
    "over batch": "Sequences look at sequences. Positions look at positions, in each sequence by itself.",
    "no bias": "Both biases are missing: add c_attn.bias after the first product and c_proj.bias after the last.",
    "no c_attn.bias": "c_attn.bias is missing: add it after the first product.",
    "no c_proj.bias": "c_proj.bias is missing: add it at the end.",
    "no c_proj": "The last step is missing: the heads, side by side, go through c_proj.weight and c_proj.bias.",
    "c_proj turned": "c_proj.weight is used as nn.Linear would. GPT-2 keeps its matrices as [in, out]: z @ W, without "
    "turning it.",
    "plus x": "You add x. That is the block's task, two exercises on: here only what attention writes is wanted.",
}


def split_heads(qkv: Tensor, n_heads: int, how: str) -> Tensor:
    """[three batch head pos d_head], rightly or with one known error."""
    batch, pos, d_model = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    d_head = d_model // n_heads
    if how == "head by head":
        return qkv.view(batch, pos, n_heads, 3, d_head).permute(3, 0, 2, 1, 4)
    if how == "interleaved":
        return qkv.view(batch, pos, 3, d_head, n_heads).permute(2, 0, 4, 1, 3)
    if how in ("view", "view both"):
        return qkv.view(batch, pos, 3, d_model).permute(2, 0, 1, 3).reshape(3, batch, n_heads, pos, d_head)
    return qkv.view(batch, pos, 3, n_heads, d_head).permute(2, 0, 3, 1, 4)


def average_values(q: Tensor, k: Tensor, v: Tensor, d_model: int, how: str) -> Tensor:
    """[batch head pos d_head], rightly or with one known error."""
    scale = {"sqrt d_model": d_model**-0.5, "no scale": 1.0, "twice": 1 / q.shape[-1]}.get(how, q.shape[-1] ** -0.5)
    if how == "no softmax":
        return (q @ k.mT * scale).tril() @ v
    if how in ("mean pattern", "first pattern"):
        pattern = pattern_by_torch(q @ k.mT * scale).to(v.dtype)
        return (pattern.mean(1, keepdim=True) if how == "mean pattern" else pattern[:, :1]) @ v
    if how == "over heads":
        return F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v)), scale=scale).transpose(1, 2)
    if how == "over batch":
        turned = (t.transpose(0, 2) for t in (q, k, v))
        return F.scaled_dot_product_attention(*turned, is_causal=True, scale=scale).transpose(0, 2)
    if how == "turned":
        return pattern_by_torch(q @ k.mT * scale).mT.to(v.dtype) @ v
    v = k if how == "keys for values" else v
    return F.scaled_dot_product_attention(q, k, v, is_causal=how != "no mask", scale=scale)


def attention_mistakes(x: Tensor, w: dict[str, Tensor], n_heads: int) -> dict[str, Tensor | None]:
    return {text: attention_gone_wrong(x, w, n_heads, how) for how, text in ATTENTION_ERRORS.items()}


def attention_gone_wrong(x: Tensor, w: dict[str, Tensor], n_heads: int, how: str) -> Tensor:
    """Attention with one known error."""
    n_heads = 1 if how == "one head" else n_heads
    qkv = x @ w["c_attn.weight"] + (0 if how in ("no bias", "no c_attn.bias") else w["c_attn.bias"])
    three = split_heads(qkv, n_heads, how)
    q, k, v = three[[how.index(c) for c in "qkv"]] if sorted(how) == sorted("qkv") else three
    if how == "exchanged in":
        q, k, v = (t.transpose(0, 1).reshape(t.shape) for t in (q, k, v))
    z = average_values(q, k, v, x.shape[-1], how)
    if how == "exchanged out":
        z = z.flatten(0, 1).unflatten(0, (n_heads, -1)).transpose(0, 1)
    elif how == "backwards":
        z = z.flip(1)
    elif how == "summed":
        z = z.sum(1, keepdim=True).expand_as(z)
    if how == "joined interleaved":
        z = z.permute(0, 2, 3, 1)
    elif how not in ("view both", "joined by view"):
        z = z.transpose(1, 2)
    z = z.reshape(x.shape)
    if how == "no c_proj":
        return z
    W = w["c_proj.weight"].T if how == "c_proj turned" else w["c_proj.weight"]
    times = {"no bias": 0, "no c_proj.bias": 0, "bias each": n_heads}.get(how, 1)
    return z @ W + times * w["c_proj.bias"] + (x if how == "plus x" else 0)


def attention_from(answer: Any, x: Tensor, w: dict[str, Tensor], n_heads: int) -> Any:
    vectors, d_model = x.shape[0] * x.shape[1], x.shape[2]
    turned = (
        "c_attn.weight is used as nn.Linear would. GPT-2 keeps its matrices as [in, out]: x @ W, without turning it."
    )
    sentences = {f"({vectors}x{d_model} and {3 * d_model}x{d_model})": turned}
    return explaining(sentences, answer.attention, x, w, n_heads)


@functools.cache
def random_attention(d_model: int, n_heads: int, seed: int) -> Any:
    return randomised(GPT2Attention(gpt2_config(d_model, n_heads), layer_idx=0), seed)


@grades("01.5", weight=2)
def test_attention_equals_that_of_transformers(answer):
    """Random weights of several shapes, compared with the attention of `transformers`."""
    cases = ((2, 5, 21, 3, 0), (3, 5, 14, 2, 1), (2, 3, 35, 5, 2), (4, 4, 4, 2, 3), (2, 3, 7, 1, 4), (3, 7, 5, 5, 5))
    for batch, pos, d_model, n_heads, seed in cases:
        x, module = randn(batch, pos, d_model, seed=seed), random_attention(d_model, n_heads, seed)
        w = dict(module.state_dict())
        want = module(x, attention_mask=future_mask(pos))[0]
        if seed == 1:
            x, w = x.double(), {name: value.double() for name, value in w.items()}
        expect_close(
            attention_from(answer, x, w, n_heads),
            want,
            f"the output of {n_heads} head{'s' * (n_heads > 1)}",
            mistakes=functools.partial(attention_mistakes, x, w, n_heads),
            axes="batch pos d_model",
        )


@grades("01.5")
def test_a_single_position_looks_at_itself(answer):
    """One position: whatever the scores, its value goes through c_proj."""
    for batch, d_model, n_heads, seed in ((3, 6, 2, 6), (1, 4, 1, 7)):
        x, w = randn(batch, 1, d_model, seed=seed), dict(random_attention(d_model, n_heads, seed).state_dict())
        v = x @ w["c_attn.weight"][:, 2 * d_model :] + w["c_attn.bias"][2 * d_model :]
        expect_close(
            attention_from(answer, x, w, n_heads),
            v @ w["c_proj.weight"] + w["c_proj.bias"],
            "the output for a single position",
            mistakes=functools.partial(attention_mistakes, x, w, n_heads),
            axes="batch pos d_model",
        )


@grades("01.5")
def test_attention_sees_no_future_and_no_neighbour(answer):
    """A change at one position moves nothing before it, and sequences of a batch do not see one another."""
    w = dict(random_attention(8, 2, 8).state_dict())
    x, other = randn(4, 4, 8, seed=8), randn(4, 4, 8, seed=9)

    def run(y: Tensor) -> Any:
        return attention_from(answer, y, w, 2)

    check_no_future(run, x, other, (4, 4, 8), "the output")
    check_sequences_apart(run, x, (4, 4, 8), "the output")


def attention_learns(answer: Any) -> None:
    """Gradients come through to x, to all weights and to the biases."""
    w = dict(random_attention(21, 3, 10).state_dict())
    x = randn(2, 5, 21, seed=10)

    def oracle(x: Tensor, w: dict[str, Tensor], n_heads: int) -> Tensor:
        return attention_gone_wrong(x, w, n_heads, "")

    args = {"x": x, "w": w, "n_heads": 3}
    expect_gradients(answer, "attention", args, oracle, "the output of 3 heads")


# --- 01.6 -------------------------------------------------------------------------------------------------------------


def tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def gelu_without(
    x: Tensor, factor: float = math.sqrt(2 / math.pi), power: int = 3, half: float = 0.5, cube: float = 0.044715
) -> Tensor:
    """The formula with one of its numbers changed."""
    return half * x * (1 + torch.tanh(factor * (x + cube * x**power)))


BENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "This is the exact GELU, with the error function. GPT-2 was trained with the formula with tanh, and its weights "
    "expect that one.": F.gelu,
    "This is ReLU. GPT-2 bends with GELU.": F.relu,
    "This is x·σ(x), called SiLU or Swish. GPT-2 bends with GELU.": F.silu,
    "This is x·σ(1.702 x), a rougher GELU. Use the formula with tanh.": lambda x: x * torch.sigmoid(1.702 * x),
    "This is tanh alone. GELU is 0.5 x (1 + tanh(…)).": torch.tanh,
    "There is no bend between the two layers, so together they are one matrix. Put GELU there.": lambda x: x,
    "GELU has x³ in it, and yours has x².": functools.partial(gelu_without, power=2),
    "The factor √(2/π) of GELU is missing.": functools.partial(gelu_without, factor=1.0),
    "GELU has √(2/π), and yours has 2/π: take the root.": functools.partial(gelu_without, factor=2 / math.pi),
    "The 0.5 in front of GELU is missing.": functools.partial(gelu_without, half=1.0),
    **{
        f"The number in front of x³ is 0.044715. Yours is {cube:g}.": functools.partial(gelu_without, cube=cube)
        for cube in (0.0447, 0.044, 0.045, 0.04, 0.44715, -0.044715, 0.0)
    },
}


def mlp_mistakes(x: Tensor, w: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """What known errors would return; None where they would not come so far."""
    W_in, b_in, W_out, b_out = (w[name] for name in ("c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias"))
    pre = x @ W_in + b_in
    want = tanh_gelu(pre) @ W_out + b_out
    square = W_in.shape[0] == W_in.shape[1]
    return {
        **{text: bend(pre) @ W_out + b_out for text, bend in BENDS.items()},
        "You bend the output. GELU stands between the two layers.": tanh_gelu(pre @ W_out + b_out),
        "You bend twice. The output of the second layer stays as it is.": tanh_gelu(want),
        "You bend the input. GELU stands between the two layers.": (tanh_gelu(x) @ W_in + b_in) @ W_out + b_out,
        "Both biases are missing.": tanh_gelu(x @ W_in) @ W_out,
        "c_fc.bias is missing: add it before GELU.": tanh_gelu(x @ W_in) @ W_out + b_out,
        "You add c_fc.bias after GELU. It comes before.": (tanh_gelu(x @ W_in) + b_in) @ W_out + b_out,
        "c_proj.bias is missing: add it at the end.": want - b_out,
        "The second layer is missing: multiply by c_proj.weight and add c_proj.bias.": tanh_gelu(pre),
        "Only the first 4 · d_model neurons take part. Take all that c_fc.weight has: d_mlp may be any number.": (
            tanh_gelu(pre[..., : 4 * W_in.shape[0]]) @ W_out[: 4 * W_in.shape[0]] + b_out
            if pre.shape[-1] > 4 * W_in.shape[0]
            else None
        ),
        "You add x. That is the block's task, in the next exercise: here only what the MLP writes is wanted.": want + x,
        **({text: tanh_gelu(x @ a + b_in) @ b + b_out for text, a, b in turned(W_in, W_out)} if square else {}),
    }


def turned(W_in: Tensor, W_out: Tensor) -> list[tuple[str, Tensor, Tensor]]:
    """The two matrices, one or both used as nn.Linear would."""
    why = "as nn.Linear would. GPT-2 keeps its matrices as [in, out]: x @ W, without turning it."
    return [
        (f"Both matrices are used {why}", W_in.T, W_out.T),
        (f"c_fc.weight is used {why}", W_in.T, W_out),
        (f"c_proj.weight is used {why}", W_in, W_out.T),
    ]


@functools.cache
def random_mlp(d_model: int, d_mlp: int, seed: int) -> Any:
    return randomised(GPT2MLP(d_mlp, gpt2_config(d_model, 1)), seed)


@grades("01.6", weight=2)
def test_the_mlp_equals_that_of_transformers(answer):
    """Random weights of several shapes, compared with the MLP of `transformers`."""
    cases = ((3, 2, 5, 5, 1), (2, 5, 7, 11, 0), (1, 1, 11, 3, 2), (2, 5, 3, 13, 3), (3, 2, 5, 521, 4), (2, 3, 7, 28, 5))
    for batch, pos, d_model, d_mlp, seed in cases:
        size = 0.1 if d_mlp > 100 else 2  # of a wide one the float32 sum should not lose what is compared
        x, module = size * randn(batch, pos, d_model, seed=seed), random_mlp(d_model, d_mlp, seed)
        w = dict(module.state_dict())
        want = module(x)
        if seed == 3:
            x, w = x.double(), {name: value.double() for name, value in w.items()}
        mistakes = functools.partial(mlp_mistakes, x, w)
        expect_close(answer.mlp(x, w), want, "the output of the MLP", mistakes=mistakes, axes="batch pos d_model")


@grades("01.6")
def test_the_bend_from_far_left_to_far_right(answer):
    """Matrices that do nothing leave the bend alone: from −6 to 6, and at numbers of 100 and 1000."""
    x = torch.cat([torch.linspace(-6, 6, 25), torch.tensor([100.0, -100.0, 1000.0, -1000.0, 0.0])])[None, :, None]
    one, zero = torch.ones(1, 1), torch.zeros(1)
    w = {"c_fc.weight": one, "c_fc.bias": zero, "c_proj.weight": one, "c_proj.bias": zero}
    got = answer.mlp(x, w)
    expect(
        not values(got, tuple(x.shape), "the output of the MLP").isnan().any(),
        "With numbers of 100 or 1000 your GELU gives NaN: exp of a large number is infinite, and ∞/∞ is nothing. "
        "torch.tanh copes with that.",
    )
    expect_close(got, tanh_gelu(x.double()), "GELU", axes="batch pos d_model", mistakes=mlp_mistakes(x, w))
    x, w = x[:, :25].double(), {name: value.double() for name, value in w.items()}
    want, mistakes = tanh_gelu(x), mlp_mistakes(x, w)  # in double precision, where the last digits of 0.044715 show
    expect_close(answer.mlp(x, w), want, "GELU", axes="batch pos d_model", mistakes=mistakes, atol=2e-6, rtol=1e-6)


@grades("01.6")
def test_every_position_is_alone(answer):
    """A change at one position moves that position only."""
    w, x = dict(random_mlp(5, 5, 4).state_dict()), randn(5, 5, 5, seed=4)
    before = values(answer.mlp(x, w), (5, 5, 5), "the output of the MLP")
    changed = x.clone()
    changed[1, 2] = randn(5, seed=5)
    moved = (values(answer.mlp(changed, w), (5, 5, 5), "the output of the MLP") - before).abs().amax(-1) > 1e-5
    expect(
        moved.nonzero().tolist() == [[1, 2]],
        "One vector was changed, at position 2 of sequence 1, and exactly that vector's output should move. The MLP "
        "treats each position by itself: nothing in it runs over positions or over the batch.",
    )


def mlp_learns(answer: Any) -> None:
    """Gradients come through to x, to both matrices and to both biases."""

    def oracle(x: Tensor, w: dict[str, Tensor]) -> Tensor:
        return tanh_gelu(x @ w["c_fc.weight"] + w["c_fc.bias"]) @ w["c_proj.weight"] + w["c_proj.bias"]

    args = {"x": randn(2, 3, 7, seed=15), "w": dict(random_mlp(7, 11, 15).state_dict())}
    expect_gradients(answer, "mlp", args, oracle, "the output of the MLP")


# --- 01.7 -------------------------------------------------------------------------------------------------------------

Stream = Callable[[Tensor], Tensor]
Wiring = Callable[[Tensor, Stream, Stream, Stream, Stream], Tensor]  # of x, attention, MLP, ln_1 and ln_2


def after(y: Tensor, f: Stream) -> Tensor:
    """y plus what f makes of y, where y is needed twice."""
    return y + f(y)


WRONG_WIRINGS: dict[str, Wiring] = {
    "The norms come too late: you normalise the stream after each sum (post-norm, as the first transformer did). "
    "GPT-2 normalises what attention and MLP read, and the stream stays as it is.": (
        lambda x, a, m, n1, n2: n2(after(n1(after(x, a)), m))
    ),
    "You normalise what attention and MLP write. Normalise what they read.": (
        lambda x, a, m, n1, n2: after(x + n1(a(x)), lambda y: n2(m(y)))
    ),
    "Attention and MLP work side by side here (parallel, as in GPT-J). In GPT-2 the MLP comes second: it reads the "
    "stream to which attention has already added.": lambda x, a, m, n1, n2: x + a(n1(x)) + m(n2(x)),
    "Attention and MLP read the same norm of the same stream. In GPT-2 the MLP comes second, with ln_2.": (
        lambda x, a, m, n1, n2: x + a(n1(x)) + m(n1(x))
    ),
    "Nothing is added to the stream: it is replaced, twice. Each output is added to what was there.": (
        lambda x, a, m, n1, n2: m(n2(a(n1(x))))
    ),
    "After attention the stream is lost: add its output to x.": lambda x, a, m, n1, n2: after(
        a(n1(x)), lambda y: m(n2(y))
    ),
    "After the MLP the stream is lost: add its output to the stream.": lambda x, a, m, n1, n2: m(n2(x + a(n1(x)))),
    "What attention writes does not reach the end: the MLP's output is added to the stream of the beginning.": (
        lambda x, a, m, n1, n2: x + m(n2(x + a(n1(x))))
    ),
    "The MLP reads what attention wrote, alone. It reads the whole stream, after the sum.": (
        lambda x, a, m, n1, n2: after(x, lambda y: a(n1(y)) + m(n2(a(n1(y)))))
    ),
    "You put the norm into the stream itself (x = ln(x)). The norm is for reading only: add to the x from before it.": (
        lambda x, a, m, n1, n2: after(n2(after(n1(x), a)), m)
    ),
    "The first sum starts from ln_1(x). Add attention's output to x itself.": (
        lambda x, a, m, n1, n2: after(after(n1(x), a), lambda y: m(n2(y)))
    ),
    "The second sum starts from ln_2 of the stream. Add the MLP's output to the stream itself.": (
        lambda x, a, m, n1, n2: after(n2(x + a(n1(x))), m)
    ),
    "Both norms are missing: attention reads through ln_1, and the MLP through ln_2.": (
        lambda x, a, m, n1, n2: after(after(x, a), m)
    ),
    "ln_1 is missing: attention reads the stream through it.": lambda x, a, m, n1, n2: after(
        after(x, a), lambda y: m(n2(y))
    ),
    "ln_2 is missing: the MLP reads the stream through it.": lambda x, a, m, n1, n2: after(x + a(n1(x)), m),
    "ln_1 and ln_2 are exchanged: ln_1 belongs to attention.": lambda x, a, m, n1, n2: after(
        x + a(n2(x)), lambda y: m(n1(y))
    ),
    "The MLP reads through ln_1. It has a norm of its own, ln_2.": lambda x, a, m, n1, n2: after(
        x + a(n1(x)), lambda y: m(n1(y))
    ),
    "The MLP comes first. Attention comes first.": lambda x, a, m, n1, n2: after(x + m(n2(x)), lambda y: a(n1(y))),
    "The MLP is missing.": lambda x, a, m, n1, n2: x + a(n1(x)),
    "Attention is missing.": lambda x, a, m, n1, n2: x + m(n2(x)),
    "x is added twice: the second sum starts from the stream, which holds x already.": (
        lambda x, a, m, n1, n2: x + after(x + a(n1(x)), lambda y: m(n2(y)))
    ),
}


def block_mistakes(module: Any, x: Tensor, n_heads: int) -> dict[str, Tensor]:
    """What known errors would return, put together from the parts of a block of `transformers`."""
    w = {name.removeprefix("attn."): value for name, value in module.state_dict().items() if name.startswith("attn.")}

    def attend(y: Tensor) -> Tensor:
        return module.attn(y, attention_mask=future_mask(y.shape[1]))[0]

    def attend_with_one(y: Tensor) -> Tensor:
        return attention_gone_wrong(y, w, n_heads, "one head")

    def crossed(y: Tensor, one: Any, other: Any) -> Tensor:
        return F.layer_norm(y, y.shape[-1:], one.weight, other.bias)

    wrong = {text: wire(x, attend, module.mlp, module.ln_1, module.ln_2) for text, wire in WRONG_WIRINGS.items()}
    wrong["The biases of ln_1 and ln_2 are exchanged."] = after(
        x + attend(crossed(x, module.ln_1, module.ln_2)), lambda y: module.mlp(crossed(y, module.ln_2, module.ln_1))
    )
    one = after(x + attend_with_one(module.ln_1(x)), lambda y: module.mlp(module.ln_2(y)))
    return {
        **wrong,
        **other_eps(module, x, attend),
        "Attention has one head only: hand n_heads on to it.": one,
    }


OTHER_EPS = "The norms of GPT-2 have eps = 0.00001, which is the default of your layer_norm. Yours "
WRONG_EPS = {
    1e-12: "is missing, or far smaller.",
    1e-8: "is 0.00000001.",
    1e-6: "is 0.000001.",
    1e-4: "is 0.0001.",
    1e-3: "is 0.001.",
}


def other_eps(module: Any, x: Tensor, attend: Stream) -> dict[str, Tensor]:
    """The block with another eps in both norms. For vectors so short that it counts."""

    def norm(y: Tensor, ln: Any, eps: float) -> Tensor:
        return F.layer_norm(y, y.shape[-1:], ln.weight, ln.bias, eps)

    def block(first: float, second: float) -> Tensor:
        mid = x + attend(norm(x, module.ln_1, first))
        return mid + module.mlp(norm(mid, module.ln_2, second))

    found: dict[str, Tensor] = {}
    for eps, text in WRONG_EPS.items():
        found[f"{OTHER_EPS}{text}"] = block(eps, eps)
        found[f"In ln_1: {OTHER_EPS}{text}"] = block(eps, 1e-5)
        found[f"In ln_2: {OTHER_EPS}{text}"] = block(1e-5, eps)
    return found


@functools.cache
def random_block(d_model: int, n_heads: int, seed: int) -> Any:
    return randomised(GPT2Block(gpt2_config(d_model, n_heads, n_inner=2 * d_model + 1), layer_idx=0), seed)


@grades("01.7", weight=2)
def test_the_block_equals_that_of_transformers(answer):
    """Random weights of several shapes, compared with a block of `transformers`."""
    for batch, pos, d_model, n_heads, seed in ((2, 7, 15, 3, 0), (4, 4, 4, 4, 1), (5, 1, 6, 3, 2), (1, 7, 5, 1, 3)):
        x, module = 2 * randn(batch, pos, d_model, seed=seed) + 0.5, random_block(d_model, n_heads, seed)
        w = dict(module.state_dict())
        want = module(x, attention_mask=future_mask(pos))
        mistakes = functools.partial(block_mistakes, module, x, n_heads)
        if seed == 3:
            x, w = x.double(), {name: value.double() for name, value in w.items()}
        expect_close(
            answer.block(x, w, n_heads), want, "the stream after the block", mistakes=mistakes, axes="batch pos d_model"
        )


@grades("01.7")
def test_short_vectors_show_the_eps_of_the_norms(answer):
    """A stream so short that eps counts, and attention that writes little to it."""
    x, module = 1e-3 * randn(2, 5, 21, seed=30), copy.deepcopy(random_block(21, 3, 30))
    for parameter in module.attn.c_proj.parameters():
        parameter.data.mul_(1e-3)
    expect_close(
        answer.block(x, dict(module.state_dict()), 3),
        module(x, attention_mask=future_mask(5)),
        "the stream after the block, where it was short,",
        mistakes=functools.partial(block_mistakes, module, x, 3),
        axes="batch pos d_model",
    )


def block_learns(answer: Any) -> None:
    """Gradients come through to the stream, on both ways, and to all weights."""
    module = random_block(15, 3, 31)
    gelu = tanh_gelu

    def oracle(x: Tensor, w: dict[str, Tensor], n_heads: int) -> Tensor:
        attn = {name.removeprefix("attn."): t for name, t in w.items() if name.startswith("attn.")}
        x = x + attention_gone_wrong(F.layer_norm(x, (15,), w["ln_1.weight"], w["ln_1.bias"]), attn, n_heads, "")
        read = F.layer_norm(x, (15,), w["ln_2.weight"], w["ln_2.bias"])
        pre = read @ w["mlp.c_fc.weight"] + w["mlp.c_fc.bias"]
        return x + gelu(pre) @ w["mlp.c_proj.weight"] + w["mlp.c_proj.bias"]

    args = {"x": randn(2, 5, 15, seed=31), "w": dict(module.state_dict()), "n_heads": 3}
    expect_gradients(answer, "block", args, oracle, "the stream after the block")


@grades("01.7")
def test_a_silent_block_changes_nothing(answer):
    """If attention and MLP write zeros, the stream goes through as it came; if only one does, the other is heard."""
    for seed, silent in enumerate((("attn", "mlp"), ("attn",), ("mlp",))):
        x, module = 3 * randn(2, 4, 6, seed=seed) + 1, random_block(6, 2, 10 + seed)
        w = dict(module.state_dict())
        for part in silent:
            w |= {f"{part}.c_proj.{kind}": torch.zeros_like(w[f"{part}.c_proj.{kind}"]) for kind in ("weight", "bias")}
        attended = (
            torch.zeros_like(x) if "attn" in silent else module.attn(module.ln_1(x), attention_mask=future_mask(4))[0]
        )
        thought = torch.zeros_like(x) if "mlp" in silent else module.mlp(module.ln_2(x + attended))
        both = "attention and MLP write zeros" if len(silent) == 2 else f"{silent[0]}.c_proj is 0"
        expect_close(
            answer.block(x, w, 2),
            x + attended + thought,
            f"the stream, where {both},",
            axes="batch pos d_model",
            mistakes={
                "Attention and MLP write zeros here, so the stream should come out as it went in. Yours is gone: add "
                "to it, and never replace it.": torch.zeros_like(x) if len(silent) == 2 else None,
                "Attention and MLP write zeros here, so the stream should come out as it went in. Yours comes out "
                "normalised: the norms are for reading only.": module.ln_1(x) if len(silent) == 2 else None,
            },
        )


@grades("01.7")
def test_the_block_sees_no_future_and_no_neighbour(answer):
    """A change at one position moves nothing before it, and sequences of a batch do not see one another."""
    w = dict(random_block(4, 2, 20).state_dict())
    x, other = randn(4, 4, 4, seed=20), randn(4, 4, 4, seed=21)

    def run(y: Tensor) -> Any:
        return answer.block(y, w, 2)

    check_no_future(run, x, other, (4, 4, 4), "the stream")
    check_sequences_apart(run, x, (4, 4, 4), "the stream")


# --- 01.8 -------------------------------------------------------------------------------------------------------------


def own_weights(model: Any) -> dict[str, Tensor]:
    """The weights of a GPT-2 of `transformers` under the names of the exercise, without the second name of W_E."""
    weights = {name.removeprefix("transformer."): value for name, value in model.state_dict().items()}
    return {name: value for name, value in weights.items() if name != "lm_head.weight"}


@functools.cache
def random_gpt2(n_layers: int, d_model: int, n_heads: int, d_vocab: int, seed: int) -> Any:
    sizes = {"n_layer": n_layers, "vocab_size": d_vocab, "n_inner": 2 * d_model + 1}
    return randomised(GPT2LMHeadModel(gpt2_config(d_model, n_heads, **sizes)), seed)


TURN_W_E = "The last product needs W_E turned: the logit of token j is the dot product with ROW j of W_E."


def logits_from(answer: Any, tokens: Tensor, weights: dict[str, Tensor], n_heads: int) -> Any:
    d_vocab, d_model = weights["wte.weight"].shape
    sentences = {
        "lm_head": "There is no lm_head.weight: GPT-2 uses its table of words once more at the end, so the logits come "
        "from wte.weight.",
        f"({tokens.numel()}x{d_model} and {d_vocab}x{d_model})": TURN_W_E,
    }
    return explaining(sentences, answer.gpt2, tokens, weights, n_heads)


def layer_mistakes(n: int) -> dict[str, list[int]]:
    """Which layers known errors would run, in order."""
    dot = (
        'Layer 1 ran with the weights of the last layer: names that begin with "h.1" are also those of "h.10." and '
        '"h.11.". Write the dot: "h.1.".'
    )
    return {
        "Twelve layers are built in, and GPT-2 small alone has twelve. Go on as long as there are weights.": (
            list(range(min(n, 12)))
        ),
        "Only two layers ran. There may be more or fewer: go on as long as there are weights.": [0, 1][:n],
        "Only layer 0 ran. Go on as long as there are weights.": [0],
        "The last layer is missing: does your loop end one too early?": list(range(n - 1)),
        "Layer 0 is missing: layers are counted from 0.": list(range(1, n)),
        "The layers run backwards. Start with layer 0, and do not rely on the order of the dict.": list(range(n))[::-1],
        'The layers run in the order of the alphabet, and there "h.10" comes before "h.2". Count with a number.': (
            sorted(range(n), key=str)
        ),
        dot: [n - 1 if layer == 1 and n > 10 else layer for layer in range(n)],
        "All layers run with the weights of layer 0. Each has its own.": [0] * n,
        'No layer ran. Are the names of the weights right? They begin with "h.0.", "h.1.", …': [],
        "Only the first ten layers ran, those whose number has one digit.": list(range(min(n, 10))),
    }


def run_layers(model: Any, tokens: Tensor, layers: list[int], places: bool = True, norm: bool = False) -> Tensor:
    """The stream after these layers; with one known error if places are left out or the last norm is in each layer."""
    t, pos = model.transformer, tokens.shape[1]
    x = t.wte(tokens) + (t.wpe(torch.arange(pos)) if places else 0)
    for layer in layers:
        x = t.h[layer](x, attention_mask=future_mask(pos))
        x = t.ln_f(x) if norm else x
    return x


def gpt2_mistakes(model: Any, tokens: Tensor) -> dict[str, Tensor | None]:
    """What known errors would return; None where they would not come so far."""
    t, n = model.transformer, len(model.transformer.h)
    W_E, every = t.wte.weight, list(range(n))
    stream = run_layers(model, tokens, every)
    logits = t.ln_f(stream) @ W_E.T
    square = W_E.shape[0] == W_E.shape[1]
    return {
        "The last norm is missing: ln_f comes before the logits.": stream @ W_E.T,
        "The places are missing: use your embed, with wpe.weight.": (
            t.ln_f(run_layers(model, tokens, every, places=False)) @ W_E.T
        ),
        "ln_f comes once, after the last layer. Yours comes after every layer.": (
            run_layers(model, tokens, every, norm=True) @ W_E.T
        ),
        "ln_f comes once, after the last layer. Yours comes after every layer and once more.": (
            t.ln_f(run_layers(model, tokens, every, norm=True)) @ W_E.T
        ),
        TURN_W_E: t.ln_f(stream) @ W_E if square else None,
        "This is the stream after the last norm. The logits are its dot products with the rows of W_E.": t.ln_f(stream),
        "ln_f comes once. Yours is applied twice.": t.ln_f(t.ln_f(stream)) @ W_E.T,
        "The logits are the dot products as they are. You divide them by √d_model.": logits / math.sqrt(W_E.shape[1]),
        "At the end the embedding is added once more: the stream holds it already.": (
            t.ln_f(stream + run_layers(model, tokens, [])) @ W_E.T
        ),
        "These are probabilities. The logits come before the softmax.": logits.softmax(-1),
        "These are log probabilities. The logits come before the log-softmax.": logits.log_softmax(-1),
        "These are the logits of the last position. Keep those of every position.": logits[:, -1],
        **{text: t.ln_f(run_layers(model, tokens, layers)) @ W_E.T for text, layers in layer_mistakes(n).items()},
    }


@grades("01.8", weight=2)
def test_the_logits_equal_those_of_transformers(answer):
    """Random networks with 1 to 12 layers, compared with `transformers`."""
    cases = ((5, 14, 2, 17, 3, 11), (2, 6, 3, 6, 6, 6), (1, 5, 1, 7, 3, 1), (12, 4, 2, 7, 3, 5), (13, 6, 2, 5, 1, 16))
    for n_layers, d_model, n_heads, d_vocab, batch, pos in cases:
        model = random_gpt2(n_layers, d_model, n_heads, d_vocab, seed=n_layers)
        tokens, weights = random_tokens(batch, pos, d_vocab, n_layers), own_weights(model)
        want = model(tokens).logits
        if n_layers == 2:  # a dict in another order, in double precision
            weights = {name: weights[name].double() for name in sorted(weights, reverse=True)}
        expect_close(
            logits_from(answer, tokens, weights, n_heads),
            want,
            f"the tensor of logits, for a network with {n_layers} layer{'s' * (n_layers > 1)},",
            mistakes=functools.partial(gpt2_mistakes, model, tokens),
            axes="batch pos d_vocab",
            atol=1e-4,
        )


def quiet(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A network that says little: its stream stays so short that the eps of every norm counts."""
    small = ("wte.weight", "wpe.weight", "c_proj.weight", "c_proj.bias")
    return {name: 1e-3 * w if name.endswith(small) else w for name, w in weights.items()}


def wrong_eps(weights: dict[str, Tensor], tokens: Tensor, n_heads: int) -> dict[str, Tensor]:
    """The logits with another eps in all norms, or in the last one alone."""
    found = {
        OTHER_EPS + text: net_run(weights, tokens, n_heads, f"eps {eps}")["logits"] for eps, text in WRONG_EPS.items()
    }
    last = "The last norm has another eps than the default of your layer_norm, 0.00001: it "
    return found | {
        last + text: net_run(weights, tokens, n_heads, f"last eps {eps}")["logits"] for eps, text in WRONG_EPS.items()
    }


@grades("01.8")
def test_short_vectors_show_the_eps_of_every_norm(answer):
    """A network with such small weights that the stream stays short: there eps counts, in the last norm too."""
    model = random_gpt2(2, 14, 2, 17, seed=31)
    weights, tokens = quiet(own_weights(model)), random_tokens(3, 5, 17, 31)
    expect_close(
        logits_from(answer, tokens, weights, 2),
        net_run(weights, tokens, 2)["logits"],
        "the tensor of logits of a network with small weights",
        mistakes=functools.partial(wrong_eps, weights, tokens, 2),
        axes="batch pos d_vocab",
        atol=1e-6,
        rtol=1e-3,
    )


def gpt2_learns(answer: Any) -> None:
    """Gradients come through to every weight; the table of words gets them from both ends."""
    weights, tokens = own_weights(random_gpt2(2, 15, 3, 17, seed=32)), random_tokens(2, 5, 17, 32)

    def oracle(tokens: Tensor, w: dict[str, Tensor], n_heads: int) -> Tensor:
        return net_run(w, tokens, n_heads)["logits"]

    args = {"tokens": tokens, "weights": weights, "n_heads": 3}
    expect_gradients(answer, "gpt2", args, oracle, "the tensor of logits")


@grades("01.8")
def test_the_network_sees_no_future_and_no_neighbour(answer):
    """A change of one token moves nothing before it, and sequences of a batch do not see one another."""
    model = random_gpt2(2, 6, 2, 9, seed=30)
    weights, tokens = own_weights(model), random_tokens(4, 4, 9, 30)

    def run(x: Tensor) -> Any:
        return logits_from(answer, x, weights, 2)

    check_no_future(run, tokens, (tokens + 1) % 9, (4, 4, 9), "the logits")
    check_sequences_apart(run, tokens, (4, 4, 9), "the logits")


@functools.cache
def bundled_gpt2() -> Any:
    """The trained network, as an ordinary model of `transformers`."""
    return mi_lib.load(NAME).hf.requires_grad_(False)


@grades("01.8")
def test_the_logits_of_the_bundled_model(answer):
    """The trained network's weights in your code: its logits come out."""
    model = bundled_gpt2()
    tokens = repeats.sample(2, seed=5, period=6, vocab=model.config.vocab_size).tokens
    expect_close(
        logits_from(answer, tokens, own_weights(model), model.config.n_head),
        model(tokens).logits,
        f"the tensor of logits of {NAME}",
        mistakes=functools.partial(gpt2_mistakes, model, tokens),
        axes="batch pos d_vocab",
        atol=1e-3,
    )


# --- networks for 01.9 to 01.14 --------------------------------------------------------------------------------------

NET_WORDS, NET_CTX = 13, 16
NET_SHAPES = ((1, 2, 10, 3, 7, 0), (2, 5, 15, 7, 11, 1), (3, 1, 7, 2, 5, 2))  # layers, heads, d_model, batch, pos, seed


@functools.cache
def net_random(n_layers: int, n_heads: int, d_model: int, seed: int) -> GPT2LMHeadModel:
    """A small GPT-2 of `transformers`. Every weight is random, norms and biases too, so that each of them counts."""
    config = GPT2Config(
        vocab_size=NET_WORDS,
        n_positions=NET_CTX,
        n_embd=d_model,
        n_layer=n_layers,
        n_head=n_heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=None,
    )
    model = randomised(GPT2LMHeadModel(config), seed, std=0.4)
    model.loss_type = "ForCausalLM"  # what it takes anyway, but then with a warning
    return model


def net_weights(model: GPT2LMHeadModel) -> dict[str, Tensor]:
    """Its weights as the learner gets them. The unembedding is the embedding, so it has no name of its own."""
    return {name.removeprefix("transformer."): w.detach().clone() for name, w in model.named_parameters()}


def net_tokens(batch: int, pos: int, seed: int, words: int = NET_WORDS) -> Tensor:
    return random_tokens(batch, pos, words, 400 + seed)


def net_cases() -> list[tuple[GPT2LMHeadModel, int, Tensor]]:
    """(network, number of heads, tokens)."""
    return [
        (net_random(layers, heads, d_model, seed), heads, net_tokens(batch, pos, seed))
        for layers, heads, d_model, batch, pos, seed in NET_SHAPES
    ]


def net_run(
    w: dict[str, Tensor], tokens: Tensor, n_heads: int, fault: str = "", past: list[tuple[Tensor, Tensor]] | None = None
) -> dict[str, Tensor]:
    """All activations of a GPT-2, computed with torch's own modules; with a fault, if one is named."""
    old = past[0][0].shape[2] if past else 0
    batch, new = tokens.shape
    start = 0 if fault == "places from 0" else old + (fault == "places one on")

    def norm(x: Tensor, name: str) -> Tensor:
        changed = fault.startswith("eps") or (fault.startswith("last eps") and name == "ln_f")
        eps = float(fault.split()[-1]) if changed else 1e-5
        return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"].T, w[f"{name}.bias"])

    seen = {"hook_embed": F.embedding(tokens, w["wte.weight"])}
    seen["hook_pos_embed"] = w["wpe.weight"].narrow(0, start, new).expand(batch, new, -1)
    x = seen["hook_embed"] + seen["hook_pos_embed"]
    for layer in range(1 + max(int(name.split(".")[1]) for name in w if name.startswith("h."))):
        at, h = f"blocks.{layer}.", f"h.{layer}."
        seen[at + "hook_resid_pre"] = x
        qkv = linear(norm(x, h + "ln_1"), h + "attn.c_attn").unflatten(-1, (3, n_heads, -1)).unbind(2)
        seen |= {f"{at}attn.hook_{name}": t for name, t in zip("qkv", qkv, strict=True)}
        q, k, v = (t.transpose(1, 2) for t in qkv)
        if past:
            k, v = torch.cat([past[layer][0], k], 2), torch.cat([past[layer][1], v], 2)
        scores = q @ k.mT / (1.0 if fault == "no scale" else math.sqrt(q.shape[-1]))
        pattern = scores.masked_fill(~net_mask(new, old, fault), -torch.inf).softmax(-1)
        z = (pattern @ v).transpose(1, 2)
        out = linear(z.flatten(2), h + "attn.c_proj")
        seen |= {at + "attn.hook_pattern": pattern, at + "attn.hook_z": z, at + "hook_attn_out": out}
        x = seen[at + "hook_resid_mid"] = x + out
        pre = linear(norm(x, h + "ln_2"), h + "mlp.c_fc")
        post = F.gelu(pre, approximate="none" if fault == f"exact gelu {layer}" else "tanh")
        out = linear(post, h + "mlp.c_proj")
        seen |= {at + "mlp.hook_pre": pre, at + "mlp.hook_post": post, at + "hook_mlp_out": out}
        x = seen[at + "hook_resid_post"] = x + out
    x = seen["ln_final.hook_normalized"] = x if fault == "no last norm" else norm(x, "ln_f")
    seen["logits"] = x @ w["wte.weight"].T
    return seen


def net_mask(new: int, old: int, fault: str) -> Tensor:
    """[new old+new]: where each new position may look."""
    query, key = torch.arange(new)[:, None] + old, torch.arange(old + new)
    wrong = {
        "no mask": torch.ones(new, old + new, dtype=torch.bool),
        "mask from 0": key <= query - old,
        "not each other": (key < old) | (key == query),
    }
    return wrong.get(fault, key <= query)


# --- what happens in the learner's process ----------------------------------------------------------------------------
#
# Arguments cross as copies, so a test does not see what a function does to them. But `torch` is one of the learner's
# names, and what it holds can be called over there.


def held(answer, function: Handle, *args: Any) -> Handle:
    """The function with arguments that stay in the learner's process: each call gets the same objects."""
    return answer.torch.attr("functools").attr("partial")(function, *args)


def arithmetic(answer, call: Callable[[], Any]) -> int:
    """How many multiplications and additions a call needs, as torch counts them in the learner's process.

    It is exact, and can be forged there; so 01.13 also looks at the time, which is measured here.
    """
    # The newer profiler prints lines of its own, which would look like the learner's.
    profiler = answer.torch.attr("autograd").attr("profiler_legacy").attr("profile")(with_flops=True)
    profiler.attr("__enter__")()
    try:
        call()
    finally:
        profiler.attr("__exit__")(None, None, None)
    return int(profiler.attr("total_average")().attr("flops"))


# --- 01.9 -------------------------------------------------------------------------------------------------------------


def loss_by_loops(logits: Tensor, tokens: Tensor) -> Tensor:
    """[batch pos-1]: −log p of every next token, one after the other."""
    x = logits.double().numpy()
    batch, pos = tokens.shape
    loss = np.zeros((batch, pos - 1))
    for b in range(batch):
        for t in range(pos - 1):
            top = x[b, t].max()
            loss[b, t] = top + math.log(np.exp(x[b, t] - top).sum()) - x[b, t, int(tokens[b, t + 1])]
    return torch.tensor(loss)


def check_loss(answer, logits: Tensor, tokens: Tensor, want: Any, what: str = "the loss") -> None:
    got = answer.next_token_loss(logits, tokens)
    expect(
        not isinstance(got, float | int),
        "The loss should be a tensor, but yours is a plain number. Training needs its gradient: leave out .item().",
    )
    expect_close(got, want, what, strict=True, mistakes=loss_mistakes(logits.double(), tokens))


def loss_mistakes(logits: Tensor, tokens: Tensor) -> dict[str, Tensor]:
    def mean(log_p: Tensor, judged_by: Tensor) -> Tensor:
        return -log_p.gather(-1, judged_by[:, :, None]).mean()

    log_p, each = logits.log_softmax(-1), loss_by_loops(logits, tokens)
    after = tokens[:, 1:]
    seen = (
        "You judge the logits at position t by token t, which the network has already seen. They are a guess at token "
    )
    return {
        f"{seen}t + 1.": mean(log_p, tokens),
        f"{seen}t + 1: drop the LAST logits, not the first.": mean(log_p[:, 1:], after),
        "You shift the wrong way: these logits are judged by the token before. Drop the last logits and the first "
        "token.": mean(log_p[:, 1:], tokens[:, :-1]),
        "The last position has no next token, but you judge it by the first one. Leave it out: roll goes round in a "
        "circle.": mean(log_p, tokens.roll(-1, dims=1)),
        "This is the sum. Take the mean over all positions.": each.sum(),
        "This is the loss per sequence: the sum over positions, averaged over sequences. Take the mean over positions "
        "too.": each.sum(1).mean(),
        "You divide by the number of all positions. The last one has no next token, so it does not count.": (
            each.sum() / tokens.numel()
        ),
        "The log-softmax is missing: logits are not log probabilities until they are normalised.": mean(
            logits[:, :-1], after
        ),
        "cross_entropy takes logits and does the softmax itself; you gave it probabilities.": mean(
            logits.softmax(-1).log_softmax(-1)[:, :-1], after
        ),
        "You normalise over positions. Normalise over the vocabulary, the last axis.": mean(
            logits.log_softmax(1)[:, :-1], after
        ),
        "You judge the last prediction of each sequence only. Every position that has a next token counts.": (
            each[:, -1].mean()
        ),
        "These are bits. Nats come from the natural logarithm.": each.mean() / math.log(2),
        "Only the sign is wrong: a loss is minus the log of a probability, so it is never negative.": -each.mean(),
        "This is the mean probability of the next token. The loss is the mean of minus its logarithm.": (
            torch.exp(-each).mean()
        ),
        "You take the logarithm of the mean probability. Take the mean of the logarithms.": (
            -torch.exp(-each).mean().log()
        ),
        "Only the first sequence is judged. Take the mean over all of them.": each[0].mean(),
        "The logits are flattened in one order and the tokens in another. Flatten both alike: batch first, then pos.": (
            mean(log_p[:, :-1].flatten(0, 1)[None], after.T.flatten()[None])
        ),
        "This is the perplexity, e to the power of the loss.": each.mean().exp(),
        "You judge the logits at position t by token t + 2. Drop ONE position: the last logits, the first token.": (
            mean(log_p[:, :-2], tokens[:, 2:]) if tokens.shape[1] > 2 else torch.tensor(math.nan)
        ),
        "Token 0 is left out, as if it were padding. Every token counts.": each[after != 0].mean(),
        "This is the median. Take the mean.": each.median(),
        "Label smoothing is at work. The loss is minus the log of the right token's probability, and nothing else.": (
            F.cross_entropy(logits[:, :-1].flatten(0, 1), after.flatten(), label_smoothing=0.1)
        ),
        "This is the loss of every token. Take the mean.": each,
        "This is one loss for each sequence. Take the mean over the batch too.": each.mean(1),
    }


@grades("01.9", weight=2)
def test_random_logits_term_by_term(answer):
    """The mean loss of random logits, against a sum that is written out term by term."""
    for seed, (batch, pos, words) in enumerate([(3, 5, 7), (1, 2, 3), (2, 7, 31)]):
        logits = 3 * randn(batch, pos, words, seed=seed)
        tokens = net_tokens(batch, pos, seed, words)
        check_loss(answer, logits, tokens, loss_by_loops(logits, tokens).mean())


@grades("01.9")
def test_the_loss_that_transformers_computes(answer):
    """The logits of small random GPT-2s: the loss is the one that `transformers` reports."""
    for model, _, tokens in net_cases():
        out = model(tokens, labels=tokens)
        check_loss(answer, out.logits, tokens, out.loss)


@grades("01.9")
def test_losses_that_are_known(answer):
    """Equal logits cost log(d_vocab); the first token and the last logits count for nothing; 1000 is not too large."""
    check_loss(answer, torch.zeros(2, 4, 8), net_tokens(2, 4, 1, 8), math.log(8), "the loss of equal logits")
    logits, tokens = randn(2, 5, 6, seed=3), net_tokens(2, 5, 3, 6)
    want = loss_by_loops(logits, tokens).mean()
    logits[:, -1] = 50 * randn(2, 6, seed=4)
    tokens[:, 0] = (tokens[:, 0] + 1) % 6
    check_loss(answer, logits, tokens, want)
    expect_close(
        answer.next_token_loss(torch.tensor([[[1000.0, 0.0], [0.0, 0.0]]]), torch.tensor([[0, 1]])),
        1000.0,
        "the loss of a token that the network is sure will not come",
        mistakes={
            "The loss became infinite. Take log_softmax at once, not the logarithm of a softmax: exp(−1000) is 0 in "
            "a computer.": math.inf,
            **{
                f"You add {small:g} to the probability before the logarithm, so no loss is larger than "
                f"{-math.log(small):.1f}. Take log_softmax at once.": -math.log(small)
                for small in (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12)
            },
        },
    )


@grades("01.9")
def test_the_gradient_of_the_loss(answer):
    """Something can be learned from it: the gradient of the logits is probability minus right answer, on average."""
    logits, tokens = randn(2, 4, 5, seed=6), net_tokens(2, 4, 6, 5)
    want = logits.softmax(-1)
    want[:, :-1] -= F.one_hot(tokens[:, 1:], 5)
    want[:, -1] = 0.0
    check_loss(answer, logits, tokens, loss_by_loops(logits, tokens).mean())
    partial = answer.torch.attr("functools").attr("partial")(answer.next_token_loss, tokens=tokens)
    jacobian = answer.torch.attr("autograd").attr("functional").attr("jacobian")
    lost = "The number may be right, but no gradient comes through: leave out .item(), .detach(), float() and no_grad."
    try:
        got = jacobian(partial, logits)
    except AnswerError as error:
        expect("must be either a Tensor" not in str(error), lost)  # what torch says of a plain number
        raise
    expect_close(got, want / 6, "the gradient of the logits", mistakes={lost: torch.zeros_like(want)})


# --- 01.10 ------------------------------------------------------------------------------------------------------------


@functools.cache
def net_trained(
    number: int, steps: int, learning_rate: float, fault: str = ""
) -> tuple[dict[str, Tensor], list[float]]:
    """One of the small networks, trained by the loss of `transformers` as asked for, or with one known fault."""
    model, _, tokens = net_cases()[number]
    model = copy.deepcopy(model).requires_grad_(True)
    chosen = [w for n, w in model.named_parameters() if fault != "some" or not (".ln" in n or n.endswith("bias"))]
    chosen = [w for w in chosen if fault != "no embedding" or w is not model.transformer.wte.weight]
    kind: Any = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}.get(fault, torch.optim.Adam)
    if fault == "betas":
        kind = functools.partial(torch.optim.Adam, betas=(0.9, 0.98))
    optimizer = kind(chosen, lr=1e-3 if fault == "default rate" else learning_rate)
    losses = []
    for i in range(steps):
        rows = tokens[i % len(tokens)][None] if fault == "one sequence" else tokens
        loss = model(rows, labels=rows).loss
        losses.append(loss.item())
        if fault != "accumulate":
            optimizer.zero_grad()
        (-loss if fault == "uphill" else loss).backward()
        if fault != "no step":
            optimizer.step()
        if fault == "fresh":
            optimizer = kind(chosen, lr=learning_rate)
        if fault == "after":
            losses[-1] = model(tokens, labels=tokens).loss.item()
    return net_weights(model), losses


TRAINING_FAULTS = {
    "no step": "The loss stays as it was: nothing is learned. Does the optimizer hold the very tensors that the "
    "network computes with, and is step() called?",
    "after": "losses[i] is the loss BEFORE step i. Yours is the one after it.",
    "accumulate": "Gradients pile up from step to step: call optimizer.zero_grad() in each.",
    "fresh": "The optimizer is made anew in every step, and forgets its averages. Make it once, before the loop.",
    "sgd": "This is plain gradient descent (SGD). Use torch.optim.Adam.",
    "some": "Only the matrices are trained. Give the optimizer all the weights, norms and biases too.",
    "no embedding": "The embedding wte.weight is not trained. Give the optimizer all the weights.",
    "uphill": "The loss goes up: every step goes the wrong way. Call backward() on the loss, not on minus it.",
    "one sequence": "Each step looks at one sequence. Use all of them in every step.",
    "default rate": "The learning rate that was passed in is not used.",
}
SUBTLE_FAULTS = {  # which only show after a while
    "adamw": "This is AdamW, which shrinks the weights in every step. Use torch.optim.Adam.",
    "betas": "Leave Adam's betas as they are, (0.9, 0.999).",
}


def trained_pair(got: Any, names: list[str]) -> tuple[dict[str, Tensor], list]:
    """(weights, losses) of what `train` returned, or a sentence about what it is instead."""
    expect(
        isinstance(got, tuple | list) and len(got) == 2,
        "Return two things: the trained weights and the list of losses.",
    )
    expect(isinstance(got[0], dict), "The first thing that you return should be the dict of the trained weights.")
    missing = [name for name in names if not isinstance(got[0].get(name), Tensor)]
    expect(not missing, f'The weight "{missing[0] if missing else ""}" is missing from what you return.')
    losses = got[1].tolist() if isinstance(got[1], Tensor | np.ndarray) else got[1]
    expect(isinstance(losses, list | tuple), "The second thing that you return should be the list of losses.")
    return got[0], losses


def trained_parts(name: str, weight: Tensor) -> Tensor:
    """What can be compared. A bias of the keys moves all scores of a query alike: it has no gradient but rounding."""
    if not name.endswith("c_attn.bias"):
        return weight
    q, _, v = weight.chunk(3)
    return torch.cat([q, v])


def training_mistakes(number: int, steps: int, rate: float) -> dict[str, list[float]]:
    faults = TRAINING_FAULTS if steps < 10 else SUBTLE_FAULTS
    wrong = {text: net_trained(number, steps, rate, fault)[1] for fault, text in faults.items()}
    losses, (_, _, tokens) = net_trained(number, steps, rate)[1], net_cases()[number]
    for factor in {len(tokens), tokens.shape[1] - 1, len(tokens) * (tokens.shape[1] - 1)} - {1}:
        text = f"Every loss is {factor} times too large. Use next_token_loss, which is a mean."
        wrong[text] = [factor * loss for loss in losses]
    return wrong


@grades("01.10", weight=2)
def test_losses_and_weights_of_the_first_steps(answer):
    """Some steps on small networks: losses and weights are those of the network of `transformers`, trained alike."""
    for number, steps, rate in ((0, 5, 3e-3), (2, 4, 5e-3), (1, 20, 1e-2)):
        model, heads, tokens = net_cases()[number]
        start = net_weights(model)
        want, losses = net_trained(number, steps, rate)
        weights, mine = trained_pair(answer.train(start, tokens, heads, steps, rate), list(start))
        expect(
            len(mine) == steps, f"There should be one loss for each of the {steps} steps, but yours are {len(mine)}."
        )
        wrong = functools.partial(training_mistakes, number, steps, rate)
        expect_close(mine, losses, "the list of losses", mistakes=wrong, rtol=3e-4)
        stuck = all(torch.equal(weights[name], start[name]) for name in start)
        expect(not stuck, "The weights that you return are still those from before training.")
        early, _ = net_trained(number, steps - 1, rate)
        for name, value in want.items():
            expect_close(
                trained_parts(name, weights[name]),
                trained_parts(name, value),
                f"the trained weight {name}",
                atol=0.2 * rate,
                rtol=1e-3,
                mistakes={
                    "The weights that you return are those from before the last step.": trained_parts(name, early[name])
                },
            )


@grades("01.10")
def test_gradients_come_through_all_that_you_have_built(answer):
    """Every function from 01.1 to 01.8, with all that goes into it: the gradients are those of torch's own parts."""
    model, heads, tokens = net_cases()[0]
    answer.train(net_weights(model), tokens, heads, 1, 0.01)  # a training that is there, before its parts are looked at
    for learns in (
        embed_learns,
        layer_norm_learns,
        attention_scores_learns,
        causal_pattern_learns,
        attention_learns,
        mlp_learns,
        block_learns,
        gpt2_learns,
    ):
        learns(answer)


@grades("01.10")
def test_losses_that_rise(answer):
    """A learning rate that is far too large: the losses are reported as they are, and one is higher than the first."""
    model, heads, tokens = net_cases()[0]
    _, losses = net_trained(0, 4, 0.5)
    _, mine = trained_pair(answer.train(net_weights(model), tokens, heads, 4, 0.5), list(net_weights(model)))
    least = torch.tensor(losses).cummin(0).values
    expect_close(
        mine,
        losses,
        "the list of losses for a learning rate of 0.5",
        rtol=1e-2,
        mistakes={
            "These are the lowest losses so far. losses[i] is the loss before step i, also where it rises.": least
        },
    )


@grades("01.10")
def test_the_weights_passed_in_stay_as_they_are(answer):
    """Training twice from the same weights: they are not touched, and both runs have the same losses."""
    model, heads, tokens = net_cases()[0]
    start = net_weights(model)
    answer.train(start, tokens, heads, 1, 0.01)  # is it what was asked for? Calls of a held one don't say
    call = held(answer, answer.train, start, tokens, heads, 4, 0.01)
    runs = [trained_pair(call(), list(start))[1] for _ in range(2)]
    after = call.attr("args")[0]
    kept = {name: x for name, x in after.items() if isinstance(x, Tensor)}
    touched = [name for name, x in start.items() if name not in kept or not torch.equal(kept[name], x)]
    expect(
        not touched,
        f'Training changed the weights that were passed in ("{touched[0] if touched else ""}", for example). Make a '
        "copy first: w.detach().clone().requires_grad_() for every w. Without clone it is the same memory.",
    )
    expect_close(
        runs[1],
        runs[0],
        "the list of losses of a second training from the same weights",
        mistakes={"The losses grow longer with every call: make the list inside of train.": [*runs[0], *runs[0]]},
    )


HEART = {  # four sequences each, and what the first prediction must cost on average
    "four sequences with different first tokens": ([1, 2, 3, 4], 0.0),
    "four sequences of which two begin alike": ([5, 5, 2, 3], 0.5 * math.log(2)),
}


@grades("01.10")
def test_four_sequences_are_learned_by_heart(answer):
    """After 80 steps the loss is as low as it can be: only what does not follow from the tokens before still costs."""
    model = net_random(1, 2, 16, 7)
    for what, (first, cost) in HEART.items():
        tokens = net_tokens(4, 7, 3)
        tokens[:, 0] = torch.tensor(first)
        tokens[:, 1] = torch.tensor([6, 7, 8, 9])  # from here on all differ
        floor = cost / 6
        got = answer.train(net_weights(model), tokens, 2, 80, 0.02)
        weights, losses = trained_pair(got, list(net_weights(model)))
        expect(len(losses) == 80, f"There should be one loss for each of the 80 steps, but yours are {len(losses)}.")
        last = float(losses[-1])
        expect(
            last <= floor + 0.03,
            f"On {what}, the loss after 80 steps can be {floor:.2f}, but yours is still {last:.2f}.",
        )
        expect(
            last >= floor - 0.005,
            f"On {what}, no network that sees only the past gets below {floor:.2f}, but yours says {last:.2f}. Does it "
            "see the token that it is asked for?",
        )
        logits = net_run(weights, tokens, 2)["logits"]
        loss = loss_by_loops(logits, tokens).mean().item()
        expect(
            loss <= floor + 0.03,
            f"On {what}, the losses fall to {last:.2f}, but the weights that you return have a loss of {loss:.2f}.",
        )


# --- 01.11 ------------------------------------------------------------------------------------------------------------


def chances(logits: Tensor, temperature: float, top_k: int | None) -> Tensor:
    """The probabilities, from the logits processors of `transformers`."""
    x = TemperatureLogitsWarper(float(temperature))(None, logits.double())
    if top_k is not None:
        x = TopKLogitsWarper(top_k)(None, x)
    return x.softmax(-1)


def chance_mistakes(logits: Tensor, temperature: float, top_k: int | None) -> dict[str, Tensor]:
    x = logits.double()
    cold = x / temperature
    wrong = {
        "You divide by the root of the temperature. Divide by the temperature itself.": chances(
            logits, temperature**0.5, top_k
        ),
        "You multiply by the temperature. Divide: a low temperature makes the differences larger.": chances(
            logits, 1 / temperature, top_k
        ),
        "You divide the probabilities by the temperature. Divide the logits, before the softmax.": (
            chances(logits, 1.0, top_k) / temperature
        ),
        "The temperature has no effect. Divide the logits by it, before the softmax. (Dividing the probabilities and "
        "making them sum to 1 again changes nothing.)": chances(logits, 1.0, top_k),
        "These are logits. Take the softmax over the vocabulary.": cold,
        "These are logarithms of probabilities.": cold.log_softmax(-1),
        "You normalise over the batch. Normalise over the vocabulary, the last axis.": cold.softmax(0),
    }
    if top_k is None or top_k >= x.shape[-1]:
        return wrong
    ranked = x.argsort(-1, descending=True).argsort(-1)
    kept, p = ranked < top_k, cold.softmax(-1)
    over_all = torch.zeros(x.numel(), dtype=torch.bool)
    over_all[x.flatten().topk(min(top_k, x.numel())).indices] = True
    zeros = torch.where(kept, cold, 0.0).softmax(-1)
    return wrong | {
        "top_k has no effect: the others can still be drawn.": p,
        "You set the probabilities of the others to 0, but the rest no longer sums to 1. Set their LOGITS to −∞ "
        "before the softmax.": torch.where(kept, p, 0.0),
        "You set the logits of the others to 0, which is a logit like any other: exp(0) = 1. Set them to −∞.": zeros,
        "Every row is cut at the top_k-th largest of the first. Each row has its own.": cold.masked_fill(
            cold < cold[0].sort(descending=True).values[top_k - 1], -torch.inf
        ).softmax(-1),
        "You keep the smallest logits. Keep the largest.": cold.masked_fill(
            ranked < x.shape[-1] - top_k, -torch.inf
        ).softmax(-1),
        "You keep the top_k largest of the whole batch. Each row has its own.": cold.masked_fill(
            ~over_all.view_as(x), -torch.inf
        ).softmax(-1),
        "One too few is kept: the top_k-th largest can be drawn as well.": cold.masked_fill(
            ranked >= top_k - 1, -torch.inf
        ).softmax(-1),
        "One too many is kept: you drop what is smaller than the one AFTER the top_k-th.": cold.masked_fill(
            ranked > top_k, -torch.inf
        ).softmax(-1),
    }


@grades("01.11")
def test_temperature(answer):
    """Low and high temperatures, several shapes, and logits of a thousand."""
    for seed, (batch, words, temperature) in enumerate(
        [(3, 7, 0.5), (1, 11, 2), (5, 3, 1.0), (2, 31, 0.13), (3, 61, 3.0)]
    ):
        logits = 2 * randn(batch, words, seed=20 + seed)
        got = answer.next_token_probabilities(logits, temperature)
        what = f"the distribution at temperature {temperature}"
        mistakes = chance_mistakes(logits, temperature, None) if temperature != 1.0 else {}
        for top_k in (1, 2, 3, 5, 10, 20, 40, 50):
            if top_k < words:
                sentence = f"Without a top_k all tokens can be drawn. You keep the {top_k} largest."
                mistakes[sentence] = chances(logits, temperature, top_k)
        expect_close(got, chances(logits, temperature, None), what, axes="batch d_vocab", mistakes=mistakes)
    got = answer.next_token_probabilities(torch.tensor([[1000.0, 999.0, -1000.0]]), 0.5)
    e = math.exp(-2)
    expect_close(got, torch.tensor([[1 / (1 + e), e / (1 + e), 0.0]]), "the distribution for logits of a thousand")


@grades("01.11", weight=2)
def test_top_k(answer):
    """Only the top_k likeliest can be drawn, and what is left sums to 1."""
    cases = [(3, 7, 0.5, 2), (1, 11, 2.0, 1), (3, 5, 1.5, 4), (2, 31, 0.7, 7), (3, 7, 1.3, 7)]
    for seed, (batch, words, temperature, top_k) in enumerate(cases):
        logits = 2 * randn(batch, words, seed=30 + seed) - 1.0
        got = answer.next_token_probabilities(logits, temperature, top_k)
        what = f"the distribution at temperature {temperature} and top_k {top_k} of {words}"
        want, mistakes = chances(logits, temperature, top_k), chance_mistakes(logits, temperature, top_k)
        expect_close(got, want, what, axes="batch d_vocab", mistakes=mistakes)
        allowed = int((torch.as_tensor(got) > 0).sum(-1).max())
        expect(
            allowed <= top_k, f"With top_k {top_k}, {allowed} tokens have a probability above 0. It must be exactly 0."
        )
    try:
        got = answer.next_token_probabilities(logits, 1.0, words + 5)
    except AnswerError as error:
        expect(
            error.type_name == "NotImplementedError",
            "top_k may be larger than the vocabulary: then every token is among the largest. Use min(top_k, d_vocab).",
        )
        raise
    expect_close(got, chances(logits, 1.0, None), "the distribution for a top_k above d_vocab", axes="batch d_vocab")


@grades("01.11")
def test_equal_logits_at_the_edge(answer):
    """Two logits tie for the last place of top_k: one of them or both may stay, and neither choice gives NaN."""
    logits = torch.tensor([[0.0, 2.0, 1.0, 1.0, -3.0], [4.0, 4.0, 4.0, 4.0, 4.0]])
    got = answer.next_token_probabilities(logits, 1.0, 2)
    got = values(got, tuple(logits.shape), "the distribution")
    expect_close(got.sum(-1), [1.0, 1.0], "the sum of each row")
    e = math.e
    rows = [torch.tensor([0.0, e, *ones, 0.0]) for ones in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))]
    fits = any(torch.allclose(got[0].double(), (row / row.sum()).double(), rtol=0, atol=1e-4) for row in rows)
    expect(
        fits and float(got[0, 0] + got[0, 4]) == 0.0,
        "Of the logits 0, 2, 1, 1, −3 with top_k 2, the 2 must stay and one of the two 1s, or both; the others must "
        f"have probability 0. Yours are {[round(float(p), 4) for p in got[0]]}.",
    )
    kept = int((got[1] > 0).sum())
    expect(
        kept in (2, 5) and torch.allclose(got[1][got[1] > 0].double(), torch.tensor(1 / kept, dtype=torch.double)),
        "Of five equal logits with top_k 2, two must stay or all of them, with equal probabilities. Yours are "
        f"{[round(float(p), 4) for p in got[1]]}.",
    )


def cold_mistakes(logits: Tensor, temperature: float, top_k: int | None) -> dict[str, Tensor]:
    """Temperatures that are taken for others, so that nothing is divided by 0."""
    only = "Divide by the one that was passed in, however small: only 0 needs a case of its own."
    floors, added = (1e-6, 1e-5, 1e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 1.0), (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)
    taken = f"You take a temperature of {temperature:g} for {{}}. {only}"
    wrong = {taken.format(0): F.one_hot(logits.argmax(-1), logits.shape[-1])} if temperature else {}
    wrong |= {taken.format(f"{t:g}"): chances(logits, t, top_k) for t in floors if t > temperature}
    return wrong | {f"You add {t:g} to the temperature. {only}": chances(logits, temperature + t, top_k) for t in added}


@grades("01.11")
def test_temperatures_just_above_zero(answer):
    """Logits that lie so close together that even a temperature of a millionth leaves chances to several."""
    for seed, (temperature, top_k) in enumerate([(0.004, None), (0.004, 2), (1e-6, None), (1e-6, 3)]):
        logits = temperature * randn(3, 7, seed=50 + seed)
        expect_close(
            answer.next_token_probabilities(logits, temperature, top_k),
            chances(logits, temperature, top_k),
            f"the distribution at temperature {temperature:g}",
            axes="batch d_vocab",
            atol=1e-4,
            mistakes=cold_mistakes(logits, temperature, top_k),
        )


TEMPERATURE_0 = ((3, 7, None, 3), (1, 11, 3, 3), (5, 2, 1, 3), (3, 7, None, 1e-3), (3, 5, 2, 1e-6))  # … size of logits


@grades("01.11")
def test_temperature_zero(answer):
    """The whole probability is on the largest logit, however close the next one is, and nothing is divided by 0."""
    for seed, (batch, words, top_k, size) in enumerate(TEMPERATURE_0):
        logits = size * randn(batch, words, seed=40 + seed) - (4 if size == 3 else 0)
        want = (logits == logits.max(-1, keepdim=True).values).double()
        try:
            got = answer.next_token_probabilities(logits, 0 if seed == 1 else 0.0, top_k)
        except AnswerError as error:
            expect(error.type_name != "ZeroDivisionError", "Temperature 0 divides by 0. It needs a case of its own.")
            raise
        no_nan(got, "Temperature 0 gives NaN: the logits are divided by 0. It needs a case of its own.")
        expect_close(
            got,
            want,
            "the distribution at temperature 0",
            axes="batch d_vocab",
            mistakes={
                **cold_mistakes(logits, 0.0, top_k),
                "At temperature 0 you return the number of the likeliest token. Return probabilities: 1 for it, 0 for "
                "the others.": logits.argmax(-1),
                "At temperature 0 you take the plain softmax. That is temperature 1.": logits.softmax(-1),
                "At temperature 0 you return the probabilities that top_k leaves at temperature 1.": chances(
                    logits, 1.0, top_k
                ),
                "The whole probability is on the largest logit of the batch. Each row has its own.": (
                    logits == logits.max()
                ).double(),
                "All tokens have the same probability: that is what an infinite temperature gives, not 0.": (
                    torch.ones_like(want) / words
                ),
            },
        )


# --- 01.12 ------------------------------------------------------------------------------------------------------------


def nucleus_of(probabilities: Tensor, p: float) -> Tensor:
    """From the logits processor of `transformers`, which takes logarithms of probabilities for logits."""
    return TopPLogitsWarper(p)(None, probabilities.double().log()).softmax(-1)


def nucleus_mistakes(probabilities: Tensor, p: float) -> dict[str, Tensor]:
    x = probabilities.double()
    ordered, order = x.sort(-1, descending=True)
    summed, rank = ordered.cumsum(-1), order.argsort(-1)
    n = x.shape[-1]

    def chosen(kept: Tensor) -> Tensor:
        """Kept by rank, put back in place and divided."""
        some = torch.where(kept.gather(-1, rank), x, 0.0)
        return some / some.sum(-1, keepdim=True)

    def direct(kept: Tensor) -> Tensor:
        some = torch.where(kept, x, 0.0)
        return some / some.sum(-1, keepdim=True)

    right = summed - ordered < p
    right[:, 0] = True
    under, first = summed <= p, torch.arange(n) == 0
    more = right.roll(1, -1) | first
    rising = x.sort(-1).values.cumsum(-1)
    dropped = "You leave out the token with which the sum reaches p. Without it, the kept ones have less than p."
    return {
        dropped: chosen(under),
        f"{dropped} (The first one is kept, as it should be.)": chosen(under | first),
        "One token too many: stop as soon as the kept ones have at least p.": chosen(more),
        "The rows are still sorted. Put each probability back to its token, with scatter.": torch.where(
            right, ordered, 0.0
        )
        / torch.where(right, ordered, 0.0).sum(-1, keepdim=True),
        "The mask belongs to the sorted probabilities, but you apply it to the unsorted ones. Put it back in order "
        "first, with scatter.": direct(right),
        "You add up the probabilities in the order of the vocabulary. Sort first, the likeliest in front.": direct(
            x.cumsum(-1) - x < p
        ),
        "You begin with the least likely. Sort in descending order.": chosen((rising - x.sort(-1).values < p).flip(-1)),
        "What is left does not sum to 1. Divide by its sum.": torch.where(right.gather(-1, rank), x, 0.0),
        "You divide by p. Divide by the sum of what is kept, which is seldom exactly p.": torch.where(
            right.gather(-1, rank), x, 0.0
        )
        / max(p, 1e-9),
        "A softmax over probabilities is another distribution. Divide by their sum.": torch.where(
            right.gather(-1, rank), x, -torch.inf
        ).softmax(-1),
        "You keep the tokens whose own probability is at least p. The sum is what counts.": direct(x >= p),
        "You keep what has at least p times the largest probability. That is min-p; here the sum counts.": direct(
            x >= p * ordered[:, :1]
        ),
        "You keep the fraction p of the vocabulary. Count probability, not tokens.": chosen(
            (torch.arange(n) < max(1, math.ceil(p * n))).expand_as(x)
        ),
        "Every row is cut after the same number of tokens. Each row has its own number.": chosen(
            right[:1].expand_as(x)
        ),
        "Nothing is cut off.": x,
        "You divide by the sum over the whole batch. Each row sums to 1.": torch.where(right.gather(-1, rank), x, 0.0)
        / torch.where(right.gather(-1, rank), x, 0.0).sum(),
        "You put the probabilities back with gather. order says where each sorted one BELONGS: that is scatter.": (
            torch.where(right, ordered, 0.0).gather(-1, order)
            / torch.where(right, ordered, 0.0).gather(-1, order).sum(-1, keepdim=True)
        ),
        "Every row shows the nucleus of the first. Each row has its own.": chosen(right)[:1].expand_as(x),
        **{
            f"The p that was passed in is not used: you always take {other}.": chosen(
                (summed - ordered < other) | (torch.arange(n) == 0)
            )
            for other in (0.9, 0.95, 0.5)
        },
    }


def check_nucleus(answer, probabilities: Tensor, p: float, want: Any) -> None:
    got = answer.nucleus(probabilities, p)
    mistakes = functools.partial(nucleus_mistakes, probabilities, p)
    expect_close(got, want, f"the nucleus for p = {p}", mistakes=mistakes, axes="batch d_vocab")


@grades("01.12", weight=2)
def test_the_nucleus_that_transformers_keeps(answer):
    """Random probabilities in random order, several shapes and p."""
    for seed, (batch, words, p) in enumerate(
        [(5, 7, 0.7), (1, 5, 0.5), (3, 41, 0.9), (5, 3, 0.35), (2, 13, 0.99), (2, 61, 0.1)]
    ):
        logits = 1.5 * randn(batch, words, seed=60 + seed)
        probabilities = logits.softmax(-1)
        check_nucleus(answer, probabilities, p, nucleus_of(probabilities, p))


@grades("01.12")
def test_a_sum_that_is_exactly_p(answer):
    """Probabilities 1/2, 1/4, 1/8, 1/8: at least p is enough, more than p is not asked for."""
    x = torch.tensor([[0.125, 0.5, 0.125, 0.25], [0.25, 0.125, 0.5, 0.125]])
    for p, size in ((0.5, 1), (0.75, 2), (1.0, 4), (0.76, 3)):
        got = answer.nucleus(x, p)
        got = values(got, tuple(x.shape), "the nucleus")
        most = int((got > 0).sum(-1).max())
        expect(
            most <= size,
            f"For p = {p} of 1/2, 1/4, 1/8, 1/8, the first {size} have at least p together, but you keep {most}. "
            "One token too many: what the likelier ones have together must be LESS than p.",
        )
        kept = torch.tensor([4.0, 2.0, 1.0, 1.0])[:size]
        row = F.pad(kept / kept.sum(), (0, 4 - size))
        # Sorted, because for three tokens either of the two 1/8 may stay.
        expect_close(
            got.double().sort(-1, descending=True).values,
            row.expand(2, -1),
            f"the nucleus of 1/2, 1/4, 1/8, 1/8 for p = {p}, sorted",
            mistakes={
                "You leave out the token with which the sum reaches p. Without it, the kept ones have less than p.": (
                    F.pad(kept[:-1] / kept[:-1].sum(), (0, 5 - size)).expand(2, -1)
                )
            },
        )
        if size != 3:
            want = torch.where(x >= kept[-1] / 8, x, 0.0)
            check_nucleus(answer, x, p, want / want.sum(-1, keepdim=True))


@grades("01.12")
def test_one_token_always_stays(answer):
    """For p = 0 and for a tiny p, the likeliest token stays alone; for p = 1, all stay."""
    probabilities = (2 * randn(3, 7, seed=77)).softmax(-1)
    alone = (probabilities == probabilities.max(-1, keepdim=True).values).double()
    for p in (1e-9, 0.0):
        got = answer.nucleus(probabilities, p)
        no_nan(got, f"For p = {p} nothing is left, and 0/0 is NaN. One token always stays, the likeliest.")
        expect_close(
            got,
            alone,
            f"the nucleus for p = {p}",
            axes="batch d_vocab",
            mistakes={
                f"For p = {p} nothing is left. One token always stays, the likeliest.": alone * 0.0,
                f"For p = {p} nothing is left, and all tokens get the same. One always stays, the likeliest.": (
                    torch.full_like(alone, 1 / alone.shape[-1])
                ),
            },
        )
    check_nucleus(answer, probabilities, 1.0, probabilities)
    even = torch.full((1, 8), 0.125)
    got = answer.nucleus(even, 0.5)
    row = torch.as_tensor(got).double().sort(-1, descending=True).values if isinstance(got, Tensor) else got
    expect_close(row, torch.tensor([[0.25] * 4 + [0.0] * 4]), "the nucleus of eight equal tokens for p = 0.5, sorted")


# --- 01.13 ------------------------------------------------------------------------------------------------------------

Past = list[tuple[Tensor, Tensor]]  # of each layer: keys and values


def go_on(model: GPT2LMHeadModel, tokens: Tensor, past: Past) -> tuple[Tensor, Past]:
    """The logits of new tokens and the longer cache, by `transformers`."""
    cache = DynamicCache()
    for layer, (k, v) in enumerate(past):
        cache.update(k.clone(), v.clone(), layer)
    out = model(tokens, past_key_values=cache, use_cache=True)
    return out.logits, [(layer.keys, layer.values) for layer in out.past_key_values.layers]


def random_past(model: GPT2LMHeadModel, batch: int, pos: int, seed: int) -> Past:
    """Keys and values that no tokens have: whoever wants to compute the past again has nothing to compute it from."""
    c, g = model.config, generator(seed)
    shape = (batch, c.n_head, pos, c.n_embd // c.n_head)
    return [(torch.randn(shape, generator=g), torch.randn(shape, generator=g)) for _ in range(c.n_layer)]


STEP_FAULTS = {
    "places from 0": "The new tokens stand at places 0, 1, … again. They stand after the cache: take the rows of "
    "wpe.weight from there on.",
    "places one on": "The new tokens stand one place too late. The first of them stands right after the cache.",
    "no mask": "New tokens see the new tokens after them. They need the causal pattern among themselves.",
    "mask from 0": "The mask is cut as if the new tokens stood at the start: they do not see the whole cache.",
    "not each other": "New tokens see the cache and themselves, but not the new tokens before them.",
    "no scale": "The scores are not divided by √d_head.",
}


def step_mistakes(weights: dict[str, Tensor], tokens: Tensor, n_heads: int, past: Past) -> dict[str, Tensor]:
    wrong = {text: net_run(weights, tokens, n_heads, fault, past)["logits"] for fault, text in STEP_FAULTS.items()}
    right = net_run(weights, tokens, n_heads, "", past)["logits"]
    alone = "The cache has no effect: the new tokens must look at its keys and values too."
    return wrong | {
        alone: net_run(weights, tokens, n_heads, "", [(k[:, :, :0], v[:, :, :0]) for k, v in past])["logits"],
        "Keys and values of the cache are exchanged: each pair is (keys, values).": net_run(
            weights, tokens, n_heads, "", [(v, k) for k, v in past]
        )["logits"],
        "These are the logits of the last position only. Return those of all new positions.": right[:, -1:],
        "The places are right for the cache, but it is not read.": _only_places(weights, tokens, n_heads, past),
    }


def _only_places(weights: dict[str, Tensor], tokens: Tensor, n_heads: int, past: Past) -> Tensor:
    """The new tokens at their places, looking at each other alone."""
    later = weights | {"wpe.weight": weights["wpe.weight"][past[0][0].shape[2] if past else 0 :]}
    return net_run(later, tokens, n_heads)["logits"]


def check_step(answer, model: GPT2LMHeadModel, tokens: Tensor, past: Past, what: str) -> None:
    weights, heads = net_weights(model), model.config.n_head
    logits, longer = go_on(model, tokens, past)
    got = answer.step(tokens, past, weights, heads)
    expect(isinstance(got, tuple | list) and len(got) == 2, "Return two things: the logits and the new cache.")
    wrong = functools.partial(step_mistakes, weights, tokens, heads, past)
    expect_close(got[0], logits, f"the logit tensor {what}", mistakes=wrong, atol=1e-4, axes="batch new d_vocab")
    check_cache(got[1], past, longer, what)


def check_cache(got: Any, past: Past, longer: Past, what: str) -> None:
    """Old keys and values as they were, the new ones behind them."""
    expect(
        isinstance(got, list | tuple) and len(got) == len(longer),
        f"The cache should be a list with one pair for each of the {len(longer)} layers, but yours "
        f"{f'has {len(got)}' if isinstance(got, list | tuple) else 'is no list'}.",
    )
    for layer, (pair, right) in enumerate(zip(got, longer, strict=True)):
        expect(
            isinstance(pair, list | tuple | Tensor) and len(pair) == 2,
            "Each entry of the cache should be a pair: (keys, values).",
        )
        for i, name in enumerate(("keys", "values")):
            old = past[layer][i] if past else right[i][:, :, :0]
            new = right[i][:, :, old.shape[2] :]
            mistakes = {
                f"Keys and values are exchanged in the cache {what}: each pair is (keys, values).": right[1 - i],
                f"The new {name} are put before the old ones. Positions go on: add them at the end.": torch.cat(
                    [new, old], 2
                ),
                f"The axes of the {name} are in another order: [batch head pos d_head].": right[i].transpose(1, 2),
                f"The heads of the {name} are not apart: [batch head pos d_head].": right[i].transpose(1, 2).flatten(2),
            }
            if past:
                mistakes |= {
                    f"The {name} in the cache are only the new ones. Keep the old ones, and add the new.": new,
                    f"The {name} in the cache are still the old ones. Add the new.": old,
                }
            expect_close(
                pair[i], right[i], f"the tensor of {name} of layer {layer} in the cache {what}", atol=1e-4,
                axes="batch head pos d_head", mistakes=mistakes,
            )  # fmt: skip


@grades("01.13")
def test_the_first_step(answer):
    """From an empty cache: the logits of all positions, and the keys and values of every layer."""
    for model, _, tokens in net_cases():
        check_step(answer, model, tokens, [], "from the start")


@grades("01.13", weight=2)
def test_new_tokens_after_a_cache(answer):
    """One new token, several, and as many as there are places left, after a cache that `transformers` made."""
    for model, _, tokens in net_cases():
        batch, seen = tokens.shape
        _, past = go_on(model, tokens, [])
        for new in (1, 3, NET_CTX - seen):
            more = net_tokens(batch, new, 70 + new)
            check_step(answer, model, more, past, f"of {new} new token{'s' * (new > 1)} after {seen}")


@grades("01.13", weight=2)
def test_a_cache_that_belongs_to_no_tokens(answer):
    """Random keys and values. There is no past to compute again: only an answer that reads the cache can be right."""
    for model, _, tokens in net_cases():
        batch = len(tokens)
        for old, new in ((5, 1), (1, 4), (9, 2)):
            past = random_past(model, batch, old, old + new)
            check_step(answer, model, net_tokens(batch, new, old), past, f"of {new} after a random cache of {old}")


@grades("01.13")
def test_the_old_cache_stays_as_it_is(answer):
    """Two calls with the same cache: it is not changed, and both give the same logits."""
    model, heads, tokens = net_cases()[1]
    weights = net_weights(model)
    for past in (random_past(model, len(tokens), 4, 0), []):
        answer.step(tokens[:, :3], past, weights, heads)  # is it what was asked for? Calls of a held one don't say
        call = held(answer, answer.step, tokens[:, :3], past, weights, heads)
        try:
            runs = [call() for _ in range(2)]
        except AnswerError as error:
            if error.type_name == "NotImplementedError" or not _changed(call.attr("args")[1], past):
                raise
            raise Wrong(CHANGED) from None
        expect(not _changed(call.attr("args")[1], past), CHANGED)
        expect_close(runs[1][0], runs[0][0], "the logit tensor of a second call with the same cache")


CHANGED = (
    "step changed the cache that was passed in. Make a new list with new tensors: with append or cache[layer] = … "
    "the old one is lost, and nobody can go on from it another way."
)


def _changed(cache: Any, past: Past) -> bool:
    if not isinstance(cache, list | tuple) or len(cache) != len(past):
        return True
    for pair, old in zip(cache, past, strict=True):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            return True
        if not all(isinstance(x, Tensor) and torch.equal(x, right) for x, right in zip(pair, old, strict=True)):
            return True
    return False


# layers, heads, d_model, seed, tokens given, tokens asked for: networks that say several things, each with a clear lead
GENERATED = ((1, 2, 8, 21, 4, 1), (1, 2, 8, 13, 4, 12), (2, 2, 16, 43, 4, 12), (2, 4, 12, 6, 1, 6))


@grades("01.13", weight=2)
def test_greedy_generation(answer):
    """The tokens that `generate` of `transformers` chooses, up to the last place that the network has."""
    for layers, heads, d_model, seed, given, n_new in GENERATED:
        model, tokens = net_random(layers, heads, d_model, seed), net_tokens(2, 4, seed)[:, :given]
        want = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), do_sample=False, max_new_tokens=n_new, pad_token_id=0
        )
        got = answer.generate(tokens, net_weights(model), heads, n_new)
        expect_equal(
            got,
            want,
            f"what follows {given} token{'s' * (given > 1)}, {n_new} new",
            mistakes={
                "These are the new tokens only. Return the tokens that were given, and the new ones after them.": want[
                    :, given:
                ],
                "One token too few: n_new tokens are asked for.": want[:, :-1],
                **_wrong_generations(net_weights(model), tokens, heads, n_new, want),
            },
        )


@grades("01.13")
def test_nothing_more_is_asked_for(answer):
    """For n_new = 0 the tokens come back as they were."""
    model, heads, tokens = net_cases()[0]
    one_more = torch.cat([tokens, net_run(net_weights(model), tokens, heads)["logits"][:, -1:].argmax(-1)], 1)
    expect_equal(
        answer.generate(tokens, net_weights(model), heads, 0),
        tokens,
        "what generate returns for n_new = 0",
        mistakes={"For n_new = 0 you add a token. None is asked for: return the tokens that were given.": one_more},
    )


@grades("01.13")
def test_short_vectors_show_the_eps_of_every_norm_of_step(answer):
    """A network with such small weights that the stream stays short: there the eps of every norm counts."""
    model, heads, tokens = net_cases()[0]
    weights = quiet(net_weights(model))
    got = answer.step(tokens, [], weights, heads)
    expect(isinstance(got, tuple | list) and len(got) == 2, "Return two things: the logits and the new cache.")
    expect_close(
        got[0],
        net_run(weights, tokens, heads)["logits"],
        "the logit tensor of a network with small weights",
        mistakes=functools.partial(wrong_eps, weights, tokens, heads),
        atol=1e-6,
        rtol=1e-3,
        axes="batch new d_vocab",
    )


def _wrong_generations(weights: dict, tokens: Tensor, heads: int, n_new: int, want: Tensor) -> dict[str, Tensor]:
    """What generation without memory, or with one fault, comes to."""
    lone, least, sampled = tokens, tokens, tokens
    for _ in range(n_new):
        lone = torch.cat([lone, net_run(weights, lone[:, -1:], heads)["logits"][:, -1:].argmax(-1)], 1)
        least = torch.cat([least, net_run(weights, least, heads)["logits"][:, -1:].argmin(-1)], 1)
    for _ in range(n_new):
        sampled = torch.cat([sampled, net_run(weights, tokens, heads)["logits"][:, -1:].argmax(-1)], 1)
    return {
        "Each new token is chosen from the newest one alone. Keep the cache that step returns, and pass it on.": lone,
        "You choose the token with the smallest logit. Take argmax.": least,
        "The same token comes again and again: the new token is never passed through step.": sampled,
    }


@grades("01.13", weight=2)
def test_every_position_is_computed_once(answer):
    """`generate` may do about as much arithmetic as one pass over all positions, not one pass for each new token.

    torch counts multiplications and additions while your functions run. Then a wide network says hundreds of words, in
    a fraction of the time that a pass over all positions for each of them would take.
    """
    model, heads, _ = net_cases()[1]
    weights, tokens = net_weights(model), net_tokens(1, 3, 9)
    n_new, longest = 13, net_tokens(1, 15, 9)
    once = arithmetic(answer, lambda: answer.step(longest, [], weights, heads))
    mine = arithmetic(answer, lambda: answer.generate(tokens, weights, heads, n_new))
    expect(
        mine <= 1.5 * once,
        f"For {n_new} new tokens, generate computes {mine / max(once, 1):.1f} times as much as one pass over all "
        "positions: it goes through old positions again and again. Give step only the newest token, and the cache "
        "that it returned before.",
    )
    check_time(answer)


LONG_CTX, LONG_HEADS = 256, 4


@functools.cache
def long_weights() -> dict[str, Tensor]:
    """A network so wide that arithmetic is most of its time, and with so many places that old ones cost the most."""
    size = {"vocab_size": NET_WORDS, "n_positions": LONG_CTX, "n_embd": 256, "n_layer": 2, "n_head": LONG_HEADS}
    model = GPT2LMHeadModel(GPT2Config(**size, bos_token_id=0, eos_token_id=None))
    return net_weights(randomised(model, 10, std=0.1))


def seconds_of_passes(weights: dict[str, Tensor], tokens: Tensor, n_new: int) -> float:
    """What a pass over all earlier positions for each new token would take here: two lengths are tried, both twice."""

    def once(pos: int) -> float:
        started = time.process_time()
        net_run(weights, tokens[:, :pos], LONG_HEADS)
        return time.process_time() - started

    last = tokens.shape[1] - 1
    return n_new * sum(min(once(pos), once(pos)) for pos in (last, last - n_new + 1)) / 2


def check_time(answer) -> None:
    """A count can be forged where it is made; the time of the learner's process cannot."""
    weights, tokens, n_new = long_weights(), net_tokens(1, 4, 11), LONG_CTX - 4
    before = seconds_used(answer)
    got = answer.generate(tokens, weights, LONG_HEADS, n_new)
    used = seconds_used(answer) - before
    expect_equal(list(getattr(got, "shape", ())), [1, LONG_CTX], "the shape of what generate returns")
    expect_equal(got[:, :4], tokens, "the start of what generate returns")
    logits = net_run(weights, got, LONG_HEADS)["logits"][:, 3:-1]
    behind = logits.amax(-1) - logits.gather(-1, got[:, 4:, None])[..., 0]
    expect(bool((behind < 1e-2).all()), f"Of {n_new} new tokens, not all are those with the largest logit.")
    passes = seconds_of_passes(weights, got, n_new)
    expect(
        used < 0.4 * passes,
        f"For {n_new} new tokens, generate takes {used / passes:.1f} times as long as a pass over all earlier "
        "positions for each of them. Give step only the newest token, and the cache that it returned before.",
    )


# --- 01.14 ------------------------------------------------------------------------------------------------------------

SITE_AXES = {
    "hook_q": "batch pos head d_head",
    "hook_k": "batch pos head d_head",
    "hook_v": "batch pos head d_head",
    "hook_z": "batch pos head d_head",
    "hook_pattern": "batch head query key",
    "hook_pre": "batch pos d_mlp",
    "hook_post": "batch pos d_mlp",
    "logits": "batch pos d_vocab",
}


def sites(n_layers: int) -> dict[str, list[str]]:
    """Every name, with those that must be computed before it."""
    before: dict[str, list[str]] = {"hook_embed": [], "hook_pos_embed": []}
    stream = ["hook_embed", "hook_pos_embed"]
    for layer in range(n_layers):
        b = f"blocks.{layer}."
        before[b + "hook_resid_pre"] = stream
        before |= {f"{b}attn.hook_{name}": [b + "hook_resid_pre"] for name in "qkv"}
        before[b + "attn.hook_pattern"] = [b + "attn.hook_q", b + "attn.hook_k"]
        before[b + "attn.hook_z"] = [b + "attn.hook_pattern", b + "attn.hook_v"]
        before[b + "hook_attn_out"] = [b + "attn.hook_z"]
        before[b + "hook_resid_mid"] = [b + "hook_attn_out"]
        before[b + "mlp.hook_pre"] = [b + "hook_resid_mid"]
        before[b + "mlp.hook_post"] = [b + "mlp.hook_pre"]
        before[b + "hook_mlp_out"] = [b + "mlp.hook_post"]
        before[b + "hook_resid_post"] = [b + "hook_mlp_out"]
        stream = [b + "hook_resid_post"]
    return before | {"ln_final.hook_normalized": stream, "logits": ["ln_final.hook_normalized"]}


@functools.cache
def net_read(number: int) -> dict[str, Tensor]:
    """Every activation of one of the small networks, as the course's own library reads them."""
    model, _, tokens = net_cases()[number]
    return read(TransformersModel(copy.deepcopy(model)), tokens)


def read(model: Any, tokens: Tensor) -> dict[str, Tensor]:
    logits, cache = model.run_with_cache(tokens)
    seen = {**dict(cache.items()), "logits": logits}
    return {name: seen[name].detach() for name in sites(model.cfg.n_layers)}


def site_mistakes(name: str, want: dict[str, Tensor], weights: dict[str, Tensor], heads: int) -> dict[str, Tensor]:
    """What may stand under a name instead: something that the docstring names as well, or a part that is missing."""
    last, right = name.split(".")[-1], want[name]
    wrong: dict[str, Tensor] = {}
    if last == "hook_pattern":
        q, k = (want[name.replace("pattern", x)].transpose(1, 2) for x in "qk")
        raw = q @ k.mT
        allowed = causal_mask(*raw.shape[-2:])
        scores = raw / math.sqrt(q.shape[-1])
        before = f"{name} should hold what comes after the softmax. These are scores, from before it."
        wrong = {
            before: scores,
            f"{before} (They are masked already.)": scores.masked_fill(~allowed, -torch.inf),
            f"In {name} the mask is missing: positions look ahead.": scores.softmax(-1),
            f"In {name} the scores are not divided by √d_head.": raw.masked_fill(~allowed, -torch.inf).softmax(-1),
            f"{name} has its queries and keys exchanged.": right.mT,
        }
    if last == "hook_post":
        pre = want[name.replace("post", "pre")]
        wrong = {
            f"{name} looks like the exact GELU. GPT-2's is the one with tanh.": F.gelu(pre),
            f"{name} looks like a ReLU. GPT-2 has a GELU.": F.relu(pre),
        }
    if last in ("hook_q", "hook_k", "hook_v", "hook_z"):
        flat = right.flatten(2)
        d = right.shape[-1]
        wrong = {
            f"{name} should have its heads apart: [batch pos head d_head].": flat,
            f"The heads of {name} are cut wrongly: head 0 has the FIRST d_head numbers, head 1 the next. Split the "
            'last axis as "(head d)", not as "(d head)".': flat.unflatten(-1, (d, heads)).transpose(2, 3),
            f"The heads of {name} come first. Its axes are [batch pos head d_head].": right.transpose(1, 2),
        }
    if last == "hook_pos_embed":
        wrong = {f"{name} should have a batch axis too, the same for every sequence: use expand.": right[0]}
    if last == "hook_normalized":
        x = want[[n for n in want if n.endswith("resid_post")][-1]]
        wrong = {
            f"{name} should hold what leaves the norm, with its weight and bias.": F.layer_norm(x, x.shape[-1:]),
        }
    why = (
        " Perhaps += has changed it after you kept it: write x = x + out." if "resid" in name or "embed" in name else ""
    )
    others = {f"Under {name} stands what belongs under {other}.{why}": x for other, x in want.items() if other != name}
    return wrong | others


def check_activations(answer, tokens: Tensor, weights: dict, heads: int, want: dict[str, Tensor], what: str) -> None:
    got = answer.activations(tokens, weights, heads)
    expect(isinstance(got, dict), "Return a dict from names to tensors.")
    missing = [name for name in want if name not in got]
    more = f" So do {len(missing) - 1} others." if len(missing) > 1 else ""
    expect(not missing, f'The name "{missing[0] if missing else ""}" is missing from the dict.{more}')
    for name, x in want.items():
        wrong = functools.partial(site_mistakes, name, want, weights, heads)
        axes = SITE_AXES.get(name.split(".")[-1], "batch pos d_model")
        expect_close(got[name], x, f"the tensor {name} of {what}", mistakes=wrong, atol=1e-4, axes=axes, strict=True)
    place = {name: i for i, name in enumerate(got)}
    for name, needed in sites(1 + max(int(n.split(".")[1]) for n in want if n.startswith("blocks."))).items():
        for other in needed:
            expect(
                place[other] < place[name],
                f"Every tensor is right, but the order is not: {name} is computed from {other}, and stands before it.",
            )


@grades("01.14", weight=2)
def test_every_activation_of_random_networks(answer):
    """All names, values and their order, on three small networks, as the course's own library reads them."""
    for number, (model, heads, tokens) in enumerate(net_cases()):
        what = f"a network of {model.config.n_layer} layer{'s' * (model.config.n_layer > 1)}"
        check_activations(answer, tokens, net_weights(model), heads, net_read(number), what)


@grades("01.14")
def test_every_activation_of_a_network_with_small_weights(answer):
    """A stream so short that the eps of every norm counts."""
    model, heads, tokens = net_cases()[0]
    weights = quiet(net_weights(model))
    check_activations(answer, tokens, weights, heads, net_run(weights, tokens, heads), "a network with small weights")


@functools.cache
def bundled(name: str = NAME) -> tuple[dict[str, Tensor], int, Tensor, dict[str, Tensor]]:
    """(weights, heads, tokens, activations) of a bundled network, on two sequences that say everything twice."""
    model = mi_lib.load(name)
    tokens = net_tokens(2, 8, 1, model.cfg.d_vocab).repeat(1, 2)
    return net_weights(model.hf), model.cfg.n_heads, tokens, read(model, tokens)


@grades("01.14", weight=2)
def test_every_activation_of_the_bundled_network(answer):
    """The trained network: every number inside of it, computed by yours."""
    weights, heads, tokens, want = bundled()
    check_activations(answer, tokens, weights, heads, want, NAME)


@grades("01.14", weight=2)
def test_every_activation_of_pico(answer):
    """Pico, the language model of the later chapters: every number inside of it, computed by yours."""
    weights, heads, tokens, want = bundled(PICO)
    check_activations(answer, tokens, weights, heads, want, PICO)


SABOTAGE = {  # a fault, and the name at which the two networks part
    "exact gelu 1": "blocks.1.mlp.hook_post",
    "no mask": "blocks.0.attn.hook_pattern",
    "no scale": "blocks.0.attn.hook_pattern",
    "places one on": "hook_pos_embed",
    "no last norm": "ln_final.hook_normalized",
    "h.1.attn.c_proj.weight": "blocks.1.hook_attn_out",
    "h.0.mlp.c_proj.bias": "blocks.0.hook_mlp_out",
    "h.1.ln_2.weight": "blocks.1.mlp.hook_pre",
    "wte.weight": "hook_embed",
}


def sabotaged(weights: dict[str, Tensor], tokens: Tensor, heads: int, fault: str) -> dict[str, Tensor]:
    """All activations of a network with one fault: of its code, or of one weight that is named."""
    if fault not in weights:
        return net_run(weights, tokens, heads, fault)
    changed = weights[fault].clone()
    if changed.ndim == 2:  # of the embedding, in the row of a token that occurs
        changed[tokens[0, 1] if fault == "wte.weight" else -1, -1] += 0.5
    else:
        changed[-1] += 0.5
    return net_run(weights | {fault: changed}, tokens, heads)


def check_first(
    got: Any, want: str | None, mine: dict[str, Tensor], other: dict[str, Tensor], what: str, tolerance: float = 1e-4
) -> None:
    """The name, and what the learner's function seems to look for instead."""
    if got == want if isinstance(got, str) else got is want:
        return
    expect(
        got is None or isinstance(got, str), "Return a name, or None. Yours is something else: return as soon as you "
        "find the first one.",
    )  # fmt: skip
    gaps = {n: (x - other[n]).abs() for n, x in mine.items() if n in other and x.shape == other[n].shape}
    off = [n for n, gap in gaps.items() if not bool((gap <= 1e-4).all())]
    if got is not None and want is not None and len(off) > 1:
        largest = max(off, key=lambda n: gaps[n].max().item())
        expect(got != off[-1], f"{what}: {got} is the LAST name that differs. The first is {want}.")
        expect(got != largest, f"{what}: at {got} the difference is largest, but it begins at {want}.")
    on_average = [n for n, gap in gaps.items() if not gap.mean() <= tolerance]
    if got == next(iter(on_average), None) and math.isfinite(sum(gap.sum().item() for gap in gaps.values())):
        sentence = "you seem to compare the MEAN difference with the tolerance. One number that differs is a difference"
        raise Wrong(f"{what}: the first name that differs is {want}; {sentence}.")
    expect(got is not None, f"{what}: the two part at {want}, but your code finds no difference.")
    expect(want is not None, f"{what}: they are equal within the tolerance, so the answer is None, not {got!r}.")
    raise Wrong(f"{what}: the first name that differs is {want}, but your code says {got}.")


@grades("01.14")
def test_the_first_difference_of_made_up_tensors(answer):
    """One number out of many, differences of either sign, exactly at the tolerance, NaN, and names that are missing."""
    zero = torch.zeros(2, 3, 4)

    def at(value: float) -> Tensor:
        x = zero.clone()
        x[1, 0, 2] = value
        return x

    plain = {"b": zero, "a": zero, "c": zero, "d": zero}
    cases = [
        ("Two equal dicts", {}, {}, None, {}),
        ("A difference in one number of 24", {"b": at(1e-3), "a": at(5e-3), "c": at(9.0), "d": at(2.0)}, {}, "b", {}),
        ("Differences of −1", {"c": at(-1.0), "d": at(-3.0)}, {}, "c", {}),
        ("Numbers that are too small rather than too large", {}, {"a": at(5.0)}, "a", {}),
        ("Many differences of half the tolerance", {"b": zero + 5e-5, "d": at(1e-3)}, {}, "d", {}),
        ("A difference of 0.9 times the usual tolerance, 0.0001", {"b": at(9e-5)}, {}, None, {}),
        ("A difference of 1.1 times the usual tolerance, 0.0001", {"c": at(1.1e-4)}, {}, "c", {}),
        ("A difference of 0.9 times a tolerance of 0.001", {"b": at(9e-4)}, {}, None, {"tolerance": 1e-3}),
        ("A tolerance of 0", {"b": at(1e-7)}, {}, "b", {"tolerance": 0.0}),
        ("Differences that cancel", {"a": at(1.0) - at(1.0).flip(2)}, {}, "a", {}),
        ("A difference of 0.005 between numbers of 1000", {"b": zero + 1000.005}, {"b": zero + 1000}, "b", {}),
        ("A difference of exactly the tolerance, 0.5", {"a": at(0.5), "c": at(0.75)}, {}, "c", {"tolerance": 0.5}),
        ("A tolerance of 10", {"a": at(9.0)}, {}, None, {"tolerance": 10.0}),
        ("NaN in one of the two, which equals nothing", {"a": at(math.nan), "d": at(1.0)}, {}, "a", {}),
        ("NaN in the other one, which equals nothing", {"d": at(1.0)}, {"c": at(math.nan)}, "c", {}),
        ("Infinity in one of the two", {"a": at(math.inf)}, {}, "a", {}),
    ]
    for what, mine, other, want, options in cases:
        first, second = plain | mine, dict(reversed((plain | other).items()))
        check_first(answer.first_difference(first, second, **options), want, first, second, what, **options)
    first, second = {"only mine": at(1.0), **plain}, {**plain, "only the other's": at(1.0), "d": at(1.0)}
    try:
        got = answer.first_difference(first, second)
    except AnswerError as error:
        expect(error.type_name != "KeyError", "A name that `other` lacks is passed over, and raises no KeyError.")
        raise
    expect(got != "only mine", "A name that `other` lacks is passed over: there is nothing to compare it with.")
    check_first(got, "d", first, second, "Names that only one of the two has")


@grades("01.14", weight=2)
def test_where_a_sabotaged_network_parts(answer):
    """Networks with one known fault, against the sound one: your two functions find where they part."""
    model, heads, tokens = net_cases()[1]
    for network in ((net_weights(model), heads, tokens), bundled()[:3]):
        weights, heads, tokens = network
        mine = answer.activations(tokens, weights, heads)
        expect(isinstance(mine, dict), "activations should return a dict from names to tensors.")
        sound = net_run(weights, tokens, heads)
        check_first(answer.first_difference(mine, sound), None, mine, sound, "Your network and ours, both sound")
        for fault, want in SABOTAGE.items():
            other = sabotaged(weights, tokens, heads, fault)
            got = answer.first_difference(mine, other)
            check_first(got, want, mine, other, f"A network with one fault ({fault})")


# --- 01.15 ------------------------------------------------------------------------------------------------------------


@grades("01.15")
def test_rms_norm_of_llama(answer):
    """`LlamaRMSNorm`, on vectors, matrices and more axes: tiny ones, which show what eps does, and larger ones."""
    for seed, (shape, scale) in enumerate([((2, 3, 5), 2e-3), ((2, 3, 5, 7), 1e-3), ((7,), 1.0), ((3, 11), 5.0)]):
        g = generator(80 + seed)
        x = scale * (torch.randn(shape, generator=g) + 0.7)
        weight = torch.randn(shape[-1], generator=g)
        for eps in (None, 1e-2, 1e-5, 0.0):
            norm = hf_llama.LlamaRMSNorm(shape[-1], eps=1e-6 if eps is None else eps).requires_grad_(False)
            norm.weight.copy_(weight)
            options = {} if eps is None else {"eps": eps}
            got = answer.rms_norm(x, weight, **options)
            what = "the norm with its usual eps" if eps is None else f"the norm with eps = {eps:g}"
            expect_close(got, norm(x), what, mistakes=rms_mistakes(x, weight, eps))


def rms_mistakes(x: Tensor, weight: Tensor, eps: float | None) -> dict[str, Tensor]:
    square = x.pow(2).mean(-1, keepdim=True)
    centred = x - x.mean(-1, keepdim=True)
    used = 1e-6 if eps is None else eps
    root = (square + used).sqrt()
    about_eps = {"eps stands outside of the root. It is √(mean of squares + eps).": x / (square.sqrt() + used) * weight}
    if eps is None:
        about_eps |= {
            "eps is missing, far too small, or not added to the mean of squares: √(mean of squares + eps).": x
            / square.sqrt()
            * weight,
            "If no eps is passed in, it is 0.000001. Yours is 0.00001, GPT-2's.": x / (square + 1e-5).sqrt() * weight,
            "If no eps is passed in, it is 0.000001. Yours is 0.00000001.": x / (square + 1e-8).sqrt() * weight,
        }
    else:  # whoever comes so far has an eps
        largest = "You take eps or the root, whichever is larger. It is √(mean of squares + eps)."
        about_eps[largest] = x / square.sqrt().clamp(min=used) * weight
        about_eps["You always use eps = 0.000001. Use the argument eps."] = x / (square + 1e-6).sqrt() * weight
    return about_eps | {
        "Nothing is subtracted: you take off the mean, as LayerNorm does.": centred
        / (centred.pow(2).mean(-1, keepdim=True) + used).sqrt()
        * weight,
        "The mean is taken off inside of the root. It is the mean of the squares of x itself.": x
        / (centred.pow(2).mean(-1, keepdim=True) + used).sqrt()
        * weight,
        "The mean is taken off above, though not below. Nothing is subtracted.": centred / root * weight,
        "The weight is missing.": x / root,
        "You multiply by 1 + weight, as Gemma does. Llama multiplies by weight.": x / root * (1 + weight),
        "You divide by the length: the root of the SUM of squares. It is their mean.": x
        / (x.pow(2).sum(-1, keepdim=True) + used).sqrt()
        * weight,
        "The root is missing: you divide by the mean of squares.": x / (square + used) * weight,
        **(
            {
                f"You take the mean of squares over {axis}. Each vector is normalised by itself: use the last axis.": x
                / (x.pow(2).mean(i, keepdim=True) + used).sqrt()
                * weight
                for i, axis in ((0, "the first axis"), (1, "the second axis"))
                if i < x.ndim - 1
            }
        ),
        "You take one mean of squares for the whole of x. Each vector is normalised by itself: use the last axis.": x
        / (x.pow(2).mean() + used).sqrt()
        * weight,
    }


@functools.lru_cache(maxsize=64)
def rotary(d_head: int, pos: int, base: float) -> tuple[Tensor, Tensor]:
    """cos and sin of `transformers`, each [1 pos d_head]."""
    config = LlamaConfig(
        hidden_size=2 * d_head,
        num_attention_heads=2,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    return hf_llama.LlamaRotaryEmbedding(config)(torch.zeros(1), torch.arange(pos)[None])


def rotated(x: Tensor, angle: Tensor, pairs: str = "halves", sign: int = 1) -> Tensor:
    """Pairs of numbers as complex numbers, times e^(i·angle); angle [pos d_head/2]."""
    if pairs == "halves":
        a, b = x.double().chunk(2, -1)
    else:
        a, b = x.double()[..., 0::2], x.double()[..., 1::2]
    z = torch.complex(a, b) * torch.polar(torch.ones_like(angle), sign * angle)
    if pairs == "halves":
        return torch.cat([z.real, z.imag], -1)
    return torch.stack([z.real, z.imag], -1).flatten(-2)


def rotary_mistakes(x: Tensor, base: float) -> dict[str, Tensor]:
    half, pos = x.shape[-1] // 2, x.shape[-2]
    t, i = torch.arange(pos, dtype=torch.double)[:, None], torch.arange(half, dtype=torch.double)
    angle = t * base ** (-i / half)
    a, b = x.double().chunk(2, -1)
    flat = a * angle.cos() - b * angle.sin()
    over_heads = rotated(x.transpose(1, 2), torch.arange(x.shape[1])[:, None] * base ** (-i / half)).transpose(1, 2)
    wrong = {
        "You pair neighbours, x[2i] and x[2i + 1], as GPT-J does. Llama pairs x[i] with x[i + h].": rotated(
            x, angle, "neighbours"
        ),
        "The pairs are turned the other way: the sign of the sine is wrong.": rotated(x, angle, sign=-1),
        "Both halves have the same sign of the sine. That is no rotation: the second half has a plus.": torch.cat(
            [flat, b * angle.cos() - a * angle.sin()], -1
        ),
        "The second half is computed from the first after it was turned already. Keep the old x[i].": torch.cat(
            [flat, b * angle.cos() + flat * angle.sin()], -1
        ),
        "Sine and cosine are exchanged.": rotated(x, math.pi / 2 - angle),
        "The angles fall too fast: with h = d_head / 2 the exponent is −i/h, not −2i/h.": rotated(
            x, t * base ** (-2 * i / half)
        ),
        "The angles fall too slowly: the exponent is −i/h with h = d_head / 2, not −i/d_head.": rotated(
            x, t * base ** (-i / (2 * half))
        ),
        "The angles grow with i. The exponent is negative: base^(−i/h).": rotated(x, t * base ** (i / half)),
        "Positions count from 0: the first one is not turned at all.": rotated(x, angle + base ** (-i / half)),
        "You turn along the heads. Positions are the axis before the last.": over_heads,
        "The base that was passed in is not used.": rotated(x, t * 10000.0 ** (-i / half)),
        "If no base is passed in, it is 10000. Yours is 500000.": rotated(x, t * 500000.0 ** (-i / half)),
        "The angles are in degrees. cos and sin take them as they are, in radians.": rotated(x, math.pi / 180 * angle),
        "All pairs are turned by the same angle. It depends on i.": rotated(x, t.expand(pos, half)),
        "The angles are multiplied by 2π.": rotated(x, 2 * math.pi * angle),
        "Nothing is turned.": x.double(),
    }
    return {text: value for text, value in wrong.items() if value.shape == x.shape}


@grades("01.15", weight=2)
def test_rotary_positions_of_llama(answer):
    """`apply_rotary_pos_emb`, several shapes and bases."""
    cases = [(3, 2, 5, 14, 300.0), (2, 3, 11, 6, 10000.0), (1, 1, 31, 2, 10000.0), (1, 5, 13, 22, 500000.0)]
    for seed, (batch, heads, pos, d_head, base) in enumerate(cases):
        x = randn(batch, heads, pos, d_head, seed=90 + seed)
        want, _ = hf_llama.apply_rotary_pos_emb(x, x, *rotary(d_head, pos, base))
        got = answer.rotate(x) if base == 10000.0 else answer.rotate(x, base)
        what = f"the rotated tensor for d_head {d_head} and base {base:g}"
        wrong = functools.partial(rotary_mistakes, x, base)
        expect_close(got, want, what, mistakes=wrong, atol=1e-4, axes="batch head pos d_head")


@grades("01.15")
def test_scores_depend_on_the_distance_only(answer):
    """One query and one key at every pair of places: the score knows how far apart they are, not where."""
    pos, d_head = 12, 8
    q, k = randn(2, d_head, seed=99)
    got = [answer.rotate(x.expand(1, 1, pos, d_head).contiguous()) for x in (q, k)]
    for x, old, name in zip(got, (q, k), ("query", "key"), strict=True):
        lengths = values(x, (1, 1, pos, d_head), f"the turned {name}").norm(dim=-1)[0, 0]
        same = bool(((lengths - old.double().norm()).abs() < 1e-4).all())
        expect(same, f"The {name} changes its length. A rotation keeps it: use one angle for both of a pair.")
    scores = (got[0].double() @ got[1].double().mT)[0, 0]
    for distance in range(1 - pos, pos):
        along = scores.diagonal(distance)
        expect(
            float(along.max() - along.min()) < 1e-3,
            f"At distance {abs(distance)} the score should be the same wherever the two stand, but it varies from "
            f"{float(along.min()):.3f} to {float(along.max()):.3f}.",
        )
    expect(float(scores.std()) > 1e-2, "The score does not depend on the distance at all: nothing is turned.")


# --- 01.16 ------------------------------------------------------------------------------------------------------------

LLAMA_SHAPES = ((24, 6, 2, 13, 5, 7, 0), (12, 6, 3, 11, 1, 7, 1), (10, 5, 5, 7, 3, 11, 2), (20, 5, 1, 13, 3, 7, 3))
LlamaCase = tuple[dict[str, Tensor], int, int, Tensor, Tensor]  # weights, heads, kv heads, x, what leaves the block


@functools.cache
def llama_cases() -> list[LlamaCase]:
    """Layers of `transformers` with random weights, and what they make of a random stream."""
    cases = []
    for d_model, heads, kv_heads, d_mlp, batch, pos, seed in LLAMA_SHAPES:
        config = LlamaConfig(
            hidden_size=d_model,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            intermediate_size=d_mlp,
            rms_norm_eps=1e-6,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
            attn_implementation="eager",
        )
        layer = randomised(hf_llama.LlamaDecoderLayer(config, 0), 120 + seed, std=0.6)
        tiny = 3e-3 if seed == 1 else 1.0  # so small that the norms' eps counts
        layer.self_attn.o_proj.weight.mul_(tiny)
        x = tiny * (randn(batch, pos, d_model, seed=130 + seed) + 0.3)
        mask = future_mask(pos)[None, None]
        place = torch.arange(pos)[None]
        y = layer(x, attention_mask=mask, position_embeddings=hf_llama.LlamaRotaryEmbedding(config)(x, place))
        cases.append((dict(layer.state_dict()), heads, kv_heads, x, y))
    return cases


def llama_by_hand(w: dict[str, Tensor], heads: int, kv_heads: int, x: Tensor, fault: str = "") -> Tensor:
    """The block with one known fault, head by head."""
    a, m = "self_attn.{}_proj.weight", "mlp.{}_proj.weight"

    def product(x: Tensor, name: str) -> Tensor:
        weight = w[name]
        square = weight.shape[0] == weight.shape[1]
        return x @ (weight if fault == "not transposed" and square else weight.T)

    def norm(x: Tensor, name: str) -> Tensor:
        if fault == "layer norm":
            x = x - x.mean(-1, keepdim=True)
        name = (
            {"input_layernorm": "post_attention_layernorm"}.get(name, "input_layernorm") if fault == "norms" else name
        )
        return F.rms_norm(x, x.shape[-1:], w[f"{name}.weight"], eps=1e-5 if fault == "eps" else 1e-6)

    read, pos = norm(x, "input_layernorm"), x.shape[1]
    q, k, v = (product(read, a.format(name)) for name in "qkv")
    d = q.shape[-1] // heads
    angle = torch.arange(pos, dtype=torch.double)[:, None] * 10000.0 ** (
        -torch.arange(d // 2, dtype=torch.double) / (d // 2)
    )
    base = torch.arange(pos, dtype=torch.double)[:, None] * 500000.0 ** (
        -torch.arange(d // 2, dtype=torch.double) / (d // 2)
    )

    def turn(x: Tensor, which: str) -> Tensor:
        skipped = fault in ("not turned", f"{which} not turned") or (which == "v" and fault != "v turned")
        if fault == "base":
            return rotated(x, base).to(x.dtype)
        pairs = "neighbours" if fault == "neighbours" else "halves"
        return x if skipped else rotated(x, angle, pairs).to(x.dtype)

    out = []
    for h in range(heads):
        g = h % kv_heads if fault == "tiled" else h // (heads // kv_heads)
        mine, shared = slice(h * d, (h + 1) * d), slice(g * d, (g + 1) * d)
        scores = turn(q[..., mine], "q") @ turn(k[..., shared], "k").mT
        scores = scores / (1.0 if fault == "no scale" else math.sqrt(d))
        if fault != "no mask":
            scores = scores.masked_fill(~causal_mask(pos), -torch.inf)
        out.append(scores.softmax(-1) @ turn(v[..., shared], "v"))
    attended = product(torch.cat(out, -1), a.format("o"))
    mid = attended if fault == "no stream" else x + attended
    read = norm(x if fault == "parallel" else mid, "post_attention_layernorm")
    if fault == "no second norm":
        read = mid
    gate, up = product(read, m.format("gate")), product(read, m.format("up"))
    if fault == "exchanged":
        gate, up = up, gate
    if fault == "reads twice":
        read = norm(norm(x, "input_layernorm"), "post_attention_layernorm")
    bend = {
        "gelu": F.gelu,
        "tanh gelu": tanh_gelu,
        "relu": F.relu,
        "sigmoid": torch.sigmoid,
        "no silu": lambda x: x,
    }.get(fault, F.silu)
    hidden = F.silu(gate * up) if fault == "silu of all" else bend(gate) * up
    return (0 if fault == "no second sum" else mid) + product(hidden, m.format("down"))


LLAMA_FAULTS = {
    "tiled": "The heads of keys and values are given out in turn. The first r query heads share the first of them: use "
    "repeat_interleave, not repeat.",
    "v turned": "The values are turned too. Only queries and keys are.",
    "not turned": "Queries and keys are not turned: apply rotate to both.",
    "q not turned": "The queries are not turned: apply rotate to both queries and keys.",
    "k not turned": "The keys are not turned: apply rotate to both queries and keys.",
    "neighbours": "The rotation pairs neighbours. See `rotate`: x[i] goes with x[i + h].",
    "exchanged": "gate_proj and up_proj are exchanged: silu is applied to gate_proj(x).",
    "no silu": "The silu is missing: it is silu(gate) · up.",
    "sigmoid": "silu(x) is x · sigmoid(x). The factor x is missing.",
    "silu of all": "silu is applied to the product. It belongs to the gate alone: silu(gate) · up.",
    "tanh gelu": "This is GPT-2's GELU. Llama's gate has a silu: x · sigmoid(x).",
    "reads twice": "The MLP reads what attention read, normed once more. It reads the new stream, x + attention.",
    "no second sum": "After the MLP the stream is lost: add its output to the stream.",
    "base": "Queries and keys are turned with another base. Use the default of rotate, 10000.",
    "gelu": "This is a GELU. Llama's gate has a silu: x · sigmoid(x).",
    "relu": "This is a ReLU. Llama's gate has a silu: x · sigmoid(x).",
    "not transposed": "A weight that is [out, in] must be transposed: x @ weight.T. For square ones no error says so.",
    "no mask": "The mask is missing: positions look ahead.",
    "no scale": "The scores are not divided by √d_head.",
    "layer norm": "The norms subtract the mean. Use rms_norm.",
    "eps": "The norms have eps = 1e-6, which is the default of rms_norm. Yours is 1e-5, GPT-2's.",
    "norms": "The two norms are exchanged: attention reads through input_layernorm.",
    "parallel": "The MLP reads the stream from before attention. It reads x + attention.",
    "no second norm": "The MLP reads the stream without its norm, post_attention_layernorm.",
    "no stream": "What attention finds replaces the stream. Add it: x + attention.",
}


def llama_mistakes(w: dict[str, Tensor], heads: int, kv_heads: int, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    return {text: llama_by_hand(w, heads, kv_heads, x, fault) for fault, text in LLAMA_FAULTS.items()} | {
        "This is what the block adds. The stream itself belongs to the result.": y - x,
    }


def check_llama(answer, case: LlamaCase) -> None:
    w, heads, kv_heads, x, y = case
    got = answer.llama_block(x, w, heads, kv_heads)
    what = f"what leaves a block with {heads} heads of queries and {kv_heads} of keys and values"
    wrong = functools.partial(llama_mistakes, w, heads, kv_heads, x, y)
    expect_close(got, y, what, mistakes=wrong, atol=1e-4, axes="batch pos d_model")


@grades("01.16", weight=2)
def test_shared_keys_and_values(answer):
    """Layers of `transformers` in which several query heads share one head of keys and values."""
    for case in llama_cases():
        if case[1] != case[2]:
            check_llama(answer, case)


@grades("01.16")
def test_as_many_keys_as_queries(answer):
    """A layer in which every query head has its own keys and values."""
    for case in llama_cases():
        if case[1] == case[2]:
            check_llama(answer, case)


@grades("01.16")
def test_nobody_looks_ahead(answer):
    """A change at position 3 changes nothing before it, and does change what comes after."""
    w, heads, kv_heads, x, _ = llama_cases()[3]
    later = x.clone()
    later[:, 3] += torch.linspace(-2, 2, x.shape[-1])
    before, after = (
        values(answer.llama_block(y, w, heads, kv_heads), tuple(x.shape), "what leaves the block") for y in (x, later)
    )
    gap = (after - before).abs().amax((0, 2))
    expect(float(gap[:3].max()) < 1e-4, "A change at position 3 is seen at positions before it. Use causal_pattern.")
    expect(float(gap[3:].min()) > 1e-3, "A change at position 3 is not seen at all positions from there on.")
