"""Groups: what one of them hands in, or the group under its own name, is what each of them has handed in.

Their files are looked at as one student's, so the newest answer counts, whoever of them sent it; it is graded once.
From then on each has grades of their own: an extension, an adjustment or a comment may be one member's alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.submissions import Submission


def names(config: Config) -> dict[str, str]:
    """What an export calls somebody → who is looked at as one: the student, or the student's group."""
    found = {label: config.group_of(student) or student for label, student in config.students.items()}
    return {member: group for group, members in config.groups.items() for member in members} | found


def shared(found: Iterable[Submission], config: Config) -> list[Submission]:
    """The submissions with a group's given to each of its members."""
    result: list[Submission] = []
    for one in found:
        members = config.groups.get(one.student)
        if not members:
            result.append(one)
            continue
        said = f"Handed in by the group {one.student}: {', '.join(members)}."
        for member in members:
            mine = [label for label in one.labels if member in (label, config.students.get(label))]
            result.append(replace(one, student=member, source=(mine or [member])[0], notes=[said, *one.notes]))
    return sorted(result, key=lambda one: one.student)
