"""Which submissions have most in common? Winnowing (Schleimer, Wilkerson and Aiken, SIGMOD 2003) over tokens.

1. A section becomes a row of tokens. Names that a writer chooses are all written N, because they are the first thing
   that is changed; what stands after a dot, keywords and operators stay. Comments, docstrings and layout are dropped.
2. Every K tokens in a row are hashed. Of each WINDOW hashes in a row the smallest is kept (§3 of the paper): so any
   stretch of K + WINDOW − 1 tokens that two texts share leaves a common fingerprint.
3. Fingerprints of what was handed out do not count, nor do idioms: what half the class has, or what stands in many
   answers that differ otherwise. There are not many ways to write a short right answer. Answers that are alike to the
   letter are counted once for that, so that a ring of copies makes no idiom of what it has copied.
4. Each submission is compared with the parts of the library that answer its exercises, function by function.

The result is a list to look at, not a verdict. `tests/classroom/alike.py` measures how often answers that are alike
because they are right stand in it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import itertools
import keyword
import textwrap
import tokenize
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
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
    """Two submissions, or one and, as `other`, a function of the library.

    share: of the fingerprints of the one with fewer, or of the function; places: the exercises that share most.
    """

    chapter: str
    one: str
    other: str
    share: float
    common: int
    places: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def of_class(
    attempts: Iterable[Attempt], chapter: str | None = None, groups: Mapping[str, Iterable[str]] | None = None
) -> list[Pair]:
    """All pairs with something in common; first those that share much, and a large part of what they have.

    Of each student's attempts the last is compared. groups: name → members, who hand in together and are one here.
    """
    of = {member: group for group, members in (groups or {}).items() for member in members}
    last: dict[tuple[str, str], Attempt] = {}
    for attempt in attempts:
        if chapter is None or attempt.chapter == chapter.zfill(2):
            last[attempt.chapter, of.get(attempt.student, attempt.student)] = attempt
    found = []
    for number, group in itertools.groupby(sorted(last), key=lambda key: key[0]):
        texts = {student: last[number, student].text for _, student in group}
        found += pairs(texts, _handed_out(number), number)
        found += from_library(texts, answering_parts(number), _handed_out(number), number)
    return sorted(found, key=lambda pair: (-pair.share * pair.common, pair.one, pair.other))


def pairs(texts: dict[str, str], handed_out: str = "", chapter: str = "") -> list[Pair]:
    """The pairs of these texts that have at least `FEWEST` fingerprints in common."""
    prints = _particular(texts, handed_out)
    owners, often = _owners(prints), _often(texts, prints)
    half = max(OFTEN, HALF * len(texts))
    idioms = often | {value for value, who in owners.items() if len(who) > half}
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


def from_library(texts: dict[str, str], parts: Iterable[str], handed_out: str = "", chapter: str = "") -> list[Pair]:
    """Which of these texts hold a function of the library, or a large part of one: the one that they hold most of.

    parts: of the library ("mi_lib.induction"). What many answers that differ otherwise share with a function does not
    count; what all have copied does.
    """
    prints = _particular(texts, handed_out)
    left_out = _often(texts, prints) | _given(handed_out)
    functions = {name: own for name, all_ in _library(parts).items() if len(own := all_ - left_out) >= FEWEST}
    holders = _owners(functions)
    found = []
    for student, mine in prints.items():
        common: dict[str, list[int]] = {}
        for value in mine:
            for name in holders.get(value, ()):
                common.setdefault(name, []).append(value)
        enough = [name for name, values in common.items() if len(values) >= FEWEST]
        if enough:
            best = max(enough, key=lambda name: (len(common[name]) ** 2 / len(functions[name]), name))
            places = Counter(mine[value] for value in common[best])
            share = len(common[best]) / len(functions[best])
            which = tuple(place for place, _ in places.most_common(3))
            found.append(Pair(chapter, student, f"the library, {best}", share, len(common[best]), which))
    return found


def _particular(texts: dict[str, str], handed_out: str) -> dict[str, dict[int, str]]:
    """student → {fingerprint: section}, without what was handed out."""
    given = _given(handed_out)
    return {
        student: {value: place for value, place in fingerprints(text).items() if value not in given}
        for student, text in texts.items()
    }


@functools.lru_cache(maxsize=64)
def _given(handed_out: str) -> frozenset[int]:
    return frozenset(_hashes(tokens(handed_out)))


def _owners(prints: Mapping[str, Iterable[int]]) -> dict[int, list[str]]:
    """fingerprint → who has it."""
    found: dict[int, list[str]] = {}
    for name, mine in prints.items():
        for value in mine:
            found.setdefault(value, []).append(name)
    return found


def _often(texts: dict[str, str], prints: dict[str, dict[int, str]]) -> set[int]:
    """Fingerprints that stand in many answers which differ otherwise."""
    rows = {student: _rows(text) for student, text in texts.items()}
    few = max(OFTEN, OFTEN_SHARE * len(texts))
    return {
        value
        for value, who in _owners(prints).items()
        if len({rows[student][prints[student][value]] for student in who}) > few
    }


def _library(parts: Iterable[str]) -> dict[str, set[int]]:
    """function → its fingerprints, of these parts of the library ("mi_lib.induction")."""
    return {name: prints for part in sorted(set(parts)) for name, prints in _part(part).items()}


@functools.cache
def _part(part: str) -> dict[str, set[int]]:
    return {name: _winnow(_hashes(tokens(text))) for name, text in _sources(part).items()}


@functools.cache
def _sources(part: str) -> dict[str, str]:
    """function → its text, of a module or package, which is read and not imported."""
    top = Path(__file__).parents[3]
    folder = top.joinpath(*part.split("."))
    found: dict[str, str] = {}
    for path in (folder.with_suffix(".py"), *sorted(folder.glob("**/*.py"))):
        if path.is_file():
            text = path.read_text("utf-8")
            lines, place = text.split("\n"), path.relative_to(top).with_suffix("").parts
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    name = ".".join([*(one for one in place if one != "__init__"), node.name])
                    found[name] = textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return found


def source_of(name: str) -> str:
    """The text of a function of the library, by its whole name ("mi_lib.induction.heads.score")."""
    return _sources(".".join(name.split(".")[:2]))[name]


@index.once_a_course
def answering_parts(number: str) -> tuple[str, ...]:
    """The parts of the library that answer a chapter's exercises: ("mi_lib.induction",)."""
    try:
        named = [name for exercise in index.chapter(number).exercises for name in exercise.answered_by]
    except CourseError:
        return ()
    return tuple(sorted({".".join(name.partition(":")[0].split(".")[:2]) for name in named if name[:7] == "mi_lib."}))


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
