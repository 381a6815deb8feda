"""The grader of chapter 08. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: `mi_lib.attribution`, whose sweeps, edges and gradients are
computed another way, runs of one pair or one place after another, sums over pairs of edges. Planted circuits are
compiled with seeds that no learner has seen, some with their heads dealt out anew; random models have biases and norm
weights, so that leaving one out shows. All sizes of a case are different.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

import mi_lib
from mi_lib import attribution as at
from mi_lib.attribution.straight import silenced, straightened
from mi_lib.course import findings, index
from mi_lib.course.grading import Wrong, expect, expect_close, grades
from mi_lib.course.grading.expectations import MISTAKE
from mi_lib.course.grading.material import activation, generator, randn, random_tokens, random_transformer, with_weights
from mi_lib.models import HookedModel, Transformer
from mi_lib.models.graph import Edge, all_edges, head_of, receivers, senders
from mi_lib.worlds import planted

D_VOCAB = 17
oracle_cache = functools.lru_cache(256)  # what does not depend on the answer is computed once for a process


class Case(NamedTuple):
    """A network and pairs of prompts, in the order in which every function takes them."""

    model: HookedModel
    clean: Tensor
    corrupted: Tensor
    right: Tensor
    wrong: Tensor

    @property
    def metric(self) -> at.Metric:
        return at.logit_difference(self.right, self.wrong)

    @property
    def back(self) -> Case:
        """With the two prompts exchanged, and the answers as they are."""
        return Case(self.model, self.corrupted, self.clean, self.right, self.wrong)

    def m(self, logits: Tensor) -> Tensor:
        return self.metric(logits)

    @property
    def span(self) -> Tensor:
        """m(clean) − m(corrupted) of each pair."""
        return self.m(self.model(self.clean)) - self.m(self.model(self.corrupted))


# layers, heads, d_head, neurons, norm, pairs, positions, seed
SHAPES = ((2, 3, 5, 19, "layernorm", 5, 7, 0), (3, 2, 11, 7, "none", 2, 5, 1))


def random_case(shape: tuple[Any, ...], scale: float = 0.4) -> Case:
    layers, heads, d_head, d_mlp, norm, batch, pos, seed = shape
    model = random_transformer(
        seed,
        scale=scale,
        n_layers=layers,
        d_model=13,
        n_heads=heads,
        d_head=d_head,
        d_vocab=D_VOCAB,
        n_ctx=16,
        d_mlp=d_mlp,
        act="gelu",
        norm=norm,
        attn_bias=True,
        unembed_bias=True,
    )
    clean, corrupted = random_tokens(batch, pos, D_VOCAB, seed), random_tokens(batch, pos, D_VOCAB, 40 + seed)
    # The pair of answers on which the two prompts differ most, so that nothing is divided by almost 0.
    change = (model(clean) - model(corrupted))[:, -1]
    return Case(model, clean, corrupted, change.argmax(-1), change.argmin(-1))


@functools.cache
def random_cases() -> tuple[Case, ...]:
    return tuple(random_case(shape) for shape in SHAPES)


@functools.cache
def deep_case() -> Case:
    """Eleven layers, so that the last one has a number of two digits."""
    model = random_transformer(
        4, scale=0.3, n_layers=11, d_model=7, n_heads=1, d_head=3, d_vocab=D_VOCAB, n_ctx=16, d_mlp=5, norm="layernorm"
    )
    clean, corrupted = random_tokens(2, 3, D_VOCAB, 4), random_tokens(2, 3, D_VOCAB, 44)
    change = (model(clean) - model(corrupted))[:, -1]
    return Case(model, clean, corrupted, change.argmax(-1), change.argmin(-1))


@functools.cache
def circuit(name: str, seed: int) -> planted.Circuit:
    return planted.circuit(name, seed=seed)


@functools.cache
def planted_case(name: str, n: int = 3, seed: int = 8131) -> Case:
    one = circuit(name, seed)
    pairs = one.pairs(n, seed=seed + 1)
    return Case(one.model, pairs.clean, pairs.corrupted, pairs.answers, pairs.corrupted_answers)


@functools.cache
def every_case() -> tuple[Case, ...]:
    return (*random_cases(), planted_case("induction"), planted_case("cancelling", 2))


def single(case: Case, row: int) -> Case:
    """One pair alone."""
    return Case(case.model, *(part[row : row + 1] for part in case[1:]))


# What a slip would give, whatever the exercise, from the right values [..., batch] in shares of the range.


BEFORE_DIVIDING = "You average over pairs before you divide. Divide each pair by its own range."
OWN_ANSWERS = (
    "In the corrupted run you exchange the two answers. m is logit[right] − logit[wrong] in every run, with the clean "
    "prompt's answer as right."
)


def scale_slips(want: Tensor, case: Case) -> dict[str, Tensor]:
    span, m_clean = case.span, case.m(case.model(case.clean))
    return {
        "This is in units of m. Divide by the range of each pair, m_clean − m_corrupted.": want * span,
        "This is in units of m. Divide by the range of each pair, m_corrupted − m_clean.": -want * span,
        "Only the sign is wrong: look at which of m_clean and m_corrupted is subtracted from which.": -want,
        "You divide by the mean range. Each pair has a range of its own.": want * span / span.mean(),
        "You divide by m_clean alone. Divide by m_clean − m_corrupted.": want * span / m_clean,
        BEFORE_DIVIDING: ((want * span).mean(-1, keepdim=True) / span.mean()).expand_as(want),
        OWN_ANSWERS: want * span / (2 * m_clean - span),
        "You average over pairs. Keep them apart.": want.mean(-1),
        "You sum over pairs. Keep them apart.": want.sum(-1),
    }


# --- 08.1 -------------------------------------------------------------------------------------------------------------


def m_of(case: Case, x: Tensor, *, alone: bool = False, at_pos: int = -1) -> Tensor:
    """m of the clean prompts if their embeddings are x: the run enters at layer 0, behind the embedding."""
    positions = activation(case.model, case.clean, "pos_embed")
    logits = case.model(case.clean, start_at_layer=0, residual=x + positions)[:, at_pos]
    rows = torch.arange(len(x))
    return logits[rows, case.right] - (0 if alone else logits[rows, case.wrong])


def slope(case: Case, x: Tensor, **options: Any) -> Tensor:
    """∂m/∂x at x."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(m_of(case, x, **options).sum(), x)[0]


@functools.lru_cache(64)
def ends(case_model: HookedModel, clean: Tensor, corrupted: Tensor) -> tuple[Tensor, Tensor]:
    return activation(case_model, clean, "embed"), activation(case_model, corrupted, "embed")


def embeddings(case: Case) -> tuple[Tensor, Tensor]:
    """x and x'."""
    return ends(case.model, case.clean, case.corrupted)


@grades("08.1")
def test_the_gradient_at_any_point(answer):
    """Random models and planted ones, at the prompt's own embeddings, at others, and between them."""
    for case in every_case():
        x, start = embeddings(case)
        for point in (x, start, 0.3 * x + 0.7 * start, x + randn(*x.shape, seed=5)):
            expect_close(
                answer.gradient_at(case.model, case.clean, case.right, case.wrong, point),
                slope(case, point),
                "∂m/∂x",
                axes="batch pos d_model",
                atol=1e-4,
                rtol=1e-3,
                mistakes=lambda case=case, point=point: {
                    "This is the gradient at the tokens' own embeddings, whatever x is. Put x into the run.": slope(
                        case, embeddings(case)[0]
                    ),
                    "You average over pairs before the gradient: each is divided by the number of pairs. Take the "
                    "sum.": slope(case, point) / len(point),
                    "This is the gradient of logit[right] alone. m is logit[right] − logit[wrong].": slope(
                        case, point, alone=True
                    ),
                    "This is for the answer at the first position. m is read at the last.": slope(
                        case, point, at_pos=0
                    ),
                    "Only the sign is wrong: m is logit[right] − logit[wrong].": -slope(case, point),
                    "You have multiplied by x already. This is the gradient alone.": slope(case, point) * point,
                    "You add x to the tokens' own embeddings. Put it in their place.": slope(
                        case, point + embeddings(case)[0]
                    ),
                    'The positions are lost: x stands in for the whole stream. Put it in at the site "embed", before '
                    "positions are added.": slope(case, point - activation(case.model, case.clean, "pos_embed")),
                },
            )


@grades("08.1", weight=2)
def test_gradient_times_input(answer):
    """Each word's share, compared with the library's."""
    for case in every_case():
        want = at.gradient_x_input(case.model, case.clean, case.metric, case.corrupted).by_position
        expect_close(
            answer.gradient_x_input(*case),
            want,
            "gradient × input",
            axes="batch pos",
            atol=1e-4,
            rtol=1e-3,
            mistakes=lambda case=case, want=want: {
                "Only the sign is wrong: it is x − x', clean less corrupted.": -want,
                "You multiply by x alone. Multiply by x − x', the way from the corrupted embeddings.": (
                    embeddings(case)[0] * slope(case, embeddings(case)[0])
                ).sum(-1),
                "The gradient is taken at the corrupted embeddings. Take it at x, the clean ones.": (
                    (embeddings(case)[0] - embeddings(case)[1]) * slope(case, embeddings(case)[1])
                ).sum(-1),
                "This is the gradient alone, summed. Multiply it by x − x'.": slope(case, embeddings(case)[0]).sum(-1),
                "You average over d_model. Sum over it.": want / case.model.cfg.d_model,
                "You take absolute values before you sum over d_model. Signs must be free to cancel.": (
                    ((embeddings(case)[0] - embeddings(case)[1]) * slope(case, embeddings(case)[0])).abs().sum(-1)
                ),
                "You take the absolute value. Keep the sign.": want.abs(),
                "This is divided by the range. It should be in units of m.": want / case.span[:, None],
                "This is the sum over words. Keep them apart.": want.sum(-1),
            },
        )


