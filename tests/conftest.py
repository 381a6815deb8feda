"""The order of the tests, and what none of them may leave behind."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _main_stays():
    """Streamlit's AppTest puts a page's script in the place of the main module, and a process that is spawned later in
    another test would run that page."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: of two processes, neither then waits long for the other at the end."""
    items.sort(key=lambda item: item.path.name != "test_zoo.py")
