"""From what a detector is built: the weights from two layers below, contracted, and factored into two.

1. `contract`: a unit reads the middle layer, and that one reads the layer below. Multiplied out over the middle layer,
   a unit has a weight for each channel below at each place. What lies between is a ReLU, and a ReLU either passes a
   number on or does not: a weight holds as far as the middle units are awake. `awake` weighs each of them by how often.
2. `factors`: non-negative matrix factorisation of these weights, with excitation and inhibition as separate rows. Each
   factor is a list of channels; in each unit it has a map, excitation minus inhibition, place by place.
3. `pointing`: in which direction the high-frequency factor excites and the low-frequency one inhibits. It is an angle,
   read off weights alone, that can be held beside the angle which was measured with stimuli.

Two factors come out of any weights. Whether one of them is "high frequency" is a question to the channels: `preference`
is asked of stimuli.

Source: Schubert et al. 2021, "High-Low Frequency Detectors", and Voss et al. 2021, "Visualizing Weights", Distill.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


def contract(
    upper: Float[Tensor, "unit middle ku kv"],
    lower: Float[Tensor, "middle below kl km"],
    stride: int = 1,
    awake: Float[Tensor, " middle"] | None = None,
) -> Float[Tensor, "unit below row column"]:
    """The weights of a unit on the layer two below: Σ over the middle of upper ∗ lower, a full convolution.

    A response is then, without ReLU and bias, the cross-correlation of the lower layer with the result. stride: of the
    lower convolution; steps of the upper kernel are that many places below. awake: the share of places at which each
    middle unit is above 0, by which it is weighed. The result has (ku − 1) · stride + kl rows.
    """
    if upper.shape[1] != lower.shape[0]:
        raise ValueError(
            f"the upper layer reads {upper.shape[1]} channels, and the lower one has {lower.shape[0]}: "
            "give the weights of two layers that follow each other"
        )
    if awake is not None:
        upper = upper * awake[None, :, None, None]
    rows, columns = ((k - 1) * stride + m for k, m in zip(upper.shape[2:], lower.shape[2:], strict=True))
    whole = upper.new_zeros(upper.shape[0], lower.shape[1], rows, columns)
    for i in range(upper.shape[2]):
        for j in range(upper.shape[3]):
            part = torch.einsum("um,mbkl->ubkl", upper[:, :, i, j], lower)
            top, left = i * stride, j * stride
            whole[:, :, top : top + lower.shape[2], left : left + lower.shape[3]] += part
    return whole


class Factors(NamedTuple):
    """What `factors` finds."""

    channels: Float[Tensor, "factor below"]  # how much each channel belongs to each factor; rows of sum 1
    maps: Float[Tensor, "factor unit row column"]  # excitation minus inhibition
    explained: float  # 1 − squared error / squared weights

    def ordered(self, preference: Float[Tensor, " below"]) -> Factors:
        """The factor whose channels prefer high frequency first."""
        order = (self.channels @ preference).argsort(descending=True)
        return Factors(self.channels[order], self.maps[order], self.explained)


def factors(weights: Float[Tensor, "unit below row column"], count: int = 2, seed: int = 0) -> Factors:
    """Non-negative factorisation of signed weights: rows are (unit, place, excitation or inhibition), columns channels.

    Excitation and inhibition share the channels of a factor, so that a map may excite on one side and inhibit on the
    other. Scaled such that each factor's channels add up to 1.
    """
    from sklearn.decomposition import NMF

    unit, below, rows, columns = weights.shape
    table = torch.cat([weights.clamp(min=0), (-weights).clamp(min=0)]).permute(0, 2, 3, 1).reshape(-1, below)
    model = NMF(count, init="nndsvda", random_state=seed, max_iter=2000, tol=1e-5)
    x = table.double().numpy()
    places = torch.from_numpy(model.fit_transform(x))
    channels = torch.from_numpy(model.components_)
    size = channels.sum(1).clamp(min=1e-30)
    both = (places * size).T.reshape(count, 2, unit, rows, columns).to(weights.dtype)
    left = float(((table.double() - places @ channels) ** 2).sum() / (table.double() ** 2).sum().clamp(min=1e-30))
    return Factors((channels / size[:, None]).to(weights.dtype), both[:, 0] - both[:, 1], 1 - left)


def pointing(high: Float[Tensor, "unit row column"], low: Float[Tensor, "unit row column"]) -> Float[Tensor, " unit"]:
    """The angle, in radians, towards which the high map leans and the low one leans away: Σ (high − low) · place.

    Each map is first divided by its own sum of absolute values, so that the louder factor does not decide alone.
    """
    size = high.shape[-2:]
    y = (size[0] - 1) / 2 - torch.arange(size[0], dtype=high.dtype)
    x = torch.arange(size[1], dtype=high.dtype) - (size[1] - 1) / 2
    scaled = [m / m.abs().sum((-2, -1), keepdim=True).clamp(min=1e-30) for m in (high, low)]
    lean = scaled[0] - scaled[1]
    right, up = (lean * x).sum((-2, -1)), (lean * y[:, None]).sum((-2, -1))
    return torch.atan2(up, right) % (2 * math.pi)


def sides(
    maps: Float[Tensor, "unit row column"], angle: Float[Tensor, " unit"]
) -> tuple[Float[Tensor, " unit"], Float[Tensor, " unit"]]:
    """(on the side of the angle, on the other side): the sums of a map's weights, in shares of its absolute sum."""
    rows, columns = maps.shape[-2:]
    y = (rows - 1) / 2 - torch.arange(rows, dtype=maps.dtype)
    x = torch.arange(columns, dtype=maps.dtype) - (columns - 1) / 2
    where = x * angle.cos()[:, None, None] + y[:, None] * angle.sin()[:, None, None]
    share = maps / maps.abs().sum((-2, -1), keepdim=True).clamp(min=1e-30)
    zero = torch.zeros_like(share)
    return (
        torch.where(where > 1e-6, share, zero).sum((-2, -1)),
        torch.where(where < -1e-6, share, zero).sum((-2, -1)),
    )


def preference(sharp: Float[Tensor, " channel"], blurred: Float[Tensor, " channel"]) -> Float[Tensor, " channel"]:
    """(sharp − blurred) / (sharp + blurred) of mean responses: +1 for a channel that answers to high frequency alone,
    −1 to low alone, 0 for one that makes no difference, or is silent."""
    both = sharp + blurred
    return torch.where(both > 0, (sharp - blurred) / both.clamp(min=1e-30), torch.zeros_like(both))


def agreement(
    weights: Float[Tensor, "upper lower"], upper: Float[Tensor, " upper"], lower: Float[Tensor, " lower"]
) -> float:
    """Do weights run between units of like angle? Σ w cos(difference of angles) / Σ |w|, between −1 and 1.

    Weights that do not mind the angle have 0 in the mean, where the angles of either side are spread evenly. Hold the
    result beside those of the same weights with the angles shuffled.
    """
    like = torch.cos(upper[:, None] - lower[None])
    return float((weights * like).sum() / weights.abs().sum().clamp(min=1e-30))
