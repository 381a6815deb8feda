"""What the keyboard needs: a skip link, and wide figures that can be scrolled.

The first press of Tab on a page with an editor leads past the sidebar and the lesson, into it. A figure that is wider
than the window can be reached by Tab, and then scrolled with the arrow keys.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_skip = st.components.v2.component("mi_skip_link", js=(Path(__file__).parent / "skip.js").read_text("utf-8"))


def skip_link() -> None:
    """Put the link before all else that Tab reaches. It is seen only while it has the focus."""
    _skip(key="skip-link", height=0)