# --- 08.2 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def worth_of(case: Case, into: str = "clean", words: str = "one") -> Tensor:
    """m lost by each word, one pair and one word after another. The switches make known mistakes."""
    rows = []
    for row in range(len(case.clean)):
        one = single(case, row)
        base, source = (one.clean, one.corrupted) if into == "clean" else (one.corrupted, one.clean)
        values = []
        for pos in range(base.shape[1]):
            prompt = base.clone()
            where = {"one": slice(pos, pos + 1), "on": slice(pos, None), "to": slice(pos + 1)}[words]
            prompt[0, where] = source[0, where]
            values.append((one.m(one.model(base)) - one.m(one.model(prompt))).item())
        rows.append(values)
    return torch.tensor(rows, dtype=torch.float64)


@grades("08.2")
def test_what_each_word_is_worth(answer):
    """Random models and planted ones, one exchanged word after another."""
    for case in every_case():
        want = worth_of(case)
        expect_close(
            answer.one_word_effects(*case),
            want,
            "what each word is worth",
            axes="batch pos",
            atol=2e-4,
            rtol=1e-3,
            mistakes=lambda case=case, want=want: {
                "Only the sign is wrong: it is m of the clean prompt less m of the changed one.": -want,
                "You put clean words into the corrupted prompt. Put corrupted words into the clean one.": -worth_of(
                    case, into="corrupted"
                ),
                "You put clean words into the corrupted prompt. Put corrupted words into the clean one. ": worth_of(
                    case, into="corrupted"
                ),
                "You exchange this word and all LATER ones. Exchange one.": worth_of(case, words="on"),
                "You exchange this word and all EARLIER ones: clone the clean prompt anew for each word.": worth_of(
                    case, words="to"
                ),
                "This is m of the changed prompt. Subtract it from m of the clean one.": (
                    case.m(case.model(case.clean))[:, None].double() - want
                ),
                "This is divided by the range. It should be in units of m.": want / case.span[:, None],
            },
        )


# Curves of the last MLP (see `bent`): flat where a word is worth much, nearly half of the range, or a little more; with
# a slope that is a little under a twentieth, or a little over it; and with one that points the wrong way.
CURVES = (
    (1.0, 1.8, 2.0), (1.0, 9.0, 0.0), (0.0, 1.2, 1.0), (0.5, 1.409, 1.0), (0.5, 1.611, 1.0), (1.0, 1.5, 0.9796),
    (1.0, 1.5, 0.969),
)  # fmt: skip


def tilted() -> Case:
    """A network that says the corrupted answer half as loud again as the clean one, so that the number that asks for a
    word is worth less than half of the range; with any other token for `wrong` it would be worth all."""
    case = planted_case("position", 1, seed=55)
    W_U = case.model.W_U.clone()
    W_U[:, case.wrong] *= 1.5
    return case._replace(model=with_weights(case.model, {"W_U": W_U}))


@functools.cache
def blind_cases() -> tuple[Case, ...]:
    """Pairs in which words are worth much and little, by every measure: also where a gradient sees half of it."""
    names = ("conjunction", "cancelling", "induction", "previous", "redundant")
    found = [planted_case(name, 4, seed=77 + i) for i, name in enumerate(names)]
    curved = [Case(bent(circuit("conjunction", 77), *curve), *found[0][1:]) for curve in CURVES]
    return (*found, *curved, mixed(found[0], "cac"), mixed(found[4], "bab"), tilted(), *random_cases(), uneven_case())


@functools.cache
def uneven_case() -> Case:
    """Pairs of very different ranges, in which some words speak against the answer and a gradient does not see it."""
    return random_case((2, 3, 5, 19, "layernorm", 11, 8, 59), scale=0.6)


@functools.cache
def shares_of(case: Case) -> tuple[Tensor, Tensor]:
    """What each word is worth, and what gradient × input says, as shares of the range."""
    said = at.gradient_x_input(case.model, case.clean, case.metric, case.corrupted).by_position
    return worth_of(case) / case.span[:, None], said.double() / case.span[:, None]


BLIND = {
    "": lambda worth, said, span: (worth >= 0.5) & (said.abs() < 0.05),
    "You mark every word that is worth half. Mark only those that gradient × input does not see.": (
        lambda worth, said, span: worth >= 0.5
    ),
    "You mark every word that gradient × input does not see. Most of these are worth nothing: mark those that are "
    "worth at least half.": lambda worth, said, span: said.abs() < 0.05,
    "These are the words that gradient × input DOES see.": (
        lambda worth, said, span: (worth >= 0.5) & (said.abs() >= 0.05)
    ),
    "The worth is compared without dividing by the range.": (
        lambda worth, said, span: (worth * span >= 0.5) & (said.abs() < 0.05)
    ),
    "Gradient × input is compared without dividing by the range.": (
        lambda worth, said, span: (worth >= 0.5) & ((said * span).abs() < 0.05)
    ),
    "Gradient × input may be negative: what counts is its absolute value.": (
        lambda worth, said, span: (worth >= 0.5) & (said < 0.05)
    ),
    "You divide by the mean range. Each pair has a range of its own.": (
        lambda worth, said, span: (worth * span >= 0.5 * span.mean()) & ((said * span).abs() < 0.05 * span.mean())
    ),
    "A word whose exchange RAISES m is not worth anything: no absolute value of the worth.": (
        lambda worth, said, span: (worth.abs() >= 0.5) & (said.abs() < 0.05)
    ),
}


@grades("08.2", weight=2)
def test_where_the_gradient_is_blind(answer):
    """Five planted circuits, and networks in which a gradient sees a part."""
    marked: dict[str, list[Tensor]] = {sentence: [] for sentence in BLIND}
    got, where = [], []
    for case in blind_cases():
        worth, said = shares_of(case)
        clear = ((worth - 0.5).abs() > 1e-3) & ((said.abs() - 0.05).abs() > 1e-4)  # what rounding does not decide
        one = answer.blind_spots(*case)
        expect_close(torch.zeros(one.shape), torch.zeros(worth.shape), "the table of blind spots", axes="batch pos")
        got.append((one.bool() & clear).flatten())
        for sentence, rule in BLIND.items():
            marked[sentence].append((rule(worth, said, case.span[:, None]) & clear).flatten())
        where += [(row, pos, worth, said) for row in range(len(worth)) for pos in range(worth.shape[1])]
    tables = {sentence: torch.cat(parts) for sentence, parts in marked.items()}
    mine, want = torch.cat(got), tables.pop("")
    if torch.equal(mine, want):
        return
    for sentence, table in tables.items():
        if torch.equal(mine, table):
            raise Wrong(sentence, MISTAKE)
    i = int((mine != want).nonzero()[0])
    row, pos, worth, said = where[i]
    raise Wrong(
        f"The word at position {pos} of pair {row} is worth {worth[row, pos]:.2f} of the range, and gradient × input "
        f"says {said[row, pos]:.2f}: this {'is a' if want[i] else 'is no'} blind spot."
    )


# --- 08.3 -------------------------------------------------------------------------------------------------------------

RULES = {
    "middle": lambda k, n: (k + 0.5) / n,
    "right": lambda k, n: (k + 1) / n,
    "left": lambda k, n: k / n,
    "ends": lambda k, n: k / (n - 1) if n > 1 else 1.0,
    "inner": lambda k, n: (k + 1) / (n + 1),
}


@oracle_cache
def integrated(case: Case, steps: int, rule: str = "middle", base: str = "corrupted") -> Tensor:
    """[batch pos]: one gradient after another, at the points of a rule."""
    x, start = embeddings(case)
    start = start if base == "corrupted" else torch.zeros_like(x)
    points = [start + RULES[rule](k, steps) * (x - start) for k in range(steps)]
    mean = torch.stack([slope(case, point) for point in points]).double().mean(0)
    return ((x - start).double() * mean).sum(-1)


def integrated_slips(case: Case, steps: int) -> dict[str, Tensor]:
    want = integrated(case, steps)
    x, start = embeddings(case)
    return {
        "The steps are at 1/steps … 1, the right end of each piece. Take the middle: (k + ½)/steps.": integrated(
            case, steps, "right"
        ),
        "The steps are at 0 … (steps − 1)/steps, the left end of each piece. Take the middle: (k + ½)/steps.": (
            integrated(case, steps, "left")
        ),
        "The steps run from 0 to 1 with both ends in. Take the middle of each piece: (k + ½)/steps.": integrated(
            case, steps, "ends"
        ),
        "The steps are at 1/(steps + 1), 2/(steps + 1), … Cut the way into `steps` pieces and take the middle of "
        "each.": integrated(case, steps, "inner"),
        "You start at zeros. The way begins at the corrupted embeddings.": integrated(case, steps, base="zero"),
        "This is gradient × input at the clean end. Take the gradient at every step of the way.": (
            (x - start) * slope(case, x)
        ).sum(-1),
        "The gradients are summed. Take their mean: divide by `steps`.": want * steps,
        "You multiply by x alone. Multiply by x − x', the whole way.": mean_slope(case, steps, x),
        "Only the sign is wrong: the way goes from x' to x, and the factor is x − x'.": -want,
        "You multiply by (x − x') / steps twice, or divide twice.": want / steps,
        "This is divided by the range. It should be in units of m.": want / case.span[:, None],
    }


def mean_slope(case: Case, steps: int, factor: Tensor) -> Tensor:
    x, start = embeddings(case)
    points = [start + (k + 0.5) / steps * (x - start) for k in range(steps)]
    return (factor * torch.stack([slope(case, point) for point in points]).mean(0)).sum(-1)


