"""The same graders under plain pytest: `pytest chapters/ch02_induction_heads --submission=work/.../exercises.py`.

Each marked function is one pytest test. It is run by the same engine: the submission lives in a process of its own,
and a failure shows the sentence for the learner. `chapters/conftest.py` brings these hooks in.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Generator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mi_lib.course.grading import pytest_option
from mi_lib.course.grading.judge import Grader, SourceError, read_source
from mi_lib.course.grading.marks import as_test, mark_of

_GRADER = pytest.StashKey[Grader]()
_RUN = pytest.StashKey[dict[tuple[Path, str], Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    with suppress(ValueError):  # as a rule it is there already
        pytest_option.pytest_addoption(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.option.importmode = "importlib"  # every chapter has a test_exercises.py


def pytest_unconfigure(config: pytest.Config) -> None:
    for run in config.stash.get(_RUN, {}).values():
        run.__exit__()
    if grader := config.stash.get(_GRADER, None):
        grader.close()


@pytest.fixture
def answer() -> None:
    """What a grader test receives. The engine passes it (see `pytest_pyfunc_call`); nothing is built here."""


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, None, None]:
    """A missing submission is a usage error, told once, not a failure of every test."""
    yield
    for folder in {item.path.parent for item in items if mark_of(getattr(item, "function", None))}:
        try:
            read_source(submission(config, folder))
        except SourceError as error:
            raise pytest.UsageError(f"{error} Or name the file to grade: --submission=FILE.") from None


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test by the engine; leave every other test to pytest."""
    mark = mark_of(pyfuncitem.function)
    if not mark:
        return None
    outcome = _open_run(pyfuncitem, mark[0]).test(as_test(pyfuncitem.function, pyfuncitem.path))
    if outcome.traceback:
        pyfuncitem.add_report_section("call", "your code", outcome.traceback)
    if not outcome.result.passed:
        pytest.fail(f"{outcome.result.title}\n{outcome.result.message}", pytrace=False)
    return True


def _open_run(item: pytest.Function, exercise_id: str) -> Any:
    """The run of this exercise. Only one is open at a time: the server keeps one learner's process."""
    config, folder = item.config, item.path.parent
    runs = config.stash.setdefault(_RUN, {})
    key = (folder, exercise_id)
    if key not in runs:
        for old in runs.values():
            old.__exit__()
        runs.clear()
        grader = config.stash.get(_GRADER, None) or Grader()
        config.stash[_GRADER] = grader
        text, name = read_source(submission(config, folder))
        limits = replace(grader.limits, seconds=_time_limit(folder, exercise_id, grader.limits.seconds))
        runs[key] = grader.run(text, name, exercise_id, limits, folder)
    return runs[key]


def submission(config: pytest.Config, folder: Path) -> Path:
    """The file to grade: the option's, else the learner's own in the workspace."""
    if given := config.getoption("--submission"):
        return (config.invocation_params.dir / given).resolve()
    workspace = Path(os.environ.get("MI_WORKSPACE") or config.invocation_params.dir / "work")
    return workspace / folder.name / "exercises.py"


def _time_limit(folder: Path, exercise_id: str, default: float) -> float:
    """The exercise's time limit, from the chapter's data file."""
    toml = folder / "chapter.toml"
    tables = tomllib.loads(toml.read_text("utf-8")).get("exercise", []) if toml.is_file() else []
    return next((float(t["time_limit"]) for t in tables if t.get("id") == exercise_id and "time_limit" in t), default)
