"""The words of the course: `chapters/glossary.toml`, an entry each, and the places where lessons first use them.

    [[term]]
    name = "logit"
    where = "01.1"                      # the step of the lesson that explains it; "05" for a chapter to come
    forms = ["raw score"]               # other ways to write it; a plain plural, "logits", is known without
    not_in = ["03"]                     # chapters in which the word means something else
    text = "The number that ..."        # one or two sentences; *these marks* name other entries

Nothing is marked in a lesson: the first time that it uses a term, `linked` makes a link of it. That is never in code,
mathematics, headings, brackets or quoted text, and a longer term goes before one that it contains.
"""

from __future__ import annotations

import functools
import html
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mi_lib.course import index, lesson
from mi_lib.course.index import Chapter, CourseError
from mi_lib.course.lesson import Block

LONGEST = 340  # characters of an entry: what a bubble beside a word can hold
_KEYS = {"name", "where", "forms", "not_in", "text"}
# What is no prose: fenced and indented code, headings, quoted lines, inline code, mathematics, links and tags. Other
# brackets neither: they hold the axes of a tensor.
_NO_PROSE = re.compile(
    r"^ {0,3}(?P<fence>`{3,}|~{3,}).*?(?:^ {0,3}(?P=fence)|\Z)|^ {4}.*?$|^#.*?$|^>.*?$"
    r"|`[^`]*`|\$[^$\n]+\$|!?\[[^\]]*\](?:\([^)]*\))?|<[^>\n]+>",
    re.MULTILINE | re.DOTALL,
)
_FOLDED = ("note", "practice")
_WORD = re.compile(r"[\w-]+")
_BEGINNING = re.compile(
    r"(?:\A|[.!?:|(>-]|\n\s*\n)\s*\Z"
)  # what stands before a word that opens a sentence, a cell, a line of a list
_MARKED = re.compile(r"\*([^*]+)\*")


@dataclass(frozen=True)
class Term:
    """One entry."""

    name: str
    where: str  # "01.3" or "01.end", a step of a lesson; or "05", a chapter that is still to come
    text: str
    forms: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What an address calls it."""
        return lesson.slug(self.name)

    @property
    def plain(self) -> str:
        """Its text without marks."""
        return self.text.replace("*", "").replace("`", "")


class Occurrence(NamedTuple):
    """A term in a lesson: at which block, and from where to where in the block's text."""

    term: Term
    block: int
    start: int
    end: int


def path() -> Path:
    return index.root() / "chapters" / "glossary.toml"


