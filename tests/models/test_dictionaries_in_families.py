"""A dictionary spliced into models of every family: with the error term nothing changes but what an edit does."""

from __future__ import annotations

import pytest
import torch
from small_models import FAMILIES, NATIVE

from mi_lib import saes


def dictionary(d):
    """Random, with biases that count; everything is active somewhere."""
    sae = saes.ReLU(d, 40, seed=1)
    with torch.no_grad():
        for i, parameter in enumerate((sae.b_enc, sae.b_dec)):
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))
    return sae.eval().requires_grad_(False)


@pytest.mark.parametrize("name", [*FAMILIES, *NATIVE])
def test_with_the_error_term_the_logits_are_the_models_to_the_last_bit(opened, tokens, name):
    model = opened(name)
    clean = model(tokens)
    sites = ["hook_embed", ("resid_pre", 1), ("resid_post", 1), ("attn_out", 0)]
    sites += [("mlp_out", 1), ("post", 1)] if model.cfg.d_mlp else []
    for site in sites:
        _, cache = model.run_with_cache(tokens, site)
        (x,) = cache.values()
        sae = dictionary(x.shape[-1])
        kept, without = (
            model.run_with_hooks(tokens, [(site, saes.spliced(sae, keep_error=keep))]) for keep in (True, False)
        )
        assert torch.equal(kept, clean), site
        assert not torch.allclose(without, clean, atol=1e-3), site
        edit = saes.clamped(7, 3.0, positions=4)
        edited = model.run_with_hooks(tokens, [(site, saes.spliced(sae, keep_error=True, edit=edit))])
        assert torch.equal(edited[:, :4], clean[:, :4]), "what comes before the edit does not know of it"
        assert not torch.allclose(edited[:, 4:], clean[:, 4:], atol=1e-3), site


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma3_text", "native with mlp"])
def test_direct_effects_are_those_of_a_final_norm_whose_scale_is_held(opened, tokens, name):
    """By hooks: the latent's row taken out after the last block, the scale put back."""
    model, last, scale = opened(name), "blocks.1.hook_resid_post", "ln_final.hook_scale"
    sae = dictionary(model.cfg.d_model)
    _, cache = model.run_with_cache(tokens, [last, scale])
    f = sae.encode(cache[last])
    latent = int((f > 0).sum((0, 1)).argmax())
    f = f[..., latent, None]
    without = model.run_with_hooks(
        tokens, [(last, lambda x, hook: x - f * sae.W_dec[latent]), (scale, lambda x, hook: cache[scale])]
    )
    change = (model(tokens) - without)[f[..., 0] > 0].mean(0)
    got = saes.direct_effects(model, sae, last, latent, tokens)
    assert got.abs().max() > 1e-2
    assert torch.allclose(got, change - change.mean(), atol=1e-4)
