"""The code editor of the pages: a Streamlit component of our own (`st.components.v2`), made of three files here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

_HERE = Path(__file__).parent


def _read(name: str) -> str:
    return (_HERE / name).read_text("utf-8")


_editor = st.components.v2.component(
    "mi_editor", html=_read("editor.html"), css=_read("editor.css"), js=_read("editor.js")
)


def editor(
    key: str,
    name: str,
    text: str,
    version: str,
    first_line: int,
    adopt: int,
    heard: int | None,
    hold: bool,
    on_draft: Callable[[], None],
    on_check: Callable[[], None],
    action: str = "Check",
    outcome: str = "verdict",
    label: str = "Your code",
    imports: str = "",
) -> Any:
    """Show an editor. Its result has `draft` and `check`, each None or a text that was typed.

    That is {"text": ..., "base": the version that was edited, "number": 1 and up, "adopt": as the editor knew it}.

    name: under which the browser keeps text that is not yet in the file. text and version: what is in the file.
    adopt: a number; when it grows, the editor takes `text` whatever it holds.
    heard: the highest number that has arrived. With a lower one than it sent last, the editor knows `text` to be old.
    hold: keep what is typed, because the learner is being asked which of two versions to take.
    action: what stands on its button; outcome: what comes of it is shown in a container whose key begins so.
    label: what the editor is called for those who cannot see it.
    imports: what the file imports of the library elsewhere, so that names here say what they are.
    """
    data = {
        "name": name,
        "text": text,
        "version": version,
        "first_line": first_line,
        "adopt": adopt,
        "heard": heard,
        "hold": hold,
        "action": action,
        "outcome": outcome,
        "label": label,
        "imports": imports,
    }
    return _editor(key=key, data=data, default={"draft": None}, on_draft_change=on_draft, on_check_change=on_check)
