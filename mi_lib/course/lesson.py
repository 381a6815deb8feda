"""A lesson: Markdown with the colon fences of MyST, cut into blocks that a page, a notebook or a terminal can show.

    :::{exercise} 02.3            :::{predict} What do you expect?       :::{figure} function_name
    :::                           - [ ] this                             the caption
                                  - [x] that                             :::
                                  Because ...
                                  :::

and `:::{note} Title`, `:::{warning} Title`, `:::{practice} Title`. A figure that an exercise computes is written
`:::{figure} function_name from=02.3`: it is drawn from the learner's own answer to that exercise.

Numbers never stand in the text: they are quoted
from what the chapter has measured, `{{findings: loss.second | .2f}}`, or from a model's card, `{{induction-2l: ...}}`
(see `mi_lib.course.quotes`). `{{model: ...}}` is the card of the chapter's first model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from mi_lib.course import findings, quotes
from mi_lib.course.index import Chapter, CourseError

KINDS = ("exercise", "predict", "figure", "note", "warning", "practice")
_FENCE = re.compile(r"^(:{3,})\{([\w-]+)\}[ \t]*(.*?)[ \t]*$")
_CODE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_OPTION = re.compile(r"^[-*] \[([ xX])\] (.+)$")
_FIGURE = re.compile(r"^(\w+)(?:[ \t]+from=(\d\d\.\d{1,2}))?$")
_QUOTE_FIRST = re.compile(r"^[ ]*(?:(?:>|[-*+])[ ]*)*\{\{")
_NUMBERED = re.compile(r"^[ ]*(?:(?:>|[-*+])[ ]*)*(\d{1,9}[.)])(?:[ \t]|$)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


Tables = Mapping[str, Mapping[str, Any]]


class LessonError(CourseError):
    """A lesson that cannot be shown as written; the text names the line."""


@dataclass(frozen=True)
class Option:
    """One answer of a predict block."""

    text: str
    right: bool


@dataclass(frozen=True)
class Block:
    """A piece of a lesson. What `arg` and `text` hold depends on the kind:

    markdown: text. exercise: arg = id. predict: arg = question, options, text = what to show once answered.
    figure: arg = function of figures.py, follows = id of the exercise whose answer draws it (or ""), text = caption.
    note, warning, practice: arg = title, text.
    """

    kind: str
    arg: str = ""
    text: str = ""
    options: tuple[Option, ...] = ()
    line: int = 1  # of lesson.md, from 1
    follows: str = ""

    @property
    def id(self) -> str:
        """A name that stays the same while the wording does; predictions are stored under it."""
        return slug(self.arg) or f"line-{self.line}"


def path(chapter: Chapter) -> Path:
    return chapter.folder / "lesson.md"


def blocks(chapter: Chapter) -> list[Block]:
    """The lesson of a chapter, quotes filled in. Raises `LessonError` with the line of what is wrong."""
    file = path(chapter)
    if not file.exists():
        raise LessonError(f"{file} is missing.")
    text = file.read_text("utf-8")
    if chapter.model:
        text = re.sub(r"\{\{\s*model\s*:", "{{" + chapter.model[0] + ":", text)
    measured = {quotes.FINDINGS: findings.read(chapter)} if findings.path(chapter).exists() else None
    try:
        return parse(text, measured)
    except LessonError as error:
        raise LessonError(f"{file}: {error}") from error


def parse(text: str, tables: Tables | None = None) -> list[Block]:
    """Blocks of a lesson's text. tables: what it quotes from, by name, beside the cards of the bundled models."""
    result: list[Block] = []
    plain: list[str] = []
    plain_from = 1
    lines = text.splitlines()
    at, code = 0, ""

    def flush(until: int) -> None:
        if any(line.strip() for line in plain):
            body = "\n".join(plain).strip("\n")
            result.append(Block("markdown", text=_fill(body, plain_from, tables), line=plain_from))
        plain.clear()

    while at < len(lines):
        line = lines[at]
        code = _code_state(line, code)
        fence = None if code else _FENCE.match(line)
        if fence is None:
            if not plain:
                plain_from = at + 1
            if not code and re.match(r"^:{3,}\s*$", line):
                raise LessonError(f"line {at + 1}: this closing fence has no opening one.")
            plain.append(line)
            at += 1
            continue
        flush(at)
        end = _closing(lines, at, fence[1])
        result.append(_directive(fence[2], fence[3], lines[at + 1 : end], at + 1, tables))
        at = end + 1
        if at < len(lines):
            plain_from = at + 1
    flush(at)
    return result


