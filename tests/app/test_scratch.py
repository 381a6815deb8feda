"""The scratch cell under an exercise: lines are tried in a browser, and what comes of them is shown."""

from __future__ import annotations

import re

import plotly.graph_objects as go
import pytest
import torch
from streamlit.testing.v1 import AppTest
from test_browser import open_exercise, until

from mi_lib.course import Workspace, exercise
from mi_lib.course.trying import Shown, Tried


def type_lines(page, lines: str) -> None:
    """Exchange what stands in the scratch cell."""
    area = page.locator("textarea").nth(1)
    area.wait_for()
    area.evaluate("area => { area.focus(); area.select() }")
    page.keyboard.insert_text(lines)


@pytest.mark.browser
@pytest.mark.slow
def test_lines_are_run_and_kept_and_are_no_answer(page, workspace):
    open_exercise(page, 11)
    saved = Workspace.open(workspace)
    before = saved.text("02")
    assert "copying_score(" in page.locator("textarea").nth(1).input_value()  # there is something to begin with
    type_lines(page, "print('so much')\ntorch.arange(6.0).reshape(2, 3)")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Tensor 2 × 3 · float32 · 0 to 5, mean 2.5").wait_for()
    page.get_by_text("so much").last.wait_for()
    page.locator("[class*=st-key-tried] .js-plotly-plot").wait_for()
    assert saved.scratch_text(exercise("02.11")) == "print('so much')\ntorch.arange(6.0).reshape(2, 3)"
    assert saved.text("02") == before
    page.reload()
    page.locator("textarea").nth(1).wait_for()
    assert page.locator("textarea").nth(1).input_value().endswith("torch.arange(6.0).reshape(2, 3)")
    assert page.get_by_text("1 of 14 passed").count() == 0
    assert page.errors == []


@pytest.mark.browser
@pytest.mark.slow
def test_an_endless_loop_shows_its_seconds_can_be_stopped_and_the_page_lives_on(page, workspace):
    open_exercise(page, 14)
    type_lines(page, "while True: pass")
    page.get_by_role("button", name="Run").click()
    page.get_by_text("Running …").first.wait_for()
    page.get_by_text(re.compile(r"^[1-9]\d* s$")).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("You stopped it after").wait_for()
    # (That what was printed stays is shown without a browser: here a busy machine may not have come to the lines yet.)
    type_lines(page, "1 +")
    page.keyboard.press("Control+Enter")
    page.get_by_text("SyntaxError on line 1 here").wait_for()
    type_lines(page, "40 + 2")
    page.keyboard.press("Control+Enter")
    page.get_by_text("42", exact=True).wait_for()


@pytest.mark.browser
@pytest.mark.slow
def test_what_is_typed_in_both_editors_arrives(page, workspace):
    open_exercise(page, 3)
    saved = Workspace.open(workspace)
    area = page.locator("textarea").first
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
    page.keyboard.type("\n# an answer")
    type_lines(page, "# a line to try")
    until(page, lambda: saved.scratch_text(exercise("02.3")) == "# a line to try")
    until(page, lambda: "# an answer" in saved.read(exercise("02.3"))[0])
    assert area.input_value().endswith("# an answer")
    assert page.locator("textarea").nth(1).input_value() == "# a line to try"


@pytest.mark.browser
@pytest.mark.slow
def test_lines_typed_as_the_tab_closes_are_there_again(browser, server, workspace):
    context = browser.new_context(base_url=server)
    page = context.new_page()
    open_exercise(page, 10)
    page.locator("textarea").nth(1).wait_for()
    page.evaluate("() => { WebSocket.prototype.send = () => { throw new Error('gone') } }")
    type_lines(page, "# typed before the end")
    page.close()
    page = context.new_page()
    open_exercise(page, 10)
    page.locator("textarea").nth(1).wait_for()
    assert page.locator("textarea").nth(1).input_value() == "# typed before the end"
    until(page, lambda: Workspace.open(workspace).scratch_text(exercise("02.10")) == "# typed before the end")
    context.close()


def shown(tried: Tried) -> AppTest:
    """The part of the page that says what came of a run."""

    def script(tried):
        from app import scratch_cell

        scratch_cell._tried(tried, "x")

    app = AppTest.from_function(script, args=(tried,), default_timeout=60).run()
    assert not app.exception
    return app


def test_tensors_figures_and_parts_are_drawn_and_much_output_is_folded():
    matrix = Shown("Tensor 2 × 2", picture=torch.eye(2), every=(1, 1))
    row = Shown("Tensor of 3", picture=torch.tensor([1.0, float("nan"), 2.0]), every=(5,))
    image = Shown("Tensor 3 × 4 × 4", picture=torch.rand(3, 4, 4), every=(1, 1, 1))
    heads = Shown("Tensor 2 × 4 × 4", picture=torch.full((2, 1, 4, 4), -torch.inf).triu(1), every=(1,) * 4)
    figure = Shown("Figure", figure=go.Figure(go.Scatter(y=[1, 2]), layout={"title": "mine"}))
    assert len(shown(Tried((matrix, row, image, heads, figure))).get("plotly_chart")) == 5
    few = Shown("tuple of 2", parts=(matrix, row))
    many = Shown("tuple of 4", parts=(matrix,) * 4)
    assert len(shown(Tried((few,))).get("plotly_chart")) == 2
    assert len(shown(Tried((many,))).get("plotly_chart")) == 0


def test_a_row_of_a_few_numbers_is_written_and_not_drawn():
    row = Shown("Tensor of 2", more="[1.0, 0.14]", picture=torch.tensor([1.0, 0.14]), every=(1,))
    app = shown(Tried((row,)))
    assert [code.value for code in app.code] == ["[1.0, 0.14]"]
    assert not app.get("plotly_chart")


def test_what_went_wrong_is_said_with_what_was_printed_before():
    app = shown(
        Tried(printed="before\n", problem="NameError on line 1 here: name '__x__' is not defined.", traceback="t")
    )
    assert app.code[0].value == "before"
    assert r"name '\_\_x\_\_' is not" in app.error[0].value
    assert "Nothing was printed" in shown(Tried()).caption[0].value
    assert shown(Tried(problem="You stopped it after 2 s.", stopped=True)).info[0].value == "You stopped it after 2 s."
