"""`mi dev`: what those who write chapters do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import click

from mi_lib.cli.common import bars, json_option, named


@click.group()
def dev() -> None:
    """For those who write chapters."""


def _of_submissions(kind: str) -> Callable[[Any], Any]:
    """What to prove, and the options of the commands that have many submissions of a kind judged."""
    options = (
        click.argument("what", metavar="03 | 03.4"),
        click.option("--only", metavar="03.4", help="One exercise of the chapter (the same as naming it)."),
        click.option(
            "--sample", "number", type=click.IntRange(1), help=f"So many {kind} of each exercise, drawn by --seed."
        ),
        click.option("--seed", default=0, show_default=True, help=f"Other seeds draw other {kind}."),
        click.option(
            "--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes that grade at once."
        ),
    )

    def with_options(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return with_options


def _proved(
    prove: Callable[..., list[Any]], title: str, what: str, number: int | None, seed: int, jobs: int
) -> list[Any]:
    """What `prove` finds on the exercises that "03" or "03.4" names, with a bar that says how far it is."""
    from mi_lib.course.grading import Grader
    from mi_lib.course.proving import grading

    # One at a time, here: so a few submissions do not wait for other processes to start.
    with bars() as shown, Grader() if jobs == 1 else nullcontext() as grader:
        line = shown.add_task(f"{title} {what}", total=None)

        def judge(tasks: list[Any]) -> list[Any]:
            shown.reset(line, total=len(tasks))
            return grading.judge(tasks, jobs, grader, on_done=lambda task: shown.update(line, advance=1))

        return prove(named(what)[1], judge, number, seed)


@dev.command(name="build")
@click.argument("chapter", required=False)
def dev_build(chapter: str | None) -> None:
    """Write the stubs that learners start from, out of the reference answers.

    \b
    mi dev build
    mi dev build 02
    """
    from mi_lib.course import index, stubs

    for each in [index.chapter(chapter)] if chapter else index.chapters():
        changed = stubs.build(each)
        click.echo(f"{each.folder / 'exercises.py'}: {'written' if changed else 'unchanged'}")


@dev.command(name="check")
@click.argument("what", required=False, metavar="[02 | 02.3]")
@click.option("--static", is_flag=True, help="Only what can be read off the files; grade nothing.")
@json_option
def dev_check(what: str | None, static: bool, as_json: bool) -> None:
    """Prove the exercises: stubs fail, references pass, mistakes are caught and explained, links resolve.

    \b
    mi dev check           everything
    mi dev check 02.3      one exercise
    mi dev check --static  without grading

    Exits with 1 if there is a problem.
    """
    from mi_lib.course import devcheck, glossary, index
    from mi_lib.course.grading import Grader

    chapters = [named(what)[0]] if what else index.chapters()
    only = index.exercise(what).id if what and "." in what else None
    found = [] if what else glossary.problems()
    if static:
        found += [problem for each in chapters for problem in devcheck.static_problems(each)]
    else:
        with Grader() as grader, bars() as shown:
            for each in chapters:
                task = shown.add_task(each.number, total=None)

                def step(done: int, of: int, case: devcheck.Case, task: Any = task) -> None:
                    shown.update(task, completed=done, total=of, description=f"{case.exercise.id} {case.label[:40]}")

                found += devcheck.check(each, grader, only, step)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for problem in found:
            click.echo(problem)
        click.echo(f"{len(found)} problems." if found else "Everything is in order.", err=bool(found))
    sys.exit(1 if found else 0)


@dev.command(name="measure")
@click.argument("chapter", metavar="02")
@click.option("--only", "names", metavar="NAME", multiple=True, help="Only this claim (may be repeated).")
@click.option("--check", "only_compare", is_flag=True, help="Write nothing: exit with 1 where a figure has changed.")
@json_option
def dev_measure(chapter: str, names: tuple[str, ...], only_compare: bool, as_json: bool) -> None:
    """Measure what a chapter claims (findings.py), and write it where its lesson quotes it (findings.json).

    \b
    mi dev measure 02              all that the chapter claims; minutes
    mi dev measure 02 --only cut   one claim; the others stay as they are
    mi dev measure 02 --check      compare with findings.json, and write nothing

    What has changed by more than rounding, or lies outside of its interval, is shown. Each claim is written as soon as
    it is measured, so that one may stop with Ctrl-C and go on with --only.
    """
    from mi_lib.course import findings, index

    where = index.chapter(chapter)
    kept = findings.read(where) if findings.path(where).exists() else {}
    with bars() as shown:
        line = shown.add_task(f"Measuring chapter {where.number}", total=len(names) or len(findings.names(where)))

        def done(name: str, value: Any) -> None:
            shown.update(line, advance=1)
            if not only_compare:
                findings.write(where, {name: value})

        measured = findings.measure(where, names, done)
    changed = [
        text for name in measured if name in kept for text in findings.differences(measured[name], kept[name], name)
    ]
    new = sorted(set(measured) - set(kept))
    if as_json:
        click.echo(json.dumps({"measured": measured, "changed": changed, "new": new}, indent=2, ensure_ascii=False))
    else:
        for text in [*changed, *(f"{name} is new." for name in new)]:
            click.echo(text)
        said = "compared with" if only_compare else "written to"
        click.echo(f"{len(measured)} claims measured, {len(changed)} figures changed; {said} {findings.path(where)}.")
    sys.exit(1 if only_compare and (changed or new) else 0)


@dev.command(name="mutate")
@_of_submissions("mutants")
@click.option("--entries", is_flag=True, help="Print survivors as entries for survivors.toml, without their reasons.")
@json_option
def dev_mutate(
    what: str, only: str | None, number: int | None, seed: int, jobs: int, entries: bool, as_json: bool
) -> None:
    """Prove the graders by mutants: each reference answer with one small slip in it must be rejected.

    \b
    mi dev mutate 03                       every mutant of the chapter
    mi dev mutate 03.4                     of one exercise
    mi dev mutate 03 --sample 5 --seed 1   five of each exercise

    A survivor asks for a better test, or for an entry with a reason in solutions/chNN_slug/survivors.toml.

    Exits with 1 if there is a survivor without a reason, an entry that explains none, or a test that broke.
    """
    from mi_lib.course.proving import mutants, report

    tallies = _proved(mutants.prove, "Mutants of", only or what, number, seed, jobs)
    if as_json:
        click.echo(json.dumps(report.as_data(tallies), indent=2))
    elif entries:
        click.echo("\n".join(mutants.entry(mutant) for tally in tallies for mutant in tally.survivors), nl=False)
    else:
        click.echo("\n".join(report.tallies(named(only or what)[0].number, tallies)))
    sys.exit(0 if all(tally.in_order for tally in tallies) else 1)


@dev.command(name="nonsense")
@_of_submissions("replacements")
@json_option
def dev_nonsense(what: str, only: str | None, number: int | None, seed: int, jobs: int, as_json: bool) -> None:
    """Prove that no test breaks: the references' results are replaced by None, by other shapes, by other kinds.

    \b
    mi dev nonsense 03                       every replacement, for every function of the chapter
    mi dev nonsense 03.4                     of one exercise
    mi dev nonsense 03 --sample 5 --seed 1   five of each exercise

    Exits with 1 if a test of the course broke, if nonsense passed, or if it was rejected without saying what was
    expected and what came. What the exercise leaves open (numpy, nested lists) and is rejected is shown for you to
    judge.
    """
    from mi_lib.course.proving import nonsense

    outcomes = _proved(nonsense.prove, "Nonsense for", only or what, number, seed, jobs)
    click.echo(json.dumps(nonsense.as_data(outcomes), indent=2) if as_json else "\n".join(nonsense.report(outcomes)))
    sys.exit(1 if any(outcome.fate in nonsense.BAD for outcome in outcomes) else 0)