def _fill(text: str, line: int, tables: Tables | None) -> str:
    try:
        filled = quotes.fill(text, line, tables)
    except quotes.QuoteError as error:
        raise LessonError(str(error)) from error
    code = ""
    for at, (raw, said) in enumerate(zip(text.splitlines(), filled.splitlines(), strict=False)):
        code = _code_state(raw, code)
        listed = _NUMBERED.match(said)
        if listed and not code and _QUOTE_FIRST.match(raw):
            raise LessonError(
                f"line {line + at}: a quote at the beginning of this line makes {listed[1]!r} of it, which Markdown "
                "takes for a numbered list; break the lines elsewhere."
            )
    return filled


def steps(blocks: list[Block]) -> list[list[Block]]:
    """The lesson in steps, each with the exercise that it leads to and what that exercise has shown.

    A step ends at the next heading: of those before the next exercise, the first of the highest rank. Where two
    exercises share a section it ends at the first text or question after the exercise; figures and boxes right behind
    the exercise are still its own. What follows the last exercise's step is a step of its own.
    """
    pieces = [piece for block in blocks for piece in _sections(block)]
    exercises = [at for at, piece in enumerate(pieces) if piece.kind == "exercise"]
    ends = [_end_of_step(pieces, at + 1, following) for at, following in pairwise([*exercises, len(pieces)])]
    parts = [pieces[start:end] for start, end in pairwise([0, *ends, len(pieces)])]
    return [part for part in parts if part]


def exercise_of(step: list[Block]) -> str:
    """The id of the exercise that a step leads to, "" if there is none."""
    return next((block.arg for block in step if block.kind == "exercise"), "")


def _sections(block: Block) -> Iterator[Block]:
    """A block of text cut before its headings; any other block as it is."""
    if block.kind != "markdown":
        yield block
        return
    lines, code, start = block.text.splitlines(), "", 0
    for at, line in enumerate(lines):
        code = _code_state(line, code)
        if at > start and not code and re.match(r"#{1,6} ", line):
            yield replace(block, text="\n".join(lines[start:at]), line=block.line + start)
            start = at
    yield replace(block, text="\n".join(lines[start:]), line=block.line + start)


def _rank(block: Block) -> int:
    """2 for a text that begins with `## `, 0 for a block that begins with no heading."""
    match = re.match(r"(#{1,6}) ", block.text) if block.kind == "markdown" else None
    return len(match[1]) if match else 0


def _end_of_step(pieces: list[Block], start: int, following: int) -> int:
    """Where the step of an exercise ends whose last block is before `start`; the next exercise is at `following`."""
    ranks = {at: rank for at in range(start, following) if (rank := _rank(pieces[at]))}
    if ranks:
        return min(ranks, key=lambda at: (ranks[at], at))
    return next((at for at in range(start, following) if pieces[at].kind in ("markdown", "predict")), following)


def headings(blocks: list[Block]) -> list[tuple[int, str, str]]:
    """(level, title, anchor) of every heading, for a table of contents."""
    result: list[tuple[int, str, str]] = []
    seen: dict[str, int] = {}
    for line in _prose(blocks):
        match = re.match(r"^(#{1,6})\s+(.*?)\s*#*$", line)
        if match:
            anchor = slug(match[2])
            seen[anchor] = seen.get(anchor, -1) + 1
            result.append((len(match[1]), match[2], anchor + (f"-{seen[anchor]}" if seen[anchor] else "")))
    return result


