"""What is awkward about time, settings, several answers, and runs that end midway."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import nbformat
import pytest
from awkward import NOON, RIGHT, RIGHT91, STUB, Box, kind, packed, refused

from mi_lib.course import index, notebook
from mi_lib.course.classroom import batch, points
from mi_lib.course.classroom.gradebook import Gradebook
from mi_lib.course.index import CourseError

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = ("Europe/Berlin", "UTC", "America/Los_Angeles", "Asia/Kathmandu")
WEEK = 7 * 86400
DUE = '[deadlines]\n"90" = 2026-11-30T23:59:00\n[late]\npercent_per_day = 10\n'
LATE = {"ada": 4.5, "bob": 5.0}  # a day
TIMES = RIGHT.replace("return a + b", "return a * b")  # 1.5 points


@contextlib.contextmanager
def living_in(zone: str) -> Iterator[None]:
    """This computer's own zone, for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        try:
            yield
        finally:
            patch.undo()
            time.tzset()


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def everywhere(box: Box, want: dict[str, float], path: Path | None = None, config: str = "") -> list[str]:
    """The same grades wherever they are made, and wherever a gradebook is read."""
    wrong = []
    for made in ZONES:
        with living_in(made):
            box.grade(path, config=config)
            wrong += [f"made in {made}: {said}" for said in box.outcome(want)]
        for read in ZONES:
            with living_in(read):
                found = {name: student.total for name, student in box.students().items()}
                wrong += [f"made in {made}, read in {read}: {found}"] if found != want else []
        for file in box.out.glob("gradebook.sqlite*"):
            file.unlink()
    return wrong


@kind("time", "a folder, graded in four zones with the course's zone in the settings")
def _(box: Box) -> list[str]:
    box.put("bob/exercises.py", when=at("2026-11-30T23:58:00"))
    box.put("ada/exercises.py", when=at("2026-12-01T00:01:00"))
    return everywhere(box, LATE, config='zone = "Europe/Berlin"\n' + DUE)


@kind("time", "the class's zip, whose times have no zone, graded in four zones")
def _(box: Box) -> list[str]:
    path = box.top / "class.zip"
    path.write_bytes(packed(("ada/exercises.py", RIGHT.encode()), ("bob/exercises.py", RIGHT.encode())))
    due = DUE.replace("2026-11-30T23:59:00", "2026-11-30T12:00:00")  # when `packed` packs
    return everywhere(box, {"ada": 5.0, "bob": 5.0}, path, 'zone = "Europe/Berlin"\n' + due)


@kind("time", "a deadline with its zone")
def _(box: Box) -> list[str]:
    box.put("bob/exercises.py", when=at("2026-11-30T23:58:00"))
    box.put("ada/exercises.py", when=at("2026-12-01T00:01:00"))
    return everywhere(box, LATE, config=DUE.replace("23:59:00", "23:59:00+01:00"))


@kind("time", "a gradebook that is made in Berlin and read in Los Angeles, no zone in the settings")
def _(box: Box) -> list[str]:
    box.put("bob/exercises.py", when=at("2026-11-30T23:58:00"))
    box.put("ada/exercises.py", when=at("2026-12-01T00:01:00"))
    with living_in("Europe/Berlin"):
        _, said = box.grade(config=DUE)
    with living_in("America/Los_Angeles"):
        box.mi("grade", "report", "-g", box.out)
        wrong = box.outcome(LATE)
    return wrong + ([] if "zone" in said else ["nobody says in which zone the times were read"])


@kind("time", "files in the hour that comes twice")
def _(box: Box) -> list[str]:
    box.put("bob/exercises.py", when=at("2026-10-25T02:25:00", fold=0))
    box.put("ada/exercises.py", when=at("2026-10-25T02:35:00", fold=1))
    config = 'zone = "Europe/Berlin"\n' + DUE.replace("2026-11-30T23:59:00", "2026-10-25T02:30:00")
    return everywhere(box, LATE, config=config)


