"""A figure that the learner's own answer draws, on the chapter's page, without a browser."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from looking import whole
from streamlit.testing.v1 import AppTest

from app import answer_figure, opening
from mi_lib.course import Workspace, exercise, files, sections, serve

ROOT = Path(__file__).parents[2]
PAGE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import streamlit as st
st.query_params.update(chapter="02", exercise="7")
from app import chapter_page
chapter_page.show()
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A workspace whose file of chapter 02 holds the reference's answers."""
    workspace = Workspace.init(tmp_path / "work")
    monkeypatch.setenv("MI_WORKSPACE", str(workspace.path))
    reference = files.read_text(exercise("02.7").chapter.solutions_folder / "exercises.py")
    workspace.file("02").write_text(reference)
    return workspace


def told(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning") for e in getattr(app, kind))


def test_before_a_pass_it_is_drawn_on_request_beside_the_reference_s(work):
    app = AppTest.from_string(PAGE, default_timeout=60).run()
    assert not app.get("plotly_chart")
    next(button for button in app.button if button.label == "Draw it now all the same").click().run()
    assert not app.exception
    mine, reference = (chart.proto.spec for chart in app.get("plotly_chart"))
    assert ["Head 1.1" in title.proto.body for title in app.get("html")[-2:]] == [True, True]
    assert mine == reference


def test_an_answer_that_cannot_draw_gets_a_sentence_and_the_reference_s_figure_stays(work):
    text = files.read_text(work.file("02"))
    broken = "# %% [02.7] x\ndef prefix_matching_score(pattern, previous):\n    return pattern.no_such_thing\n\n"
    work.file("02").write_text(sections.replace(text, "02.7", broken))
    app = AppTest.from_string(PAGE, default_timeout=60).run()
    next(button for button in app.button if button.label == "Draw it now all the same").click().run()
    assert not app.exception
    assert "raised AttributeError on line" in told(app)
    assert len(app.get("plotly_chart")) == 1


def test_a_figure_is_drawn_when_nothing_is_being_opened_any_more(monkeypatch):
    """Where two threads imported transformers at once, the first figure of chapter 04 failed in a fresh server."""
    pico: Future[None] = Future()
    monkeypatch.setattr(opening, "_EVERY", [pico])
    monkeypatch.setattr(answer_figure.figures, "figure", lambda chapter, name: pico.done())
    drawn: list[bool] = []
    drawing = threading.Thread(target=lambda: drawn.append(answer_figure._drawn("04", "no such figure", ())))
    drawing.start()
    drawing.join(0.05)
    assert not drawn
    pico.set_result(None)
    drawing.join()
    answer_figure._drawn.clear()
    assert drawn == [True]


@pytest.mark.browser
@pytest.mark.slow
def test_the_offer_to_draw_is_gone_while_it_is_drawn_and_afterwards(work, browser):
    text = files.read_text(work.file("02"))
    section = sections.get(text, "02.7").replace("    return ", "    import time; time.sleep(1)\n    return ", 1)
    work.file("02").write_text(sections.replace(text, "02.7", section))
    with serve.running(work.path) as (url, _):
        page = browser.new_page(base_url=url)
        page.set_default_timeout(60_000)
        page.goto("/?chapter=02&exercise=7")
        whole(page)
        page.get_by_role("button", name="Draw it now all the same").click()
        page.get_by_text("Your code is computing the figure").wait_for()
        offered = page.get_by_role("button", name="Draw it now all the same")
        offered.wait_for(state="detached", timeout=900)
        page.get_by_role("button", name="Draw it again").wait_for()
        whole(page)
        assert offered.count() == 0
        page.close()
