"""Every awkward class is graded: nobody is stopped by a neighbour, nobody's grade is wrong without a word."""

from __future__ import annotations

from collections.abc import Iterator

import awkward
import pytest
from awkward import Kind


@pytest.fixture(scope="module", autouse=True)
def _course() -> Iterator[None]:
    with awkward.course():
        yield


@pytest.mark.parametrize("one", awkward.kinds(), ids=lambda one: f"{one.about}: {one.title}")
def test_an_awkward_class_is_graded(one: Kind) -> None:
    assert awkward.run(one) == ("", [])
