"""Faults that would give wrong numbers without a word: each is either right, or an error that says what to do."""

from __future__ import annotations

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest
import torch
from small_models import FAMILIES, NATIVE, configs, native
from torch import nn

from mi_lib.models import UnknownSite, load
from mi_lib.models.generate import generate, stream
from mi_lib.models.projections import NotLinear
from mi_lib.models.transformers_model import TransformersModel

EVERY = (*FAMILIES, *NATIVE)


def fresh(name):
    """A model of its own, which a test may change."""
    import transformers

    if name in NATIVE:
        return native(name)
    torch.manual_seed(3)
    hf = transformers.AutoModelForCausalLM.from_config(configs()[name]).eval().requires_grad_(False)
    return TransformersModel(hf)


def zero(value, hook):
    value[:] = 0
    return value


def halve(value, hook):
    value *= 0.5
    return value


def zero_without_return(value, hook):
    value[:] = 0


# --- two threads ------------------------------------------------------------------------------------------------------

RUNS = {
    "forward": lambda model, ids: model(ids),
    "edits": lambda model, ids: model.run_with_hooks(ids, [(("resid_pre", 1), zero), (("pattern", 0), zero)]),
    "cache": lambda model, ids: model.run_with_cache(ids)[1].stack("pattern"),
    "early": lambda model, ids: model(ids, stop_at_layer=1),
    "many edits": lambda model, ids: model.run_edits(ids, [(("z", 1), zero), (("resid_pre", 1), zero), []]),
    "generation": lambda model, ids: torch.tensor(generate(model, ids, max_new_tokens=4)[0].log_probs),
    "edited generation": lambda model, ids: steered(model, ids),
}


def steered(model, ids):
    with model.hooks([(("resid_post", 0), lambda value, hook: value + 1.0)]):
        return torch.tensor([step.log_prob for step in stream(model, ids, max_new_tokens=4)])


