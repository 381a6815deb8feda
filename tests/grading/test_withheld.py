"""What of the library is withheld where an exercise's answer must not be taken from it."""

from __future__ import annotations

from pathlib import Path

import pytest

import mi_lib
from mi_lib.course import index
from mi_lib.course.grading import withheld
from mi_lib.course.grading.confine import _but

NO_TECHNIQUES = {"cli", "course", "garbage", "models", "plots", "recipes", "statistics", "worlds", "zoo"}


def test_every_part_of_the_library_is_a_technique_or_is_known_not_to_be():
    there = {path.stem for path in Path(mi_lib.__file__).parent.iterdir() if path.suffix in ("", ".py")}
    assert {name for name in there if not name.startswith("_")} == NO_TECHNIQUES | set(withheld.TECHNIQUES)


def test_what_a_function_calls_stays_with_it():
    from mi_lib import lens

    kept = withheld.closure([lens.logit_lens])
    assert {id(lens.read_out), id(lens.residual_stream), id(lens._only_real)} <= kept
    assert id(lens.entropy) not in kept


def test_a_class_stays_whole_and_a_module_with_what_it_defines():
    from mi_lib import lens
    from mi_lib.probing import mdl

    assert id(lens.TunedLens.forward) in withheld.closure([lens.TunedLens])
    defined = [f for f in vars(mdl).values() if getattr(f, "__module__", "") == mdl.__name__ and callable(f)]
    assert defined
    functions = [f for f in defined if not isinstance(f, type)]
    assert {id(f) for f in functions} <= withheld.closure([mdl])


def test_an_emptied_function_says_what_it_is_and_holds_nothing():
    free = 3

    def plain(x):
        return x + free

    def lazy(x, *, y=1):
        yield x + y

    held, inside = [plain], plain.__code__
    for function in (plain, lazy):
        withheld._empty(function, "04.1")
        with pytest.raises(PermissionError, match=rf"{function.__name__} is not there while 04\.1 is graded"):
            function(1)
    assert held[0].__code__ is not inside
    assert "free" not in plain.__code__.co_names


def test_the_files_of_a_folder_but_for_some(tmp_path):
    for name in ("a/x.py", "a/y.py", "b/z.py", "c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    left = set(_but(str(tmp_path), {f"{tmp_path}/a/x.py", f"{tmp_path}/c.py"}))
    assert left == {f"{tmp_path}/a/y.py", f"{tmp_path}/b"}


def test_what_an_exercise_may_use_and_is_answered_by_is_rare():
    """Both at once cannot be withheld, but only watched: so many there were when this was written."""
    both = [e.id for c in index.chapters() for e in c.exercises if set(e.uses) & set(e.answered_by)]
    assert both == []
