"""What the grader of chapter 14 says to slips that were once answered with bare numbers.

Each is the reference with one piece of its text exchanged. The graders' functions run here, in this process: that they
run beside a learner's is shown by the mistakes of `solutions/ch14_high_low/mistakes.py`, of which a few are the same.
"""

from __future__ import annotations

import re
import types

import pytest

from mi_lib.course import files, index, modules
from mi_lib.course.grading.expectations import MISTAKE, Wrong

CHAPTER = index.chapter("14")
REFERENCE = files.read_text(CHAPTER.solutions_folder / "exercises.py")
GRADER = files.read_text(CHAPTER.folder / "test_exercises.py")

SHARE = "share = (x * math.cos(angle) + y * math.sin(angle) + 0.5).clamp(0, 1)"
BEST = "best, opposite = measured[units, where], measured[units, (where + n // 2) % n]"
RULE = "(best > 1.5 * rival.amax(1)) & (best > 2 * opposite) & (best > best.mean() / 4)"
BOTH = "less, more = both.amin(0).mean(0), both.amax(0).mean(0)"
HUES = "means = torch.stack([middle(model, layer, paint(patterns, contrast, c)).mean(0) for c in colours])"
TURN = "turn = (a - b) % (2 * math.pi)\n    return torch.minimum(turn, 2 * math.pi - turn)"
NEAREST = "nearest = (angles / (2 * math.pi) * count).round().long() % count"
OPPOSITE = "far = apart(angles[:, None], angles[None, :] + math.pi)"
PLACE = "row, column = i * stride, j * stride"
ROWS = "rows = rows * (table @ channels.T) / (rows @ channels @ channels.T + 1e-12)"
TABLE = "both.permute(0, 1, 3, 4, 2).reshape(-1, weights.shape[1])"
MAPS = "both = rows.T.reshape(-1, 2, units, size, size)\n    return both[:, 0] - both[:, 1]"
WINDOW = "window = torch.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2))"
EDIT = "activation[:, units] = instead[units][:, None, None]"

