"""The grader of chapter 13. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are loops, other libraries, or the same thing put together in another way; random networks have biases, and
sizes of a case are different. Pictures that are climbed to are compared number by number: nothing in them is drawn.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mi_lib import features
from mi_lib.course import findings, index
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, expect_gradients, grades
from mi_lib.course.grading.expectations import MISTAKE
from mi_lib.course.grading.material import generator, randn
from mi_lib.models.vision import ConvNet, ConvNetConfig, VisionModel
from mi_lib.models.vision.loading import wrapped

oracle_cache = functools.lru_cache(256)
FLOW = "so nothing can climb with it"


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


@functools.cache
def network(seed: int, channels: tuple[int, ...] = (5, 7), strides: tuple[int, ...] = (1, 2)) -> VisionModel:
    """A small network with random weights and biases."""
    kernels = (5, 3, 3)[: len(channels)]
    grey = {"mean": (0.45, 0.5, 0.55), "std": (0.3, 0.25, 0.2)}
    net = ConvNet(ConvNetConfig(channels, kernels, strides, ("a", "b", "c"), 17, **grey)).init_weights(seed)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.endswith("bias"):
                weight.copy_(0.3 * randn(len(weight), seed=seed + len(name)).abs())
    return wrapped(net)


# --- 13.1 -------------------------------------------------------------------------------------------------------------

PLANES = ((7, 11, 3, 0), (9, 6, 2, 1), (5, 13, 5, 2))  # height, width, kernel, seed


def laid(image: Tensor, kernel: Tensor, bias: float, slip: str = "") -> Tensor:
    """Place by place. slip: a known mistake."""
    k = kernel.shape[-1]
    rows = []
    if slip == "flipped":
        kernel = kernel.flip(1, 2)
    if slip == "turned":
        kernel = kernel.mT
    for r in range(image.shape[1] - k + 1):
        row = []
        for c in range(image.shape[2] - k + 1):
            patch = image[:, r : r + k, c : c + k].double()
            if slip == "mean":
                said = float((patch * kernel).mean()) + bias
            elif slip == "one colour":
                said = float((patch[0] * kernel[0]).sum()) + bias
            elif slip == "bias each":
                said = float((patch * kernel + bias).sum())
            elif slip == "bias of each colour":
                said = float((patch * kernel).sum()) + 3 * bias
            elif slip == "no bias":
                said = float((patch * kernel).sum())
            elif slip == "bias after":
                said = max(0.0, float((patch * kernel).sum())) + bias
            elif slip == "relu of each":
                said = float((patch * kernel).sum((1, 2)).clamp(min=0).sum()) + bias
            elif slip == "centred":
                said = float(((patch - patch.mean()) * kernel).sum()) + bias
            else:
                said = float((patch * kernel).sum()) + bias
            row.append(said if slip in ("no relu", "bias after") else abs(said) if slip == "abs" else max(0.0, said))
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


UNIT_SLIPS = {
    "flipped": "The kernel is flipped. Lay it on the image as it is.",
    "turned": "Rows and columns of the kernel are exchanged.",
    "mean": "These are means of the products. Add them up.",
    "one colour": "Only one of the colours counts. Add up all three.",
    "bias each": "The bias is added to every product. Add it once.",
    "bias of each colour": "The bias is added once for each colour. Add it once.",
    "no bias": "The bias is missing.",
    "bias after": "The bias is added after the rest was cut off at 0. First add it, then cut off.",
    "no relu": "What is below 0 must become 0.",
    "relu of each": "You cut off what is below 0 in each colour. Add up all three colours and the bias, and then cut "
    "off.",
    "abs": "You take absolute values. What is below 0 becomes 0.",
    "centred": "You take away the mean of the pixels. Take them as they are.",
}


@grades("13.1", weight=2)
def test_one_unit_at_every_place(answer):
    """Images and kernels of several sizes, place by place."""
    for height, width, k, seed in PLANES:
        image, kernel, bias = uniform(3, height, width, seed=seed), randn(3, k, k, seed=seed + 10), 0.4 - 0.5 * seed
        expect_close(
            answer.unit_map(image, kernel, bias),
            laid(image, kernel, bias),
            "the map",
            axes="row column",
            atol=1e-4,
            mistakes=lambda image=image, kernel=kernel, bias=bias: {
                sentence: laid(image, kernel, bias, slip) for slip, sentence in UNIT_SLIPS.items()
            },
        )


@grades("13.1")
def test_a_unit_finds_its_own_pattern(answer):
    """A bright corner on a dark image: the map shows where it is."""
    image = torch.zeros(3, 8, 9)
    image[:, 5, 2:5], image[:, 6, 2] = 1.0, 1.0
    kernel = torch.zeros(3, 3, 3)
    kernel[:, 0, :], kernel[:, 1, 0] = 1.0, 1.0
    found = answer.unit_map(image, kernel, -10.0)
    want = torch.zeros(6, 7)
    want[5, 2] = 2.0
    if found.shape == want.shape:
        expect(bool(found.any()), "Your map is silent everywhere. Is the kernel laid as it is? Is the bias added once?")
    expect_close(found, want, "the map of a unit that looks for a corner", axes="row column", atol=1e-4)


# --- 13.2 -------------------------------------------------------------------------------------------------------------


@functools.cache
def maps(n: int, rows: int, columns: int, seed: int) -> Tensor:
    """Maps in which the image with the largest mean is not the one with the largest peak, and peaks come in pairs."""
    x = uniform(n, rows, columns, seed=seed)
    order = torch.randperm(n, generator=generator(seed + 1))
    for place, i in enumerate(order.tolist()):
        r, c = divmod((7 * i + seed) % (rows * columns), columns)
        x[i] *= 0.2 + 0.7 * i / n
        x[i, r, c] = 2.0 + place + 0.1 * (i % 3)
        x[i, (r + 1) % rows, (c + 2) % columns] = 1.9 + place
    return x


def best_places(x: Tensor) -> list[tuple[int, int, int, float]]:
    """Image, row, column, value of each image's best place."""
    found = []
    for i, one in enumerate(x.tolist()):
        value, r, c = max((v, r, c) for r, row in enumerate(one) for c, v in enumerate(row))
        found.append((i, r, c, value))
    return found


def whole(rows: list[Any]) -> Tensor:
    return torch.tensor([list(row[:3]) for row in rows])


@grades("13.2", weight=2)
def test_the_images_that_excite_most(answer):
    """Maps with several strong places an image; maps that are not square."""
    for n, rows, columns, seed, count in ((11, 3, 5, 0, 4), (7, 6, 4, 1, 7), (13, 2, 9, 2, 1)):
        x = maps(n, rows, columns, seed)
        each = best_places(x)
        ranked = sorted(each, key=lambda row: -row[3])
        everywhere = sorted(
            ((v, i, r, c) for i, one in enumerate(x.tolist()) for r, row in enumerate(one) for c, v in enumerate(row)),
            reverse=True,
        )
        by_mean = x.mean((1, 2)).argsort(descending=True)[:count].tolist()
        expect_equal(
            answer.top_examples(x, count),
            whole(ranked[:count]),
            "the examples (image, row, column)",
            mistakes={
                "These are the images that excite it least.": whole(ranked[::-1][:count]),
                "They are the right ones, and the weakest comes first.": whole(ranked[:count][::-1]),
                "An image counts once: take the best place of each, and then the best images.": torch.tensor(
                    [[i, r, c] for _, i, r, c in everywhere[:count]]
                ),
                "You rank images by the mean of their maps. Take the best place of each.": whole(
                    [each[i] for i in by_mean]
                ),
                "Row and column are exchanged.": torch.tensor([[i, c, r] for i, r, c, _ in ranked[:count]]),
                "A place is counted along rows: divide by the number of COLUMNS.": torch.tensor(
                    [[i, *divmod(r * columns + c, rows)] for i, r, c, _ in ranked[:count]]
                ),
                "These are the first images, not the best ones.": whole(each[:count]),
            },
        )


