"""Values as data: typed JSON and raw arrays, rebuilt on the other side as exact builtin types, tensors and arrays.

    None, True, 3, 2.5, "text"       themselves (JSON as Python writes it, so NaN, inf and every float are exact)
    [..]                             a list
    {"t": "tuple", "v": [..]}        and "set", "frozenset", "dict" (as pairs), "complex", "bytes", "slice"
    {"t": "tensor", "dtype", "shape", "b": 0}      raw buffer number 0; "array" and "scalar" for numpy
    {"t": "large", "dtype", "shape"}               a tensor that was too large to be sent: a meta tensor
    {"t": "handle", "id", "type", "callable"}      an object that stays in the learner's process
    model, source, lib, object       see `crossing`: they travel from the judge to the learner only (a model also back)

What arrives from the learner's process is material, never an instruction: only the kinds above are rebuilt, sizes,
depth and shapes are checked first, and no code, name or pickle of the sender is ever executed.
"""

from __future__ import annotations

import collections
import math
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mi_lib.course.grading.wire import Message

MAX_DEPTH = 40
MAX_NODES = 500_000
MAX_DIMENSIONS = 32
MAX_CRAFTED = 10_000  # keys of kinds for which it is easy to find many with the same hash, which makes a dict crawl
_SAFE_INT = 2**61 - 1  # Python's modulus: below it, whole numbers have hashes of their own

_TORCH_NAMES = (
    "float16 float32 float64 bfloat16 float8_e4m3fn float8_e5m2 complex64 complex128 "
    "uint8 uint16 uint32 uint64 int8 int16 int32 int64 bool"
)
TORCH_DTYPES = {name: getattr(torch, name) for name in _TORCH_NAMES.split()}
_NUMPY_NAMES = "float16 float32 float64 complex64 complex128 uint8 uint16 uint32 uint64 int8 int16 int32 int64 bool"
NUMPY_DTYPES = {name: np.dtype(name) for name in _NUMPY_NAMES.split()}


# A dict of the learner's own class is a dict all the same.
_DICTS = (dict, collections.UserDict, types.MappingProxyType)


class CannotCross(Exception):
    """A value that has no form as data. The message is a sentence about it."""


class BadData(Exception):
    """Data from the other side that breaks the rules. Never raised by honest code."""


