"""Arguments that a call changes in place: seen, told, and allowed where the exercise asks for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import mi_lib
from mi_lib.course.grading import changes
from mi_lib.course.grading.changes import Watch
from mi_lib.models import Transformer, TransformerConfig
from mi_lib.worlds import repeats


def report(change, *args, **kwargs):
    watch = Watch(list(args), kwargs)
    change(*args, **kwargs)
    return watch.report()


@pytest.fixture
def model():
    config = TransformerConfig(n_layers=2, d_model=4, n_heads=2, d_head=2, d_vocab=7, n_ctx=8)
    return Transformer(config).init_weights(0).eval().requires_grad_(False)


def in_numpy(x):
    x.numpy()[0] = 7


def beyond_autograd(x):
    x.data[0] = 7


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.add_(1), lambda x: x[1:].zero_(), lambda x: x.view(-1)[0:1].fill_(9), in_numpy, beyond_autograd,
        lambda x: x.unsqueeze_(0), lambda x: x.t_(), lambda x: x.fill_(torch.nan),
    ],
)  # fmt: skip
def test_a_tensor_is_seen_to_change_whatever_the_way(change):
    assert report(change, torch.arange(6.0).reshape(2, 3)) == [[0, "numbers"]]


def test_a_view_into_a_bigger_argument_changes_the_argument():
    x = torch.zeros(4, 3)
    assert report(lambda whole, part: part.add_(1), x, x[2]) == [[0, "numbers"], [1, "numbers"]]


@pytest.mark.parametrize("dtype", [torch.bool, torch.int16, torch.complex64, torch.bfloat16, torch.complex128])
def test_every_dtype_is_compared(dtype):
    assert report(lambda x: x.logical_not_(), torch.zeros(3, dtype=dtype)) == [[0, "numbers"]]
    assert report(lambda x: x.clone().logical_not_(), torch.zeros(3, dtype=dtype)) == []


def test_nan_that_stays_is_no_change():
    assert report(lambda x: None, torch.tensor([torch.nan, 1.0])) == []


@pytest.mark.parametrize(
    ("change", "value", "how"),
    [
        (lambda x: x.append(1), [1], "entries"),
        (lambda x: x.sort(), [3, 1], "entries"),
        (lambda x: x.update(b=2), {"a": 1}, "entries"),
        (lambda x: x.pop("a"), {"a": 1}, "entries"),
        (lambda x: x["a"].append(1), {"a": []}, "entries"),
        (lambda x: x[0][1].zero_(), [(1, torch.ones(2))], "numbers"),
        (lambda x: x.__setitem__(0, 5), np.ones(3), "numbers"),
        (lambda x: x["w"].zero_(), {"w": torch.ones(2)}, "numbers"),
        (lambda x: x.__setitem__("w", torch.zeros(2)), {"w": torch.ones(2)}, "entries"),
        (lambda x: x.add(1), {2}, "entries"),
        (lambda x: x.requires_grad_(), torch.ones(2), "gradients"),
    ],
)
def test_containers_arrays_and_what_is_in_them(change, value, how):
    assert report(change, value) == [[0, how]]
    assert report(lambda x: x, value) == []


def test_fields_of_the_librarys_own_objects():
    given = repeats.sample(1, seed=0, period=4)
    assert report(lambda x: x.tokens.zero_(), given) == [[0, "numbers"]]


def test_a_keyword_is_named():
    assert report(lambda x, y: y.zero_(), torch.ones(1), y=torch.ones(1)) == [["y", "numbers"]]


OPEN = []  # a context that nobody holds ends at once


def left_open(model):
    OPEN.append(model.hooks([(("z", 0), lambda z, hook: z * 0)]))
    OPEN[-1].__enter__()


def undone(model):
    before = model.W_U.clone()
    model.W_U.data.zero_()
    model.W_U.data.copy_(before)
    model.train().eval()
    with model.hooks([(("z", 0), lambda z, hook: z * 0)]):
        model(torch.zeros(1, 3, dtype=torch.int64))


@pytest.mark.parametrize(
    ("change", "how"),
    [
        (lambda m: next(m.parameters()).data.zero_(), "weights"),
        (lambda m: next(m.parameters()).add_(1), "weights"),
        (lambda m: m.blocks[1].register_forward_hook(lambda *_: None), "hooks"),
        (left_open, "hooks"),
        (lambda m: m.requires_grad_(True), "gradients"),
        (lambda m: m.train(), "mode"),
        (lambda m: m.blocks[0].train(), "mode"),
    ],
)
def test_what_is_left_in_a_model(model, change, how):
    assert report(change, model) == [[0, how]]
    other = Transformer(model.config).init_weights(1).eval().requires_grad_(False)
    assert report(lambda pairs: change(pairs[0][1]), [(3, other)]) == [[0, how]]


def test_what_is_put_back_is_no_change(model):
    assert report(undone, model) == []
    assert report(lambda m: m.run_with_cache(torch.zeros(1, 3, dtype=torch.int64)), model) == []


def test_large_tensors_are_not_copied(monkeypatch):
    monkeypatch.setattr(changes, "MAX_BYTES", 16)
    assert report(lambda x: x.add_(1), torch.ones(5)) == [[0, "numbers"]]
    assert report(lambda x: x + 1, torch.ones(5)) == []
    assert report(in_numpy, torch.ones(5)) == []  # torch counts no edit, and nothing was kept to compare with


def test_an_object_that_cannot_be_looked_at_is_left_alone():
    class Odd(dict):
        def values(self):
            raise RuntimeError

        __iter__ = keys = values

    assert report(lambda *_: None, Odd(), object(), lambda: 0) == []


# --- what the learner is told ----------------------------------------------------------------------------------------


def test_a_right_result_of_a_changed_argument_fails_with_a_sentence(grade):
    verdict = grade("def rows(x):\n    x /= x.sum(1, keepdim=True)\n    return x", "01.7")
    assert verdict.status == "failed"
    assert "Your rows changed the `x` that it was given, in place" in verdict.diagnosis


def test_an_exercise_that_asks_for_the_change_allows_it(grade):
    assert grade("def fill(x, into):\n    into.append(x)\n    return into", "01.10").passed
    verdict = grade("def fill(x, into):\n    x += 0.5\n    into.append(x - 0.5)\n    return into", "01.10")
    assert "changed the `x`" in verdict.diagnosis


HOSTILE = {
    "silenced": """
