"""What `mi dev mutate` says: survivors first, then the share killed of each exercise and of the chapter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from mi_lib.course.proving.mutants import Mutant, Tally

_INDENT = "    "


def tallies(chapter: str, found: Sequence[Tally]) -> Iterator[str]:
    """Lines for a person."""
    for tally in found:
        for mutant in tally.survivors:
            yield f"{_where(mutant)} survives:\n{_indented(mutant.diff)}"
        for mutant, said in tally.broken:
            yield f"{_where(mutant)} breaks the grader: {said}\n{_indented(mutant.diff)}"
        for entry in tally.stale:
            change = "".join(f"- {line}\n" for line in entry.before.splitlines())
            change += "".join(f"+ {line}\n" for line in entry.after.splitlines())
            yield f"{entry.exercise_id}: this entry of survivors.toml explains no survivor:\n{_indented(change)}"
    for tally in found:
        yield _row(tally.exercise_id, tally.killed, tally.asked, [tally])
    if len(found) > 1:
        yield _row(chapter, sum(t.killed for t in found), sum(t.asked for t in found), found)


def _row(name: str, killed: int, asked: int, found: Sequence[Tally]) -> str:
    share = f"{100 * killed / asked:5.1f} %" if asked else "     –"
    notes = [f"{count} explained" for count in [sum(len(t.explained) for t in found)] if count]
    notes += [f"{count} survive" for count in [sum(len(t.survivors) for t in found)] if count]
    notes += [f"{count} break the grader" for count in [sum(len(t.broken) for t in found)] if count]
    return f"{name:<6} {share}   {killed} of {asked} killed{'; ' + ', '.join(notes) if notes else ''}"


def _where(mutant: Mutant) -> str:
    return f"{mutant.exercise_id}, line {mutant.line}, {mutant.function} ({mutant.operator})"


def _indented(diff: str) -> str:
    return "".join(f"{_INDENT}{line}\n" for line in diff.splitlines())


def as_data(found: Sequence[Tally]) -> list[dict[str, Any]]:
    """The same for programs."""

    def plain(mutant: Mutant) -> dict[str, Any]:
        names = ("function", "operator", "line", "before", "after")
        return {name: getattr(mutant, name) for name in names}

    return [
        {
            "exercise": tally.exercise_id,
            "made": tally.made,
            "killed": tally.killed,
            "explained": [plain(mutant) for mutant in tally.explained],
            "survivors": [plain(mutant) for mutant in tally.survivors],
            "broken": [plain(mutant) | {"said": said} for mutant, said in tally.broken],
            "stale": [{"before": entry.before, "after": entry.after} for entry in tally.stale],
        }
        for tally in found
    ]
