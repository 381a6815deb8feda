"""What a grading run says: one `Verdict` for the exercise, one `TestResult` for each of its tests."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from mi_lib.course.grading.isolation import Level

Status = Literal[
    "passed", "failed", "not started", "error", "timed out", "crashed", "too much output", "out of memory", "stopped",
]  # fmt: skip

# How the learner's code came to its end, whatever the tests then said. It tells apart in a report what costs the same.
Ending = Literal[
    "answered", "raised", "refused by isolation", "exited", "crashed", "timed out", "out of memory",
    "too many processes", "too much output", "too much disk", "confused the channel", "stopped",
]  # fmt: skip


@dataclass(frozen=True)
class TestResult:
    """One test: its title as the learner reads it, and, if it did not pass, a sentence that says why."""

    name: str
    title: str
    passed: bool
    message: str
    weight: float
    seconds: float
    status: Status = "failed"
    ending: Ending = "answered"

    __test__ = False  # not a class of tests, whatever pytest thinks of its name


@dataclass(frozen=True)
class Verdict:
    """The outcome of one exercise.

    diagnosis: the first thing that the learner should read; "" if passed. traceback: the learner's own lines only.
    printed: what the learner's code wrote, shortened in the middle. isolation: the measures that were in force, and
    isolation_level what they add up to. ending: how the code ended. signs: what in the text reaches for the grader
    instead of the exercise. library: uses of library functions that are the answer themselves.
    course_fault: the course's own test broke; the learner's answer was not judged.
    """

    exercise_id: str
    status: Status
    points: float
    max_points: float
    tests: list[TestResult] = field(default_factory=list)
    diagnosis: str = ""
    traceback: str = ""
    printed: str = ""
    seconds: float = 0.0
    isolation: list[str] = field(default_factory=list)
    isolation_level: Level = "none"
    ending: Ending = "answered"
    signs: list[str] = field(default_factory=list)
    library: list[str] = field(default_factory=list)
    course_fault: bool = False

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain data, ready for JSON."""
        return {**asdict(self), "passed": self.passed}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Verdict:
        """The verdict that `to_dict` wrote, by this version of the course or an older one."""
        known = {each.name for each in fields(cls)}
        tests = [TestResult(**test) for test in data.get("tests", [])]
        return cls(**{name: value for name, value in data.items() if name in known} | {"tests": tests})
