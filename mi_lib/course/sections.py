"""The sections of an exercise file: cells that start with a line such as `# %% [02.3] Prefix matching`.

The markers are those of jupytext, VS Code and PyCharm, so an editor shows the same cells. A plain `# %%` line starts no
section of its own: it belongs to the section that it stands in.
"""

from __future__ import annotations

import hashlib
import re

from mi_lib.course.index import CourseError

# Found by line, not by parsing, so that a file with a syntax error still has its sections.
MARKER = re.compile(r"^#[ \t]*%%[ \t]*\[(setup|\d\d\.\d{1,2})\][^\n]*(?:\n|\Z)", re.MULTILINE)


class SectionError(CourseError):
    """A file whose section markers are missing or doubled."""


def split(text: str) -> dict[str, str]:
    """The sections by id ("setup", "02.1", ...), each with its marker line; `""` holds what stands before the first.

    Joining the values gives the text back, character for character. Raises `SectionError` for an id that stands twice.
    """
    marks = list(MARKER.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    result = {"": text[: marks[0].start()]} if marks and marks[0].start() else {}
    if not marks and text:
        result[""] = text
    for mark, end in zip(marks, ends, strict=False):
        if mark[1] in result:
            raise SectionError(
                f"Section [{mark[1]}] stands twice, and the second starts on line {_line(text, mark.start())}. "
                "Keep the answer that you want under one `# %%` line and delete the other."
            )
        result[mark[1]] = text[mark.start() : end]
    return result


def join(parts: dict[str, str]) -> str:
    """The file that these sections make up: the inverse of `split`."""
    return "".join(parts.values())


def get(text: str, section: str) -> str:
    """The text of one section, marker line included. Raises `SectionError` if it is missing or doubled."""
    parts = split(text)
    if section not in parts:
        raise SectionError(
            f"The line that starts section [{section}] is missing. Put `# %% [{section}]` back above that answer, "
            f"or run `mi init` to add the section again from the course; it changes no other section."
        )
    return parts[section]


def replace(text: str, section: str, new: str) -> str:
    """The file with one section exchanged. `new` may leave out the marker line: the present one is then kept.

    Raises `SectionError` if the section is missing, or if `new` holds the marker of another section.
    """
    old = get(text, section)
    parts = split(text)
    if not MARKER.match(new):
        marker = MARKER.match(old)
        assert marker is not None
        new = marker[0].rstrip("\r\n") + "\n" + new
    found = [mark[1] for mark in MARKER.finditer(new)]
    if found != [section]:
        raise SectionError(
            f"This text is for section [{section}] but holds the marker of {' and '.join(f'[{f}]' for f in found)}. "
            "Put each answer under its own marker."
        )
    if section != list(parts)[-1] and not new.endswith("\n"):
        new += "\n"  # else the next marker would end up in the middle of a line
    return join(parts | {section: new})


def body(section_text: str) -> str:
    """A section without its marker line."""
    return MARKER.sub("", section_text, count=1)


def start_line(text: str, section: str) -> int:
    """The line of the file (from 1) on which a section's marker stands."""
    for mark in MARKER.finditer(text):
        if mark[1] == section:
            return _line(text, mark.start())
    raise SectionError(f"The line that starts section [{section}] is missing.")


def version(text: str) -> str:
    """A short fingerprint of a text: equal texts, equal versions."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
