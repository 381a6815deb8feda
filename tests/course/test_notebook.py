"""A chapter as a notebook: it runs from top to bottom, is graded like the file, and its answers can be carried over."""

from __future__ import annotations

import json
import subprocess

import nbformat
import pytest
from nbclient import NotebookClient

from mi_lib.course import index, magics, notebook, sections, stubs
from mi_lib.course.index import CourseError, exercise
from mi_lib.course.progress import Progress
from mi_lib.course.workspace import Workspace

ANSWER = "def add(a, b):\n    return a + b"


@pytest.fixture
def path(chapter, tmp_path):
    return notebook.write(chapter, tmp_path / "90.ipynb")


def answer(path, section, body):
    """Type an answer into a notebook's cell, as a learner would."""
    nb = nbformat.read(path, as_version=4)
    cell = next(c for c in nb.cells if c.source.startswith(f"%%exercise {section}"))
    cell.source = f"%%exercise {section}\n{body}"
    nbformat.write(nb, path)


def run(path, folder) -> str:
    """Run a notebook and return all that it printed and drew."""
    nb = nbformat.read(path, as_version=4)
    NotebookClient(nb, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    told = "".join(output.get("text", "") + "\n".join(output.get("traceback", [])) for output in outputs)
    return told + json.dumps([output["data"] for output in outputs if "data" in output])


def test_a_notebook_is_valid_and_holds_lesson_exercises_and_figures(path):
    nb = nbformat.read(path, as_version=4)
    nbformat.validate(nb)
    text = "\n".join(cell.source for cell in nb.cells)
    for piece in (
        "# Sums",
        "%%exercise setup",
        "%%exercise 90.1",
        "%%exercise 90.2",
        'figure("90", "line")',
        'figure_from_answer("90.1", "doubles", globals())',
        "Rounding",
    ):
        assert piece in text
    assert text.index("What is 1 + 1?") < text.index("%%exercise 90.1")


def test_a_notebook_ends_with_the_words_that_its_lesson_links_to(chapter, tmp_path):
    entry = '[[term]]\nname = "adding"\nwhere = "90.1"\ntext = "Making a sum."\n'
    (chapter.folder.parent / "glossary.toml").write_text(entry)
    lesson = chapter.folder / "lesson.md"
    lesson.write_text(lesson.read_text().replace("# Sums\n", "# Sums\n\nIt is about adding.\n"))
    nb = nbformat.read(notebook.write(chapter, tmp_path / "linked.ipynb"), as_version=4)
    text = "\n".join(cell.source for cell in nb.cells)
    assert 'It is about [adding](#word-adding "adding: Making a sum.").' in text
    assert nb.cells[-1].source == '## Words of this chapter\n\n<a id="word-adding"></a>**adding**: Making a sum.'


def test_the_same_chapter_gives_the_same_notebook(chapter, path, tmp_path):
    again = notebook.write(chapter, tmp_path / "again.ipynb")
    assert again.read_bytes() == path.read_bytes()


def test_a_notebook_is_never_overwritten(chapter, path):
    with pytest.raises(CourseError, match="may hold answers"):
        notebook.write(chapter, path)


def test_answers_go_into_a_notebook_and_come_back_to_the_letter(course, chapter, tmp_path):
    work = Workspace.init()
    _, version = work.read(exercise("90.1"))
    work.write(exercise("90.1"), f"# %% [90.1] My own title\n{ANSWER}  # mine\n\n\n\n", version)
    written = notebook.write(chapter, tmp_path / "mine.ipynb", answers_from=work)
    assert notebook.text(written) == work.text("90")


def test_carrying_answers_over_changes_only_what_was_answered_and_keeps_a_backup(course, path):
    work = Workspace.init()
    _, version = work.read(exercise("90.2"))
    other = "# %% [90.2] Add three\ndef add_three(a, b, c):\n    return 7\n"
    work.write(exercise("90.2"), other, version)
    before = work.text("90")
    answer(path, "90.1", ANSWER)
    assert notebook.into_workspace(path, work) == ["90.1"]
    assert ANSWER in work.read(exercise("90.1"))[0]
    assert work.read(exercise("90.2"))[0] == other
    assert [backup.read_text() for backup in (work.path / ".mi" / "backups").iterdir()] == [before]
    assert notebook.into_workspace(path, work) == []


def test_a_notebook_without_answers_says_so(path):
    with pytest.raises(CourseError, match="no answers yet"):
        notebook.text(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("not json", "not a notebook that can be read"),
        ("{}", "not a notebook that can be read"),
        (json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), "Is it the right notebook"),
    ],
)
def test_a_file_that_is_no_notebook_of_ours_is_explained(course, tmp_path, content, said):
    (tmp_path / "x.ipynb").write_text(content)
    with pytest.raises(CourseError, match=said):
        notebook.text(tmp_path / "x.ipynb")