@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_threads_that_share_a_model_do_not_see_each_other(name, opened):
    model = opened(name)
    inputs = [torch.randint(0, 50, (1, n), generator=torch.Generator().manual_seed(n)) for n in (5, 8)]
    jobs = [(run, ids) for run in RUNS.values() for ids in inputs]
    with torch.no_grad():
        alone = [run(model, ids) for run, ids in jobs]
    wrong: list[str] = []

    def work(job: int) -> None:
        run, ids = jobs[job]
        for _ in range(6):
            try:
                with torch.no_grad():
                    got = run(model, ids)
                if got.shape != alone[job].shape or not torch.allclose(got, alone[job], atol=1e-5):
                    wrong.append(f"{list(RUNS)[job // 2]}: other numbers")
            except Exception as error:
                wrong.append(f"{list(RUNS)[job // 2]}: {error!r}")

    threads = [threading.Thread(target=work, args=(job,)) for job in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_edits_belong_to_the_thread_that_made_them(opened, tokens):
    model, seen = opened("gpt2"), []
    clean = model(tokens)
    with model.hooks([(("resid_pre", 1), zero)]):
        other = threading.Thread(target=lambda: seen.append(model(tokens)))
        other.start()
        other.join()
        assert not torch.allclose(model(tokens), clean)
    assert torch.equal(seen[0], clean)


# --- two wrappers -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_two_wrappers_around_one_model_both_work(name, tokens):
    first = fresh(name)
    clean = first(tokens)
    expected = {site: first.run_with_hooks(tokens, [(site, halve)]) for site in first.hook_names}
    second = TransformersModel(first.hf)
    for model in (first, second):
        assert torch.equal(model(tokens), clean)
        for site, logits in expected.items():
            assert torch.equal(model.run_with_hooks(tokens, [(site, halve)]), logits), site
            assert not torch.equal(logits, clean), site


def test_the_plain_model_sees_the_edits_of_the_block_that_it_runs_in(tokens):
    model = fresh("llama")
    with model.hooks([(("resid_pre", 1), zero)]):
        assert torch.equal(model.hf(input_ids=tokens).logits, model(tokens))
        assert not torch.equal(model(tokens), TransformersModel(copy.deepcopy(model.hf))(tokens))


# --- edits in place ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY)
def test_an_edit_in_place_changes_no_other_site_that_is_kept(name, opened, tokens):
    model = opened(name)
    _, clean = model.run_with_cache(tokens, model.hook_names)
    for site in model.hook_names:
        with model.hooks([(site, lambda value, hook: value * 0)]):
            _, wanted = model.run_with_cache(tokens, model.hook_names[: model.hook_names.index(site)] or ["hook_embed"])
        with model.hooks([(site, zero)]):
            _, cache = model.run_with_cache(tokens, list(wanted))
        for earlier in cache:
            assert torch.equal(cache[earlier], wanted[earlier]), (site, earlier)
            if earlier != site:
                assert torch.equal(cache[earlier], clean[earlier]), (site, earlier)


@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_what_an_edit_writes_in_place_counts_whether_it_returns_it_or_not(name, opened, tokens):
    model = opened(name)
    for site in (("z", 0), ("resid_mid", 1), ("pattern", 1)):
        returned, silent = (model.run_with_hooks(tokens, [(site, fn)]) for fn in (zero, zero_without_return))
        assert torch.equal(returned, silent)
        assert not torch.allclose(returned, model(tokens))


def test_an_edit_that_gives_no_tensor_or_another_shape_is_refused(opened, tokens):
    with pytest.raises(TypeError, match=r"blocks\.0\.attn\.hook_z must return a tensor or None, not a float"):
        opened("gpt2").run_with_hooks(tokens, [(("z", 0), lambda value, hook: 0.0)])
    for run in (opened("gpt2").run_with_hooks, opened("gpt2").run_edits):
        with pytest.raises(ValueError, match=r"hook_z returned shape"):
            run(tokens[:1], [(("z", 0), lambda value, hook: value[:, :1])])


# --- where a run stops, and which sites are meant ---------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_stopping_after_the_last_block_gives_the_last_stream_and_beyond_is_an_error(name, opened, tokens):
    model = opened(name)
    _, cache = model.run_with_cache(tokens, ("resid_post", -1))
    assert torch.equal(model(tokens, stop_at_layer=2), cache["resid_post", -1])
    assert torch.equal(model(tokens, stop_at_layer=np.int64(-2)), model(tokens, stop_at_layer=0))
    for layer in (3, 99, -3):
        with pytest.raises(ValueError, match=f"stop_at_layer={layer}: this model has layers 0 to 1"):
            model(tokens, stop_at_layer=layer)


@pytest.mark.parametrize("names", [lambda name: False, lambda name: name.endswith("hook_patern"), [], ()])
def test_selecting_no_site_is_an_error(names, opened, tokens):
    for name in ("gpt2", "native with mlp"):
        model = opened(name)
        with pytest.raises(UnknownSite, match="selects no"):
            model.run_with_cache(tokens, names)
        with pytest.raises(UnknownSite, match="selects no"), model.hooks([(names, zero)]):
            pass
        with pytest.raises(UnknownSite, match="selects no"):
            model.run_edits(tokens[:1], [(names, zero)])


def test_layers_may_be_whole_numbers_of_numpy_and_torch(opened, tokens):
    model = opened("gpt2")
    _, cache = model.run_with_cache(tokens, [("z", np.int64(1)), ("pattern", torch.tensor(0))])
    assert torch.equal(cache["z", np.int64(-1)], cache["z", 1])
    _, one = model.run_with_cache(tokens, ("z", np.int64(0)))
    assert list(one) == ["blocks.0.attn.hook_z"]


@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_nothing_to_do_or_to_read_has_a_result_or_a_sentence(name, opened, tokens):
    model = opened(name)
    assert model.run_edits(tokens[:1], []).shape == (0, 9, 50)
    for empty in (tokens[:0], tokens[:, :0]):
        with pytest.raises(ValueError, match="nothing to read"):
            model(empty)
    if model.cfg.positions != "rotary":
        with pytest.raises(ValueError, match="at most 40"):
            model(torch.zeros(1, 41, dtype=torch.long))
    else:
        assert model(torch.zeros(1, 41, dtype=torch.long)).shape == (1, 41, 50)


# --- reading leaves the numbers alone ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", FAMILIES)
def test_reading_every_site_equals_the_plain_model_bit_for_bit(name, dtype, folders, tokens):
    import transformers

    kind = "eager" if name == "gemma2" else "sdpa"
    plain = transformers.AutoModelForCausalLM.from_pretrained(folders[name], dtype=dtype, attn_implementation=kind)
    model = load(folders[name], dtype=dtype, check=False)
    padded = torch.ones_like(tokens)
    padded[0, -3:] = 0
    for mask in (None, padded):
        expected = plain(input_ids=tokens, attention_mask=mask, position_ids=torch.arange(9)[None].expand(2, -1)).logits
        if mask is not None:
            model_positions = (mask.cumsum(-1) - 1).clamp(min=0)
            expected = plain(input_ids=tokens, attention_mask=mask, position_ids=model_positions).logits
        assert torch.equal(model(tokens, mask), expected)
        for site in model.hook_names:
            with model.hooks([(site, lambda value, hook: value)]):
                assert torch.equal(model(tokens, mask), expected), site
        assert torch.equal(model.run_with_cache(tokens, model.hook_names, attention_mask=mask)[0], expected)
        with torch.enable_grad():
            logits, _ = model.run_with_cache(tokens, model.hook_names, attention_mask=mask, grad=True)
        assert torch.equal(logits, expected)


@pytest.mark.parametrize("name", NATIVE)
def test_reading_every_site_of_a_native_model_changes_no_bit(name, opened, tokens):
    model = opened(name)
    clean = model(tokens)
    for grad in (False, True):
        assert torch.equal(model.run_with_cache(tokens, model.hook_names, grad=grad)[0], clean)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "gpt_neox"])
