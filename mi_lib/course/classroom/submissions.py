"""What learners handed in, as learning systems export it: a folder (or zip) per student, zips in zips, loose files.

    Ada Lovelace_4711_assignsubmission_file_/exercises.py      Moodle, with folders
    Ada Lovelace_4711_assignsubmission_file_exercises.py       Moodle, flat
    lovelaceada_LATE_815_4711_exercises-1.py                   Canvas
    ada/                                                       anything else: the folder's name is the student's

Only files that answer a chapter are looked at (`.py` with the course's markers, or its notebooks). Whatever else is in
a submission, tests and conftest.py included, is ignored: it never reaches a disk or an interpreter.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from mi_lib.course import index, notebook, sections, stubs
from mi_lib.course.classroom.archive import MAX_ENTRIES, MAX_FILE_BYTES, Entry, Refused, is_clutter, read
from mi_lib.course.index import Chapter, CourseError

ANSWERS = (".py", ".ipynb")
_PACKED = (".zip",)
_UNREADABLE = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
MAX_BATCH_BYTES = 4 * 2**30  # a class in one zip

_MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<rest>.*)$")
_CANVAS = re.compile(r"^(?P<name>[^_]+)(?P<late>_LATE)?_(?P<user>\d+)_(?P<file>\d+)_(?P<rest>.+)$")


@dataclass
class Submission:
    """What one student handed in. texts: the exercise file of each chapter that it answers."""

    student: str
    source: str
    texts: dict[str, str] = field(default_factory=dict)
    received: datetime | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass
class _Found:
    """The files of one student before they are understood."""

    source: str
    entries: list[Entry] = field(default_factory=list)
    received: datetime | None = None
    problems: list[str] = field(default_factory=list)


def collect(path: Path | str, only: Iterable[str] = (), names: dict[str, str] | None = None) -> list[Submission]:
    """Everybody's submission in a folder or a zip, by student. Raises `CourseError` only if there is nothing at all.

    only: numbers of the chapters to look at (default: all). names: what an export calls a student → their real name.
    """
    path = Path(path)
    chapters = {c.number: c for c in index.chapters() if not only or c.number in set(only)}
    found: dict[str, _Found] = {}
    try:
        for label, entry, received, problem in _everything(path):
            student = (names or {}).get(label, label)
            mine = found.setdefault(student, _Found(label))
            mine.entries += [entry] if entry else []
            mine.problems += [problem] if problem else []
            mine.received = max(filter(None, (mine.received, received)), default=None)
    except (Refused, OSError) as error:
        raise CourseError(f"{path} cannot be read: {error}") from error
    if not found:
        raise CourseError(f"There are no submissions in {path}: expected a folder or a zip for each student.")
    return [_understand(student, mine, chapters) for student, mine in sorted(found.items())]


def student_of(name: str) -> tuple[str, str]:
    """(student, rest of the name) of a file or folder that a learning system named; ("", name) for any other."""
    if match := _MOODLE.match(name):
        return f"{match['name'].strip()}_{match['id']}", match["rest"]
    if match := _CANVAS.match(name):
        return f"{match['name']}_{match['user']}", match["rest"]
    return "", name


# -- finding the files ------------------------------------------------------------------------------------------


def _everything(path: Path) -> Iterator[tuple[str, Entry | None, datetime | None, str]]:
    """(student, file, when it came, what is wrong) for everything below a path."""
    if not path.exists():
        raise CourseError(f"There is no {path}. Give the folder or the zip of submissions.")
    if path.is_file():
        if path.suffix.lower() not in _PACKED:
            yield from _loose(path.name, path)
            return
        with path.open("rb") as file:
            yield from _packed_class(file, path.stat().st_size)
        return
    top = _single_folder(path)
    for child in sorted(top.iterdir()):
        if is_clutter(child.name):
            continue
        if child.is_symlink():
            yield child.name, None, None, "It is a link. Give the files themselves."
        elif child.is_dir():
            yield from _folder(student_of(child.name)[0] or child.name, child)
        elif child.is_file():
            yield from _loose(child.name, child)


def _single_folder(path: Path) -> Path:
    """Step into folders that hold nothing but one folder of folders: many exports are wrapped so."""
    while True:
        inside = [child for child in path.iterdir() if not is_clutter(child.name)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink() or student_of(inside[0].name)[0]:
            return path
        grandchildren = [c for c in inside[0].iterdir() if not is_clutter(c.name)]
        students = [c for c in grandchildren if c.is_dir() or c.suffix.lower() in _PACKED or student_of(c.name)[0]]
        chapters = [c for c in students if re.fullmatch(r"ch\d\d_\w+", c.name)]
        if not students or chapters or len(students) < len(grandchildren):
            return path
        path = inside[0]


def _loose(name: str, path: Path) -> Iterator[tuple[str, Entry | None, datetime | None, str]]:
    """One file beside the others: its name says whose it is."""
    student, rest = student_of(name)
    student = student or Path(name).stem
    changed = datetime.fromtimestamp(path.stat().st_mtime)
    suffix = path.suffix.lower()
    if suffix in _PACKED:
        yield from _unpacked(student, path.read_bytes() if path.stat().st_size < MAX_BATCH_BYTES else b"", changed)
    elif suffix in ANSWERS:
        yield from _sized(student, rest or name, path, changed)
    elif suffix in _UNREADABLE:
        yield student, None, changed, f"{name} is not a zip. Pack it again as a zip."


def _folder(student: str, folder: Path) -> Iterator[tuple[str, Entry | None, datetime | None, str]]:
    """Everything in a student's folder; links are not followed."""
    anything = False
    seen = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_clutter(name))
        for name in sorted(names):
            path = Path(root) / name
            seen += 1
            if seen > MAX_ENTRIES:
                yield student, None, None, f"The folder holds more than {MAX_ENTRIES} files."
                return
            if is_clutter(name) or path.suffix.lower() not in (*ANSWERS, *_PACKED, *_UNREADABLE):
                continue
            anything = True
            if path.is_symlink() or not path.is_file():
                yield student, None, None, f"{name} is a link or a device, not a plain file."
                continue
            changed = datetime.fromtimestamp(path.stat().st_mtime)
            if path.suffix.lower() in _PACKED:
                yield from _unpacked(student, path.read_bytes(), changed)
            elif path.suffix.lower() in _UNREADABLE:
                yield student, None, changed, f"{name} is not a zip. Pack it again as a zip."
            else:
                yield from _sized(student, path.relative_to(folder).as_posix(), path, changed)
    if not anything:
        yield student, None, None, "There is no .py file and no notebook in it."


