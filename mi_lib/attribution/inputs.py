"""Which inputs caused the answer: gradients with respect to an activation, and along a path to it.

    gradient × input        (x − x') · ∂m/∂x                                        at x alone
    integrated gradients    (x − x') · ∫₀¹ ∂m/∂x at x' + α (x − x') dα              (Sundararajan et al. 2017,
                                                                                    arXiv 1703.01365, section 3)

x is what a site holds, the embeddings of the tokens if nothing else is said; x' is the baseline, an input that says
nothing: zeros, the mean, or a corrupted prompt. Where a unit is saturated, the gradient at x is 0 and sees nothing; the
path passes the place where it is not. Integrated gradients are **complete**: they sum to m(x) − m(x'). What a sum of
finitely many steps leaves over is returned as the gap: a large one asks for more steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution.pairs import Metric, read_pairs, read_prompts
from mi_lib.models import Hook, HookedModel
from mi_lib.models.hooked import Input
from mi_lib.models.sites import PAIRS

Baseline = Literal["zero", "mean"] | Int[Tensor, "batch pos"] | Float[Tensor, "..."]
Rule = Literal["gauss", "riemann"]


@dataclass(frozen=True)
class InputAttribution:
    """What each number of the site adds to the metric, in units of the metric.

    by_element: [batch pos …], as the site itself. difference: m(x) − m(x') for each prompt.
    """

    by_element: Float[Tensor, "batch *rest"]
    difference: Float[Tensor, " batch"]

    @property
    def by_position(self) -> Float[Tensor, "batch pos"]:
        """Summed over all axes but batch and position (of a pattern: but batch and head)."""
        return self.by_element.flatten(2).sum(-1)

    @property
    def gap(self) -> Float[Tensor, " batch"]:
        """Sum of the attributions less m(x) − m(x'): 0 where they are complete."""
        return self.by_element.flatten(1).sum(-1) - self.difference


def gradient_x_input(
    model: HookedModel,
    tokens: Input,
    metric: Metric,
    baseline: Baseline = "zero",
    *,
    site: str | tuple = "embed",
    attention_mask: Tensor | None = None,
) -> InputAttribution:
    """(x − x') · ∂m/∂x. With the baseline zero: the gradient times the input (Shrikumar et al. 2016, arXiv 1605.01713).

    baseline: "zero"; "mean" (of the embeddings of all tokens, or of this site over these prompts and positions, without
        padding); tokens [batch pos] of a corrupted prompt for each; or values that broadcast to the site's.
    ValueError for corrupted prompts of another length or equal to the prompt, and for a site from which no path leads
    to the metric.
    """
    tokens, mask = read_prompts(model, tokens, attention_mask)
    (site,) = model._resolve(site)
    x, start = _values(model, tokens, mask, site, baseline)
    after, gradient = _gradient(model, tokens, mask, metric, site, x)
    with torch.no_grad():
        before = _metric_at(model, tokens, mask, metric, site, start)
    return InputAttribution((x - start) * gradient, after - before)


def integrated_gradients(
    model: HookedModel,
    tokens: Input,
    metric: Metric,
    baseline: Baseline = "zero",
    *,
    steps: int = 50,
    rule: Rule = "gauss",
    site: str | tuple = "embed",
    attention_mask: Tensor | None = None,
) -> InputAttribution:
    """(x − x') · mean gradient on the straight way from x' to x. `gap` says how incomplete the sum over steps is.

    steps, rule: where the gradient is taken; see `path`. A backward pass each. Otherwise as `gradient_x_input`.
    """
    tokens, mask = read_prompts(model, tokens, attention_mask)
    (site,) = model._resolve(site)
    x, start = _values(model, tokens, mask, site, baseline)
    mean = torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32))  # many small summands
    for alpha, weight in path(steps, rule):
        mean += weight * _gradient(model, tokens, mask, metric, site, start + alpha * (x - start))[1]
    with torch.no_grad():
        after, before = (_metric_at(model, tokens, mask, metric, site, value) for value in (x, start))
    return InputAttribution((x - start) * mean, after - before)


