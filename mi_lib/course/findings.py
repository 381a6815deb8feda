"""What a chapter finds. Its `findings.py` measures it, `findings.json` keeps it; lesson, figures and grader read that.

    @claim
    def opening() -> dict[str, Any]:
        \"\"\"How a block that was broken off goes on: "You know how this goes on. So does the network".\"\"\"
        return {"probability": ..., "control": ...}

A claim is a function without parameters, its name the key in findings.json. Beside a number that was measured on a
sample stands its interval, `loss_interval` beside `loss` (see `mean`). `mi dev measure NN` measures all of them.
"""

from __future__ import annotations

import ast
import functools
import json
import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from mi_lib.course import files, modules
from mi_lib.course.index import Chapter, CourseError

DIGITS = 6  # that are kept of a number
ALIKE = 2e-3  # two measurements of a number without an interval may differ so much: machines round otherwise
ROUNDING = 1e-4  # of a number, at the ends of its interval: some intervals are a point
INTERVAL = "_interval"

Claim = Callable[[], Any]


def claim(function: Claim | None = None, *, slow: bool = False) -> Any:
    """Marks a function of findings.py whose result belongs into findings.json. `@claim(slow=True)`: it takes more than
    some seconds, so that the suite measures parts of it only."""
    if function is None:
        return functools.partial(claim, slow=slow)
    function.slow = slow  # type: ignore[attr-defined]
    return function


def path(chapter: Chapter) -> Path:
    return chapter.folder / "findings.json"


def names(chapter: Chapter) -> list[str]:
    """The claims of a chapter, found without running anything."""

    def marks(node: ast.expr) -> bool:
        return ast.unparse(node.func if isinstance(node, ast.Call) else node).split(".")[-1] == claim.__name__

    found = modules.functions(chapter.folder / "findings.py")
    return [function.name for function in found if any(map(marks, function.decorator_list))]


def module(chapter: Chapter) -> ModuleType:
    """The chapter's findings.py, for figures and graders that measure with it."""
    return modules.load(chapter.folder / "findings.py")


def read(chapter: Chapter) -> dict[str, Any]:
    """What findings.json says. Raises `CourseError` if it is missing or cannot be read."""
    file = path(chapter)
    if not file.exists():
        raise CourseError(f"{file} is missing: `mi dev measure {chapter.number}` writes it.")
    return _parsed(file, file.stat().st_mtime_ns)


def measure(
    chapter: Chapter, only: Collection[str] = (), on_done: Callable[[str, Any], object] = lambda name, value: None
) -> dict[str, Any]:
    """Measure the claims of a chapter, or those that are named; numbers are rounded as in findings.json.

    on_done: called with each claim's name and result when it is measured. Raises `CourseError` for an unknown name.
    """
    there = names(chapter)
    if not there:
        raise CourseError(f"Chapter {chapter.number} has no findings.py with functions marked @claim.")
    if unknown := sorted(set(only) - set(there)):
        raise CourseError(f"Chapter {chapter.number} claims nothing called {', '.join(unknown)}. It has: "
                          f"{', '.join(there)}.")  # fmt: skip
    found: dict[str, Any] = {}
    for name in there:
        if not only or name in only:
            found[name] = rounded(getattr(module(chapter), name)(), name)
            on_done(name, found[name])
    return found


def write(chapter: Chapter, measured: Mapping[str, Any]) -> None:
    """Put what was measured into findings.json, a line for each claim. What is claimed no more is taken out."""
    known = {**(read(chapter) if path(chapter).exists() else {}), **measured}
    lines = [
        f"{json.dumps(name)}: {json.dumps(known[name], sort_keys=True, ensure_ascii=False)}"
        for name in sorted(set(names(chapter)) & set(known))
    ]
    files.write_atomically(path(chapter), "{\n" + ",\n".join(lines) + "\n}\n")  # a page may be reading it


def problems(chapter: Chapter) -> list[str]:
    """Where findings.py and findings.json do not name the same claims."""
    claimed, file = set(names(chapter)), path(chapter)
    kept = set(read(chapter)) if file.exists() else set()
    again = f"run `mi dev measure {chapter.number}`"
    return [f"findings.py claims {name!r}, which findings.json does not have: {again}." for name in claimed - kept] + [
        f"findings.json has {name!r}, which findings.py does not measure: {again}." for name in kept - claimed
    ]


def rounded(value: Any, where: str = "") -> Any:
    """Numbers to `DIGITS` digits. Raises `CourseError` for what JSON cannot say: infinite numbers, other kinds."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item, f"{where}.{i}") for i, item in enumerate(value)]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    if value is None or isinstance(value, bool | int | str):
        return value
    raise CourseError(f"{where} is {value!r}: findings.json keeps finite numbers, texts, lists and tables of them.")


def differences(measured: Any, kept: Any, where: str = "") -> list[str]:
    """Where another measurement says something else, in sentences. Empty if it does not.

    A number must lie in its interval, if one was kept with it; otherwise be the same up to what machines round.
    """
    if isinstance(measured, dict) and isinstance(kept, dict):
        if measured.keys() != kept.keys():
            return [f"{where} has other entries: {', '.join(sorted(measured.keys() ^ kept.keys()))}."]
        found = []
        for key, now in measured.items():
            interval = kept.get(f"{key}{INTERVAL}")
            if isinstance(interval, list):
                room = ROUNDING * abs(now)
                if not interval[0] - room <= now <= interval[1] + room:
                    found.append(f"{where}.{key} is {now}, outside of {interval[0]} to {interval[1]}.")
            elif not key.endswith(INTERVAL):
                found += differences(now, kept[key], f"{where}.{key}")
        return found
    if isinstance(measured, list) and isinstance(kept, list) and len(measured) == len(kept):
        pairs = enumerate(zip(measured, kept, strict=True))
        return [line for i, (now, then) in pairs for line in differences(now, then, f"{where}.{i}")]
    if isinstance(measured, float) and isinstance(kept, int | float) and not isinstance(kept, bool):
        same = math.isclose(measured, kept, rel_tol=ALIKE, abs_tol=ALIKE)
    else:
        same = measured == kept
    return [] if same else [f"{where} is {measured}, and findings.json has {kept}."]


def mean(name: str, values: Any, where: Any = None) -> dict[str, Any]:
    """{name: the mean over all words, name_interval: its 95 % interval}.

    values: a number for each text, or [text word]; where: which of these words count. The interval is a bootstrap over
    texts (`mi_lib.statistics.interval`).
    """
    import numpy as np

    from mi_lib.statistics import interval

    x = np.asarray(values, dtype=float)
    x = x if x.ndim > 1 else x[:, None]
    counts = np.ones(x.shape, bool) if where is None else np.asarray(where, dtype=bool)
    sums, words = np.where(counts, x, 0).sum(1), counts.sum(1)
    between = interval(lambda rows: sums[rows].sum() / words[rows].sum(), len(x))
    return {name: float(sums.sum() / words.sum()), f"{name}{INTERVAL}": list(between)}


@functools.lru_cache(maxsize=32)
def _parsed(file: Path, _mtime: int) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise CourseError(f"{file} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise CourseError(f"{file} must hold a table of claims.")
    return found
