"""Whether gradients come through a learner's function. They are taken in the learner's process, where alone they are.

expect_gradients(answer, "layer_norm", {"x": x, "weight": w, "bias": b}, F_layer_norm, "the result")
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.course.grading.answer import Answer
from mi_lib.course.grading.expectations import NUMBERS, Wrong, expect, expect_close
from mi_lib.course.grading.material import randn
from mi_lib.course.grading.process import AnswerError

# Evaluated over there: the gradients of Σ result · weights, as plain numbers. `where` leads to what they are taken of:
# (number of the argument, the key in it if it is a dict).
_GRADIENTS = """lambda torch, function, weights, args, where: (
    lambda leaves: torch.autograd.grad((function(*args) * weights).sum(), leaves, allow_unused=True)
)([(args[i] if key is None else args[i][key]).requires_grad_() for i, key in where])"""


def no_gradient(name: str, leaf: str = "", so: str = "so the network cannot learn") -> str:
    """The sentence for a function whose numbers are right and whose gradients are not. so: why that matters."""
    to = f" to {leaf}, or not on every way" if leaf else ""
    return (
        f"Your {name} computes the right numbers, but no gradient comes through it{to}, {so}. Compute with torch "
        "there, from beginning to end: without .item(), .detach(), .data, float(), numpy and torch.no_grad."
    )


def gradients(
    answer: Answer,
    name: str,
    args: Mapping[str, Any],
    weights: Float[Tensor, "..."],
    *,
    wrt: Collection[str] = (),
    lost: str = "",
) -> dict[str, Tensor]:
    """{argument: ∂ Σ name(*args) · weights / ∂ argument}; zeros where a part of the result does not depend on it.

    args: of the learner's function, in their order, by the names that the learner knows. A dict of tensors counts as
    its tensors, by their own names. wrt: with respect to which of them; all that hold fractions, if none is named.
    weights: as the result's shape. lost: the sentence where the result has no gradient at all (`no_gradient`).
    The learner's setup must have imported torch. Raises `Wrong`, or the `AnswerError` of the learner's code.
    """
    where = {leaf: path for leaf, path in _leaves(args).items() if not wrt or leaf in wrt}
    at = [_at(args, path) for path in where.values()]
    try:
        evaluated = answer.torch.attr("builtins").attr("eval")(_GRADIENTS)
        got = evaluated(
            answer.torch, getattr(answer, name), weights, list(args.values()), [list(path) for path in where.values()]
        )
    except AnswerError as error:
        if "does not require grad" in str(error) or "numpy" in str(error):
            raise Wrong(lost or no_gradient(name), NUMBERS) from None  # what was noted about its kind says more
        raise
    fits = isinstance(got, list | tuple) and len(got) == len(at)
    expect(fits, lost or no_gradient(name))
    pairs = zip(where, got, at, strict=True)
    return {leaf: g if isinstance(g, Tensor) and g.shape == x.shape else torch.zeros_like(x) for leaf, g, x in pairs}


def expect_gradients(
    answer: Answer,
    name: str,
    args: Mapping[str, Any],
    oracle: Callable[..., Tensor],
    what: str,
    *,
    wrt: Collection[str] = (),
    so: str = "so the network cannot learn",
) -> None:
    """The function gives what the oracle gives, and so do its gradients, to 1 % of the largest.

    oracle: takes the same arguments. what: names the result. args, wrt: as in `gradients`; so: as in `no_gradient`.
    Raises `Wrong`: of the numbers first, whoever has them wrong would otherwise be told of gradients.
    """
    copies = {key: _learning(value) for key, value in args.items()}
    leaves = {leaf: _at(copies, path) for leaf, path in _leaves(args).items() if not wrt or leaf in wrt}
    out = oracle(*copies.values())
    weights = randn(*out.shape, seed=900)  # a plain sum hides gradients that cancel: of a softmax it is 0
    want = torch.autograd.grad((out * weights).sum(), list(leaves.values()), allow_unused=True)
    expect_close(getattr(answer, name)(*args.values()), out.detach(), what, atol=1e-3, rtol=1e-3)
    got = gradients(answer, name, args, weights, wrt=wrt, lost=no_gradient(name, so=so))
    for leaf, right in zip(leaves, want, strict=True):
        if right is None or not bool(right.abs().max() > 1e-3):  # a bias of the keys has none but rounding
            continue
        off = (got[leaf] - right).abs().max()
        expect(bool(off <= 1e-2 * right.abs().max()), no_gradient(name, leaf, so))


def _leaves(args: Mapping[str, Any]) -> dict[str, tuple[int, str | None]]:
    """Where the tensors of fractions are among the arguments, by the names that the learner knows."""
    found: dict[str, tuple[int, str | None]] = {}
    for i, (name, value) in enumerate(args.items()):
        parts = {(key, key): part for key, part in value.items()} if isinstance(value, dict) else {(name, None): value}
        for (leaf, key), part in parts.items():
            if isinstance(part, Tensor) and part.is_floating_point():
                found[leaf] = (i, key)
    return found


def _at(args: Mapping[str, Any], path: tuple[int, str | None]) -> Tensor:
    value = list(args.values())[path[0]]
    return value if path[1] is None else value[path[1]]


def _learning(value: Any) -> Any:
    """A copy of an argument whose numbers have gradients."""
    if isinstance(value, dict):
        return {name: _learning(part) for name, part in value.items()}
    return value.clone().requires_grad_() if isinstance(value, Tensor) and value.is_floating_point() else value