@grades("08.3", weight=2)
def test_the_sum_over_steps(answer):
    """Random models and planted ones, with one step, with three and with seven."""
    for case, steps in itertools.product(every_case(), (3, 7, 1)):
        words, _ = answer.integrated_gradients(*case, steps)
        expect_close(
            words,
            integrated(case, steps),
            f"the integrated gradients of each word with steps = {steps}",
            axes="batch pos",
            atol=5e-4,
            rtol=1e-3,
            mistakes=lambda case=case, steps=steps: integrated_slips(case, steps),
        )


@grades("08.3")
def test_the_gap(answer):
    """What the sum over words leaves over, with few steps and with many."""
    for case, steps in itertools.product(every_case(), (2, 5)):
        total = integrated(case, steps).sum(-1)
        span = case.span.double()
        want = total - span
        _, gap = answer.integrated_gradients(*case, steps)
        expect_close(
            gap,
            want,
            f"the gap with steps = {steps}",
            axes="batch",
            atol=1e-3,
            rtol=2e-3,
            mistakes=lambda case=case, total=total, span=span, want=want: {
                "Only the sign is wrong: the gap is the sum over words LESS m(clean) − m(corrupted).": -want,
                "You take the absolute value of the gap. Keep the sign.": want.abs(),
                "You forgot m(corrupted): the sum should reach m(clean) − m(corrupted), for the way begins at the "
                "corrupted embeddings.": total - case.m(case.model(case.clean)),
                "This is the sum over words. Subtract m(clean) − m(corrupted).": total,
                "You divide the gap by the range. It should be in units of m.": want / span,
                "The two ends are exchanged: subtract m(clean) − m(corrupted).": total + span,
                "This is the mean gap of all pairs. Each pair has its own.": want.mean().expand_as(want),
            },
        )


@grades("08.3")
def test_complete_with_many_steps(answer):
    """The conjunction, on which gradient × input was blind: with many steps the sum is what is to be explained."""
    case = planted_case("conjunction", 3)
    words, gap = answer.integrated_gradients(*case, 40)
    exact = at.integrated_gradients(case.model, case.clean, case.metric, case.corrupted, steps=100).by_position
    expect(
        bool((gap.abs() < 0.05 * case.span).all()),
        "With 40 steps the words of the conjunction should add up to m(clean) − m(corrupted), within a twentieth: "
        "completeness. Yours do not.",
    )
    expect_close(words, exact, "the integrated gradients of the conjunction", axes="batch pos", atol=0.4)


# --- 08.4 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def patched_heads(case: Case, noising: bool) -> Tensor:
    with torch.no_grad():
        return at.patch_heads(case.model, case.clean, case.corrupted, case.metric, "z", noising=noising)


@oracle_cache
def heads_by_hand(case: Case, noising: bool, where: str = "all", whole: bool = False, zero: bool = False) -> Tensor:
    """[layer head batch], m of each patched run; the switches make known mistakes."""
    base, source = (case.clean, case.corrupted) if noising else (case.corrupted, case.clean)
    c = case.model.cfg
    out = torch.zeros(c.n_layers, c.n_heads, len(base))
    for layer, head in itertools.product(range(c.n_layers), range(c.n_heads)):
        z = activation(case.model, source, ("z", layer))
        positions, heads = (slice(None) if where == "all" else -1), (slice(None) if whole else head)

        if where == "mixed":  # z[:, head]
            positions, heads = head, slice(None)

        def put(value, hook, z=z, positions=positions, heads=heads):
            value[:, positions, heads] = 0 if zero else z[:, positions, heads]
            return value

        out[layer, head] = case.m(case.model.run_with_hooks(base, [(("z", layer), put)]))
    return out


def head_slips(case: Case, noising: bool) -> dict[str, Tensor]:
    want, other = patched_heads(case, noising), patched_heads(case, not noising)
    m_clean, m_corrupted = case.m(case.model(case.clean)), case.m(case.model(case.corrupted))

    def scaled(values: Tensor) -> Tensor:
        return (values - m_corrupted) / (m_clean - m_corrupted)

    name = {True: "noising", False: "denoising"}
    return {
        f"This is {name[not noising]}: with noising = {noising} the run that is edited is the "
        f"{'clean' if noising else 'corrupted'} one.": other,
        "This is 1 minus what was asked for: 0 is the corrupted answer and 1 the clean one, both ways.": 1 - want,
        f"This is 1 minus {name[not noising]}.": 1 - other,
        "The scale is upside down: m_clean and m_corrupted are exchanged in the quotient.": (
            (want * (m_clean - m_corrupted) + m_corrupted - m_clean) / (m_corrupted - m_clean)
        ),
        "You replace z at the last position alone. Replace it at all positions.": scaled(
            heads_by_hand(case, noising, where="last")
        ),
        "You replace all heads of a layer. Replace one.": scaled(heads_by_hand(case, noising, whole=True)),
        "You set z to 0. Put in what it is in the other run.": scaled(heads_by_hand(case, noising, zero=True)),
        "Nothing changes: does your edit return the new value?": torch.full_like(want, 1.0 if noising else 0.0),
        "Above the line, m_corrupted is missing: m_patched − m_corrupted.": (
            (want * (m_clean - m_corrupted) + m_corrupted) / (m_clean - m_corrupted)
        ),
        "Below the line it is m_clean alone. Divide by m_clean − m_corrupted.": want
        * (m_clean - m_corrupted)
        / m_clean,
        "You average over pairs. Keep them apart.": want.mean(-1),
        "You divide by the mean range. Each pair has a range of its own.": want
        * (m_clean - m_corrupted)
        / (m_clean - m_corrupted).mean(),
        BEFORE_DIVIDING: (
            (want * (m_clean - m_corrupted)).mean(-1, keepdim=True) / (m_clean - m_corrupted).mean()
        ).expand_as(want),
        OWN_ANSWERS: (want * (m_clean - m_corrupted) + 2 * m_corrupted) / (m_clean + m_corrupted),
        "The axes of z are [batch pos head d_head]: the head is the third one, z[:, :, head].": scaled(
            heads_by_hand(case, noising, where="mixed")
        ),
        "This is m of the patched runs. Put it on the scale from 0 to 1.": want * (m_clean - m_corrupted) + m_corrupted,
        "This is the bare change, m_patched − m_corrupted. Divide it by m_clean − m_corrupted.": want
        * (m_clean - m_corrupted),
    }


def grade_heads(answer: Any, noising: bool) -> None:
    for case in (*every_case(), planted_case("redundant", 2)):
        expect_close(
            answer.patch_heads(*case, noising),
            patched_heads(case, noising),
            f"the table with noising = {noising}",
            axes="layer head batch",
            atol=5e-4,
            rtol=2e-3,
            mistakes=lambda case=case: head_slips(case, noising),
        )


@grades("08.4")
def test_noising(answer):
    """The corrupted z of each head in the clean run, compared with the library's sweep."""
    grade_heads(answer, True)


@grades("08.4")
def test_denoising(answer):
    """The clean z of each head in the corrupted run, compared with the library's sweep."""
    grade_heads(answer, False)


# --- 08.5 -------------------------------------------------------------------------------------------------------------


def heads_dealt_out(model: Transformer, seed: int) -> tuple[Transformer, dict[tuple[int, int], tuple[int, int]]]:
    """The same network with the heads of each layer in another order, and where each has gone."""
    weights, place = {}, {}
    for layer in range(model.cfg.n_layers):
        order = torch.randperm(model.cfg.n_heads, generator=generator(seed + layer)).tolist()
        place |= {(layer, old): (layer, new) for new, old in enumerate(order)}
        for name, value in model.state_dict().items():
            if name.startswith(f"blocks.{layer}.attn.") and value.shape[0] == model.cfg.n_heads and "b_O" not in name:
                weights[name] = value[order]
    return with_weights(model, weights), place


def bent(one: planted.Circuit, first: float, second: float, share: float) -> Transformer:
    """The conjunction with another curve: yes = max(x − first, 0) − share · max(x − second, 0), x = left + right."""
    model = one.model
    writes = model.W_out[1] @ one.space["yes"][0].float()
    low, high = int(writes.argmax()), int(writes.argmin())
    b_in, W_out = model.blocks[1].mlp.b_in.clone(), model.W_out[1].clone()
    b_in[low], b_in[high] = -2 * first, -2 * second
    W_out[high] *= share
    return with_weights(model, {"blocks.1.mlp.b_in": b_in, "blocks.1.mlp.W_out": W_out})


class Two(NamedTuple):
    case: Case
    first: tuple[int, int]
    second: tuple[int, int]
    want: str


@functools.cache
def logic_cases() -> tuple[Two, ...]:
    found = []
    for seed in (311, 312):
        conjunction, redundant = (planted_case(name, 3, seed) for name in ("conjunction", "redundant"))
        previous = planted_case("previous", 3, seed)
        rows = [
            (conjunction, (0, 1), (1, 2), "and"),
            (redundant, (0, 0), (1, 3), "or"),
            (Case(conjunction.model, *exchanged_prompts(conjunction)), (0, 1), (1, 2), "or"),
            (Case(redundant.model, *exchanged_prompts(redundant)), (0, 0), (1, 3), "and"),
            (conjunction, (0, 1), (1, 0), "neither"),
            (redundant, (0, 3), (1, 3), "neither"),
            (previous, (1, 0), (0, 1), "neither"),
            (previous, (0, 2), (0, 1), "neither"),
        ]
        for (first, second, share), want in {(1 / 3, 9, 0): "and", (0, 1, 1 / 3): "or"}.items():
            model = bent(circuit("conjunction", seed), first, second, share)
            rows.append((Case(model, *conjunction[1:]), (0, 1), (1, 2), want))
        for kinds, want in {"baa": "and", "abb": "or", "abc": "neither"}.items():
            rows.append((mixed(conjunction, kinds), (0, 1), (1, 2), want))
        for i, (case, one, other, want) in enumerate(rows):
            model, place = heads_dealt_out(case.model, seed + 10 * i)
            found.append(Two(Case(model, *case[1:]), place[one], place[other], want))
    return tuple(found)


