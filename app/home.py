"""The first page: something alive, who this is for, ways through the course, and the map with what is done and next."""

from __future__ import annotations

import streamlit as st

from app import common, first_minute
from mi_lib.course import Chapter, CourseError, Progress, index, paths
from mi_lib.course.checking import resume
from mi_lib.course.progress import State

EVERYTHING = "everything"
# On a phone the paths stand below each other, and in a row where there is room.
STYLE = """
@media (max-width: 640px) {
  .st-key-way.st-key-way, .st-key-way > div { width: 100% }
  .st-key-way [role=radiogroup] { display: grid; grid-template-columns: 1fr; gap: .3rem; width: 100%; max-width: none }
  .st-key-way button { width: 100%; min-height: 2.5rem; margin: 0; border-radius: .5rem }
  .st-key-way button[aria-checked=false] { border: 1px solid #8886 !important } }
"""


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
    states = progress.states()
    if states or progress.worked_on():
        _next_step(list(here.values()), progress)
        _skipped(here, states, progress)
        _found(states)
    else:
        with st.container(border=True):
            first_minute.show()
        _who(list(here.values()))
        _next_step(list(here.values()), progress)
        _placement(progress)
    way = _way(list(here.values()), progress)
    done = {exercise_id for exercise_id, state in states.items() if state.passed}
    _map(here, done, way)
    if states or progress.worked_on():
        with st.expander("The first minute, once more", icon=":material/waving_hand:"):
            if st.toggle("Wake the network", key="minute-again"):
                first_minute.show()


def _who(here: list[Chapter]) -> None:
    exercises = sum(len(chapter.required) for chapter in here)
    hours = round(sum(chapter.minutes for chapter in here) / 60)
    left, right = st.columns(2)
    left.markdown(
        "**Who this is for.** You can read Python and have seen a matrix product. You need know nothing of "
        "neural networks: chapter 01 builds one."
    )
    right.markdown(
        f"**What it takes.** A laptop, and no internet. {exercises} exercises, about {hours} hours in all, two "
        "or three evenings for each chapter. Every answer is graded at once, and a wrong one is told what is wrong."
    )


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


def _found(states: dict) -> None:
    passed = sum(state.passed for state in states.values())
    if passed:
        page = st.Page(common.elsewhere, title="What you have found", url_path=common.FOUND)
        many = f"{passed} exercise{'s' * (passed > 1)}"
        st.page_link(page, label=f"What you have found so far: {many}", icon=":material/auto_stories:")


def _placement(progress: Progress) -> None:
    """Whether the first chapter may be skipped: the learner says what they can do."""
    number, can = paths.placement()
    if not can:
        return
    skipped = progress.chosen(paths.SKIPPED) == number
    with st.expander(f"Do you need chapter {number}? Five questions", icon=":material/checklist:", expanded=skipped):
        if skipped:
            st.write(f"You begin after chapter {number}. It stays on the map.")
            if st.button(f"Begin with chapter {number} after all"):
                progress.choose(paths.SKIPPED, "")
                st.rerun()
            return
        st.write("Can you …")
        open_ones = [one for one in can if not st.checkbox(one.text, key=f"can-{one.exercise}")]
        if len(open_ones) == len(can):
            return
        if open_ones:
            which = ", ".join(one.exercise for one in open_ones)
            st.write(f"Then begin with chapter {number}. What is open is taught in {which}: you may take only these.")
        else:
            st.write(f"Then you may skip chapter {number}.")
            if st.button(f"Skip chapter {number}", type="primary"):
                progress.choose(paths.SKIPPED, number)
                st.rerun()


def _skipped(here: dict[str, Chapter], states: dict[str, State], progress: Progress) -> None:
    """Who has begun after the chapter that they skipped, and misses something, can go back to it."""
    number, _ = paths.placement()
    if progress.chosen(paths.SKIPPED) != number or number not in here:
        return
    chapter = here[number]
    if all(exercise.id in states and states[exercise.id].passed for exercise in chapter.required):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"You skip chapter {number}, {chapter.title}.", width="content")
        if st.button(f"Take chapter {number} after all", type="tertiary", icon=":material/undo:"):
            progress.choose(paths.SKIPPED, "")
            st.rerun()


def _way(here: list[Chapter], progress: Progress) -> paths.Way | None:
    """The path over the map, as the learner chooses it."""
    every = {way.name: way for way in paths.ways()}
    if not every:
        return None
    now = progress.chosen(paths.PATH)

    def title(name: str) -> str:
        if name == EVERYTHING:
            return "Everything"
        return f"{every[name].title} · {round(every[name].minutes(here) / 60)} h"

    st.html(f"<style>{STYLE}</style>")
    st.header("Ways through")
    asked = st.segmented_control(
        "Ways through",
        [EVERYTHING, *every],
        default=now if now in every else EVERYTHING,
        required=True,  # a second tap takes nothing away
        format_func=title,
        key="way",
        label_visibility="collapsed",
    )
    wanted = asked if asked in every else ""
    if wanted != (now if now in every else ""):
        progress.choose(paths.PATH, wanted)
        st.rerun()  # what is next stands above
    if wanted:
        st.caption(f"{every[wanted].question} With all that it needs: chapters {', '.join(every[wanted].chapters)}.")
    return every.get(wanted)


def _map(here: dict[str, Chapter], done: set[str], way: paths.Way | None) -> None:
    for part, title in index.parts().items():
        of_part = [p for p in index.syllabus() if p.part == part and (way is None or p.number in way.chapters)]
        if of_part:
            st.header(f"Part {part} · {title}", divider="gray")
        for planned in of_part:
            if planned.number in here:
                _chapter(here[planned.number], done, planned.sentence)
            else:
                st.markdown(f"**{planned.number} {planned.title}** :gray-badge[planned]  \n:gray[{planned.sentence}]")


def _chapter(chapter: Chapter, done: set[str], sentence: str) -> None:
    passed = [e for e in chapter.required if e.id in done]
    left = sum(e.minutes for e in chapter.required if e.id not in done)
    with st.container(border=True):
        st.markdown(f"**{chapter.number} {chapter.title}**  \n{sentence}")
        share = len(passed) / len(chapter.required)
        remaining = f" · about {common.minutes(left)} to go" if left else " · finished"
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(share, f"{len(passed)} of {len(chapter.required)} done{remaining}")
            wanted = st.button("Open", key=f"open-{chapter.number}", icon=":material/menu_book:")
        if wanted:
            common.open_exercise(chapter.number, chapter.exercises[0].id if not passed else _first_open(chapter, done))


def _first_open(chapter: Chapter, done: set[str]) -> str:
    return next((e.id for e in chapter.required if e.id not in done), chapter.exercises[0].id)
