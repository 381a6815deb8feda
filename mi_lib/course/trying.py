"""A scratch run: lines that are tried beside the learner's file, without a grade.

    tried = run(grader, exercise("02.5"), text_of_the_whole_file, "prefix_targets(tokens)")
    tried.printed                        what the lines wrote
    tried.shown                          their last value, and what was given to `display`
    tried.problem                        one sentence, where something went wrong

The file is run as it is for a check, up to the exercise, and the lines after it, in a process of its own that is shut
in as far and may take as much. Nothing is recorded, and nothing that the lines do outlives that process: so they can
change no grade. What comes back is data, and is looked at here like everything else that a learner's process says.
"""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mi_lib.course import quotes, sections
from mi_lib.course.grading import wording
from mi_lib.course.grading.forkserver import ServerGone
from mi_lib.course.index import Exercise

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader
    from mi_lib.course.grading.process import AnswerError, Process, Stopped
    from mi_lib.course.grading.running import Loaded

MAX_SHOWN, MOST = 200, 50  # values, their parts counted; in one place
MAX_FIGURE = 4_100_000  # characters: what `glance` lets through, and its envelope
# What libraries say that had no network. (A refused socket alone is a PermissionError, and that says so too.)
_NO_NETWORK = (
    "urlopen error",
    "name resolution",
    "Name or service not known",
    "huggingface.co",
    "Max retries exceeded",
)


@dataclass(frozen=True)
class Shown:
    """One value, as it is shown. `text` is one line, `more` what is written below it."""

    text: str
    name: str = ""  # of a part: ".loss", "[0]"
    more: str = ""
    # A float32 tensor [row column], [point], [rgb row column] or [matrix 1 row column]; NaN where there is no number.
    picture: Any = None
    every: tuple[int, ...] = ()  # the picture has every k-th row and column
    figure: Any = None  # of Plotly
    parts: tuple[Shown, ...] = ()


@dataclass(frozen=True)
class Tried:
    """What came of a scratch run."""

    shown: tuple[Shown, ...] = ()
    printed: str = ""
    problem: str = ""  # one sentence: why the lines did not come to their end
    notice: str = ""  # one sentence about the file beside which they ran
    traceback: str = ""
    seconds: float = 0.0
    stopped: bool = False  # by the learner
    isolation_level: str = ""


@dataclass
class _Held:
    """What is known so far of a run; its process may end at any moment."""

    process: Any = None
    notice: str = ""
    shown: tuple[Shown, ...] = ()
    failed: Any = None  # AnswerError
    problem: str = ""
    level: str = field(default="none")


def run(grader: Grader, exercise: Exercise, whole: str, lines: str, halt: threading.Event | None = None) -> Tried:
    """Try lines beside this text of the chapter's file. halt: once it is set, from any thread, the run is stopped."""
    from mi_lib.course.grading.process import AnswerError, Stopped

    started = time.monotonic()
    try:
        sections.get(whole, exercise.id)
    except sections.SectionError as error:
        return Tried(problem=str(error))
    held, stopped = _Held(), False
    limits = replace(grader.limits, seconds=exercise.time_limit)
    try:
        grader.hold(lambda process: _in_process(process, held, exercise, whole, lines), limits, halt, exercise)
    except Stopped as stop:
        stopped = stop.ending == "stopped"
        held.problem = _of_stopped(stop, time.monotonic() - started)
    except AnswerError as error:
        held.problem = _of_error(error, exercise)
    except ServerGone:
        held.problem = wording.server_gone("")
    traceback = held.failed.traceback if held.failed and _says_more(held.failed) else ""
    printed = held.process.printed.text() if held.process else ""
    seconds = time.monotonic() - started
    return Tried(held.shown, printed, held.problem, held.notice, traceback, seconds, stopped, held.level)


def _in_process(process: Process, held: _Held, exercise: Exercise, whole: str, lines: str) -> None:
    """Run the file, then the lines. What is found on the way is kept in `held`."""
    from mi_lib.course.grading.process import AnswerError
    from mi_lib.course.grading.running import load

    held.process, held.level = process, process.isolation.level
    loaded = load(process, whole, "exercises.py", exercise.id)
    if loaded.problem:
        held.problem = loaded.problem
        return
    held.notice = _of_broken(loaded, exercise)
    reply = process.ask({"op": "try", "lines": lines})
    if type(reply) is not list or len(reply) != 2 or type(reply[0]) is not list:
        held.problem = wording.confused()
        return
    budget = [MAX_SHOWN]
    held.shown = tuple(_shown(row, budget) for row in reply[0][:MOST])
    if reply[1] is not None:
        held.failed = AnswerError(reply[1])
        held.problem = _of_error(held.failed, exercise)


# -- what is said when something went wrong -----------------------------------------------------------------------


def _of_broken(loaded: Loaded, exercise: Exercise) -> str:
    """That a section of the file did not run which these lines are likely to need: the setup, or the exercise's own."""
    for section in ("setup", exercise.id):
        if error := loaded.broken.get(section):
            raised = wording.raised(error.type_name, str(error), error.line)
            return f"Section [{section}] of your file could not be run, so what it defines is missing here. {raised}"
    return ""


def _of_stopped(stop: Stopped, seconds: float) -> str:
    if stop.ending == "stopped":
        return f"You stopped it after {seconds:.0f} s."
    if stop.ending == "exited":
        return (
            "Something here ended the Python process (exit() or the like), and what came before it is lost. "
            "Take that call out."
        )
    return str(stop)


