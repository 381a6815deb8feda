"""The command `mi`. Thin: each command calls the course engine and shows what it says.

A room per kind of work: `learning`, `teaching`, `models` and `building`, with what they share in `common`. A new
command is a function there and a name in the list below. Heavy imports (torch, rich, the grader) happen inside the
commands that need them, so that `mi --help` is instant.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn

import click

from mi_lib.cli import building, learning, models, teaching
from mi_lib.course.index import CourseError

_EXIT_CODES = """\b
Exit codes: 0 everything asked for passed or was done; 1 something did not pass; 2 the request could not be carried out
(the sentence on stderr says what to do); 130 interrupted."""


def main() -> NoReturn:
    """Entry point of the command `mi`: every foreseen trouble is one sentence and an exit code, never a traceback."""
    try:
        cli.main(prog_name="mi", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted. Nothing is lost.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains once more at exit
        sys.exit(0)
    except CourseError as error:
        if "--json" in sys.argv:
            click.echo(json.dumps({"error": str(error)}))
        click.echo(f"mi: {error}", err=True)
        sys.exit(2)
    sys.exit(0)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=_EXIT_CODES)
@click.option("-w", "--workspace", metavar="DIR", help="Your workspace. Default: $MI_WORKSPACE, else ./work.")
@click.version_option(package_name="mi-course", prog_name="mi")
@click.pass_context
def cli(context: click.Context, workspace: str | None) -> None:
    """A course in mechanistic interpretability: learn, check, explore.

    \b
    mi init            make your workspace in ./work
    mi check           check the next exercise
    mi try 02.5        run lines beside your answer, without a grade
    mi watch           check whatever you save
    mi app             take the course in the browser
    """
    context.obj = workspace


for _command in (
    *(learning.init, learning.list_, learning.check, learning.try_, learning.watch, learning.hint),
    *(learning.solution, learning.reset, learning.notebook, learning.app, learning.word),
    *(models.doctor, models.zoo, models.world),
    *(teaching.grade, teaching.release, teaching.instructor),
    building.dev,
):
    cli.add_command(_command)
