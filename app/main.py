"""The pages of the course: `mi app`, or `streamlit run app/main.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # Streamlit puts this folder on the path, and not the one above it
    sys.path.insert(0, str(ROOT))

from app import chapter_page, chat, common, explore_grokking, explore_lens, explorer, home  # noqa: E402 - needs the line above

st.set_page_config(page_title="Mechanistic interpretability", page_icon="🔬", layout="wide")

common.grader()
# A table of contents reads from the left; Streamlit centres what stands in buttons.
LEFT = "{ justify-content: flex-start; text-align: left }"
STYLE = f"[data-testid=stSidebar] button, [data-testid=stSidebar] button * {LEFT}"
if st.context.theme.type == "dark":  # Streamlit writes white on the light blue of the dark theme: hard to read
    STYLE += " [data-testid=stBaseButton-primary]:enabled { color: #10151c }"
st.html(f"<style>{STYLE}</style>")
PAGES = [
    st.Page(home.show, title="Course map", url_path="home", icon=":material/map:", default=True),
    st.Page(chapter_page.show, title="Chapter", url_path="chapter", icon=":material/menu_book:"),
    st.Page(explorer.show, title="Explore induction", url_path="explore", icon=":material/biotech:"),
    st.Page(explore_grokking.show, title="Explore grokking", url_path="explore-grokking", icon=":material/waves:"),
    st.Page(explore_lens.show, title="Explore lenses", url_path="explore-lens", icon=":material/center_focus_weak:"),
    st.Page(chat.show, title="Talk to Pico", url_path="chat", icon=":material/chat:"),
]
# Deep links: /?chapter=02&exercise=3 goes to the chapter page.
page = st.navigation(PAGES)
if "chapter" in st.query_params and page.url_path != "chapter":
    st.switch_page(PAGES[1], query_params=dict(st.query_params))
page.run()
