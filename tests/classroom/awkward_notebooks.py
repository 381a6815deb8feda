"""Notebooks as they come out of Jupyter, Colab, VS Code and old versions of all of them."""

from __future__ import annotations

import copy
import json
from typing import Any

import nbformat
from awkward import RIGHT, STUB, Box, kind

from mi_lib.course import index, notebook

LAST = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "id": "last"}
WRONG = "%%exercise 90.1\ndef add(a, b):\n    return a * b\n"


def sums(answers: str = RIGHT) -> dict[str, Any]:
    """The chapter's notebook with these answers, as plain data."""
    return json.loads(nbformat.writes(notebook.build(index.chapter("90"), answers)))


def cell_of(nb: dict[str, Any], section: str) -> dict[str, Any]:
    return next(c for c in nb["cells"] if "".join(c["source"]).startswith(f"%%exercise {section}"))


def handed(box: Box, nb: Any, says: str = "", points: float = 5.0) -> list[str]:
    """ada hands in this notebook, and gets these points without a problem."""
    box.beside_bob()
    box.put("ada/sums.ipynb", nb if isinstance(nb, bytes) else json.dumps(nb))
    box.grade()
    return box.outcome({"ada": points, "bob": 5.0}, {"ada": says} if says else {}, silent=("ada",))


def with_lines(section: str, *lines: str, after: str = "") -> dict[str, Any]:
    """The notebook with these lines at the head of an answer, and others at its end."""
    nb = sums()
    cell = cell_of(nb, section)
    head, _, body = "".join(cell["source"]).partition("\n")
    cell["source"] = "\n".join([head, *lines, body]) + after
    return nb


@kind("notebooks", "%%time in an answer")
def _(box: Box) -> list[str]:
    return handed(box, with_lines("90.1", "%%time"), "Taken out of [90.1]")


@kind("notebooks", "%%time above the line that says whose answer a cell is")
def _(box: Box) -> list[str]:
    nb = sums()
    cell = cell_of(nb, "90.1")
    cell["source"] = "# mine\n%%time\n" + "".join(cell["source"])
    return handed(box, nb, "Taken out of [90.1], since Jupyter runs it itself and not Python: `%%time`")


@kind("notebooks", "magics as Jupyter writes them into a script")
def _(box: Box) -> list[str]:
    head = "get_ipython().run_line_magic('matplotlib', 'inline')"
    return handed(box, with_lines("90.1", head, "there = get_ipython().getoutput('ls')"), "getoutput")


@kind("notebooks", "!pip and %pip in an answer")
def _(box: Box) -> list[str]:
    return handed(box, with_lines("90.1", "!pip install -q einops", "%pip install torch"), "!pip install -q einops")


@kind("notebooks", "%matplotlib in the setup")
def _(box: Box) -> list[str]:
    return handed(box, with_lines("setup", "%matplotlib inline"), "%matplotlib")


@kind("notebooks", "a question mark behind a name, to read what it is")
def _(box: Box) -> list[str]:
    return handed(box, with_lines("90.1", after="\nmath.fsum?\n?add\n"), "math.fsum?")


@kind("notebooks", "a shell's output in a variable, and a line magic in a branch")
def _(box: Box) -> list[str]:
    return handed(box, with_lines("90.1", "files = !ls", "if files:", "    %timeit 1"), "files = !ls")


@kind("notebooks", "a remainder whose line begins with %")
def _(box: Box) -> list[str]:
    nb = sums(RIGHT.replace("return a + b", "return (a + b\n            % 1e9)"))
    cell_of(nb, "90.1")["source"] = "%%exercise 90.1\ndef add(a, b):\n    return (a\n    + b + 7\n    % 7)\n"
    return handed(box, nb)


@kind("notebooks", "a duplicated cell, the last of which is right")
def _(box: Box) -> list[str]:
    nb = sums()
    nb["cells"].insert(0, copy.deepcopy(cell_of(nb, "90.1")) | {"source": WRONG, "id": "first"})
    return handed(box, nb, "several cells for [90.1]")


@kind("notebooks", "a duplicated cell, the last of which is wrong")
def _(box: Box) -> list[str]:
    nb = sums()
    nb["cells"].append(LAST | {"source": WRONG})
    return handed(box, nb, "several cells for [90.1]", 1.5)


@kind("notebooks", "cells in another order")
def _(box: Box) -> list[str]:
    nb = sums()
    nb["cells"].reverse()
    return handed(box, nb)


