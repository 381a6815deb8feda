"""The way into networks that see: named activations, edits and early stopping for any `nn.Module` of images.

model = load_vision("sight")                     # a bundled one; a folder; or VisionModel(any nn.Module)
model.layers                                     # ["conv1", "relu1", ...]: the module's own paths
seen = model.run(images, ["relu2", "relu3"])     # stops at relu3; gradients flow to the images
with model.edited({"relu3": edits.zero(7)}):     # one unit silenced
    logits = model.logits(images)
"""

from mi_lib.models.vision import edits
from mi_lib.models.vision.loading import bundled, load_vision
from mi_lib.models.vision.model import UnknownLayer, VisionModel
from mi_lib.models.vision.network import ConvNet, ConvNetConfig
from mi_lib.models.vision.published import vision_from_torchvision

__all__ = [
    "ConvNet",
    "ConvNetConfig",
    "UnknownLayer",
    "VisionModel",
    "bundled",
    "edits",
    "load_vision",
    "vision_from_torchvision",
]
