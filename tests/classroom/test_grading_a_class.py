"""From a folder of submissions to verdicts in the gradebook: what is graded, what is not again, what goes wrong."""

from __future__ import annotations

import itertools
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from small_class import ONLY_SMALL, RIGHT, STUB, TIMES

from mi_lib.course import index
from mi_lib.course.classroom import batch, fingerprint, points, report, work
from mi_lib.course.classroom.batch import GivenUp
from mi_lib.course.classroom.config import Config
from mi_lib.course.classroom.gradebook import Gradebook
from mi_lib.course.classroom.grading import alone, grade_class
from mi_lib.course.grading.isolation import LEVELS, IsolationError
from mi_lib.course.grading.marks import GraderTest
from mi_lib.course.grading.verdict import TestResult, Verdict
from mi_lib.course.index import CourseError

pytestmark = pytest.mark.usefixtures("course")
ROOT = Path(__file__).parents[2]


def grades(book: Gradebook, config: Config | None = None) -> dict[str, points.Student]:
    return {student.name: student for student in points.grades(book, config or Config())}


def test_right_wrong_and_untouched_answers(book, handed_in, here):
    done = grade_class(handed_in(ada=RIGHT, bob=TIMES, cyd=STUB), book, Config(), here)
    found = grades(book)
    assert (done.students, done.exercises, done.unchanged) == (3, 6, 0)
    assert {name: student.total for name, student in found.items()} == {"ada": 5.0, "bob": 1.5, "cyd": 0.0}
    assert found["bob"].grades["90.1"].verdict["diagnosis"].startswith("You multiply")
    assert found["cyd"].grades["90.1"].status == "not started"


def test_every_verdict_says_under_which_conditions_it_was_made(book, handed_in, here):
    grade_class(handed_in(ada=RIGHT), book, Config(), here)
    verdict = grades(book)["ada"].grades["90.1"].verdict
    assert verdict["isolation_level"] in LEVELS[1:]
    assert "separate process" in verdict["isolation"]
    assert verdict["version"] == fingerprint.course_version()
    assert [test["points"] for test in verdict["tests"]] == [1.0, 1.0]


def test_a_verdict_without_any_code_run_claims_no_isolation(book, handed_in, here):
    grade_class(handed_in(ada=RIGHT.split("# %% [90.2]")[0]), book, Config(), here)
    verdict = grades(book)["ada"].grades["90.2"].verdict
    assert (verdict["isolation_level"], verdict["isolation"]) == ("none", "none of the code was run")


def test_a_second_run_grades_nothing_and_says_so(book, handed_in, here):
    folder = handed_in(ada=RIGHT, bob=TIMES)
    grade_class(folder, book, Config(), here)
    again = grade_class(folder, book, Config(), here)
    assert (again.exercises, again.unchanged) == (0, 4)
    assert "nothing to grade; 4 unchanged" in again.in_words()


def test_only_what_depends_on_a_change_is_graded_again(book, handed_in, here):
    grade_class(handed_in(ada=RIGHT, bob=RIGHT), book, Config(), here)
    changed = grade_class(handed_in(bob=RIGHT + "\n# a remark in the last section\n"), book, Config(), here)
    assert (changed.exercises, changed.unchanged) == (1, 3)  # bob's 90.2 alone: 90.1 is run without what follows it


def test_a_change_of_the_tests_grades_everybody_again(book, handed_in, here, hidden_tests):
    grade_class(handed_in(ada=RIGHT), book, Config(), here)
    hidden_tests.write_text(hidden_tests.read_text() + "\n# other\n")
    assert grade_class(handed_in(), book, Config(), here).exercises == 2


def test_a_hidden_test_catches_what_the_visible_ones_let_through(book, handed_in, here, hidden_tests):
    grade_class(handed_in(ada=RIGHT, bob=ONLY_SMALL), book, Config(), here)
    ada, bob = (grades(book)[name].grades["90.1"] for name in ("ada", "bob"))
    assert (ada.points, bob.points) == (2.0, 1.0)  # the hidden test weighs as much as the two visible ones
    assert [test["passed"] for test in bob.verdict["tests"]] == [True, True, False]


