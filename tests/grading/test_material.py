"""What graders compute with: the same every time, and nothing in it that a wrong answer may leave out unseen."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib.course.grading import reading
from mi_lib.course.grading.material import (
    activation,
    causal_mask,
    logits_with,
    randn,
    random_tokens,
    random_transformer,
    randomised,
    with_weights,
)

SIZES = {"n_layers": 2, "d_model": 11, "n_heads": 3, "d_head": 5, "d_vocab": 7, "n_ctx": 13, "d_mlp": 17}


def model(seed: int = 0):
    return random_transformer(seed, scale=0.4, norm="layernorm", attn_bias=True, unembed_bias=True, **SIZES)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    for make in (lambda seed: randn(3, 5, seed=seed), lambda seed: random_tokens(3, 5, 7, seed)):
        assert make(1).equal(make(1))
        assert not make(1).equal(make(2))
        torch.manual_seed(0)
        before = torch.rand(1)
        torch.manual_seed(0)
        make(1)
        assert torch.rand(1).equal(before)  # the numbers of everybody else stay as they were
    assert model(1).W_E.equal(model(1).W_E)
    assert not model(1).W_E.equal(model(2).W_E)


def test_tokens_come_from_the_whole_vocabulary():
    assert set(random_tokens(20, 20, 7, 0).flatten().tolist()) == set(range(7))


def test_a_query_may_look_at_itself_and_before():
    assert causal_mask(3).equal(torch.ones(3, 3, dtype=torch.bool).tril())
    assert causal_mask(2, 5).tolist() == [[True] * 4 + [False], [True] * 5]
    assert causal_mask(3, 2).tolist() == [[False, False], [True, False], [True, True]]


def test_every_weight_of_a_random_model_counts():
    tokens = random_tokens(2, 5, 7, 0)
    subject = model()
    logits = subject(tokens)
    assert not any(parameter.requires_grad for parameter in subject.parameters())
    for name, value in subject.state_dict().items():
        neutral = torch.ones_like(value) if name.endswith(".w") else torch.zeros_like(value)
        gap = (with_weights(subject, {name: neutral})(tokens) - logits).abs().max()
        assert gap > 1e-3 or name.endswith("b_K"), name  # the same number on all keys moves no softmax


def test_every_weight_of_a_randomised_module_is_random():
    sizes = {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 6, "vocab_size": 7}
    config = GPT2Config(**sizes, bos_token_id=None, eos_token_id=None)
    made = randomised(GPT2LMHeadModel(config), 3)
    assert not made.training
    for name, parameter in made.named_parameters():
        assert not parameter.requires_grad, name
        assert parameter.std() > 0.1, name
        around = 1.0 if name.endswith("weight") and ".ln_" in name else 0.0
        assert abs(float(parameter.mean()) - around) < 0.5, name
    assert randomised(nn.LayerNorm(5), 3).weight.equal(randomised(nn.LayerNorm(5), 3).weight)


def test_a_copy_has_other_weights_where_it_is_told_and_is_a_copy():
    subject = model()
    before = subject.W_U.clone()
    copy = with_weights(subject, {"W_U": torch.zeros_like(before)})
    assert not copy.W_U.any()
    assert copy.W_E.equal(subject.W_E)
    copy.W_E.zero_()
    assert subject.W_E.any()
    assert subject.W_U.equal(before)
    with pytest.raises(RuntimeError, match="W_nothing"):
        with_weights(subject, {"W_nothing": before})


def test_an_activation_is_read_and_changed_at_its_site():
    subject, tokens = model(), random_tokens(2, 5, 7, 1)
    z = activation(subject, tokens, ("z", 1))
    assert z.shape == (2, 5, 3, 5)

    def silence(value: torch.Tensor) -> None:
        value[:, :, 2] = 0.0

    without = subject.state_dict()["blocks.1.attn.W_O"].clone()
    without[2] = 0.0
    want = with_weights(subject, {"blocks.1.attn.W_O": without})(tokens)
    assert torch.allclose(logits_with(subject, tokens, ("z", 1), silence), want, atol=1e-5)
    assert activation(subject, tokens, ("z", 1)).equal(z)


def test_a_submission_that_reaches_for_it_is_reported():
    text = "# %% [01.4]\nfrom mi_lib.course.grading.material import causal_mask\n"
    assert any("mi_lib.course.grading.material" in sign for sign in reading.signs(text, "01.4"))
