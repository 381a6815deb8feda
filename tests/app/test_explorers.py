"""The page with all explorers: every one can be found from there, from its address and from its chapter."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from app.explorers import EXPLORERS
from mi_lib.course import Workspace, index

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))


def at(path: str, **address: str) -> AppTest:
    """The whole app, as a browser that shows this address asks for it."""
    app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
    app.context = {"url": f"http://127.0.0.1:8501/{path}"}
    app._page_hash = calc_hash(path)
    app.query_params.update(address)
    app.run()
    assert not app.exception
    return app


def links(app: AppTest) -> list[tuple[str, str]]:
    """Where the links of the page lead: (page, what follows the question mark)."""
    return [(link.proto.page, link.proto.query_string) for link in app.get("page_link")]


def test_the_page_of_all_explorers_leads_to_each_of_them_and_to_their_chapters():
    app = at("explorers")
    assert app.title[0].value == "Explore"
    shown = " ".join(text.value for text in app.markdown)
    here = {chapter.number for chapter in index.chapters()}
    for path, each in EXPLORERS.items():
        assert (path, "") in links(app)
        (card,) = [link.proto for link in app.get("page_link") if link.proto.page == path]
        assert each.question in card.label  # the whole title leads there
        assert each.sentence in shown
        for number in each.chapters:
            there = ("chapter", f"chapter={number}&exercise=1") in links(app)
            planned = any(f"Chapter {number}" in text.value and "planned" in text.value for text in app.caption)
            assert (there, planned) == (number in here, number not in here)


@pytest.mark.parametrize("path", EXPLORERS)
def test_an_explorer_s_address_opens_it_and_shows_the_way_back_and_to_its_chapter(monkeypatch, path):
    monkeypatch.setattr(f"app.{EXPLORERS[path].module}.show", lambda: None)
    app = at(path)
    assert links(app)[0] == ("explorers", "")
    here = {chapter.number for chapter in index.chapters()}
    wanted = [("chapter", f"chapter={number}&exercise=1") for number in EXPLORERS[path].chapters if number in here]
    assert links(app)[1:] == wanted


@pytest.mark.parametrize("path", EXPLORERS)
def test_a_row_names_a_page_and_chapters_of_the_course(path):
    each = EXPLORERS[path]
    assert callable(importlib.import_module(f"app.{each.module}").show)
    assert set(each.chapters) <= {planned.number for planned in index.syllabus()}
    assert each.question.endswith("?")


@pytest.mark.parametrize(("step", "times"), [("1", 2), ("2", 1), ("end", 2)])
def test_a_chapter_links_its_explorer_in_the_sidebar_and_where_it_begins_and_ends(step, times):
    app = at("chapter", chapter="04", exercise=step)
    assert links(app) == [("explore-lens", "")] * times


def test_the_sidebar_has_one_entry_for_all_explorers(monkeypatch):
    real, given = streamlit.navigation, []
    monkeypatch.setattr("streamlit.navigation", lambda pages: given.extend(pages) or real(pages))
    at("")
    shown = [page.title for page in given if page.visibility == "visible"]
    assert "Explore" in shown
    assert not {each.title for each in EXPLORERS.values()} & set(shown)
    assert set(EXPLORERS) <= {page.url_path for page in given}
