"""Small syntactic mutants of the reference answers: a grader that lets one pass does not test what it seems to test.

Each mutant differs from the reference in one slip (`operators`), inside of the solution blocks or in the default
arguments of their functions; docstrings stay. It is graded as a whole submission by the course's own `Grader`, and is
killed if it is rejected. A survivor asks for a better test, or for an entry in `solutions/chNN_slug/survivors.toml`
that says why it is no fault by what the docstring says:

    [[survivor]]
    exercise = "02.4"
    function = "in_context_learning_score"      # may be left out
    before = "return (loss[:, late].mean() - loss[:, early].mean()).item()"
    after = "…"
    reason = "One sentence: why it is equivalent, or what the docstring leaves open."

Why not a library: mutmut, cosmic-ray, mutatest, poodle and MutPy mutate a package in place (or import it in a
changed form) and decide by the exit code of a test command. Here the code under test is a text that runs in a confined
process, and the test command would start a grader, which imports torch, anew for every mutant. Their operators are
those of general Python; most of what goes wrong in this field (axes, slices, einsum patterns, centring, dtypes,
gradients, a parameter that is not used) they do not have. Of these, only cosmic-ray and poodle take operators of one's
own, and neither can be kept to the lines between two marks. What is left after that is a walk through a syntax tree.
"""

from __future__ import annotations

import ast
import random
import re
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any

from mi_lib.course import files, sections, stubs
from mi_lib.course.grading.verdict import Verdict
from mi_lib.course.index import Chapter, CourseError, Exercise
from mi_lib.course.proving import operators
from mi_lib.course.proving.grading import Task, allowed_seconds, quickest_first
from mi_lib.course.proving.operators import Operator, Replacement, Where


@dataclass(frozen=True)
class Mutant:
    """A reference answer with one slip."""

    exercise_id: str
    function: str
    operator: str
    line: int  # of the reference file
    before: str  # the lines that differ, without their indentation
    after: str
    section: str  # the whole section, mutated

    @property
    def diff(self) -> str:
        removed = "".join(f"- {line}\n" for line in self.before.splitlines())
        return removed + "".join(f"+ {line}\n" for line in self.after.splitlines())


@dataclass(frozen=True)
class Explained:
    """An entry of survivors.toml."""

    exercise_id: str
    function: str  # "" stands for any
    before: str
    after: str
    reason: str

    def explains(self, mutant: Mutant) -> bool:
        return (
            self.exercise_id == mutant.exercise_id
            and self.function in ("", mutant.function)
            and _plain(self.before) == _plain(mutant.before)
            and _plain(self.after) == _plain(mutant.after)
        )


# --- making them --------------------------------------------------------------------------------------------------


def reference(chapter: Chapter) -> str:
    """The text of a chapter's reference answers. `CourseError` if this copy of the course has none."""
    return files.read_text(chapter.solutions_folder / "exercises.py")


def mutants(exercise: Exercise) -> list[Mutant]:
    """All mutants of an exercise's reference answer, each once, in the order of its lines."""
    whole = reference(exercise.chapter)
    return mutants_of(sections.get(whole, exercise.id), exercise.id, whole)


def mutants_of(section: str, exercise_id: str, whole: str = "") -> list[Mutant]:
    """The mutants of one section. whole: the file that it stands in (for what its other functions say)."""
    whole = whole or section
    start = sections.start_line(whole, exercise_id) if sections.MARKER.search(whole) else 1
    editor = _Editor(section)
    seen = {_fingerprint(section)}
    found = []
    for function in editor.tree.body:
        if isinstance(function, ast.FunctionDef):
            for slot in _slots(function, _blocks(section), _surroundings(function, whole)):
                for operator in slot.operators:
                    for replacement in operator(slot.node, slot.where):
                        text = editor.replaced(slot, replacement)
                        mark = _fingerprint(text)
                        if mark is not None and mark not in seen:
                            seen.add(mark)
                            found.append(_mutant(exercise_id, function.name, operator, section, text, start))
    return sorted(found, key=lambda mutant: mutant.line)


def sample(exercise: Exercise, number: int, seed: int) -> list[Mutant]:
    """Some of an exercise's mutants that are not explained, the same for the same seed."""
    listed = explained(exercise.chapter)
    new = [m for m in mutants(exercise) if not any(entry.explains(m) for entry in listed)]
    return random.Random(f"{seed} {exercise.id}").sample(new, min(number, len(new)))


