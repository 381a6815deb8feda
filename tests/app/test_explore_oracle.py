"""The explorer of oracles: what it shows against the library's own answers, and what it says of bad input."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from looking import whole
from streamlit.testing.v1 import AppTest

from app import explore_oracle as page
from app import oracle_measures as om
from mi_lib import load, oracles
from mi_lib.course import Workspace
from mi_lib.oracles import judging, questions
from mi_lib.oracles.prompts import ids

ROOT = Path(__file__).parents[2]
SCRIPT = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import explore_oracle\nexplore_oracle.show()"
STORY = tuple(questions.typed(page.FIRST))
LAST = om.Place(len(STORY) - 1, 4, 4)


@pytest.fixture(autouse=True, scope="module")
def small(tmp_path_factory):
    """Fewer texts to be compared with, and fewer that a probe is fitted to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path_factory.mktemp("oracle") / "work").path))
        patch.setattr(om, "FITTED", 24)
        patch.setattr(om, "OTHERS", 6)
        _forget()
        yield
        _forget()


def _forget() -> None:
    for kept in (om.material, om.probe, om.said):
        kept.clear()


def opened(predict: bool = False, **state) -> AppTest:
    app = AppTest.from_string(SCRIPT, default_timeout=120)
    for key, value in state.items():
        app.session_state[f"oracle-{key}"] = value
    app.run()
    assert not app.exception
    assert not app.text_area  # it asks first
    if predict:
        app.radio[0].set_value(page.NOTICES).run()
    return press(app, "That is my prediction" if predict else "Go on without a prediction")


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def shown(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "info") for e in getattr(app, kind))


# --- what is measured ---------------------------------------------------------------------------------------------


def test_the_oracle_s_answers_are_those_that_the_library_gives():
    pico, oracle, asked = load("pico"), oracles.open_oracle(), om.ask(page.WHOM)
    (own,) = oracles.read(pico, page.FIRST, 4, words=4)
    said = om.said("pico", STORY, LAST, asked)
    assert said.own.word == oracle.ask(own, page.WHOM).word == "Dean"
    assert said.own.chance == pytest.approx(oracle.ask(own, page.WHOM).chance, abs=1e-3)
    assert said.none.word == oracle.ask(own.zero(oracle.means), page.WHOM).word
    others = om.material("pico", "receiver", "held_out")
    assert [one.text.words[one.at + 1] for one in others.examples] == [one.word for one in said.others]


def test_at_every_word_and_depth_it_is_asked_what_it_is_asked_at_one():
    asked = om.ask("What is the thing to give ?", closed=True)
    everywhere = om.everywhere("pico", STORY, 2, asked)
    assert everywhere.shape == (7, len(STORY), len(ids()))
    torch.testing.assert_close(everywhere.sum(-1), torch.ones(7, len(STORY)))
    for place in (om.Place(0, 2, 2), om.Place(13, 5, 2)):
        own = om.said("pico", STORY, place, asked).own
        there = everywhere[place.depth, place.at]
        assert float(there[ids()[own.word]]) == pytest.approx(own.chance, abs=1e-3)
        assert float(there[[ids()[word] for word in asked.values]].sum()) == pytest.approx(1)


def test_the_others_see_what_the_oracle_s_activations_have_read_and_no_more():
    asked, early = om.ask("What is the thing to give ?"), om.Place(10, 4, 4)
    changed = (*STORY[:13], "pear", "to")
    assert om.aloud("pico", STORY, early.at, asked) == om.aloud("pico", changed, early.at, asked)
    assert om.lenses("pico", STORY, early, asked) == om.lenses("pico", changed, early, asked)
    assert om.probed("pico", STORY, early, "thing") == om.probed("pico", changed, early, "thing")
    late = early._replace(at=14)
    assert om.aloud("pico", STORY, late.at, asked) != om.aloud("pico", changed, late.at, asked)
    assert om.probed("pico", STORY, late, "thing") != om.probed("pico", changed, late, "thing")


def test_the_probe_is_that_of_the_chapter_and_only_a_logistic_one_has_chances():
    few, many = (om.material("pico", kind, "train") for kind in ("claim", "receiver"))
    fitted = om.probe("pico", "claim", 4, 4)
    read = om.material("pico", "claim", "held_out")
    said = fitted.scores(read.readings(4, 4)).argmax(-1)
    right = judging.probe_right(few.examples, few.readings(4, 4), read.examples, read.readings(4, 4))
    assert [
        fitted.names[n] == one.question.answer for n, one in zip(said, read.examples, strict=True)
    ] == right.tolist()
    assert sum(p for _, p in om.probed("pico", STORY, LAST, "claim").best) == pytest.approx(1)
    assert len(many.examples) == om.FITTED
    assert om.probed("pico", STORY, LAST, "") is None