class Encoder:
    """Turns values into a JSON body and buffers. `other(value, encoder)` is asked about every type not listed above."""

    def __init__(self, other: Callable[[Any, Encoder], Any]) -> None:
        self.other = other
        self.buffers: list[bytes | memoryview] = []
        self.nodes = 0
        self.layers = 0  # of all models in it

    def buffer(self, data: bytes | memoryview) -> int:
        self.buffers.append(data)
        return len(self.buffers) - 1

    def node(self, x: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise CannotCross(f"it is nested more than {MAX_DEPTH} levels deep")
        if self.nodes > MAX_NODES:
            raise CannotCross(f"it has more than {MAX_NODES} parts; return a tensor instead")
        if x is None or x is True or x is False:
            return x
        if isinstance(x, torch.Tensor):
            return self._tensor(x)
        if isinstance(x, np.ndarray | np.generic):
            return self._array(x, depth)
        if isinstance(x, int):
            return self._int(int(x))
        if isinstance(x, float):
            return float(x)
        if isinstance(x, str):
            return str.__str__(x)
        if isinstance(x, list):
            return [self.node(v, depth + 1) for v in x]
        return self._container(x, depth)

    def _container(self, x: Any, depth: int) -> Any:
        if isinstance(x, tuple):
            return {"t": "tuple", "v": [self.node(v, depth + 1) for v in x]}
        if isinstance(x, _DICTS):
            pairs = [[self._key(k, depth + 1), self.node(v, depth + 1)] for k, v in x.items()]
            return {"t": "dict", "v": pairs}
        if isinstance(x, set | frozenset):
            kind = "set" if isinstance(x, set) else "frozenset"
            return {"t": kind, "v": [self._key(v, depth + 1) for v in x]}
        if isinstance(x, complex):
            return {"t": "complex", "v": [x.real, x.imag]}
        if isinstance(x, bytes | bytearray):
            return {"t": "bytes", "b": self.buffer(bytes(x))}
        if isinstance(x, range):
            return [self._int(v) for v in x] if len(x) < MAX_NODES else self.other(x, self)
        if isinstance(x, slice):
            return {"t": "slice", "v": [self.node(v, depth + 1) for v in (x.start, x.stop, x.step)]}
        if isinstance(x, torch.dtype):
            return {"t": "dtype", "v": str(x).removeprefix("torch.")}
        return self.other(x, self)

    def _int(self, x: int) -> Any:
        if x.bit_length() > 10_000:
            raise CannotCross("it is a whole number of more than 3000 digits")
        return x

    def _key(self, x: Any, depth: int) -> Any:
        if isinstance(x, tuple):
            return {"t": "tuple", "v": [self._key(part, depth + 1) for part in x]}
        if isinstance(x, np.generic):
            x = x.item()
        if x is None or isinstance(x, bool | int | float | str | complex | bytes | frozenset):
            return self.node(x, depth)
        kind = type(x).__name__
        raise CannotCross(f"it uses objects of type {kind} as keys of a dict or members of a set; use plain numbers")

    def _tensor(self, x: torch.Tensor) -> Any:
        name = str(x.dtype).removeprefix("torch.")
        if name not in TORCH_DTYPES or x.is_meta:
            raise CannotCross(f"it is a tensor of a kind that cannot be handed over ({name}, {x.device})")
        if x.ndim > MAX_DIMENSIONS:
            raise CannotCross(f"it is a tensor of {x.ndim} axes, and at most {MAX_DIMENSIONS} can be handed over")
        x = x.detach()
        x = x.to_dense() if x.layout is not torch.strided else x
        x = x.cpu().resolve_conj().resolve_neg().contiguous()
        raw = raw_bytes(x)
        return {"t": "tensor", "dtype": name, "shape": list(x.shape), "b": self.buffer(raw)}

    def _array(self, x: np.ndarray | np.generic, depth: int) -> Any:
        if x.dtype.name not in NUMPY_DTYPES:
            if x.dtype.kind in "OUS" and x.ndim <= MAX_DIMENSIONS:  # text and objects: as nested lists
                return self.node(x.tolist(), depth + 1)
            raise CannotCross(f"it is a numpy array of a kind that cannot be handed over ({x.dtype.name})")
        native = np.ascontiguousarray(x).astype(NUMPY_DTYPES[x.dtype.name], copy=False)
        kind = "scalar" if isinstance(x, np.generic) else "array"
        return {"t": kind, "dtype": x.dtype.name, "shape": list(x.shape), "b": self.buffer(native.tobytes())}


class Decoder:
    """Rebuilds values. `other(kind, node, decoder, depth)` is asked about kinds that are not plain data."""

    def __init__(
        self,
        buffers: list[bytes | memoryview],
        other: Callable[[str, dict, Decoder, int], Any],
        shapes_alone: bool = False,
    ) -> None:
        self.buffers = buffers
        self.other = other
        self.shapes_alone = shapes_alone  # tensors and arrays without their numbers, as meta tensors
        self.nodes = 0
        self.layers = 0
        self.crafted = 0

    def value(self, node: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise BadData("too deep or too many parts")
        if node is None or type(node) in (bool, int, float, str):
            return node
        if type(node) is list:
            return [self.value(v, depth + 1) for v in node]
        if type(node) is not dict or type(node.get("t")) is not str:
            raise BadData("a value without a kind")
        build = _BUILDERS.get(node["t"])
        return build(self, node, depth) if build else self.other(node["t"], node, self, depth)

    def bytes_of(self, node: dict) -> memoryview:
        index = node.get("b")
        if type(index) is not int or not 0 <= index < len(self.buffers):
            raise BadData("a buffer that is not there")
        return memoryview(self.buffers[index])

    def items(self, node: dict, depth: int) -> list[Any]:
        items = node.get("v")
        if type(items) is not list:
            raise BadData("a container without its parts")
        return [self.value(v, depth + 1) for v in items]

    def keys(self, values: list[Any]) -> list[Any]:
        """The values, if each may be a key: numbers, text, None and tuples of them."""
        for value in values:
            if not (value is None or type(value) in (bool, str, float, bytes) or _is_small(value)):
                self.crafted += 1
                if self.crafted > MAX_CRAFTED:
                    raise BadData("too many compound keys")
            if type(value) is tuple:
                self.keys(list(value))
            elif not (value is None or type(value) in (bool, int, float, str, complex, bytes, frozenset)):
                raise BadData("a key that is not plain")
        return values


def _is_small(value: Any) -> bool:
    return type(value) is int and abs(value) < _SAFE_INT


def raw_bytes(x: torch.Tensor) -> memoryview:
    """The bytes of a dense, contiguous CPU tensor of any dtype, not copied."""
    return memoryview(x.reshape(-1).view(torch.uint8).numpy()) if x.numel() else memoryview(b"")  # type: ignore[arg-type]


def shape_of(node: dict, itemsize: int, size: int) -> tuple[int, ...]:
    """The shape that a tensor's description announces, if it fits its raw bytes."""
    shape = node.get("shape")
    if type(shape) is not list or len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise BadData("a shape that is none")
    if any(n > 2**40 for n in shape) or math.prod(shape) * itemsize != size:
        raise BadData("a shape that does not fit its data")
    return tuple(shape)


def _without_numbers(node: dict, dtype: torch.dtype) -> torch.Tensor:
    """A tensor that has a shape and no memory."""
    shape = node.get("shape")
    if type(shape) is not list or len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape):
        raise BadData("a shape that is none")
    if math.prod(shape) > 2**50:
        raise BadData("a shape that nothing has")
    return torch.empty(shape, dtype=dtype, device="meta")


def _large(decoder: Decoder, node: dict, depth: int) -> torch.Tensor:
    """What its sender did not send, because it is too large."""
    dtype = TORCH_DTYPES.get(node.get("dtype", ""))
    if dtype is None:
        raise BadData("an unknown dtype")
    return _without_numbers(node, dtype)


def _tensor(decoder: Decoder, node: dict, depth: int) -> torch.Tensor:
    dtype = TORCH_DTYPES.get(node.get("dtype", ""))
    if dtype is None:
        raise BadData("an unknown dtype")
    if decoder.shapes_alone:
        return _without_numbers(node, dtype)
    raw = decoder.bytes_of(node)
    shape = shape_of(node, dtype.itemsize, len(raw))
    if not len(raw):
        return torch.empty(shape, dtype=dtype)
    if dtype is torch.bool:  # any byte but 0 and 1 would be an invalid bool
        return (torch.frombuffer(bytearray(raw), dtype=torch.uint8) != 0).reshape(shape)
    return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)


