"""Reports for people: one page for each student, one for the class. Plain HTML in one file, no script, light and dark.

Everything that comes from a submission is escaped, names included.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from mi_lib.course.classroom import common
from mi_lib.course.classroom.gradebook import Remark
from mi_lib.course.classroom.points import Grade, Student
from mi_lib.course.texts import markup

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #0072b2; --bad: #b34700; --soft: #8881 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
@media (prefers-color-scheme: dark) { :root { --good: #56b4e9; --bad: #e69f00 } }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere }
.bar { background: var(--soft); width: 8rem; display: inline-block; height: .7rem }
.bar i { background: var(--good); display: block; height: 100% }
.good { color: var(--good) } .bad { color: var(--bad) } .dim { opacity: .7 }
blockquote { border-left: 3px solid var(--line); margin: .6rem 0; padding: .1rem .8rem; white-space: pre-wrap }
section { margin: 1.6rem 0 } ul.tests { list-style: none; padding-left: 0 } h2 { margin-bottom: .2rem }
"""


def of_class(students: list[Student], names: dict[str, str], notice: str = "") -> str:
    """The class: each exercise at a glance with its common mistakes, then everybody's total."""
    glances = common.at_a_glance(students)
    totals = sorted(student.total for student in students)
    most = students[0].most if students else 0.0
    middle = f"{totals[len(totals) // 2]:g}" if totals else "–"
    parts = [f"<h1>The class</h1><p>{len(students)} students, median {middle} of {most:g} points.</p>"]
    parts += [f"<p class=bad>{markup(notice)}</p>"] if notice else []
    parts.append(
        "<h2>By exercise</h2><table><tr><th>exercise<th class=n>handed in<th>passed<th class=n>mean points"
        "<th class=n>grading time<th>most common known mistakes</tr>"
    )
    for glance in glances:
        said = "<br>".join(f"{count} × {markup(text)}" for text, count in glance.mistakes.most_common(3))
        if glance.others:
            said += f"{'<br>' if said else ''}<span class=dim>{glance.others} × something else</span>"
        parts.append(
            f"<tr><td>{markup(glance.exercise.id)} {markup(glance.exercise.title)}<td class=n>{glance.handed_in}"
            f"<td>{_bar(glance.pass_rate)} {glance.pass_rate:.0%}"
            f"<td class=n>{glance.points:g} of {glance.exercise.points}<td class=n>{glance.seconds:.1f} s"
            f"<td>{said}</tr>"
        )
    parts.append("</table><h2>By student</h2><table><tr><th>student<th class=n>points<th>passed<th>remarks</tr>")
    for student in students:
        passed = sum(grade.passed for grade in student.grades.values())
        share = passed / len(student.grades) if student.grades else 0.0
        remarks = "<br>".join(markup(remark) for remark in [*student.problems, *student.notes])
        parts.append(
            f'<tr><td><a href="students/{markup(names[student.name])}.html">{markup(student.name)}</a>'
            f"<td class=n>{student.total:g}<td>{_bar(share)} {passed} of {len(student.grades)}<td>{remarks}</tr>"
        )
    return _page("The class", [*parts, "</table>"])


def of_student(student: Student) -> str:
    """One student: each exercise with its tests, what the grader says, and under which conditions."""
    parts = [f"<h1>{markup(student.name)}</h1><p><b>{student.total:g} of {student.most:g} points</b></p>"]
    parts += [f"<p class=bad>{markup(text)}</p>" for text in student.problems]
    parts += [f"<p>{markup(text)}</p>" for text in student.notes]
    parts += [_remarks(student.remarks)]
    parts += [_exercise(grade) for grade in student.grades.values()]
    return _page(student.name, parts)


def _exercise(grade: Grade) -> str:
    exercise, verdict = grade.exercise, grade.verdict
    mark = "✓" if grade.passed else "✗"
    kind = "good" if grade.passed else "bad"
    parts = [
        f"<section><h2>{markup(exercise.id)} {markup(exercise.title)}</h2><p class={kind}>{mark} "
        f"{markup(grade.status)}, {grade.points:g} of {exercise.points} points</p>"
    ]
    parts += [f"<p>{markup(why)}.</p>" for why in grade.why]
    if verdict and verdict["status"] != "not started":
        parts += ["<ul class=tests>", *map(_test, verdict["tests"]), "</ul>"]
        if verdict["diagnosis"] and not verdict["tests"]:
            parts.append(f"<p>{markup(verdict['diagnosis'])}</p>")
        if verdict["traceback"]:
            parts.append(f"<pre>{markup(verdict['traceback'])}</pre>")
        if verdict["printed"]:
            parts.append(f"<p class=dim>It printed:</p><pre>{markup(verdict['printed'])}</pre>")
    parts += [_remarks(grade.remarks)]
    if verdict:
        parts.append(f"<p class=dim><small>{markup(conditions(grade, verdict, for_learner=True))}</small></p>")
    return "".join([*parts, "</section>"])


def conditions(grade: Grade, verdict: dict[str, Any], for_learner: bool = False) -> str:
    """Under which conditions a verdict was made. A learner is not told what hidden tests took, or how they ended."""
    told = verdict.get("for_learner", {"seconds": 0.0, "ending": "answered"}) if for_learner else verdict
    at = datetime.fromtimestamp(verdict["graded_at"]).astimezone().isoformat(" ", "minutes")
    attempt = f"Attempt {grade.attempt.number}. " if grade.attempt else ""
    ended = f" The code ended: {told['ending']}." if told["ending"] not in ("answered", "raised") else ""
    signs = f" Its text reaches for more than the exercise: {'; '.join(verdict['signs'])}." if verdict["signs"] else ""
    return (
        f"{attempt}Graded {at} in {told['seconds']:.1f} s with course version {verdict['version']}. "
        f"Isolation {verdict['isolation_level']}: {verdict['isolation']}.{ended}{signs}"
    )


def _remarks(remarks: Sequence[Remark]) -> str:
    """What the instructor says: the rubric, then the comments."""
    marks = [f"<li>{markup(r.criterion)}: <b>{markup(r.text)}</b></li>" for r in remarks if r.criterion]
    said = [f"<blockquote>{markup(r.text)}</blockquote>" for r in remarks if not r.criterion]
    return (f"<ul>{''.join(marks)}</ul>" if marks else "") + "".join(said)


def _test(test: dict[str, Any]) -> str:
    mark, kind = ("✓", "good") if test["passed"] else ("✗", "bad")
    points = f" <span class=dim>({shown(test['points'])} of {shown(test['max_points'])})</span>"
    said = f"<br>{markup(test['message'])}" if test["message"] else ""
    return f"<li><span class={kind}>{mark} {markup(test['title'])}</span>{points}{said}</li>"


def shown(points: float) -> str:
    """Points as people write them: two decimals at most."""
    return f"{round(points, 2):g}"


def _bar(share: float) -> str:
    return f'<span class=bar><i style="width:{100 * share:.0f}%"></i></span>'


def _page(title: str, parts: list[str]) -> str:
    head = '<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width">'
    return f"{head}<title>{markup(title)}</title><style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n"
