"""Winnowing: copies are found in spite of new names, what was handed out does not count, different answers are not."""

from __future__ import annotations

import random
from collections import Counter

import alike
import pytest

from mi_lib.course import index, sections, stubs
from mi_lib.course.classroom import similarity
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


def different(number: int) -> str:
    """An answer of its own that begins as many do."""
    body = "".join(f"    total = total * {i + 2} - b[{i % 3}] / ({number} + i)\n" for i in range(number % 5 + 3))
    head = "# %% [90.1]\ndef look(a, b):\n    total = 0.0\n    for i, value in enumerate(a):\n    "
    return f"{head}{body}    return {number}\n"


def test_a_ring_of_five_copies_among_twenty_one_is_found():
    ring = {f"ring{i}": (ONE if i % 2 else RENAMED) + f"# {i}\n" for i in range(5)}
    others = {f"other{i}": different(i) for i in range(16)}
    found = {(pair.one, pair.other): pair.share for pair in pairs(ring | others, STUB)}
    inside = {pair: share for pair, share in found.items() if pair[0] in ring and pair[1] in ring}
    assert len(inside) == 10
    assert set(inside.values()) == {1.0}
    assert not [pair for pair in found if (pair[0] in ring) != (pair[1] in ring)]


def test_what_many_write_within_answers_that_differ_is_an_idiom():
    """The same six lines in nine of twenty answers, each with an end of its own."""
    alike = {f"student{i}": ONE + "".join(f"    x{j} = {i} ** {j} - {j}\n" for j in range(12)) for i in range(9)}
    others = {f"other{i}": different(i) for i in range(11)}
    assert not [p for p in pairs(alike | others, STUB) if p.one in alike and p.other in alike and p.share > 0.5]


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


# -- on the course's own chapters -----------------------------------------------------------------------------------

# Written before the first measurement: of what is right and written differently, so much may look like a copy.
ALIKE_AT_MOST = 0.1


@pytest.mark.parametrize("number", ["02", "05", "09"])
def test_answers_that_are_alike_because_they_are_right_are_rarely_taken_for_copies(number):
    """Half of the one in the other; `python tests/classroom/alike.py` has the figures of all chapters."""
    counts = alike.measured(index.chapter(number))
    assert counts["pairs"] > 30
    assert counts["half"] <= ALIKE_AT_MOST * counts["pairs"]
    assert counts["half of it"] <= ALIKE_AT_MOST * counts["answers"]
    assert counts["found in a copy"] >= 0.5 * counts["functions"] > 0


def test_a_ring_of_five_is_found_in_a_class_in_which_many_answers_are_the_same_to_the_letter():
    """Each of sixteen has the reference's answer or one of the right ones, exercise by exercise, as it falls."""
    chapter = index.chapter("02")
    answers, draw = alike.right_answers(chapter), random.Random(7)

    def somebody() -> str:
        return "".join(draw.choice(list(texts.values())) + "\n\n" for texts in answers.values())

    leader = somebody()
    texts = {f"ring{i}": leader for i in range(5)} | {f"other{i}": somebody() for i in range(16)}
    whole = [pair for pair in pairs(texts, stubs.handed_out(chapter)) if pair.share == 1.0]
    assert len(whole) == 10
    assert {(pair.one[:4], pair.other[:4]) for pair in whole} == {("ring", "ring")}


def test_a_function_of_the_library_is_found_under_other_names_and_what_all_have_copied_too():
    number = "02"
    parts, given = similarity.answering_parts(number), stubs.handed_out(index.chapter(number))
    name, source = max(
        ((n, similarity.source_of(n)) for part in parts for n in similarity._sources(part)), key=lambda one: len(one[1])
    )
    text = "# %% [02.9]\n" + source.replace("tokens", "words").replace("layer", "floor")
    found = similarity.from_library({f"student{i}": text for i in range(20)}, parts, given, number)
    assert Counter(pair.other for pair in found) == {f"the library, {name}": 20}
    assert {pair.share for pair in found} == {1.0}
    assert found[0].places == ("02.9",)
    stub_alone = {"ada": given, "bob": sections.replace(given, "02.1", "def attention_pattern(*_):\n    return 0\n")}
    assert not similarity.from_library(stub_alone, parts, given)