@kind("time", "a file in the first of the two hours, after a deadline in the second by the clock")
def _(box: Box) -> list[str]:
    box.put("bob/exercises.py", when=at("2026-10-25T02:45:00", fold=0))
    box.put("ada/exercises.py", when=at("2026-10-25T02:45:00", fold=1))
    config = 'zone = "Europe/Berlin"\n' + DUE.replace("2026-11-30T23:59:00", "2026-10-25T02:30:00")
    return everywhere(box, LATE, config=config)


@kind("time", "a day of extension over the end of summer")
def _(box: Box) -> list[str]:
    box.put("bob/exercises.py", when=at("2026-10-25T23:59:59"))
    box.put("ada/exercises.py", when=at("2026-10-26T00:00:01"))
    config = 'zone = "Europe/Berlin"\n' + DUE.replace("2026-11-30T23:59:00", "2026-10-25")
    return everywhere(box, LATE, config=config)


@kind("time", "another chapter a week later")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/one.py")
    box.put("ada/two.py", RIGHT91, when=NOON + WEEK)
    box.grade(config=due_at(NOON + 3600))
    return box.outcome({"ada": 10.0, "bob": 5.0})


@kind("time", "stray notes a week later")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    box.put("ada/notes.py", "print('hello')", when=NOON + WEEK)
    box.put("ada/essay.pdf", b"%PDF", when=NOON + WEEK)
    box.grade(config=due_at(NOON + 3600))
    return box.outcome({"ada": 5.0, "bob": 5.0})


@kind("time", "the same answer again a week later, under another name")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    box.put("ada/exercises (1).py", when=NOON + WEEK)
    box.grade(config=due_at(NOON + 3600))
    return box.outcome({"ada": 5.0, "bob": 5.0})


@kind("time", "a file whose copy lost its date, graded again")
def _(box: Box) -> list[str]:
    box.beside_bob()
    file = box.put("ada/exercises.py", when=NOON + WEEK)
    box.grade(config=due_at(NOON + 3600))
    os.utime(file, (NOON, NOON))
    box.grade(config=due_at(NOON + 3600))
    return box.outcome({"ada": 5.0, "bob": 5.0})


def due_at(seconds: float) -> str:
    due = datetime.fromtimestamp(seconds, ZoneInfo("UTC")).isoformat()
    return f'[deadlines]\n"90" = {due}\n[late]\npercent_per_day = 10\n'


def documented() -> str:
    """The example of settings in the teacher's documentation, for this course."""
    text = (Path(__file__).parents[2] / "docs" / "teaching.md").read_text("utf-8")
    example = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    return example[1].replace('"02"', '"90"')


@kind("settings", "the documented example of names, extensions and times")
def _(box: Box) -> list[str]:
    """Late for everybody; ada has an extension, under her name in the export, and a time that is known."""
    box.put("bob/exercises.py", when=at("2026-12-02T12:00:00"))
    box.put("Ada Lovelace_4711_assignsubmission_file_/exercises.py", when=at("2026-12-09T12:00:00"))
    box.grade(config=documented())
    return box.outcome({"ada": 5.0, "bob": 4.0})


@kind("settings", "the documented extension alone, by either name")
def _(box: Box) -> list[str]:
    config = documented()
    config = config[: config.index("[received")] + config[config.index("[students]") :]
    box.put("bob/exercises.py", when=at("2026-12-02T12:00:00"))
    box.put("Ada Lovelace_4711_assignsubmission_file_/exercises.py", when=at("2026-12-07T12:00:00"))
    box.grade(config=config)
    wrong = box.outcome({"ada": 5.0, "bob": 4.0})
    box.grade(config=config.replace('[extensions."Ada Lovelace_4711"]', "[extensions.ada]"))
    return wrong + box.outcome({"ada": 5.0, "bob": 4.0})


@kind("settings", "graded again without --config")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", when=NOON + WEEK)
    box.grade(config=due_at(NOON + 3600))
    before = box.students()["ada"].total
    _, said = box.grade()
    return box.outcome({"ada": before, "bob": 5.0}) + ([] if before < 5 and "kept" in said else ["nobody says so"])


