"""The command `mi`: what it prints, what it writes, and exit codes that a script can trust."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import types
import urllib.request
from pathlib import Path

import pytest

from mi_lib import cli
from mi_lib.cli import learning
from mi_lib.course import exercise, sections
from mi_lib.course.workspace import Workspace


@pytest.fixture(scope="module")
def warm():
    """One grader for all tests here; starting one takes a second."""
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


@pytest.fixture
def mi(course, warm, monkeypatch, capsys):
    """Run `mi` in this process: mi("check", "90.1") -> (exit code, stdout, stderr)."""
    import mi_lib.course.grading

    class Shared:
        def __enter__(self):
            return warm

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(mi_lib.course.grading, "Grader", Shared)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str):
        monkeypatch.setattr(sys, "argv", ["mi", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return stop.value.code, out, err

    return run


@pytest.fixture
def work(mi):
    mi("init")
    return Workspace.open()


def answer(work, section, body):
    path = work.file("90")
    path.write_text(sections.replace(path.read_text(), section, body))


RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a * b\n"


def test_help_comes_at_once():
    before = _seconds_of_children()
    shown = subprocess.run([sys.executable, "-m", "mi_lib.cli", "--help"], capture_output=True, text=True, check=True)
    took = _seconds_of_children() - before
    assert "Exit codes" in shown.stdout
    # Processor time: however busy the machine is. 0.1 s measured; the bound leaves no room for importing torch.
    assert took < 1.0


def _seconds_of_children() -> float:
    used = os.times()
    return used.children_user + used.children_system


COMMANDS = (
    "init list check watch hint solution reset notebook app doctor zoo_list zoo_verify dev_build dev_check dev_measure"
)


@pytest.mark.parametrize("command", [name.replace("_", " ") for name in COMMANDS.split()])
def test_every_command_explains_itself_with_an_example(mi, command):
    code, out, _ = mi(*command.split(), "--help")
    assert code in (0, None)
    assert f"\n  mi {command}" in out


def test_init_makes_a_workspace_and_says_where_to_begin(mi, tmp_path):
    code, out, _ = mi("init")
    assert code == 0
    assert (tmp_path / "work" / "ch90_sums" / "exercises.py").exists()
    assert "mi watch 90" in out


def test_check_without_a_name_takes_the_next_exercise(mi, work):
    code, out, _ = mi("check")
    assert (code, "90.1 Add: waiting for your answer" in out) == (1, True)
    answer(work, "90.1", RIGHT)
    assert mi("check")[0] == 0
    assert "90.2" in mi("check")[1]


def test_check_without_a_name_goes_on_with_what_was_checked_last(mi, work):
    mi("check", "90.2")
    code, out, _ = mi("check")
    assert (code, "90.2 Add three" in out) == (1, True)
    answer(work, "90.1", RIGHT)
    answer(work, "90.2", "def add_three(a, b, c):\n    return a + b + c\n")
    mi("check", "90.2")
    assert "90.1 Add" in mi("check")[1]


def test_isolation_is_one_line_unless_more_is_asked_for(mi, work):
    answer(work, "90.1", RIGHT)
    short, long = mi("check", "90.1")[1], mi("check", "90.1", "--verbose")[1]
    assert short.splitlines()[-1].startswith("Isolation: ")
    assert "time limit" not in short
    assert "time limit" in long


def test_a_wrong_answer_is_told_what_is_wrong_and_exits_with_1(mi, work):
    answer(work, "90.1", WRONG)
    code, out, _ = mi("check", "90.1")
    assert code == 1
    assert "You multiply; a sum needs +." in out
    assert "mi hint 90.1" in out


def test_a_word_of_the_course_is_explained_and_one_like_it_is_named(course, mi):
    entry = '[[term]]\nname = "sum"\nwhere = "90.1"\ntext = "What *adding* gives."\nforms = ["adding"]\n'
    (course / "chapters" / "glossary.toml").write_text(entry)
    code, out, _ = mi("word", "sums")
    assert code == 0
    assert out.split("\n")[:2] == ["sum   also: adding", "What adding gives."]
    assert mi("word")[1] == "sum\n"
    code, _, err = mi("word", "summ")
    assert code == 2
    assert "Near it: sum" in err


def test_a_chapter_is_passed_only_when_all_of_it_is(mi, work):
    answer(work, "90.1", RIGHT)
    assert mi("check", "90")[0] == 1
    answer(work, "90.2", "def add_three(a, b, c):\n    return a + b + c\n")
    code, out, _ = mi("check", "90")
    assert code == 0
    assert "5 of 5 points" in out
    assert mi("check")[1] == "Every exercise is solved. Well done!\n"


def test_json_holds_the_verdicts_and_nothing_else(mi, work):
    answer(work, "90.1", "def add(a, b):\n    print('hello')\n    return a + b\n")
    code, out, _ = mi("check", "90", "--json")
    facts = json.loads(out)
    assert code == 1
    assert (facts["passed"], facts["points"], facts["max_points"]) == (False, 2, 5)
    assert [e["status"] for e in facts["exercises"]] == ["passed", "not started"]
    assert "hello" in facts["exercises"][0]["printed"]


@pytest.fixture
def attempt(mi, warm, monkeypatch):
    """`mi`, with the shared grader for `mi try` too."""
    from mi_lib.course import checks

    monkeypatch.setattr(checks, "Grader", lambda: warm)
    monkeypatch.setattr(checks.Checks, "close", lambda _: None)
    return mi


def test_lines_are_tried_beside_the_answer_and_nothing_is_recorded(attempt, work):
    answer(work, "90.1", RIGHT)
    code, out, _ = attempt("try", "90.1", "print('so')\nadd(2, 3)")
    assert (code, out) == (0, "so\n5\n")
    assert attempt("try", "90.1", "add(2)")[0] == 1
    assert json.loads(attempt("list", "90", "--json")[1])[0]["exercises"][0]["attempts"] == 0
    assert work.scratch_text(exercise("90.1")) is None  # lines of the command line replace none that are kept


def test_without_lines_the_scratch_cell_is_run_and_kept(attempt, work):
    answer(work, "90.1", RIGHT)
    code, out, err = attempt("try", "90.1")
    assert code == 0
    assert "# add(a, b)" in out
    assert str(work.scratch(exercise("90.1"))) in err
    work.write_scratch(exercise("90.1"), "add(4, 5)\n")
    assert attempt("try", "90.1")[1].endswith("\n9\n")
    told = json.loads(attempt("try", "90.1", "--json")[1])
    assert [shown["more"] for shown in told["shown"]] == ["9"]


def test_lines_may_come_from_a_file(attempt, work, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 + 1"))
    assert attempt("try", "90.1", "-")[1] == "2\n"


def test_ctrl_c_ends_what_is_tried_and_waits_for_what_it_has_printed():
    class Endless:
        seconds, stopped = 1.0, False

        def wait(self, _):
            if not self.stopped:
                raise KeyboardInterrupt
            return True

        def stop(self):
            self.stopped = True

    running = Endless()
    learning._wait_for(running)
    assert running.stopped


def test_progress_is_listed(mi, work):
    answer(work, "90.1", RIGHT)
    mi("check", "90.1")
    rows = json.loads(mi("list", "--json")[1])
    assert [(e["id"], e["passed"], e["attempts"]) for e in rows[0]["exercises"]] == [
        ("90.1", True, 1),
        ("90.2", False, 0),
    ]
    assert "Induction heads" in mi("list")[1]
    assert "Add three" in mi("list", "90")[1]


def test_a_file_of_someone_else_is_graded_and_not_recorded(mi, work, tmp_path):
    answer(work, "90.1", RIGHT)
    (tmp_path / "theirs.py").write_text(work.text("90"))
    answer(work, "90.1", WRONG)
    assert mi("check", "90.1", "--file", str(tmp_path / "theirs.py"))[0] == 0
    assert "2 of 5 points" in mi("check", "--file", str(tmp_path / "theirs.py"))[1]
    assert not json.loads(mi("list", "--json")[1])[0]["exercises"][0]["passed"]


def test_a_notebook_is_graded_like_the_file_and_its_answers_are_carried_over(mi, work, tmp_path):
    answer(work, "90.1", RIGHT)
    target = str(tmp_path / "x.ipynb")
    assert mi("notebook", "90", "-o", target, "--with-answers")[0] == 0
    assert mi("check", "90.1", "--file", target)[0] == 0
    assert mi("check", "--file", target)[0] == 1
    answer(work, "90.1", WRONG)
    code, out, _ = mi("notebook", "90", "--into-workspace", target)
    assert (code, "Carried over: 90.1" in out) == (0, True)
    assert mi("check", "90.1")[0] == 0


def test_a_file_that_answers_nothing_is_explained(mi, tmp_path):
    (tmp_path / "other.py").write_text("x = 1\n")
    code, _, err = mi("check", "--file", str(tmp_path / "other.py"))
    assert (code, "answers no exercise" in err) == (2, True)


def test_a_notebook_goes_into_the_workspace_unless_told_otherwise(mi, work):
    assert mi("notebook", "90")[0] == 0
    assert (work.path / "ch90_sums" / "ch90_sums.ipynb").exists()
    code, _, err = mi("notebook", "90")
    assert (code, "may hold answers" in err) == (2, True)


def test_hints_come_one_by_one(mi, work):
    assert "What is a sum?" in mi("hint", "90.1")[1]
    assert "Use +." in mi("hint", "90.1")[1]
    assert "the last hint" in mi("hint", "90.1")[1]
    assert "return add(add(a, b), c)" in mi("hint", "90.2", "--all")[1]


def test_the_solution_is_shown_after_a_pass_or_when_insisted_on(mi, work):
    code, out, err = mi("solution", "90.1")
    assert (code, out) == (2, "")
    assert "mi solution 90.1 --yes" in err
    assert "return a + b" in json.loads(mi("solution", "90.1", "--yes", "--json")[1])["solution"]
    assert json.loads(mi("list", "--json")[1])[0]["exercises"][0]["solution_seen"]
    answer(work, "90.2", "def add_three(a, b, c):\n    return a + b + c\n")
    mi("check", "90.2")
    code, out, _ = mi("solution", "90.2")
    assert code == 0
    assert "return add(add(a, b), c)" in out
    assert "BEGIN SOLUTION" not in out


def test_a_copy_without_solutions_says_so_and_promises_none(mi, work, course):
    (course / "solutions" / "ch90_sums" / "exercises.py").unlink()
    code, _, said = mi("solution", "90.1")
    assert (code, "came without solutions" in said, "--yes" in said) == (2, True, False)


def test_a_solution_that_goes_into_a_file_is_the_code_to_the_letter(mi, work, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")  # nothing is broken at a margin
    shown = json.loads(mi("solution", "90.2", "--yes", "--json")[1])["solution"]
    assert mi("solution", "90.2", "--yes")[1] == shown.rstrip() + "\n"


def test_a_reset_says_where_the_answer_went(mi, work):
    answer(work, "90.1", WRONG)
    mine = work.text("90")
    code, out, _ = mi("reset", "90.1")
    backup = out.split("before: ")[1].strip()
    assert code == 0
    assert Path(backup).read_text() == mine
    assert "NotImplementedError" in work.text("90")


def test_debugging_runs_in_this_process_and_records_nothing(mi, work):
    answer(work, "90.1", "def add(a, b):\n    import os\n    print('pid', os.getpid())\n    return a + b\n")
    code, out, _ = mi("check", "90.1", "--debug")
    assert code == 0
    assert f"pid {os.getpid()}" in out
    assert "no grade was recorded" in out
    assert json.loads(mi("list", "--json")[1])[0]["exercises"][0]["attempts"] == 0


@pytest.mark.slow
def test_a_breakpoint_stops_in_the_learners_file(course, tmp_path):
    work = Workspace.init()
    answer(work, "90.1", "def add(a, b):\n    breakpoint()\n    return a + b\n")
    command = [sys.executable, "-m", "mi_lib.cli", "check", "90.1", "--debug"]
    shown = subprocess.run(command, input="p a + b\nc\np a + b\nc\n", capture_output=True, text=True, timeout=60)
    assert "exercises.py" in shown.stdout
    assert "5.0" in shown.stdout
    assert shown.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "03"], "Chapter 03 (Grokking modular addition) is planned but not here yet"),
        (["check", "90.9"], "has no exercise 90.9"),
        (["check", "abc"], "There is no chapter 'abc'"),
        (["check", "90", "--file", "nowhere.py"], "There is no file nowhere.py"),
        (["check", "--file", "some.py"], "There is no file some.py"),
        (["check", "90", "--debug"], "one exercise at a time"),
        (["hint", "ninety"], "chapter.number"),
        (["notebook", "90", "--into-workspace", "nowhere.ipynb"], "There is no file nowhere.ipynb"),
        (["zoo", "verify", "gpt-9"], "There is no bundled model 'gpt-9'"),
        (["app", "--port", "99999999"], "is not a port"),
        (["dev", "check", "77"], "There is no chapter '77'"),
        (["chekc"], "No such command"),
        (["check", "--loud"], "No such option"),
    ],
)
def test_bad_input_gets_a_sentence_and_exit_code_2(mi, work, arguments, said):
    code, out, err = mi(*arguments)
    assert code == 2
    assert said in err
    assert out == ""


def test_without_a_workspace_each_command_says_how_to_make_one(mi):
    for arguments in (["check"], ["watch"], ["hint", "90.1"], ["reset", "90"], ["app"]):
        code, _, err = mi(*arguments)
        assert code == 2
        assert "Make one with `mi init" in err


def test_with_json_trouble_is_json_too(mi):
    code, out, err = mi("check", "--json")
    assert code == 2
    assert json.loads(out)["error"] in err


def test_a_damaged_progress_file_is_put_aside_with_a_sentence(mi, work):
    work.progress_path.write_bytes(b"not a database at all, whatever its name says " * 50)
    code, out, err = mi("list", "90")
    assert code == 0
    assert "The progress file was damaged. It was kept as progress.sqlite.damaged_" in err
    assert "Add three" in out


def test_a_file_with_a_syntax_error_is_explained_and_the_other_exercises_still_count(mi, work):
    answer(work, "90.1", "def add(a, b)\n    return a + b\n")
    answer(work, "90.2", "def add_three(a, b, c):\n    return a + b + c\n")
    code, out, _ = mi("check", "90")
    assert code == 1
    assert "SyntaxError" in out
    assert "3 of 5 points" in out


def test_a_section_without_its_marker_is_explained(mi, work):
    path = work.file("90")
    path.write_text(path.read_text().replace("# %% [90.2]", "# add three"))
    code, out, _ = mi("check", "90.2")
    assert code == 1
    assert "The line that starts section [90.2] is missing" in out


def test_the_doctor_looks_at_everything_and_its_exit_code_says_if_all_is_well(mi, work):
    code, out, _ = mi("doctor", "--json")
    lines = {line["what"]: line for line in json.loads(out)}
    assert {"python", "torch", "chapters", "workspace"} <= set(lines)
    assert lines["chapters"]["found"] == "90"
    assert code == (0 if all(line["ok"] for line in lines.values()) else 1)


def test_grading_is_refused_where_code_cannot_be_shut_in_as_far_as_asked(mi, work, monkeypatch):
    from mi_lib.course.grading.isolation import Isolation

    assert mi("check", "90.1", "--require-isolation", "process")[0] == 1  # graded: the stub does not pass
    monkeypatch.setattr(Isolation, "level", "process")
    code, out, err = mi("check", "90.1", "--require-isolation", "confined")
    assert (code, out) == (2, "")
    assert "'confined' was asked for, and this system gives 'process'" in err
    assert mi("check", "90.1", "--debug", "--require-isolation", "process")[0] == 2


def test_the_doctor_reports_a_missing_workspace(mi):
    code, out, _ = mi("doctor", "--json")
    assert code == 1
    assert "mi init" in next(line["advice"] for line in json.loads(out) if line["what"] == "workspace")


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_the_doctor_checks_a_model(mi, monkeypatch, good, code):
    row = types.SimpleNamespace(name="patterns sum to 1", value=0.25, bound=1e-5, ok=good)
    from mi_lib.models import checks

    monkeypatch.setattr(checks, "self_check", lambda model: [row])
    found, out, _ = mi("doctor", "--model", "induction-1l", "--json")
    assert found == code
    assert json.loads(out) == [{"check": "patterns sum to 1", "value": 0.25, "bound": 1e-5, "ok": good}]


def test_the_doctor_says_in_a_sentence_why_a_model_cannot_be_opened(mi, tmp_path):
    (tmp_path / "model").mkdir()
    code, _, err = mi("doctor", "--model", str(tmp_path / "model"))
    assert code == 2
    assert "config.json" in err
    assert err.count(str(tmp_path)) == 1  # named once
    assert err.rstrip().endswith("is it the right folder?")


@pytest.mark.parametrize(("value", "code"), [(0.8, 1), (0.95, 0)])
def test_zoo_verify_shows_each_claim_with_its_control_and_exits_with_1_if_one_fails(mi, monkeypatch, value, code):
    from mi_lib import zoo
    from mi_lib.recipes import checks
    from mi_lib.recipes.checks import Check

    check = Check("prefix", "A head looks one past.", value, 0.9, True, 0.1, "the other heads")
    monkeypatch.setattr(zoo, "names", lambda: ["toy"])
    monkeypatch.setattr(checks, "verify", lambda name, only: [check])
    found, out, _ = mi("zoo", "verify", "toy", "--json")
    assert found == code
    assert json.loads(out) == [{"model": "toy"} | check.to_dict()]
    _, out, _ = mi("zoo", "verify")
    for shown in ("A head looks one past.", str(value), "≥ 0.9", "0.1 (the other heads)"):
        assert shown in out


def test_zoo_verify_says_in_a_sentence_why_a_model_cannot_be_opened(mi, monkeypatch):
    from mi_lib import zoo
    from mi_lib.models.loading import LoadError
    from mi_lib.recipes import checks

    def broken(name, only):
        raise LoadError("model.safetensors has another checksum; fetch the model again")

    monkeypatch.setattr(zoo, "carded", lambda: ["toy"])
    monkeypatch.setattr(checks, "verify", broken)
    code, _, err = mi("zoo", "verify")
    assert (code, "toy: model.safetensors has another checksum" in err) == (2, True)


def test_zoo_verify_measures_the_parts_that_are_asked_for_and_names_them_where_one_is_not_there(mi):
    code, out, _ = mi("zoo", "verify", "repeats-gpt2", "--only", "repeats", "--json")
    assert (code, {row["name"] for row in json.loads(out)}) == (0, {"continues_repeats", "counts_distances"})
    code, _, err = mi("zoo", "verify", "repeats-gpt2", "--only", "refusal")
    assert (code, "no part 'refusal'; they have repeats" in err) == (2, True)


def test_the_build_writes_stubs_and_the_build_check_finds_none_missing(mi, course):
    stub = course / "chapters" / "ch90_sums" / "exercises.py"
    before = stub.read_text()
    stub.unlink()
    assert mi("dev", "check", "--static")[0] == 1
    assert "written" in mi("dev", "build")[1]
    assert stub.read_text() == before
    assert "unchanged" in mi("dev", "build", "90")[1]
    assert mi("dev", "check", "90.1")[0] == 0


def test_a_taken_port_is_explained(mi, work):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = mi("app", "--port", str(port))
    assert code == 2
    assert f"mi app --port {port + 1}" in err


@pytest.mark.slow
def test_the_app_is_served_to_this_computer_alone_and_ends_on_a_signal(course):
    Workspace.init()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mi_lib.cli", "app", "--port", str(port), "--no-browser", "--no-token"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for _ in range(200):
            try:
                health = urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2).read()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.1)
        assert health == b"ok"
        if Path("/proc/net/tcp").exists():
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            assert {row[1] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "0A"} == {
                f"0100007F:{port:04X}"
            }
        process.terminate()
        out, _ = process.communicate(timeout=10)
        assert process.returncode == 0
        assert f"http://127.0.0.1:{port}" in out
        assert "email" not in out.lower()
    finally:
        process.kill()
        process.wait()
