"""Does a submission call the library function that would answer the exercise?

An exercise names such functions (`answered_by` in chapter.toml). The text is read, never run: imports are followed to
the names they bind, and names that are given as strings (`import_module`, `getattr`, `sys.modules`) are seen too.
Whoever hides a name well enough (built letter by letter, say) gets past this; it is a remark for a person, and what it
costs is the instructor's policy.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from mi_lib.course import sections


def uses(text: str, exercise_id: str, answered_by: Iterable[str]) -> list[str]:
    """The functions of `answered_by` ("module:name") that the exercise's section, or its imports, make use of."""
    targets = {target.replace(":", "."): target for target in answered_by}
    if not targets:
        return []
    parts = sections.split(text)
    trees = {name: tree for name, part in parts.items() if (tree := _parse(part)) is not None}
    bound: dict[str, str] = {}  # name in the file → what it stands for
    for tree in trees.values():
        bound |= _imports(tree, targets)
    seen: set[str] = set()
    for name, tree in trees.items():
        if name == exercise_id or (name in ("", "setup") and exercise_id in trees):
            seen |= _named(tree, bound, targets, loads_only=name != exercise_id)
    return sorted(seen)


def _parse(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # it cannot run either


def _imports(tree: ast.Module, targets: dict[str, str]) -> dict[str, str]:
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if alias.name == "*":
                    bound |= {
                        target.rsplit(".", 1)[1]: target for target in targets if target.startswith(node.module + ".")
                    }
                else:
                    bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return bound


def _named(tree: ast.Module, bound: dict[str, str], targets: dict[str, str], loads_only: bool) -> set[str]:
    own = set() if loads_only else {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    seen = set()
    for node in ast.walk(tree):
        dotted = ""
        if isinstance(node, ast.Name | ast.Attribute):
            dotted = _dotted(node, {k: v for k, v in bound.items() if k not in own} if own else bound)
        elif isinstance(node, ast.ImportFrom) and not loads_only:
            seen |= {targets[name] for a in node.names if (name := f"{node.module}.{a.name}") in targets}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            seen |= {target for name, target in targets.items() if node.value in (name, name.rsplit(".", 1)[0])}
        if dotted in targets:
            seen.add(targets[dotted])
    return seen


def _dotted(node: ast.expr, bound: dict[str, str]) -> str:
    """`induction.half_losses` → "mi_lib.induction.half_losses", if `induction` is an import; "" otherwise."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in bound:
        return ""
    return ".".join([bound[node.id], *reversed(parts)])
