"""A chapter as a notebook: the lesson, and a cell per exercise that runs the answer and grades it.

An exercise's cell starts with `%%exercise 02.3`. The magic has the exact text of the cell, so what is graded is what
ran. An unsolved or broken cell says so and lets the notebook run on.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_lib.course import figures, files, glossary, index, lesson, magics, sections, stubs
from mi_lib.course.index import Chapter, CourseError, Exercise
from mi_lib.course.workspace import Workspace

if TYPE_CHECKING:
    import nbformat

_FIRST_CELL = """\
# Run this cell first. Where the course is not installed yet (as on Colab) it fetches it.
import importlib.util
import subprocess
import sys

COURSE = "{url}"  # the course's repository

if importlib.util.find_spec("mi_lib") is None:
    if not COURSE:
        raise SystemExit("Write the address of the course's repository into COURSE above, and run this cell again.")
    subprocess.run(["git", "clone", "--depth", "1", COURSE, "mi-course"], check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q", "-c", "mi-course/constraints.txt", "-e", "mi-course"]
    subprocess.run(pip, check=True)
    sys.path.insert(0, "mi-course")

%load_ext mi_lib.course.notebook"""

_HOW = """\
*This notebook is graded. Each cell that starts with `%%exercise` holds one answer: running it runs the answer and
checks it. Keep helper functions in the cell that uses them, or in the setup cell. `%hint {first}` shows a hint,
`%solution {first}` the answer. `mi notebook {number} --into-workspace FILE` carries your answers into
your workspace.*"""

_WORD = "#word-{id}"  # where a notebook has the entry of a word

_IMPORT = "from mi_lib.course.notebook import figure_from_answer"

# -- writing ----------------------------------------------------------------------------------------------------


def write(chapter: Chapter, path: Path | str, answers_from: Workspace | None = None) -> Path:
    """Write the chapter's notebook, with the stubs or with the answers of a workspace. Never overwrites a file.

    Raises `CourseError` if `path` exists.
    """
    path = Path(path)
    if path.exists():
        raise CourseError(f"{path} exists and may hold answers. Choose another name with `--output`, or move it away.")
    nbformat = _nbformat()
    text = answers_from.text(chapter) if answers_from else stubs.handed_out(chapter)
    files.write_atomically(path, nbformat.writes(build(chapter, text)))
    return path


def build(chapter: Chapter, text: str, url: str | None = None) -> nbformat.NotebookNode:
    """The notebook of a chapter with the sections of `text` as its answers.

    url: where it fetches the course where that is not installed; default: where this clone came from.
    """
    v4 = _nbformat().v4
    parts = sections.split(text)
    how = _HOW.format(first=chapter.exercises[0].id, number=chapter.number)
    cells = [v4.new_markdown_cell(how), v4.new_code_cell(_FIRST_CELL.format(url=_url() if url is None else url))]
    if "setup" in parts:
        cells.append(_exercise_cell("setup", parts["setup"]))
    blocks, terms = lesson.blocks(chapter), glossary.of(chapter)
    for block in glossary.linked(blocks, terms, _WORD):
        cells += _cells(chapter, block, parts)
    cells += _words(glossary.first_occurrences(blocks, terms))
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["mi"] = {"chapter": chapter.number}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # nbformat makes random ones; the same lesson must give the same file
    return notebook


def _words(used: list[glossary.Occurrence]) -> list[Any]:
    """The words of this chapter at its end, where the links of the lesson lead."""
    terms = sorted((occurrence.term for occurrence in used), key=lambda term: term.name.casefold())
    entries = [f'<a id="{_WORD[1:].format(id=term.id)}"></a>**{term.name}**: {term.text}' for term in terms]
    return [_nbformat().v4.new_markdown_cell("\n\n".join(["## Words of this chapter", *entries]))] if entries else []


def _cells(chapter: Chapter, block: lesson.Block, parts: dict[str, str]) -> list[Any]:
    v4 = _nbformat().v4
    if block.kind == "markdown":
        return [v4.new_markdown_cell(block.text)]
    if block.kind == "exercise":
        exercise = chapter.exercise(block.arg)
        cells = [v4.new_markdown_cell(_exercise_heading(exercise))]
        return [*cells, _exercise_cell(exercise.id, parts[exercise.id])] if exercise.id in parts else cells
    if block.kind == "figure":
        code = f'from mi_lib.course.notebook import figure\n\nfigure("{chapter.number}", "{block.arg}")'
        if block.follows:
            call = f'figure_from_answer("{block.follows}", "{block.arg}", globals())'
            code = f"# From the functions that you have defined above, and from the reference's.\n{_IMPORT}\n\n{call}"
        return [v4.new_code_cell(code), v4.new_markdown_cell(f"*{block.text.strip()}*" if block.text.strip() else "")]
    if block.kind == "predict":
        options = "\n".join(f"- {option.text}" for option in block.options)
        right = "; ".join(option.text for option in block.options if option.right)
        answer = f"<details><summary>When you have decided</summary>\n\n**{right}**\n\n{block.text}\n\n</details>"
        return [v4.new_markdown_cell(f"**Before you go on: {block.arg}**\n\n{options}\n\n{answer}")]
    title = f"In practice: {block.arg}" if block.kind == "practice" else block.arg
    quoted = "\n".join(f"> {line}".rstrip() for line in block.text.splitlines())
    return [v4.new_markdown_cell(f"> **{title}**\n>\n{quoted}")]


def _exercise_heading(exercise: Exercise) -> str:
    points = "1 point" if exercise.points == 1 else f"{exercise.points} points"
    anchor = f'<a id="{lesson.anchor_of(exercise.id)}"></a>'
    facts = f"{points}, about {exercise.minutes} minutes, difficulty {exercise.difficulty} of 5"
    if exercise.optional:
        facts += ", optional"
    return f"{anchor}\n### Exercise {exercise.id}: {exercise.title}\n\n*{facts}.* {exercise.teaches}"


def _exercise_cell(section: str, text: str) -> Any:
    """A code cell for a section; marker line and closing blank lines go to the metadata, so that nothing is lost."""
    body = sections.body(text)
    kept = body.rstrip()
    cell = _nbformat().v4.new_code_cell(f"%%exercise {section}\n{kept}")
    cell.metadata["mi"] = {"section": section, "marker": text[: len(text) - len(body)], "end": body[len(kept) :]}
    return cell


# -- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answers:
    """What a notebook holds. sections: those that it answers, in the order of the file that they stem from.

    remarks: what was done to them so that they can be graded, a sentence each.
    """

    chapter: Chapter
    sections: dict[str, str]
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The exercise file that the answers make up, as it is graded."""
        result = stubs.handed_out(self.chapter)
        for section, answer in self.sections.items():
            result = sections.replace(result, section, answer)
        return result


def read(path: Path | str) -> Answers:
    """A notebook's answers, whether it was ever solved or not. Raises `CourseError` if it holds no exercise.

    Of several cells for one exercise the last counts. What Jupyter runs itself (`%%time`, `!pip`) is taken out. Both
    are said in the remarks.
    """
    path = Path(path)
    cells = _cells_of(_load(path), path)
    chapter = index.chapter(_number(cells, path))
    handed_out = sections.split(stubs.handed_out(chapter))
    found: dict[str, str] = {}
    remarks = []
    for cell in cells:
        if cell.section not in handed_out:
            remarks.append(f"[{cell.section}] is no exercise of chapter {chapter.number}, so it is not looked at.")
            continue
        if cell.section in found:
            remarks.append(f"There are several cells for [{cell.section}]; the last of them counts.")
        body, taken = magics.take_out(cell.body)
        if taken:
            listed = ", ".join(f"`{one[:60]}`" for one in taken[:5])
            remarks.append(f"Taken out of [{cell.section}], since Jupyter runs it itself and not Python: {listed}.")
        found[cell.section] = _text_of(body, cell.facts, handed_out[cell.section])
    if all(section == "setup" for section in found):
        raise CourseError(f"{path} has no answers: no cell of it starts with `%%exercise`. Is it the right notebook?")
    ordered = {section: found[section] for section in handed_out if section in found}
    return Answers(chapter, ordered, tuple(dict.fromkeys(remarks)))


def chapter_of(path: Path | str) -> Chapter:
    """The chapter that a notebook was written for. Raises `CourseError` if it was not written by `mi notebook`."""
    return index.chapter(_number(_cells_of(_load(Path(path)), Path(path)), Path(path)))


def text(path: Path | str) -> str:
    """The exercise file that a notebook's answers make up, as it is graded. Raises `CourseError` if there are none."""
    return answered(path).text


def sections_of(path: Path | str) -> dict[str, str]:
    """The sections of a notebook (marker lines included), in the order of the file that they stem from.

    Raises `CourseError` if the file is no notebook of this course, or holds no answer.
    """
    return answered(path).sections


def answered(path: Path | str) -> Answers:
    """The same as `read`. Raises `CourseError` also where every exercise is as it was handed out."""
    answers = read(path)
    handed_out = sections.split(stubs.handed_out(answers.chapter))
    if all(_same(text, handed_out[section]) for section, text in answers.sections.items()):
        raise CourseError(f"{path} has no answers yet: every exercise is as it was handed out. Solve one, then save.")
    return answers


def into_workspace(path: Path | str, workspace: Workspace) -> list[str]:
    """Carry a notebook's answers into the workspace (which is backed up first). Returns the sections that changed."""
    chapter = chapter_of(path)
    handed_out = sections.split(stubs.handed_out(chapter))
    answers = {s: t for s, t in sections_of(path).items() if not _same(t, handed_out[s])}
    file = workspace.file(chapter)
    with files.locked(workspace.path / ".mi" / "lock"):
        before = files.read_text(file)
        after = before
        changed = [section for section, answer in answers.items() if not _same(answer, sections.get(before, section))]
        for section in changed:
            after = sections.replace(after, section, answers[section])
        if changed:
            workspace.backup(chapter)
            files.write_atomically(file, after)
    return changed


@dataclass(frozen=True)
class _Cell:
    """One cell that starts with `%%exercise`. facts: what our metadata say of it, if no tool dropped them."""

    section: str
    body: str
    facts: dict[str, Any]


_EXERCISE = re.compile(r"^%%exercise[ \t]+(?:(setup)|(\d{1,2})\.(\d{1,2}))\b[^\n]*(?:\n|\Z)", re.MULTILINE)
_HALF = re.compile("[\ud800-\udfff]")  # half a character: JSON can say it, no file can hold it


def _load(path: Path) -> dict[str, Any]:
    """The notebook as version 4, without its outputs: they may be a thousand times its text, and nobody reads them.

    No schema is asked for: Colab, VS Code and old Jupyters each leave out something that nothing here needs.
    """
    from nbformat import converter, reader

    try:
        data = json.loads(files.read_text(path))
        for cell in [c for sheet in [data, *data.get("worksheets", [])] for c in sheet.get("cells", [])]:
            cell["outputs"], cell["metadata"] = [], cell.get("metadata") or {}
        data["metadata"] = data.get("metadata") or {}
        if "cells" not in data and "worksheets" not in data:
            raise ValueError("no cells")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(converter.convert(reader.reads(json.dumps(data)), 4))
    except CourseError:
        raise
    except Exception as error:  # nbformat raises many kinds for a file that is not a notebook
        raise CourseError(
            f"{path} is not a notebook that can be read. Save it again in Jupyter, or restore it."
        ) from error


def _cells_of(notebook: dict[str, Any], path: Path) -> list[_Cell]:
    """The cells that hold an exercise, in their order.

    Their first line of code decides (Colab puts its titles before it, people a `%%time`); the metadata may have been
    dropped or copied. Cells that were merged are several again.
    """
    found = []
    for cell in notebook["cells"]:
        source = _HALF.sub("\ufffd", str(cell.get("source", ""))).replace("\r\n", "\n")
        marks = list(_EXERCISE.finditer(source)) if cell.get("cell_type") == "code" else []
        before = source[: marks[0].start()] if marks else ""
        python, taken = magics.take_out(before)
        lines = {line.strip().partition("#")[0].strip() for line in python.split("\n")}
        if not marks or lines - {"", "pass"}:
            continue
        ends = [mark.start() for mark in marks[1:]] + [len(source)]
        facts = cell.get("metadata", {}).get("mi", {})
        for mark, end in zip(marks, ends, strict=True):
            section = mark[1] or f"{int(mark[2]):02d}.{int(mark[3])}"
            mine = facts if isinstance(facts, dict) and facts.get("section", section) == section else {}
            found.append(_Cell(section, (before if taken else "") + source[mark.end() : end], mine))
            taken = []
    if not found and not (isinstance(notebook.get("metadata"), dict) and "mi" in notebook["metadata"]):
        raise CourseError(f"{path} has no answers: no cell of it starts with `%%exercise`. Is it the right notebook?")
    return found


def _number(cells: list[_Cell], path: Path) -> str:
    """The chapter's number, from the cells that are there, whatever became of the metadata."""
    for cell in cells:
        if cell.section != "setup":
            return cell.section.split(".")[0]
    raise CourseError(f"{path} has no answers: no cell of it starts with `%%exercise`. Is it the right notebook?")


def _text_of(body: str, facts: dict[str, Any], handed_out: str) -> str:
    default = sections.body(handed_out)
    marker = str(facts.get("marker", handed_out[: len(handed_out) - len(default)]))
    end = str(facts.get("end", default[len(default.rstrip()) :]))
    return marker + body.rstrip() + end


def _same(one: str, other: str) -> bool:
    return sections.body(one).strip() == sections.body(other).strip()


def _nbformat() -> Any:
    import nbformat

    return nbformat


def _url() -> str:
    """Where this course came from: the remote of its clone as an https address; "" if there is none to be reached."""
    try:
        asked = subprocess.run(
            ["git", "-C", str(index.root()), "remote", "get-url", "origin"], capture_output=True, text=True, timeout=5
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.fullmatch(
        # https://host/path, ssh://git@host/path or git@host:path; a name and password before the @ are left out
        r"(?:(?:https?|ssh|git)://(?:[^@/\s]+@)?([\w.-]+)/|[\w-]+@([\w.-]+):)([\w./~-]+)",
        asked.stdout.strip(),
    )
    return f"https://{found[1] or found[2]}/{found[3]}" if found else ""


# -- inside the notebook ----------------------------------------------------------------------------------------


def figure(chapter_number: str, name: str) -> Any:
    """A figure of a chapter, to be shown in the notebook."""
    return figures.figure(index.chapter(chapter_number), name)


def figure_from_answer(exercise_id: str, name: str, names: dict[str, Any]) -> None:
    """Show a figure drawn from the functions in `names` (the notebook's), and the same drawn from the reference's.

    Where an answer is missing, or something is wrong with what it returns, a sentence says so and the notebook runs on.
    """
    from IPython.display import display

    try:
        exercise = index.exercise(exercise_id)
        drawn = figures.draw_here(exercise, name, names)
        if drawn.problem:
            print(drawn.problem)
        if drawn.figure is not None:
            print("Drawn from your answer:")
            display(drawn.figure)
        reference = figures.figure(exercise.chapter, name)
    except CourseError as error:
        print(error)
        return
    print("Drawn from the reference's:")
    display(reference)


def load_ipython_extension(shell: Any) -> None:
    """Register `%%exercise`, `%hint` and `%solution`; IPython calls this for `%load_ext mi_lib.course.notebook`."""
    session = Session(shell)
    shell.register_magic_function(session.exercise, "cell", "exercise")
    shell.register_magic_function(session.hint, "line", "hint")
    shell.register_magic_function(session.solution, "line", "solution")


class Session:
    """The answers that ran in this notebook so far, and the grader that judges them."""

    def __init__(self, shell: Any):
        self.shell = shell
        self.answers: dict[str, str] = {}  # section -> text with its marker line
        self._grader: Any = None

    def exercise(self, line: str, cell: str) -> None:
        """`%%exercise 02.3`: run the cell, then grade its text."""
        name = line.strip()
        if name == "setup":
            self.answers["setup"] = f"# %% [setup]\n{magics.take_out(cell)[0]}"
            self.shell.run_cell(cell)
            return
        try:
            exercise = index.exercise(name)
            handed_out = sections.get(stubs.handed_out(exercise.chapter), exercise.id)
            section = f"# %% [{exercise.id}] {exercise.title}\n{magics.take_out(cell)[0]}"
            self.answers[exercise.id] = section
            self.shell.run_cell(cell)  # shows an error without stopping the notebook
            if _same(section, handed_out):
                print(f"Exercise {exercise.id} is waiting for your answer.")
                return
            self._grade(exercise)
        except CourseError as error:
            print(error)

    def hint(self, line: str) -> None:
        """`%hint 02.3`: the next hint."""
        try:
            exercise = index.exercise(line)
            progress = self._progress()
            shown = progress.reveal_hint(exercise.id) if progress else len(exercise.hints)
            for number, hint in enumerate(exercise.hints[:shown], start=1):
                print(f"Hint {number}: {hint}")
        except CourseError as error:
            print(error)

    def solution(self, line: str) -> None:
        """`%solution 02.3`: the reference answer."""
        from mi_lib.course.solutions import solution

        try:
            exercise = index.exercise(line)
            print(solution(exercise))
            progress = self._progress()
            if progress:
                progress.mark_solution_seen(exercise.id)
        except CourseError as error:
            print(error)

    def _grade(self, exercise: Exercise) -> None:
        from rich.console import Console

        from mi_lib.course import checking, show

        text = stubs.handed_out(exercise.chapter)
        for name in sections.split(text):
            if name in self.answers:
                text = sections.replace(text, name, self.answers[name])
        verdict = checking.check_text(self._warm_grader(), self._progress(), exercise, text)
        # A fixed width: inside a notebook there is no terminal whose width could be asked.
        show.verdict(Console(width=100, force_jupyter=False, color_system=None), exercise, verdict)

    def _warm_grader(self) -> Any:
        if self._grader is None:
            from mi_lib.course.grading import Grader

            self._grader = Grader().__enter__()
            atexit.register(self._grader.__exit__, None, None, None)
        return self._grader

    @staticmethod
    def _progress() -> Any:
        """The progress of the workspace that this notebook belongs to, if it belongs to one."""
        from mi_lib.course.progress import Progress

        for folder in [Path(os.environ["MI_WORKSPACE"])] if "MI_WORKSPACE" in os.environ else _above(Path.cwd()):
            if (folder / ".mi" / "workspace.json").exists():
                return Progress(folder / ".mi" / "progress.sqlite")
        return None


def _above(folder: Path) -> list[Path]:
    return [folder / "work", folder, *folder.parents]