@kind("settings", "reports with other settings, and then an explanation")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", when=NOON + WEEK)
    box.grade()
    (box.top / "course.toml").write_text(due_at(NOON + 3600))
    box.mi("grade", "report", "-g", box.out, "--config", box.top / "course.toml")
    _, said = box.mi("grade", "explain", "ada", "-g", box.out)
    return [] if "Late" in said else ["the reports and the explanation say different grades"]


SLIPS = {
    "a key that is written wrongly": ("deadline = 1", "Did you mean deadlines"),
    "a key of a table that is written wrongly": ("[late]\npercent_per_days = 10", "Did you mean percent_per_day"),
    "an unknown chapter": ('[deadlines]\n"99" = 2026-11-30', "99"),
    "chapters as one text": ('chapters = "90"', "list"),
    "an extension of somebody who is not there": ('[extensions.adda]\n"90" = 2026-11-30', "Did you mean ada"),
    "a name for somebody who is not there": ('[students]\n"Ada Lovelave_1" = "al"', "Did you mean Ada Lovelace_1"),
    "a share beyond 100 a day": ("[late]\npercent_per_day = 150", "at most 100"),
    "a share beyond 100 at most": ("[late]\nmost_percent = 200", "at most 100"),
    "a negative grace": ("[late]\ngrace_minutes = -5", "not negative"),
    "a share that is no number": ("[late]\npercent_per_day = nan", "not negative"),
    "half an attempt": ("[attempts]\nlimit = 2.5", "whole number"),
    "an unknown zone": ('zone = "Europe/Berlim"', "Europe/Berlin"),
    "a time that is a text": ('[deadlines]\n"90" = "soon"', "must look like"),
}


def slip(text: str, words: str):
    def check(box: Box) -> list[str]:
        box.beside_bob()
        box.put("ada/exercises.py")
        box.put("Ada Lovelace_1_assignsubmission_file_/exercises.py")
        return refused(box, config=text, words=words)

    return check


@kind("settings", "names and an extension for those who are still to come")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.grade(config='[students]\n"Zoe Z_9" = "zoe"\n[extensions.zoe]\n"90" = 2026-12-24\n')
    return box.outcome({"bob": 5.0})


SLIPS |= {
    "a student without a name": ('[students]\nada = ""', "must be a name"),
    "a student who is a list": ("[students]\nada = [1]", "must be a name"),
    "a zone that is another on each computer": ('zone = "localtime"', "no time zone"),
}
for _title, (_text, _words) in SLIPS.items():
    kind("settings", _title)(slip(_text, _words))


@kind("settings", "more points by hand than there are, or fewer than none")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    box.grade()
    wrong = []
    for given in ("800", "-1", "nan", "inf"):
        try:
            box.mi("grade", "adjust", "-g", box.out, "--reason", "x", "--", "ada", "90.1", given)
            wrong.append(f"{given} points are accepted")
        except CourseError as error:
            wrong += [] if "0 to 2" in str(error) else [str(error)]
    return wrong + box.outcome({"ada": 5.0, "bob": 5.0})


@kind("settings", "an adjustment of somebody who is not there")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.grade()
    try:
        box.mi("grade", "adjust", "bbo", "90.1", "1", "--reason", "x", "-g", box.out)
    except CourseError as error:
        return [] if "Did you mean bob" in str(error) else [str(error)]
    return ["it is accepted"]


# -- several answers ------------------------------------------------------------------------------------------------


@kind("answers", "an older whole one and a newer one that is half written")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/old.py", RIGHT)
    box.put("ada/new.py", RIGHT.split("# %% [90.2]")[0], when=NOON + 60)
    box.grade()
    return box.outcome({"ada": 2.0, "bob": 5.0}, {"ada": "new.py was graded, not old.py"})


@kind("answers", "a newer copy that the browser called exercises (1).py")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", TIMES)
    box.put("ada/exercises (1).py", RIGHT, when=NOON + 60)
    box.grade()
    return box.outcome({"ada": 5.0, "bob": 5.0}, {"ada": "exercises (1).py was graded"})


