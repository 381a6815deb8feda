"""The grader of chapter 14. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: pixel by pixel, one image or one unit after another, in
double precision. Networks are small and random, with biases; sizes of a case are different.
`mi_lib.worlds.planted.focus` plants networks whose detectors are known, with decoys.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from mi_lib.course import findings, index
from mi_lib.course.grading import expect, expect_close, grades
from mi_lib.course.grading.expectations import MISTAKE, Wrong
from mi_lib.course.grading.material import generator, randn
from mi_lib.features import tuning
from mi_lib.models.vision import ConvNet, ConvNetConfig, VisionModel
from mi_lib.models.vision.loading import wrapped
from mi_lib.worlds import scenes
from mi_lib.worlds.planted import focus

WHITE = (1.0, 1.0, 1.0)
HUES = [(1.0, 1.0, 1.0), (1.7, 0.0, 0.0), (0.0, 1.7, 0.0), (1.2, -1.2, 0.0)]
oracle_cache = functools.lru_cache(256)


@functools.cache
def small(seed: int, size: int = 17, units: int = 7) -> VisionModel:
    """A random network with biases, two layers; some units are silent."""
    config = ConvNetConfig((5, units), (3, 5), (2, 1), ("a", "b", "c"), size, (0.5,) * 3, (0.2,) * 3)
    net = ConvNet(config).init_weights(seed)
    source = generator(700 + seed)
    with torch.no_grad():
        for layer in (net.conv1, net.conv2, net.readout):
            layer.bias.copy_(0.4 * torch.randn(layer.bias.shape, generator=source))
        net.conv2.bias[1] = -50.0  # never says anything
    return wrapped(net)


def share_of_first(size: int, angle: float, slip: str = "") -> np.ndarray:
    """Pixel by pixel."""
    found, middle = np.zeros((size, size)), (size / 2 if slip == "centre" else (size - 1) / 2)
    for row in range(size):
        for column in range(size):
            x, y = column - middle, middle - row
            if slip == "down":
                y = -y
            a = math.radians(angle) if slip == "degrees" else angle
            d = x * math.sin(a) + y * math.cos(a) if slip == "swapped" else x * math.cos(a) + y * math.sin(a)
            d = -d if slip == "exchanged" else d
            if slip == "hard":
                found[row, column] = float(d > 0)
            else:
                found[row, column] = min(1.0, max(0.0, d + (0 if slip == "shifted" else 0.5)))
    return found


def sides(first: Tensor, second: Tensor, angle: float, slip: str = "") -> Tensor:
    share = torch.from_numpy(share_of_first(first.shape[-1], angle, slip))
    return share * first.double() + (1 - share) * second.double()


def painted(pattern: Tensor, contrast: Any, colour: Any = WHITE, slip: str = "") -> Tensor:
    """One image after another, one colour after another."""
    rows = []
    for i, one in enumerate(pattern.double()):
        c = float(contrast[0] if slip == "one contrast" else contrast[i])
        c = abs(c) if slip == "no sign" else c
        channels = [(0 if slip == "no grey" else 0.5) + c * colour[k] * one for k in range(3)]
        image = torch.stack(channels)
        rows.append(image if slip == "not cut" else image.clamp(0, 1))
    return torch.stack(rows)


def said(model: VisionModel, layer: str, images: Tensor, slip: str = "") -> Tensor:
    """What each unit says in the middle, [image unit]."""
    maps = model.run(images.float(), [layer])[layer].double()
    if slip == "places":
        return maps.mean((2, 3))
    if slip == "top":
        return maps.amax((2, 3))
    return maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]


def one_each(got: Tensor, n: int, what: str) -> None:
    """The shape is told before the numbers are looked at."""
    expect(tuple(got.shape) == (n,), f"There must be {what}, of shape ({n},), but yours has shape {tuple(got.shape)}.")


# --- 14.1 -------------------------------------------------------------------------------------------------------------


@grades("14.1")
def test_patterns_of_equal_contrast(answer):
    """Patterns of different strength and brightness."""
    for n, size, seed in ((3, 7, 1), (5, 4, 2)):
        raw = torch.arange(1.0, n + 1)[:, None, None] * randn(n, size, size, seed=seed) + 2.0
        rows = [(p.double() - p.double().mean()) for p in raw]
        want = torch.stack([p / (p**2).mean().sqrt() for p in rows])
        whole = raw.double() - raw.double().mean()
        expect_close(
            answer.equal(raw),
            want,
            "the pattern",
            axes="image row column",
            mistakes={
                "You set the batch as a whole to mean 0 and root mean square 1. Do it for each pattern.": whole
                / (whole**2).mean().sqrt(),
                "You divide by the spread with n − 1. The root mean square is the root of the plain mean.": torch.stack(
                    [p / p.std() for p in rows]
                ),
                "The mean is still there. Subtract it before you divide.": torch.stack(
                    [p.double() / (p.double() ** 2).mean().sqrt() for p in raw]
                ),
                "You divide by the spread alone, and leave the mean in the pattern.": torch.stack(
                    [p.double() / (q**2).mean().sqrt() for p, q in zip(raw, rows, strict=True)]
                ),
                "You divide by the largest value. One bright pixel decides then: divide by the root mean square.": (
                    torch.stack([p / p.abs().max() for p in rows])
                ),
                "You subtract the mean of the whole batch. Each pattern has its own.": torch.stack(
                    [q / (q**2).mean().sqrt() for q in raw.double() - raw.double().mean()]
                ),
                "You divide by the mean square. Take its root.": torch.stack([p / (p**2).mean() for p in rows]),
                "You subtract the mean and leave the strength as it was: divide by the root mean square.": torch.stack(
                    rows
                ),
            },
        )


SIDE_SLIPS = {
    "exchanged": "The sides are exchanged: the FIRST pattern lies where the angle points.",
    "down": "Row 0 is the top row, so y must run up while rows run down: y = (size − 1) / 2 − row.",
    "degrees": "The angle is in radians already.",
    "centre": "The middle of `size` pixels is (size − 1) / 2: pixel centres are counted from 0.",
    "swapped": "x belongs to the cosine and y to the sine: at angle 0 the first pattern is on the right.",
    "hard": "The boundary is hard. Within half a pixel of it the two are mixed: d + 1/2, cut off at 0 and 1.",
    "shifted": "A pixel ON the boundary is half and half: d + 1/2.",
}


@grades("14.1", weight=2)
def test_two_patterns_and_a_boundary(answer):
    """Odd and even sizes, angles of a whole turn."""
    for n, size, angle in ((2, 9, 0.7), (3, 6, 2.9), (1, 7, 4.4), (2, 5, 0.0), (2, 5, math.pi / 2)):
        first, second = randn(n, size, size, seed=size), randn(n, size, size, seed=50 + size) + 3
        expect_close(
            answer.two_sides(first, second, angle),
            sides(first, second, angle),
            "the pattern",
            axes="image row column",
            mistakes=lambda first=first, second=second, angle=angle: {
                sentence: sides(first, second, angle, slip) for slip, sentence in SIDE_SLIPS.items()
            },
        )


@grades("14.1")
def test_an_image_of_a_pattern(answer):
    """Contrasts of either sign, colours with negative parts."""
    for n, size, colour in ((3, 5, (1.0, 1.0, 1.0)), (4, 3, (1.5, -0.5, 0.0))):
        pattern, contrast = randn(n, size, size, seed=size), torch.tensor([0.2, -0.3, 0.1, -0.9])[:n]
        expect_close(
            answer.paint(pattern, contrast, colour),
            painted(pattern, contrast, colour),
            "the image",
            axes="image colour row column",
            mistakes=lambda pattern=pattern, contrast=contrast, colour=colour: {
                "A pixel is never below 0 or above 1: cut it off.": painted(pattern, contrast, colour, "not cut"),
                "The contrast has lost its sign: a negative one turns light and dark over.": painted(
                    pattern, contrast, colour, "no sign"
                ),
                "The grey is missing: a pattern of 0 is painted 0.5.": painted(pattern, contrast, colour, "no grey"),
                "All images have the contrast of the first. Each has its own.": painted(
                    pattern, contrast, colour, "one contrast"
                ),
                "The image is white: `colour` says how much each of red, green and blue gets.": painted(
                    pattern, contrast
                ),
            },
        )


# --- 14.2 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def curve(seed: int, size: int, n: int, count: int, slip: str = "", layer: str = "relu2") -> Tensor:
    """[unit angle], one angle after another."""
    first, second, contrast = material(size, n)
    if slip == "second first":
        first, second = second, first
    if slip == "no sign":
        contrast = contrast.abs()
    if slip == "first image":
        first, second, contrast = first[:1], second[:1], contrast[:1]
    rows = []
    for i in range(count):
        angle = 2 * math.pi * i / count
        angle = {"half": angle / 2, "clockwise": -angle, "ends": 2 * math.pi * i / max(count - 1, 1)}.get(slip, angle)
        answers = said(small(seed, size), layer, painted(sides(first, second, angle), contrast), slip)
        rows.append(answers.amax(0) if slip == "largest" else answers.sum(0) if slip == "sum" else answers.mean(0))
    return torch.stack(rows, 1)


@oracle_cache
def material(size: int, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sharp and blurred patterns, and contrasts of either sign."""
    sharp, blurred = tuning.noise(n, size, 0.6, seed=n), tuning.noise(n, size, 2.0, seed=40 + n)
    return sharp, blurred, 0.25 * tuning.signs(n, n) * torch.linspace(0.6, 1.0, n)