def test_feedback_of_a_hidden_test_names_the_idea_and_never_the_value(book, handed_in, here, hidden_tests):
    loud = ONLY_SMALL.replace("return a + b if", "print('seen', a)\n    return a + b if")
    raising = ONLY_SMALL.replace("else a", "else int(f'value {a}')")
    grade_class(handed_in(ada=loud, bob=raising), book, Config(), here)
    for student in grades(book).values():
        verdict = student.grades["90.1"].verdict
        shown = [verdict["diagnosis"], verdict["traceback"], verdict["printed"]]
        shown += [test["message"] for test in verdict["tests"]]
        assert "Numbers may be large." in verdict["diagnosis"]
        assert not [text for text in shown if "471" in text]
        assert "471" in verdict["tests"][-1]["detail"]  # which is for the instructor


def test_a_file_with_damaged_markers_is_judged_as_such(book, handed_in, here):
    grade_class(handed_in(ada=RIGHT + RIGHT, bob=RIGHT.split("# %% [90.2]")[0]), book, Config(), here)
    found = grades(book)
    assert "stands twice" in found["ada"].grades["90.1"].verdict["diagnosis"]
    assert found["bob"].total == 2.0
    assert found["bob"].grades["90.2"].status == "not started"


def test_a_submission_that_cannot_be_read_stops_nobody(book, handed_in, here):
    folder = handed_in(ada=RIGHT, bob="nothing of the course")
    done = grade_class(folder, book, Config(), here)
    assert done.refused == 1
    assert grades(book)["ada"].total == 5.0
    assert "answers no exercise" in grades(book)["bob"].problems[0]


def test_a_broken_test_of_the_course_is_tried_again(book, handed_in, here, course):
    tests = course / "chapters" / "ch90_sums" / "test_exercises.py"
    grade_class(handed_in(ada=RIGHT), book, Config(), here)
    key = ("ada", "90.1", grades(book)["ada"].grades["90.1"].verdict["key"])
    verdict = grades(book)["ada"].grades["90.1"].verdict
    with sqlite3.connect(book.path) as other:
        other.execute("UPDATE verdict SET course_fault=1, points=0 WHERE exercise='90.1'")
    assert key not in book.graded()
    assert tests.exists()
    assert grade_class(handed_in(), book, Config(), here).exercises == 1
    assert key in book.graded()
    assert grades(book)["ada"].grades["90.1"].verdict["points"] == verdict["points"]


def test_the_librarys_own_answer_is_flagged_or_refused(book, handed_in, here, course):
    toml = course / "chapters" / "ch90_sums" / "chapter.toml"
    toml.write_text(toml.read_text().replace('defines = ["add"]', 'defines = ["add"]\nanswered_by = ["math:fsum"]'))
    index._parse.cache_clear()
    copied = RIGHT.replace("return a + b", "return math.fsum([a, b])")
    grade_class(handed_in(ada=copied, bob=RIGHT), book, Config(), here)
    assert [student.total for student in grades(book).values()] == [5.0] * 2
    assert "math.fsum (line " in grades(book)["ada"].grades["90.1"].why[0]
    assert grades(book, Config(policy="refuse"))["ada"].grades["90.1"].points == 0.0
    again = grade_class(handed_in(), book, Config(policy="refuse"), here)
    assert (again.exercises, again.unchanged) == (4, 0)  # each had another library to use
    found = grades(book, Config(policy="refuse"))
    assert [found[name].grades["90.1"].points for name in ("ada", "bob")] == [0.0, 2.0]


def test_isolation_that_cannot_be_had_is_refused_by_the_worker(book, handed_in, here, monkeypatch):
    monkeypatch.setattr("mi_lib.course.grading.process.from_child", lambda told: [])
    with pytest.raises(IsolationError, match="'confined' was asked for"):
        grade_class(handed_in(ada=RIGHT), book, Config(), here, require="confined")
    assert not book.graded()


def test_a_grade_below_a_level_that_is_required_later_is_made_again(book, handed_in, here):
    grade_class(handed_in(ada=RIGHT), book, Config(), here)
    assert grade_class(handed_in(), book, Config(), here, require="process").exercises == 2
    assert grade_class(handed_in(), book, Config(), here, require="process").unchanged == 2


def test_the_version_of_the_course_depends_on_the_weights_of_its_models(tmp_path, monkeypatch):
    def version() -> str:
        fingerprint.course_version.cache_clear()
        return fingerprint.course_version()

    weights = tmp_path / "zoo" / "small" / "checkpoints" / "1.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"one")
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint, "_LIBRARY", tmp_path)
        before = version()
        assert version() == before
        weights.write_bytes(b"two")
        assert version() != before
    fingerprint.course_version.cache_clear()


