"""Times of a class: instants, whatever zone they were written in, so that a grade is the same on every computer.

A time that says no zone is one of the course's zone. An hour that comes twice, when summer ends, is read in the
student's favour: a deadline is the later of the two, a file came at the earlier.
"""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from mi_lib.course.index import CourseError

_OF_THIS_COMPUTER = {"localtime", "posixrules", "factory"}  # which some systems have, each its own


def zone(name: str) -> ZoneInfo | None:
    """The zone of this name ("Europe/Berlin"); None, which is this computer's own, for "".

    Raises `CourseError` with the nearest name if there is none.
    """
    if not name:
        return None
    try:
        if name.casefold() in _OF_THIS_COMPUTER:
            raise ValueError
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        import difflib

        close = difflib.get_close_matches(name, sorted(available_timezones()), 1, 0.5)
        hint = f" Did you mean {close[0]}?" if close else " Write one such as Europe/Berlin."
        raise CourseError(f"There is no time zone {name!r}.{hint}") from None


def instant(time: datetime | None, place: ZoneInfo | None, later: bool = False) -> datetime | None:
    """The time with its zone: its own, or else that of the place. later: of an hour that comes twice, the second."""
    if time is None or time.tzinfo is not None:
        return time
    time = time.replace(fold=int(later))
    try:
        return time.replace(tzinfo=place) if place else time.astimezone()
    except (ValueError, OverflowError, OSError):  # the first and the last day that there are
        return time.replace(tzinfo=UTC)
