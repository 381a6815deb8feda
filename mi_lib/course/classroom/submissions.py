"""What learners handed in, as learning systems export it: a folder (or zip) per student, zips in zips, loose files.

    Ada Lovelace_4711_assignsubmission_file_/exercises.py      Moodle, with folders
    Ada Lovelace_4711_assignsubmission_file_exercises.py       Moodle, flat
    lovelaceada_LATE_815_4711_exercises-1.py                   Canvas
    LATE_anon_8Xk3q_4711_exercises.py                          Canvas, where names are hidden
    lovelaceada_815_text.html                                  Canvas, of who wrote into its editor
    ada/                                                       anything else: the folder's name is the student's

1. List everything (`archive`), whatever it is.
2. Say whose each file is, by its place and name alone.
3. Read each student's part by itself, within limits that are his alone: what cannot be read is his problem, what is
   no answer is left out with a remark.
4. Say which file answers which chapter: the newest that is not the untouched stub.

Only files that answer a chapter are looked at (`.py` with the course's markers, or its notebooks). Whatever else is in
a submission, tests and conftest.py included, is ignored: it never reaches a disk or an interpreter.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from mi_lib.course import index, notebook, sections, stubs, texts
from mi_lib.course.classroom import archive, clock
from mi_lib.course.classroom.archive import File, Refused
from mi_lib.course.index import Chapter, CourseError

ANSWERS = (".py", ".ipynb")
_PACKED = (".zip",)
_UNREADABLE = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
# Of one student.
MAX_ANSWERS = 1_000  # files that may hold an answer
MAX_FILE_BYTES = 10 * 2**20  # a text
MAX_NOTEBOOK_BYTES = 100 * 2**20  # a notebook with its outputs, which do not count towards the text
MAX_PACKED_BYTES = 500 * 2**20  # a zip in the class's zip
MAX_TOTAL_BYTES = 200 * 2**20  # all that is read
MAX_DEPTH = 4  # zips in zips

_MOODLE = re.compile(r"^(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<rest>.*)$", re.DOTALL)
# Canvas writes names in small letters, of which an underscore is one; the first two numbers are the user and the file.
_CANVAS = re.compile(
    r"^(?P<name>[^_]+|[^\WA-Z]+?)(?:_LATE)?_(?P<id>\d+)_(?P<rest>(?:text|link)\.html$|\d+_(?P<file>.+)$)", re.DOTALL
)
_CANVAS_HIDDEN = re.compile(
    r"^(?:LATE_)?(?P<name>anon)_(?P<id>[A-Za-z0-9]+)_(?P<rest>(?:text|link)\.html$|\d+_(?P<file>.+)$)", re.DOTALL
)
_COURSES_OWN = re.compile(r"ch\d\d_\w+|work|chapters|notebooks|mi-course", re.IGNORECASE)
_COPY = re.compile(r"[ _-]?\(?(\d{1,3})\)?$")  # "exercises (1)", "exercises-1": what browsers and Canvas make of copies


@dataclass
class Submission:
    """What one student handed in.

    texts: the exercise file of each chapter that it answers. received: when the file that answers a chapter came.
    source: what the export calls the student; labels: where it has several names for one, all of them.
    """

    student: str
    source: str
    texts: dict[str, str] = field(default_factory=dict)
    received: dict[str, datetime] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A file that answers a chapter. received: as the learning system says; written: as the student's own zip says."""

    text: str
    path: str
    received: datetime | None
    written: datetime | None
    notes: tuple[str, ...] = ()


def collect(
    path: Path | str, only: Iterable[str] = (), names: Mapping[str, str] | None = None, zone: str = ""
) -> list[Submission]:
    """Everybody's submission in a folder or a zip, by student. Raises `CourseError` only if there is nothing at all.

    only: numbers of the chapters to look at (default: all). names: what an export calls a student → their real name.
    zone: the course's zone, for times that say none (default: this computer's).
    """
    path = Path(path)
    chapters = {c.number: c for c in index.chapters() if not only or c.number in set(only)}
    with contextlib.ExitStack() as stack:
        try:
            listed = _listed(path, stack)
        except (Refused, OSError) as error:
            raise CourseError(f"{path} cannot be read: {error}") from error
        by_student: dict[str, list[tuple[str, File]]] = {}
        for label, file in _whose(listed):
            by_student.setdefault(label, []).append((label, file))
        parts: dict[str, list[tuple[str, File]]] = {}
        for label, name in student_names(by_student).items():
            parts.setdefault((names or {}).get(name, name), []).extend(by_student[label])
        if not parts:
            raise CourseError(f"There are no submissions in {path}: expected a folder or a zip for each student.")
        return [_understand(name, parts[name], chapters, clock.zone(zone)) for name in sorted(parts)]


