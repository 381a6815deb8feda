"""`ConvNet`: the plain network of the bundled image classifiers, so plain that its weights can be read.

    image → conv1 → relu1 → conv2 → relu2 → … → mean over all places → readout → logits

Convolutions with a stride and a bias, a ReLU after each; no pooling between them, no normalisation. The readout is
linear in the mean of the last layer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class ConvNetConfig:
    """channels, kernels and strides by layer (odd kernels, padded with zeros); what each logit stands for; image size
    in pixels; mean and standard deviation of the pixels, by which they are normalised before conv1."""

    channels: tuple[int, ...]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    classes: tuple[str, ...]
    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not len(self.channels) == len(self.kernels) == len(self.strides) >= 1:
            raise ValueError("channels, kernels and strides need one number for each layer")
        if any(k % 2 == 0 for k in self.kernels):
            raise ValueError(f"kernels must be odd, so that they have a middle, not {self.kernels}")

    def to_dict(self) -> dict[str, Any]:
        return {"model_type": "mi-convnet", **asdict(self)}

    @classmethod
    def from_dict(cls, config: dict[str, Any]) -> ConvNetConfig:
        """TypeError or ValueError for what describes no such network."""
        own: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k != "model_type"
        }
        return cls(**own)


class ConvNet(nn.Sequential):
    """Modules conv1, relu1, conv2, relu2, …, mean, flat, readout: normalised images [batch 3 height width] → logits."""

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__()
        self.config = config
        below = 3
        for i, (channels, kernel, stride) in enumerate(
            zip(config.channels, config.kernels, config.strides, strict=True), start=1
        ):
            self.add_module(f"conv{i}", nn.Conv2d(below, channels, kernel, stride, padding=kernel // 2))
            self.add_module(f"relu{i}", nn.ReLU())
            below = channels
        self.add_module("mean", nn.AdaptiveAvgPool2d(1))
        self.add_module("flat", nn.Flatten())
        self.add_module("readout", nn.Linear(below, len(config.classes)))

    def init_weights(self, seed: int) -> ConvNet:
        """Random weights (He et al. 2015), biases 0: the same on every machine for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for module in self:
                if isinstance(module, nn.Conv2d | nn.Linear):
                    gain = 2.0 if isinstance(module, nn.Conv2d) else 1.0
                    fan_in = module.weight[0].numel()
                    module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (gain / fan_in) ** 0.5)
                    assert module.bias is not None
                    module.bias.zero_()
        return self
