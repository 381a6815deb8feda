"""`mi watch`: grade what a save touched, as soon as it is saved.

Three sources put events into one queue: the file watcher, the keyboard, and the start. The main thread takes them out
one by one, so that grading, drawing and the terminal are never touched by two at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from mi_lib.course import checking, figures, files, renewal, sections, show
from mi_lib.course.index import Chapter, CourseError, Exercise
from mi_lib.course.progress import Progress, State
from mi_lib.course.workspace import Workspace

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader, Verdict

KEYS = {"n": "next", "h": "hint", "f": "figure", "l": "list", "r": "check again", "q": "quit"}
_POLL = 0.4  # seconds between looks at the file, where the system sends no notices


class Changed(Exception):
    """The course's own code is another than when the watch began."""


class Watch:
    """The state of one `mi watch`: what is graded, which exercise is in front, and what is shown."""

    def __init__(self, workspace: Workspace, chapter: Chapter, grader: Grader, console: Console):
        self.chapter = chapter
        self.console = console
        self.grader = grader
        self.progress = Progress(workspace)
        self.figures = workspace.path / "figures"  # the folder that drawn figures are saved in
        self.file = workspace.file(chapter)
        self.text = files.read_text(self.file)
        self.verdicts: dict[str, Verdict] = {}
        self.current = checking.resume([chapter], self.progress) or chapter.exercises[-1]
        self.note = self.progress.notice

    # -- what events do -----------------------------------------------------------------------------------------

    def start(self) -> None:
        self._grade([self.current])

    def saved(self) -> None:
        """Grade what differs from the text that was graded last, and bring the first failing exercise to the front."""
        try:
            text = files.read_text(self.file)
        except CourseError as error:
            if self.file.exists():  # else an editor is in the middle of replacing it; its next notice will come
                self.note = str(error)
                self._draw()
            return
        if not text.strip() or text == self.text:
            return
        try:
            changed = touched(self.text, text, self.chapter, set(self.verdicts))
        except CourseError as error:
            self.note = str(error)
            self._draw()
            return
        self.text = text
        if changed:
            self._grade(changed)
        else:
            self._draw()

    def key(self, key: str) -> bool:
        """Do what a key asks for. False to quit."""
        if key == "q":
            return False
        if key == "n":
            following = checking.next_exercise([self.chapter], self.progress, after=self.current)
            if following is None or following.id == self.current.id:
                self.note = "This is the only exercise left." if following else "Every exercise is solved."
                self._draw()
            else:
                self.current = following
                self._grade([following])
        elif key == "h":
            self.progress.reveal_hint(self.current.id)
            self._draw()
        elif key == "f":
            self.text = files.read_text(self.file)
            self.note = self._figures(self.current)
            self._draw()
        elif key == "l":
            self._clear()
            self.console.print(show.exercises(self.chapter, self.progress.states(), self.current.id))
            self._footer()
        elif key == "r":
            self.text = files.read_text(self.file)
            self._grade([self.current])
        return True

    # -- grading and drawing ------------------------------------------------------------------------------------

    def _grade(self, exercises: list[Exercise]) -> None:
        """Grade, bring the first failing exercise to the front, and draw. Raises `Changed` where the course did."""
        if renewal.changed():
            raise Changed
        right: list[Exercise] = []
        failing: list[Exercise] = []
        for number, exercise in enumerate(exercises, start=1):
            self.console.print(Text(f"Checking {exercise.id} ({number} of {len(exercises)}) …", style="dim"))
            verdict = checking.check_text(self.grader, self.progress, exercise, self.text)
            self.verdicts[exercise.id] = verdict
            (right if verdict.passed else failing).append(exercise)
        if failing:
            self.current = failing[0]
            self.note = f"{_listed(right)} right." if right else ""
        elif right:
            self.current = self.current if self.current in right else right[-1]
            self.note = "\n".join(filter(None, [self._what_now(right), self._figures(self.current, offered=False)]))
        self._draw()

    def _figures(self, exercise: Exercise, offered: bool = True) -> str:
        """Draw what this exercise's answer draws, beside the reference's, into a file; what to say of it."""
        names = figures.following(exercise)
        if not names:
            return f"{exercise.id} has no figure that is drawn from your answer." if offered else ""
        self.console.print(Text(f"Drawing the figure of {exercise.id} …", style="dim"))
        drawn = {name: figures.draw(self.grader, exercise, name, self.text) for name in names}
        page = figures.save_page(exercise, drawn, self.figures)
        problems = [mine.problem for mine in drawn.values() if mine.problem]
        return "\n".join([*problems, f"Your figure, beside the reference's: {page}"])

    def _what_now(self, right: list[Exercise]) -> str:
        following = checking.next_exercise([self.chapter], self.progress, after=self.current)
        if following is None:
            return f"Chapter {self.chapter.number} is complete. Well done!"
        return f"{_listed(right)} right. Press n for {following.id}, {following.title}, or just begin it."

    def _draw(self) -> None:
        self._clear()
        states = self.progress.states()
        passed = sum(states.get(exercise.id, State()).passed for exercise in self.chapter.required)
        title = Text(f"{self.chapter.number} {self.chapter.title}  ", style="bold")
        self.console.print(title + show.bar(passed, len(self.chapter.required)))
        self.console.print(Text(f"{self.file}:{self._line()}\n", style="dim"))
        if self.current.id in self.verdicts:
            show.verdict(self.console, self.current, self.verdicts[self.current.id])
        show.hints(self.console, self.current, states.get(self.current.id, State()).hints_shown)
        if self.note:
            self.console.print(Text(self.note, style="bold"), soft_wrap=True)  # a path is copied in one piece
            self.note = ""
        self._footer()

    def _line(self) -> int:
        try:
            return sections.start_line(self.text, self.current.id)
        except CourseError:
            return 1

    def _footer(self) -> None:
        if self.console.is_terminal:
            shown = self.progress.state(self.current.id).hints_shown
            left = {"h": f"hint {shown + 1} of {len(self.current.hints)}"} if shown < len(self.current.hints) else {}
            idle = () if figures.following(self.current) else ("f",)
            keys = "   ".join(f"[{key}] {what}" for key, what in (KEYS | left).items() if key not in idle)
            self.console.print(Text(f"\nSave the file to check it.   {keys}", style="dim"))
        else:
            self.console.print("Waiting for the next save.")

    def _clear(self) -> None:
        if self.console.is_terminal:
            self.console.clear()


