"""What the terminal shows: verdicts, lists and progress bars, for `mi`, `mi watch` and notebooks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from mi_lib.course.index import Chapter, Exercise
from mi_lib.course.progress import State

if TYPE_CHECKING:
    from rich.console import Console
    from torch import Tensor

    from mi_lib.course.glossary import Term
    from mi_lib.course.grading import Verdict
    from mi_lib.course.trying import Shown, Tried
    from mi_lib.worlds.littletown import Document

PASSED, FAILED, OPEN = "✓", "✗", "·"  # told apart by shape, not by colour alone


def verdict(console: Console, exercise: Exercise, verdict: Verdict) -> None:
    """A verdict: each test, the diagnosis, the learner's traceback, and what the code printed."""
    points = f"{verdict.points:g} of {verdict.max_points:g} points"
    style = "green" if verdict.passed else "yellow"
    mark = PASSED if verdict.passed else FAILED
    head = f"{mark} {exercise.id} {exercise.title}: {_word(verdict)}  ({points}, {verdict.seconds:.1f} s)"
    console.print(Text(head, style=f"bold {style}"))
    if verdict.status == "not started":
        # Its tests have nothing to say yet.
        console.print(Text(f"  {exercise.teaches}"))
        return
    for test in verdict.tests:
        line = Text(f"  {PASSED} {test.title}", style="green") if test.passed else Text(f"  {FAILED} {test.title}")
        console.print(line)
    if verdict.diagnosis:
        console.print(Panel(Text(verdict.diagnosis), title="What went wrong", title_align="left", border_style=style))
    if verdict.library:
        uses = f"Reported: this takes the answer from the library: {'; '.join(verdict.library)}."
        console.print(Text(uses, style="yellow"))
    if verdict.traceback:
        console.print(Text(verdict.traceback.rstrip(), style="dim"))
    if verdict.printed:
        console.print(Text("Your code printed:", style="bold"))
        console.print(Text(verdict.printed.rstrip()))


def isolation(console: Console, verdict: Verdict, verbose: bool) -> None:
    """How far the code was shut in: the level in one line, or every measure."""
    if not verbose:
        console.print(Text(f"Isolation: {verdict.isolation_level} (--verbose says what that is).", style="dim"))
        return
    console.print(Text(f"Isolation: {verdict.isolation_level}. In force:", style="dim"))
    for measure in verdict.isolation:
        console.print(Text(f"  {measure}", style="dim"))


def tried(console: Console, tried: Tried) -> None:
    """A scratch run: what was printed, what is shown, and what went wrong."""
    if tried.notice:
        console.print(Text(tried.notice, style="yellow"))
    if tried.printed:
        console.print(Text(tried.printed.rstrip("\n")))
    for value in tried.shown:
        _shown(console, value)
    if tried.traceback:
        console.print(Text(tried.traceback.rstrip(), style="dim"))
    if tried.problem:
        console.print(Text(tried.problem, style="yellow"))


def _shown(console: Console, value: Shown, depth: int = 0) -> None:
    """A value: its line, what is written below it, its picture or its parts."""
    room = "  " * depth
    head = " ".join(filter(None, [value.name, value.text]))
    if head:
        console.print(Text(room + head))
    if value.more:
        console.print(Text(room + value.more.replace("\n", f"\n{room}")))
    elif value.picture is not None and value.picture.ndim < 3 and depth == 0:
        for line in picture(value.picture, console.width):
            console.print(Text(line))
    if value.figure is not None:
        console.print(Text(f"{room}(a figure: `mi app` draws it)", style="dim"))
    for part in value.parts:
        _shown(console, part, depth + 1)


SHADES, HEIGHTS = " ░▒▓█", "▁▂▃▄▅▆▇█"
ROWS_SHOWN = 24


