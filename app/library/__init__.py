"""The library at hand: what a name means under the mouse, and a search over all of it one key away, without a network.

The script fetches the entries once, when they are first wanted, from an address of the course's own server (`serve`),
which stands behind the guard like everything else.
"""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from mi_lib.course import library

ADDRESS = "/library.json"
_library = st.components.v2.component("mi_library", js=(Path(__file__).parent / "library.js").read_text("utf-8"))


def library_search() -> None:
    """Let "/" and Ctrl + K open the search, and names in code and in lessons say what they are."""
    _library(key="library", data={"address": ADDRESS}, height=0)


def entries_as_json() -> bytes:
    """What is served at `ADDRESS`."""
    return json.dumps(library.as_data(), ensure_ascii=False).encode()
