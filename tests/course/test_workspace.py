"""A learner's folder: nothing in it is ever lost, and what is wrong with it is said in a sentence."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest

from mi_lib.course import sections, stubs
from mi_lib.course.index import CourseError, exercise
from mi_lib.course.progress import Progress
from mi_lib.course.workspace import LAYOUT, Conflict, Workspace

ANSWER = "# %% [90.1] Add\ndef add(a, b):\n    return a + b\n\n\n"


@pytest.fixture
def work(course):
    return Workspace.init()


def passed(exercise_id: str):
    return types.SimpleNamespace(
        exercise_id=exercise_id, status="passed", passed=True, points=2, to_dict=lambda: {"status": "passed"}
    )


def test_a_new_workspace_holds_the_stub_of_each_chapter(work, chapter):
    assert work.text("90") == (chapter.folder / "exercises.py").read_text()
    assert "return a + b" not in work.text("90")


def test_what_is_written_is_read_back_and_other_sections_stay(work):
    _, version = work.read(exercise("90.1"))
    before = work.read(exercise("90.2"))
    new = work.write(exercise("90.1"), ANSWER, version)
    assert work.read(exercise("90.1")) == (ANSWER, new)
    assert work.read(exercise("90.2")) == before


def test_saving_over_a_change_made_elsewhere_is_refused_and_both_texts_are_kept(work):
    _, version = work.read(exercise("90.1"))
    mine = ANSWER.replace("a + b", "b + a")
    work.file("90").write_text(sections.replace(work.text("90"), "90.1", ANSWER))
    with pytest.raises(Conflict, match="changed elsewhere") as conflict:
        work.write(exercise("90.1"), mine, version)
    assert conflict.value.current == ANSWER
    assert work.read(exercise("90.1"))[0] == ANSWER
    work.write(exercise("90.1"), mine, conflict.value.version)
    assert work.read(exercise("90.1"))[0] == mine


def test_a_change_of_another_section_is_no_conflict(work):
    _, version = work.read(exercise("90.1"))
    work.file("90").write_text(work.text("90") + "# a note at the end\n")
    work.write(exercise("90.1"), ANSWER, version)
    assert work.text("90").endswith("# a note at the end\n")


def test_a_reset_keeps_the_answer_in_a_backup(work, chapter):
    work.write(exercise("90.1"), ANSWER, work.read(exercise("90.1"))[1])
    mine = work.text("90")
    backup = work.reset(exercise("90.1"))
    assert backup.read_text() == mine
    assert work.text("90") == stubs.handed_out(chapter)


def test_a_reset_of_one_exercise_leaves_the_others(work):
    work.write(exercise("90.1"), ANSWER, work.read(exercise("90.1"))[1])
    work.reset(exercise("90.2"))
    assert work.read(exercise("90.1"))[0] == ANSWER


def test_a_reset_of_a_chapter_works_even_when_its_markers_are_gone(work, chapter):
    work.file("90").write_text("my notes")
    with pytest.raises(CourseError, match="mi reset 90"):
        work.reset(exercise("90.1"))
    backup = work.reset(chapter)
    assert backup.read_text() == "my notes"
    assert work.text("90") == stubs.handed_out(chapter)


def test_making_a_workspace_again_changes_no_answer(work):
    work.write(exercise("90.1"), ANSWER, work.read(exercise("90.1"))[1])
    before = work.text("90")
    again = Workspace.init()
    assert again.text("90") == before
    assert again.notices == []


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_a_missing_or_empty_file_comes_back_with_the_answers_that_were_checked(work, content):
    Progress(work).record(passed("90.1"), ANSWER)
    if content is None:
        work.file("90").unlink()
    else:
        work.file("90").write_text(content)
    opened = Workspace.open()
    assert opened.read(exercise("90.1"))[0] == ANSWER
    assert "90.1" in opened.notices[0]


def test_a_missing_marker_is_explained_and_init_adds_the_section_without_touching_the_rest(work):
    parts = sections.split(work.text("90"))
    del parts["90.1"]
    work.file("90").write_text(sections.join(parts))
    with pytest.raises(CourseError, match=r"\[90.1\] is missing.*mi init"):
        work.read(exercise("90.1"))
    repaired = Workspace.init()
    assert list(sections.split(repaired.text("90"))) == ["", "setup", "90.1", "90.2"]
    assert "90.1" in repaired.notices[0]
    assert len(list((work.path / ".mi" / "backups").iterdir())) == 1


def test_a_workspace_that_is_not_there_is_explained(course, tmp_path):
    with pytest.raises(CourseError, match=r"no workspace at .*mi init"):
        Workspace.open(tmp_path / "nowhere")


def test_a_folder_of_other_things_is_not_taken_for_a_workspace(course, tmp_path):
    with pytest.raises(CourseError, match=r"not a workspace.*mi init"):
        Workspace.open(tmp_path)


def test_a_file_in_place_of_the_folder_is_explained(course, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CourseError, match="is a file"):
        Workspace.init(tmp_path / "file")


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"version": "two"}', "null"])
def test_a_damaged_workspace_json_is_written_again(work, broken):
    (work.path / ".mi" / "workspace.json").write_text(broken)
    opened = Workspace.open()
    assert json.loads((work.path / ".mi" / "workspace.json").read_text()) == {"version": LAYOUT}
    assert opened.text("90") == work.text("90")


@pytest.mark.parametrize("name", [".mi", ".mi/backups"])
def test_a_file_in_place_of_one_of_our_folders_is_put_aside(work, name):
    shutil.rmtree(work.path / name)
    (work.path / name).write_text("what is this")
    opened = Workspace.open()
    assert "was a file" in opened.notices[0]
    kept = next((work.path / name).parent.glob("*.damaged_*"))
    assert kept.read_text() == "what is this"
    assert opened.text("90") == work.text("90")


def test_a_folder_in_place_of_workspace_json_is_put_aside(work):
    (work.path / ".mi" / "workspace.json").unlink()
    (work.path / ".mi" / "workspace.json").mkdir()
    assert "damaged" in Workspace.open().notices[0]


def test_answers_whose_mi_folder_was_deleted_are_adopted(work):
    work.write(exercise("90.1"), ANSWER, work.read(exercise("90.1"))[1])
    shutil.rmtree(work.path / ".mi")
    assert Workspace.open().read(exercise("90.1"))[0] == ANSWER


def test_a_workspace_of_the_older_layout_is_moved_to_the_new_one_with_its_answers(course, tmp_path):
    old = tmp_path / "old"
    (old / ".mi").mkdir(parents=True)
    (old / ".mi" / "workspace.json").write_text('{"version": 1}')
    mine = "# %% [setup]\n" + ANSWER + "# %% [90.2]\n"
    (old / "ch90_sums.py").write_text(mine)
    opened = Workspace.open(old)
    assert opened.text("90") == mine
    assert "ch90_sums.py moved" in opened.notices[0]
    assert next((old / ".mi" / "backups").glob("*ch90_sums.py")).read_text() == mine


def test_a_workspace_of_a_newer_course_is_left_alone(work):
    (work.path / ".mi" / "workspace.json").write_text('{"version": 99}')
    with pytest.raises(CourseError, match="newer version"):
        Workspace.open()
    assert (work.path / ".mi" / "workspace.json").read_text() == '{"version": 99}'


def test_a_file_that_is_not_text_is_explained_and_left(work):
    work.file("90").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(CourseError, match="UTF-8"):
        work.read(exercise("90.1"))
    assert (work.path / "ch90_sums" / "exercises.py").read_bytes() == b"\xff\xfe\x00bad"


def test_a_link_stays_a_link_when_its_file_is_written(work, tmp_path):
    real = tmp_path / "elsewhere.py"
    path = work.file("90")
    os.replace(path, real)
    path.symlink_to(real)
    work.write(exercise("90.1"), ANSWER, work.read(exercise("90.1"))[1])
    assert path.is_symlink()
    assert "return a + b" in real.read_text()


def test_a_save_that_fails_leaves_the_old_file_whole(work, monkeypatch):
    before = work.text("90")
    version = work.read(exercise("90.1"))[1]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CourseError, match="No space left"):
        work.write(exercise("90.1"), ANSWER, version)
    monkeypatch.undo()
    assert (work.path / "ch90_sums" / "exercises.py").read_text() == before
    assert [p.name for p in (work.path / "ch90_sums").iterdir()] == ["exercises.py"]


WRITER = """
from mi_lib.course.index import exercise
from mi_lib.course.workspace import Workspace
work = Workspace.open()
one = exercise("90.1")
version = work.read(one)[1]
for number in range(100000):
    version = work.write(one, f"# %% [90.1] Add\\n# {number} {'x' * 5000}\\n", version)
    print(number, flush=True)
