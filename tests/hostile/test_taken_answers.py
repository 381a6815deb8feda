"""Taking the answer from the library: every way works where it is only reported, and none where it is withheld.

Each is tried twice: under `flag` it must pass (else it would show nothing), under `refuse` it earns nothing. What would
give it away to a reader of the text is spelt in numbers.

    python tests/hostile/test_taken_answers.py      prints the table
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from mi_lib.course import files, index, sections
from mi_lib.course.grading import Grader, Verdict

pytestmark = pytest.mark.slow
EXERCISE = "04.1"
SPELL = "def spell(*codes):\n    return ''.join(map(chr, codes))\n\n\n"
LENS = "import importlib\nlens = importlib.import_module(<mi_lib.lens>)\n"
NEITHER = "residual_stream, logit_lens = (found[n] for n in (<residual_stream>, <logit_lens>))\n"
WAYS = {
    "by a name that is put together": LENS + "found = vars(lens)\n" + NEITHER,
    "behind the watcher": LENS
    + "def behind(f):\n"
    + "    return next((c.cell_contents for c in f.__closure__ or () if type(c.cell_contents) is type(f)), f)\n"
    + "found = {n: behind(f) for n, f in list(vars(lens).items()) if type(f) is type(behind)}\n"
    + NEITHER,
    "its code, in the module's names": LENS
    + "import types\n"
    + "whole = compile(open(lens.__file__).read(), 'x', 'exec')\n"
    + "codes = [c for c in whole.co_consts if isinstance(c, types.CodeType)]\n"
    + "found = {c.co_name: types.FunctionType(c, vars(lens)) for c in codes if not c.co_freevars}\n"
    + "residual_stream = lambda model, tokens: found[<residual_stream>](model, tokens, None)\n"
    + "logit_lens = lambda model, tokens: found[<read_out>](model, residual_stream(model, tokens)).detach()\n",
    "its file, loaded again": LENS
    + "from importlib import util\n"
    + "spec = util.spec_from_file_location('another', lens.__file__)\n"
    + "module = util.module_from_spec(spec)\nimport sys\nsys.modules['another'] = module\n"
    + "spec.loader.exec_module(module)\nfound = vars(module)\n"
    + NEITHER,
    "its compiled file": LENS
    + "import marshal, types\n"
    + "code = marshal.loads(open(lens.__cached__, 'rb').read()[16:])\n"
    + "module = types.ModuleType('another')\nimport sys\nsys.modules['another'] = module\n"
    + "exec(code, vars(module))\nfound = vars(module)\n"
    + NEITHER,
    "all objects that there are": "import gc\ngc.unfreeze()\n"
    + "found = {f.__name__: f for f in gc.get_objects() if type(f) is type(spell) and f.__module__ == <mi_lib.lens>\n"
    + "    and f.__code__.co_name == f.__name__}\n"
    + NEITHER
    + "import importlib\nimportlib.import_module(<mi_lib.lens>)\n",
    "the module, loaded anew": LENS + "found = vars(importlib.reload(lens))\n" + NEITHER,
    "its source, as inspect finds it": LENS
    + "import inspect\n"
    + "found = {}\nexec(inspect.getsource(lens), found)\n"
    + NEITHER,
    "its loader": LENS + "found = {}\nexec(lens.__loader__.get_code(lens.__name__), found)\n" + NEITHER,
    "its file, by a folder that is open": LENS
    + "import os\n"
    + "folder = os.open(os.path.dirname(lens.__file__), os.O_RDONLY | os.O_DIRECTORY)\n"
    + "file = os.open(os.path.basename(lens.__file__), os.O_RDONLY, dir_fd=folder)\n"
    + "found = {}\nexec(os.read(file, 10**6), found)\n"
    + NEITHER,
    "its file, by another name": LENS
    + "import os\n"
    + "os.symlink(lens.__file__, 'another.py')\n"
    + "found = {}\nexec(open('another.py').read(), found)\n"
    + NEITHER,
    "lines that were kept, or read anew": LENS
    + "import linecache\n"
    + "text = ''.join(linecache.getlines(lens.__file__))\n"
    + "assert <logit_lens> in text\nfound = {}\nexec(text, found)\n"
    + NEITHER,
    "a copy of the functions": LENS
    + "import copy, types\n"
    + "f = vars(lens)\n"
    + "made = lambda n, g: types.FunctionType(g.__code__, g.__globals__, n, g.__defaults__, g.__closure__)\n"
    + "found = {n: made(n, g) for n, g in f.items() if type(g) is type(spell)}\n"
    + "found = {**f, **copy.copy(found)}\n"
    + NEITHER,
    "loaded anew in another thread": LENS
    + "import threading\nfound = {}\n"
    + "thread = threading.Thread(target=lambda: found.update(vars(importlib.reload(lens))))\n"
    + "thread.start()\nthread.join()\n"
    + NEITHER,
    "helpers that the list forgot": "import mi_lib.lens\n"
    + "residual_stream = mi_lib.lens.residual_stream\n"
    + "logit_lens = lambda model, tokens: mi_lib.lens.read_out(model, residual_stream(model, tokens)).detach()\n",
}


def spelt(text: str) -> str:
    """A text whose <names> are calls of `spell`."""
    return re.sub(r"<(\w[\w.]*)>", lambda m: f"spell({', '.join(str(ord(letter)) for letter in m[1])})", text)


def attempt(grader: Grader, way: str) -> Verdict:
    exercise = index.exercise(EXERCISE)
    if way.startswith("helpers"):
        exercise = replace(exercise, answered_by=("mi_lib.lens:logit_lens",))
    whole = files.read_text(exercise.chapter.solutions_folder / "exercises.py")
    section = f"# %% [{EXERCISE}] A guess after every layer\n{SPELL}{spelt(WAYS[way])}"
    return grader.grade(sections.replace(whole, EXERCISE, section), exercise)


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader() as grader:
        if grader.isolation().level != "confined":
            pytest.skip("source is unreadable only where files are")
        yield grader


@pytest.mark.parametrize("way", WAYS)
def test_what_is_withheld_cannot_be_taken(grader, way):
    grader.library = "flag"
    assert attempt(grader, way).passed, "a way that leads nowhere shows nothing"
    grader.library = "refuse"
    verdict = attempt(grader, way)
    assert verdict.points == 0, verdict
    assert not verdict.course_fault


def test_who_writes_the_answer_misses_nothing(grader):
    grader.library = "refuse"
    exercise = index.exercise(EXERCISE)
    whole = files.read_text(exercise.chapter.solutions_folder / "exercises.py")
    assert grader.grade(whole, exercise).passed


@pytest.mark.parametrize("name", ["10.8", "08.12"])
def test_what_an_exercise_may_use_stays(grader, name):
    grader.library = "refuse"
    exercise = index.exercise(name)
    assert exercise.uses
    whole = files.read_text(exercise.chapter.solutions_folder / "exercises.py")
    assert grader.grade(whole, exercise).passed
    verdict = grader.grade(whole, replace(exercise, uses=()))  # the control: it is needed
    assert not verdict.passed
    assert "is not there while" in verdict.diagnosis


def table() -> None:
    """Ways tried, and what each gains where it is reported and where it is withheld."""
    with Grader() as grader:
        for way in WAYS:
            gained = {}
            for grader.library in ("flag", "refuse"):
                gained[grader.library] = attempt(grader, way).points
            print(f"{way:40} flag {gained['flag']:4g}   refuse {gained['refuse']:4g}")


if __name__ == "__main__":
    sys.exit(table())
