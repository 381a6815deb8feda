"""The instructor's page: a class at a glance, one student's report, the common mistakes. `mi instructor GRADEBOOK`."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import streamlit as st

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:  # Streamlit puts this folder on the path, and not the one above it
    sys.path.insert(0, str(ROOT))

from app.common import chart, guarded, only_behind_the_guard, readable  # noqa: E402 - needs the line above
from mi_lib import plots  # noqa: E402 - needs the line above
from mi_lib.course import CourseError, texts  # noqa: E402
from mi_lib.course.classroom import common, points, similarity  # noqa: E402
from mi_lib.course.classroom.common import Glance  # noqa: E402
from mi_lib.course.classroom.gradebook import UNFINISHED, Gradebook, Remark  # noqa: E402
from mi_lib.course.classroom.points import Grade, Student  # noqa: E402
from mi_lib.course.classroom.report.html import conditions  # noqa: E402


def show() -> None:
    st.title("The class")
    path = st.text_input("Gradebook", value=os.environ.get("MI_GRADEBOOK", ""), placeholder="grades/gradebook.sqlite")
    if not path:
        st.info("Give the folder that `mi grade` wrote into, or its gradebook.")
        return
    try:
        with Gradebook(Path(path).expanduser()) as book:
            students = points.grades(book, book.settings)
            settings = book.settings
            attempts = book.attempts()
            unfinished = book.unfinished
    except CourseError as error:
        st.error(str(error))
        return
    if unfinished:
        st.warning(UNFINISHED)
    if not students:
        st.info("Nobody has handed anything in yet.")
        return
    glances = common.at_a_glance(students)
    glance, mistakes, student, similar = st.tabs(["At a glance", "Common mistakes", "One student", "Similar answers"])
    with glance:
        _glance(students, glances)
    with mistakes:
        _mistakes(glances)
    with student:
        _student(students, Path(path).expanduser(), settings.rubric)
    with similar:
        st.caption(
            "A list to look at, not a verdict: how much of what the shorter text adds to the stub is in the other. "
            "The library's functions are compared too."
        )
        pairs = similarity.of_class(attempts, groups=settings.groups)[:50]
        rows = [
            {
                "one": p.one,
                "other": p.other,
                "share": round(p.share, 2),
                "most in": ", ".join(p.places),
                "fingerprints": p.common,
                "chapter": p.chapter,
            }
            for p in pairs
        ]
        if rows:
            share = st.column_config.NumberColumn(format="percent")
            st.dataframe(rows, hide_index=True, height=_height(rows), column_config={"share": share})
        else:
            st.write("No two submissions have much in common.")


def _height(rows: Sequence[Any]) -> Literal["content", "auto"]:
    """A table of a class is shown whole; one of hundreds is scrolled."""
    return "content" if len(rows) <= 60 else "auto"


def _glance(students: list[Student], glances: list[Glance]) -> None:
    totals = sorted(student.total for student in students)
    problems = [student for student in students if student.problems]
    with st.container(key="figures"):
        columns = st.columns(4)
    columns[0].metric("Students", len(students))
    columns[1].metric("Median points", f"{statistics.median(totals):g} of {students[0].most:g}")
    # All that were released count, those that somebody did not hand in too; the optional ones are extra.
    released = [g for g in glances if not g.exercise.optional]
    share = sum(g.passed for g in released) / max(1, len(released) * len(students))
    what = f"Of the {len(released)} exercises that were released and are not optional, over all students."
    columns[2].metric("Released exercises passed", f"{share:.0%}", help=what)
    columns[3].metric("With problems", len(problems))
    rates = plots.bars({g.exercise.id: g.pass_rate for g in glances}, "Who passes", "share of those who handed it in")
    chart(rates.update_yaxes(range=[0, 1], tickformat=".0%"))
    rows = [
        {
            "exercise": f"{g.exercise.id} {g.exercise.title}",
            "passed": g.pass_rate,
            "mean points": f"{g.points:g} of {g.exercise.points}",
            "handed in": g.handed_in,
            "not handed in": len(students) - g.handed_in,
            "grading time (s)": round(g.seconds, 1),
            "most common mistake": g.mistakes.most_common(1)[0][0] if g.mistakes else "",
        }
        for g in glances
    ]
    percent = st.column_config.ProgressColumn(format="percent", min_value=0.0, max_value=1.0)
    st.dataframe(rows, hide_index=True, height=_height(rows), column_config={"passed": percent})
    st.header("Students")
    every = [
        {
            "student": s.name,
            "points": s.total,
            "passed": f"{sum(g.passed for g in s.grades.values())} of {len(s.grades)} released",
            "remarks": " ".join([*s.problems, *s.notes]),
        }
        for s in students
    ]
    wide = {"remarks": st.column_config.TextColumn(width="large")}
    st.dataframe(every, hide_index=True, height=_height(every), column_config=wide)


def _mistakes(glances: list[Glance]) -> None:
    st.caption("What learners were told, as often as it was told, where it is a mistake that the course knows.")
    for glance in glances:
        if not glance.mistakes and not glance.others:
            continue
        st.markdown(f"**{glance.exercise.id} {glance.exercise.title}**")
        for said, count in glance.mistakes.most_common():
            st.text(f"{count} × {said}")
        if glance.others:
            st.caption(f"{glance.others} × something else")


@st.fragment
@guarded
def _student(students: list[Student], path: Path, rubric: Mapping[str, Sequence[str]]) -> None:
    names = {student.name: student for student in students}
    chosen = names[st.selectbox("Student", list(names))]
    st.metric("Points", f"{chosen.total:g} of {chosen.most:g}")
    for problem in chosen.problems:
        st.error(texts.markdown(problem))
    for note in chosen.notes:
        st.info(texts.markdown(note))
    _remarks(chosen.remarks)
    _say(chosen, path, rubric)
    for grade in chosen.grades.values():
        _exercise(grade)


def _say(student: Student, path: Path, rubric: Mapping[str, Sequence[str]]) -> None:
    """A form for a comment and the rubric's levels; what is said changes no points."""
    with st.expander("Say something", icon=":material/chat:"), st.form("say", clear_on_submit=True, border=False):
        whole = "all that was handed in"
        about = st.selectbox("About", [whole, *student.grades])
        text = st.text_area("Comment", help="It stands in the student's reports, and changes no points.")
        with st.container(horizontal=True):
            levels = {name: st.selectbox(name, ["", *levels], width=240) for name, levels in rubric.items()}
        if st.form_submit_button("Keep it"):
            exercise = "" if about == whole else about
            with Gradebook(path) as book:
                for criterion, level in levels.items():
                    if level:
                        book.comment(student.name, level, exercise, criterion)
                if text.strip():
                    book.comment(student.name, text, exercise)
            st.rerun()