"""


def test_killing_the_process_at_any_moment_leaves_the_last_save_whole(work):
    moments = random.Random(0)
    other = work.read(exercise("90.2"))[0]
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", WRITER], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "0\n"
        time.sleep(moments.uniform(0, 0.05))
        os.kill(child.pid, signal.SIGKILL)
        reported = [
            "0",
            *(line.strip() for line in child.stdout.read().splitlines(keepends=True) if line.endswith("\n")),
        ]
        child.wait()
        text = work.read(exercise("90.1"))[0]
        stored = int(text.splitlines()[1].split()[1])
        assert stored in (int(reported[-1]), int(reported[-1]) + 1)
        assert text == f"# %% [90.1] Add\n# {stored} {'x' * 5000}\n"
        assert work.read(exercise("90.2"))[0] == other


def test_a_byte_order_mark_and_foreign_line_ends_do_no_harm(work):
    path = work.file("90")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert work.read(exercise("90.1"))[0].startswith("# %% [90.1] Add\r\n")
    work.write(exercise("90.1"), ANSWER, work.read(exercise("90.1"))[1])
    assert work.read(exercise("90.1"))[0] == ANSWER


def test_a_text_that_cannot_be_stored_is_refused_and_the_file_stays(work):
    before = work.text("90")
    with pytest.raises(CourseError, match="cannot be stored"):
        work.write(exercise("90.1"), ANSWER + "# \ud800", work.read(exercise("90.1"))[1])
    assert work.text("90") == before
