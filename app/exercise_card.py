"""One exercise on the page: editor, Check, verdict, hints, solution. The answer is the file in the workspace."""

from __future__ import annotations

import datetime
import functools
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from app import common, scratch_cell
from app.editor import editor
from mi_lib.course import Conflict, CourseError, Exercise, Progress, Workspace, library, sections, solution
from mi_lib.course.checks import Running
from mi_lib.course.grading import Verdict

USUALLY = 0.6  # seconds in which nearly every verdict is there; the page waits so long before it shows a clock


def show(exercise: Exercise, workspace: Workspace, progress: Progress) -> None:
    st.subheader(f"{exercise.id} {exercise.title}", anchor=f"exercise-{exercise.id.replace('.', '-')}")
    passed = ":green-badge[:material/check: passed] " if progress.state(exercise.id).passed else ""
    st.caption(
        f"{passed}{'●' * exercise.difficulty}{'○' * (5 - exercise.difficulty)} difficulty · "
        f"{'●' * exercise.importance}{'○' * (5 - exercise.importance)} importance · about {exercise.minutes} min · "
        f"{exercise.points} points{' · optional' if exercise.optional else ''}"
    )
    _card(exercise, workspace, progress)


@st.fragment(run_every=2)
@common.guarded
def _card(exercise: Exercise, workspace: Workspace, progress: Progress) -> None:
    """A fragment: typing and checking run this part of the page again, and not the figures.

    It is drawn again every two seconds besides. That shows what an outside editor has saved, and it mends what
    Streamlit loses: if a message from the browser arrives just as a run ends, what that run drew may never be sent.
    """
    kept = st.session_state.setdefault(f"card-{exercise.id}", None) or _begin(exercise, progress)
    try:
        text, version = workspace.read(exercise)
        first = sections.start_line(workspace.text(exercise.chapter), exercise.id)
    except CourseError as error:
        st.error(str(error))
        return
    if kept["conflict"] == text:
        kept["conflict"] = None
    if kept["conflict"] is None and kept["seen"] not in (None, version):
        kept["wanted"] = True  # an outside editor has saved this exercise
    kept["seen"] = version
    head, shown = _frame(text)
    with st.container():  # there with or without the question: the editor below must not change its place
        if kept["conflict"] is not None:
            _conflict(exercise, workspace, kept, text, version)
    setup = _file(exercise, workspace, first + head.count("\n"))
    imports = library.imports(setup)
    name = f"editor-{exercise.id}"
    editor(
        name,
        f"{workspace.path.resolve()}#{exercise.id}",
        shown,
        version,
        first + head.count("\n"),
        kept["adopt"],
        kept["heard"],
        hold=kept["conflict"] is not None,
        on_draft=common.caught(lambda: _keep(exercise, workspace, kept, st.session_state[name].get("draft"))),
        on_check=common.caught(lambda: _save_and_check(exercise, workspace, kept, st.session_state[name].get("check"))),
        imports=imports,
    )
    with st.container():  # and so must the scratch cell below these two
        _outcome(exercise, workspace, progress, kept, version)
    with st.container():
        _help(exercise, workspace, progress, kept)
    scratch_cell.show(exercise, workspace, imports)


def _outcome(exercise: Exercise, workspace: Workspace, progress: Progress, kept: dict[str, Any], version: str) -> None:
    """Begin the check that is wanted; then the wait for one, or the verdict on the last."""
    if kept.pop("wanted", False):
        if kept["running"]:
            kept["running"].stop()
        progress.work_on(exercise.id)
        kept["running"] = common.checks().start(progress, exercise, workspace.text(exercise.chapter))
        kept["graded"] = version
        with st.spinner("Checking …"):
            kept["running"].wait(USUALLY)
    if kept["running"] and kept["running"].done:
        _take_verdict(kept)
    if kept["running"]:
        _under_way(kept["running"], exercise)
    elif kept["verdict"] is not None:
        with st.container(key=f"verdict-{exercise.id.replace('.', '-')}-{kept['count']}"):
            since = "You have changed the code since this check" if kept["graded"] != version else "Checked"
            st.caption(f"{since} ({_when(kept['at'])}).")
            _verdict(kept["verdict"])


def _file(exercise: Exercise, workspace: Workspace, line: int) -> str:
    """Which file this is, and what stands at its head: imports, and what the chapter hands out. Returns the latter."""
    path = workspace.file(exercise.chapter)
    st.caption(f"`{common.near(path)}`, from line {line}")
    parts = sections.split(workspace.text(exercise.chapter))
    setup = "".join(parts.get(part, "") for part in ("", "setup")).strip("\n")
    common.unfolding(
        "Imports and set-up of this file",
        lambda: st.code(setup, language="python"),
        key=f"setup-{exercise.id}",
        icon=":material/data_object:",
    )
    return setup


