"""The grader of chapter 12. It runs beside the learner's process, never in it: see mi_lib/course/grading.

Oracles are written differently from the reference answers: one state and one question at a time, loops over words,
float64, numpy. What numbers are is asked of random models whose biases and norms count; what a secret is, of the
bundled oracle. All sizes of a case are different.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mi_lib
from mi_lib import oracles, zoo
from mi_lib.course import index
from mi_lib.course.grading import expect, expect_close, expect_equal, grades
from mi_lib.course.grading.gradients import expect_gradients
from mi_lib.course.grading.material import activation, generator, logits_with, randn, random_tokens, random_transformer
from mi_lib.models import HookedModel, Transformer
from mi_lib.oracles import secrets
from mi_lib.oracles.prompts import ids
from mi_lib.recipes.oracles import sealed
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people

D_MODEL = 13
WORDS = littletown.vocabulary()


@functools.cache
def pico() -> HookedModel:
    return mi_lib.load(index.chapter("12").model[0], check=False)


def words_of(text: str) -> list[int]:
    return [ids()[word] for word in text.split()]


@functools.cache
def small(number: int) -> Transformer:
    """Random models of few words."""
    layers, heads, d_head, norm = ((3, 2, 5, "layernorm"), (4, 3, 3, "none"))[number]
    return random_transformer(
        number, scale=0.4, n_layers=layers, d_model=D_MODEL, n_heads=heads, d_head=d_head, d_vocab=17, n_ctx=16,
        d_mlp=19, act="gelu", norm=norm, attn_bias=True, unembed_bias=True,
    )  # fmt: skip


@functools.cache
def speaker(number: int) -> Transformer:
    """Random models that have Littletown's words, and so can be oracles."""
    return random_transformer(
        20 + number, scale=0.35, n_layers=(5, 6)[number], d_model=D_MODEL, n_heads=2, d_head=(5, 7)[number],
        d_vocab=len(WORDS), n_ctx=40, d_mlp=11, act="gelu", norm="layernorm", attn_bias=True, unembed_bias=True,
    )  # fmt: skip


# --- 12.1 -------------------------------------------------------------------------------------------------------------


def patched_by_us(model: HookedModel, tokens: list[int], place: int, states: Tensor, layer: int, how: str = "") -> Any:
    """State by state. `how` makes known mistakes."""
    site: Any = ("resid_pre", layer)
    if how == "after":
        site = ("resid_post", layer)
    if how == "next":
        site = ("resid_pre", min(layer + 1, model.cfg.n_layers - 1))
    at = {"early": place - 1, "late": min(place + 1, len(tokens) - 1), "last": len(tokens) - 1}.get(how, place)
    found = []
    for i in range(len(states)):
        state = states[0] if how == "first state" else states[i]

        def change(value: Tensor, state: Tensor = state) -> None:
            if how == "others lost":
                value[0] = 0
            if how == "everywhere":
                value[0] = state
            elif how == "added":
                value[0, at] = value[0, at] + state
            elif how == "length":
                value[0, at] = state / state.norm() * value[0, at].norm()
            elif how != "untouched":
                value[0, at] = state

        logits = logits_with(model, torch.tensor([tokens]), site, change)[0]
        found.append(logits[{"at place": place, "first": 0}.get(how, -1)])
    together = torch.stack(found)
    return {"log": together.log_softmax(-1), "chances": together.softmax(-1)}.get(how, together)


PATCH_SLIPS = {
    "after": "You put the state behind the block. It takes the place of what ENTERS the block.",
    "next": "You put the state in one block too late.",
    "early": "You put the state one token too early.",
    "late": "You put the state one token too late.",
    "last": "You put the state at the prompt's last token. It belongs at `place`.",
    "first state": "Every row has the same state. Row i of the batch has state i.",
    "everywhere": "You put the state at every token. It takes the place of one.",
    "added": "You ADD the state to what stands there. In a Patchscope it takes its place.",
    "length": "You change the state's length. Put it in as it is.",
    "others lost": "The prompt's other tokens are lost: where nothing is put in, what stands there stays.",
    "log": "These are log-probabilities. The logits are asked for, as they are.",
    "chances": "These are probabilities. The logits are asked for, as they are.",
    "untouched": "Nothing has been put in: these are the logits of the prompt as it is. An edit has to return "
    "what shall stand there.",
    "at place": "These are the logits after the place itself. Take those after the prompt's last token.",
    "first": "These are the logits after the prompt's first token. Take those after its last one.",
}


@grades("12.1", weight=2)
def test_states_in_another_prompt(answer):
    """Random models, every layer, several places."""
    for number, layer, place, n in ((0, 0, 3, 4), (0, 2, 5, 3), (1, 1, 2, 5), (1, 3, 4, 2)):
        model = small(number)
        tokens = random_tokens(1, 9, 17, 7 * number + layer)[0].tolist()
        args = model, tokens, place, 2 * randn(n, D_MODEL, seed=layer + 10), layer
        expect_close(
            answer.patched(*args),
            patched_by_us(*args),
            "the logits after the prompt",
            axes="state d_vocab",
            atol=1e-4,
            mistakes=lambda args=args: {text: patched_by_us(*args, how=how) for how, text in PATCH_SLIPS.items()},
        )


@grades("12.1")
def test_states_in_a_prompt_of_pico_s(answer):
    """A name's state from one text in another one about a pet."""
    tokens, text = words_of("<|bos|> Adam has a pet , a"), words_of("<|bos|> On free days Mira goes for")
    states = torch.stack([activation(pico(), torch.tensor([text]), ("resid_pre", d))[0, 4] for d in (0, 2, 4)])
    for layer in (0, 3):
        expect_close(
            answer.patched(pico(), tokens, 1, states, layer),
            patched_by_us(pico(), tokens, 1, states, layer),
            "what Pico expects",
            axes="state d_vocab",
            atol=1e-3,
            mistakes=lambda layer=layer: {
                text: patched_by_us(pico(), tokens, 1, states, layer, how) for how, text in PATCH_SLIPS.items()
            },
        )


# --- 12.2 -------------------------------------------------------------------------------------------------------------


def shots_of(shots: Sequence[str], how: str = "") -> tuple[list[int], int]:
    text = " ".join(f"{word} {word} ," for word in shots)
    if how == "once":
        text = " ".join(f"{word} ," for word in shots)
    if how == "no commas":
        text = " ".join(f"{word} {word}" for word in shots)
    whole = [ids()["<|bos|>"], *words_of(text), ids()["<|act|>"]]
    place = len(whole) - 1
    if how == "no bos":
        return whole[1:], place - 1
    if how == "twice":
        return [*whole, whole[-1]], place
    if how == "no last comma":
        return [*whole[:-2], whole[-1]], place - 1
    if how == "no x":
        return whole[:-1], place - 1
    return whole, {"count": place + 1, "early": place - 1, "number": ids()["<|act|>"]}.get(how, place)


SHOT_SLIPS = {
    "once": "Each word stands once. Say it twice: that is what the prompt shows how to do.",
    "no commas": "The commas are missing: one after every pair.",
    "no last comma": "The comma after the last pair is missing.",
    "no bos": "<|bos|> is missing. Every prompt begins with it.",
    "twice": "x stands twice. Once: what the network says next is the answer.",
    "no x": "The placeholder x is missing at the end.",
    "count": "The tokens are right, but x is one token earlier: they are numbered from 0.",
    "early": "The tokens are right, but x is one token later.",
    "number": "This is the number of the WORD <|act|>. Asked for is where it stands.",
}


@grades("12.2")
def test_the_identity_prompt(answer):
    """Two to five words."""
    for shots in (["apple", "boat"], ["king", "pear", "duck", "lamp"], ["Mira", "rope", "heron", "Oakham", "cart"]):
        tokens, place = answer.identity_prompt(list(shots))
        want = shots_of(shots)
        expect_equal(
            [*[int(t) for t in tokens], int(place)],
            [*want[0], want[1]],
            "the prompt's tokens, and x's place behind them",
            mistakes=lambda shots=shots: {
                text: [*shots_of(shots, how)[0], shots_of(shots, how)[1]] for how, text in SHOT_SLIPS.items()
            },
        )


def shares_by_us(
    model: HookedModel, states: Tensor, right: Tensor, tokens: list[int], place: int, how: str = ""
) -> Tensor:
    table = []
    for some in states:
        row = []
        for layer in range(model.cfg.n_layers):
            said = patched_by_us(model, tokens, place, some, layer, how="after" if how == "after" else "")
            hits = [int(line.argmax()) == int(r) for line, r in zip(said, right, strict=True)]
            if how == "top 3":
                hits = [int(r) in line.topk(3).indices.tolist() for line, r in zip(said, right, strict=True)]
            if how == "chance":
                hits = [float(line.softmax(-1)[r]) for line, r in zip(said, right, strict=True)]
            row.append(sum(hits) / (1 if how == "count" else len(hits)))
        table.append(row)
    found = torch.tensor(table, dtype=torch.float64)
    return {"turned": found.T, "percent": 100 * found}.get(how, found)


SHARE_SLIPS = {
    "turned": "Rows and columns are exchanged. Rows are depths at which states were taken, columns layers.",
    "after": "The states are put in behind the blocks. Layer l is what ENTERS block l.",
    "top 3": "You count a state if its token is among the likeliest few. It must be the likeliest.",
    "chance": "This is the mean probability of the right token. Count how often it is the likeliest.",
    "count": "These are numbers of states. Divide by how many there are.",
    "percent": "These are percentages. A share lies between 0 and 1.",
}