def problems(chapter: Chapter, blocks: list[Block]) -> list[str]:
    """What a build must refuse: anchors and files that do not exist, exercises missing or doubled, empty questions."""
    found: list[str] = []
    ids = [block.arg for block in blocks if block.kind == "exercise"]
    for exercise in chapter.exercises:
        if ids.count(exercise.id) != 1:
            found.append(f"exercise {exercise.id} appears {ids.count(exercise.id)} times in the lesson, not once.")
    known = {exercise.id for exercise in chapter.exercises}
    found += [f"the lesson names exercise {i}, which chapter.toml does not have." for i in ids if i not in known]
    if [i for i in ids if i in known] != [e.id for e in chapter.exercises if e.id in ids]:
        found.append("the lesson shows the exercises in another order than chapter.toml.")
    questions = [block.id for block in blocks if block.kind == "predict"]
    found += [f"two predict blocks ask the same question ({q})." for q in set(questions) if questions.count(q) > 1]
    seen: set[str] = set()
    for block in blocks:
        if block.kind == "exercise":
            seen.add(block.arg)
        elif block.follows and block.follows not in known:
            found.append(f"the figure {block.arg!r} is from={block.follows}, which is no exercise of this chapter.")
        elif block.follows and block.follows not in seen:
            found.append(f"the figure {block.arg!r} is from={block.follows}, and stands before that exercise.")
    anchors = {anchor for _, _, anchor in headings(blocks)} | {anchor_of(exercise_id) for exercise_id in known}
    for line in _prose(blocks):
        for match in _LINK.finditer(line):
            target = match[1] or match[2]
            if target.startswith("#"):
                if target[1:] not in anchors:
                    found.append(f"the link to {target} leads nowhere.")
            elif not re.match(r"^[a-z]+:", target) and not (chapter.folder / target.split("#")[0]).exists():
                found.append(f"the link to {target} leads to no file beside the lesson.")
    return found


def anchor_of(exercise_id: str) -> str:
    """The anchor of an exercise in its lesson: `#exercise-02-3`."""
    return f"exercise-{exercise_id.replace('.', '-')}"


def slug(text: str) -> str:
    """The anchor that GitHub and MyST give a heading."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", text).strip().lower()
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", plain))


def _directive(kind: str, arg: str, lines: list[str], line: int, tables: Tables | None) -> Block:
    if kind not in KINDS:
        raise LessonError(f"line {line}: there is no block {kind!r}; there are {', '.join(KINDS)}.")
    if not arg:
        raise LessonError(f"line {line}: the {kind} block needs something after its name.")
    options = [match for match in map(_OPTION.match, lines) if match] if kind == "predict" else []
    rest = [text for text in lines if not (options and _OPTION.match(text))]
    if kind == "predict":
        if len(options) < 2:
            raise LessonError(f"line {line}: a predict block needs at least two options, `- [ ] like this`.")
        if not any(match[1] in "xX" for match in options):
            raise LessonError(f"line {line}: a predict block needs a right option, `- [x] like this`.")
        if not any(text.strip() for text in rest):
            raise LessonError(f"line {line}: a predict block needs an explanation after its options.")
    body = _fill("\n".join(rest).strip("\n"), line + 1, tables)
    if kind == "figure":
        match = _FIGURE.match(arg)
        if match is None:
            raise LessonError(f"line {line}: a figure block is written `name` or `name from=02.3`, not {arg!r}.")
        return Block(kind, match[1], body, line=line, follows=match[2] or "")
    chosen = tuple(Option(_fill(match[2], line, tables), match[1] in "xX") for match in options)
    return Block(kind, _fill(arg, line, tables), body, chosen, line)


def _closing(lines: list[str], start: int, colons: str) -> int:
    code = ""
    for at in range(start + 1, len(lines)):
        code = _code_state(lines[at], code)
        if not code and lines[at].rstrip() == colons:
            return at
    raise LessonError(f"line {start + 1}: this block is never closed with {colons}.")


def _code_state(line: str, code: str) -> str:
    """The fence of the code block that we are in after this line, or "". Nothing inside one is a directive."""
    match = _CODE.match(line)
    if not code:
        return match[1] if match else ""
    closes = match and match[1][0] == code[0] and len(match[1]) >= len(code) and line.strip() == match[1]
    return "" if closes else code


def _prose(blocks: list[Block]) -> list[str]:
    """The lines of all text blocks that are not code."""
    result, code = [], ""
    for block in blocks:
        for line in block.text.splitlines():
            before, code = code, _code_state(line, code)
            if not before and not code:
                result.append(line)
    return result
