"""The learner's side of a grading run: execute the file section by section, then answer requests about what it defines.

    {"op": "start", source, filename, exercise, watched, refuse}   run the sections up to the exercise's
    {"op": "begin", seed}                         a new test: reseed, forget handles
    {"op": "get", name}                           something the learner defined
    {"op": "call" | "attr" | "state_dict", ...}   on an object that an earlier answer handed out by number; a call that
                                                  is watched also tells which arguments it has changed in place
    {"op": "release", id}                         forget one
    {"op": "used"}                                which of the watched library functions the learner's code has called
    {"op": "try", lines}                          run lines beside the file, ungraded: [what they show, how they failed]

Each answer is a value, or a description of an exception in plain strings. The same class serves the child process and
`--debug`, where it runs beside the judge.
"""

from __future__ import annotations
import __future__

import builtins
import linecache
import os
import random
import re
import sys
import traceback
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO

import numpy as np
import torch

from mi_lib.course import sections
from mi_lib.course.grading import glance, reading, wording
from mi_lib.course.grading.changes import Watch
from mi_lib.course.grading.codec import BadData, CannotCross, decode, encode
from mi_lib.course.grading.crossing import from_learner, to_learner
from mi_lib.course.grading.wire import Message

MODULE = "exercises"
MAX_TEXT = 2_000  # characters of an exception's text
MAX_TRACEBACK = 6_000
MAX_FRAMES = 12
_DEFINES = r"^(def|class)\s+{0}\b|^{0}\s*[:=]|^(from|import)\b.*\b{0}\b"
_FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)