@grades("12.2", weight=2)
def test_how_many_states_come_out(answer):
    """Random models; states whose tokens come out at some layers and not at others."""
    for number, sources, n in ((0, 3, 5), (1, 2, 7)):
        model = small(number)
        tokens, place = random_tokens(1, 8, 17, 40 + number)[0].tolist(), 5
        states = 3 * randn(sources, n, D_MODEL, seed=60 + number)
        right = torch.stack([
            patched_by_us(model, tokens, place, states[i % sources, [i]], (i * 2) % model.cfg.n_layers)[0].argmax()
            for i in range(n)
        ])  # fmt: skip
        args = model, states, right, tokens, place
        expect_close(
            answer.shares_by_layer(*args),
            shares_by_us(*args),
            "the shares",
            axes="source target",
            mistakes=lambda args=args: {text: shares_by_us(*args, how=how) for how, text in SHARE_SLIPS.items()},
        )


# --- 12.3 -------------------------------------------------------------------------------------------------------------


def ridge(states: Tensor, targets: Tensor, weight: float, how: str = "") -> tuple[np.ndarray, np.ndarray]:
    """By a least-squares problem with additional rows, in float64."""
    x, y = states.double().numpy(), targets.double().numpy()
    if how == "reversed":
        x, y = y, x
    n, d = x.shape
    weight = {"none": 0.0, "mean": weight * n, "square": weight**2}.get(how, weight)
    mx, my = x.mean(0), y.mean(0)
    if how == "origin":
        mx, my = 0 * mx, 0 * my
    if how == "only x":
        my = 0 * my
    if how == "punished":
        x1 = np.concatenate([x, np.ones((n, 1))], 1)
        found = np.linalg.solve(x1.T @ x1 + weight * np.eye(d + 1), x1.T @ y)
        return found[:-1], found[-1]
    a = np.concatenate([x - mx, math.sqrt(weight) * np.eye(d)])
    b = np.concatenate([y - my, np.zeros((d, y.shape[1]))])
    matrix = np.linalg.lstsq(a, b, rcond=None)[0]
    offset = my - mx @ matrix
    return matrix, {"no offset": 0 * offset, "to mean": my, "difference": my - mx}.get(how, offset)


TRANSLATOR_SLIPS = {
    "origin": "You fit through the origin. Take both means away first; they come back in the offset.",
    "punished": "The offset is punished too. Take both means away first, and the weight is on M alone.",
    "none": "`weight` is not used.",
    "mean": "You take the mean of the errors. It is their sum.",
    "square": "`weight` is squared. It stands before the squared entries as it is.",
    "reversed": "You translate the wrong way: from targets to states.",
    "no offset": "The offset is missing: mean(targets) − mean(states) @ M.",
    "to mean": "The offset is the targets' mean. The states' mean, translated, must be taken off it.",
    "difference": "The offset is the difference of the means. The states' mean has to be translated first.",
}


@grades("12.3", weight=2)
def test_ridge_regression(answer):
    """States and targets whose means are far from 0."""
    for seed, n, d, weight in ((1, 29, 5, 3.0), (2, 41, 7, 0.5), (3, 11, 6, 10.0)):
        states = randn(n, d, seed=seed) * torch.linspace(0.5, 2, d) + 2
        targets = states @ randn(d, d, seed=seed + 10) + 0.5 * randn(n, d, seed=seed + 20) - 3
        matrix, offset = answer.translator(states, targets, weight)
        want = ridge(states, targets, weight)

        def wrong(part: int, args: tuple = (states, targets, weight)) -> dict[str, np.ndarray]:
            slips = {how: text for how, text in TRANSLATOR_SLIPS.items() if part == 0 or how != "origin"}
            return {text: ridge(*args, how=how)[part] for how, text in slips.items()}

        expect_close(matrix, want[0], "M", axes="from to", atol=1e-3, rtol=1e-3, mistakes=lambda wrong=wrong: wrong(0))
        expect_close(offset, want[1], "the offset", atol=3e-3, rtol=1e-3, mistakes=lambda wrong=wrong: wrong(1))


@grades("12.3")
def test_a_planted_translation_is_found(answer):
    """Targets that are an exact linear image of the states."""
    states, true, shift = randn(40, 6, seed=5) + 1, randn(6, 6, seed=6), randn(6, seed=7)
    matrix, offset = answer.translator(states, states @ true + shift, 1e-4)
    again = randn(9, 6, seed=8)
    expect_close(
        again @ torch.as_tensor(matrix).float() + torch.as_tensor(offset).float(),
        again @ true + shift,
        "what other states are translated to",
        axes="word d_model",
        atol=1e-2,
        rtol=1e-2,
    )


# --- 12.4 -------------------------------------------------------------------------------------------------------------

MEAN_SLIPS = {
    "next": "You take away the mean of the next depth. Each depth has its own.",
    "before": "You take away the mean of the depth before. Each depth has its own.",
    "own": "You take away the mean of these few words. What they have in common is lost with it: take the given mean.",
    "all": "You take away the mean over all depths. Each depth has its own.",
    "plus": "The mean is added. Take it away.",
    "none": "Nothing has been taken away.",
}


def centred_by_us(vectors: Tensor, means: Tensor, depth: int, how: str = "") -> Tensor:
    v, m = vectors.double(), means.double()
    if how == "own":
        return v - v.mean(0)
    if how == "none":
        return v
    chosen = {"next": m[min(depth + 1, len(m) - 1)], "before": m[max(0, depth - 1)], "all": m.mean(0)}.get(
        how, m[depth]
    )
    return torch.stack([row + chosen if how == "plus" else row - chosen for row in v])


@grades("12.4")
def test_the_mean_is_taken_away(answer):
    """Several depths."""
    for seed, n, depth in ((1, 4, 2), (2, 3, 1), (3, 1, 4)):
        args = randn(n, D_MODEL, seed=seed), 2 * randn(6, D_MODEL, seed=seed + 5), depth
        expect_close(
            answer.centred(*args),
            centred_by_us(*args),
            "the centred activations",
            axes="word d_model",
            mistakes=lambda args=args: {text: centred_by_us(*args, how=how) for how, text in MEAN_SLIPS.items()},
        )


ADD_SLIPS = {
    "replaced": "You put the vector IN PLACE of what stands there. Add it, so that the prompt's own part stays.",
    "as it is": "You add the vectors as long as they are. A long one would drown the prompt: bring each to ‖h‖.",
    "unit": "You add vectors of length 1. They should be as long as what stands at their place.",
    "one norm": "One length has been taken over all places. Each place has its own norms.",
    "swapped": "The lengths are exchanged: h + ‖v‖ · v / ‖h‖. Divide by ‖v‖, multiply by ‖h‖.",
    "squared": "You divide by the square of the length. Divide by the length.",
    "subtracted": "The vectors are taken away. Add them.",
    "brought back": "You bring the SUM to the length of h. Only the vector is brought to it; the sum is as long as it "
    "comes.",
    "own length": "h has been brought to the vector's length. It is the vector that changes its length.",
}


def added_by_us(found: Tensor, vectors: Tensor, how: str = "") -> Tensor:
    rows = []
    for h, v in zip(found.double(), vectors.double(), strict=True):
        lh, lv = float(h.norm()), max(float(v.norm()), 1e-12)
        if how == "one norm":
            lh, lv = float(found.double().norm()), float(vectors.double().norm())
        rows.append({
            "": h + lh / lv * v, "one norm": h + lh / lv * v, "replaced": lh / lv * v, "as it is": h + v,
            "unit": h + v / lv, "swapped": h + lv / max(lh, 1e-12) * v, "squared": h + lh / lv**2 * v,
            "subtracted": h - lh / lv * v, "own length": h * lv / lh + v,
            "brought back": (h + lh / lv * v) * lh / max(float((h + lh / lv * v).norm()), 1e-12),
        }[how])  # fmt: skip
    return torch.stack(rows)


@grades("12.4", weight=2)
def test_added_at_the_norm_found_there(answer):
    """Vectors of very unlike length."""
    for seed, n in ((1, 5), (2, 3), (3, 1)):
        sizes = torch.tensor([30.0, 0.2, 4.0, 11.0, 0.01])[:n, None]
        args = (
            randn(n, D_MODEL, seed=seed) * torch.linspace(0.5, 3, n)[:, None],
            sizes * randn(n, D_MODEL, seed=seed + 9),
        )
        expect_close(
            answer.added(*args),
            added_by_us(*args),
            "what stands there now",
            axes="place d_model",
            atol=1e-4,
            mistakes=lambda args=args: {text: added_by_us(*args, how=how) for how, text in ADD_SLIPS.items()},
        )


@grades("12.4")
def test_a_vector_of_zeros_adds_nothing(answer):
    """One place of three gets zeros."""
    found, vectors = randn(3, D_MODEL, seed=11), randn(3, D_MODEL, seed=12)
    vectors[1] = 0
    got = answer.added(found, vectors)
    expect(
        not torch.isnan(torch.as_tensor(got)).any(), "A vector of zeros has become NaN: 0 / 0. It should add nothing."
    )
    want = added_by_us(found, vectors)
    slips = {text: added_by_us(found, vectors, how) for how, text in ADD_SLIPS.items()}
    expect_close(got, want, "what stands there now", axes="place d_model", atol=1e-4, mistakes=slips)


# --- 12.5 -------------------------------------------------------------------------------------------------------------

NAMES_OF_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six"]


def prompt_by_us(question: str, depth: int, count: int, how: str = "") -> tuple[list[int], list[int]]:
    spoken = NAMES_OF_NUMBERS[depth + (how == "next layer")]
    marks = " ".join(["<|act|>"] * (1 if how == "one" else count))
    text = f"<|bos|> <|user|> layer {spoken} : {marks} {question} <|end|> <|assistant|>"
    if how == "behind":
        text = f"<|bos|> <|user|> layer {spoken} : {question} {marks} <|end|> <|assistant|>"
    if how == "no layer":
        text = f"<|bos|> <|user|> {marks} {question} <|end|> <|assistant|>"
    if how == "no turn":
        text = f"<|bos|> <|user|> layer {spoken} : {marks} {question} <|end|>"
    if how == "no end":
        text = f"<|bos|> <|user|> layer {spoken} : {marks} {question} <|assistant|>"
    if how == "no bos":
        text = text.removeprefix("<|bos|> ")
    places = [i for i, word in enumerate(text.split()) if word == "<|act|>"]
    places = {"from one": [i + 1 for i in places], "early": [i - 1 for i in places]}.get(how, places)
    return words_of(text), places


