"""The lesson's blocks, numbers and links."""

from __future__ import annotations

import pytest

from mi_lib.course import index, lesson, quotes
from mi_lib.course.lesson import LessonError, Option, parse

CARDS = {"toy": {"loss": {"second": 0.04321, "by_head": [0.5, 0.25]}, "name": "a toy", "nothing": None, "heads": 3}}


def test_a_lesson_becomes_blocks_in_order(chapter):
    kinds = [block.kind for block in lesson.blocks(chapter)]
    assert kinds == ["markdown", "predict", "exercise", "figure", "markdown", "figure", "practice", "exercise"]


def test_a_prediction_has_its_options_and_what_is_shown_afterwards(chapter):
    block = next(block for block in lesson.blocks(chapter) if block.kind == "predict")
    assert block.arg == "What is 1 + 1?"
    assert block.options == (Option("1", False), Option("2", True))
    assert block.text == "One and one more."
    assert block.id == "what-is-1--1"


def test_a_figure_says_which_exercise_draws_it():
    block, plain = parse(":::{figure} scores from=02.6\nCaption.\n:::\n:::{figure} line\n:::\n")
    assert (block.arg, block.follows, block.text) == ("scores", "02.6", "Caption.")
    assert (plain.arg, plain.follows) == ("line", "")


def test_every_block_knows_its_line():
    blocks = parse("# A\n\ntext\n\n:::{note} B\nbody\n:::\nmore\n")
    assert [(block.kind, block.line) for block in blocks] == [("markdown", 1), ("note", 5), ("markdown", 8)]


def test_numbers_come_from_the_model_card():
    text = "{{toy: loss.second | .2f}} {{ toy: loss.by_head.1 | .0%}} {{toy:name}}"
    assert parse(text, CARDS)[0].text == "0.04 25% a toy"


def test_the_chapters_own_model_has_a_short_name(course):
    folder = course / "chapters" / "ch90_sums"
    toml = (folder / "chapter.toml").read_text()
    (folder / "chapter.toml").write_text('model = ["induction-1l", "induction-2l"]\n' + toml)
    (folder / "lesson.md").write_text("It is {{model: name}}, and not {{induction-2l: name}}.\n")
    assert lesson.blocks(index.chapter("90"))[0].text == "It is induction-1l, and not induction-2l."


