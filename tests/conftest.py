"""The order of the tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: of two processes, neither then waits long for the other at the end."""
    items.sort(key=lambda item: item.path.name != "test_zoo.py")
