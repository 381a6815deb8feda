"""What other services need to grade a chapter: an autograder (Gradescope), a template repository (GitHub Classroom).

Gradescope runs our grader in a container that learners do not see, so its zip holds the hidden tests (and no solution).
On GitHub Classroom the tests lie in the learner's own repository, where they can be read and changed: it is for
practice, and what counts is graded with `mi grade`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mi_lib.course import index, stubs
from mi_lib.course.classroom import hidden, release
from mi_lib.course.index import Chapter

# $AUTOGRADER is for trying it outside of the container.
_SETUP = """\
#!/usr/bin/env bash
# Prepares the container, once: Python 3.11 or newer, and the course with the versions it was tested with.
set -euo pipefail
base="${AUTOGRADER:-/autograder}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq python3.11 python3.11-venv || apt-get install -y -qq python3 python3-venv
cd "$base/source"
scripts/setup.sh "$base/venv"
"""
_RUN = """\
#!/usr/bin/env bash
# Grades one submission of chapter @NUMBER@. What was submitted is copied as data and never run by this script.
set -euo pipefail
base="${AUTOGRADER:-/autograder}"
python="${PYTHON:-$base/venv/bin/python}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/in" "$base/results"
cp -R "$base/submission" "$work/in/student_1_assignsubmission_file_"
cd "$base/source"
export MI_COURSE_ROOT="$base/source" PYTHONPATH="$base/source"
# It exits with 1 for a submission that it could not read; the report then says why.
"$python" -P -m mi_lib.cli grade "$work/in" -o "$work/out" --jobs 1 --chapter @NUMBER@ --format gradescope || true
cp "$work/out/gradescope/student_1.json" "$base/results/results.json"
"""
_WORKFLOW = """\
name: Autograding Tests
on:
  - push
  - workflow_dispatch
  - repository_dispatch
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  run-autograding-tests:
    runs-on: ubuntu-latest
    if: github.actor != 'github-classroom[bot]'
    steps:
      - name: Checkout code
        uses: actions/checkout@v4
      - name: Set up Python
        uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: course/constraints.txt
      - name: Set up the course
        run: cd course && scripts/setup.sh .venv
"""
_STEP = """\
      - name: @NAME@
        id: @ID@
        uses: classroom-resources/autograding-command-grader@v1
        with:
          test-name: @NAME@
          setup-command: ""
          command: course/.venv/bin/mi check @EXERCISE@ --file exercises.py
          timeout: 5
          max-score: @POINTS@
"""
_REPORTER = """\
      - name: Autograding Reporter
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
@RESULTS@
        with:
          runners: @IDS@
"""
_README = """\
# {number} {title}

{summary}

Write your answers into `exercises.py`, commit and push: each push is graded, and the *Actions* tab says what each test
found. The lesson is `lesson.md`. To work on your own computer:

    cd course && make setup
    course/.venv/bin/mi check {number} --file exercises.py
"""


def gradescope(out: Path, number: str) -> Path:
    """Write the autograder's zip, whose root holds setup.sh and run_autograder. Raises `CourseError` if it exists."""
    chapter = index.chapter(number)
    out = out / f"gradescope-{chapter.number}.zip" if out.is_dir() else out
    scripts = {"setup.sh": _SETUP, "run_autograder": _RUN.replace("@NUMBER@", chapter.number)}
    contents = [(name, text.encode()) for name, text in scripts.items()]
    release.new_zip(out, [*contents, *release.course([chapter]), *_hidden(chapter)], executable=scripts)
    return out


def github_classroom(out: Path, number: str) -> Path:
    """Write the template repository's zip. Raises `CourseError` if it exists."""
    chapter = index.chapter(number)
    out = out / f"github-classroom-{chapter.number}.zip" if out.is_dir() else out
    readme = _README.format(number=chapter.number, title=chapter.title, summary=chapter.summary)
    contents = [
        ("README.md", readme.encode()),
        ("exercises.py", stubs.handed_out(chapter).encode()),
        (".github/workflows/classroom.yml", workflow(chapter).encode()),
    ]
    lesson = chapter.folder / "lesson.md"
    contents += [("lesson.md", lesson.read_bytes())] if lesson.is_file() else []
    contents += [(f"course/{name}", data) for name, data in release.course([chapter])]
    release.new_zip(out, contents)
    return out


def workflow(chapter: Chapter) -> str:
    """The workflow file: a grader step for each exercise, worth its points, and the reporter that adds them up."""
    steps, ids = [], []
    for exercise in chapter.exercises:
        step_id = f"exercise{exercise.id.replace('.', 'x')}"  # no hyphen or dot: it becomes part of a variable's name
        name = json.dumps(f"{exercise.id} {exercise.title}", ensure_ascii=False)  # a JSON string is a YAML string
        step = _STEP.replace("@NAME@", name).replace("@ID@", step_id).replace("@EXERCISE@", exercise.id)
        steps.append(step.replace("@POINTS@", str(exercise.points)))
        ids.append(step_id)
    results = "\n".join(f'          {i.upper()}_RESULTS: "${{{{steps.{i}.outputs.result}}}}"' for i in ids)
    return _WORKFLOW + "".join(steps) + _REPORTER.replace("@RESULTS@", results).replace("@IDS@", ",".join(ids))


def _hidden(chapter: Chapter) -> Iterator[tuple[str, bytes]]:
    if (path := hidden.path(chapter)).is_file():
        yield f"solutions/{chapter.name}/{path.name}", path.read_bytes()
