"""What the course consists of: the chapters that are here, their exercises, and the sixteen that are planned.

A chapter is a folder `chapters/chNN_slug` with a `chapter.toml` (data only). Nothing of it is executed here.
"""

from __future__ import annotations

import functools
import os
import re
import tomllib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

_Result = TypeVar("_Result", covariant=True)


class CourseError(Exception):
    """Something that a person can put right. Its text is one sentence or two that say what to do."""


@dataclass(frozen=True)
class Exercise:
    """One exercise, as its `chapter.toml` describes it."""

    id: str  # "02.3"
    title: str
    points: int
    difficulty: int  # 1 (a few lines) to 5 (think for an evening)
    importance: int  # 1 (a detail) to 5 (the chapter falls without it)
    minutes: int
    teaches: str
    hints: tuple[str, ...]  # of growing strength
    defines: tuple[str, ...]  # names that the learner's section must define
    answered_by: tuple[str, ...]  # "module:name" of the library functions that do the same
    uses: tuple[str, ...]  # what of the techniques an answer may use, where the policy withholds the rest
    changes: tuple[str, ...]  # arguments that it asks to change in place: "model", or of one function "train:model"
    time_limit: float  # seconds
    optional: bool  # for those who want more: not needed to finish the chapter
    chapter_number: str
    chapter: Chapter = field(repr=False, compare=False)


@dataclass(frozen=True, eq=False)
class Chapter:
    """One chapter that is here."""

    number: str  # "02"
    slug: str  # "induction_heads"
    title: str
    part: str  # "II"
    needs: tuple[str, ...]  # numbers of the chapters to take first
    summary: str
    model: tuple[str, ...]  # bundled models that it uses
    folder: Path
    solutions_folder: Path
    exercises: tuple[Exercise, ...] = ()

    @property
    def name(self) -> str:
        """The folder's name, `ch02_induction_heads`; the workspace uses the same."""
        return self.folder.name

    @property
    def minutes(self) -> int:
        return sum(exercise.minutes for exercise in self.required)

    @property
    def points(self) -> int:
        return sum(exercise.points for exercise in self.required)

    @property
    def required(self) -> tuple[Exercise, ...]:
        """The exercises that finish the chapter: all but the optional ones."""
        return tuple(exercise for exercise in self.exercises if not exercise.optional)

    def exercise(self, exercise_id: str) -> Exercise:
        """The exercise with this id. Raises `CourseError` if there is none."""
        for exercise in self.exercises:
            if exercise.id == exercise_id:
                return exercise
        raise CourseError(
            f"Chapter {self.number} has no exercise {exercise_id}. It has "
            f"{self.exercises[0].id} to {self.exercises[-1].id}; `mi list {self.number}` shows them."
        )


@dataclass(frozen=True)
class Planned:
    """One line of the syllabus: a chapter that is here or is still to come."""

    number: str
    slug: str
    title: str
    part: str
    needs: tuple[str, ...]
    sentence: str


def root() -> Path:
    """The folder that holds `chapters/` and `solutions/`: the clone, or `$MI_COURSE_ROOT`."""
    return Path(os.environ.get("MI_COURSE_ROOT") or Path(__file__).parents[2])


class once_a_course(Generic[_Result]):
    """`functools.cache` for what depends on the chapters that are here: it is worked out once for each `root()`."""

    def __init__(self, function: Callable[..., _Result]) -> None:
        self._kept = functools.cache(lambda _root, *args: function(*args))
        self.cache_clear = self._kept.cache_clear
        functools.update_wrapper(self, function)

    def __call__(self, *args: Hashable) -> _Result:
        return self._kept(root(), *args)


def chapters() -> list[Chapter]:
    """The chapters that are here, in order. Raises `CourseError` for a `chapter.toml` that cannot be used."""
    return [_read(toml.parent) for toml in sorted((root() / "chapters").glob("ch[0-9][0-9]_*/chapter.toml"))]


def chapter(number: str | int) -> Chapter:
    """The chapter with this number ("02", "2" or 2). Raises `CourseError` if it is unknown or not here yet."""
    wanted = str(number).strip()
    wanted = wanted.zfill(2) if wanted.isdigit() else wanted
    # Only the wanted chapter is read, so a slip in one chapter.toml leaves the others usable.
    for toml in sorted((root() / "chapters").glob(f"ch{wanted}_*/chapter.toml")) if wanted.isdigit() else []:
        return _read(toml.parent)
    if not (root() / "chapters").is_dir():
        raise CourseError(
            f"There are no chapters in {root()}. Install the course from its clone with `pip install -e .`, "
            "or set MI_COURSE_ROOT to the folder that holds `chapters`."
        )
    here = ", ".join(folder.name[2:4] for folder in sorted((root() / "chapters").glob("ch[0-9][0-9]_*"))) or "none"
    for planned in syllabus():
        if planned.number == wanted:
            raise CourseError(f"Chapter {wanted} ({planned.title}) is planned but not here yet. Here: {here}.")
    raise CourseError(f"There is no chapter {str(number)!r}. Here: {here}; `mi list` shows the whole course.")


