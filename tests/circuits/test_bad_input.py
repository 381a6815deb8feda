"""What cannot be done is refused in one sentence, which names what to change."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from circuits_subjects import data, ioi, save_gpt2

from mi_lib import Transformer, TransformerConfig, load
from mi_lib.circuits import (
    abc_means,
    acdc,
    compare_circuits,
    completeness,
    copy_scores,
    corruptions,
    edges_alone,
    faithfulness,
    head_roles,
    heads_alone,
    knock_out,
    littletown_data,
    minimality,
    most_minimality,
    path_effects,
    path_patch,
    planted_data,
    run_without,
    sentence_data,
    subsets,
    worst_completeness,
)
from mi_lib.models.graph import Edge
from mi_lib.worlds import planted


@cache
def where():
    d = data(8, 1)
    return ioi().model, d.clean, d.corrupted["ABC"]


@cache
def heads():
    return heads_alone(ioi().model, data(8, 1))


@cache
def edges():
    return edges_alone(ioi().model, data(8, 1))


def same():
    """Data whose ABC prompts are the clean ones."""
    d = data(8, 1)
    return type(d)(**{**vars(d), "corrupted": {**d.corrupted, "ABC": d.clean}})


METRIC = lambda logits: logits[:, -1, 3]  # noqa: E731
BACKWARDS = Edge("a3.h0", "a1.h2.k")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        # prompts of unequal length
        (lambda: path_patch(*where()[:2], where()[2][:, 1:], "a0.h1"), "13 tokens and the corrupted one 12; give"),
        (lambda: acdc(*where()[:2], where()[2][:, 1:], 0.1), "13 tokens and the corrupted one 12; give"),
        (lambda: path_patch(*where()[:2], where()[2][1:], "a0.h1"), "8 clean prompts and 7 corrupted ones: give"),
        # a corrupted prompt equal to the clean one
        (lambda: path_effects(*where()[:2], where()[1], METRIC), "in both runs of pair 0.* choose a corrupted prompt"),
        (lambda: acdc(*where()[:2], where()[1], 0.1), "in both runs of pair 0.* choose a corrupted prompt"),
        (lambda: acdc(*where()[:2], where()[1], 0.1, METRIC), "in both runs of pair 0.* choose a corrupted prompt"),
        (lambda: head_roles(ioi().model, same()), "in both runs of pair 0.* choose a corrupted prompt"),
        # an empty circuit
        (lambda: faithfulness(heads(), []), "the circuit is empty.* keep at least one part"),
        (lambda: faithfulness(edges(), []), "the circuit is empty.* keep at least one part"),
        (lambda: completeness(heads(), []), "the circuit is empty"),
        (lambda: minimality(heads(), [], "a0.h1"), "the circuit is empty"),
        (lambda: subsets([], 3, 0), "the circuit is empty"),
        (lambda: compare_circuits([], ["a0.h1"]), "the found circuit is empty.* keep at least one part"),
        (lambda: compare_circuits(["a0.h1"], ["a0.h2"], unjudged=["a0.h2"]), "the other circuit is empty"),
        # what runs backwards, or is not on the path
        (lambda: faithfulness(edges(), [BACKWARDS]), "a3.h0->a1.h2.k runs backwards"),
        (lambda: path_patch(*where(), "a3.h0", ["a1.h2.k"]), "a3.h0->a1.h2.k runs backwards"),
        (lambda: path_patch(*where(), "a3.h0", ["a4.h0.q", "a1.h2.k"]), "a3.h0->a1.h2.k runs backwards"),
        (lambda: path_patch(*where(), "a1.h0", ["m0"]), "a1.h0->m0 runs backwards"),
        (lambda: path_patch(*where(), "a0.h1", ["a1.h2"]), "say which of its inputs: a1.h2.q, a1.h2.k or a1.h2.v"),
        (lambda: path_patch(*where(), "a0.h1", ["resid_post"]), "has no receiver 'resid_post'; it has a0.h0.q to m4"),
        (lambda: path_patch(*where(), "a0.h1", []), "name at least one, such as 'logits'"),
        (lambda: path_patch(*where(), "a0.h1", ["logits", "a1.h2.q"]), "patch to the logits alone"),
        (lambda: path_patch(*where(), "a7.h0"), "no head 'a7.h0'; its heads are a0.h0 to a4.h3"),
        (lambda: path_patch(*where(), "m0"), "no head 'm0'"),
        (lambda: path_patch(*where(), "a0.h1.q"), "a0.h1.q is an input of a head; name the head itself, a0.h1"),
        # parts that are none
        (lambda: heads()(["a9.h0"]), "no head 'a9.h0'"),
        (lambda: edges()([Edge("a0.h1", "a1.h9.q")]), "no receiver 'a1.h9.q'"),
        (lambda: completeness(heads(), ["a0.h1"], ["a0.h2"]), "a0.h2 is not in the circuit"),
        (lambda: minimality(heads(), ["a0.h1"], "a0.h2"), "a0.h2 is not in the circuit"),
        (lambda: worst_completeness(heads(), ["a0.h1"], []), "no K was given"),
        (lambda: most_minimality(heads(), ["a0.h1"], "a0.h1", []), "no K was given"),
        (lambda: run_without(ioi().model, data(8, 1), ["m0"], abc_means(ioi().model, data(8, 1))), "no head 'm0'"),
        # means
        (lambda: abc_means(ioi().model, data(8, 1), "mean"), "how must be"),
        (
            lambda: knock_out(
                ioi().model, ["a0.h1"], abc_means(ioi().model, data().rows(data().template < 2)), torch.tensor([3])
            ),
            "no mean was taken over prompts of template 3; take the means over data with the same templates",
        ),
        # numbers
        (lambda: acdc(*where(), 0.0), "tau must be more than 0, not 0.0"),
        (lambda: copy_scores(ioi().model, data(8, 1), k=0), "k must be at least 1, not 0"),
        (lambda: data(8, 1).metric(torch.zeros(3, 2, 40)), "3 rows of logits for 8 prompts"),
        # prompts
        (lambda: planted_data(planted.circuit("induction"), 4, 0), "'induction' knows no indirect objects; give"),
        (
            lambda: corruptions(
                *(x[:1] for x in (data().clean, data().io, data().s1, data().s2)), torch.arange(1, 5), 0
            ),
            "4 names are too few.* give at least five",
        ),
    ],
)
def test_it_is_told_in_a_sentence(call, words):
    with pytest.raises(ValueError, match=words) as raised:
        call()
    assert len(str(raised.value).splitlines()) == 1


@pytest.fixture(scope="module")
def english(tmp_path_factory):
    return load(save_gpt2(tmp_path_factory.mktemp("gpt2")))


SHORT = ("When [B] and [A] left, [B] gave a ring to",)
NAMED = ("After Anna saw [B] and [A], [B] gave a ring to",)
FIVE = ("Anna", "Paul", "Laura", "Mark", "Emily")
TWICE = ("When [B] and [A] left, [A] and [B] gave a ring to",)
LONG = "When [B] and [A] walked along the [PLACE], [B] gave a [OBJECT] to"
STRANGERS = ("Bartholomew", "Wilhelmina", "Maximilian", "Anna", "Paul")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"templates": (LONG, *SHORT)},
            r"\(template 1\) has 11 tokens and .*\(template 0\) 14; give templates=… of one",
        ),
        ({"names": STRANGERS}, r"one token of 2 of the names \(Anna, Paul\), and five are needed; give names=…"),
        ({"templates": TWICE}, r"is no template: write \[A\], who receives, once, and \[B\], who gives, twice"),
        ({"templates": NAMED, "names": FIVE}, "IO not once or S not twice as a token; write a space before each name"),
    ],
)
def test_english_prompts_that_cannot_be_made_are_told(english, options, words):
    with pytest.raises(ValueError, match=words):
        sentence_data(english, 20, 0, **options)


def test_templates_of_one_length_may_be_any(english):
    assert sentence_data(english, 4, 0, templates=SHORT).clean.shape == (4, 11)


def test_littletown_knows_how_many_templates_it_has():
    pico = load("pico-base")
    with pytest.raises(
        ValueError, match="0 templates have 40 words, and 4 are wanted; ask for fewer, or another length"
    ):
        littletown_data(pico, 4, 0, length=40)
    with pytest.raises(ValueError, match="ask for fewer"):
        littletown_data(pico, 4, 0, n_templates=1000)
    with pytest.raises(ValueError, match="vocabulary has no"):
        sentence_data(pico, 4, 0, names=("Ada", "Alma", "Amy", "Anna", "Beth"))


def test_a_model_without_a_tokenizer_is_told_to_have_none():
    sizes = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_vocab": 9, "n_ctx": 20}
    with pytest.raises(ValueError, match="no tokenizer"):
        sentence_data(Transformer(TransformerConfig(**sizes)), 4, 0)