def test_a_small_write_beside_a_large_stream_is_not_lost_in_bfloat16(name, tokens):
    """What resid_mid is replaced by is what the block goes on with, in both ways that the stream takes."""
    model = fresh(name).to(torch.bfloat16)
    new = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16) / 64

    def replace(value, hook):
        return new

    with model.hooks([(("resid_mid", 1), replace), (("resid_pre", 1), lambda value, hook: value * 300)]):
        _, cache = model.run_with_cache(tokens, [("mlp_out", 1), ("resid_post", 1), ("resid_mid", 1)])
    assert torch.equal(cache["resid_mid", 1], new)
    assert torch.equal(cache["resid_post", 1], new + cache["mlp_out", 1])


class LowRank(nn.Module):
    """An adapter, as fine-tuning puts it around a projection: what the projection gives, and a little more."""

    def __init__(self, base, d_in, d_out, dropout=0.0):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.base = base
        self.dropout = nn.Dropout(dropout)
        self.A = nn.Parameter(torch.randn(d_in, 3, generator=generator), requires_grad=False)
        self.B = nn.Parameter(torch.randn(3, d_out, generator=generator), requires_grad=False)

    def forward(self, x):
        return self.base(x) + self.dropout(x) @ self.A @ self.B


def with_adapters(name):
    """A model that was wrapped first and adapted afterwards, as one does who fine-tunes it."""
    model = fresh(name)
    for block in model.layers:
        attn, mlp = (block.attn, block.mlp) if name == "gpt2" else (block.self_attn, block.mlp)
        if name == "gpt2":
            attn.c_attn, attn.c_proj = LowRank(attn.c_attn, 32, 96), LowRank(attn.c_proj, 32, 32)
            mlp.c_proj = LowRank(mlp.c_proj, 128, 32)
        else:
            attn.q_proj, attn.o_proj = LowRank(attn.q_proj, 32, 32), LowRank(attn.o_proj, 32, 32)
            mlp.down_proj = LowRank(mlp.down_proj, 48, 32)
    return model


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_an_adapter_is_read_with_what_it_adds(name, tokens):
    model = with_adapters(name)
    clean = model(tokens)
    logits, cache = model.run_with_cache(tokens, model.hook_names)
    assert torch.equal(logits, clean)
    results = cache["result", 1].sum(2) + model.b_O[1]
    assert torch.allclose(results, cache["attn_out", 1], atol=1e-4)
    assert torch.allclose(torch.einsum("bphd,hdm->bphm", cache["z", 1], model.W_O[1]), cache["result", 1], atol=1e-4)
    x = cache["normalized", 1, "ln1"]
    q = torch.einsum("bpm,hmd->bphd", x, model.W_Q[1]) + model.b_Q[1]
    assert torch.allclose(q, cache["q", 1], atol=1e-3)
    assert torch.allclose(cache["post", 1] @ model.W_out[1] + model.b_out[1], cache["mlp_out", 1], atol=1e-3)
    silenced = model.run_with_hooks(tokens, [(("result", 1), zero)])
    z_silenced = model.run_with_hooks(tokens, [(("z", 1), zero)])
    assert torch.allclose(silenced, z_silenced, atol=1e-4)
    assert torch.allclose(model.folded()(tokens), clean, atol=1e-3)


