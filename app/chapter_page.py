"""A chapter, one step at a time: a piece of the lesson, then the exercise that it leads to."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import streamlit as st

from app import answer_figure, common, exercise_card, explorers
from app.glossary import ADDRESS
from mi_lib.course import Chapter, CourseError, Progress, Workspace, glossary, index, lesson
from mi_lib.course.checking import resume
from mi_lib.course.lesson import Block
from mi_lib.course.progress import State

CROWD = 16  # names of points that a phone can hold


def show() -> None:
    workspace = common.workspace()
    progress = common.progress(workspace)
    try:
        chapter, steps, at = _wanted(progress)
    except CourseError as error:
        common.lost(str(error), common.go_home)
        return
    st.session_state["place"] = {"chapter": chapter.number, "exercise": _name(at, len(steps))}
    _contents(chapter, steps, at, progress)
    if at == 0:
        st.title(f"{chapter.number} {chapter.title}")
        st.caption(f"{len(chapter.required)} exercises · about {common.minutes(chapter.minutes)} · {chapter.summary}")
        _explorers(chapter)  # here and at the end too: a phone folds the sidebar away
    before = ""
    for block in _revealed(chapter, steps[at], progress):
        if before == "exercise":
            st.divider()  # what the exercise has shown stands below it
        _block(chapter, block, workspace, progress)
        before = block.kind
    if at + 1 == len(steps):
        _end(chapter, steps, progress)
    _onwards(chapter, steps, at)
    common.checks().warm(chapter)


def _wanted(progress: Progress) -> tuple[Chapter, list[list[Block]], int]:
    """The chapter, its steps, and the step that the address names; without an address, where the learner was.

    Raises `CourseError` for an address that leads nowhere.
    """
    address = dict(st.query_params)
    if unknown := {name: value for name, value in address.items() if name not in ("chapter", "exercise")}:
        raise CourseError(f"This address asks for {common.asked_for(unknown)}, and there is no such thing here.")
    address = address or _place(progress)
    named = address.get("exercise", "1")
    number, _, position = named.rpartition(".")  # 02.5 is as good as 5
    chapter = index.chapter(address.get("chapter", number or "1"))
    steps = lesson.steps(glossary.linked(lesson.blocks(chapter), glossary.of(chapter), ADDRESS))
    if number and number.zfill(2) != chapter.number:
        raise CourseError(f"{named} is no exercise of chapter {chapter.number}.")
    return chapter, steps, _position(chapter, position, steps)


def _place(progress: Progress) -> dict[str, str]:
    """Where the learner was: in this tab, else where they worked last, else at the beginning."""
    chapters = index.chapters()
    if kept := st.session_state.get("place"):
        return kept
    following = resume(chapters, progress)
    if following is None:
        return {"chapter": chapters[-1].number if chapters else "1", "exercise": "end"}
    return {"chapter": following.chapter_number, "exercise": following.id}


_HEADING = re.compile(r"^##+ ", re.MULTILINE)


def _revealed(chapter: Chapter, step: list[Block], progress: Progress) -> Iterator[Block]:
    """The blocks of a step, without what would give away a question that is still open.

    After an unanswered question, its figure and the words about it wait: up to the next heading or question. They wait
    behind an exercise too, for what it shows is often what was asked. One way past the question is offered, beside what
    it shows: below the question, or where an exercise comes next, behind that.
    """
    answered = progress.predictions(chapter.number)
    waiting = offered = False  # offered: one question has one way past it, however much it holds back
    question = between = ""  # between: the exercise that stands between a question and what waits for it
    for at, block in enumerate(step):
        if waiting and between and not offered and block.kind != "exercise" and _about(step[at:]):
            label = f"Go on without a prediction (the question above {between})"
            waiting, offered = not st.toggle(label, key=f"anyway-{question}"), True
        if block.kind == "markdown":
            text = re.sub(r"\A# .*\n", "", block.text)  # the page has the chapter's title already
            if waiting:
                heading = _HEADING.search(text)
                waiting, text = heading is None, text[heading.start() :] if heading else ""
            if text.strip():
                yield replace(block, text=text)
        elif block.kind == "predict":
            waiting, between, question = block.id not in answered, "", block.id
            yield block
            after = step[at + 1 :]
            offered = waiting and bool(_about(after) - {"exercise"}) and after[0].kind != "exercise"
            if offered:
                waiting = not st.toggle("Go on without a prediction", key=f"anyway-{question}")
        elif block.kind == "exercise" or not waiting:
            between = block.arg if block.kind == "exercise" else between
            yield block


def _about(after: list[Block]) -> set[str]:
    """The kinds of the blocks after a question, up to the next heading or question."""
    kinds: set[str] = set()
    for block in after:
        heading = _HEADING.search(block.text) if block.kind == "markdown" else None
        if block.kind == "predict" or (heading and not block.text[: heading.start()].strip()):
            break
        kinds.add(block.kind)
        if heading:
            break
    return kinds


def _position(chapter: Chapter, text: str, steps: list[list[Block]]) -> int:
    """The step of exercise 3; "end" is the last. Raises `CourseError` if there is no such step."""
    if text == "end":
        return len(steps) - 1
    if not text.isdecimal() or not 1 <= int(text) <= len(chapter.exercises):
        first, last = chapter.exercises[0].id, chapter.exercises[-1].id
        raise CourseError(f"Chapter {chapter.number} has no exercise {text!r}. It has {first} to {last}.")
    wanted = f"{chapter.number}.{int(text)}"
    return next(at for at, step in enumerate(steps) if lesson.exercise_of(step) == wanted)


def _name(step: int, steps: int) -> str:
    """What the address calls a step."""
    return "end" if step == steps - 1 else str(step + 1)


def _contents(chapter: Chapter, steps: list[list[Block]], at: int, progress: Progress) -> None:
    """The table of contents in the sidebar."""
    states = progress.states()
    with st.sidebar:
        st.markdown(f"**{chapter.number} {chapter.title}**")
        passed = sum(states[e.id].passed for e in chapter.required if e.id in states)
        st.progress(passed / len(chapter.required), f"{passed} of {len(chapter.required)} passed")
        with st.container(key="contents"):
            for i, step in enumerate(steps):
                _content(chapter, step, i, at, len(steps), states)
        _explorers(chapter)


def _explorers(chapter: Chapter) -> None:
    for path in explorers.of(chapter.number):
        explorers.link(path)


def _content(chapter: Chapter, step: list[Block], i: int, at: int, steps: int, states: dict[str, State]) -> None:
    """One line of the table of contents."""
    exercise = chapter.exercise(lesson.exercise_of(step)) if lesson.exercise_of(step) else None
    label, icon = "The end of the chapter", ":material/flag:"
    if exercise:
        optional = " (optional)" if exercise.optional else ""
        label = f"{exercise.id.split('.')[-1]} · {exercise.title}{optional}"
        done = states.get(exercise.id, State()).passed
        icon = ":material/check_circle:" if done else ":material/radio_button_unchecked:"
    kind = "primary" if i == at else "tertiary"
    go = functools.partial(_go, chapter, i, steps)
    st.button(label, key=f"toc-{i}", icon=icon, type=kind, width="stretch", on_click=common.caught(go))  # type: ignore[arg-type]


def _end(chapter: Chapter, steps: list[list[Block]], progress: Progress) -> None:
    """What was passed, what is open, and the next chapter."""
    states = progress.states()
    open_ones = [e for e in chapter.required if not states.get(e.id, State()).passed]
    passed, most = len(chapter.required) - len(open_ones), len(chapter.required)
    if not open_ones:
        st.success(f"You have passed all {most} exercises of this chapter.", icon=":material/celebration:")
    else:
        st.info(f"You have passed {passed} of the {most} exercises of this chapter. These are open:")
        with st.container(horizontal=True):
            for exercise in open_ones:
                at = next(i for i, step in enumerate(steps) if lesson.exercise_of(step) == exercise.id)
                go = functools.partial(_go, chapter, at, len(steps))
                st.button(f"{exercise.id} {exercise.title}", key=f"open-{exercise.id}", on_click=common.caught(go))
    _explorers(chapter)
    following = next((c for c in index.chapters() if c.number > chapter.number), None)
    if following:
        with st.container(border=True):
            st.markdown(f"**Next chapter: {following.number} {following.title}** · {common.minutes(following.minutes)}")
            st.caption(following.summary)
            st.button(
                f"Open chapter {following.number}",
                key="next-chapter",
                icon=":material/arrow_forward:",
                type="secondary" if open_ones else "primary",
                on_click=common.caught(lambda: st.query_params.update(chapter=following.number, exercise="1")),
            )


def _onwards(chapter: Chapter, steps: list[list[Block]], at: int) -> None:
    st.divider()
    left, right = st.columns(2)
    go = functools.partial(_go, chapter, steps=len(steps))
    if at > 0:
        left.button(
            "Back",
            icon=":material/arrow_back:",
            width="stretch",
            on_click=common.caught(go),
            kwargs={"step": at - 1},
        )
    if at + 1 < len(steps):
        right.button(
            "Next",
            icon=":material/arrow_forward:",
            type="primary",
            width="stretch",
            on_click=common.caught(go),
            kwargs={"step": at + 1},
        )
    elif right.button("Course map", icon=":material/map:", width="stretch"):
        common.go_home()


def _go(chapter: Chapter, step: int, steps: int) -> None:
    """What a tap on Next, Back or the contents does: in a callback, before anything of the old step is drawn again."""
    st.query_params.update(chapter=chapter.number, exercise=_name(step, steps))


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
        drawn = answer_figure.drawn_by_the_course(chapter, block.arg)
    except CourseError as error:
        st.error(str(error))
        return
    with common.scrolled(f"room-{block.arg}", 640) if _crowded(drawn) else nullcontext():
        common.chart(drawn, key=f"figure-{block.arg}")
    st.caption(block.text)


def _crowded(figure: Any) -> bool:
    """Whether so many points have their names beside them that in a narrow page these would lie upon each other."""
    named = [trace for trace in figure.data if trace.type == "scatter" and "text" in (trace.mode or "")]
    named = [trace for trace in named if trace.meta != "placed"]  # for the names of a ring, room was looked for
    return sum(bool(text) for trace in named for text in trace.text) > CROWD
