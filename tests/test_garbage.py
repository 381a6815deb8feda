"""No garbage is collected in a block, whichever thread is in one; afterwards it is as it was."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from mi_lib.garbage import uncollected
from mi_lib.models import loading


@pytest.fixture(autouse=True, params=[True, False])
def before(request):
    was = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if was else gc.disable)()


def test_nothing_is_collected_within_and_then_it_is_as_before(before):
    assert gc.isenabled() == before
    with uncollected(), uncollected():
        assert not gc.isenabled()
    assert gc.isenabled() == before


def test_it_is_as_before_after_an_error_too(before):
    with pytest.raises(ValueError, match="inside"), uncollected():
        raise ValueError("inside")
    assert gc.isenabled() == before


def test_the_last_thread_to_leave_switches_it_on_again(before):
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with uncollected():
            entered.set()
            leave.wait(20)

    thread = threading.Thread(target=other)
    with uncollected():
        thread.start()
        assert entered.wait(20)
    assert not gc.isenabled()  # the other one is still within
    leave.set()
    thread.join(20)
    assert gc.isenabled() == before


def test_transformers_is_imported_without_looking_for_garbage(monkeypatch, before):
    """A quarter of the time of the import, which a cold page and the first line of a scratch cell wait for."""
    name, seen = "mi_lib.models.transformers_model", []

    class Finder:
        def find_spec(self, wanted, path=None, target=None):
            if wanted == name:
                seen.append(gc.isenabled())
                raise ImportError("seen enough")

    monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(ImportError, match="seen enough"):
        loading._load_transformers("anything", None, None, check=False)
    assert seen == [False]
    assert gc.isenabled() == before