SLIPS = {
    "14.1": [
        (SHARE, "share = ((x * math.cos(angle) + y * math.sin(angle)) / 2 + 0.5).clamp(0, 1)", "boundary is too wide"),
        (SHARE, "share = (2 * (x * math.cos(angle) + y * math.sin(angle)) + 0.5).clamp(0, 1)", "is too steep"),
        (SHARE, "share = torch.sigmoid(x * math.cos(angle) + y * math.sin(angle))", "sigmoid never reaches"),
        (SHARE, SHARE.replace(".clamp(0, 1)", ""), "grows on and on"),
        (SHARE, SHARE.replace("x *", "(x + 0.5) *", 1), "columns, too, have their middle"),
        ("(1 - share) * second", "second", "second pattern is whole on both sides"),
    ],
    "14.2": [
        ("images).mean(0))", "images).median(0).values)", "take the median"),
        ("maps.shape[2] // 2, maps.shape[3] // 2]", "0, 0]", "corner of the map"),
    ],
    "14.4": [
        (BEST, BEST.replace("measured[units, (w", "chosen[units, (w"), "`opposite` in `chosen`"),
        (BEST, BEST.replace("measured[units, where]", "measured.amax(1)"), "Your `best` is the largest response"),
        (RULE, RULE.replace("&", "|"), "join them by and"),
        (RULE, RULE.replace("best.mean() / 4", "best.mean()"), "is a QUARTER"),
        (RULE, "(best > 1.5 * rival.mean(1)) & (best > 2 * opposite) & (best > 0)", "There are two slips"),
        ("where = chosen.argmax(1)", "where = (chosen + measured).argmax(1)", "by both sets of images"),
    ],
    "14.5": [
        (BOTH, "less, more = both.amin(0)[0], both.amax(0)[0]", "first image alone"),
        (BOTH, "less, more = both.amin((0, 1)), both.amax((0, 1))", "from different images"),
        ("for c in (contrast, -contrast)", "for c in (contrast, contrast)", "twice with the same contrast"),
        (HUES, HUES.replace(".mean(0)", "[0]"), "first image alone"),
    ],
    "14.6": [
        (TURN, "return (a - b).abs() % math.pi", "Modulo π it falls together with its opposite"),
        (TURN, "return (a - b + math.pi) % (2 * math.pi) - math.pi", "Your distance has a sign"),
        (NEAREST, "nearest = (angles / math.pi * count).round().long() % count", "Modulo π it falls together"),
        (OPPOSITE, "far = (angles[:, None] - angles[None, :]) % math.pi", "its own mirror image"),
        (OPPOSITE, "far = apart(angles[:, None], -angles[None, :])", "You turn the sign"),
        (OPPOSITE, "far = (angles[:, None] - angles[None] - math.pi) % (2 * math.pi)", "on one side only"),
    ],
    "14.7": [
        (PLACE, "row, column = i * stride, (k - 1 - j) * stride", "columns are flipped"),
        (PLACE, "row, column = j * stride, i * stride", "Rows and columns of the upper kernel are exchanged"),
        (" += step", " = step", "Paths that meet at the same place add up"),
        ("open_[:, None, None, None]", "(1 - open_)[:, None, None, None]", "how often it is asleep"),
    ],
    "14.8": [
        (ROWS, "rows = rows * ((table @ channels.T) / (rows @ channels @ channels.T + 1e-12)).sqrt()", "take the root"),
        ("return rows, channels", "return rows / rows.sum(0), channels", "scale the new rows afterwards"),
        (TABLE, "both.permute(1, 3, 4, 0, 2).reshape(-1, weights.shape[1])", "take turns, row by row"),
        (TABLE, "both.permute(0, 1, 4, 3, 2).reshape(-1, weights.shape[1])", "columns come before rows"),
        (TABLE, "both.permute(1, 3, 4, 0, 2).reshape(-1, 2 * weights.shape[1])", "Yours stand side by side"),
        (MAPS, MAPS.replace("-1, 2, units,", "-1, units, 2,").replace("[:, ", "[:, :, "), "both came for one unit"),
        ("both[:, 0] - both[:, 1]", "both[:, 1]", "This is the inhibition alone"),
    ],
    "14.10": [
        (WINDOW, "window = torch.exp(-(x**2 + y**2) / (2 * size / 4) ** 2)", "the 2 is not squared"),
        (WINDOW, "window = torch.exp(-(x**2 + y**2) / (2 * (size / 4)))", "the spread is squared, too"),
        (WINDOW, "window = torch.exp(-((x**2 + y**2) ** 0.5) / (2 * (size / 4) ** 2))", "has a tip"),
        ("2 * math.pi * frequency * d + phase", "2 * math.pi * d / frequency + phase", "You divide by the frequency"),
        ("return wave / wave.norm()", "return wave / wave.abs().max()", "You divide by the largest value"),
    ],
    "14.11": [
        (EDIT, "activation[:, units] = instead.mean()", "gets the mean of `instead`"),
        (EDIT, "activation[:, units] *= instead[units][:, None, None]", "You multiply by `instead`"),
        (EDIT, "activation[:] = instead[:, None, None]", "You silence every unit of the layer"),
        (EDIT, "activation[:, units[:1]] = instead[units[:1]][:, None, None]", "first of the units alone"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("exercise", "before", "after", "says"),
    [(exercise, *slip) for exercise, slips in SLIPS.items() for slip in slips],
    ids=[f"{exercise}-{slip[2]}" for exercise, slips in SLIPS.items() for slip in slips],
)
def test_a_slip_is_told_in_words(exercise, before, after, says):
    assert before in REFERENCE
    answer = types.ModuleType("answer")
    exec(compile(REFERENCE.replace(before, after, 1), "answer", "exec"), vars(answer))
    told = [error for test in of_exercise(exercise) if (error := verdict(test, answer)) is not None]
    assert any(says in str(error) and error.rank == MISTAKE for error in told), [str(error) for error in told]


def test_the_reference_is_told_nothing():
    answer = types.ModuleType("answer")
    exec(compile(REFERENCE, "answer", "exec"), vars(answer))
    assert not [error for exercise in SLIPS for test in of_exercise(exercise) if (error := verdict(test, answer))]


def of_exercise(exercise):
    names = re.findall(rf'@grades\("{re.escape(exercise)}"[^)]*\)\ndef (test_\w+)', GRADER)
    grader = modules.load(CHAPTER.folder / "test_exercises.py")
    return [getattr(grader, name) for name in names]


def verdict(test, answer):
    try:
        test(answer)
    except Wrong as error:
        return error
    return None


def test_the_rule_is_the_same_for_units_one_by_one_and_all_at_once():
    grader = modules.load(CHAPTER.folder / "test_exercises.py")
    for case in (grader.units_of_all_kinds(1, 101, 16), grader.units_of_all_kinds(5, 53, 6)):
        assert grader.rule(*case).equal(grader.slipped(*case))
        single = [grader.slipped(*case, slip) for part in grader.RULE_SLIPS for slip in part]
        assert sum(not found.equal(grader.rule(*case)) for found in single) >= len(single) - 2
