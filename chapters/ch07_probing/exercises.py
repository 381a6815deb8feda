# %% [setup]
"""Chapter 07: what does a network know, and what does it use?

Replace each `raise NotImplementedError` by your answer; `mi check 07.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

x [n d] are activations, a row for each text, y [n] their labels, whole numbers from 0
on. A probe is fitted on x and y, and judged on others, held_x and held_y.

Texts differ in length, so they are padded: mask [text pos] is True at real tokens, and
padding may stand on either side. `text_positions(tokens, mask)` is the column of each
text's last token, `at_positions(values, columns)` is what stands there, one row a text.

At depth 0 the residual stream is what enters the first block, ("resid_pre", 0); depth k
is what enters block k. The last depth, n_layers, is what leaves the last block.
"""

import itertools
import math
import random

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.text import at_positions, text_positions
from mi_lib.probing import mass_mean as library_probe
from mi_lib.probing import two_sided
from mi_lib.probing.mdl import chances_after


def chances(
    x: Float[Tensor, "n d"], y: Int[Tensor, "n"], n_classes: int, coming: Float[Tensor, "m d"]
) -> Float[Tensor, "m class"]:
    """For exercise 07.7: what a probe that was fitted on x and y holds of the labels of
    other activations, as probabilities."""

    def fit(a: Tensor, b: Tensor, k: int):
        return library_probe(a, b, k, covariance=True, shrink=0.1)

    return chances_after(fit, x, y, coming, n_classes)


# %% [07.1] Collect once


def collect(
    model: HookedModel,
    tokens: Int[Tensor, "text pos"],
    mask: Bool[Tensor, "text pos"],
) -> Float[Tensor, "depth text d_model"]:
    """The residual stream at each text's own last token, at every depth, from ONE run.

    Depths 0 … n_layers − 1 are ("resid_pre", depth), depth n_layers is
    ("resid_post", n_layers − 1). Padding must not be read: give the model the mask
    (`attention_mask=mask`), and read at `text_positions(tokens, mask)`.
    """
    raise NotImplementedError("Exercise 07.1 is waiting for your answer.")


# %% [07.2] The nearest mean


def mass_mean(x: Float[Tensor, "n d"], y: Int[Tensor, "n"]) -> tuple[Float[Tensor, "d"], float]:
    """(direction, bias) of a probe for two classes: x · direction + bias > 0 says 1.

    The direction leads from the mean of class 0 to the mean of class 1. The bias puts the
    border in the middle between the two means.
    """
    raise NotImplementedError("Exercise 07.2 is waiting for your answer.")


# %% [07.3] Correct for the spread


def corrected(x: Float[Tensor, "n d"], y: Int[Tensor, "n"], shrink: float) -> tuple[Float[Tensor, "d"], float]:
    """The same probe in units of how much activations vary: direction = Σ⁻¹ (μ₁ − μ₀).

    Σ is the covariance WITHIN classes: of each row minus the mean of its own class,
    divided by n − 2. Before it is inverted it is mixed with the identity,

        (1 − shrink) Σ + shrink · (mean of the diagonal of Σ) · 1,

    so that it has an inverse. The border goes through the middle between the means.
    """
    raise NotImplementedError("Exercise 07.3 is waiting for your answer.")


# %% [07.4] A probe for every depth


def ridge(
    x: Float[Tensor, "n d"], y: Int[Tensor, "n"], n_classes: int, penalty: float
) -> tuple[Float[Tensor, "class d"], Float[Tensor, "class"]]:
    """(W, b) of ridge regression: the class with the largest score x @ W.T + b is said.

    With x̃ = x − mean(x), and with t̃ the labels as one-hot rows minus their mean (the
    share of each class),

        Wᵀ = (x̃ᵀ x̃ + λ 1)⁻¹ x̃ᵀ t̃,    λ = penalty · (mean of the diagonal of x̃ᵀ x̃),

    and b is such that an x at the mean of all gets the shares of the classes as scores.
    """
    raise NotImplementedError("Exercise 07.4 is waiting for your answer.")


def accuracies(
    x: Float[Tensor, "depth n d"],
    y: Int[Tensor, "n"],
    held_x: Float[Tensor, "depth m d"],
    held_y: Int[Tensor, "m"],
    n_classes: int,
    penalty: float,
) -> Float[Tensor, "depth"]:
    """For each depth, the share of held_y that a ridge probe gets right: fitted on x and
    y, read on held_x."""
    raise NotImplementedError("Exercise 07.4 is waiting for your answer.")


# %% [07.5] Cut by combination


def leaks(combinations: list[tuple[str, str]], held: Bool[Tensor, "n"]) -> float:
    """Of the examples that are held out: which share has a combination that is fitted?"""
    raise NotImplementedError("Exercise 07.5 is waiting for your answer.")


