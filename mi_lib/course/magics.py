"""What Jupyter runs itself in a cell, taken out of it, so that the rest is Python: `%%time`, `!pip`, `x?`.

So is what it makes of these when it saves a notebook as a script: `get_ipython().system('pip …')`.

A line is looked at only where a statement may begin: a `%` that goes on with a bracket or a text is a remainder.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Cell magics whose cell is Python that runs in the notebook; the cells of all others (%%bash, %%html, …) are not.
_PYTHON = {"time", "timeit", "capture", "prun", "memit", "python", "python3", "debug", "code_wrap"}
_HELP = re.compile(r"\?{1,2}[\w.%*]+;?\s*|[\w.%*\[\]'\"()]+\?{1,2};?\s*")
_ASSIGNED = re.compile(r"(\s*)([^=#'\"]+?)\s*=\s*[!%](?!=)")
_SAVED = re.compile(r"(\s*)(?:([^=#'\"(]+?)\s*=\s*)?(get_ipython\(\)\.\w+\(.*\)\s*)")
_TIMED = re.compile(r"(\s*)%time\s+(.+)")
_PIECE = re.compile(r"(?P<string>[rRbBuUfF]{0,2}(\"\"\"|'''|\"|'))|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comment>#)")


@dataclass
class _Scan:
    """Where in a statement a line begins. quote: of the text that is open; depth: of brackets."""

    quote: str = ""
    depth: int = 0
    continued: bool = False

    @property
    def fresh(self) -> bool:
        return not self.quote and self.depth == 0 and not self.continued

    def over(self, line: str) -> None:
        """Go over a line of Python."""
        at = 0
        while at < len(line):
            if self.quote:
                end = re.compile(rf"(?:\\.|(?!{self.quote}).)*").match(line, at)
                at = end.end() if end else at
                if line.startswith(self.quote, at):
                    at += len(self.quote)
                    self.quote = ""
                    continue
                break
            piece = _PIECE.search(line, at)
            if not piece or piece["comment"]:
                break
            at = piece.end()
            if piece["string"]:
                self.quote = piece[2]
            self.depth = max(0, self.depth + bool(piece["open"]) - bool(piece["close"]))
        self.continued = line.endswith("\\")
        if len(self.quote) == 1 and not self.continued:
            self.quote = ""  # a text that was not closed: an error that Python will tell


def take_out(cell: str) -> tuple[str, list[str]]:
    """(the cell as Python, the lines that were taken out). What is taken out leaves a line, so that numbers stay."""
    lines = cell.split("\n")
    taken: list[str] = []
    scan, begun, going_on = _Scan(), False, False
    for i, line in enumerate(lines):
        stripped = line.strip()
        if going_on:  # a command over several lines
            lines[i], going_on = "# " + stripped.rstrip("\\"), stripped.endswith("\\")
            continue
        magic = re.match(r"%%(\w*)", stripped) if scan.fresh and not begun else None
        if magic and magic[1] not in _PYTHON:
            return "\n".join([*lines[:i], *(f"# {one}" for one in lines[i:])]), [*taken, f"{stripped} and its cell"]
        if scan.fresh and (python := _without(line)) is not None:
            lines[i], going_on = python, stripped.endswith("\\")
            taken.append(stripped)
            continue
        begun = begun or bool(stripped and not stripped.startswith("#"))
        scan.over(line)
    return "\n".join(lines), taken


def _without(line: str) -> str | None:
    """A line that Jupyter would run itself, as Python; None if it is Python already."""
    stripped = line.lstrip()
    indent = line[: len(line) - len(stripped)]
    if timed := _TIMED.fullmatch(line):
        return f"{timed[1]}{timed[2]}"
    if assigned := _ASSIGNED.match(line):
        return f"{assigned[1]}{assigned[2]} = None  # {stripped}"
    if saved := _SAVED.fullmatch(line):
        return f"{saved[1]}{f'{saved[2]} = None' if saved[2] else 'pass'}  # {stripped}"
    if stripped.startswith(("%", "!", "?")) or _HELP.fullmatch(stripped):
        return f"{indent}pass  # {stripped}".rstrip("\\")
    return None
