"""Whatever names something of `mi_lib` outside of it, names something that is there."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from mi_lib.course import index, notebook

ROOT = Path(__file__).resolve().parents[1]
PLACES = (
    *("README.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml"),
    *("docs/*.md", "chapters/*/*", "solutions/*/*", "app/**/*.py", "benchmarks/*.py", "scripts/*"),
)
TEXTS = {".md", ".toml", ".py", ".sh", ""}
IMPORT = re.compile(r"from (mi_lib[\w.]*) import (\((?:[^()]*)\)|[^\n]+)")
DOTTED = re.compile(r"(?<![\w/.-])mi_lib(?:[.:][A-Za-z_]\w*)+")
PATH = re.compile(r"(?<![\w/])mi_lib/[\w./-]*\w")


def names_in(text: str) -> Iterator[str]:
    """Dotted names of the library in a text: in imports, in code, in prose."""
    for module, names in IMPORT.findall(text):
        names = re.sub(r"#[^\n]*", "", names) if names.startswith("(") else re.split(r"[#;`'\"\\]", names)[0]
        for part in names.strip("() ").split(","):
            if name := re.match(r"\s*([A-Za-z_]\w*)", part):
                yield f"{module}.{name[1]}"
    yield from (found.replace(":", ".") for found in DOTTED.findall(text))


def fault(name: str) -> str:
    """Why a dotted name leads nowhere; empty if it leads somewhere."""
    parts = name.split(".")
    here = importlib.import_module(parts[0])
    for i, part in enumerate(parts[1:], start=1):
        if not hasattr(here, part):
            hidden = sys.modules.get(".".join(parts[:i]))  # a module behind a function of its name
            if hidden is not None and hasattr(hidden, part):
                here = getattr(hidden, part)
                continue
            try:
                here = importlib.import_module(".".join(parts[: i + 1]))
            except ModuleNotFoundError:
                fields = getattr(here, "__annotations__", {})  # of a dataclass, where the class has no such attribute
                return "" if part in fields else f"{'.'.join(parts[:i])} has no {part}"
        else:
            here = getattr(here, part)
    return ""


def texts() -> list[Path]:
    found = {path for place in PLACES for path in ROOT.glob(place)}
    return sorted(path for path in found if path.is_file() and path.suffix in TEXTS)


def test_every_name_of_the_library_in_lessons_answers_pages_and_documents_is_there():
    faults, seen = [], set()
    for path in texts():
        text = path.read_text("utf-8")
        for name in names_in(text):
            seen.add(name)
            if why := fault(name):
                faults.append(f"{path.relative_to(ROOT)}: {name}: {why}")
        for place in PATH.findall(text):
            if not (ROOT / place).exists():
                faults.append(f"{path.relative_to(ROOT)}: there is no {place}")
    assert not faults, "\n".join(faults)
    assert {"mi_lib.load", "mi_lib.plots", "mi_lib.worlds.repeats"} <= seen  # it has looked where names stand


@pytest.mark.parametrize("chapter", index.chapters(), ids=lambda chapter: chapter.number)
def test_every_name_of_the_library_in_a_notebook_is_there(chapter, tmp_path):
    cells = nbformat.read(notebook.write(chapter, tmp_path / "chapter.ipynb"), as_version=4).cells
    names = {name for cell in cells for name in names_in(cell.source)}
    assert "mi_lib.course" in {".".join(name.split(".")[:2]) for name in names}  # the cells that grade
    assert [why for name in names if (why := fault(name))] == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("from mi_lib import zoo, plots as p  # two", ["mi_lib.zoo", "mi_lib.plots"]),
        (
            "from mi_lib.models import (\n    Transformer,\n    gone,\n)",
            ["mi_lib.models.Transformer", "mi_lib.models.gone"],
        ),
        ("`from mi_lib import lens` gives the lens.", ["mi_lib.lens"]),
        ('answered_by = ["mi_lib.lens:gone"]', ["mi_lib.lens.gone"]),
        ("See mi_lib.lens. Then mi_lib/lens.py", ["mi_lib.lens"]),
    ],
)
def test_names_are_found_as_people_write_them(text, names):
    assert set(names_in(text)) - {"mi_lib.models"} == set(names)


def test_a_name_that_leads_nowhere_is_told():
    assert fault("mi_lib.models.Transformer.run_with_cache") == ""
    assert fault("mi_lib.models.Transfromer") == "mi_lib.models has no Transfromer"
    assert fault("mi_lib.zoo.pico_reading.said") == "mi_lib.zoo has no pico_reading"