def picture(numbers: Tensor, width: int) -> list[str]:
    """A matrix as shades, two letters a number; a row of numbers as heights. From the least to the greatest.

    What does not fit is passed over: every k-th row and column is drawn. "?" stands for NaN and infinities.
    """
    two = numbers.ndim == 2
    room = max(1, (width - 2) // 2 if two else width - 2)
    numbers = numbers[:: -(-len(numbers) // ROWS_SHOWN), :: -(-numbers.shape[1] // room)] if two else numbers
    numbers = numbers if two else numbers[None, :: -(-len(numbers) // room)]
    letters = SHADES if two else HEIGHTS
    finite = numbers[numbers.isfinite()]
    low, high = (finite.min().item(), finite.max().item()) if len(finite) else (0.0, 0.0)

    def letter(value: float) -> str:
        if not math.isfinite(value):
            return "?"
        share = (value - low) / (high - low) if high > low else 0.0
        return letters[min(int(share * len(letters)), len(letters) - 1)]

    return ["".join(letter(value) * (2 if two else 1) for value in row) for row in numbers.tolist()]


def _word(verdict: Verdict) -> str:
    return {"passed": "right", "failed": "not yet", "not started": "waiting for your answer"}.get(
        verdict.status, verdict.status
    )


def bar(done: int, of: int, width: int = 30) -> Text:
    """A progress bar as text: `████────── 4 of 12`."""
    full = round(width * done / of) if of else width
    return Text.assemble(("█" * full, "green"), ("─" * (width - full), "dim"), f" {done} of {of}")


def exercises(chapter: Chapter, states: dict[str, State], current: str = "") -> Table:
    """The exercises of a chapter with how the learner stands."""
    table = Table(title=f"{chapter.number} {chapter.title}", title_justify="left", box=None, padding=(0, 1))
    for name in ("", "", "exercise", "points", "min", "difficulty"):
        table.add_column(name, justify="right" if name in ("points", "min") else "left")
    touched = any(exercise.id in states for exercise in chapter.exercises)
    if touched:  # on a narrow terminal the titles need the room
        table.add_column("tries", justify="right")
        table.add_column("help")
    for exercise in chapter.exercises:
        state = states.get(exercise.id, State())
        mark = Text(PASSED, style="green") if state.passed else Text(FAILED if state.attempts else OPEN)
        row: list[str | Text] = [
            mark,
            Text(exercise.id, style="bold" if exercise.id == current else ""),
            f"{exercise.title} (optional)" if exercise.optional else exercise.title,
            f"{state.best_points:g}/{exercise.points}",
            str(exercise.minutes),
            "●" * exercise.difficulty + "○" * (5 - exercise.difficulty),
        ]
        row += [str(state.attempts or ""), _help(state)] if touched else []
        table.add_row(*row)
    return table


def _help(state: State) -> str:
    hints = {0: [], 1: ["1 hint"]}.get(state.hints_shown, [f"{state.hints_shown} hints"])
    return ", ".join([*hints, *(["solution"] if state.solution_seen else [])])


def course(here: list[Chapter], planned: list[Any], parts: dict[str, str], states: dict[str, State]) -> Table:
    """The map of the whole course, with progress where a chapter is here."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    chapters = {chapter.number: chapter for chapter in here}
    extra = [chapter for chapter in here if chapter.number not in {p.number for p in planned}]
    part = ""
    for line in planned:
        if line.part != part:
            part = line.part
            table.add_row("", Text(f"{part}  {parts.get(part, '')}", style="bold"), "")
        chapter = chapters.get(line.number)
        table.add_row(line.number, line.title, _standing(chapter, states) if chapter else Text("planned", style="dim"))
    for chapter in extra:
        table.add_row(chapter.number, chapter.title, _standing(chapter, states))
    return table


def _standing(chapter: Chapter, states: dict[str, State]) -> Text:
    passed = sum(states.get(exercise.id, State()).passed for exercise in chapter.required)
    hours = f"   about {chapter.minutes / 60:.1f} h"
    return bar(passed, len(chapter.required), 12) + Text(hours, style="dim")


def hints(console: Console, exercise: Exercise, shown: int) -> None:
    """The hints that were revealed so far."""
    for number, hint in enumerate(exercise.hints[:shown], start=1):
        console.print(Text(f"Hint {number} of {len(exercise.hints)}", style="bold"))
        console.print(Markdown(hint))


def entry(term: Term) -> Group:
    """An entry of the glossary: the word, its other forms, what it means, and where the lessons explain it."""
    also = Text(f"   also: {', '.join(term.forms)}" if term.forms else "", style="dim")
    return Group(Text(term.name, style="bold") + also, Text(term.plain), Text(f"See {term.where}.", style="dim"))


def code(text: str) -> Syntax:
    """Python with highlighting, on the terminal's own background."""
    return Syntax(text, "python", theme="ansi_dark", background_color="default")


def labelled(text: Document, labels: Sequence[str] = ()) -> Group:
    """A text of Littletown: its kind, what is true of it, its words; then word by word the labels asked for."""
    truth = ", ".join(f"{name} {value}" for name, value in text.truth.items())
    parts: list[Any] = [Text(text.kind, style="bold") + Text(f"   {truth}" if truth else "", style="dim")]
    parts.append(Text(text.text))
    if not labels:
        parts.append(Text("labels: " + ", ".join(text.kinds()), style="dim"))
    else:
        table = Table(show_edge=False, pad_edge=False)
        for name in ("word", *labels):
            table.add_column(name)
        for word, *values in zip(text.words, *(text.labels(label) for label in labels), strict=True):
            table.add_row(Text(word), *(Text(value or OPEN) for value in values))
        parts.append(table)
    return Group(*parts, Text())
