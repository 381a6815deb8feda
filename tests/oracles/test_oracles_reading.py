"""Activations are read at the words and the depth that are asked for; what cannot be read is refused in a sentence."""

from __future__ import annotations

import pytest
import torch

from mi_lib.models.transformers_model import TransformersModel
from mi_lib.oracles import BadReading, Reading, dataset, mean_activations, read, training

TEXT = "Mira lives in Oakham ."


def test_the_last_words_are_read_at_every_depth(subject):
    _, cache = subject.run_with_cache(TEXT)
    for depth, site in ((0, ("resid_pre", 0)), (4, ("resid_pre", 4)), (6, ("resid_post", 5))):
        (one,) = read(subject, TEXT, depth, 2)
        torch.testing.assert_close(one.vectors, cache[site][0, -2:])
    (one,) = read(subject, [TEXT], 3, 4, ends=[2])
    torch.testing.assert_close(one.vectors, cache["resid_pre", 3][0, 1:3], msg="the first token is never read")


def test_the_mean_is_over_all_words_but_the_first(subject):
    texts = [TEXT, "The owl is a bird ."]
    found = mean_activations(subject, texts)
    rows = [read(subject, text, 2, 99)[0].vectors for text in texts]
    torch.testing.assert_close(found[2], torch.cat(rows).mean(0), rtol=1e-4, atol=1e-5)
    assert found.shape == (7, 24)


def test_an_example_reads_what_its_words_are_in_the_whole_text(subject):
    examples = dataset.asked("gender", 3, depth=5, words=3)
    for one, vectors in zip(examples, training.activations(subject, examples, None), strict=True):
        (whole,) = read(subject, [" ".join(one.text.words)], 5, one.long, ends=[one.at + 1])
        torch.testing.assert_close(vectors, whole.vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "how", "words"),
    [
        ("", {}, "text 0 is empty"),
        ("   ", {}, "text 0 is empty"),
        (TEXT, {"depth": 9}, "there is no layer 9: this network has the depths 0 to 6"),
        (TEXT, {"depth": -1}, "there is no layer -1"),
        (TEXT, {"words": 0}, "at least one word"),
        (TEXT, {"ends": [8]}, "there is no word 8 in text 0"),
    ],
)
def test_what_cannot_be_read_is_refused(subject, text, how, words):
    with pytest.raises(BadReading, match=words):
        read(subject, text, **({"depth": 3} | how))


def test_words_that_nobody_knows_are_named(subject):
    with pytest.raises(ValueError, match="quasar"):
        read(subject, "Mira sees the quasar .", 3)


def test_the_oracle_refuses_activations_of_another_width_another_model_and_none(oracle):
    good = torch.ones(2, 24)
    for reading, words in (
        (Reading(torch.ones(2, 31), 3), r"shape \(2, 31\), and this oracle reads \[word, 24\]"),
        (Reading(torch.ones(24), 3), "shape"),
        (Reading(good, 8), "there is no layer 8"),
        (Reading(good[:0], 3), "no activations"),
        (Reading(good, 3, "gpt2"), "activations of gpt2, and this oracle was trained on those of pico"),
    ):
        with pytest.raises(BadReading, match=words):
            oracle.ask(reading, "What is the pet ?")
    assert oracle.ask(Reading(good, 3, "gpt2"), "What is the pet ?", relative=True).word
    assert isinstance(oracle.model, TransformersModel)
