"""Checks beside each other, each in a thread with a grader of its own.

An endless loop in one holds up no other, and can be stopped.

checks = Checks()
running = checks.start(progress, exercise("02.5"), text_of_the_whole_file)
running.wait(0.5)          # True if it is done by then
running.stop()             # the verdict then says so, and counts as no attempt
running.verdict
checks.play(exercise("02.5"), text, "1 + 1").tried  # once it is done: what these lines give, without a grade
checks.warm(chapter("02"))  # so that the first check there need not load anything
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mi_lib.course import trying
from mi_lib.course.checking import check_text
from mi_lib.course.grading import Grader, judge
from mi_lib.course.index import Chapter, CourseError, Exercise
from mi_lib.course.progress import Progress

if TYPE_CHECKING:
    from mi_lib.course.grading import Verdict
    from mi_lib.course.trying import Tried

SPARE_AFTER = 1.0  # seconds that a check may keep the last free grader before another is started
_LOG = logging.getLogger(__name__)


class Running:
    """One check or scratch run that is under way or done.

    `verdict` (of a check) or `tried` (of a scratch run) is None until then, or if `problem` says why there is none.
    """

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self.tried: Tried | None = None
        self.problem = ""
        self._begun = time.monotonic()
        self._halt = threading.Event()
        self._done = threading.Event()

    @property
    def seconds(self) -> float:
        """How long ago it began."""
        return time.monotonic() - self._begun

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for it, so long at most. Whether it is done."""
        return self._done.wait(seconds)

    def stop(self) -> None:
        """End the learner's code within about a tenth of a second."""
        self._halt.set()


class Checks:
    """Graders for as many checks as run at once. One stays warm; others end when they are no longer needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = [Grader()]
        self._warm: dict[str, threading.Thread] = {}
        self._used = False  # has any check come to its end?

    @property
    def loading(self) -> bool:
        """Whether a check would have to wait until something is loaded, as far as that can be known."""
        return not self._used or any(thread.is_alive() for thread in list(self._warm.values()))

    def warm(self, chapter: Chapter) -> None:
        """Load in the background what the first check in this chapter needs, unless that was done before."""
        with self._lock:
            if chapter.number in self._warm:
                return
            thread = threading.Thread(target=self._prepare, args=(chapter,), daemon=True)
            self._warm[chapter.number] = thread
        thread.start()

    @staticmethod
    def _prepare(chapter: Chapter) -> None:
        try:
            judge.prepare(chapter.folder)
        except Exception:  # the first check will meet it again, and say so in its verdict
            _LOG.exception("the tests of chapter %s cannot be loaded", chapter.number)

    def start(self, progress: Progress, exercise: Exercise, text: str) -> Running:
        """Check this text of the chapter's file in the background; the verdict is recorded as `check_text` does it."""
        running = Running()

        def check(grader: Grader) -> None:
            running.verdict = check_text(grader, progress, exercise, text, running._halt)

        threading.Thread(target=self._run, args=(running, exercise, check), daemon=True).start()
        return running

    def play(self, exercise: Exercise, text: str, lines: str) -> Running:
        """Try lines beside this text of the chapter's file in the background (`trying.run`). Nothing is recorded."""
        running = Running()

        def play(grader: Grader) -> None:
            running.tried = trying.run(grader, exercise, text, lines, running._halt)

        threading.Thread(target=self._run, args=(running, exercise, play), daemon=True).start()
        return running

    def close(self) -> None:
        """End the graders that are free."""
        with self._lock:
            for grader in self._idle:
                grader.close()
            self._idle.clear()

    @contextmanager
    def grader(self) -> Iterator[Grader]:
        """A grader for as long as the block lasts, which no other has meanwhile."""
        grader = self._take()
        spare = threading.Timer(SPARE_AFTER, self._have_one)
        spare.daemon = True
        spare.start()
        try:
            yield grader
        finally:
            spare.cancel()
            self._give_back(grader)

    def _run(self, running: Running, exercise: Exercise, work: Callable[[Grader], None]) -> None:
        try:
            with self.grader() as grader:
                work(grader)
        except CourseError as error:
            running.problem = str(error)
        except Exception as error:
            _LOG.exception("a run of %s raised", exercise.id)
            running.problem = f"This broke, by a fault of the course and not of yours: {error}"
        finally:
            self._used = True
            running._done.set()

    def _take(self) -> Grader:
        with self._lock:
            return self._idle.pop() if self._idle else Grader()

    def _have_one(self) -> None:
        with self._lock:
            if not self._idle:
                self._idle.append(Grader())

    def _give_back(self, grader: Grader) -> None:
        with self._lock:
            if not self._idle:
                self._idle.append(grader)
                return
        grader.close()
