"""When must an exercise be graded again? When its key changes: a hash of all that its verdict depends on.

That is the learner's text up to and with the exercise's section (what comes later is not run), the chapter's tests,
hidden ones too, its stub, what `chapter.toml` says about how it is graded, the isolation that was required, and the
version of the course: everything that the grader, the tests and the stubs import, found by what they import, and the
weights of the models. What a text imports beyond that belongs to its own key.
"""

from __future__ import annotations

import functools
import hashlib
import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from mi_lib.course import index, sections
from mi_lib.course.classroom import hidden, imports
from mi_lib.course.classroom.config import Policy
from mi_lib.course.grading.isolation import Level
from mi_lib.course.index import Chapter, CourseError, Exercise

_LIBRARY = Path(__file__).parents[2]
_ROOTS = "import mi_lib.course.classroom.work"
_DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "yaml": "pyyaml"}  # where the two names differ
_OTHER_CHAPTER = re.compile(r"\bchapter\([\"'](\d\d)[\"']\)")


def text_hash(text: str) -> str:
    """A fingerprint of a submitted text."""
    return _digest(text)


def key(text: str, exercise: Exercise, require: Level = "none", policy: Policy = "flag") -> str:
    """What the verdict on this exercise of this text is stored under."""
    facts = [
        f"{exercise.id} {exercise.points} {exercise.time_limit}",
        require,
        *exercise.defines,
        "",
        *exercise.changes,
    ]
    if exercise.answered_by or policy == "refuse":
        facts += ["", policy, *exercise.answered_by, *exercise.uses]
    mine = relevant(text, exercise.id)
    return _digest(mine, tests_hash(exercise.chapter), course_version(), _imported(mine), *facts)


def relevant(text: str, exercise_id: str) -> str:
    """The part of a file that is run for an exercise; all of it where the markers are damaged."""
    try:
        parts = sections.split(text)
    except sections.SectionError:
        return text
    last = int(exercise_id.split(".")[1])
    return "".join(part for name, part in parts.items() if "." not in name or int(name.split(".")[1]) <= last)


def tests_hash(chapter: Chapter) -> str:
    """A fingerprint of a chapter's tests, hidden ones included, of its stub, and of the findings that they ask for."""
    tests = [chapter.folder / "test_exercises.py", hidden.path(chapter)]
    asked = [found for found in map(_chapter, _asked(*map(_state, tests))) if found]
    data = [one.folder / name for one in asked for name in ("findings.py", "findings.json", "chapter.toml")]
    return _files_hash(*map(_state, [*tests, chapter.folder / "exercises.py", *data]))


_State = tuple[Path, int, int]  # a file, and what changes when it does


def _state(path: Path) -> _State:
    try:
        facts = path.stat()
    except OSError:
        return path, 0, 0
    return path, facts.st_mtime_ns, facts.st_size


@functools.lru_cache(maxsize=64)
def _asked(*tests: _State) -> list[str]:
    """The chapters that these tests name."""
    return _OTHER_CHAPTER.findall("".join(_text(path) for path, _, _ in tests))


@functools.lru_cache(maxsize=64)
def _files_hash(*states: _State) -> str:
    return _digest(*(_text(path) for path, _, _ in states))


@index.once_a_course
def course_version() -> str:
    """The package's version, and a fingerprint of the code and models that a verdict depends on: "0.1.0+4f0c…"."""
    code = _code(_LIBRARY)
    sources = sorted(code.files)
    # Weights by their content, of which a card that somebody copied says nothing, and neither does a date.
    sources += [path for path in sorted(_LIBRARY.glob("zoo/*/**/*")) if path.suffix in (".safetensors", ".json")]
    parts = [part for path in sources for part in (path.relative_to(_LIBRARY).as_posix(), _file_hash(path))]
    digest = _digest(*parts, f"Python {sys.version_info.major}.{sys.version_info.minor}", *_versions(code.others))
    try:
        number = metadata.version("mi-course")
    except metadata.PackageNotFoundError:
        number = "0"
    return f"{number}+{digest[:12]}"


@index.once_a_course
def _code(library: Path) -> imports.Found:
    """What the grader, the tests of every chapter, their findings and the stubs import; all of the grader's own rooms.

    Of the last, what is run by its file's name in a process of its own.
    """
    texts = [_ROOTS, *(_text(path) for path in sorted(library.glob("course/grading/*.py")))]
    for chapter in index.chapters():
        for name in ("test_exercises.py", "exercises.py", "findings.py"):
            texts.append(_text(chapter.folder / name))
        texts.append(_text(hidden.path(chapter)))
    found = imports.closure(texts, library)
    return imports.Found(found.files | set(library.glob("course/grading/*.py")), found.others)


def _imported(text: str) -> str:
    """A fingerprint of what a text imports of the library and nobody else does; empty for most."""
    names = frozenset(name for part in re.split(r"^(?=#[ \t]*%%)", text, flags=re.MULTILINE) for name in _ours(part))
    return _beyond(names) if names else ""


@functools.lru_cache(maxsize=4096)  # one section is looked at for every exercise after it
def _ours(part: str) -> tuple[str, ...]:
    return tuple(name for name in imports.mentioned(part) if name.startswith(imports.PACKAGE))


@index.once_a_course
def _beyond(names: frozenset[str]) -> str:
    found = imports.closure([f"import {name}" for name in sorted(names)], _LIBRARY).files - _code(_LIBRARY).files
    return _digest(*map(_file_hash, sorted(found))) if found else ""


def _versions(packages: Iterable[str]) -> list[str]:
    """What is installed of these packages; the standard library goes with Python's own version."""
    found = []
    for name in sorted(packages):
        if name not in sys.stdlib_module_names:
            try:
                found.append(f"{name} {metadata.version(_DISTRIBUTIONS.get(name, name))}")
            except metadata.PackageNotFoundError:
                continue
    return found


def _chapter(number: str) -> Chapter | None:
    try:
        return index.chapter(number)
    except CourseError:
        return None


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def _digest(*texts: str) -> str:
    whole = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        whole.update(len(data).to_bytes(8, "big") + data)  # with its length, so that parts cannot flow into each other
    return whole.hexdigest()
