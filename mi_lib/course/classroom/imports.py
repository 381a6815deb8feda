"""What a grader imports, found in its text: so that nothing on which a verdict depends has to be listed by hand.

Imports inside functions count, and so do names that are put together later: a text such as "mi_lib.models" in a call,
and `mi_lib.saes.load`, which imports on first use. The text is searched and not parsed, which is thirty times as quick,
so a module that is only spoken of counts too. Rather one too many: then somebody is graded again, to the same verdict.
One too few would keep a verdict that is no longer true.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "mi_lib"
_NAMED = re.compile(rf"(?<![\w./]){PACKAGE}(?:\.[A-Za-z_]\w*)+")
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_][\w.]*)", re.MULTILINE)
_FROM = re.compile(rf"^[ \t]*from[ \t]+({PACKAGE}[\w.]*)[ \t]+import[ \t]+(?:\(([^)]*)\)|([^\n#;]*))", re.MULTILINE)
_NAME = re.compile(r"(?:^|,)\s*(?:#[^\n]*\n\s*)*([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Found:
    """files: of our package. others: the packages of others, by the name that is imported."""

    files: frozenset[Path]
    others: frozenset[str]


def closure(texts: Iterable[str], library: Path) -> Found:
    """All that these Python texts import, and what that imports. library: the folder of our package."""
    files: set[Path] = set()
    others: set[str] = set()
    names = {name for text in texts for name in mentioned(text)}
    while names:
        name = names.pop()
        if name.split(".")[0] != PACKAGE:
            others.add(name.split(".")[0])
            continue
        for file in _files(name, library):
            if file not in files:
                files.add(file)
                names |= _mentioned_in(file, file.stat().st_mtime_ns)
    return Found(frozenset(files), frozenset(others))


def mentioned(text: str) -> set[str]:
    """The dotted names of modules (and of what is taken from them) in a text."""
    found = {*_IMPORT.findall(text), *_NAMED.findall(text)}
    for module, several, one in _FROM.findall(text):
        found |= {f"{module}.{name}" for name in _NAME.findall(several or one)}
    return found


def _files(name: str, library: Path) -> Iterator[Path]:
    """The files that importing a dotted name runs, as far as its parts are modules."""
    place = library
    for part in [*name.split(".")[1:], ""]:
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        if part and (file := place / f"{part}.py").is_file():
            yield file
            return
        place = place / part
        if not part or not place.is_dir():
            return


@functools.cache
def _mentioned_in(file: Path, _mtime: int) -> frozenset[str]:
    return frozenset(mentioned(file.read_text("utf-8")))
