"""What stands in a scratch cell before anything was typed there: lines that run, and the call to be tried after them.

They are read from what the chapter says itself, and nothing is executed for it.

An exercise that has a cell of its own in the chapter's `first_lines.py` gets that, and of the [setup] of that file what
the cell needs and the learner's file has not imported. For the others they are worked out from the stub.

A function that takes tensors alone gets random ones of the shapes in its signature, where each axis is of a length of
its own. One that takes plain numbers besides gets the tensors too, and the call stands as a comment, since the numbers
are for the learner to choose. For one that takes a model, there is a model: as the paragraph "To play: ..." of the
chapter's setup makes it, or a block of code there that begins with an import, else the chapter's first; and the call
stands as a comment, since what else it takes is for the learner to choose.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence

from mi_lib.course import files, sections, stubs
from mi_lib.course.index import CourseError, Exercise, root

LENGTHS = (3, 5, 7, 11, 13, 17, 19)  # of the axes, in the order in which their names are met
SAME = {"query": "pos", "key": "pos", "b": "a"}  # axes that run over the same: positions; the two numbers of a sum


SHARES = ("sparsity", "importance", "probabilities")  # what is never below 0


def of(exercise: Exercise) -> str:
    """The first lines for an exercise."""
    try:
        handed_out = sections.split(stubs.handed_out(exercise.chapter))
    except CourseError:  # the page says so elsewhere
        return ""
    setup = "".join(handed_out.get(part, "") for part in ("", "setup"))
    if own := _own(exercise, setup):
        return own
    function = _function(handed_out.get(exercise.id, ""), exercise)
    if function is not None and (lines := _with_random_tensors(function)):
        return "\n".join(lines) + "\n"
    if function is not None and set(_needed(function).values()) & _NUMBERS:
        numbers = [name for name, kind in _needed(function).items() if kind in _NUMBERS]
        if lines := _with_random_tensors(function, numbers):
            return "\n".join([*lines[:-1], f"# {lines[-1]}"]) + "\n"
    lines = _to_play(setup) or _a_model(exercise, setup)
    if function is not None:
        call = f"{function.name}({', '.join(_needed(function))})"
        lines.append(f"# {call}")
    return "\n".join(lines) + "\n"


FILE = "first_lines.py"  # of a chapter


def _own(exercise: Exercise, setup: str) -> str:
    """The cell for this exercise in the chapter's own file, behind what it needs of the file's setup."""
    path = exercise.chapter.folder / FILE
    cells = sections.split(files.read_text(path)) if path.is_file() else {}
    if exercise.id not in cells:
        return ""
    lines = sections.body(cells[exercise.id]).strip()
    there = {name for statement in ast.parse(setup).body if _imports(statement) for name in _bound(statement)}
    before = _needed_before(sections.body(cells.get("setup", "")), lines, there)
    return "\n".join([*before, lines]) + "\n"


def _needed_before(prelude: str, lines: str, there: set[str]) -> list[str]:
    """The statements of the prelude that lines need, by the names; `there`: what an import has already brought."""
    wanted = _missing(lines)
    needed: list[str] = []
    rows = prelude.splitlines()
    for statement in reversed(ast.parse(prelude).body):
        if not _bound(statement) & (wanted - there if _imports(statement) else wanted):
            continue
        text = "\n".join(rows[statement.lineno - 1 : statement.end_lineno])
        needed.insert(0, text)
        wanted = (wanted - _bound(statement)) | _missing(text)
    return needed


def _missing(lines: str) -> set[str]:
    """The names that lines read before they give them a value."""
    missing: set[str] = set()
    given: set[str] = set()
    for statement in ast.parse(lines).body:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        inner = {node.id for node in names if isinstance(node.ctx, ast.Store)} - _bound(statement)  # of a comprehension
        missing |= {node.id for node in names if isinstance(node.ctx, ast.Load)} - given - inner
        given |= _bound(statement)
    return missing


def _imports(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement gives a value."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)} - {
            node.value.id
            for target in targets
            for node in ast.walk(target)
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name)
        }
    return set()


def _function(section: str, exercise: Exercise) -> ast.FunctionDef | None:
    """The first function that the exercise asks for."""
    try:
        body = ast.parse(section).body
    except SyntaxError:
        return None
    functions = (node for node in body if isinstance(node, ast.FunctionDef))
    return next((function for function in functions if function.name in exercise.defines), None)


def _needed(function: ast.FunctionDef) -> dict[str, str]:
    """The parameters without a default, and their annotations."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    needed = arguments[: len(arguments) - len(function.args.defaults)]
    return {a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in needed}


