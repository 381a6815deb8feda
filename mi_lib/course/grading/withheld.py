"""Under `refuse`, the learner's process has a library in which what answers an exercise is not there.

Of the techniques, only what the exercise may use stays (`uses` in its chapter.toml), with what that calls itself. All
other functions and methods of theirs are emptied: the names can be imported, and whoever calls one is told. So it is no
matter by which way a function is reached, or which helper does the same. Models, worlds and the zoo stay whole, except
for what `answered_by` names. What is in both lists cannot be taken away, since the exercise itself needs it: it is
watched (`reading.watch`). The source of all this is not readable (`confine`), and needs not be: it is imported already.

The server calls `learn` once, before it forks; a learner's process calls `withhold`, before any of its code runs.
"""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_LIBRARY = Path(__file__).parents[2]
TECHNIQUES = (
    "attribution", "circuits", "features", "grokking", "induction", "lens", "oracles", "personas", "probing", "saes",
    "steering", "superposition",
)  # fmt: skip
_HIDDEN = (*TECHNIQUES, "recipes")  # whose source is not readable; recipes are imported by nobody
_PACKAGES = tuple(f"mi_lib.{name}" for name in TECHNIQUES)
_functions: list[FunctionType] = []  # all that the techniques define, wherever they are held


def of_a_technique(module: str) -> bool:
    return module.startswith(_PACKAGES) and any(module == p or module.startswith(p + ".") for p in _PACKAGES)


def learn(answers: Iterable[str] = ()) -> None:
    """Import all techniques, and the modules of these answers, and find every function that they define."""
    for name in answers:
        _named(name)
    if _functions:
        return
    for package in _PACKAGES:
        module = importlib.import_module(package)
        for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{package}."):
            importlib.import_module(found.name)
    gc.unfreeze()
    _functions[:] = [f for f in gc.get_objects() if type(f) is FunctionType and _of_techniques(f)]
    gc.freeze()


def _of_techniques(function: FunctionType) -> bool:
    return of_a_technique(str(function.__globals__.get("__name__")))


def withhold(exercise: str, answers: Iterable[str], uses: Iterable[str]) -> list[str]:
    """Empty all that the exercise may not use. Returns the files whose source nobody is to read."""
    stay = closure(filter(None, map(_named, uses)))
    files = [str(_LIBRARY / name) for name in _HIDDEN] + [str(_LIBRARY / f"{name}.py") for name in _HIDDEN]
    doomed = [function for function in _functions if id(function) not in stay]
    for name in answers:
        thing = _named(name)
        if thing is None or name in set(uses) or not str(getattr(thing, "__module__", "")).startswith("mi_lib."):
            continue
        doomed += _functions_of(thing)
        if source := getattr(sys.modules.get(thing.__module__), "__file__", None):
            files.append(source)
    for function in doomed:
        _empty(function, exercise)
    return [*files, *_compiled(files)]


def _compiled(files: Iterable[str]) -> Iterator[str]:
    for file in map(Path, files):
        yield from map(str, (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"))


def _named(name: str) -> Any:
    """ "mi_lib.probing:mass_mean" or a whole module; None if there is none."""
    module, _, attribute = name.partition(":")
    try:
        thing = importlib.import_module(module)
        return getattr(thing, attribute) if attribute else thing
    except (ImportError, AttributeError):
        return None


# --- emptying ---------------------------------------------------------------------------------------------------------


def _gone(*args: Any, **kwargs: Any) -> Any:
    raise PermissionError("WORDS")


def _empty(function: FunctionType, exercise: str) -> None:
    """Take a function its code, whoever holds it. The code is freed: nothing else refers to it."""
    name = f"{function.__module__}.{function.__qualname__}"
    words = f"{name} is not there while {exercise} is graded, which asks you to write such things yourself"
    code = _gone.__code__
    constants = tuple(words if constant == "WORDS" else constant for constant in code.co_consts)
    function.__code__ = code.replace(
        co_consts=constants, co_name=function.__name__, co_freevars=function.__code__.co_freevars
    )


def _functions_of(thing: Any) -> list[FunctionType]:
    """A function itself, or all that a class defines."""
    if isinstance(thing, type):
        return [f for part in vars(thing).values() for f in _inside(part) if type(f) is FunctionType]
    return [f for f in (thing, _vars(thing).get("__wrapped__")) if type(f) is FunctionType]  # not what it is given


# --- what stays -------------------------------------------------------------------------------------------------------


def closure(roots: Iterable[Any]) -> set[int]:
    """The ids of all functions of the techniques that these functions, classes and modules call, as far as names tell.

    A method stays with its class, a class with whoever names it.
    """
    found: set[int] = set()
    seen: dict[int, Any] = {}
    todo = [part for root in roots for part in (_defined(root) if isinstance(root, ModuleType) else [root])]
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if type(thing) is FunctionType:
            if _of_techniques(thing):
                found.add(id(thing))
                todo += _called(thing)
        elif isinstance(thing, type) and of_a_technique(thing.__module__):
            todo += [*vars(thing).values(), *thing.__bases__]
        todo += _inside(thing)
        if of_a_technique(type(thing).__module__):
            todo.append(type(thing))
    return found


def _defined(module: ModuleType) -> list[Any]:
    return [part for part in vars(module).values() if getattr(part, "__module__", None) == module.__name__]


def _called(function: FunctionType) -> Iterator[Any]:
    """What a function's names lead to: globals, attributes of modules, what it imports."""
    names, there = set(_names(function.__code__)), function.__globals__
    modules = [there[name] for name in names if isinstance(there.get(name), ModuleType)]
    modules += [sys.modules[name] for name in names if of_a_technique(name) and name in sys.modules]
    yield from (there[name] for name in names if name in there and not isinstance(there[name], ModuleType))
    for module in modules:
        if of_a_technique(module.__name__) or module.__name__ == "mi_lib":
            yield from (vars(module)[name] for name in names if name in vars(module))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _inside(thing: Any) -> list[Any]:
    """What a wrapper, a descriptor or a container holds."""
    if isinstance(thing, staticmethod | classmethod):
        return [thing.__func__]
    if isinstance(thing, property):
        return [thing.fget, thing.fset, thing.fdel]
    if isinstance(thing, cached_property):
        return [thing.func]
    if isinstance(thing, dict):
        return list(thing.values())
    if isinstance(thing, list | tuple | set | frozenset):
        return list(thing)
    held = [cell.cell_contents for cell in getattr(thing, "__closure__", None) or () if _full(cell)]
    held += list(getattr(thing, "__defaults__", None) or ())
    return [*held, *(vars(thing)[name] for name in ("__wrapped__", "func") if name in _vars(thing))]


def _full(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _vars(thing: Any) -> dict[str, Any]:
    found = getattr(thing, "__dict__", {})
    return found if isinstance(found, dict) else {}
