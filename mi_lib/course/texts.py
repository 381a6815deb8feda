"""What learners wrote, on its way into a file, a table, a page or a terminal: names, messages, output, tracebacks.

Every writer of a class's reports passes what it writes through `clean`, alone or on the way through one of the others:

    clean     can be stored and shown anywhere    cell      and is no formula to a spreadsheet
    line      and is one line                     markup    and is no markup to a browser
    markdown  and is no Markdown to a page        data      everything in a nested value
    decoded   bytes of a file's name as text

There is no error among them: what cannot be shown becomes "�", and the rest stays.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape
from typing import Any

# Half characters and those that XML 1.0 cannot hold, that steer a terminal, or that turn round what stands after them.
_UNSHOWN = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS = re.compile(r"\s+")
_MARKED = re.compile(r"([\\`*_{}\[\]()#+.!<>|$:~^=-])")
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"  # Excel takes the wide ones for the narrow


def clean(text: str) -> str:
    """The text without what a file, a page or a terminal cannot hold. `clean(clean(t)) == clean(t)`."""
    return _UNSHOWN.sub("\ufffd", _LINE_ENDS.sub("\n", text))


def line(text: str) -> str:
    """The text in one line, its blanks folded."""
    return _BLANKS.sub(" ", clean(text)).strip()


def cell(text: str) -> str:
    """The text in one line that no spreadsheet takes for a formula, whatever blanks stand before it."""
    one = line(text)
    first = next((c for c in one if unicodedata.category(c)[0] not in "CZ"), "")
    return f"'{one}" if first and first in _FORMULA else one


def markup(text: str) -> str:
    """The text as a browser shows it, whatever is in it."""
    return escape(clean(text))


def markdown(text: str) -> str:
    """The text as a page that takes Markdown shows it, letter by letter: no link, no picture, no formula in it."""
    return _MARKED.sub(r"\\\1", line(text))


def data(value: Any) -> Any:
    """A nested value of lists and dicts with every text in it clean, keys included."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(key) if isinstance(key, str) else key: data(one) for key, one in value.items()}
    return [data(one) for one in value] if isinstance(value, list | tuple) else value


def decoded(raw: bytes) -> str:
    """The name of a file as text, composed (NFC): UTF-8, or Latin-1, or what DOS wrote.

    Of the last two, the letters of the first stand where the other has signs for drawing, and the other way round.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1" if all(byte < 0x80 or byte >= 0xA0 for byte in raw) else "cp437")
    return unicodedata.normalize("NFC", text)
