"""What the tests cost, and so how much of what is dear is done.

`seconds.json` holds how long each test takes on an idle machine with two cores; `make seconds` writes it anew.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

TABLE = Path(__file__).parent / "seconds.json"
SECONDS: dict[str, float] = json.loads(TABLE.read_text())
LEAST = 0.05  # what takes less is not in the table
QUICK = 0.3  # what takes longer is marked as slow, and `make fast` leaves it out
DEAR = 1.5  # a grading that takes longer is dear

Case = TypeVar("Case")


def grading_seconds(exercise_id: str) -> float:
    """What one grading of the reference answer of an exercise takes; the stub beside it takes next to nothing."""
    test = "tests/course/test_chapters.py::test_the_stub_fails_and_the_reference_passes"
    return max(SECONDS.get(f"{test}[{exercise_id}]", 0), LEAST)


def sample(cases: Sequence[Case], number: int, seed: str | int) -> list[Case]:
    """So many of these, in their order; the same ones for the same seed."""
    chosen = set(random.Random(seed).sample(range(len(cases)), min(number, len(cases))))
    return [case for i, case in enumerate(cases) if i in chosen]


def draw(cases: Sequence[Case], budget: float, exercise_id: str) -> list[Case]:
    """As many of these submissions of an exercise as can be graded in `budget` seconds; the same ones every time.

    `mi dev check`, `mi dev mutate` and `mi dev nonsense` do them all.
    """
    number = max(1, round(budget / grading_seconds(exercise_id)))
    return sample(cases, number, exercise_id)


def affordable(exercises: Sequence[str]) -> list[str]:
    """The exercises that are quickly graded, and of the others one in three, always the same."""
    dear = [exercise_id for exercise_id in exercises if grading_seconds(exercise_id) > DEAR]
    kept = sample(dear, -(-len(dear) // 3), len(exercises))
    return [exercise_id for exercise_id in exercises if exercise_id not in dear or exercise_id in kept]
