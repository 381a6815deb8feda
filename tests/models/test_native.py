"""The native Transformer and the mechanism of sites, hooks and caches."""

from __future__ import annotations

import math

import pytest
import torch
from small_models import native

from mi_lib.models import Transformer, TransformerConfig, UnknownSite


def test_the_forward_pass_is_the_one_of_its_docstring(tokens):
    """Written out again with plain loops over layers and heads."""
    model = native("native with mlp")
    x = model.W_E[tokens] + model.W_pos[:9]
    mask = torch.ones(9, 9, dtype=torch.bool).tril()

    def norm(ln, value):
        return torch.nn.functional.layer_norm(value, (16,), ln.w, ln.b, 1e-5)

    for block in model.blocks:
        y, attn = norm(block.ln1, x), block.attn
        for h in range(4):
            q, k, v = (y @ getattr(attn, f"W_{n}")[h] + getattr(attn, f"b_{n}")[h] for n in "QKV")
            pattern = (q @ k.mT / math.sqrt(6)).masked_fill(~mask, -torch.inf).softmax(-1)
            x = x + pattern @ v @ attn.W_O[h]
        x = x + attn.b_O
        hidden = torch.nn.functional.gelu(norm(block.ln2, x) @ block.mlp.W_in + block.mlp.b_in, approximate="tanh")
        x = x + hidden @ block.mlp.W_out + block.mlp.b_out
    expected = norm(model.ln_final, x) @ model.W_U + model.b_U
    assert torch.allclose(model(tokens), expected, atol=1e-4)


def test_shifted_positions_never_enter_the_residual_stream(tokens):
    model = native("native shifted")
    _, cache = model.run_with_cache(tokens)
    assert torch.equal(cache["resid_pre", 0], model.W_E[tokens])
    q = torch.einsum("bpm,hmd->bphd", model.W_E[tokens] + model.W_pos[:9], model.W_Q[0])
    assert torch.allclose(cache["q", 0], q, atol=1e-5)


def test_saving_and_loading_gives_the_same_model(tmp_path, tokens):
    from mi_lib import load

    model = native("native with mlp")
    again = load(model.save(tmp_path))
    assert isinstance(again, Transformer)
    assert again.config == model.config
    assert torch.equal(again(tokens), model(tokens))


def test_hooks_are_removed_after_an_exception_and_at_the_end(tokens):
    model = native("native attention-only")
    clean = model(tokens)
    with pytest.raises(ZeroDivisionError):
        model.run_with_hooks(tokens, [(("z", 0), lambda v, hook: 1 / 0)])
    assert torch.equal(model(tokens), clean)
    with pytest.raises(KeyError), model.hooks([(("z", 0), lambda v, hook: v * 0)]):
        raise KeyError("inside the context")
    assert torch.equal(model(tokens), clean)


def test_contexts_nest_and_the_inner_one_sees_what_the_outer_one_made(tokens):
    model = native("native attention-only")
    double = lambda v, hook: v * 2  # noqa: E731
    with model.hooks([(("z", 0), double)]):
        _, cache = model.run_with_cache(tokens, ("z", 0))
        with model.hooks([(("z", 0), double)]):
            twice = model(tokens)
        once = model(tokens)
    plain, plain_cache = model.run_with_cache(tokens, ("z", 0))
    assert torch.allclose(cache["z", 0], 2 * plain_cache["z", 0])
    assert torch.allclose(twice, model.run_with_hooks(tokens, [(("z", 0), lambda v, hook: v * 4)]), atol=1e-5)
    assert torch.allclose(once, model.run_with_hooks(tokens, [(("z", 0), double)]), atol=1e-6)
    assert torch.equal(model(tokens), plain)


def test_a_hook_knows_its_name_and_layer_and_may_return_nothing(tokens):
    model = native("native attention-only")
    seen = []
    logits = model.run_with_hooks(
        tokens, [(lambda name: "pattern" in name, lambda v, hook: seen.append((hook.name, hook.layer)))]
    )
    assert seen == [("blocks.0.attn.hook_pattern", 0), ("blocks.1.attn.hook_pattern", 1)]
    assert torch.equal(logits, model(tokens))


def test_an_edit_of_another_shape_is_refused(tokens):
    with pytest.raises(ValueError, match=r"hook_z returned shape \(2, 9, 4\), not \(2, 9, 4, 6\)"):
        native("native attention-only").run_with_hooks(tokens, [(("z", 0), lambda v, hook: v[..., 0])])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blocks.0.attn.hook_patern", "did you mean blocks.0.attn.hook_pattern"),
        (("pattern", 7), "layers 0 to 1"),
        (("nothing", 0), "the short forms are"),
        (("scale", 0), "say which norm"),
    ],
)
def test_an_unknown_site_is_named_with_its_neighbours(name, message, tokens):
    with pytest.raises(UnknownSite, match=message):
        native("native attention-only").run_with_cache(tokens, name)


def test_asking_a_cache_for_what_it_does_not_hold_says_what_it_holds(tokens):
    _, cache = native("native attention-only").run_with_cache(tokens, ("z", 0))
    with pytest.raises(UnknownSite, match=r"holds blocks\.0\.attn\.hook_z; ask for it by `names=`"):
        cache["pattern", 0]
    assert ("z", 0) in cache
    assert ("pattern", 0) not in cache


def test_gradients_reach_every_site(tokens):
    model = native("native with mlp")
    logits, cache = model.run_with_cache(tokens, model.hook_names, grad=True)
    logits[:, -1].pow(2).sum().backward()
    assert all(cache.grad(name).abs().sum() > 0 for name in model.hook_names)
    _, plain = model.run_with_cache(tokens)
    with pytest.raises(RuntimeError, match="without gradients"):
        plain.grad("hook_embed")


def test_gradients_flow_to_the_weights_in_an_ordinary_run(tokens):
    model = native("native with mlp").requires_grad_(True)
    model(tokens).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("tokens_", "message"),
    [
        (torch.tensor([[50]]), "0 … 49"),
        (torch.tensor([[0.5]]), "whole numbers"),
        (torch.zeros(1, 41, dtype=torch.long), "at most 40"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(tokens_, message):
    with pytest.raises(ValueError, match=message):
        native("native attention-only")(tokens_)


def test_a_config_with_a_slip_is_refused():
    good = {"n_layers": 1, "d_model": 4, "n_heads": 1, "d_head": 4, "d_vocab": 5, "n_ctx": 6}
    with pytest.raises(ValueError, match="positions must be one of"):
        TransformerConfig(**good, positions="rotary")
    with pytest.raises(ValueError, match="n_heads must be a whole number"):
        TransformerConfig(**{**good, "n_heads": 0})
    with pytest.raises(ValueError, match="unknown keys"):
        TransformerConfig.from_dict({**good, "n_head": 2})
