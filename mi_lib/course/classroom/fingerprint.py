"""When must an exercise be graded again? When its key changes: a hash of all that its verdict depends on.

That is the learner's text up to and with the exercise's section (what comes later is not run), the chapter's tests,
hidden ones too, its points and time limit, the isolation that was required, and the version of the course. Where the
library has functions that are the answer: their names, the policy, and the stub, whose lines are not the learner's.
"""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

from mi_lib.course import sections
from mi_lib.course.classroom import hidden
from mi_lib.course.classroom.config import Policy
from mi_lib.course.grading.isolation import Level
from mi_lib.course.index import Chapter, Exercise

_LIBRARY = Path(__file__).parents[2]
# What a verdict does not depend on: how things are shown, handed out and stored.
_APART = ("cli", "plots", "recipes", "zoo", "course")
_GRADES = ("course/grading", "course/sections.py", "course/classroom/work.py", "course/classroom/hidden.py")


def text_hash(text: str) -> str:
    """A fingerprint of a submitted text."""
    return _digest(text)


def key(text: str, exercise: Exercise, require: Level = "none", policy: Policy = "flag") -> str:
    """What the verdict on this exercise of this text is stored under."""
    facts = [f"{exercise.id} {exercise.points} {exercise.time_limit}", require]
    if exercise.answered_by:
        facts += [policy, *exercise.answered_by, _text(exercise.chapter.folder / "exercises.py")]
    return _digest(relevant(text, exercise.id), tests_hash(exercise.chapter), course_version(), *facts)


def relevant(text: str, exercise_id: str) -> str:
    """The part of a file that is run for an exercise; all of it where the markers are damaged."""
    try:
        parts = sections.split(text)
    except sections.SectionError:
        return text
    last = int(exercise_id.split(".")[1])
    return "".join(part for name, part in parts.items() if "." not in name or int(name.split(".")[1]) <= last)


def tests_hash(chapter: Chapter) -> str:
    """A fingerprint of a chapter's tests, hidden ones included."""
    return _digest(_text(chapter.folder / "test_exercises.py"), _text(hidden.path(chapter)))


@functools.cache
def course_version() -> str:
    """The package's version, and a fingerprint of the code and models that a verdict depends on: "0.1.0+4f0c…"."""
    sources = [
        path
        for path in sorted(_LIBRARY.rglob("*.py"))
        if (name := path.relative_to(_LIBRARY).as_posix()).split("/")[0] not in _APART or name.startswith(_GRADES)
    ]
    # Weights by their content, of which a card that somebody copied says nothing, and neither does a date.
    sources += [path for path in sorted(_LIBRARY.glob("zoo/*/**/*")) if path.suffix in (".safetensors", ".json")]
    digest = _digest(*[part for path in sources for part in (path.relative_to(_LIBRARY).as_posix(), _file_hash(path))])
    try:
        number = metadata.version("mi-course")
    except metadata.PackageNotFoundError:
        number = "0"
    return f"{number}+{digest[:12]}"


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
