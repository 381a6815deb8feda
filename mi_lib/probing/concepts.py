"""Concepts (TCAV): does a network's answer depend on a direction that a person has a name for?  Kim et al. 2018.

1. Collect activations at one place, of examples of a concept and of random ones. The normal of the plane between them,
   towards the concept, is the concept's activation vector (CAV).
2. For inputs of a class, take the gradient of the answer with respect to the activation at that place. Its product with
   the CAV is the directional sensitivity: does the answer grow if the activation goes a little towards the concept?
3. The score is the share of inputs for which it grows.
4. A plane can be drawn between any two sets. So do it again with many random sets, and for concepts that are random
   sets themselves, and ask whether the scores of the concept differ from theirs. Where several concepts are asked
   about, the p-values are corrected for their number (Holm).

An activation is whatever stands at a place, flattened: a site of a `HookedModel`, or any module of any network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mi_lib.models import HookedModel
from mi_lib.probing.data import Unusable, activations
from mi_lib.probing.probes import Fit, logistic

Place = Any  # a site of a HookedModel; or a module of a network, or its dotted name


def cav(concept: Float[Tensor, "n d"], others: Float[Tensor, "m d"], fit: Fit = logistic) -> Float[Tensor, " d"]:
    """The unit normal of the plane between a concept's activations and others', towards the concept.

    `Unusable` where one of the two has fewer than two examples, NaN, or another width.
    """
    activations(concept, "the concept's activations")
    activations(others, "the random activations", width=concept.shape[1])
    y = torch.cat([torch.ones(len(concept)), torch.zeros(len(others))]).long()
    normal = fit(torch.cat([concept, others]), y, 2).direction()
    return (normal / normal.norm()).to(concept.dtype)


def module_at(model: nn.Module, place: Place) -> nn.Module:
    """A module of a network, by its dotted name or as it is. `Unusable`, with some names, if it has none such."""
    named = dict(model.named_modules())
    if isinstance(place, nn.Module) and any(place is module for module in named.values()):
        return place
    if not isinstance(place, str) or place not in named:
        some = ", ".join(list(named)[1:6])
        raise Unusable(f"this network has no module {place!r}; it has {some} …")
    return named[place]


def activations_at(model: nn.Module, inputs: Any, place: Place) -> Float[Tensor, "example ..."]:
    """What stands at a place when the network reads these inputs. See `collect` for texts of different lengths."""
    if isinstance(model, HookedModel):
        _, cache = model.run_with_cache(inputs, place)
        return next(iter(cache.values()))
    kept: list[Tensor] = []
    handle = module_at(model, place).register_forward_hook(lambda module, args, out: kept.append(_tensor(out, place)))
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        handle.remove()
    return _once(kept, place)


def gradients_at(
    model: nn.Module, inputs: Any, place: Place, scalar: Callable[[Any], Float[Tensor, " example"]]
) -> Float[Tensor, "example ..."]:
    """∂ scalar / ∂ (activation at a place), for each example.

    scalar: from what the network returns to one number for each example; examples must not see each other, as they do
    not in a network in its eval mode. At a language model's site the result is [example pos d_model]: pick the
    positions that the CAV is about.
    """
    kept: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        value = value.detach().requires_grad_() if not value.requires_grad else value.view_as(value)
        kept.append(value)
        return value

    with torch.enable_grad():
        if isinstance(model, HookedModel):
            out, cache = model.run_with_cache(inputs, place, grad=True)
            kept = list(cache.values())
        else:
            handle = module_at(model, place).register_forward_hook(lambda module, args, out: keep(_tensor(out, place)))
            try:
                out = model(inputs)
            finally:
                handle.remove()
        value = _once(kept, place)
        told = scalar(out)
        if told.shape != value.shape[:1]:
            raise Unusable(f"scalar must give one number for each of {len(value)} examples, not {tuple(told.shape)}")
        return torch.autograd.grad(told.sum(), value)[0].detach()


def _tensor(out: Any, place: Place) -> Tensor:
    if not isinstance(out, Tensor):
        raise Unusable(f"the module {place!r} returns a {type(out).__name__}: choose one that returns a tensor")
    return out


def _once(kept: Sequence[Tensor], place: Place) -> Tensor:
    if len(kept) != 1:
        raise Unusable(f"{place!r} is passed {len(kept)} times in a run: choose a place that is passed once")
    return kept[0]


def directional_sensitivity(
    gradients: Float[Tensor, "example ..."], vector: Float[Tensor, " d"]
) -> Float[Tensor, " example"]:
    """How fast the answer grows as the activation goes towards the concept: gradient · v (Kim et al. 2018, eq. 1)."""
    flat = gradients.flatten(1)
    if flat.shape[1] != len(vector):
        raise Unusable(f"the gradients have {flat.shape[1]} numbers for each example, and the CAV {len(vector)}")
    return flat @ vector.to(flat.dtype)


def score(sensitivity: Float[Tensor, " example"]) -> float:
    """The share of examples whose answer grows (Kim et al. 2018, eq. 2)."""
    if not len(sensitivity):
        raise Unusable("there is no example of the class")
    return float((sensitivity > 0).double().mean())


def scores(
    gradients: Float[Tensor, "example ..."],
    concept: Float[Tensor, "n d"],
    random_sets: Sequence[Float[Tensor, "m d"]],
    fit: Fit = logistic,
) -> Float[Tensor, " set"]:
    """The concept's score with a CAV against each random set in turn."""
    found = [score(directional_sensitivity(gradients, cav(concept, others, fit))) for others in random_sets]
    return torch.tensor(found, dtype=torch.double)


