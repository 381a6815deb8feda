"""What every page brings to the browser: scripts that begin once in a tab, and then listen.

- `skip.js`: the first press of Tab on a page with an editor leads past the sidebar and the lesson, into it. A figure
  that is wider than the window can be reached by Tab, and then scrolled with the arrow keys.
- `bubble.js`: a word with a dotted line says what it means, under the mouse, with the focus or at a tap.
- `library.js`: "/" and Ctrl + K open a search over the library, and its names say what they are. It fetches the entries
  when they are first wanted, from an address of the course's own server, which stands behind the guard like all else.
- `titled.js`: a picture that is saved of a figure has its title in it. On the page the title stands above the figure.

One component for all of them: each costs a page a fiftieth of a second.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app import library

HERE = Path(__file__).parent
SCRIPTS = ("skip.js", "bubble.js", "library.js", "titled.js")


def _together(scripts: tuple[str, ...], folder: Path = HERE) -> str:
    """One script that begins each of these; one that fails does not take the others with it."""
    texts = [(folder / name).read_text("utf-8") for name in scripts]
    parts = ["(() => {\n" + text.replace("export default function", "return function", 1) + "\n})()" for text in texts]
    begin = "for (const part of parts) try { part(component) } catch (error) { console.error(error) }"
    return f"const parts = [{', '.join(parts)}]\nexport default (component) => {{ {begin} }}\n"


_component = st.components.v2.component("mi_everywhere", js=_together(SCRIPTS))


def begin() -> None:
    """Bring the scripts to the browser. The search over the library learns where its entries are."""
    _component(key="everywhere", data={"address": library.ADDRESS}, height=0)