class Session:
    """One learner's file, executed, and the objects that it has handed out."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet  # drop what the sections before the graded one print when they are executed
        self.filename = "exercises.py"
        self.section_starts: list[tuple[int, str]] = []  # (first line, section id), in file order
        self.broken: dict[str, dict[str, Any]] = {}  # sections that raised, by id
        self.broken_text: dict[str, str] = {}
        self.module = types.ModuleType(MODULE)
        self.objects: dict[int, Any] = {}
        self._handed_over: dict[str, Any] = {}  # watched functions themselves: a test may pass one on purpose
        self._decode_other = to_learner(self.objects, self._handed_over)
        self._next = 1
        self._flags = 0  # of the compiler, as `from __future__` in the file has set them
        self._used: dict[str, int] = {}  # watched functions that were called → first line in the learner's file

    # --- executing ---------------------------------------------------------------------------------------------

    def start(self, source: str, filename: str, exercise: str) -> dict[str, Any]:
        """Run the file's sections in order up to the exercise's. A section that fails disables only itself."""
        self.filename = filename
        self.module.__file__ = filename
        sys.modules[MODULE] = self.module
        linecache.cache[filename] = (len(source), None, re.split(r"(?<=\n)", source), filename)  # lines as Python's
        try:
            parts = sections.split(source)
        except sections.SectionError as error:
            return {"problem": str(error)}
        flags, line = 0, 1
        for name, text in parts.items():
            self.section_starts.append((line, name))
            if name in ("", "setup") or _order(name) <= _order(exercise):
                with open(os.devnull, "w") as null, _silent(null, self.quiet and name != exercise):
                    flags = self._run_section(name, text, line, flags)
            line += text.count("\n")
        self._flags = flags
        return {
            "sections": list(parts),
            "broken": self.broken,
            "defined": sorted(name for name in vars(self.module) if not name.startswith("__")),
        }

    def _run_section(self, name: str, text: str, line: int, flags: int) -> int:
        try:
            if len(text) > reading.MAX_SECTION:
                raise TooLong(wording.too_long(name or "before the first", len(text), reading.MAX_SECTION))
            # Empty lines in front keep the line numbers of the file. `from __future__` in the setup holds further down.
            code = compile("\n" * (line - 1) + text, self.filename, "exec", flags=flags, dont_inherit=True)
            flags |= code.co_flags & _FUTURES
            exec(code, vars(self.module))
        except BaseException as error:
            self.broken[name] = self.describe(error)
            self.broken_text[name] = text
        return flags

    # --- answering ---------------------------------------------------------------------------------------------

    def answer(self, message: Message) -> Message:
        """The reply to one request. Whatever the learner's code raises becomes part of the reply."""
        try:
            request = decode(message, self._decode_other)
        except Exception as error:
            return self._reply({"error": plain_error(f"{type(error).__name__}: {error}", "Undelivered")})
        try:
            value = self._serve(request)
        except BaseException as error:
            return self._reply({"error": self.describe(error)})
        try:
            reply = encode({"value": value}, from_learner(self._keep))
        except CannotCross as error:
            return self._reply(
                {"error": plain_error(f"What your code returned cannot be handed to the tests: {error}.")}
            )
        except BaseException as error:  # a __len__ or __iter__ of the learner's that raises
            return self._reply({"error": self.describe(error)})
        return reply

    def _reply(self, content: dict[str, Any]) -> Message:
        return encode(content, from_learner(self._keep))

    def _serve(self, request: dict[str, Any]) -> Any:
        op = request["op"]
        if op == "start":
            self._handed_over |= reading.watch(request["watched"], self._refuse if request["refuse"] else self._note)
            return self.start(request["source"], request["filename"], request["exercise"])
        if op == "begin":
            self.objects.clear()
            seed_everything(request["seed"])
            return None
        if op == "get":
            return self._get(request["name"])
        if op == "used":
            return [[name, line] for name, line in self._used.items()]
        if op == "try":
            return self._try(request["lines"])
        target = self.objects[request["id"]]
        if op == "call":
            return self._call(target, request["detail"])
        if op == "attr":
            return getattr(target, request["detail"])
        if op == "state_dict":
            return dict(target.state_dict())
        if op == "release":
            return self.objects.pop(request["id"], None) and None
        raise BadData(f"unknown request {op!r}")

    def _call(self, target: Any, detail: dict[str, Any]) -> Any:
        """What the call returns; where it is watched, with the arguments that it has changed in place."""
        if not detail.get("watch"):
            return target(*detail["args"], **detail["kwargs"])
        watch = Watch(detail["args"], detail["kwargs"])
        value = target(*detail["args"], **detail["kwargs"])
        return value, watch.report()

    def _try(self, lines: str) -> list[Any]:
        """Run lines in the file's own namespace. Returns what they show, and how they failed (None if they did not)."""
        shown: list[dict[str, Any]] = []

        def show(*values: Any) -> None:
            shown.extend(map(glance.describe, values[: glance.MAX_SHOWN - len(shown)]))

        try:
            glance.run(lines, vars(self.module), self._flags, show)
        except BaseException as error:
            return [shown, self.describe(error)]
        return [shown, None]

    def _get(self, name: str) -> Any:
        if name in vars(self.module):
            return vars(self.module)[name]
        raise MissingName(name)

    def _keep(self, value: Any) -> int:
        number, self._next = self._next, self._next + 1
        self.objects[number] = value
        return number

    def _refuse(self, name: str) -> None:
        raise PermissionError(f"{reading.words(name)} is what this exercise asks you to write")

    def _note(self, name: str) -> None:
        frame: types.FrameType | None = sys._getframe(2)
        while frame and frame.f_code.co_filename != self.filename:
            frame = frame.f_back
        self._used.setdefault(name, frame.f_lineno if frame else 0)

    # --- describing what went wrong ----------------------------------------------------------------------------

    def describe(self, error: BaseException) -> dict[str, Any]:
        """An exception as strings and numbers: its type, text, line in the learner's file, section and traceback."""
        own = (self.filename, glance.LINES)
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
        line, file = (lines[-1].lineno, lines[-1].filename) if lines else (None, None)
        if isinstance(error, SyntaxError) and error.filename in own:
            line, file = error.lineno, error.filename
        return {
            "type": type(error).__name__,
            "text": _text_of(error),
            "line": line,
            "tried": file == glance.LINES,
            "section": self._section_at(line) if file == self.filename else None,
            "traceback": _traceback(error, lines, own),
            "exit": _exit_code(error) if isinstance(error, SystemExit) else None,
            "memory": isinstance(error, MemoryError) or "can't allocate memory" in _text_of(error),
            "missing": self._who_defines(_missing_name(error)),
        }

    def _section_at(self, line: int | None) -> str | None:
        found = None
        for start, name in self.section_starts:
            if line is not None and start <= line:
                found = name
        return found

    def _who_defines(self, name: str | None) -> list[str] | None:
        """[name, section] if a section that could not be run would have defined this name."""
        for section, text in self.broken_text.items():
            if name and re.search(_DEFINES.format(re.escape(name)), text, re.MULTILINE):
                return [name, section]
        return [name, ""] if isinstance(name, str) else None