@kind("answers", "copies of one time, of which the last number is the newest")
def _(box: Box) -> list[str]:
    box.beside_bob()
    for name, text in (("exercises.py", TIMES), ("exercises (9).py", TIMES + "# 9"), ("exercises (10).py", RIGHT)):
        box.put(f"ada/{name}", text)
    box.grade()
    return box.outcome({"ada": 5.0, "bob": 5.0}, {"ada": "exercises (10).py was graded"})


@kind("answers", "an untouched stub that is newer than the answer")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/mine.py", RIGHT)
    box.put("ada/ch90_sums/exercises.py", STUB, when=NOON + 60)
    box.grade()
    return box.outcome({"ada": 5.0, "bob": 5.0}, {"ada": "mine.py was graded"})


@kind("answers", "a notebook that is newer than the file")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", TIMES)
    nb = nbformat.writes(notebook.build(index.chapter("90"), RIGHT))
    box.put("ada/sums.ipynb", nb, when=NOON + 60)
    box.grade()
    return box.outcome({"ada": 5.0, "bob": 5.0}, {"ada": "sums.ipynb was graded"})


@kind("answers", "an untouched notebook that is newer than the file")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", RIGHT)
    box.put("ada/sums.ipynb", nbformat.writes(notebook.build(index.chapter("90"), STUB)), when=NOON + 60)
    box.grade()
    return box.outcome({"ada": 5.0, "bob": 5.0}, {"ada": "exercises.py was graded"}, silent=("ada",))


@kind("answers", "two answers in one zip, whose own dates say which is newer")
def _(box: Box) -> list[str]:
    import io
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, year, text in (("a.py", 2026, RIGHT), ("b.py", 2025, TIMES)):
            made.writestr(zipfile.ZipInfo(name, (year, 11, 1, 12, 0, 0)), text)
    box.beside_bob()
    box.put("ada/work.zip", out.getvalue())
    box.grade()
    return box.outcome({"ada": 5.0, "bob": 5.0}, {"ada": "a.py was graded, not b.py"})


# -- runs ------------------------------------------------------------------------------------------------------------


def killed(box: Box, after: int) -> None:
    """A run that ends after so many verdicts, as if it were killed."""
    whole = batch.run

    def dies(*args, **kwargs):
        for number, done in enumerate(whole(*args, **kwargs)):
            if number == after:
                raise SystemExit(137)
            yield done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "run", dies)
        box.grade()


@kind("runs", "a regrade that is killed midway, then a report")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", TIMES)
    box.put("cyd/exercises.py", TIMES + "# cyd")
    box.grade()
    box.mi("grade", "adjust", "cyd", "90.1", "1", "--reason", "idea", "-g", box.out)
    before = {name: student.total for name, student in box.students().items()}
    for name in ("ada", "bob", "cyd"):
        box.put(f"{name}/exercises.py", RIGHT + f"# again {name}", when=NOON + 60)
    killed(box, 3)
    _, said = box.mi("grade", "report", "-g", box.out)
    wrong = box.outcome(before)
    wrong += [] if "not finished" in said else ["nobody says that it is incomplete"]
    box.grade()
    wrong += box.outcome({"ada": 5.0, "bob": 5.0, "cyd": 4.0})
    _, said = box.mi("grade", "report", "-g", box.out)
    return wrong + (["it is still called incomplete"] if "not finished" in said else [])


@kind("runs", "a first run that is killed midway, then a report")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", TIMES)
    killed(box, 1)
    _, said = box.mi("grade", "report", "-g", box.out)
    shown = {name: student.total for name, student in box.students().items()}
    return [f"half a class is shown: {shown}"] if shown and "not finished" not in said else []


@kind("runs", "an adjustment while a run is under way")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", TIMES)
    box.grade()
    box.put("ada/exercises.py", TIMES + "# again", when=NOON + 60)
    whole = batch.run

    def meanwhile(*args, **kwargs):
        with Gradebook(box.out) as other:
            other.adjust("ada", "90.1", 2.0, "meanwhile")
        yield from whole(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "run", meanwhile)
        box.grade()
    return box.outcome({"ada": 3.5, "bob": 5.0})


