"""What the library offers: every public function, class and method with its signature and docstring, to be searched.

    entries()                            all of them, in the order of their names
    entries()[0].signature               "ablate_heads(model: HookedModel, ...) -> ..."

The source is read and not imported: torch stays out of it, and signatures stand as they are written, axes and all. The
course engine, the commands and the recipes are left out, for no exercise needs them.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

LIBRARY = Path(__file__).parents[1]
LEFT_OUT = ("course", "cli", "recipes")


@dataclass(frozen=True)
class Entry:
    """One thing that can be used."""

    name: str  # "load"; of a method "HookedModel.run_with_cache"
    module: str  # where to import it from: "mi_lib.models"
    kind: str  # "function", "class" or "method"
    signature: str  # "load(name: str, ...) -> HookedModel", on one line
    first: str  # the docstring's first sentence or line
    rest: str  # what follows it


@functools.cache
def entries() -> tuple[Entry, ...]:
    """Everything public, each once: under the shortest module that offers it."""
    trees = {module: ast.parse(path.read_text("utf-8")) for module, path in _modules()}
    offered = {module: _offered(tree) for module, tree in trees.items()}
    homes: dict[tuple[str, str], str] = {}
    for module, names in offered.items():
        for name, origin in names.items():
            for _ in range(3):  # a package may have it from another package
                origin = offered.get(origin, {}).get(name, origin)
            if module.count(".") < homes.get((origin, name), "." * 99).count("."):
                homes[origin, name] = module
    found: list[Entry] = []
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and not _again(node):
                found += _entries(node, homes.get((module, node.name), module))
    return tuple(sorted(found, key=lambda entry: (entry.name.lower(), entry.module)))


def as_data() -> list[dict[str, str]]:
    """The same as plain dicts."""
    return [asdict(entry) for entry in entries()]


def _modules() -> Iterator[tuple[str, Path]]:
    """The library's public modules: (dotted name, file)."""
    for path in sorted(LIBRARY.rglob("*.py")):
        parts = path.relative_to(LIBRARY).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts) and not (parts and parts[0] in LEFT_OUT):
            yield ".".join(("mi_lib", *parts)), path


_IMPORT = re.compile(r"^[ \t]*(?:from mi_lib[\w.]* import (?:\([^)]*\)|[^\n]*)|import mi_lib[^\n]*)", re.MULTILINE)


def imports(text: str) -> str:
    """The statements of a text that import something of the library; found by line, so that its slips do not matter."""
    return "\n".join(_IMPORT.findall(text))


def _offered(tree: ast.Module) -> dict[str, str]:
    """The names in a package's `__all__` that it has from elsewhere, and the modules that define them."""
    listed = {
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for element in ast.walk(node.value)
        if isinstance(element, ast.Constant)
    }
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mi_lib"):
            for alias in node.names:
                if (alias.asname or alias.name) in listed:
                    found[alias.asname or alias.name] = node.module
    return found


def _again(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """Whether the same name is defined once more below, or was above: an overload, a property's setter."""
    return any(ast.unparse(decorator).endswith(("overload", ".setter")) for decorator in node.decorator_list)


def _entries(node: ast.FunctionDef | ast.ClassDef, module: str) -> Iterator[Entry]:
    if isinstance(node, ast.FunctionDef):
        yield _entry(node, node.name, module, "function", _signature(node, node.name))
        return
    bases = ", ".join(map(ast.unparse, node.bases))
    yield _entry(node, node.name, module, "class", f"class {node.name}({bases})" if bases else f"class {node.name}")
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and not _again(method):
            yield _entry(method, f"{node.name}.{method.name}", module, "method", _method(method))


def _entry(node: ast.FunctionDef | ast.ClassDef, name: str, module: str, kind: str, signature: str) -> Entry:
    docstring = inspect.cleandoc(ast.get_docstring(node) or "")
    first, _, rest = docstring.partition("\n")
    signature = signature.replace("'", '"').replace('[Tensor, " ', '[Tensor, "')  # " d" is how one axis must be written
    return Entry(name, module, kind, signature, first, rest.strip("\n"))


def _method(node: ast.FunctionDef) -> str:
    """As it is called: without `self`; a property without parentheses."""
    if any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list):
        return f"{node.name}: {ast.unparse(node.returns)}" if node.returns else node.name
    is_static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
    shown = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(shown, ast.FunctionDef)
    if not is_static:
        del (shown.args.posonlyargs or shown.args.args)[:1]
    return _signature(shown, node.name)


def _signature(node: ast.FunctionDef, name: str) -> str:
    given = node.args
    positional = [*given.posonlyargs, *given.args]
    without: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    shown = list(map(_argument, positional, [*without, *given.defaults]))
    if given.vararg:
        shown.append(f"*{_argument(given.vararg, None)}")
    elif given.kwonlyargs:
        shown.append("*")
    shown += map(_argument, given.kwonlyargs, given.kw_defaults)
    if given.kwarg:
        shown.append(f"**{_argument(given.kwarg, None)}")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{name}({', '.join(shown)}){returns}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {ast.unparse(argument.annotation)}" if argument.annotation else ""
    if default is None:
        return argument.arg + kind
    return f"{argument.arg}{kind} = {ast.unparse(default)}" if kind else f"{argument.arg}={ast.unparse(default)}"
