"""The build check: are the exercises of a chapter what they claim to be?

1. What can be read off the files: the stub is the one that the reference generates, lesson, hints, names, figures,
   and findings that were measured.
2. What must be tried: every stub fails, every reference passes, every known mistake is rejected with its sentence, and
   every right answer that is written otherwise passes.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mi_lib.course import figures, files, findings, lesson, sections, stubs
from mi_lib.course.classroom import hidden
from mi_lib.course.index import Chapter, CourseError, Exercise
from mi_lib.course.mistakes import variants

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader


@dataclass(frozen=True)
class Case:
    """One submission that must get a certain verdict."""

    exercise: Exercise
    label: str
    text: str
    expected: str  # "not started", "passed" or "rejected"
    says: str = ""


def check(
    chapter: Chapter,
    grader: Grader,
    only: str | None = None,
    on_case: Callable[[int, int, Case], None] = lambda done, of, case: None,
) -> list[str]:
    """Every problem of a chapter, as sentences; empty if it is in order. `only` restricts the cases to one exercise."""
    found = static_problems(chapter)
    try:
        todo = [case for case in cases(chapter) if only in (None, case.exercise.id)]
    except CourseError:
        return found  # the static problems already say why nothing can be tried
    for done, case in enumerate(todo):
        on_case(done, len(todo), case)
        problem = verdict_problem(case, grader.grade(case.text, case.exercise))
        found += [problem or _hidden_problem(case, grader) or _withheld_problem(case, grader)]
    found += [_figure_problem(chapter, block, grader) for block in _drawn_from_answers(chapter, only)]
    return [problem for problem in found if problem]


def _hidden_problem(case: Case, grader: Grader) -> str:
    """A right answer must pass the hidden tests too. (A wrong one need not be caught by them.)"""
    if case.expected != "passed" or not hidden.tests_of(case.exercise):
        return ""
    verdict = grader.grade(case.text, case.exercise, tests_from=hidden.tests_of)
    return "" if verdict.passed else f"{case.exercise.id}: {case.label} fails a hidden test: {verdict.diagnosis}"


def _withheld_problem(case: Case, grader: Grader) -> str:
    """The reference, and a right answer that names the library, must also pass where all is withheld that its exercise
    may not use."""
    names_it = case.expected == "passed" and "mi_lib" in sections.get(case.text, case.exercise.id)
    if case.label != "the reference" and not names_it:
        return ""
    before, grader.library = grader.library, "refuse"
    try:
        verdict = grader.grade(case.text, case.exercise)
    finally:
        grader.library = before
    if verdict.passed:
        return ""
    return (
        f"{case.exercise.id}: {case.label} fails where the library's techniques are withheld: {verdict.diagnosis} "
        "List what the exercise may use as `uses` in chapter.toml."
    )


def _drawn_from_answers(chapter: Chapter, only: str | None) -> list[lesson.Block]:
    """The figure blocks that can be tried: what is wrong with the others is a static problem."""
    known, there = {exercise.id for exercise in chapter.exercises}, figures.take_an_answer(chapter)
    try:
        blocks = lesson.blocks(chapter)
    except CourseError:
        return []
    return [b for b in blocks if b.follows in known and b.arg in there and only in (None, b.follows)]


def _figure_problem(chapter: Chapter, block: lesson.Block, grader: Grader) -> str:
    """What a learner would meet whose answer is the reference."""
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    problem = figures.draw(grader, chapter.exercise(block.follows), block.arg, reference).problem
    return f"the figure {block.arg!r} cannot be drawn from the reference of {block.follows}: {problem}" * bool(problem)


def static_problems(chapter: Chapter) -> list[str]:
    """What is wrong with a chapter's files, without grading anything."""
    found: list[str] = []
    for part in (_stub_problems, _exercise_problems, _variant_problems, _lesson_problems, findings.problems):
        try:
            found += part(chapter)
        except (CourseError, SyntaxError) as error:
            found.append(str(error))
    return found


def cases(chapter: Chapter) -> list[Case]:
    """All submissions of a chapter that have a known right verdict."""
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    stub = stubs.reference_stub(chapter)
    try:
        others = variants(chapter)
    except CourseError:
        others = []  # a static problem, which says why; stubs and references can be tried all the same
    result = []
    for exercise in chapter.exercises:
        # Solved up to this one: a stub must fail for itself, not for what comes before it.
        unsolved = sections.replace(reference, exercise.id, sections.get(stub, exercise.id))
        result.append(Case(exercise, "the stub", unsolved, "not started"))
        result.append(Case(exercise, "the reference", reference, "passed"))
        for variant in others:
            if variant.exercise_id == exercise.id and variant.wrong:
                label = f"the mistake on line {variant.line} of mistakes.py"
                result.append(Case(exercise, label, variant.submission, "rejected", variant.words))
            elif variant.exercise_id == exercise.id:
                label = f"the right answer {variant.words!r} (line {variant.line} of mistakes.py)"
                result.append(Case(exercise, label, variant.submission, "passed"))
    return result