def _listed(exercises: list[Exercise]) -> str:
    return " and ".join(exercise.id for exercise in exercises) + (" is" if len(exercises) == 1 else " are")


def touched(old: str, new: str, chapter: Chapter, graded: set[str]) -> list[Exercise]:
    """The exercises that a save concerns: those whose section changed, and those already looked at that use one.

    Raises `SectionError` for a doubled marker.
    """
    before, after = sections.split(old), sections.split(new)
    changed = {name for name in after if before.get(name) != after[name]}
    if changed & {"", "setup"}:
        return [e for e in chapter.exercises if e.id in changed | graded]
    result: list[Exercise] = []
    names: set[str] = set()  # what the changed sections define
    for exercise in chapter.exercises:
        text = after.get(exercise.id, "")
        uses = exercise.id in graded and any(re.search(rf"\b{re.escape(name)}\b", text) for name in names)
        if exercise.id in changed or uses:
            result.append(exercise)
            names |= set(exercise.defines)
    return result


# -- running it -------------------------------------------------------------------------------------------------


def run(workspace: Workspace, chapter: Chapter, *, first: Exercise | None = None, poll: bool = False) -> None:
    """Watch a chapter until q or Ctrl-C, beginning with its first open exercise or the given one.

    The terminal is as before on every way out. Where the course's own code has changed, the command begins anew.
    """
    from mi_lib.course.grading import Grader

    console = Console()
    events: queue.Queue[tuple[str, str]] = queue.Queue()
    stop, anew = threading.Event(), False
    console.print(Text("Starting (the first time takes a few seconds) …", style="dim"))
    with Grader() as grader, _ended_by_signal(), _keyboard(events, stop):
        watch = Watch(workspace, chapter, grader, console)
        watch.current = first or watch.current
        _watch_file(watch.file, events, stop, poll or files.on_network(watch.file))
        try:
            watch.start()
            _loop(watch, events)
        except KeyboardInterrupt:
            pass
        except Changed:
            anew = True
        except OSError as error:
            if error.errno != errno.EIO:  # drawing on a terminal that is gone ends the watch, like its last key would
                raise
        finally:
            stop.set()
    if anew:
        console.print(Text("The course itself has changed, so the watch begins anew.", style="dim"))
        renewal.begin_anew()
    with contextlib.suppress(OSError):  # the terminal may be what ended us
        console.print("Your answers and progress are saved.")