import sys
watch = sys.modules["mi_lib.course.grading.session"].Watch
watch.report = lambda self: []
def rows(x):
    x /= x.sum(1, keepdim=True)
    return x
""",
    "forged": """
import sys
watch = sys.modules["mi_lib.course.grading.session"].Watch
watch.report = lambda self: [["x", "a joke"], [7, "numbers"], ["y", "numbers"], "numbers", [0, ["mode"]], [[0], "mode"]]
def rows(x):
    return x / x.sum(1, keepdim=True)
""",
    "not a pair": """
import sys
session = sys.modules["mi_lib.course.grading.session"].Session
session._call = lambda self, target, detail: target(*detail["args"])
def rows(x):
    return x / x.sum(1, keepdim=True)
""",
}


@pytest.mark.parametrize("how", HOSTILE)
def test_whoever_silences_or_forges_the_report_gains_what_a_silent_right_answer_gets(grade, how):
    verdict = grade(HOSTILE[how], "01.7")
    assert verdict.passed, verdict.diagnosis
    assert verdict.points == verdict.max_points
    wrong = grade(HOSTILE[how].replace("return x", "return 2 * x"), "01.7")
    assert (wrong.points, wrong.course_fault) == (0, False)


def test_a_known_mistake_leads_before_a_change_in_place(grade):
    assert grade("def rows(x):\n    x += 0\n    x.mul_(2)\n    return x.sum(1) / 2", "01.7").diagnosis == (
        "These are the sums of the rows."
    )


def test_bare_numbers_stand_behind_a_change_in_place(grade):
    told = grade("def rows(x):\n    x *= 3\n    return x", "01.7").tests[0].message
    assert told.startswith("Your rows changed the `x`")
    assert "And: The rows" in told


def test_a_bundled_model_that_is_used_as_it_should_be_is_not_reported():
    model = mi_lib.load("induction-2l")
    tokens = repeats.sample(2, seed=5, period=6).tokens
    assert report(lambda m, t: m.run_with_cache(t), model, tokens) == []