PROMPT_SLIPS = {
    "no bos": "<|bos|> is missing. Every prompt begins with it.",
    "one": "There is one placeholder. There is one for every activation.",
    "behind": "The placeholders stand behind the question. They come before it.",
    "no layer": "The prompt does not say which layer the activations come from.",
    "no turn": "<|assistant|> is missing at the end: the oracle would go on asking.",
    "no end": "<|end|> is missing behind the question.",
    "next layer": "The layer in the prompt is one too high.",
    "from one": "The tokens are right, but the placeholders are numbered from 1. Count from 0.",
    "early": "The tokens are right, but the placeholders' numbers are one too low: <|bos|> is token 0.",
}
QUESTIONS = (
    ("What is the pet ?", 4, 2), ("Tell me the home town .", 2, 3), ("Is the colour of the flag red ?", 1, 1),
    ("Which is the word here ?", 5, 4),
)  # fmt: skip


@grades("12.5")
def test_the_oracle_s_prompt(answer):
    """Several questions, depths and numbers of activations."""
    for args in QUESTIONS:
        tokens, places = answer.oracle_prompt(*args)
        want = prompt_by_us(*args)
        expect_equal(
            [[int(t) for t in tokens], [int(p) for p in places]],
            [list(part) for part in want],
            "the tokens, and the placeholders",
            mistakes=lambda args=args: {
                text: [list(part) for part in prompt_by_us(*args, how=how)] for how, text in PROMPT_SLIPS.items()
            },
        )


def oracle_by_us(oracle: HookedModel, question: str, vectors: Tensor, depth: int, how: str = "") -> Tensor:
    """One placeholder after the other, each by an edit of its own. `how` makes known mistakes."""
    tokens, places = prompt_by_us(question, depth, len(vectors))
    site: Any = ("resid_post", {"block 0": 0, "block 2": 2}.get(how, 1))
    if how == "depth":
        site = ("resid_pre", min(depth, oracle.cfg.n_layers - 1))
    if how == "early":
        places = [p - 1 for p in places]
    if how == "late":
        places = [p + 1 for p in places]
    order = reversed(places) if how == "reversed" else places
    kind = {"replaced": "replaced", "as it is": "as it is", "unit": "unit", "one norm": "one norm"}.get(how, "")

    def change(value: Tensor) -> None:
        if how == "untouched":
            return
        where = list(order)
        if how == "first":
            where = where[:1]
        rows = value[0, where].clone()
        some = vectors[: len(where)] if how != "mean" else vectors.mean(0).expand(len(where), -1)
        value[0, where] = added_by_us(rows, some, kind).float()

    if how == "every block":

        def put(value: Tensor, hook: Any) -> Tensor:
            new = value.clone()
            change(new)
            return new

        sites: list[Any] = [(("resid_post", layer), put) for layer in range(1, oracle.cfg.n_layers)]
        with torch.no_grad():
            return oracle.run_with_hooks(torch.tensor([tokens]), sites)[0, -1]
    logits = logits_with(oracle, torch.tensor([tokens]), site, change)[0]
    return logits[{"at placeholder": places[-1], "one early": -2}.get(how, -1)]


ORACLE_SLIPS = {
    "replaced": "You put the activations IN PLACE of what stands there. They are added.",
    "as it is": "The activations are added as long as they are. Bring each to the length of what stands there.",
    "unit": "The activations are added at length 1. Bring each to the length of what stands there.",
    "one norm": "One length has been taken over all placeholders. Each has its own norms.",
    "block 0": 'You add at what ENTERS block 1, which is the output of block 0. The place is ("resid_post", 1).',
    "every block": "You add at every block. They go in once, at the output of block 1: whatever comes later looks back "
    "at it.",
    "block 2": "You add one block too late: at the output of block 1.",
    "depth": "You add at the depth from which the activations come. Whatever their depth, they go in at block 1.",
    "early": "You add one token before the placeholders.",
    "late": "You add one token behind the placeholders.",
    "reversed": "The activations are in reverse order. The first goes to the first placeholder.",
    "first": "Only the first placeholder gets its activation. Every one gets its own.",
    "mean": "Every placeholder gets the mean of the activations. Each gets its own.",
    "untouched": "These are the answers without any activation: nothing has been added.",
    "at placeholder": "These are the logits at the last placeholder. The answer comes after the whole prompt.",
    "one early": "These are the logits before the last token. The answer comes after it.",
}


@grades("12.5", weight=2)
def test_the_oracle_s_answer(answer):
    """Random models as oracles; one to four activations, of unlike length."""
    for number, (question, depth, count) in zip((0, 1, 0, 1), QUESTIONS, strict=True):
        vectors = randn(count, D_MODEL, seed=depth) * torch.linspace(9, 0.3, count)[:, None]
        args = speaker(number), question, vectors, depth
        expect_close(
            answer.oracle_logits(*args),
            oracle_by_us(*args),
            "the logits of the answer",
            atol=1e-4,
            mistakes=lambda args=args: {text: oracle_by_us(*args, how=how) for how, text in ORACLE_SLIPS.items()},
        )


@grades("12.5")
def test_gradients_come_through_the_injection(answer):
    """What the answer's logits say of the activations, backwards: exercise 12.7 trains through it."""
    expect_gradients(
        answer,
        "oracle_logits",
        {"oracle": speaker(0), "question": "What is the pet ?", "vectors": randn(2, D_MODEL, seed=5), "depth": 2},
        differentiable,
        "the logits of the answer",
        wrt=("vectors",),
        so="so the oracle cannot learn",
    )


def differentiable(oracle: HookedModel, question: str, vectors: Tensor, depth: int) -> Tensor:
    tokens, places = prompt_by_us(question, depth, len(vectors))

    def edit(value: Tensor, hook: Any) -> Tensor:
        rows = [value[0, i] for i in range(len(tokens))]
        for place, v in zip(places, vectors, strict=True):
            rows[place] = rows[place] + rows[place].norm() * v / v.norm()
        return torch.stack(rows)[None]

    return oracle.run_with_hooks(torch.tensor([tokens]), [(("resid_post", 1), edit)])[0, -1]


# --- 12.6 -------------------------------------------------------------------------------------------------------------


def questions_by_us(words: Sequence[str], table: dict[str, str], noun: str, how: str = "") -> list[Any]:
    found: list[Any] = []
    seen: dict[str, int] = {}
    for number, word in enumerate(["<|bos|>", *words]):
        if word not in table or (how == "each once" and word in seen) or (how == "first" and seen):
            continue
        first = seen.setdefault(word, number)
        place = {"words": number - 1, "behind": number + 1, "index": first, "word's index": first - 1}.get(how, number)
        told = word if how == "name" else table[word]
        said = {"noun": "What is the noun ?", "joined": f"What is the {noun}?"}.get(how, f"What is the {noun} ?")
        found.append([told, said, place] if how == "order" else [place, said, told])
    return found


QUESTION_SLIPS = {
    "words": "You have numbered words. <|bos|> is token 0, so that word i is token i + 1.",
    "behind": "The places are one token too late: ask at the name itself.",
    "each once": "A name that comes twice can be asked about twice.",
    "index": "A name that comes twice gets the place of its first mention both times: `index` finds the first alone. "
    "Each mention has a place of its own.",
    "word's index": "`index` finds the FIRST mention of a name, and counts words. Each mention has a place of its own, "
    "and word i is token i + 1.",
    "joined": "The question mark hangs on the noun. A question's words stand between spaces, the mark too.",
    "first": "You ask at the first name alone. Ask at every one.",
    "name": "The answer is what the table says of the name, and not the name.",
    "noun": "The question does not say what it asks for: put the noun in.",
    "order": "In another order: place, question, answer.",
}


@grades("12.6")
def test_questions_at_names(answer):
    """Texts of the world, and one in which a name comes twice."""
    pets = {name: one["pet"] for name, one in people.OF_PERSON.items()}
    rivers = {name: one["river"] for name, one in people.OF_TOWN.items()}
    names, towns = list(pets), list(rivers)
    texts = [f"{names[0]} saw {names[3]} and {names[0]} went home .".split(), f"In {towns[2]} it is cold .".split(),
             ["Nobody", "is", "here", "."], f"{towns[1]} , {towns[4]} , {towns[1]}".split()]  # fmt: skip
    for words in texts:
        for table, noun in ((pets, "pet"), (rivers, "river")):
            got = answer.name_questions(list(words), table, noun)
            expect_equal(
                [[int(place), str(said), str(told)] for place, said, told in got]
                if all(not isinstance(one[0], str) for one in got) else [list(one) for one in got],
                questions_by_us(words, table, noun),
                "the questions",
                mistakes=lambda words=words, table=table, noun=noun: {
                    text: questions_by_us(words, table, noun, how) for how, text in QUESTION_SLIPS.items()
                },
            )  # fmt: skip


@functools.cache
def stories() -> list[tuple[list[str], str, str]]:
    """Stories of the world in which both are named before, and their giver and receiver."""
    texts = (littletown.document(i, 611, "held_out") for i in range(400))
    told = [one for one in texts if one.kind == "story.give" and one.truth["order"] != "ABC"][:14]
    first = "Glen took Laura to the hospital , where Glen said many kind words to Laura"  # names at both ends
    again = "Glen and Laura met . Laura was happy . There Glen gave a map to Laura"  # she is named twice before
    made = [(text.split(), "Glen", "Laura") for text in (first, again)]
    return [*made, *((one.words, one.truth["giver"], one.truth["receiver"]) for one in told)]


