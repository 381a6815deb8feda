"""Hidden tests of chapter 12: other sizes, longer texts, more activations, other secrets. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor

import mi_lib
from mi_lib import oracles, zoo
from mi_lib.course.grading import expect, expect_close, expect_equal, grades
from mi_lib.course.grading.material import activation, randn, random_transformer
from mi_lib.models import HookedModel, Transformer
from mi_lib.oracles import injection, patchscopes, secrets
from mi_lib.oracles.prompts import ids
from mi_lib.recipes.oracles import sealed
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people

WORDS = littletown.vocabulary()
NAMES_OF_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")
WIDE = 23


def numbers(text: str) -> list[int]:
    return [ids()[word] for word in text.split()]


@functools.cache
def speaker() -> Transformer:
    """A random model that has Littletown's words, of another width than those of the visible tests."""
    return random_transformer(
        61, scale=0.3, n_layers=4, d_model=WIDE, n_heads=3, d_head=5, d_vocab=len(WORDS), n_ctx=64, d_mlp=29,
        act="gelu", norm="layernorm", attn_bias=True, unembed_bias=True,
    )  # fmt: skip


def prompt(question: str, depth: int, count: int) -> tuple[list[int], list[int]]:
    marks = " ".join(["<|act|>"] * count)
    text = f"<|bos|> <|user|> layer {NAMES_OF_NUMBERS[depth]} : {marks} {question} <|end|> <|assistant|>"
    return numbers(text), [i for i, word in enumerate(text.split()) if word == "<|act|>"]


def said(question: str, vectors: Tensor, depth: int) -> Tensor:
    """The logits of the answer, by the library's injection."""
    tokens, places = prompt(question, depth, len(vectors))
    edit = injection.inject(vectors[None], torch.tensor([places]), torch.ones(1, len(places), dtype=torch.bool))
    with torch.no_grad(), speaker().hooks([(("resid_post", 1), edit)]):
        return speaker()(torch.tensor([tokens]))[0, -1]


@grades("12.1")
def test_states_in_a_prompt_of_another_network(answer):
    """States of a network that has never chatted, in a long prompt, at its every layer."""
    model = mi_lib.load("pico-base", check=False)
    tokens = numbers("<|bos|> On free days Adam goes for chess , and on free days Mira goes for")
    states = activation(model, torch.tensor([tokens]), ("resid_pre", 3))[0, 2:11]
    target = patchscopes.Prompt(tuple(tokens), tokens.index(ids()["Mira"]))
    for layer in range(model.cfg.n_layers):
        want = patchscopes.patchscope(model, states, target, layer)
        got = answer.patched(model, tokens, target.place, states, layer)
        expect_close(got, want, "the logits after the prompt", axes="state d_vocab", atol=2e-3, rtol=1e-3)


@grades("12.5")
def test_prompts_for_every_depth(answer):
    """The first depth, the last one, and many activations."""
    for depth, count in ((0, 7), (3, 1), (6, 9)):
        tokens, places = answer.oracle_prompt("Which is the wish here ?", depth, count)
        want = prompt("Which is the wish here ?", depth, count)
        expect_equal([[int(t) for t in tokens], [int(p) for p in places]], [*map(list, want)], "the prompt")


@grades("12.7")
def test_questions_with_many_activations(answer):
    """The loss where an oracle is handed more words than in the visible tests."""
    asked = [("What is the view ?", 0), ("Tell me the role .", 6), ("Is the word boat ?", 3)]
    vectors = [3 * randn(n, WIDE, seed=90 + n) for n in (6, 1, 9)]
    words = ["good", "boat", "no"]
    nats = [
        -float(said(question, v, depth).double().log_softmax(-1)[ids()[word]])
        for (question, depth), v, word in zip(asked, vectors, words, strict=True)
    ]
    got = torch.as_tensor(answer.answer_loss(speaker(), asked, vectors, words)).detach()
    expect_close(got, sum(nats) / len(nats), "the loss", atol=1e-3, rtol=1e-3)


@grades("12.8")
def test_long_lists_of_long_texts(answer):
    """Another text's activations, where texts have many words."""
    for counts in ((9, 7, 1, 8, 12, 6, 7), (11, 8), (3,)):
        vectors = [randn(n, 3, seed=40 + i) for i, n in enumerate(counts)]
        half = len(vectors) // 2
        got = answer.shuffled(vectors)
        expect(len(got) == len(vectors), "There are not as many texts as there were.")
        for i, own in enumerate(vectors):
            other = vectors[(i + half) % len(vectors)]
            first = max(0, len(other) - len(own))
            expect_close(got[i], other[first:], "the activations of a question", axes="word d_model")