@kind("runs", "a submission with a problem gives exit code 1, and none gives 0")
def _(box: Box) -> list[str]:
    box.beside_bob()
    clean, _ = box.grade()
    box.put("ada/exercises.py")
    (box.handed_in / "ada" / "more.py").symlink_to("/etc/passwd")
    code, said = box.grade()
    return [] if (clean, code) == (0, 1) and "1 submission with problems" in said else [f"{clean}, {code}: {said}"]


@kind("runs", "lateness over days beyond all that there are points for")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", when=NOON + 99 * WEEK)
    box.grade(config=due_at(NOON + 3600).replace("= 10", "= 33"))
    with Gradebook(box.out) as book:
        found = {student.name: student for student in points.grades(book, book.settings)}
    least = min(grade.points for grade in found["ada"].grades.values())
    return box.outcome({"ada": 0.0, "bob": 5.0}) + ([] if least >= 0 else [f"{least} points"])


@kind("time", "dates of files that no calendar has")
def _(box: Box) -> list[str]:
    for name, when in (("ada", 1e12), ("cyd", -1e12), ("dan", 4e9), ("eve", -62135596800)):
        box.put(f"{name}/exercises.py", when=when)
    box.beside_bob()
    box.grade(config=due_at(NOON + 60) + "days = 7\n")
    return box.outcome({"bob": 5.0, "ada": 5.0, "cyd": 5.0, "dan": 0.0, "eve": 5.0})


@kind("time", "deadlines on the first and the last day of the calendar, in zones on both sides")
def _(box: Box) -> list[str]:
    box.beside_bob()
    wrong = []
    for zone in ("Pacific/Kiritimati", "America/Los_Angeles", ""):
        for day, total in (("0001-01-01", 0.0), ("9999-12-31", 5.0)):
            late = "[late]\npercent_per_day = 100\n"
            box.grade(config=f'zone = "{zone}"\n[deadlines]\n"90" = {day}\n{late}')
            wrong += [f"{zone} {day}: {said}" for said in box.outcome({"bob": total})]
    return wrong


@kind("settings", "a file as Windows' editor saves it")
def _(box: Box) -> list[str]:
    box.put("ada/exercises.py")
    box.beside_bob()
    (box.top / "course.toml").write_bytes(b'\xef\xbb\xbf[students]\r\n"ada" = "Ada"\r\n')
    box.grade(None, "--config", box.top / "course.toml")
    return box.outcome({"Ada": 5.0, "bob": 5.0})


@kind("settings", "reports with a limit of attempts that lets one count which was never graded")
def _(box: Box) -> list[str]:
    box.beside_bob()
    for week, text in enumerate((TIMES, RIGHT)):
        box.put("ada/exercises.py", text, when=NOON + week)
        box.grade(config="[attempts]\nlimit = 1\n")
    wrong = box.outcome({"ada": 1.5, "bob": 5.0}, silent=("ada",))
    (box.top / "course.toml").write_text("[attempts]\nlimit = 2\n")
    box.mi("grade", "report", "-g", box.out, "--config", box.top / "course.toml")
    wrong += box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "attempt 2 counts and is not graded yet"}, silent=("bob",))
    box.grade()
    return wrong + box.outcome({"ada": 5.0, "bob": 5.0}, silent=("ada", "bob"))


@kind("settings", "reports with settings that take effect at the next grading")
def _(box: Box) -> list[str]:
    box.put("ada/exercises.py", TIMES)
    box.beside_bob()
    box.grade()
    (box.top / "course.toml").write_text('carry_forward = true\npolicy = "refuse"\n')
    _, said = box.mi("grade", "report", "-g", box.out, "--config", box.top / "course.toml")
    lost = [
        key for key in ("`carry_forward = true` takes effect", '`policy = "refuse"` takes effect') if key not in said
    ]
    _, again = box.mi("grade", "report", "-g", box.out, "--config", box.top / "course.toml")
    box.grade()
    wrong = [f"it is not said when {key} takes effect" for key in lost] + (
        ["it is said twice"] if "takes effect" in again else []
    )
    return wrong + box.outcome({"ada": 3.0, "bob": 5.0})