CURVE_SLIPS = {
    "half": "Your angles cover half a turn. An angle says on which SIDE the first pattern is: go all round, 2π.",
    "clockwise": "You go round clockwise.",
    "ends": "Your last angle is the first one again. Angle i is 2π i / count, and the last is one step before 2π.",
    "second first": "The patterns are exchanged: the FIRST lies on the side of the angle.",
    "no sign": "You show every pattern with a positive contrast. Keep the sign of each image's own.",
    "largest": "You take the largest response over images. Take the mean.",
    "sum": "You add up over images. Take the mean.",
    "first image": "You show the first image alone. Take the mean over all.",
    "places": "You average over all places of the map. Take what the unit says in the middle, where the boundary is.",
    "top": "You take the largest place of the map: there the padding, or anything, may count. Take the middle.",
}


@grades("14.2", weight=2)
def test_a_tuning_curve(answer):
    """Two random networks, an even and an odd number of angles."""
    for seed, size, n, count in ((1, 17, 5, 6), (2, 13, 3, 7)):
        expect_close(
            answer.by_angle(small(seed, size), "relu2", *material(size, n), count),
            curve(seed, size, n, count),
            "the tuning curve",
            axes="unit angle",
            atol=1e-4,
            mistakes=lambda seed=seed, size=size, n=n, count=count: {
                "The axes are exchanged: a row for each unit, a column for each angle.": curve(seed, size, n, count).T,
                **{sentence: curve(seed, size, n, count, slip) for slip, sentence in CURVE_SLIPS.items()},
            },
        )


@grades("14.2")
def test_curves_of_one_height(answer):
    """Loud and soft units, and one that is silent."""
    table = randn(6, 5, seed=3).abs() * torch.tensor([10.0, 0.01, 1.0, 3.0, 0.5, 2.0])[:, None]
    table[2] = 0
    table[4, 1:] = 0
    rows = [row / max(row) if max(row) > 0 else row for row in table.double()]
    expect_close(
        answer.normalised(table),
        torch.stack(rows),
        "the curves",
        axes="unit angle",
        mistakes={
            "You divide by the largest value of all units. Each unit has its own.": table / table.max(),
            "You divide by each unit's sum. Divide by its largest value.": table
            / table.sum(1, keepdim=True).clamp(min=1e-30),
            "You divide by each unit's length (the root of its sum of squares). Divide by its largest value.": table
            / table.norm(dim=1, keepdim=True).clamp(min=1e-30),
            "You divide every angle by the largest unit there. Divide each unit by its own largest value.": table
            / table.amax(0),
            "You subtract the least value first. Only divide.": torch.stack(
                [(r - min(r)) / (max(r) - min(r)) if max(r) > min(r) else 0 * r for r in table.double()]
            ),
        },
    )


# --- 14.3 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def rival_table(seed: int, size: int, n: int, count: int, slip: str = "") -> Tensor:
    sharp, blurred, contrast = material(size, n)
    model = small(seed, size)
    strength = float(contrast[0]) if slip == "sign of the edge" else abs(float(contrast[0]))
    ones = torch.ones(1, size, size)
    steps = []
    for i in range(count):
        angle = 2 * math.pi * i / count / (2 if slip == "half" else 1)
        low = 0 * ones if slip == "weak" else -ones
        image = painted(sides(ones, low, angle), torch.tensor([strength]))
        steps.append(said(model, "relu2", image)[0])
    edges = torch.stack(steps)
    if slip not in ("mean edge", "one edge", "no colour"):
        for colour in HUES[1:]:
            strongest = [
                said(model, "relu2", painted(sides(ones, low, 2 * math.pi * i / count / (2 if slip == "half" else 1)),
                                             [strength], colour))[0]
                for i in range(count)
            ]  # fmt: skip
            edges = torch.cat([edges, torch.stack(strongest)])
    best = edges.mean(0) if slip == "mean edge" else edges[0] if slip == "one edge" else edges.amax(0)
    used = contrast.abs() if slip == "no sign" else contrast
    alone = [said(model, "relu2", painted(t, used)) for t in (sharp, blurred)]
    columns = [a.amax(0) if slip == "largest" else a.mean(0) for a in alone]
    if slip == "exchanged":
        columns.reverse()
    return torch.stack([*columns, best], 1)


RIVAL_SLIPS = {
    "half": "Your edges cover half a turn: an edge that is brighter on the other side is another edge. Go all round.",
    "weak": "Your edge steps from 1 to 0. It must be as strong as the patterns: from +1 to −1.",
    "mean edge": "You average over the angles of the edge. A unit that loves one would look harmless: take the best.",
    "one edge": "You show an edge at angle 0 alone. Take the best of all angles.",
    "largest": "You take the largest response to a texture. Take the mean over images, as for the boundary.",
    "no colour": "Your edges are white. An edge of colour is a rival, too: take the best of all colours.",
    "exchanged": "The columns are exchanged: first sharp, then blurred.",
    "no sign": "You show every texture with a positive contrast. Keep the sign of each image's own.",
}


@grades("14.3", weight=2)
def test_the_rivals(answer):
    """Two random networks; contrasts of either sign."""
    for seed, size, n, count in ((1, 17, 5, 6), (3, 13, 4, 8)):
        expect_close(
            answer.rivals(small(seed, size), "relu2", *material(size, n), count, HUES),
            rival_table(seed, size, n, count),
            "the responses to rivals",
            axes="unit rival",
            atol=1e-4,
            mistakes=lambda seed=seed, size=size, n=n, count=count: {
                sentence: rival_table(seed, size, n, count, slip) for slip, sentence in RIVAL_SLIPS.items()
            },
        )


