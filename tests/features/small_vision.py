"""A small network with random weights to look into, and images of coloured blobs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mi_lib.features import blurred


class Small:
    """conv1 (7 units) relu1 pool1 conv2 (11 units) relu2 flat fc: runs up to what is asked for."""

    def __init__(self, seed: int = 0) -> None:
        parts = OrderedDict(
            conv1=nn.Conv2d(3, 7, 5, padding=2),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(7, 11, 3),
            relu2=nn.ReLU(),
            mean=nn.AdaptiveAvgPool2d(1),
            flat=nn.Flatten(),
            fc=nn.Linear(11, 5),
        )
        self.module = nn.Sequential(parts)
        source = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.module.parameters():
                weight.copy_(0.3 * torch.randn(weight.shape, generator=source))
        self.ran: list[str] = []

    def run(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        found, x, self.ran = {}, images, []
        for name, part in self.module.named_children():
            if len(found) == len(set(layers)):
                break
            x = part(x)
            self.ran.append(name)
            if name in layers:
                found[name] = x
        return found


def blobs(n: int = 12, size: int = 24, seed: int = 0) -> Tensor:
    """Soft coloured noise, whose colours go together."""
    source = torch.Generator().manual_seed(seed)
    mixed = torch.tensor([[1.0, 0.2, 0.1], [0.9, -0.1, 0.2], [0.7, 0.3, -0.3]])
    noise = torch.einsum("ij,bjhw->bihw", mixed, torch.randn(n, 3, size, size, generator=source))
    return (2 * blurred(noise, 1.5)).sigmoid()
