"""What the learner was given to write: names, arguments and results as the chapter's stub annotates them.

The stub is read, never run, and it is the course's own: what a learner does to a signature changes nothing here.
"""

from __future__ import annotations

import ast
import functools
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mi_lib.course import sections
from mi_lib.course.grading import kinds
from mi_lib.course.grading.kinds import Kind, Look

ANYTHING = Kind()
_NUMBERS = {  # jaxtyping's names
    **dict.fromkeys(("Float", "Inexact", "Real", "Float16", "Float32", "Float64", "BFloat16"), "float"),
    **dict.fromkeys(("Int", "Integer", "UInt", "Int8", "Int16", "Int32", "Int64", "UInt8"), "int"),
    **dict.fromkeys(("Complex", "Complex64", "Complex128"), "complex"),
    "Bool": "bool",
    "Num": "any",
    "Shaped": "any",
}
_PLAIN: dict[str, Kind] = {
    "float": kinds.Number(float),
    "int": kinds.Number(int),
    "bool": kinds.Number(bool),
    "str": kinds.Exactly(str, "a text", "texts"),
    "Tensor": kinds.TensorKind(),
    "list": kinds.ListOf(ANYTHING),
    "tuple": kinds.ListOf(ANYTHING, tuple),
    "dict": kinds.DictOf(ANYTHING, ANYTHING),
    "Callable": kinds.FUNCTION,
    "Iterator": kinds.ITERATOR,
    "Generator": kinds.ITERATOR,
    "Transformer": kinds.TRANSFORMER,
    "HookedModel": kinds.Object("a model", "models"),
}
_NONE = kinds.Exactly(type(None), "None", "None")


@dataclass(frozen=True)
class Signature:
    """A function of the stub."""

    name: str
    exercise: str  # "02.3"
    parameters: tuple[tuple[str, Kind], ...]
    returns: Kind
    may_change: frozenset[str] = frozenset()  # arguments that the exercise asks to change

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name."""
        names = [name for name, _ in self.parameters]
        return dict(zip(names, args, strict=False)) | kwargs

    def look(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Look:
        """A look at the result of a call, with the sizes that its arguments fix."""
        look = Look(f"What your {self.name} returns")
        values, of = self.bound(args, kwargs), dict(self.parameters)
        for name, value in sorted(values.items(), key=lambda item: isinstance(of.get(item[0]), kinds.Object)):
            if type(value) is int:
                look.whole[name] = value
            of.get(name, ANYTHING).bind(value, look)
        return look


@dataclass(frozen=True)
class Contract:
    """All functions of a chapter's stub by name."""

    signatures: dict[str, Signature] = field(default_factory=dict)


def contract_of(folder: Path) -> Contract:
    """The contract of the chapter in this folder; an empty one where there is no stub."""
    stub, toml = folder / "exercises.py", folder / "chapter.toml"
    stamps = tuple(path.stat().st_mtime_ns if path.is_file() else 0 for path in (stub, toml))
    return _read(stub, toml, stamps)


@functools.lru_cache(maxsize=64)
def _read(stub: Path, toml: Path, stamps: tuple[int, ...]) -> Contract:
    if not stamps[0]:
        return Contract()
    changes = _changes(toml) if stamps[1] else {}
    signatures: dict[str, Signature] = {}
    try:
        parts = sections.split(stub.read_text("utf-8"))
        aliases = _aliases(ast.parse("".join(parts.values())))
        for exercise, text in parts.items():
            for node in ast.parse(text).body:
                if isinstance(node, ast.FunctionDef):
                    signatures[node.name] = _signature(node, exercise, aliases, changes.get(node.name, frozenset()))
    except (SyntaxError, sections.SectionError):
        return Contract()  # the build check says what is wrong with it
    return Contract(signatures)


