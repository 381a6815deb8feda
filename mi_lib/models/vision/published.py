"""Published image networks, for those who have torchvision: their modules under their own names.

torchvision is not needed by anything else here. The layers of its GoogLeNet also answer to the names that the work on
InceptionV1 uses ("mixed3a" is "inception3a").
"""

from __future__ import annotations

from typing import Any

from mi_lib.models.errors import LoadError
from mi_lib.models.vision.model import VisionModel

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels: what torchvision's networks expect
SIZE = {"inception_v3": 299}  # the others were made for 224 × 224
_BLOCKS = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
INCEPTION_V1 = {f"mixed{b}": f"inception{b}" for b in _BLOCKS} | {f"conv2d{i}": f"conv{i + 1}" for i in range(3)}


def vision_from_torchvision(name: str, weights: str | None = None) -> VisionModel:
    """One of torchvision's classifiers ("resnet18", "googlenet", …).

    weights: None for random ones; "DEFAULT" fetches the trained ones, which needs the network.
    Raises LoadError if torchvision is not there or does not know the name.
    """
    try:
        from torchvision import models
    except ImportError:
        raise LoadError("torchvision is not installed; `pip install torchvision` brings it") from None
    except RuntimeError as error:  # its compiled part was made for another torch
        raise LoadError(f"torchvision does not fit this torch ({error}); install the one of the same build") from None
    extra: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3") and weights is None:
        extra = {"init_weights": False, "aux_logits": False}  # their own random weights take a minute to draw
    try:
        module = models.get_model(name, weights=weights, **extra)
    except ValueError as error:
        raise LoadError(f"torchvision has no network {name!r} with weights {weights!r}: {error}") from None
    aliases = INCEPTION_V1 if name == "googlenet" else None
    model = VisionModel(module, mean=MEAN, std=STD, size=SIZE.get(name, 224), aliases=aliases)
    model.source = name
    return model
