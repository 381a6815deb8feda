"""The glossary: where terms are linked in a lesson, what is refused, and whether the real one keeps to it."""

from __future__ import annotations

import re

import pytest

from mi_lib.course import glossary, index, lesson
from mi_lib.course.glossary import Term
from mi_lib.course.index import CourseError
from mi_lib.course.lesson import parse

LOGIT = Term("logit", "90.1", "What a word gets.")
LENS = Term("logit lens", "90.1", "A way to read.", forms=("lens", "lenses"))


def linked(text: str, *terms: Term) -> str:
    """The text of a lesson's blocks with its terms linked, an arrow for each link."""
    done = glossary.linked(parse(text), terms or (LOGIT, LENS), "to-{id}")
    return "\n".join(re.sub(r'\]\(to-([\w-]+) "[^"]*"\)', r"→\1]", block.text) for block in done)


def test_the_first_occurrence_of_a_term_becomes_a_link_and_no_other():
    assert linked("A logit is here. Another logit, and logits.") == (
        "A [logit→logit] is here. Another logit, and logits."
    )


def test_plurals_capitals_and_other_forms_are_known():
    assert linked("Logits!") == "[Logits→logit]!"
    assert linked("It has lenses.") == "It has [lenses→logit-lens]."
    assert linked("a logit\nlens") == "a [logit\nlens→logit-lens]"


def test_a_capital_inside_a_sentence_is_a_name_and_no_term():
    assert linked("The paper *Reading Logits* is old.") == "The paper *Reading Logits* is old."


def test_a_longer_term_goes_before_one_that_it_contains():
    assert linked("The logit lens reads a logit.") == "The [logit lens→logit-lens] reads a [logit→logit]."


@pytest.mark.parametrize(
    "text",
    [
        "```\nlogit\n```",
        "    logit",
        "`logit`",
        "$logit$",
        "## A logit",
        "> logit",
        "[a logit](x.md)",
        "![logit](x.png)",
        "[batch logit]",
        "sub-logit",
        "logitech",
        ":::{exercise} 90.1\n:::",
    ],
)
def test_what_is_no_prose_is_left_as_it_is(text):
    assert glossary.linked(parse(text), (LOGIT, LENS), "to-{id}") == parse(text)


def test_emphasis_around_a_term_stays():
    assert linked("It is a *logit*.") == "It is a *[logit→logit]*."


def test_boxes_that_are_folded_up_come_last():
    text = "\n".join([":::{note} Aside\na logit\n:::", ":::{predict} Which?\n- [x] a\n- [ ] b\n\na logit\n:::"])
    assert linked(text) == "a logit\na [logit→logit]"
    assert linked(":::{note} Aside\na logit\n:::") == "a [logit→logit]"


def test_the_title_of_a_link_is_the_entry_without_marks():
    term = Term("logit", "90.1", 'It says "so" of a *word* | `x`.')
    (block,) = glossary.linked(parse("logit"), (term,), "to-{id}")
    assert block.text == '[logit](to-logit "logit: It says &quot;so&quot; of a word &#124; x.")'


# -- what is refused -------------------------------------------------------------------------------------------------

ENTRY = '[[term]]\nname = "sum"\nwhere = "90.1"\ntext = "What *adding* gives."\nforms = ["adding"]\n'


@pytest.fixture
def entries(chapter):
    """Writes the glossary of the made-up course."""

    def write(text: str):
        glossary.path().write_text(text, "utf-8")

    return write


def test_a_glossary_in_order_has_no_problems(chapter, entries):
    path = lesson.path(chapter)
    path.write_text(path.read_text("utf-8").replace("# Sums\n", "# Sums\n\nA sum is coming.\n"), "utf-8")
    entries(ENTRY)
    assert glossary.problems() == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("*adding*", "*taking away*", "uses 'taking away', which is no entry"),
        ('where = "90.1"', 'where = "90.7"', "says that 90.7 explains it"),
        ('where = "90.1"', 'where = "98"', "neither here nor planned"),
        ("gives.", "gives", "one or two sentences"),
        ("gives.", "gives " + "very much " * 40 + ".", "one or two sentences"),
        ('["adding"]', '["(adding)"]', "must begin with a letter"),
        ('forms = ["adding"]\n', 'forms = ["adding"]\n' + ENTRY.replace('"sum"', '"total"'), "is a form of"),
    ],
)
def test_an_entry_that_does_not_hold_is_found(chapter, entries, old, new, said):
    path = lesson.path(chapter)
    path.write_text(path.read_text("utf-8").replace("# Sums\n", "# Sums\n\nA sum is coming.\n"), "utf-8")
    entries(ENTRY.replace(old, new))
    assert said in " ".join(glossary.problems())


@pytest.mark.parametrize("text", ["[[term]]\nname = 3\n", ENTRY + 'wehre = "90.1"\n', "[[term", ENTRY + "not_in = 3\n"])
def test_a_glossary_that_cannot_be_read_says_so(entries, text):
    entries(text)
    with pytest.raises(CourseError, match=r"glossary\.toml"):
        glossary.terms()


def test_a_word_is_found_in_any_form_and_one_like_it_is_named(entries):
    entries(ENTRY)
    assert glossary.find("Sums").name == glossary.find(" adding ").name == "sum"
    with pytest.raises(CourseError, match="Near it: sum"):
        glossary.find("summ")


def test_a_chapter_in_which_a_word_means_something_else_is_left_alone(chapter, entries):
    entries(ENTRY + 'not_in = ["90"]\n')
    assert glossary.of(chapter) == ()


# -- the real one ------------------------------------------------------------------------------------------------------


def test_every_entry_of_the_course_is_in_order_and_used_where_it_says():
    assert len(glossary.terms()) > 80
    assert glossary.problems() == []


@pytest.mark.parametrize("chapter", index.chapters(), ids=lambda chapter: chapter.number)
def test_every_term_that_a_lesson_uses_is_linked_there_once(chapter):
    blocks, terms = lesson.blocks(chapter), glossary.of(chapter)
    used = {occurrence.term.id for occurrence in glossary.first_occurrences(blocks, terms)}
    done = glossary.linked(blocks, terms, "glossary?term={id}")
    links = re.findall(r"\]\(glossary\?term=([\w-]+) ", "\n".join(block.text for block in done))
    assert sorted(links) == sorted(used)
    # Nothing else has changed: without its links the lesson is what it was.
    texts = [re.sub(r'\[([^\[\]]*)\]\(glossary\?term=[^)"]* "[^"]*"\)', r"\1", block.text) for block in done]
    assert texts == [block.text for block in blocks]


def test_the_first_screen_of_chapter_01_explains_its_words():
    first = glossary.linked(lesson.steps(lesson.blocks(index.chapter("01")))[0], glossary.terms(), "to-{id}")
    text = "\n".join(block.text for block in first)
    for term in ("nat", "copy", "weight", "loss", "token", "logit"):
        assert f"](to-{term} " in text
