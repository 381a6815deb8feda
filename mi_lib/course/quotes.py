"""What a lesson quotes: `{{source: path | how}}`.

source   `findings`, what the chapter has measured (`findings.json`); or the name of a bundled model, for its card
path     `distances.seven`, `by_depth.3`: keys of tables and places in lists, from 0
how      a format such as `.2f` or `,`. A list takes it for each of its items and becomes "3, 5 and 9".
         `or` before it: "3, 5 or 9". `words`: "seven" for 7; `Words`: "Seven"; `or words`: "three, five or nine"
         `about`, of what is far below 1: "about a millionth", "about 50 billionths"

What is below 0 gets a minus sign (−), as in the lesson's own words: a hyphen is shorter, and a line may end behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mi_lib.course.index import CourseError

FINDINGS = "findings"
_QUOTE = re.compile(r"\{\{\s*([\w.-]+)\s*:\s*([\w.\-/]+)\s*(?:\|\s*([^}]*?)\s*)?\}\}")
_SMALL = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


class QuoteError(CourseError):
    """Something quoted is not there, or cannot be written as asked; the text names the line."""


def fill(text: str, line: int = 1, tables: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Replace each quote of a text that begins at this line. Raises `QuoteError`.

    tables: what is quoted from, by name. None: the cards of the bundled models; a table of findings must be given.
    """

    def value(match: re.Match[str]) -> str:
        where = f"line {line + text.count(chr(10), 0, match.start())}: {match[0]}"
        source, path, how = match[1], match[2], match[3] or ""
        try:
            return said(_found(_table(source, tables), path, source), how)
        except CourseError as error:
            raise QuoteError(f"{where}: {error}") from error
        except (ValueError, TypeError) as error:
            raise QuoteError(f"{where}: {error}.") from error

    return _QUOTE.sub(value, text)


def said(value: Any, how: str = "") -> str:
    """A value as a lesson writes it (see the module). ValueError or TypeError if it cannot be written so."""
    if value is None or isinstance(value, dict) or value == []:
        raise ValueError("this is not one value, nor a list of values")
    asked = how.split()
    joint = " or " if "or" in asked else " and "
    if isinstance(value, list):
        if any(isinstance(item, list | dict) for item in value):
            raise ValueError("this is not one value, nor a list of values")
        items = [said(item, " ".join(word for word in asked if word != "or")) for item in value]
        return joint.join([", ".join(items[:-1]), items[-1]]) if len(items) > 1 else items[0]
    if asked == ["or"]:
        raise ValueError("only a list can be joined by `or`")
    if asked in (["words"], ["Words"]):
        words = in_words(value)
        return words.capitalize() if asked == ["Words"] else words
    if asked == ["about"]:
        return about(value)
    text = _power(format(value, how))
    if isinstance(value, bool | str) or not text.startswith("-"):
        return text
    nothing = isinstance(value, float) and re.fullmatch(r"-0(\.0*)?%?", text)
    return text[1:] if nothing else "−" + text[1:]  # 0%, and not -0%; a minus sign, and no hyphen


def _power(text: str) -> str:
    """1.5e-09 as 1.5 · 10⁻⁹, in one line (its spaces do not break); other text as it is."""
    parts = re.fullmatch(r"([-+]?[\d.]+)e([+-]\d+)", text)
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"{parts[1]}\u00a0·\u00a010{str(int(parts[2])).translate(raised)}" if parts else text


def about(number: Any) -> str:
    """9.7e-07 as "about a millionth": a small number as one would say it, to one figure. ValueError for others."""
    if not isinstance(number, float) or not 1e-12 <= number < 0.1:
        raise ValueError(f"{number!r} does not lie between a trillionth and a tenth, so it has to stand in digits")
    number = float(f"{number:.0e}")
    units = ((1e-3, "thousandth"), (1e-6, "millionth"), (1e-9, "billionth"), (1e-12, "trillionth"))
    unit, name = next(one for one in units if number > 0.99 * one[0])
    count = round(number / unit)
    return f"about a {name}" if count == 1 else f"about {in_words(count) if count <= 12 else count} {name}s"


def in_words(number: Any) -> str:
    """7 as "seven". ValueError for what is no whole number from 0 to 99."""
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 99:
        raise ValueError(f"{number!r} is no whole number from 0 to 99, so it has to stand in digits")
    if number < len(_SMALL):
        return _SMALL[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_SMALL[ones]}" if ones else "")


def _table(source: str, tables: Mapping[str, Mapping[str, Any]] | None) -> Any:
    if source in (tables or {}):
        return (tables or {})[source]
    if source == FINDINGS:
        raise CourseError("the chapter has no findings.json; `mi dev measure` writes it.")
    from mi_lib import zoo

    if source not in zoo.carded():
        raise CourseError(f"there is no bundled model {source!r}; there are {', '.join(zoo.carded())}.")
    return zoo.card(source)


def _found(table: Any, path: str, source: str) -> Any:
    whose = "findings.json" if source == FINDINGS else f"the card of {source}"
    for key in path.split("."):
        try:
            table = table[int(key)] if isinstance(table, list) else table[key]
        except (KeyError, IndexError, ValueError, TypeError):
            raise CourseError(f"{whose} has no {path!r} (stopped at {key!r}).") from None
    return table