_TENSOR = re.compile(r"(Float|Int|Bool)\[Tensor, '([^']*)'\]")
_RANDOM = {"Float": "torch.randn({})", "Int": "torch.randint(3, [{}])", "Bool": "torch.rand({}) < 0.5"}


_NUMBERS = {"int", "float", "bool"}


def _with_random_tensors(function: ast.FunctionDef, without: Sequence[str] = ()) -> list[str]:
    """Random tensors of the signature's shapes, and the call. Nothing if it takes something else besides `without`."""
    lines: list[str] = []
    lengths: dict[str, int] = {}
    for name, annotation in _needed(function).items():
        if name in without:
            continue
        match = _TENSOR.fullmatch(annotation)
        sizes = [_length(axis, lengths) for axis in match[2].split()] if match else [None]
        if not match or None in sizes:
            return []
        made = _RANDOM[match[1]].format(", ".join(map(str, sizes)))
        if re.search(r"\b3 h\w* w", match[2]):
            made = made.replace("randn", "rand")  # an image: its colours go from 0 to 1
        if name in SHARES:
            made = made.replace("randn", "rand")
        lines.append(f"{name} = {made}  # {match[2]}")
    return [*lines, f"{function.name}({', '.join(_needed(function))})"] if lines else []


def _length(axis: str, lengths: dict[str, int]) -> int | None:
    """How long an axis of a signature is made: "2" is 2, "pos" one of `LENGTHS`, "pos-1" one less."""
    name, _, less = axis.partition("-")
    if name.isdigit():
        return int(name)
    if not name.isidentifier() or not f"0{less}".isdigit():
        return None
    name = SAME.get(name, name)
    return lengths.setdefault(name, LENGTHS[len(lengths) % len(LENGTHS)]) - int(less or 0)


def _to_play(setup: str) -> list[str]:
    """The statements in the setup's docstring that are there to play with."""
    try:
        docstring = ast.get_docstring(ast.parse(setup)) or ""
    except SyntaxError:
        return []
    paragraphs = re.split(r"\n\s*\n", docstring)
    for paragraph in paragraphs:
        if paragraph.startswith("To play:"):
            quoted = (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", paragraph))
            lines = [code for code in quoted if _is(code, ast.Import | ast.ImportFrom | ast.Assign)]
            return list({line.partition(" = ")[0]: line for line in reversed(lines)}.values())[
                ::-1
            ]  # one way to a name
    for paragraph in paragraphs:
        code = textwrap.dedent(paragraph)
        if paragraph.startswith("    ") and _is(code.splitlines()[0], ast.Import | ast.ImportFrom):
            return [line.partition("  #")[0].rstrip() for line in code.splitlines()]
    return []


def _is(code: str, kinds: type | object) -> bool:
    """Whether this is one statement of these kinds."""
    try:
        body = ast.parse(code).body
    except SyntaxError:
        return False
    return len(body) == 1 and isinstance(body[0], kinds)  # type: ignore[arg-type]


def _a_model(exercise: Exercise, setup: str) -> list[str]:
    """The chapter's first model, where `load` opens it."""
    for name in exercise.chapter.model:
        if (root() / "mi_lib" / "zoo" / name / "config.json").is_file():
            known = re.search(r"^from mi_lib(\.models)? import .*\bload\b", setup, re.MULTILINE)
            return [*([] if known else ["from mi_lib import load"]), f'model = load("{name}")']
    return []
