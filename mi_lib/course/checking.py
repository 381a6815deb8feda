"""One check of one exercise in a workspace: grade the file, store verdict and text together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mi_lib.course import files, sections
from mi_lib.course.index import Chapter, Exercise
from mi_lib.course.progress import Progress
from mi_lib.course.workspace import Workspace

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader, Verdict


def check(grader: Grader, workspace: Workspace, progress: Progress, exercise: Exercise) -> Verdict:
    """Grade the learner's file as it is now. Raises `CourseError` if the exercise's section cannot be found."""
    whole = files.read_text(workspace.file(exercise.chapter))
    return check_text(grader, progress, exercise, whole)


def check_text(grader: Grader, progress: Progress, exercise: Exercise, whole: str) -> Verdict:
    """Grade this text of the chapter's file, and keep it. An untouched stub is no attempt and is not stored."""
    section = sections.get(whole, exercise.id)
    verdict = grader.grade(whole, exercise)
    if verdict.status != "not started" and not verdict.course_fault:
        progress.record(verdict, section)
    return verdict


def next_exercise(chapters: list[Chapter], progress: Progress, after: Exercise | None = None) -> Exercise | None:
    """The first exercise that is not passed, looking after the given one first. None if all are passed."""
    states = progress.states()
    every = [exercise for chapter in chapters for exercise in chapter.exercises]
    start = [e.id for e in every].index(after.id) + 1 if after else 0
    for exercise in every[start:] + every[:start]:
        if exercise.id not in states or not states[exercise.id].passed:
            return exercise
    return None
