"""The house keeps its order: which room may import which, and no circle anywhere. Deferred imports count too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A room may import itself and what stands here.
TECHNIQUES = {"grokking", "induction", "lens", "attribution", "circuits", "superposition", "saes", "probing"} | {
    "steering",
    "personas",
    "oracles",
    "features",
}
GROUND = {"models", "worlds", "zoo", "statistics", "garbage"}
MAY_IMPORT = {
    "statistics": set(),
    "garbage": set(),
    "zoo": set(),
    "worlds": {"models"},  # a planted circuit is a network whose weights are written down
    "models": {"zoo", "garbage"},
    "plots": set(),
    "recipes": TECHNIQUES | GROUND | {"recipes"},
    "course": TECHNIQUES | GROUND | {"recipes", "plots"},
    "cli": TECHNIQUES | GROUND | {"recipes", "course", "plots"},
    "app": TECHNIQUES | GROUND | {"recipes", "course", "plots", "cli"},
    "chapters": TECHNIQUES | GROUND | {"recipes", "course", "plots"},
} | dict.fromkeys(TECHNIQUES, TECHNIQUES | GROUND)


def modules() -> dict[str, Path]:
    """Every module of the library and of the app, by its dotted name."""
    found = {}
    for top in ("mi_lib", "app"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
CHAPTERS = {f"chapters.{path.parent.name}.{path.stem}": path for path in sorted(ROOT.glob("chapters/*/*.py"))}


def imported(name: str, path: Path) -> Iterator[tuple[str, str]]:
    """What a file imports of the course, at its head or inside a function: (module, name or "")."""
    tree = ast.parse(path.read_text("utf-8"))
    only_for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if node in only_for_types:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *base.split(".")]).strip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield (whole, "") if whole in MODULES else (base, alias.name)


def edges(files: dict[str, Path]) -> dict[str, set[tuple[str, str]]]:
    return {name: {(m, n) for m, n in imported(name, path) if m in MODULES} for name, path in files.items()}


EDGES = edges(MODULES)


def room(name: str) -> str:
    parts = name.split(".")
    return parts[0] if parts[0] in ("app", "chapters") else parts[1] if len(parts) > 1 else "mi_lib"


def test_the_arrows_between_the_rooms_run_one_way():
    wrong = [
        f"{name} imports {module}"
        for name, found in (EDGES | edges(CHAPTERS)).items()
        for module, _ in sorted(found)
        if room(name) != room(module)
        and room(name) != "mi_lib"
        and room(module) not in ({"mi_lib"} | MAY_IMPORT.get(room(name), set()))
    ]
    assert wrong == []


def test_no_room_takes_a_private_name_of_another():
    wrong = [
        f"{name} takes {module}.{taken}"
        for name, found in EDGES.items()
        for module, taken in sorted(found)
        if taken.startswith("_") and not taken.startswith("__") and room(name) != room(module)
    ]
    assert wrong == []


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected parts of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in edges:
        if node not in index:
            visit(node)
    return found


def test_no_modules_import_each_other_in_a_circle():
    assert circles({name: {m for m, _ in found if m != name} for name, found in EDGES.items()}) == []


@pytest.mark.parametrize("loop", [{"a": {"b"}, "b": {"a"}}, {"a": {"b"}, "b": {"c"}, "c": {"a"}}])
def test_a_circle_is_found(loop):
    assert circles(loop | {"d": {"a"}}) == [sorted(loop)]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def nameless_columns(text: str) -> list[str]:
    """The heads of tables of a lesson in which a cell is empty."""
    heads = re.findall(r"^(\|.*\|)[ \t]*\n\|[ :|-]+\|[ \t]*$", text, re.MULTILINE)
    return [head for head in heads if any(not cell.strip() for cell in head.strip("|").split("|"))]


@pytest.mark.parametrize("lesson", sorted((ROOT / "chapters").glob("*/lesson.md")), ids=lambda path: path.parent.name)
def test_every_column_of_a_table_has_a_name(lesson):
    assert nameless_columns(lesson.read_text(encoding="utf-8")) == []


def test_a_column_without_a_name_is_found():
    table = "| | mean |\n|---|--:|\n| one | 2 |\n\n| word | mean |\n|---|---|\n| | 2 |\n"
    assert nameless_columns(table) == ["| | mean |"]


def cut_titles(text: str) -> list[str]:
    """The tests of a grader of which a learner reads no whole sentence: the first line of the docstring is all."""
    tests = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef) and grades(node)]
    first = {node.name: (ast.get_docstring(node) or "").partition("\n")[0] for node in tests}
    return [name for name, line in first.items() if line and line[-1] not in ".?!"]


def grades(function: ast.FunctionDef) -> bool:
    return any(ast.unparse(mark).startswith("grades(") for mark in function.decorator_list)


GRADERS = [*(ROOT / "chapters").glob("*/test_exercises.py"), *(ROOT / "solutions").glob("*/tests_hidden.py")]


@pytest.mark.parametrize("grader", sorted(GRADERS), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_a_learner_reads_of_a_test_is_a_whole_sentence(grader):
    assert cut_titles(grader.read_text(encoding="utf-8")) == []


def test_a_title_that_ends_in_the_middle_is_found():
    grader = '@grades("02.1")\ndef test_it(answer):\n    """Random texts, and one that is\n    empty."""\n'
    assert cut_titles(grader) == ["test_it"]
