"""One check of one exercise in a workspace: grade the file, store verdict and text together."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from mi_lib.course import files, paths, renewal, sections
from mi_lib.course.grading.verdict import Verdict
from mi_lib.course.index import Chapter, Exercise
from mi_lib.course.progress import Progress
from mi_lib.course.workspace import Workspace

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader

CHANGED = (
    "The course itself has changed on disk since this was started. The pages and `mi watch` begin anew by themselves "
    "in a moment; a notebook's kernel you restart. Then check once more: your answer is as it was."
)


def check(grader: Grader, workspace: Workspace, progress: Progress, exercise: Exercise) -> Verdict:
    """Grade the learner's file as it is now, and keep what was graded. Raises `CourseError` if it cannot be read."""
    return check_text(grader, progress, exercise, files.read_text(workspace.file(exercise.chapter)))


def check_text(
    grader: Grader,
    progress: Progress | None,
    exercise: Exercise,
    whole: str,
    halt: threading.Event | None = None,
) -> Verdict:
    """Grade this text of the chapter's file, and keep it (without `progress`: grade only).

    An untouched stub is no attempt and is not stored; nor is a verdict that the course's own fault made impossible, or
    one that the learner has stopped by setting `halt`.
    """
    if progress:
        progress.work_on(exercise.id)
    verdict = grade(grader, exercise, whole, halt)
    if progress and verdict.status not in ("not started", "stopped") and not verdict.course_fault:
        try:
            source = sections.get(whole, exercise.id)
        except sections.SectionError:
            source = whole
        progress.record(verdict, source)
    return verdict


def grade(grader: Grader, exercise: Exercise, whole: str, halt: threading.Event | None = None) -> Verdict:
    """The verdict on one exercise of a file; a file whose markers are damaged is told so.

    Where the course has changed since this process began, there is none: new tests would meet an old library.
    """
    if renewal.changed():
        return Verdict(exercise.id, "error", 0, exercise.points, diagnosis=CHANGED, course_fault=True)
    try:
        sections.get(whole, exercise.id)
    except sections.SectionError as error:
        return Verdict(exercise.id, "error", 0, exercise.points, diagnosis=str(error))
    return grader.grade(whole, exercise, halt=halt, second_look=True)


def next_exercise(chapters: list[Chapter], progress: Progress, after: Exercise | None = None) -> Exercise | None:
    """The first required exercise that is not passed, looking after the given one first. None if all are passed."""
    states = progress.states()
    every = [exercise for chapter in chapters for exercise in chapter.exercises]
    start = [e.id for e in every].index(after.id) + 1 if after else 0
    for exercise in every[start:] + every[:start]:
        if not exercise.optional and (exercise.id not in states or not states[exercise.id].passed):
            return exercise
    return None


def resume(chapters: list[Chapter], progress: Progress) -> Exercise | None:
    """Where to go on: the exercise that was worked on last, in any chapter, or the open one after it.

    On the learner's path first, if they have chosen one. None if all are passed.
    """
    last = progress.worked_on()
    here = next((exercise for chapter in chapters for exercise in chapter.exercises if exercise.id == last), None)
    if here is not None and not progress.state(here.id).passed:
        return here
    ahead = paths.ahead(chapters, progress)
    on_it = here if here is not None and here.chapter_number in {one.number for one in ahead} else None
    return next_exercise(ahead, progress, after=on_it) or next_exercise(chapters, progress, after=here)
