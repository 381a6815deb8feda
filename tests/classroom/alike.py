"""How often do answers that are alike because they are right stand in the list of similar ones? Measured, by chapter.

    python tests/classroom/alike.py [NN ...]

Right answers to one exercise that are written differently: the reference and the `@right` ones of `mistakes.py`, all of
one hand, so more alike than strangers' would be. Each two are compared as if they were a class of two, in which nothing
is an idiom; each is compared with the library. "half": at least half of what is particular in the one is in the other.
"""

from __future__ import annotations

import itertools
import sys
from collections import Counter

from mi_lib.course import index, mistakes, sections, solutions, stubs
from mi_lib.course.classroom import similarity
from mi_lib.course.index import Chapter

HEAD = (
    "pairs",
    "listed",
    "half",
    "answers",
    "of the library",
    "half of it",
    "functions",
    "found in a copy",
)


def right_answers(chapter: Chapter) -> dict[str, dict[str, str]]:
    """exercise → {how it is written: its section}; the reference's is "reference"."""
    found = {exercise.id: {"reference": solutions.solution(exercise)} for exercise in chapter.exercises}
    for variant in mistakes.variants(chapter):
        if not variant.wrong:
            found[variant.exercise_id][variant.words] = sections.get(variant.submission, variant.exercise_id)
    return found


def measured(chapter: Chapter) -> Counter[str]:
    """What stands in the list, by the words of `HEAD`."""
    given, parts = stubs.handed_out(chapter), similarity.answering_parts(chapter.number)
    counts: Counter[str] = Counter()
    for answers in right_answers(chapter).values():
        for one, other in itertools.combinations(answers.values(), 2):
            pairs = similarity.pairs({"one": one, "other": other}, given)
            counts.update({"pairs": 1, "listed": len(pairs), "half": sum(pair.share >= 0.5 for pair in pairs)})
        for how, text in answers.items():
            if how != "reference":
                pairs = similarity.from_library({"one": text}, parts, given)
                half = sum(pair.share >= 0.5 for pair in pairs)
                counts.update({"answers": 1, "of the library": len(pairs), "half of it": half})
    return counts + copies(chapter)


def copies(chapter: Chapter) -> Counter[str]:
    """Of the library's functions that answer an exercise, how many are found where somebody pastes one in."""
    parts, given = similarity.answering_parts(chapter.number), stubs.handed_out(chapter)
    known = similarity._library(parts)
    counts: Counter[str] = Counter()
    for exercise in chapter.exercises:
        for name in exercise.answered_by:
            mine = [one for one in known if one.rpartition(".")[2] == name.partition(":")[2]]
            if mine:
                source = similarity.source_of(mine[0])
                pairs = similarity.from_library({"one": f"# %% [{exercise.id}]\n{source}\n"}, parts, given)
                found = any(pair.share > 0.9 and pair.other.endswith(mine[0]) for pair in pairs)
                counts.update({"functions": 1, "found in a copy": int(found)})
    return counts


def table(numbers: list[str]) -> str:
    """The counts of these chapters (default: all) and their sum."""
    chapters = [index.chapter(number) for number in numbers] or index.chapters()
    rows = [(chapter.number, measured(chapter)) for chapter in chapters]
    rows.append(("all", sum((counts for _, counts in rows), Counter())))
    lines = ["chapter  " + "  ".join(HEAD)]
    lines += [f"{name:>7}  " + "  ".join(f"{counts[h]:>{len(h)}}" for h in HEAD) for name, counts in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(sys.argv[1:]))
