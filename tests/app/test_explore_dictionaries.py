"""The dictionary explorer, on a small random network and a small dictionary of its own: its numbers against others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import chat, common, dictionary_read, dictionary_talk, explore_dictionaries
from app.dictionary_talk import KINDS, Asked, edits, turned
from mi_lib import load, saes
from mi_lib.course import Workspace
from mi_lib.worlds.littletown.concepts import CONCEPTS

ROOT = Path(__file__).parents[2]
SITE = "blocks.1.hook_resid_pre"
SCRIPT = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport streamlit as st\n"
SCRIPT += "from app import explore_dictionaries\nst.session_state.get('elsewhere') or explore_dictionaries.show()"


@pytest.fixture(scope="module")
def path(pico_like, tmp_path_factory) -> str:
    sae = saes.TopK(16, 64, k=5, seed=3).eval()
    return str(saes.save_dictionary(sae, tmp_path_factory.mktemp("dictionaries") / "tiny.safetensors", site=SITE))


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch, pico_like, path):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))
    for module in (chat, explore_dictionaries):
        monkeypatch.setattr(module, "MODEL", str(pico_like))
    monkeypatch.setattr(explore_dictionaries, "_names", lambda: [path])
    monkeypatch.setattr(dictionary_read, "TEXTS", 24)


@pytest.fixture
def model(pico_like):
    return load(pico_like)


@pytest.fixture
def reading(model, pico_like, path) -> dictionary_read.Reading:
    return dictionary_read.read(model, str(pico_like), path)


def fresh() -> AppTest:
    app = AppTest.from_string(SCRIPT, default_timeout=60).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label.startswith(label)).click().run()
    assert not app.exception
    return app


def opened() -> AppTest:
    return press(fresh(), "Go on without a prediction")


def name_of(app: AppTest) -> str:
    """The dictionary that is looked at."""
    return app.selectbox[0].value


def words(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "error") for e in getattr(app, kind))


# --- what is read -------------------------------------------------------------------------------------------------


def dense(model, reading, half) -> torch.Tensor:
    """What the latents say at every word, by a run of the test's own for each text."""
    rows = []
    for text in half.documents:
        _, cache = model.run_with_cache(torch.tensor([dictionary_read.tokens(model, text.words)]), SITE)
        rows.append(reading.sae.encode(cache[SITE][0, 1:]))
    return torch.cat(rows)


