"""The pages of the course: `mi app`, or `streamlit run app/main.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # Streamlit puts this folder on the path, and not the one above it
    sys.path.insert(0, str(ROOT))

from app import chapter_page, chat, common, explore_grokking, explore_lens, explorer, glossary, home  # noqa: E402 - needs the line above
from app.keyboard import skip_link  # noqa: E402

st.set_page_config(page_title="Mechanistic interpretability", page_icon="🔬", layout="wide")

common.checks()
# A table of contents reads from the left; Streamlit centres what stands in buttons.
LEFT = "{ justify-content: flex-start; text-align: left }"
STYLE = f"[data-testid=stSidebar] button, [data-testid=stSidebar] button * {LEFT}"
# All pages and all exercises of a chapter fit into the sidebar of a small laptop.
STYLE += """
[data-testid=stSidebarHeader] { height: 2.2rem; min-height: 0; padding-bottom: 0; margin-bottom: 0 }
[data-testid=stSidebarNavLink] { padding-top: 0; padding-bottom: 0; margin: 0; min-height: 1.5rem }
[data-testid=stSidebarUserContent] { padding-top: .4rem; padding-bottom: 1rem }
[data-testid=stSidebarUserContent] [data-testid=stVerticalBlock] { gap: .3rem }
.st-key-contents [data-testid=stVerticalBlock], .st-key-contents { gap: 0 }
.st-key-contents button { min-height: 1.5rem; padding: 0 .5rem }
.st-key-contents button p { white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
[class*=st-key-verdict] [data-testid=stAlert] p { font-size: 1.15rem; font-weight: 600; line-height: 1.45 }
[class*=st-key-verdict] { scroll-margin: 4rem }
"""
if st.context.theme.type == "dark":  # Streamlit writes white on the light blue of the dark theme: hard to read
    STYLE += " [data-testid=stBaseButton-primary]:enabled { color: #10151c }"
st.html(f"<style>{STYLE}</style>")


def _page(show: Callable[[], None], title: str, url_path: str, icon: str) -> StreamlitPage:
    shown = common.guarded(show, way_on=None if show is home.show else common.go_home)
    return st.Page(shown, title=title, url_path=url_path, icon=f":material/{icon}:", default=show is home.show)


PAGES = [
    _page(home.show, "Course map", "home", "map"),
    _page(chapter_page.show, "Chapter", "chapter", "menu_book"),
    _page(explorer.show, "Explore induction", "explore", "biotech"),
    _page(explore_grokking.show, "Explore grokking", "explore-grokking", "waves"),
    _page(explore_lens.show, "Explore lenses", "explore-lens", "center_focus_weak"),
    _page(chat.show, "Talk to Pico", "chat", "chat"),
    _page(glossary.show, "Glossary", "glossary", "dictionary"),
]
skip_link()
glossary.bubble()
# Deep links: /?chapter=02&exercise=3 goes to the chapter page.
page = st.navigation(PAGES)
if "chapter" in st.query_params and page.url_path != "chapter":
    st.switch_page(PAGES[1], query_params=dict(st.query_params))
page.run()
