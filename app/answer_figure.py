"""A figure drawn from the learner's own answer, beside the same figure drawn from the reference's."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import common, opening
from mi_lib.course import Chapter, CourseError, Exercise, Progress, Workspace, figures, index, sections


@st.fragment
@common.guarded
def show(exercise: Exercise, name: str, caption: str, workspace: Workspace, progress: Progress) -> None:
    """After a pass it is drawn at once, before it on request. A fragment: to draw it leaves the rest of the page alone.

    What was drawn is kept until the answer, or one before it, is another text.
    """
    kept = st.session_state.setdefault(f"answer-figure-{name}", {"wanted": False, "text": None, "drawn": None})
    with st.container(border=True):
        if caption:
            st.caption(caption)
        passed = progress.state(exercise.id).passed
        offer = st.empty()  # a place of its own, which is empty as soon as the drawing begins
        if not (passed or kept["wanted"]):
            with offer.container():
                st.write(f"This figure is drawn by your own code, once you have passed {exercise.id}.")
                st.button(
                    "Draw it now all the same",
                    key=f"draw-{name}",
                    on_click=common.caught(_note),
                    args=(kept, "wanted", True),
                )
            return
        offer.empty()
        mine, reference = st.columns(2) if _fits_beside(exercise, name) else (st.container(), st.container())
        with mine:
            st.markdown("**Drawn from your answer**")
            _mine(exercise, name, workspace, kept)
        with reference:
            st.markdown("**Drawn from the reference's**")
            _reference(exercise, name)
        st.button(
            "Draw it again",
            key=f"again-{name}",
            icon=":material/refresh:",
            type="tertiary",
            on_click=common.caught(_note),
            args=(kept, "text", None),
        )


def _fits_beside(exercise: Exercise, name: str) -> bool:
    """Whether two of this figure have room side by side, so that nothing of them has to be scrolled into view."""
    try:
        meta = drawn_by_the_course(exercise.chapter, name).layout.meta
    except CourseError:
        return True
    return not (isinstance(meta, dict) and meta.get("least"))


def _note(kept: dict[str, Any], key: str, value: Any) -> None:
    kept[key] = value


def _mine(exercise: Exercise, name: str, workspace: Workspace, kept: dict[str, Any]) -> None:
    try:
        text = workspace.text(exercise.chapter)
        used = _up_to(text, exercise.id)
    except CourseError as error:
        st.warning(str(error))
        return
    if kept["text"] != used:
        with st.spinner("Your code is computing the figure …"), common.checks().grader() as grader:
            opening.settled()
            kept.update(drawn=figures.draw(grader, exercise, name, text), text=used)
    drawn: figures.Drawn = kept["drawn"]
    if drawn.problem:
        st.warning(drawn.problem, icon=":material/edit:")
    if drawn.figure is not None:
        common.chart(drawn.figure, key=f"mine-{name}")


def _reference(exercise: Exercise, name: str) -> None:
    try:
        drawn = drawn_by_the_course(exercise.chapter, name)
    except CourseError as error:
        st.caption(str(error))
        return
    common.chart(drawn, key=f"reference-{name}")


def drawn_by_the_course(chapter: Chapter, name: str) -> Any:
    """A figure of a chapter, drawn once for the server; where it takes an answer, from the reference's.

    Raises `CourseError` as `figures.figure` does.
    """
    paths = (chapter.folder / "figures.py", chapter.solutions_folder / "exercises.py")
    stamps = tuple(path.stat().st_mtime_ns for path in paths if path.is_file())
    return _drawn(chapter.number, name, stamps)


@st.cache_resource(max_entries=256, show_spinner="Drawing the figure …")
def _drawn(number: str, name: str, stamps: tuple[int, ...]) -> Any:
    """(Drawn anew when one of its files has changed. `common.chart` shows a copy.)"""
    opening.settled()
    return figures.figure(index.chapter(number), name)


def _up_to(text: str, exercise_id: str) -> str:
    """The sections of a file that the answer to an exercise may use: those up to its own."""
    parts = sections.split(text)
    used = []
    for name, section in parts.items():
        used.append(section)
        if name == exercise_id:
            break
    return "".join(used)
