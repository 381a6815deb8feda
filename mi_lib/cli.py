"""The command `mi`. Thin: each command calls the course engine and shows what it says.

Heavy imports (torch, rich, the grader) happen inside the commands that need them, so that `mi --help` is instant.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mi_lib.course.classroom import commands
from mi_lib.course.grading.isolation import Level
from mi_lib.course.index import Chapter, CourseError, Exercise

if TYPE_CHECKING:
    from rich.console import Console

    from mi_lib.course.progress import Progress
    from mi_lib.course.workspace import Workspace

_EXIT_CODES = """\b
Exit codes: 0 everything asked for passed or was done; 1 something did not pass; 2 the request could not be carried out
(the sentence on stderr says what to do); 130 interrupted."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


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
    mi watch           check whatever you save
    mi app             take the course in the browser
    """
    context.obj = workspace


# -- learning ---------------------------------------------------------------------------------------------------


@cli.command()
@click.argument("folder", required=False)
@click.pass_obj
def init(workspace: str | None, folder: str | None) -> None:
    """Make a workspace, or complete one (answers are never touched).

    \b
    mi init            in ./work, or in $MI_WORKSPACE
    mi init answers    in ./answers
    """
    from mi_lib.course.index import chapters
    from mi_lib.course.workspace import Workspace

    made = Workspace.init(folder or workspace)
    _say_notices(made.notices)
    click.echo(f"Your workspace is {made.path}.")
    here = chapters()
    if here:
        click.echo(f"Open {made.file(here[0])} in your editor and run `mi watch {here[0].number}`, or run `mi app`.")


@cli.command(name="list")
@click.argument("chapter", required=False)
@json_option
@click.pass_obj
def list_(workspace: str | None, chapter: str | None, as_json: bool) -> None:
    """Show the course, or the exercises of one chapter, with your progress.

    \b
    mi list            the map of the course
    mi list 02         the exercises of chapter 02
    """
    from mi_lib.course import index
    from mi_lib.course.progress import State

    states = _states(workspace)
    shown = [index.chapter(chapter)] if chapter else index.chapters()
    if as_json:
        rows = [
            {
                "chapter": each.number,
                "title": each.title,
                "exercises": [
                    {"id": e.id, "title": e.title, "points": e.points, "minutes": e.minutes, "difficulty": e.difficulty}
                    | {"optional": e.optional}
                    | states.get(e.id, State())._asdict()
                    for e in each.exercises
                ],
            }
            for each in shown
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    from mi_lib.course import show

    if chapter:
        _console().print(show.exercises(shown[0], states))
    else:
        _console().print(show.course(shown, index.syllabus(), index.parts(), states))


@cli.command()
@click.argument("what", required=False, metavar="[02 | 02.3]")
@click.option(
    "--file", "file", metavar="FILE", help="Grade this .py or .ipynb instead of the workspace; record nothing."
)
@click.option("--debug", is_flag=True, help="Run in this process, so that breakpoint() works; record no grade.")
@commands.isolation_option
@json_option
@click.pass_obj
def check(
    workspace: str | None, what: str | None, file: str | None, debug: bool, require: Level, as_json: bool
) -> None:
    """Check an exercise, a chapter, or the next exercise.

    \b
    mi check                                the next exercise that is not solved
    mi check 02.3                           one exercise
    mi check 02                             the whole chapter
    mi check 02 --file submission.ipynb     someone's file or notebook
    mi check 02.3 --debug                   with breakpoint() in your code

    Exits with 0 if everything that was checked passes, 1 if not, 2 if it could not be checked.
    """
    from mi_lib.course import checking, index

    if debug and require != "none":
        raise CourseError(
            "`--debug` runs the code in this process, so it cannot be isolated. Leave one of the two out."
        )
    if file:
        chapter, exercises = _named(what if what else _chapter_in(file))
        text = _submission(file, chapter)
        if debug:
            _debug(exercises, text if file.endswith(".ipynb") else Path(file))
        _finish_check(
            chapter, exercises, as_json, require, lambda grader, exercise: checking.grade(grader, exercise, text)
        )
        return
    opened = _open(workspace)
    progress = _progress(opened)
    if what:
        chapter, exercises = _named(what)
    else:
        following = checking.next_exercise(index.chapters(), progress)
        if following is None:
            done = {"passed": True, "exercises": []}
            click.echo(json.dumps(done) if as_json else "Every exercise is solved. Well done!")
            return
        chapter, exercises = following.chapter, [following]
    text = opened.text(chapter)
    _say_notices(opened.notices)
    if debug:
        _debug(exercises, opened.file(chapter))

    def grade(grader: Any, exercise: Exercise) -> Any:
        return checking.check_text(grader, progress, exercise, text)

    _finish_check(chapter, exercises, as_json, require, grade)


@cli.command()
@click.argument("what", required=False, metavar="[02 | 02.3]")
@click.option("--poll", is_flag=True, help="Look at the file again and again; for file systems that send no notices.")
@click.pass_obj
def watch(workspace: str | None, what: str | None, poll: bool) -> None:
    """Check what you save, as you save it.

    Keys: n next exercise, h hint, l list, r check again, q quit.

    \b
    mi watch           the chapter of the next exercise
    mi watch 02        chapter 02, from its first open exercise
    mi watch 02.3      chapter 02, from this exercise
    mi watch --poll    on a network drive (found out by itself on Linux)
    """
    from mi_lib.course import checking, index
    from mi_lib.course import watch as watching

    opened = _open(workspace)
    first = None
    if what:
        chosen, exercises = _named(what)
        first = exercises[0] if "." in what else None
    else:
        here = index.chapters()
        following = checking.next_exercise(here, _progress(opened))
        if not here:
            raise CourseError("There is no chapter here yet; `mi doctor` looks for the reason.")
        chosen = following.chapter if following else here[-1]
    opened.file(chosen)
    _say_notices(opened.notices)
    watching.run(opened, chosen, first=first, poll=poll)


@cli.command()
@click.argument("exercise", metavar="02.3")
@click.option("--all", "everything", is_flag=True, help="Show all hints at once.")
@click.pass_obj
def hint(workspace: str | None, exercise: str, everything: bool) -> None:
    """Show the next hint of an exercise.

    Each time one more, three in all, from a nudge to almost the answer.

    \b
    mi hint 02.3
    mi hint 02.3 --all
    """
    from mi_lib.course import index, show

    chosen = index.exercise(exercise)
    progress = _progress(_open(workspace))
    shown = progress.reveal_hint(chosen.id)
    while everything and shown < len(chosen.hints):
        shown = progress.reveal_hint(chosen.id)
    show.hints(_console(), chosen, shown)
    if shown == len(chosen.hints):
        click.echo(f"That is the last hint. `mi solution {chosen.id}` shows an answer.")


@cli.command()
@click.argument("exercise", metavar="02.3")
@click.option("--yes", is_flag=True, help="Show it although the exercise is not solved yet.")
@json_option
@click.pass_obj
def solution(workspace: str | None, exercise: str, yes: bool, as_json: bool) -> None:
    """Show the reference answer of an exercise.

    After you have solved it, or if you insist.

    \b
    mi solution 02.3
    mi solution 02.3 --yes
    """
    from mi_lib.course import index, show
    from mi_lib.course.solutions import solution as answer

    chosen = index.exercise(exercise)
    progress = _progress(_open(workspace))
    if not yes and not progress.state(chosen.id).passed:
        if not sys.stdin.isatty() or as_json:
            raise CourseError(
                f"{chosen.id} is not solved yet. `mi solution {chosen.id} --yes` shows the answer anyway."
            )
        click.confirm(f"You have not solved {chosen.id} yet. Show the answer anyway?", abort=True)
    text = answer(chosen)
    progress.mark_solution_seen(chosen.id)
    if as_json:
        click.echo(json.dumps({"exercise": chosen.id, "solution": text}))
    elif sys.stdout.isatty():
        _console().print(show.code(text), soft_wrap=True)  # code that is broken at the margin cannot be copied
    else:
        click.echo(text.rstrip())


@cli.command()
@click.argument("what", metavar="02.3 | 02")
@click.pass_obj
def reset(workspace: str | None, what: str) -> None:
    """Start an exercise or a chapter afresh. Your text is kept in a backup, your progress stays.

    \b
    mi reset 02.3
    mi reset 02
    """
    from mi_lib.course import index

    opened = _open(workspace)
    chosen: Exercise | Chapter = index.exercise(what) if "." in what else index.chapter(what)
    backup = opened.reset(chosen)
    click.echo(f"{what} is as it was handed out. The file as it was before: {backup}")


@cli.command()
@click.argument("chapter")
@click.option("-o", "--output", metavar="FILE", help="Where to write it. Default: in your workspace.")
@click.option("--with-answers", is_flag=True, help="Put the answers of your workspace into the cells.")
@click.option("--into-workspace", "source", metavar="FILE", help="Carry this notebook's answers into your workspace.")
@click.pass_obj
def notebook(workspace: str | None, chapter: str, output: str | None, with_answers: bool, source: str | None) -> None:
    """Write a chapter as a notebook, or bring its answers back.

    The notebook is graded like the exercise file: by its own cells, and by `mi check 02 --file FILE`.

    \b
    mi notebook 02                                 in your workspace
    mi notebook 02 -o 02.ipynb --with-answers      elsewhere, with what you have
    mi notebook 02 --into-workspace 02.ipynb       its answers into the workspace (with a backup)
    """
    from mi_lib.course import index
    from mi_lib.course import notebook as notebooks

    chosen = index.chapter(chapter)
    if source:
        _same_chapter(source, chosen)
        opened = _open(workspace)
        changed = notebooks.into_workspace(source, opened)
        _say_notices(opened.notices)
        click.echo(
            f"Carried over: {', '.join(changed)}. A backup is in {opened.path / '.mi' / 'backups'}."
            if changed
            else "Your workspace already has these answers."
        )
        return
    from_workspace = _open(workspace) if with_answers or not output else None
    folder = from_workspace.path / chosen.name if from_workspace else Path()
    target = Path(output) if output else folder / f"{chosen.name}.ipynb"
    written = notebooks.write(chosen, target, answers_from=from_workspace if with_answers else None)
    click.echo(f"Written: {written}. Open it in Jupyter or VS Code and run the first cell.")


@cli.command()
@click.option("--port", default=8501, show_default=True, help="The port on 127.0.0.1.")
@click.option("--no-browser", is_flag=True, help="Only serve; open no browser.")
@click.pass_obj
def app(workspace: str | None, port: int, no_browser: bool) -> None:
    """Take the course in the browser. Only this computer can reach it. Ctrl-C ends it.

    \b
    mi app
    mi app --port 9000 --no-browser
    """
    from mi_lib.course import serve

    opened = _open(workspace)
    _say_notices(opened.notices)
    sys.exit(serve.run(opened, port, open_browser=not no_browser))


# -- looking under the hood -------------------------------------------------------------------------------------


@cli.command()
@click.option("--model", metavar="PATH_OR_ID", help="Check a model: a bundled name, a folder, or a hub id.")
@json_option
@click.pass_obj
def doctor(workspace: str | None, model: str | None, as_json: bool) -> None:
    """Look whether everything the course needs is in order.

    With --model: whether a model can be trusted. The quick ones of these checks run whenever a transformers model is
    loaded.

    \b
    mi doctor
    mi doctor --model gpt2
    mi doctor --model ./my-model

    Exits with 1 if something needs your attention.
    """
    if model:
        rows = _self_check(model)
        titles = ("check", "value", "bound", "")
        _table(
            f"Self-checks of {model}",
            titles,
            [(r.name, _number(r.value), _number(r.bound), r.ok) for r in rows],
            [{"check": r.name, "value": r.value, "bound": r.bound, "ok": bool(r.ok)} for r in rows],
            as_json,
        )
        sys.exit(0 if all(r.ok for r in rows) else 1)
    from mi_lib.course.doctor import environment

    lines = environment(workspace)
    _table(
        "Environment",
        ("", "found", "advice", ""),
        [(x.what, x.found, x.advice, x.ok) for x in lines],
        [line._asdict() for line in lines],
        as_json,
    )
    sys.exit(0 if all(line.ok for line in lines) else 1)


@cli.group()
def zoo() -> None:
    """The bundled models, and the measurements behind them."""


@zoo.command(name="list")
@json_option
def zoo_list(as_json: bool) -> None:
    """List the bundled models.

    \b
    mi zoo list
    """
    from mi_lib import zoo as models

    rows = []
    for name in models.names():
        steps = models.checkpoints(name)
        size = sum(path.stat().st_size for path in models.folder(name).rglob("*") if path.is_file())
        what = models.card(name)["description"]
        rows.append({"name": name, "checkpoints": len(steps), "megabytes": round(size / 1e6, 1), "description": what})
    cells = [(r["name"], str(r["checkpoints"]), f"{r['megabytes']} MB", r["description"]) for r in rows]
    _table("Bundled models", ("name", "checkpoints", "size", "what it is"), cells, rows, as_json)


@zoo.command(name="verify")
@click.argument("names", nargs=-1)
@click.option("--only", metavar="PART", multiple=True, help="Some parts of its checks alone.")
@json_option
def zoo_verify(names: tuple[str, ...], only: tuple[str, ...], as_json: bool) -> None:
    """Measure again, on the shipped weights, everything that a model's card claims.

    \b
    mi zoo verify                 every model
    mi zoo verify induction-2l    one
    mi zoo verify pico --only refusal    one part of its checks

    Exits with 1 if a measurement misses its bound.
    """
    from mi_lib import zoo as models
    from mi_lib.recipes import checks

    unknown = [name for name in names if name not in models.names()]
    if unknown:
        raise CourseError(f"There is no bundled model {unknown[0]!r}. There are: {', '.join(models.names())}.")

    def measured(name: str) -> list[Any]:
        try:
            return checks.verify(name, only or None)
        except KeyError as error:  # no part of this name
            raise CourseError(f"{error.args[0][0].upper()}{error.args[0][1:]}.") from error

    rows, cells = [], []
    for name in names or models.names():
        click.echo(f"Measuring {name} …", err=True)
        for found in _or_sentence(measured, name):
            rows.append({"model": name} | found.to_dict())
            bound = f"{'≥' if found.at_least else '≤'} {_number(found.bound)}"
            control = f"{_number(found.control)} ({found.control_is})"
            cells.append((name, found.claim, _number(found.value), bound, control, found.passed))
    columns = ("model", "claim", "value", "bound", "control", "")
    _table("Measured on the shipped weights", columns, cells, rows, as_json)
    sys.exit(0 if rows and all(row["passed"] for row in rows) else 1)


@cli.group()
def world() -> None:
    """Littletown, the synthetic English in which Pico lives: every sentence comes with its truth."""


@world.command(name="show")
@click.argument("kind", required=False)
@click.option("-n", "--number", default=3, show_default=True, type=click.IntRange(1, 1000), help="How many texts.")
@click.option("--seed", default=0, show_default=True, help="Other seeds give other texts.")
@click.option("--held-out", is_flag=True, help="Texts of combinations that no training saw.")
@click.option("--label", "labels", multiple=True, help="Show this kind of label under every word (may be repeated).")
@json_option
def world_show(
    kind: str | None, number: int, seed: int, held_out: bool, labels: tuple[str, ...], as_json: bool
) -> None:
    """Print texts of Littletown with their labels.

    \b
    mi world show                          some texts of prose and of chat
    mi world show story.give               stories in which somebody gives something
    mi world show chat.request -n 5        five requests, answered or refused
    mi world show prose.deed --label subject --label tense
    """
    from mi_lib.course import show
    from mi_lib.worlds import littletown

    if kind is not None and kind not in littletown.kinds():
        raise CourseError(f"Littletown has no texts of the kind {kind!r}. It has: {', '.join(littletown.kinds())}.")
    texts = littletown.texts(kind, number, seed=seed, split="held_out" if held_out else "train")
    if as_json:
        click.echo(json.dumps([littletown.as_data(text) for text in texts], indent=1))
        return
    for text in texts:
        _console().print(show.labelled(text, labels))


@cli.group()
def dev() -> None:
    """For those who write chapters."""


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
    from rich import progress as bar

    from mi_lib.course import devcheck, index
    from mi_lib.course.grading import Grader

    chapters = [_named(what)[0]] if what else index.chapters()
    only = index.exercise(what).id if what and "." in what else None
    found: list[str] = []
    if static:
        found = [problem for each in chapters for problem in devcheck.static_problems(each)]
    else:
        columns = (
            bar.TextColumn("{task.description}"),
            bar.BarColumn(),
            bar.MofNCompleteColumn(),
            bar.TimeElapsedColumn(),
        )
        with Grader() as grader, bar.Progress(*columns, console=_console(err=True), transient=True) as bars:
            for each in chapters:
                task = bars.add_task(each.number, total=None)

                def step(done: int, of: int, case: devcheck.Case, task: Any = task) -> None:
                    bars.update(task, completed=done, total=of, description=f"{case.exercise.id} {case.label[:40]}")

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
    from rich import progress as bar

    from mi_lib.course import findings, index

    where = index.chapter(chapter)
    kept = findings.read(where) if findings.path(where).exists() else {}
    columns = (bar.TextColumn("{task.description}"), bar.BarColumn(), bar.MofNCompleteColumn(), bar.TimeElapsedColumn())
    with bar.Progress(*columns, console=_console(err=True), transient=True) as bars:
        line = bars.add_task(f"Measuring chapter {where.number}", total=len(names) or len(findings.names(where)))

        def done(name: str, value: Any) -> None:
            bars.update(line, advance=1)
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
@click.argument("what", metavar="03 | 03.4")
@click.option("--only", metavar="03.4", help="One exercise of the chapter (the same as naming it).")
@click.option("--sample", "number", type=click.IntRange(1), help="So many mutants of each exercise, drawn by --seed.")
@click.option("--seed", default=0, show_default=True, help="Other seeds draw other mutants.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes that grade at once.")
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

    chapter, exercises = _named(only or what)
    with _judges(f"Mutants of {only or what}", jobs) as judge:
        tallies = mutants.prove(exercises, judge, number, seed)
    if as_json:
        click.echo(json.dumps(report.as_data(tallies), indent=2))
    elif entries:
        click.echo("\n".join(mutants.entry(mutant) for tally in tallies for mutant in tally.survivors), nl=False)
    else:
        click.echo("\n".join(report.tallies(chapter.number, tallies)))
    sys.exit(0 if all(tally.in_order for tally in tallies) else 1)


@dev.command(name="nonsense")
@click.argument("what", metavar="03 | 03.4")
@click.option("--only", metavar="03.4", help="One exercise of the chapter (the same as naming it).")
@click.option("--sample", "number", type=click.IntRange(1), help="So many replacements of each, drawn by --seed.")
@click.option("--seed", default=0, show_default=True, help="Other seeds draw other replacements.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes that grade at once.")
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

    _, exercises = _named(only or what)
    with _judges(f"Nonsense for {only or what}", jobs) as judge:
        outcomes = nonsense.prove(exercises, judge, number, seed)
    click.echo(json.dumps(nonsense.as_data(outcomes), indent=2) if as_json else "\n".join(nonsense.report(outcomes)))
    sys.exit(1 if any(outcome.fate in nonsense.BAD for outcome in outcomes) else 0)


cli.add_command(commands.grade)
cli.add_command(commands.release)
cli.add_command(commands.instructor)


# -- helpers ----------------------------------------------------------------------------------------------------


@contextmanager
def _judges(title: str, jobs: int) -> Iterator[Callable[[list[Any]], list[Any]]]:
    """Have many submissions judged, with a bar that says how far it is."""
    from rich import progress as bar

    from mi_lib.course.proving import grading

    columns = (bar.TextColumn("{task.description}"), bar.BarColumn(), bar.MofNCompleteColumn(), bar.TimeElapsedColumn())
    with bar.Progress(*columns, console=_console(err=True), transient=True) as bars:
        line = bars.add_task(title, total=None)

        def judge(tasks: list[Any]) -> list[Any]:
            bars.reset(line, total=len(tasks))
            return grading.judge(tasks, jobs, on_done=lambda task: bars.update(line, advance=1))

        yield judge


def _console(err: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=err, highlight=False)


def _open(workspace: str | None) -> Workspace:
    from mi_lib.course.workspace import Workspace

    opened = Workspace.open(workspace)
    _say_notices(opened.notices)
    opened.notices.clear()
    return opened


def _progress(opened: Workspace) -> Progress:
    from mi_lib.course.progress import Progress

    progress = Progress(opened)
    _say_notices([progress.notice])
    return progress


def _say_notices(notices: list[str]) -> None:
    for notice in filter(None, notices):
        click.echo(notice, err=True)


def _states(workspace: str | None) -> dict[str, Any]:
    """Progress, where there is a workspace; the list of the course can be read without one."""
    from mi_lib.course.workspace import Workspace

    path = Path(workspace or Workspace.default_path())
    return _progress(_open(workspace)).states() if (path / ".mi").is_dir() else {}


def _named(what: str) -> tuple[Chapter, list[Exercise]]:
    """The chapter and the exercises that "02" or "02.3" names."""
    from mi_lib.course import index

    if "." in what:
        exercise = index.exercise(what)
        return exercise.chapter, [exercise]
    chapter = index.chapter(what)
    return chapter, list(chapter.exercises)


def _chapter_in(file: str) -> str:
    """The number of the chapter that a submitted file answers."""
    _must_exist(file)
    if file.endswith(".ipynb"):
        from mi_lib.course.notebook import chapter_of

        return chapter_of(file).number
    from mi_lib.course import files, sections

    for section in sections.split(files.read_text(Path(file))):
        if "." in section:
            return section.split(".")[0]
    raise CourseError(f"{file} has no line like `# %% [02.1]`, so it answers no exercise. Is it the right file?")


def _submission(file: str, chapter: Chapter) -> str:
    """The text that a submitted file or notebook comes down to."""
    _must_exist(file)
    if file.endswith(".ipynb"):
        from mi_lib.course import notebook

        _same_chapter(file, chapter)
        return notebook.text(file)
    from mi_lib.course import files

    return files.read_text(Path(file))


def _must_exist(file: str) -> None:
    if not Path(file).is_file():
        raise CourseError(f"There is no file {file}. Check the path.")


def _same_chapter(file: str, chapter: Chapter) -> None:
    from mi_lib.course.notebook import chapter_of

    _must_exist(file)
    found = chapter_of(file)
    if found.number != chapter.number:
        raise CourseError(f"{file} is a notebook of chapter {found.number}, not of {chapter.number}.")


def _finish_check(chapter: Chapter, exercises: list[Exercise], as_json: bool, require: Level, grade: Any) -> NoReturn:
    """Grade, show, and exit with 0 or 1."""
    from mi_lib.course import show
    from mi_lib.course.grading import Grader

    verdicts = []
    console = _console()
    with Grader() as grader:
        if require != "none":
            grader.isolation().require(require)
        for number, exercise in enumerate(exercises, start=1):
            if sys.stderr.isatty():
                click.echo(f"\rChecking {exercise.id} ({number} of {len(exercises)}) …", nl=False, err=True)
            verdicts.append(grade(grader, exercise))
            if sys.stderr.isatty():
                click.echo("\r\033[K", nl=False, err=True)
            if not as_json:
                show.verdict(console, exercise, verdicts[-1])
    # Optional exercises of a chapter are shown, but they are not needed; one that is asked for by its id counts.
    graded = list(zip(exercises, verdicts, strict=True))
    counted = [v for e, v in graded if not e.optional or len(graded) == 1]
    passed = sum(verdict.passed for verdict in counted)
    points, most = sum(v.points for v in counted), sum(v.max_points for v in counted)
    if as_json:
        facts = {"chapter": chapter.number, "passed": passed == len(counted), "points": points, "max_points": most}
        click.echo(
            json.dumps(facts | {"exercises": [verdict.to_dict() for verdict in verdicts]}, indent=2, default=str)
        )
    elif len(verdicts) > 1:
        console.print(show.bar(passed, len(counted)), f"  {points:g} of {most:g} points")
    elif not passed and verdicts[0].status != "not started":
        console.print(f"`mi hint {exercises[0].id}` shows a hint.")
    if not as_json and verdicts[-1].isolation:
        level = f"Isolation {verdicts[-1].isolation_level}"
        console.print(f"[dim]{level}, in force: {'; '.join(verdicts[-1].isolation)}.[/dim]")
    sys.exit(0 if passed == len(counted) else 1)


def _debug(exercises: list[Exercise], source: str | Path) -> NoReturn:
    """Run the graders in this process, where a debugger can be used."""
    if len(exercises) != 1:
        raise CourseError("`--debug` takes one exercise at a time: `mi check 02.3 --debug`.")
    from mi_lib.course import show
    from mi_lib.course.grading import run_here

    verdict = run_here(source, exercises[0])
    show.verdict(_console(), exercises[0], verdict)
    click.echo("Run in this process for debugging: no grade was recorded.")
    sys.exit(0 if verdict.passed else 1)


def _self_check(model: str) -> list[Any]:
    from mi_lib.models import checks, load

    return list(_or_sentence(lambda name: checks.self_check(load(name, check=False)), model))


def _or_sentence(function: Any, model: str) -> Any:
    """What a function says of a model; a model that cannot be opened becomes a sentence."""
    from mi_lib.models.loading import LoadError

    try:
        return function(model)
    except LoadError as error:
        said = str(error) if model in str(error) else f"{model}: {error}"
        raise CourseError(said if said.endswith((".", "?")) else f"{said}.") from error


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(title: str, columns: tuple[str, ...], cells: list[Any], rows: list[Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, title=title, title_justify="left", box=None, padding=(0, 1))
    for row in cells:
        marked = [
            Text("✓ ok", "green") if x is True else Text("✗ no", "red") if x is False else Text(str(x)) for x in row
        ]
        table.add_row(*marked)
    _console().print(table)


if __name__ == "__main__":
    main()
