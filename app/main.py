"""The pages of the course. `mi app` serves them, behind a guard (`guarded.py`)."""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import streamlit as st
from streamlit.navigation.page import StreamlitPage

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # Streamlit puts this folder on the path, and not the one above it
    sys.path.insert(0, str(ROOT))

from app import common, everywhere, explorers, glossary, opening, views  # noqa: E402 - needs the line above
from app.pages import PAGES  # noqa: E402

st.set_page_config(page_title="Mechanistic interpretability", page_icon="🔬", layout="wide")
common.only_behind_the_guard("mi app")

# A table of contents reads from the left; Streamlit centres what stands in buttons.
LEFT = "{ justify-content: flex-start; text-align: left }"
STYLE = f"[data-testid=stSidebar] button, [data-testid=stSidebar] button * {LEFT}"
# All pages and all exercises of a chapter fit into the sidebar of a small laptop.
STYLE += """
[data-testid=stSidebarHeader] { height: 2.2rem; min-height: 0; padding-bottom: 0; margin-bottom: 0 }
[data-testid=stSidebarNavLink] { padding-top: 0; padding-bottom: 0; margin: 0; min-height: 1.5rem; height: 1.5rem }
[data-testid=stSidebarUserContent] { padding-top: .4rem; padding-bottom: 1rem }
[data-testid=stSidebarUserContent] [data-testid=stVerticalBlock] { gap: .3rem }
.st-key-contents [data-testid=stVerticalBlock], .st-key-contents { gap: 0 }
.st-key-contents button { min-height: 1.5rem; padding: 0 .5rem }
.st-key-contents button p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
[class*=st-key-verdict] [data-testid=stAlert] p { font-size: 1.15rem; font-weight: 600; line-height: 1.45 }
[data-testid=stMainBlockContainer] { padding-top: 3.75rem; padding-bottom: 4rem }
@media (max-width: 480px) { [data-testid=stCode] code, [data-testid=stCode] code * { font-size: .75rem } }
@media (max-width: 480px) { [data-testid=stMarkdownContainer] :is(td, th) { padding: .3rem .5rem } }
@media (max-width: 640px) {
  :is([data-testid=stMarkdownContainer], [data-testid=stCode]) pre :is(code, code *) {
    white-space: pre-wrap !important; overflow-wrap: anywhere } }
[class*=st-key-open-] button p { white-space: normal; text-align: left }
@media (hover: none) { .modebar-container { display: none } }
.js-plotly-plot .main-svg { background: transparent !important }
.st-key-everywhere { margin-bottom: -1rem }
[data-testid=stPageLink] p { white-space: normal }
[data-testid=stPageLink] p:has(strong) { font-size: 1rem }
@media (max-width: 480px) {
  [data-testid=stMainBlockContainer] h1 { font-size: 1.75rem }
  [data-testid=stMainBlockContainer] h2 { font-size: 1.5rem }
  [data-testid=stMainBlockContainer] h3 { font-size: 1.25rem } }
@media (hover: none) { [role=radiogroup] label { padding-block: .35rem } }
[data-testid=stMain] [data-testid=stBaseButton-tertiary] p { text-decoration: underline; text-underline-offset: .25em }
[class*=st-key-waiting] [data-stale=true] { opacity: 1 }
[class*=st-key-verdict] { scroll-margin: 4rem }
[data-testid=stHeading] h2 { font-size: 1.5rem; padding-bottom: .6rem }
"""
STYLE += glossary.STYLE
# Code that is shown has the colours of the editor's: Streamlit's own are too faint to read.
STYLE += common.readable()
STYLE += common.SIDES
STYLE += common.fading("[data-testid=stMarkdownContainer] :is(pre, table, .katex-display), [data-testid=stCode] pre")
TOKENS = {
    "keyword tag": ("#0067a5", "#6cb8f0"),
    "string char attr-value": ("#8a5000", "#f0b95a"),
    "comment prolog doctype cdata": ("#5f6672", "#a8b0bc"),
    "punctuation": ("inherit", "inherit"),
    "number boolean regex constant symbol": ("#00694f", "#4fd1ac"),
    "function class-name selector decorator atrule builtin": ("#a0307a", "#e79ccb"),
    "attr-name property variable operator entity url": ("inherit", "inherit"),
}
for names, colours in TOKENS.items():
    chosen = ", ".join(f"[data-testid=stCode] .token.{name}" for name in names.split())
    STYLE += f"{chosen} {{ {common.ink(*colours)} }}\n"
st.html(f"<style>{STYLE}</style>")


def _page(path: str) -> StreamlitPage:
    title, icon, module = PAGES[path]

    def show() -> None:
        if path != "chat" or opening.opened("app.chat", title, "Pico"):
            importlib.import_module(f"app.{module}").show()

    shown = common.guarded(show, way_on=common.go_home if path else None)
    return st.Page(shown, title=title, url_path=path or common.START, icon=f":material/{icon}:", default=not path)


def _explorer(path: str) -> StreamlitPage:
    """An explorer's page. The sidebar has one entry for all of them: so many names would not fit into it."""
    each = explorers.EXPLORERS[path]

    def show() -> None:
        explorers.ways(path)
        if not opening.opened(f"app.{each.module}", each.title, each.opens):
            return
        views.restore(path)
        try:
            importlib.import_module(f"app.{each.module}").show()
        except Exception:
            if not views.give_up():
                raise
            st.rerun()  # a link that the page cannot show: it is shown as it begins
        views.foot(path, functools.partial(importlib.import_module("app.in_code").code, path))

    shown = common.guarded(show, way_on=common.go_home)
    return st.Page(shown, title=each.title, url_path=path, icon=f":material/{each.icon}:", visibility="hidden")


def _lost(path: str) -> StreamlitPage:
    """A page for an address that has none. Without it Streamlit shows a box of its own, over the course map."""

    def show() -> None:
        st.title("There is no such page")
        common.lost(f"The course has no page of the name “{common.literal(path)}”.", common.go_home)

    shown = common.go_home if path in ("home", "index.html") else common.guarded(show)
    return st.Page(shown, title="No such page", url_path=path, visibility="hidden")


asked = unquote(urlsplit(st.context.url or "").path).rstrip("/").rpartition("/")[2]
known = (*PAGES, *explorers.EXPLORERS, common.START)
pages = [*map(_page, PAGES), *map(_explorer, explorers.EXPLORERS), *([] if asked in known else [_lost(asked)])]
everywhere.begin()
# Deep links: /?chapter=02&exercise=3 goes to the chapter page.
page = st.navigation(pages)
if "chapter" in st.query_params and page.url_path != "chapter":
    st.switch_page(pages[1], query_params=dict(st.query_params))
page.run()
opening.graders_begun()  # after the first page, which is drawn sooner so