@pytest.mark.parametrize("kind", questions.KINDS)
def test_every_kind_has_a_plain_name_and_is_known_from_its_question_and_the_texts_drawn_for_it(kind):
    assert page.PLAINLY[kind]
    assert om.kind_of(f"What is the {questions.KINDS[kind].noun} ?") == kind


def test_a_question_of_nobody_s_kind_is_of_none():
    assert om.kind_of("Who are you ?") == om.kind_of("What is the boat ?") == ""
    assert om.ask("Is the pet owl ?", closed=True).options == ()  # yes and no are answers, too
    assert om.ask("What is the pet ?", closed=True).options == questions.KINDS["pet"].values


@pytest.mark.parametrize(
    ("typed", "kind"),
    [
        ("what is the PET?", "pet"),
        ("What is the pet  ?", "pet"),
        ("what is the pet", "pet"),
        ("Tell me the river", "river"),
    ],
)
def test_a_question_may_be_typed_with_other_capitals_spaces_and_marks(typed, kind):
    noun = questions.KINDS[kind].noun
    wanted = f"Tell me the {noun} ." if typed.startswith("Tell") else f"What is the {noun} ?"
    assert om.ask(typed) == om.ask(wanted)
    assert om.ask(typed).kind == kind


def test_a_question_that_names_a_kind_in_part_is_near_it():
    assert om.kind_of("What is the town ?") == ""
    assert om.near("What is the town ?")[0] == "town"
    assert om.near("what is the dish?") == ["dish"]
    assert om.near("Where is the boat ?") == []


def test_what_is_true_comes_from_the_tables_or_from_the_text_that_was_drawn():
    assert om.known("pico", "pet", ("The", "home", "of", "Mira")) == {3: "mouse"}
    assert om.known("pico", "receiver", STORY) == {}
    one = om.material("pico", "receiver", "held_out").examples[0]
    assert om.known("pico", "receiver", om.shown(one)) == {one.at: one.question.answer}


def test_no_text_is_its_own_other_text():
    one = om.material("pico", "receiver", "held_out").examples[0]
    others = om.other_texts("pico", om.shown(one), "receiver")
    assert [number for number, _ in others] == list(range(1, om.OTHERS))
    said = om.said("pico", om.shown(one), om.Place(one.at, 4, 4), om.ask(page.WHOM))
    assert len(said.others) == len(others)
    assert one.question.answer not in [each.word for each in said.others]


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_asks_first_and_says_what_was_predicted_beside_what_was_found():
    app = opened(predict=True)
    assert "Its answer: **Dean**" in shown(app)
    assert "You predicted: “nothing”: it notices." in shown(app)
    assert "What could be the reason?" in shown(app)
    app.segmented_control(key="oracle-depth").set_value(3).run()
    assert "You predicted" not in shown(app)


def test_a_kind_that_is_chosen_writes_its_question_and_a_typed_question_chooses_its_kind():
    app = opened()
    app.selectbox[0].select("pet").run()
    assert app.text_input[0].value == "What is the pet ?"
    app.text_input[0].set_value("What is the sum ?").run()
    assert app.selectbox[0].value == "sum"
    assert "Its answer: **nothing**" in shown(app)
    assert app.toggle
    app.text_input[0].set_value("Is the sum five ?").run()
    assert not app.toggle  # yes and no are all that can be said
    app.text_input[0].set_value("Where is the boat ?").run()
    assert app.selectbox[0].value == ""
    assert "so there is no probe" in shown(app)


def test_a_question_of_one_s_own_is_said_to_be_one_and_what_it_may_mean_is_offered():
    app = opened(question="what is the town?")
    assert "“What is the town ?”" in shown(app)
    assert "A question of your own" in shown(app)
    press(app, "Do you mean: What is the home town ?")
    assert app.selectbox[0].value == "town"
    assert "A question of your own" not in shown(app)


def test_beside_what_its_word_is_worth_stands_what_it_says_of_nothing():
    app = press(opened(), "True or false?")
    words = page._read(page.open_model("pico"), page.EXAMPLES["True or false?"][0])
    place = om.Place(len(words) - 1, page.DEPTH, page.MANY)
    said = om.said("pico", words, place, om.ask(page.EXAMPLES["True or false?"][2]))
    same = "it needs no activations at all" in shown(app)
    assert same == (said.none.word == said.own.word)
    assert f"it says **{said.none.word}** ({page._share(said.none.chance)})" in shown(app)