def _begin(exercise: Exercise, progress: Progress) -> dict[str, Any]:
    """What the page keeps of a card. The verdict of an earlier visit comes back."""
    kept: dict[str, Any] = {"adopt": 0, "heard": None, "seen": None, "mine": set(), "conflict": None, "problem": None}
    kept |= {"running": None, "verdict": None, "graded": None, "at": None, "count": 0}
    if last := progress.last_attempt(exercise.id):
        kept |= {"verdict": Verdict.from_dict(last.verdict), "graded": sections.version(last.source)}
        kept["at"] = datetime.datetime.fromisoformat(last.at).astimezone()
    st.session_state[f"card-{exercise.id}"] = kept
    return kept


def _keep(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], draft: dict[str, Any] | None) -> None:
    _save(exercise, workspace, kept, draft)


def _save(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], draft: dict[str, Any] | None) -> bool:
    """Write what was typed into the file, unless the file has changed underneath: then ask."""
    if not draft:
        return True
    if draft["number"] < (kept["heard"] or 0):
        return True  # Streamlit hands over a check before a draft that came with it, though the draft is older
    kept["heard"] = draft["number"]
    if draft["adopt"] < kept["adopt"]:
        return True  # sent before the editor had heard that the learner took the file's text instead
    try:
        text = _framed(exercise, workspace, draft["text"])
    except CourseError as error:
        kept["problem"] = str(error)
        return False
    return _write(exercise, workspace, kept, text, draft["base"])


def _write(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], text: str, base: str) -> bool:
    """Write the section over the version `base`, or over one that this page wrote itself."""
    kept["problem"] = None
    try:
        try:
            written = workspace.write(exercise, text, base)
        except Conflict as conflict:
            # Typing goes on while a save is under way, so the base may be older than what this page itself wrote.
            if conflict.version not in kept["mine"]:
                raise
            written = workspace.write(exercise, text, conflict.version)
    except Conflict:
        kept["conflict"] = text
        return False
    except CourseError as error:
        kept["problem"] = str(error)
        return False
    if written != base:
        Progress(workspace).work_on(exercise.id)
    kept["mine"].add(written)
    kept.update(conflict=None, seen=written)
    return True


def _save_and_check(
    exercise: Exercise, workspace: Workspace, kept: dict[str, Any], sent: dict[str, Any] | None
) -> None:
    if sent and _save(exercise, workspace, kept, sent):
        kept["wanted"] = True


def _frame(section: str) -> tuple[str, str]:
    """A section's marker with the empty lines below it, and the answer without the empty lines at its end."""
    body = sections.body(section)
    head = len(section) - len(body.lstrip("\n"))
    return section[:head], section[head:].rstrip("\n")


def _framed(exercise: Exercise, workspace: Workspace, answer: str) -> str:
    """The section of the file with this answer in it: marker and empty lines stay as they are there."""
    section, _ = workspace.read(exercise)
    head, old = _frame(section)
    return head + answer.strip("\n") + section[len(head) + len(old) :]


def _conflict(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], text: str, version: str) -> None:
    """The file and the page both changed: neither is overwritten until the learner says which to keep.

    The buttons act in callbacks: those run before anything is drawn, so nothing comes between a click and its effect.
    """
    st.warning("This answer was changed in another editor while you typed here. Which version do you want to keep?")
    mine, theirs = st.columns(2)
    mine.caption("Typed here")
    mine.code(sections.body(kept["conflict"]), language="python")
    theirs.caption("In the file")
    theirs.code(sections.body(text), language="python")
    decide = functools.partial(_decide, exercise, workspace, kept, version)
    mine.button("Keep what I typed here", key=f"mine-{exercise.id}", on_click=common.caught(decide), args=(True,))
    theirs.button("Take the file's version", key=f"theirs-{exercise.id}", on_click=common.caught(decide), args=(False,))


def _decide(exercise: Exercise, workspace: Workspace, kept: dict[str, Any], version: str, mine: bool) -> None:
    """What a click on one of the two buttons does. `version`: the file's, which the learner has seen."""
    if kept["conflict"] is None:
        return  # a second click, before the first one's effect was to be seen
    if mine:
        _write(exercise, workspace, kept, kept["conflict"], version)
    else:
        _take_the_file(kept)