def test_what_no_matrix_describes_is_refused(tokens):
    model = fresh("llama")
    attn = model.layers[1].self_attn
    attn.o_proj = LowRank(attn.o_proj, 32, 32, dropout=0.5).train()
    with pytest.raises(NotLinear, match=r"LowRank is not read head by head.*model\.eval\(\)"):
        model.run_with_cache(tokens, ("result", 1))
    attn.o_proj = nn.Sequential(attn.o_proj.base, nn.Tanh())
    with pytest.raises(NotLinear):
        _ = model.W_O
    assert torch.equal(model.run_with_cache(tokens)[0], model(tokens))


def test_quantised_layers_are_read_as_they_compute(tokens):
    model = fresh("llama")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.ao.quantization.quantize_dynamic(model.hf, {nn.Linear}, dtype=torch.qint8, inplace=True)
    clean = model(tokens)
    assert torch.equal(model.run_with_cache(tokens)[0], clean)
    silenced = model.run_with_hooks(tokens, [(("z", 0), zero), (("z", 1), zero)])
    assert not torch.equal(silenced, clean)


# --- weights ----------------------------------------------------------------------------------------------------------


def with_wide_norms(name):
    """Every norm's gains between .1 and 4 (and biases of about 1), as some published models have them."""
    model, generator = fresh(name), torch.Generator().manual_seed(7)
    norms = [module for module in model.modules() if "norm" in type(module).__name__.lower()]
    for norm in norms:
        gain, bias = (norm.w, norm.b) if name in NATIVE else (norm.weight, getattr(norm, "bias", None))
        gain.data.copy_(0.1 + 3.9 * torch.rand(gain.shape, generator=generator))
        if bias is not None:
            bias.data.copy_(torch.randn(bias.shape, generator=generator))
    return model


@pytest.mark.parametrize("name", EVERY)
def test_a_folded_model_has_plain_norms_and_the_same_logits(name, tokens):
    model = with_wide_norms(name)
    clean = model(tokens)
    folded = model.folded()
    assert torch.equal(model(tokens), clean)  # it is a copy
    assert (folded(tokens) - clean).abs().max() < 1e-4 * max(1, clean.abs().max().item())
    if model.cfg.norm == "none":
        return
    ln1 = folded.blocks[0].ln1 if name in NATIVE else folded.layers[0].get_submodule(folded.family.ln1)
    for norm in (ln1, folded.ln_final):
        weight, bias, _, centred = folded.norm_parts(norm)
        assert torch.equal(weight, torch.ones_like(weight))
        assert not bias.any()
        if centred:
            assert folded.W_Q.mean(2).abs().max() < 1e-5
    # What the norm gives, through the plain weights, is what the plain norm gives, through the folded ones.
    own, _ = model.run_with_cache(tokens, ("q", 1)), None
    again = folded.run_with_cache(tokens, [("q", 1), ("normalized", 1, "ln1")])[1]
    assert torch.allclose(own[1]["q", 1], again["q", 1], atol=1e-3)
    heads = again["q", 1].shape[2]
    assert torch.allclose(
        torch.einsum("bpm,hmd->bphd", again["normalized", 1, "ln1"], folded.W_Q[1, :heads]) + folded.b_Q[1, :heads],
        again["q", 1],
        atol=1e-3,
    )