def places(path: Path | str) -> dict[str, list[str]]:
    """label → what the export calls the student's folder, or files: where feedback is handed back.

    Only of those that a learning system named, with the name of the file or folder and no part of its path.
    """
    path = Path(path)
    found: dict[str, list[str]] = {}
    with contextlib.ExitStack() as stack:
        try:
            listed = [file for file in _listed(path, stack) if not archive.at_top(file.path.split("/")[0])]
        except (Refused, OSError) as error:
            raise CourseError(f"{path} cannot be read: {error}") from error
    start = _wrapped(listed)
    for file in listed:
        parts = file.path.split("/")[start:]
        if parts and (label := student_of(parts[0], is_folder=len(parts) > 1)[0]):
            mine = found.setdefault(texts.line(label), [])
            name = parts[0] + "/" if len(parts) > 1 else parts[0]
            mine += [name] if name not in mine else []
    return found


def student_of(name: str, is_folder: bool = False) -> tuple[str, str]:
    """(student, rest of the name) of a file or folder that a learning system named; ("", name) for any other.

    The last place that looks like the system's counts, so that a display name of that form takes nobody's place.
    """
    if (match := _MOODLE.match(name)) and not (is_folder and match["rest"]):
        return f"{match['name'].strip()}_{match['id']}", match["rest"]
    if not is_folder and (match := _CANVAS_HIDDEN.match(name) or _CANVAS.match(name)):
        return f"{match['name']}_{match['id']}", match["file"] or match["rest"]
    return "", name


def student_names(labels: Iterable[str]) -> dict[str, str]:
    """label of an export → a student's name that every file can hold, and that no two labels share."""
    plain = {label: texts.line(label) or "student" for label in labels}
    taken = [name for label, name in plain.items() if label == name]
    found = {}
    for label, name in plain.items():
        if label != name and (name in taken or list(plain.values()).count(name) > 1):
            name += f" [{hashlib.sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:6]}]"
        found[label] = name
    return found


# -- whose is it ------------------------------------------------------------------------------------------------


def _listed(path: Path, stack: contextlib.ExitStack) -> list[File]:
    if not path.exists():
        raise CourseError(f"There is no {path}. Give the folder or the zip of submissions.")
    if path.is_dir():
        return list(archive.in_folder(path))
    if path.suffix.lower() in _PACKED:
        return archive.in_zip(path, stack)
    folder = archive.in_folder(path.parent)
    return [file for file in folder if file.path == texts.decoded(path.name.encode("utf-8", "surrogateescape"))]


def _whose(files: list[File]) -> Iterator[tuple[str, File]]:
    """(label, file): whose each file is, by the first part of its path; the rest of the path is the file's own."""
    files = [file for file in files if not archive.at_top(file.path.split("/")[0])]
    start = _wrapped(files)
    for file in files:
        parts = file.path.split("/")[start:]
        while len(parts) > 1 and parts[0] in ("", ".", ".."):  # such a path is refused, as its student's problem
            parts = parts[1:]
        if not parts or not parts[0]:
            continue
        in_folder = len(parts) > 1
        student, rest = student_of(parts[0], in_folder)
        mine = file.below(start)
        if in_folder:
            own = mine.path.removeprefix(f"{parts[0]}/")  # unless it begins with ".."
            yield student or parts[0], File(own, file.size, file.packed, file.changed, file.fault, file.open)
        elif student or file.fault or file.suffix in (*ANSWERS, *_PACKED, *_UNREADABLE) or "\0" in file.path:
            name = rest or parts[0]
            label = student or Path(parts[0].split("\0")[0]).stem
            yield label, File(name, file.size, file.packed, file.changed, file.fault, file.open)


def _wrapped(files: list[File]) -> int:
    """How many folders lie around the whole class: many exports are wrapped so.

    A folder that holds several students' folders, zips or files is such a wrapping, and so are those around it. Where
    there is no such fork, the outermost folder is the student.
    """
    paths = [file.path.split("/") for file in files if not archive.outside(file.path)]
    depth = 0
    while paths and all(len(p) > depth + 1 and p[depth] == paths[0][depth] for p in paths):
        if student_of(paths[0][depth], is_folder=True)[0]:
            return 0
        depth += 1
        inside = {p[depth]: len(p) > depth + 1 for p in paths if p[depth]}  # name → is it a folder
        shaped = {name for name, is_folder in inside.items() if student_of(name, is_folder)[0]}
        students = {n for n, is_folder in inside.items() if is_folder or Path(n).suffix.lower() in _PACKED} | shaped
        if any(_COURSES_OWN.fullmatch(Path(name).stem) for name in students):
            return 0
        if students == set(inside) and (len(students) > 1 or shaped):
            return depth
    return 0


