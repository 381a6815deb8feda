"""A small random chat model, opened once for all tests of personas."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "steering"))
from steering_subjects import opened


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("persona"), "llama")
