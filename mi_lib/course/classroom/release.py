"""What learners get, in one zip: lessons, stubs, visible tests, notebooks, the library, the models that they need.

Whatever stands in `solutions/` stays behind: reference answers, known mistakes, hidden tests. So do the course's own
tests and the teacher's part. What goes in is what git lists (or the list in a release, or patterns where there is
neither), so that a file of the instructor's that lies about is not handed out by accident. It unpacks into one folder,
and its README and Makefile speak of what is in it and of nothing else.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mi_lib.course import files, index, notebook, stubs
from mi_lib.course.index import Chapter, CourseError

TOP = "mi-course"
LIST = "CONTENTS"  # in a release: what it holds, a path a line
_FILES = ("LICENSE", "pyproject.toml", "constraints.txt", ".streamlit/config.toml", ".gitignore")
_FOLDERS = ("mi_lib", "app", "scripts", "docs")
_PATTERNS = (
    *("mi_lib/**/*.py", "mi_lib/course/*.toml", "mi_lib/zoo/**/*.json", "mi_lib/zoo/**/*.safetensors"),
    *("mi_lib/zoo/**/*.jinja", "mi_lib/zoo/**/README.md"),
    *("app/**/*.py", "app/**/*.js", "app/**/*.css", "app/**/*.html", "scripts/*.py", "scripts/*.sh"),
    *("docs/littletown.md", "docs/scenes.md", "docs/screenshot.png"),
)
_CHAPTER = (
    "chapter.toml",
    "exercises.py",
    "first_lines.py",
    "lesson.md",
    "figures.py",
    "findings.py",
    "findings.json",
    "test_exercises.py",
)
_INSTRUCTORS = ("app/instructor.py", "docs/teaching.md", "scripts/browser.sh", "scripts/schemas.sh")
_START = """\
## Start

On Debian, Ubuntu or macOS with Python 3.11 or newer:

    make learn      # environment, your workspace, the course in the browser at http://127.0.0.1:8501

`make learn PORT=9000` takes another port. Without `make`:

    python3 -m venv .venv
    .venv/bin/pip install -c constraints.txt -e .
    .venv/bin/mi init work
    .venv/bin/mi app

Only the set-up uses the network. Chapters in this copy: {chapters}.

Your answers are the files in `work/`. To hand in, give the chapter's `exercises.py`, its notebook, or a zip of `work/`,
as your instructor says.
"""
_MAKEFILE = """\
# `make learn` sets everything up and opens the course.

PORT ?= 8501
WORKSPACE ?= work
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help learn setup clean

help:
\t@echo "make learn    set up, make your workspace, open the course at http://127.0.0.1:$(PORT)   (PORT=, WORKSPACE=)"
\t@echo "make setup    the environment alone"
\t@echo "$(BIN)/mi --help   everything else"

learn: $(VENV)/.learn
\t@$(BIN)/mi init $(WORKSPACE)
\t@MI_WORKSPACE="$(abspath $(WORKSPACE))" $(BIN)/mi app --port $(PORT)

setup: $(VENV)/.learn

$(VENV)/.learn: pyproject.toml constraints.txt scripts/setup.sh
\t@scripts/setup.sh $(VENV)
\t@touch $@