@grades("13.2")
def test_random_images_beside_them(answer):
    """Different images, the same ones for one seed whatever the unit says, and each of them as likely as any other."""
    x, other = maps(11, 3, 5, 0), maps(11, 4, 3, 5)
    counts = torch.zeros(11)
    drawn: set[tuple[int, ...]] = set()
    for seed in range(40):
        found = answer.random_examples(x, 3, seed)
        expect(tuple(found.shape) == (3, 3), f"There must be a row for each of 3 examples, not {list(found.shape)}.")
        images = [int(i) for i in found[:, 0]]
        expect(all(0 <= i < 11 for i in images), f"There is no image {images}: they are 0 … 10.")
        expect(len(set(images)) == 3, "An image was drawn twice. Draw different ones: `torch.randperm`.")
        each = best_places(x)
        expect_equal(found, whole([each[i] for i in images]), "where the unit is most active in each of them")
        counts[images] += 1
        drawn.add(tuple(images))
        if seed < 3:
            again = [int(i) for i in answer.random_examples(x, 3, seed)[:, 0]]
            expect(again == images, "The same seed gives other images. Use a generator of your own, with this seed.")
            blind = sorted(int(i) for i in answer.random_examples(other, 3, seed)[:, 0])
            sentence = "Your draw depends on what the unit says. Random examples must not look at it."
            expect(blind == sorted(images), sentence)
    expect(len(drawn) > 10, "Other seeds give the same images. The draw must depend on the seed.")
    expect(
        float(counts.min()) >= 2 and float(counts.max()) <= 24,
        "Some images are drawn much more often than others. Each must be equally likely.",
    )