def submission(mutant: Mutant, whole: str) -> str:
    """The reference file with the mutant in the place of its section."""
    return sections.replace(whole, mutant.exercise_id, mutant.section)


def _mutant(exercise_id: str, function: str, operator: Operator, old: str, new: str, start: int) -> Mutant:
    """With the lines that differ, found from both ends."""
    before, after = old.splitlines(), new.splitlines()
    first = 0
    while first < min(len(before), len(after)) and before[first] == after[first]:
        first += 1
    last = 0
    while last < min(len(before), len(after)) - first and before[-1 - last] == after[-1 - last]:
        last += 1
    cut = [lines[first : len(lines) - last] for lines in (before, after)]
    texts = [textwrap.dedent("\n".join(lines)).strip() for lines in cut]
    name = operator.__name__.replace("_", " ")
    return Mutant(exercise_id, function, name, start + first, texts[0], texts[1], new)


@dataclass(frozen=True)
class _Slot:
    """A place of the tree: `parent.field`, or `parent.field[index]`, and what may be tried there."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.AST
    where: Where
    operators: tuple[Operator, ...]


def _blocks(section: str) -> list[range]:
    """The lines (from 1) between the marks."""
    found, begin = [], 0
    for line, text in enumerate(section.splitlines(), start=1):
        if text.strip() == stubs.BEGIN:
            begin = line
        elif text.strip() == stubs.END:
            found.append(range(begin + 1, line))
    return found


def _surroundings(function: ast.FunctionDef, whole: str) -> Where:
    trees = {node.name: node for node in ast.parse(whole).body if isinstance(node, ast.FunctionDef)}
    calls = {name: _names(node) & trees.keys() for name, node in trees.items()}
    trained = {name for name, node in trees.items() if "backward" in _names(node)}
    while more := {inner for name in trained for inner in calls[name]} - trained:
        trained |= more
    said = "gradient" in (ast.get_docstring(function) or "").lower()
    return Where(function, said or function.name in trained, frozenset(trees))


def _names(tree: ast.AST) -> set[str]:
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return named | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _slots(function: ast.FunctionDef, blocks: list[range], where: Where) -> Iterator[_Slot]:
    """The places of a function that a mutant may change: its defaults, and what stands in a solution block."""
    solution = [s for s in function.body if any(s.lineno in block for block in blocks)]
    if not solution:
        return
    for field in ("defaults", "kw_defaults"):
        for i, default in enumerate(getattr(function.args, field)):
            if default is not None:
                yield _Slot(function.args, field, i, default, where, operators.EXPRESSIONS)
    for i, node in enumerate(function.body):
        if node in solution:
            yield from _statement(function, "body", i, node, _at(where, first_statement=node is solution[0]))


def _at(where: Where, **facts: bool) -> Where:
    fields = {"top_level_return": where.top_level_return, "first_statement": False} | facts
    return Where(where.function, where.needs_gradients, where.own, **fields)


def _statement(parent: ast.AST, field: str, index: int, node: ast.stmt, where: Where) -> Iterator[_Slot]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    tried: tuple[Operator, ...] = operators.STATEMENTS
    if isinstance(parent, ast.While | ast.For) and field == "body" and index == len(parent.body) - 1:
        tried += (operators.last_of_loop,)
    yield _Slot(parent, field, index, node, where, tried)
    inner = _at(where, top_level_return=where.top_level_return and not isinstance(node, ast.FunctionDef))
    for name, value in ast.iter_fields(node):
        if isinstance(node, ast.FunctionDef) and name in ("returns", "decorator_list", "args"):
            continue
        if name in ("annotation", "type_comment"):
            continue
        if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
            for i, statement in enumerate(value):
                yield from _statement(node, name, i, statement, inner)
        else:
            yield from _expressions(node, name, value, inner)


def _expressions(parent: ast.AST, name: str, value: Any, where: Where) -> Iterator[_Slot]:
    for i, node in enumerate(value if isinstance(value, list) else [value]):
        index = i if isinstance(value, list) else None
        if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
            continue
        if isinstance(node, ast.expr) and not isinstance(getattr(node, "ctx", None), ast.Store):
            tried = operators.EXPRESSIONS
            if (isinstance(parent, ast.If) and name == "test") or (
                isinstance(parent, ast.comprehension) and name == "ifs"
            ):
                tried += (operators.tested,)
            if isinstance(parent, ast.For | ast.comprehension) and name == "iter":
                tried += (operators.gone_through,)
            yield _Slot(parent, name, index, node, where, tried)
        if operators.number(node) is None and not operators.is_axis(node):  # these are changed as a whole
            for inner, content in ast.iter_fields(node):
                yield from _expressions(node, inner, content, where)


class _Editor:
    """A section's text and tree. Exchanging a node changes the text at its place and nowhere else."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self.known = {id(node) for node in ast.walk(self.tree)}
        lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in lines:
            self.starts.append(self.starts[-1] + len(line.encode()))
        self.data = text.encode()  # positions in a tree count bytes

    def replaced(self, slot: _Slot, replacement: Replacement) -> str:
        """The text with the replacement. It is one that reads as the tree in which the node was exchanged."""
        begin, end = self._span(slot.node)
        wanted = self._dump(slot, replacement)
        new = ""
        for written in self._written(replacement, indent=slot.node.col_offset):  # type: ignore[attr-defined]
            for text in (written, f"({written})"):
                new = (self.data[:begin] + text.encode() + self.data[end:]).decode()
                if _dump(new) == wanted:
                    return new
        return new

    def _written(self, replacement: Replacement, indent: int) -> Iterator[str]:
        """Ways to write it: kept parts as they stand, then with brackets around them, then as Python prints it."""
        if isinstance(replacement, list):
            ways = [list(self._written(part, indent)) for part in replacement]
            for i in range(3):
                yield ("\n" + " " * indent).join(way[min(i, len(way) - 1)] for way in ways)
            return
        kept: list[ast.AST] = []
        hidden = self._hide(replacement, kept)
        printed = ast.unparse(ast.fix_missing_locations(hidden))
        for brackets in (False, True):
            sources = [self._source(node, brackets) for node in kept]
            yield re.sub(r"\b_(\d+)_\b", lambda name, texts=sources: texts[int(name[1])], printed)  # type: ignore[misc]
        yield ast.unparse(replacement)

    def _hide(self, node: Any, kept: list[ast.AST]) -> Any:
        """The node with a name in the place of every part of it that the text already has."""
        if id(node) in self.known and isinstance(node, ast.expr | ast.stmt) and not isinstance(node, ast.Starred):
            kept.append(node)
            name = ast.Name(f"_{len(kept) - 1}_", ast.Load())
            return ast.Expr(name) if isinstance(node, ast.stmt) else name
        if isinstance(node, list):
            return [self._hide(part, kept) for part in node]
        if isinstance(node, ast.AST):
            return type(node)(**{name: self._hide(value, kept) for name, value in ast.iter_fields(node)})
        return node

    def _source(self, node: ast.AST, brackets: bool) -> str:
        begin, end = self._span(node)
        text = self.data[begin:end].decode()
        return f"({text})" if brackets and isinstance(node, ast.expr) and not isinstance(node, _ATOMS) else text

    def _span(self, node: Any) -> tuple[int, int]:
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def _dump(self, slot: _Slot, replacement: Replacement) -> str:
        """What the tree would be."""
        place = getattr(slot.parent, slot.field)
        if slot.index is None:
            other: Any = replacement
        else:
            put = replacement if isinstance(replacement, list) else [replacement]
            other = [*place[: slot.index], *put, *place[slot.index + 1 :]]
        setattr(slot.parent, slot.field, other)
        try:
            return ast.dump(self.tree)
        finally:
            setattr(slot.parent, slot.field, place)


