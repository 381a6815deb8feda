"""What stands in a scratch cell at first: someone's first experiment with this exercise, for every exercise."""

from __future__ import annotations

import ast
import contextlib
import functools
import io
from typing import Any

import pytest
import torch

import mi_lib
from mi_lib import oracles
from mi_lib.course import files, first_lines, index, sections, stubs
from mi_lib.course.grading import glance
from mi_lib.course.trying import Shown, _shown
from mi_lib.models.loading import load

EXERCISES = {exercise.id: exercise for chapter in index.chapters() for exercise in chapter.exercises}
BARE = (" object at 0x", "<function", "<bound", "<module", "<generator", "<class")


def shown(value: Any) -> Shown:
    return _shown(glance.describe(value), [200])


def readable(value: Any) -> bool:
    """Whether what is shown of a value says something: numbers that are numbers, or text that is for people."""
    if isinstance(value, torch.Tensor):
        return bool(value.numel() and value.isfinite().all())
    if value is None or value in ("", [], (), {}):
        return False
    if isinstance(value, dict):
        return all(readable(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(readable(part) for part in value)
    if isinstance(value, float) and value != value:
        return False
    one = shown(value)
    return not any(sign in f"{one.text} {one.more}" for sign in BARE)


def worth_seeing(value: Any) -> bool:
    """Whether it is readable, and more than the same number again and again."""
    if isinstance(value, torch.Tensor):
        return readable(value) and (value.numel() == 1 or bool((value != value.flatten()[0]).any()))
    if isinstance(value, dict):
        return readable(value)
    if isinstance(value, list | tuple):
        return readable(value) and any(worth_seeing(part) for part in value)
    return readable(value)


@pytest.mark.parametrize("value", [None, torch.zeros(3), torch.tensor([1.0, float("nan")]), [], {}, float("nan"), load])
def test_what_says_nothing_is_not_worth_seeing(value):
    assert not worth_seeing(value)
    assert not worth_seeing([value])


@pytest.mark.parametrize("value", [torch.eye(2), torch.tensor(0.0), 0.5, False, "a word", [0.0, 1.0], {"a": 1.0}])
def test_what_says_something_is_worth_seeing(value):
    assert worth_seeing(value)


def functions_of(exercise: index.Exercise) -> dict[str, list[str]]:
    """What the exercise asks for: the names of each function's arguments, as the stub has them."""
    body = ast.parse(sections.split(stubs.handed_out(exercise.chapter))[exercise.id]).body
    found = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    return {name: [a.arg for a in node.args.args] for name, node in found.items() if name in exercise.defines}


def from_the_answer(lines: str, functions: dict[str, list[str]]) -> bool:
    """Whether the last line shows what a call of one of these functions gave."""
    of_it: set[str] = set()
    told = False
    for statement in ast.parse(lines).body:
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        told = any(isinstance(n.ctx, ast.Load) and n.id in of_it | set(functions) for n in names)
        given = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        of_it = of_it | given if told else of_it - given
    return told


@pytest.mark.parametrize("exercise_id", EXERCISES)
def test_the_first_lines_call_what_the_exercise_asks_for_by_its_names_and_show_what_it_gives(exercise_id):
    lines = first_lines.of(EXERCISES[exercise_id])
    functions = functions_of(EXERCISES[exercise_id])
    *_, last = ast.parse(lines).body
    assert isinstance(last, ast.Expr), "the last line has a value"
    assert from_the_answer(lines, functions)
    for call in [node for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Call)]:
        if isinstance(call.func, ast.Name) and call.func.id in functions:
            arguments = functions[call.func.id]
            for given, wanted in zip(call.args, arguments, strict=False):
                assert not isinstance(given, ast.Name) or given.id == wanted
            assert {keyword.arg for keyword in call.keywords} <= set(arguments)
    assert len(lines.splitlines()) <= 25


@pytest.fixture
def opened_once(monkeypatch):
    """Each model is read from its file once, and not once for each exercise."""
    monkeypatch.setattr(mi_lib, "load", functools.cache(load), raising=False)
    monkeypatch.setattr(oracles, "open_oracle", functools.cache(oracles.open_oracle))


def last_value(text: str, lines: str) -> Any:
    """What the last line gives behind a chapter's file."""
    namespace: dict[str, Any] = {"__name__": "first_lines"}
    exec(compile(text, "exercises.py", "exec", dont_inherit=True), namespace)
    torch.manual_seed(0)
    *before, last = ast.parse(lines).body
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(ast.Module(before, []), "lines", "exec"), namespace)
        return eval(compile(ast.Expression(last.value), "lines", "eval"), namespace)


@pytest.mark.slow
@pytest.mark.parametrize("chapter", index.chapters(), ids=lambda chapter: chapter.number)
def test_beside_the_stub_nothing_is_missing_but_the_answer_itself(chapter, opened_once):
    for exercise in chapter.exercises:
        with pytest.raises(NotImplementedError, match=rf"Exercise {exercise.id} is waiting"):
            last_value(stubs.handed_out(chapter), first_lines.of(exercise))


@pytest.mark.slow
@pytest.mark.parametrize("chapter", index.chapters(), ids=lambda chapter: chapter.number)
def test_beside_the_reference_there_is_something_worth_seeing(chapter, opened_once):
    text = files.read_text(chapter.solutions_folder / "exercises.py")
    for exercise in chapter.exercises:
        value = last_value(text, first_lines.of(exercise))
        assert worth_seeing(value), f"{exercise.id} shows {shown(value)}"


def test_a_cell_has_of_the_setup_what_it_needs_and_the_file_has_not_imported():
    prelude = "import math\nfrom a import b\nx = b(1)\ny = x + 1\nz = math.pi  # a circle's half\nx = x * 2\n"
    needed = first_lines._needed_before(prelude, "q = [x for x in range(3)]\nz = z + 1\nz", {"math"})
    assert needed == ["z = math.pi  # a circle's half"]
    assert first_lines._needed_before(prelude, "x", set()) == ["from a import b", "x = b(1)", "x = x * 2"]
    assert first_lines._needed_before(prelude, "x = 1\nx", set()) == []


def test_without_a_cell_tensors_are_random_ones_of_the_signatures_shapes():
    assert first_lines.of(index.exercise("02.2")) == (
        "logits = torch.randn(3, 5, 7)  # batch pos d_vocab\n"
        "tokens = torch.randint(3, [3, 5])  # batch pos\n"
        "loss_per_token(logits, tokens)\n"
    )


def test_every_cell_belongs_to_an_exercise():
    for chapter in index.chapters():
        path = chapter.folder / first_lines.FILE
        cells = sections.split(files.read_text(path))
        assert set(cells) <= {"", "setup", *(exercise.id for exercise in chapter.exercises)}
