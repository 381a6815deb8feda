"""What must hold for every architecture, native ones included. The models are small, random, saved and opened again."""

from __future__ import annotations

import pytest
import torch
from small_models import FAMILIES, NATIVE, native

from mi_lib.models import checks
from mi_lib.models.families import part
from mi_lib.models.sites import on_request

EVERY = (*FAMILIES, *NATIVE)


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_equal_those_of_plain_transformers(name, folders, opened, tokens):
    import transformers

    plain = transformers.AutoModelForCausalLM.from_pretrained(folders[name], attn_implementation="eager")
    expected = plain(input_ids=tokens).logits
    model = opened(name)
    assert (model(tokens) - expected).abs().max() < 1e-4  # with the fast attention
    hooked, _ = model.run_with_cache(tokens)
    assert (hooked - expected).abs().max() < 1e-4  # with every site read


@pytest.mark.parametrize("name", EVERY)
def test_every_self_check_passes(name, opened):
    results = checks.self_check(opened(name))
    assert [f"{c.name}: {c.value} {c.detail}" for c in results if not c.ok] == []
    assert {c.name for c in results} == {
        "logits",
        "pattern rows",
        "causality",
        "edits",
        "heads",
        "residual stream",
        "padding",
        "gradients",
        "bfloat16",
    }


@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_checking_a_model_leaves_its_numbers_as_they_were(name, opened, tokens):
    model = opened(name)
    before = model(tokens)
    checks.self_check(model)
    assert torch.equal(model(tokens), before)


@pytest.mark.parametrize("name", EVERY)
def test_the_cache_holds_every_site_in_the_right_shape(name, opened, tokens):
    model = opened(name)
    c = model.cfg
    _, cache = model.run_with_cache(tokens)
    assert set(cache) == {name for name in model.hook_names if not on_request(name)}
    _, cache = model.run_with_cache(tokens, model.hook_names)
    assert set(cache) == set(model.hook_names)
    batch, pos = tokens.shape
    assert cache["pattern", 1].shape == (batch, c.n_heads, pos, pos)
    assert cache["q", 0].shape == cache["z", 1].shape == (batch, pos, c.n_heads, c.d_head)
    assert cache["k", 0].shape == cache["v", -1].shape == (batch, pos, c.kv_heads, c.d_head)
    assert cache["result", 0].shape == (batch, pos, c.n_heads, c.d_model)
    assert cache["q_input", 0].shape == (batch, pos, c.n_heads, c.d_model)
    assert cache["k_input", 0].shape == cache["v_input", 1].shape == (batch, pos, c.kv_heads, c.d_model)
    assert cache["resid_post", -1].shape == (batch, pos, c.d_model)
    if c.d_mlp:
        assert cache["mlp_in", 0].shape == (batch, pos, c.d_model)
        assert cache["post", 0].shape == (batch, pos, c.d_mlp)


@pytest.mark.parametrize("name", EVERY)
def test_heads_sum_to_the_attention_output(name, opened, tokens):
    model = opened(name)
    _, cache = model.run_with_cache(tokens, lambda site: site.endswith(("hook_z", "hook_result")))
    for layer in range(2):
        by_weights = torch.einsum("bphd,hdm->bphm", cache["z", layer], model.W_O[layer])
        assert (by_weights - cache["result", layer]).abs().max() < 1e-5


@pytest.mark.parametrize("name", FAMILIES)
def test_heads_and_bias_sum_to_what_the_output_projection_of_transformers_gives(name, opened, tokens):
    """Against the module itself, because Gemma norms what leaves it before it becomes hook_attn_out."""
    model = opened(name)
    attn = part(model.layers[1], model.family.attn)
    written = []
    handle = part(attn, model.family.out).register_forward_hook(lambda module, args, out: written.append(out))
    _, cache = model.run_with_cache(tokens, ("z", 1))
    handle.remove()
    summed = torch.einsum("bphd,hdm->bpm", cache["z", 1], model.W_O[1]) + model.b_O[1]
    assert (summed - written[0]).abs().max() < 1e-5