def path(steps: int, rule: Rule = "gauss") -> list[tuple[float, float]]:
    """(α, weight) of each step from 0 to 1; the weights sum to 1.

    "gauss": the Gauss-Legendre points, exact for polynomials of degree 2 · steps − 1. "riemann": k / steps for
    k = 1 … steps, as in the papers (Sundararajan et al. 2017, section 5; Hanna et al. 2024, section 3).
    ValueError for fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}: a gradient has to be taken somewhere")
    if rule == "riemann":
        return [(k / steps, 1 / steps) for k in range(1, steps + 1)]
    if rule != "gauss":
        raise ValueError(f"rule must be 'gauss' or 'riemann', not {rule!r}")
    points, weights = np.polynomial.legendre.leggauss(steps)
    return [((1 + float(point)) / 2, float(weight) / 2) for point, weight in zip(points, weights, strict=True)]


def _values(
    model: HookedModel, tokens: Tensor, mask: Tensor | None, name: str, baseline: Baseline
) -> tuple[Tensor, Tensor]:
    """What the site holds in this run, and what it holds in the baseline."""
    x = model.run_with_cache(tokens, name, attention_mask=mask)[1][name]
    if isinstance(baseline, Tensor) and not baseline.is_floating_point():
        pairs = read_pairs(model, tokens, baseline, mask)
        if bool((same := (pairs.clean == pairs.corrupted).all(1)).any()):
            raise ValueError(
                f"the baseline of prompt {int(same.int().argmax())} is the prompt itself, so that there is nothing to "
                "attribute; choose a corrupted prompt with another answer"
            )
        start = model.run_with_cache(pairs.corrupted, name, attention_mask=mask)[1][name]
    elif isinstance(baseline, Tensor):
        start = baseline.to(x).expand_as(x)
    elif baseline == "zero":
        start = torch.zeros_like(x)
    elif baseline == "mean":
        start = (_embeddings(model) if name == "hook_embed" else _real(x, mask, name)).mean(0).expand_as(x)
    else:
        raise ValueError(f"baseline must be 'zero', 'mean', tokens or values, not {baseline!r}")
    return x, start


def _real(x: Tensor, mask: Tensor | None, name: str) -> Float[Tensor, "real_position *rest"]:
    """What a site holds at all positions that are no padding."""
    if name.endswith(PAIRS):
        raise ValueError(f"{name} holds pairs of positions, whose mean says nothing; give another baseline")
    return x.flatten(0, 1) if mask is None else x[mask]


def _embeddings(model: HookedModel) -> Float[Tensor, "d_vocab d_model"]:
    """Of every token, as the model reads it (Gemma scales them)."""
    every = torch.arange(model.cfg.d_vocab, device=model.device)[:, None]
    return model.run_with_cache(every, "embed", stop_at_layer=0)[1]["embed"][:, 0]


def _metric_at(
    model: HookedModel, tokens: Tensor, mask: Tensor | None, metric: Metric, site: str, value: Tensor
) -> Float[Tensor, " batch"]:
    """The metric of a run in which a site holds this."""

    def put(_: Tensor, hook: Hook) -> Tensor:
        return value

    return metric(model.run_with_hooks(tokens, [(site, put)], mask))


def _gradient(
    model: HookedModel, tokens: Tensor, mask: Tensor | None, metric: Metric, site: str, value: Tensor
) -> tuple[Float[Tensor, " batch"], Tensor]:
    """The metric of that run, and its gradient with respect to what the site holds."""
    value = value.detach().clone().requires_grad_()
    with torch.enable_grad():
        found = _metric_at(model, tokens, mask, metric, site, value)
        return found.detach(), gradients(found, [value], [site])[0]


def gradients(
    metric: Float[Tensor, " batch"], values: list[Tensor], names: list[str], *, again: bool = False
) -> list[Tensor]:
    """∂(Σ metric)/∂value for each of these. ValueError, naming one from which no path leads to the metric.

    again: keep the graph for another backward pass.
    RuntimeError inside `torch.inference_mode()`, where there are no gradients; `torch.no_grad()` does no harm.
    """
    if torch.is_inference_mode_enabled():
        raise RuntimeError("there are no gradients inside torch.inference_mode(); leave it, or take torch.no_grad()")
    found: list[Tensor | None] = [None] * len(values)
    if metric.requires_grad:
        with torch.enable_grad():
            total = metric.sum()
        found = list(torch.autograd.grad(total, values, allow_unused=True, retain_graph=again))
    for name, gradient in zip(names, found, strict=True):
        if gradient is None:
            raise ValueError(
                f"{name} is no activation on the path to the metric: nothing that comes from it is in these logits; "
                "choose a site that the answer is computed from, or a metric that uses the logits"
            )
    return [gradient for gradient in found if gradient is not None]
