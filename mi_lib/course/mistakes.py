"""`mistakes.py` of a chapter: wrong answers with what the learner must be told, and right answers written otherwise.

    @mistake("02.3", says="words that must occur in what the learner is told")
    def prefix_matching_score(...): ...

    @right("02.3", how="with a loop")
    def prefix_matching_score(...): ...

    @mistake("02.14", says="...")
    class section:            # its body is the whole section, for exercises that define several names
        ...

The file is read, never run: each answer becomes a whole submission by taking the place of its section in the reference.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from mi_lib.course import files, sections
from mi_lib.course.index import Chapter, CourseError

T = TypeVar("T")


def mistake(exercise_id: str, *, says: str) -> Callable[[T], T]:
    """Mark a wrong answer, with words that the learner must be told. A mark alone: `variants` reads it in the text."""
    return lambda answer: answer


def right(exercise_id: str, *, how: str) -> Callable[[T], T]:
    """Mark a right answer that is written another way. A mark alone: `variants` reads it in the text."""
    return lambda answer: answer


@dataclass(frozen=True)
class Variant:
    """One wrong or right answer, as a submission."""

    exercise_id: str
    wrong: bool
    words: str  # what must be said of a mistake; how a right answer differs
    submission: str  # the whole file
    line: int  # of mistakes.py


def variants(chapter: Chapter) -> list[Variant]:
    """All of a chapter's mistakes and alternative right answers. Raises `CourseError` naming a line it cannot use."""
    path = chapter.solutions_folder / "mistakes.py"
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    if not path.exists():
        raise CourseError(f"{path} is missing.")
    text = files.read_text(path)
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise CourseError(f"{path} line {error.lineno}: {error.msg}.") from error
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.decorator_list:
            kind, exercise_id, words = _decorator(node, path.name)
            section = f"# %% [{exercise_id}]\n{_source(node, text)}\n\n\n"
            try:
                submission = sections.replace(reference, exercise_id, section)
            except sections.SectionError as error:
                raise CourseError(f"{path} line {node.lineno}: {error}") from error
            found.append(Variant(exercise_id, kind == "mistake", words, submission, node.lineno))
    return found


def _decorator(node: ast.FunctionDef | ast.ClassDef, name: str) -> tuple[str, str, str]:
    """(mistake or right, exercise id, words) of a decorated answer."""
    match node.decorator_list:
        case [
            ast.Call(
                func=ast.Name(id="mistake" | "right" as kind),
                args=[ast.Constant(value=str(exercise_id))],
                keywords=[ast.keyword(arg=key, value=words)],
            )
        ] if key == {"mistake": "says", "right": "how"}[kind]:
            try:
                said = ast.literal_eval(words)
            except ValueError:
                said = None
            if isinstance(said, str) and said.strip():
                return kind, exercise_id, said
    raise CourseError(f'{name} line {node.lineno}: write @mistake("02.3", says="...") or @right("02.3", how="...").')


def _source(node: ast.FunctionDef | ast.ClassDef, text: str) -> str:
    """The answer's text without its decorator; of a `class section`, the body."""
    lines = text.splitlines()
    if isinstance(node, ast.ClassDef) and node.name == "section":
        return textwrap.dedent("\n".join(lines[node.lineno : node.end_lineno]))
    return "\n".join(lines[node.lineno - 1 : node.end_lineno])
