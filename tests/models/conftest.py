"""Small random-weight models of every supported architecture, saved to a folder and opened again."""

from __future__ import annotations

import pytest
import torch
from small_models import NATIVE, configs, native

from mi_lib.models import HookedModel, load


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Where each family's small model is saved."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    made = {}
    for name, config in configs().items():
        made[name] = tmp_path_factory.mktemp(name)
        transformers.AutoModelForCausalLM.from_config(config).save_pretrained(made[name])
    return made


@pytest.fixture(scope="session")
def opened(folders):
    """Each model, opened once by `load`."""
    cache: dict[str, HookedModel] = {}

    def get(name: str) -> HookedModel:
        if name not in cache:
            cache[name] = native(name) if name in NATIVE else load(folders[name])
        return cache[name]

    return get


@pytest.fixture(scope="session")
def tokens():
    return torch.randint(0, 50, (2, 9), generator=torch.Generator().manual_seed(0))
