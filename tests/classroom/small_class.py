"""What the tests of the class share: the small made-up course of tests/course, answers to it, zips, an executor."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from concurrent.futures import Executor, Future
from pathlib import Path

from mi_lib.course import sections, stubs

_spec = importlib.util.spec_from_file_location("small_course", Path(__file__).parents[1] / "course" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
small = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(small)

RIGHT = small.REFERENCE.replace("    ### BEGIN SOLUTION\n", "").replace("    ### END SOLUTION\n", "")
TIMES = sections.replace(RIGHT, "90.1", "def add(a, b):\n    return a * b\n")  # a known mistake, and 90.2 with it
ONLY_SMALL = sections.replace(RIGHT, "90.1", "def add(a, b):\n    return a + b if abs(a) < 100 else a\n")
STUB = stubs.stub(small.REFERENCE)

HIDDEN = '''
from mi_lib.course.grading import expect_close, grades


@grades("90.1", weight=2)
def test_large_numbers(answer):
    """Numbers may be large."""
    expect_close(answer.add(4711.0, 1.0), 4712.0, "the sum")
'''


class Inline(Executor):
    """Runs a task at once, in this process: no start-up, so that tests are quick."""

    def submit(self, fn, /, *args, **kwargs):
        future: Future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


def packed(*files: tuple[str, bytes], mode: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files:
            info = zipfile.ZipInfo(name, (2026, 11, 30, 12, 0, 0))
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return out.getvalue()


def hide_tests(course: Path) -> Path:
    """Give the course its hidden test."""
    path = course / "solutions" / "ch90_sums" / "tests_hidden.py"
    path.write_text(HIDDEN, "utf-8")
    return path


def hand_in(folder: Path, texts: dict[str, str]) -> Path:
    """A folder for each student, with what the student hands in."""
    for student, text in texts.items():
        (folder / student).mkdir(parents=True, exist_ok=True)
        (folder / student / "exercises.py").write_text(text, "utf-8")
    return folder
