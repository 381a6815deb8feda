# %% [setup]
"""Chapter 13: feature visualisation.

Replace each `raise NotImplementedError` by your answer; `mi check 13.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

Images are tensors [image 3 height width]: red, green and blue, each between 0 and 1. The
activations of a layer are [image unit row column]: for every image and every unit a map
of how active the unit is at each place. Row 0 is the top row, column 0 the left one.

    acts = model.run(images, [layer])[layer]

runs a network up to a layer, and no farther. Gradients flow back to the images; the
weights stay as they are.

To play: `from mi_lib.models.vision import load_vision`, `model = load_vision("sight")`,
`from mi_lib.worlds import scenes`, `images = scenes.sample(200, seed=0).images`.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.features import bands
from mi_lib.models.vision import VisionModel

# %% [13.1] One unit


def unit_map(
    image: Float[Tensor, "3 h w"], kernel: Float[Tensor, "3 k k"], bias: float
) -> Float[Tensor, "h-k+1 w-k+1"]:
    """How active one unit of a first layer is at every place: its kernel on the image.

    At row r and column c: multiply the kernel, number by number, with the k × k pixels
    whose top left one is at (r, c), in all three colours. Add up all products and the
    bias. What is below 0 becomes 0. The kernel is not flipped.
    """
    raise NotImplementedError("Exercise 13.1 is waiting for your answer.")


# %% [13.2] What it likes, and what it sees


def top_examples(maps: Float[Tensor, "image row column"], n: int) -> Int[Tensor, "n 3"]:
    """The n images in which a unit is most active at its best place, the strongest first.

    Each row says image, row and column: which image, and where in its map the unit is
    most active. An image counts once, however many strong places it has.
    """
    raise NotImplementedError("Exercise 13.2 is waiting for your answer.")


def random_examples(maps: Float[Tensor, "image row column"], n: int, seed: int) -> Int[Tensor, "n 3"]:
    """n different images, each equally likely, whatever the unit makes of them; with the
    place where it is most active in each. The same seed gives the same images."""
    raise NotImplementedError("Exercise 13.2 is waiting for your answer.")


def receptive_field(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """(size, step): how many pixels across a unit of the last layer sees, and how many
    pixels lie between what two neighbours of its map see.

    Layer i lays a kernel of kernels[i] × kernels[i] on the map below it, at every
    strides[i]-th place. The first layer lies on the image.
    """
    raise NotImplementedError("Exercise 13.2 is waiting for your answer.")


# %% [13.3] What to make large


def channel(acts: Float[Tensor, "picture unit row column"], units: list[int]) -> Float[Tensor, "picture"]:
    """Picture i is for units[i]: the mean of that unit's map. Gradients must flow."""
    raise NotImplementedError("Exercise 13.3 is waiting for your answer.")


def neuron(acts: Float[Tensor, "picture unit row column"], units: list[int]) -> Float[Tensor, "picture"]:
    """Picture i is for units[i] at one place: the middle, row (rows // 2) and column
    (columns // 2). Gradients must flow."""
    raise NotImplementedError("Exercise 13.3 is waiting for your answer.")


def direction(
    acts: Float[Tensor, "picture unit row column"], vector: Float[Tensor, "unit"], power: float
) -> Float[Tensor, "picture"]:
    """(a · v) × max(cos(a, v), 0.1)^power, averaged over the places of each picture.

    a are the activations of all units at one place, v is the vector. The cosine is
    a · v / (‖a‖ ‖v‖). Gradients must flow.
    """
    raise NotImplementedError("Exercise 13.3 is waiting for your answer.")


# %% [13.4] Uphill


def climb(
    model: VisionModel, layer: str, units: list[int], start: Float[Tensor, "picture 3 h w"], steps: int, rate: float
) -> Float[Tensor, "picture 3 h w"]:
    """Pictures for units, by plain gradient ascent in pixels. Returns images, 0 to 1.

    x begins at `start` (which must not be changed). The image is sigmoid(x), so that x
    may be anything. In each of `steps` steps x becomes x + rate · g, where g is the
    gradient of `channel` of the image with respect to x. Each picture goes its own way,
    as if it were alone.
    """
    raise NotImplementedError("Exercise 13.4 is waiting for your answer.")


# %% [13.5] A sum of waves


def wave_scale(height: int, width: int) -> Float[Tensor, "height width//2+1"]:
    """How loud each wave is: 1 / max(f, 1 / max(height, width)).

    f is the length of its frequency (down, across), in cycles per pixel. Down: as
    `torch.fft.fftfreq(height)`; across: as `torch.fft.rfftfreq(width)`.
    """
    raise NotImplementedError("Exercise 13.5 is waiting for your answer.")


def from_waves(spectrum: Float[Tensor, "picture 3 h half 2"], width: int) -> Float[Tensor, "picture 3 h width"]:
    """What the waves add up to: the inverse of `rfft2` (norm="ortho") of spectrum × scale,
    divided by 4.

    The last axis holds real and imaginary part; half is width // 2 + 1. Nothing is
    squashed yet: the sigmoid comes later. Gradients must flow to the spectrum.
    """
    raise NotImplementedError("Exercise 13.5 is waiting for your answer.")


# %% [13.6] Colours that go together


def colour_root(images: Float[Tensor, "image 3 h w"]) -> tuple[Float[Tensor, "3"], Float[Tensor, "3 3"]]:
    """(mean, root) of the colours of all pixels of all images together.

    root is the symmetric square root of their covariance Σ (divided by the number of
    pixels): root @ root = Σ, and root equals its transpose.
    """
    raise NotImplementedError("Exercise 13.6 is waiting for your answer.")


