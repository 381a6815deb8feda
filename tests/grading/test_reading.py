"""A submission that takes its answer from the library is found out, by whichever name it calls it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tiny_chapter import TinyChapter

from mi_lib.course.grading import Grader
from mi_lib.course.grading.reading import library_uses, signs

ANSWER = ("mi_lib.lens:logit_lens",)
USES = {
    "an import of the name": "from mi_lib.lens import logit_lens",
    "an import under another name": "from mi_lib.lens import logit_lens as mine\ndef f(x):\n    return mine(x)",
    "an attribute": "import mi_lib.lens\nf = mi_lib.lens.logit_lens",
    "an attribute of an alias": "import mi_lib.lens as toolbox\nf = toolbox.logit_lens",
    "an attribute of a package": "from mi_lib import lens\ndef f(x):\n    return lens.logit_lens(x)",
    "an alias of an alias": "from mi_lib import lens\na = lens\nb = a\nf = b.logit_lens",
    "getattr": "from mi_lib import lens\nf = getattr(lens, 'logit' + '_lens')",
    "importlib": "import importlib\nf = importlib.import_module('mi_lib.lens').logit_lens",
    "importlib in pieces": "import importlib as i\nf = getattr(i.import_module('mi_lib' + '.lens'), f'logit_lens')",
    "__import__": "f = __import__('mi_lib.lens').lens.logit_lens",
    "sys.modules": "import sys\nf = sys.modules['mi_lib.lens'].logit_lens",
    "vars": "import mi_lib.lens as t\nf = vars(t)['logit_lens']",
    "__dict__": "import mi_lib.lens as t\nf = t.__dict__['logit_lens']",
    "everything": "from mi_lib.lens import *\ndef f(x):\n    return logit_lens(x)",
    "everything of several": "from mi_lib.lens import *\nfrom math import *\ndef f(x):\n    return logit_lens(x)",
    "names of texts": "import importlib\nm, = M = 'mi_lib.lens',\nm = 'mi_lib.lens'\nn = 'logit_lens'\n"
    "f = getattr(importlib.import_module(m), n)",
    "a text in a list": "import importlib\nfor m in ['mi_lib.lens']:\n    f = importlib.import_module(m).logit_lens",
    "the whole name as a text": "import pkgutil\nf = pkgutil.resolve_name('mi_lib.lens:logit_lens')",
    "the whole dotted name": "import pydoc\nf = pydoc.locate('mi_lib.lens' + '.logit_lens')",
    "exec": "exec('from mi_lib.lens import logit_lens')",
    "the original behind the watcher": "import mi_lib.lens as t\nf = t.logit_lens.__closure__[0].cell_contents",
    "its code": "import types\nfrom mi_lib import lens\nf = types.FunctionType(lens.logit_lens.__code__, vars(lens))",
    "its call": "import mi_lib.lens as t\nf = t.logit_lens.__call__",
    "the library's file again": "import importlib.util as u\nimport mi_lib.lens as t\n"
    "s = u.spec_from_file_location('x', t.__file__)\nm = u.module_from_spec(s)\ns.loader.exec_module(m)\n"
    "f = m.logit_lens",
    "the library's loader": "import mi_lib.lens as t\nm = t.__spec__.loader.load_module()\n"
    "f = getattr(m, 'logit_lens')",
    "form feeds that shift the lines": "# \x0c\x0c\x0c\nfrom mi_lib.lens import logit_lens\n\n\n\nx = 1",
}
HONEST = {
    "a function of the same name": "def logit_lens(x):\n    return x\ny = logit_lens(1)",
    "a function of the same name after everything": "from mi_lib.lens import *\ndef logit_lens(x):\n    return x\n"
    "y = logit_lens(1)",
    "a class of the same name": "from mi_lib.lens import *\nclass logit_lens:\n    pass\ny = logit_lens()",
    "another function": "from mi_lib.lens import rank",
    "another function by a text": "import importlib\nrank = importlib.import_module('mi_lib.lens').rank",
    "the name in a text": "'''like mi_lib.lens.logit_lens'''",
    "a file of one's own": "import os\nhere = os.path.dirname(__file__)\ny = rank = 1",
    "a name that begins alike": "from mi_lib import lens\nf = lens.logit_lens_of_hidden_states",
    "somebody else's module": "import lens\nf = lens.logit_lens",
}


@pytest.mark.parametrize("case", USES)
def test_a_library_answer_is_found(case):
    assert library_uses(f"# %% [04.1]\n{USES[case]}\n", "04.1", ANSWER)


@pytest.mark.parametrize("case", HONEST)
def test_an_answer_of_ones_own_is_not_reported(case):
    assert library_uses(f"# %% [04.1]\n{HONEST[case]}\n", "04.1", ANSWER) == []


def test_form_feeds_do_not_make_a_line_look_like_one_that_was_handed_out():
    stub = "# %% [04.1]\nx = 1\ny = 2\n"
    text = "# %% [04.1]\n# \x0c\nfrom mi_lib.lens import logit_lens\nx = 1\ny = 2\n"
    for shift in ("\x0c", "\x0b", "\x1c\x1d", "\x85", "\u2028"):
        mine = text.replace("# \x0c", f"# {shift}")
        assert library_uses(mine, "04.1", ANSWER, handed_out=stub + "\n\n") == ["mi_lib.lens.logit_lens (line 3)"]


@pytest.mark.parametrize("text", ["f.__closure__", "getattr(f, '__code__')", "types.FunctionType(c, {})"])
def test_whoever_looks_behind_functions_is_told_of(text):
    assert any("looks behind functions" in sign for sign in signs(f"# %% [04.1]\nx = {text}\n", "04.1"))


def test_lines_that_were_handed_out_and_later_sections_do_not_count():
    text = (
        "# %% [setup]\nfrom mi_lib.lens import logit_lens\n# %% [04.1]\nx = 1\n# %% [04.2]\nimport mi_lib.lens as a\n"
    )
    assert library_uses(text, "04.1", ANSWER, handed_out=text) == []
    assert library_uses(text + "b = a.logit_lens\n", "04.1", ANSWER, handed_out=text) == []
    assert library_uses(text + "b = a.logit_lens\n", "04.2", ANSWER, handed_out=text) == [
        "mi_lib.lens.logit_lens (line 7)"
    ]


def test_code_that_cannot_be_read_is_no_reason_to_fail():
    for text in ("def f(:", "(" * 5000, "x = " + "-" * 50_000 + "1", "\x00"):
        assert library_uses(f"# %% [04.1]\n{text}\n", "04.1", ANSWER) == []
        assert signs(f"# %% [04.1]\n{text}\n", "04.1") == []


@dataclass(frozen=True)
class Names:
    """An exercise that the library answers."""

    chapter: TinyChapter
    id: str = "01.5"
    points: float = 8
    time_limit: float = 10.0
    answered_by: tuple[str, ...] = field(default=("mi_lib.zoo:names",))


PLAIN = "# %% [01.5]\nimport mi_lib.zoo\nNAMES = mi_lib.zoo.names()\ndef apply(f, args):\n    return f(*args)\n"
HIDDEN = PLAIN.replace("mi_lib.zoo.names()", "getattr(mi_lib.zoo, ''.join(['na', 'mes']))()")


def test_the_policy_flag_reports_and_gives_the_points(grader, chapter):
    verdict = grader.grade(PLAIN, Names(chapter))
    assert verdict.passed
    assert verdict.library == ["mi_lib.zoo.names (line 3)"]


def test_a_name_that_is_put_together_is_seen_when_it_runs(grader, chapter):
    verdict = grader.grade(HIDDEN, Names(chapter))
    assert verdict.passed
    assert verdict.library == ["mi_lib.zoo.names (line 3, seen when it ran)"]


CLASS = "# %% [01.5]\nimport mi_lib.lens\nmake = getattr(mi_lib.lens, 'Tuned' + str('Lens'))\n"
CLASS += "LENS = make(2, 4)\ndef apply(f, args):\n    return f(*args)\n"


def test_a_class_of_the_library_is_watched_too(grader, chapter, monkeypatch):
    exercise = Names(chapter, answered_by=("mi_lib.lens:TunedLens",))
    assert grader.grade(CLASS, exercise).library == ["mi_lib.lens.TunedLens (line 4, seen when it ran)"]
    monkeypatch.setattr(grader, "library", "refuse")
    assert "asks you to write" in grader.grade(CLASS, exercise).tests[0].message


def test_what_the_library_calls_by_itself_is_not_reported(grader, chapter):
    text = PLAIN.replace("mi_lib.zoo.names()", "mi_lib.load('induction-1l')").replace("mi_lib.zoo", "mi_lib")
    assert grader.grade(text, Names(chapter)).library == []


@pytest.mark.parametrize("text", [PLAIN, HIDDEN])
def test_the_policy_refuse_gives_none_however_well_the_name_is_hidden(grader, chapter, monkeypatch, text):
    monkeypatch.setattr(grader, "library", "refuse")
    verdict = grader.grade(text, Names(chapter))
    assert (verdict.passed, verdict.points) == (False, 0)
    assert "asks you to write" in verdict.diagnosis + "".join(test.message for test in verdict.tests)


def test_a_grader_takes_the_policy():
    with Grader(library="refuse") as grader:
        assert grader.library == "refuse"


@pytest.mark.parametrize(
    "text",
    [
        "class Any(float):\n    def __eq__(self, other): return True\n",
        "class Any(float):\n    __eq__ = __le__ = lambda *_: True\n",
        "class Any(float): pass\nAny.__eq__ = lambda *_: True\n",
        "class Any(float): pass\nsetattr(Any, '__e' + 'q__', lambda *_: True)\n",
        "Any = type('Any', (float,), {'__eq__': lambda *_: True})\n",
    ],
)
def test_however_an_object_is_made_equal_to_all_it_is_told(text):
    told = [sign.split(" (")[0] for sign in signs(f"# %% [01.1]\n{text}", "01.1") if "compare" in sign]
    assert told == ["decides how objects compare: __eq__"]
