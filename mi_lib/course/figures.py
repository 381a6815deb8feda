"""A chapter's figures: functions of its `figures.py`, which is trusted code of the course.

A function without a parameter draws from the bundled models and their cards. One with a parameter, `def f(answer)`,
draws from the answers to exercises: `answer.name` is what somebody wrote under that name, as in a test of a grader.

    figure(chapter, "f")                  drawn from the reference's functions
    draw(grader, exercise, "f", text)     from a learner's file: their code runs in a process of its own, confined as
                                          when it is graded. It gets data and returns data, and the figure is made here
    draw_here(exercise, "f", names)       from functions of this process, as in a notebook

A learner's answer may raise, hang or return nonsense. Then a `Drawn` has a sentence in place of a figure.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_lib.course import files, lesson, modules, sections
from mi_lib.course.index import Chapter, CourseError, Exercise

if TYPE_CHECKING:
    from mi_lib.course.grading import Grader
    from mi_lib.course.grading.marks import GraderTest

MAX_BYTES = 4_000_000  # of a figure drawn from an answer: one with far too many points stalls a browser


@dataclass(frozen=True)
class Drawn:
    """A Plotly figure drawn from somebody's answer, or None and the sentence that says why not; or both, if the figure
    could be drawn although something about the answer is wrong."""

    figure: Any
    problem: str = ""


def names(chapter: Chapter) -> list[str]:
    """The figures of a chapter, found without running anything."""
    return [node.name for node in _functions(chapter)]


def take_an_answer(chapter: Chapter) -> set[str]:
    """Those of them that are drawn from the answers to exercises."""
    return {node.name for node in _functions(chapter) if node.args.args}


def following(exercise: Exercise) -> list[str]:
    """The figures that the lesson draws from the answer to this exercise, in its order; none if it cannot be read."""
    try:
        return [block.arg for block in lesson.blocks(exercise.chapter) if block.follows == exercise.id]
    except CourseError:
        return []


def figure(chapter: Chapter, name: str) -> Any:
    """Draw one figure (a Plotly figure); where it takes an answer, the reference's.

    Raises `CourseError` for a name that the chapter does not have, and where a copy of the course that came without
    solutions has no reference to draw from.
    """
    function = _function(chapter, name)
    return function(_reference(chapter)) if name in take_an_answer(chapter) else function()


def draw(grader: Grader, exercise: Exercise, name: str, text: str) -> Drawn:
    """The figure `name`, drawn from a learner's file that holds at least the sections up to this exercise.

    Their functions run in a process of their own, under the limits of the exercise. Nothing is graded or recorded.
    """
    try:
        sections.get(text, exercise.id)
    except sections.SectionError as error:
        return Drawn(None, str(error))
    test, held = _as_test(exercise, name)
    verdict = grader.grade(text, exercise, tests_from=lambda _: [test])
    return Drawn(held[0] if held else None, verdict.diagnosis)


def draw_here(exercise: Exercise, name: str, namespace: Mapping[str, Any]) -> Drawn:
    """The same from functions of this process, which are the caller's own code: no limits, no isolation."""
    from mi_lib.course.grading.contract import contract_of
    from mi_lib.course.grading.here import Local
    from mi_lib.course.grading.running import Loaded, run_test

    missing = [wanted for wanted in exercise.defines if wanted not in namespace]
    if missing:
        return Drawn(None, f"There is no {missing[0]} yet. Run the cell of exercise {exercise.id} first.")
    line = Local()
    vars(line.session.module).update(namespace)
    test, held = _as_test(exercise, name)
    outcome = run_test(test, line, Loaded([exercise.id], {}), contract_of(exercise.chapter.folder))
    return Drawn(held[0] if held else None, outcome.result.message)


def save_page(exercise: Exercise, drawn: Mapping[str, Drawn], folder: Path) -> Path:
    """Write the figures of an exercise (name -> drawn from the learner's answer) beside the reference's, as a page
    that opens in any browser, without a network. Returns its path."""
    from plotly.offline import get_plotlyjs

    script = folder / "plotly.min.js"
    if not script.exists():
        files.write_atomically(script, get_plotlyjs())
    rows = [_row(exercise.chapter, name, mine) for name, mine in drawn.items()]
    title = html.escape(f"{exercise.id} {exercise.title}")
    page = folder / f"{exercise.id}.html"
    files.write_atomically(page, _PAGE.format(title=title, rows="\n".join(rows)))
    return page


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><script src="plotly.min.js"></script>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 1400px; padding: 0 1rem; color: #222;
       background: #fff; }}
.row {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)); gap: 1rem; }}
figure {{ margin: 0; min-width: 0; }} figcaption {{ font-weight: 600; }}
</style></head><body><h1>{title}</h1>
{rows}
</body></html>
"""


def _row(chapter: Chapter, name: str, mine: Drawn) -> str:
    parts = [("Drawn from your answer", mine)]
    try:
        parts.append(("Drawn from the reference's", Drawn(figure(chapter, name))))
    except CourseError as error:
        parts.append(("Drawn from the reference's", Drawn(None, str(error))))
    shown = []
    for caption, drawn in parts:
        inside = f"<p>{html.escape(drawn.problem)}</p>" if drawn.problem else ""
        if drawn.figure is not None:
            # The letters of a figure are dark on nothing: the page behind it is white.
            inside += drawn.figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True})
        shown.append(f"<figure><figcaption>{caption}</figcaption>{inside}</figure>")
    return f'<div class="row">{"".join(shown)}</div>'


# -- how ----------------------------------------------------------------------------------------------------------


def _functions(chapter: Chapter) -> list[Any]:
    found = modules.functions(chapter.folder / "figures.py")
    return [function for function in found if not function.name.startswith("_")]


def _function(chapter: Chapter, name: str) -> Callable[..., Any]:
    if name not in names(chapter):
        raise CourseError(f"Chapter {chapter.number} has no figure {name!r}. It has: {', '.join(names(chapter))}.")
    return getattr(modules.load(chapter.folder / "figures.py"), name)


def _reference(chapter: Chapter) -> Any:
    """The reference's functions: code of the course, which runs here."""
    path = chapter.solutions_folder / "exercises.py"
    if not path.is_file():
        raise CourseError("This copy of the course came without solutions, so there is no figure to compare with.")
    return modules.load(path)


def _as_test(exercise: Exercise, name: str) -> tuple[GraderTest, list[Any]]:
    """The figure as a test that a grader can run, and the list into which it puts what it has drawn."""
    from mi_lib.course.grading.expectations import Wrong
    from mi_lib.course.grading.forkserver import ServerGone
    from mi_lib.course.grading.marks import GraderTest
    from mi_lib.course.grading.process import AnswerError, Stopped

    function, held = _function(exercise.chapter, name), []

    def draws(answer: Any) -> None:
        try:
            drawn = function(answer)
            size = len(drawn.to_json())
        except (Wrong, AnswerError, Stopped, ServerGone):
            raise  # the grading engine has the words for these
        except Exception as error:  # the reference's answer draws it (the build check has tried): the data are odd
            what = f"{type(error).__name__}: {error}".rstrip(".")
            raise Wrong(f"From what your answer returns this figure cannot be drawn ({what}).") from None
        if size > MAX_BYTES:
            raise Wrong(
                f"From what your answer returns this figure would take {size / 1e6:.0f} MB, too much for a "
                "browser. Look at the shapes of your results."
            )
        held.append(drawn)

    return GraderTest(exercise.id, name, name, 1.0, draws, exercise.chapter.folder / "figures.py"), held