_ATOMS = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.List, ast.Dict, ast.Slice, ast.ListComp)


def _dump(text: str) -> str:
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return ""


def _fingerprint(text: str) -> Any:
    """What the text does, so far as its byte code tells: None if it does not compile."""
    try:
        return _instructions(compile(text, "section", "exec", dont_inherit=True))
    except (SyntaxError, ValueError):
        return None


def _instructions(code: CodeType) -> Any:
    constants = tuple(_instructions(c) if isinstance(c, CodeType) else (type(c), repr(c)) for c in code.co_consts)
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, constants


# --- the account of those that survive ----------------------------------------------------------------------------


def explained(chapter: Chapter) -> list[Explained]:
    """The entries of a chapter's survivors.toml. `CourseError` for a file or an entry that cannot be used."""
    path = chapter.solutions_folder / "survivors.toml"
    if not path.exists():
        return []
    try:
        tables = tomllib.loads(files.read_text(path)).get("survivor", [])
    except tomllib.TOMLDecodeError as error:
        raise CourseError(f"{path} cannot be read: {error}.") from error
    found = []
    for number, table in enumerate(tables, start=1):
        texts = {key: str(table.get(key, "")).strip() for key in ("exercise", "function", "before", "after", "reason")}
        if unknown := table.keys() - texts.keys():
            raise CourseError(f"{path}: survivor {number} has {', '.join(sorted(unknown))}, which nobody reads.")
        if lacking := [key for key in ("exercise", "after", "reason") if not texts[key]]:
            raise CourseError(f"{path}: survivor {number} has no {' and no '.join(lacking)}.")
        found.append(Explained(*texts.values()))
    return found


