"""What the chapters' findings.json say is measured again: some claims of each chapter that take seconds, drawn with a
fixed seed. Each figure must lie in its published interval, or be the same where it has none. `mi dev measure` measures
all; of the slow ones the chapters' own tests measure parts."""

import random

import pytest

from mi_lib.course import findings, index

CHAPTERS = [chapter for chapter in index.chapters() if findings.path(chapter).exists()]
SEED, DRAWN = 14, 2


def drawn(chapter):
    quick = [name for name in findings.names(chapter) if not getattr(findings.module(chapter), name).slow]
    return random.Random(f"{SEED} {chapter.number}").sample(quick, min(DRAWN, len(quick)))


def intervals(found, where=""):
    """(path, value, low, high) of every number that was published with an interval; several may share one."""
    for key, value in found.items() if isinstance(found, dict) else []:
        if key.endswith(findings.INTERVAL):
            numbers = found[key.removesuffix(findings.INTERVAL)]
            for number in numbers if isinstance(numbers, list) else [numbers]:
                yield f"{where}.{key}", number, *value
        else:
            yield from intervals(value, f"{where}.{key}")


def says_something(where, value, low, high):
    """Whether an interval is narrow: for a share beside its value, for an angle in degrees below chance, which is 45;
    for a mean place among forty it takes in less than half of them."""
    if where.startswith(".in_weights."):
        return high - low < 20
    in_degrees = where.endswith((f".angle{findings.INTERVAL}", f".off{findings.INTERVAL}"))
    return high < 45 if in_degrees else high - low < abs(value) + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_a_sample_of_the_findings_is_measured_again(chapter):
    kept, names = findings.read(chapter), drawn(chapter)
    measured = findings.measure(chapter, names)
    assert [findings.differences(measured[name], kept[name], name) for name in names] == [[]] * len(names)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_findings_json_has_what_findings_py_claims_and_says_which_sentence_it_is_for(chapter):
    assert findings.problems(chapter) == []
    module = findings.module(chapter)
    assert [name for name in findings.names(chapter) if '"' not in (getattr(module, name).__doc__ or "")] == []


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_every_published_value_lies_in_its_interval(chapter):
    found = list(intervals(findings.read(chapter)))
    assert [where for where, value, low, high in found if not low <= value <= high] == []
    assert [each for each in found if not says_something(*each)] == []
