"""What a teacher does: grade, release, instructor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mi_lib.cli.common import bars, guarded_options, isolation_option, json_option
from mi_lib.course import nearest, texts
from mi_lib.course.classroom.config import POLICIES, Policy
from mi_lib.course.grading.isolation import Level
from mi_lib.course.index import CourseError

if TYPE_CHECKING:
    from mi_lib.course.classroom.config import Config
    from mi_lib.course.classroom.gradebook import Gradebook, Remark
    from mi_lib.course.classroom.points import Grade, Student

_FORMATS = ("csv", "json", "junit", "ctrf", "gradescope", "html")
_ALL_FORMATS = (*_FORMATS, "excel")  # the last only where it is asked for


class _WithDefault(click.Group):
    """A group whose name alone does its main work: `mi grade FOLDER` is `mi grade run FOLDER`."""

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(context, args)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]  # options may come first: `mi grade -o out FOLDER`
        return super().parse_args(context, args)


gradebook_option = click.option(
    "-g",
    "--gradebook",
    "book",
    metavar="PATH",
    envvar="MI_GRADEBOOK",
    default=".",
    help="The gradebook, or the folder that it is in. Default: $MI_GRADEBOOK, else this folder.",
)
config_option = click.option("--config", "config", metavar="FILE", help="Deadlines, attempts, policy: a TOML file.")


@click.group(cls=_WithDefault)
def grade() -> None:
    """Grade a class.

    \b
    mi grade SUBMISSIONS -o OUT                            a folder or a zip, as learning systems export it
    mi grade adjust STUDENT 02.3 8 --reason "..."          set points by hand
    mi grade explain STUDENT 02.3                          where a grade comes from
    mi grade report                                        write the reports again
    mi grade similar                                       who to talk to
    mi grade merge "Ada L_1" ada                           two names of one student; `remove` forgets one
    mi grade comment ada "..." --on 02.3                   say something; `mark` follows the rubric of the settings
    mi grade fill worksheet.csv                            grades into the table that Moodle or Canvas exported
    mi grade feedback SUBMISSIONS -o feedback.zip          reports to hand back, as Moodle or Canvas takes them
    """


@grade.command(name="run")
@click.argument("submissions", metavar="SUBMISSIONS")
@click.option("-o", "--output", "out", required=True, metavar="OUT", help="Where gradebook and reports go.")
@click.option("--jobs", type=click.IntRange(1, 1024), default=None, help="How many at once. Default: one per core.")
@config_option
@isolation_option
@click.option("--policy", type=click.Choice(POLICIES), help="When the library's own answer is used.")
@click.option("--chapter", "chapters", metavar="NN", multiple=True, help="Only this chapter (may be repeated).")
@click.option("--again", metavar="WHO_OR_WHAT", multiple=True, help="Grade this student, or exercise 02.3, once more.")
@click.option("--dask", "address", metavar="ADDRESS", help="Grade on a Dask cluster, for example tcp://host:8786.")
@click.option(
    "--format", "formats", type=click.Choice(_ALL_FORMATS), multiple=True, help="Only these reports (may be repeated)."
)
def run(
    submissions: str,
    out: str,
    jobs: int | None,
    config: str | None,
    require: Level,
    policy: Policy | None,
    chapters: tuple[str, ...],
    again: tuple[str, ...],
    address: str | None,
    formats: tuple[str, ...],
) -> None:
    """Grade SUBMISSIONS (a folder or a zip) into the folder OUT: gradebook and reports.

    Run it again at any time: it grades only what has changed, and goes on where it was interrupted.

    \b
    mi grade handed-in/ -o grades
    mi grade moodle-export.zip -o grades --config course.toml --jobs 8

    Exits with 0 if everybody was graded, 1 if a submission could not be.
    """
    from rich.markup import escape
    from rich.progress import TextColumn, TimeRemainingColumn

    from mi_lib.course import index
    from mi_lib.course.classroom import batch, grading
    from mi_lib.course.classroom.gradebook import Gradebook

    folder = Path(out)
    workers = batch.dask(address) if address else batch.processes(jobs or os.cpu_count() or 1)
    left = (TextColumn("left"), TimeRemainingColumn(elapsed_when_finished=True))
    with grading.alone(folder), Gradebook(folder, make=True) as book:
        chosen = _kept(book, config, policy)
        only = replace(chosen, chapters=tuple(index.chapter(c).number for c in chapters)) if chapters else chosen
        with bars(*left) as shown:
            task = shown.add_task("Reading", total=None)

            def step(done: int, of: int, who: str) -> None:
                shown.update(task, completed=done, total=of, description=escape(f"Grading {texts.line(who)[:30]}"))

            summary = grading.grade_class(submissions, book, only, workers, require, step, keep=chosen, again=again)
        written = _write(book, chosen, folder, formats or _FORMATS)
    click.echo(summary.in_words())
    raise click.exceptions.Exit(1 if summary.refused or summary.given_up or not written else 0)


@grade.command()
@click.argument("student")
@click.argument("exercise")
@click.argument("points", required=False, type=float)
@click.option("--reason", required=True, help="Why; it is shown with the grade.")
@click.option("--lift", is_flag=True, help="Take the adjustment back: the grader's points count again.")
@gradebook_option
def adjust(student: str, exercise: str, points: float | None, reason: str, lift: bool, book: str) -> None:
    """Set a student's POINTS for an exercise by hand. It survives grading again.

    \b
    mi grade adjust ada 02.3 8 --reason "the idea is right"
    mi grade adjust ada 02.3 --lift --reason "graded again since"
    """
    from mi_lib.course import index
    from mi_lib.course.classroom.gradebook import Gradebook

    if (points is None) != lift:
        raise CourseError("Give the points that count from now on, or `--lift` to take an adjustment back.")
    if not reason.strip():
        raise CourseError("Give a reason; whoever reads the grade will want to know.")
    with Gradebook(book) as opened:
        opened.adjust(student, index.exercise(exercise).id, points, reason.strip())
    click.echo(f"{student} {exercise}: {'lifted' if lift else f'{points:g} points'}. Reports: `mi grade report`.")


@grade.command()
@click.argument("student")
@click.argument("exercise", required=False)
@gradebook_option
@config_option
@json_option
def explain(student: str, exercise: str | None, book: str, config: str | None, as_json: bool) -> None:
    """Say where a student's grade comes from: which tests, which output, which version, which isolation.

    This is for instructors: of hidden tests it says what they really found.
    """
    from mi_lib.course import index
    from mi_lib.course.classroom.gradebook import Gradebook
    from mi_lib.course.classroom.report.table import student_data

    with Gradebook(book) as opened:
        found = _student(opened, student, _settings(config) if config else opened.settings)
        history = [a for a in opened.adjustments() if a.student == student]
    wanted = index.exercise(exercise).id if exercise else ""
    grades = [g for g in found.grades.values() if wanted in ("", g.exercise.id)]
    if as_json:
        data = student_data(found)
        data["exercises"] = [e for e in data["exercises"] if wanted in ("", e["exercise"])]
        click.echo(json.dumps(data, indent=1, ensure_ascii=False))
        return
    click.echo(f"{found.name}: {found.total:g} of {found.most:g} points")
    for line in [*found.problems, *found.notes]:
        click.echo(f"  {line}")
    _say(found.remarks)
    for grade_ in grades:
        _explain(grade_)
        _say(grade_.remarks)
        for past in (a for a in history if a.exercise == grade_.exercise.id):
            said = "lifted" if past.points is None else f"set to {past.points:g}"
            click.echo(f"  by hand, {_when(past.made_at)}: {said}, because: {past.reason}")


def _explain(grade_: Grade) -> None:
    from mi_lib.course.classroom.report.html import conditions, shown

    exercise, verdict = grade_.exercise, grade_.verdict
    click.echo(f"\n{exercise.id} {exercise.title}: {grade_.status}, {grade_.points:g} of {exercise.points} points")
    for why in grade_.why:
        click.echo(f"  {why}.")
    if not verdict:
        return
    for test in verdict["tests"]:
        mark, hidden = "✓" if test["passed"] else "✗", " [hidden]" if test["hidden"] else ""
        click.echo(f"  {mark} {test['title']}{hidden} ({shown(test['points'])} of {shown(test['max_points'])})")
        for said in filter(None, (test["message"], test["detail"])):
            click.echo(f"      {said}")
    if verdict["diagnosis"] and not verdict["tests"]:
        click.echo(f"  {verdict['diagnosis']}")
    for title, text in (("traceback", verdict["traceback"]), ("printed", verdict["printed"])):
        if text:
            click.echo(f"  {title}:\n" + "\n".join(f"    {line}" for line in text.rstrip().splitlines()))
    click.echo(f"  {conditions(grade_, verdict)}")
    if grade_.attempt:
        click.echo(f"  Text {grade_.attempt.hash[:12]}, verdict {verdict['key'][:12]}.")


def _say(remarks: Sequence[Remark]) -> None:
    for remark in remarks:
        what = f"{remark.criterion}: {remark.text}" if remark.criterion else f"comment: {remark.text}"
        click.echo(f"  [{remark.number}] {what}")


@grade.command()
@click.argument("student")
@click.argument("text", required=False, default="")
@click.option("--on", "exercise", metavar="NN.k", help="The exercise that it is about. Default: all of it.")
@click.option("--withdraw", metavar="NUMBER", type=int, help="Take a comment back; `mi grade explain` has the numbers.")
@gradebook_option
def comment(student: str, text: str, exercise: str | None, withdraw: int | None, book: str) -> None:
    """Say something to STUDENT; it stands in the reports and changes no points.

    \b
    mi grade comment ada "Read your masks once more: which way do they look?" --on 02.3
    mi grade comment ada --withdraw 1
    """
    from mi_lib.course import index
    from mi_lib.course.classroom.gradebook import Gradebook

    if bool(text.strip()) == (withdraw is not None):
        raise CourseError("Give the comment, or `--withdraw NUMBER` to take one back.")
    with Gradebook(book) as opened:
        if withdraw is not None:
            opened.withdraw(student, withdraw)
            click.echo(f"Comment {withdraw} on {student} is withdrawn. Reports: `mi grade report`.")
            return
        number = opened.comment(student, text, index.exercise(exercise).id if exercise else "")
    click.echo(f"Comment {number} on {student}. Reports: `mi grade report`.")


@grade.command()
@click.argument("student")
@click.argument("criterion")
@click.argument("level")
@click.option("--on", "exercise", metavar="NN.k", help="The exercise that it is about. Default: all of it.")
@gradebook_option
def mark(student: str, criterion: str, level: str, exercise: str | None, book: str) -> None:
    """Say which LEVEL of a CRITERION an answer reaches, by the [rubric] of the settings. It changes no points.

    \b
    mi grade mark ada readable mostly --on 02.3
    """
    from mi_lib.course import index
    from mi_lib.course.classroom.gradebook import Gradebook

    with Gradebook(book) as opened:
        number = opened.comment(student, level, index.exercise(exercise).id if exercise else "", criterion)
    click.echo(f"{student}, {criterion}: {level} (number {number}). Reports: `mi grade report`.")


@grade.command()
@click.argument("student")
@gradebook_option
def remove(student: str, book: str) -> None:
    """Forget STUDENT, with all that was handed in, graded and adjusted. What is handed in again comes back."""
    from mi_lib.course.classroom.gradebook import Gradebook

    with Gradebook(book) as opened:
        opened.remove(student)
    click.echo(f"{student} is no longer in the gradebook. Reports: `mi grade report`.")


@grade.command()
@click.argument("student")
@click.argument("into")
@gradebook_option
def merge(student: str, into: str, book: str) -> None:
    """Make STUDENT and INTO one, who is called INTO; later runs know both names."""
    from mi_lib.course.classroom.gradebook import Gradebook

    with Gradebook(book) as opened:
        opened.merge(student, into)
    line = f"{json.dumps(student, ensure_ascii=False)} = {json.dumps(into, ensure_ascii=False)}"
    click.echo(
        f"{student} is {into} from now on. If you give settings in a file, write {line} there, under [students]."
    )


@grade.command()
@gradebook_option
@config_option
@click.option("-o", "--output", "out", metavar="OUT", help="Where the reports go. Default: beside the gradebook.")
@click.option(
    "--format", "formats", type=click.Choice(_ALL_FORMATS), multiple=True, help="Only these (may be repeated)."
)
def report(book: str, config: str | None, out: str | None, formats: tuple[str, ...]) -> None:
    """Write the reports again, without grading: after an adjustment, or with other settings, which are then kept."""
    from mi_lib.course.classroom.gradebook import Gradebook

    with Gradebook(book) as opened:
        settings = _settings(config) if config else opened.settings
        if config:
            settings.check_students(opened.names())
            before, opened.settings = opened.settings, settings
            for key in ("carry_forward", "policy"):
                if (now := getattr(settings, key)) != getattr(before, key):
                    click.echo(f"`{key} = {json.dumps(now)}` takes effect when you run `mi grade` on the submissions.")
        written = _write(opened, settings, Path(out) if out else opened.path.parent, formats or _FORMATS)
    raise click.exceptions.Exit(0 if written else 1)


@grade.command()
@click.argument("table", metavar="FILE")
@gradebook_option
@click.option("-o", "--output", "out", metavar="OUT", help="Default: FILE-filled.csv. FILE itself stays as it is.")
@click.option("--chapter", "chapters", metavar="NN", multiple=True, help="Points of this chapter (may be repeated).")
@click.option("--column", default="", metavar="NAME", help="The column to fill: an assignment's name or number.")
@click.option("--scale", is_flag=True, help="Turn our points into the platform's, where its maximum is another.")
@click.option("--comments", is_flag=True, help="Fill Moodle's column Feedback comments too, from `mi grade comment`.")
def fill(
    table: str, book: str, out: str | None, chapters: tuple[str, ...], column: str, scale: bool, comments: bool
) -> None:
    """Fill the grades into FILE, the table that Moodle (grading worksheet) or Canvas (gradebook) has exported.

    All else in it stays as it is, byte for byte, so that the platform takes it back.

    \b
    mi grade fill Grades-MI-Chapter2.csv --chapter 02
    mi grade fill gradebook.csv --chapter 02 --column "Induction heads" --scale

    Exits with 0 if everybody who has a grade is in FILE, 1 if not.
    """
    from mi_lib.course import files, index
    from mi_lib.course.classroom import platforms
    from mi_lib.course.classroom.gradebook import Gradebook
    from mi_lib.course.classroom.points import grades

    path = Path(table)
    to = Path(out) if out else path.with_name(f"{path.stem}-filled{path.suffix or '.csv'}")
    if to.resolve() == path.resolve():
        raise CourseError(f"{path} is the platform's file, which stays as it is. Give another name with -o.")
    wanted = {index.chapter(number).number for number in chapters}
    with Gradebook(book) as opened:
        students, settings, labels = grades(opened, opened.settings), opened.settings, opened.labels()
        _warn_if_unfinished(opened)
    for student in students:
        mine = student.grades.items()
        student.grades = {e: g for e, g in mine if not wanted or g.exercise.chapter.number in wanted}
    said = {student.name: " ".join(student.comments) for student in students} if comments else None
    done = platforms.fill(path, students, labels, column, scale, settings.decimal, said)
    files.write_atomically(to, done.data)
    click.echo(f"Written: {to}: {done.filled} grades for {done.platform}, in the column {texts.line(done.column)}.")
    if done.capped:
        click.echo(f"More than the maximum, which they get: {', '.join(done.capped)}.", err=True)
    for left in done.left:
        click.echo(f"Left as it was: {left}.", err=True)
    for name in done.missing:
        click.echo(f"Not in {path.name}: {name}. `mi grade merge` and [students] join two names of one.", err=True)
    raise click.exceptions.Exit(1 if done.missing else 0)


@grade.command()
@click.argument("submissions", metavar="SUBMISSIONS")
@click.option("-o", "--output", "out", required=True, metavar="OUT", help="The zip that is written.")
@gradebook_option
def feedback(submissions: str, out: str, book: str) -> None:
    """Write the reports as one zip that Moodle or Canvas takes back. SUBMISSIONS: what it exported.

    \b
    Moodle   a folder for each student; upload it as feedback files in a zip
    Canvas   a file under the name of each submission; upload it as submissions

    Exits with 0 if everybody in SUBMISSIONS gets a file, 1 if not.
    """
    from mi_lib.course.classroom import feedback as feedbacks
    from mi_lib.course.classroom.gradebook import Gradebook
    from mi_lib.course.classroom.points import grades

    with Gradebook(book) as opened:
        students, settings, labels = grades(opened, opened.settings), opened.settings, opened.labels()
        _warn_if_unfinished(opened)
    found = feedbacks.hand_back(Path(submissions), students, labels, settings.groups)
    if found.files:
        feedbacks.write(Path(out), found)
        click.echo(f"Written: {out}, {len(found.files)} files.")
    for left in found.left:
        click.echo(f"No file for {texts.line(left)}.", err=True)
    raise click.exceptions.Exit(1 if found.left else 0)


@grade.command()
@gradebook_option
@click.option("--chapter", "chapter", metavar="NN", help="Only this chapter.")
@click.option("-n", "--number", default=20, show_default=True, type=click.IntRange(1), help="How many pairs.")
@json_option
def similar(book: str, chapter: str | None, number: int, as_json: bool) -> None:
    """List the pairs of submissions that have most in common, beyond what was handed out, and copies of the library.

    A list to look at, not a verdict: short answers have few ways to be written, and friends learn together.
    """
    from mi_lib.course.classroom import similarity
    from mi_lib.course.classroom.gradebook import Gradebook

    with Gradebook(book) as opened:
        pairs = similarity.of_class(opened.attempts(), chapter, opened.settings.groups)[:number]
    if as_json:
        click.echo(json.dumps([pair.to_dict() for pair in pairs], indent=1, ensure_ascii=False))
        return
    click.echo(
        "To look at, not a verdict. How much of what is particular in the shorter text, or in a function of the\n"
        "library, is in the other (fingerprints):"
    )
    for pair in pairs:
        places = ", ".join(pair.places)
        click.echo(f"  {pair.share:4.0%} ({pair.common})  {pair.chapter}  {pair.one}  {pair.other}   most in {places}")
    if not pairs:
        click.echo("  No two submissions have much in common.")


@click.command()
@click.argument("out", metavar="OUT")
@click.option("--chapter", "chapters", metavar="NN", multiple=True, help="Only this chapter (may be repeated).")
@click.option("--gradescope", metavar="NN", help="Write an autograder for Gradescope for this chapter instead.")
@click.option("--github-classroom", metavar="NN", help="Write a template repository for GitHub Classroom instead.")
def release(out: str, chapters: tuple[str, ...], gradescope: str | None, github_classroom: str | None) -> None:
    """Write one zip with all that learners get: lessons, stubs, notebooks, library, models. No solutions, hidden tests.

    \b
    mi release course.zip
    mi release week3.zip --chapter 02 --chapter 03
    mi release autograder.zip --gradescope 02          holds the hidden tests: for Gradescope, not for learners
    mi release template.zip --github-classroom 02
    """
    from mi_lib.course.classroom import release as releasing
    from mi_lib.course.classroom import services

    if sum(map(bool, (chapters, gradescope, github_classroom))) > 1:
        raise CourseError("Take one of --chapter, --gradescope and --github-classroom.")
    if gradescope:
        made = services.gradescope(Path(out), gradescope)
    elif github_classroom:
        made = services.github_classroom(Path(out), github_classroom)
    else:
        made = releasing.write(Path(out), chapters)
    click.echo(f"Written: {made} ({made.stat().st_size / 1e6:.1f} MB).")


@click.command()
@click.argument("gradebook", metavar="GRADEBOOK")
@click.option("--port", default=8502, show_default=True, help="The port on 127.0.0.1.")
@click.option("--no-browser", is_flag=True, help="Only serve; open no browser.")
@guarded_options
def instructor(gradebook: str, port: int, no_browser: bool, no_token: bool, allow_host: tuple[str, ...]) -> None:
    """Look at a class in the browser: at a glance, student by student, and the common mistakes.

    \b
    mi instructor grades/
    """
    from mi_lib.course import serve
    from mi_lib.course.classroom.gradebook import Gradebook

    with Gradebook(gradebook) as opened:
        path = opened.path.resolve()
    sys.exit(serve.run_instructor(path, port, open_browser=not no_browser, token=not no_token, names=allow_host))


# -- helpers ----------------------------------------------------------------------------------------------------


def _settings(config: str | None, policy: Policy | None = None) -> Config:
    from mi_lib.course.classroom.config import load

    chosen = load(config)
    return replace(chosen, policy=policy) if policy else chosen


def _kept(book: Gradebook, config: str | None, policy: Policy | None) -> Config:
    """The settings of a run: those of the file, or those that the gradebook has, and that is said."""
    from mi_lib.course.classroom.config import Config

    if config:
        chosen = _settings(config, policy)
        if not chosen.zone and (chosen.deadlines or chosen.extensions or chosen.received):
            click.echo('Times without a zone are of this computer\'s. `zone = "Europe/Berlin"` fixes it.', err=True)
        return chosen
    chosen = replace(book.settings, policy=policy) if policy else book.settings
    if chosen != Config():
        click.echo("The settings of the last run are kept; `--config FILE` gives others.", err=True)
    return chosen


def _student(book: Gradebook, name: str, config: Config) -> Student:
    from mi_lib.course.classroom.points import grades

    everybody = {student.name: student for student in grades(book, config)}
    if name not in everybody:
        close = [other for other in everybody if name.lower() in other.lower()]
        if len(close) != 1:
            raise CourseError(f"The gradebook has no student {name!r}.{nearest.hint(name, everybody)}")
        name = close[0]
    return everybody[name]


def _write(book: Gradebook, config: Config, folder: Path, formats: tuple[str, ...]) -> bool:
    """Write the reports, and say what of them could not be made. Returns whether all could."""
    from mi_lib.course.classroom import report as reports
    from mi_lib.course.classroom.points import grades

    failures: list[str] = []
    notice = _warn_if_unfinished(book)
    for path in reports.write(grades(book, config), folder, formats, failures.append, notice, config.decimal):
        click.echo(f"Written: {path}", err=True)
    for failure in failures:
        click.echo(texts.line(failure), err=True)
    return not failures


def _warn_if_unfinished(book: Gradebook) -> str:
    """Say if the last run was not finished; returns the sentence, empty if it was."""
    from mi_lib.course.classroom.gradebook import UNFINISHED

    notice = f"{UNFINISHED} It began {_when(book.unfinished)}." if book.unfinished else ""
    if notice:
        click.echo(notice, err=True)
    return notice


def _when(stamp: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(stamp).isoformat(" ", "minutes")