def test_another_version_of_the_course_on_a_worker_is_refused():
    with pytest.raises(CourseError, match="Install the same one"):
        work.grade(work.Task("ada", "90", RIGHT, {}, "0.0+other"))


def test_two_runs_into_one_folder_are_refused(tmp_path):
    with alone(tmp_path / "out"), pytest.raises(CourseError, match="right now"), alone(tmp_path / "out"):
        pass


# -- workers that die -------------------------------------------------------------------------------------------


def deadly(task: work.Task) -> list[dict]:
    """A worker's function that the text "die" ends."""
    if task.text == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task.text == "raise":
        raise RuntimeError("oh")
    if task.text == "memory":
        bytearray(batch.JUDGE_BYTES)
    return [{"of": task.student}]


def test_a_task_that_kills_its_worker_is_given_up_alone():
    texts = {"ada": "fine", "bob": "die", "cyd": "raise", "dan": "fine", "eve": "fine", "fay": "memory"}
    tasks = [work.Task(name, "90", text, {}, "") for name, text in texts.items()]
    found = {task.student: results for task, results in batch.run(tasks, batch.processes(2), deadly)}
    assert {name for name, results in found.items() if isinstance(results, GivenUp)} == {"bob", "cyd", "fay"}
    assert "MemoryError" in found["fay"].reason
    assert "ended twice" in found["bob"].reason
    assert found["eve"] == [{"of": "eve"}]


def endless(task: work.Task) -> list[dict]:
    """A judge that computes for ever, below Python where no signal handler would get a turn, if the text says so."""
    with work.limited(0.3):
        if task.text == "hang":
            sum(itertools.repeat(0))
    return [{"of": task.student}]


def test_a_judge_that_hangs_costs_one_exercise():
    texts = {"ada": "fine", "bob": "hang", "cyd": "fine"}
    tasks = [work.Task(name, "90", text, {}, "") for name, text in texts.items()]
    found = {task.student: results for task, results in batch.run(tasks, batch.processes(1), endless)}
    assert {name for name, results in found.items() if isinstance(results, GivenUp)} == {"bob"}
    assert "ended twice" in found["bob"].reason


def test_a_submission_that_was_given_up_is_named_and_tried_again(book, handed_in, here, monkeypatch):
    folder = handed_in(ada=RIGHT)
    monkeypatch.setattr(work, "_verdict", lambda *_: 1 / 0)
    done = grade_class(folder, book, Config(), here)
    assert done.given_up == 2
    assert "could not be graded" in grades(book)["ada"].problems[0]
    monkeypatch.undo()
    monkeypatch.setenv("MI_COURSE_ROOT", str(folder.parent / "course"))
    assert grade_class(folder, book, Config(), here).given_up == 0
    assert not grades(book)["ada"].problems


