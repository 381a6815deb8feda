"""The option `--submission`, known to pytest before it looks for a conftest.py.

pytest takes the word after an option that it does not know yet for a path, and would import the conftest.py beside a
submission into the process that judges it. So this is registered early: by `addopts` in pyproject.toml, and by an entry
point wherever the course is installed. `pytest_plugin`, which grades, comes later, from `chapters/conftest.py`.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--submission",
        metavar="FILE",
        help="the exercises.py to grade (default: the chapter's file in $MI_WORKSPACE, or in ./work)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Refuse settings that came with the submission: pytest looks for them before it asks anybody what a word means."""
    given, settings = early_config.known_args_namespace.submission, early_config.inipath
    if given is None or settings is None:
        return
    here = early_config.invocation_params.dir
    if (here / given).resolve().is_relative_to(settings.parent) and not here.is_relative_to(settings.parent):
        raise pytest.UsageError(
            f"{settings} came with the submission and would decide how it is graded. Write --submission={given} (in "
            "one word)."
        )