class TooLong(Exception):
    """A section that holds more than an answer: nobody reads it, so it is not run either."""


class MissingName(Exception):
    """The learner's file does not define a name that a test asks for."""


def seed_everything(seed: int) -> None:
    """So that a learner's random numbers are the same in every run."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def forbid_typing() -> None:
    """`input()` and `breakpoint()` say that nobody is there, instead of waiting for ever."""

    def no_input(*args: Any) -> str:
        raise RuntimeError(wording.no_input("input()"))

    def no_breakpoint(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(wording.no_input("breakpoint()"))

    builtins.input = no_input
    sys.breakpointhook = no_breakpoint


@contextmanager
def _silent(null: TextIO, active: bool) -> Iterator[None]:
    if not active:
        yield
        return
    with redirect_stdout(null), redirect_stderr(null):
        yield


def _order(section: str) -> tuple[int, ...]:
    return tuple(int(part) for part in section.split(".") if part.isdigit()) or (10**6,)


def plain_error(text: str, type_name: str = "CannotCross") -> dict[str, Any]:
    """The description of an answer that could not be handed over, or of a question that did not arrive."""
    empty = dict.fromkeys(("line", "section", "exit", "missing", "tried"))
    return {**empty, "type": type_name, "text": text, "traceback": "", "memory": False}


def _text_of(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return str(error.msg)[:MAX_TEXT]
    try:
        # str(KeyError("x")) is "'x'", with quotes that nobody wrote
        text = str(error.args[0]) if type(error) is KeyError and len(error.args) == 1 else str(error)
    except BaseException:
        return ""
    # PyTorch appends the C++ stack to some messages.
    return text.split("\nException raised from ")[0][:MAX_TEXT]


def _exit_code(error: SystemExit) -> str:
    return "" if error.code is None else str(error.code)[:80]


def _missing_name(error: BaseException) -> str | None:
    if isinstance(error, MissingName):
        return str(error.args[0])
    return error.name if isinstance(error, NameError) and isinstance(error.name, str) else None


def _traceback(error: BaseException, lines: list[traceback.FrameSummary], own: Sequence[str]) -> str:
    """The learner's own lines, innermost last, as Python prints them."""
    if isinstance(error, SyntaxError) and error.filename in own:
        return "".join(traceback.format_exception_only(error)).rstrip()[:MAX_TRACEBACK]
    if not lines:
        return ""
    shown = lines if len(lines) <= MAX_FRAMES else [*lines[: MAX_FRAMES // 2], *lines[-MAX_FRAMES // 2 :]]
    text = "".join(traceback.format_list(shown))
    if len(shown) < len(lines):
        text += f"  ({len(lines) - len(shown)} calls in between are left out)\n"
    return f"{text}{type(error).__name__}: {_text_of(error)}"[:MAX_TRACEBACK]