def null_scores(
    gradients: Float[Tensor, "example ..."], random_sets: Sequence[Float[Tensor, "m d"]], fit: Fit = logistic
) -> Float[Tensor, " pair"]:
    """The same for concepts that are random sets: each set against the next one, the last against the first."""
    if len(random_sets) < 3:
        raise Unusable("three random sets or more are needed, to compare with what random concepts get")
    following = [*random_sets[1:], random_sets[0]]
    pairs = zip(random_sets, following, strict=True)
    found = [score(directional_sensitivity(gradients, cav(one, other, fit))) for one, other in pairs]
    return torch.tensor(found, dtype=torch.double)


def two_sided(mine: Float[Tensor, " a"], others: Float[Tensor, " b"]) -> float:
    """The p-value of Welch's t-test (two-sided): could scores with these means come from one and the same mean?

    1 where neither varies and both are the same; 0 where neither varies and they differ.
    """
    from scipy.stats import ttest_ind

    a, b = mine.numpy(), others.numpy()
    if len(a) < 2 or len(b) < 2:
        raise Unusable("a test needs two scores or more on each side: one random set says nothing about chance")
    if a.std() == 0 and b.std() == 0:
        return float(a.mean() == b.mean())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side may not vary at all: the test is made for that
        return float(ttest_ind(a, b, equal_var=False).pvalue)


def rank_test(mine: float, others: Float[Tensor, " b"]) -> float:
    """How unusual a concept is among random concepts: the share of those that are as far from their mean, or farther.

    It counts concepts, not random sets: the scores of one concept with fifty random sets share the concept's examples,
    so that they are no fifty independent draws. The smallest value is 1 / (b + 1).
    """
    middle = others.mean()
    return float(((others - middle).abs() >= abs(mine - middle) - 1e-12).sum() + 1) / (len(others) + 1)


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for their number: the chance of any false finding among all stays below the level (Holm 1979).

    The smallest is multiplied by n, the next by n − 1, …; none becomes smaller than one before it, or larger than 1.
    """
    order = np.argsort(p, kind="stable")
    corrected, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        corrected[i] = largest
    return corrected


@dataclass(frozen=True)
class Tested:
    """A concept's scores with each random set, their mean, and the corrected p-value against random concepts."""

    scores: Float[Tensor, " set"]
    mean: float
    p: float


def tcav(
    gradients: Float[Tensor, "example ..."],
    concepts: Mapping[str, Float[Tensor, "n d"]],
    random_sets: Sequence[Float[Tensor, "m d"]],
    fit: Fit = logistic,
) -> dict[str, Tested]:
    """All concepts, each with every random set, against random concepts; p-values corrected by Holm's method."""
    if not concepts:
        raise Unusable("there is no concept to test")
    chance = null_scores(gradients, random_sets, fit)
    found = {name: scores(gradients, examples, random_sets, fit) for name, examples in concepts.items()}
    corrected = holm([two_sided(values, chance) for values in found.values()])
    return {
        name: Tested(values, float(values.mean()), p)
        for (name, values), p in zip(found.items(), corrected, strict=True)
    }


def random_sets(pool: Float[Tensor, "n d"], size: int, count: int, seed: int = 0) -> list[Float[Tensor, "size d"]]:
    """Sets of examples drawn from a pool, each without repetition (two sets may share examples).

    `Unusable` where the pool is smaller than a set.
    """
    activations(pool, "the pool")
    if not 2 <= size <= len(pool):
        raise Unusable(
            f"a random set of {size} cannot be drawn from a pool of {len(pool)}; it needs two examples or more"
        )
    source = torch.Generator().manual_seed(seed)
    return [pool[torch.randperm(len(pool), generator=source)[:size]] for _ in range(count)]
