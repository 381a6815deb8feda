"""Carry-forward: one early error costs once. An exercise that fails is graded again on the reference's earlier answers.

An answer may call those before it, so an early error makes later answers fail that are right in themselves. With
`carry_forward = true` in the settings, after a class is graded:

1. Take each exercise that was answered and did not pass, after an earlier one that did not pass either.
2. Put the reference's answer in the place of each of those earlier ones. What else the learner wrote in their sections,
   such as helpers, stays; so do the answers that had passed, and the one that is graded.
3. Grade that text. The better of the two results counts, and the report says so.

The learner's code then runs beside the reference's, which it could print or send back. So nothing that comes out of
that run is shown, but of each test whether it passed.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection, Mapping
from typing import Any

from mi_lib.course import files, sections, solutions
from mi_lib.course.index import Chapter, CourseError, Exercise

_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_KEPT = _DEFINITIONS | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign


def earlier_failures(exercise: Exercise, statuses: Mapping[str, str]) -> list[str]:
    """The exercises before this one that are known to have failed; none if this one passed, or was not answered.

    statuses: exercise → how it ended, of one text.
    """
    if statuses.get(exercise.id, "not started") in ("passed", "not started"):
        return []
    before = [one.id for one in exercise.chapter.exercises if _order(one.id) < _order(exercise.id)]
    return [one for one in before if statuses.get(one, "passed") != "passed"]


def text(submitted: str, exercise: Exercise, failed: Collection[str]) -> str:
    """The text with the reference's answers to the exercises that failed before this one.

    Raises `CourseError` if its markers are damaged, or this copy of the course has no solutions.
    """
    parts = sections.split(submitted)
    sections.get(submitted, exercise.id)
    setup = _setup(exercise.chapter)
    if sections.body(parts.get("setup", "")).strip() == setup.strip():
        setup = ""
    new: dict[str, str] = {}
    missing = [one for one in failed if one not in parts]
    for name, part in parts.items():
        if name == exercise.id:  # where an earlier section is gone, it comes back in front of this one
            new |= {one: _carried(exercise.chapter.exercise(one), "", setup) for one in missing}
        new[name] = _carried(exercise.chapter.exercise(name), part, setup) if name in failed else part
    return sections.join(new)


def silent(verdict: dict[str, Any], exercises: Collection[str]) -> dict[str, Any]:
    """The verdict of such a run, without what the learner's code could have put there. exercises: those before it."""
    tests = [
        test | {"message": "" if test["passed"] else "It fails on the reference's earlier answers too.", "detail": ""}
        for test in verdict["tests"]
    ]
    said = "" if verdict["status"] == "passed" else "It fails on the reference's earlier answers too."
    told = {"seconds": 0.0, "ending": "answered"}
    quiet = {"tests": tests, "diagnosis": said, "traceback": "", "printed": "", "signs": [], "for_learner": told}
    return verdict | quiet | {"carried": list(exercises)}


def blamed(submitted: str, exercise: Exercise, failed: Collection[str]) -> list[str]:
    """Of the earlier exercises that failed, those that this answer calls, as far as its text says; else all of them."""
    parts = sections.split(submitted)
    defines = {name: one.id for one in exercise.chapter.exercises for name in one.defines}
    seen, waiting = {exercise.id}, [exercise.id]
    while waiting:
        for name in _names(parts.get(waiting.pop(), "")):
            if (place := defines.get(name, "")) and place not in seen:
                seen.add(place)
                waiting.append(place)
    return [one for one in failed if one in seen] or list(failed)


def in_words(grade_of: dict[str, Any]) -> str:
    """What the report says of a carried verdict that counts."""
    which = " and ".join(grade_of["carried"])
    them = "it" if len(grade_of["carried"]) == 1 else "them"
    given = f"{round(grade_of['points'], 2):g} of {grade_of['max_points']:g} points"
    if grade_of["status"] == "passed":
        return f"Fails only because of {which}: with the reference's answer to {them} it is right, {given}"
    return f"Fails partly because of {which}: with the reference's answer to {them} more is right, {given}"


def _carried(exercise: Exercise, learners: str, setup: str) -> str:
    """A section with the reference's answer, and what the learner defined there beside it."""
    reference = solutions.solution(exercise)
    marker = sections.MARKER.match(reference)
    assert marker is not None
    mine = _beside(sections.body(learners), sections.body(reference))
    return "\n".join([marker[0].rstrip("\n"), setup, sections.body(reference), *mine]).rstrip() + "\n\n\n"


@functools.lru_cache(maxsize=4096)  # one section is looked at for every exercise after it
def _beside(learners: str, reference: str) -> tuple[str, ...]:
    """What the learner defines at the top of a section and the reference does not."""
    try:
        tree = ast.parse(learners)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    taken = {name for node in ast.parse(reference).body for name in _bound(node)}
    lines = learners.split("\n")
    found = []
    for node in tree.body:
        if isinstance(node, _KEPT) and not (taken & set(_bound(node))) and getattr(node, "module", "") != "__future__":
            first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
            found.append("\n".join(lines[first - 1 : node.end_lineno]))
    return tuple(found)


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]


@functools.lru_cache(maxsize=4096)
def _names(section: str) -> frozenset[str]:
    try:
        return frozenset(node.id for node in ast.walk(ast.parse(section)) if isinstance(node, ast.Name))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return frozenset()


def _setup(chapter: Chapter) -> str:
    path = chapter.solutions_folder / "exercises.py"
    if not path.is_file():
        raise CourseError("carry_forward needs the solutions, which this copy of the course came without.")
    return sections.body(sections.split(files.read_text(path)).get("setup", ""))


@functools.cache
def _order(exercise_id: str) -> int:
    return int(exercise_id.split(".")[1])
