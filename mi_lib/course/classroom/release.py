"""What learners get, in one zip: lessons, stubs, visible tests, notebooks, the library, the models that they need.

Whatever stands in `solutions/` stays behind: reference answers, known mistakes, hidden tests. So do the course's own
tests. What goes in is listed by name, so that a file of the instructor's that lies about is not handed out by accident.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mi_lib.course import files, index, notebook, stubs
from mi_lib.course.index import Chapter, CourseError

TOP = "mi-course"
_FILES = (
    "LICENSE",
    "README.md",
    "Makefile",
    "pyproject.toml",
    "constraints.txt",
    ".streamlit/config.toml",
    ".gitignore",
)
_FOLDERS = ("mi_lib", "app", "scripts", "docs")
_CHAPTER = (
    "chapter.toml",
    "exercises.py",
    "lesson.md",
    "figures.py",
    "findings.py",
    "findings.json",
    "test_exercises.py",
)
_INSTRUCTORS = ("app/instructor.py", "docs/teaching.md")
_SKIPPED = ("__pycache__", ".mypy_cache", ".ruff_cache")
_START = """\
# Start here

    make learn        # sets everything up and opens the course in the browser

or, without `make`:

    python3 -m venv .venv
    .venv/bin/pip install -c constraints.txt -e .
    .venv/bin/mi init work
    .venv/bin/mi app

Chapters in this copy: {chapters}. Your answers are the files in `work/`. To hand in, give the chapter's
`exercises.py`, its notebook, or a zip of `work/`, as your instructor says.
"""


def write(out: Path, numbers: Iterable[str] = ()) -> Path:
    """Write the zip (or into the folder `out`). Raises `CourseError` if it exists, or a chapter is unknown."""
    out = out / f"{TOP}.zip" if out.is_dir() or out.suffix.lower() != ".zip" else out
    chapters = [index.chapter(number) for number in numbers] or index.chapters()
    new_zip(out, [*course(chapters), *_for_learners(chapters)])
    return out


def course(chapters: list[Chapter]) -> Iterator[tuple[str, bytes]]:
    """(path, content) of everything that is needed to take and to grade these chapters, without any solution."""
    root, library = index.root(), Path(__file__).parents[3]
    for name in _FILES:
        if (library / name).is_file():
            yield name, (library / name).read_bytes()
    wanted = models(chapters)
    for folder in _FOLDERS:
        for path in sorted((library / folder).rglob("*")):
            place = path.relative_to(library)
            apart = set(place.parts) & set(_SKIPPED) or place.as_posix() in _INSTRUCTORS
            if apart or path.is_symlink() or not path.is_file():
                continue
            in_model = place.parts[:2] == ("mi_lib", "zoo") and len(place.parts) > 3
            if not in_model or place.parts[2] in wanted:
                yield place.as_posix(), path.read_bytes()
    for file in ("conftest.py", "glossary.toml"):
        if (root / "chapters" / file).is_file():
            yield f"chapters/{file}", (root / "chapters" / file).read_bytes()
    for chapter in chapters:
        for file in _CHAPTER:
            if (chapter.folder / file).is_file():
                yield f"chapters/{chapter.name}/{file}", (chapter.folder / file).read_bytes()


def models(chapters: list[Chapter]) -> set[str]:
    """The bundled models, sets of dictionaries and families of image networks that these chapters name, anywhere in
    their files.

    Whoever names a dictionary gets its set and the model that it reads.
    """
    from mi_lib import zoo

    texts = [files.read_text(c.folder / f) for c in chapters for f in _CHAPTER if (c.folder / f).is_file()]
    whole = "\n".join(texts)

    def named(name: str) -> bool:
        return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", whole) is not None

    found = {name for name in zoo.names() if named(name)}
    for one in zoo.sets():
        if any(named(name) for name in (one, *zoo.dictionaries(one))):
            found |= {one, zoo.card(one)["model"]}
    return found | {one for one in zoo.families() if any(named(name) for name in (one, *zoo.vision(one)))}


def new_zip(out: Path, contents: Iterable[tuple[str, bytes]], executable: Iterable[str] = ()) -> None:
    """Write a zip that did not exist; the same contents give the same bytes."""
    if out.exists():
        raise CourseError(f"{out} exists. Choose another name, or move it away.")
    runs = {"scripts/setup.sh", "scripts/browser.sh", *executable}
    partial = out.with_name(f"{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in contents:
                info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                mode = 0o755 if any(name == run or name.endswith(f"/{run}") for run in runs) else 0o644
                info.external_attr = (0o100000 | mode) << 16
                archive.writestr(info, data)
        partial.rename(out)
    except OSError as error:
        raise CourseError(f"{out} could not be written ({error.strerror}).") from error
    finally:
        partial.unlink(missing_ok=True)


def _for_learners(chapters: list[Chapter]) -> Iterator[tuple[str, bytes]]:
    import nbformat

    listed = ", ".join(f"{chapter.number} {chapter.title}" for chapter in chapters)
    yield "START.md", _START.format(chapters=listed).encode()
    for chapter in chapters:
        made = notebook.build(chapter, stubs.handed_out(chapter))
        yield f"notebooks/{chapter.name}.ipynb", nbformat.writes(made).encode()