def due(words: Sequence[str], giver: str, receiver: str, how: str = "") -> int:
    """From the labels of the world: the word before the one that is due, as a token's number."""
    tokens = ["<|bos|>", *words]
    gives = [i for i, word in enumerate(tokens) if word == giver]
    names = [i for i, word in enumerate(tokens) if word == receiver]
    at = min(i for i in names if i > gives[1])
    return {
        "": at - 1, "name": at, "words": at - 2, "first": names[0] - 1, "last": names[-1] - 1, "giver": gives[1],
        "first giver": min([i for i in names if i > gives[0]]) - 1, "behind": at + 1, "second": names[1] - 1,
        "introduced": gives[0], "before the giver": gives[1] - 1, "behind the giver": gives[1] + 1,
    }[how]  # fmt: skip


DUE_SLIPS = {
    "name": "You ask at the name itself. There the answer stands on the page: ask one token before it.",
    "words": "This is the number of the WORD. <|bos|> is token 0.",
    "first": "You ask before the receiver's first mention. There nobody has given anything yet.",
    "second": "You ask before the receiver's SECOND mention. It may be named again before the giver gives: look behind "
    "the second giver.",
    "last": "You ask before the receiver's LAST mention. The answer has been said by then: take the first one behind "
    "the second giver.",
    "first giver": "You look behind the first mention of the giver. It gives at its second one.",
    "giver": "You ask at the giver. Ask at the token before the receiver's name.",
    "behind": "You ask behind the name. There the answer has been said.",
    "introduced": "You ask where the giver is introduced. Nobody has given anything there.",
    "before the giver": "You ask before the giver is named again. Who gives is not told there, so nor is to whom: "
    "ask at the token before the RECEIVER's name.",
    "behind the giver": "You ask one token behind the giver. How far it is from there to the receiver's name differs "
    "from story to story: look for that name.",
}


def asked_too_soon_or_late(words: Sequence[str], giver: str, receiver: str, place: int) -> str:
    """What is wrong with a place that is nobody's slip: what the network has read when it is asked there."""
    tokens, right = ["<|bos|>", *words], due(words, giver, receiver)
    if not 0 <= place < len(tokens):
        return f"You return the token number {place}, and a story here has the tokens 0 to {len(tokens) - 1}."
    story = f"“{' '.join(words[max(0, right - 6) : right + 1])}”"
    if place > right:
        return (
            f"You ask too late at {story}: {receiver} has been named there. Ask at “{tokens[right]}”, before that name."
        )
    gives = [i for i, word in enumerate(tokens) if word == giver]
    known = "the giver has not been named again" if place < gives[1] else "other words come before the receiver's name"
    return f"You ask too soon at {story}: behind “{tokens[place]}” {known}. Ask at “{tokens[right]}”."


@grades("12.6", weight=2)
def test_where_a_receiver_can_be_asked(answer):
    """Stories of the world, in which people are named in several orders."""
    got = [int(answer.receiver_place(list(words), giver, receiver)) for words, giver, receiver in stories()]
    expect_equal(
        got,
        [due(*one) for one in stories()],
        "the places in several stories",
        mistakes=lambda: (
            {text: [due(*one, how) for one in stories()] for how, text in DUE_SLIPS.items()}
            | {asked_too_soon_or_late(*one, at): got for one, at in zip(stories(), got, strict=True) if at != due(*one)}
        ),
    )


# --- 12.7 -------------------------------------------------------------------------------------------------------------

ASKED = (
    ("What is the pet ?", 2, 2, "owl"), ("What is the home town ?", 1, 3, "Oakham"), ("Is the word boat ?", 2, 1, "no"),
    ("Tell me the river .", 1, 2, "nothing"), ("What is the pet ?", 2, 4, "owl"),
)  # fmt: skip


def to_learn(n: int, seed: int) -> tuple[list[tuple[str, int]], list[Tensor], list[str]]:
    some = ASKED[:n]
    vectors = [randn(count, D_MODEL, seed=seed + i) for i, (_, _, count, _) in enumerate(some)]
    return [(question, depth) for question, depth, _, _ in some], vectors, [word for *_, word in some]


def loss_by_us(model: HookedModel, asked: Any, vectors: list[Tensor], answers: list[str], how: str = "") -> Tensor:
    """Question by question; differentiable."""
    nats = []
    for (question, depth), some, word in zip(asked, vectors, answers, strict=True):
        tokens, places = prompt_by_us(question, depth, len(some))

        def edit(value: Tensor, hook: Any, places: list[int] = places, some: Tensor = some) -> Tensor:
            new = value.clone()
            for place, v in zip(places, some, strict=True):
                new[0, place] = value[0, place] + value[0, place].norm() * v / v.norm()
            return new

        edits = [] if how == "no activations" else [(("resid_post", 1), edit)]
        logits = model.run_with_hooks(torch.tensor([tokens]), edits)[0]
        right = ids()[word]
        log_p = logits[-1] - logits[-1].logsumexp(-1)
        if how == "all tokens":
            lines = logits[:-1].log_softmax(-1)
            every = [-lines[i, tokens[i + 1]] for i in range(len(tokens) - 1)]
            nats.append(torch.stack([*every, -log_p[right]]).mean())
        elif how == "prompt":
            lines = logits[:-1].log_softmax(-1)
            nats.append(torch.stack([-lines[i, tokens[i + 1]] for i in range(len(tokens) - 1)]).mean())
        elif how == "logit":
            nats.append(-logits[-1, right])
        elif how == "chance":
            nats.append(-log_p[right].exp())
        elif how == "sign":
            nats.append(log_p[right])
        elif how in ("accuracy", "errors"):
            hit = (logits[-1].argmax() == right).float()
            nats.append(hit if how == "accuracy" else 1 - hit)
        elif how == "bits":
            nats.append(-log_p[right] / math.log(2))
        else:
            nats.append(-log_p[right])
    total = torch.stack(nats)
    if how == "weighted":
        weights = torch.tensor([float(len(some)) for some in vectors])
        return (weights * total).sum() / weights.sum()
    return total.sum() if how == "sum" else total[-1] if how == "one" else total.mean()


LOSS_SLIPS = {
    "all tokens": "The prompt's words count in your loss. Then the oracle learns to ask, too: only the answer counts.",
    "prompt": "Your loss is over the prompt's words, and the answer is not among them.",
    "no activations": "The activations have no part in your loss: use your `oracle_logits`.",
    "logit": "This is minus the logit. Surprise is minus the LOG-PROBABILITY: log_softmax.",
    "chance": "This is minus the probability. Take its logarithm.",
    "sign": "The sign is wrong: this falls as answers get worse.",
    "accuracy": "This is the share of right answers. It is no loss: it does not say HOW sure the oracle was, it has no "
    "slope to go down, and it grows as answers get better. Take minus the log-probability of the right word.",
    "errors": "This is the share of wrong answers. It has no slope to go down: it jumps where another word takes the "
    "lead. Take minus the log-probability of the right word.",
    "bits": "These are bits. Nats are asked for: the natural logarithm.",
    "sum": "This is the sum over the questions. Take the mean.",
    "one": "This is the loss of one question alone.",
    "weighted": "Questions with more activations count for more. Each question counts the same.",
}


@grades("12.7")
def test_the_loss(answer):
    """Random models as oracles; questions with unlike numbers of activations."""
    for number, n, seed in ((0, 4, 30), (1, 5, 50), (0, 1, 70)):
        args = speaker(number), *to_learn(n, seed)
        if n == 4:  # one answer is the oracle's own, so that a share of right answers is not 0
            args[3][0] = WORDS[int(oracle_by_us(args[0], *args[1][0][:1], args[2][0], args[1][0][1]).argmax())]
        expect_close(
            torch.as_tensor(answer.answer_loss(*args)).detach(),
            loss_by_us(*args).detach(),
            "the loss",
            atol=1e-4,
            mistakes=lambda args=args: {text: loss_by_us(*args, how=how).detach() for how, text in LOSS_SLIPS.items()},
        )


@functools.cache
def trained(n: int, seed: int, rate: float, steps: int, how: str = "") -> tuple[list[float], dict[str, Tensor]]:
    """Each step by torch.autograd.grad."""
    model = copy.deepcopy(speaker(0)).requires_grad_(True)
    args, losses = to_learn(n, seed), []
    kept = [torch.zeros_like(p) for p in model.parameters()]
    other = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "momentum": torch.optim.SGD}.get(how)
    optimizer = (
        other(model.parameters(), lr=rate, **({"momentum": 0.9} if how == "momentum" else {})) if other else None
    )
    for step in range(steps):
        some = args
        if how == "one question":
            some = tuple(part[step % n : step % n + 1] for part in args)  # type: ignore[assignment]
        loss = loss_by_us(model, *some, how={"sum of losses": "sum", "prompt too": "all tokens"}.get(how, ""))
        each = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        if optimizer:
            for p, g in zip(model.parameters(), each, strict=True):
                p.grad = g
            optimizer.step()
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(model.parameters(), each, strict=True)):
                g = torch.zeros_like(p) if g is None else g
                kept[i] = kept[i] + g if how == "accumulate" else g
                if optimizer or (how == "only unembedding" and p is not model.W_U):
                    continue
                p.add_({"uphill": rate, "rate": -10 * rate}.get(how, -rate) * kept[i])
        losses.append(float((loss_by_us(model, *args) if how == "after" else loss).detach()))
    return losses, {name: value.detach() for name, value in model.state_dict().items()}


