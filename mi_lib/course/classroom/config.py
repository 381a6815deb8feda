"""The instructor's settings: one small TOML file, every part of which may be left out.

zone = "Europe/Berlin"       # of the times below, and of the dates in zips
policy = "flag"              # or "refuse": what happens to an exercise that the library was made to answer
chapters = ["02"]            # grade these alone
carry_forward = true         # one early error costs once: see `carry`
decimal = ","                # in tables for Excel, where people write 7,5

[attempts]
limit = 3                    # later ones are not graded
counts = "best"              # or "last"

[deadlines]
"02" = 2026-11-30T23:59:00

[late]
grace_minutes = 15
percent_per_day = 10         # of the exercise's points, for each day that has begun
most_percent = 50
days = 7                     # later than that: nothing

[extensions."Ada Lovelace_4711"]
"02" = 2026-12-07T23:59:00

[received."Ada Lovelace_4711"]
"02" = 2026-11-30T20:00:00   # instead of the date of the file

[students]
"Ada Lovelace_4711" = "ada"  # what the export calls her = what the gradebook calls her

[groups]
"Blue_77" = ["ada", "bob"]   # one submission for both, under any of the three names

[rubric]
readable = ["not yet", "mostly", "yes"]  # what `mi grade mark` may say of an answer; it costs and gives no points

Wherever a student is named, either of her two names will do. What is not known is refused, with the nearest name.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal, get_args

from mi_lib.course import index, nearest, texts
from mi_lib.course.classroom import clock
from mi_lib.course.index import CourseError

Policy = Literal["flag", "refuse"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
_KNOWN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("zone", "policy", "chapters", "carry_forward", "decimal"), ()),
    **dict.fromkeys(("deadlines", "extensions", "received", "students", "groups", "rubric"), ()),
    "attempts": ("limit", "counts"),
    "late": ("grace_minutes", "percent_per_day", "most_percent", "days"),
}


@dataclass(frozen=True)
class Config:
    """See the module's docstring. Times read from a file carry their zone; one without is of this computer's."""

    zone: str = ""
    policy: Policy = "flag"
    chapters: tuple[str, ...] = ()
    attempt_limit: int = 0  # none
    counts: str = "last"
    deadlines: Mapping[str, datetime] = field(default_factory=dict)
    grace_minutes: float = 0.0
    percent_per_day: float = 0.0
    most_percent: float = 100.0
    days: float = math.inf
    extensions: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    received: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    students: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rubric: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    carry_forward: bool = False
    decimal: str = "."

    def deadline(self, student: str, chapter: str) -> datetime | None:
        """When this student's answers to a chapter are due."""
        return self._of(self.extensions, student).get(chapter) or self.deadlines.get(chapter)

    def late_percent(self, student: str, chapter: str, received: datetime | None) -> float:
        """How many percent of the points lateness costs; 0 if in time, or if no one knows when it came."""
        place = clock.zone(self.zone)
        due = clock.instant(self.deadline(student, chapter), place, later=True)
        received = clock.instant(self._of(self.received, student).get(chapter) or received, place)
        if due is None or received is None:
            return 0.0
        seconds = received.timestamp() - due.timestamp() - 60 * self.grace_minutes
        if seconds <= 0:
            return 0.0
        days = math.ceil(seconds / 86400)
        return 100.0 if days > self.days else min(self.most_percent, days * self.percent_per_day)

    def group_of(self, student: str) -> str:
        """The group that a student is in; "" if none."""
        return next((group for group, members in self.groups.items() if student in members), "")

    def _of(self, table: Mapping[str, Mapping[str, datetime]], student: str) -> dict[str, datetime]:
        """What a table says about a student, under whichever of her names."""
        found: dict[str, datetime] = {}
        for name, times in table.items():
            if student in (name, self.students.get(name)) or name == (self.group_of(student) or None):
                found |= times
        return found

    def check_students(self, known: Iterable[str]) -> None:
        """Raise `CourseError` for a student whom nobody knows, with the nearest name.

        known: those who handed in, by either name, and those in the gradebook. A name under [students] may be of
        somebody who is still to come, unless it looks like somebody's who is here and is not listed.
        """
        here = set(known)
        listed = {*self.students, *self.students.values(), *self.groups}
        listed |= {member for members in self.groups.values() for member in members}
        for name in self.students:
            if name not in here and (hint := nearest.hint(name, here - listed, 0.8)):
                raise CourseError(f"The settings name {name!r} under [students], who has handed nothing in.{hint}")
        for table, of in (("extensions", self.extensions), ("received", self.received)):
            for name in of:
                if name not in here | listed:
                    raise CourseError(
                        f"The settings name {name!r} under [{table}], who has handed nothing in."
                        f"{nearest.hint(name, here | listed)} List whoever is still to come under [students]."
                    )


