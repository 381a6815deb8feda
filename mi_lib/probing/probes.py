"""Linear probes: whatever they are fitted by, they are a table of weights, a bias for each class, and an argmax.

ridge        regression onto one-hot labels
logistic     scikit-learn's logistic regression
mass_mean    the nearest class mean; with covariance=True, the nearest in units of the spread within classes

All of them know where the middle is: their bias holds it. A direction without a bias, thresholded at 0, is right only
for activations whose mean is 0, and those of a network's stream are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mi_lib.probing.data import activations, class_means, to_fit
from mi_lib.statistics import interval

PENALTY = 1e-2  # of the ridge, as a share of the mean squared activation
SHRINK = 1e-3  # of the covariance within classes, towards a multiple of the identity


@dataclass(frozen=True)
class Probe:
    """scores = x @ weights.T + bias; the class with the largest score is the answer."""

    weights: Float[Tensor, "class d"]
    bias: Float[Tensor, " class"]

    def scores(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n class"]:
        """`Unusable` where x has another width, NaN, or no rows."""
        x = activations(x, width=self.weights.shape[1]).to(self.weights.device)
        return x.to(self.weights.dtype) @ self.weights.T + self.bias

    def __call__(self, x: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        return self.scores(x).argmax(-1)

    def chances(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n class"]:
        """The softmax of the scores: probabilities where the probe is logistic (or Gaussian: mass_mean with
        covariance), and not where it is a ridge."""
        return self.scores(x).softmax(-1)

    def direction(self, one: int = 1, other: int = 0) -> Float[Tensor, " d"]:
        """The normal of the boundary between two classes, towards `one`. Its length is what the fit gave it."""
        return self.weights[one] - self.weights[other]


Fit = Callable[[Float[Tensor, "n d"], Int[Tensor, " n"], int], Probe]


def ridge(x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int | None = None, penalty: float = PENALTY) -> Probe:
    """Ridge regression onto one-hot labels, centred (Hastie et al. 2009, §3.4.1 and §4.2).

    A class may have few examples, or none: its share is its prior. penalty: a share of the mean squared activation.
    """
    x, y, k = to_fit(x, y, classes, least=0)
    mean = x.mean(0)
    centred = (x - mean).double()
    target = torch.nn.functional.one_hot(y, k).double()
    prior = target.mean(0)
    gram = centred.T @ centred
    damped = gram + penalty * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.double)
    weights = torch.linalg.solve(damped, centred.T @ (target - prior)).T
    return Probe(weights, prior - weights @ mean.double())


def logistic(x: Float[Tensor, "n d"], y: Int[Tensor, " n"], classes: int | None = None, strength: float = 1.0) -> Probe:
    """Logistic regression with a squared penalty, by scikit-learn.

    Activations are centred and divided by ONE number, their root mean square, so that `strength` (scikit-learn's C: the
    larger, the weaker the penalty) means the same at every site. `Unusable` if a class has fewer than two examples.
    """
    from sklearn.linear_model import LogisticRegression

    x, y, k = to_fit(x, y, classes)
    mean = x.double().mean(0)
    scale = (x.double() - mean).pow(2).mean().sqrt().clamp(min=1e-12)
    # float64: in float32 the solver stops short of the optimum, in another place on another machine
    model = LogisticRegression(C=strength, max_iter=2000).fit(((x.double() - mean) / scale).numpy(), y.numpy())
    weights, bias = torch.from_numpy(model.coef_).double(), torch.from_numpy(model.intercept_).double()
    if k == 2:  # scikit-learn has one row for two classes: half of it to each side gives the same probabilities
        weights, bias = torch.cat([-weights, weights]) / 2, torch.cat([-bias, bias]) / 2
    weights = weights / scale
    return Probe(weights, bias - weights @ mean)


def within(x: Float[Tensor, "n d"], y: Int[Tensor, " n"], means: Float[Tensor, "class d"]) -> Float[Tensor, "d d"]:
    """The covariance within classes: of each example around the mean of its own class, pooled, divided by n − K."""
    apart = (x - means[y]).double()
    return apart.T @ apart / max(1, len(x) - len(means))


def mass_mean(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    classes: int | None = None,
    covariance: bool = False,
    shrink: float = SHRINK,
) -> Probe:
    """The class whose mean is nearest: μ_k · x − ½ |μ_k|² (Marks & Tegmark 2024, §5, for two classes).

    For two classes its direction is the difference of the means, and its threshold the middle between them. covariance:
    nearest in units of Σ, the covariance within classes (the "iid" form: μ_kᵀ Σ⁻¹ x − ½ μ_kᵀ Σ⁻¹ μ_k), which is linear
    discriminant analysis with equal priors. shrink: Σ is mixed with so much of (mean variance) · 1, so that it has an
    inverse where examples are few.
    """
    x, y, k = to_fit(x, y, classes)
    means = class_means(x.double(), y, k)
    weights = means
    if covariance:
        sigma = within(x, y, means)
        sigma = (1 - shrink) * sigma + shrink * sigma.diagonal().mean() * torch.eye(len(sigma), dtype=torch.double)
        weights = torch.linalg.solve(sigma, means.T).T
    return Probe(weights, -(weights * means).sum(-1) / 2)


# --- how well -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """How a probe did on examples that it was not fitted on: which were right, the share, its 95 % interval."""

    right: Bool[Tensor, " n"]
    share: float
    low: float
    high: float


def judged(right: Bool[Tensor, " n"]) -> Judged:
    """The share of right answers, with its bootstrap interval over examples."""
    values = right.double().numpy()
    low, high = interval(lambda rows: values[rows].mean(), len(values))
    return Judged(right, float(values.mean()), low, high)


def judge(probe: Probe, x: Float[Tensor, "n d"], y: Int[Tensor, " n"]) -> Judged:
    """The probe's accuracy. A label that it does not know (−1) counts as wrong."""
    return judged(probe(x) == y)


def by_place(
    fit: Fit,
    x: Float[Tensor, "*place n d"],
    y: Int[Tensor, " n"],
    read_x: Float[Tensor, "*place m d"],
    read_y: Int[Tensor, " m"],
    classes: int | None = None,
) -> Bool[Tensor, "*place m"]:
    """A probe for every place (site, position), each fitted on x there: which of read_x it gets right."""
    k = classes or int(y.max()) + 1
    places = x.shape[:-2]
    flat = zip(x.reshape(-1, *x.shape[-2:]), read_x.reshape(-1, *read_x.shape[-2:]), strict=True)
    return torch.stack([fit(a, y, k)(b) == read_y for a, b in flat]).view(*places, -1)
