"""What the commands share: their options, and how they open, name and show things."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from mi_lib.course.grading.isolation import LEVELS
from mi_lib.course.index import Chapter, Exercise

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from mi_lib.course.progress import Progress
    from mi_lib.course.workspace import Workspace

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
isolation_option = click.option(
    "--require-isolation",
    "require",
    type=click.Choice(LEVELS),
    default="none",
    help="Refuse to grade where code cannot be shut in this far (`mi doctor` shows how far it can).",
)


def guarded_options(command: Any) -> Any:
    """Who may open the pages (see `mi_lib.course.guard`)."""
    no_token = click.option("--no-token", is_flag=True, help="Let everybody on this computer open the pages.")
    more = "A further name by which you reach this computer, as in the browser's address bar. May be given repeatedly."
    return no_token(click.option("--allow-host", multiple=True, metavar="NAME", help=more)(command))


def console(err: bool = False) -> Console:
    """Where commands print what is more than a line; `err` for stderr."""
    from rich.console import Console

    return Console(stderr=err, highlight=False)


def bars(*more: Any) -> Bars:
    """Bars for work that takes long, on stderr and gone at its end: what it is, how far, how long so far."""
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
    )
    return progress.Progress(*columns, *more, console=console(err=True), transient=True)


def open_workspace(workspace: str | None) -> Workspace:
    """The workspace of this name, or the default one; what it has to say is said on stderr."""
    from mi_lib.course.workspace import Workspace

    opened = Workspace.open(workspace)
    say_notices(opened.notices)
    opened.notices.clear()
    return opened


def progress_of(opened: Workspace) -> Progress:
    """The progress in a workspace; a damaged file of it is spoken of on stderr."""
    from mi_lib.course.progress import Progress

    progress = Progress(opened)
    say_notices([progress.notice])
    return progress


def say_notices(notices: list[str]) -> None:
    """Say on stderr what is not empty, so that stdout stays what was asked for."""
    for notice in filter(None, notices):
        click.echo(notice, err=True)


def named(what: str) -> tuple[Chapter, list[Exercise]]:
    """The chapter and the exercises that "02" or "02.3" names."""
    from mi_lib.course import index

    if "." in what:
        exercise = index.exercise(what)
        return exercise.chapter, [exercise]
    chapter = index.chapter(what)
    return chapter, list(chapter.exercises)


def table(title: str, columns: tuple[str, ...], cells: list[Any], rows: list[Any], as_json: bool) -> None:
    """Print a table of `cells` (True and False become marks), or `rows` as JSON."""
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table(*columns, title=title, title_justify="left", box=None, padding=(0, 1))
    for row in cells:
        marked = [
            Text("✓ ok", "green") if x is True else Text("✗ no", "red") if x is False else Text(str(x)) for x in row
        ]
        grid.add_row(*marked)
    console().print(grid)
