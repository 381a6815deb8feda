# %% [setup]
"""Chapter 06: sparse autoencoders.

Replace each `raise NotImplementedError` by your answer; `mi check 06.1` says how you do.
Every line that starts with `# %%` begins a section. Leave those lines where they are.

x [batch d] are activations, f [batch latent] those of the latents, x̂ [batch d] (`out`)
what is made of f. W_enc [d latent] and b_enc [latent] belong to the encoder, W_dec
[latent d] and b_dec [d] to the decoder. Row i of W_dec is the direction d_i of latent i.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from mi_lib.models import HookedModel
from mi_lib.worlds.littletown import people, requests

# %% [06.1] Encode and decode


def encode(
    x: Float[Tensor, "batch d"],
    W_enc: Float[Tensor, "d latent"],
    b_enc: Float[Tensor, "latent"],
    b_dec: Float[Tensor, "d"],
) -> Float[Tensor, "batch latent"]:
    """f = ReLU((x − b_dec) W_enc + b_enc): how active each latent is.

    What the decoder adds at the end is taken away first. Gradients must flow to all but
    x.
    """
    raise NotImplementedError("Exercise 06.1 is waiting for your answer.")


def decode(
    f: Float[Tensor, "batch latent"],
    W_dec: Float[Tensor, "latent d"],
    b_dec: Float[Tensor, "d"],
) -> Float[Tensor, "batch d"]:
    """x̂ = Σ_i f_i d_i + b_dec. Gradients must flow to all three."""
    raise NotImplementedError("Exercise 06.1 is waiting for your answer.")


# %% [06.2] The loss and its scale


def sae_loss(
    x: Float[Tensor, "batch d"],
    out: Float[Tensor, "batch d"],
    f: Float[Tensor, "batch latent"],
    W_dec: Float[Tensor, "latent d"],
    l1: float,
) -> Float[Tensor, ""]:
    """L = ‖x − x̂‖² + λ Σ_i f_i ‖d_i‖, both averaged over the batch. λ is `l1`.

    ‖x − x̂‖² is the sum over coordinates. Gradients must flow to out, f and W_dec.
    """
    raise NotImplementedError("Exercise 06.2 is waiting for your answer.")


def input_scale(x: Float[Tensor, "batch d"]) -> float:
    """The number s by which x must be multiplied so that ‖s x‖² is 1 on average."""
    raise NotImplementedError("Exercise 06.2 is waiting for your answer.")


def fold_in(
    W_enc: Float[Tensor, "d latent"],
    b_enc: Float[Tensor, "latent"],
    W_dec: Float[Tensor, "latent d"],
    b_dec: Float[Tensor, "d"],
    scale: float,
) -> tuple[
    Float[Tensor, "d latent"],
    Float[Tensor, "latent"],
    Float[Tensor, "latent d"],
    Float[Tensor, "d"],
]:
    """A dictionary was trained on scale · x. Make of it one that reads x itself.

    For every x its f and its x̂ must be those that the old one has for scale · x, divided
    by scale. So all is in units of x again. The directions keep their length. Returns
    W_enc, b_enc, W_dec and b_dec.
    """
    raise NotImplementedError("Exercise 06.2 is waiting for your answer.")


# %% [06.3] What L1 costs


def best_activation(a: Float[Tensor, "case"], l1: float) -> Float[Tensor, "case"]:
    """One feature, alone, with a direction of length 1: x = a d, and x̂ = f d.

    The f that makes (a − f)² + λ f smallest, among those that are not negative. λ is
    `l1`.
    """
    raise NotImplementedError("Exercise 06.3 is waiting for your answer.")


def relative_size(
    a: Float[Tensor, "batch feature"],
    f: Float[Tensor, "batch feature"],
) -> Float[Tensor, "feature"]:
    """How large a latent says that its feature is: Σ a f / Σ a², for each feature.

    f[:, i] is the latent that belongs to feature i. Both sums are over the inputs at
    which both are active (above 0): to be silent is another fault. 1 is right, below 1
    is shrunken. Where both are never active at the same input it is 0 (and not NaN).
    """
    raise NotImplementedError("Exercise 06.3 is waiting for your answer.")


# %% [06.4] The k largest


def top_k(pre: Float[Tensor, "batch latent"], k: int) -> Float[Tensor, "batch latent"]:
    """TopK: of ReLU(pre), the k largest of each input stay, and all others become 0.

    pre is what the encoder has before its ReLU. An input with fewer than k positive
    numbers has fewer than k active latents. Where several are equally large, any of them
    may stay, but no more than k in all. Gradients must flow to what stays.
    """
    raise NotImplementedError("Exercise 06.4 is waiting for your answer.")


def batch_top_k(pre: Float[Tensor, "batch latent"], k: int) -> Float[Tensor, "batch latent"]:
    """BatchTopK: of ReLU(pre), the k · batch largest of the WHOLE BATCH stay.

    So an input may have more active latents than another one. Where several are equally
    large, any of them, but no more than k · batch in all.
    """
    raise NotImplementedError("Exercise 06.4 is waiting for your answer.")


def next_threshold(threshold: float, f: Float[Tensor, "batch latent"], keep: float) -> float:
    """The threshold after one more batch of the training, whose f came from
    `batch_top_k`.

    It is a running mean of the smallest activation of a batch that is not 0:
    keep · threshold + (1 − keep) · smallest. The first batch, where threshold is still 0,
    gives the smallest itself. A batch in which nothing is active changes nothing.
    """
    raise NotImplementedError("Exercise 06.4 is waiting for your answer.")


def above_threshold(pre: Float[Tensor, "batch latent"], threshold: float) -> Float[Tensor, "batch latent"]:
    """BatchTopK once it is trained: what is above the threshold stays, whole; the rest
    is 0.

    No input depends on the other inputs of its batch. threshold is not negative.
    """
    raise NotImplementedError("Exercise 06.4 is waiting for your answer.")


# %% [06.5] A threshold that learns


def jumprelu(
    z: Float[Tensor, "batch latent"],
    theta: Float[Tensor, "latent"],
    width: float,
) -> Float[Tensor, "batch latent"]:
    """JumpReLU: f = z · 1[z > θ], with a threshold θ of its own for each latent.

    With these gradients, where ε is `width` and K(u) = 1 for |u| < 1/2, else 0:

        ∂f/∂z = 1[z > θ]                  the true one
        ∂f/∂θ = −(θ/ε) K((z − θ)/ε)       instead of the true one, which is 0

    A `torch.autograd.Function` can have any gradients that you like. So can a sum with
    `(g * theta)` and `(g * theta).detach()` in it.
    """
    raise NotImplementedError("Exercise 06.5 is waiting for your answer.")


def count_active(
    z: Float[Tensor, "batch latent"],
    theta: Float[Tensor, "latent"],
    width: float,
) -> Float[Tensor, ""]:
    """L0: how many latents have z > θ, averaged over the batch.

    Of 1[z > θ] the gradients are 0 for z, and −(1/ε) K((z − θ)/ε) for θ.
    """
    raise NotImplementedError("Exercise 06.5 is waiting for your answer.")


# %% [06.6] Whether, and how much


def gated(
    gate: Float[Tensor, "batch latent"],
    b_enc: Float[Tensor, "latent"],
    r: Float[Tensor, "latent"],
    b_mag: Float[Tensor, "latent"],
) -> Float[Tensor, "batch latent"]:
    """f = 1[π > 0] · ReLU(e^r (π − b_enc) + b_mag).

    The gate is π = (x − b_dec) W_enc + b_enc: whether. The rest says how much, with the
    same W_enc (so π − b_enc is (x − b_dec) W_enc), another scale, and another bias.
    Gradients must flow through the second factor.
    """
    raise NotImplementedError("Exercise 06.6 is waiting for your answer.")


def gated_loss(
    x: Float[Tensor, "batch d"],
    gate: Float[Tensor, "batch latent"],
    f: Float[Tensor, "batch latent"],
    W_dec: Float[Tensor, "latent d"],
    b_dec: Float[Tensor, "d"],
    l1: float,
) -> Float[Tensor, ""]:
    """‖x − x̂‖² + λ Σ_i ReLU(π_i) ‖d_i‖ + ‖x − x̃‖², averaged over the batch.

    x̂ is decoded from f. x̃ is decoded from ReLU(π), so that the gate learns to explain
    x too. But in x̃ the decoder is FROZEN: no gradient may come to W_dec and b_dec from
    there.
    """
    raise NotImplementedError("Exercise 06.6 is waiting for your answer.")


# %% [06.7] Nested


def nested_loss(
    x: Float[Tensor, "batch d"],
    f: Float[Tensor, "batch latent"],
    W_dec: Float[Tensor, "latent d"],
    b_dec: Float[Tensor, "d"],
    prefixes: list[int],
) -> Float[Tensor, ""]:
    """Matryoshka: the mean, over the prefixes m, of ‖x − x̂_m‖², averaged over the batch.

    x̂_m is what the FIRST m latents say, alone: Σ_{i < m} f_i d_i + b_dec. The last
    prefix is the number of latents. Gradients must flow to f, W_dec and b_dec.
    """
    raise NotImplementedError("Exercise 06.7 is waiting for your answer.")


# %% [06.8] Dead latents


def draw_weights(x: Float[Tensor, "batch d"], out: Float[Tensor, "batch d"]) -> Float[Tensor, "batch"]:
    """With which probability each input is drawn to give a dead latent a new start.

    In proportion to its squared error ‖x − x̂‖². The probabilities add up to 1; if all
    errors are 0, every input is as likely as any other.
    """
    raise NotImplementedError("Exercise 06.8 is waiting for your answer.")


def restart(
    W_enc: Float[Tensor, "d latent"],
    b_enc: Float[Tensor, "latent"],
    W_dec: Float[Tensor, "latent d"],
    dead: Bool[Tensor, "latent"],
    residual: Float[Tensor, "n_dead d"],
) -> tuple[Float[Tensor, "d latent"], Float[Tensor, "latent"], Float[Tensor, "latent d"]]:
    """New rows for the dead latents: residual[j] = x − x̂ belongs to the j-th of them.

    The row of W_dec becomes the direction of the residual, at length 1. The column of
    W_enc becomes the same direction, at 0.2 times the mean length of the LIVING columns.
    The bias becomes 0. Living latents stay as they are. Returns W_enc, b_enc and W_dec;
    the arguments themselves must not change.
    """
    raise NotImplementedError("Exercise 06.8 is waiting for your answer.")


# %% [06.9] Four numbers


def mean_l0(f: Float[Tensor, "batch latent"]) -> float:
    """L0: how many latents are active (above 0) in an input, on average."""
    raise NotImplementedError("Exercise 06.9 is waiting for your answer.")


def variance_explained(x: Float[Tensor, "batch d"], out: Float[Tensor, "batch d"]) -> float:
    """FVE = 1 − Σ Var(x − x̂) / Σ Var(x): variances over the batch, sums over
    coordinates.

    A variance is about the MEAN: whoever says nothing but the mean of x explains 0.
    """
    raise NotImplementedError("Exercise 06.9 is waiting for your answer.")


def loss_recovered(clean: float, spliced: float, ablated: float) -> float:
    """The share of a model's loss that a dictionary saves: 1 if nothing is lost, 0 if as
    much is lost as by ablation.

    clean: the loss as it is. spliced: with x̂ in the place of x. ablated: with the mean
    activation in the place of x.
    """
    raise NotImplementedError("Exercise 06.9 is waiting for your answer.")


def match_features(
    directions: Float[Tensor, "feature d"],
    W_dec: Float[Tensor, "latent d"],
) -> tuple[Int[Tensor, "feature"], Float[Tensor, "feature"]]:
    """Which latent belongs to which planted feature, and the cosine of the two.

    ONE TO ONE: no latent may belong to two features. Of all such matchings the one whose
    cosines add up to most: `scipy.optimize.linear_sum_assignment`. A latent that points
    the opposite way has found nothing. There are at least as many latents as features.
    """
    raise NotImplementedError("Exercise 06.9 is waiting for your answer.")


# %% [06.10] The finding: planted features


def train_dictionary(
    x: Float[Tensor, "batch d"],
    n_latents: int,
    k: int,
    steps: int,
    seed: int,
) -> tuple[
    Float[Tensor, "d latent"],
    Float[Tensor, "latent"],
    Float[Tensor, "latent d"],
    Float[Tensor, "d"],
]:
    """Train a dictionary on x, and return W_enc, b_enc, W_dec and b_dec, without
    gradients.

    It is used as decode(top_k((x − b_dec) W_enc + b_enc, k), …), and graded by what it
    has found: on several seeds, and for x of several sizes. Loss and optimizer are your
    choice. What helps:

    1. Scale the inputs (06.2), and fold the scale in at the end.
    2. Start with random rows of W_dec of length 1, W_enc as their transpose, b_enc at 0
       and b_dec at the mean of the scaled inputs.
    3. Each step takes 128 inputs at random. Adam, at a rate of 0.01 that falls to 0 over
       the last steps.
    4. After each step give every row of W_dec length 1 again.

    Everything random comes from the seed. About 400 steps should take about a second.
    """
    raise NotImplementedError("Exercise 06.10 is waiting for your answer.")


# %% [06.11] The latent of a concept


def f1_table(
    active: Bool[Tensor, "word latent"],
    holds: Bool[Tensor, "word concept"],
) -> Float[Tensor, "latent concept"]:
    """How well "the latent is active" says "the concept holds":

        F1 = 2 · |active and holds| / (|active| + |holds|)

    where |…| is a number of words. 0 where a latent is never active and the concept holds
    nowhere (and not NaN).
    """
    raise NotImplementedError("Exercise 06.11 is waiting for your answer.")


def choose_latent(f: Float[Tensor, "word latent"], holds: Bool[Tensor, "word"]) -> tuple[int, float]:
    """The latent that stands for a concept best, and the threshold above which it
    counts as active.

    For each latent ten thresholds are tried: 0, 0.1, 0.2, …, 0.9 times its largest value.
    The pair with the largest F1 wins. To be used on training texts.
    """
    raise NotImplementedError("Exercise 06.11 is waiting for your answer.")


def judge_latent(
    f: Float[Tensor, "word latent"],
    holds: Bool[Tensor, "word"],
    latent: int,
    threshold: float,
) -> float:
    """The F1 of one latent above one threshold. To be used on texts that were kept out."""
    raise NotImplementedError("Exercise 06.11 is waiting for your answer.")


# %% [06.12] A hole in a concept


def share_said(
    f: Float[Tensor, "word latent"],
    W_dec: Float[Tensor, "latent d"],
    direction: Float[Tensor, "d"],
) -> Float[Tensor, "word latent"]:
    """What each latent says along a direction: f_i · cos(d_i, direction).

    The direction, and the rows of W_dec, may have any length.
    """
    raise NotImplementedError("Exercise 06.12 is waiting for your answer.")


def absorbed(
    x: Float[Tensor, "word d"],
    f: Float[Tensor, "word latent"],
    W_dec: Float[Tensor, "latent d"],
    direction: Float[Tensor, "d"],
    main: int,
) -> tuple[Bool[Tensor, "word"], Int[Tensor, "word"]]:
    """At which words the concept is absorbed, and the latent that says most of it there.

    The concept holds at all of these words. `direction` is the way in which it points,
    and `main` is the latent that stands for it. A word is absorbed if

    1. main is silent there, and
    2. the latent that says most along the direction (`share_said`) says at least 0.4 of
       what there is to say: the component of x along the direction (of length 1).

    Where that component is not above 0 nothing is absorbed. The latent that says most is
    given for every word.
    """
    raise NotImplementedError("Exercise 06.12 is waiting for your answer.")


# %% [06.13] Give it a name

LATENTS = (183, 1260, 410)


def detection(said: Bool[Tensor, "word"], active: Bool[Tensor, "word"]) -> float:
    """How well a name says where a latent is active.

        P(said | active) − P(said | silent)

    Of the words at which the latent is active, the share at which the name holds; less
    the same share of the words at which it is silent. 1 is perfect. "Always" and
    "never" get 0. There are words of both kinds.
    """
    raise NotImplementedError("Exercise 06.13 is waiting for your answer.")


def named(latent: int, words: list[str]) -> list[bool]:
    """Your name for a latent, as a rule: at which words of a text is it active?

    `words` is a whole text, and there is one answer for each of them. The lesson shows
    where three latents of Pico's dictionary, LATENTS, are active in training texts.
    Write a rule for each. On texts that were kept out its `detection` must be at least
    0.7, and of the words that it names at least half must be active.

    A rule may look at the word, and at what stands before it. The lists of `people` and
    `requests` may be used: people.TOWNS, people.NAMES, people.TRADES, requests.HARSH, …
    """
    raise NotImplementedError("Exercise 06.13 is waiting for your answer.")


# %% [06.14] Only for reading?


def clamp(
    x: Float[Tensor, "batch pos d"],
    f: Float[Tensor, "batch pos latent"],
    W_dec: Float[Tensor, "latent d"],
    latent: int,
    value: float,
) -> Float[Tensor, "batch pos d"]:
    """x, with one latent held at a value, and everything else as it is.

    Also what the dictionary does not explain stays: x moves along d_latent, and by
    nothing else. x itself must not be changed.
    """
    raise NotImplementedError("Exercise 06.14 is waiting for your answer.")


def random_push(change: Float[Tensor, "batch pos d"], seed: int) -> Float[Tensor, "batch pos d"]:
    """The control: at each place a random direction, with the length that `change` has
    there.

    Every direction is as likely as any other. All random numbers come from the seed.
    """
    raise NotImplementedError("Exercise 06.14 is waiting for your answer.")


def says_next(
    model: HookedModel,
    tokens: Int[Tensor, "batch pos"],
    site: str,
    x: Float[Tensor, "batch d"],
    words: Int[Tensor, "word"],
) -> Float[Tensor, "batch"]:
    """With which probability the next word is one of `words`, if x stands at the LAST
    position of the site.

    Run the model with an edit there (`model.run_with_hooks(tokens, [(site, edit)])`; an
    edit takes the value and the hook, and returns the new value). Softmax over the whole
    vocabulary, at the last position, then the sum over the words.
    """
    raise NotImplementedError("Exercise 06.14 is waiting for your answer.")


# %% [06.15] The finding: at which width?


def group_words(vectors: Float[Tensor, "word d"], n_groups: int) -> Int[Tensor, "word"]:
    """The number of each word's group: 0 … n_groups − 1, in any order of the groups.

    A dictionary in which ONE latent is active at a time sorts what it reads into
    groups, one for each latent. Sort without a dictionary: Ward's method begins with a
    group for each word, and again and again joins the two groups whose joining adds
    least to the squared distances of words from the middle of their group.
    `scipy.cluster.hierarchy` has `linkage(vectors, "ward")` and
    `fcluster(tree, n_groups, "maxclust")`.
    """
    raise NotImplementedError("Exercise 06.15 is waiting for your answer.")


def predict(
    vectors: Float[Tensor, "word d"],
    holds: Bool[Tensor, "word concept"],
    widths: list[int],
) -> Float[Tensor, "width concept"]:
    """Your prediction, before any dictionary is trained: with so many latents, how well
    will ONE of them stand for each concept?

    For every width the best F1 (06.11) that a group of words has with the concept, if the
    words are sorted into so many groups.
    """
    raise NotImplementedError("Exercise 06.15 is waiting for your answer.")


def one_latent(
    scores: Float[Tensor, "width concept"],
    widths: list[int],
) -> list[tuple[int, int]]:
    """For each concept the smallest and the largest width at which its F1 is at least
    0.8; (0, 0) for one that is never a latent. Widths rise.
    """
    raise NotImplementedError("Exercise 06.15 is waiting for your answer.")