TRAIN_SLIPS = {
    "accumulate": "Gradients pile up from step to step: call optimizer.zero_grad() in each.",
    "uphill": "The loss goes up, as if every step went the wrong way.",
    "after": "losses[i] is the loss BEFORE step i. Yours is the one after it.",
    "one question": "Each step learns from one question. Take all of them in every step.",
    "rate": "The steps are ten times too large. Use `rate`.",
    "only unembedding": "Only some parameters are trained. Give the optimizer oracle.parameters(), all of them.",
    "prompt too": "The prompt's words are learned, too. Use your `answer_loss`: only the answer counts.",
    "adam": "These are Adam's steps, which divide each gradient by its usual size. Take torch.optim.SGD: `rate` times "
    "the gradient, and nothing else.",
    "adamw": "These are AdamW's steps, which divide each gradient by its usual size and shrink the weights. Take "
    "torch.optim.SGD: `rate` times the gradient, and nothing else.",
    "momentum": "Your steps have momentum: each goes on with part of the one before. Take plain torch.optim.SGD.",
    "sum of losses": "You go down the sum of the losses. Use your `answer_loss`, their mean.",
}


@grades("12.7", weight=2)
def test_training(answer):
    """The losses and the weights of a few steps."""
    for n, seed, rate, steps in ((3, 30, 0.05, 4), (5, 80, 0.02, 3)):
        model = copy.deepcopy(speaker(0)).requires_grad_(True)
        start = copy.deepcopy(model.state_dict())
        made, losses = answer.train(model, *to_learn(n, seed), rate, steps)
        want, weights = trained(n, seed, rate, steps)
        args = n, seed, rate, steps
        expect_close(
            torch.tensor([float(x) for x in losses], dtype=torch.float64),
            torch.tensor(want, dtype=torch.float64),
            "the loss before each step",
            atol=1e-4,
            rtol=1e-4,
            mistakes=lambda args=args: {
                text: torch.tensor(trained(*args, how)[0], dtype=torch.float64) for how, text in TRAIN_SLIPS.items()
            },
        )
        expect(isinstance(made, Transformer), "The first thing that you return should be the oracle.")
        for name, value in made.state_dict().items():
            expect(
                bool((start[name] - weights[name]).abs().max() < 1e-5) or not bool((value == start[name]).all()),
                f"The weights {name} of the oracle that you return are still those from before training.",
            )
            expect_close(value.detach(), weights[name], f"the trained weights {name}", atol=5e-5, rtol=1e-3)


# --- 12.8 -------------------------------------------------------------------------------------------------------------


