"""What a learner does: init, list, check, try, watch, hint, word, solution, reset, notebook, app."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mi_lib.cli.common import (
    console,
    guarded_options,
    isolation_option,
    json_option,
    named,
    open_workspace,
    progress_of,
    say_notices,
)
from mi_lib.course.grading.isolation import Level
from mi_lib.course.index import Chapter, CourseError, Exercise

if TYPE_CHECKING:
    from mi_lib.course.checks import Running
    from mi_lib.course.trying import Shown, Tried


@click.command()
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
    say_notices(made.notices)
    click.echo(f"Your workspace is {made.path}.")
    here = chapters()
    if here:
        click.echo(f"Open {made.file(here[0])} in your editor and run `mi watch {here[0].number}`, or run `mi app`.")


@click.command(name="list")
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
        console().print(show.exercises(shown[0], states))
    else:
        console().print(show.course(shown, index.syllabus(), index.parts(), states))


@click.command()
@click.argument("what", required=False, metavar="[02 | 02.3]")
@click.option(
    "--file", "file", metavar="FILE", help="Grade this .py or .ipynb instead of the workspace; record nothing."
)
@click.option("--verbose", is_flag=True, help="Say also how the code was shut in while it ran.")
@click.option("--debug", is_flag=True, help="Run in this process, so that breakpoint() works; record no grade.")
@isolation_option
@json_option
@click.pass_obj
def check(
    workspace: str | None, what: str | None, file: str | None, verbose: bool, debug: bool, require: Level, as_json: bool
) -> None:
    """Check an exercise, a chapter, or the exercise that you work on.

    \b
    mi check                                the exercise you were at, or the next open one after it
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
        chapter, exercises = named(what if what else _chapter_in(file))
        text = _submission(file, chapter)
        if debug:
            _debug(exercises, text if file.endswith(".ipynb") else Path(file))
        _finish_check(
            chapter,
            exercises,
            as_json,
            require,
            lambda grader, exercise: checking.grade(grader, exercise, text),
            verbose,
        )
        return
    opened = open_workspace(workspace)
    progress = progress_of(opened)
    if what:
        chapter, exercises = named(what)
    else:
        following = checking.resume(index.chapters(), progress)
        if following is None:
            done = {"passed": True, "exercises": []}
            click.echo(json.dumps(done) if as_json else "Every exercise is solved. Well done!")
            return
        chapter, exercises = following.chapter, [following]
    text = opened.text(chapter)
    say_notices(opened.notices)
    if debug:
        _debug(exercises, opened.file(chapter))

    def grade(grader: Any, exercise: Exercise) -> Any:
        return checking.check_text(grader, progress, exercise, text)

    _finish_check(chapter, exercises, as_json, require, grade, verbose)


@click.command()
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

    opened = open_workspace(workspace)
    first = None
    if what:
        chosen, exercises = named(what)
        first = exercises[0] if "." in what else None
    else:
        here = index.chapters()
        following = checking.resume(here, progress_of(opened))
        if not here:
            raise CourseError("There is no chapter here yet; `mi doctor` looks for the reason.")
        chosen = following.chapter if following else here[-1]
    opened.file(chosen)
    say_notices(opened.notices)
    watching.run(opened, chosen, first=first, poll=poll)


@click.command(name="try")
@click.argument("exercise", metavar="02.3")
@click.argument("lines", required=False, metavar="[LINES]")
@json_option
@click.pass_obj
def try_(workspace: str | None, exercise: str, lines: str | None, as_json: bool) -> None:
    """Run lines beside your answer, without a grade.

    They run as your answer does when it is checked: after your file, with its limits. The last line is shown, and what
    is given to display(). Without LINES the exercise's scratch cell is run, which is kept in your workspace.

    \b
    mi try 02.5                                    the scratch cell; `mi app` shows the same one
    mi try 02.5 "torch.eye(4)"                     these lines
    mi try 02.5 - < lines.py                       the lines of a file

    Exits with 0 if the lines came to their end, 1 if not.
    """
    from mi_lib.course import first_lines, index, show
    from mi_lib.course.checks import Checks

    chosen = index.exercise(exercise)
    opened = open_workspace(workspace)
    text = opened.text(chosen.chapter)
    say_notices(opened.notices)
    kept = opened.scratch_text(chosen)
    if lines == "-":
        lines = sys.stdin.read()
    elif lines is None:
        if kept is None:
            kept = first_lines.of(chosen)
            opened.write_scratch(chosen, kept)
        lines = kept
        if not as_json:
            console().print(show.code(lines), soft_wrap=True)
            click.echo(f"(These lines are kept in {opened.scratch(chosen)}.)\n", err=True)
    checks = Checks()
    try:
        running = checks.play(chosen, text, lines)
        _wait_for(running)
    finally:
        checks.close()
    if running.tried is None:
        raise CourseError(running.problem)
    if as_json:
        click.echo(json.dumps(_as_data(running.tried), indent=2))
    else:
        show.tried(console(), running.tried)
    sys.exit(130 if running.tried.stopped else 1 if running.tried.problem else 0)


@click.command()
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
    progress = progress_of(open_workspace(workspace))
    shown = progress.reveal_hint(chosen.id)
    while everything and shown < len(chosen.hints):
        shown = progress.reveal_hint(chosen.id)
    show.hints(console(), chosen, shown)
    if shown == len(chosen.hints):
        click.echo(f"That is the last hint. `mi solution {chosen.id}` shows an answer.")


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]")
def word(words: tuple[str, ...]) -> None:
    """Say what a word of the course means, or list all words.

    \b
    mi word                   all words of the glossary
    mi word residual stream   one of them
    """
    from mi_lib.course import glossary, show

    if words:
        console().print(show.entry(glossary.find(" ".join(words))))
    else:
        click.echo("\n".join(term.name for term in glossary.terms()))


