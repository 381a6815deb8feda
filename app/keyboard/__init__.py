"""Skip links: the first presses of Tab on a page lead past the sidebar, to the editor or to the page itself."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_skip = st.components.v2.component("mi_skip_links", js=(Path(__file__).parent / "skip.js").read_text("utf-8"))


def skip_links() -> None:
    """Put the links before all else that Tab reaches. They are seen only while they have the focus."""
    _skip(key="skip-links", height=0)
