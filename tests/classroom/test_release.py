"""What is handed out: everything that is needed and no solution; and what other services need."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from small_class import RIGHT
from test_reports_of_a_class import gradescope_problems

from mi_lib.cli import cli
from mi_lib.course import files, index, sections, stubs
from mi_lib.course.classroom import release, services
from mi_lib.course.index import CourseError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def zipped(tmp_path_factory) -> Path:
    return release.write(tmp_path_factory.mktemp("release") / "course.zip", ["02"])


def names(path: Path) -> list[str]:
    """What a release holds, below its one folder."""
    found = zipfile.ZipFile(path).namelist()
    assert {name.split("/")[0] for name in found} == {release.TOP}
    return [name.removeprefix(f"{release.TOP}/") for name in found]


def test_a_release_holds_what_a_learner_needs_in_one_folder(zipped):
    found = names(zipped)
    for name in ("chapter.toml", "exercises.py", "lesson.md", "figures.py", "findings.json", "test_exercises.py"):
        assert f"chapters/ch02_induction_heads/{name}" in found
    assert {"notebooks/ch02_induction_heads.ipynb", "chapters/glossary.toml"} <= set(found)
    assert "mi_lib/zoo/induction-2l/model.safetensors" in found
    assert not [name for name in found if "zoo/pico/" in name or "ch03" in name]
    assert sorted(zipfile.ZipFile(zipped).read("mi-course/CONTENTS").decode().split()) == sorted(found)


def test_a_release_holds_no_solution_and_no_hidden_test(zipped):
    archive = zipfile.ZipFile(zipped)
    assert not [
        name
        for name in names(zipped)
        if name.startswith(("solutions", "tests", "benchmarks")) or "hidden" in Path(name).name.replace("hidden.py", "")
    ]
    chapter = index.chapter("02")
    handed_out = {
        name: archive.read(f"mi-course/{name}").decode()
        for name in names(zipped)
        if name.startswith(("chapters", "notebooks"))
    }
    reference = files.read_text(chapter.solutions_folder / "exercises.py")
    for section, text in sections.split(reference).items():
        if stubs.BEGIN in text:
            answer = text.split(stubs.BEGIN)[1].split(stubs.END)[0].strip()
            lines = [line for line in answer.splitlines() if line.strip()]
            # Answers of one line stand in the last hint, on purpose.
            assert len(lines) < 4 or not [name for name, whole in handed_out.items() if answer in whole], section


def test_nothing_that_happens_to_lie_there_is_handed_out(course, tmp_path, monkeypatch):
    """Beside the course's files, in each of its folders, lies one that nobody has listed."""
    library = tmp_path / "library"
    for name in ("mi_lib/course/classroom/release.py", "app/main.py", "scripts/setup.sh", "docs/scenes.md"):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).write_text("x")
    for stray in ("mi_lib/grades.csv", "mi_lib/course/gradebook.sqlite", "app/notes.txt", "docs/exam.md"):
        (library / stray).write_text("private")
    listed = ["app/main.py", "docs/scenes.md", "mi_lib/course/classroom/release.py", "scripts/setup.sh"]
    assert release.listed(library) == listed  # by patterns
    (library / "mi_lib" / "more.py").write_text("private")
    (library / "CONTENTS").write_text("\n".join([*listed, "README.md"]))
    assert release.listed(library) == listed  # by the list of a release
    (library / "CONTENTS").unlink()
    git = ["git", "-C", str(library)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", *listed], check=True)
    assert release.listed(library) == listed  # by git


def test_every_path_link_and_command_of_its_readme_is_in_it(zipped):
    archive, found = zipfile.ZipFile(zipped), set(names(zipped))
    documents = [name for name in found if name.endswith(".md") and not name.startswith(("chapters", "mi_lib"))]
    assert "README.md" in documents
    for name in documents:
        text = archive.read(f"mi-course/{name}").decode()
        for link in re.findall(r"\]\(([^)#\s]+)", text):
            if "://" not in link:
                there = os.path.normpath(os.path.join(os.path.dirname(name), link))
                assert there in found, f"{name} links to {link}"
    readme = archive.read("mi-course/README.md").decode()
    targets = set(re.findall(r"^([a-z]+):", archive.read("mi-course/Makefile").decode(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", readme)) <= targets
    teachers = ("make test", "CONTRIBUTING", "mi grade", "mi release", "mi solution", "solutions/", "teaching.md")
    for absent in (*teachers, "After **03"):
        assert absent not in readme
    assert "After **02 Induction heads**" in readme
    for line in re.findall(r"\bmi ([a-z]+)", readme):
        assert line in cli.commands, f"there is no `mi {line}`"


def test_its_notebooks_do_not_lead_to_the_clone_with_the_solutions(zipped, monkeypatch):
    monkeypatch.setattr("mi_lib.course.notebook._url", lambda: "https://example.org/with-solutions")
    made = dict(release._for_learners([index.chapter("02")]))
    assert not [name for name, data in made.items() if b"with-solutions" in data]


@pytest.mark.slow
def test_a_release_is_unpacked_learned_with_and_handed_in(zipped, tmp_path):
    """From the zip to the grade: make, a workspace, a check, a notebook, and all of it to the instructor."""
    zipfile.ZipFile(zipped).extractall(tmp_path)
    home = tmp_path / "mi-course"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MI_")} | {"PYTHONPATH": str(home)}

    def mi(*words: str, where: Path = home) -> None:
        command = [sys.executable, "-P", "-m", "mi_lib.cli", *words]
        done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    plan = subprocess.run(["make", "-n", "learn"], cwd=home, capture_output=True, text=True, check=True).stdout
    assert "scripts/setup.sh .venv" in plan
    assert os.access(home / "scripts" / "setup.sh", os.R_OK)
    assert zipfile.ZipFile(zipped).getinfo("mi-course/scripts/setup.sh").external_attr >> 16 & 0o111
    mi("init", "work")
    mine = home / "work" / "ch02_induction_heads" / "exercises.py"
    reference = files.read_text(ROOT / "solutions" / "ch02_induction_heads" / "exercises.py")
    answer = sections.get(reference, "02.1").replace(f"    {stubs.BEGIN}\n", "").replace(f"    {stubs.END}\n", "")
    mine.write_text(sections.replace(mine.read_text(), "02.1", answer))
    mi("check", "02.1")
    mi("notebook", "02", "-o", "02.ipynb", "--with-answers")
    (tmp_path / "handed-in" / "ada").mkdir(parents=True)
    shutil.copy(home / "02.ipynb", tmp_path / "handed-in" / "ada")
    environment["PYTHONPATH"] = str(ROOT)
    mi("grade", str(tmp_path / "handed-in"), "-o", str(tmp_path / "out"), "--jobs", "1", "--format", "csv", where=ROOT)
    (row,) = csv.DictReader((tmp_path / "out" / "grades.csv").open(encoding="utf-8"))
    assert row["student"] == "ada"
    assert row["02.1"] == str(index.exercise("02.1").points)
    assert float(row["total"]) == index.exercise("02.1").points  # and all else is as it was handed out


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