def terms() -> tuple[Term, ...]:
    """All entries, by alphabet; none where there is no glossary. Raises `CourseError` for one that cannot be read."""
    if not path().exists():
        return ()
    return _read(path(), path().stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _read(file: Path, _mtime: int) -> tuple[Term, ...]:
    try:
        tables = tomllib.loads(file.read_text("utf-8")).get("term", [])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CourseError(f"{file} cannot be read: {error}.") from error
    return tuple(sorted((_term(file, table) for table in tables), key=lambda term: term.name.casefold()))


def _term(file: Path, table: dict[str, Any]) -> Term:
    lists = [table.get("forms", []), table.get("not_in", [])]
    texts = [table.get("name"), table.get("where"), table.get("text")]
    texts += [item for listed in lists for item in (listed if isinstance(listed, list) else [None])]
    if not all(isinstance(text, str) and text.strip() for text in texts) or set(table) - _KEYS:
        raise CourseError(
            f"{file}: the entry {table.get('name')!r} needs the texts `name`, `where` and `text`, and may have the "
            "lists `forms` and `not_in`."
        )
    name, where, text = (" ".join(table[key].split()) for key in ("name", "where", "text"))
    return Term(name, where, text, *map(tuple, lists))


def find(word: str) -> Term:
    """The entry of a word, in any of its forms. Raises `CourseError` that names entries like it."""
    import difflib

    forms = _forms(terms())
    wanted = " ".join(word.split()).casefold()
    for form in (wanted, wanted.removesuffix("s")):
        if form in forms:
            return forms[form]
    near = dict.fromkeys(forms[form].name for form in difflib.get_close_matches(wanted, forms, n=6, cutoff=0.7))
    like = f" Near it: {', '.join(near)}." if near else ""
    raise CourseError(f"The glossary has no entry “{word}”.{like}")


@functools.lru_cache(maxsize=4)
def _forms(among: tuple[Term, ...]) -> dict[str, Term]:
    """The entries, by each of their forms."""
    return {form.casefold(): term for term in among for form in (term.name, *term.forms, term.id)}


# -- in a lesson ------------------------------------------------------------------------------------------------


def of(chapter: Chapter) -> tuple[Term, ...]:
    """The entries that a chapter's lesson is searched for."""
    return tuple(term for term in terms() if chapter.number not in term.not_in)


def linked(blocks: Sequence[Block], among: Sequence[Term], address: str) -> list[Block]:
    """The blocks of a lesson with a link where each term first occurs; the link's title is what the entry says.

    among: the terms to look for (`of` a chapter). address: where a link leads, such as "glossary?term={id}".
    """
    return list(_linked(tuple(blocks), tuple(among), address))


@functools.lru_cache(maxsize=32)
def _linked(blocks: tuple[Block, ...], among: tuple[Term, ...], address: str) -> tuple[Block, ...]:
    texts = [block.text for block in blocks]
    for term, block, start, end in sorted(first_occurrences(blocks, among), key=lambda o: -o.start):
        text = texts[block]
        texts[block] = text[:start] + _link(text[start:end], term, address) + text[end:]
    return tuple(replace(block, text=text) for block, text in zip(blocks, texts, strict=True))


def entry(term: Term, address: str) -> str:
    """The text of an entry, with a link at each word that it marks."""
    return marked(term.text, address)


def marked(text: str, address: str) -> str:
    """A text with a link at each word that it marks *so*. Raises `CourseError` for one that is no entry."""
    return _MARKED.sub(lambda match: _link(match[1], find(match[1]), address), text)


def _link(text: str, term: Term, address: str) -> str:
    title = html.escape(f"{term.name}: {term.plain}").replace("|", "&#124;")
    return f'[{text}]({address.format(id=term.id)} "{title}")'


def first_occurrences(blocks: Sequence[Block], among: Sequence[Term]) -> list[Occurrence]:
    """Where each term is first used, in the order of reading; in a box that is folded up only if it is nowhere else."""
    found: dict[Term, Occurrence] = {}
    by_word = _by_first_word(tuple(among))
    for number, block in sorted(enumerate(blocks), key=lambda pair: pair[1].kind in _FOLDED):
        for term, start, end in _occurrences(block.text, by_word):
            found.setdefault(term, Occurrence(term, number, start, end))
    return list(found.values())


_Index = dict[str, list[tuple[str, re.Pattern[str], Term]]]  # first word → first letter, pattern, term


@functools.lru_cache(maxsize=8)
def _by_first_word(among: tuple[Term, ...]) -> _Index:
    """The patterns of all forms under their first words, the longest form first."""
    forms = [(form, term) for term in among for form in (term.name, *term.forms)]
    result: _Index = {}
    for form, term in sorted(forms, key=lambda pair: -len(pair[0])):
        first = _WORD.match(form)
        if first is None:
            continue  # `problems` reports it
        head, rest = form[0], re.escape(form[1:]).replace(r"\ ", r"(?:[ \t]+|[ \t]*\n[ \t]*)")
        start = f"[{head}{head.upper()}]" if head.islower() else re.escape(head)
        pattern = re.compile(f"{start}{rest}s?(?![\\w-])")
        for word in dict.fromkeys([first[0].casefold(), f"{first[0]}s".casefold()]):
            result.setdefault(word, []).append((head, pattern, term))
    return result


def _occurrences(text: str, by_word: _Index) -> Iterator[tuple[Term, int, int]]:
    prose = _NO_PROSE.sub(lambda match: re.sub(r"[^\n]", "\0", match[0]), text)
    at = 0
    while word := _WORD.search(prose, at):
        at = word.end()
        for letter, pattern, term in by_word.get(word[0].casefold(), ()):
            match = pattern.match(prose, word.start())
            if match and (match[0][0] == letter or _BEGINNING.search(prose, max(0, match.start() - 9), match.start())):
                yield term, match.start(), match.end()
                at = match.end()
                break


# -- in order? --------------------------------------------------------------------------------------------------


def problems() -> list[str]:
    """What a build must refuse: forms of two entries, marks that name no entry, terms that no lesson uses."""
    owner: dict[str, Term] = {}
    found: list[str] = []
    for term in terms():
        for form in (term.name, *term.forms):
            if not _WORD.match(form):
                found.append(f"glossary: the form {form!r} of {term.name!r} must begin with a letter or a digit.")
            for key in (form.casefold(), f"{form}s".casefold()):
                if key in owner and owner[key] is not term:
                    found.append(f"glossary: {form!r} is a form of {term.name!r} and of {owner[key].name!r}.")
                owner[key] = term
    for term in terms():
        found += [
            f"glossary: the entry {term.name!r} uses {mark!r}, which is no entry."
            for mark in _MARKED.findall(term.text)
            if mark.casefold() not in owner
        ]
        if len(term.text) > LONGEST or not term.text.endswith((".", "?")):
            found.append(f"glossary: {term.name!r} should be one or two sentences of {LONGEST} characters at most.")
    return found + list(_misplaced())


def _misplaced() -> Iterator[str]:
    """Entries whose `where` does not hold."""
    here = {chapter.number: chapter for chapter in index.chapters()}
    planned = {planned.number for planned in index.syllabus()} - set(here)
    said = {number: lesson.steps(lesson.blocks(chapter)) for number, chapter in here.items()}
    for term in terms():
        number, _, step = term.where.partition(".")
        if number not in here:
            if number not in planned:
                yield f"glossary: {term.name!r} says {term.where!r}, which is neither here nor planned."
            continue
        wanted = [s for s in said[number] if lesson.exercise_of(s) == term.where]
        wanted = said[number][-1:] if step == "end" else wanted
        texts = [text for s in wanted for block in s for text in (block.text, block.arg)]
        if not any(True for text in texts for _ in _occurrences(text, _by_first_word((term,)))):
            yield f"glossary: {term.name!r} says that {term.where} explains it, and that step does not use it."