@pytest.mark.parametrize("name", EVERY)
def test_queries_and_keys_come_from_the_weights_of_each_head(name, opened, tokens):
    """q = x W_Q (+ bias), so differences between positions are free of the bias."""
    model = opened(name)
    _, cache = model.run_with_cache(tokens)
    x = cache["normalized", 0, "ln1"] if model.cfg.norm != "none" else cache["resid_pre", 0]
    if model.cfg.positions == "shifted":
        x = x + cache["pos_embed"]
    for site, weight in (("q", model.W_Q), ("k", model.W_K)):
        made = torch.einsum("bpm,hmd->bphd", x, weight[0])
        kept = cache[site, 0].repeat_interleave(model.cfg.n_heads // cache[site, 0].shape[2], dim=2)
        assert (made.diff(dim=1) - kept.diff(dim=1)).abs().max() < 1e-4


@pytest.mark.parametrize("name", EVERY)
def test_many_edits_at_once_equal_the_same_edits_one_by_one(name, opened, tokens):
    model = opened(name)
    one = tokens[:1]
    edits = [
        (("resid_pre", 1), lambda v, hook: v * 0.5),
        (("z", 0), lambda v, hook: v * 2),
        (("pattern", 1), lambda v, hook: v.flip(-1)),
        [(("attn_out", 0), lambda v, hook: v * 0), (("attn_out", 1), lambda v, hook: v * 3)],
        ("hook_embed", lambda v, hook: v + 1),
        [],
    ]
    together = model.run_edits(one, edits)
    for row, edit in zip(together, edits, strict=True):
        pairs = [edit] if isinstance(edit, tuple) else edit
        assert torch.allclose(row, model.run_with_hooks(one, pairs)[0], atol=1e-4)
    last = model.run_edits(one, edits, logits_to_keep=1)
    assert torch.allclose(last[:, 0], together[:, -1], atol=1e-5)
    assert torch.allclose(model.run_edits(one, edits, batch_size=2), together, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_stopping_early_gives_the_residual_stream_and_runs_nothing_later(name, opened, tokens):
    model = opened(name)
    _, full = model.run_with_cache(tokens, ("resid_pre", 1))
    residual, cache = model.run_with_cache(tokens, stop_at_layer=1)
    assert torch.allclose(residual, full["resid_pre", 1], atol=1e-4)
    assert not [site for site in cache if site.startswith(("blocks.1", "ln_final"))]
    assert torch.allclose(model.run_with_cache(tokens, stop_at_layer=-1)[0], residual, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing_for_real_tokens(name, side, opened, tokens):
    model = opened(name)
    short = tokens[1:, :6]
    start = 3 if side == "left" else 0
    padded, mask = torch.zeros(2, 9, dtype=torch.long), torch.zeros(2, 9, dtype=torch.bool)
    padded[0], mask[0] = tokens[0], True
    padded[1, start : start + 6], mask[1, start : start + 6] = short[0], True
    for edits in ([], [(None, lambda value, hook: value + 0)]):
        with model.hooks(edits):
            logits = model(padded, mask)
        assert (logits[1, start : start + 6] - model(short)[0]).abs().max() < 1e-4
        assert (logits[0] - model(tokens[:1])[0]).abs().max() < 1e-4


@pytest.mark.parametrize("name", FAMILIES)
def test_nothing_is_left_on_the_model_after_a_run(name, opened, tokens):
    model = opened(name)
    clean = model(tokens)
    model.run_with_cache(tokens)
    with pytest.raises(ZeroDivisionError):
        model.run_with_hooks(tokens, [(lambda name: True, lambda value, hook: 1 / 0)])
    assert not any(model.active(site) for site in model.hook_names)
    model.run_edits(tokens[:1], [(("resid_pre", 1), lambda v, hook: v * 0)])
    model(tokens, stop_at_layer=1)
    assert torch.equal(model(tokens), clean)
    assert torch.equal(model.hf(input_ids=tokens).logits, clean)


@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_a_cache_of_one_site_costs_no_open_attention(name, opened, tokens, monkeypatch):
    """Only layers in which an inner site of attention is wanted leave the fast path."""
    model = opened(name)
    _, cache = model.run_with_cache(tokens, ("resid_post", 0))
    assert list(cache) == ["blocks.0.hook_resid_post"]
    if name in FAMILIES:
        from mi_lib.models import attention

        opened_layers = []
        masked = attention._masked
        monkeypatch.setattr(attention, "_masked", lambda *given: opened_layers.append(given) or masked(*given))
        model.run_with_cache(tokens, [("z", 0), ("resid_post", 0)])
        assert opened_layers == []  # scores and patterns are not computed
        model.run_with_cache(tokens, ("pattern", 1))
        assert len(opened_layers) == 1  # in the layer that was asked for


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "native with mlp"])
def test_the_whole_model_runs_in_bfloat16(name, folders):
    from mi_lib.models import load

    model = native(name).to(torch.bfloat16) if name in NATIVE else load(folders[name], dtype=torch.bfloat16)
    ids = torch.arange(6)[None]
    logits, cache = model.run_with_cache(ids)
    assert logits.dtype == cache["z", 0].dtype == torch.bfloat16
    assert torch.isfinite(logits).all()
