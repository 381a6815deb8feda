"""Nonsense in the place of results: what is made of which result, and that no test of the course breaks on it."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner

from mi_lib.course.proving import grading, nonsense, replacements


@pytest.fixture(scope="module")
def grader():
    from mi_lib.course.grading import Grader

    with Grader() as grader:
        yield grader


def called(name, value, *arguments):
    """What leaves a learner's file of which the function returns `value`, under a replacement."""
    names = {"value": value}
    exec("def f(*_):\n    return value", names)  # a file of its own
    return replacements.replaced(names["f"], name)(*arguments)


def fitting(value, *arguments):
    names = list(replacements.every())
    with pytest.raises(replacements.Fitting) as said:
        called("", value, *arguments)
    return {names[int(number)] for number in str(said.value).removeprefix("fitting: ").split()}


def test_every_result_can_be_replaced_by_other_kinds():
    for value in (1, 2.5, True, "text", [1], (1, 2.0), {"a": 1}, torch.zeros(2, 3)):
        there = fitting(value)
        assert {"None", "a text", "an empty dictionary", "a function", "a generator", "a list of the result"} <= there
    assert called("None", 3) is None
    assert list(called("a generator", 3)) == [3]


def test_tensors_get_other_shapes():
    value = torch.arange(6.0).reshape(2, 3)
    shapes = {"one axis more": (1, 2, 3), "flattened": (6,), "the first row": (3,), "all but the last row": (1, 3),
              "one row too many": (3, 3), "axes turned": (3, 2), "the last two axes exchanged": (3, 2)}  # fmt: skip
    for name, shape in shapes.items():
        assert called(name, value).shape == shape
    assert [row.tolist() for row in called("a list of tensors", value)] == [[0, 1, 2], [3, 4, 5]]


def test_numbers_tuples_and_dictionaries_are_replaced_by_what_is_near_to_them():
    assert called("floats for whole numbers", 3) == 3.25
    assert called("counted from the end", torch.tensor([0, 2])).tolist() == [-1, -3]
    assert called("a tuple too long", (1, 2)) == (1, 2, None)
    assert called("a tuple too short", (1, 2)) == (1,)
    assert called("first item: None", (1, 2)) == (None, 2)
    assert called("last item: a text", {"a": 1, "b": 2}) == {"a": 1, "b": "0.5"}
    assert called("nested lists", torch.ones(1, 2)) == [[1.0, 1.0]]


def test_what_has_no_meaning_for_a_result_is_not_tried():
    assert fitting(2.5).isdisjoint({"flattened", "a tuple too long", "counted from the end", "numpy"})
    with pytest.raises(replacements.NotHere):
        called("flattened", 2.5)


def test_an_argument_is_changed_after_the_result_was_made():
    x = torch.ones(2)
    changed = called("tensors among its arguments changed in place", x, x)
    assert changed.tolist() == [1, 1]
    assert x.tolist() == [3, 3]
    assert "tensors among its arguments changed in place" not in fitting(1.0, 2.0)


def test_the_functions_of_the_file_itself_get_the_true_result():
    names = {}
    exec("def f():\n    return 1\n\ndef g():\n    return f()\n", names)
    names["f"] = replacements.replaced(names["f"], "None")
    assert names["g"]() == 1
    assert names["f"]() is None


def prove(exercises, grader, **how):
    return nonsense.prove(exercises, lambda tasks: grading.judge(tasks, grader=grader), **how)


def test_of_the_made_up_chapter_nonsense_neither_passes_nor_breaks_a_test(chapter, grader):
    outcomes = prove(chapter.exercises, grader)
    assert len(outcomes) > 40
    assert [o for o in outcomes if o.fate in ("broken", "passed wrongly")] == []


def test_a_test_that_breaks_or_looks_at_nothing_is_found(chapter, grader):
    path = chapter.folder / "test_exercises.py"
    loose = "@grades('90.1')\ndef test_{0}(answer):\n    {1}\n\n"
    start = "from mi_lib.course.grading import expect, grades\n\n"
    path.write_text(start + loose.format("a", "answer.add(1.0, 2.0)"))
    fates = {o.case.replacement: o.fate for o in prove(chapter.exercises[:1], grader)}
    assert fates["NaN"] == "passed wrongly"
    path.write_text(start + loose.format("b", "{2.5: 'right'}[answer.add(1.5, 1.0)]"))
    outcomes = {o.case.replacement: o for o in prove(chapter.exercises[:1], grader)}
    assert outcomes["truncated"].fate == "broken"
    assert "KeyError" in outcomes["truncated"].said
    assert outcomes["NaN"].fate == "rejected without a reason"  # the test stumbled, though on what is no number


def test_the_report_tells_what_is_not_in_order_and_counts(chapter):
    case = nonsense.Case("90.1", "add", "None")
    outcomes = [nonsense.Outcome(case, "broken", "error", "A test broke."), nonsense.Outcome(case, "in order", "", "")]
    lines = list(nonsense.report(outcomes))
    assert lines[:2] == ["90.1 add, None: broken (error)", "    A test broke."]
    assert "2 tried; 1 broken, 0 passed wrongly" in lines[-1]


@pytest.mark.slow
def test_the_command_says_with_its_exit_code_that_all_is_in_order(chapter):
    from mi_lib.cli import cli

    ran = CliRunner().invoke(cli, ["dev", "nonsense", "90", "--sample", "3", "--jobs", "1"])
    assert "6 tried; 0 broken" in ran.output
    assert ran.exit_code in (0, 1)
