# %% [setup]
"""Chapter 05: superposition and polysemanticity.

Replace each `raise NotImplementedError` by your answer; `mi check 05.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

Many small models, the instances, are computed at once: the first axis says which.
W [instance hidden feature] are their weights; the column W[k, :, i] is the direction in
which instance k stores feature i. x [instance batch feature] are its inputs.

Sparsity S is the probability that a feature is ABSENT. It is present with p = 1 − S.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# %% [05.1] Features that are mostly absent


def sparse_features(
    sparsity: Float[Tensor, "instance"],
    n_features: int,
    batch: int,
    seed: int,
) -> Float[Tensor, "instance batch feature"]:
    """Random inputs: each feature is 0 with the probability `sparsity` of its instance,
    and otherwise uniform between 0 and 1.

    Every feature of every input decides for itself, whatever the others do. All random
    numbers come from the seed: the same seed gives the same inputs, another seed others.
    """
    raise NotImplementedError("Exercise 05.1 is waiting for your answer.")


# %% [05.2] Squeeze and unpack


def reconstruct(
    W: Float[Tensor, "instance hidden feature"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "instance batch feature"],
) -> Float[Tensor, "instance batch feature"]:
    """The ReLU output model: x' = ReLU(Wᵀ W x + b), each instance with its own W and b.

    x stands here for one input as a column. Gradients must flow to W and b: exercise
    05.3 trains them.
    """
    raise NotImplementedError("Exercise 05.2 is waiting for your answer.")


def weighted_loss(
    x: Float[Tensor, "instance batch feature"],
    out: Float[Tensor, "instance batch feature"],
    importance: Float[Tensor, "feature"],
) -> Float[Tensor, "instance"]:
    """Σ_i I_i (x_i − x'_i)²: summed over features, averaged over the batch, one number
    for each instance. I_i is the importance of feature i. Gradients must flow to `out`.
    """
    raise NotImplementedError("Exercise 05.2 is waiting for your answer.")


# %% [05.3] Train many at once


def train(
    sparsity: Float[Tensor, "instance"],
    n_features: int,
    n_hidden: int,
    importance: Float[Tensor, "feature"],
    steps: int,
    batch: int,
    lr: float,
    seed: int,
) -> tuple[Float[Tensor, "instance hidden feature"], Float[Tensor, "instance feature"]]:
    """Train one model for each entry of `sparsity`, all of them in the same loop.

    W starts as random normal numbers of standard deviation about 0.3 to 0.6, b as 0.
    Each of the `steps` draws new inputs, `batch` for each instance, and makes one step
    of `torch.optim.Adam` with learning rate lr on W and b. The loss that is minimised is
    the SUM of `weighted_loss` over instances: they share no weight, so each of them
    learns as if it were alone. Returns (W, b) without gradients.

    Everything random comes from the seed. It is graded by what your models look like.
    """
    raise NotImplementedError("Exercise 05.3 is waiting for your answer.")


# %% [05.4] The control without a ReLU


def linear_floor(
    sparsity: Float[Tensor, "instance"],
    importance: Float[Tensor, "feature"],
    n_hidden: int,
) -> Float[Tensor, "instance"]:
    """The least loss that the model could have without its ReLU, x' = Wᵀ W x + b.

    It keeps the n_hidden most important features, and for each of the others gives back
    the mean. So it pays I_i · v for every feature that it drops, where v is the variance
    of one feature. Work v out: with p = 1 − S, what are E[x²] and E[x]?

    Importances may come in any order.
    """
    raise NotImplementedError("Exercise 05.4 is waiting for your answer.")


def count_stored(W: Float[Tensor, "instance hidden feature"]) -> Int[Tensor, "instance"]:
    """How many features each instance stores: those whose column is at least 0.5 long."""
    raise NotImplementedError("Exercise 05.4 is waiting for your answer.")


# %% [05.5] How much of a dimension?


def dimensionality(
    W: Float[Tensor, "instance hidden feature"],
) -> Float[Tensor, "instance feature"]:
    """D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)²: the share of a dimension that feature i has.

    W_i is the column of feature i, Ŵ_i = W_i / ‖W_i‖ has length 1. The sum goes over ALL
    features j, i itself included. A column that is 0 has D = 0 (and not NaN).
    """
    raise NotImplementedError("Exercise 05.5 is waiting for your answer.")


# %% [05.6] Name the shape


def find_shapes(W: Float[Tensor, "hidden feature"]) -> list[tuple[int, int]]:
    """The shapes of ONE instance: for each its number of features, and of dimensions.

    1. Leave out features whose column is shorter than 0.5.
    2. Two features touch if the cosine of their angle is above 0.15 or below −0.15. A
       shape is all that hangs together: from any of its features a chain of touching
       features leads to any other.
    3. The dimensions of a shape are those that its columns span: the number of singular
       values that are more than 0.15 of the largest.

    A pentagon is (5, 2), two features on one line are (2, 1). Sorted, the largest first.
    """
    raise NotImplementedError("Exercise 05.6 is waiting for your answer.")


# %% [05.7] Three phases


def phase_losses(
    sparsity: Float[Tensor, "case"],
    importance: Float[Tensor, "case"],
) -> Float[Tensor, "phase case"]:
    """Two features, ONE hidden dimension. The first has importance 1, the second the one
    given. The loss of three models, in this order:

    0  dropped     W = [1 0]: the second feature is not stored. The first comes back
                   exactly. b gives the second its mean.
    1  own axis    W = [0 1]: the same, the other way round.
    2  superposed  W = [1 −1], b = 0: both on one line, in opposite directions.

    Work each of them out with p = 1 − S, by hand. For two values that are uniform
    between 0 and 1, the mean of the square of the smaller one is 1/6.
    """
    raise NotImplementedError("Exercise 05.7 is waiting for your answer.")


# %% [05.8] Features that know of each other


def paired_features(
    sparsity: Float[Tensor, "instance"],
    n_features: int,
    batch: int,
    together: bool,
    seed: int,
) -> Float[Tensor, "instance batch feature"]:
    """Inputs as in 05.1, but features come in pairs: (0, 1), (2, 3), …

    together = True: the two of a pair are present at the same inputs, or both absent.
    Their values are still two different random numbers. together = False: they are never
    present at the same input. Either way EACH feature is absent with the probability
    `sparsity` (for together = False it is never below 0.5), and different pairs know
    nothing of each other.
    """
    raise NotImplementedError("Exercise 05.8 is waiting for your answer.")


# %% [05.9] Neurons


def absolute_values(
    W_in: Float[Tensor, "instance neuron feature"],
    W_out: Float[Tensor, "instance feature neuron"],
    b: Float[Tensor, "instance feature"],
    x: Float[Tensor, "instance batch feature"],
) -> Float[Tensor, "instance batch feature"]:
    """A network with neurons in the middle: y' = ReLU(W_out ReLU(W_in x) + b).

    It is to be trained until it gives |x| for features between −1 and 1. Gradients must
    flow to all of its weights.
    """
    raise NotImplementedError("Exercise 05.9 is waiting for your answer.")


def monosemanticity(
    W_in: Float[Tensor, "instance neuron feature"],
) -> Float[Tensor, "instance neuron"]:
    """The share of a neuron's weights that belongs to its strongest feature:
    max_i |W_i| / Σ_i |W_i|. 1 means that it listens to one feature alone. A neuron whose
    weights are all 0 has 0 (and not NaN).
    """
    raise NotImplementedError("Exercise 05.9 is waiting for your answer.")


# %% [05.10] The worst nudge


def worst_nudge(W: Float[Tensor, "hidden feature"], i: int, size: float) -> Float[Tensor, "feature"]:
    """The change of the input, of length `size`, that raises output i the most.

    Of one instance, and of the output before its ReLU: out_i = W_i · (W x) + b_i.
    """
    raise NotImplementedError("Exercise 05.10 is waiting for your answer.")


def sensitivity(W: Float[Tensor, "hidden feature"]) -> Float[Tensor, "feature"]:
    """For each output, by how much the worst nudge of length 1 raises it."""
    raise NotImplementedError("Exercise 05.10 is waiting for your answer.")


# %% [05.11] The neurons of Pico


def answers_to(
    values: Float[Tensor, "word neuron"],
    holds: Bool[Tensor, "word concept"],
    n_top: int,
) -> Bool[Tensor, "neuron concept"]:
    """Whether a neuron answers to a concept.

    A neuron's top words are the n_top words at which its value is largest. It answers to
    a concept if at least half of ALL words of the concept are among them. A concept that
    holds at no word is answered by no neuron. (No two values of a neuron are equal.)
    """
    raise NotImplementedError("Exercise 05.11 is waiting for your answer.")


def is_polysemantic(
    answers: Bool[Tensor, "neuron concept"],
    holds: Bool[Tensor, "word concept"],
) -> Bool[Tensor, "neuron"]:
    """Whether a neuron answers to two concepts that have nothing to do with each other:
    that never hold at the same word.
    """
    raise NotImplementedError("Exercise 05.11 is waiting for your answer.")


# %% [05.12] The finding

LENGTHS = (0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
BIASES = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4)


def predict_shape(candidates: list[Float[Tensor, "hidden feature"]], sparsity: float, seed: int) -> int:
    """Which of these arrangements training will find: the number, in the list, of the one
    that can have the smallest loss. All features are equally important (1).

    The columns of a candidate are 1 long, or 0 for features that are not stored. It may
    choose how long its columns are, one of LENGTHS for all, and b, one of BIASES for all
    stored features: what counts is its smallest loss. For a feature that is not stored,
    b is its mean, p / 2. Measure all losses on the same 20,000 random inputs.
    """
    raise NotImplementedError("Exercise 05.12 is waiting for your answer.")


def find_geometry(n_features: int, n_hidden: int, sparsity: float, seed: int) -> list[tuple[int, int]]:
    """The shapes that training finds, where all features are equally important.

    Some models get stuck. So train eight at once that differ only in their first weights
    and their inputs, and return the shapes (05.6) of the one whose loss, on fresh inputs,
    is smallest. 1,000 steps of 128 inputs with learning rate 0.01 are enough.
    """
    raise NotImplementedError("Exercise 05.12 is waiting for your answer.")
