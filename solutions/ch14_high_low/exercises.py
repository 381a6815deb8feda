# %% [setup]
"""Chapter 14: high-low frequency detectors.

Replace each `raise NotImplementedError` by your answer; `mi check 14.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

A pattern is a number for each pixel, [size size]; row 0 is the top row. `paint` makes an
image of it, [3 size size], with values from 0 to 1. Angles are in radians, counter-
clockwise from "right": 0 is right, π/2 is up, π is left. Rows run down, so y = −row.

`middle(model, layer, images)` is what each unit of a layer says at the place in the middle
of its map, [image unit]. The images are 33 pixels wide, so that this place sees the middle
of the image, and everything that it sees is in the image.

To play: `from mi_lib.models.vision import load_vision`, `model = load_vision("sight")`;
`tuning.sharp(32, 33, seed=0)` and `tuning.blurred(32, 33, seed=1)` are textures, and
`from mi_lib.worlds import scenes`, `scenes.sample(200, seed=0)` are scenes.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.features import tuning
from mi_lib.models.vision import VisionModel

WHITE = (1.0, 1.0, 1.0)
COLOURS = list(tuning.stimuli.COLOURS.values())  # white, red, green, blue, and two opponents


def middle(model: VisionModel, layer: str, images: Float[Tensor, "image 3 size size"]) -> Float[Tensor, "image unit"]:
    """What each unit of a layer says at the place in the middle."""
    maps = model.run(images, [layer])[layer]
    return maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2]


# %% [14.1] Two sides


def equal(pattern: Float[Tensor, "image size size"]) -> Float[Tensor, "image size size"]:
    """Each pattern of the batch with mean 0 and root mean square 1."""
    ### BEGIN SOLUTION
    pattern = pattern - pattern.mean((1, 2), keepdim=True)
    return pattern / pattern.square().mean((1, 2), keepdim=True).sqrt()
    ### END SOLUTION


def two_sides(
    first: Float[Tensor, "image size size"], second: Float[Tensor, "image size size"], angle: float
) -> Float[Tensor, "image size size"]:
    """The first pattern on the side to which the angle points, the second on the other.

    The boundary is a straight line through the middle of the image. A pixel whose centre
    lies d pixels from it, d > 0 on the side of the angle, is a mixture: d + 1/2 of the
    first, cut off at 0 and 1, and the rest of the second.
    """
    ### BEGIN SOLUTION
    size = first.shape[-1]
    at = torch.arange(size) - (size - 1) / 2
    x, y = at[None, :], -at[:, None]
    share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)
    return share * first + (1 - share) * second
    ### END SOLUTION


def paint(
    pattern: Float[Tensor, "image size size"],
    contrast: Float[Tensor, "image"],
    colour: tuple[float, float, float],
) -> Float[Tensor, "image 3 size size"]:
    """0.5 + contrast · colour · pattern, cut off at 0 and 1. Each image has a contrast of
    its own; colour says how much of the pattern red, green and blue get."""
    ### BEGIN SOLUTION
    rgb = torch.tensor(colour)[None, :, None, None]
    return (0.5 + contrast[:, None, None, None] * rgb * pattern[:, None]).clamp(0, 1)
    ### END SOLUTION


# %% [14.2] All round


def by_angle(
    model: VisionModel,
    layer: str,
    first: Float[Tensor, "image size size"],
    second: Float[Tensor, "image size size"],
    contrast: Float[Tensor, "image"],
    count: int,
) -> Float[Tensor, "unit angle"]:
    """The tuning curve of every unit: what it says in the middle, in the mean over images,
    to the first pattern on the side of angle 2π i / count and the second on the other, for
    i = 0 … count − 1. White light; the same patterns and contrasts at every angle."""
    ### BEGIN SOLUTION
    found = []
    for i in range(count):
        images = paint(two_sides(first, second, 2 * math.pi * i / count), contrast, WHITE)
        found.append(middle(model, layer, images).mean(0))
    return torch.stack(found, dim=1)
    ### END SOLUTION


def normalised(curves: Float[Tensor, "unit angle"]) -> Float[Tensor, "unit angle"]:
    """Each unit's curve divided by its own largest value. No value is below 0. A unit that
    is silent everywhere stays at 0."""
    ### BEGIN SOLUTION
    most = curves.amax(1, keepdim=True)
    return torch.where(most > 0, curves / most, torch.zeros_like(curves))
    ### END SOLUTION


# %% [14.3] What else might it be?


def rivals(
    model: VisionModel,
    layer: str,
    sharp: Float[Tensor, "image size size"],
    blurred: Float[Tensor, "image size size"],
    contrast: Float[Tensor, "image"],
    count: int,
    colours: list[tuple[float, float, float]],
) -> Float[Tensor, "unit 3"]:
    """What every unit says in the middle to what is no boundary of textures, in columns:

    0. the sharp pattern everywhere, white, in the mean over images;
    1. the blurred pattern everywhere, white, in the mean over images;
    2. the best edge, of all colours and of `count` angles of a whole turn: +1 on the
       side of the angle and −1 on the other, as strong as the patterns (contrast[0]
       without its sign). In white it is an edge of brightness; WHITE is one of them.
    """
    ### BEGIN SOLUTION
    alone = [middle(model, layer, paint(texture, contrast, WHITE)).mean(0) for texture in (sharp, blurred)]
    ones = torch.ones_like(sharp[:1])
    steps = torch.cat([two_sides(ones, -ones, 2 * math.pi * i / count) for i in range(count)])
    strength = contrast[:1].abs().expand(count)
    edges = [middle(model, layer, paint(steps, strength, colour)).amax(0) for colour in colours]
    return torch.stack([*alone, torch.stack(edges).amax(0)], dim=1)
    ### END SOLUTION


# %% [14.4] A definition in numbers


def is_detector(
    chosen: Float[Tensor, "unit angle"],
    measured: Float[Tensor, "unit angle"],
    rival: Float[Tensor, "unit 3"],
) -> Bool[Tensor, "unit"]:
    """Which units are high-low frequency detectors.

    chosen and measured are tuning curves (sharp on the side of the angle) on two sets of
    images: the first says which angle is a unit's best, the second what the unit says
    there. `best` is its measured response at its best angle, `opposite` the measured one
    half a turn further. No response is below 0; the number of angles is even.

        best > 1.5 · the largest of its rivals,
        best > 2 · opposite,
        best > 1/4 of the mean of `best` over all units of the layer.
    """
    ### BEGIN SOLUTION
    n = chosen.shape[1]
    where = chosen.argmax(1)
    units = torch.arange(len(chosen))
    best, opposite = measured[units, where], measured[units, (where + n // 2) % n]
    return (best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)
    ### END SOLUTION


# %% [14.5] What it does not mind


def polarity(
    model: VisionModel, layer: str, patterns: Float[Tensor, "image size size"], contrast: float
) -> Float[Tensor, "unit"]:
    """How little a unit minds that light and dark are exchanged: between 0 and 1.

    Each pattern is shown with `contrast` and with −contrast. Of the two responses, one is
    the smaller. The result is the mean of the smaller ones divided by the mean of the
    larger ones; 0 for a unit that is silent at all of them. White light.
    """
    ### BEGIN SOLUTION
    both = torch.stack(
        [middle(model, layer, paint(patterns, torch.full((len(patterns),), c), WHITE)) for c in (contrast, -contrast)]
    )
    less, more = both.amin(0).mean(0), both.amax(0).mean(0)
    return torch.where(more > 0, less / more, torch.zeros_like(more))
    ### END SOLUTION


def colour_blind(
    model: VisionModel,
    layer: str,
    patterns: Float[Tensor, "image size size"],
    contrast: Float[Tensor, "image"],
    colours: list[tuple[float, float, float]],
) -> Float[Tensor, "unit"]:
    """How little a unit minds the colour: its mean response to the patterns in the least
    favourable of the colours, divided by that in the most favourable one. 0 for a unit
    that is silent at all of them."""
    ### BEGIN SOLUTION
    means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])
    less, more = means.amin(0), means.amax(0)
    return torch.where(more > 0, less / more, torch.zeros_like(more))
    ### END SOLUTION


# %% [14.6] The family


def apart(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """How far two directions are apart, in radians, between 0 and π. Angles may be of any
    size: 0.1 and 2π − 0.1 are 0.2 apart."""
    ### BEGIN SOLUTION
    turn = (a - b) % (2 * math.pi)
    return torch.minimum(turn, 2 * math.pi - turn)
    ### END SOLUTION


def covered(angles: Float[Tensor, "unit"], count: int) -> Int[Tensor, "count"]:
    """How many units are nearest to each of the directions 2π i / count. Two of these are
    never equally near."""
    ### BEGIN SOLUTION
    nearest = (angles / (2 * math.pi) * count).round().long() % count
    return torch.bincount(nearest, minlength=count)
    ### END SOLUTION


def has_mirror(angles: Float[Tensor, "unit"], within: float) -> Bool[Tensor, "unit"]:
    """Whether some unit of the family looks the opposite way: its angle, turned by half a
    turn, is at most `within` radians away."""
    ### BEGIN SOLUTION
    far = apart(angles[:, None], angles[None, :] + math.pi)
    return (far <= within).any(1)
    ### END SOLUTION


# %% [14.7] Two layers at once


def awake(maps: Float[Tensor, "image unit row column"]) -> Float[Tensor, "unit"]:
    """The share of images and places at which each unit is above 0."""
    ### BEGIN SOLUTION
    return (maps > 0).float().mean((0, 2, 3))
    ### END SOLUTION


def contract(
    upper: Float[Tensor, "unit mid k k"],
    lower: Float[Tensor, "mid below m m"],
    stride: int,
    open_: Float[Tensor, "mid"],
) -> Float[Tensor, "unit below K K"]:
    """The weights of each upper unit on the layer two below it, K = (k − 1) · stride + m.

    Without ReLUs and biases, and with `open_` all 1, the two layers together are one
    convolution with these weights: conv2d(conv2d(x, lower, stride=stride), upper) is
    conv2d(x, result, stride=stride). open_ is the share of places at which each middle
    unit's ReLU is open: what goes through it counts for that much.
    """
    ### BEGIN SOLUTION
    k, m = upper.shape[-1], lower.shape[-1]
    K = (k - 1) * stride + m
    whole = torch.zeros(len(upper), lower.shape[1], K, K, dtype=upper.dtype)
    weighed = lower * open_[:, None, None, None]
    for i in range(k):
        for j in range(k):
            row, column = i * stride, j * stride
            step = torch.einsum("um,mbxy->ubxy", upper[:, :, i, j], weighed)
            whole[:, :, row : row + m, column : column + m] += step
    return whole
    ### END SOLUTION


# %% [14.8] Two factors


def update(
    table: Float[Tensor, "row channel"], rows: Float[Tensor, "row factor"], channels: Float[Tensor, "factor channel"]
) -> tuple[Float[Tensor, "row factor"], Float[Tensor, "factor channel"]]:
    """One round of non-negative matrix factorisation: table ≈ rows @ channels.

        rows     ← rows · (table channelsᵀ) / (rows channels channelsᵀ)
        channels ← channels · (rowsᵀ table) / (rowsᵀ rows channels)

    Products and quotients of entries, but for the matrix products in brackets. The second
    line uses the new rows. Add 1e-12 to each divisor.
    """
    ### BEGIN SOLUTION
    rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)
    channels = channels * (rows.T @ table) / (rows.T @ rows @ channels + 1e-12)
    return rows, channels
    ### END SOLUTION


def as_table(weights: Float[Tensor, "unit channel row column"]) -> Float[Tensor, "entry channel"]:
    """Signed weights as a table without negative numbers, for the factorisation.

    First a row for each (unit, row, column), in this order, with the weights above 0 and 0
    for the others. Then the same rows again, with the weights below 0 without their sign.
    """
    ### BEGIN SOLUTION
    both = torch.stack([weights.clamp(min=0), (-weights).clamp(min=0)])
    return both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])
    ### END SOLUTION


def as_maps(rows: Float[Tensor, "entry factor"], units: int, size: int) -> Float[Tensor, "factor unit size size"]:
    """Back again: for each factor and unit a map, excitation minus inhibition. `rows` are
    those of a table that `as_table` made of weights [units channel size size]."""
    ### BEGIN SOLUTION
    both = rows.T.reshape(-1, 2, units, size, size)
    return both[:, 0] - both[:, 1]
    ### END SOLUTION


# %% [14.9] An angle read off weights


def pointing(high: Float[Tensor, "unit size size"], low: Float[Tensor, "unit size size"]) -> Float[Tensor, "unit"]:
    """To which side each unit wants the high frequency, by its maps alone: 0 ≤ angle < 2π.

    Divide each map by the sum of its absolute values. The difference high − low is a
    weight for each place; the sum of weight · (x, y) over places is an arrow. Its angle is
    the result. x and y are counted from the middle of the map, and y runs up.
    """
    ### BEGIN SOLUTION
    scaled = [m / m.abs().sum((1, 2), keepdim=True) for m in (high, low)]
    lean = scaled[0] - scaled[1]
    at = torch.arange(high.shape[-1]) - (high.shape[-1] - 1) / 2
    x, y = at[None, :], -at[:, None]
    return torch.atan2((lean * y).sum((1, 2)), (lean * x).sum((1, 2))) % (2 * math.pi)
    ### END SOLUTION


# %% [14.10] Build one by hand


def gabor(frequency: float, orientation: float, phase: float, size: int) -> Float[Tensor, "size size"]:
    """A Gabor filter: a wave under a Gaussian window, of mean 0 and length 1.

        window = exp(−r² / (2 (size / 4)²))
        wave = window · cos(2π · frequency · d + phase)

    r is the distance from the middle, d how far a pixel lies from it in the direction of
    the orientation; y runs up. So that the mean is 0, take from the wave that multiple of
    the window which has the same sum. Then divide by the root of the sum of squares.
    """
    ### BEGIN SOLUTION
    at = torch.arange(size) - (size - 1) / 2
    x, y = at[None, :], -at[:, None]
    window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
    d = x * math.cos(orientation) + y * math.sin(orientation)
    wave = window * torch.cos(2 * math.pi * frequency * d + phase)
    wave = wave - window * wave.sum() / window.sum()
    return wave / wave.norm()
    ### END SOLUTION


def by_hand(
    is_high: Bool[Tensor, "channel"], angle: float, size: int
) -> tuple[Float[Tensor, "channel size size"], float]:
    """(weights, bias) of a high-low frequency detector, chosen by you and not trained.

    It stands on two banks of your Gabor filters, of all orientations and phases, with a
    ReLU behind each: channels of the high frequency speak where the image has high
    frequencies, those of the low one where it has low ones. In textures each says about
    0.5 in the mean. Your unit reads all channels at size × size places, a place is 2
    pixels wide, and a ReLU follows.

    It must be a detector by the definition of 14.4 for 16 angles, with its best angle at
    most an eighth of a turn from `angle`. There is no other unit whose mean could count.
    """
    ### BEGIN SOLUTION
    at = torch.arange(size) - (size - 1) / 2
    x, y = at[None, :], -at[:, None]
    near = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))
    side = near * (x * math.cos(angle) + y * math.sin(angle)).clamp(-1, 1)
    weights = torch.where(is_high[:, None, None], side, -side)
    return weights, -4.0
    ### END SOLUTION


# %% [14.11] Without them


def answers_without(
    model: VisionModel,
    layer: str,
    units: Int[Tensor, "member"],
    instead: Float[Tensor, "unit"],
    images: Float[Tensor, "image 3 size size"],
) -> Int[Tensor, "image"]:
    """Which class the network says while some units of a layer are silenced: unit u of
    `units` says instead[u] everywhere. `instead` has a number for every unit of the layer
    (all 0 for zero ablation, their means for mean ablation); the units that are not named
    stay as they are.

    `with model.edited({layer: f}):` puts f(activation), a tensor of the same shape, in the
    place of the layer's activation [image unit row column]; `model.logits(images)` are the
    scores of the classes, [image class].
    """
    ### BEGIN SOLUTION

    def edit(activation: Tensor) -> Tensor:
        activation = activation.clone()
        activation[:, units] = instead[units][:, None, None]
        return activation

    with model.edited({layer: edit}):
        return model.logits(images).argmax(1)
    ### END SOLUTION


def stand_ins(activity: Float[Tensor, "unit"], family: Bool[Tensor, "unit"], seed: int) -> Int[Tensor, "member"]:
    """A control for an ablation: as many different units outside of the family as it has
    members, drawn at random so that they are about as active.

    For each member, in random order: of the units outside that are left, take the three
    whose activity is nearest to the member's (or as many as are left), and draw one of
    them. The same seed gives the same units, another seed others. There are more units
    outside than members.
    """
    ### BEGIN SOLUTION
    source = torch.Generator().manual_seed(seed)
    members, left = family.nonzero()[:, 0].tolist(), (~family).nonzero()[:, 0].tolist()
    found = []
    for i in torch.randperm(len(members), generator=source).tolist():
        left.sort(key=lambda unit: abs(float(activity[unit] - activity[members[i]])))
        found.append(left.pop(int(torch.randint(min(3, len(left)), (1,), generator=source))))
    return torch.tensor(found)
    ### END SOLUTION


# %% [14.12] The finding


def find_family(
    model: VisionModel,
    layer: str,
    images: Float[Tensor, "image 3 size size"],
    classes: Int[Tensor, "image"],
    kinds: Int[Tensor, "image"],
) -> tuple[Bool[Tensor, "unit"], Float[Tensor, "unit"], list[int]]:
    """(family, angle, suffers) for a layer of a network that you have not seen before.

    family: which units are high-low frequency detectors, by the definition of 14.4. There
    may be none. angle: of each unit, the side on which it wants the high frequency, in
    radians; of units outside of the family it does not count.

    suffers: the kinds of scenes (numbers of `kinds`) that need the family. `images` are
    scenes and `classes` what is to be said of them. Let the family say 0 everywhere; then
    stand-ins in its place, several sets of them, chosen by their mean activity on these
    scenes. A kind suffers if its share of right answers is lower by more than 1/4 without
    the family than it is without stand-ins in the mean. Empty if there is no family.

    Textures: `tuning.sharp(n, 33, seed)` and `tuning.blurred(n, 33, seed)`, contrasts
    0.125 and −0.125, 16 angles; edges in all COLOURS. You are judged by what the units
    that you name do on scenes that you have not seen.
    """
    ### BEGIN SOLUTION
    n, count = 32, 16
    contrast = 0.125 * (torch.arange(n) % 2 * 2 - 1)
    curves = []
    for seed in (0, 10):
        sharp, blurred = tuning.sharp(n, 33, seed), tuning.blurred(n, 33, seed + 1)
        curves.append(by_angle(model, layer, sharp, blurred, contrast, count))
    rival = rivals(model, layer, tuning.sharp(n, 33, 20), tuning.blurred(n, 33, 21), contrast, count, COLOURS)
    family = is_detector(*curves, rival)
    angle = (curves[0] + curves[1]).argmax(1) * 2 * math.pi / count
    if not family.any():
        return family, angle, []

    activity = model.run(images, [layer])[layer].mean((0, 2, 3))

    def right(units: Tensor) -> Tensor:
        said = answers_without(model, layer, units, torch.zeros_like(activity), images) == classes
        return torch.stack([said[kinds == k].float().mean() for k in range(int(kinds.max()) + 1)])

    without = right(family.nonzero()[:, 0])
    beside = torch.stack([right(stand_ins(activity, family, seed)) for seed in range(5)]).mean(0)
    return family, angle, (beside - without > 0.25).nonzero()[:, 0].tolist()
    ### END SOLUTION
