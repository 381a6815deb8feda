"""The order of the tests, how long each took, and what none of them may leave behind."""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter

import pytest
from budget import LEAST, QUICK, SECONDS, TABLE


@pytest.fixture(autouse=True)
def _main_stays():
    """Streamlit's AppTest puts a page's script in the place of the main module, and a process that is spawned later in
    another test would run that page."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture(scope="session")
def scanned_once():
    """Whenever a page is drawn in a test, Streamlit looks through all installed packages for components: .2 seconds."""
    from streamlit.components.v2 import manifest_scanner

    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file that takes longest first, so that no process waits long for the others at the end; and what the table
    knows to take long is slow."""
    of_file: Counter[str] = Counter()
    for item in items:
        took = SECONDS.get(item.nodeid, LEAST)
        of_file[item.path.name] += took
        if took > QUICK:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: -of_file[item.path.name])  # a stable sort: the tests of a file stay together, in order


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-seconds", action="store_true", help="write how long each test took to tests/seconds.json")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--write-seconds") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Clock())


class Clock:
    """Notes how long each test took, its fixtures left out."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.duration >= LEAST:
            self.took[report.nodeid] = round(report.duration, 2)

    def pytest_sessionfinish(self) -> None:
        TABLE.write_text(json.dumps(dict(sorted(self.took.items())), indent=0) + "\n")