def exchanged_prompts(case: Case) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The other question: clean and corrupted exchanged, and their answers with them."""
    return case.corrupted, case.clean, case.wrong, case.right


def mixed(case: Case, kinds: str) -> Case:
    """Pairs of several kinds for one network, in the mean of which alone the answer stands. a: as they are (AND).
    b: with the prompts exchanged (OR). c: with the second word alike in both, so that the fifth does it alone."""
    rows = []
    for i, kind in enumerate(kinds):
        _, clean, corrupted, right, wrong = single(case, i)
        if kind == "b":
            clean, corrupted, right, wrong = corrupted, clean, wrong, right
        if kind == "c":
            corrupted = corrupted.clone()
            corrupted[:, 2] = clean[:, 2]
        rows.append((clean, corrupted, right, wrong))
    return Case(case.model, *(torch.cat(parts) for parts in zip(*rows, strict=True)))


def grade_logic(answer: Any, cases: list[Two]) -> None:
    for two in cases:
        for first, second in ((two.first, two.second), (two.second, two.first)):
            got = answer.logic_of(*two.case, first, second)
            if got == two.want:
                continue
            expect(
                got in ("and", "or", "neither"), f'Your function says {got!r}. It should say "and", "or" or "neither".'
            )
            every = [patched_heads(two.case, way)[head] for way in (True, False) for head in (first, second)]
            expect(
                all(bool((values < 0.5).all() or (values >= 0.5).all()) for values in every),
                "Single pairs differ here. Take the mean over pairs first, and compare then: this is "
                f"{two.want!r}, and your function says {got!r}.",
            )
            kept, back = (
                [round(patched_heads(two.case, way).mean(-1)[head].item(), 2) + 0.0 for head in (first, second)]
                for way in (True, False)
            )
            told = (
                f"After noising the one or the other, {kept[0]:.2f} and {kept[1]:.2f} of the answer is left; denoising "
                f"brings {back[0]:.2f} and {back[1]:.2f} back. This is {two.want!r}, and your function says {got!r}."
            )
            if {got, two.want} == {"and", "or"}:
                told += " Needed is not enough: behind an AND each input is needed, behind an OR each is enough."
            expect(False, told)


@grades("08.5", weight=2)
def test_unknown_circuits(answer):
    """Conjunctions and redundant pairs whose heads were dealt out anew, also with the two prompts exchanged."""
    grade_logic(answer, [two for two in logic_cases() if two.want != "neither"])


@grades("08.5")
def test_heads_that_make_nothing_together(answer):
    """A head of the circuit and one that is none, two that are none, and one that does all alone."""
    grade_logic(answer, [two for two in logic_cases() if two.want == "neither"])


# --- 08.6 -------------------------------------------------------------------------------------------------------------


def by_head(case: Case, values: Mapping[str, Tensor], end: str = "") -> Tensor:
    """[layer head batch] of values that go by names."""
    c = case.model.cfg
    return torch.stack(
        [torch.stack([values[f"a{layer}.h{head}{end}"] for head in range(c.n_heads)]) for layer in range(c.n_layers)]
    )


@oracle_cache
def first_order(case: Case, site: str = "z", softmax: bool = False) -> Tensor:
    """[layer head batch] of the library."""
    found = at.atp_star(
        case.model,
        case.clean,
        case.corrupted,
        case.metric,
        lambda name: name.endswith(f"hook_{site}"),
        softmax=softmax,
        grad_drop=None,
    )
    return by_head(case, at.by_node(case.model, found), "" if site == "z" else f".{site}").detach()


def first_order_slips(case: Case, want: Tensor, site: str, softmax: bool) -> dict[str, Tensor]:
    back = first_order(case.back, site, softmax)
    return {
        "The gradient is taken at the corrupted run. Take it at the clean one, where the patch is made.": back,
        "The gradient is taken at the corrupted run, and the sign is wrong.": -back,
        "You take absolute values. Keep the sign: a head may speak against the answer.": want.abs(),
        **scale_slips(want, case),
    }


@oracle_cache
def z_parts(case: Case, how: str) -> Tensor:
    """Slips in the sum over positions and d_head."""
    rows = []
    names = [("z", layer) for layer in range(case.model.cfg.n_layers)]
    logits, now = case.model.run_with_cache(case.clean, names, grad=True)
    with torch.enable_grad():
        slopes = torch.autograd.grad(case.m(logits).sum(), [now[name] for name in names])
    for name, gradient in zip(names, slopes, strict=True):
        z, other = now[name].detach(), activation(case.model, case.corrupted, name)
        product = {"clean": z, "corrupted": other}.get(how, other - z) * gradient
        if how == "last":
            product = product[:, -1:]
        if how == "abs":
            product = product.abs()
        rows.append(product.sum((1, 3)).T / -case.span)
    return torch.stack(rows).detach()


@grades("08.6", weight=2)
def test_every_head_to_first_order(answer):
    """Random models and planted ones, compared with the library's."""
    for case in (*every_case(), planted_case("redundant", 2)):
        want = first_order(case)
        expect_close(
            answer.attribution_patching(*case),
            want,
            "attribution patching",
            axes="layer head batch",
            atol=1e-4,
            rtol=2e-3,
            mistakes=lambda case=case, want=want: {
                **first_order_slips(case, want, "z", False),
                "You multiply the gradient by z of the clean run. Multiply it by the CHANGE, corrupted − clean.": (
                    -z_parts(case, "clean")
                ),
                "You multiply the gradient by z of the clean run. Multiply it by the CHANGE, corrupted − clean. ": (
                    z_parts(case, "clean")
                ),
                "You multiply the gradient by z of the corrupted run alone. Multiply it by the CHANGE, corrupted − "
                "clean.": z_parts(case, "corrupted"),
                "This is the last position alone. Sum over positions.": z_parts(case, "last"),
                "You take absolute values before you sum. Signs must be free to cancel within a head.": z_parts(
                    case, "abs"
                ),
                "This is what is left, 1 minus what is lost.": 1 - want,
                "This is exact: it costs a run for each head. Use one backward pass.": 1 - patched_heads(case, True),
            },
        )


@functools.cache
def pico_case() -> Case:
    """Pico, and pairs of sentences about two residents of Littletown, as in chapter 04."""
    reading = findings.module(index.chapter("04"))
    pairs = list(reading.pairs(3, sentence=reading.SENTENCES[1], seed=14))
    return Case(
        mi_lib.load("pico", check=False),
        torch.cat([pair.clean for pair in pairs]),
        torch.cat([pair.corrupt for pair in pairs]),
        torch.tensor([pair.right for pair in pairs]),
        torch.tensor([pair.wrong for pair in pairs]),
    )


@grades("08.6")
def test_the_heads_of_pico(answer):
    """Pico, asked where somebody lives, about three pairs of residents."""
    case = pico_case()
    expect_close(
        answer.attribution_patching(*case),
        first_order(case),
        "attribution patching of Pico's heads",
        axes="layer head batch",
        atol=1e-3,
        rtol=5e-3,
        mistakes=lambda: first_order_slips(case, first_order(case), "z", False),
    )


# --- 08.7 -------------------------------------------------------------------------------------------------------------


def query_pattern(case: Case, exchanged: list[int], layer: int) -> Tensor:
    """The pattern of a layer in the clean run with the corrupted queries of some layers."""
    new = {each: activation(case.model, case.corrupted, ("q", each)) for each in exchanged}
    with case.model.hooks([(("q", each), lambda value, hook, q=q: q) for each, q in new.items()]):
        return activation(case.model, case.clean, ("pattern", layer))


@oracle_cache
def pattern_change(case: Case, which: str) -> Tensor:
    """Σ (A' − A) · ∂m/∂A / (m_corrupted − m_clean) for another A' than the one with the corrupted queries."""
    layers = range(case.model.cfg.n_layers)
    names = [("pattern", layer) for layer in layers]
    logits, now = case.model.run_with_cache(case.clean, names, grad=True)
    with torch.enable_grad():
        slopes = torch.autograd.grad(case.m(logits).sum(), [now[name] for name in names])
    rows = []
    for layer, gradient in zip(layers, slopes, strict=True):
        if which == "corrupted":
            other = activation(case.model, case.corrupted, ("pattern", layer))
        elif which == "last":
            other = now["pattern", layer].detach().clone()
            other[:, :, -1] = query_pattern(case, [layer], layer)[:, :, -1]
        elif which == "every":
            other = query_pattern(case, list(layers), layer)
        else:
            new = activation(case.model, case.corrupted, (which, layer))
            with case.model.hooks([((which, layer), lambda value, hook, new=new: new)]):
                other = activation(case.model, case.clean, ("pattern", layer))
        rows.append(((other - now["pattern", layer].detach()) * gradient).sum((2, 3)).T)
    return (torch.stack(rows) / -case.span).detach()


def query_slips(case: Case, want: Tensor) -> dict[str, Tensor]:
    return {
        "This is plain attribution patching of the queries, through the softmax to first order. Compute the softmax "
        "anew, and take only what follows the pattern to first order.": first_order(case, "q"),
        "A_patched is the pattern of the corrupted run: there the keys are corrupted too. Exchange queries alone.": (
            pattern_change(case, "corrupted")
        ),
        "You exchange the keys. Exchange the queries.": pattern_change(case, "k"),
        "The queries of all layers are exchanged in one run, so that later layers read another stream. Make a run for "
        "each layer.": pattern_change(case, "every"),
        "This is the last query alone. Sum over queries and keys.": pattern_change(case, "last"),
        **first_order_slips(case, want, "q", True),
    }


@grades("08.7", weight=2)
def test_queries_with_the_softmax(answer):
    """Random models and planted ones, compared with the library's AtP*."""
    for case in (*every_case(), planted_case("position", 2)):
        want = first_order(case, "q", softmax=True)
        expect_close(
            answer.query_effects(*case),
            want,
            "what noising queries costs",
            axes="layer head batch",
            atol=1e-4,
            rtol=2e-3,
            mistakes=lambda case=case, want=want: query_slips(case, want),
        )


