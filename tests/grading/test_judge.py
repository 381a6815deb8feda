"""What a learner is told: right, wrong, not written yet, broken, and where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_chapter import RIGHT, TinyChapter, TinyExercise

from mi_lib.course.grading import Grader, forkserver, run_here


def test_a_right_answer_passes_with_all_its_points(grade):
    verdict = grade(RIGHT)
    assert (verdict.status, verdict.passed, verdict.points, verdict.max_points) == ("passed", True, 8, 8)
    assert [t.title for t in verdict.tests] == ["A vector is doubled.", "A matrix is doubled."]
    assert verdict.diagnosis == verdict.traceback == ""


def test_a_known_mistake_is_told_with_its_sentence_and_costs_its_share(grade):
    verdict = grade("def double(x):\n    return x**2 if x.ndim == 2 else 2 * x")
    assert (verdict.status, verdict.points) == ("failed", 2)  # one of four parts by weight
    assert verdict.diagnosis == "You squared it; doubling is x + x."


def test_the_stub_is_not_started_and_shows_no_traceback(grade):
    verdict = grade('def double(x):\n    raise NotImplementedError("Exercise 01.1: double")')
    assert (verdict.status, verdict.points, verdict.traceback) == ("not started", 0, "")
    assert "Exercise 01.1 is not written yet" in verdict.diagnosis


def test_an_exercise_that_calls_an_unwritten_one_says_which(grade):
    source = RIGHT.replace("return 2 * x", 'raise NotImplementedError("Exercise 01.1: double")')
    verdict = grade(source, "01.2")
    assert verdict.status == "not started"
    assert "calls your own answer to 01.1, which is not written yet" in verdict.diagnosis


def test_an_exercise_that_calls_a_broken_one_says_which(grade):
    verdict = grade(RIGHT.replace("def double(x):", "def double(x:"), "01.2")
    assert verdict.status == "error"
    assert "uses double from your section 01.1" in verdict.diagnosis
    assert "Mend 01.1 first" in verdict.diagnosis


def test_a_syntax_error_in_another_section_does_not_matter(grade):
    assert grade(RIGHT.replace("def sum_of_doubles(x):", "def sum_of_doubles(x:"), "01.1").passed
    assert grade("# %% [setup]\n# %% [01.0]\ndef other(:\n# %% [01.1]\ndef double(x):\n    return x + x\n").passed


def test_later_sections_are_not_executed(grade):
    assert grade(RIGHT + "\n# %% [01.9]\nraise SystemExit(3)\n", "01.2").passed


def test_a_syntax_error_in_the_section_itself_names_the_line_of_the_file(grade):
    verdict = grade(RIGHT.replace("def double(x):", "def double(x:"))
    assert verdict.status == "error"
    assert "SyntaxError" in verdict.diagnosis
    assert "line 5" in verdict.diagnosis


def test_an_exception_shows_the_learners_lines_only_with_their_numbers(grade):
    source = RIGHT.replace("return 2 * x", "return helper(x)\n\ndef helper(x):\n    return x.reshape(7, 7)")
    verdict = grade(source)
    assert verdict.status == "error"
    assert "on line 9 of your file" in verdict.diagnosis
    assert 'File "exercises.py", line 6, in double' in verdict.traceback
    assert 'File "exercises.py", line 9, in helper' in verdict.traceback
    assert "mi_lib" not in verdict.traceback


def test_a_missing_name_is_told(grade):
    verdict = grade("def dubble(x):\n    return 2 * x")
    assert verdict.status == "failed"
    assert "There is no double in your section 01.1" in verdict.diagnosis


def test_a_missing_section_is_told(grade):
    verdict = grade("# %% [setup]\nimport torch\n")
    assert "It belongs into the section that starts with `# %% [01.1]`" in verdict.diagnosis


def test_a_doubled_section_is_told(grade):
    assert "stands twice" in grade(RIGHT + RIGHT).diagnosis


def test_a_missing_return_is_told(grade):
    assert "Is a `return` missing" in grade("def double(x):\n    2 * x").diagnosis


def test_functions_modules_and_objects_stay_with_the_learner_behind_handles(grade):
    source = """