def unknown_entries(chapter: Chapter) -> list[Explained]:
    """Entries of survivors.toml that no mutant answers to (any more)."""
    made = [mutant for exercise in chapter.exercises for mutant in mutants(exercise)]
    return [entry for entry in explained(chapter) if not any(entry.explains(mutant) for mutant in made)]


def entry(mutant: Mutant) -> str:
    """The entry for survivors.toml that is still to be given its reason."""
    rows = {"exercise": mutant.exercise_id, "function": mutant.function, "before": mutant.before, "after": mutant.after}
    lines = [f"{key} = {_toml(text)}" for key, text in rows.items()]
    return "\n".join(["[[survivor]]", *lines, 'reason = ""']) + "\n"


def _toml(text: str) -> str:
    if "'" not in text and "\n" not in text and '"' in text:
        return f"'{text}'"
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{quoted}"""' if "\n" in text else f'"{quoted}"'


def _plain(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True)
class Tally:
    """How the mutants of one exercise fared."""

    exercise_id: str
    made: int
    killed: int
    survivors: list[Mutant]  # without a reason
    explained: list[Mutant]  # survived, and a reason is given
    broken: list[tuple[Mutant, str]]  # the grader broke, and what it said
    stale: list[Explained]  # entries that explain no survivor

    @property
    def asked(self) -> int:
        """How many had to be killed."""
        return self.made - len(self.explained)

    @property
    def in_order(self) -> bool:
        return not (self.survivors or self.broken or self.stale)


def tally(exercise_id: str, judged: list[tuple[Mutant, Verdict]], entries: list[Explained], complete: bool) -> Tally:
    """The account of one exercise.

    judged: each mutant with its verdict. complete: all mutants were graded, so
    that an entry which explains none of the survivors is stale.
    """
    broken = [(mutant, verdict.diagnosis) for mutant, verdict in judged if verdict.course_fault]
    alive = [mutant for mutant, verdict in judged if verdict.passed]
    mine = [entry for entry in entries if entry.exercise_id == exercise_id]
    reasons = {id(mutant): [entry for entry in mine if entry.explains(mutant)] for mutant in alive}
    used = {id(entry) for found in reasons.values() for entry in found}
    killed = len(judged) - len(alive) - len(broken)
    return Tally(
        exercise_id, len(judged), killed,
        survivors=[mutant for mutant in alive if not reasons[id(mutant)]],
        explained=[mutant for mutant in alive if reasons[id(mutant)]],
        broken=broken,
        stale=[entry for entry in mine if id(entry) not in used] if complete else [],
    )  # fmt: skip


def prove(
    exercises: Sequence[Exercise],
    judge: Callable[[list[Task]], list[Verdict]],
    number: int | None = None,
    seed: int = 0,
) -> list[Tally]:
    """Grade the mutants of these exercises of one chapter, or a seeded sample of so many of each.

    judge: has tasks judged (`grading.judge`). Raises `CourseError` if a reference answer does not pass.
    """
    chapter = exercises[0].chapter
    whole, entries = reference(chapter), explained(chapter)
    references = judge([Task(exercise.id, whole) for exercise in exercises])
    cases = []
    for exercise, verdict in zip(exercises, references, strict=True):
        seconds = allowed_seconds(verdict, exercise.time_limit)
        chosen = mutants(exercise) if number is None else sample(exercise, number, seed)
        order = quickest_first(verdict)
        cases += [(mutant, Task(exercise.id, submission(mutant, whole), seconds, order)) for mutant in chosen]
    verdicts = judge([task for _, task in cases])
    judged = [(mutant, verdict) for (mutant, _), verdict in zip(cases, verdicts, strict=True)]
    return [
        tally(each.id, [(m, v) for m, v in judged if m.exercise_id == each.id], entries, complete=number is None)
        for each in exercises
    ]
