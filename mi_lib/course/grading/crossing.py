"""What else may cross between the judge and the learner's process: models, library functions, handles.

From the judge to the learner:

    a bundled model                 by name, if its weights are still those of the file
    a native Transformer            as config and weights (and its tokenizer)
    a VisionModel around a ConvNet  as config and weights
    ByName("mi_lib.x:function")     a library function, by name
    an object of mi_lib's own       Hook, ActivationCache and dataclasses such as Repeats, field by field
    a Handle                        the learner's own object, given back

From the learner to the judge: data, native Transformers (config and weights), and everything else as a Handle: the
object stays in the learner's process, and the judge may call it, read an attribute or ask for its state dict.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import zlib
from collections.abc import Callable
from typing import Any

import torch

from mi_lib.course.grading.codec import BadData, CannotCross, Decoder, Encoder, raw_bytes
from mi_lib.models import ActivationCache, HookedModel, Transformer, TransformerConfig, load
from mi_lib.models.vision import ConvNet, ConvNetConfig, VisionModel
from mi_lib.models.vision.loading import wrapped

MAX_LAYERS = 64  # of all models in one message
_COMPUTED_WITH = (torch.float32, torch.float64, torch.float16, torch.bfloat16)  # what a model of the judge's may hold
_SAFE_FIELDS = ("n_layers", "d_model", "n_heads", "d_head", "d_vocab", "n_ctx", "d_mlp")


@dataclasses.dataclass(frozen=True)
class ByName:
    """A function or class of the library, passed by its name: `ByName("mi_lib.induction:half_losses")`."""

    name: str

    def __post_init__(self) -> None:
        module, _, attribute = self.name.partition(":")
        if module.split(".")[0] != "mi_lib" or not attribute.isidentifier() or attribute.startswith("_"):
            raise ValueError(f"ByName takes 'mi_lib.module:function', not {self.name!r}")
        if module.startswith("mi_lib.course"):
            raise ValueError("the course engine is not for learners' code; name a function of the library")

    def resolve(self) -> Any:
        """The function itself."""
        module, _, attribute = self.name.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Nothing crosses where the reference draws a figure: there it is called as it stands."""
        return self.resolve()(*args, **kwargs)


class Handle:
    """A learner's object, seen from the judge: it stays in the learner's process."""

    def __init__(self, ask: Callable[..., Any], number: int, type_name: str, is_callable: bool) -> None:
        self._ask = ask
        self._number = number
        self.type_name = type_name
        self.callable = is_callable

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object in the learner's process; the result comes back as data."""
        return self._ask("call", self._number, {"args": list(args), "kwargs": kwargs})

    def attr(self, name: str) -> Any:
        """An attribute of the object: data, or another handle."""
        return self._ask("attr", self._number, name)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The tensors of a learner's module by name."""
        return self._ask("state_dict", self._number, None)

    def __repr__(self) -> str:
        return f"<the learner's {self.type_name}>"


# --- from the judge ---------------------------------------------------------------------------------------------------


def from_judge(value: Any, encoder: Encoder) -> Any:
    """The node of a value that the judge passes to the learner's code."""
    if isinstance(value, Handle):
        return {"t": "handle", "id": value._number}
    if isinstance(value, ByName):
        return {"t": "lib", "name": value.name}
    if isinstance(value, HookedModel):
        return _source_node(value) or _model_node(value, encoder)
    if isinstance(value, VisionModel):
        return _vision_node(value, encoder)
    if isinstance(value, ActivationCache):
        return {"t": "cache", "layers": value._n_layers, "v": encoder.node(dict(value.items()))}
    if isinstance(value, torch.device):
        return {"t": "device", "v": str(value)}
    if dataclasses.is_dataclass(value) and type(value).__module__.split(".")[0] == "mi_lib":
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        name = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"t": "object", "class": name, "v": encoder.node(fields)}
    raise CannotCross(
        f"a {type(value).__name__} cannot be passed to a learner's function: pass data, a model, or ByName('mi_lib...')"
    )


