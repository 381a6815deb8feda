"""Each trap that reading a model of `transformers` 5 holds: first that it is there, then that ours does not fall in."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.models.llama.modeling_llama import eager_attention_forward

from mi_lib.models import LoadError, attention, checks, load


def test_an_attention_function_without_its_mask_sees_the_future(folders, opened, tokens):
    AttentionInterface.register("trap_without_mask", eager_attention_forward)
    plain = transformers.AutoModelForCausalLM.from_pretrained(folders["llama"])
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 50

    def looks_ahead(run) -> float:
        return (run(tokens)[:, :-1] - run(changed)[:, :-1]).abs().max().item()

    plain.config._attn_implementation = "trap_without_mask"
    assert looks_ahead(lambda ids: plain(input_ids=ids).logits) > 1e-3
    edits = [(("pattern", layer), lambda v, hook: v + 0) for layer in (0, 1)]
    assert looks_ahead(lambda ids: opened("llama").run_with_hooks(ids, edits)) < 1e-5


def test_a_model_whose_mask_is_lost_is_refused(folders, monkeypatch):
    monkeypatch.setitem(AttentionMaskInterface._global_mapping, attention.NAME, lambda *a, **k: None)
    monkeypatch.setattr(attention, "register", lambda: None)
    with pytest.raises(LoadError, match=r"self-check 'padding'"):
        load(folders["llama"])


def test_fast_attention_returns_no_patterns_and_ours_does(folders, opened, tokens):
    plain = transformers.AutoModelForCausalLM.from_pretrained(folders["gpt2"], attn_implementation="sdpa")
    returned = plain(input_ids=tokens, output_attentions=True).attentions
    assert not returned or all(pattern is None for pattern in returned)
    _, cache = opened("gpt2").run_with_cache(tokens, ("pattern", 0))
    assert torch.allclose(cache["pattern", 0].sum(-1), torch.ones(2, 4, 9), atol=1e-5)


def test_a_block_returns_a_bare_tensor_so_that_index_0_is_the_first_sequence(folders, opened, tokens):
    plain = transformers.AutoModelForCausalLM.from_pretrained(folders["gpt2"])
    seen = []
    plain.transformer.h[0].register_forward_hook(lambda module, args, output: seen.append(output))
    plain(input_ids=tokens)
    assert isinstance(seen[0], torch.Tensor)
    assert seen[0][0].shape == (9, 32)  # what old code takes for the hidden states
    _, cache = opened("gpt2").run_with_cache(tokens, ("resid_post", 0))
    assert cache["resid_post", 0].shape == (2, 9, 32)


def test_gemma_2_caps_its_scores(opened, tokens):
    model = opened("gemma2")
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith(("rot_q", "rot_k", "attn_scores")))
    visible = cache["attn_scores", 1] > -1e30
    assert cache["attn_scores", 1][visible].abs().max() <= 2.0  # the cap of this small config
    q, k = cache["rot_q", 1], cache["rot_k", 1].repeat_interleave(2, dim=2)
    raw = torch.einsum("bqhd,bkhd->bhqk", q, k) / 4  # query_pre_attn_scalar = 16
    assert raw[visible].abs().max() > 2.0, "without a cap there would be larger ones"
    assert torch.allclose(cache["attn_scores", 1][visible], (2 * torch.tanh(raw / 2))[visible], atol=1e-5)


def test_gpt_neo_ignores_the_registry_and_is_refused(tmp_path):
    config = transformers.GPTNeoConfig(
        vocab_size=20,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=16,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    with pytest.raises(LoadError, match=r"'gpt_neo' is not supported.*rows for gpt2"):
        load(tmp_path)


def test_conv1d_weights_are_transposed_and_ours_are_not(opened):
    model = opened("gpt2")
    conv = model.hf.transformer.h[0].attn.c_attn
    assert conv.weight.shape == (32, 96)  # [in, out]; Linear has [out, in]
    assert torch.equal(model.W_Q[0, 1], conv.weight[:, 8:16])
    assert torch.equal(model.W_O[1, 2], model.hf.transformer.h[1].attn.c_proj.weight[16:24])


def test_head_width_comes_from_the_config(opened, tokens):
    model = opened("qwen3")
    assert model.cfg.d_head == 16
    assert model.cfg.d_model // model.cfg.n_heads == 8
    assert model.W_Q.shape == (2, 4, 32, 16)


def test_the_last_hidden_state_is_already_normalised(folders, opened, tokens):
    plain = transformers.AutoModelForCausalLM.from_pretrained(folders["llama"])
    last = plain(input_ids=tokens, output_hidden_states=True).hidden_states[-1]
    _, cache = opened("llama").run_with_cache(tokens, [("resid_post", -1), "ln_final.hook_normalized"])
    assert torch.allclose(last, cache["ln_final.hook_normalized"], atol=1e-4)
    assert not torch.allclose(last, cache["resid_post", -1], atol=1e-1)


def test_a_site_that_is_not_connected_is_found_by_the_self_check(folders, monkeypatch):
    model = load(folders["gpt2"], check=False)
    place = next(h for h in model.hf.transformer.h[1].mlp._forward_hooks.values())
    assert place.name == "blocks.1.hook_mlp_out"
    monkeypatch.setattr(place, "name", "blocks.1.hook_nothing")
    failed = [check for check in checks.self_check(model, quick=True) if not check.ok]
    assert [check.name for check in failed] == ["edits"]
    assert "blocks.1.hook_mlp_out" in failed[0].detail