def split(combinations: list[tuple[str, str]], share: float, seed: int) -> Bool[Tensor, "n"]:
    """Which examples are held out: True for those to read, False for those to fit.

    combinations[i] are the two words from which the label of example i follows.

    1. All examples of a combination are on one side.
    2. Hold out round(share · number of DIFFERENT combinations). Which ones, the seed alone
       decides, and not the order in which the examples come: another seed gives another
       cut. (A set of strings has another order in every run of Python: sort it before you
       draw.)
    3. Every word of a combination that is held out is fitted in some other combination,
       at the same place of the pair. (There are enough combinations for all three.)
    """
    raise NotImplementedError("Exercise 07.5 is waiting for your answer.")


# %% [07.6] A task that means nothing


def control_labels(types: list[str], n_classes: int, seed: int) -> Int[Tensor, "n"]:
    """A random label for each TYPE: all examples of a type get the same one.

    Every class is equally likely, and one type tells nothing about another. With the
    same seed a type has the same label in every call, whatever other types stand in the
    list; another seed gives other labels. (`hash` of a string differs from run to run
    of Python.)
    """
    raise NotImplementedError("Exercise 07.6 is waiting for your answer.")


def selectivity(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    control: Int[Tensor, "n"],
    held_x: Float[Tensor, "m d"],
    held_y: Int[Tensor, "m"],
    held_control: Int[Tensor, "m"],
    n_classes: int,
) -> float:
    """Accuracy on the labels minus accuracy on the control's: two ridge probes, of
    penalty 0.01, fitted on the same x and read on the same held_x."""
    raise NotImplementedError("Exercise 07.6 is waiting for your answer.")


# %% [07.7] How many bits?


def online_bits(x: Float[Tensor, "n d"], y: Int[Tensor, "n"], n_classes: int, ends: list[int]) -> float:
    """The length in bits of an online code of the labels.

    `ends` says where blocks end: [10, 30, 100] are the blocks 0 … 9, 10 … 29, 30 … 99.
    A label of the first block costs log2 of n_classes. Any other costs −log2 p, where p
    is what `chances` gives its true class if it is fitted on ALL blocks before its own,
    and on nothing else. The examples come in the order in which they are to be sent.
    """
    raise NotImplementedError("Exercise 07.7 is waiting for your answer.")


# %% [07.8] Said in another way


def transfer(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    templates: Int[Tensor, "n"],
    held_x: Float[Tensor, "m d"],
    held_y: Int[Tensor, "m"],
    held_templates: Int[Tensor, "m"],
    n_classes: int,
) -> Float[Tensor, "fitted read"]:
    """Accuracy of a ridge probe (penalty 0.01) that was fitted on one template alone, on
    held-out texts of each template.

    Row i: fitted on the texts of template i; column j: read on held-out texts of template
    j. Templates are numbered 0, 1, 2, …, and each occurs on both sides.
    """
    raise NotImplementedError("Exercise 07.8 is waiting for your answer.")


# %% [07.9] In the mirror


def flip(
    x: Float[Tensor, "n d"], reading: Float[Tensor, "d"], bias: float, direction: Float[Tensor, "d"]
) -> Float[Tensor, "n d"]:
    """Move each x along `direction`, until the probe says the opposite.

    What the probe says of x is the number s = x · reading + bias (above 0: class 1).
    After the move it must be −s. The direction may have any length, and need not be
    that of `reading`. x itself must not be changed.
    """
    raise NotImplementedError("Exercise 07.9 is waiting for your answer.")


def turned(
    model: HookedModel,
    tokens: Int[Tensor, "text pos"],
    mask: Bool[Tensor, "text pos"],
    depth: int,
    reading: Float[Tensor, "d_model"],
    bias: float,
    direction: Float[Tensor, "d_model"],
    one: Int[Tensor, "text"],
    other: Int[Tensor, "text"],
) -> Bool[Tensor, "text"]:
    """Whether the answer turns over if the probe is made to say the opposite.

    Flip what stands at ("resid_pre", depth) at each text's own last token, and nowhere
    else. The answer is which of two tokens, one[i] or other[i], has the larger logit
    after the last token of text i. True where it is another one than without the flip.
    """
    raise NotImplementedError("Exercise 07.9 is waiting for your answer.")


# %% [07.10] Any other push


def random_directions(like: Float[Tensor, "d"], n: int, seed: int) -> Float[Tensor, "n d"]:
    """n random vectors, each as long as `like`, each direction equally likely. The same
    seed gives the same ones, another seed others."""
    raise NotImplementedError("Exercise 07.10 is waiting for your answer.")


def pushed(
    model: HookedModel,
    tokens: Int[Tensor, "text pos"],
    mask: Bool[Tensor, "text pos"],
    depth: int,
    vectors: Float[Tensor, "vector d_model"],
    one: Int[Tensor, "text"],
    other: Int[Tensor, "text"],
) -> Float[Tensor, "vector"]:
    """For each vector, the share of texts whose answer is turned over if the vector is
    added at ("resid_pre", depth), at each text's own last token and nowhere else.

    Answer and turning over are those of exercise 07.9.
    """
    raise NotImplementedError("Exercise 07.10 is waiting for your answer.")


