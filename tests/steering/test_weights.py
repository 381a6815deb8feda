"""The edited model is the ablated one, on every family; each matrix and bias counts; it can be saved and opened."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

import mi_lib
from mi_lib import Transformer, TransformerConfig, steering
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.steering.weights import orthogonalised, save, writers, written_along

SIZES = {
    "vocab_size": 19, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 16,
}  # fmt: skip
GROUPED = {**SIZES, "num_key_value_heads": 2}
GEMMA = {**GROUPED, "head_dim": 6, "sliding_window": 4, "query_pre_attn_scalar": 6}
CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(vocab_size=19, n_embd=16, n_layer=2, n_head=4, n_positions=16),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SIZES),
    "gpt_neox_serial": lambda: transformers.GPTNeoXConfig(**SIZES, use_parallel_residual=False),
    "llama": lambda: transformers.LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True),
    "llama_tied": lambda: transformers.LlamaConfig(**GROUPED, tie_word_embeddings=True),
    "mistral": lambda: transformers.MistralConfig(**GROUPED, sliding_window=4),
    "qwen2": lambda: transformers.Qwen2Config(**GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**GROUPED, head_dim=6, attention_bias=True, tie_word_embeddings=True),
}
REFUSED = {
    "gemma2": lambda: transformers.Gemma2Config(**GEMMA, attn_logit_softcapping=2.0),
    "gemma3_text": lambda: transformers.Gemma3TextConfig(**GEMMA),
}
NATIVE = {
    "native": {"d_mlp": 13, "norm": "layernorm", "act": "gelu_new", "attn_bias": True, "mlp_bias": True},
    "native shifted": {"positions": "shifted"},
}
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6], [5, 3, 5, 8, 9, 7, 9, 3]])


def made(name: str):
    """Random weights, biases and gains too, so that leaving one out shows."""
    torch.manual_seed(0)
    if name in NATIVE:
        sizes = {"n_layers": 2, "d_model": 16, "n_heads": 4, "d_head": 5, "d_vocab": 19, "n_ctx": 16}
        model = Transformer(TransformerConfig(**sizes, **NATIVE[name])).init_weights(0, 0.3)
    else:
        hf = AutoModelForCausalLM.from_config({**CONFIGS, **REFUSED}[name](), attn_implementation="eager")
        model = TransformersModel(hf.eval())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += (0.3 if model.cfg.norm != "none" else 0.05) * torch.randn_like(parameter)
    return model.requires_grad_(False)


def direction(seed: int = 4) -> torch.Tensor:
    return 3 * torch.randn(16, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [*CONFIGS, *NATIVE])
def test_the_edited_model_is_the_ablated_one(name):
    model = made(name)
    plain = model(TOKENS)
    for taken in (direction(), torch.stack([direction(), direction(5)])):
        ablated = model.run_with_hooks(TOKENS, steering.ablate(taken))
        edited = orthogonalised(model, taken)
        torch.testing.assert_close(edited(TOKENS), ablated, rtol=1e-4, atol=1e-4)
        assert (ablated - plain).abs().max() > 0.1, "the direction mattered"
        assert max(written_along(edited, direction()).values()) < 1e-10
    torch.testing.assert_close(model(TOKENS), plain, rtol=0, atol=0)
    assert torch.equal(edited.W_U, model.W_U)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "native"])
def test_every_matrix_and_bias_that_writes_counts(name):
    """Each in turn is left as it was: then the edited model is another than the ablated one."""
    model, taken = made(name), direction()
    ablated, edited = model.run_with_hooks(TOKENS, steering.ablate(taken)), orthogonalised(model, taken)
    names = list(writers(edited))
    biases = {"gpt2": 4, "gpt_neox": 4, "llama": 4, "native": 4}[name]
    assert len(names) == 4 + biases + (2 if name in ("gpt2", "native") else 1)
    for left_out in names:
        weight, clean = writers(edited)[left_out], writers(edited)[left_out].clone()
        weight.copy_(writers(model)[left_out])
        assert (edited(TOKENS) - ablated).abs().max() > 1e-3, left_out
        weight.copy_(clean)
    torch.testing.assert_close(edited(TOKENS), ablated, rtol=1e-4, atol=1e-4)


def test_tied_embeddings_left_tied_give_another_model():
    """What published code does: the unembedding loses the direction too."""
    model, taken = made("gpt2"), direction()
    ablated = model.run_with_hooks(TOKENS, steering.ablate(taken))
    assert model.hf.lm_head.weight is model.hf.transformer.wte.weight
    for weight in writers(model).values():
        unit = steering.unit(taken)
        weight.copy_(weight - (weight @ unit)[..., None] * unit)
    assert (model(TOKENS) - ablated).abs().max() > 1e-2


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_norms_what_it_writes_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} norms what attention and MLP write"):
        orthogonalised(made(name), direction())


@pytest.mark.parametrize("name", ["gpt2", "llama_tied", "gpt_neox", "native"])
def test_the_edited_model_can_be_saved_and_opened_again(name, tmp_path):
    edited = orthogonalised(made(name), direction())
    folder = save(edited, tmp_path / "edited")
    expected = edited(TOKENS)
    torch.testing.assert_close(mi_lib.load(folder)(TOKENS), expected, rtol=1e-5, atol=1e-5)
    if name != "native":
        opened = AutoModelForCausalLM.from_pretrained(folder)
        torch.testing.assert_close(opened(TOKENS).logits, expected, rtol=1e-4, atol=1e-4)


def test_edits_of_the_edited_model_work_as_on_any_other():
    edited = orthogonalised(made("gpt2"), direction())
    before = edited(TOKENS)
    pushed = edited.run_with_hooks(TOKENS, steering.add(direction(6), 1.0, 1))
    assert (pushed - before).abs().max() > 0.1
    _, cache = edited.run_with_cache(TOKENS, [("resid_post", 1), "hook_embed"])
    assert (cache["resid_post", 1] @ direction()).abs().max() < 1e-3
    assert (cache["hook_embed"] @ direction()).abs().max() < 1e-3


def test_the_share_that_is_written_along_a_direction_is_one_over_the_width_on_average():
    model = made("llama")
    shares = [written_along(model, row)["embed"] for row in torch.eye(16)]
    assert sum(shares) == pytest.approx(1, abs=1e-5)


def test_a_direction_that_does_not_fit_is_refused_in_a_sentence():
    model = made("native")
    for wrong, told in ((torch.ones(5), "5 numbers"), (torch.zeros(16), "direction is zero")):
        with pytest.raises(ValueError, match=told):
            orthogonalised(model, wrong)
