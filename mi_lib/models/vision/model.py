"""`VisionModel`: any `nn.Module` that takes images, with its activations by name, edits and early stopping.

The name of an activation is the path of the module that puts it out, as `named_modules` has it: "conv1",
"layer2.0.bn1", "inception3a". A module that is called twice in one pass, as the ReLUs of a ResNet are, has its further
outputs under "relu_1", "relu_2" (the convention of torchvision's feature extraction).

A pass ends as soon as all that is wanted has been seen: nothing above the deepest wanted layer is computed.

While it works the weights are frozen, so that gradients go to the images alone, and the network does not learn from its
batch (`eval`). Afterwards everything is as it was, also where something went wrong.
"""

from __future__ import annotations

import difflib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn

Edit = Callable[[Tensor], Tensor]
Images = Float[Tensor, "batch channel height width"]

_SLACK = 1e-3  # of the range: what rounding and resampling may exceed it by
# What torch says where the network has no place for images of this size.
_SIZE = re.compile(r"shapes cannot be multiplied|[Kk]ernel size can't|too small|Calculated padded|negative|must match")
# Hooks and frozen weights belong to one pass at a time, whichever models stand around a module.
_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_GUARD = threading.Lock()


# The edits that hold in this thread: (of which model, at which layer, the function).
_EDITS: ContextVar[tuple[tuple[VisionModel, str, Edit], ...]] = ContextVar("edits of vision models", default=())


