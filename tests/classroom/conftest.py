"""A small class for the small made-up course of tests/course: who hands in what, graded in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_class import HIDDEN, Inline, small

from mi_lib.course.classroom import batch, work
from mi_lib.course.classroom.gradebook import Gradebook

course, chapter = small.course, small.chapter  # fixtures


@pytest.fixture
def here() -> batch.Workers:
    return batch.Workers(lambda: contextlib.nullcontext(Inline()), 1)


@pytest.fixture(scope="session", autouse=True)
def _end_of_the_grader() -> Iterator[None]:
    yield
    work.close()


@pytest.fixture
def hidden_tests(course: Path) -> Path:
    path = course / "solutions" / "ch90_sums" / "tests_hidden.py"
    path.write_text(HIDDEN, "utf-8")
    return path


@pytest.fixture
def handed_in(tmp_path: Path) -> Callable[..., Path]:
    """handed_in(ada=TEXT, bob=TEXT): a folder per student; called again it changes what they handed in."""

    def write(**texts: str) -> Path:
        for student, text in texts.items():
            folder = tmp_path / "handed_in" / student
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "exercises.py").write_text(text, "utf-8")
        return tmp_path / "handed_in"

    return write


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    with Gradebook(tmp_path / "grades", make=True) as opened:
        yield opened
