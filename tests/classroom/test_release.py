"""What is handed out: everything that is needed and no solution; and what other services need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from small_class import RIGHT
from test_reports_of_a_class import gradescope_problems

from mi_lib.course import files, index, sections, stubs
from mi_lib.course.classroom import release, services
from mi_lib.course.index import CourseError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def zipped(tmp_path_factory) -> Path:
    return release.write(tmp_path_factory.mktemp("release") / "course.zip", ["02"])


def test_a_release_holds_what_a_learner_needs(zipped):
    names = zipfile.ZipFile(zipped).namelist()
    for name in ("chapter.toml", "exercises.py", "lesson.md", "figures.py", "findings.json", "test_exercises.py"):
        assert f"chapters/ch02_induction_heads/{name}" in names
    assert {"notebooks/ch02_induction_heads.ipynb", "chapters/glossary.toml"} <= set(names)
    assert "mi_lib/zoo/induction-2l/model.safetensors" in names
    assert not [name for name in names if "zoo/pico/" in name or "ch03" in name]


def test_a_release_holds_no_solution_and_no_hidden_test(zipped):
    archive = zipfile.ZipFile(zipped)
    names = archive.namelist()
    assert not [
        name
        for name in names
        if name.startswith(("solutions", "tests", "benchmarks")) or "hidden" in Path(name).name.replace("hidden.py", "")
    ]
    chapter = index.chapter("02")
    handed_out = {name: archive.read(name).decode() for name in names if name.startswith(("chapters", "notebooks"))}
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    for section, text in sections.split(reference).items():
        if stubs.BEGIN in text:
            answer = text.split(stubs.BEGIN)[1].split(stubs.END)[0].strip()
            lines = [line for line in answer.splitlines() if line.strip()]
            # Answers of one line stand in the last hint, on purpose.
            assert len(lines) < 4 or not [name for name, whole in handed_out.items() if answer in whole], section


@pytest.mark.slow
def test_a_release_grades_by_itself(zipped, tmp_path):
    zipfile.ZipFile(zipped).extractall(tmp_path)
    answer = (ROOT / "solutions" / "ch02_induction_heads" / "exercises.py").read_text()
    (tmp_path / "mine.py").write_text(answer)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MI_")} | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "mi_lib.cli", "check", "02.4", "--file", "mine.py", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert json.loads(done.stdout)["passed"], done.stderr


def test_a_release_overwrites_nothing(zipped):
    with pytest.raises(CourseError, match="exists"):
        release.write(zipped, ["02"])


def test_the_same_course_gives_the_same_zip(course, tmp_path):
    for name in ("one.zip", "two.zip"):
        release.write(tmp_path / name, ["90"])
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.slow
def test_the_autograder_for_gradescope_runs(course, hidden_tests, tmp_path):
    base = tmp_path / "autograder"
    with zipfile.ZipFile(services.gradescope(tmp_path / "autograder.zip", "90")) as archive:
        names = archive.namelist()
        assert {"setup.sh", "run_autograder"} <= set(names)  # at the root, as the service wants them
        assert [name for name in names if name.startswith("solutions")] == ["solutions/ch90_sums/tests_hidden.py"]
        assert archive.getinfo("run_autograder").external_attr >> 16 & 0o111
        archive.extractall(base / "source")
    (base / "submission").mkdir()
    (base / "submission" / "exercises.py").write_text(RIGHT)
    environment = os.environ | {"AUTOGRADER": str(base), "PYTHON": sys.executable}
    subprocess.run(["bash", base / "source" / "run_autograder"], env=environment, check=True, capture_output=True)
    results = json.loads((base / "results" / "results.json").read_text())
    assert not gradescope_problems(results)
    assert results["score"] == 5.0


def test_the_scripts_for_gradescope_are_valid(course, tmp_path):
    with zipfile.ZipFile(services.gradescope(tmp_path / "autograder.zip", "90")) as archive:
        for name in ("setup.sh", "run_autograder"):
            text = archive.read(name)
            assert text.startswith(b"#!/usr/bin/env bash\n")
            subprocess.run(["bash", "-n"], input=text, check=True)


def test_the_workflow_for_github_classroom_is_well_formed(course, tmp_path):
    with zipfile.ZipFile(services.github_classroom(tmp_path / "template.zip", "90")) as archive:
        workflow = yaml.safe_load(archive.read(".github/workflows/classroom.yml"))
        assert "course/mi_lib/cli/__main__.py" in archive.namelist()
        assert not [name for name in archive.namelist() if "solutions" in name.split("/")[:2]]
    job = workflow["jobs"]["run-autograding-tests"]
    graders = [step for step in job["steps"] if "autograding-command-grader@" in step.get("uses", "")]
    reporter = job["steps"][-1]
    assert workflow["permissions"] == {"checks": "write", "actions": "read", "contents": "read"}
    assert [step["with"]["max-score"] for step in graders] == [2, 3]
    for step in graders:
        assert {"test-name", "command", "timeout", "max-score"} <= set(step["with"])
        assert type(step["with"]["timeout"]) is int
    assert "autograding-grading-reporter@" in reporter["uses"]
    assert reporter["with"]["runners"].split(",") == [step["id"] for step in graders]
    # The reporter looks for one variable per runner, whose name it makes from the runner's id.
    assert set(reporter["env"]) == {f"{step['id'].upper()}_RESULTS" for step in graders}


def test_the_workflow_keeps_to_githubs_schema(course, tmp_path):
    pytest.importorskip("check_jsonschema", reason='needs the extra: pip install -c constraints.txt -e ".[dev]"')
    workflow = tmp_path / "classroom.yml"
    workflow.write_text(services.workflow(index.chapter("90")), "utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", workflow]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_chapter_that_names_an_image_network_gets_its_whole_family(tmp_path):
    (tmp_path / "lesson.md").write_text("Open `load_vision('sight-seed1')`.")
    assert release.models([SimpleNamespace(folder=tmp_path)]) == {"sight"}
    (tmp_path / "lesson.md").write_text("A network with foresight, insight and eyesight.")
    assert release.models([SimpleNamespace(folder=tmp_path)]) == set()