@pytest.mark.parametrize("name", EVERY)
def test_weights_and_biases_have_their_usual_names(name, opened, tokens):
    model = opened(name)
    c = model.cfg
    _, cache = model.run_with_cache(tokens)
    x = cache["normalized", 1, "ln1"] if c.norm != "none" else cache["resid_pre", 1]
    moved = x + cache["pos_embed"] if c.positions == "shifted" else x
    for site, W, b, at in (
        ("q", model.W_Q, model.b_Q, moved), ("k", model.W_K, model.b_K, moved), ("v", model.W_V, model.b_V, x)
    ):  # fmt: skip
        made = torch.einsum("bpm,hmd->bphd", at, W[1]) + b[1]
        kept = cache[site, 1].repeat_interleave(c.n_heads // cache[site, 1].shape[2], dim=2)
        assert torch.allclose(made, kept, atol=1e-4), site
    if c.d_mlp:
        y = cache["normalized", 1, "ln2"]
        into = cache["pre_linear", 1] if c.gated else cache["pre", 1]
        assert torch.allclose(y @ model.W_in[1] + model.b_in[1], into, atol=1e-4)
        if c.gated:
            assert torch.allclose(y @ model.W_gate[1], cache["pre", 1], atol=1e-4)
        else:
            with pytest.raises(AttributeError, match="no gate"):
                _ = model.W_gate


# --- the inputs of heads and of the MLP -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_the_input_of_one_head_moves_that_head_alone(name, opened, tokens):
    model = opened(name)
    c = model.cfg
    push = torch.randn(c.d_model, generator=torch.Generator().manual_seed(2))
    for letter, heads in (("q", c.n_heads), ("k", c.kv_heads), ("v", c.kv_heads)):

        def nudge(value, hook, head=heads - 1):
            value[:, :, head] += push
            return value

        with model.hooks([((f"{letter}_input", 1), nudge)]):
            _, cache = model.run_with_cache(tokens, [("q", 1), ("k", 1), ("v", 1), ("resid_pre", 1)])
        with model.hooks([(("resid_pre", 1), lambda value, hook: value + push)]):
            _, all_moved = model.run_with_cache(tokens, (letter, 1))
        _, clean = model.run_with_cache(tokens)
        assert torch.equal(cache["resid_pre", 1], clean["resid_pre", 1])
        for other in "qkv":
            wanted = clean[other, 1].clone()
            if other == letter:
                wanted[:, :, heads - 1] = all_moved[other, 1][:, :, heads - 1]
            assert torch.allclose(cache[other, 1], wanted, atol=1e-4), (letter, other)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("native attention-only", "native shifted")])
def test_the_input_of_the_mlp_moves_the_mlp_and_not_the_stream(name, opened, tokens):
    model = opened(name)
    push = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(2))
    _, clean = model.run_with_cache(tokens)
    with model.hooks([(("mlp_in", 1), lambda value, hook: value + push)]):
        _, cache = model.run_with_cache(tokens)
    assert not torch.allclose(cache["mlp_out", 1], clean["mlp_out", 1], atol=1e-3)
    moved = cache["mlp_out", 1] - clean["mlp_out", 1]
    assert torch.allclose(cache["resid_post", 1] - clean["resid_post", 1], moved, atol=1e-4)


def test_a_head_cannot_have_an_input_of_its_own_and_an_edited_norm(opened, tokens):
    for name in ("gpt2", "native with mlp"):
        with pytest.raises(ValueError, match="cannot both be edited"):
            opened(name).run_with_hooks(tokens, [(("q_input", 0), zero), (("normalized", 0, "ln1"), zero)])


# --- gradients, copies, pickles ---------------------------------------------------------------------------------------


def test_a_gradient_before_backward_is_an_error(opened, tokens):
    for name in ("gpt2", "native with mlp"):
        logits, cache = opened(name).run_with_cache(tokens, grad=True)
        with pytest.raises(RuntimeError, match=r"call \.backward\(\)"):
            cache.grad(("resid_post", 0))
        logits[0, 2].sum().backward()
        assert cache.grad(("resid_post", 0))[0, 2].abs().sum() > 0
        assert not cache.grad(("resid_post", 0))[1].any()


@pytest.mark.parametrize("name", ["gpt2", "llama", "native with mlp"])
def test_backward_hooks_see_and_change_gradients(name, opened, tokens):
    model, seen = opened(name), {}
    logits, cache = model.run_with_cache(tokens, ("z", 0), grad=True)
    logits[:, -1].sum().backward()
    with torch.enable_grad():
        logits = model.run_with_hooks(tokens, bwd_hooks=[(("z", 0), lambda g, hook: seen.update({hook.name: g}))])
        logits[:, -1].sum().backward()
    assert torch.allclose(seen["blocks.0.attn.hook_z"], cache.grad(("z", 0)), atol=1e-5)
    with torch.enable_grad(), model.hooks([], [(("resid_post", 0), zero)]):
        logits, cut = model.run_with_cache(tokens, [("z", 0), ("z", 1)], grad=True)
        logits[:, -1].sum().backward()
    assert not cut.grad(("z", 0)).any()
    assert cut.grad(("z", 1)).any()