def test_what_is_kept_is_what_the_latents_say(model, reading):
    for half in (reading.old, reading.new):
        want = dense(model, reading, half)
        torch.testing.assert_close(torch.cat(list(half.chunks())), want, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(half.column(7), want[:, 7], atol=1e-4, rtol=1e-4)
        assert [w for text in half.documents for w in text.words] == half.words
    assert reading.old.words != reading.new.words


def test_the_best_latents_are_those_that_the_library_chooses_and_their_f1_is_the_library_s(reading):
    old, new = (torch.cat(list(half.chunks())) for half in (reading.old, reading.new))
    choices = saes.choose(old, reading.old.holds)
    want = saes.judge(choices, new, reading.new.holds)
    for concept in (0, 4, 23, CONCEPTS.index("the end of a sentence")):
        latent = reading.best(concept, 1)[0]
        assert float(reading.score[latent, concept]) == pytest.approx(choices[concept].score)
        assert (latent,) == choices[concept].latents
        judged = reading.judged(latent, concept)
        got = [float(each) for each in judged]
        assert got == pytest.approx([float(each[concept]) for each in want], abs=1e-6)
        assert dictionary_read.together(reading, concept, (1, 4))[1] == pytest.approx(got[2], abs=1e-6)
    there = reading.new.holds.any(0)
    assert reading.found(0.05) == int((want.f1[there] >= 0.05).sum()) > 0


def test_passages_are_the_top_texts_of_the_library(model, reading):
    latent = int(torch.cat(list(reading.new.chunks())).count_nonzero(0).argmax())
    rows = [dictionary_read.tokens(model, text.words) for text in reading.new.documents]
    want = saes.top_texts(model, reading.sae, SITE, rows, latent, 5, skip=1)
    found = dictionary_read.passages(reading.new, latent, 5)
    assert [each.values[each.at] for each in found] == pytest.approx([each.value for each in want], abs=1e-4)
    assert [each.words[each.at] for each in found] == [each.words[each.at] for each in want]
    assert all(len(each.words) <= 29 for each in found)


def test_effects_are_those_of_silencing_it_and_a_silent_latent_has_none(model, reading, monkeypatch):
    latent = int(reading.new.values.latent[0])
    found = dictionary_read.effects(model, reading, latent, 3)
    rows = [dictionary_read.tokens(model, text.words) for text in reading.new.documents]
    top = saes.top_texts(model, reading.sae, SITE, rows, latent, 8, skip=1)
    want = saes.logit_effects(
        model, reading.sae, SITE, latent, 3, texts=[text.tokens for text in top], by="intervention"
    )
    assert found.rises[0][1] > 0 > found.falls[0][1]
    assert [word for word, _ in found.rises] == [word for word, _ in want.rises]
    assert [value for _, value in found.falls] == pytest.approx([value for _, value in want.falls], abs=1e-4)
    monkeypatch.setattr(dictionary_read.Half, "column", lambda half, latent: torch.zeros(len(half.words)))
    assert dictionary_read.effects(model, reading, latent) is None


def test_names_are_chosen_on_training_texts_and_judged_on_others(model, reading, path):
    named = dictionary_read.named(reading, "pico-like", path)
    labels = saes.Labels.of(CONCEPTS, reading.old.words)
    want = saes.interpret(dense(model, reading, reading.old), labels.hold(reading.old.words, reading.old.holds))
    assert named.names == [name.text(labels) if name.labels else None for name in want]
    latent = int(torch.cat(list(reading.new.chunks())).count_nonzero(0).argmax())
    active = reading.new.column(latent) > 0
    said = torch.zeros(len(active), dtype=torch.long)
    for label in want[latent].labels:
        word = labels.names[label].removeprefix("the word “").removesuffix("”")
        here = [w == word for w in reading.new.words] if label >= len(CONCEPTS) else reading.new.holds[:, label]
        said += torch.as_tensor(here)
    holds = said >= (1 if want[latent].how == "or" else len(want[latent].labels))
    score = holds[active].double().mean() - holds[~active].double().mean()
    assert named.detection[latent] == pytest.approx(float(score), abs=1e-6)


def test_a_long_name_is_cut_and_a_latent_that_is_hardly_active_has_none():
    named = dictionary_read.Named(["a town or the word “river” or a landmark", None], [0.5, None])
    assert named.said(0, 20) == "a town or the word…"
    assert named.said(1) == "no name"


def test_dictionaries_of_the_second_seed_stand_last_and_say_what_they_are(monkeypatch):
    names = ["pico-flat", "pico-flat-24", "pico-flat-24-seed1", "pico-flat-seed1", "pico-mlp"]
    offered = {}
    monkeypatch.setattr(explore_dictionaries.st, "selectbox", lambda label, options, *a, **k: offered.update(o=options))
    explore_dictionaries._choose(names)
    assert offered["o"] == ["pico-flat", "pico-flat-24", "pico-mlp", "pico-flat-24-seed1", "pico-flat-seed1"]
    assert "second seed" in explore_dictionaries._said("pico-flat-24-seed1")
    assert "second seed" not in explore_dictionaries._said("pico-flat-24")


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_asks_first_and_then_says_how_many_were_found(reading):
    app = fresh()
    assert not app.get("plotly_chart")
    found = reading.found(explore_dictionaries.GOOD)
    right = next(guess for guess, (least, most) in explore_dictionaries.GUESSES.items() if least <= found <= most)
    app.radio[0].set_value(right).run()
    press(app, "That is my prediction")
    assert f"For **{found} of {len(CONCEPTS)}** concepts" in words(app)
    assert "So it is." in words(app)
    assert len(app.get("plotly_chart")) == 2


def test_a_latent_is_found_by_a_concept_in_a_text_and_by_its_number(model, reading):
    app = opened()
    concept = CONCEPTS.index("a name")
    app.selectbox[1].set_value(concept).run()
    latent = reading.best(concept, 5)[3]
    named = dictionary_read.named(reading, explore_dictionaries.MODEL, name_of(app))
    button = next(b.label for b in app.button if b.label.startswith(f"{latent} · "))
    assert button.endswith(f"F1 {float(reading.judged(latent, concept).f1):.2f}")
    assert common.literal(named.said(latent)) in button
    press(app, button)
    assert app.session_state["dict-latent"] == latent
    assert app.header[0].value == f"Latent {latent}"
    assert f"it tells *{CONCEPTS[reading.label(latent)]}* best" in words(app)
    app.text_input(key="dict-text").set_value("Mira lives in Selby.").run()
    app.button_group[0].set_value(3).run()
    _, cache = model.run_with_cache("Mira lives in Selby.", SITE)
    f = reading.sae.encode(cache[SITE])[0, 4]  # <|bos|> Mira lives in Selby
    most = int(f.argmax())
    press(app, next(b.label for b in app.button if b.label.endswith(f"· {float(f[most]):.1f}")))
    assert app.header[0].value == f"Latent {most}"
    app.number_input(key="dict-latent").set_value(11).run()
    assert app.header[0].value == "Latent 11"
    for latent, name in enumerate(named.names):
        if name and named.detection[latent] is not None:
            app.number_input(key="dict-latent").set_value(latent).run()
            assert f"Its name is **{common.literal(name)}**" in words(app)
            assert f"Its *detection* is {named.detection[latent]:.2f}" in words(app)
            break
    else:
        pytest.fail("none of these latents has a name, so that no card showed one")


def test_a_visit_to_another_page_keeps_the_page_whole():
    app = opened()
    for elsewhere in (True, False):
        app.session_state["elsewhere"] = elsewhere
        app.run()
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 2


def test_words_that_pico_lacks_are_named_and_missing_dictionaries_are_one_sentence(monkeypatch):
    app = opened()
    app.text_input(key="dict-text").set_value("Mira has a blockchain.").run()
    assert "blockchain" in words(app)
    app.text_input(key="dict-question").set_value("Where is the blockchain?").run()
    assert not app.exception
    assert "Ask" not in [button.label for button in app.button]
    monkeypatch.setattr(explore_dictionaries, "_names", list)
    assert "The dictionaries are missing" in fresh().error[0].value


def test_marks_and_words_of_a_passage_cannot_be_read_as_html():
    passage = dictionary_read.Passage(["<|user|>", "a<b"], [0.0, 2.0], 1, True, False)
    shown = explore_dictionaries._shaded(passage, 2.0)
    assert "⟨user⟩" in shown
    assert "a&lt;b" in shown
    assert "--share: 65" in shown
    assert shown.startswith("… ")


# --- held while Pico talks ----------------------------------------------------------------------------------------


def asked(latent: int, value: float, **more) -> Asked:
    return Asked("tiny", latent, value, "Where does Mira live?", 0.0, more.get("seed", 0), True)


def test_the_random_push_is_as_far_at_every_word_and_in_another_direction(model, reading):
    tokens = model.to_tokens("Where does Mira live?")
    _, cache = model.run_with_cache(tokens, SITE)
    x, latent = cache[SITE], 9
    moved = {}
    for kind in KINDS:
        with model.hooks(edits(reading, asked(latent, 6.0), kind)):
            _, seen = model.run_with_cache(tokens, SITE)
        moved[kind] = seen[SITE] - x
    assert not moved["untouched"].any()
    far = (6.0 - reading.sae.encode(x)[..., latent]).abs()
    for kind in ("held", "random"):
        torch.testing.assert_close(moved[kind].norm(dim=-1), far, atol=1e-4, rtol=1e-4)
    row = reading.sae.W_dec[latent]
    torch.testing.assert_close(moved["held"][0, 2] / far[0, 2], row, atol=1e-4, rtol=1e-3)
    drawn = turned(reading.sae, latent, 0).W_dec[latent]
    assert abs(float(drawn @ row)) < 0.9
    assert not torch.equal(drawn, turned(reading.sae, latent, 1).W_dec[latent])
    assert torch.equal(reading.sae.W_dec[latent], row)  # the dictionary itself is as it was


def test_three_replies_stand_side_by_side_and_the_first_is_pico_s_own(model):
    app = opened()
    app.number_input(key="dict-latent").set_value(9).run()
    press(app, "Ask")
    said, replies = app.session_state["dict-replies"]
    assert said.latent == 9
    assert list(replies) == list(KINDS)
    prompt, _ = chat.fit(model.tokenizer, None, [chat.Turn("user", said.question)], 200)
    with torch.no_grad():
        best = model(torch.tensor([prompt]))[0, -1].log_softmax(-1).max()
    assert replies["untouched"][0].log_prob == pytest.approx(float(best), abs=1e-4)
    assert all(f"**{name.capitalize()}**" in words(app) for name in KINDS.values())
    app.toggle(key="dict-random").set_value(False).run()
    press(app, "Ask")
    assert list(app.session_state["dict-replies"][1]) == ["untouched", "held"]


def test_a_reply_that_was_broken_off_is_asked_for_again(model, reading, monkeypatch):
    class Broken(Exception):
        pass

    real = dictionary_talk.stream

    def breaks(*given, **more):
        for i, step in enumerate(real(*given, **more)):
            if i == 1:
                raise Broken
            yield step

    replies: dict = {}
    monkeypatch.setattr(dictionary_talk, "stream", breaks)
    with pytest.raises(Broken):
        dictionary_talk._answers(model, reading, asked(9, 6.0), replies)
    assert replies == {}