def seen_by(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """From the top down: which pixels do places 0 and 1 of the last map see?"""

    def pixels(place: int) -> tuple[int, int]:
        low = high = place
        for k, s in reversed(list(zip(kernels, strides, strict=True))):
            low, high = low * s, high * s + k - 1
        return low, high

    (low, high), (after, _) = pixels(0), pixels(1)
    return high - low + 1, after - low


@grades("13.2")
def test_how_much_of_the_image_it_sees(answer):
    """Chains of one to four layers."""
    for kernels, strides in (([5], [2]), ([5, 3], [1, 2]), ([3, 5, 2], [2, 3, 1]), ([7, 3, 3, 5], [2, 1, 3, 2])):
        want = seen_by(kernels, strides)
        size, step = answer.receptive_field(kernels, strides)
        sums = {
            "You add up whole kernels. Neighbouring kernels overlap: each layer adds its kernel minus 1.": sum(kernels),
            "You multiply kernels. They overlap: each layer adds (kernel − 1) steps.": math.prod(kernels),
            "Strides are forgotten: above a layer with stride 2, one place more is two pixels more.": (
                1 + sum(k - 1 for k in kernels)
            ),
            "A layer's own stride does not widen what its kernel sees. It counts for the layers above it.": (
                1 + sum((k - 1) * math.prod(strides[: i + 1]) for i, k in enumerate(kernels))
            ),
            "The strides of ALL layers below count, multiplied with each other.": (
                1 + sum((k - 1) * (strides[i - 1] if i else 1) for i, k in enumerate(kernels))
            ),
            "The strides of the layers ABOVE are used for those below. Begin at the image.": (
                1 + sum((k - 1) * math.prod(strides[i + 1 :]) for i, k in enumerate(kernels))
            ),
        }
        expect_equal(int(size), want[0], f"the size for kernels {kernels} and strides {strides}", mistakes=sums)
        steps = {
            "The step is the product of all strides, not their sum.": sum(strides),
            "The step is that of the last layer alone. Those below count, too.": strides[-1],
            "The last layer's stride counts for the step, too.": math.prod(strides[:-1]),
        }
        expect_equal(int(step), want[1], f"the step for kernels {kernels} and strides {strides}", mistakes=steps)


# --- 13.3 -------------------------------------------------------------------------------------------------------------

# pictures, units, rows, columns, the unit of each picture
CASES = (
    (3, 5, 4, 7, (4, 0, 2)),
    (2, 7, 5, 3, (6, 6)),
    (4, 3, 6, 5, (1, 2, 0, 1)),
)


def acts_of(case: tuple, seed: int = 0) -> Tensor:
    return randn(*case[:4], seed=sum(case[:4]) + seed) + 0.3


@grades("13.3")
def test_the_mean_of_a_map(answer):
    """A unit for each picture; maps that are not square."""
    for case in CASES:
        acts, units = acts_of(case), list(case[4])
        own = torch.stack([acts[i, k] for i, k in enumerate(units)])
        expect_close(
            answer.channel(acts, units),
            [float(one.double().mean()) for one in own],
            "the objective",
            axes="picture",
            mistakes={
                "You add up the map. Take its mean: else large images count for more.": own.sum((1, 2)),
                "You take the largest place. Take the mean of all.": own.amax((1, 2)),
                "Each picture has a unit of its own: picture i is for units[i], and for no other.": acts[:, units].mean(
                    (1, 2, 3)
                ),
                "All pictures are for the first unit. Picture i is for units[i].": acts[:, units[0]].mean((1, 2)),
                "This is the middle of the map alone.": own[:, case[2] // 2, case[3] // 2],
                "This is the mean over pictures. Give one number for each.": own.mean().expand(len(units)),
                "You cut off at 0 before the mean. Take the activations as they are.": own.relu().mean((1, 2)),
            },
        )
        expect_gradients(
            answer, "channel", {"acts": acts, "units": units},
            lambda a, u: torch.stack([a[i, k].sum() / a[i, k].numel() for i, k in enumerate(u)]),
            "the objective", wrt=("acts",), so=FLOW,
        )  # fmt: skip


@grades("13.3")
def test_the_middle_of_a_map(answer):
    """Even and odd numbers of rows and columns."""
    for case in CASES:
        acts, units = acts_of(case, 1), list(case[4])
        _n, _, rows, columns, _ = case
        expect_close(
            answer.neuron(acts, units),
            [float(acts[i, k, rows // 2, columns // 2]) for i, k in enumerate(units)],
            "the objective",
            axes="picture",
            mistakes={
                "Row and column are exchanged.": torch.stack(
                    [acts[i, k, min(columns // 2, rows - 1), min(rows // 2, columns - 1)] for i, k in enumerate(units)]
                ),
                "This is the first place of the map, at the top left. Take the middle.": torch.stack(
                    [acts[i, k, 0, 0] for i, k in enumerate(units)]
                ),
                "The middle is (rows // 2, columns // 2), and yours lies one place before it.": torch.stack(
                    [acts[i, k, (rows - 1) // 2, (columns - 1) // 2] for i, k in enumerate(units)]
                ),
                "All pictures are for the first unit. Picture i is for units[i].": acts[
                    :, units[0], rows // 2, columns // 2
                ],
                "This is the mean of the whole map.": torch.stack([acts[i, k].mean() for i, k in enumerate(units)]),
            },
        )
        expect_gradients(
            answer, "neuron", {"acts": acts, "units": units},
            lambda a, u, r=rows // 2, c=columns // 2: torch.stack([a[i, k, r, c] for i, k in enumerate(u)]),
            "the objective", wrt=("acts",), so=FLOW,
        )  # fmt: skip


def along(acts: Tensor, vector: Tensor, power: float, slip: str = "") -> Tensor:
    """One place after the other. slip: a known mistake."""
    found = []
    for picture in acts.double():
        said = []
        places = picture.flatten(1).T
        for a in places:
            dot = a @ vector.double()
            cos = dot / (a.norm() * vector.double().norm())
            if slip == "whole map":
                cos = torch.stack([p @ vector.double() for p in places]).norm() * 0 + (
                    (places @ vector.double()).sum() / (places.norm() * vector.double().norm() * len(places) ** 0.5)
                )
            if slip == "no bound":
                cos = cos.abs().clamp(min=1e-12) * cos.sign()
            if slip == "size":
                cos = cos.abs()
            kept = cos if slip in ("no bound", "size") else cos.clamp(min=0.0 if slip == "at 0" else 0.1)
            part = dot * kept**power
            if slip == "bound after":
                part = dot * (cos**power).clamp(min=0.1)
            if slip == "cosine alone":
                part = kept**power
            if slip == "unit vector":
                part = part / vector.double().norm()
            if slip == "times":
                part = dot * kept * power
            if slip == "no power":
                part = dot
            if slip == "one more":
                part = dot * kept ** (power + 1)
            said.append(part)
        total = torch.stack(said)
        found.append(total.sum() if slip == "sum" else total.mean())
    return torch.stack(found)


ALONG_SLIPS = {
    "no bound": "The cosine may be negative: take max(cos, 0.1) before the power.",
    "bound after": "You raise to the power first and then cut off at 0.1: an even power makes a place that points the "
    "other way count. Take max(cos, 0.1) before the power.",
    "size": "You take the size of the cosine: a place that points the other way counts as if it pointed along. Take "
    "max(cos, 0.1).",
    "at 0": "The cosine is cut off at 0, where gradients end. Take max(cos, 0.1).",
    "whole map": "The cosine is that of each place by itself, not of the whole map.",
    "cosine alone": "a · v is missing in front of the power.",
    "unit vector": "You divide a · v by the length of v. Only the cosine has lengths divided out.",
    "times": "You multiply by the power. Raise the cosine to it.",
    "no power": "The cosine does not count in yours.",
    "one more": "There is one power of the cosine too many.",
    "sum": "You add up places. Take their mean.",
}


@grades("13.3", weight=2)
def test_a_direction_across_units(answer):
    """Three powers; places that point away from the vector."""
    for case, power in itertools.product(CASES[:2], (0.0, 1.0, 2.0)):
        acts, vector = acts_of(case, 2), randn(case[1], seed=case[1] + 5)
        want = along(acts, vector, power)
        wrong = {sentence: along(acts, vector, power, slip) for slip, sentence in ALONG_SLIPS.items()}
        expect_close(answer.direction(acts, vector, power), want, "the objective", axes="picture", atol=2e-4,
                     mistakes=wrong)  # fmt: skip
    acts, vector = acts_of(CASES[0], 3), randn(5, seed=77)
    expect_gradients(
        answer, "direction", {"acts": acts, "vector": vector, "power": 2.0},
        lambda a, v, p: torch.stack([
            sum((x @ v) * (x @ v / (x.norm() * v.norm())).clamp(min=0.1) ** p for x in one.flatten(1).T)
            / one[0].numel() for one in a
        ]),
        "the objective", wrt=("acts",), so=FLOW,
    )  # fmt: skip


# --- 13.4 -------------------------------------------------------------------------------------------------------------


@oracle_cache
def climbed(seed: int, units: tuple[int, ...], layer: str, steps: int, rate: float, slip: str = "") -> Tensor:
    """Picture by picture. slip: a known mistake."""
    model, found = network(seed), []
    for i, k in enumerate(units):
        x = beginning(seed, len(units))[i : i + 1].clone()
        heap = torch.zeros_like(x)
        first = None
        count = steps + {"one more": 1, "one less": -1}.get(slip, 0)
        for _ in range(count):
            x = x.detach().requires_grad_()
            image = x.clamp(0, 1) if slip == "cut" else x.sigmoid()
            acts = model.run(image, [layer])[layer]
            own = acts[:, units[0] if slip == "first unit" else k]
            middle = own[:, own.shape[1] // 2, own.shape[2] // 2]
            value = middle.sum() if slip == "middle" else own.sum() if slip == "sum" else own.mean()
            if slip == "all units":
                value = acts[:, list(units)].mean()
            (g,) = torch.autograd.grad(value, image if slip == "of the image" else x)
            first = g if first is None else first
            heap = heap + g
            g = {"once": first, "heap": heap}.get(slip, g)
            g = g / len(units) if slip == "mean" else g / g.norm() if slip == "unit" else g
            x = x + (-rate if slip == "down" else rate) * g
        end = {"raw": x, "cut": x.clamp(0, 1)}.get(slip, x.sigmoid())
        found.append(end.detach())
    return torch.cat(found)


def beginning(seed: int, n: int) -> Tensor:
    return 1.5 * randn(n, 3, 13, 17, seed=seed + 60)


CLIMB_SLIPS = {
    "down": "You go downhill: the pictures please their units less and less. ADD the gradient.",
    "raw": "This is x. The image is sigmoid(x).",
    "cut": "You cut x off at 0 and 1: where it lies outside, no gradient comes through. The image is sigmoid(x).",
    "mean": "Your steps depend on how many pictures there are. Take the gradient of the SUM over pictures: then each "
    "goes its own way.",
    "heap": "Gradients pile up from step to step. Start each step from nothing: `torch.autograd.grad` does.",
    "once": "You compute the gradient once and go on along it. Compute it anew where you stand.",
    "first unit": "All pictures are for the first unit. Picture i is for units[i].",
    "all units": "Each picture climbs for all units. Picture i is for units[i] alone.",
    "of the image": "This is the gradient with respect to the image. Take it with respect to x, through the sigmoid.",
    "unit": "You give the gradient length 1. Take it as it is.",
    "middle": "You climb for the middle of the map alone. Use `channel`.",
    "sum": "You climb for the sum of the map. Use `channel`, its mean.",
    "one more": "There is one step too many.",
    "one less": "There is one step too few.",
}


@grades("13.4", weight=2)
def test_the_way_up(answer):
    """Random networks, two layers, several pictures at once: number by number what each would become alone."""
    for seed, units, layer, steps, rate in ((0, (4, 0, 2), "conv1", 3, 60.0), (1, (6, 6), "relu2", 4, 250.0)):
        case = (seed, units, layer, steps, rate)
        expect_close(
            answer.climb(network(seed), layer, list(units), beginning(seed, len(units)), steps, rate),
            climbed(*case),
            "what climb returns",
            axes="picture 3 h w",
            atol=2e-3,
            rtol=0,
            mistakes=lambda case=case: {s: climbed(*case, slip) for slip, s in CLIMB_SLIPS.items()},
        )


@grades("13.4")
def test_it_is_higher_at_the_end(answer):
    """What the units say at the beginning, and at the end."""
    model, units = network(3), [1, 5, 3]
    start = 0.1 * randn(3, 3, 15, 15, seed=9)
    images = answer.climb(model, "conv2", units, start, 8, 150.0).float()
    expect(float(images.min()) >= 0 and float(images.max()) <= 1, "Colours of an image lie between 0 and 1.")
    with torch.no_grad():
        before, after = (model.run(x, ["conv2"])["conv2"].mean((2, 3)) for x in (start.sigmoid(), images))
    for i, k in enumerate(units):
        expect(
            float(after[i, k]) > float(before[i, k]) + 1e-3, f"Picture {i} does not please its unit more than before."
        )


# --- 13.5 -------------------------------------------------------------------------------------------------------------

SIZES = ((8, 6), (5, 9), (7, 7), (4, 12))


def loudness(height: int, width: int, slip: str = "") -> Tensor:
    """Wave by wave. slip: a known mistake."""
    table = []
    for row in range(height):
        down = row / height if row < (height + 1) // 2 else row / height - 1
        if slip == "not folded":
            down = row / height
        line = []
        for column in range(width // 2 + 1):
            across = column / width
            f = {
                "sum": abs(down) + across,
                "square": down**2 + across**2,
                "largest": max(abs(down), across),
                "in cycles": math.hypot(down * height, across * width),
            }.get(slip, math.hypot(down, across))
            least = {
                "min side": 1 / min(height, width),
                "in cycles": 1.0,
                "tiny": 1e-12,
                "halved": 1 / (2 * max(height, width)),
            }.get(slip, 1 / max(height, width))
            f = max(f, least)
            line.append(f if slip == "not inverted" else 1 / f**2 if slip == "twice" else 1 / f)
        table.append(line)
    return torch.tensor(table, dtype=torch.float64)


LOUD_SLIPS = {
    "not folded": "The second half of the rows are the NEGATIVE frequencies: row 1 from the end is as slow as row 1.",
    "sum": "The frequency is the length of (down, across): √(down² + across²), not their sum.",
    "square": "This is 1 / f². The square root is missing, or there is a square too many: f is the length of both.",
    "largest": "The frequency is the length of (down, across), not the larger of the two.",
    "in cycles": "Frequencies are in cycles per pixel, not per image.",
    "min side": "The bound is 1 / max(height, width), and yours has the smaller side.",
    "tiny": "The constant wave, f = 0, is not held: take max(f, 1 / max(height, width)).",
    "halved": "The bound is 1 / max(height, width), and yours is half of it.",
    "not inverted": "This is f itself: fine waves are the loud ones. Take 1 / f.",
    "twice": "You divide by f twice.",
}


@grades("13.5")
def test_how_loud_each_wave_is(answer):
    """Even and odd, high and wide."""
    for height, width in SIZES:
        expect_close(
            answer.wave_scale(height, width),
            loudness(height, width),
            "the scale",
            axes="height half",
            mistakes=lambda h=height, w=width: {s: loudness(h, w, slip) for slip, s in LOUD_SLIPS.items()},
        )


def summed(spectrum: Tensor, width: int, slip: str = "") -> Tensor:
    """numpy's inverse of the whole spectrum, put together from its half. slip: a known mistake."""
    height = spectrum.shape[2]
    z = spectrum[..., 0].double().numpy() + 1j * spectrum[..., 1].double().numpy()
    if slip == "exchanged":
        z = spectrum[..., 1].double().numpy() + 1j * spectrum[..., 0].double().numpy()
    if slip == "real alone":
        z = z.real.astype(complex)
    if slip != "no scale":
        z = z / loudness(height, width).numpy() if slip == "divided" else z * loudness(height, width).numpy()
    norm = {"backward": "backward", "forward": "forward"}.get(slip, "ortho")
    image = torch.from_numpy(np.fft.irfft2(z, s=(height, width), norm=norm))
    image = image if slip == "no quarter" else image / 4
    return image.sigmoid() if slip == "squashed" else image


WAVE_SLIPS = {
    "no scale": "The scale is missing: every wave is equally loud.",
    "divided": "You divide by the scale. Multiply: it is 1 / f already.",
    "exchanged": "Real and imaginary part are exchanged: the first number is the real part.",
    "real alone": "The imaginary part is missing: then waves cannot be moved.",
    "backward": 'You have left the norm as it is. Take norm="ortho".',
    "forward": 'This is norm="forward". Take norm="ortho".',
    "no quarter": "Divide by 4 at the end.",
    "squashed": "The sigmoid does not belong here: colours come before it.",
}


@grades("13.5", weight=2)
def test_what_waves_add_up_to(answer):
    """Random spectra for images of even and odd sizes; gradients come back."""
    for seed, (height, width) in enumerate(SIZES):
        spectrum = randn(2, 3, height, width // 2 + 1, 2, seed=seed + 30)
        expect_close(
            answer.from_waves(spectrum, width),
            summed(spectrum, width),
            "the image",
            axes="picture 3 h w",
            atol=1e-4,
            mistakes=lambda spectrum=spectrum, width=width: {
                s: summed(spectrum, width, slip) for slip, s in WAVE_SLIPS.items()
            },
        )
    spectrum = randn(1, 3, 5, 4, 2, seed=41)

    def oracle(x: Tensor, width: int) -> Tensor:
        waves = torch.view_as_complex(x.contiguous()) * loudness(5, width).float()
        return torch.fft.irfft2(waves, s=(5, width), norm="ortho") / 4

    expect_gradients(answer, "from_waves", {"spectrum": spectrum, "width": 7}, oracle, "the image", wrt=("spectrum",),
                     so=FLOW)  # fmt: skip


# --- 13.6 -------------------------------------------------------------------------------------------------------------


@functools.cache
def coloured(seed: int) -> Tensor:
    """Images whose colours go together, and of which each has a colour of its own."""
    mix = torch.tensor([[0.10, 0.02, 0.01], [0.08, -0.03, 0.02], [0.06, 0.01, -0.05]])
    n, h, w = ((4, 7, 5), (3, 6, 11), (7, 4, 9))[seed]
    z = randn(n, 3, h, w, seed=seed + 80) + randn(n, 3, 1, 1, seed=seed + 81)
    return (torch.tensor([0.6, 0.4, 0.45])[:, None, None] + torch.einsum("ij,njhw->nihw", mix, z)).clamp(0, 1)


def covariance(images: Tensor, slip: str = "") -> tuple[Tensor, Tensor]:
    rows = [pixel for image in images.double() for pixel in image.flatten(1).T]
    mean = torch.stack(rows).mean(0)
    sigma = torch.zeros(3, 3, dtype=torch.double)
    for pixel in rows:
        away = pixel if slip == "raw" else pixel - mean
        sigma += torch.outer(away, away)
    sigma = sigma if slip == "sum" else sigma / len(rows)
    if slip == "of each image":
        sigma = torch.stack([torch.cov(image.flatten(1).double(), correction=0) for image in images]).mean(0)
    if slip == "of images":
        sigma = torch.cov(images.double().mean((2, 3)).T, correction=0)
    if slip == "spread":
        sigma = torch.diag(sigma.diagonal())
    return mean, sigma


def root_of(sigma: Tensor) -> Tensor:
    import scipy.linalg

    return torch.from_numpy(np.real(scipy.linalg.sqrtm(sigma.numpy())))


@grades("13.6", weight=2)
def test_how_colours_go_together(answer):
    """Images of different colours: mean and root, pixel by pixel."""
    for seed in range(3):
        images = coloured(seed)
        mean, root = answer.colour_root(images)
        want, sigma = covariance(images)
        expect_close(mean, want, "the mean colour", axes="3", atol=1e-4, mistakes={
            "The mean is that of each image. Take that of all pixels of all images.": images.mean((2, 3))[0],
        })  # fmt: skip
        values, vectors = torch.linalg.eigh(sigma)
        expect_close(
            root,
            root_of(sigma),
            "the root",
            axes="3 3",
            atol=2e-4,
            mistakes=lambda sigma=sigma, images=images, values=values, vectors=vectors: {
                "This is Σ itself. Take its square root.": sigma,
                "This is the root of each number of Σ. Take the root of the matrix: root @ root = Σ.": (
                    sigma.abs().sqrt() * sigma.sign()
                ),
                "This is a triangular root (Cholesky). Take the symmetric one.": torch.linalg.cholesky(sigma),
                "V √λ is a root, and not the symmetric one: multiply by Vᵀ on the right.": (
                    vectors @ torch.diag(values.sqrt())
                ),
                "This is the INVERSE of the root.": torch.linalg.inv(root_of(sigma)),
                "You have not centred: take the mean colour away first.": root_of(covariance(images, "raw")[1]),
                "You take the covariance of each image, and average. How images differ from each other counts, too.": (
                    root_of(covariance(images, "of each image")[1])
                ),
                "You take the covariance of the images' mean colours. Take that of pixels.": root_of(
                    covariance(images, "of images")[1] + 1e-15 * torch.eye(3)
                ),
                "You take the spread of each colour alone. How they go together is what it is about.": root_of(
                    covariance(images, "spread")[1]
                ),
                "Σ is divided by the number of pixels.": root_of(covariance(images, "sum")[1]),
                "You take correlations. Σ also says how much each colour varies: take the covariance.": root_of(
                    torch.corrcoef(images.double().transpose(0, 1).flatten(1))
                ),
            },
        )


@grades("13.6")
def test_colours_taken_apart(answer):
    """With any mean and root; and with yours the colours of the images are uncorrelated."""
    for seed in range(2):
        images, mean = coloured(seed), randn(3, seed=seed + 3)
        root = 0.3 * randn(3, 3, seed=seed + 4) + torch.eye(3)
        solved = [
            torch.linalg.solve(root.double(), pixel.double() - mean.double())
            for image in images for pixel in image.flatten(1).T
        ]  # fmt: skip
        n, _, h, w = images.shape
        want = torch.stack(solved).reshape(n, h, w, 3).permute(0, 3, 1, 2)

        def mixed(matrix: Tensor, away: Tensor) -> Tensor:
            return torch.stack([(matrix.double() @ one.flatten(1).double()).reshape(one.shape) for one in away])

        away = images - mean[:, None, None]
        expect_close(
            answer.decorrelated(images, mean, root),
            want,
            "z",
            axes="image 3 h w",
            atol=1e-4,
            mistakes={
                "You multiply by the root. To come from colours to z, multiply by its inverse.": mixed(root, away),
                "The mean colour is not taken away.": mixed(torch.linalg.inv(root), images),
                "The root is used on the wrong side: colour = mean + root @ z.": mixed(torch.linalg.inv(root).T, away),
                "You divide each colour by its own spread. Colours have to be unmixed: use the whole inverse.": (
                    away / root.diagonal()[:, None, None]
                ),
                "You divide by the root number by number. Use the inverse of the matrix.": mixed(1 / root, away),
                "The mean is taken away after the unmixing. Take it away first.": (
                    mixed(torch.linalg.inv(root), images) - mean[:, None, None]
                ),
            },
        )
    images = coloured(2)
    z = answer.decorrelated(images, *answer.colour_root(images)).double().transpose(0, 1).flatten(1)
    expect_close(torch.cov(z, correction=0), torch.eye(3), "the covariance of z, with your root", atol=5e-3)


# --- 13.7 -------------------------------------------------------------------------------------------------------------

MOST = 3


@functools.cache
def moves(seed: int, n: int) -> tuple[tuple[int, int], ...]:
    """Never on the diagonal, so that rows and columns cannot be taken for each other."""
    drawn = torch.randint(0, MOST + 1, (4 * n, 2), generator=generator(seed)).tolist()
    return tuple((y, x) for y, x in drawn if y != x)[:n]


@oracle_cache
def rendered(seed: int, units: tuple[int, ...], layer: str, steps: int, rate: float, slip: str = "") -> Tensor:
    """The same with Adam written down. slip: a known mistake."""
    model, (height, width) = network(seed), (15, 18)
    x, root = spectrum_of(seed, len(units)), mixing(seed)
    if slip == "no colours":
        root = torch.eye(3)
    if slip == "root turned":
        root = root.T

    def image(x: Tensor) -> Tensor:
        waves = torch.view_as_complex(x.contiguous())
        waves = waves if slip == "no scale" else waves * loudness(height, width).float()
        raw = torch.fft.irfft2(waves, s=(height, width), norm="ortho") / 4
        if slip == "colours late":
            return torch.einsum("ij,njhw->nihw", root, raw.sigmoid()).clamp(0, 1)
        return torch.einsum("ij,njhw->nihw", root, raw).sigmoid()

    first = torch.zeros_like(x)
    second = torch.zeros_like(x)
    heap = torch.zeros_like(x)
    order = moves(seed, steps)
    picture = image(x)
    for t, (y, c) in enumerate(order, start=1):
        y, c = order[0] if slip == "same move" else (c, y) if slip == "exchanged" else (y, c)
        x = x.detach().requires_grad_()
        picture = image(x)
        window = picture[:, :, y : y + height - MOST, c : c + width - MOST]
        window = {
            "unmoved": picture,
            "corner": picture[:, :, y:, c:],
            "rolled": picture.roll((-y, -c), (2, 3)),
            "middle": picture[:, :, 1 : height - 2, 1 : width - 2],
        }.get(slip, window)
        acts = model.run(window.clamp(0, 1), [layer])[layer]
        value = torch.stack([acts[i, k].mean() for i, k in enumerate(units)])
        (g,) = torch.autograd.grad(value.mean() if slip == "mean" else value.sum(), x)
        heap = heap + g
        g = heap if slip == "heap" else -g if slip == "down" else g
        if slip == "plain":
            x = x + rate * g
            continue
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g * g
        x = x + rate * (first / (1 - 0.9**t)) / ((second / (1 - 0.999**t)).sqrt() + 1e-8)
    if slip == "one less":
        return picture.detach()
    final = image(x.detach())
    if slip == "moved":
        y, c = order[-1]
        return final[:, :, y : y + height - MOST, c : c + width - MOST]
    if slip == "raw":
        return final.logit()
    return final


def spectrum_of(seed: int, n: int) -> Tensor:
    return 0.3 * randn(n, 3, 15, 10, 2, seed=seed + 90)


def mixing(seed: int) -> Tensor:
    """Not symmetric, so that its two sides can be told apart; colours stay between 0 and 1."""
    return torch.eye(3) * 0.6 + 0.25 * uniform(3, 3, seed=seed + 95)


RENDER_SLIPS = {
    "down": "You go downhill. Say maximize=True, or turn the sign of the objective.",
    "no colours": "The colours are not mixed: multiply each pixel by the root.",
    "root turned": "The root is used on the wrong side: each pixel becomes root @ colour.",
    "colours late": "The sigmoid comes after the colours, not before them.",
    "no scale": "The waves are not scaled: use `from_waves`.",
    "unmoved": "The network sees the whole picture every time. Cut out the window.",
    "corner": "Your window ends at the picture's edge. It is `most` pixels smaller, wherever it begins.",
    "rolled": "The picture is rolled: what leaves at one side comes in at the other. Cut out a window.",
    "middle": "The window is always the same. It begins at each step's (y, x).",
    "same move": "Every step has the first move. Take each step's own.",
    "exchanged": "Rows and columns of the move are exchanged: it is (y, x).",
    "heap": "Gradients pile up from step to step: call `zero_grad`.",
    "plain": "These are plain steps along the gradient. Use Adam.",
    "one less": "This is the picture before the last step. Make it anew at the end.",
    "moved": "This is a window. Return the whole picture.",
    "raw": "The sigmoid is missing at the end.",
}


@grades("13.7", weight=2)
def test_pictures_that_were_moved(answer):
    """Random networks, spectra, colours and moves: number by number."""
    for seed, units, layer, steps, rate in ((0, (4, 0, 2), "conv1", 4, 0.3), (1, (1, 6), "conv2", 5, 0.2)):
        case = (seed, units, layer, steps, rate)
        expect_close(
            answer.render(network(seed), layer, list(units), spectrum_of(seed, len(units)), 18, mixing(seed),
                          [list(m) for m in moves(seed, steps)], MOST, rate),
            rendered(*case),
            "the pictures",
            axes="picture 3 h w",
            atol=4e-3,
            rtol=0,
            mistakes=lambda case=case: {s: rendered(*case, slip) for slip, s in RENDER_SLIPS.items()},
        )  # fmt: skip


@grades("13.7")
def test_the_units_like_it_wherever_it_is_moved(answer):
    """What units say to windows of the picture that were never cut out, before and after."""
    model, units = network(4), [2, 5]
    start = 0.02 * randn(2, 3, 16, 9, 2, seed=17)
    order = [(0, 2), (2, 1), (1, 0), (2, 2), (0, 1), (1, 2), (2, 0), (0, 0)]
    images = answer.render(model, "conv2", units, start, 16, torch.eye(3), order, 2, 0.2).float()
    expect(
        float(images.min()) >= 0 and float(images.max()) <= 1,
        "Colours of an image lie between 0 and 1: is the sigmoid missing at the end?",
    )
    expect(tuple(images.shape[2:]) == (16, 16), "Return the whole picture, not a window.")
    with torch.no_grad():
        grey, now = (
            model.run(x[:, :, 1:15, 1:15], ["conv2"])["conv2"].mean((2, 3))
            for x in (torch.full_like(images, 0.5), images)
        )
    for i, k in enumerate(units):
        expect(
            float(now[i, k]) > float(grey[i, k]) + 0.01,
            f"Picture {i} does not please its unit more than a grey image does. Do you go uphill?",
        )


# --- 13.8 -------------------------------------------------------------------------------------------------------------


def variation(images: Tensor, slip: str = "") -> Tensor:
    """Pair by pair. slip: a known mistake."""
    found = []
    for one in images.double():
        down = [b - a for colour in one for a, b in zip(colour[:-1].flatten(), colour[1:].flatten(), strict=True)]
        across = [
            b - a for colour in one for a, b in zip(colour[:, :-1].flatten(), colour[:, 1:].flatten(), strict=True)
        ]
        pair = torch.stack(down), torch.stack(across)
        if slip == "squares":
            pair = pair[0].square(), pair[1].square()
        elif slip != "signed":
            pair = pair[0].abs(), pair[1].abs()
        if slip == "wrapped":
            pair = ((one.roll(-1, 1) - one).abs(), (one.roll(-1, 2) - one).abs())
        total = {
            "sum": pair[0].sum() + pair[1].sum(),
            "together": torch.cat([p.flatten() for p in pair]).mean(),
            "down": pair[0].mean(),
            "across": pair[1].mean(),
        }.get(slip, pair[0].mean() + pair[1].mean())
        if slip == "colours":
            total = (one[1:] - one[:-1]).abs().mean() + pair[0].mean() + pair[1].mean()
        found.append(total)
    return torch.stack(found)


VARIATION_SLIPS = {
    "squares": "You square the differences. Take their absolute values.",
    "signed": "Differences of both signs cancel. Take absolute values.",
    "wrapped": "The last row is compared with the first. They are no neighbours.",
    "sum": "These are sums. Take means, so that a weight means the same for every size.",
    "together": "You average all pairs together. Take the mean of those down, plus the mean of those across.",
    "down": "Only pairs one above the other count. Those side by side do, too.",
    "across": "Only pairs side by side count. Those one above the other do, too.",
    "colours": "You compare colours with each other, too. Only neighbouring pixels count.",
}


@grades("13.8")
def test_how_much_neighbours_differ(answer):
    """Images that are not square, pair by pair; a flat image; gradients."""
    for n, h, w, seed in ((2, 4, 7, 0), (3, 5, 3, 1)):
        images = uniform(n, 3, h, w, seed=seed + 100)
        expect_close(
            answer.total_variation(images),
            variation(images),
            "the total variation",
            axes="picture",
            mistakes=lambda images=images: {s: variation(images, slip) for slip, s in VARIATION_SLIPS.items()},
        )
    expect_close(answer.total_variation(torch.full((2, 3, 4, 4), 0.3)), torch.zeros(2), "that of a flat image")

    def oracle(x: Tensor) -> Tensor:
        return x.diff(dim=-2).abs().flatten(1).mean(1) + x.diff(dim=-1).abs().flatten(1).mean(1)

    expect_gradients(answer, "total_variation", {"images": uniform(2, 3, 4, 5, seed=7)}, oracle, "it", so=FLOW)


@grades("13.8", weight=2)
def test_costs_are_taken_away(answer):
    """Several weights, on activations and images that have nothing to do with each other."""
    for case, (smooth, grey) in zip(CASES, ((0.7, 0.3), (0.5, 1.9), (0.4, 1.1)), strict=True):
        acts, units, images = acts_of(case, 4), list(case[4]), uniform(case[0], 3, 6, 5, seed=case[1])
        liked = torch.stack([acts[i, k].double().mean() for i, k in enumerate(units)])
        rough = variation(images)
        far = torch.stack([sum((v - 0.5) ** 2 for v in one.flatten().double()) / one.numel() for one in images])
        near = (images.double() - 0.5).abs().mean((1, 2, 3))
        raw = images.double().square().mean((1, 2, 3))
        spread = images.double().flatten(1).var(1, correction=0)
        expect_close(
            answer.penalised(acts, images, units, smooth, grey),
            liked - smooth * rough - grey * far,
            "the objective",
            axes="picture",
            mistakes={
                "Costs are added: the roughest picture would win. Take them away.": liked + smooth * rough + grey * far,
                "The variation is added. Take it away.": liked + smooth * rough - grey * far,
                "The distance from grey is added. Take it away.": liked - smooth * rough + grey * far,
                "The distance is from black. Grey is 0.5.": liked - smooth * rough - grey * raw,
                "The distance is from the picture's own mean. Grey is 0.5.": liked - smooth * rough - grey * spread,
                "You take the distance itself. Square it.": liked - smooth * rough - grey * near,
                "Weights are exchanged: `smooth` is for the variation.": liked - grey * rough - smooth * far,
                "The weights do not count in yours.": liked - rough - far,
                "This is a sum over pixels. Take the mean.": liked - smooth * rough - grey * far * images[0].numel(),
            },
        )
    acts, images, units = acts_of(CASES[0], 5), uniform(3, 3, 4, 5, seed=8), list(CASES[0][4])

    def oracle(a: Tensor, x: Tensor, u: list[int], smooth: float, grey: float) -> Tensor:
        liked = torch.stack([a[i, k].mean() for i, k in enumerate(u)])
        rough = x.diff(dim=-2).abs().flatten(1).mean(1) + x.diff(dim=-1).abs().flatten(1).mean(1)
        return liked - smooth * rough - grey * (x - 0.5).square().flatten(1).mean(1)

    args = {"acts": acts, "images": images, "units": units, "smooth": 0.3, "grey": 0.8}
    expect_gradients(answer, "penalised", args, oracle, "the objective", wrt=("acts", "images"), so=FLOW)


# --- 13.9 -------------------------------------------------------------------------------------------------------------


def company(acts: Tensor, slip: str = "") -> Tensor:
    """Pair by pair of pictures, unit by unit. slip: a known mistake."""
    n = len(acts)
    grams = []
    for one in acts.double():
        flat = one.flatten(1)
        if slip == "centred":
            flat = flat - flat.mean(1, keepdim=True)
        if slip == "places":
            grams.append((flat.T @ flat).flatten())
        elif slip == "activations":
            grams.append(flat.flatten())
        elif slip == "means":
            grams.append(flat.mean(1))
        else:
            grams.append(torch.stack([torch.stack([(a * b).sum() for b in flat]) for a in flat]).flatten())
    table = [[float(a @ b if slip == "not normed" else a @ b / (a.norm() * b.norm())) for b in grams] for a in grams]
    if slip == "self":
        return torch.tensor([sum(row) / n for row in table])
    if slip == "sum":
        return torch.tensor([sum(row) - row[i] for i, row in enumerate(table)])
    if slip == "by n":
        return torch.tensor([(sum(row) - row[i]) / n for i, row in enumerate(table)])
    if slip == "most":
        return torch.tensor([max(v for j, v in enumerate(row) if j != i) for i, row in enumerate(table)])
    if slip == "total":
        return torch.tensor([sum(sum(row) - row[i] for i, row in enumerate(table)) / (n * (n - 1))] * n)
    return torch.tensor([(sum(row) - row[i]) / (n - 1) for i, row in enumerate(table)])


COMPANY_SLIPS = {
    "self": "Each picture is compared with itself, too. Leave out j = i.",
    "sum": "This is the sum over the others. Take the mean.",
    "by n": "There are n − 1 others: divide by that.",
    "not normed": "These are products of Gram matrices, not cosines: divide by their lengths.",
    "activations": "You compare the activations themselves, place by place. Compare Gram matrices: then it does not "
    "matter where something is.",
    "places": "Your Gram matrix is [place place]. It should be [unit unit]: add up over places.",
    "means": "You compare the mean activations. Which units are active TOGETHER stands in the Gram matrix.",
    "centred": "You take the mean of each map away. Take activations as they are.",
    "most": "You take the most similar other. Take the mean over all others.",
    "total": "All pictures get the same number. Give each its own mean.",
}


@grades("13.9", weight=2)
def test_how_alike_pictures_are(answer):
    """Activations of several pictures, unit by unit; pictures that are shifted copies; gradients."""
    for case in (CASES[0], CASES[2], (5, 4, 3, 2, ())):
        acts = acts_of(case, 6).relu() + 0.05
        expect_close(
            answer.alike(acts),
            company(acts),
            "how alike they are",
            axes="picture",
            mistakes=lambda acts=acts: {s: company(acts, slip) for slip, s in COMPANY_SLIPS.items()},
        )
    one = acts_of(CASES[0], 7)[:1].relu()
    copies = torch.cat([one, one.roll(2, 3), one.roll(1, 2)])
    expect_close(answer.alike(copies), torch.ones(3), "how alike shifted copies of one picture are", atol=1e-4)

    def oracle(a: Tensor) -> Tensor:
        grams = torch.stack([torch.einsum("us,vs->uv", x, x).flatten() for x in a.flatten(2)])
        unit = grams / grams.norm(dim=1)[:, None]
        rows = [[(unit[i] * unit[j]).sum() for j in range(len(a)) if j != i] for i in range(len(a))]
        return torch.stack([torch.stack(row).mean() for row in rows])

    acts = acts_of(CASES[2], 8).relu() + 0.1
    expect_gradients(answer, "alike", {"acts": acts}, oracle, "how alike they are", so=FLOW)


@grades("13.9")
def test_pictures_are_driven_apart(answer):
    """Two weights."""
    for case, weight in ((CASES[0], 0.8), (CASES[2], 3.0)):
        acts, units = acts_of(case, 9), list(case[4])
        liked = torch.stack([acts[i, k].double().mean() for i, k in enumerate(units)])
        cost = company(acts)
        expect_close(
            answer.different(acts, units, weight),
            liked - weight * cost,
            "the objective",
            axes="picture",
            mistakes={
                "The likeness is ADDED: what is made large then is how alike they are. Subtract it.": (
                    liked + weight * cost
                ),
                "The weight does not count in yours.": liked - cost,
                "The weight multiplies the channel, and not the likeness.": weight * liked - cost,
                "The weight multiplies both.": weight * (liked - cost),
                "1 minus the likeness is multiplied by the weight: that adds the weight to all.": (
                    liked + weight * (1 - cost)
                ),
                "The channel is missing.": -weight * cost,
            },
        )


# --- 13.10 ------------------------------------------------------------------------------------------------------------


@functools.cache
def two_networks(n: int, units: int, others: int, seed: int) -> tuple[Tensor, Tensor]:
    """Activations of two networks on the same images. Units differ in size and in level, and some are reversed."""
    shared = randn(n, 4, seed=seed)
    a = (shared @ randn(4, units, seed=seed + 1)) * (0.2 + 3 * uniform(units, seed=seed + 2)) + 5 * uniform(
        units, seed=seed + 3
    )
    b = (shared @ randn(4, others, seed=seed + 4)) * (0.2 + 3 * uniform(others, seed=seed + 5)) + 9 * uniform(
        others, seed=seed + 6
    )
    return a + 0.2 * randn(n, units, seed=seed + 7), b + 0.2 * randn(n, others, seed=seed + 8)


def pearson_table(a: Tensor, b: Tensor) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.array([[np.nan_to_num(np.corrcoef(x, y)[0, 1]) for y in b.double().T] for x in a.double().T])


@grades("13.10", weight=2)
def test_who_does_the_same(answer):
    """Two networks of different widths, whose units differ in how loud they are; one that is never active."""
    for n, units, others, seed in ((17, 5, 9, 10), (23, 7, 6, 10), (11, 4, 13, 0)):
        a, b = two_networks(n, units, others, seed)
        table = pearson_table(a, b)
        away = [x.double() - x.double().mean(0) for x in (a, b)]
        cov = away[0].T @ away[1]
        plain = torch.nn.functional.normalize(a, dim=0).T @ torch.nn.functional.normalize(b, dim=0)
        wrong = {
            "You compare products, not correlations: loud units win. Divide by each unit's spread.": cov.argmax(1),
            "You have not taken the means away: what is always active looks like everything.": plain.argmax(1),
            "You take the largest |r|. A unit that does the opposite is no partner.": torch.from_numpy(
                np.abs(table).argmax(1)
            ),
            "These are the units that do the opposite: take the LARGEST correlation.": torch.from_numpy(
                table.argmin(1)
            ),
            "You look for the nearest activations. A partner may be louder: take the correlation.": torch.stack(
                [(a[:, i, None] - b).norm(dim=0).argmin() for i in range(units)]
            ),
        }
        if units != others:
            back = torch.from_numpy(table.argmax(0))
            got = answer.partners(a, b)
            expect(
                got.shape != back.shape,
                "You look for a partner of each unit of the SECOND network. Take each of the first.",
            )
        else:
            got = answer.partners(a, b)
        expect_equal(got, torch.from_numpy(table.argmax(1)), "the partners", mistakes=wrong)
    a, b = two_networks(17, 5, 9, 0)
    dead = torch.cat([torch.full((17, 1), 2.0), b], 1)
    got = answer.partners(a, dead)
    want = torch.from_numpy(pearson_table(a, b).argmax(1)) + 1
    expect(
        torch.equal(got, want),
        "A unit that is equally active on all images is taken for a partner: 0 / 0 is NaN. Its correlation is 0.",
    )


@grades("13.10", weight=2)
def test_how_far_it_carries(answer):
    """Pictures that excite their partner more than all, some, and none of the images; equal values."""
    for n, others, pictures, seed in ((13, 7, 5, 0), (29, 4, 6, 3)):
        on_images = torch.randint(0, 9, (n, others), generator=generator(seed)).float()
        on_pictures = torch.randint(-1, 10, (pictures, others), generator=generator(seed + 1)).float()
        partner = torch.randint(1, others, (pictures,), generator=generator(seed + 2))

        def share(at: Any, better: Any, seen: Tensor = on_images, made: Tensor = on_pictures) -> Tensor:
            rows = []
            for i in range(len(made)):
                u = at(i)
                rows.append(np.mean([better(float(v), float(made[i, u])) for v in seen[:, u]]))
            return torch.tensor(rows)

        own = lambda i, partner=partner: int(partner[i])  # noqa: E731
        same = lambda i, others=others: i % others  # noqa: E731
        both = enumerate(partner.tolist())
        mixed = torch.tensor([float((on_images[:, i % others] < on_pictures[i, u]).double().mean()) for i, u in both])
        expect_close(
            answer.carried(on_images, on_pictures, partner),
            share(own, lambda v, p: v < p),
            "the share of each",
            axes="picture",
            atol=1e-5,
            mistakes={
                "This is the share of images that excite the unit MORE.": share(own, lambda v, p: v > p),
                "This is the share of images that excite the unit as much or more.": share(own, lambda v, p: v >= p),
                "Images that excite the unit exactly as much count in yours. Count those that excite it less.": share(
                    own, lambda v, p: v <= p
                ),
                "You ask unit i about picture i. Ask unit partner[i]: the networks number their units differently.": (
                    share(same, lambda v, p: v < p)
                ),
                "You ask unit i about the images, partner[i] about the picture. Ask partner[i] about both.": mixed,
                "You compare with the mean of the images. Count images.": torch.tensor(
                    [float(on_pictures[i, u]) > float(on_images[:, u].mean()) for i, u in enumerate(partner.tolist())]
                ).double(),
                "You compare with all units. Only the partner counts.": torch.tensor(
                    [float((on_images < on_pictures[i, u]).double().mean()) for i, u in enumerate(partner.tolist())]
                ),
            },
        )


# --- 13.11 ------------------------------------------------------------------------------------------------------------


def spearman(a: Tensor, b: Tensor) -> float:
    import scipy.stats

    if a.unique().numel() < 2 or b.unique().numel() < 2:
        return 0.0
    return float(scipy.stats.spearmanr(a.double().numpy(), b.double().numpy())[0])


def order_of(x: Tensor) -> Tensor:
    return x.argsort().argsort().double()


@grades("13.11")
def test_the_correlation_of_ranks(answer):
    """With equal values, with one that is far away from all others, and with one that never varies."""
    import scipy.stats

    for n, seed in ((9, 0), (14, 1), (23, 2)):
        a = torch.randint(0, 6, (n,), generator=generator(seed)).float()
        b = (a + 2 * randn(n, seed=seed + 5)).exp()
        c = torch.randint(0, 4, (n,), generator=generator(seed + 8)).float() - a
        for x, y in ((a, b), (b, a), (a, c)):
            r = float(np.corrcoef(x.double(), y.double())[0, 1])
            expect_close(
                answer.rank_correlation(x, y),
                spearman(x, y),
                "the rank correlation",
                atol=1e-5,
                mistakes={
                    "This is Pearson's r of the values. Take that of their ranks.": r,
                    "Equal values get different ranks. Let them share the mean of their ranks.": float(
                        np.corrcoef(order_of(x), order_of(y))[0, 1]
                    ),
                    "Equal values all get the lowest of their ranks. Let them share the mean.": float(
                        np.corrcoef(*(scipy.stats.rankdata(v.numpy(), method="min") for v in (x, y)))[0, 1]
                    ),
                    "These are places in the sorted list (argsort), not ranks: sort twice.": float(
                        np.corrcoef(x.argsort(), y.argsort())[0, 1]
                    ),
                    "This is Kendall's τ.": float(scipy.stats.kendalltau(x.numpy(), y.numpy())[0]),
                    "The sign is wrong.": -spearman(x, y),
                },
            )
    flat = answer.rank_correlation(torch.full((7,), 3.0), torch.arange(7.0))
    expect(not math.isnan(float(flat)), "Where one of the two never varies, yours is NaN (0 / 0). It should be 0.")
    expect_close(flat, 0.0, "the rank correlation with something that never varies")
    two = answer.rank_correlation(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 9.0]))
    expect_close(two, 1.0, "the rank correlation of two pairs that grow together", atol=1e-5)


@functools.cache
def promises(units: int, n: int, seed: int) -> tuple[Tensor, Tensor]:
    """What pictures promise and what units answer: some keep their word, some do not."""
    answers = randn(units, n, seed=seed)
    honest = (torch.arange(units) % 3 > 0)[:, None]
    promised = answers * (0.6 * honest) + randn(units, n, seed=seed + 1)
    promised[0] = answers[1] + 0.3 * randn(n, seed=seed + 2)  # the picture of unit 0 shows unit 1
    return promised, answers.relu()


@grades("13.11", weight=2)
def test_pictures_that_others_outdo(answer):
    """Some pictures keep their word, some do not, one shows another unit."""
    for units, n, seed in ((5, 31, 0), (7, 23, 10)):
        promised, answers = promises(units, n, seed)
        table = np.array([[spearman(p, answers[u]) for p in promised] for u in range(units)])
        own = table.diagonal()

        def share(better: np.ndarray, by: int = units - 1) -> Tensor:
            return torch.from_numpy(better.sum(1) / by)

        r = np.corrcoef(np.concatenate([answers.numpy(), promised.numpy()]))[:units, units:]
        expect_close(
            answer.outdone(promised, answers),
            share(table > own[:, None]),
            "the share of each",
            axes="unit",
            atol=1e-5,
            mistakes={
                "This is the share of pictures that are WORSE than its own.": share(table < own[:, None]),
                "You ask which other UNITS the picture foretells better. Ask which other pictures foretell this unit "
                "better.": share(own[:, None] < table.T),
                "There are n − 1 other pictures: divide by that.": share(table > own[:, None], units),
                "Its own picture counts as one that is as good. Count those that are better.": share(
                    table >= own[:, None]
                ),
                "You compare by Pearson's r. Use rank_correlation.": share(r > r.diagonal()[:, None]),
                "You compare absolute correlations: a picture that promises the opposite is not good.": share(
                    np.abs(table) > np.abs(own)[:, None]
                ),
            },
        )


# --- 13.12 ------------------------------------------------------------------------------------------------------------

# Written down before the network that is judged here, the third seed, had been looked at; from the other two seeds.
LEAST, AHEAD = 0.3, 0.2  # mean rank correlation; and how much above that of other units' pictures


def other_ways(pictures: Tensor, stimuli: Tensor) -> dict[str, Tensor]:
    """What known mistakes would promise, by the sentence that says so."""
    p, x = features.bands(pictures).double(), features.bands(stimuli).double()
    by, own = x.std(0), p.std(0).clamp(min=1e-9)
    seen = (x - x.mean(0)) / by
    strength = (stimuli - stimuli.mean((2, 3), keepdim=True)).flatten(1).norm(dim=1).double()
    unit = torch.nn.functional.normalize
    common = (
        "What ALL pictures have in common decides in yours, and it says nothing about one unit. Take the mean of the "
        "pictures away from each."
    )
    return {
        common: (p / by) @ seen.T,
        common + " (You multiply bands as they are.)": p @ x.T,
        common + " (You take cosines of bands as they are.)": unit(p, dim=1) @ unit(x, dim=1).T,
        "You compare pictures with the mean of the STIMULI. Pictures are stronger than any image, in all bands: "
        "compare them with each other.": ((p - x.mean(0)) / by) @ seen.T,
        "You standardise along the wrong axis: each band over all pictures, not each picture over its bands.": (
            ((p - p.mean(1, keepdim=True)) / p.std(1, keepdim=True).clamp(min=1e-9))
            @ ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp(min=1e-9)).T
        ),
        "All units get the same promise: how strong an image is. Look at the pictures.": strength.expand(len(p), -1),
        "You promise the opposite: what is special about the picture makes an image promise less.": (
            -((p - p.mean(0)) / own) @ seen.T
        ),
        "You compare mean colours. What the picture shows counts.": (
            (pictures.mean((2, 3)) - 0.5) @ (stimuli.mean((2, 3)) - 0.5).T
        ).double(),
    }


def judge_promise(got: Tensor, pictures: Tensor, stimuli: Tensor, answers: Tensor, least: float, ahead: float) -> None:
    """The learner's promise beside what units say."""
    expect(bool(torch.isfinite(got).all()), "Your promises hold NaN or infinite numbers.")
    own = features.rank_correlation(got.double(), answers.double())
    n = len(own)
    other = torch.stack(
        [features.rank_correlation(got.double().roll(k, 0), answers.double()) for k in range(1, n)]
    ).mean()
    mean, others = float(own.mean()), float(other)
    if mean >= least and mean - others >= ahead:
        return
    for sentence, wrong in other_ways(pictures, stimuli).items():
        rows = [x.double() - x.double().mean(1, keepdim=True) for x in (got, wrong)]
        if float(torch.nn.functional.cosine_similarity(*rows).min()) > 0.9999:
            raise Wrong(sentence, MISTAKE)
    expect(
        mean > -least,
        f"You promise the opposite (rank correlation {mean:.2f}): the image that should excite a unit most gets the "
        "LARGEST number. A distance is small where two are alike.",
    )
    expect(
        mean >= least,
        f"On average over units, the rank correlation of what you promise and what the unit does is {mean:.2f}. It "
        f"should be at least {least}.",
    )
    raise Wrong(
        f"Your promises are about as good for other units ({others:.2f}) as for their own ({mean:.2f}): they say how "
        "strong an image is, and little of what the picture shows.",
        MISTAKE,
    )


@functools.cache
def made_up(units: int, n: int, size: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Units of which each likes one wave in one colour. Their pictures share a strong wide wave, and each has a little
    more of its own; the stimuli are sums of the same waves."""
    colour = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [0.5, 0.5, -1.0]])
    y, x = torch.meshgrid(torch.arange(float(size)), torch.arange(float(size)), indexing="ij")

    def wave(number: int, phase: float) -> Tensor:
        f, c = (0.36, 0.15, 0.07)[number % 3], colour[(number // 3) % 3]
        line = torch.cos(2 * math.pi * f * (x * math.cos(number) + y * math.sin(number)) + phase)
        return c[:, None, None] * line

    phases = 2 * math.pi * uniform(n + units, units, seed=seed)
    wide = 0.25 * torch.cos(2 * math.pi * 0.04 * (x + y))
    amounts = 0.12 * uniform(n, units, seed=seed + 1)
    grain = 0.02 * randn(n + units, 3, size, size, seed=seed + 2)
    pictures = torch.stack([0.5 + wide + 0.16 * wave(u, float(phases[n + u, u])) for u in range(units)]) + grain[n:]
    stimuli = torch.stack(
        [0.5 + sum(float(amounts[i, u]) * wave(u, float(phases[i, u])) for u in range(units)) for i in range(n)]
    )
    return pictures.clamp(0, 1), (stimuli + grain[:n]).clamp(0, 1), amounts.T.square()


@grades("13.12")
def test_units_that_like_one_wave(answer):
    """Made-up units, whose pictures have much in common."""
    for units, n, size, seed in ((5, 41, 32, 0), (7, 53, 28, 1)):
        pictures, stimuli, answers = made_up(units, n, size, seed)
        got = answer.foretell(pictures, stimuli)
        expect_close(torch.zeros(got.shape), torch.zeros(units, n), "what you return", axes="unit stimulus")
        judge_promise(got, pictures, stimuli, answers, 0.5, AHEAD)


@grades("13.12", weight=2)
def test_units_of_the_network(answer):
    """Units of the trained network, and images that were not shown in the chapter."""
    measured = findings.module(index.chapter("13"))
    pictures, stimuli, answers = measured.case()  # of the third seed
    judge_promise(answer.foretell(pictures, stimuli), pictures, stimuli, answers, LEAST, AHEAD)
