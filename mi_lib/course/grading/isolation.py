"""How far a learner's process was shut in: named measures, and the level that they add up to.

    none       the code ran in the process that judges it (`--debug`); no grade is recorded
    process    a process of its own, which gets inputs and returns data; private folder, clean environment, wall clock,
               output limit. On every system. It holds up against accidents and against forging, not against prying.
    limited    and the kernel limits processor time, memory, file size, open files and processes, and everything that
               the code started ends with it. Any Linux. It holds up against exhausting the machine.
    confined   and the process has no privileges, no files but the library, the interpreter and its own folder, no
               network (TCP, UDP, unix sockets), and no signals or tracing for others. Linux 5.13 or newer.

Which arguments a call has changed in place is told by the learner's process itself (`changes`), since the judge sends
copies. Hostile code can silence that report and gains by it what an answer gets that changes nothing: values are judged
here all the same. It can never add points, and what it forges is dropped unless it names an argument of its own.

What is not had: without a control group the kernel's memory for sockets is not measured but counted as if all buffers
were full, and what is taken between two looks, a tenth of a second, is seen late (a file that is mapped and has no
name, up to a second). Without the superuser and without user namespaces, whether a test or a solution is there and how
large it is can be asked for ("view"), though not read. Without Landlock the library's source can be read, so that what
`refuse` withholds can be copied from it.

Each measure says whether it is in force, and why not where it is not. A level is reached when all its measures are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from mi_lib.course.index import CourseError

Level = Literal["none", "process", "limited", "confined"]
LEVELS: tuple[Level, ...] = get_args(Level)
_NEEDED: dict[Level, tuple[str, ...]] = {
    "process": ("process", "private"),
    "limited": ("time", "memory", "file size", "open files", "processes"),
    "confined": ("privileges", "files", "network", "other processes"),
}
MEASURES = (*(name for names in _NEEDED.values() for name in names), "namespaces", "view")


class IsolationError(CourseError):
    """This system cannot shut code in as far as was asked for."""


@dataclass(frozen=True)
class Measure:
    """One measure: `words` say what is in force, or why nothing is."""

    name: str
    in_force: bool
    words: str


@dataclass(frozen=True)
class Isolation:
    """The measures of one run."""

    measures: tuple[Measure, ...] = ()

    @property
    def level(self) -> Level:
        """The highest level of which all measures, and those of the levels below it, are in force."""
        on = {measure.name for measure in self.measures if measure.in_force}
        reached: Level = "none"
        for level, names in _NEEDED.items():
            if not on.issuperset(names):
                break
            reached = level
        return reached

    @property
    def in_words(self) -> list[str]:
        """What is in force, for a report."""
        return [measure.words for measure in self.measures if measure.in_force]

    @property
    def missing(self) -> list[Measure]:
        """What this system does not grant."""
        return [measure for measure in self.measures if not measure.in_force]

    def __add__(self, others: Iterable[Measure]) -> Isolation:
        return Isolation((*self.measures, *others))

    def require(self, level: Level) -> None:
        """Raise `IsolationError` if this is less than `level`."""
        if LEVELS.index(self.level) >= LEVELS.index(level):
            return
        wanted = {name for step in LEVELS[1 : LEVELS.index(level) + 1] for name in _NEEDED[step]}
        lacking = [f"{m.name} ({m.words})" for m in self.missing if m.name in wanted]
        raise IsolationError(
            f"Isolation {level!r} was asked for, and this system gives {self.level!r}. Not in force: "
            f"{'; '.join(lacking) or 'a process of its own'}. Nothing was graded. `mi doctor` shows all measures."
        )


def from_child(told: Any) -> list[Measure]:
    """The measures that a learner's process reports before any of the learner's code runs."""
    if type(told) is not list:
        return []
    rows = [row for row in told if type(row) is list and [type(part) for part in row] == [str, bool, str]]
    return [Measure(name, in_force, words[:300]) for name, in_force, words in rows if name in MEASURES]