COPIES = [("copy", name) for name in EVERY] + [
    (how, name) for name in ("gpt2", "gemma2", "native with mlp") for how in ("pickle", "copy of .hf", "pickle of .hf")
    if not (name in NATIVE and how.endswith(".hf"))  # a native model has no .hf
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("how", "name"), COPIES)
def test_a_copy_is_a_model_of_its_own_and_takes_no_edits_along(name, how, tokens):
    model = fresh(name)
    clean = model(tokens)
    with model.hooks([(("resid_pre", 1), zero)]):
        edited = model(tokens)
        whole = model.hf if how.endswith(".hf") else model
        new = copy.deepcopy(whole) if how.startswith("copy") else pickle.loads(pickle.dumps(whole))
        new = TransformersModel(new) if how.endswith(".hf") else new
        assert torch.equal(new(tokens), clean)
    for site in new.hook_names:  # its places are its own
        wanted = model.run_with_hooks(tokens, [(site, halve)])
        assert torch.allclose(new.run_with_hooks(tokens, [(site, halve)]), wanted, atol=1e-5), site
        with new.hooks([(site, halve)]):
            assert torch.equal(model(tokens), clean), site
    next(new.parameters()).data.mul_(1.5)
    assert torch.equal(model(tokens), clean)
    assert not torch.equal(edited, clean)


# --- positions that depend on a batch ---------------------------------------------------------------------------------


def test_a_batch_whose_rotary_positions_depend_on_its_longest_text_is_warned_of():
    import transformers

    config = configs()["llama"]
    config.rope_parameters = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    config.max_position_embeddings = 8
    torch.manual_seed(0)
    model = TransformersModel(transformers.AutoModelForCausalLM.from_config(config).eval())
    long = torch.randint(0, 50, (2, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(long)
    mask[1, 6:] = 0
    with pytest.warns(UserWarning, match="beyond 8 tokens"):
        together = model(long, mask)[1, :6]
    assert not torch.allclose(together, model(long[1:, :6])[0], atol=1e-3)  # what it warns of
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(long)
        model(long[:, :8], mask[:, :8])


# --- generation of a batch --------------------------------------------------------------------------------------------

PROMPTS = [[3, 14, 15, 9, 26], [7, 1], [8, 2, 8]]


def push(value, hook):
    return value + 2 * torch.sin(torch.arange(value.shape[-1]))


def third_word(value, hook):
    """One place: its index must mean the same in every text, however it was padded."""
    if value.shape[1] > 2:
        value[:, 2] = -value[:, 2]
    return value


def first_key(value, hook):
    value[..., 0] = 0
    return value


def last_word(value, hook):
    value[:, -1] *= -2
    return value


EDITS = {
    "none": [],
    "everywhere": [(("resid_post", 0), push)],
    "one place": [(("attn_out", 0), third_word), (("mlp_out", 1), third_word)],
    "a pattern": [(("pattern", 1), first_key)],
    "the last place": [(("resid_post", 0), last_word)],
}


def full_passes(model, prompt, number):
    """The plain way: a full forward pass for every token."""
    row = torch.tensor([prompt])
    for _ in range(number):
        row = torch.cat([row, model(row)[:, -1].argmax(-1, keepdim=True)], 1)
    return row[0, len(prompt) :].tolist()


@pytest.mark.parametrize("edits", EDITS)
@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma2", "gemma3_text", "native with mlp"])
def test_a_batch_says_what_each_prompt_alone_says_and_what_full_passes_say(name, edits, opened):
    model = opened(name)
    with torch.no_grad(), model.hooks(EDITS[edits]):
        together = generate(model, PROMPTS, max_new_tokens=6)
        for prompt, reply in zip(PROMPTS, together, strict=True):
            assert reply.tokens == full_passes(model, prompt, 6)
            alone = generate(model, [prompt], max_new_tokens=6)[0]
            assert reply.tokens == alone.tokens
            assert reply.log_probs == pytest.approx(alone.log_probs, abs=1e-4)
            assert [step.token for step in stream(model, prompt, max_new_tokens=6)] == reply.tokens


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3", "gemma3_text"])
def test_without_edits_a_batch_says_what_transformers_says(name, opened):
    model = opened(name)
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (width - len(row)) + row for row in PROMPTS])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in PROMPTS])
    theirs = model.hf.generate(
        ids, attention_mask=mask, do_sample=False, max_new_tokens=6, eos_token_id=None, pad_token_id=0
    )
    ours = generate(model, ids, attention_mask=mask, max_new_tokens=6)
    assert [reply.tokens for reply in ours] == theirs[:, width:].tolist()