class UnknownLayer(KeyError):
    """A name that is no layer of this network. The message names the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr


class _Enough(Exception):
    """Ends a pass: all that was wanted has been seen."""


class VisionModel:
    """A network of images, to be read and edited.

    module: takes [batch channel height width]; its output for `logits` is a tensor [batch class].
    input_range: the least and the greatest value that a pixel of `images` may have.
    mean, std: per channel, in the same units; the module is given (images − mean) / std.
    size: of the images it was made for, in pixels; other sizes run if the module takes them.
    classes: what each logit stands for. aliases: further names of layers.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        input_range: tuple[float, float] = (0, 1),
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        size: int | None = None,
        classes: Sequence[str] | None = None,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        low, high = input_range
        if not low < high:
            raise ValueError(f"input_range must go from the least value to the greatest, not {low} to {high}")
        if std is not None and not all(s > 0 for s in std):
            raise ValueError(f"every std must be above 0, not {tuple(std)}")
        self.module, self.input_range, self.size = module, (float(low), float(high)), size
        self.mean = None if mean is None else torch.tensor([float(m) for m in mean])
        self.std = None if std is None else torch.tensor([float(s) for s in std])
        self.classes = None if classes is None else list(classes)
        self.aliases = dict(aliases or {})
        self.source: str | None = None  # the name under which `load_vision` opened it
        self._channels: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"VisionModel({self.source or type(self.module).__name__}, {len(self.layers)} layers)"

    @property
    def layers(self) -> list[str]:
        """The names of the layers, in the order in which the module holds them."""
        return [name for name, _ in self.module.named_modules() if name]

    # -- running ------------------------------------------------------------------------------------------------

    def run(self, images: Images, layers: str | Sequence[str]) -> dict[str, Tensor]:
        """The activations of these layers, [batch channel height width] for a convolution; stops after the deepest.

        Gradients flow from them to the images, if those ask for any. Edits (`edited`) hold, also in what is returned.
        Raises UnknownLayer; ValueError or TypeError for images that are none, in one sentence.
        """
        wanted = [layers] if isinstance(layers, str) else list(layers)
        if not wanted:
            raise ValueError("name at least one layer")
        seen = self._pass(images, wanted)[0]
        return {name: seen[name] for name in wanted}

    def logits(self, images: Images) -> Float[Tensor, "batch class"]:
        """What the whole network puts out. Errors as in `run`."""
        out = self._pass(images, [])[1]
        if not isinstance(out, Tensor):
            raise TypeError(f"the network puts out a {type(out).__name__}, not a tensor of logits; wrap it in a module")
        return out

    __call__ = logits

    def channels(self, layer: str) -> int:
        """How many channels (units) a layer has. UnknownLayer; ValueError if the size of the images is not known."""
        if layer not in self._channels:
            if self.size is None:
                raise ValueError("give the VisionModel the size of its images (size=224), so that it can be tried out")
            low, high = self.input_range
            blank = torch.full((1, self._in_channels() or 3, self.size, self.size), (low + high) / 2)
            with torch.no_grad():
                self._channels[layer] = self.run(blank, layer)[layer].shape[1]  # edits keep shapes
        return self._channels[layer]

    @contextmanager
    def edited(self, edits: Mapping[str, Edit]) -> Iterator[VisionModel]:
        """Inside the `with` block, each layer's activation goes through its function, and what that returns flows on.

        The function gets a copy and returns a tensor of the same shape (`mi_lib.models.vision.edits` has some). Blocks
        may stand inside one another: the outer edit comes first. Other threads do not see them. UnknownLayer.
        """
        for name in edits:
            self.path(name)
        token = _EDITS.set((*_EDITS.get(), *((self, name, edit) for name, edit in edits.items())))
        try:
            yield self
        finally:
            _EDITS.reset(token)

    # -- names --------------------------------------------------------------------------------------------------

    def path(self, name: str) -> tuple[str, int]:
        """The module behind a name, and which of its calls in a pass: ("layer1.0.relu", 1) for "layer1.0.relu_1".

        UnknownLayer, naming the nearest, if there is none.
        """
        known = self.layers
        name = self.aliases.get(name, name)
        if name in known:
            return name, 0
        base, _, call = str(name).rpartition("_")
        if base in known and call.isdigit():
            return base, int(call)
        near = difflib.get_close_matches(str(name), [*known, *self.aliases], n=3, cutoff=0.3) or known[:3]
        raise UnknownLayer(f"there is no layer {name!r}; the nearest names are {', '.join(near)}")

    # -- one pass -----------------------------------------------------------------------------------------------

    def _pass(self, images: Images, wanted: Sequence[str]) -> tuple[dict[str, Tensor], Any]:
        """(what was seen at the wanted layers, what the module put out: None if it was stopped)."""
        self._check(images)
        places = {name: self.path(name) for name in wanted}
        edits: dict[tuple[str, int], list[tuple[str, Edit]]] = {}
        for model, name, edit in _EDITS.get():
            if model is self:
                edits.setdefault(self.path(name), []).append((name, edit))
        seen: dict[tuple[str, int], Tensor] = {}
        calls: Counter[str] = Counter()
        inside: list[str] = []  # the layer whose edit is running: its errors are the caller's own
        left = set(places.values())

        def look(path: str, output: Any) -> Any:
            here = (path, calls[path])
            calls[path] += 1
            if here not in edits and here not in left:
                return None
            if not isinstance(output, Tensor):
                raise TypeError(f"layer {path} puts out a {type(output).__name__}, not a tensor; name one inside it")
            value = output
            for name, edit in edits.get(here, ()):
                inside.append(name)
                value = _edited(value, edit, name)
                inside.pop()
            if here in left:
                seen[here] = value
                left.discard(here)
                if not left:
                    raise _Enough
                value = value.clone()  # what comes next may write into it (a ReLU in place), and must not change `seen`
            return value

        paths = {path for path, _ in [*left, *edits]}
        with _lock(self.module), self._at_rest(), self._looking(paths, look):
            try:
                out = self.module(self._normalised(images))
            except _Enough:
                out = None
            except RuntimeError as error:
                if inside or not _SIZE.search(str(error)):
                    raise
                raise ValueError(self._no_place(images, error)) from error
        if left:
            name = next(n for n, place in places.items() if place in left)
            path, _ = places[name]
            times = f"{calls[path]} time{'' if calls[path] == 1 else 's'}"
            raise UnknownLayer(f"layer {name!r} has no output: a pass calls {path} {times}")
        return {name: seen[place] for name, place in places.items()}, out

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """The weights frozen, the module in `eval`; afterwards both as they were."""
        learning = [p for p in self.module.parameters() if p.requires_grad]
        training = [m for m in self.module.modules() if m.training]
        try:
            for p in learning:
                p.requires_grad_(False)
            for m in training:
                m.training = False
            yield
        finally:
            for p in learning:
                p.requires_grad_(True)
            for m in training:
                m.training = True

    @contextmanager
    def _looking(self, paths: set[str], look: Callable[[str, Any], Any]) -> Iterator[None]:
        handles = []
        try:
            for path in paths:
                hook = lambda _module, _inputs, output, path=path: look(path, output)  # noqa: E731
                handles.append(self.module.get_submodule(path).register_forward_hook(hook))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _normalised(self, images: Images) -> Images:
        weight = next((p for p in self.module.parameters() if p.is_floating_point()), None)
        x = images if weight is None else images.to(weight.device, weight.dtype)
        if self.mean is not None:
            x = x - self.mean.to(x)[:, None, None]
        if self.std is not None:
            x = x / self.std.to(x)[:, None, None]
        return x

    # -- what can be wrong with images --------------------------------------------------------------------------

    def _check(self, images: Images) -> None:
        if not isinstance(images, Tensor):
            raise TypeError(f"images must be a tensor [batch channel height width], not a {type(images).__name__}")
        if images.ndim != 4:
            hint = "; add the batch axis with images[None]" if images.ndim == 3 else ""
            raise ValueError(f"images must be [batch channel height width], not of shape {tuple(images.shape)}{hint}")
        low, high = self.input_range
        if not images.is_floating_point():
            raise TypeError(f"images must be fractions from {low:g} to {high:g}, not {images.dtype}; rescale them")
        channels = self._in_channels()
        if channels not in (None, images.shape[1]):
            raise ValueError(f"this network takes images of {channels} channels, not {images.shape[1]}")
        if images.numel() == 0:
            raise ValueError(f"there are no images in a batch of shape {tuple(images.shape)}")
        least, most = (v.item() for v in images.detach().aminmax())
        if not (least > -torch.inf and most < torch.inf):
            raise ValueError("the images hold NaN or infinite pixels; look at what made them")
        slack = _SLACK * (high - low)
        if least < low - slack or most > high + slack:
            raise ValueError(
                f"pixels must lie between {low:g} and {high:g}, not {least:.3g} and {most:.3g}; rescale or clamp them"
            )

    def _in_channels(self) -> int | None:
        return next((m.in_channels for m in self.module.modules() if isinstance(m, nn.Conv2d)), None)

    def _no_place(self, images: Images, error: Exception) -> str:
        made_for = f"; it was made for {self.size} × {self.size}" if self.size else ""
        said = str(error).strip().splitlines()[0].rstrip(".")
        return f"the network has no place for images of {images.shape[2]} × {images.shape[3]} pixels ({said}){made_for}"


def _lock(module: nn.Module) -> Any:
    with _GUARD:
        return _LOCKS.setdefault(module, threading.RLock())


def _edited(value: Tensor, edit: Edit, name: str) -> Tensor:
    new = edit(value.clone())
    if not isinstance(new, Tensor):
        raise TypeError(f"the edit at {name} must return the activation, a tensor, not a {type(new).__name__}")
    if new.shape != value.shape:
        raise ValueError(f"the edit at {name} returned shape {tuple(new.shape)}, not {tuple(value.shape)}")
    return new.to(value.dtype)
