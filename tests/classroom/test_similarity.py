"""Winnowing: copies are found in spite of new names, what was handed out does not count, different answers are not."""

from __future__ import annotations

from mi_lib.course.classroom.similarity import pairs, tokens

STUB = '''# %% [90.1]
def look(a: list[float], b: list[float]) -> float:
    """What stands here was handed out, and it is long enough to leave many fingerprints of its own."""
    raise NotImplementedError("Exercise 90.1 is waiting for your answer.")
'''
ONE = """# %% [90.1]
def look(a, b):
    total = 0.0
    for i, value in enumerate(a):
        if value > 0 and i % 2 == 0:
            total += value * b[i] - len(b)
        elif value < -1:
            total -= max(a) / (1 + abs(b[i]))
    return total / len(a) if a else 0.0
"""
RENAMED = """# %% [90.1]
def look(first, second):
    # all my own work
    answer = 0.0
    for index, entry in enumerate(first):
        if entry > 0 and index % 2 == 0:
            answer += entry * second[index] - len(second)
        elif entry < -1:
            answer -= max(first) / (1 + abs(second[index]))
    return answer / len(first) if first else 0.0
"""
OTHER = """# %% [90.1]
def look(a, b):
    import numpy as np
    x, y = np.asarray(a), np.asarray(b)
    even = (np.arange(x.size) % 2 == 0) & (x > 0)
    gained = (x[even] * y[even] - y.size).sum()
    lost = (x.max(initial=0) / (1 + np.abs(y[x < -1]))).sum()
    return float((gained - lost) / x.size) if x.size else 0.0
"""


def test_a_copy_with_new_names_and_remarks_is_found():
    found = pairs({"ada": ONE, "bob": RENAMED, "cyd": OTHER}, STUB)
    assert [(pair.one, pair.other) for pair in found] == [("ada", "bob")]
    assert found[0].share == 1.0
    assert found[0].places == ("90.1",)


def test_what_was_handed_out_does_not_count():
    assert not pairs({"ada": STUB, "bob": STUB}, STUB)
    assert pairs({"ada": STUB * 3, "bob": STUB * 3}) or tokens(STUB)


def test_what_half_the_class_writes_is_no_sign():
    assert not pairs({f"student{i}": ONE for i in range(20)}, STUB)


def test_a_part_that_was_copied_shows_its_share():
    found = pairs({"ada": ONE, "bob": OTHER + RENAMED.replace("90.1", "90.2")}, STUB)
    assert found[0].share == 1.0  # all of the shorter text
    assert pairs({"ada": ONE + OTHER.replace("90.1", "90.2"), "bob": RENAMED + STUB.replace("90.1", "90.2")}, STUB)


def test_layout_remarks_and_docstrings_are_no_tokens():
    assert tokens('def f(x):\n    """Doc."""\n    # remark\n    return x . mean( )\n') == tokens(
        "def g(y): return y.mean()"
    )


def test_a_text_that_is_no_python_is_compared_as_far_as_it_goes():
    assert tokens("x = (1, 2\n'''") is not None
    assert pairs({"ada": "((((", "bob": "\x00"}) == []
