"""An answer is the likeliest word, of all or of some; it depends on the activations, which are centred."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mi_lib import lens
from mi_lib.oracles import BadQuestion, Reading, answers, inventions, judging, read, reliability, training, turned
from mi_lib.oracles.asking import Answer
from mi_lib.oracles.dataset import asked
from mi_lib.oracles.prompts import ids, prompts
from mi_lib.worlds import littletown

ASK = "What is the pet ?"


def drawn(seed: int = 0, count: int = 2, depth: int = 3) -> Reading:
    return Reading(torch.randn(count, 24, generator=torch.Generator().manual_seed(seed)), depth)


def test_the_answer_is_what_the_network_says_with_the_centred_activations_added(oracle):
    reading = drawn()
    made = prompts([ASK.split()], [3], [2])

    def by_hand(value, hook):
        for i in range(2):
            v, h = reading.vectors[i] - oracle.means[3], value[0, 5 + i].clone()
            value[0, 5 + i] = h + h.norm() * v / v.norm()

    want = oracle.model.run_with_hooks(made.tokens, [("blocks.1.hook_resid_post", by_hand)])[0, -1]
    found = oracle.logits([reading], [ASK])[0]
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)
    one = oracle.ask(reading, ASK)
    assert ids()[one.word] == int(want.argmax())
    assert one.chance == pytest.approx(float(want.softmax(-1).max()), abs=1e-4)
    assert len(one.best) == 5


def test_questions_asked_together_get_the_answers_that_they_get_alone(oracle):
    readings = [drawn(1), drawn(2, 4, 5), drawn(3, 1, 2)]
    questions = [ASK, "Is the pet owl or goat ?", "Tell me the word ."]
    together = oracle.logits(readings, questions, batch=2)
    for i in range(3):
        torch.testing.assert_close(together[i], oracle.logits([readings[i]], [questions[i]])[0], rtol=1e-3, atol=1e-3)


def test_asked_yes_or_no_it_says_a_word_and_then_the_verdict(oracle):
    reading, ask = drawn(), "Is the pet owl ?"
    first = training.logits(oracle.model, [ask.split()], [3], [reading.vectors - oracle.means[3]])
    made = prompts([ask.split()], [3], [2], [littletown.vocabulary()[int(first.argmax())]])
    assert int(made.tokens[0, -1]) == int(first.argmax())
    want = training.logits(
        oracle.model, [ask.split()], [3], [reading.vectors - oracle.means[3]],
        said=[littletown.vocabulary()[int(first.argmax())]],
    )  # fmt: skip
    torch.testing.assert_close(oracle.logits([reading], [ask]), want)
    assert not torch.allclose(want, first, atol=1e-2)
    outright = dataclasses.replace(oracle, outright=True).logits([reading], [ask])
    torch.testing.assert_close(outright, first)


def test_options_limit_the_answer_and_share_its_chance(oracle):
    one = oracle.ask(drawn(), ASK, ["owl", "goat"])
    assert one.word in ("owl", "goat")
    assert sum(p for _, p in one.best) == pytest.approx(1)
    with pytest.raises(BadQuestion, match="no 'zebra', so it can be no answer"):
        oracle.ask(drawn(), ASK, ["owl", "zebra"])
    with pytest.raises(BadQuestion, match="1 readings do not fit 2 questions"):
        oracle.logits([drawn()], [ASK, ASK])


def test_the_controls_keep_the_question_and_change_the_activations(subject):
    examples = asked("pet", 4)
    read_ = judging.readings(subject, examples)
    for one, other in zip(turned(read_), [read_[2], read_[3], read_[0], read_[1]], strict=True):
        many = len(one.vectors)
        assert torch.equal(one.vectors, other.vectors[-many:])
    assert not read_[0].zero(None).vectors.any()


def test_the_control_without_activations_adds_nothing_at_all(oracle):
    made = prompts([ASK.split()], [3], [2])
    want = oracle.model(made.tokens)[0, -1]
    torch.testing.assert_close(oracle.logits([drawn().zero(oracle.means)], [ASK])[0], want, rtol=1e-4, atol=1e-4)


def test_a_control_within_a_kind_takes_another_text_of_that_kind():
    read_ = [drawn(i) for i in range(5)]
    found = turned(read_, ["pet", "town", "pet", "town", "sum"])
    for one, other in zip(found, (2, 3, 0, 1, 4), strict=True):
        assert torch.equal(one.vectors, read_[other].vectors)


def test_everybody_is_asked_the_same(oracle, subject):
    fitted, examples = asked("gender", 40, split="train", seed=2, left_out=None), asked("gender", 12)
    found = judging.everybody(oracle, subject, fitted, examples)
    assert {len(right) for right in found.values()} == {12}
    assert set(found) == {
        "oracle", "oracle_among", "shuffled", "zero", "majority", "probe", "black_box", "lens", "last_lens"
    }  # fmt: skip
    common = judging.majority(fitted)
    assert found["majority"].tolist() == [one.question.answer == common for one in examples]


def test_a_probe_is_fitted_on_what_it_is_given(subject):
    examples = asked("gender", 12)
    read_ = judging.readings(subject, examples)
    assert judging.probe_right(examples, read_, examples, read_).all(), "more numbers than examples"
    other = [one._replace(question=one.question._replace(answer="nothing")) for one in examples]
    assert not judging.probe_right(examples, read_, other, read_).any(), "it says what it was fitted on"


def test_the_lens_reads_the_last_word_uncentred(subject):
    (one,) = read(subject, "Mira lives in Oakham .", 6)
    found = judging.lens_logits(subject, [one])
    torch.testing.assert_close(found[0], lens.logit_lens(subject, "Mira lives in Oakham .")[-1, 0, -1])


def test_the_black_box_answers_after_the_text_and_the_question(subject):
    (one,) = examples = asked("topic", 1)
    words = [w for w in one.text.words[: one.at + 1] if not w.startswith("<|")]
    rows = ["<|bos|>", "<|user|>", *words, *one.question.words, "<|end|>", "<|assistant|>"]
    want = subject(torch.tensor([[ids()[w] for w in rows]]))[0, -1]
    torch.testing.assert_close(judging.black_box(subject, examples)[0], want, rtol=1e-4, atol=1e-4)


def test_in_a_chat_the_black_box_is_asked_in_the_persons_next_turn(subject):
    one = asked("speaker", 1)[0]
    read_, made = one.text.words[: one.at + 1], judging.aloud(one)
    closed = [] if read_[-1] == "<|end|>" else ["<|end|>"]
    assert made == ["<|bos|>", *read_, *closed, "<|user|>", *one.question.words, "<|end|>", "<|assistant|>"]


def test_inventions_count_what_is_named_where_nothing_is():
    said = [Answer("nothing", 0.9, ()), Answer("owl", 0.8, ()), Answer("cat", 0.4, ()), Answer("nothing", 0.3, ())]
    found = inventions(said)
    assert (found.share, found.sure, found.chance) == (0.5, 0.5, pytest.approx(0.6))
    with pytest.raises(ValueError, match="no answers"):
        inventions([])


def test_reliability_compares_certainty_with_being_right():
    logits = torch.full((10, len(ids())), -30.0)
    logits[:, ids()["owl"]] = 30.0
    found = reliability(logits, ["owl"] * 7 + ["cat"] * 3)
    assert found.error == pytest.approx(0.3, abs=1e-3)
    assert answers(logits)[0].word == "owl"
