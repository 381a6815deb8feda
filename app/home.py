"""The map of the course: what is here, what is planned, how far the learner has come, and what is next."""

from __future__ import annotations

import streamlit as st

from app import common
from mi_lib.course import Chapter, CourseError, Progress, index
from mi_lib.course.checking import resume


def show() -> None:
    st.title("Mechanistic interpretability, hands on")
    st.write("You take trained networks apart, and every step is graded. Everything runs on this computer.")
    try:
        here = {chapter.number: chapter for chapter in index.chapters()}
    except CourseError as error:
        st.error(str(error))
        return
    if unknown := dict(st.query_params):
        common.lost(f"This address asks for {common.asked_for(unknown)}, and there is no such thing here.")
    progress = common.progress(common.workspace())
    _next_step(list(here.values()), progress)
    done = {exercise_id for exercise_id, state in progress.states().items() if state.passed}
    for part, title in index.parts().items():
        st.subheader(f"Part {part} · {title}", divider="gray")
        for planned in (p for p in index.syllabus() if p.part == part):
            if planned.number in here:
                _chapter(here[planned.number], done, planned.sentence)
            else:
                st.markdown(f"**{planned.number} {planned.title}** :gray-badge[planned]  \n:gray[{planned.sentence}]")


def _next_step(chapters: list[Chapter], progress: Progress) -> None:
    step = resume(chapters, progress)
    if step is None:
        st.success("You have passed every exercise that is here. Well done.")
        return
    with st.container(border=True):
        begun = "Go on with" if progress.worked_on() == step.id else "Next:"
        st.markdown(f"**{begun} {step.id} {step.title}** · about {common.minutes(step.minutes)}")
        st.caption(step.teaches)
        if st.button("Go on", type="primary", icon=":material/arrow_forward:"):
            common.open_exercise(step.chapter_number, step.id)


def _chapter(chapter: Chapter, done: set[str], sentence: str) -> None:
    passed = [e for e in chapter.required if e.id in done]
    left = sum(e.minutes for e in chapter.required if e.id not in done)
    with st.container(border=True):
        st.markdown(f"**{chapter.number} {chapter.title}**  \n{sentence}")
        share = len(passed) / len(chapter.required)
        remaining = f" · about {common.minutes(left)} to go" if left else " · finished"
        st.progress(share, f"{len(passed)} of {len(chapter.required)} exercises{remaining}")
        if st.button("Open", key=f"open-{chapter.number}", icon=":material/menu_book:"):
            common.open_exercise(chapter.number, chapter.exercises[0].id if not passed else _first_open(chapter, done))


def _first_open(chapter: Chapter, done: set[str]) -> str:
    return next((e.id for e in chapter.required if e.id not in done), chapter.exercises[0].id)
