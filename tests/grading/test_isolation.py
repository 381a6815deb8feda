"""How far code is shut in: the levels, what is refused below them, and that nothing claims more than it does."""

from __future__ import annotations

import sys
import time

import pytest
from tiny_chapter import RIGHT, TinyExercise

from mi_lib.course.grading import Grader, Limits, codec, run_here, seccomp, wire
from mi_lib.course.grading.isolation import LEVELS, MEASURES, Isolation, IsolationError, Measure, from_child

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits and confines")
EVERYTHING = tuple(Measure(name, True, f"{name} is closed") for name in MEASURES)


def without(*names: str) -> Isolation:
    return Isolation(tuple(Measure(m.name, m.name not in names, m.words) for m in EVERYTHING))


@pytest.mark.parametrize(
    ("missing", "level"),
    [
        ((), "confined"),
        (("namespaces",), "confined"),
        (("files",), "limited"),
        (("network",), "limited"),
        (("memory",), "process"),
        (("private",), "none"),
    ],
)
def test_a_level_is_reached_when_all_its_measures_are_in_force(missing, level):
    assert without(*missing).level == level


def test_a_level_that_is_not_reached_is_refused_with_the_reason():
    without("files").require("limited")
    with pytest.raises(IsolationError, match=r"'confined' was asked for.*gives 'limited'.*files \(files is closed\)"):
        without("files").require("confined")


@pytest.mark.parametrize("told", [None, "confined", [["files", 1, "x"]], [["magic", True, "x"]], [["files", True]]])
def test_what_a_process_says_of_itself_is_read_as_data(told):
    assert from_child(told) == []


def test_a_verdict_names_the_level(grade, chapter):
    assert grade(RIGHT).isolation_level in LEVELS[1:]
    assert run_here(RIGHT, TinyExercise("01.1", chapter)).isolation_level == "none"


@linux
def test_a_grader_that_requires_more_than_there_is_grades_nothing(chapter, monkeypatch):
    with Grader(require="confined") as grader:
        monkeypatch.setattr("mi_lib.course.grading.process.from_child", lambda told: [])
        with pytest.raises(IsolationError, match="Nothing was graded"):
            grader.grade(RIGHT, TinyExercise("01.1", chapter))


def test_a_whole_submission_has_a_time_limit(grader, chapter, monkeypatch):
    slow = "# %% [01.6]\nimport time\ndef step(n):\n    time.sleep(60)\n"
    monkeypatch.setattr(grader, "limits", Limits(submission_seconds=0.5))
    started = time.monotonic()
    verdicts = grader.grade_all(slow, [TinyExercise("01.6", chapter)] * 3)
    assert time.monotonic() - started < 10
    assert [v.ending for v in verdicts] == ["timed out"] * 3
    assert "a whole submission may take" in verdicts[-1].diagnosis


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_inside_it(machine):
    steps = seccomp.program(machine, 1234)
    assert len(steps) < 4096  # what the kernel takes
    for place, (code, if_true, if_false, _) in enumerate(steps):
        assert 0 <= if_true < 256
        assert 0 <= if_false < 256
        assert code == 0x06 or place + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06


@pytest.mark.parametrize(
    ("nonce", "number", "error"),
    [(b"n" * 16, 5, None), (b"n" * 16, 4, wire.Replayed), (b"n" * 16, 6, wire.Fake), (b"x" * 16, 5, wire.Fake)],
)
def test_an_answer_belongs_to_its_run_and_its_question(nonce, number, error):
    envelope = wire.ENVELOPE.pack(nonce, number)
    if error is None:
        wire.check_envelope(envelope, b"n" * 16, 5)
        return
    with pytest.raises(error):
        wire.check_envelope(envelope, b"n" * 16, 5)


@pytest.mark.parametrize(
    "key",
    [
        lambda i: i * (2**61 - 1),  # whole numbers with the same hash
        lambda i: {"t": "tuple", "v": [-1 - (i >> bit & 1) for bit in range(15)]},  # hash(-1) is hash(-2)
        lambda i: {"t": "complex", "v": [-1000003.0 * i, float(i)]},
    ],
)
def test_many_keys_with_the_same_hash_are_refused_before_a_dict_is_built(key):
    body = {"t": "dict", "v": [[key(i + 1), 0] for i in range(codec.MAX_CRAFTED + 10)]}
    started = time.monotonic()
    with pytest.raises(codec.BadData):
        codec.decode(wire.Message(body), lambda *_: None)
    assert time.monotonic() - started < 5


def test_a_large_dict_of_plain_keys_is_rebuilt():
    body = {"t": "dict", "v": [[i, 0] for i in range(50_000)]}
    assert len(codec.decode(wire.Message(body), lambda *_: None)) == 50_000