def _sized(
    student: str, name: str, path: Path, changed: datetime
) -> Iterator[tuple[str, Entry | None, datetime | None, str]]:
    if path.stat().st_size > MAX_FILE_BYTES:
        yield student, None, changed, f"{path.name} is larger than {MAX_FILE_BYTES // 2**20} MiB."
    else:
        yield student, Entry(name, path.read_bytes(), changed), changed, ""


def _unpacked(
    student: str, data: bytes, received: datetime | None
) -> Iterator[tuple[str, Entry | None, datetime | None, str]]:
    """A student's zip. When it came is what the learning system says, not what the student's own clock wrote inside."""
    try:
        entries = list(read(data, ANSWERS))
    except Refused as refused:
        yield student, None, received, str(refused)
        return
    for entry in entries:
        yield student, entry, received, ""
    if not entries:
        yield student, None, received, "There is no .py file and no notebook in the zip."


def _packed_class(file: io.BufferedIOBase, size: int) -> Iterator[tuple[str, Entry | None, datetime | None, str]]:
    """One zip with the whole class in it, as a learning system gives it out."""
    if size > MAX_BATCH_BYTES:
        raise Refused(f"it is larger than {MAX_BATCH_BYTES // 2**30} GiB")
    entries = list(read(file, (*ANSWERS, *_PACKED)))
    parts = [entry.path.split("/") for entry in entries]
    while parts and all(len(p) > 2 and p[0] == parts[0][0] and not student_of(p[0])[0] for p in parts):
        parts = [p[1:] for p in parts]  # the whole class lies in one folder
    for path, entry in zip(parts, entries, strict=True):
        student, rest = student_of(path[0])
        student = student or (path[0] if len(path) > 1 else Path(path[0]).stem)
        inner = "/".join(path[1:]) or rest or path[0]
        if entry.name.lower().endswith(_PACKED):
            yield from _unpacked(student, entry.data, entry.changed)
        else:
            yield student, Entry(inner, entry.data, entry.changed), entry.changed, ""


# -- understanding them -----------------------------------------------------------------------------------------


def _understand(student: str, found: _Found, chapters: dict[str, Chapter]) -> Submission:
    """Which file answers which chapter."""
    result = Submission(student, found.source, received=found.received, problems=list(found.problems))
    candidates: dict[str, list[tuple[int, str, str]]] = {}  # chapter → (rank, path, text)
    for entry in found.entries:
        try:
            number, text = _answer(entry, chapters)
        except Refused as refused:
            if str(refused):
                result.problems.append(str(refused))
            continue
        except Exception as error:  # a stranger's file: whatever it does to a parser concerns this student alone
            result.problems.append(f"{entry.name} cannot be read ({type(error).__name__}).")
            continue
        candidates.setdefault(number, []).append((_rank(entry, chapters[number], text), entry.path, text))
    for number, files in sorted(candidates.items()):
        files.sort(key=lambda file: (-file[0], file[1]))
        result.texts[number] = files[0][2]
        if len({text for _, _, text in files}) > 1:
            others = ", ".join(path for _, path, _ in files[1:4])
            result.notes.append(f"Several files answer chapter {number}: {files[0][1]} was graded, not {others}.")
    if not result.texts and not result.problems:
        result.problems.append("No file of it has lines like `# %% [02.1]`, so it answers no exercise of the course.")
    return result


def _answer(entry: Entry, chapters: dict[str, Chapter]) -> tuple[str, str]:
    """(chapter, text) of a file. Refused without a reason if it has nothing to do with the course."""
    if entry.name.lower().endswith(".ipynb"):
        with tempfile.TemporaryDirectory(prefix="mi-notebook-") as folder:
            path = Path(folder) / "submission.ipynb"
            path.write_bytes(entry.data)
            try:
                number = notebook.chapter_of(path).number
                if number not in chapters:
                    raise Refused("")
                return number, notebook.text(path)
            except CourseError as error:
                raise Refused(str(error).replace(str(path), entry.name)) from error
    try:
        text = entry.data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"{entry.name} is not a text file in UTF-8.") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    marks = [mark[1] for mark in sections.MARKER.finditer(text)]
    number = next((mark.split(".")[0] for mark in marks if "." in mark), "")
    if number not in chapters:
        raise Refused("")
    return number, text


def _rank(entry: Entry, chapter: Chapter, text: str) -> int:
    """How likely this file is the one that was meant: where it lies, then how much of it is written."""
    place = 1000 if entry.path.endswith(f"{chapter.name}/exercises.py") else 0
    place += 500 if entry.name == "exercises.py" else 0
    stub = sections.split(stubs.handed_out(chapter))
    try:
        mine = sections.split(text)
    except sections.SectionError:
        return place
    return place + sum(mine[name].strip() != stub.get(name, "").strip() for name in mine)
