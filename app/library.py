"""The library's entries, for the search and for what a name says of itself in the browser (`everywhere`)."""

from __future__ import annotations

import json

from mi_lib.course import library

ADDRESS = "/library.json"


def entries_as_json() -> bytes:
    """What is served at `ADDRESS`."""
    return json.dumps(library.as_data(), ensure_ascii=False).encode()