def test_a_text_that_is_drawn_has_its_answer_and_another_text_can_be_taken():
    app = press(opened(), "Draw a text that has the answer")
    one = om.material("pico", "receiver", "held_out").examples[0]
    assert f"Its answer: **{one.question.answer}**" in shown(app)
    assert f"True here: **{one.question.answer}**" in shown(app)
    before = shown(app)
    press(app, "Take another one")
    assert shown(app) != before
    assert app.session_state["oracle-other"] == 1


def test_an_example_brings_its_word_and_a_typed_text_is_read_up_to_its_end():
    app = press(opened(), "Whose pet?")
    assert "True here: **mouse**" in shown(app)
    app.text_area[0].set_value("The pet of Mira is a").run()
    assert "It got the activations at **of Mira is a**" in shown(app)
    assert "The course keeps the answer at “Mira” (mouse)" in shown(app)


def test_a_kind_that_training_never_asked_is_said_to_be_one():
    app = press(opened(), "A kind it was never asked")
    assert "never asked for this in training" in shown(app)


def test_the_wide_table_has_no_title_that_is_cut(monkeypatch):
    drawn = []
    monkeypatch.setattr(page.common, "chart", lambda figure, **_: drawn.append(figure))
    app = press(opened(), "Which character?")
    (figure,) = drawn[-1:]
    assert figure.layout.xaxis.title.text in ("", None)
    assert "A column for each word that is read last" in shown(app)


def test_of_two_words_that_are_alike_the_one_that_is_clicked_is_taken():
    app = opened()
    pills = app.get("button_group")[0]
    labels = [option.content for option in pills.proto.options]
    assert len(set(labels)) == len(STORY)
    assert [label.strip("\u200b") for label in labels if "Alec" in label] == ["Alec", "Alec"]


@pytest.mark.parametrize(
    ("text", "question", "sentence"),
    [
        (" ", page.WHOM, "The text is empty."),
        ("The blockchain", page.WHOM, "It does not know"),
        ("The dog " * 30, page.WHOM, "There is room for 40"),
        (page.FIRST, " ", "Type a question"),
        (page.FIRST, "What is the blockchain ?", "It does not know"),
        (page.FIRST, "What is the pet " * 7, "A question has room for 24"),
    ],
)
def test_what_cannot_be_asked_is_told_in_a_sentence_and_nothing_is_lost(text, question, sentence):
    app = opened(text=text, question=question)
    assert sentence in shown(app)
    assert app.text_area[0].value == text
    app.text_area[0].set_value(page.FIRST).run()
    app.text_input[0].set_value(page.WHOM).run()
    assert "Its answer: **Dean**" in shown(app)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("depth", 9, "There is no depth 9: the depths are 0 to 6."),
        ("at", 99, "no word number 99: its words are 0 to 14"),
        ("many", "x", "It cannot get x words"),
    ],
)
def test_a_link_to_a_place_that_is_not_there_is_told_in_a_sentence(key, value, sentence):
    app = opened(**{key: value})
    assert sentence in shown(app)
    assert "Its answer: **Dean**" in shown(app)


def test_a_bar_is_as_long_as_its_chance_and_a_score_that_is_none_has_no_bar():
    sure = oracles.Answer("a<b", 0.5, (("a<b", 0.5), ("c", 0.001)))
    assert "<b>a&lt;b</b>" in page.bars(sure)
    assert "--share: 50.0" in page.bars(sure)
    assert "&lt;1%" in page.bars(sure)
    assert "bar" not in page.bars(oracles.Answer("a", float("nan"), (("a", float("nan")),)))


# --- in a browser -------------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.slow
def test_a_word_that_is_clicked_is_asked_about_and_so_is_a_cell_of_the_table(page):
    page.goto("/explore-oracle")
    page.get_by_role("button", name="Go on without a prediction").click()
    page.get_by_text("It got the activations at gave a kettle to, at depth 4").wait_for()
    page.get_by_role("radio", name="Alec").last.click()
    page.get_by_text("It got the activations at the station , Alec, at depth 4").wait_for()
    page.get_by_role("radio", name="Alec").first.click()
    page.get_by_text("It got the activations at After Alec, at depth 4").wait_for()
    whole(page)  # the table is drawn anew
    cells = page.locator(".st-key-oracle-table .nsewdrag").first
    cells.scroll_into_view_if_needed()
    box = cells.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 3.5 / len(STORY), box["y"] + box["height"] * 5.5 / 7)
    page.get_by_text("It got the activations at After Alec and Dean, at depth 5").wait_for()
    assert not page.errors