def test_of_two_cells_for_one_exercise_the_last_counts_and_it_is_said(path):
    answer(path, "90.1", "def add(a, b):\n    return 7")
    nb = nbformat.read(path, as_version=4)
    nb.cells.append(nbformat.v4.new_code_cell(f"%%exercise 90.1\n{ANSWER}"))
    nbformat.write(nb, path)
    read = notebook.read(path)
    assert ANSWER in read.text
    assert "return 7" not in read.text
    assert read.remarks == ("There are several cells for [90.1]; the last of them counts.",)


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%%time\nx = 1", "pass  # %%time\nx = 1"),
        ("# mine\n%%time\n%%capture out\nx = 1", "# mine\npass  # %%time\npass  # %%capture out\nx = 1"),
        ("!pip install x\nx = 1", "pass  # !pip install x\nx = 1"),
        ("%matplotlib inline\nx = 1", "pass  # %matplotlib inline\nx = 1"),
        ("if x:\n    %pip install y\n", "if x:\n    pass  # %pip install y\n"),
        ("x?", "pass  # x?"),
        ("??torch.sum", "pass  # ??torch.sum"),
        ("torch.sum??", "pass  # torch.sum??"),
        ("files = !ls\nx = 1", "files = None  # files = !ls\nx = 1"),
        ("t = %timeit -o f()", "t = None  # t = %timeit -o f()"),
        ("%time x = f()", "x = f()"),
        ("!echo it's \\\n  two (lines\nx = 1", "pass  # !echo it's \n# two (lines\nx = 1"),
        ("x = 1\n%%bash\n", "x = 1\npass  # %%bash\n"),
        ("%%bash\nls\n", "# %%bash\n# ls\n# "),
    ],
)
def test_what_jupyter_runs_itself_is_taken_out(cell, python):
    made, taken = magics.take_out(cell)
    assert made == python
    assert taken
    assert magics.take_out(made) == (made, [])
    compile(made, "cell", "exec")


@pytest.mark.parametrize(
    "cell",
    [
        "x = (a\n     % b)",
        "x = a \\\n    % b",
        'x = """\n%time\n!ls\n?"""',
        "x = '''%s\n%s''' % (1, 2)",
        'x = "a#(" # it\'s ( [\ny = 1',
        "x = r'\\\\'\ny = a % b",
        "x = [\n    1,  # is it?\n    2,\n]",
        "x != y\nx %= 3",
        "d = {'%': 1,\n '!': 2}",
        "# what is it?\nx = 1  # really?",
        "f(a,\n  '(',\n  b)\nx = 'y?'",
    ],
)
def test_python_that_looks_like_it_stays(cell):
    assert magics.take_out(cell) == (cell, [])


def test_a_notebook_whose_metadata_a_tool_dropped_is_still_read(chapter, path):
    answer(path, "90.1", ANSWER)
    nb = nbformat.read(path, as_version=4)
    nb.metadata.clear()
    for cell in nb.cells:
        cell.metadata.clear()
    nbformat.write(nb, path)
    parts = sections.split(notebook.text(path))
    assert ANSWER in parts["90.1"]
    assert parts["90.2"] == sections.split(stubs.handed_out(chapter))["90.2"]


@pytest.mark.slow
def test_a_notebook_runs_to_its_end_unsolved_wrong_and_right(course, path, tmp_path, monkeypatch):
    work = Workspace.init()
    monkeypatch.setenv("MI_WORKSPACE", str(work.path))
    answer(path, "90.1", ANSWER)
    printed = run(path, tmp_path)
    assert "90.1 Add: right" in printed
    assert "Exercise 90.2 is waiting for your answer." in printed
    assert printed.count('"y": [2.0, 4.0, 6.0]') == 2  # drawn from the answer, and from the reference's

    answer(path, "90.1", "def add(a, b):\n    return a * b")
    answer(path, "90.2", "def add_three(a, b, c)\n    return")
    printed = run(path, tmp_path)
    assert "You multiply; a sum needs +." in printed
    assert "SyntaxError" in printed
    assert '"y": [1.0, 4.0, 9.0]' in printed

    attempts = Progress(work).attempts("90.1")
    assert [attempt.passed for attempt in attempts] == [True, False]
    assert "return a * b" in attempts[1].source


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://example.org/us/course.git", "https://example.org/us/course.git"),
        ("https://me:secret@example.org/us/course", "https://example.org/us/course"),
        ("git@example.org:us/course.git", "https://example.org/us/course.git"),
        ("/home/me/course", ""),
    ],
)
def test_the_first_cell_fetches_the_course_from_where_this_clone_came_from(course, remote, url):
    subprocess.run(["git", "init", "-q", course], check=True)
    subprocess.run(["git", "-C", course, "remote", "add", "origin", remote], check=True)
    chapter = index.chapter("90")
    first = notebook.build(chapter, stubs.reference_stub(chapter)).cells[1].source
    assert f'COURSE = "{url}"' in first
    assert "-c" in first
    assert "constraints.txt" in first
    assert "secret" not in first