def decorrelated(
    images: Float[Tensor, "image 3 h w"], mean: Float[Tensor, "3"], root: Float[Tensor, "3 3"]
) -> Float[Tensor, "image 3 h w"]:
    """z of every pixel, with colour = mean + root @ z."""
    raise NotImplementedError("Exercise 13.6 is waiting for your answer.")


# %% [13.7] Move it


def render(
    model: VisionModel,
    layer: str,
    units: list[int],
    spectrum: Float[Tensor, "picture 3 h half 2"],
    width: int,
    root: Float[Tensor, "3 3"],
    moves: list[tuple[int, int]],
    most: int,
    rate: float,
) -> Float[Tensor, "picture 3 h width"]:
    """Pictures for units: waves, colours, movement, Adam. Returns images, 0 to 1.

    The image is sigmoid(root @ colour) of each pixel's colour in `from_waves`. There is a
    step for each move (y, x): cut out the window that is `most` pixels smaller in both
    directions and begins y rows from the top and x columns from the left. Run the network
    on that, and go uphill in `channel` with `torch.optim.Adam([spectrum], lr=rate)`
    (maximize=True). What is returned is whole, and was not moved. `spectrum` itself must
    not be changed.
    """
    raise NotImplementedError("Exercise 13.7 is waiting for your answer.")


# %% [13.8] What it costs


def total_variation(images: Float[Tensor, "picture 3 h w"]) -> Float[Tensor, "picture"]:
    """How much neighbours differ: the mean of |difference| of all pairs one above the
    other, plus that of all pairs side by side. Means are over pairs and colours.
    Gradients must flow."""
    raise NotImplementedError("Exercise 13.8 is waiting for your answer.")


def penalised(
    acts: Float[Tensor, "picture unit row column"],
    images: Float[Tensor, "picture 3 h w"],
    units: list[int],
    smooth: float,
    grey: float,
) -> Float[Tensor, "picture"]:
    """What to make large, if roughness and strong colours have a price.

    `channel`, minus smooth × `total_variation`, minus grey × the mean squared distance of
    the image from 0.5. Gradients must flow.
    """
    raise NotImplementedError("Exercise 13.8 is waiting for your answer.")


# %% [13.9] Several pictures


def alike(acts: Float[Tensor, "picture unit row column"]) -> Float[Tensor, "picture"]:
    """How alike each picture is to the others: the mean of cos(G_i, G_j) over all j ≠ i.

    G_i is the Gram matrix [unit unit] of picture i: entry (u, v) is the sum over places of
    the activation of u times that of v. The cosine of two matrices is that of all their
    numbers in a row. Gradients must flow.
    """
    raise NotImplementedError("Exercise 13.9 is waiting for your answer.")


def different(
    acts: Float[Tensor, "picture unit row column"], units: list[int], weight: float
) -> Float[Tensor, "picture"]:
    """What to make large, so that pictures of one unit become DIFFERENT: `channel` and
    `alike`, the latter multiplied by the weight (which is above 0)."""
    raise NotImplementedError("Exercise 13.9 is waiting for your answer.")


# %% [13.10] In another network


def partners(a: Float[Tensor, "image unit"], b: Float[Tensor, "image other"]) -> Int[Tensor, "unit"]:
    """For each unit of one network the unit of another whose activations on the same
    images have the largest correlation (Pearson's r) with its own.

    A unit that is equally active on all images has the correlation 0 with all others.
    """
    raise NotImplementedError("Exercise 13.10 is waiting for your answer.")


def carried(
    on_images: Float[Tensor, "image other"],
    on_pictures: Float[Tensor, "picture other"],
    partner: Int[Tensor, "picture"],
) -> Float[Tensor, "picture"]:
    """How well each picture does with its partner: picture i with unit partner[i].

    It is the share of images that excite this unit LESS than picture i does. 1: more than
    any image. One half: like any image.
    """
    raise NotImplementedError("Exercise 13.10 is waiting for your answer.")


# %% [13.11] A picture that lies


def rank_correlation(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> float:
    """Spearman's ρ: Pearson's r of the ranks. Equal values share the mean of their ranks.

    It is 1 if b grows wherever a does, however unevenly; 0 if a or b does not vary at all.
    """
    raise NotImplementedError("Exercise 13.11 is waiting for your answer.")


def outdone(promised: Float[Tensor, "unit image"], answers: Float[Tensor, "unit image"]) -> Float[Tensor, "unit"]:
    """For each unit, how many OTHER pictures foretell its answers better than its own.

    promised[p] is what the picture of unit p promises of each image, answers[u] is how
    active unit u is. Better: a larger `rank_correlation`. The result is a share of the
    other pictures: 0 if none is better, 1 if all are.
    """
    raise NotImplementedError("Exercise 13.11 is waiting for your answer.")


# %% [13.12] The finding


def foretell(
    pictures: Float[Tensor, "unit 3 h w"], stimuli: Float[Tensor, "stimulus 3 h w"]
) -> Float[Tensor, "unit stimulus"]:
    """How active will each unit be, on average over its map, for images that it has never
    been shown?

    You get no network: pictures alone, one for each unit of one layer, made for the whole
    map. Only the ORDER counts that you promise for each unit: the image that you give the
    largest number should excite it most. It may be in any unit of measurement.

    `bands(images)` [image 12] may help: how strong what is fine, middling, wide and very
    wide is in each image, for light, red against green, and yellow against blue.
    """
    raise NotImplementedError("Exercise 13.12 is waiting for your answer.")