def make_adder(n):
    return lambda x: x + n

class Counter:
    def __init__(self, n):
        self.n = n
    def up(self):
        self.n += 1

def read(counter):
    return counter.n

def layer():
    layer = torch.nn.Linear(2, 2)
    torch.nn.init.ones_(layer.weight)
    return layer
"""
    verdict = grade(source, "01.3")
    assert verdict.passed, verdict.diagnosis


def test_a_library_function_crosses_by_its_name(grade):
    source = "import mi_lib\nNAMES = mi_lib.zoo.names()\ndef apply(f, args):\n    return f(*args)"
    assert grade(source, "01.5").passed


def test_a_bug_in_the_courses_own_test_is_told_as_ours(grade):
    verdict = grade("def double(x):\n    return x", "01.4")
    assert verdict.course_fault
    assert verdict.status == "error"
    assert "A test of the course broke (KeyError: 'ours'" in verdict.diagnosis
    assert "not counted as your mistake" in verdict.diagnosis


def test_the_sentence_that_says_most_leads_whichever_test_it_comes_from(grade):
    verdict = grade("def double(x):\n    return x**2 if x.ndim == 2 else x[9]")
    assert [test.status for test in verdict.tests] == ["error", "failed"]
    assert verdict.diagnosis == "You squared it; doubling is x + x."
    assert verdict.status == "failed"
    assert verdict.traceback == ""
    verdict = grade("def double(x):\n    return 3 * x if x.ndim == 2 else x[9]")
    assert verdict.diagnosis.startswith("The double is wrong at 5 of 6 places")


def test_what_is_printed_is_shown_without_control_characters(grade):
    printing = "print('10%\\r20%\\rdone \\x1b[31mred\\x1b[0m é')"
    verdict = grade(f"def double(x):\n    {printing}\n    os.write(2, b'raw\\n')\n    return 2 * x")
    assert verdict.passed
    assert verdict.printed == "done red é\nraw\n" * 2


@pytest.mark.parametrize("call", ["input('? ')", "breakpoint()"])
def test_waiting_for_the_keyboard_is_told_instead_of_hanging(grade, call):
    verdict = grade(f"def double(x):\n    {call}\n    return 2 * x")
    assert verdict.status == "error"
    assert "nobody is there to type" in verdict.diagnosis


def test_random_numbers_are_the_same_in_every_run(grade):
    source = "import random\ndef double(x):\n    print(random.random(), torch.rand(1).item())\n    return 2 * x"
    first, second = grade(source).printed, grade(source).printed
    assert first == second
    assert first.splitlines()[0] == first.splitlines()[1]  # and in every test


def test_from_future_imports_of_the_setup_hold_in_later_sections(grade):
    source = (
        "# %% [setup]\nfrom __future__ import annotations\n# %% [01.1]\ndef double(x: Undefined):\n    return 2 * x\n"
    )
    assert grade(source).passed


def test_a_verdict_is_plain_data(grade):
    data = json.loads(json.dumps(grade(RIGHT).to_dict()))
    assert data["passed"] is True
    assert data["tests"][0]["title"] == "A vector is doubled."


def test_a_verdict_says_which_isolation_was_in_force(grade):
    words = "; ".join(grade(RIGHT, time_limit=7).isolation)
    for part in ("separate process", "time limit 7 s", "output limit 10 MB", "file size limit", "private empty folder"):
        assert part in words
    if sys.platform.startswith("linux"):
        assert "memory limit" in words


def test_changed_tests_are_read_again(grader, tmp_path):
    folder = tmp_path / "ch09_new"
    folder.mkdir()
    tests = folder / "test_exercises.py"
    head = "from mi_lib.course.grading import expect_equal, grades\n@grades('09.1')\ndef test_it(answer):\n"
    exercise = TinyExercise("09.1", TinyChapter(folder))
    tests.write_text(f"{head}    expect_equal(answer.N, 1, 'N')\n")
    assert grader.grade("# %% [09.1]\nN = 2", exercise).diagnosis == "N should be 1, but your code gave 2."
    tests.write_text(f"{head}    expect_equal(answer.N, 2, 'N')\n")
    os.utime(tests, ns=(1, 1))
    assert grader.grade("# %% [09.1]\nN = 2", exercise).passed


def test_a_file_is_read_from_its_path_and_named_in_the_traceback(grader, chapter, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(RIGHT.replace("return 2 * x", "return 1 / 0"))
    assert 'File "mine.py", line 6' in grader.grade(file, TinyExercise("01.1", chapter)).traceback


@pytest.mark.parametrize(("content", "sentence"), [(None, "There is no file"), (b"\xff\xfe\x00", "not UTF-8 text")])
def test_a_file_that_cannot_be_read_is_told(grader, chapter, tmp_path, content, sentence):
    file = tmp_path / "mine.py"
    if content is not None:
        file.write_bytes(content)
    assert sentence in grader.grade(file, TinyExercise("01.1", chapter)).diagnosis


def test_an_exercise_without_tests_is_our_fault(grader, chapter):
    verdict = grader.grade(RIGHT, TinyExercise("01.99", chapter))
    assert verdict.course_fault
    assert not verdict.passed


def test_debugging_runs_the_same_tests_in_this_process(chapter, capsys):
    source = RIGHT.replace("return 2 * x", "print('pid', __import__('os').getpid()); return 2 * x")
    assert run_here(source, TinyExercise("01.1", chapter)).passed
    assert f"pid {os.getpid()}" in capsys.readouterr().out
    assert "The double" in run_here(RIGHT.replace("2 * x", "-x"), TinyExercise("01.1", chapter)).diagnosis


def test_importing_the_package_is_cheap():
    code = "import sys, mi_lib.course.grading as g; g.grades; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.slow
def test_all_that_the_server_imports_is_there_and_starts_no_thread():
    code = """