def verdict_problem(case: Case, verdict: Any) -> str:
    """What is wrong with the verdict on a case, or "" if it is as it must be."""
    told = " ".join([verdict.diagnosis, *(test.message for test in verdict.tests)])
    where = f"{case.exercise.id}: {case.label}"
    if case.expected == "passed":
        if verdict.passed and verdict.points != case.exercise.points:
            return f"{where} passes with {verdict.points} of {case.exercise.points} points."
        if verdict.passed and len(verdict.tests) < 2:
            return f"{where} is judged by {len(verdict.tests)} test only, and needs at least 2."
        return "" if verdict.passed else f"{where} does not pass ({verdict.status}): {told} {verdict.traceback}".strip()
    if verdict.course_fault:
        return f"{where}: the grader itself broke: {told}"
    if verdict.passed:
        return f"{where} passes; the grader lets it through."
    if case.expected == "not started":
        return "" if verdict.status == "not started" else f"{where} is judged {verdict.status!r}, not 'not started'."
    if _plain(case.says) not in _plain(told):
        return f"{where} is rejected, but the learner is not told {case.says!r}; told: {told.strip()!r}"
    return ""


def _plain(text: str) -> str:
    """Letters only as they are read: case and line breaks do not matter."""
    return " ".join(text.casefold().split())


WIDEST = 91  # letters: what the editor of the page shows of a line in a window of 1280 pixels


def _stub_problems(chapter: Chapter) -> Iterator[str]:
    text = stubs.reference_stub(chapter)
    if stubs.handed_out(chapter) != text:
        yield f"{chapter.folder / 'exercises.py'} is not what the reference generates; run `mi dev build`."
    for number, line in _words(text):
        if len(line) > WIDEST:
            yield (
                f"line {number} of the stub has {len(line)} letters, and the page cuts words off after {WIDEST}: "
                f"break it, {line.strip()[:40]!r}."
            )


def _words(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a stub that are read and not run, with their numbers: docstrings, and comments of their own."""
    lines = text.splitlines()
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            docstrings |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    for number, line in enumerate(lines, 1):
        if number in docstrings or line.lstrip().startswith("#"):
            yield number, line


def _exercise_problems(chapter: Chapter) -> Iterator[str]:
    parts = sections.split(files.read_text(chapter.solutions_folder / "exercises.py"))
    ids = [exercise.id for exercise in chapter.exercises]
    if [name for name in parts if name] != ["setup", *ids]:
        yield f"the reference has the sections {', '.join(n for n in parts if n)}, not setup and {', '.join(ids)}."
    for exercise in chapter.exercises:
        if len(exercise.hints) != 3:
            yield f"{exercise.id} has {len(exercise.hints)} hints, not 3."
        yield from _name_problems(exercise, parts.get(exercise.id, ""))
        yield from (_answered_problem(exercise.id, name) for name in exercise.answered_by if not _exists(name))
        yield from _use_problems(exercise, parts)


def _name_problems(exercise: Exercise, text: str) -> Iterator[str]:
    if stubs.BEGIN not in text:
        yield f"{exercise.id} has no solution block in the reference."
    nodes = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    for name in exercise.defines:
        if name not in nodes:
            yield f"{exercise.id} must define {name}, and its reference does not."
        elif not ast.get_docstring(nodes[name]):
            yield f"{exercise.id}: {name} has no docstring."


def _exists(name: str) -> bool:
    module, _, attribute = name.partition(":")
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ImportError:
        return False


def _use_problems(exercise: Exercise, parts: dict[str, str]) -> Iterator[str]:
    """What an exercise may use must be there, and right answers or tests must name it."""
    chapter = exercise.chapter
    tests = [chapter.folder / "test_exercises.py", hidden.path(chapter), chapter.solutions_folder / "mistakes.py"]
    texts = "\n".join([*parts.values(), *(files.read_text(file) for file in tests if file.is_file())])
    for name in exercise.uses:
        if not _exists(name):
            yield f"{exercise.id} may use {name}, which does not exist."
        elif not re.search(rf"\b{name.partition(':')[2]}\b", texts):
            yield f"{exercise.id} may use {name}, which neither its answers nor its tests name."


def _answered_problem(exercise_id: str, name: str) -> str:
    return f"{exercise_id} says that the library answers it with {name}, which does not exist."


def _variant_problems(chapter: Chapter) -> Iterator[str]:
    found = variants(chapter)
    known = {exercise.id for exercise in chapter.exercises}
    for exercise_id in sorted({variant.exercise_id for variant in found} - known):
        yield f"mistakes.py names exercise {exercise_id}, which chapter.toml does not have."
    for exercise in chapter.exercises:
        mine = [variant for variant in found if variant.exercise_id == exercise.id]
        wrong = sum(variant.wrong for variant in mine)
        if wrong < 3:
            yield f"{exercise.id} has {wrong} known mistakes, and needs at least 3."
        if len(mine) - wrong < 2:
            yield f"{exercise.id} has {len(mine) - wrong} alternative right answers, and needs at least 2."


def _lesson_problems(chapter: Chapter) -> Iterator[str]:
    blocks = lesson.blocks(chapter)
    yield from lesson.problems(chapter, blocks)
    there, from_answers = figures.names(chapter), figures.take_an_answer(chapter)
    for block in blocks:
        if block.kind != "figure":
            continue
        if block.arg not in there:
            yield f"the lesson shows the figure {block.arg!r}, which figures.py does not have."
        elif block.arg in from_answers and not block.follows:
            yield f"the figure {block.arg!r} is drawn from an answer; say which, `:::{{figure}} {block.arg} from=02.3`."
        elif block.follows and block.arg not in from_answers:
            yield f"the figure {block.arg!r} is from={block.follows}, but takes no `answer` to be drawn from."
