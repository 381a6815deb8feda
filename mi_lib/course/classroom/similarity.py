"""Which submissions have most in common? Winnowing (Schleimer, Wilkerson and Aiken, SIGMOD 2003) over tokens.

1. A section becomes a row of tokens. Names that a writer chooses are all written N, because they are the first thing
   that is changed; what stands after a dot, keywords and operators stay. Comments, docstrings and layout are dropped.
2. Every K tokens in a row are hashed. Of each WINDOW hashes in a row the smallest is kept (§3 of the paper): so any
   stretch of K + WINDOW − 1 tokens that two texts share leaves a common fingerprint.
3. Fingerprints of what was handed out do not count, nor do idioms: what half the class has, or what stands in many
   answers that differ otherwise. There are not many ways to write a short right answer. Answers that are alike to the
   letter are counted once for that, so that a ring of copies makes no idiom of what it has copied.

The result is a list to look at, not a verdict.
"""

from __future__ import annotations

import functools
import hashlib
import io
import itertools
import keyword
import tokenize
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from mi_lib.course import index, sections, stubs
from mi_lib.course.classroom.gradebook import Attempt
from mi_lib.course.index import CourseError

K, WINDOW = 10, 6
FEWEST = 8  # common fingerprints, below which a pair is not worth a look
OFTEN, OFTEN_SHARE, HALF = 4, 0.15, 0.5  # a fingerprint in more different answers than these is an idiom
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


@dataclass(frozen=True)
class Pair:
    """Two submissions. share: of the fingerprints of the one with fewer; places: the exercises that share most."""

    chapter: str
    one: str
    other: str
    share: float
    common: int
    places: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def of_class(attempts: Iterable[Attempt], chapter: str | None = None) -> list[Pair]:
    """All pairs with something in common; first those that share much, and a large part of what they have.

    Of each student's attempts the last is compared.
    """
    last: dict[tuple[str, str], Attempt] = {}
    for attempt in attempts:
        if chapter is None or attempt.chapter == chapter.zfill(2):
            last[attempt.chapter, attempt.student] = attempt
    found = []
    for number, group in itertools.groupby(sorted(last), key=lambda key: key[0]):
        found += pairs({student: last[number, student].text for _, student in group}, _handed_out(number), number)
    return sorted(found, key=lambda pair: (-pair.share * pair.common, pair.one, pair.other))


def pairs(texts: dict[str, str], handed_out: str = "", chapter: str = "") -> list[Pair]:
    """The pairs of these texts that have at least `FEWEST` fingerprints in common."""
    given = set(_hashes(tokens(handed_out)))
    prints = {
        student: {h: place for h, place in fingerprints(text).items() if h not in given}
        for student, text in texts.items()
    }
    owners: dict[int, list[str]] = {}
    for student, mine in prints.items():
        for value in mine:
            owners.setdefault(value, []).append(student)
    rows = {student: _rows(text) for student, text in texts.items()}
    few, half = max(OFTEN, OFTEN_SHARE * len(texts)), max(OFTEN, HALF * len(texts))
    idioms = {
        value
        for value, who in owners.items()
        if len(who) > half or len({rows[student][prints[student][value]] for student in who}) > few
    }
    common: dict[tuple[str, str], list[int]] = {}
    for value, who in owners.items():
        if len(who) > 1 and value not in idioms:
            for pair in itertools.combinations(sorted(who), 2):
                common.setdefault(pair, []).append(value)
    found = []
    for (one, other), values in common.items():
        if len(values) >= FEWEST:
            size = min(len(prints[one].keys() - idioms), len(prints[other].keys() - idioms))
            places = Counter(prints[one][value] for value in values)
            found.append(
                Pair(chapter, one, other, len(values) / size, len(values), tuple(p for p, _ in places.most_common(3)))
            )
    return found


def fingerprints(text: str) -> dict[int, str]:
    """{fingerprint: section that it stands in} of a submission."""
    return {value: name for name, row in _rows(text).items() for value in _winnow(_hashes(list(row)))}


@functools.lru_cache(maxsize=1024)
def _rows(text: str) -> dict[str, tuple[str, ...]]:
    """{section: its tokens} of a submission."""
    try:
        parts = sections.split(text)
    except sections.SectionError:
        parts = {"": text}
    return {name: tuple(tokens(part)) for name, part in parts.items()}


def tokens(text: str) -> list[str]:
    """The row of tokens; as far as it goes where the text is no Python."""
    row: list[str] = []
    fresh = True  # at the start of a statement, where a lone string is a docstring
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in _LAYOUT:
                fresh = fresh or token.type in (tokenize.NEWLINE, tokenize.INDENT)
                continue
            if token.type == tokenize.STRING:
                row += [] if fresh else ["S"]
            elif token.type == tokenize.NUMBER:
                row.append(token.string)
            elif token.type == tokenize.NAME and not keyword.iskeyword(token.string) and row[-1:] != ["."]:
                row.append("N")
            else:
                row.append(token.string)
            fresh = False
    except (tokenize.TokenError, SyntaxError, ValueError):
        pass
    return row


def _hashes(row: list[str]) -> list[int]:
    return [
        int.from_bytes(hashlib.blake2b(" ".join(row[i : i + K]).encode(), digest_size=8).digest())
        for i in range(len(row) - K + 1)
    ]


def _winnow(hashes: list[int]) -> set[int]:
    if len(hashes) < WINDOW:
        return {min(hashes)} if hashes else set()
    return {min(hashes[i : i + WINDOW]) for i in range(len(hashes) - WINDOW + 1)}


@index.once_a_course
def _handed_out(number: str) -> str:
    try:
        return stubs.handed_out(index.chapter(number))
    except CourseError:
        return ""