@click.command()
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
    text = answer(chosen)  # a copy without solutions says so before it asks
    progress = progress_of(open_workspace(workspace))
    if not yes and not progress.state(chosen.id).passed:
        if not sys.stdin.isatty() or as_json:
            raise CourseError(
                f"{chosen.id} is not solved yet. `mi solution {chosen.id} --yes` shows the answer anyway."
            )
        click.confirm(f"You have not solved {chosen.id} yet. Show the answer anyway?", abort=True)
    progress.mark_solution_seen(chosen.id)
    if as_json:
        click.echo(json.dumps({"exercise": chosen.id, "solution": text}))
    elif sys.stdout.isatty():
        console().print(show.code(text), soft_wrap=True)  # code that is broken at the margin cannot be copied
    else:
        click.echo(text.rstrip())


@click.command()
@click.argument("what", metavar="02.3 | 02")
@click.pass_obj
def reset(workspace: str | None, what: str) -> None:
    """Start an exercise or a chapter afresh. Your text is kept in a backup, your progress stays.

    \b
    mi reset 02.3
    mi reset 02
    """
    from mi_lib.course import index

    opened = open_workspace(workspace)
    chosen: Exercise | Chapter = index.exercise(what) if "." in what else index.chapter(what)
    backup = opened.reset(chosen)
    click.echo(f"{what} is as it was handed out. The file as it was before: {backup}")


@click.command()
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
        opened = open_workspace(workspace)
        changed = notebooks.into_workspace(source, opened)
        say_notices(opened.notices)
        click.echo(
            f"Carried over: {', '.join(changed)}. A backup is in {opened.path / '.mi' / 'backups'}."
            if changed
            else "Your workspace already has these answers."
        )
        return
    from_workspace = open_workspace(workspace) if with_answers or not output else None
    folder = from_workspace.path / chosen.name if from_workspace else Path()
    target = Path(output) if output else folder / f"{chosen.name}.ipynb"
    written = notebooks.write(chosen, target, answers_from=from_workspace if with_answers else None)
    click.echo(f"Written: {written}. Open it in Jupyter or VS Code and run the first cell.")


@click.command()
@click.option("--port", default=8501, show_default=True, help="The port on 127.0.0.1.")
@click.option("--no-browser", is_flag=True, help="Only serve; open no browser.")
@guarded_options
@click.pass_obj
def app(workspace: str | None, port: int, no_browser: bool, no_token: bool, allow_host: tuple[str, ...]) -> None:
    """Take the course in the browser. Only this computer can reach it. Ctrl-C ends it.

    \b
    mi app
    mi app --port 9000 --no-browser
    """
    from mi_lib.course import serve

    opened = open_workspace(workspace)
    say_notices(opened.notices)
    sys.exit(serve.run(opened, port, open_browser=not no_browser, token=not no_token, names=allow_host))


# -- helpers ----------------------------------------------------------------------------------------------------


def _wait_for(running: Running) -> None:
    """Until it is done, with the seconds on a terminal; Ctrl-C ends what runs, and what it printed is kept."""
    shown = sys.stderr.isatty()
    while True:
        try:
            while not running.wait(0.2):
                if shown:
                    click.echo(f"\r\033[KRunning … {running.seconds:.0f} s (Ctrl-C stops it)", nl=False, err=True)
            break
        except KeyboardInterrupt:
            running.stop()
    if shown:
        click.echo("\r\033[K", nl=False, err=True)


def _as_data(tried: Tried) -> dict[str, Any]:
    """What came of a scratch run, as JSON knows it: no pictures."""

    def value(shown: Shown) -> dict[str, Any]:
        return {"name": shown.name, "text": shown.text, "more": shown.more, "parts": [value(p) for p in shown.parts]}

    facts = {"printed": tried.printed, "problem": tried.problem, "notice": tried.notice, "seconds": tried.seconds}
    return facts | {"shown": [value(shown) for shown in tried.shown], "isolation": tried.isolation_level}


def _states(workspace: str | None) -> dict[str, Any]:
    """Progress, where there is a workspace; the list of the course can be read without one."""
    from mi_lib.course.workspace import Workspace

    path = Path(workspace or Workspace.default_path())
    return progress_of(open_workspace(workspace)).states() if (path / ".mi").is_dir() else {}


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
        answers = notebook.answered(file)
        say_notices(list(answers.remarks))
        return answers.text
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


def _finish_check(
    chapter: Chapter, exercises: list[Exercise], as_json: bool, require: Level, grade: Any, verbose: bool
) -> NoReturn:
    """Grade, show, and exit with 0 or 1."""
    from mi_lib.course import show
    from mi_lib.course.grading import Grader

    verdicts = []
    screen = console()
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
                show.verdict(screen, exercise, verdicts[-1])
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
        screen.print(show.bar(passed, len(counted)), f"  {points:g} of {most:g} points")
    elif not passed and verdicts[0].status != "not started":
        screen.print(f"`mi hint {exercises[0].id}` shows a hint.")
    if not as_json and verdicts[-1].isolation:
        show.isolation(screen, verdicts[-1], verbose)
    sys.exit(0 if passed == len(counted) else 1)


def _debug(exercises: list[Exercise], source: str | Path) -> NoReturn:
    """Run the graders in this process, where a debugger can be used."""
    if len(exercises) != 1:
        raise CourseError("`--debug` takes one exercise at a time: `mi check 02.3 --debug`.")
    from mi_lib.course import show
    from mi_lib.course.grading import run_here

    verdict = run_here(source, exercises[0])
    show.verdict(console(), exercises[0], verdict)
    click.echo("Run in this process for debugging: no grade was recorded.")
    sys.exit(0 if verdict.passed else 1)
