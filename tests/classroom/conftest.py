"""A small class for the small made-up course of tests/course: who hands in what, graded in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_class import Inline, hand_in, hide_tests, small

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
    return hide_tests(course)


@pytest.fixture
def handed_in(tmp_path: Path) -> Callable[..., Path]:
    """handed_in(ada=TEXT, bob=TEXT): a folder per student; called again it changes what they handed in."""
    return lambda **texts: hand_in(tmp_path / "handed_in", texts)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    with Gradebook(tmp_path / "grades", make=True) as opened:
        yield opened