def shuffled_by_us(vectors: Sequence[Tensor], how: str = "") -> list[Tensor]:
    n = len(vectors)
    half = {"next": 1, "own": 0, "more": n // 2 + 1, "back": n - n // 2}.get(how, n // 2)
    found = []
    for i in range(n):
        own, other = vectors[i], vectors[(i + half) % n]
        if how == "mirror":
            other = vectors[n - 1 - i]
        k = min(len(own), len(other))
        if how == "all":
            found.append(other)
        elif how == "first":
            found.append(other[:k])
        elif how == "rows":
            found.append(own[torch.arange(len(own)).roll(1)])
        else:
            found.append(torch.stack([other[len(other) - k + j] for j in range(k)]))
    return found


SHUFFLE_SLIPS = {
    "own": "Every question has its own activations. Then nothing has been controlled.",
    "next": "You take those of the next question. Take those half the list further on: neighbours may be of one text.",
    "more": "You go one too far: len // 2 further on.",
    "back": "You go back half the list. Go on half the list.",
    "mirror": "You go through the list backwards. Then the one in the middle keeps its own.",
    "all": "You keep all of the other's words. The question would be given more words than its own: take as many.",
    "first": "Of the other's words you take the first. Take the last ones: what can be asked is known at the end.",
    "rows": "You have shuffled the WORDS of each text. They are still that text's: take another one's.",
}


def flat(vectors: Sequence[Any]) -> Tensor:
    """Lists of tensors as one row of numbers, each behind its own length."""
    each = [torch.as_tensor(one).detach().double() for one in vectors]
    return torch.cat([torch.cat([torch.tensor([float(len(one))]).double(), one.flatten()]) for one in each])


@grades("12.8", weight=2)
def test_another_text_s_activations(answer):
    """Lists of even and odd length, with unlike numbers of words."""
    for seed, counts in ((1, (3, 1, 4, 2, 4)), (2, (2, 2, 5, 1, 3, 4)), (3, (4, 2, 1))):
        vectors = [randn(k, 5, seed=10 * seed + i) for i, k in enumerate(counts)]
        got = answer.shuffled(vectors)
        expect(len(got) == len(vectors), f"There are {len(vectors)} questions, but your list has {len(got)}.")
        expect_close(
            flat(got),
            flat(shuffled_by_us(vectors)),
            "each question's number of words and its activations, in a row",
            mistakes=lambda vectors=vectors: {
                text: flat(shuffled_by_us(vectors, how)) for how, text in SHUFFLE_SLIPS.items()
            },
        )


@grades("12.8")
def test_activations_that_say_nothing(answer):
    """What is left once the mean is taken away."""
    for seed, n, depth in ((1, 3, 2), (2, 1, 4), (3, 5, 0)):
        vectors, means = randn(n, 7, seed=seed), randn(6, 7, seed=seed + 4)
        expect_close(
            answer.nothing(vectors, means, depth),
            torch.stack([means[depth].double()] * n),
            "the activations that say nothing",
            axes="word d_model",
            mistakes={
                "These are zeros. The oracle takes its mean away from them, and then they say minus the mean.": 0
                * vectors,
                "These are minus the mean. Taking the mean away must leave nothing.": -means[depth].expand(n, -1),
                "This is the mean of another depth.": means[(depth + 1) % 6].expand(n, -1),
                "This is the mean of these words, and so says something about them.": vectors.mean(0).expand(n, -1),
                "These are the centred activations: all that they say is left.": vectors - means[depth],
                "This is the mean over all depths.": means.mean(0).expand(n, -1),
            },
        )


# --- 12.9 -------------------------------------------------------------------------------------------------------------


def majority_by_us(fitted: Sequence[str], asked: Sequence[str], how: str = "") -> float:
    of = asked if how == "peeks" else [w for w in fitted if w in asked] if how == "both" else fitted
    counts: dict[str, int] = {}
    for word in of:
        counts[word] = counts.get(word, 0) + 1
    top = max(counts.values())
    word = sorted(w for w, c in counts.items() if c == top)[0 if how != "last" else -1]
    if how == "first met":
        word = next(w for w, c in counts.items() if c == top)
    if how == "fitted":
        return sum(w == word for w in fitted) / len(fitted)
    if how == "chance":
        return 1 / len(counts)
    if how == "rarest":
        word = min(counts, key=lambda w: counts[w])
    return sum(w == word for w in asked) / len(asked)


MAJORITY_SLIPS = {
    "peeks": "You take the commonest of the held-out answers. Whoever answers has not seen them: take it from "
    "`fitted`.",
    "both": "You leave out answers that are not among the held-out ones. Whoever answers has not seen those.",
    "fitted": "This is how common it is in training. Ask how often it is right among the held-out questions.",
    "chance": "This is one in so many answers. Some are commoner than others.",
    "rarest": "This is the rarest answer.",
    "first met": "Of equally common answers you take the one that is met first. Take the first in the alphabet.",
    "last": "Of equally common answers you take the last. Take the first in the alphabet.",
}


@grades("12.9")
def test_the_commonest_answer(answer):
    """Answers of unlike frequency, with ties."""
    for fitted, asked in (
        ("owl cat cat dog owl cat", "owl owl cat dog owl"),
        ("dog cat owl owl dog", "owl dog dog fox fox fox fox"),
        ("no yes yes", "no no no no yes"),
        ("fox owl cat cat fox owl dog", "cat fox fox owl owl owl owl dog dog dog"),
        ("cat cat cat owl owl dog", "owl dog dog dog"),  # the commonest is never asked
    ):
        a, b = fitted.split(), asked.split()
        expect_close(
            answer.majority(list(a), list(b)),
            majority_by_us(a, b),
            "the share of right answers",
            mistakes=lambda a=a, b=b: {text: majority_by_us(a, b, how) for how, text in MAJORITY_SLIPS.items()},
        )


@functools.cache
def clouds(seed: int) -> tuple[Tensor, list[str], Tensor, list[str]]:
    """Classes that overlap a little, and a held-out part in which one of them is rare."""
    names, centres = ("goat", "owl", "cat"), 1.1 * randn(3, 6, seed=seed)
    which = torch.randint(0, 3, (61,), generator=generator(seed))
    held = torch.randint(0, 3, (37,), generator=generator(seed + 1))
    held[held == 1] = torch.where(torch.rand(int((held == 1).sum()), generator=generator(seed + 2)) < 0.6, 2, 1)
    x, y = centres[which] + randn(61, 6, seed=seed + 3), centres[held] + randn(37, 6, seed=seed + 4)
    return x, [names[i] for i in which], y, [names[i] for i in held]


def logistic(x: np.ndarray, labels_: Sequence[str], y: np.ndarray, balanced: bool = False) -> list[str]:
    """Multinomial logistic regression with half the squared weights as its penalty, by Newton's method. It is as
    scikit-learn defines it, and does not take a second to import. balanced: class_weight="balanced"."""
    names = sorted(set(labels_))
    rows, k = np.concatenate([x, np.ones((len(x), 1))], 1), len(names)
    target = np.array([[label == name for name in names] for label in labels_], dtype=float)
    width = rows.shape[1]
    counts = target @ target.sum(0)  # how often each row's label occurs
    weight = len(x) / (k * counts)[:, None] if balanced else np.ones((len(x), 1))
    penalty = np.tile(np.append(np.ones(width - 1), 0.0), k)  # not on the offset
    weights = np.zeros((k, width))
    for _ in range(15):
        scores = rows @ weights.T
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        gradient = ((weight * (p - target)).T @ rows).ravel() + penalty * weights.ravel()
        curve = weight[:, :, None] * p[:, :, None] * (np.eye(k) - p[:, None])  # [row k k]
        hessian = np.einsum("nab,ni,nj->aibj", curve, rows, rows).reshape(k * width, k * width) + np.diag(penalty)
        weights -= (np.linalg.pinv(hessian) @ gradient).reshape(k, width)
    scores = np.concatenate([y, np.ones((len(y), 1))], 1) @ weights.T
    return [names[i] for i in scores.argmax(1)]


def least_squares(x: np.ndarray, labels_: Sequence[str], y: np.ndarray) -> list[str]:
    """A ridge classifier: what is fitted is one number for each label, −1 or 1."""
    names, middle = sorted(set(labels_)), x.mean(0)
    target = np.array([[1.0 if label == name else -1.0 for name in names] for label in labels_])
    centred = x - middle
    weights = np.linalg.solve(centred.T @ centred + np.eye(x.shape[1]), centred.T @ (target - target.mean(0)))
    return [names[i] for i in ((y - middle) @ weights + target.mean(0)).argmax(1)]


def probe_by_us(x: Tensor, labels_: list[str], y: Tensor, right: list[str], how: str = "") -> float:
    if how == "train share":
        y, right = x, labels_
    if how == "peeks":
        x, labels_ = y, right
    if how == "both":
        x, labels_ = torch.cat([x, y]), [*labels_, *right]
    a, b = x.double().numpy(), y.double().numpy()
    if how == "standardised":
        a, b = (a - a.mean(0)) / a.std(0), (b - a.mean(0)) / a.std(0)
    if how in ("own mean", "own spread"):
        a, b = a - a.mean(0), b - b.mean(0)
    if how == "own spread":
        a, b = a / a.std(0), b / b.std(0)
    if how == "ridge":
        said = np.array(least_squares(a, labels_, b))
    else:
        said = np.array(logistic(a, labels_, b, balanced=how == "weighted"))
    hits = float(np.mean([one == other for one, other in zip(said, right, strict=True)]))
    if how == "balanced":
        return float(np.mean([np.mean(said[np.array(right) == name] == name) for name in sorted(set(right))]))
    return {"wrong": 1 - hits, "percent": 100 * hits, "count": hits * len(right)}.get(how, hits)


PROBE_SLIPS = {
    "train share": "This is how often the probe is right on what it was fitted on. Ask it about the held-out "
    "activations.",
    "peeks": "The probe is fitted on the held-out activations that it is asked about.",
    "both": "The held-out activations are among those that the probe is fitted on.",
    "wrong": "This is the share of WRONG answers.",
    "percent": "This is a percentage. A share lies between 0 and 1.",
    "count": "This is the number of right answers. Take their share.",
    "balanced": "This is a mean over the answers. Every question counts the same.",
    "standardised": "Your probe reads standardised activations. It reads them as they are.",
    "ridge": "This is what a ridge classifier says. Take LogisticRegression.",
    "weighted": 'Your probe has class_weight="balanced": rare answers count for more when it is fitted. Leave it out.',
    "own mean": "You centre the held-out activations on THEIR OWN mean. That looks at all held-out questions at once, "
    "and moves them against what the probe was fitted on: give them to it as they are.",
    "own spread": "You standardise the held-out activations by their OWN mean and spread. That looks at all held-out "
    "questions at once: give them to the probe as they are.",
}


@grades("12.9", weight=2)
def test_the_probe(answer):
    """Three answers whose activations overlap."""
    for seed in (67, 50, 15):
        args = clouds(seed)
        expect_close(
            answer.probe_share(args[0], list(args[1]), args[2], list(args[3])),
            probe_by_us(*args),
            "the probe's share of right answers",
            atol=0.004,
            mistakes=lambda args=args: {text: probe_by_us(*args, how=how) for how, text in PROBE_SLIPS.items()},
        )


def aloud(words: Sequence[str], last: int, question: str, how: str = "") -> list[int]:
    text = " ".join(words[: {"whole": len(words), "early": last, "late": last + 2}.get(how, last + 1)])
    order = {
        "behind": f"<|bos|> <|user|> {question} {text} <|end|> <|assistant|>",
        "no turn": f"<|bos|> <|user|> {text} {question} <|end|>",
        "no text": f"<|bos|> <|user|> {question} <|end|> <|assistant|>",
        "no bos": f"<|user|> {text} {question} <|end|> <|assistant|>",
        "no end": f"<|bos|> <|user|> {text} {question} <|assistant|>",
        "two turns": f"<|bos|> <|user|> {text} <|end|> <|user|> {question} <|end|> <|assistant|>",
        "one word": f"<|bos|> <|user|> {words[last]} {question} <|end|> <|assistant|>",
    }
    return words_of(order.get(how, f"<|bos|> <|user|> {text} {question} <|end|> <|assistant|>"))


ALOUD_SLIPS = {
    "whole": "The network may read the whole text, the oracle's activations only a part. Stop at word number `last`.",
    "early": "Word number `last` is missing. The oracle's activations have read it.",
    "late": "The text goes one word too far.",
    "behind": "The question stands before the text. It comes behind it.",
    "no turn": "<|assistant|> is missing at the end: the network would not answer.",
    "no text": "The text is missing.",
    "no bos": "<|bos|> is missing.",
    "no end": "<|end|> is missing behind the question.",
    "two turns": "Text and question stand in one turn: no <|end|> between them.",
    "one word": "You give the network one word. Its activation has read all that stands before it, too.",
}


@grades("12.9")
def test_the_black_box(answer):
    """Texts of the world, asked at several words."""
    for (words, *_), last, question in zip(stories(), (6, 9, 11), ("What is the pet ?", "What is the place ?",
                                           "Who is it ?"), strict=False):  # fmt: skip
        question = question.replace("Who is it", "Which is the place here")
        expect_equal(
            [int(t) for t in answer.black_box(list(words), last, question)],
            aloud(words, last, question),
            "the tokens that the network reads",
            mistakes=lambda words=words, last=last, question=question: {
                text: aloud(words, last, question, how) for how, text in ALOUD_SLIPS.items()
            },
        )


# --- 12.10 ------------------------------------------------------------------------------------------------------------


def answer_by_us(logits: Tensor, options: Sequence[str], how: str = "") -> tuple[str, float]:
    names = list(options) or list(WORDS)
    values = [float(logits[ids()[name]]) for name in names]
    if how == "all words":
        everything = logits.double()
        total = float(everything.exp().sum())
        best = max(range(len(names)), key=lambda i: values[i])
        return names[best], math.exp(values[best]) / total
    if how == "ignores":
        best = int(logits.argmax())
        return WORDS[best], float(logits.double().softmax(-1)[best])
    best = (min if how == "least" else max)(range(len(names)), key=lambda i: values[i])
    if how == "order":
        best = max(range(len(names)), key=lambda i: float(logits[i]))
    return names[best], values[best] if how == "logit" else math.exp(values[best]) / sum(map(math.exp, values))


ANSWER_SLIPS = {
    "all words": "The word is right, but its chance is that among all words. Take it among the options.",
    "ignores": "You do not look at the options.",
    "logit": "This is the logit. Make a probability of it.",
    "least": "This is the least likely option.",
    "order": "You look at the first logits. An option's logit stands at the number of its word.",
}


@grades("12.10")
def test_an_answer_and_its_chance(answer):
    """A choice of two to five words, and of all."""
    for seed, text in (
        (3, "Oakham Tarrow boat cat pear"),
        (5, "king cat duck"),
        (1, "owl goat"),
        (2, "no yes"),
        (4, ""),
    ):
        options = text.split()
        logits = 2 * randn(len(WORDS), seed=seed)
        said, chance = answer.answer(logits, options)
        want = answer_by_us(logits, options)

        def wrong(part: int, logits: Tensor = logits, options: list[str] = options) -> dict[str, Any]:
            return {text: answer_by_us(logits, options, how)[part] for how, text in ANSWER_SLIPS.items()}

        expect_equal(str(said), want[0], "the answer", mistakes=lambda wrong=wrong: wrong(0))
        expect_close(chance, want[1], "the answer's chance", mistakes=lambda wrong=wrong: wrong(1))


def bins_by_us(chances: Tensor, right: Tensor, bins: int, how: str = "") -> Tensor:
    rows: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    for p, r in zip(chances.double().tolist(), right.tolist(), strict=True):
        number = min(int(float(np.float32(p) * np.float32(bins))), bins - 1)
        if how == "rounded":
            number = min(round(p * bins), bins - 1)
        if how == "as many":
            number = int((chances < p).sum()) * bins // len(chances)
        if how == "between":
            low, high = float(chances.min()), float(chances.max())
            number = min(int((p - low) / max(high - low, 1e-12) * bins), bins - 1)
        if how == "one lost" and p >= 1:
            continue
        rows[number].append((p, float(r)))
    table = []
    at = {"middle": 0.5, "upper": 1.0, "lower": 0.0}
    for i, row in enumerate(rows):
        if not row:
            table.append([(i + at[how]) / bins if how in at else 0.0, 0.0, 0.0])
            continue
        p, r = (sum(column) / len(row) for column in zip(*row, strict=True))
        n = float(len(row))
        of = {"count": n, "right ones": r * n / max(1, int(right.sum()))}.get(how, n / len(chances))
        table.append(
            [
                (i + at[how]) / bins if how in at else p,
                {"wrong": 1 - r, "of all": r * n / len(chances)}.get(how, r),
                of,
            ]
        )
    found = torch.tensor(table, dtype=torch.float64)
    return found[:, [1, 0, 2]] if how == "swapped" else found


BIN_SLIPS = {
    "one lost": "A chance of exactly 1 is lost. It belongs to the last bin.",
    "as many": "Your bins hold equally many answers. They are of one WIDTH: the chances 0 to 1 in equal parts.",
    "between": "Your bins go from the least chance to the greatest. They cut 0 to 1, whatever chances there are.",
    "rounded": "You ROUND chance · bins to the number of a bin. Then the first bin is half as wide as the others, and "
    "each chance near an edge lies in the wrong one: cut off, and do not round.",
    "middle": "The first column is the middle of each bin. Take the mean chance of the answers in it.",
    "upper": "The first column is the upper edge of each bin. Take the mean chance of the answers in it.",
    "lower": "The first column is the lower edge of each bin. Take the mean chance of the answers in it.",
    "wrong": "The second column is the share of WRONG answers.",
    "count": "The third column holds numbers of answers. Take their share of all.",
    "of all": "You divide the right answers of a bin by ALL answers. Divide by those in the bin.",
    "right ones": "The third column is of right answers. Take all that lie in the bin.",
    "swapped": "The first two columns are exchanged: first the mean chance, then the share of right answers.",
}


@grades("12.10", weight=2)
def test_reliability(answer):
    """Chances with an exact 1, with empty bins, with few and many bins."""
    for seed, n, bins in ((1, 40, 5), (2, 17, 10), (3, 60, 4)):
        chances = torch.rand(n, generator=generator(seed)) ** 0.5
        chances[0] = 1.0
        right = torch.rand(n, generator=generator(seed + 1)) < chances * 0.8
        expect_close(
            answer.reliability(chances, right, bins),
            bins_by_us(chances, right, bins),
            "the table",
            axes="bin column",
            mistakes=lambda args=(chances, right, bins): {
                text: bins_by_us(*args, how=how) for how, text in BIN_SLIPS.items()
            },
        )


def invented_by_us(said: Sequence[str], chances: Tensor, sure: float, how: str = "") -> tuple[float, float]:
    numbers = [(word, float(p)) for word, p in zip(said, chances, strict=True)]
    made_up = [p for word, p in numbers if (word == "nothing" if how == "reversed" else word != "nothing")]
    certain = [p for p in made_up if (p >= sure if how == "at least" else p > sure)]
    if how == "all sure":
        certain = [p for _, p in numbers if p > sure]
    below = len(numbers) if how == "of all" else len(made_up)
    second = len(certain) / below if below else 0.0
    if how == "mean":
        second = sum(made_up) / len(made_up) if made_up else 0.0
    return len(made_up) / (1 if how == "count" else len(numbers)), second


INVENTED_SLIPS = {
    "reversed": 'You count the answers that are right. An invention is any answer other than "nothing".',
    "all sure": 'Of the sure answers some say "nothing". Count those that name something.',
    "of all": "The second share is of ALL answers. It is of those that name something.",
    "at least": "Sure is a chance ABOVE `sure`.",
    "mean": "The second number is a mean chance. Count those above `sure`.",
    "count": "The first number counts. Take the share of all answers.",
}


@grades("12.10")
def test_inventions(answer):
    """Answers to questions about what is not there."""
    for said, p, sure in (
        ("nothing owl nothing cat Oakham", (0.9, 0.8, 0.7, 0.3, 0.5), 0.5),
        ("owl cat dog nothing", (0.2, 0.75, 0.75, 0.95), 0.75),
        ("owl nothing cat dog Oakham", (0.3, 0.95, 0.9, 0.8, 0.55), 0.6),
        ("nothing nothing", (0.9, 0.3), 0.5),
        ("owl", (0.4,), 0.25),
    ):
        words, chances = said.split(), torch.tensor(p)
        got = answer.invented(list(words), chances, sure)
        expect_close(
            torch.tensor([float(x) for x in got], dtype=torch.float64),
            torch.tensor(invented_by_us(words, chances, float(torch.tensor(sure))), dtype=torch.float64),
            "both shares",
            mistakes=lambda words=words, chances=chances, sure=sure: {
                text: torch.tensor(invented_by_us(words, chances, float(torch.tensor(sure)), how), dtype=torch.float64)
                for how, text in INVENTED_SLIPS.items()
            },
        )


# --- 12.11 ------------------------------------------------------------------------------------------------------------


def lift_by_us(own: Tensor, base: Tensor, how: str = "") -> Tensor:
    def standing(rows: Tensor) -> Tensor:
        lines = []
        for row in rows.double():
            line = row if how == "logits" else row - row.logsumexp(-1)
            lines.append(line.exp() if how == "chances" else line)
        total = torch.stack(lines)
        if how == "mean first":
            mean = rows.double().mean(0)
            return mean - mean.logsumexp(-1)
        if how == "log of the mean":
            return rows.double().softmax(-1).mean(0).log()
        if how == "rows":
            return (rows.double() - rows.double().logsumexp(0)).mean(0)
        if how == "paired":
            return total[: min(len(own), len(base))].mean(0)
        if how == "best row":
            return total.max(0).values
        if how == "median":
            return total.median(0).values
        return total.sum(0) if how == "sum" else total[0] if how == "one row" else total.mean(0)

    if how == "best lift":
        log_p = own.double().log_softmax(-1)
        return (log_p - base.double().log_softmax(-1).mean(0)).max(0).values
    a, b = standing(own), standing(base)
    return {"no base": a, "reversed": b - a, "added": a + b, "divided": a / b}.get(how, a - b)


LIFT_SLIPS = {
    "no base": "The control is not taken away. A word may be likely in any text: what counts is how much MORE likely.",
    "reversed": "The sign is wrong: own less base.",
    "logits": "These are logits. Make log-probabilities of them first: a row may be higher than another one "
    "throughout.",
    "chances": "These are probabilities. Take their logarithms: log_softmax.",
    "rows": "The softmax runs over the rows. It runs over the candidates.",
    "sum": "This is the sum over the rows. Take the mean: own and base may have unlike numbers of rows.",
    "log of the mean": "You take the mean of the PROBABILITIES, and its logarithm: one row that is sure counts for "
    "all. Take the mean of the log-probabilities.",
    "mean first": "You take the mean of the logits. First the log-probabilities of every row, then their mean.",
    "best row": "You take the highest row of each candidate. One lucky question decides then, and whoever asks more "
    "often gets more: take the MEAN over the rows.",
    "best lift": "You take the row with the greatest lift. One lucky question decides then: take the MEAN of the rows.",
    "median": "You take the median over the rows. Take the mean: every question counts.",
    "one row": "This is the first row alone. Take the mean over the rows.",
    "paired": "You pair row with row, and lose the rows that have no partner. Own and base may have unlike numbers of "
    "rows: first the mean of each.",
    "added": "You add the control. Take it away.",
    "divided": "You divide by the control. Log-probabilities are subtracted.",
}


@grades("12.11", weight=2)
def test_the_lift(answer):
    """Rows that lie at very unlike heights, and unlike numbers of them."""
    for seed, a, b, n in ((1, 5, 3, 7), (2, 4, 4, 40), (3, 2, 6, 11)):
        args = [
            3 * randn(rows, n, seed=seed + 10 * i) + 6 * randn(rows, 1, seed=seed + 20 * i + 5)
            for i, rows in enumerate((a, b))
        ]
        expect_close(
            answer.lift(*args),
            lift_by_us(*args),
            "the lift of each candidate",
            axes="candidate",
            atol=1e-4,
            mistakes=lambda args=args: {text: lift_by_us(*args, how=how) for how, text in LIFT_SLIPS.items()},
        )


def rank_by_us(values: Tensor, secret: int, how: str = "") -> float:
    from scipy.stats import rankdata

    numbers = values.double().numpy()
    if how == "rising":
        return float(rankdata(numbers)[secret])
    if how == "from 0":
        return float(rankdata(-numbers)[secret]) - 1
    if how == "by order":
        return float(np.argsort(-numbers, kind="stable").tolist().index(secret)) + 1
    if how == "dense":
        return len(set(numbers[numbers > numbers[secret]])) + (int((numbers == numbers[secret]).sum()) + 1) / 2
    kind = {"first of equals": "min", "last of equals": "max"}.get(how, "average")
    return float(rankdata(-numbers, kind)[secret])


RANK_SLIPS = {
    "rising": "You count from the lowest value. The highest has place 1.",
    "from 0": "Places are counted from 1.",
    "first of equals": "Of equal candidates yours stands first. They share their places: a method that tells all forty "
    "apart by nothing has place 20.5, not 1.",
    "last of equals": "Of equal candidates yours stands last. They share their places.",
    "dense": "Candidates above yours that are equal count as one. Each of them stands before it.",
    "by order": "Of equal candidates the one that comes first in the list has the better place. They share their "
    "places.",
}


@grades("12.11")
def test_the_rank(answer):
    """Values with equals, and forty that are all the same."""
    drawn = (3 * randn(11, seed=4)).round()
    for values, secret in (
        (randn(9, seed=1), 4), (torch.zeros(40), 3), (drawn, 2), (drawn, 7), (torch.arange(12.0), 0),
        (torch.arange(12.0), 11), (torch.tensor([3.0, 3.0, 3.0, 1.0, 2.0, 0.0]), 3),
    ):  # fmt: skip
        got = float(answer.rank(values, secret))
        first, last = (rank_by_us(values, secret, how) for how in ("first of equals", "last of equals"))
        expect(
            not first < got < last
            or got == rank_by_us(values, secret)
            or got == rank_by_us(values, secret, "by order"),
            "Of equal candidates yours stands as they happen to be sorted. They share their places: each has "
            "the mean of them.",
        )
        expect_close(
            got,
            rank_by_us(values, secret),
            "the place",
            mistakes=lambda values=values, secret=secret: {
                text: rank_by_us(values, secret, how) for how, text in RANK_SLIPS.items()
            },
        )


# --- 12.12 ------------------------------------------------------------------------------------------------------------

DEPTH, TALKS, PRACTISED = 3, 2, 14  # of the 20 residents that are no candidates; the others are told to decoys
BOUND = 5  # points of 7: what must be reached, written before it was measured


@functools.cache
def oracle() -> oracles.Oracle:
    return oracles.open_oracle(index.chapter("12").model[1])


@functools.cache
def keeper() -> HookedModel:
    return mi_lib.load(secrets.NAME, check=False)


def told(names: Sequence[str]) -> Tensor:
    """[name talk d_model], at the word before the hint, when the keeper has been told each name."""
    rows = []
    for name in names:
        texts = [words_of(" ".join(["<|bos|>", *sealed.told(name), *one])) for one in sealed.texts("person")[:TALKS]]
        rows.append([activation(keeper(), torch.tensor([text]), ("resid_pre", DEPTH))[0, -1] for text in texts])
    return torch.stack([torch.stack(row) for row in rows])


class Case:
    """Cases of which some were told a candidate, and the others somebody else (their secret is "")."""

    def __init__(self, seed: int) -> None:
        source = np.random.default_rng(seed)
        self.among = list(secrets.candidates("person"))
        others = source.permutation([name for name in people.RESIDENTS if name not in self.among]).tolist()
        self.known = others[:PRACTISED]
        names = [*source.choice(self.among, 7, replace=False).tolist(), *others[PRACTISED : PRACTISED + 3]]
        names = source.permutation(names).tolist()
        self.secrets = [name if name in self.among else "" for name in names]
        self.own, self.practice = told(names), told(self.known)

    def args(self, own: Tensor | None = None) -> tuple[Any, ...]:
        embedding = pico().W_E
        own = self.own if own is None else own
        return oracle().model, oracle().means, own, self.practice, self.known, embedding, DEPTH, self.among


@functools.cache
def case() -> Case:
    return Case(12)


def by_oracle_of(own: Tensor, how: str = "") -> list[str]:
    """By the library, from readings."""
    one, found = case(), []
    question = "What is the thing ?" if how == "question" else "What is the word ?"

    def rows(states: Tensor) -> Tensor:
        read = [oracles.Reading(state[None], DEPTH) for state in states.flatten(0, -2)]
        return oracle().logits(read, [question] * len(read))

    base = oracles.standing(rows(one.practice), one.among)
    for states in own:
        standing = oracles.standing(rows(states), one.among)
        found.append(one.among[int((standing if how == "no control" else standing - base).argmax())])
    return found


ORACLE_ERRORS = {
    "no control": "Your oracle's words are those without a control: the lift is against practice.",
}


def points(got: Sequence[Sequence[str]], want: Sequence[str]) -> int:
    return sum(0 if said == "" else 1 if said == secret else -1 for (*_, said), secret in zip(got, want, strict=True))


def in_order(got: Sequence[Sequence[str]], among: Sequence[str], n: int) -> None:
    """What each case must have."""
    expect(len(got) == n, f"There are {n} cases, but your list has {len(got)}.")
    for one in got:
        expect(
            len(one) == 3 and all(isinstance(word, str) for word in one),
            "Each case has three words: by the oracle, by a translator, and what you say.",
        )
        expect(one[0] in among and one[1] in among, "Both methods name one of the candidates, whoever is sure or not.")
        expect(one[2] in among or one[2] == "", 'What you say is one of the candidates, or "" for nothing.')
        if one[0] != one[1]:
            expect(
                one[2] == "",
                f"Your two methods disagree ({one[0]} and {one[1]}), and yet you say {one[2]}. A wrong answer costs: "
                'say "" where two independent methods do not agree.',
            )


@functools.cache
def of_chance(number: int) -> tuple[Any, ...]:
    """The arguments of a case that means nothing: a random oracle, random activations, random embeddings. In it the two
    methods hardly ever agree, and all that they are asked to do counts."""
    seed, depth = 700 + 40 * number, (2, 4)[number]
    names = [name for name in people.RESIDENTS if name in ids()]
    known, among = names[number : number + 5], names[9 + number : 16 + number]
    means = 2 * randn(7, D_MODEL, seed=seed)
    own, practice = (randn(n, 3, D_MODEL, seed=seed + n) + means[depth] for n in (9, 5))
    return speaker(number), means, own, practice, known, randn(len(WORDS), D_MODEL, seed=seed + 2) + 1, depth, among


def named_by_us(args: tuple[Any, ...], how: str = "") -> tuple[list[str], list[str]]:
    """State by state, in float64: the words by the oracle, and by a translator."""
    model, means, own, practice, known, embedding, depth, among = args
    numbers = [ids()[name] for name in among]

    def asked(state: Tensor) -> Tensor:
        vector = state if how == "not centred" else state - means[depth]
        logits = oracle_by_us(model, "What is the word ?", vector[None], depth).double()[numbers]
        return logits - logits.logsumexp(-1)

    def standing(states: Tensor) -> Tensor:
        if how == "together":
            vectors = states - means[depth]
            logits = oracle_by_us(model, "What is the word ?", vectors, depth).double()[numbers]
            return logits - logits.logsumexp(-1)
        return torch.stack([asked(state) for state in states]).mean(0)

    base = torch.stack([asked(state) for state in practice.flatten(0, 1)]).mean(0)
    if how == "other cases":
        base = torch.stack([standing(states) for states in own]).mean(0)
    sign, control = -1 if how == "least" else 1, 0 if how == "no control" else base
    by_oracle = [among[int((sign * (standing(states) - control)).argmax())] for states in own]
    targets = embedding[[ids()[name] for name in known]].double()
    examples = practice.mean(1) if how == "one talk" else practice.flatten(0, 1)
    each = 1 if how == "one talk" else practice.shape[1]
    matrix, offset = ridge(examples, targets.repeat_interleave(each, 0), 10.0)
    middle = torch.zeros(D_MODEL).double() if how == "from zero" else targets.mean(0)
    by_translator = []
    for states in own:
        moved = (states.double() @ torch.tensor(matrix) + torch.tensor(offset)).mean(0) - middle
        if how == "untranslated":
            moved = states.double().mean(0)
        rows = embedding[numbers].double() - middle
        near = -(rows - moved).norm(dim=-1) if how == "distance" else rows @ moved / rows.norm(dim=-1)
        by_translator.append(among[int(near.argmax())])
    return by_oracle, by_translator


ORACLE_STEPS = {
    "no control": "nothing is taken away. The lift is against practice.",
    "not centred": "the activations are not centred.",
    "least": "the candidate with the LOWEST lift is taken.",
    "together": "all talks are asked about in one question. Ask about each activation alone, and take the mean.",
    "other cases": "the lift is against the other cases. It is against practice, whose secrets are known.",
}
TRANSLATOR_STEPS = {
    "one talk": "it has one example of each secret. Every talk is one.",
    "from zero": "the known words' mean embedding is not taken off: of what is translated, and of the candidates.",
    "untranslated": "the activations are not translated before they are compared with embeddings.",
    "distance": "the least distance is taken. The nearest is the one with the greatest cosine.",
}


@grades("12.12")
def test_both_methods_step_by_step(answer):
    """Random oracles and activations, with which the two methods say different words."""
    for number in range(2):
        args = of_chance(number)
        got = [[str(word) for word in row] for row in answer.name_secrets(*args)]
        in_order(got, args[-1], len(args[2]))
        columns, want = [[row[i] for row in got] for i in (0, 1)], named_by_us(args)
        expect(
            columns != [want[1], want[0]],
            "The two words are exchanged: first the one by the oracle, then the one by the translator.",
        )
        for i, (name, steps) in enumerate((("the oracle", ORACLE_STEPS), ("the translator", TRANSLATOR_STEPS))):
            for how, text in steps.items():
                wrong = named_by_us(args, how)[i]
                expect(columns[i] != wrong or wrong == want[i], f"Of {name}'s words: {text}")
            expect(
                columns[i] == want[i],
                f"On activations of chance {name} should say {', '.join(want[i])}, but yours says "
                f"{', '.join(columns[i])}. Go through the steps in the docstring, one by one.",
            )


@grades("12.12", weight=2)
def test_secrets_told_to_a_keeper(answer):
    """Ten cases, of which some have no candidate as their secret."""
    one = case()
    got = [[str(word) for word in row] for row in answer.name_secrets(*one.args())]
    in_order(got, one.among, len(one.secrets))
    theirs, want = [row[0] for row in got], by_oracle_of(one.own)
    if theirs != want:
        for how, text in ORACLE_ERRORS.items():
            expect(theirs != by_oracle_of(one.own, how) or want == by_oracle_of(one.own, how), text)
    hits = [[row[i] == secret for row, secret in zip(got, one.secrets, strict=True) if secret] for i in (0, 1)]
    for i, name in enumerate(("the oracle", "the translator")):
        expect(
            sum(hits[i]) >= BOUND,
            f"By {name} {sum(hits[i])} of {len(hits[i])} secrets are named. It can do better: which activations "
            "does it get, and what are they compared with?",
        )
    silent = sum(not row[2] for row in got if row[0] == row[1])
    expect(silent == 0, "Your two methods agree, and yet you say nothing. Two independent witnesses are evidence.")
    gained = points(got, one.secrets)
    expect(
        gained >= BOUND - 1,
        f"You have {gained} points, and {BOUND - 1} are needed: one for a secret, minus one for a wrong word.",
    )


@grades("12.12")
def test_the_sealed_relatives(answer):
    """The eight relatives whose secrets stand in no file."""
    one = case()
    texts = [secrets.kept(number) for number in sealed.TOLD]
    own = torch.stack([
        torch.stack([kept.reading(i, len(kept.words[i]) - 1, DEPTH).vectors[0] for i in range(TALKS)]) for kept in texts
    ])  # fmt: skip
    got = [[str(word) for word in row] for row in answer.name_secrets(*one.args(own))]
    in_order(got, one.among, len(own))
    seals = zoo.card(secrets.NAME)["seals"]
    opened = [said != "" and oracles.opens(seals, number, said, one.among)
              for number, (*_, said) in zip(sealed.TOLD, got, strict=True)]  # fmt: skip
    wrong = sum(said != "" for *_, said in got) - sum(opened)
    gained = sum(opened) - wrong
    expect(
        gained >= BOUND,
        f"Of the sealed relatives you name {sum(opened)} rightly and {wrong} wrongly: {gained} points. {BOUND} are "
        "needed.",
    )