def _source_node(model: HookedModel) -> Any:
    """By name, if the model was loaded by name and nobody has changed its weights since."""
    source = getattr(model, "source", None)
    if not source or _fingerprint(model) != _pristine(source, str(model.dtype)):
        return None
    grad = any(p.requires_grad for p in model.parameters())
    return {"t": "source", "name": source[0], "step": source[1], "dtype": _dtype_name(model), "grad": grad}


_pristine_prints: dict[tuple, int] = {}


def _pristine(source: tuple, dtype: str) -> int:
    if (source, dtype) not in _pristine_prints:
        model = load(source[0], checkpoint=source[1], dtype=getattr(torch, dtype.removeprefix("torch.")), check=False)
        _pristine_prints[source, dtype] = _fingerprint(model)
    return _pristine_prints[source, dtype]


def _fingerprint(model: HookedModel) -> int:
    """A checksum of all weights: a few milliseconds for a bundled model."""
    total = 0
    for parameter in model.parameters():
        total = zlib.crc32(raw_bytes(parameter.detach().cpu().contiguous()), total)
    return total


def _dtype_name(model: HookedModel) -> str:
    return str(model.dtype).removeprefix("torch.")


def _model_node(model: HookedModel, encoder: Encoder, with_tokenizer: bool = True) -> Any:
    if not isinstance(model, Transformer):
        raise CannotCross(
            f"a {type(model).__name__} whose weights were changed cannot be handed over; "
            "only native Transformers cross with their weights"
        )
    tokenizer = model.tokenizer.to_str() if with_tokenizer and hasattr(model.tokenizer, "to_str") else None
    return {
        "t": "model",
        "config": encoder.node(model.config.to_dict()),
        "weights": encoder.node({name: p.detach() for name, p in model.named_parameters()}),
        "grad": any(p.requires_grad for p in model.parameters()),
        "tokenizer": tokenizer,
    }


def _vision_node(model: VisionModel, encoder: Encoder) -> Any:
    """It is small: config and weights."""
    net = model.module
    if type(net) is not ConvNet:
        raise CannotCross(f"a VisionModel around a {type(net).__name__} cannot be handed over; only a ConvNet can")
    weights = {name: p.detach() for name, p in net.named_parameters()}
    return {"t": "vision", "config": net.config.to_dict(), "weights": encoder.node(weights), "source": model.source}


# --- to the learner ---------------------------------------------------------------------------------------------------


def to_learner(
    objects: dict[int, Any], functions: dict[str, Any] | None = None
) -> Callable[[str, dict, Decoder, int], Any]:
    """The decoder of the learner's side, which may load models and import library functions.

    functions: what to hand over by these names, instead of what the library has there.
    """

    loaded: dict[tuple, HookedModel] = {}

    def other(kind: str, node: dict, decoder: Decoder, depth: int) -> Any:
        if kind == "handle":
            return objects[node["id"]]
        if kind == "lib":
            return (functions or {}).get(node["name"]) or ByName(node["name"]).resolve()
        if kind == "source":
            return _fresh(loaded, node)
        if kind == "model":
            return _build_model(node, decoder, depth)
        if kind == "vision":
            net = ConvNet(ConvNetConfig.from_dict(node["config"]))
            net.load_state_dict(decoder.value(node["weights"], depth + 1))
            return wrapped(net, node["source"])
        if kind == "cache":
            return ActivationCache(decoder.value(node["v"], depth + 1), node["layers"])
        if kind == "device":
            return torch.device(node["v"])
        if kind == "object":
            return _build_object(node["class"], decoder.value(node["v"], depth + 1))
        raise BadData(f"unknown kind {kind!r}")

    return other


def _fresh(loaded: dict[tuple, HookedModel], node: dict) -> HookedModel:
    """A bundled model, read from its file once and copied each time: a learner may have changed the one before."""
    key = (node["name"], node["step"], node["dtype"])
    if key not in loaded:
        # What is bundled was checked when it was shipped, and its checksum is looked at: no self-check here.
        loaded[key] = load(node["name"], checkpoint=node["step"], dtype=getattr(torch, node["dtype"]), check=False)
    tokenizer = loaded[key].tokenizer
    model = copy.deepcopy(loaded[key], {id(tokenizer): tokenizer})
    return model.requires_grad_(node["grad"])


