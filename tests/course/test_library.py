"""The library's entries: read from its source, each once, with the module to import it from."""

from __future__ import annotations

import importlib
import inspect

import pytest
from budget import sample

from mi_lib.course import library

ENTRIES = library.entries()
MEANT_TO_BE_USED = [entry for entry in ENTRIES if entry.kind != "method"]


def entry(name: str, module: str) -> library.Entry:
    (found,) = (each for each in ENTRIES if (each.name, each.module) == (name, module))
    return found


def test_a_function_stands_under_the_module_that_one_imports_it_from_with_its_axes():
    found = entry("per_token_loss", "mi_lib.induction")
    assert found.signature.startswith('per_token_loss(logits: Float[Tensor, "batch pos d_vocab"], tokens: Int[Tensor')
    assert found.signature.endswith(
        'attention_mask: Bool[Tensor, "batch pos"] | None = None) -> Float[Tensor, "batch pos-1"]'
    )
    assert found.first.endswith("from the logits at t.")
    assert "padding" in found.rest
    assert entry("load", "mi_lib").kind == "function"  # not under mi_lib.models, nor under mi_lib.models.loading


def test_a_method_is_written_as_it_is_called_and_a_property_without_parentheses():
    run = entry("HookedModel.run_with_cache", "mi_lib")
    assert run.kind == "method"
    assert run.signature.startswith("run_with_cache(tokens: Input, names: Names = None, *, ")
    assert entry("Analysis.grokked", "mi_lib.grokking").signature == "grokked: bool"


def test_nothing_private_and_nothing_of_the_course_engine_is_listed():
    assert not [each.name for each in ENTRIES if any(part.startswith("_") for part in each.name.split("."))]
    assert not [each for each in ENTRIES if each.module.split(".")[1:2] in (["course"], ["cli"], ["recipes"])]
    keys = [(each.name, each.module) for each in ENTRIES]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("each", sample(MEANT_TO_BE_USED, 12, "library"), ids=lambda each: f"{each.module}.{each.name}")
def test_what_is_listed_can_be_imported_from_there_and_takes_those_arguments(each):
    found = getattr(importlib.import_module(each.module), each.name)
    assert (inspect.getdoc(found) or "").startswith(each.first)
    if each.kind == "function":
        for parameter in inspect.signature(found).parameters:
            assert parameter in each.signature


def test_imports_are_found_in_a_text_with_slips():
    one, other = "from mi_lib.models import (\n    HookedModel,\n    load as l,\n)", "import mi_lib.lens as lens"
    assert library.imports(f"import torch\n{one}\nx = (\n{other}\n") == f"{one}\n{other}"
