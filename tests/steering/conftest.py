"""Two small random chat models, opened once for all tests of steering."""

import pytest
import torch
from steering_subjects import direction as drawn
from steering_subjects import opened


@pytest.fixture(scope="session", params=["llama", "gpt2"])
def model(request, tmp_path_factory):
    return opened(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("one-llama"), "llama")


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory):
    return opened(tmp_path_factory.mktemp("one-gpt2"), "gpt2")


@pytest.fixture
def vector(model) -> torch.Tensor:
    return drawn(model)