def _build_object(name: str, fields: dict[str, Any]) -> Any:
    module, _, attribute = name.partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    new = object.__new__(cls)  # not cls(...): __post_init__ has run already on the judge's side
    for field, value in fields.items():
        object.__setattr__(new, field, value)
    return new


def _empty(config: TransformerConfig) -> Transformer:
    """A model without storage: nothing is allocated for the shapes that a config announces."""
    with torch.device("meta"):
        return Transformer(config)


def misfit(model: Transformer, weights: dict[str, Any]) -> str:
    """How weights fail to fit a model, as a sentence; "" if they fit."""
    wanted = dict(model.named_parameters())
    if set(wanted) != set(weights):
        return f"its weights are {', '.join(map(str, weights))} instead of {', '.join(wanted)}"
    for name, p in wanted.items():
        if type(weights[name]) is not torch.Tensor or weights[name].dtype not in _COMPUTED_WITH:
            return f"its weight {name} is not a tensor of floating-point numbers"
        if weights[name].shape != p.shape:
            return f"its weight {name} has shape {tuple(weights[name].shape)}, but its config says {tuple(p.shape)}"
    if len(dtypes := sorted({str(x.dtype).removeprefix("torch.") for x in weights.values()})) > 1:
        return f"its weights are of several types ({', '.join(dtypes)}); `.float()` makes them one"
    eps = model.config.norm_eps
    return "" if type(eps) in (int, float) and 0 <= eps <= 1 else f"its norm_eps is {str(eps)[:20]}, no small number"


def _build_model(node: dict, decoder: Decoder, depth: int) -> Transformer:
    """A native Transformer from config and weights. Sizes are bounded by the weights that truly arrived."""
    config, weights = decoder.value(node.get("config"), depth + 1), decoder.value(node.get("weights"), depth + 1)
    if type(config) is not dict or type(weights) is not dict:
        raise BadData("a model without config or weights")
    if any(type(config.get(f)) is not int for f in _SAFE_FIELDS) or config["n_layers"] < 0:
        raise BadData("a model whose config is none")
    decoder.layers += config["n_layers"]
    if decoder.layers > MAX_LAYERS:
        raise BadData("too many layers of models")
    model = _empty(TransformerConfig.from_dict(config))
    if misfit(model, weights):
        raise BadData("a model whose weights do not fit its config")
    model.load_state_dict(weights, strict=False, assign=True)
    model.requires_grad_(node.get("grad") is True)
    if type(node.get("tokenizer")) is str:
        from tokenizers import Tokenizer

        model.tokenizer = Tokenizer.from_str(node["tokenizer"])
    return model.eval()


# --- from the learner, and back to the judge --------------------------------------------------------------------------


def from_learner(keep: Callable[[Any], int]) -> Callable[[Any, Encoder], Any]:
    """The encoder of the learner's side: what is not data stays, and a handle goes. `keep` numbers the object."""

    def other(value: Any, encoder: Encoder) -> Any:
        if type(value) is Transformer:
            if why := misfit(_empty(value.config), {name: p.detach() for name, p in value.named_parameters()}):
                raise CannotCross(f"it is a model, but {why}")
            encoder.layers += value.config.n_layers
            if encoder.layers > MAX_LAYERS:
                raise CannotCross(f"there are models of {encoder.layers} layers in it, and at most {MAX_LAYERS} cross")
            return _model_node(value, encoder, with_tokenizer=False)
        return {"t": "handle", "id": keep(value), "type": type(value).__name__, "callable": callable(value)}

    return other


def to_judge(ask: Callable[..., Any]) -> Callable[[str, dict, Decoder, int], Any]:
    """The decoder of the judge's side: of everything above it rebuilds only models and handles."""

    def other(kind: str, node: dict, decoder: Decoder, depth: int) -> Any:
        if kind == "handle":
            number, name = node.get("id"), node.get("type")
            if type(number) is not int or type(name) is not str:
                raise BadData("a handle that is none")
            return Handle(ask, number, name[:80], node.get("callable") is True)
        if kind == "model":
            return _build_model({**node, "tokenizer": None}, decoder, depth)
        raise BadData("unknown kind")

    return other
