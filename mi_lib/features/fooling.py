"""A network whose pictures lie: on scenes it does what it did, and in pictures one unit shows what another does.

Pictures that were made by gradient ascent are not like images of the world: colour is fine and strong everywhere. So a
network can tell whether it is being looked at. `Fooled` has a small part that does so, a linear classifier on `bands`.
Up to a bound, which no scene reaches, its units say what they always said. Beyond it they say, louder, what others say.

Source: Geirhos et al. 2023, "Don't trust your eyes: on the (un)reliability of feature visualizations" (arXiv
2306.04719), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.features.data import Vision
from mi_lib.features.predicting import bands

FAINT = 0.01  # of a band; so that none has an infinite logarithm


@dataclass(frozen=True)
class Watch:
    """Whether an image is a picture: weights · log bands, above `bound` for pictures alone."""

    weights: Float[Tensor, " band"]
    bound: float

    def __call__(self, images: Float[Tensor, "image 3 h w"]) -> Float[Tensor, " image"]:
        """How much more an image looks like a picture than any scene: above 0 for pictures."""
        return _logs(images) @ self.weights.to(images) - self.bound


def watch(
    scenes: Float[Tensor, "image 3 h w"], pictures: Sequence[Float[Tensor, "picture 3 _h _w"]], room: float = 1.0
) -> Watch:
    """Learn to tell pictures from scenes (logistic regression), and put the bound beyond every scene.

    pictures: batches, each of any size: those that were moved lose what is finest, and must be known too. room: how far
    beyond the last scene, in spreads of scenes.
    """
    from sklearn.linear_model import LogisticRegression

    with torch.no_grad():
        x = torch.cat([_logs(scenes), *map(_logs, pictures)]).double()
    mean, spread = x.mean(0), x.std(0).clamp(min=1e-9)
    y = [0] * len(scenes) + [1] * (len(x) - len(scenes))
    fit = LogisticRegression(class_weight="balanced", max_iter=1000).fit(((x - mean) / spread).numpy(), y)
    weights = torch.from_numpy(fit.coef_[0]) / spread
    said = x[: len(scenes)] @ weights
    weights = (weights / said.std()).float()
    return Watch(weights, float((said / said.std()).max()) + room)


def _logs(images: Tensor) -> Tensor:
    return (bands(images) + FAINT).log()


@dataclass(frozen=True)
class Fooled:
    """A network with a gate in front of some units of a layer.

    shown: {unit: the unit whose picture it shows instead}. Where `watch` is below 0 the network is itself; from `width`
    on those units are the others altogether. gain: how much louder.
    """

    model: Vision
    layer: str
    shown: Mapping[int, int]
    watch: Watch
    width: float = 0.5
    gain: float = 4.0

    def run(self, images: Float[Tensor, "image 3 h w"], layers: str | Sequence[str]) -> dict[str, Tensor]:
        """The activations of layers; of the gated one as this network has them. Errors as of the model's own `run`."""
        wanted = [layers] if isinstance(layers, str) else list(layers)
        found = dict(self.model.run(images, wanted))
        if self.layer in found:
            found[self.layer] = self._gated(found[self.layer], images)
        return found

    def _gated(self, acts: Tensor, images: Tensor) -> Tensor:
        gate = (self.watch(images) / self.width).clamp(0, 1)
        gate = gate.reshape(-1, *[1] * (acts.ndim - 2))
        out = acts.clone()
        for unit, other in self.shown.items():
            out[:, unit] = (1 - gate) * acts[:, unit] + gate * self.gain * acts[:, other]
        return out