@grades("08.7")
def test_the_query_of_a_sure_head(answer):
    """The induction head: its query decides, and the slope of its softmax is 0."""
    case = planted_case("induction", 4, seed=90)
    exact = 1 - at.patch_heads(case.model, case.clean, case.corrupted, case.metric, "q", noising=True)
    got = answer.query_effects(*case)[1, 1]
    expect(
        bool((got - exact[1, 1]).abs().max() < 0.1),
        f"Noising the query of the induction head costs {float(exact[1, 1].mean()):.2f} of the answer, and yours says "
        f"{float(got.mean()):.2f}. Through the slope of the softmax one sees nothing: compute the pattern anew.",
    )


# --- 08.8 -------------------------------------------------------------------------------------------------------------


@grades("08.8")
def test_what_each_part_writes(answer):
    """Embeddings, heads and MLPs of random models and planted ones."""
    for case in every_case():
        _, cache = case.model.run_with_cache(case.clean)
        outputs = at.sender_outputs(case.model, case.clean, senders(case.model.cfg))
        for name, want in outputs.items():
            head = head_of(name)
            other = {} if not head else {
                "This is another head. Take this one's z and its own matrix.": outputs[
                    f"a{head[0]}.h{(head[1] + 1) % case.model.cfg.n_heads}"
                ],
                "This is the sum over all heads of the layer. Take one.": torch.stack(
                    [outputs[f"a{head[0]}.h{h}"] for h in range(case.model.cfg.n_heads)]
                ).sum(0),
                "This is what the whole attention writes, bias and all. Take one head.": activation(
                    case.model, case.clean, ("attn_out", head[0])
                ),
                "This is z. A head writes z times its own W_O.": cache["z", head[0]][:, :, head[1]],
            }  # fmt: skip
            expect_close(
                answer.writes(case.model, cache, name),
                want.expand(*case.clean.shape, -1),
                f"what {name} writes",
                axes="batch pos d_model",
                atol=1e-4,
                mistakes=other,
            )