# -- reading one student's part -----------------------------------------------------------------------------------


@dataclass
class _Reading:
    """What is read of one student so far."""

    problems: list[str] = field(default_factory=list)
    left_out: list[File] = field(default_factory=list)
    environments: list[str] = field(default_factory=list)
    answers: int = 0
    total: int = 0

    def read(self, file: File, most: int) -> bytes:
        data = file.read(min(most, MAX_TOTAL_BYTES + MAX_PACKED_BYTES))
        self.total += len(data) if file.suffix not in _PACKED else 0
        if self.total > MAX_TOTAL_BYTES:
            raise Refused(f"There are more than {MAX_TOTAL_BYTES // 2**20} MiB of .py files and notebooks")
        return data


def _files(files: list[File], so_far: _Reading, depth: int = 0) -> Iterator[tuple[File, File]]:
    """(file, outermost): the files of one student that may hold answers, out of his zips too."""
    environments = tuple(f.path.removesuffix("pyvenv.cfg") for f in files if f.name == "pyvenv.cfg" and "/" in f.path)
    for file in sorted(files, key=lambda one: one.path):
        folders = file.path.rstrip("/").split("/") if file.path.endswith("/") else file.path.split("/")[:-1]
        inside = next((f for f in folders if archive.is_clutter(f) and f not in (".", "..")), "")
        if environments and file.path.startswith(environments):
            inside = next(e for e in environments if file.path.startswith(e)).rstrip("/").rsplit("/", 1)[-1]
        if inside:
            if not inside.startswith(("__", ".i", ".g")) and inside not in so_far.environments:
                so_far.environments.append(inside)
            continue
        if not file.path or file.path.endswith("/") or (archive.is_clutter(file.name) and file.name != ".."):
            continue
        if file.suffix not in (*ANSWERS, *_PACKED, *_UNREADABLE) and "\0" not in file.path:
            so_far.left_out.append(file)
            continue
        if archive.outside(file.path):
            so_far.problems.append(f"The path {file.path[:80]!r} leads out of its folder, so it is not read.")
        elif file.fault:
            so_far.problems.append(f"{file.name} {file.fault}.")
        elif file.suffix in _UNREADABLE:
            so_far.problems.append(f"{file.name} is not a zip. Pack it again as a zip.")
        elif file.suffix in _PACKED:
            for inner in _inside(file, so_far, depth):
                yield inner, file
        else:
            so_far.answers += 1
            if so_far.answers > MAX_ANSWERS:
                raise Refused(f"There are more than {MAX_ANSWERS} .py files and notebooks")
            yield file, file


def _inside(file: File, so_far: _Reading, depth: int) -> Iterator[File]:
    if depth >= MAX_DEPTH:
        so_far.problems.append(f"{file.name} is a zip in a zip in a zip, too deep to be looked into.")
        return
    with contextlib.ExitStack() as stack:
        try:
            inner = archive.in_zip(so_far.read(file, MAX_PACKED_BYTES), stack)
        except Refused as refused:
            so_far.problems.append(f"{file.name}: {refused}")
            return
        if not any(one.suffix in (*ANSWERS, *_PACKED, *_UNREADABLE) for one in inner):
            so_far.problems.append(f"There is no .py file and no notebook in {file.name}.")
        yield from (one for one, _ in _files(inner, so_far, depth + 1))


# -- understanding it -------------------------------------------------------------------------------------------


def _understand(
    student: str, part: list[tuple[str, File]], chapters: dict[str, Chapter], zone: ZoneInfo | None
) -> Submission:
    """Which file answers which chapter."""
    so_far = _Reading()
    found: dict[str, list[_Candidate]] = {}
    try:
        for file, outermost in _files([file for _, file in part], so_far):
            try:
                data = so_far.read(file, MAX_NOTEBOOK_BYTES if file.suffix == ".ipynb" else MAX_FILE_BYTES)
                number, text, notes = _answer(file.name, data, chapters)
            except Refused as refused:
                so_far.problems += [str(refused)] if str(refused) else []
                if so_far.total > MAX_TOTAL_BYTES:
                    raise
                continue
            except Exception as error:  # a stranger's file: whatever it does to a parser concerns this student alone
                so_far.problems.append(f"{file.name} cannot be read ({type(error).__name__}).")
                continue
            written = clock.instant(file.changed, zone)
            candidate = _Candidate(text, file.path, clock.instant(outermost.changed, zone), written, tuple(notes))
            found.setdefault(number, []).append(candidate)
    except Refused as refused:
        found = {}
        so_far.problems.append(f"{str(refused).rstrip('.')}; none of them is graded. Hand in the answers alone.")
    labels = tuple(dict.fromkeys(texts.line(label) for label, _ in part))
    result = Submission(student, labels[0], problems=so_far.problems, labels=labels)
    for number, candidates in sorted(found.items()):
        _choose(result, number, candidates, chapters[number])
    result.notes += _remarks(so_far)
    if not result.texts:  # then it matters that what was left out was a link
        result.problems += [f"{file.name} {file.fault}." for file in so_far.left_out if file.fault]
    if not result.texts and not result.problems:
        result.problems.append(
            "No file of it has lines like `# %% [02.1]`, so it answers no exercise of the course."
            if so_far.answers
            else "There is no .py file and no notebook in it."
        )
    result.notes = [texts.line(note) for note in result.notes]
    result.problems = [texts.line(problem) for problem in result.problems]
    return result