# %% [07.11] Take it out


def leace(
    x: Float[Tensor, "n d"], y: Int[Tensor, "n"], n_classes: int
) -> tuple[Float[Tensor, "d d"], Float[Tensor, "d"]]:
    """(M, μ) of the eraser r(x) = x − M (x − μ) that takes out all that a linear probe
    can read of y, and of all affine maps that do so moves x least: LEACE.

    μ is the mean of x. M = W⁺ P W with W = Σ_XX^(−1/2). P projects on the columns of
    W Σ_XZ, where Z are the labels as one-hot rows (Σ_XZ is [d class]). Compute in float64.

    One-hot rows add up to 1, so Σ_XZ has rank n_classes − 1 at most: a projector on its
    columns must not divide by a singular value that is 0. Treat singular values below a
    millionth of the largest one as 0. Σ_XX has an inverse in all that you will be given.
    """
    raise NotImplementedError("Exercise 07.11 is waiting for your answer.")


# %% [07.12] A concept as a direction


def cav(concept: Float[Tensor, "n d"], others: Float[Tensor, "m d"]) -> Float[Tensor, "d"]:
    """The activation vector of a concept: from the mean of other activations to the mean
    of the concept's, of length 1."""
    raise NotImplementedError("Exercise 07.12 is waiting for your answer.")


def gradients(
    model: HookedModel,
    tokens: Int[Tensor, "text pos"],
    mask: Bool[Tensor, "text pos"],
    depth: int,
    one: Int[Tensor, "text"],
    other: Int[Tensor, "text"],
) -> Float[Tensor, "text d_model"]:
    """How the answer changes with what stands at ("resid_pre", depth) at each text's own
    last token: the gradient there of logit[one] − logit[other] after the last token.

    Texts do not see each other, so the gradient of the sum over texts is that of each.
    `model.run_with_cache(tokens, site, attention_mask=mask, grad=True)` keeps the graph.
    """
    raise NotImplementedError("Exercise 07.12 is waiting for your answer.")


def score(slopes: Float[Tensor, "text d"], vector: Float[Tensor, "d"]) -> float:
    """TCAV's score: the share of texts whose answer grows if the activation goes a little
    towards the concept. slopes are the gradients, vector is a CAV."""
    raise NotImplementedError("Exercise 07.12 is waiting for your answer.")


# %% [07.13] Many random sets


def scores(
    slopes: Float[Tensor, "text d"],
    concept: Float[Tensor, "n d"],
    random_sets: Float[Tensor, "set m d"],
) -> Float[Tensor, "set"]:
    """The concept's score with a CAV against each of the random sets."""
    raise NotImplementedError("Exercise 07.13 is waiting for your answer.")


def null_scores(slopes: Float[Tensor, "text d"], random_sets: Float[Tensor, "set m d"]) -> Float[Tensor, "set"]:
    """What concepts get that are none: random set i as the concept, against random set
    i + 1; the last one against the first."""
    raise NotImplementedError("Exercise 07.13 is waiting for your answer.")


def holm(p: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """p-values corrected for their number, by Holm's method.

    The smallest is multiplied by n, the next by n − 1, and so on, the largest by 1. None
    may come out smaller than one that was smaller before (raise it to that), or larger
    than 1. The result is in the order of p.
    """
    raise NotImplementedError("Exercise 07.13 is waiting for your answer.")


def tcav(
    slopes: Float[Tensor, "text d"],
    concepts: Float[Tensor, "concept n d"],
    random_sets: Float[Tensor, "set m d"],
) -> Float[Tensor, "concept"]:
    """For each concept the corrected p-value: do its scores differ from those of concepts
    that are none? `two_sided(a, b)` is the p-value of a two-sided t-test (Welch)."""
    raise NotImplementedError("Exercise 07.13 is waiting for your answer.")


# %% [07.14] The finding


def find_used(
    model: HookedModel,
    tokens: Int[Tensor, "text pos"],
    mask: Bool[Tensor, "text pos"],
    labels: Int[Tensor, "property text"],
    one: Int[Tensor, "text"],
    other: Int[Tensor, "text"],
) -> tuple[int, int, Float[Tensor, "property d_model"], Float[Tensor, "property"], Float[Tensor, "property d_model"]]:
    """Several properties of the texts, labelled 0 or 1, can be read by a probe. Which one
    does the network use when it chooses between one[i] and other[i]?

    Returns (the number of the property, a depth, readings, biases, directions): for EACH
    property the flip of exercise 07.9 at this depth. It is judged on texts that you have
    not seen. There, other people's probes must say the opposite after each of your flips.
    The flip of the property that is used must turn over nearly all answers, those of all
    others hardly any. The depth is between 1 and n_layers − 1, and all properties must
    still be readable there. (To see which one is used, a few dozen texts are enough, and
    much quicker than all.)
    """
    raise NotImplementedError("Exercise 07.14 is waiting for your answer.")