@pytest.mark.slow
def test_a_grader_that_is_killed_loses_nothing_and_doubles_nothing(handed_in, tmp_path):
    names = [f"student{i}" for i in range(8)]
    folder = handed_in(**{name: RIGHT.replace("a + b", f"a + b  # {name}") for name in names})
    command = [sys.executable, "-m", "mi_lib.cli", "grade", str(folder), "-o", str(tmp_path / "out"), "--jobs", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    book = tmp_path / "out" / "gradebook.sqlite"

    def stored() -> list[tuple]:
        with sqlite3.connect(book) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name='verdict'").fetchone():
                return []  # the file is there before its tables are
            return db.execute("SELECT student, exercise, key, graded_at FROM verdict").fetchall()

    kept: list[tuple] = []
    for fraction in (0.2, 0.6):
        run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while run.poll() is None and time.monotonic() < until:  # killed when about so much is stored
            time.sleep(random.uniform(0.01, 0.05))
            if book.exists() and len(kept) < 16 * fraction <= len(stored()):
                break
        run.kill()
        run.wait()
        assert set(kept) <= set(stored())  # nothing is lost, and nothing was made a second time
        kept = stored()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert set(kept) <= set(stored())
    assert len(stored()) == len({row[:2] for row in stored()}) == 16


def test_of_a_hidden_test_a_learner_reads_one_bit(book, handed_in, here, hidden_tests, tmp_path):
    """Whether it ended by a wrong number, an exception, the end of the process or late: the same pages."""
    ends = ("0.0", "1 / 0", "__import__('os')._exit(3)", "__import__('time').sleep(.3)")
    texts = {f"zq{i}": ONLY_SMALL.replace("else a", f"else {end}") for i, end in enumerate(ends)}
    grade_class(handed_in(**texts), book, Config(), here)
    students = points.grades(book, Config())
    verdicts = {s.name: s.grades["90.1"].verdict for s in students}
    assert verdicts["zq2"]["ending"] != verdicts["zq0"]["ending"]  # which the instructor reads
    assert verdicts["zq3"]["seconds"] - verdicts["zq3"]["for_learner"]["seconds"] > 0.3
    for verdict in verdicts.values():  # what the text gives away is no secret, nor what the visible tests took
        verdict |= {"signs": [], "graded_at": 0.0, "isolation": "alike, but for the number of its user"}
        verdict["for_learner"]["seconds"] = 0.0
    for student in students:
        student.grades = {"90.1": student.grades["90.1"]}
    report.write(students, tmp_path / "out", ("html", "gradescope"))
    folders = [("students", "html"), ("gradescope", "json")]
    for folder, ending in folders:
        pages = [(tmp_path / "out" / folder / f"{s.name}.{ending}").read_text().replace(s.name, "X") for s in students]
        assert len(set(pages)) == 1


def test_a_student_or_an_exercise_is_graded_once_more_on_request(book, handed_in, here):
    folder = handed_in(ada=RIGHT, bob=TIMES)
    grade_class(folder, book, Config(), here)
    before = {place: verdict["graded_at"] for place, verdict in book.verdicts().items()}
    assert grade_class(folder, book, Config(), here, again=["ada"]).exercises == 2
    assert grade_class(folder, book, Config(), here, again=["90.2"]).exercises == 2
    after = {place: verdict["graded_at"] for place, verdict in book.verdicts().items()}
    newer = {(place[0], place[3]) for place in after if after[place] > before[place]}
    assert newer == {("ada", "90.1"), ("ada", "90.2"), ("bob", "90.2")}
    assert {name: student.total for name, student in grades(book).items()} == {"ada": 5.0, "bob": 1.5}
    for slip, meant in {"adda": "ada", "90.3": "90."}.items():
        with pytest.raises(CourseError, match=f"is of '{slip}', so nothing is graded again. Did you mean {meant}"):
            grade_class(folder, book, Config(), here, again=["ada", slip])


def test_two_names_of_one_student_are_merged_for_good(book, handed_in, here):
    grade_class(handed_in(ada=TIMES, **{"Ada L_1": RIGHT}), book, Config(), here, keep=Config())
    book.adjust("Ada L_1", "90.1", 1.0, "by hand")
    book.merge("Ada L_1", "ada")
    assert [(a.student, a.number) for a in book.attempts()] == [("ada", 1), ("ada", 2)]
    assert grades(book, book.settings)["ada"].grades["90.1"].points == 1.0
    grade_class(handed_in(), book, book.settings, here)
    assert list(book.students()) == ["ada"]
    book.remove("ada")
    assert not book.students()
    assert not book.attempts()
    assert not book.adjustments()
    with pytest.raises(CourseError, match="no student"):
        book.remove("ada")


def test_an_endless_loop_costs_its_time_once(monkeypatch):
    """The hidden tests are not run after the visible ones have used up the time, though one of those passed."""
    exercise = index.exercise("90.1")
    secret = GraderTest("90.1", "test_other", "Other numbers.", 1.0, print, Path("tests_hidden.py"))
    monkeypatch.setattr(work.hidden, "tests_of", lambda exercise: [secret])
    passed, hung = (TestResult(name, name, name == "a", "", 1.0, 0.1, "failed") for name in "ab")
    verdict = Verdict("90.1", "timed out", 2.0, 4.0, tests=[passed, hung], ending="timed out")
    calls = []

    class Once:
        def grade(self, text, exercise, **how):
            calls.append(how)
            return verdict

    monkeypatch.setattr(work, "_grader", lambda task: Once())
    task = work.Task("ada", "90", RIGHT, {"90.1": "key"}, "")
    told = work._verdict(task, exercise)
    assert calls == [{}]
    assert ["was not run" in test["message"] for test in told["tests"] if test["hidden"]] == [True]


def test_a_worker_has_limits_of_memory_and_of_time():
    with batch.processes(1).open() as pool:
        memory, seconds = pool.submit(limits_of_a_worker).result()
    assert memory <= batch.JUDGE_BYTES
    assert seconds == batch.JUDGE_SECONDS
    assert work.judge_seconds == 0, "this process is not a worker's to end"


def limits_of_a_worker() -> tuple[int, float]:
    return resource.getrlimit(resource.RLIMIT_AS)[0], work.judge_seconds