def _take_the_file(kept: dict[str, Any]) -> None:
    """The editor takes what is in the file, and what was typed before it hears of this no longer counts."""
    kept.update(adopt=kept["adopt"] + 1, conflict=None)


def _again() -> None:
    """Draw the card anew: alone where that is possible, else with the whole page."""
    try:
        st.rerun(scope="fragment")
    except StreamlitAPIException:
        st.rerun()


def _take_verdict(kept: dict[str, Any]) -> None:
    """What a check that has ended says. A pass changes the contents and the progress bar, outside this fragment."""
    running, kept["running"] = kept["running"], None
    kept["problem"] = running.problem or kept["problem"]
    kept["verdict"] = running.verdict
    kept["at"] = datetime.datetime.now().astimezone()
    kept["count"] += 1
    if running.verdict is not None and running.verdict.passed:
        st.rerun()


@st.fragment(run_every=0.3)
@common.guarded
def _under_way(running: Running, exercise: Exercise) -> None:
    """The wait for a check that takes longer, with a way to end it."""
    if running.done:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", key=f"waiting-{exercise.id.replace('.', '-')}"):
        st.button(
            "Stop", key=f"stop-{exercise.id}", icon=":material/stop_circle:", on_click=common.caught(running.stop)
        )
        st.markdown(f"Checking … **{running.seconds:.0f} s**")
    st.caption(_what_is_waited_for(running.seconds, exercise.time_limit, common.checks().loading))


def _what_is_waited_for(seconds: float, limit: float, loading: bool) -> str:
    if loading:
        return "The first check after the start waits until the grader is loaded. The next ones will not."
    told = f"Your code may take {limit:g} seconds. The rest of the page goes on meanwhile."
    if seconds <= limit:
        return told
    return f"{told} {common.busy(limit)}"


def _when(at: datetime.datetime) -> str:
    today = at.date() == datetime.datetime.now().astimezone().date()
    return f"{at:%H:%M}" if today else f"{at.day} {at:%B, %H:%M}"


def _verdict(verdict: Verdict) -> None:
    """The sentence that says most, first and large; then the tests, those that failed first; then what was printed."""
    if verdict.passed:
        st.success(f"Passed: {verdict.points:g} of {verdict.max_points:g} points.", icon=":material/check_circle:")
    elif verdict.status in ("not started", "stopped"):
        st.info(verdict.diagnosis, icon=":material/edit:")
        return  # its tests have nothing to say
    else:
        st.error(verdict.diagnosis, icon=":material/error:")
    for test in sorted(verdict.tests, key=lambda test: test.passed):
        mark = ":green[:material/check:]" if test.passed else ":red[:material/close:]"
        st.markdown(f"{mark} {test.title}")
        if not test.passed and test.message and test.message != verdict.diagnosis:
            st.caption(test.message)
    if verdict.printed:
        st.caption("Your code printed")
        st.code(verdict.printed, language=None)
    if verdict.traceback:
        with st.expander("Where it happened"):
            st.code(verdict.traceback, language="python")


def _solution(exercise: Exercise) -> None:
    try:
        st.code(sections.body(solution(exercise)), language="python", wrap_lines=True)
    except CourseError as error:  # a copy that was handed out without solutions
        st.write(str(error))


def _help(exercise: Exercise, workspace: Workspace, progress: Progress, kept: dict[str, Any]) -> None:
    """Hints one at a time, the solution after a pass or on request, and a fresh start."""
    if kept["problem"]:
        st.error(kept["problem"])
    state = progress.state(exercise.id)
    for number, hint in enumerate(exercise.hints[: state.hints_shown], start=1):
        st.info(f"**Hint {number}.** {hint}", icon=":material/lightbulb:")
    left = len(exercise.hints) - state.hints_shown
    with st.container(horizontal=True):
        if left and st.button(f"Hint ({left} left)", key=f"hint-{exercise.id}", icon=":material/lightbulb:"):
            progress.reveal_hint(exercise.id)
            _again()
        with st.popover("Solution", icon=":material/key:"):
            if state.passed or state.solution_seen:
                _solution(exercise)
            else:
                st.write("You have not passed this exercise yet. A hint may be the better help.")
                if st.button("Show it all the same", key=f"solution-{exercise.id}"):
                    progress.mark_solution_seen(exercise.id)
                    _again()
        with st.popover("Start again", icon=":material/restart_alt:"):
            st.write("Your answer is put aside in the workspace's backups, and the exercise is empty again.")
            if st.button("Empty this exercise", key=f"reset-{exercise.id}"):
                workspace.reset(exercise)
                _take_the_file(kept)
                kept.update(verdict=None, running=None, seen=None)
                _again()
