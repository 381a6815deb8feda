"""A dictionary inside a model, and on disk."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mi_lib import Transformer, TransformerConfig, saes
from mi_lib.models.errors import LoadError

SITE = "blocks.1.hook_resid_pre"
MAKE = {
    "relu": lambda: saes.ReLU(16, 24, l1=0.2),
    "gated": lambda: saes.Gated(16, 24, l1=0.2),
    "topk": lambda: saes.TopK(16, 24, k=4),
    "batch_topk": lambda: saes.BatchTopK(16, 24, k=4),
    "jumprelu": lambda: saes.JumpReLU(16, 24, l0=0.03),
    "matryoshka": lambda: saes.Matryoshka(16, 24, k=4, prefixes=[8, 24]),
}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = Transformer(
        TransformerConfig(n_layers=2, d_model=16, n_heads=2, d_head=8, d_vocab=19, n_ctx=16, d_mlp=20, norm="layernorm")
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return model.requires_grad_(False)


TOKENS = torch.randint(0, 19, (8, 12), generator=torch.Generator().manual_seed(0))


def trained(name, model):
    _, cache = model.run_with_cache(TOKENS, names=SITE)
    return saes.train(MAKE[name](), cache[SITE].flatten(0, 1), 40, batch=32)


@pytest.mark.parametrize("name", MAKE)
def test_with_the_error_term_the_logits_are_the_models_to_the_last_bit(model, name):
    sae = trained(name, model)
    assert torch.equal(model.run_with_hooks(TOKENS, [(SITE, saes.spliced(sae, keep_error=True))]), model(TOKENS))
    assert not torch.allclose(model.run_with_hooks(TOKENS, [(SITE, saes.spliced(sae))]), model(TOKENS), atol=1e-2)


def test_an_edit_of_a_latent_moves_the_site_along_its_row_and_by_nothing_else(model):
    sae = trained("topk", model)

    def clamp(f):
        f[..., 5] += 3
        return f

    _, before = model.run_with_cache(TOKENS, names=SITE)
    with model.hooks([(SITE, saes.spliced(sae, keep_error=True, edit=clamp))]):
        _, after = model.run_with_cache(TOKENS, names=SITE)
    assert torch.allclose(after[SITE] - before[SITE], (3 * sae.W_dec[5]).expand_as(before[SITE]), atol=1e-4)


class Perfect(saes.ReLU):
    """x̂ = x: two latents for each coordinate."""

    def __init__(self):
        super().__init__(16, 32)
        self.W_dec.data = torch.cat([torch.eye(16), -torch.eye(16)])
        self.W_enc.data = self.W_dec.T.clone()
        self.eval().requires_grad_(False)


def test_loss_recovered_is_1_for_a_perfect_dictionary_and_0_for_one_that_says_the_mean(model):
    _, cache = model.run_with_cache(TOKENS, names=SITE)
    silent = Perfect()
    silent.b_enc.data.fill_(-1e6)
    silent.b_dec.data = cache[SITE].mean((0, 1))
    assert saes.loss_recovered(model, TOKENS, SITE, Perfect()).share == pytest.approx(1, abs=1e-4)
    assert saes.loss_recovered(model, TOKENS, SITE, silent).share == pytest.approx(0, abs=1e-4)
    silent.b_dec.data.zero_()
    assert saes.loss_recovered(model, TOKENS, SITE, silent, ablation="zero").share == pytest.approx(0, abs=1e-4)
    assert saes.loss_recovered(model, TOKENS, SITE, silent, keep_error=True).share == 1


def test_losses_are_those_of_the_next_tokens_and_padding_counts_nowhere(model):
    mask = torch.ones_like(TOKENS, dtype=torch.bool)
    mask[2:, 7:] = False
    got = saes.loss_recovered(model, TOKENS, SITE, Perfect(), attention_mask=mask)
    logs = model(TOKENS, attention_mask=mask).log_softmax(-1)
    by_hand = [-logs[b, t, TOKENS[b, t + 1]] for b in range(8) for t in range(11) if mask[b, t] and mask[b, t + 1]]
    assert got.clean == pytest.approx(torch.stack(by_hand).mean().item(), rel=1e-5)
    other = torch.where(mask, TOKENS, 3)
    assert saes.loss_recovered(model, other, SITE, Perfect(), attention_mask=mask).ablated == pytest.approx(got.ablated)


def test_a_dictionary_of_another_width_or_in_training_is_not_spliced_in(model):
    with pytest.raises(ValueError, match="width 5, not 16"):
        model.run_with_hooks(TOKENS, [(SITE, saes.spliced(saes.ReLU(5, 8).eval()))])
    with pytest.raises(ValueError, match="training mode"):
        saes.spliced(MAKE["batch_topk"]().train())


# --- on disk ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKE)
def test_what_was_saved_is_loaded_bit_for_bit(model, name, tmp_path):
    sae = trained(name, model)
    path = saes.save_dictionary(sae, tmp_path / "d.safetensors", model="toy", site=SITE)
    again = saes.load_dictionary(path, width=16, model="toy", site=SITE)
    assert type(again) is type(sae)
    assert again.settings == sae.settings
    x = torch.randn(50, 16, generator=torch.Generator().manual_seed(3))
    assert torch.equal(again(x), sae(x))
    assert os.listdir(tmp_path) == ["d.safetensors"]


def test_the_same_dictionary_saved_again_is_the_same_file_byte_for_byte(tmp_path):
    """The order of a safetensors header with two entries is drawn by lot: of twenty files some would be others."""
    sae = MAKE["matryoshka"]()
    files = [saes.save_dictionary(sae, tmp_path / f"{i}.safetensors", model="toy", site=SITE) for i in range(20)]
    assert len({file.read_bytes() for file in files}) == 1
    with safe_open(files[0], "pt") as file:  # as the library that made the format reads it
        assert file.metadata()["format"] == "mi-dictionary 1"
        assert torch.equal(file.get_tensor("W_dec"), sae.W_dec)
    start = 8 + int.from_bytes(files[0].read_bytes()[:8], "little")
    assert start % 8 == 0


@pytest.fixture
def saved(tmp_path):
    return saes.save_dictionary(MAKE["topk"](), tmp_path / "d.safetensors", model="toy", site=SITE)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"width": 32}, "activations of width 16, not 32"),
        ({"model": "pico"}, "the model toy, not pico"),
        ({"site": "hook_embed"}, f"the site {SITE}, not hook_embed"),
    ],
)
def test_a_dictionary_of_another_width_model_or_site_is_refused(saved, asked, said):
    with pytest.raises(LoadError, match=said):
        saes.load_dictionary(saved, **asked)


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_file_that_was_cut_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(LoadError, match="damaged"):
        saes.load_dictionary(saved)


def rewritten(path, weights=None, header=None, **config):
    with safe_open(path, "pt") as file:
        old, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    config = json.loads(old["config"]) | config
    tensors = {k: v for k, v in (tensors | (weights or {})).items() if v is not None}
    save_file(tensors, path, {"format": old["format"], "config": json.dumps(config)} | (header or {}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "magic"}, "kind 'magic'"),
        ({"d": 10**9}, "W_dec does not have the shape"),
        ({"settings": {"k": 99}}, "makes no dictionary"),
        ({"settings": {"temperature": 1}}, "makes no dictionary"),
        ({"settings": None}, "says nothing"),
        ({"weights": {"b_enc": None}}, "b_enc is missing"),
        ({"weights": {"extra": torch.zeros(1)}}, "extra is missing or does not belong"),
        ({"weights": {"b_enc": torch.zeros(3)}}, "b_enc has shape"),
        ({"weights": {"b_enc": torch.full((24,), float("nan"))}}, "b_enc holds"),
        ({"header": {"format": "other"}}, "not a dictionary of this library"),
        ({"header": {"config": "{"}}, "damaged"),
    ],
)
def test_a_file_that_does_not_hold_together_is_refused_in_one_sentence(saved, change, said):
    rewritten(saved, **change)
    with pytest.raises(LoadError, match=said) as told:
        saes.load_dictionary(saved)
    assert "\n" not in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(LoadError, match="there is no file"):
        saes.load_dictionary(tmp_path / "gone")


def test_whoever_stops_in_between_leaves_what_was_there_before(saved, monkeypatch):
    before = saved.read_bytes()

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        saes.save_dictionary(MAKE["relu"](), saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_dictionary_of_nan_is_not_saved(saved):
    sae, before = MAKE["relu"](), saved.read_bytes()
    sae.b_dec.data[0] = float("nan")
    with pytest.raises(ValueError, match="b_dec holds NaN"):
        saes.save_dictionary(sae, saved)
    assert saved.read_bytes() == before
