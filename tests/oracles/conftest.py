"""A small random network with Littletown's words: as a subject, and as an oracle that has learned nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib.models.transformers_model import TransformersModel
from mi_lib.oracles import Oracle
from mi_lib.recipes.pico.data import tokenizer
from mi_lib.worlds import littletown

WIDTH, LAYERS = 24, 6


@pytest.fixture(scope="session")
def subject() -> TransformersModel:
    torch.manual_seed(3)
    config = GPT2Config(
        vocab_size=len(littletown.vocabulary()), n_positions=256, n_embd=WIDTH, n_layer=LAYERS, n_head=3,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, initializer_range=0.2,
    )  # fmt: skip
    return TransformersModel(GPT2LMHeadModel(config).eval().requires_grad_(False), tokenizer())


@pytest.fixture(scope="session")
def oracle(subject) -> Oracle:
    means = torch.arange(7.0)[:, None] * torch.ones(WIDTH) / 10
    return Oracle(copy.deepcopy(subject), means)