def _array(decoder: Decoder, node: dict, depth: int) -> Any:
    dtype = NUMPY_DTYPES.get(node.get("dtype", ""))
    if dtype is None:
        raise BadData("an unknown dtype")
    if decoder.shapes_alone:
        return _without_numbers(node, TORCH_DTYPES[node["dtype"]])
    raw = decoder.bytes_of(node)
    shape = shape_of(node, dtype.itemsize, len(raw))
    if dtype == np.bool_:
        array = (np.frombuffer(raw, dtype=np.uint8) != 0).reshape(shape)
    else:
        array = np.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)
    if node["t"] == "array":
        return array
    if shape:
        raise BadData("a scalar with a shape")
    return array[()]


def _dict(decoder: Decoder, node: dict, depth: int) -> dict:
    pairs = decoder.items(node, depth)
    if any(type(pair) is not list or len(pair) != 2 for pair in pairs):
        raise BadData("a dict without pairs")
    decoder.keys([key for key, _ in pairs])
    return dict(pairs)


def _complex(decoder: Decoder, node: dict, depth: int) -> complex:
    parts = decoder.items(node, depth)
    if len(parts) != 2 or any(type(part) not in (int, float) for part in parts):
        raise BadData("a complex number that is none")
    return complex(*parts)


def _slice(decoder: Decoder, node: dict, depth: int) -> slice:
    parts = decoder.items(node, depth)
    if len(parts) != 3:
        raise BadData("a slice that is none")
    return slice(*parts)


def _dtype(decoder: Decoder, node: dict, depth: int) -> torch.dtype:
    name = node.get("v")
    if type(name) is not str or name not in TORCH_DTYPES:
        raise BadData("an unknown dtype")
    return TORCH_DTYPES[name]


_BUILDERS: dict[str, Callable[[Decoder, dict, int], Any]] = {
    "tuple": lambda d, node, depth: tuple(d.items(node, depth)),
    "set": lambda d, node, depth: set(d.keys(d.items(node, depth))),
    "frozenset": lambda d, node, depth: frozenset(d.keys(d.items(node, depth))),
    "bytes": lambda d, node, depth: b"" if d.shapes_alone else bytes(d.bytes_of(node)),
    "tensor": _tensor,
    "large": _large,
    "array": _array,
    "scalar": _array,
    "dict": _dict,
    "complex": _complex,
    "slice": _slice,
    "dtype": _dtype,
}


def encode(value: Any, other: Callable[[Any, Encoder], Any]) -> Message:
    """A value as a message. CannotCross, with a sentence, if it has no form as data."""
    encoder = Encoder(other)
    body = encoder.node(value)
    return Message(body, encoder.buffers)


def large(body: Any) -> Any:
    """The body of a message too large to send, with the shapes of its tensors instead of their numbers."""
    if type(body) is list:
        return [large(part) for part in body]
    if type(body) is not dict:
        return body
    if body.get("t") in ("tensor", "array", "scalar"):
        return {"t": "large", "dtype": body["dtype"], "shape": body["shape"]}
    if body.get("t") in ("bytes", "model"):
        return {"t": "handle", "id": 0, "type": body["t"], "callable": False}
    return {key: large(part) for key, part in body.items()}


def decode(message: Message, other: Callable[[str, dict, Decoder, int], Any], shapes_alone: bool = False) -> Any:
    """The value of a message. BadData if the message breaks the rules. shapes_alone: before its buffers are there."""
    try:
        return Decoder(message.buffers, other, shapes_alone).value(message.body)
    except BadData:
        raise
    except Exception as error:
        raise BadData(f"a value that cannot be rebuilt ({type(error).__name__})") from None
