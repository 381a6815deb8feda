"""The instructor's settings: one small TOML file, every part of which may be left out.

policy = "flag"              # or "refuse": what happens to an exercise that the library was made to answer
chapters = ["02"]            # grade these alone

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
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal, get_args

from mi_lib.course.index import CourseError

Policy = Literal["flag", "refuse"]
POLICIES: tuple[Policy, ...] = get_args(Policy)
_KNOWN = {"policy", "chapters", "attempts", "deadlines", "late", "extensions", "received", "students"}


@dataclass(frozen=True)
class Config:
    """See the module's docstring. Times without a zone are local."""

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

    def deadline(self, student: str, chapter: str) -> datetime | None:
        """When this student's answers to a chapter are due."""
        return self.extensions.get(student, {}).get(chapter) or self.deadlines.get(chapter)

    def late_percent(self, student: str, chapter: str, received: datetime | None) -> float:
        """How many percent of the points lateness costs; 0 if in time, or if no one knows when it came."""
        due = self.deadline(student, chapter)
        received = self.received.get(student, {}).get(chapter) or received
        if due is None or received is None:
            return 0.0
        seconds = received.astimezone().timestamp() - due.astimezone().timestamp() - 60 * self.grace_minutes
        if seconds <= 0:
            return 0.0
        days = math.ceil(seconds / 86400)
        return 100.0 if days > self.days else min(self.most_percent, days * self.percent_per_day)


def load(path: Path | str | None) -> Config:
    """Read the settings; without a path, the defaults. Raises `CourseError` naming what cannot be used."""
    if path is None:
        return Config()
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CourseError(f"{path} cannot be read: {error}.") from error
    for key in data:
        if key not in _KNOWN:
            raise CourseError(f"{path} says `{key}`, which means nothing. There are: {', '.join(sorted(_KNOWN))}.")
    attempts, late = _table(path, data, "attempts"), _table(path, data, "late")
    if (policy := data.get("policy", "flag")) not in POLICIES:
        raise CourseError(f'{path}: policy must be "flag" or "refuse", not {policy!r}.')
    config = Config(
        policy=policy,
        chapters=tuple(str(number).zfill(2) for number in data.get("chapters", ())),
        attempt_limit=int(_number(path, attempts, "limit", 0)),
        counts=str(attempts.get("counts", "last")),
        deadlines=_times(path, _table(path, data, "deadlines")),
        grace_minutes=_number(path, late, "grace_minutes", 0),
        percent_per_day=_number(path, late, "percent_per_day", 0),
        most_percent=_number(path, late, "most_percent", 100),
        days=_number(path, late, "days", math.inf),
        extensions={k: _times(path, v) for k, v in _table(path, data, "extensions").items()},
        received={k: _times(path, v) for k, v in _table(path, data, "received").items()},
        students={k: str(v) for k, v in _table(path, data, "students").items()},
    )
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
    return Config(**data)


def _from_iso(times: Mapping[str, str]) -> dict[str, datetime]:
    return {chapter: datetime.fromisoformat(time) for chapter, time in times.items()}


def _table(path: Path, data: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key, {})
    if not isinstance(value, dict):
        raise CourseError(f"{path}: [{key}] must be a table.")
    return value


def _number(path: Path, table: Mapping[str, Any], key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise CourseError(f"{path}: {key} must be a number that is not negative, not {value!r}.")
    return float(value)


def _times(path: Path, table: Any) -> dict[str, datetime]:
    if not isinstance(table, dict):
        raise CourseError(f"{path}: expected a table of chapters and times, found {table!r}.")
    found = {}
    for chapter, value in table.items():
        if isinstance(value, date) and not isinstance(value, datetime):
            value = datetime.combine(value, time(23, 59, 59))  # a day lasts until it is over
        if not isinstance(value, datetime):
            raise CourseError(f"{path}: the time of chapter {chapter} must look like 2026-11-30T23:59:00.")
        found[str(chapter).zfill(2)] = value
    return found