clean:
\trm -rf $(VENV)
"""


def write(out: Path, numbers: Iterable[str] = ()) -> Path:
    """Write the zip (or into the folder `out`). Raises `CourseError` if it exists, or a chapter is unknown."""
    out = out / f"{TOP}.zip" if out.is_dir() or out.suffix.lower() != ".zip" else out
    chapters = [index.chapter(number) for number in numbers] or index.chapters()
    contents = [*course(chapters), *_for_learners(chapters)]
    listed = "".join(f"{name}\n" for name in sorted([*(name for name, _ in contents), LIST]))
    new_zip(out, [(f"{TOP}/{name}", data) for name, data in [*contents, (LIST, listed.encode())]])
    return out


def course(chapters: list[Chapter]) -> Iterator[tuple[str, bytes]]:
    """(path, content) of everything that is needed to take and to grade these chapters, without any solution."""
    root, library = index.root(), Path(__file__).parents[3]
    for name in _FILES:
        if (library / name).is_file():
            yield name, (library / name).read_bytes()
    yield "README.md", readme(chapters).encode()
    yield "Makefile", _MAKEFILE.encode()
    wanted = models(chapters)
    for name in listed(library):
        parts = name.split("/")
        in_model = parts[:2] == ["mi_lib", "zoo"] and len(parts) > 3
        if name not in _INSTRUCTORS and not (in_model and parts[2] not in wanted):
            yield name, (library / name).read_bytes()
    for file in ("conftest.py", "glossary.toml"):
        if (root / "chapters" / file).is_file():
            yield f"chapters/{file}", (root / "chapters" / file).read_bytes()
    for chapter in chapters:
        for file in _CHAPTER:
            if (chapter.folder / file).is_file():
                yield f"chapters/{chapter.name}/{file}", (chapter.folder / file).read_bytes()


def listed(library: Path) -> list[str]:
    """The files of the library, the pages, the scripts and the documents that belong to the course, and no other."""
    asked = None
    if (library / ".git").exists():
        command = ["git", "-C", str(library), "ls-files", "-z", "--", *_FOLDERS]
        try:
            asked = subprocess.run(command, capture_output=True, check=True, timeout=60)
        except (OSError, subprocess.SubprocessError):
            asked = None
    if asked is not None and asked.stdout:
        names = asked.stdout.decode("utf-8").split("\0")
    elif (library / LIST).is_file():
        names = [name for name in files.read_text(library / LIST).split("\n") if name.split("/")[0] in _FOLDERS]
    else:
        names = [path.relative_to(library).as_posix() for pattern in _PATTERNS for path in library.glob(pattern)]
    return sorted(name for name in set(names) if (library / name).is_file() and not (library / name).is_symlink())


def readme(chapters: list[Chapter]) -> str:
    """What a learner reads first: the course's own README, as far as it speaks of what is in the zip."""
    own = Path(__file__).parents[3] / "README.md"
    text = files.read_text(own) if own.is_file() else "# Mechanistic interpretability, hands on\n"
    sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    by_title = {section.split("\n", 1)[0].removeprefix("## "): section for section in sections[1:]}
    names = ", ".join(f"{chapter.number} {chapter.title}" for chapter in chapters)
    parts = [
        sections[0],
        _START.format(chapters=names),
        _abilities(by_title.get("What you will be able to do", ""), chapters),
    ]
    parts.append(by_title.get("Work the way you like", "").replace("`mi solution 02.3`, ", ""))
    if "induction-2l" in models(chapters):
        parts.append(by_title.get("Use the library on its own", ""))
    return "\n\n".join(part.strip() for part in [*parts, "The licence is [MIT](LICENSE)."] if part.strip()) + "\n"


def _abilities(section: str, chapters: list[Chapter]) -> str:
    """Of what one can do after each chapter, what belongs to these."""
    blocks = re.split(r"^(?=.*After \*\*\d\d )", section, flags=re.MULTILINE)[1:]
    numbers = {chapter.number for chapter in chapters}
    kept = []
    for block in blocks:
        number = re.search(r"After \*\*(\d\d) ", block)
        if number and number[1] in numbers:
            start = block.index("After **")
            kept.append(re.split(r"^The \[syllabus\]", block[start:], flags=re.MULTILINE)[0].strip())
    return "\n\n".join(["## What you will be able to do", *kept]) if kept else ""


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

    for chapter in chapters:
        # Without the address of this clone, in which the solutions are.
        made = notebook.build(chapter, stubs.handed_out(chapter), url="")
        yield f"notebooks/{chapter.name}.ipynb", nbformat.writes(made).encode()