def _remarks(remarks: Sequence[Remark]) -> None:
    for remark in remarks:
        st.text(f"{remark.criterion}: {remark.text}" if remark.criterion else remark.text)
        st.caption(f"Said by the instructor, number {remark.number}.")


def _exercise(grade: Grade) -> None:
    mark = ":material/check:" if grade.passed else ":material/close:"
    exercise = grade.exercise
    head = f"{exercise.id} {exercise.title} · {grade.points:g} of {exercise.points} points · {grade.status}"
    with st.expander(head, icon=mark):
        for why in grade.why:
            st.text(f"{why}.")
        _remarks(grade.remarks)
        if not grade.verdict:
            st.write("Nothing was handed in for it.")
            return
        for test in grade.verdict["tests"]:
            # `text`, not `markdown`: what a learner's code raised is shown as it is.
            hidden = " (hidden test)" if test["hidden"] else ""
            st.text(f"{'✓' if test['passed'] else '✗'} {test['title']}{hidden}")
            if test["message"]:
                st.text(test["message"])
            if test["detail"]:
                st.caption("That is what the learner reads. What the hidden test found, for you alone:")
                st.text(test["detail"])
        for title in ("traceback", "printed"):
            if grade.verdict[title]:
                st.caption(title.capitalize())
                st.code(grade.verdict[title], language=None)
        isolation = f"Isolation {grade.verdict['isolation_level']}"
        whole = f"{isolation}: {grade.verdict['isolation']}."
        st.caption(texts.markdown(conditions(grade, grade.verdict).replace(whole, f"{isolation}.")), help=whole)


# Half of a phone is room enough for a number.
STYLE = """
[data-testid=stMainBlockContainer] { padding-top: 3rem; padding-bottom: 4rem }
@media (max-width: 640px) {
  [data-testid=stMainBlockContainer] h1 { font-size: 1.75rem }
  [data-testid=stMainBlockContainer] h2 { font-size: 1.5rem }
  .st-key-figures [data-testid=stColumn] { min-width: calc(50% - 1rem) }
  .st-key-figures [data-testid=stMetricLabel] p { white-space: normal }
  .st-key-figures [data-testid=stMetricValue] { font-size: 1.5rem } }
"""


st.set_page_config(page_title="The class", page_icon="🔬", layout="wide")
only_behind_the_guard("mi instructor GRADEBOOK")
st.html(f"<style>{STYLE}{readable()}</style>")
guarded(show)()
