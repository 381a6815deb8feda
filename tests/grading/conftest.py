"""Fixtures: a grader that all tests of a file share, and a tiny chapter for it to grade."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tiny_chapter import STUB, TESTS, TOML, TinyChapter, TinyExercise

from mi_lib.course.grading import Grader, Verdict


@pytest.fixture(scope="session")
def chapter(tmp_path_factory: pytest.TempPathFactory) -> TinyChapter:
    folder = tmp_path_factory.mktemp("course") / "ch01_tiny"
    folder.mkdir()
    (folder / "test_exercises.py").write_text(TESTS)
    (folder / "exercises.py").write_text(STUB)
    (folder / "chapter.toml").write_text(TOML)
    return TinyChapter(folder)


@pytest.fixture(scope="session")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        yield grader


@pytest.fixture
def grade(grader: Grader, chapter: TinyChapter) -> Callable[..., Verdict]:
    """grade(source, "01.1"): the verdict on a whole file, or on the body of section 01.1 alone."""

    def run(source: str, exercise: str = "01.1", time_limit: float | None = None) -> Verdict:
        text = source if "# %%" in source else f"# %% [setup]\nimport os, torch\n# %% [{exercise}]\n{source}"
        return grader.grade(text, TinyExercise(exercise, chapter), time_limit=time_limit)

    return run
