"""What a learner sees when something on a page fails: a sentence of ours and a way on, wherever it fails."""

from __future__ import annotations

import ast
from pathlib import Path
from urllib.parse import unquote

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app.explorers import EXPLORERS
from mi_lib.course import Workspace

ROOT = Path(__file__).parents[2]
MAIN = ROOT / "app" / "main.py"
PAGES = {"home": "", "chapter_page": "chapter", "explorers": "explorers", "chat": "chat", "found": "found"}
PAGES |= {each.module: path for path, each in EXPLORERS.items()}
SAFE = "Your answers and your progress are safe"


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("a secret of the course's inside")


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))


def at(path: str) -> AppTest:
    """The whole app, as a browser that shows this address asks for it."""
    app = AppTest.from_file(str(MAIN), default_timeout=60)
    app.context = {"url": f"http://127.0.0.1:8501/{path}"}
    app._page_hash = calc_hash(unquote(path))
    return app


@pytest.mark.parametrize("module", PAGES)
def test_a_page_that_raises_is_our_sentence_and_a_way_on(monkeypatch, caplog, module):
    monkeypatch.setattr(f"app.{module}.show", broken)
    app = at(PAGES[module]).run()
    assert not app.exception
    assert SAFE in app.error[0].value
    assert "Try again" in [button.label for button in app.button]
    assert ("Course map" in [button.label for button in app.button]) == (module != "home")
    assert "a secret of the course's inside" in caplog.text


def test_the_instructor_s_page_that_raises_is_our_sentence_too(monkeypatch):
    monkeypatch.setenv("MI_GRADEBOOK", "somewhere")
    monkeypatch.setattr("mi_lib.course.classroom.gradebook.Gradebook.__init__", broken)
    app = AppTest.from_file(str(ROOT / "app" / "instructor.py"), default_timeout=60).run()
    assert not app.exception
    assert SAFE in app.error[0].value


CALLBACKS = {  # what a tap calls: the page, the label of what is tapped. The next test looks at all of them
    "app.chapter_page._go": ("chapter_page", "Next"),
    "app.answer_figure._note": ("chapter_page", "Draw it now all the same"),
    "app.explorer._take": ("explorer", "Take: river lamp river"),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_tap_whose_function_raises_is_our_sentence_and_the_page_stays(monkeypatch, caplog, name):
    module, label = CALLBACKS[name]
    app = at(PAGES[module])
    if module == "chapter_page":
        app.query_params.update(chapter="02", exercise="7")
    app.session_state["explore-words"] = "my own"
    app.session_state["explore-text"] = "rivr lamp river"
    monkeypatch.setattr(name, broken)
    app.run()
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    assert SAFE in app.toast[0].value
    assert "secret" not in app.toast[0].value
    assert label in [button.label for button in app.button]
    assert "a secret of the course's inside" in caplog.text


@pytest.mark.parametrize(
    "path",
    sorted((ROOT / "app").rglob("*.py")),
    ids=lambda path: path.relative_to(ROOT / "app").with_suffix("").as_posix(),
)
def test_every_callback_is_caught_and_every_fragment_guarded(path):
    loose = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        said = f"line {getattr(node, 'lineno', 0)}: {ast.unparse(node)}"
        if isinstance(node, ast.keyword) and (node.arg or "").startswith("on_"):
            # "rerun" runs nothing of ours; a parameter is handed on, and looked at where it is given.
            fine = ("common.caught(", "'rerun'", "on_")
            loose += [said] if not ast.unparse(node.value).startswith(fine) else []
        elif isinstance(node, ast.FunctionDef):
            wrapped = [ast.unparse(decorator) for decorator in node.decorator_list]
            fragment = any(each.startswith("st.fragment") for each in wrapped)
            loose += [node.name] if fragment and wrapped[1:] not in (["common.guarded"], ["guarded"]) else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "st.fragment" and node.args:
            loose += [said] if not ast.unparse(node.args[0]).startswith("common.guarded(") else []
    assert loose == []


def test_an_address_that_names_no_page_says_so_and_offers_the_way_back():
    app = at("a%20nonsense").run()
    assert not app.exception
    assert "a nonsense" in app.warning[0].value
    app._page_hash = ""
    next(button for button in app.button if button.label == "Course map").click().run()
    assert not app.exception
    assert "hands on" in app.title[0].value