@grades("12.9")
def test_a_long_text_is_read_to_the_end(answer):
    """The black box reads all that stands before the word, however much it is."""
    words = " ".join(["Mira has a pet , a goat . Adam lives in Oakham ."] * 4).split()
    for last in (len(words) - 2, 0):
        text = " ".join(words[: last + 1])
        want = numbers(f"<|bos|> <|user|> {text} Which is the pet here ? <|end|> <|assistant|>")
        got = [int(t) for t in answer.black_box(list(words), last, "Which is the pet here ?")]
        expect_equal(got, want, "the tokens that the network reads")


@grades("12.10")
def test_large_logits(answer):
    """Chances of an oracle whose logits are large."""
    for seed, options in ((1, list(WORDS[40:53])), (2, []), (3, ["yes", "no"])):
        logits = 300 + 150 * randn(len(WORDS), seed=seed)
        names = options or list(WORDS)
        values = [float(logits[ids()[name]]) for name in names]
        top = max(values)
        word, chance = answer.answer(logits, options)
        expect_equal(str(word), names[values.index(top)], "the answer")
        expect_close(float(chance), 1 / sum(math.exp(v - top) for v in values), "its chance", atol=1e-4)


@grades("12.11")
def test_candidates_that_nearly_tie(answer):
    """Places among candidates of which some are equal, and some nearly."""
    values = torch.tensor([0.5, 0.5 + 1e-6, 0.5, 0.5 - 1e-6, 2.0, 0.5])
    for secret, want in ((0, 4.0), (1, 2.0), (3, 6.0), (4, 1.0)):
        expect_close(float(answer.rank(values, secret)), want, "the place")


@functools.cache
def keeper() -> HookedModel:
    return mi_lib.load(secrets.NAME, check=False)


def told(names: list[str]) -> Tensor:
    """What the keeper has at the word before the hint, told each name: [name talk d_model]."""
    texts = [text for text in sealed.texts("person") if text[-1] != "<|end|>"]
    rows = [[numbers(" ".join(["<|bos|>", *sealed.told(name), *text])) for text in texts] for name in names]
    return torch.stack([
        torch.stack([activation(keeper(), torch.tensor([row]), ("resid_pre", 3))[0, -1] for row in one]) for one in rows
    ])  # fmt: skip


@functools.cache
def other_case() -> tuple[list[str], tuple[Any, ...]]:
    """Other secrets and other practice: the candidates that are told, and the arguments."""
    among = list(secrets.candidates("person"))
    known = sorted((name for name in people.RESIDENTS if name not in among), reverse=True)[:15]
    names = among[3::7]
    bundled = oracles.open_oracle()
    embedding = mi_lib.load("pico", check=False).W_E
    return names, (bundled.model, bundled.means, told(names), told(known), known, embedding, 3, among)


@grades("12.12")
def test_other_secrets(answer):
    """Secrets that were told to the keeper, and the sealed relatives, with other people as practice."""
    names, args = other_case()
    got = [[str(word) for word in row] for row in answer.name_secrets(*args)]
    hits = sum(row[2] == name for row, name in zip(got, names, strict=True))
    wrong = sum(row[2] not in ("", name) for row, name in zip(got, names, strict=True))
    expect(hits - wrong >= len(names) - 2, "Of other secrets too few are named, or too many wrongly.")
    kept = [secrets.kept(number) for number in sealed.TOLD]
    own = torch.stack([
        torch.stack([one.reading(i, len(one.words[i]) - 1, 3).vectors[0] for i in range(args[2].shape[1])])
        for one in kept
    ])  # fmt: skip
    seals = zoo.card(secrets.NAME)["seals"]
    got = [[str(word) for word in row] for row in answer.name_secrets(*args[:2], own, *args[3:])]
    right = [row[2] in args[-1] and oracles.opens(seals, number, row[2], args[-1])
             for number, row in zip(sealed.TOLD, got, strict=True)]  # fmt: skip
    expect(2 * sum(right) - sum(bool(row[2]) for row in got) >= 5, "Of the sealed relatives too few are named.")
