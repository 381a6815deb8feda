"""A chapter, one step at a time: a piece of the lesson, then the exercise that it leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import streamlit as st

from app import answer_figure, common, exercise_card, home
from mi_lib.course import Chapter, CourseError, Progress, Workspace, figures, index, lesson
from mi_lib.course.lesson import Block


def show() -> None:
    try:
        chapters = index.chapters()
        wanted = st.query_params.get("chapter", chapters[0].number if chapters else "")
        chapter = index.chapter(wanted)
        steps = split(lesson.blocks(chapter))
    except CourseError as error:
        st.error(str(error))
        return
    workspace = common.workspace()
    progress = common.progress(workspace)
    at = _position(st.query_params.get("exercise", "1"), len(steps))
    _contents(chapter, steps, at, progress)
    if at == 0:
        st.title(f"{chapter.number} {chapter.title}")
        st.caption(f"{len(chapter.required)} exercises · about {common.minutes(chapter.minutes)} · {chapter.summary}")
    for block in _revealed(chapter, steps[at], progress):
        _block(chapter, block, workspace, progress)
    _onwards(chapter, steps, at)


_HEADING = re.compile(r"^##+ ", re.MULTILINE)


def _revealed(chapter: Chapter, step: list[Block], progress: Progress) -> Iterator[Block]:
    """The blocks of a step, without what would give away a question that is still open.

    After an unanswered question, its figure and the words about it wait: up to the next heading, question or exercise.
    A question that has no figure holds nothing back: its answer is its own.
    """
    answered = progress.predictions(chapter.number)
    waiting = offered = False  # offered: one question has one way past it, however many figures it holds back
    for at, block in enumerate(step):
        if block.kind == "markdown":
            text = re.sub(r"\A# .*\n", "", block.text)  # the page has the chapter's title already
            if waiting:
                heading = _HEADING.search(text)
                waiting, text = heading is None, text[heading.start() :] if heading else ""
            if text.strip():
                yield replace(block, text=text)
        elif block.kind == "figure":
            if waiting and not offered:
                waiting, offered = not st.toggle("Go on without a prediction", key=f"anyway-{block.arg}"), True
            if not waiting:
                yield block
        else:
            asked = block.kind == "predict" and block.id not in answered
            waiting, offered = asked and _has_figure(step[at + 1 :]), False
            yield block


def _has_figure(after: list[Block]) -> bool:
    """Whether a question is about a figure: one that comes before the next heading, question or exercise."""
    for block in after:
        if block.kind == "figure":
            return True
        if block.kind in ("predict", "exercise") or (block.kind == "markdown" and _HEADING.search(block.text)):
            return False
    return False


def split(blocks: list[Block]) -> list[list[Block]]:
    """Steps: each ends with an exercise and the figures that are drawn from its answer; what follows the last of these
    is a step of its own."""
    steps: list[list[Block]] = [[]]
    for block in blocks:
        own = block.follows and len(steps) > 1 and not steps[-1] and block.follows == _exercise_of(steps[-2])
        steps[-2 if own else -1].append(block)
        if block.kind == "exercise":
            steps.append([])
    return steps if steps[-1] else steps[:-1]


def _exercise_of(step: list[Block]) -> str:
    """The id of the exercise that a step leads to, "" if there is none."""
    return next((block.arg for block in step if block.kind == "exercise"), "")


def _position(text: str, steps: int) -> int:
    """?exercise=3 is the third step; "end" is the last; anything else the first."""
    if text == "end":
        return steps - 1
    return min(max(int(text), 1), steps) - 1 if text.isdecimal() else 0


def _contents(chapter: Chapter, steps: list[list[Block]], at: int, progress: Progress) -> None:
    """The table of contents in the sidebar."""
    states = progress.states()
    with st.sidebar:
        st.markdown(f"**{chapter.number} {chapter.title}**")
        passed = sum(states[e.id].passed for e in chapter.required if e.id in states)
        st.progress(passed / len(chapter.required), f"{passed} of {len(chapter.required)} passed")
        for i, step in enumerate(steps):
            exercise_id = _exercise_of(step)
            exercise = chapter.exercise(exercise_id) if exercise_id else None
            title = exercise.title if exercise else "What you have found"
            title += " (optional)" if exercise and exercise.optional else ""
            done = exercise_id in states and states[exercise_id].passed
            icon = ":material/check_circle:" if done else ":material/radio_button_unchecked:"
            icon = icon if exercise_id else ":material/flag:"
            label = f"{exercise_id.split('.')[-1]} · {title}" if exercise_id else title
            kind = "primary" if i == at else "tertiary"
            if st.button(label, key=f"toc-{i}", icon=icon, type=kind, width="stretch"):  # type: ignore[arg-type]
                _go(chapter, i, len(steps))


def _onwards(chapter: Chapter, steps: list[list[Block]], at: int) -> None:
    st.divider()
    left, right = st.columns(2)
    if at > 0 and left.button("Back", icon=":material/arrow_back:", width="stretch"):
        _go(chapter, at - 1, len(steps))
    if at + 1 < len(steps):
        if right.button("Next", icon=":material/arrow_forward:", type="primary", width="stretch"):
            _go(chapter, at + 1, len(steps))
    elif right.button("Course map", icon=":material/map:", width="stretch"):
        st.switch_page(st.Page(home.show, title="Course map", url_path="home", default=True))


def _go(chapter: Chapter, step: int, steps: int) -> None:
    last = step == steps - 1
    st.query_params.update(chapter=chapter.number, exercise="end" if last else str(step + 1))
    st.rerun()


def _block(chapter: Chapter, block: Block, workspace: Workspace, progress: Progress) -> None:
    """Show one block of the lesson."""
    if block.kind == "markdown":
        st.markdown(block.text)
    elif block.kind == "predict":
        _predict(chapter, block, progress)
    elif block.kind == "figure" and block.follows:
        answer_figure.show(chapter.exercise(block.follows), block.arg, block.text, workspace, progress)
    elif block.kind == "figure":
        _figure(chapter, block)
    elif block.kind == "exercise":
        exercise_card.show(chapter.exercise(block.arg), workspace, progress)
    else:
        icon = {"note": ":material/info:", "warning": ":material/warning:", "practice": ":material/construction:"}
        with st.expander(block.arg, icon=icon[block.kind], expanded=block.kind == "warning"):
            st.markdown(block.text)


def _predict(chapter: Chapter, block: Block, progress: Progress) -> None:
    """A question before the answer: choose first, then read why."""
    guesses = progress.predictions(chapter.number)
    with st.container(border=True):
        st.markdown(f"**Predict.** {block.arg}")
        options = [option.text for option in block.options]
        if block.id not in guesses:
            guess = st.radio(
                "Your prediction", options, index=None, key=f"guess-{block.id}", label_visibility="collapsed"
            )
            if st.button("That is my prediction", key=f"commit-{block.id}", disabled=guess is None) and guess:
                progress.predict(chapter.number, block.id, guess)
                st.rerun()
            return
        for option in block.options:
            mark = ":material/check_circle:" if option.right else ":material/radio_button_unchecked:"
            mine = " ← *your prediction*" if option.text == guesses[block.id] else ""
            st.markdown(f"{mark} {option.text}{mine}")
        st.markdown(block.text)


def _figure(chapter: Chapter, block: Block) -> None:
    try:
        drawn = figures.figure(chapter, block.arg)
    except CourseError as error:
        st.error(str(error))
        return
    st.plotly_chart(drawn, width="stretch", key=f"figure-{block.arg}", config={"displaylogo": False})
    st.caption(block.text)