def _answer(name: str, data: bytes, chapters: dict[str, Chapter]) -> tuple[str, str, list[str]]:
    """(chapter, text, remarks) of a file. Refused without a reason if it has nothing to do with the course."""
    if name.lower().endswith(".ipynb"):
        return _from_notebook(name, data, chapters)
    try:
        # With their mark at the beginning, so that nothing else is taken for them.
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"{name} is not a text file in UTF-8.") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    marks = [mark[1] for mark in sections.MARKER.finditer(text)]
    number = next((mark.split(".")[0] for mark in marks if "." in mark), "")
    if number not in chapters:
        raise Refused("")
    return number, text, []


def _from_notebook(name: str, data: bytes, chapters: dict[str, Chapter]) -> tuple[str, str, list[str]]:
    with tempfile.TemporaryDirectory(prefix="mi-notebook-") as folder:
        path = Path(folder) / "submission.ipynb"
        path.write_bytes(data)
        try:
            answers = notebook.read(path)
        except CourseError as error:
            raise Refused(str(error).replace(str(path), name)) from error
    if answers.chapter.number not in chapters:
        raise Refused("")
    if len(answers.text) > MAX_FILE_BYTES:
        raise Refused(f"The answers in {name} are larger than {MAX_FILE_BYTES // 2**20} MiB.")
    return answers.chapter.number, answers.text, [f"{name}: {remark}" for remark in answers.remarks]


def _choose(result: Submission, number: str, candidates: list[_Candidate], chapter: Chapter) -> None:
    """Of the files that answer a chapter, the newest that is not the untouched stub; what was chosen is said."""
    stub = sections.split(stubs.handed_out(chapter))

    def order(one: _Candidate) -> tuple[bool, float, float, bool, bool, int, int, str]:
        written = _written(one.text, stub)
        name = one.path.rsplit("/", 1)[-1]
        copy = _COPY.search(Path(name).stem)
        return (
            written > 0,
            one.received.timestamp() if one.received else 0.0,
            one.written.timestamp() if one.written else 0.0,
            one.path.endswith(f"{chapter.name}/exercises.py"),
            name.startswith("exercises"),
            int(copy[1]) if copy else 0,
            written,
            one.path,
        )

    best, *others = sorted(candidates, key=order, reverse=True)
    result.texts[number] = best.text
    # The same text may have come earlier, under another name.
    came = [one.received for one in candidates if one.text == best.text and one.received]
    if came:
        result.received[number] = min(came)
    result.notes += best.notes
    if different := [one.path for one in others if one.text != best.text]:
        more = f" and {len(different) - 3} more" if len(different) > 3 else ""
        result.notes.append(
            f"Several files answer chapter {number}: {best.path} was graded, not {', '.join(different[:3])}{more}: "
            "the newest that is not the untouched stub counts."
        )


def _written(text: str, stub: dict[str, str]) -> int:
    """How many sections are not as they were handed out; damaged markers are nobody's stub."""
    try:
        mine = sections.split(text)
    except sections.SectionError:
        return 1
    return sum(sections.body(mine[n]).strip() != sections.body(stub.get(n, "")).strip() for n in mine)


def _remarks(so_far: _Reading) -> list[str]:
    """What was left out, in a sentence."""
    found = []
    if files := so_far.left_out:
        size = sum(file.size for file in files)
        much = f" ({size / 1e6:.0f} MB)" if size > 10**6 else ""
        what = files[0].name if len(files) == 1 else f"{len(files)} files such as {files[0].name}"
        found.append(f"Left out, since no answer is in it: {what}{much}.")
    if so_far.environments:
        found.append(f"Left out, since installed packages are no answers: {', '.join(so_far.environments[:5])}.")
    return found