def exercise(exercise_id: str) -> Exercise:
    """The exercise with this id ("02.3", "2.3"). Raises `CourseError` if it is unknown."""
    match = re.fullmatch(r"\s*(\d{1,2})\.(\d{1,2})\s*", str(exercise_id))
    if not match:
        raise CourseError(f"{str(exercise_id)!r} is not an exercise. Write chapter.number, for example 02.3.")
    number = match[1].zfill(2)
    return chapter(number).exercise(f"{number}.{int(match[2])}")


@functools.cache
def syllabus() -> list[Planned]:
    """The sixteen chapters of the whole course, in order, here or not."""
    data = tomllib.loads(Path(__file__).with_name("syllabus.toml").read_text("utf-8"))
    return [
        Planned(c["number"], c["slug"], c["title"], c["part"], tuple(c["needs"]), c["sentence"])
        for c in data["chapter"]
    ]


@functools.cache
def parts() -> dict[str, str]:
    """The titles of the six parts of the course: {"I": "Opening the box", ...}."""
    return dict(tomllib.loads(Path(__file__).with_name("syllabus.toml").read_text("utf-8"))["parts"])


def _read(folder: Path) -> Chapter:
    """Read a chapter, again only when its toml changed (the pages ask often)."""
    stat = (folder / "chapter.toml").stat()
    return _parse(folder, root() / "solutions" / folder.name, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=64)
def _parse(folder: Path, solutions_folder: Path, _mtime: int, _size: int) -> Chapter:
    toml = folder / "chapter.toml"
    try:
        data = tomllib.loads(toml.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{toml} cannot be read: {error}.") from error

    take = functools.partial(_take, toml, "the chapter", data)
    number, slug = take("number", str), take("slug", str)
    if folder.name != f"ch{number}_{slug}":
        raise CourseError(f'{toml} says number "{number}" and slug "{slug}", but its folder is {folder.name}.')
    model = data.get("model", [])
    result = Chapter(
        number=number,
        slug=slug,
        title=take("title", str),
        part=str(data.get("part", "")),
        needs=tuple(take("needs", list)),
        summary=take("summary", str),
        model=(model,) if isinstance(model, str) else tuple(model),
        folder=folder,
        solutions_folder=solutions_folder,
    )
    tables = take("exercise", list)
    exercises = tuple(_exercise(toml, result, position, table) for position, table in enumerate(tables, start=1))
    ids = [e.id for e in exercises]
    if len(set(ids)) != len(ids) or all(e.optional for e in exercises):
        raise CourseError(
            f"{toml} must list at least one exercise that is not optional, and each id once; it lists {', '.join(ids)}."
        )
    object.__setattr__(result, "exercises", exercises)  # the two point at each other, so one must come second
    return result


def _exercise(toml: Path, chapter: Chapter, position: int, table: dict[str, Any]) -> Exercise:
    where = f"exercise {table.get('id', f'number {position}')}"
    take = functools.partial(_take, toml, where, table)
    exercise_id = take("id", str)
    if not re.fullmatch(rf"{chapter.number}\.[1-9]\d?", exercise_id):
        raise CourseError(f"{toml}: {where} must have an id like {chapter.number}.{position}.")
    for key in ("difficulty", "importance"):
        if not 1 <= take(key, int) <= 5:
            raise CourseError(f"{toml}: {key} of {where} must be 1 to 5, not {table[key]}.")
    for key in ("hints", "defines"):
        if not all(isinstance(item, str) and item.strip() for item in take(key, list)):
            raise CourseError(f"{toml}: {key} of {where} must be a list of texts.")
    if not table["defines"]:
        raise CourseError(f"{toml}: {where} must define at least one name.")
    return Exercise(
        id=exercise_id,
        title=take("title", str),
        points=take("points", int),
        difficulty=table["difficulty"],
        importance=table["importance"],
        minutes=take("minutes", int),
        teaches=take("teaches", str),
        hints=tuple(hint.strip() for hint in table["hints"]),
        defines=tuple(table["defines"]),
        answered_by=tuple(table.get("answered_by", [])),
        uses=tuple(table.get("uses", [])),
        changes=_changes(toml, where, table),
        time_limit=float(table.get("time_limit", 20)),
        optional=bool(table.get("optional", False)),
        chapter_number=chapter.number,
        chapter=chapter,
    )


def _changes(toml: Path, where: str, table: dict[str, Any]) -> tuple[str, ...]:
    """Names of arguments: of all functions of an exercise or, after its name and a colon, of one that it defines."""
    names, defined = table.get("changes", []), ("", *table.get("defines", []))
    if (
        not isinstance(names, list)
        or not all(isinstance(name, str) for name in names)
        or not all(name.rpartition(":")[2].isidentifier() and name.rpartition(":")[0] in defined for name in names)
    ):
        raise CourseError(f"{toml}: changes of {where} must be a list of names of arguments, not {names!r}.")
    return tuple(names)


_PLAIN = {str: "a text", int: "a whole number", list: "a list"}


def _take(toml: Path, where: str, table: dict[str, Any], key: str, kind: type) -> Any:
    if key not in table:
        raise CourseError(f"{toml}: {where} has no `{key}`.")
    if not isinstance(table[key], kind) or isinstance(table[key], bool):
        raise CourseError(f"{toml}: `{key}` of {where} must be {_PLAIN[kind]}, not {table[key]!r}.")
    return table[key]
