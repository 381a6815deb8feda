"""The scratch cell under an exercise: lines are tried beside the answer, and nothing is graded.

What is typed is kept in the workspace (`Workspace.scratch`), as it is typed; `mi try 02.5` runs the same lines.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import common
from app.editor import editor
from mi_lib.course import CourseError, Exercise, Workspace, first_lines, sections
from mi_lib.course.checks import Running
from mi_lib.course.trying import Shown, Tried

USUALLY = 0.6  # seconds in which most runs are done; the page waits so long before it shows a clock
MAX_PICTURES = 3  # of the parts of one value; of more, the lines that describe them are the better view


@common.guarded
def show(exercise: Exercise, workspace: Workspace, imports: str) -> None:
    """imports: what the file imports of the library.

    Part of the card's fragment: what is typed here and in the answer above reaches Python in one message."""
    kept = st.session_state.get(f"scratch-{exercise.id}") or _begin(exercise)
    st.markdown("**Try it out** :gray[· lines that run after your file, without a grade]")
    text = _text(exercise, workspace, kept)
    name = f"scratch-editor-{exercise.id}"
    editor(
        name,
        f"{workspace.path.resolve()}#{exercise.id}#scratch",
        text.rstrip("\n"),
        sections.version(text),
        1,
        0,
        kept["heard"],
        hold=False,
        on_draft=common.caught(lambda: _keep(exercise, workspace, kept, st.session_state[name].get("draft"))),
        on_check=common.caught(lambda: _run(exercise, workspace, kept, st.session_state[name].get("check"))),
        action="Run",
        outcome="tried",
        label="Lines to try",
        imports=imports,
    )
    if kept["running"] is not None and kept.pop("begun", False):
        with st.spinner("Running …"):
            kept["running"].wait(USUALLY)
    if kept["running"] is not None and kept["running"].done:
        running, kept["running"] = kept["running"], None
        kept.update(problem=running.problem, tried=running.tried, count=kept["count"] + 1)
    if kept["problem"]:
        st.error(kept["problem"])
    if kept["running"] is not None:
        _under_way(kept["running"], exercise)
    elif kept["tried"] is not None:
        with st.container(key=f"tried-{exercise.id.replace('.', '-')}-{kept['count']}"):
            _tried(kept["tried"], exercise.id)


def _begin(exercise: Exercise) -> dict[str, Any]:
    """What the page keeps of a scratch cell."""
    kept: dict[str, Any] = {"heard": None, "mine": set(), "running": None, "tried": None, "problem": "", "count": 0}
    kept["first"] = first_lines.of(exercise)
    st.session_state[f"scratch-{exercise.id}"] = kept
    return kept


def _text(exercise: Exercise, workspace: Workspace, kept: dict[str, Any]) -> str:
    """The lines that are kept, or those that are there at first."""
    try:
        text = workspace.scratch_text(exercise)
    except CourseError as error:
        kept["problem"] = str(error)
        return ""
    return kept["first"] if text is None else text


def _keep(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], draft: dict[str, Any] | None) -> None:
    """Write what was typed. What another editor has written there meanwhile goes into the backups first."""
    if not draft or draft["number"] < (kept["heard"] or 0):
        return  # Streamlit hands over a run before a draft that came with it, though the draft is older
    kept.update(heard=draft["number"], problem="")
    try:
        now = workspace.scratch_text(exercise)
        there = sections.version(now or "")
        base = there if there in kept["mine"] else draft["base"]
        kept["mine"].add(workspace.write_scratch(exercise, draft["text"], base))
    except CourseError as error:
        kept["problem"] = str(error)


def _run(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], sent: dict[str, Any] | None) -> None:
    """Begin to run the lines that came with the tap. A run that is under way ends."""
    if not sent:
        return
    _keep(exercise, workspace, kept, sent)
    if kept["running"] is not None:
        kept["running"].stop()
    try:
        whole = workspace.text(exercise.chapter)
    except CourseError as error:
        kept["problem"] = str(error)
        return
    kept.update(running=common.checks().play(exercise, whole, sent["text"]), begun=True)


@st.fragment(run_every=0.3)
@common.guarded
def _under_way(running: Running, exercise: Exercise) -> None:
    """The wait for lines that take longer, with a way to end them."""
    if running.done:
        st.rerun()
    key = exercise.id.replace(".", "-")
    with st.container(horizontal=True, vertical_alignment="center", key=f"waiting-scratch-{key}"):
        name = f"stop-scratch-{key}"
        st.button("Stop", key=name, icon=":material/stop_circle:", on_click=common.caught(running.stop))
        st.markdown(f"Running … **{running.seconds:.0f} s**")
    told = f"These lines may take {exercise.time_limit:g} seconds, as your answer may."
    if running.seconds > exercise.time_limit:
        told += f" {common.busy(exercise.time_limit)}"
    st.caption(told)


def _tried(tried: Tried, key: str) -> None:
    """What came of it: what was printed, what is shown, what went wrong."""
    if tried.notice:
        st.warning(common.literal(tried.notice), icon=":material/edit:")
    if tried.printed:
        st.code(tried.printed, language=None, height=300 if tried.printed.count("\n") > 12 else "content")
    for i, value in enumerate(tried.shown):
        _shown(value, f"{key}-{i}")
    if tried.stopped:
        st.info(tried.problem, icon=":material/stop_circle:")
    elif tried.problem:
        st.error(common.literal(tried.problem), icon=":material/error:")
    elif not tried.printed and not tried.shown:
        st.caption(
            "It ran to its end. Nothing was printed, and the last line has no value to show. End with the name of what "
            "you want to see."
        )
    if tried.traceback:
        with st.expander("Where it happened"):
            st.code(tried.traceback, language="python")


def _shown(value: Shown, key: str, pictures: bool = True) -> None:
    """One value: its line, then what is written, drawn or held by it."""
    if value.text and value.figure is None:
        name = f"`{value.name}` " if value.name else ""
        st.markdown(f"{name}{common.literal(value.text)}")
    if value.figure is not None:
        _drawn(value, key)
    elif value.picture is not None and pictures and not _written(value):
        from mi_lib import plots  # Plotly: only where something is drawn

        bare = {"displayModeBar": False}  # the buttons would lie over so low a picture
        common.chart(plots.glance(value.picture, value.every), key=f"picture-{key}", config=bare)
    if value.more and (value.picture is None or not pictures or _written(value)):
        st.code(value.more, language=None, wrap_lines=True)
    few = sum(part.picture is not None for part in value.parts) <= MAX_PICTURES
    for i, part in enumerate(value.parts):
        _shown(part, f"{key}-{i}", few)


def _written(value: Shown) -> bool:
    """Whether it is a row of a few numbers: these are read, and a line through two of them says less."""
    return bool(value.more) and value.picture is not None and value.picture.ndim == 1


def _drawn(value: Shown, key: str) -> None:
    """A figure of the learner's own, which may hold anything that Plotly lets pass."""
    try:
        common.chart(value.figure, key=f"drawn-{key}")
    except Exception as error:
        st.warning(f"This figure cannot be drawn ({type(error).__name__}).")