@pytest.mark.parametrize("name", ["llama", "native shifted"])
def test_drawn_replies_of_a_batch_are_those_of_each_seed_alone(name, opened):
    model = opened(name)
    options = {"temperature": 1.3, "top_k": 20, "top_p": 0.9, "max_new_tokens": 8}
    together = generate(model, PROMPTS, seed=4, **options)
    for i, prompt in enumerate(PROMPTS):
        assert together[i].tokens == [step.token for step in stream(model, prompt, seed=4 + i, **options)]
    assert generate(model, PROMPTS, seed=[4, 5, 6], **options) == together
    assert generate(model, PROMPTS, seed=9, **options) != together


def test_top_k_and_top_p_leave_the_tokens_that_they_name(opened):
    model = opened("gpt2")
    with torch.no_grad():
        p = model(torch.tensor([PROMPTS[0]]))[0, -1].softmax(-1)
    best = p.argsort(descending=True)
    drawn = {next(stream(model, PROMPTS[0], 1.0, seed, top_k=3)).token for seed in range(60)}
    assert drawn == set(best[:3].tolist())
    enough = int((p[best].cumsum(0) < 0.5).sum()) + 1
    drawn = {next(stream(model, PROMPTS[0], 1.0, seed, top_p=0.5)).token for seed in range(200)}
    assert drawn <= set(best[:enough].tolist())
    assert int(best[0]) in drawn


def test_a_text_that_has_ended_is_not_gone_on_with(opened):
    model = opened("gpt2")
    said = [reply.tokens for reply in generate(model, PROMPTS, max_new_tokens=6)]
    end = said[0][2]
    stopped = [reply.tokens for reply in generate(model, PROMPTS, max_new_tokens=6, stop={end})]
    assert stopped == [row[: row.index(end) + 1] if end in row else row for row in said]
    full = list(range(38))
    assert [len(reply.tokens) for reply in generate(model, [full, [1, 2]], max_new_tokens=10)] == [3, 10]


@pytest.mark.parametrize(
    ("options", "told"),
    [({"top_k": 0}, "top_k"), ({"top_p": 0.0}, "top_p"), ({"top_p": 1.5}, "top_p"), ({"seed": [1]}, "seeds")],
)
def test_options_of_generation_out_of_their_range_are_refused(options, told, opened):
    with pytest.raises(ValueError, match=told):
        generate(opened("gpt2"), PROMPTS, **options)
    assert generate(opened("gpt2"), []) == []


# --- caches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_a_cache_is_taken_apart_without_a_second_run(name, opened, tokens, tmp_path):
    model = opened(name)
    _, cache = model.run_with_cache(tokens)
    for layer in (0, 1, None, -1):
        parts, labels = cache.decompose_resid(layer)
        stream_, places = cache.accumulated_resid(layer)
        assert torch.allclose(parts.sum(0), stream_[-1], atol=1e-3)
        assert len(labels) == len(parts)
        assert len(places) == len(stream_)
    heads, labels = cache.stack_head_results(model)
    assert labels == [f"L{layer}H{head}" for layer in (0, 1) for head in range(4)]
    _, results = model.run_with_cache(tokens, [("result", 0), ("result", 1)])
    assert torch.allclose(heads[5], results["result", 1][:, :, 1], atol=1e-4)
    _, one = model.run_with_cache(tokens[1:], ("z", 1))
    assert torch.allclose(cache.at(batch=1)["z", 1], one["z", 1], atol=1e-4)
    assert torch.equal(cache.at(pos=slice(2, 4))["pattern", 0], cache["pattern", 0][:, :, 2:4])
    assert torch.equal(cache.at(pos=[-1])["resid_post", 1], cache["resid_post", 1][:, -1:])
    assert cache.to(torch.float64)["z", 0].dtype == torch.float64
    cache.save(tmp_path / "cache.safetensors")
    again = type(cache).load(tmp_path / "cache.safetensors")
    assert list(again) == list(cache)
    assert all(torch.equal(again[site], cache[site]) for site in cache)
