"""What a verdict depends on is found by what is imported, so that nothing is forgotten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_class import RIGHT

from mi_lib.course import index
from mi_lib.course.classroom import fingerprint, imports

ROOT = Path(__file__).parents[2]


@pytest.fixture
def library(tmp_path) -> Path:
    """A small package of our name: each module is reached in another way, the last in none."""
    texts = {
        "__init__": "import importlib",
        "by_from": "from mi_lib import (\n    by_name,  # a remark\n    # unused,\n)",
        "by_name": "def f():\n    import mi_lib.lazy.inner\n",
        "lazy/__init__": "def __getattr__(name):\n    return importlib.import_module('mi_lib.by_text')",
        "lazy/inner": "import mi_lib\n\nx = mi_lib.by_attribute.f()",
        "by_attribute": "import numpy as np",
        "by_text": "",
        "unused": "",
    }
    for name, text in texts.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_everything_that_is_imported_in_whatever_way_is_found(library):
    found = imports.closure(["from mi_lib.by_from import f"], library)
    names = {path.relative_to(library).with_suffix("").as_posix() for path in found.files}
    assert names == {
        *("__init__", "by_from", "by_name", "lazy/__init__", "lazy/inner", "by_attribute", "by_text"),
    }
    assert {"numpy", "importlib"} <= found.others


@pytest.mark.slow
def test_whatever_grading_has_imported_is_part_of_the_version():
    """Loaded in a process of its own: the tests of all chapters, hidden ones too, and what runs beside them."""
    program = """
import json, sys
from mi_lib.course import findings, index
from mi_lib.course.classroom import hidden, work
from mi_lib.course.grading import contract, runs, server
from mi_lib.course.grading.judge import load_tests
for chapter in index.chapters():
    load_tests(chapter.folder / "test_exercises.py")
    if hidden.path(chapter).is_file():
        load_tests(hidden.path(chapter))
print(json.dumps([m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "mi_lib"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {Path(file) for file in json.loads(done.stdout)}
    assert len(loaded) > 60
    assert loaded - fingerprint._code(fingerprint._LIBRARY).files == set()


def test_what_a_text_imports_beyond_that_belongs_to_its_own_key(course, monkeypatch):
    exercise = index.exercise("90.1")
    plain, plots = (fingerprint.key(text, exercise) for text in (RIGHT, "import mi_lib.plots\n" + RIGHT))
    hashed = fingerprint._file_hash
    monkeypatch.setattr(fingerprint, "_file_hash", lambda path: "new" if "plots" in path.parts else hashed(path))
    fingerprint._beyond.cache_clear()
    assert fingerprint.key(RIGHT, exercise) == plain
    assert fingerprint.key("import mi_lib.plots\n" + RIGHT, exercise) != plots
    fingerprint._beyond.cache_clear()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("chapter.toml", 'defines = ["add"]', 'defines = ["add"]\nchanges = ["a"]'),
        ("chapter.toml", "points = 2", "points = 3"),
        ("exercises.py", "a: float", "a: int"),
        ("test_exercises.py", "5.0", "5"),
    ],
)
def test_a_change_of_what_grades_an_exercise_changes_its_key(course, file, old, new):
    before = fingerprint.key(RIGHT, index.exercise("90.1"))
    path = course / "chapters" / "ch90_sums" / file
    path.write_text(path.read_text().replace(old, new))
    index._parse.cache_clear()
    assert fingerprint.key(RIGHT, index.exercise("90.1")) != before


def test_a_change_of_a_hint_changes_no_key(course):
    before = fingerprint.key(RIGHT, index.exercise("90.1"))
    path = course / "chapters" / "ch90_sums" / "chapter.toml"
    path.write_text(path.read_text().replace("What is a sum?", "What is it?"))
    index._parse.cache_clear()
    assert fingerprint.key(RIGHT, index.exercise("90.1")) == before