@grades("14.3")
def test_the_rivals_of_planted_units(answer):
    """A network whose units are known: of the edge detectors the third number is the largest, of textures another."""
    eye = tuning.Eye(33, 8, 8, 0, 33, 0, 33)
    planted = focus.network(seed=4)
    model = wrapped(planted.net)
    sharp, blurred, contrast = textures(5, 6)
    want = [tuning.respond(model, "relu3", tuning.paint(t, contrast), eye).mean(0) for t in (sharp, blurred)]
    edges = [tuning.to_edges(model, "relu3", eye, count=8, colour=hue).amax(1) for hue in HUES]
    want.append(torch.stack(edges).amax(0))
    for hues in (HUES, HUES[::-1]):  # the hue that tells most may be the first or the last
        got = answer.rivals(model, "relu3", sharp, blurred, contrast, 8, hues)
        expect_close(got, torch.stack(want, 1), "the responses to rivals", axes="unit rival", atol=1e-2, rtol=1e-3)


# --- 14.4 -------------------------------------------------------------------------------------------------------------


def rule(chosen: Tensor, measured: Tensor, rival: Tensor, slip: str = "") -> Tensor:
    """Unit after unit, by the words of the definition."""
    n = chosen.shape[1]
    best, opposite = [], []
    for a, b in zip(chosen.tolist(), measured.tolist(), strict=True):
        where = max(range(n), key=(b if slip == "own best" else a).__getitem__)
        shown = a if slip == "same images" else b
        best.append(shown[where])
        there = {"quarter": where + n // 4, "last": where - 1}.get(slip, where + n // 2)
        opposite.append(min(shown) if slip == "least" else shown[there % n])
    least = sum(best) / len(best) / 4
    if slip == "median":
        least = sorted(best)[len(best) // 2] / 4
    if slip == "mean of chosen":
        least = sum(map(max, chosen.tolist())) / len(best) / 4
    if slip == "of the largest":
        least = max(best) / 4
    if slip == "no floor":
        least = 0
    found = []
    for b, o, r in zip(best, opposite, rival.tolist(), strict=True):
        against = {"mean rival": sum(r) / 3, "no edge": max(r[:2]), "sum": sum(r), "least rival": min(r)}.get(
            slip, max(r)
        )
        first = b > (2 if slip == "bounds" else 1.5) * against
        second = slip == "no opposite" or b > (1.5 if slip == "bounds" else 2) * o
        found.append(first and second and b > least)
    return torch.tensor(found)


RULE_SLIPS = {
    "same images": "You measure on the images that chose the angle. The largest of many means is large by chance too: "
    "read the response in `measured`.",
    "own best": "You choose the best angle in `measured` itself. Choose it in `chosen`, and measure there.",
    "mean rival": "You compare with the mean of the rivals. One rival that is as good is enough: take the largest.",
    "least rival": "You compare with the least of the rivals. Take the largest.",
    "sum": "You compare with the sum of the rivals. Take the largest.",
    "no edge": "The edge of brightness is not asked: an edge detector would count.",
    "no opposite": "The opposite side is not asked: a unit that does not know which side is which would count.",
    "quarter": "Half a turn further is n/2 angles further, not n/4.",
    "last": "The opposite is half a turn further, not one angle before.",
    "least": "You compare with the least response of all angles. Take the one half a turn further.",
    "bounds": "The bounds are exchanged: 1.5 times the rivals, 2 times the opposite.",
    "no floor": "A unit that hardly ever says anything counts: ask for more than a quarter of the mean of `best`.",
    "median": "The third bound is a quarter of the MEAN of `best` over units, not of its median.",
    "mean of chosen": "The third bound is a quarter of the mean of `best`, and `best` is read in `measured`: you take "
    "the mean of the responses that chose the angle.",
    "of the largest": "The third bound is a quarter of the MEAN of `best` over units, not of its largest value.",
}


def units_of_all_kinds(seed: int, n: int, angles: int) -> tuple[Tensor, Tensor, Tensor]:
    """Units near every bound: between 1.2 and 2.4 times their rivals, and so on."""
    source = generator(seed)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=source)

    best = torch.exp(between(-3.0, 1.5, n))
    where = torch.randint(0, angles, (n,), generator=source)
    chosen, measured = best[:, None] * between(0, 0.9, n, angles), best[:, None] * between(0.35, 1.2, n, angles)
    units = torch.arange(n)
    chosen[units, where] = best * between(1, 1.3, n)
    measured[units, where] = best
    measured[units, (where + angles // 2) % angles] = best / between(1.2, 3.5, n)
    rival = best[:, None] / between(1.2, 3.0, n, 3)
    return chosen, measured, rival


@grades("14.4", weight=2)
def test_units_on_either_side_of_every_bound(answer):
    """Hundreds of units, each near some bound."""
    for seed, n, angles in ((1, 401, 16), (2, 307, 6)):
        case = units_of_all_kinds(seed, n, angles)
        want = rule(*case)
        got = answer.is_detector(*case)
        one_each(got, n, "a yes or no for each unit")
        if not torch.equal(got.bool(), want):
            for slip, sentence in RULE_SLIPS.items():
                if torch.equal(got.bool(), rule(*case, slip)):
                    raise Wrong(sentence, MISTAKE)
        off = (got.bool() != want).nonzero()[:, 0].tolist()
        expect(
            not off,
            f"{len(off)} of {n} units are judged wrongly, unit {off[0] if off else 0} for example, which is "
            f"{'a' if off and want[off[0]] else 'no'} detector.",
        )


@grades("14.4")
def test_units_that_are_silent(answer):
    """Nothing but zeros: no detector."""
    zero = torch.zeros(3, 8)
    got = answer.is_detector(zero, zero, torch.zeros(3, 3))
    one_each(got, 3, "a yes or no for each unit")
    expect(not got.any(), "A unit that never says anything is said to be a detector: > is not ≥.")
    tie = torch.zeros(3, 8)
    tie[:, 2] = torch.tensor([3.0, 4.0, 5.0])
    tie[1, 6] = 2.0
    got = answer.is_detector(tie, tie, torch.tensor([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    expect(
        got.bool().tolist() == [False, False, True], "Exactly 1.5 times, or twice, is not MORE than that: > is not ≥."
    )
    one = zero.clone()
    one[1, 2] = 1.0
    got = answer.is_detector(one, one, torch.zeros(3, 3))
    expect(bool(got[1]), "A unit whose rivals all say 0 is a detector: multiply by 1.5 rather than divide by 0.")
    expect(not got[0], "A unit that never says anything is said to be a detector.")


# --- 14.5 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def signs_of(seed: int, size: int, n: int, slip: str = "") -> Tensor:
    sharp, blurred, _ = material(size, n)
    patterns = sides(sharp, blurred, 0.8)
    model = small(seed, size)
    first, second = (said(model, "relu2", painted(patterns, torch.full((n,), c))) for c in (0.2, -0.2))
    if slip == "of means":
        a, b = first.mean(0), second.mean(0)
        less, more = torch.minimum(a, b), torch.maximum(a, b)
    elif slip == "mean of ratios":
        ratio = torch.minimum(first, second) / torch.maximum(first, second).clamp(min=1e-30)
        return ratio.mean(0)
    elif slip == "one way":
        less, more = second.mean(0), first.mean(0)
    else:
        less, more = torch.minimum(first, second).mean(0), torch.maximum(first, second).mean(0)
    if slip == "difference":
        return torch.where(more > 0, (more - less) / more.clamp(min=1e-30), torch.zeros_like(more))
    return torch.where(more > 0, less / more.clamp(min=1e-30), torch.zeros_like(more))


@grades("14.5", weight=2)
def test_light_and_dark_exchanged(answer):
    """Two random networks; one unit of each is silent."""
    for seed, size, n in ((1, 17, 5), (5, 13, 7)):
        sharp, blurred, _ = material(size, n)
        patterns = sides(sharp, blurred, 0.8).float()
        got = answer.polarity(small(seed, size), "relu2", patterns, 0.2)
        expect_close(
            got,
            signs_of(seed, size, n),
            "the share",
            axes="unit",
            atol=1e-4,
            mistakes=lambda seed=seed, size=size, n=n: {
                "You average over images first, and then take the smaller mean. Noise is its own negative in the mean, "
                "so this comes out near 1 whatever the unit does. Compare image by image.": signs_of(
                    seed, size, n, "of means"
                ),
                "You average ratios: an image to which the unit hardly answers counts like one that it loves. Divide "
                "the mean of the smaller ones by the mean of the larger ones.": signs_of(
                    seed, size, n, "mean of ratios"
                ),
                "You divide the response to −contrast by that to +contrast. Which of them is the smaller differs from "
                "image to image.": signs_of(seed, size, n, "one way"),
                "This is how much the unit minds. Say how little: smaller / larger.": signs_of(
                    seed, size, n, "difference"
                ),
            },
        )


@oracle_cache
def hues_of(seed: int, size: int, n: int, slip: str = "") -> Tensor:
    sharp, blurred, contrast = material(size, n)
    patterns = sides(sharp, blurred, 0.8)
    model = small(seed, size)
    answers = [said(model, "relu2", painted(patterns, contrast, c)) for c in HUES]
    means = torch.stack([a.mean(0) for a in answers])
    less, more = means.amin(0), means.amax(0)
    if slip == "image by image":
        less, more = torch.stack(answers).amin(0).mean(0), torch.stack(answers).amax(0).mean(0)
    if slip == "against white":
        more = means[0]
    if slip == "mean":
        more = means.mean(0)
    if slip == "upside down":
        less, more = more, less
    return torch.where(more > 0, less / more.clamp(min=1e-30), torch.zeros_like(more))


@grades("14.5")
def test_other_colours(answer):
    """Four colours, one of them with a negative part; one unit is silent."""
    for seed, size, n in ((1, 17, 5), (6, 13, 4)):
        sharp, blurred, contrast = material(size, n)
        patterns = sides(sharp, blurred, 0.8).float()
        expect_close(
            answer.colour_blind(small(seed, size), "relu2", patterns, contrast, HUES),
            hues_of(seed, size, n),
            "the share",
            axes="unit",
            atol=1e-4,
            mistakes=lambda seed=seed, size=size, n=n: {
                "You take the least and the largest colour image by image. Average over images first, then compare "
                "colours.": hues_of(seed, size, n, "image by image"),
                "You divide by the response to white. Divide by the most favourable colour.": hues_of(
                    seed, size, n, "against white"
                ),
                "You divide by the mean over colours. Divide by the most favourable one.": hues_of(
                    seed, size, n, "mean"
                ),
                "You divide the larger by the smaller.": hues_of(seed, size, n, "upside down"),
            },
        )


# --- 14.6 -------------------------------------------------------------------------------------------------------------


@grades("14.6")
def test_how_far_apart_two_directions_are(answer):
    """Angles on either side of 0, and angles of more than a turn."""
    a = torch.tensor([0.1, 3.0, 6.2, -0.4, 9.0, 0.0, 12.0])
    b = torch.tensor([6.2, 0.5, 0.1, 6.0, 3.0, math.pi, -4.0])
    want = torch.tensor(
        [math.acos(max(-1, min(1, math.cos(x - y)))) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    )
    plain = (a - b).abs()
    expect_close(
        answer.apart(a, b),
        want,
        "the distance",
        atol=1e-4,
        mistakes={
            "You subtract as on a ruler. On a circle 0.1 and 6.2 are close neighbours.": plain,
            "Half a turn is the farthest: of a turn and 2π − turn, take the smaller.": (a - b) % (2 * math.pi),
            "You take angles modulo π, as if a direction and its opposite were one.": torch.minimum(
                (a - b) % math.pi, math.pi - (a - b) % math.pi
            ),
            "This holds for angles within one turn only. Take the difference modulo 2π first.": torch.minimum(
                plain, 2 * math.pi - plain
            ),
        },
    )


@grades("14.6")
def test_how_many_at_each_direction(answer):
    """Angles just below a whole turn belong to direction 0."""
    for count, seed in ((8, 1), (5, 2)):
        angles = torch.cat([2 * math.pi * torch.rand(23, generator=generator(seed)), torch.tensor([6.25, 6.2, 0.02])])
        steps = [round(float(a) / (2 * math.pi) * count) for a in angles]
        want = torch.tensor([sum(s % count == i for s in steps) for i in range(count)])
        floor = [int(float(a) / (2 * math.pi) * count) for a in angles]
        expect_close(
            answer.covered(angles, count),
            want,
            "the number of units",
            axes="direction",
            atol=0,
            rtol=0,
            mistakes={
                "You round down. The nearest direction may be the next one.": torch.tensor(
                    [floor.count(i) for i in range(count)]
                ),
                "Angles just below a whole turn belong to direction 0: take the number modulo count.": torch.tensor(
                    [steps.count(i) for i in range(count)]
                ),
                "You say whether there is one. Say how many.": (want > 0).long(),
            },
        )


@grades("14.6")
def test_who_has_a_mirror_image(answer):
    """Units just within reach of the opposite, and just beyond."""
    for within, seed in ((0.2, 1), (0.5, 2)):
        angles = 2 * math.pi * torch.rand(9, generator=generator(30 + seed))
        angles = torch.cat([angles, torch.tensor([0.05, math.pi + 0.05 + 0.9 * within, 2 * math.pi - 0.02])])

        def by(turn: float, reach: float, own: bool = True, angles: Tensor = angles) -> Tensor:
            found = []
            for i, a in enumerate(angles.tolist()):
                others = [b for j, b in enumerate(angles.tolist()) if own or i != j]
                found.append(any(math.cos(a + turn - b) >= math.cos(reach) for b in others))
            return torch.tensor(found)

        want = by(math.pi, within)
        got = answer.has_mirror(angles, within)
        one_each(got, len(angles), "a yes or no for each unit")
        for sentence, wrong in {
            "You look for units of the SAME angle. A mirror image looks the opposite way.": by(0.0, within, own=False),
            "You look a quarter of a turn further. Opposite is half a turn.": by(math.pi / 2, within),
            "You mirror the angle as in a looking-glass, π − angle. Opposite is half a turn further, angle + π.": (
                torch.tensor(
                    [
                        any(math.cos(math.pi - a - b) >= math.cos(within) for b in angles.tolist())
                        for a in angles.tolist()
                    ]
                )
            ),
            "You allow twice as much, `within` on either side is the whole of it.": by(math.pi, 2 * within),
            "You allow half as much: `within` counts on either side.": by(math.pi, within / 2),
            "You compare as on a ruler. On a circle 0 is next to 2π.": torch.tensor(
                [any(abs(a + math.pi - b) <= within for b in angles.tolist()) for a in angles.tolist()]
            ),
        }.items():
            if not torch.equal(wrong, want) and torch.equal(got.bool(), wrong):
                raise Wrong(sentence, MISTAKE)
        off = (got.bool() != want).nonzero()[:, 0].tolist()
        expect(
            not off, f"Of {len(angles)} units {len(off)} are judged wrongly, unit {off[0] if off else 0} for example."
        )


# --- 14.7 -------------------------------------------------------------------------------------------------------------


@grades("14.7")
def test_how_often_a_unit_is_awake(answer):
    """Maps with zeros, of different sizes."""
    maps = randn(3, 5, 4, 7, seed=1).clamp(min=0) * (torch.arange(5) > 0)[:, None, None]
    maps[:, 2, :, 3:] = 0
    rows = [[float(v > 0) for v in maps[:, u].flatten().tolist()] for u in range(5)]
    expect_close(
        answer.awake(maps),
        torch.tensor([sum(r) / len(r) for r in rows]),
        "the share",
        axes="unit",
        mistakes={
            "A unit at 0 is asleep: > 0, not ≥ 0.": torch.ones(5),
            "This is the mean response. Count how often it is above 0.": maps.mean((0, 2, 3)),
            "You say in how many IMAGES the unit is awake somewhere. Count places too.": (maps > 0)
            .any(3)
            .any(2)
            .float()
            .mean(0),
            "This is how many. Return a share.": (maps > 0).sum((0, 2, 3)),
        },
    )


@oracle_cache
def contracted(case: int, slip: str = "") -> Tensor:
    """By asking: what each upper unit says to a single 1 in each channel below, at each place."""
    upper, lower, stride, gate = layers(case)
    k, m = upper.shape[-1], lower.shape[-1]
    if slip == "stride":
        size = k + m - 1
        step = 1
    else:
        size, step = (k - 1) * stride + m, stride
    below = lower.shape[1]
    probe = torch.eye(below * size * size, dtype=torch.double).view(-1, below, size, size)
    if slip == "flipped":
        upper = upper.flip(-1, -2)
    if slip == "flipped below":
        lower = lower.flip(-1, -2)
    if slip == "absolute":
        upper, lower = upper.abs(), lower.abs()
    middle = conv2d(probe, lower, stride=step)
    if slip == "relu":
        middle = middle.clamp(min=0)
    weighed = {"no gate": torch.ones_like(gate), "squared": gate**2, "binary": (gate > 0.5).double()}.get(slip, gate)
    out = conv2d(middle * weighed[:, None, None], upper)
    return out[:, :, 0, 0].T.reshape(len(upper), below, size, size)


def layers(case: int) -> tuple[Tensor, Tensor, int, Tensor]:
    """upper, lower, stride, gate; doubles."""
    units, mid, below, k, m, stride = [(3, 5, 2, 3, 4, 1), (2, 3, 4, 2, 3, 2), (4, 2, 3, 3, 1, 1), (2, 4, 3, 3, 2, 3)][
        case
    ]
    return (
        randn(units, mid, k, k, seed=case).double(),
        randn(mid, below, m, m, seed=20 + case).double(),
        stride,
        torch.rand(mid, generator=generator(case)).double(),
    )


CONTRACT_SLIPS = {
    "stride": "The lower layer's stride is forgotten: one step of the upper kernel is `stride` places below.",
    "flipped": "The upper kernel is flipped. A layer of torch does not flip: place (i, j) of it stays at (i, j).",
    "flipped below": "The lower kernel is flipped. A layer of torch does not flip.",
    "no gate": "What goes through a middle unit must count for the share of places at which its ReLU is open.",
    "squared": "The share is multiplied in twice.",
    "binary": "You cut the share to 0 or 1. A unit that is open at a third of all places counts for a third.",
    "absolute": "The signs are gone: inhibition through an excited unit is inhibition.",
    "relu": "You cut single weights off at 0. The ReLU acts on the middle unit as a whole; it is in `open_` already.",
}


@grades("14.7", weight=2)
def test_two_layers_as_one(answer):
    """Kernels and strides of different sizes, compared with what two convolutions do to a single 1."""
    for case in range(4):
        upper, lower, stride, gate = layers(case)
        expect_close(
            answer.contract(upper.float(), lower.float(), stride, gate.float()),
            contracted(case),
            "the contracted weights",
            axes="unit below row column",
            atol=1e-4,
            mistakes=lambda case=case: {s: contracted(case, slip) for slip, s in CONTRACT_SLIPS.items()},
        )


# --- 14.8 -------------------------------------------------------------------------------------------------------------


def one_round(table: Tensor, rows: Tensor, channels: Tensor, slip: str = "") -> tuple[Tensor, Tensor]:
    """Entry by entry with numpy, in double precision."""
    t, r, c = (np.asarray(x, dtype=float) for x in (table, rows, channels))
    model = r @ c
    new_rows = np.empty_like(r)
    for i in range(r.shape[0]):
        for f in range(r.shape[1]):
            new_rows[i, f] = r[i, f] * (t[i] @ c[f]) / (model[i] @ c[f] + 1e-12)
    used = r if slip == "old rows" else new_rows
    model = used @ c
    new_channels = np.empty_like(c)
    for f in range(c.shape[0]):
        for j in range(c.shape[1]):
            new_channels[f, j] = c[f, j] * (used[:, f] @ t[:, j]) / (used[:, f] @ model[:, j] + 1e-12)
    if slip == "rows only":
        new_channels = c
    return torch.from_numpy(new_rows), torch.from_numpy(new_channels)


@grades("14.8", weight=2)
def test_one_round_of_the_factorisation(answer):
    """Tables and factors of different sizes, some entries 0."""
    for n, m, f, seed in ((7, 5, 2, 1), (4, 9, 3, 2)):
        table, rows, channels = (
            randn(*shape, seed=seed + i).clamp(min=0) for i, shape in enumerate(((n, m), (n, f), (f, m)))
        )
        rows, channels = rows + 0.1, channels + 0.1
        want = one_round(table, rows, channels)
        got = answer.update(table, rows, channels)
        late = one_round(table, rows, channels, "old rows")
        for i, what in enumerate(("rows", "channels")):
            expect_close(
                got[i],
                want[i],
                f"the new {what}",
                axes="row factor" if i == 0 else "factor channel",
                atol=1e-4,
                rtol=1e-3,
                mistakes={
                    "The channels are updated with the OLD rows. Then the error may grow: use the new ones.": late[i],
                    "The channels stay as they were. Update both.": channels if i else None,
                    "The divisor is missing: multiply by the quotient.": (rows * (table @ channels.T))
                    if i == 0
                    else channels * (want[0].float().T @ table),
                    "The quotient is upside down: it grows where the table is larger than rows @ channels.": rows
                    * (rows @ channels @ channels.T)
                    / (table @ channels.T + 1e-12)
                    if i == 0
                    else None,
                    "You do not multiply by what was there.": (
                        (table @ channels.T) / (rows @ channels @ channels.T + 1e-12) if i == 0 else None
                    ),
                },
            )


def table_of(weights: Tensor, slip: str = "") -> Tensor:
    """Weight by weight."""
    units, channels, height, width = weights.shape
    parts = []
    for sign in (1, -1):
        for u in range(units):
            for r in range(height):
                for c in range(width):
                    row = [sign * float(weights[u, k, r, c]) for k in range(channels)]
                    parts.append([abs(v) for v in row] if slip == "absolute" else [v if v > 0 else 0.0 for v in row])
    table = torch.tensor(parts)
    half = len(table) // 2
    if slip == "exchanged":
        table = torch.cat([table[half:], table[:half]])
    if slip == "absolute":
        table = table[:half]
    if slip == "excitation":
        table = table[:half]
    if slip == "signed":
        table[half:] = -table[half:]
    return table


@grades("14.8")
def test_a_table_without_negative_numbers(answer):
    """Weights of both signs; sizes that cannot be confused."""
    for shape, seed in (((3, 5, 2, 2), 1), ((2, 3, 3, 3), 2)):
        weights = randn(*shape, seed=seed)
        mixed = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)]).reshape(-1, shape[1])
        expect_close(
            answer.as_table(weights),
            table_of(weights),
            "the table",
            axes="entry channel",
            mistakes={
                "Excitation and inhibition are exchanged: first the weights above 0.": table_of(weights, "exchanged"),
                "The second half holds negative numbers: take their sign away.": table_of(weights, "signed"),
                "Inhibition is missing: the weights below 0 need rows of their own.": table_of(weights, "excitation"),
                "You take absolute values: excitation and inhibition are in one row then.": table_of(
                    weights, "absolute"
                ),
                "You reshape without moving the channels' axis to the end, so channels and places are mixed.": mixed,
            },
        )


@grades("14.8")
def test_maps_out_of_rows(answer):
    """Rows of 2 and 3 factors; and back from a table of weights of one channel."""
    for units, size, factors, seed in ((3, 2, 2, 1), (2, 3, 3, 2)):
        rows = randn(2 * units * size * size, factors, seed=seed).abs()
        half = units * size * size
        want = torch.zeros(factors, units, size, size)
        for f in range(factors):
            for u in range(units):
                for r in range(size):
                    for c in range(size):
                        at = (u * size + r) * size + c
                        want[f, u, r, c] = rows[at, f] - rows[half + at, f]
        plus = rows.T.reshape(factors, 2, units, size, size)
        expect_close(
            answer.as_maps(rows, units, size),
            want,
            "the maps",
            axes="factor unit row column",
            mistakes={
                "Inhibition is added. Subtract it.": plus.sum(1),
                "The signs are exchanged: excitation minus inhibition.": -want,
                "Inhibition is left out.": plus[:, 0],
                "You reshape before you transpose, so factors and places are mixed.": (
                    rows.reshape(factors, 2, units, size, size)[:, 0]
                    - rows.reshape(factors, 2, units, size, size)[:, 1]
                ),
            },
        )


# --- 14.9 -------------------------------------------------------------------------------------------------------------


def arrow(high: Tensor, low: Tensor, slip: str = "") -> Tensor:
    """Place by place."""
    size, found = high.shape[-1], []
    middle = size / 2 if slip == "corner" else 0.0 if slip == "from the corner" else (size - 1) / 2
    for h, w in zip(high.double(), low.double(), strict=True):
        if slip != "not scaled":
            total = {"signed sum": Tensor.sum, "largest": lambda m: m.abs().max()}.get(slip, lambda m: m.abs().sum())
            h, w = h / total(h), w / total(w)
        lean = {"high": h, "sum": h + w, "exchanged": w - h}.get(slip, h - w)
        x = sum(float(lean[r, c]) * (c - middle) for r in range(size) for c in range(size))
        y = sum(float(lean[r, c]) * (middle - r) for r in range(size) for c in range(size))
        if slip == "down":
            y = -y
        angle = math.atan2(x, y) if slip == "swapped" else math.atan2(y, x)
        if slip == "half":
            angle = math.atan(y / x)
        found.append(angle if slip == "below 0" else angle % (2 * math.pi))
    return torch.tensor(found)


ARROW_SLIPS = {
    "exchanged": "Your arrow points to the side of the LOW frequency.",
    "down": "y runs up: row 0 is the top of the map.",
    "swapped": "atan2 takes y first, then x.",
    "below 0": "Some angles are below 0. Take them modulo 2π.",
    "not scaled": "The maps are not divided by the sum of their absolute values, so the louder factor decides alone.",
    "signed sum": "You divide by the sum of the map. It may be near 0: divide by the sum of ABSOLUTE values.",
    "largest": "You divide by the largest weight. A map of many weights is louder then: divide by the sum of all.",
    "half": "atan(y / x) does not know left from right: an arrow and its opposite get one angle. Use atan2(y, x).",
    "high": "You look at the high factor alone. Subtract the low one.",
    "sum": "You add the low factor. Subtract it: it is to be excited on the other side.",
    "from the corner": "x and y are counted from the middle of the map, not from its corner.",
    "corner": "The middle of `size` places is (size − 1) / 2.",
}


@grades("14.9", weight=2)
def test_where_the_maps_point(answer):
    """Random maps, of different loudness and size."""
    for n, size, seed in ((7, 4, 1), (5, 3, 2), (11, 7, 3)):
        loud = torch.exp(randn(n, 1, 1, seed=90 + seed))
        high, low = randn(n, size, size, seed=seed) * 3 + 0.3, randn(n, size, size, seed=60 + seed) * loud
        want = arrow(high, low)
        expect_close(
            answer.pointing(high, low),
            want,
            "the angle",
            axes="unit",
            atol=1e-3,
            mistakes=lambda high=high, low=low: {s: arrow(high, low, slip) for slip, s in ARROW_SLIPS.items()},
        )


@grades("14.9")
def test_maps_of_planted_detectors(answer):
    """A network whose detectors were written down: the maps point where each was turned."""
    planted = focus.network(seed=6)
    mine = torch.tensor([kind == "detector" for kind in planted.kinds])
    weights = planted.net.conv3.weight[mine]
    high, low = (weights[:, list(channels)].sum(1) for channels in (planted.high, planted.low))
    want = torch.tensor(planted.angles)[mine]
    got = answer.pointing(high, low)
    one_each(got, len(want), "an angle for each unit")
    off = tuning.apart(got.float(), want)
    if bool((off > 3.0).all()):
        raise Wrong("Your arrow points to the side of the LOW frequency.", MISTAKE)
    expect(
        float(off.max()) < 0.02,
        f"The map of a detector that was turned to {float(want[off.argmax()]):.2f} points elsewhere, by "
        f"{float(off.max()):.2f}.",
    )


# --- 14.10 ------------------------------------------------------------------------------------------------------------


def wave(frequency: float, orientation: float, phase: float, size: int, slip: str = "") -> Tensor:
    """Pixel by pixel."""
    found, window, middle, spread = np.zeros((size, size)), np.zeros((size, size)), (size - 1) / 2, size / 4
    for r in range(size):
        for c in range(size):
            x, y = c - middle, (r - middle if slip == "down" else middle - r)
            along = x * math.cos(orientation) + y * math.sin(orientation)
            if slip == "along":
                along = -x * math.sin(orientation) + y * math.cos(orientation)
            turn = frequency * along if slip == "no 2π" else 2 * math.pi * frequency * along
            window[r, c] = 1.0 if slip == "no window" else math.exp(-(x * x + y * y) / (2 * spread**2))
            if slip == "narrow":
                window[r, c] = math.exp(-(x * x + y * y) / spread**2)
            found[r, c] = window[r, c] * (math.sin(turn + phase) if slip == "sine" else math.cos(turn + phase))
    if slip == "plain mean":
        found -= found.mean()
    elif slip != "mean":
        found -= window * found.sum() / window.sum()
    return torch.from_numpy(found if slip == "length" else found / math.sqrt((found**2).sum()))


GABOR_SLIPS = {
    "down": "y runs up: row 0 is the top row.",
    "along": "The wave runs ALONG the orientation: its stripes are at right angles to it.",
    "no 2π": "frequency counts whole waves per pixel: multiply by 2π.",
    "no window": "The Gaussian window is missing.",
    "narrow": "The window is exp(−r² / (2 · spread²)): the 2 is missing.",
    "sine": "This is a sine. At phase 0 the filter is a cosine: bright in the middle.",
    "mean": "The filter's mean is not 0: it would answer to plain grey.",
    "plain mean": "You subtract the mean everywhere, also where the window is 0. Subtract a share of the window.",
    "length": "The filter's length is not 1: divide by the root of the sum of squares.",
}


@grades("14.10")
def test_a_gabor_filter(answer):
    """Several frequencies, orientations, phases and sizes."""
    for frequency, orientation, phase, size in ((0.25, 0.6, 0.0, 9), (0.1, 2.0, 1.2, 7), (0.15, 1.2, 4.0, 6)):
        expect_close(
            answer.gabor(frequency, orientation, phase, size),
            wave(frequency, orientation, phase, size),
            "the filter",
            axes="row column",
            mistakes=lambda f=frequency, o=orientation, p=phase, s=size: {
                sentence: wave(f, o, p, s, slip) for slip, sentence in GABOR_SLIPS.items()
            },
        )


ORDER = 3  # the seed by which channels are shuffled


@functools.cache
def eyes(size: int) -> tuple[Tensor, Tensor]:
    """(filters [channel 3 row column], which are of high frequency): two banks of Gabor filters in grey, shuffled."""
    filters = torch.cat([focus.bank(f).flatten(0, 1) for f in (focus.HIGH, focus.LOW)])
    high = torch.arange(len(filters)) < len(filters) // 2
    order = torch.randperm(len(filters), generator=generator(ORDER + size))
    return (filters[:, None].expand(-1, 3, -1, -1) / math.sqrt(3))[order], high[order]


def standing_on(size: int, weights: Tensor, bias: float) -> VisionModel:
    """The two banks, and one unit that reads them."""
    filters, _ = eyes(size)
    config = ConvNetConfig((len(filters), 1), (focus.WIDTH, size), (2, 1), ("it",), 33, (0.5,) * 3, (0.2,) * 3)
    net = ConvNet(config)
    with torch.no_grad():
        net.conv1.weight.copy_(filters)
        net.conv1.bias.zero_()
        net.conv2.weight.copy_(weights[None])
        net.conv2.bias.fill_(bias)
    return wrapped(net)


@functools.cache
def textures(seed: int, n: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    return tuning.noise(n, 33, 0.6, seed), tuning.noise(n, 33, 2.6, seed + 1), 0.125 * tuning.signs(n, seed)


@grades("14.10", weight=3)
def test_a_detector_made_by_hand(answer):
    """Your weights are put into a network and shown boundaries, textures and edges."""
    for size, angle in ((7, 0.4), (5, 2.2), (7, 4.9)):
        _, is_high = eyes(size)
        weights, bias = answer.by_hand(is_high, angle, size)
        expect(
            tuple(weights.shape) == (len(is_high), size, size),
            f"The weights must be [{len(is_high)}, {size}, {size}], but yours are {list(weights.shape)}.",
        )
        expect(torch.isfinite(weights).all() and math.isfinite(bias), "The weights hold NaN or infinite numbers.")
        judge_unit(standing_on(size, weights.float(), float(bias)), angle)


def judge_unit(model: VisionModel, angle: float) -> None:
    eye = tuning.Eye(33, 8, 8, 0, 33, 0, 33)
    sharp, blurred, contrast = textures(71)
    turn = tuning.angles().tolist()

    def mean(pattern: Tensor) -> float:
        return float(tuning.respond(model, "relu2", tuning.paint(pattern, contrast), eye).mean())

    curve = [mean(tuning.across(sharp, blurred, a)) for a in turn]
    where = int(np.argmax(curve))
    fresh = textures(83)
    sharp, blurred, contrast = fresh
    best, opposite = (mean(tuning.across(sharp, blurred, turn[i % 16])) for i in (where, where + 8))
    expect(best > 0, "Your unit says nothing to any boundary. Is its bias too far below 0?")
    for what, rival in (("a sharp texture", mean(sharp)), ("a blurred texture", mean(blurred))):
        expect(
            best > 1.5 * rival,
            f"Your unit says {best:.2f} to its boundary and {rival:.2f} to {what} alone. What one side gives, the "
            "other must take away; and a bias below 0 keeps it silent at little.",
        )
    steps = torch.stack([tuning.step(33, a) for a in turn])
    edge = float(tuning.respond(model, "relu2", tuning.paint(steps, 0.125), eye).max())
    expect(
        best > 1.5 * edge,
        f"Your unit says {best:.2f} to its boundary and {edge:.2f} to an edge of brightness. It wakes filters of low "
        "frequency on both sides: they must cancel.",
    )
    expect(
        best > 2 * opposite,
        f"Your unit says {best:.2f} at its best angle and {opposite:.2f} with the sides exchanged. Which side is sharp "
        "must matter: inhibit on the other side.",
    )
    off = float(tuning.apart(torch.tensor(turn[where]), torch.tensor(angle)))
    expect(
        off <= math.pi / 4 + 1e-6,
        f"Your unit's best angle is {turn[where]:.2f}, and {angle:.2f} was wanted. "
        + ("It looks the opposite way: excite by high frequency where the angle points." if off > 2.2 else "")
        + ("y runs up: row 0 of the weights is the top." if abs(off - abs(math.remainder(2 * angle, 2 * math.pi))) < 0.3
           else ""),
    )  # fmt: skip


# --- 14.11 ------------------------------------------------------------------------------------------------------------


@oracle_cache
def without(seed: int, slip: str = "") -> Tensor:
    """The logits without three units, layer by layer by hand."""
    model, units, instead, images = ablation(seed)
    net = model.module
    x = (images.double() - 0.5) / 0.2
    x = conv2d(x, net.conv1.weight.double(), net.conv1.bias.double(), stride=2, padding=1).clamp(min=0)
    kept = [u for u in range(x.shape[1]) if u not in units.tolist()]
    for place, u in enumerate(kept if slip == "others" else units.tolist()):
        value = instead[place] if slip == "by place" else instead[u]
        if slip == "zero":
            value = 0.0
        if slip == "own mean":
            x[:, u] = x[:, u].mean((1, 2), keepdim=True)
        elif slip == "added":
            x[:, u] = x[:, u] + value
        elif slip == "middle":
            x[:, u, x.shape[2] // 2, x.shape[3] // 2] = value
        elif slip != "whole":
            x[:, u] = value
    x = conv2d(x, net.conv2.weight.double(), net.conv2.bias.double(), padding=2).clamp(min=0)
    return x.mean((2, 3)) @ net.readout.weight.double().T + net.readout.bias.double()


@functools.cache
def ablation(seed: int) -> tuple[VisionModel, Tensor, Tensor, Tensor]:
    """A network whose answers hang on the units that are to be silenced, and images of which many change."""
    config = ConvNetConfig((7, 5), (3, 5), (2, 1), tuple("abcdefghi"), 13, (0.5,) * 3, (0.2,) * 3)
    net = ConvNet(config).init_weights(seed)
    source = generator(seed)
    with torch.no_grad():
        net.conv2.bias.copy_(0.2 * torch.rand(5, generator=source))
        net.readout.weight.mul_(4)
    images = torch.rand(61, 3, 13, 13, generator=source)
    instead = 2.5 * torch.rand(7, generator=source)
    return wrapped(net), torch.tensor([5, 0, 3]), instead, images


WITHOUT_SLIPS = {
    "zero": "You put 0 in their place. Put `instead` there: it may be 0, and need not.",
    "by place": "You take the first numbers of `instead`. It has one for EVERY unit: unit u gets instead[u].",
    "others": "You silence the units that are not named.",
    "own mean": "You put each image's own mean there. It still tells what the unit saw: put `instead`.",
    "added": "You add `instead`. Put it in the place of what the unit says.",
    "middle": "You change the place in the middle alone. The unit is silenced everywhere.",
    "whole": "Nothing is silenced: these are the answers of the whole network.",
}


@grades("14.11", weight=2)
def test_answers_without_some_units(answer):
    """Random networks, compared with a run by hand."""
    for seed in (1, 2):
        model, units, instead, images = ablation(seed)
        want = without(seed).argmax(1)
        got = answer.answers_without(model, "relu1", units, instead, images)
        one_each(got, len(want), "a class for each image")
        if not torch.equal(got.long(), want):
            for slip, sentence in WITHOUT_SLIPS.items():
                if torch.equal(got.long(), without(seed, slip).argmax(1)):
                    raise Wrong(sentence, MISTAKE)
            if torch.equal(got.long(), without(seed).argmin(1)):
                raise Wrong("These are the classes with the LEAST score.", MISTAKE)
        off = int((got.long() != want).sum())
        expect(off == 0, f"{off} of {len(want)} answers are not those of the network without these units.")


@grades("14.11")
def test_units_to_compare_with(answer):
    """Random units, as active as the family, and none of the family."""
    activity = torch.tensor([0.0, 10.0, 1.0, 9.0, 2.0, 8.0, 3.0, 7.0, 4.0, 6.0, 5.0, 20.0, 21.0, 19.0, 18.0, 22.0])
    family = torch.zeros(16, dtype=torch.bool)
    family[[3, 11, 7]] = True
    drawn = [answer.stand_ins(activity, family, seed) for seed in range(40)]
    for got in drawn:
        units = got.long().tolist()
        expect(len(units) == 3, f"The family has 3 members, and you drew {len(units)} stand-ins.")
        expect(all(0 <= u < 16 for u in units), f"There are units 0 … 15, and you drew {units}.")
        expect(len(set(units)) == 3, f"You drew a unit twice: {sorted(units)}. Take it away once it is drawn.")
        expect(not family[units].any(), "You drew a member of the family. Draw among the others.")
    counts = torch.bincount(torch.cat([d.long() for d in drawn]), minlength=16)
    loud = counts[11:].sum() / counts.sum()
    if counts[[0, 2, 4]].sum() > 0:
        raise Wrong(
            "You draw among all others, whatever they say. A family that says much must be compared with units that "
            "say much: draw among the three whose activity is nearest.",
            MISTAKE,
        )
    expect(bool((loud - 1 / 3).abs() < 1e-6), "For each member draw ONE unit among the three nearest to it.")
    again = answer.stand_ins(activity, family, 5)
    expect(torch.equal(torch.sort(again.long()).values, torch.sort(drawn[5].long()).values),
           "The same seed gave other units: give the generator the seed.")  # fmt: skip
    kinds = {tuple(sorted(d.long().tolist())) for d in drawn}
    expect(len(kinds) > 1, "Every seed gave the same units. Draw one of the three nearest at random.")
    seen = {u for units in kinds for u in units}
    expect(len(seen & {12, 13, 14, 15}) >= 3, "Of the three nearest to a member, some are never drawn.")
    few = answer.stand_ins(torch.arange(5.0), torch.tensor([True, True, False, False, False]), 0)
    expect(
        len(set(few.long().tolist())) == 2 and set(few.long().tolist()) <= {2, 3, 4},
        "With few others left, draw among those that are left.",
    )


# --- 14.12 ------------------------------------------------------------------------------------------------------------

SLACK = math.pi / 8 + 1e-4  # one of sixteen steps: the best angle of a hill may be its neighbour
NEW_SEED = 74_003  # of the scenes by which a claim is judged


@grades("14.12", weight=2)
def test_a_network_that_was_not_shown(answer):
    """The third seed: its family, and what the scenes need it for."""
    judge_finding(answer, "sight-seed2")


@grades("14.12")
def test_a_network_that_was_never_trained(answer):
    """Before training there is next to nothing to find."""
    judge_finding(answer, "sight-untrained")


def judge_finding(answer: Any, name: str) -> None:
    found = findings.module(index.chapter("14"))
    model, layer = found.network(name), found.LAYER
    shown = found.some_scenes(NEW_SEED + 1)
    family, angle, suffers = answer.find_family(model, layer, shown.images, shown.labels(), shown.kind)
    family = family.bool()
    units = found.network(name).module.conv3.out_channels
    expect(
        tuple(family.shape) == (units,) and tuple(angle.shape) == (units,),
        f"The layer has {units} units: a yes or no, and an angle, for each.",
    )
    kinds = [int(k) for k in suffers]
    expect(
        all(0 <= k < len(scenes.KINDS) for k in kinds) and len(set(kinds)) == len(kinds),
        f"`suffers` names kinds of scenes, each once, by numbers from 0 to {len(scenes.KINDS) - 1}; yours is {kinds}.",
    )
    judge_members(family, angle, name, found)
    if not family.any():
        expect(not kinds, "There is no family, and you say that scenes suffer without it.")
        return
    judge_claim(family, kinds, name, found)


def judge_members(family: Tensor, angle: Tensor, name: str, found: Any) -> None:
    """What the units say to new stimuli. Near a bound either judgement passes."""
    known = findings.read(index.chapter("14"))["sure"][name]
    sure, never = (torch.zeros(len(family), dtype=torch.bool) for _ in range(2))
    sure[known["sure"]], never[known["never"]] = True, True
    missed, wrong = sure & ~family, never & family
    count = int(sure.sum())
    expect(
        not wrong.any() or (int(family.sum()) > 0 and not (wrong.sum() > 0.1 * family.sum())),
        f"{int(wrong.sum())} of the {int(family.sum())} units that you name are none: unit "
        f"{int(wrong.nonzero()[0]) if wrong.any() else 0} fails at a bound on new stimuli, and clearly.",
    )
    expect(
        int(missed.sum()) <= 0.1 * count,
        f"{int(missed.sum())} of {count} clear detectors are missing, unit "
        f"{int(missed.nonzero()[0]) if missed.any() else 0} for example.",
    )
    clear = sure & family
    if clear.any():
        off = tuning.apart(angle.float(), torch.tensor(known["angles"]))[clear]
        if bool((off > math.pi - SLACK).float().mean() > 0.8):
            raise Wrong("Your angles point to the blurred side. Say where a unit wants the HIGH frequency.", MISTAKE)
        expect(
            float((off <= SLACK).float().mean()) >= 0.9,
            f"{int((off > SLACK).sum())} of {len(off)} angles are not where the units say most, on new stimuli.",
        )


def judge_claim(family: Tensor, kinds: list[int], name: str, found: Any) -> None:
    """What is lost on new scenes without these units, beside stand-ins."""
    drawn = found.some_scenes(NEW_SEED)
    lost = found.needs(name, family.nonzero()[:, 0], family, drawn)
    for k, value in enumerate(lost):
        kind = scenes.KINDS[k]
        if k in kinds:
            expect(
                value >= found.CLAIMED,
                f"You say that scenes of the kind “{kind}” suffer. On new scenes their share of right answers is lower "
                f"by {value:.2f} than without stand-ins: that is not enough.",
            )
        else:
            expect(
                value <= found.SURE,
                f"Scenes of the kind “{kind}” suffer too: on new scenes their share of right answers is lower "
                f"{value:.2f} than without stand-ins.",
            )