def some_edges(case: Case, number: int) -> list[Edge]:
    """Edges of every kind of sender and receiver, drawn by lot."""
    edges = all_edges(case.model.cfg)
    kinds: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges:
        kinds.setdefault(
            (edge.sender[0], edge.receiver[-1] if head_of(edge.receiver) else edge.receiver[0]), []
        ).append(edge)
    source = generator(7)
    drawn = [same[int(torch.randint(len(same), (1,), generator=source))] for same in kinds.values()][::-1]
    return drawn[:: max(1, len(drawn) // number)][:number]  # from the logits on


def edge_slips(case: Case, edge: Edge) -> dict[str, Tensor]:
    """What a slip would give; each is computed only for a wrong answer."""
    model, span = case.model, case.span
    said = {name: at.sender_outputs(model, tokens, [edge.sender])[edge.sender] for name, tokens in
            (("now", case.clean), ("then", case.corrupted))}  # fmt: skip
    m_clean = case.m(model(case.clean))
    every = [e for e in all_edges(model.cfg) if e.sender == edge.sender]
    same_part = [e for e in every if head_of(e.receiver) == head_of(edge.receiver) and head_of(e.receiver)]
    head = head_of(edge.receiver)
    layer = [e for e in every if head and (other := head_of(e.receiver)) and other[0] == head[0]
             and e.receiver[-1] == edge.receiver[-1]]  # fmt: skip

    def lost(edges: list[Edge], instead: Tensor = said["then"]) -> Tensor | None:
        return (
            (m_clean - case.m(at.run_edges(model, case.clean, dict.fromkeys(edges, instead)))) / span if edges else None
        )

    found = {
        "Everybody hears the corrupted word. Only this one receiver may.": lost(every),
        "Queries, keys and values all hear the corrupted word. Only the one that the receiver names may.": lost(
            same_part
        ),
        "All heads of the layer hear the corrupted word. Only this one may.": lost(layer),
        "The word is taken away, and nothing put in its place: add corrupted − clean.": lost([edge], 0 * said["now"]),
        "The corrupted word is added to the clean one. Add corrupted − clean.": lost(
            [edge], said["now"] + said["then"]
        ),
        "Only the sign is wrong: add corrupted − clean.": lost([edge], 2 * said["now"] - said["then"]),
        "Only the last position hears the corrupted word. Add it at all positions.": lost(
            [edge], torch.cat([said["now"][:, :-1], said["then"][:, -1:]], 1)
        ),
        **heard_otherwise(case, edge, said["now"], said["then"]),
    }
    want = lost([edge])
    back = at.edge_effects(model, case.corrupted, case.clean, case.metric, [edge])[edge]
    return {
        **{sentence: value for sentence, value in found.items() if value is not None},
        "The prompts are exchanged: the clean run is edited, and the corrupted word is put in.": back,
        "This is what is left, 1 minus what is lost.": 1 - want,
        **scale_slips(want, case),
    }


def heard_otherwise(case: Case, edge: Edge, now: Tensor, then: Tensor) -> dict[str, Tensor]:
    """The word put into the stream before the reader, or in the place of all that the reader hears."""
    site, head = reading_site(case.model, edge.receiver)

    def cost(where: Any, edit: Callable[[Tensor, Any], Tensor]) -> Tensor:
        patched = case.m(case.model.run_with_hooks(case.clean, [(where, edit)]))
        return (case.m(case.model(case.clean)) - patched) / case.span

    def instead(value: Tensor, hook: Any) -> Tensor:
        if head is None:
            return then.expand_as(value).clone()
        value[:, :, head] = then
        return value

    found = {"The receiver hears this one word and nothing else. Add corrupted − clean to what it hears.": cost(
        site, instead)}  # fmt: skip
    if edge.receiver != "logits":
        stream = ("resid_pre" if head is not None else "resid_mid", site[1])
        found[
            "The word is exchanged in the stream itself, so that all who read later hear it too. Add it where this one "
            "receiver reads."
        ] = cost(stream, lambda value, hook: value + then - now)
    return found


@grades("08.8", weight=2)
def test_one_edge_at_a_time(answer):
    """Edges of every kind, of random models and planted ones, compared with the library's."""
    for case in (*every_case(), deep_case()):
        deep = [Edge("m10", "logits"), Edge("embed", "m10"), Edge("m0", "a10.h0.k")]
        number = 14 if case is random_cases()[0] else 5
        edges = some_edges(case, number) if case is not deep_case() else deep
        want = at.edge_effects(case.model, case.clean, case.corrupted, case.metric, edges)
        for edge in edges:
            expect_close(
                answer.edge_effect(*case, edge.sender, edge.receiver),
                want[edge],
                f"what {edge} costs",
                axes="batch",
                atol=5e-4,
                rtol=2e-3,
                mistakes=lambda case=case, edge=edge: edge_slips(case, edge),
            )


# --- 08.9 -------------------------------------------------------------------------------------------------------------


def reading_site(model: HookedModel, name: str) -> tuple[Any, int | None]:
    head = head_of(name)
    if head:
        return (f"{name[-1]}_input", head[0]), head[1]
    return (("resid_post", model.cfg.n_layers - 1) if name == "logits" else ("mlp_in", int(name[1:]))), None


@oracle_cache
def heard_by_hand(case: Case, name: str) -> Tensor:
    """∂m/∂(what one receiver reads): a zero is added where it reads, and m differentiated by that zero."""
    site, head = reading_site(case.model, name)
    extra = torch.zeros(*case.clean.shape, case.model.cfg.d_model, requires_grad=True)

    def add(value, hook):
        if head is None:
            return value + extra
        return torch.cat(
            [value[:, :, :head], value[:, :, head : head + 1] + extra[:, :, None], value[:, :, head + 1 :]], 2
        )

    with torch.enable_grad():
        logits = case.model.run_with_hooks(case.clean, [(site, add)])
        return torch.autograd.grad(case.m(logits).sum(), extra)[0]


@grades("08.9")
def test_the_gradient_of_every_reader(answer):
    """Random models and a planted one, one receiver after another."""
    for case in (*every_case()[:3], deep_case()):
        got = answer.reader_gradients(case.model, case.clean, case.right, case.wrong)
        names = receivers(case.model.cfg)
        expect(set(got) == set(names), f"The keys should be the receivers: {', '.join(names[:4])}, … , logits.")
        for name in names if case is not deep_case() else ("m10", "a10.h0.k", "m1", "logits"):
            head = head_of(name)
            expect_close(
                got[name],
                heard_by_hand(case, name),
                f"the gradient of what {name} reads",
                axes="batch pos d_model",
                atol=1e-4,
                rtol=2e-3,
                mistakes=lambda case=case, name=name, head=head: {
                    "You average over pairs before the gradient. Take the sum of m.": heard_by_hand(case, name)
                    / len(case.clean),
                    **({"This is the sum over all heads of the layer. Take this head's.": torch.stack(
                        [heard_by_hand(case, f"a{head[0]}.h{h}.{name[-1]}") for h in range(case.model.cfg.n_heads)]
                    ).sum(0)} if head else {}),
                },
            )  # fmt: skip


def as_edges(got: Any, case: Case, what: str) -> Tensor:
    """[edge batch] in the order of `all_edges`, from a dict by texts."""
    edges = [str(edge) for edge in all_edges(case.model.cfg)]
    missing, more = sorted(set(edges) - set(got)), sorted(set(got) - set(edges))
    expect(not missing, f"{what} has no entry for {len(missing)} edges, such as {(missing or [''])[0]}.")
    expect(not more, f"{what} has entries that are no edges of this model, such as {(more or [''])[0]}.")
    for edge in edges:
        shape = (len(case.clean),)
        expect(
            isinstance(got[edge], Tensor) and tuple(got[edge].shape) == shape,
            f"The entry for {edge} should have shape {shape}: a number for each pair.",
        )
    return torch.stack([got[edge] for edge in edges])


@oracle_cache
def library_edges(case: Case, steps: int = 0) -> Tensor:
    pair = (case.model, case.clean, case.corrupted, case.metric)
    found = at.eap_ig(*pair, steps=steps) if steps else at.eap(*pair)
    return torch.stack([found[edge] for edge in all_edges(case.model.cfg)]).detach()


@oracle_cache
def last_position(case: Case) -> Tensor:
    """[edge batch]: EAP of the last position alone."""
    said = [at.sender_outputs(case.model, tokens, senders(case.model.cfg)) for tokens in (case.clean, case.corrupted)]
    rows = [
        ((said[1][e.sender] - said[0][e.sender]) * heard_by_hand(case, e.receiver))[:, -1].sum(-1) / -case.span
        for e in all_edges(case.model.cfg)
    ]
    return torch.stack(rows)


def edge_table_slips(case: Case, want: Tensor, steps: int = 0) -> dict[str, Tensor]:
    back = library_edges(case.back, steps)
    return {
        **({} if steps else {"This is the last position alone. Sum over positions.": last_position(case)}),
        "The gradient is taken at the corrupted end. Take it at the clean run.": back,
        "The gradient is taken at the corrupted end, and the sign is wrong.": -back,
        "You take absolute values. Keep the sign: an edge may speak against the answer.": want.abs(),
        **scale_slips(want, case),
    }


@grades("08.9", weight=2)
def test_every_edge_to_first_order(answer):
    """All edges of random models and planted ones, compared with the library's EAP."""
    for case in every_case():
        want = library_edges(case)
        expect_close(
            as_edges(answer.eap(*case), case, "What your eap returns"),
            want,
            "EAP",
            axes="edge batch",
            atol=1e-4,
            rtol=5e-3,
            mistakes=lambda case=case, want=want: edge_table_slips(case, want),
        )


# --- 08.10 ------------------------------------------------------------------------------------------------------------


@oracle_cache
def along(case: Case, steps: int, rule: str, base: str = "corrupted") -> Tensor:
    """[edge batch]: EAP with the gradient averaged over the points of a rule, from the library's EAP of edited runs."""
    x, start = embeddings(case)
    start = start if base == "corrupted" else torch.zeros_like(x)
    heard: dict[str, Tensor] = {}
    for k in range(steps):
        point = start + RULES[rule](k, steps) * (x - start)
        with case.model.hooks([("embed", lambda value, hook, point=point: point)]):
            for name in receivers(case.model.cfg):
                heard[name] = heard.get(name, 0) + heard_uncached(case, name) / steps
    said = [at.sender_outputs(case.model, tokens, senders(case.model.cfg)) for tokens in (case.clean, case.corrupted)]
    rows = [
        ((said[1][e.sender] - said[0][e.sender]) * heard[e.receiver]).sum((1, 2)) / -case.span
        for e in all_edges(case.model.cfg)
    ]
    return torch.stack(rows)


heard_uncached = heard_by_hand.__wrapped__


@grades("08.10", weight=2)
def test_every_edge_along_the_way(answer):
    """All edges with one step, with two and with five, compared with the library's EAP-IG."""
    for case, steps in [*itertools.product(random_cases(), (1, 2, 5)), (planted_case("induction"), 3)]:
        want = library_edges(case, steps)
        expect_close(
            as_edges(answer.eap_ig(*case, steps), case, "What your eap_ig returns"),
            want,
            f"EAP-IG with steps = {steps}",
            axes="edge batch",
            atol=2e-4,
            rtol=5e-3,
            mistakes=lambda case=case, steps=steps, want=want: {
                "This is EAP: the gradient is that of the clean run at every step. Put the embeddings between the two "
                "into the run.": library_edges(case),
                "The steps are 0 … steps − 1: the clean end is missing and the corrupted one is in. They run from 1 to "
                "steps.": along(case, steps, "left"),
                "The steps are in the middle of each piece. Here they are k / steps for k = 1 … steps.": along(
                    case, steps, "middle"
                ),
                "The steps run from 0 to 1 with both ends in. They are k / steps for k = 1 … steps.": along(
                    case, steps, "ends"
                ),
                "The gradients are summed. Take their mean: divide by `steps`.": want * steps,
                "You start at zeros. The way begins at the corrupted embeddings.": along(case, steps, "right", "zeros"),
                **edge_table_slips(case, want, steps),
            },
        )


@grades("08.10")
def test_a_saturated_unit_is_seen(answer):
    """The conjunction, on which EAP is blind: along the way the unit is not flat."""
    case = planted_case("conjunction", 3, seed=640)
    got = answer.eap_ig(*case, 10)
    expect_close(
        as_edges(got, case, "What your eap_ig returns"),
        library_edges(case, 10),
        "EAP-IG of the conjunction",
        axes="edge batch",
        atol=1e-3,
        rtol=1e-2,
        mistakes=lambda: {"This is EAP, and blind: use the gradient along the way.": library_edges(case)},
    )


# --- 08.11 ------------------------------------------------------------------------------------------------------------


@grades("08.11")
def test_strengths(answer):
    """Scores of both signs."""
    for edges, pairs, seed in ((7, 5, 0), (11, 2, 1), (3, 13, 2)):
        scores = randn(edges, pairs, seed=seed)
        expect_close(
            answer.strength(scores),
            torch.tensor([sum(abs(v) for v in row) / pairs for row in scores.tolist()]),
            "the strengths",
            axes="edge",
            mistakes={
                "You average first, and pairs of opposite sign cancel. Take the absolute value first.": scores.mean(
                    1
                ).abs(),
                "An edge that speaks against the answer counts too: take the absolute value.": scores.mean(1),
                "You sum over pairs. Take the mean.": scores.abs().sum(1),
                "You take the root of the mean square. Take the mean of the absolute values.": scores.pow(2)
                .mean(1)
                .sqrt(),
                "You take the largest of all pairs. Take the mean.": scores.abs().max(1).values,
            },
        )


def judged() -> list[tuple[Tensor, Tensor]]:
    """Strengths and truths: random, with many ties, all equal, right and upside down."""
    found = []
    for n, seed in ((13, 0), (29, 1), (7, 2), (53, 3)):
        truth = torch.rand(n, generator=generator(60 + seed)) < 0.3
        truth[0], truth[1] = True, False
        values = torch.rand(n, generator=generator(80 + seed)) + 0.3 * truth
        found += [(values, truth), ((3 * values).round(), truth), (torch.ones(n), truth)]
    truth = torch.tensor([True, False, False, True, False])
    found += [(truth.float(), truth), (1 - truth.float(), truth)]
    return found


def pairs_won(values: Tensor, truth: Tensor, tie: float) -> float:
    on, off = ([v for v, t in zip(values.tolist(), truth.tolist(), strict=True) if t is side] for side in (True, False))
    return sum(1.0 if a > b else tie if a == b else 0.0 for a in on for b in off) / (len(on) * len(off))


@grades("08.11", weight=2)
def test_the_area_under_the_curve(answer):
    """Random strengths, with ties and without, pair by pair."""
    for values, truth in judged():
        expect_close(
            answer.auroc(values, truth),
            pairs_won(values, truth, 0.5),
            "the AUROC",
            mistakes={
                "A tie counts as won. It counts one half.": pairs_won(values, truth, 1.0),
                "A tie counts as lost. It counts one half.": pairs_won(values, truth, 0.0),
                "It is upside down: this is the chance that an edge OFF the circuit is stronger.": pairs_won(
                    values, ~truth, 0.5
                ),
                "You compare with ALL edges. Compare with those that are not in the circuit.": won_against_all(
                    values, truth
                ),
                "This is the average precision.": precision_by_hand(values, truth),
            },
        )


def won_against_all(values: Tensor, truth: Tensor) -> float:
    table = values[truth].double()[:, None] - values.double()[None]
    return float((table.sign() / 2 + 0.5).mean())


def precision_by_hand(values: Tensor, truth: Tensor, strict: bool = False, order: bool = False) -> float:
    v, t, shares = values.tolist(), truth.tolist(), []
    ranked = sorted(range(len(v)), key=lambda i: -v[i])
    for i, on in enumerate(t):
        if on:
            above = ranked[: ranked.index(i) + 1] if order else [
                j for j in range(len(v)) if v[j] > v[i] or (v[j] == v[i] and not strict) or j == i
            ]  # fmt: skip
            shares.append(sum(t[j] for j in above) / len(above))
    return sum(shares) / len(shares)


@grades("08.11")
def test_the_average_precision(answer):
    """Random strengths, with ties and without, edge by edge."""
    for values, truth in judged():
        expect_close(
            answer.average_precision(values, truth),
            precision_by_hand(values, truth),
            "the average precision",
            mistakes={
                "Edges that tie with it are left out. All that are AT LEAST as strong count.": precision_by_hand(
                    values, truth, strict=True
                ),
                "Edges that tie are put in some order. What ties enters together.": precision_by_hand(
                    values, truth, order=True
                ),
                "This is the AUROC.": pairs_won(values, truth, 0.5),
                "This is the mean over all edges. Take the mean over those of the circuit.": precision_of_all(
                    values, truth
                ),
            },
        )


def precision_of_all(values: Tensor, truth: Tensor) -> float:
    shares = [truth[values >= value].double().mean() for value in values]
    return float(torch.stack(shares).mean())


# --- 08.12 ------------------------------------------------------------------------------------------------------------

FRACTIONS = [0.0, 0.11, 0.23, 0.31, 0.57, 0.83, 1.0]


def share_alone(case: Case, ranking: list[str], fraction: float) -> float:
    """f of the first edges, from a run in which the others are patched."""
    kept = set(ranking[: int(fraction * len(ranking))])
    others = [edge for edge in all_edges(case.model.cfg) if str(edge) not in kept]
    m_clean, m_corrupted = (case.m(case.model(tokens)).mean() for tokens in (case.clean, case.corrupted))
    logits = at.patch_edges(case.model, case.clean, case.corrupted, others) if others else case.model(case.clean)
    m = case.m(logits).mean() if kept else m_corrupted
    return float((m - m_corrupted) / (m_clean - m_corrupted))


NO_EDGE = "With no edge at all f is 0. You keep one: the circuit is the first int(fraction · number of edges)."


def with_edges(case: Case, ranking: tuple[str, ...], how: str) -> Tensor:
    """[fraction]: what other runs and other means would give."""
    found = []
    m_clean, m_corrupted = (case.m(case.model(tokens)) for tokens in (case.clean, case.corrupted))
    for fraction in FRACTIONS:
        kept = set(ranking[: int(fraction * len(ranking))])
        inside = [edge for edge in all_edges(case.model.cfg) if str(edge) in kept]
        outside = [edge for edge in all_edges(case.model.cfg) if str(edge) not in kept]
        base, source = (case.corrupted, case.clean) if how == "exchanged" else (case.clean, case.corrupted)
        edges = inside if how == "removed" else outside
        m = case.m(at.patch_edges(case.model, base, source, edges) if edges else case.model(base))
        share = (m - m_corrupted) / (m_clean - m_corrupted)
        mean = share.mean() if how == "quotients" else (m - m_corrupted).mean() / (m_clean - m_corrupted).mean()
        found.append(float(mean) if kept else 0.0)
    return torch.tensor(found)


@functools.cache
def curve_cases() -> tuple[tuple[Case, tuple[str, ...]], ...]:
    found = []
    for i, case in enumerate((random_cases()[0], planted_case("cancelling", 3, seed=21))):
        edges = [str(edge) for edge in all_edges(case.model.cfg)]
        order = torch.randperm(len(edges), generator=generator(i)).tolist()
        if not i:  # an edge that is heard alone stands first, so that no edge and one edge differ
            order.sort(key=lambda j: edges[j] != "embed->logits")
        found.append((case, tuple(edges[j] for j in order)))
    return tuple(found)


@oracle_cache
def curve(case: Case, ranking: tuple[str, ...], fractions: tuple[float, ...]) -> Tensor:
    return torch.tensor([share_alone(case, list(ranking), fraction) for fraction in fractions])


@grades("08.12")
def test_the_curve(answer):
    """Rankings drawn by lot, from no edge at all to all of them."""
    for case, ranking in curve_cases():
        want = curve(case, ranking, tuple(FRACTIONS))
        m_clean, m_corrupted = (case.m(case.model(tokens)).mean() for tokens in (case.clean, case.corrupted))
        expect_close(
            answer.faithfulness_curve(*case, list(ranking), FRACTIONS),
            want,
            "the curve",
            axes="fraction",
            atol=1e-3,
            rtol=2e-3,
            mistakes=lambda case=case, ranking=ranking, want=want, m_clean=m_clean, m_corrupted=m_corrupted: {
                "These are the LAST edges of the ranking. Keep the first.": curve(
                    case, ranking[::-1], tuple(FRACTIONS)
                ),
                "This is what is lost without the circuit, 1 minus f.": 1 - want,
                "You forgot to subtract m(∅).": (want * (m_clean - m_corrupted) + m_corrupted) / m_clean,
                "This is m. Put it on the scale from 0 to 1.": want * (m_clean - m_corrupted) + m_corrupted,
                NO_EDGE: torch.tensor(
                    [share_alone(case, list(ranking), max(f, 1.5 / len(ranking))) for f in FRACTIONS]
                ),
                "You round. k is int(fraction · number of edges).": torch.tensor(
                    [
                        share_alone(case, list(ranking), (round(f * len(ranking)) + 0.5) / len(ranking))
                        for f in FRACTIONS
                    ]
                ),
                "You run the corrupted prompt, and the circuit carries it. The circuit carries the CLEAN prompt, all "
                "others the corrupted one.": with_edges(case, ranking, "exchanged"),
                "You corrupt the circuit and keep all others clean. Keep the circuit clean.": with_edges(
                    case, ranking, "removed"
                ),
                "This is the mean of quotients. Take the means over pairs first, then one quotient.": with_edges(
                    case, ranking, "quotients"
                ),
                "You keep one edge more: the first int(fraction · number of edges).": torch.tensor(
                    [share_alone(case, list(ranking), (int(f * len(ranking)) + 1.5) / len(ranking)) for f in FRACTIONS]
                ),
            },
        )


@functools.cache
def scored_cases() -> tuple[tuple[Case, Mapping[str, Tensor], tuple[float, ...]], ...]:
    """Networks with edges that help and edges that hurt, so that the two rankings differ."""
    found = []
    cancelling = planted_case("cancelling", 3, seed=21)
    exact = at.edge_effects(cancelling.model, cancelling.clean, cancelling.corrupted, cancelling.metric)
    found.append((cancelling, {str(edge): value for edge, value in exact.items()}, (0.01, 0.02, 0.05, 0.11, 0.31, 1.0)))
    # A method that overlooks what speaks against the answer: its circuits answer twice as loud.
    blind = {edge: 1e-6 * value if "m1" in edge else value for edge, value in found[0][1].items()}
    found.append((cancelling, blind, (0.01, 0.03, 0.11, 0.31, 1.0)))
    case = random_cases()[0]
    found.append(
        (case, dict(zip(map(str, all_edges(case.model.cfg)), library_edges(case), strict=True)), (0.1, 0.3, 0.57, 1.0))
    )
    return tuple(found)


def area(x: list[float], y: Tensor, skip_last: bool = False) -> float:
    return sum((b - a) * float(u + v) / 2 for a, b, u, v in zip(x, x[1:], y, y[1:], strict=False))


def rectangles(x: list[float], y: Tensor) -> float:
    return sum((b - a) * float(u) for a, b, u in zip(x, x[1:], y, strict=False))


@grades("08.12", weight=2)
def test_the_two_areas(answer):
    """Scores of both signs: CPR by the signed ranking, CMD by the absolute one."""
    for case, scores, fractions in scored_cases():
        pair = (case.model, case.clean, case.corrupted, case.metric)
        by_edge = {Edge.parse(text): value for text, value in scores.items()}
        want = [judge(*pair, by_edge, fractions) for judge in (at.cpr, at.cmd)]
        expect_close(
            torch.tensor(list(answer.cpr_and_cmd(*case, dict(scores), list(fractions)))),
            torch.tensor(want),
            "(CPR, CMD)",
            atol=1e-3,
            rtol=2e-3,
            mistakes=lambda case=case, scores=scores, fractions=fractions, want=want: area_slips(
                case, scores, list(fractions), want
            ),
        )


def area_slips(case: Case, scores: Mapping[str, Tensor], k: list[float], want: list[float]) -> dict[str, Tensor]:
    def f(key) -> Tensor:
        return curve(case, tuple(sorted(scores, key=key)), tuple(k))

    signed, absolute = f(lambda e: -float(scores[e].mean())), f(lambda e: -float(scores[e].abs().mean()))
    after = f(lambda e: -float(scores[e].mean().abs()))
    logs = [math.log(x) for x in k]
    both = {
        "One ranking for both, the signed one. CMD asks which edges matter most: rank by the size.": (signed, signed),
        "One ranking for both, the absolute one. CPR asks which edges help most: rank by the signed score.": (
            absolute,
            absolute,
        ),
        "The two rankings are exchanged.": (absolute, signed),
        "For the absolute ranking you average first, and pairs of opposite sign cancel.": (signed, after),
    }
    found = {sentence: torch.tensor([area(k, a), area(k, (1 - b).abs())]) for sentence, (a, b) in both.items()}
    return found | {
        "k is on a logarithmic axis. It is the fraction itself.": torch.tensor(
            [area(logs, signed), area(logs, (1 - absolute).abs())]
        ),
        "CMD is the area of |1 − f|, not of 1 − f.": torch.tensor([want[0], area(k, 1 - absolute)]),
        "These are means over the fractions. Fractions are not equally far apart: take the area.": torch.tensor(
            [float(signed.mean()), float((1 - absolute).abs().mean())]
        ),
        "The two are exchanged: (CPR, CMD).": torch.tensor(want[::-1]),
        "CMD is the area of |1 − f|. You take 1 minus the area of f.": torch.tensor([want[0], 1 - area(k, absolute)]),
        "These are rectangles. Take trapezoids: the mean of both ends.": torch.tensor(
            [rectangles(k, signed), rectangles(k, (1 - absolute).abs())]
        ),
        "You rank upwards. The largest come first.": torch.tensor(
            [
                area(k, f(lambda e: float(scores[e].mean()))),
                area(k, (1 - f(lambda e: float(scores[e].abs().mean()))).abs()),
            ]
        ),
    }


# --- 08.13 ------------------------------------------------------------------------------------------------------------


def spearman(u: Tensor, v: Tensor) -> float:
    """From the signs of all differences: their sum is twice a rank, less the mean rank, ties and all."""
    a, b = ((x.double()[:, None] - x.double()[None]).sign().sum(1) for x in (u, v))
    return float((a * b).sum() / (a.pow(2).sum() * b.pow(2).sum()).sqrt())


@grades("08.13")
def test_the_correlation_of_ranks(answer):
    """Random numbers, some with ties, compared with sums over pairs of numbers."""
    for n, seed in ((7, 0), (23, 1), (5, 2), (41, 3)):
        a = randn(n, seed=seed)
        b = 0.6 * a.exp() + 0.5 * randn(n, seed=seed + 9)
        for u, v in ((a, b), ((2 * a).round(), (2 * b).round()), (a, a**3), (a, -a)):
            want = spearman(u, v)
            expect_close(
                answer.rank_correlation(u, v),
                want,
                "the rank correlation",
                atol=1e-4,
                mistakes=lambda u=u, v=v, want=want: {
                    "This is the correlation of the numbers themselves. Take that of their ranks.": float(
                        torch.corrcoef(torch.stack([u, v]))[0, 1]
                    ),
                    "Equal numbers get ranks in some order. They share the mean of their ranks.": order_correlation(
                        u, v
                    ),
                    "Only the sign is wrong: both ranks must go the same way.": -want,
                    "Equal numbers all get the lowest of their ranks. They share the mean of their ranks.": float(
                        torch.corrcoef(torch.stack([(x[None] < x[:, None]).sum(1).double() for x in (u, v)]))[0, 1]
                    ),
                    "The formula with the squared differences of ranks is right only where no numbers are equal. Take "
                    "the correlation of the ranks.": by_squares(u, v),
                    "This is argsort of the numbers, which says where each rank stands. It takes a second argsort to "
                    "get ranks.": float(
                        torch.corrcoef(torch.stack([u.argsort().double(), v.argsort().double()]))[0, 1]
                    ),
                },
            )


def by_squares(u: Tensor, v: Tensor) -> float:
    """1 − 6 Σ d² / (n³ − n), with the mean ranks."""
    a, b = ((x.double()[:, None] - x.double()[None]).sign().sum(1) / 2 for x in (u, v))
    return float(1 - 6 * (a - b).pow(2).sum() / (len(u) ** 3 - len(u)))


def order_correlation(u: Tensor, v: Tensor) -> float:
    ranks = [x.argsort(stable=True).argsort().double() for x in (u, v)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@oracle_cache
def sane(case: Case, seeds: tuple[int, ...], how: str = "abs first", of: HookedModel | None = None) -> Tensor:
    """The check. of: the network whose weights are shuffled, where it is another."""

    def heads(model: HookedModel) -> Tensor:
        values = first_order(Case(model, *case[1:]))
        return {
            "abs first": values.abs().mean(-1),
            "mean first": values.mean(-1).abs(),
            "signed": values.mean(-1),
            "pairs apart": values.abs(),
            "exact": (1 - patched_heads(Case(model, *case[1:]), True)).abs().mean(-1),
        }[how].flatten()

    own = heads(case.model)
    rows = [spearman(own, heads(at.randomised(of or case.model, seed))) for seed in seeds]
    return torch.tensor(rows, dtype=torch.float64)


@grades("08.13", weight=2)
def test_networks_with_shuffled_weights(answer):
    """Random models and planted ones, each against copies with shuffled weights."""
    for case, seeds in (
        (random_cases()[0], (3, 1, 8)),
        (planted_case("induction"), (0, 5)),
        (planted_case("two_hop", 2), (2,)),
    ):
        expect_close(
            answer.sanity_check(*case, list(seeds)),
            sane(case, seeds),
            "the correlations",
            axes="seed",
            atol=2e-3,
            mistakes=lambda case=case, seeds=seeds: {
                "You average over pairs before the absolute value.": sane(case, seeds, "mean first"),
                "You rank by the signed value. What counts is the size.": sane(case, seeds, "signed"),
                "You compare exact patching. Ask attribution_patching.": sane(case, seeds, "exact"),
                "Pairs are not averaged. Rank the heads, by the mean over pairs.": sane(case, seeds, "pairs apart"),
                "You compare the shuffled copies with one another. Compare each with the network.": sane(
                    Case(at.randomised(case.model, seeds[0]), *case[1:]), seeds, of=case.model
                ),
                "You compare the network with itself.": torch.ones(len(seeds)),
                "This is one number for all seeds. Keep them apart.": sane(case, seeds).mean().expand(len(seeds)),
            },
        )


# --- 08.14 ------------------------------------------------------------------------------------------------------------

# A failure of each kind: (circuit, edge), where no method of first order is right, or where exact patching is not.
FAILURES = (
    ("conjunction", "a0.h1->m1"),
    ("redundant", "a0.h0->m1"),
    ("cancelling", "embed->a0.h2.v"),
    ("induction", "embed->a1.h1.q"),
    ("position", "a0.h3->a1.h2.q"),
)
ENOUGH = 0.1  # by how much methods may differ and still agree
LEAST = 0.05  # what noising an edge must cost, so that there is something to agree about


def renamed(name: str, place: dict[tuple[int, int], tuple[int, int]]) -> str:
    head = head_of(name)
    if not head:
        return name
    layer, number = place[head]
    return f"a{layer}.h{number}{name[-2:] if name[-2] == '.' else ''}"


@functools.cache
def failures(seed: int = 5077) -> tuple[tuple[str, Case, Case, str, str], ...]:
    """(circuit, pairs to look at, other pairs to judge by, sender, receiver); heads are dealt out anew."""
    found = []
    for i, (name, text) in enumerate(FAILURES):
        case = planted_case(name, 3, seed + i)
        model, place = heads_dealt_out(case.model, seed + 7 * i)
        other = circuit(name, seed + i).pairs(3, seed=seed + 100 + i)
        edge = Edge.parse(text)
        found.append(
            (
                name,
                Case(model, *case[1:]),
                Case(model, other.clean, other.corrupted, other.answers, other.corrupted_answers),
                renamed(edge.sender, place),
                renamed(edge.receiver, place),
            )
        )
    return tuple(found)


@functools.lru_cache(64)
def errors_of(case: Case, sender: str, receiver: str) -> tuple[float, float, float]:
    """(|EAP − noising|, |denoising − noising|, noising), by the library."""
    return errors_now(case, sender, receiver)


def errors_now(case: Case, sender: str, receiver: str) -> tuple[float, float, float]:
    edge = Edge(sender, receiver)
    noising = at.edge_effects(case.model, case.clean, case.corrupted, case.metric, [edge])[edge]
    denoising = at.edge_effects(case.model, case.corrupted, case.clean, case.metric, [edge])[edge]
    quick = at.eap(case.model, case.clean, case.corrupted, case.metric)[edge]
    mean = lambda x: float(x.abs().mean())  # noqa: E731
    return mean(quick - noising), mean(denoising - noising), float(noising.mean())


@grades("08.14")
def test_how_far_off_two_methods_are(answer):
    """Edges of random models and planted ones."""
    cases = [(case, edge.sender, edge.receiver) for case in random_cases() for edge in some_edges(case, 3)]
    for case, sender, receiver in [*cases, *((case, s, r) for _, case, _, s, r in failures()[:2])]:
        edge = Edge(sender, receiver)
        want = errors_of(case, sender, receiver)[:2]

        def slips(case=case, edge=edge, want=want) -> dict[str, Tensor]:
            pair = (case.model, case.clean, case.corrupted, case.metric)
            noising = at.edge_effects(*pair, [edge])[edge]
            back = at.edge_effects(case.model, case.corrupted, case.clean, case.metric, [edge])[edge]
            quick = at.eap(*pair)[edge]
            return {
                "You average over pairs before the absolute value.": torch.tensor(
                    [float((quick - noising).mean().abs()), float((back - noising).mean().abs())]
                ),
                "The first is |EAP − noising|, and yours compares EAP with denoising.": torch.tensor(
                    [float((quick - back).abs().mean()), want[1]]
                ),
                "The second is |denoising − noising|, and yours compares denoising with EAP.": torch.tensor(
                    [want[0], float((back - quick).abs().mean())]
                ),
                "The two are exchanged: EAP first, then exact patching.": torch.tensor(want[::-1]),
                "Denoising is what comes BACK, and yours is 1 minus that.": torch.tensor(
                    [want[0], float((1 - back - noising).abs().mean())]
                ),
                "The errors have a sign. Take absolute values.": torch.tensor(
                    [float((quick - noising).mean()), float((back - noising).mean())]
                ),
            }

        expect_close(
            torch.tensor(list(answer.errors(*case, sender, receiver))),
            torch.tensor(want),
            f"the errors about {edge}",
            atol=2e-3,
            rtol=5e-3,
            mistakes=slips,
        )


def operated(case: Case, kind: str, part: str) -> Any:
    return (
        straightened(case.model, case.clean, case.corrupted, part)
        if kind == "straighten"
        else silenced(case.model, part)
    )


def problem_of(case: Case, kind: str, part: str, sender: str, receiver: str) -> str:
    """What is wrong with an edit, found by making it; "" if it is right."""
    with operated(case, kind, part):
        if bool((case.m(case.model(case.clean)) <= 0).any() or (case.m(case.model(case.corrupted)) >= 0).any()):
            return "the network no longer answers both prompts right, so the edit has broken what was to be explained"
        quick, back, noising = errors_now(case, sender, receiver)
    if max(quick, back) >= ENOUGH:
        return f"EAP is still {quick:.2f} off, and noising and denoising still differ by {back:.2f}: it is another part"
    if noising < LEAST:
        return f"the methods agree, but only because the edge does not matter any more: it costs {noising:.2f}"
    return ""


@grades("08.14", weight=3)
def test_the_part_that_is_to_blame(answer):
    """Five failures on circuits that nobody has seen, whose heads were dealt out anew. Your edit is made, and run."""
    for name, case, other, sender, receiver in failures():
        got = answer.cause(*case, sender, receiver)
        kind, part = got
        parts = [p for p in senders(case.model.cfg) if "embed" not in p]
        expect(
            kind in ("straighten", "silence") and part in parts,
            f"{got} is no edit of this network: first comes 'straighten' or 'silence', then one of {parts[0]} to "
            f"{parts[-1]}.",
        )
        for which in (case, other):
            problem = problem_of(which, kind, part, sender, receiver)
            shown = "these pairs" if which is case else "other pairs of the same network"
            expect(
                not problem,
                f"In a circuit like {name!r}, about {sender}->{receiver}, your edit is: {kind} {part}. With it, on "
                f"{shown}, {problem}.",
            )