def _changes(toml: Path) -> dict[str, frozenset[str]]:
    """function → arguments that its exercise asks to change in place (`changes` in chapter.toml: "model" for all of its
    functions, "train:model" for one)."""
    found: dict[str, frozenset[str]] = {}
    for table in tomllib.loads(toml.read_text("utf-8")).get("exercise", []):
        of = [entry.rpartition(":") for entry in table.get("changes", ())]
        for name in table.get("defines", ()):
            found[name] = frozenset(argument for function, _, argument in of if function in ("", name))
    return found


def _aliases(tree: ast.Module) -> dict[str, ast.expr]:
    """`Weights = dict[str, Tensor]`: names that stand for another annotation."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value:
            found[node.target.id] = node.value
    return found


def _signature(
    node: ast.FunctionDef, exercise: str, aliases: dict[str, ast.expr], may_change: frozenset[str]
) -> Signature:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = tuple((a.arg, kind_of(a.annotation, aliases)) for a in every)
    returns = kind_of(node.returns, aliases)
    if returns == _NONE:
        returns = ANYTHING  # nothing is asked of a function that is called for what it does
    return Signature(node.name, exercise, parameters, returns, may_change)


def kind_of(node: ast.expr | None, aliases: dict[str, ast.expr], depth: int = 0) -> Kind:
    """An annotation as a `Kind`; `ANYTHING` for one that says nothing we know."""
    if node is None or depth > 20:
        return ANYTHING

    def inner(part: ast.expr) -> Kind:
        return kind_of(part, aliases, depth + 1)

    if isinstance(node, ast.Constant):
        if node.value is None:
            return _NONE
        return inner(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else ANYTHING
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _one_of([inner(node.left), inner(node.right)])
    name = _last_name(node)
    if isinstance(node, ast.Subscript):
        return _subscripted(_last_name(node.value), _arguments(node.slice), inner)
    if name in aliases and isinstance(node, ast.Name):
        return inner(aliases[name])
    return _PLAIN.get(name, ANYTHING)


def _last_name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _arguments(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _subscripted(name: str, parts: list[ast.expr], inner: Any) -> Kind:
    """`Float[Tensor, "a b"]`, `list[int]`, `tuple[int, ...]`, `dict[str, Tensor]`, `Optional[int]`, `Callable[…]`."""
    if name in _NUMBERS and len(parts) == 2 and _last_name(parts[0]) == "Tensor":
        return _tensor(name, parts[1])
    if name in ("list", "List", "Sequence"):
        return kinds.ListOf(inner(parts[0]))
    if name in ("tuple", "Tuple"):
        if isinstance(parts[-1], ast.Constant) and parts[-1].value is ...:
            return kinds.ListOf(inner(parts[0]), tuple)
        return kinds.TupleOf(tuple(inner(part) for part in parts))
    if name in ("dict", "Dict", "Mapping") and len(parts) == 2:
        return kinds.DictOf(inner(parts[0]), inner(parts[1]))
    if name == "Optional":
        return _one_of([inner(parts[0]), _NONE])
    if name == "Union":
        return _one_of([inner(part) for part in parts])
    return _PLAIN[name] if name in ("Callable", "Iterator", "Generator") else ANYTHING


def _tensor(name: str, axes: ast.expr) -> Kind:
    if not (isinstance(axes, ast.Constant) and isinstance(axes.value, str)):
        return kinds.TensorKind(_NUMBERS[name])
    dtype = getattr(torch, name.lower(), None) if name[-1].isdigit() else None
    plain = tuple(_axis(part) for part in axes.value.split())
    return kinds.TensorKind(_NUMBERS[name], plain, dtype)


def _axis(part: str) -> str:
    """One axis without jaxtyping's marks: "#batch" may be 1 or broadcast, "head=4" is 4, "_x" is anything."""
    if part.startswith(("#", "_", "?")):
        return "_"
    return part.rpartition("=")[2]


def _one_of(parts: list[Kind]) -> Kind:
    if any(type(part) is Kind for part in parts):
        return ANYTHING
    flat = [kind for part in parts for kind in (part.kinds if isinstance(part, kinds.OneOf) else (part,))]
    return kinds.OneOf(tuple(flat))
