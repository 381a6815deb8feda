"""The glossary: a page of all words. A word of a lesson opens a bubble (`everywhere`) with its entry."""

from __future__ import annotations

from itertools import groupby

import streamlit as st

from app import common
from mi_lib.course import CourseError, glossary, index
from mi_lib.course.glossary import Term

FEW_LETTERS = 4  # more than so many get a row of letters to jump to
ADDRESS = "glossary?term={id}"  # of an entry; a link of a lesson with such an address is a word with a bubble

# A dotted line under a word says: put a finger on it. It stays the colour of the text.
STYLE = """
[data-testid=stMarkdownContainer] a[href^="glossary?"], [data-testid=stCaptionContainer] a[href^="glossary?"] {
  color: inherit !important; text-decoration: underline dotted; text-decoration-thickness: 1.5px;
  text-underline-offset: .22em; cursor: help }
[data-testid] a[href^="glossary?"]:is(:hover, :focus-visible) { text-decoration-style: solid }
"""


def show() -> None:
    st.title("Glossary")
    st.write("The words of this course. Where a lesson first uses one, it is underlined with dots.")
    terms = glossary.terms()
    named = st.query_params.get("term")
    if named and st.session_state.get("glossary-named") != named:
        st.session_state.update({"glossary-named": named, "glossary-search": _name(named)})
    wanted = st.text_input("Search", key="glossary-search", placeholder="a word, or a part of one", max_chars=60)
    exact, also, problem = _found(wanted)
    if wanted:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(f"{len(also) + bool(exact)} of {len(terms)} entries.")
            st.button("Show all", type="tertiary", on_click=common.caught(_show_all), key="glossary-all")
    if exact:
        with st.container(border=True):
            st.markdown(_entry(exact))
    elif not also:
        common.lost(problem)
    groups = [(letter, list(group)) for letter, group in groupby(also, key=lambda term: term.name[0].upper())]
    if len(groups) > FEW_LETTERS:
        st.markdown(" · ".join(f"[{letter}](#letter-{letter.lower()})" for letter, _ in groups))
    for letter, group in groups:
        st.header(letter, divider="gray", anchor=f"letter-{letter.lower()}")
        # One text for a letter, and not a widget for each word: the whole page is there at once.
        st.markdown("\n\n".join(map(_entry, group)))


def _name(term_id: str) -> str:
    """The name of the entry that an address asks for, or what it says if there is none."""
    return next((term.name for term in glossary.terms() if term.id == term_id), term_id)


def _show_all() -> None:
    st.query_params.clear()
    st.session_state.update({"glossary-search": "", "glossary-named": None})


def _found(wanted: str) -> tuple[Term | None, list[Term], str]:
    """The entry of the word that is typed, the other entries in whose forms it stands (all for no word), and what is to
    be said where there is neither."""
    typed = " ".join(wanted.split()).casefold()
    exact, problem = None, ""
    try:
        exact = glossary.find(typed) if typed else None
    except CourseError as error:
        problem = common.literal(str(error))
    forms = {term: (term.name, *term.forms) for term in glossary.terms() if term is not exact}
    also = [term for term, written in forms.items() if any(typed in form.casefold() for form in written)]
    return exact, also, problem


def _entry(term: Term) -> str:
    """One entry as Markdown: its words link to other entries, and its place to the lesson."""
    also = f" :gray[· also: {', '.join(term.forms)}]" if term.forms else ""
    return f"**{term.name}**{also}  \n{glossary.entry(term, ADDRESS)}  \n{_place(term.where)}"


def _place(where: str) -> str:
    """ "01.3" as a link to that step; a chapter to come as its title."""
    number, _, step = where.partition(".")
    try:
        chapter = index.chapter(number)
    except CourseError:
        planned = next(planned.title for planned in index.syllabus() if planned.number == number)
        return f":gray[In chapter {number} {planned}, which is not here]"
    title = chapter.title if step == "end" else chapter.exercise(where).title
    label = f"the end of chapter {number}" if step == "end" else where
    return f"[{label} {title}](chapter?chapter={number}&exercise={step})"