def load(path: Path | str | None) -> Config:
    """Read the settings; without a path, the defaults. Raises `CourseError` naming what cannot be used."""
    if path is None:
        return Config()
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CourseError(f"{path} cannot be read: {error}.") from error
    _only(path, data, tuple(_KNOWN), "")
    attempts, late = _table(path, data, "attempts"), _table(path, data, "late")
    for key in ("attempts", "late"):
        _only(path, _table(path, data, key), _KNOWN[key], f"{key}.")
    if (policy := data.get("policy", "flag")) not in POLICIES:
        raise CourseError(f'{path}: policy must be "flag" or "refuse", not {policy!r}.')
    zone = data.get("zone", "")
    if not isinstance(zone, str):
        raise CourseError(f'{path}: zone must be a name such as "Europe/Berlin", not {zone!r}.')
    chapters = data.get("chapters", [])
    if not isinstance(chapters, list):
        raise CourseError(f'{path}: chapters must be a list such as ["02", "03"], not {chapters!r}.')
    limit = _number(path, attempts, "limit", 0)
    if limit != int(limit):
        raise CourseError(f"{path}: attempts.limit must be a whole number, not {limit:g}.")
    clock.zone(zone)
    config = Config(
        zone=zone,
        policy=policy,
        chapters=tuple(_chapter(path, number) for number in chapters),
        attempt_limit=int(limit),
        counts=str(attempts.get("counts", "last")),
        deadlines=_times(path, _table(path, data, "deadlines"), zone, later=True),
        grace_minutes=_number(path, late, "grace_minutes", 0),
        percent_per_day=_number(path, late, "percent_per_day", 0, 100),
        most_percent=_number(path, late, "most_percent", 100, 100),
        days=_number(path, late, "days", math.inf, math.inf),
        extensions={_name(k): _times(path, v, zone, later=True) for k, v in _table(path, data, "extensions").items()},
        received={_name(k): _times(path, v, zone) for k, v in _table(path, data, "received").items()},
        students={_name(k): _called(path, k, v) for k, v in _table(path, data, "students").items()},
        groups=_groups(path, {_name(k): _words(path, "groups", k, v) for k, v in _table(path, data, "groups").items()}),
        rubric={_name(k): _words(path, "rubric", k, v) for k, v in _table(path, data, "rubric").items()},
        carry_forward=data.get("carry_forward", False),
        decimal=data.get("decimal", "."),
    )
    if not isinstance(config.carry_forward, bool):
        raise CourseError(f"{path}: carry_forward must be true or false, not {config.carry_forward!r}.")
    if config.decimal not in (".", ","):
        raise CourseError(f'{path}: decimal must be "." or ",", not {config.decimal!r}.')
    if config.counts not in ("last", "best"):
        raise CourseError(f'{path}: attempts.counts must be "last" or "best", not {config.counts!r}.')
    return config


def dump(config: Config) -> str:
    """The settings as text, to be kept with the grades that were made with them."""
    return json.dumps(asdict(config), default=lambda value: value.isoformat())


def restore(text: str) -> Config:
    """The inverse of `dump`."""
    data = json.loads(text)
    data["chapters"] = tuple(data["chapters"])
    data["deadlines"] = _from_iso(data["deadlines"])
    for key in ("extensions", "received"):
        data[key] = {student: _from_iso(times) for student, times in data[key].items()}
    for key in ("groups", "rubric"):
        data[key] = {name: tuple(words) for name, words in data.get(key, {}).items()}
    return Config(**data)


def _from_iso(times: Mapping[str, str]) -> dict[str, datetime]:
    return {chapter: datetime.fromisoformat(time) for chapter, time in times.items()}


def _table(path: Path, data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise CourseError(f"{path}: [{key}] must be a table.")
    return value


def _only(path: Path, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            there = ", ".join(f"{where}{name}" for name in sorted(known))
            hint = nearest.hint(key, known)
            raise CourseError(f"{path} says `{where}{key}`, which means nothing.{hint} There are: {there}.")


def _number(path: Path, table: Mapping[str, Any], key: str, default: float, most: float = 1e9) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        limit = f" and at most {most:g}" if most < 1e9 else ""
        raise CourseError(f"{path}: {key} must be a number that is not negative{limit}, not {value!r}.")
    return float(value)


def _words(path: Path, table: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one.strip() for one in value):
        raise CourseError(f'{path}: [{table}] {key} must be a list such as ["one", "two"], not {value!r}.')
    words = tuple(_name(one) for one in value)
    if twice := [one for one in words if words.count(one) > 1]:
        raise CourseError(f"{path}: [{table}] {key} names {twice[0]!r} twice.")
    return words


def _groups(path: Path, groups: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The groups. Raises `CourseError` for a student who is in two of them."""
    of: dict[str, str] = {}
    for group, members in groups.items():
        for name in members:
            if of.setdefault(name, group) != group:
                raise CourseError(f"{path}: {name!r} is in two groups, {of[name]!r} and {group!r}. Keep one.")
            if name in groups and name != group:
                raise CourseError(f"{path}: {name!r} is a group, so it cannot be in the group {group!r}.")
    return groups


def _name(text: str) -> str:
    """A student's name as `submissions` writes it."""
    return texts.line(texts.decoded(text.encode("utf-8")))


def _called(path: Path, label: str, value: Any) -> str:
    """What the gradebook calls a student: a text, or a number as some schools give them."""
    name = _name(str(value)) if type(value) in (str, int) else ""
    if not name:
        raise CourseError(f'{path}: [students] {label!r} must be a name such as "ada", not {value!r}.')
    return name


def _chapter(path: Path, number: Any) -> str:
    """The number as the course writes it. Raises `CourseError` for a chapter that is neither here nor planned."""
    known = sorted({c.number for c in index.chapters()} | {c.number for c in index.syllabus()})
    found = str(number).zfill(2)
    if isinstance(number, bool) or found not in known:
        here = ", ".join(chapter.number for chapter in index.chapters())
        raise CourseError(
            f"{path} names chapter {number!r}, which is not there.{nearest.hint(found, known)} Here: {here}."
        )
    return found


def _times(path: Path, table: Any, zone: str, later: bool = False) -> dict[str, datetime]:
    if not isinstance(table, dict):
        raise CourseError(f"{path}: expected a table of chapters and times, found {table!r}.")
    found = {}
    for chapter, value in table.items():
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time(23, 59, 59))  # a day lasts until it is over
        if not isinstance(value, datetime):
            raise CourseError(f"{path}: the time of chapter {chapter} must look like 2026-11-30T23:59:00.")
        known = clock.instant(value, clock.zone(zone), later)
        assert known is not None
        found[_chapter(path, chapter)] = known
    return found