def test_numbers_are_filled_in_questions_options_and_captions_too():
    text = ":::{predict} Is it {{toy: name}}?\n- [x] {{toy: name}}\n- [ ] no\n{{toy: name}}\n:::"
    block = parse(text, CARDS)[0]
    assert (block.arg, block.options[0].text, block.text) == ("Is it a toy?", "a toy", "a toy")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{{toy: loss.third}}", "line 2: .* has no 'loss.third'"),
        ("{{toy: loss}}", "is not one value"),
        ("{{toy: nothing}}", "is not one value"),
        ("{{boat: loss}}", "no bundled model 'boat'"),
        ("{{toy: name | .2f}}", "line 1: .*format code"),
        (":::{picture} x\n:::", "line 1: there is no block 'picture'"),
        (":::{figure}\n:::", "needs something after its name"),
        ("a\n:::{note} x\nnever closed", "line 2: this block is never closed"),
        ("a\n:::\n", "line 2: this closing fence has no opening one"),
        (":::{predict} q\n- [x] a\nwhy\n:::", "at least two options"),
        (":::{predict} q\n- [ ] a\n- [ ] b\nwhy\n:::", "needs a right option"),
        (":::{predict} q\n- [ ] a\n- [x] b\n:::", "needs an explanation"),
        ("There were\n{{toy: heads}}. And then", "line 2: .*'3\\.' of it, which Markdown takes for a numbered list"),
        ("{{toy: heads}}) of them", "line 1: .*'3\\)' of it"),
        ("> {{toy: heads}}.", "numbered list"),
        (":::{note} x\nof\n{{toy: heads | .0f}}. And\n:::", "line 3: .*numbered list"),
        (":::{predict} q\n- [ ] {{toy: heads}}.\n- [x] b\nwhy\n:::", "line 1: .*numbered list"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_line(text, said):
    with pytest.raises(LessonError, match=said):
        parse(text, CARDS)


@pytest.mark.parametrize(
    "text",
    [
        "There were {{toy: heads}}. And then",  # not at the beginning
        "{{toy: heads}} of them",
        "{{toy: loss.second | .2f}} of it",
        "{{toy: heads}}, and no more.",
        "{{toy: name}}. And then",
        "1. A list that is meant\n2. as one",
        "```\n{{toy: heads}}. in code\n```",
    ],
)
def test_a_line_that_is_no_numbered_list_is_left_alone(text):
    assert parse(text, CARDS)


def test_colons_inside_code_are_only_code():
    text = "```\n:::{note} x\n```\nafter"
    assert [block.kind for block in parse(text)] == ["markdown"]
    noted = parse(":::{note} x\n```\n:::\n```\nstill inside\n:::")
    assert [block.kind for block in noted] == ["note"]
    assert "still inside" in noted[0].text


def test_longer_fences_may_hold_shorter_ones():
    block = parse("::::{note} x\n:::\n::::")[0]
    assert block.text == ":::"


def test_headings_have_the_anchors_that_github_gives_them():
    found = lesson.headings(parse("# Why `add`?\n## Why add?\n```\n# not one\n```\n## Q, K & V"))
    assert found == [(1, "Why `add`?", "why-add"), (2, "Why add?", "why-add-1"), (2, "Q, K & V", "q-k--v")]


def steps_of(text: str) -> list[str]:
    """The steps of a lesson as one text each: headings and words as they are, blocks by their names."""
    steps = lesson.steps(parse(text))
    return [" ".join(b.text if b.kind == "markdown" else f"{b.kind}:{b.arg}" for b in step) for step in steps]


def test_a_step_ends_at_the_next_heading_after_its_exercise():
    text = "# T\nasked\n:::{exercise} 1.1\n:::\nshown\n## Next\nmore\n:::{exercise} 1.2\n:::\n## End\nlast"
    assert steps_of(text) == ["# T\nasked exercise:1.1 shown", "## Next\nmore exercise:1.2", "## End\nlast"]


def test_of_several_headings_between_two_exercises_the_first_of_the_highest_rank_counts():
    text = ":::{exercise} 1.1\n:::\n### Small\na\n## Large\nb\n## Later\nc\n:::{exercise} 1.2\n:::"
    assert steps_of(text) == ["exercise:1.1 ### Small\na", "## Large\nb ## Later\nc exercise:1.2"]


def test_without_a_heading_figures_and_boxes_behind_an_exercise_are_its_own_and_words_lead_to_the_next():
    figure, note = ":::{figure} f from=01.1\n:::", ":::{practice} Wrong\nbox\n:::"
    text = f":::{{exercise}} 01.1\n:::\n{figure}\n{note}\nwords\n{figure}\n:::{{exercise}} 01.2\n:::"
    assert steps_of(text) == ["exercise:01.1 figure:f practice:Wrong", "words figure:f exercise:01.2"]


def test_a_heading_inside_code_ends_no_step():
    text = ":::{exercise} 1.1\n:::\n```\n## not one\n```\nwords\n:::{exercise} 1.2\n:::"
    assert steps_of(text) == ["exercise:1.1", "```\n## not one\n```\nwords exercise:1.2"]


@pytest.mark.parametrize("chapter", index.chapters(), ids=lambda chapter: chapter.number)
def test_every_exercise_has_a_step_and_words_that_lead_to_it(chapter):
    steps = lesson.steps(lesson.blocks(chapter))
    assert [lesson.exercise_of(step) for step in steps] == [*(e.id for e in chapter.exercises), ""]
    for step in steps[:-1]:
        at = next(i for i, block in enumerate(step) if block.kind == "exercise")
        words = " ".join(block.text for block in step[:at] if block.kind == "markdown")
        assert len(words.split()) >= 40, f"{step[at].arg} stands on {len(words.split())} words"


def test_a_lesson_in_order_has_no_problems(chapter):
    assert lesson.problems(chapter, lesson.blocks(chapter)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(#why-add)", "(#why-not)", "#why-not leads nowhere"),
        ("(#why-add)", "(picture.png)", "picture.png leads to no file"),
        (":::{exercise} 90.2\n:::", "", "90.2 appears 0 times"),
        (":::{exercise} 90.2", ":::{exercise} 90.1", "90.1 appears 2 times"),
        (":::{exercise} 90.2", ":::{exercise} 90.7", "names exercise 90.7"),
    ],
)
def test_what_a_lesson_names_but_is_not_there_is_found(chapter, old, new, said):
    path = chapter.folder / "lesson.md"
    path.write_text(path.read_text().replace(old, new))
    assert any(said in problem for problem in lesson.problems(chapter, lesson.blocks(chapter)))


@pytest.mark.parametrize(
    ("value", "how", "said"),
    [
        ([3, 5, 9], "", "3, 5 and 9"),
        ([3, 5, 9], "or", "3, 5 or 9"),
        ([3, 5], "words", "three and five"),
        ([3, 12, 21], "or words", "three, twelve or twenty-one"),
        ([0.123, 0.5], ".1f", "0.1 and 0.5"),
        (["river"], "", "river"),
        (0, "words", "zero"),
        (60, "Words", "Sixty"),
        (99, "words", "ninety-nine"),
        (1234, ",", "1,234"),
        (-0.001, ".0%", "0%"),
        (-0.01, ".0%", "−1%"),
        (-1e-9, ".2f", "0.00"),
        (-0.25, ".2f", "−0.25"),
        (-3, "", "−3"),
        (-4.7e-08, ".1e", "−4.7\u00a0·\u00a010⁻⁸"),
        ([-0.1, 0.2], "+.1f", "−0.1 and +0.2"),
        ("-word", "", "-word"),
        (4.8e-13, ".0e", "5\u00a0·\u00a010⁻¹³"),
        (-1.5e10, ".1e", "−1.5\u00a0·\u00a010¹⁰"),
        (1.5e-09, ".2g", "1.5\u00a0·\u00a010⁻⁹"),
        (0.53, ".2g", "0.53"),
        (9.7e-07, "about", "about a millionth"),
        (4.7e-08, "about", "about 50 billionths"),
        (7.6e-06, "about", "about eight millionths"),
        (6.1e-07, "about", "about 600 billionths"),
        (0.0024, "about", "about two thousandths"),
    ],
)
def test_lists_and_numbers_are_written_as_a_sentence_needs_them(value, how, said):
    assert quotes.said(value, how) == said


@pytest.mark.parametrize(
    ("value", "how", "said"),
    [
        (100, "words", "has to stand in digits"),
        (0.5, "about", "has to stand in digits"),
        (0.0, "about", "has to stand in digits"),
        (2.5, "words", "has to stand in digits"),
        (True, "words", "has to stand in digits"),
        (7, "or", "only a list"),
        ([], "", "not one value"),
        ([[1]], "", "not one value"),
        (["a"], ".2f", "format code"),
    ],
)
def test_what_cannot_be_written_as_asked_is_refused(value, how, said):
    with pytest.raises(ValueError, match=said):
        quotes.said(value, how)