import importlib, os, sys
from mi_lib.course.grading import server
for name in (*server._PRELOAD, *server._LATER):
    importlib.import_module(name)
from huggingface_hub import constants
tasks = len(os.listdir("/proc/self/task")) if sys.platform.startswith("linux") else 1  # a fork would lose the others
print(tasks, os.path.isabs(constants.HF_HUB_CACHE))  # where a run keeps what it fetches: in its own folder
"""
    command = [sys.executable, "-P", "-c", code]
    result = subprocess.run(command, env=forkserver.environment(), capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", "False"]


def test_the_same_tests_run_under_pytest(chapter, tmp_path):
    conftest = Path(__file__).parents[2] / "chapters" / "conftest.py"
    (chapter.folder.parent / "conftest.py").write_text(conftest.read_text())
    mine = tmp_path / "mine.py"
    mine.write_text(RIGHT.replace("return 2 * x", "return x**2"))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(chapter.folder)]
    command += ["-k", "doubling", "--submission", str(mine)]
    out = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=plain_environment())
    assert out.returncode == 1, out.stdout + out.stderr
    assert "2 failed" in out.stdout
    assert "You squared it; doubling is x + x." in out.stdout


def test_pytest_without_a_submission_says_what_to_do(chapter, tmp_path):
    conftest = Path(__file__).parents[2] / "chapters" / "conftest.py"
    (chapter.folder.parent / "conftest.py").write_text(conftest.read_text())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(chapter.folder)]
    out = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=plain_environment())
    assert out.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--submission=FILE" in out.stderr


HOSTILE = "import pathlib\npathlib.Path(__file__).with_name('loaded').touch()\n"


@pytest.mark.parametrize("as_one_word", [True, False])
def test_a_conftest_beside_the_submission_is_not_loaded_by_pytest(chapter, tmp_path, as_one_word):
    root = Path(__file__).parents[2]
    (chapter.folder.parent / "conftest.py").write_text((root / "chapters" / "conftest.py").read_text())
    (tmp_path / "mine.py").write_text(RIGHT)
    (tmp_path / "conftest.py").write_text(HOSTILE)
    option = [f"--submission={tmp_path / 'mine.py'}"] if as_one_word else ["--submission", str(tmp_path / "mine.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *option, str(chapter.folder)]
    command += ["-k", "doubling", "-c", str(root / "pyproject.toml")]
    out = subprocess.run(command, capture_output=True, text=True, cwd=root, env=plain_environment())
    assert not (tmp_path / "loaded").exists()
    assert out.returncode == 0, out.stdout + out.stderr
    assert "2 passed" in out.stdout


def test_settings_that_came_with_a_submission_are_refused_by_pytest(chapter, tmp_path):
    folder = tmp_path / "handed_in"
    folder.mkdir()
    (folder / "mine.py").write_text(RIGHT)
    (folder / "conftest.py").write_text(HOSTILE)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    command = [sys.executable, "-m", "pytest", "-p", "mi_lib.course.grading.pytest_option"]  # as where it is installed
    command += ["--submission", str(folder / "mine.py"), str(chapter.folder)]
    out = subprocess.run(command, capture_output=True, text=True, cwd=chapter.folder, env=plain_environment())
    assert out.returncode == pytest.ExitCode.USAGE_ERROR, out.stdout + out.stderr
    assert "came with the submission" in out.stdout + out.stderr
    assert not (folder / "loaded").exists()


def test_two_threads_may_grade_at_once(grader: Grader, chapter):
    from concurrent.futures import ThreadPoolExecutor

    sources = [RIGHT, RIGHT.replace("2 * x", "x**2")] * 3
    with ThreadPoolExecutor(3) as pool:
        verdicts = list(pool.map(lambda s: grader.grade(s, TinyExercise("01.1", chapter)), sources))
    assert [v.passed for v in verdicts] == [True, False] * 3


def test_an_import_that_fails_in_the_setup_is_told_where_it_is_missed(grade):
    verdict = grade("# %% [setup]\nimport nonesuch\n# %% [01.1]\ndef double(x):\n    return nonesuch.double(x)\n")
    assert "uses nonesuch from your section setup" in verdict.diagnosis
    assert "line 2 of your file" in verdict.diagnosis


def test_only_the_graded_sections_printing_is_shown(grade):
    source = RIGHT.replace("def double", "print('noise')\ndef double").replace(
        "def sum_of", "print('mine')\ndef sum_of"
    )
    assert grade(source, "01.2").printed == "mine\n"


def test_a_test_file_that_cannot_be_imported_is_our_fault(grader, tmp_path):
    (tmp_path / "test_exercises.py").write_text("import nonesuch")
    verdict = grader.grade(RIGHT, TinyExercise("01.1", TinyChapter(tmp_path)))
    assert verdict.course_fault
    assert "This is our fault" in verdict.diagnosis


def test_a_plain_assert_of_a_test_about_the_answer_is_a_failure_not_a_fault(grader, tmp_path):
    (tmp_path / "test_exercises.py").write_text(
        "from mi_lib.course.grading import grades\n"
        "@grades('01.1')\ndef test_it(answer):\n    '''Four.'''\n    assert answer.double(2) == 4\n"
    )
    exercise = TinyExercise("01.1", TinyChapter(tmp_path))
    assert grader.grade(RIGHT, exercise).passed
    verdict = grader.grade(RIGHT.replace("2 * x", "x + 3"), exercise)
    assert (verdict.status, verdict.diagnosis) == ("failed", "This does not hold: Four.")


def plain_environment() -> dict[str, str]:
    """Without a workspace, and without the plugins that this suite has (they take seconds to import)."""
    kept = {k: v for k, v in os.environ.items() if k != "MI_WORKSPACE" and not k.startswith("PYTEST")}
    return kept | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