@kind("notebooks", "two exercises in one merged cell")
def _(box: Box) -> list[str]:
    nb = sums()
    one, two = cell_of(nb, "90.1"), cell_of(nb, "90.2")
    one["source"] = "".join(one["source"]) + "\n\n" + "".join(two["source"])
    nb["cells"].remove(two)
    return handed(box, nb)


@kind("notebooks", "format 3, of old Jupyters")
def _(box: Box) -> list[str]:
    nb = nbformat.convert(notebook.build(index.chapter("90"), RIGHT), 3)
    return handed(box, nbformat.v3.writes_json(nb).encode())


@kind("notebooks", "format 4.0")
def _(box: Box) -> list[str]:
    nb = sums() | {"nbformat_minor": 0}
    for cell in nb["cells"]:
        cell.pop("id")
    return handed(box, nb)


@kind("notebooks", "format 4.5 without ids, or with one twice")
def _(box: Box) -> list[str]:
    nb = sums()
    for cell in nb["cells"][::2]:
        cell.pop("id")
    nb["cells"][1]["id"] = nb["cells"][3]["id"]
    return handed(box, nb)


@kind("notebooks", "Colab's metadata and titles")
def _(box: Box) -> list[str]:
    nb = sums()
    nb["metadata"] = {"colab": {"provenance": [], "toc_visible": True}, "kernelspec": {"name": "python3"}}
    for number, cell in enumerate(nb["cells"]):
        cell["metadata"] = {"id": f"x{number}", "cellView": "form", "colab": {"base_uri": "https://localhost"}}
        cell.pop("id")
    one = cell_of(nb, "90.1")
    one["source"] = ["#@title My answer\n", "\n", *"".join(one["source"]).splitlines(keepends=True)]
    return handed(box, nb | {"nbformat_minor": 0})


@kind("notebooks", "VS Code's metadata, and none of ours")
def _(box: Box) -> list[str]:
    nb = sums()
    nb["metadata"] = {"language_info": {"name": "python"}, "orig_nbformat": 4}
    for cell in nb["cells"]:
        cell["metadata"] = {"vscode": {"languageId": "python"}}
        cell.get("outputs", []).append({"output_type": "what VS Code thinks of"})
    return handed(box, nb)


@kind("notebooks", "no metadata at all, nor outputs, nor counts")
def _(box: Box) -> list[str]:
    nb = {"nbformat": 4, "nbformat_minor": 5, "cells": []}
    nb["cells"] = [{k: c[k] for k in ("cell_type", "source")} for c in sums()["cells"]]
    return handed(box, nb)


@kind("notebooks", "lines' ends of Windows")
def _(box: Box) -> list[str]:
    nb = sums()
    for cell in nb["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")
    return handed(box, nb)


@kind("notebooks", "12 MB of outputs and few answers")
def _(box: Box) -> list[str]:
    nb = sums()
    output = {"output_type": "stream", "name": "stdout", "text": "0.123 " * 2_000_000}
    cell_of(nb, "90.1")["outputs"] = [output]
    return handed(box, nb)


@kind("notebooks", "12 MB of outputs that are all alike, in the class's zip")
def _(box: Box) -> list[str]:
    nb = sums()
    cell_of(nb, "90.1")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": " " * 12_000_000}]
    box.grade(box.zip(("ada/sums.ipynb", json.dumps(nb).encode())))
    return box.outcome({"ada": 5.0, "bob": 5.0}, silent=("ada", "bob"))


@kind("notebooks", "half a character in an answer")
def _(box: Box) -> list[str]:
    return handed(box, with_lines("90.1", "x = '\ud800'"))


@kind("notebooks", "an answer's number without its zero, as people type it")
def _(box: Box) -> list[str]:
    nb = sums()
    one = cell_of(nb, "90.1")
    one["source"] = "".join(one["source"]).replace("%%exercise 90.1", "%%exercise  90.01  ")
    return handed(box, nb)


@kind("notebooks", "a notebook that was never touched, alone")
def _(box: Box) -> list[str]:
    return handed(box, sums(STUB), points=0.0)


@kind("notebooks", "a notebook of something else")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/other.ipynb", nbformat.writes(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])))
    box.grade()
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "other.ipynb has no answers"})


@kind("notebooks", "cells of another chapter in between")
def _(box: Box) -> list[str]:
    nb = sums()
    nb["cells"].append(LAST | {"source": "%%exercise 91.1\ndef add(a, b):\n    return 1\n"})
    return handed(box, nb, "[91.1]")
