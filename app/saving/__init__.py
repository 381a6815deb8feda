"""A picture that is saved of a figure has its title in it. On the page the title stands above, where it wraps."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_saving = st.components.v2.component("mi_saving", js=(Path(__file__).parent / "titled.js").read_text("utf-8"))


def titled_pictures() -> None:
    """Let the button that saves a picture of a figure write the figure's title into it."""
    _saving(key="saving", height=0)