def _loop(watch: Watch, events: queue.Queue[tuple[str, str]]) -> None:
    while True:
        kind, value = events.get()
        try:
            if kind == "saved":
                watch.saved()
            elif not watch.key(value):
                return
        except CourseError as error:
            watch.console.print(Text(str(error), style="bold"))


def _watch_file(path: Path, events: queue.Queue[tuple[str, str]], stop: threading.Event, poll: bool) -> None:
    """Report saves of a file from a thread of its own."""
    target = _poll if poll else _notified
    threading.Thread(target=target, args=(path, events, stop), daemon=True).start()


def _notified(path: Path, events: queue.Queue[tuple[str, str]], stop: threading.Event) -> None:
    """Notices from the system; where it gives none (limits, containers), polling."""
    try:
        from watchfiles import watch

        # The folder, not the file: most editors save by putting a new file in the old one's place.
        # It also yields once a second: whoever saved while the watcher was coming up would else wait for ever.
        options: dict[str, Any] = {"debounce": 200, "step": 20, "rust_timeout": 1000, "yield_on_timeout": True}
        seen = None
        for _ in watch(path.parent, stop_event=stop, raise_interrupt=False, **options):
            now = _stamp(path)
            if now != seen:
                seen = now
                events.put(("saved", ""))
        if stop.is_set():
            return
    except Exception:  # whatever the notifier stumbles over, polling works
        events.put(("saved", ""))
    _poll(path, events, stop)


def _poll(path: Path, events: queue.Queue[tuple[str, str]], stop: threading.Event) -> None:
    seen = _stamp(path)
    while not stop.wait(_POLL):
        now = _stamp(path)
        if now != seen:
            seen = now
            events.put(("saved", ""))


def _stamp(path: Path) -> Any:
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@contextlib.contextmanager
def _keyboard(events: queue.Queue[tuple[str, str]], stop: threading.Event) -> Iterator[None]:
    """Single keys, without Enter, while the terminal is ours. Without a terminal: no keys."""
    try:
        import termios
        import tty

        descriptor = sys.stdin.fileno()
        before = termios.tcgetattr(descriptor)
    except (ImportError, OSError, ValueError, termios.error):
        yield
        return
    reader = threading.Thread(target=_read_keys, args=(descriptor, events, stop), daemon=True)
    # After Ctrl-Z and `fg` the shell has put its own settings back.
    resumed = signal.signal(signal.SIGCONT, lambda *_: tty.setcbreak(descriptor))
    try:
        tty.setcbreak(descriptor)
        reader.start()
        yield
    finally:
        stop.set()
        signal.signal(signal.SIGCONT, resumed)
        reader.join(timeout=1)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _read_keys(descriptor: int, events: queue.Queue[tuple[str, str]], stop: threading.Event) -> None:
    import select

    while not stop.is_set():
        ready, _, _ = select.select([descriptor], [], [], 0.2)
        if not ready:
            continue
        try:
            data = os.read(descriptor, 32)
        except OSError:
            data = b""
        if not data:  # the terminal is gone
            events.put(("key", "q"))
            return
        for key in data.decode("utf-8", "ignore").lower():
            if key in KEYS:
                events.put(("key", key))


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end us like Ctrl-C, so that the terminal and the grader are put in order."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    names = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = [(name, signal.signal(name, interrupt)) for name in names]
    try:
        yield
    finally:
        for name, handler in before:
            signal.signal(name, handler)
