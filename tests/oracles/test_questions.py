"""What is asked is true of the text, in words that the network has; what training leaves out it never asks."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from mi_lib.oracles import BadQuestion, absent, dataset, known, labels, prompts, question, questions, typed
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people, stories

# of the mixture, and some of every kind: topics are one text in a hundred
TEXTS = [
    *(dataset.document(i, 5, "train") for i in range(80)),
    *(littletown.texts(k, 2)[1] for k in littletown.kinds()),
]


def test_every_word_of_every_question_and_answer_is_the_networks():
    words = {word for kind in questions.KINDS.values() for word in (*kind.noun.split(), *kind.values)}
    words |= {w for form in questions.FRAMES.values() for frame in form for w in frame.split() if w[0] != "{"}
    words |= {one.answer for text in TEXTS for one in known(text)}
    assert words <= set(littletown.vocabulary())


def test_at_least_twenty_kinds_are_asked_and_all_can_be():
    assert len(questions.ASKED) >= 20
    assert {one.kind for text in TEXTS for one in known(text)} == set(questions.KINDS)


def test_the_answer_is_one_of_the_values_that_its_kind_can_have():
    for text in TEXTS:
        for one in known(text):
            assert not (values := questions.KINDS[one.kind].values) or one.answer in values
            assert 0 <= one.at < len(text.words)


def test_the_receiver_is_asked_at_the_word_before_the_name():
    text = stories.giving(random.Random(3), "train", "ABBA", short=True)
    (one,) = [one for one in known(text) if one.kind == "receiver"]
    assert text.words[one.at] == "to"
    assert text.words[one.at + 1] == one.answer == text.truth["receiver"]


def test_a_verdict_is_asked_at_the_word_before_it():
    for text in littletown.texts("fact.claim", 20):
        verdicts = [span for span in text.spans if span.kind == "verdict"]
        found = [(one.at, one.answer) for one in known(text) if one.kind == "claim"]
        assert found == [(span.start - 1, span.value) for span in verdicts]


def test_what_the_tables_say_is_asked_at_the_name():
    text = next(text for text in TEXTS if set(text.words) & set(people.RESIDENTS))
    for one in known(text):
        if one.kind == "pet":
            assert people.OF_PERSON[text.words[one.at]]["pet"] == one.answer


def test_it_is_also_asked_at_the_word_before_the_value_is_said():
    said = 0
    for text in TEXTS:
        for one in known(text):
            if one.kind in labels.TABLES and text.words[one.at] != one.subject:
                table, attribute = labels.TABLES[one.kind]
                assert one.answer == table[one.subject][attribute]
                assert one.subject in text.words[: one.at + 1]
                said += text.words[one.at + 1] == one.answer  # a false claim goes on with something else
    assert said > 30


def test_no_answer_is_left_out_of_which_training_never_hears():
    assert len(labels.left_out_of("pet")) >= 4
    assert not labels.left_out_of("river"), "no two towns share one"
    for kind, (table, attribute) in labels.TABLES.items():
        asked = Counter(row[attribute] for name, row in table.items() if name not in labels.left_out_of(kind))
        assert all(asked[table[name][attribute]] >= labels.STILL_ASKED for name in labels.left_out_of(kind))


def test_what_is_absent_is_not_known():
    for text in TEXTS:
        there = {one.kind for one in known(text)}
        assert not there & set(absent(text, there))
    assert "sum" in absent(littletown.texts("prose.review", 1)[0], {"view"})


def test_yes_and_no_are_as_often_right_and_the_answer_is_among_the_options():
    rng = random.Random(0)
    said = Counter(question("pet", "owl", "yes_no", rng).answer for _ in range(400))
    assert 160 < said["yes"] < 240
    asked = question("pet", "owl", "yes_no", rng)
    assert (asked.said, asked.answer == "yes") == ("owl", "owl" in asked.words)
    assert question("pet", "nothing", "yes_no", rng).answer == "no"
    for _ in range(50):
        asked = question("pet", "owl", "choice", rng)
        assert "owl" in asked.options
        assert 2 <= len(set(asked.options)) == len(asked.options) <= 4
        assert set(asked.options) <= set(asked.words)
    places = Counter(question("pet", "owl", "choice", rng).options.index("owl") for _ in range(200))
    assert places[0] < 130, "the right one is not always first"


def test_training_never_asks_a_new_frame_a_pair_that_is_left_out_or_a_kind_that_is_never_asked():
    rng, left_out = random.Random(1), 0
    last = {form: questions.FRAMES[form][-1].split()[:3] for form in questions.FORMS}
    for text in TEXTS:
        for one in dataset.make(text, 4, rng):
            assert one.question.kind not in questions.NEVER_ASKED
            assert one.question.words[:3] not in last.values()
            assert not labels.Known(one.question.kind, one.at, "", one.subject).left_out
        left_out += sum(one.left_out for one in known(text))
    assert left_out > 100


def test_a_yes_or_no_question_is_known_by_its_words():
    rng = random.Random(2)
    for form in questions.FORMS:
        for new in (False, True):
            for _ in range(20):
                asked = question(rng.choice(("pet", "receiver", "claim")), "true", form, rng, new=new)
                assert questions.asks_yes_or_no(asked.words) == (form == "yes_no"), asked.words


def test_measuring_asks_exactly_what_it_is_told_to():
    for one in dataset.asked("pet", 5, left_out=True, split="train", new=True, at_name=True):
        assert labels.Known("pet", one.at, "", one.subject).left_out
        assert " ".join(one.question.words) == "Can you say the pet ?"
        assert one.long == min(4, one.at + 1)
    for at_name in (True, False):
        for one in dataset.asked("town", 4, at_name=at_name):
            assert (one.text.words[one.at] == one.subject) == at_name
    with pytest.raises(KeyError):
        dataset.asked("weight", 1)
    assert {one.question.answer for one in dataset.asked_in_vain(8)} == {"nothing"}


def test_a_typed_question_must_have_words_and_only_those_of_the_world():
    assert typed("What is the pet?") == ["What", "is", "the", "pet", "?"]
    with pytest.raises(BadQuestion, match="Littletown has no 'quasar', 'zebra': ask in its own words"):
        typed("Is the quasar a zebra ?")
    with pytest.raises(BadQuestion, match="empty"):
        typed("  ")


def test_a_prompt_names_the_layer_and_has_a_placeholder_for_every_word():
    made = prompts([["What", "is", "it", "?"], ["Who", "?"]], [4, 2], [3, 1])
    words = [littletown.vocabulary()[token] for token in made.tokens[0]]
    start = "<|bos|> <|user|> layer four : <|act|> <|act|> <|act|>"
    assert " ".join(words) == f"{start} What is it ? <|end|> <|assistant|>"
    assert made.real.tolist() == [[True] * 3, [True, False, False]]
    for row in range(2):
        assert {int(made.tokens[row, at]) for at in made.places[row]} == {littletown.SPECIAL.index("<|act|>")}
    assert made.mask[1].tolist() == [False] * 4 + [True] * 10, "padded at the left: the answer follows the last column"
