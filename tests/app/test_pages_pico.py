"""The pages that open Pico, with a small random network in its place that has Pico's tokenizer."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import chat, explore_lens
from mi_lib import lens, load
from mi_lib.course import Workspace, conversations
from mi_lib.models import text
from mi_lib.worlds.littletown import traits, voices

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    """A workspace of its own for each test: conversations are kept there."""
    monkeypatch.setenv("MI_WORKSPACE", str(tmp_path / "work"))
    return Workspace.init(tmp_path / "work")


@pytest.fixture
def model(pico_like, monkeypatch):
    monkeypatch.setattr(chat, "MODEL", str(pico_like))
    monkeypatch.setattr(explore_lens, "MODEL", str(pico_like))
    return load(pico_like)


def page(name: str) -> AppTest:
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import {name}\n{name}.show()"
    app = AppTest.from_string(script, default_timeout=60).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label.startswith(label)).click().run()
    assert not app.exception
    return app


def words(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "info") for e in getattr(app, kind))


# --- words that a network does not know ---------------------------------------------------------------------------


def test_a_word_that_the_vocabulary_lacks_is_refused_and_not_read_as_another(model):
    assert text.unknown_words(model.tokenizer, "Mira met mira, mira, and a blockchain.") == ["mira", "blockchain"]
    assert text.unknown_words(model.tokenizer, "<|user|> Who are you? <|end|> <|unk|>") == []
    with pytest.raises(ValueError, match="'blockchain'"):
        model.to_tokens("Mira met a blockchain.")


def test_the_nearest_words_are_spelt_alike_whatever_their_capitals(model):
    assert text.nearest_words(model.tokenizer, "mira", 1) == ["Mira"]
    assert text.nearest_words(model.tokenizer, "Paintt", 1) == ["paint"]
    assert text.nearest_words(model.tokenizer, "user", 9, 0.9) == []  # <|user|> is a mark and no word
    assert chat.mend(model.tokenizer, "Where does mira, mira live?") == "Where does Mira, Mira live?"
    assert chat.mend(model.tokenizer, "Where does mira use a blockchain?") is None


# --- chat ---------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_and_every_word_says_how_likely_it_was(model):
    app = page("chat")
    app.chat_input[0].set_value("Where does Mira live?").run()
    assert not app.exception
    question, reply = app.session_state["chat"]
    assert (question.role, question.text) == ("user", "Where does Mira live?")
    prompt, _ = chat.fit(model.tokenizer, None, [question], 200)
    with torch.no_grad():
        log_p = model(torch.tensor([prompt]))[0, -1].log_softmax(-1)
    first = reply.steps[0]
    assert first.log_prob == pytest.approx(log_p.max().item(), abs=1e-4)
    assert [p for _, p in first.top] == pytest.approx(log_p.exp().topk(5).values.tolist(), abs=1e-4)
    assert first.word in reply.text


def test_a_click_on_an_example_asks_it_and_a_new_conversation_forgets_it(model):
    app = press(page("chat"), "How do I burn the bridge?")
    assert app.session_state["chat"][0].text == "How do I burn the bridge?"
    press(app, "New conversation")
    assert app.session_state["chat"] == []


def test_unknown_words_are_named_with_their_neighbours_and_can_be_mended(model):
    app = page("chat")
    app.chat_input[0].set_value("where does mira live, blockchain?").run()
    assert app.session_state["chat"] == []
    assert "“mira”. Near it are **Mira**" in words(app)
    assert "blockchain" in words(app)
    app.chat_input[0].set_value("where does mira live?").run()
    press(app, "Take: where does Mira live")
    assert app.session_state["chat"][0].text == "Where does Mira live?"


def test_every_example_can_be_asked_with_one_tap_and_pico_knows_its_words(model):
    app = page("chat")
    assert set(chat.EXAMPLES) <= {button.label for button in app.button}
    assert [text.unknown_words(model.tokenizer, example) for example in chat.EXAMPLES] == [[]] * len(chat.EXAMPLES)


def test_the_examples_are_folded_once_somebody_has_spoken(model):
    app = page("chat")
    assert app.expander[0].proto.expanded
    press(app, chat.EXAMPLES[0])
    assert app.session_state["chat"]
    assert not app.expander[0].proto.expanded
    assert set(chat.EXAMPLES) <= {button.label for button in app.button}  # and can be had all the same


def test_a_greeting_is_known_and_a_question_after_one_is_asked(model):
    app = page("chat")
    app.chat_input[0].set_value("Hello!").run()
    assert app.session_state["chat"][0].text == chat.INSTEAD
    assert "Nobody in Littletown says “Hello”" in words(app)
    app.chat_input[0].set_value("hi there, where does Mira live?").run()
    assert app.session_state["chat"][2].text == "Where does Mira live?"
    assert chat.without_greeting("History of the town?") == ("History of the town?", "")


def test_blank_and_over_long_questions_are_told_and_nothing_that_was_typed_is_lost(model):
    app = page("chat")
    app.chat_input[0].set_value("   ").run()
    assert not app.exception
    assert "nothing to read" in words(app)
    long = "Where does Mira live? " * 60
    app.chat_input[0].set_value(long).run()
    assert "please shorten it" in words(app)
    assert app.session_state["chat"] == []
    assert app.text_area[0].value == long
    app.text_area[0].set_value("Where does Mira live?")
    press(app, "Ask again")
    assert app.session_state["chat"][0].text == "Where does Mira live?"
    assert not app.text_area


def test_what_has_unknown_words_can_be_changed_and_asked_again(model):
    app = page("chat")
    app.chat_input[0].set_value("Where does Mira keep a blockchain?").run()
    assert app.text_area[0].value == "Where does Mira keep a blockchain?"


def test_role_trait_and_temperature_come_back_with_the_conversation(model):
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport streamlit as st\nfrom app import chat\n"
    script += "st.session_state.get('elsewhere') or chat.show()"
    app = AppTest.from_string(script, default_timeout=60).run()
    app.selectbox[0].set_value("pirate").run()
    app.selectbox[1].set_value("gloomy").run()
    app.slider[0].set_value(0.7).run()
    app.session_state["elsewhere"] = True
    app.run()
    assert not app.selectbox
    app.session_state["elsewhere"] = False
    app.run()
    assert not app.exception
    assert [box.value for box in app.selectbox] == ["pirate", "gloomy"]
    assert app.slider[0].value == 0.7
    assert "You are a very gloomy pirate." in words(app)


def reloaded(app: AppTest) -> AppTest:
    """The page in a new session, at the address that the old one stood at."""
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import chat\nchat.show()"
    fresh = AppTest.from_string(script, default_timeout=60)
    fresh.query_params.update(app.query_params)
    return fresh.run()


def test_a_conversation_comes_back_after_a_reload_with_role_and_temperature(model):
    app = page("chat")
    app.selectbox[0].set_value("pirate").run()
    app.slider[0].set_value(0.7).run()
    app.chat_input[0].set_value("Where does Mira live?").run()
    said = app.session_state["chat"]
    app.chat_input[0].set_value("Where does mira live?").run()  # a word that Pico lacks: still to be mended
    again = reloaded(app)
    assert not again.exception
    assert [turn.text for turn in again.session_state["chat"]] == [turn.text for turn in said]
    assert again.session_state["chat"][1].steps[0].top[0][0] == said[1].steps[0].top[0][0]
    assert again.selectbox[0].value == "pirate"
    assert again.slider[0].value == 0.7
    assert again.text_area[0].value == "Where does mira live?"
    press(again, "New conversation")
    assert reloaded(again).session_state["chat"] == []


def test_two_tabs_go_on_with_a_conversation_each_for_itself(model, work):
    first = page("chat")
    first.chat_input[0].set_value("Who are you?").run()
    second, twin = page("chat"), reloaded(first)  # one opened anew, one with the first one's address
    assert second.session_state["chat"][0].text == "Who are you?"
    second.chat_input[0].set_value("How are you today?").run()
    twin.chat_input[0].set_value("What do you dream of?").run()
    first.chat_input[0].set_value("Where does Mira live?").run()
    asked = [
        [turn.text for turn in reloaded(app).session_state["chat"] if turn.role == "user"]
        for app in (first, second, twin)
    ]
    assert asked == [
        ["Who are you?", "Where does Mira live?"],
        ["Who are you?", "How are you today?"],
        ["Who are you?", "What do you dream of?"],
    ]


def test_conversations_are_bounded_in_number_and_in_length_and_a_damaged_one_begins_anew(model, work):
    app = page("chat")
    app.session_state["chat"] = [chat.Turn("user", "Who are you?"), chat.Turn("assistant", "I am Pico.")] * 50
    app.chat_input[0].set_value("Where does Mira live?").run()
    kept = conversations.latest(work)
    assert len(kept["turns"]) == chat.MOST_TURNS
    assert kept["turns"][-2]["text"] == "Where does Mira live?"
    for _ in range(conversations.MOST + 3):
        conversations.keep(work, conversations.new_name(), {"turns": [{"nonsense": 1}]})
    assert len(list((work.path / ".mi" / "conversations").iterdir())) == conversations.MOST
    app = page("chat")
    assert app.session_state["chat"] == []
    assert "could not be read" in words(app)


def test_an_address_reaches_no_file_but_a_conversation(work):
    (work.path / ".mi" / "conversations").mkdir()
    (work.path / ".mi" / "deadbeef.json").write_text("{}")
    assert conversations.read(work, "../deadbeef") is None
    with pytest.raises(ValueError, match="no name"):
        conversations.keep(work, "../deadbeef", {})


@pytest.mark.parametrize("role", [voices.ASSISTANT, *voices.ROLES])
def test_every_system_prompt_that_can_be_chosen_is_one_that_littletown_writes(role):
    asked = chat.system_prompt(role, None, 3)
    assert asked is None if role == voices.ASSISTANT else asked.replace(".", " .") in voices.systems(role)
    for trait in traits.TRAITS:
        if role == voices.ASSISTANT:
            for strength in range(4):
                spaced = chat.system_prompt(role, trait, strength).replace(".", " .")
                assert spaced in traits.systems(trait, strength)
        else:
            assert chat.system_prompt(role, trait, 3) == f"You are a very {trait} {role}."


def test_the_system_prompt_is_shown_and_read(model, monkeypatch):
    app = page("chat")
    assert "System prompt: none" in words(app)
    app.selectbox[0].set_value("pirate").run()
    app.selectbox[1].set_value("gloomy").run()
    assert "You are a very gloomy pirate." in words(app)
    read = []
    monkeypatch.setattr(chat, "stream", lambda _, prompt, *args, **kwargs: read.append(prompt) or iter(()))
    app.chat_input[0].set_value("Who are you?").run()
    assert not app.exception
    expected = "<|bos|> <|system|> You are a very gloomy pirate. <|end|> <|user|> Who are you? <|end|> <|assistant|>"
    assert model.tokenizer.decode(read[0]) == expected


def test_the_oldest_turns_drop_out_and_the_page_says_so(model):
    long = "How do I paint the school? " * 5
    turns = [turn for _ in range(5) for turn in (chat.Turn("user", long), chat.Turn("assistant", long))]
    turns.append(chat.Turn("user", "Who are you?"))
    tokens, dropped = chat.fit(model.tokenizer, "You are a pirate.", turns, 176)
    assert len(tokens) <= 176
    assert 0 < dropped < len(turns)
    assert dropped % 2 == 0
    read = model.tokenizer.decode(tokens)
    assert read.startswith("<|bos|> <|system|> You are a pirate. <|end|> <|user|>")
    assert read.endswith("Who are you? <|end|> <|assistant|>")
    with pytest.raises(ValueError, match="shorten"):
        chat.fit(model.tokenizer, None, [chat.Turn("user", long * 8)], 176)
    app = page("chat")
    app.session_state["chat"] = turns[:-1]
    app.chat_input[0].set_value("Who are you?").run()
    assert not app.exception
    assert "dropped out of what Pico reads" in words(app)


def test_a_reply_is_html_that_shows_surprise_and_escapes_what_it_quotes():
    said = [
        chat.Said("sure", -0.0, [("sure", 1.0)]),
        chat.Said("<script>", math.log(0.001), [("the", 0.6), ("<script>", 0.001)]),
        chat.Said(".", -1.0, [(".", 0.4)]),
        chat.Said("<|end|>", -0.1, [("<|end|>", 0.9)]),
    ]
    shown = chat.as_html(said)
    assert "<script>" not in shown
    assert "&lt;script&gt;</b>: −6.91 nats, 0.1%" in shown
    assert "--surprise: 0" in shown
    assert f"--surprise: {chat.TINT}" in shown
    assert "(end)" in shown
    assert ' <span class="word mark"' not in shown  # no space before a full stop


def test_chat_without_its_network_is_one_sentence(monkeypatch):
    monkeypatch.setattr(chat, "MODEL", "no-such-model")
    app = page("chat")
    assert "no-such-model is missing" in app.error[0].value
    assert "git checkout -- mi_lib/zoo" in app.error[0].value


# --- lenses -------------------------------------------------------------------------------------------------------


def test_the_lens_page_asks_before_it_shows(model):
    app = page("explore_lens")
    assert not app.get("plotly_chart")
    app.radio[0].set_value("after block 0 or 1").run()
    press(app, "That is my prediction")
    assert "You predicted: after block 0 or 1." in words(app)
    assert len(app.get("plotly_chart")) == 3


def opened() -> AppTest:
    return press(page("explore_lens"), "Go on without a prediction")


@pytest.mark.parametrize("colour", list(explore_lens.COLOURS))
def test_every_colour_can_be_chosen(model, colour):
    app = opened()
    app.selectbox[0].set_value(colour).run()
    assert not app.exception
    assert explore_lens.SAID[colour] in words(app)


def test_the_cell_that_is_chosen_is_explained(model):
    app = opened()
    first = lens.logit_lens(model, model.to_tokens(explore_lens.FIRST))[:, 0].argmax(-1)
    for depth, pos in ((2, 6), (1, 2), (0, 1)):
        app.selectbox(key="lens-depth").set_value(depth)
        app.selectbox(key="lens-pos").set_value(pos).run()
        assert not app.exception
        (word,) = explore_lens._words(model, [int(first[depth, pos])])
        assert f"The first guess here is **{word}**" in words(app)
    assert "no head has written anything" in words(app)


def test_unknown_words_of_a_text_are_named_and_an_empty_or_long_text_is_told(model):
    app = opened()
    app.text_input[0].set_value("mira lives in").run()
    assert "“mira”. Near it are **Mira**" in words(app)
    press(app, "Take: Mira lives in")
    assert app.text_input[0].value == "Mira lives in"
    app.text_input[0].set_value("the " * 60).run()
    assert "has room for 40" in words(app)
    app.text_input[0].set_value(" ").run()
    assert "at least one word" in words(app)


def test_the_table_comes_back_after_a_visit_to_another_page(model):
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport streamlit as st\nfrom app import explore_lens\n"
    script += "st.session_state.get('elsewhere') or explore_lens.show()"
    app = press(AppTest.from_string(script, default_timeout=60).run(), "Go on without a prediction")
    for elsewhere in (True, False):  # Streamlit forgets what was chosen on a page that is left
        app.session_state["elsewhere"] = elsewhere
        app.run()
    assert not app.exception
    assert not app.error
    assert app.get("plotly_chart")


def test_without_its_file_the_tuned_lens_cannot_be_chosen(model):
    app = opened()
    assert app.toggle[0].disabled
    assert explore_lens.TUNED in words(app)


def test_with_its_file_the_tuned_lens_is_read(model, pico_like):
    made = lens.TunedLens(2, 16)
    torch.nn.init.normal_(made.A, std=0.1)
    made.save(pico_like / explore_lens.TUNED)
    try:
        app = opened()
        app.toggle[0].set_value(True).run()
        assert not app.exception
        assert not app.error
    finally:
        (pico_like / explore_lens.TUNED).unlink()


@pytest.mark.parametrize("tuned", [False, True])
@pytest.mark.parametrize("heads", [False, True])
def test_contributions_sum_to_the_logit_that_the_lens_reads(model, heads, tuned):
    tokens = model.to_tokens("The river of the town where Mira lives is the")
    trained = None
    read = lens.logit_lens(model, tokens)[:, 0]
    if tuned:
        trained = lens.TunedLens(2, 16).requires_grad_(False)
        trained.A.normal_(std=0.2, generator=torch.Generator().manual_seed(0))
        trained.b.normal_(std=0.2, generator=torch.Generator().manual_seed(1))
        read = lens.tuned_lens(model, trained, tokens)[:, 0]
    for depth in range(3):
        for pos in (0, 4, 9):
            logits = read[depth, pos]
            parts = explore_lens.contributions(model, tokens, 77, depth, pos, trained, heads)
            assert sum(parts.values()) == pytest.approx((logits[77] - logits.mean()).item(), abs=1e-3)


def test_the_lens_page_without_its_network_is_one_sentence(monkeypatch):
    monkeypatch.setattr(explore_lens, "MODEL", "no-such-model")
    app = page("explore_lens")
    assert "missing" in app.error[0].value