def _of_error(error: AnswerError, exercise: Exercise) -> str:
    if error.type_name == "NotImplementedError" and str(error).startswith("Exercise "):
        return f"{str(error).rstrip('.')}: what you called here is still to be written."
    if error.exit is not None:
        return "The lines ended the Python process with exit(): take that call out, they end by themselves."
    if error.memory:
        return (
            "The lines asked for more memory than an exercise may use: print the shapes, one is larger than you think."
        )
    if any(sign in str(error) for sign in _NO_NETWORK):
        return f"There is no network here, and {error.type_name} was raised: what is bundled needs none."
    if error.ending == "refused by isolation":
        return (
            f"That is out of reach here ({error.type_name}: {str(error).rstrip('.')}). Only an empty folder, the "
            "library and the installed packages are there: no other files, no network, no other processes."
        )
    if error.type_name == "RuntimeError" and str(error).startswith(("input()", "breakpoint()")):
        return f"{str(error).partition(' ')[0]} cannot be used here, because nobody is there to type: write the value."
    if error.missing and error.missing[1] and error.missing[1] != exercise.id:
        name, section = error.missing
        return f"There is no {name}: it belongs to section [{section}] of your file, which could not be run."
    what = f": {str(error).rstrip('.')}" if str(error).strip() else ""
    where = f" on line {error.line} {'here' if error.tried else 'of your file'}" if error.line else ""
    return f"{error.type_name}{where}{what}."


# -- what is shown ------------------------------------------------------------------------------------------------


def _shown(told: Any, budget: list[int]) -> Shown:
    """A value as the learner's process tells of it (`grading.glance`). Nothing of it is trusted."""
    told = told if type(told) is dict else {}
    name, kind = _word(told.get("name"), 100), _word(told.get("type"), 80) or "value"
    budget[0] -= 1
    if told.get("kind") in ("tensor", "array"):
        return _numbers(told, name, kind)
    if told.get("kind") == "figure":
        return _figure(told, name, kind)
    if told.get("kind") == "parts" and type(told.get("parts")) is list:
        count = told["count"] if type(told.get("count")) is int else len(told["parts"])
        parts = tuple(_shown(part, budget) for part in told["parts"][:MOST] if budget[0] > 0)
        rest = f", of which the first {len(parts)} are shown" if count > len(parts) else ""
        return Shown(f"{kind} of {count}{rest}", name, parts=parts)
    text = _word(told.get("text"), 5000)
    return Shown(
        "" if not name else text if "\n" not in text else kind, name, "" if name and "\n" not in text else text
    )


def _numbers(told: dict[str, Any], name: str, kind: str) -> Shown:
    shape = told.get("shape")
    shape = [n for n in shape if type(n) is int] if type(shape) is list else []
    words = [f"{kind} {' × '.join(map(str, shape))}" if len(shape) > 1 else f"{kind} of {shape[0] if shape else 1}"]
    words.append(_word(told.get("dtype"), 30))
    if 0 in shape:
        words.append("empty")
    low, high, mean = (told.get(key) for key in ("low", "high", "mean"))
    if type(low) is type(high) is type(mean) is float and all(map(math.isfinite, (low, high, mean))):
        words.append(_number(low) if low == high else f"{_number(low)} to {_number(high)}, mean {_number(mean)}")
    if type(told.get("odd")) is int and told["odd"]:
        words.append(f"{told['odd']:,} NaN or infinite")
    if told.get("grad") is True:
        words.append("with gradient")
    picture, every = _picture(told)
    return Shown(" · ".join(filter(None, words)), name, _word(told.get("text"), 5000), picture, every)


def _picture(told: dict[str, Any]) -> tuple[Any, tuple[int, ...]]:
    """The picture and its steps, if it is one of a size that can be drawn."""
    import torch

    picture, every = told.get("picture"), told.get("every")
    if type(picture) is not torch.Tensor or picture.dtype is not torch.float32 or picture.ndim not in (1, 2, 3, 4):
        return None, ()
    if type(every) is not list or [type(k) for k in every] != [int] * picture.ndim:
        return None, ()
    if picture.ndim == 3 and (len(picture) != 3 or not 0 <= picture.nan_to_num(-1).min() <= picture.max() <= 1):
        return None, ()
    if picture.ndim == 4 and (len(picture) > 8 or picture.shape[1] != 1 or max(picture.shape[2:]) > 64):
        return None, ()
    fits = picture.numel() and max(picture.shape) <= (1024 if picture.ndim == 1 else 128)
    return (picture, tuple(every)) if fits and picture.isfinite().any() else (None, ())


def _figure(told: dict[str, Any], name: str, kind: str) -> Shown:
    """The figure, made anew here from its data; a sentence if that is none."""
    import plotly.graph_objects as go

    try:
        if len(told["json"]) > MAX_FIGURE:
            raise ValueError
        figure = go.Figure(json.loads(told["json"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Shown(f"a {kind} that cannot be drawn", name)
    return Shown(kind, name, figure=figure)


def _says_more(error: AnswerError) -> bool:
    """Whether its traceback says more than the sentence: it leads through more than one line."""
    return error.traceback.count('  File "') > 1 and error.type_name != "NotImplementedError" and error.exit is None


def _number(value: float) -> str:
    return quotes.said(value, ",.0f" if value == int(value) and abs(value) < 1e9 else ".4g")


def _word(value: Any, limit: int) -> str:
    from mi_lib.course.grading.process import clean

    return clean(value[:limit]) if type(value) is str else ""
