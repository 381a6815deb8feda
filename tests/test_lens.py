"""Lenses, attribution and patching, on random models whose biases and norm weights are too large to be missed."""

import copy
import math

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import lens, load
from mi_lib.models import HookedModel, Transformer, TransformerConfig
from mi_lib.models.transformers_model import TransformersModel

SIZES = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 36,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 32,
}
GROUPED = {**SIZES, "num_key_value_heads": 2}
GEMMA = {**GROUPED, "head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8}
CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=40, n_embd=24, n_layer=3, n_head=4, n_positions=32, eos_token_id=0
    ),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(**SIZES),
    "llama": lambda: transformers.LlamaConfig(**GROUPED),
    "llama with biases": lambda: transformers.LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True),
    "qwen2": lambda: transformers.Qwen2Config(**GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**GROUPED, head_dim=8),
    "gemma2": lambda: transformers.Gemma2Config(**GEMMA, final_logit_softcapping=5.0),
    "gemma3_text": lambda: transformers.Gemma3TextConfig(**GEMMA),
}
NATIVE = {
    "native": {"d_mlp": 30, "norm": "layernorm", "act": "gelu_new", "attn_bias": True, "unembed_bias": True},
    "native without norm": {"d_mlp": 30},
    "native attention-only": {"norm": "layernorm", "positions": "shifted"},
}
NAMES = (*CONFIGS, *NATIVE)
_made: dict[str, HookedModel] = {}


def model_of(name: str) -> HookedModel:
    """A random model whose biases are not 0 and whose norm weights are not 1."""
    if name not in _made:
        if name in NATIVE:
            sizes = {"n_layers": 3, "d_model": 20, "n_heads": 4, "d_head": 6, "d_vocab": 40, "n_ctx": 32}
            _made[name] = Transformer(TransformerConfig(**sizes, **NATIVE[name]))
        else:
            _made[name] = TransformersModel(transformers.AutoModelForCausalLM.from_config(CONFIGS[name]()).eval())
        generator = torch.Generator().manual_seed(3)
        for parameter_name, parameter in _made[name].named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = parameter.ndim == 1 and not parameter_name.endswith(("bias", ".b"))
            with torch.no_grad():
                parameter.copy_(1 + 0.3 * noise if is_gain else 0.4 * noise)
        _made[name].requires_grad_(False)
    return _made[name]


def tokens_of(batch: int = 3, pos: int = 7, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 40, (batch, pos), generator=torch.Generator().manual_seed(seed))


RIGHT, WRONG = torch.tensor([5, 17, 30]), torch.tensor([8, 2, 39])


def uncapped(model: HookedModel, tokens: torch.Tensor, position: int) -> torch.Tensor:
    """Logits as they are before Gemma 2's cap, which is turned back here."""
    logits = model(tokens)[:, position].double()
    return logits if model.logit_cap is None else model.logit_cap * torch.atanh(logits / model.logit_cap)


def wanted_difference(model: HookedModel, tokens: torch.Tensor, position: int = -1) -> torch.Tensor:
    logits, rows = uncapped(model, tokens, position), torch.arange(3)
    return (logits[rows, RIGHT] - logits[rows, WRONG]).float()


# --- what the library asks of a model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_last_step_of_a_model_can_be_repeated_by_hand(name):
    model = model_of(name)
    tokens = tokens_of()
    stream = lens.residual_stream(model, tokens)
    assert stream.shape == (model.cfg.n_layers + 1, 3, 7, model.cfg.d_model)
    assert torch.allclose(lens.read_out(model, stream[-1]), model(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in NAMES if "attention-only" not in name])
def test_neurons_times_w_out_and_its_bias_are_the_output_of_the_mlp(name):
    model = model_of(name)
    _, cache = model.run_with_cache(tokens_of())
    for layer in range(3):
        out = cache["post", layer] @ model.W_out[layer] + model.b_out[layer]
        norm = model.post_norm(layer, "mlp")
        assert torch.allclose(out if norm is None else norm(out), cache["mlp_out", layer], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_heads_times_w_o_and_its_bias_are_the_output_of_attention(name):
    model = model_of(name)
    _, cache = model.run_with_cache(tokens_of())
    for layer in range(3):
        out = torch.einsum("bphd,hdm->bpm", cache["z", layer], model.W_O[layer]) + model.b_O[layer]
        norm = model.post_norm(layer, "attn")
        assert torch.allclose(out if norm is None else norm(out), cache["attn_out", layer], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "native without norm"])
def test_the_frozen_norm_is_the_final_norm_of_the_run_and_affine_elsewhere(name):
    model = model_of(name)
    _, cache = model.run_with_cache(tokens_of(), [("resid_post", 2), ("scale", "ln_final"), ("normalized", "ln_final")])
    residual = cache["resid_post", 2]
    frozen = lens.frozen_norm(model, residual)
    assert torch.allclose(frozen.scale, cache["scale", "ln_final"], rtol=1e-5)
    assert torch.allclose(frozen(residual), cache["normalized", "ln_final"], atol=1e-5, rtol=1e-4)
    assert torch.allclose(frozen(3 * residual), 3 * frozen(residual) - 2 * frozen.bias, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(model.ln_final(3 * residual), frozen(3 * residual), atol=1e-1)


def test_a_copied_model_is_one_of_its_own():
    model, tokens = model_of("gpt2"), tokens_of()
    copied = copy.deepcopy(model)
    assert torch.equal(copied(tokens), model(tokens))
    silent = copied.run_with_hooks(tokens, [(("pattern", 1), lambda value, hook: torch.zeros_like(value))])
    assert not torch.allclose(silent, model(tokens), atol=1e-3)
    with torch.no_grad():
        copied.ln_final.weight.zero_()
    assert not torch.allclose(copied(tokens), model(tokens), atol=1e-3)
    edit = [(("pattern", 1), lambda value, hook: torch.zeros_like(value))]
    assert torch.equal(model.run_with_hooks(tokens, edit), silent)
    clean = model(tokens)
    with model.hooks(edit):  # edits belong to whoever made them, and do not travel along
        assert torch.equal(copy.deepcopy(model)(tokens), clean)


# --- logit lens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_last_lens_is_the_model_itself_and_the_first_reads_the_embedding(name):
    model, tokens = model_of(name), tokens_of()
    logits = lens.logit_lens(model, tokens)
    assert logits.shape == (4, 3, 7, 40)
    assert torch.allclose(logits[-1], model(tokens), atol=1e-5, rtol=1e-5)
    _, cache = model.run_with_cache(tokens, ("resid_pre", 0))
    assert torch.allclose(logits[0], lens.read_out(model, cache["resid_pre", 0]), atol=1e-5)
    assert not torch.allclose(logits[0], logits[1], atol=1e-2)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_hidden_states_of_transformers_give_the_same_lens_although_the_last_is_normalised(name):
    model, tokens = model_of(name), tokens_of()
    hidden_states = model.hf(input_ids=tokens, output_hidden_states=True).hidden_states
    logits = lens.logit_lens_of_hidden_states(model, hidden_states)
    assert torch.allclose(logits, lens.logit_lens(model, tokens), atol=1e-4, rtol=1e-4)
    twice = lens.read_out(model, hidden_states[-1])
    assert (twice - model(tokens)).abs().max() > 0.1, "normalising twice shows on this model"


def test_a_wrong_number_of_hidden_states_is_told():
    with pytest.raises(ValueError, match="3 hidden states; a model of 3 layers returns 4"):
        lens.logit_lens_of_hidden_states(model_of("gpt2"), [torch.zeros(1, 2, 24)] * 3)


def test_padding_does_not_change_what_the_lens_reads_at_real_tokens():
    model, tokens = model_of("gpt2"), tokens_of(1, 5)
    padded = torch.cat([torch.zeros(1, 2, dtype=torch.long), tokens], dim=1)
    mask = torch.tensor([[False, False, True, True, True, True, True]])
    got = lens.logit_lens(model, padded, mask)[:, :, 2:]
    assert torch.allclose(got, lens.logit_lens(model, tokens), atol=1e-4)


# --- measures ---------------------------------------------------------------------------------------------------------


def test_measures_of_distributions_that_one_can_work_out_by_hand():
    uniform, sure = torch.zeros(4), torch.tensor([0.0, 200.0, 0.0, 0.0])
    half = torch.tensor([0.5, 0.5, 1e-30, 1e-30]).log()
    assert lens.entropy(uniform).item() == pytest.approx(math.log(4))
    assert lens.entropy(sure).item() == pytest.approx(0, abs=1e-6)
    assert lens.entropy(half).item() == pytest.approx(math.log(2))
    assert lens.kl_divergence(half, uniform).item() == pytest.approx(math.log(2))  # ½ log(½ / ¼), twice
    assert lens.kl_divergence(uniform, half).item() > 30  # the other way round is another number


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 20))
def test_the_divergence_is_never_negative_and_zero_at_the_end(seed, scale):
    logits = scale * torch.randn(3, 2, 9, generator=torch.Generator().manual_seed(seed))
    kl = lens.kl_to_final(logits)
    assert kl.shape == (3, 2)
    assert (kl > -1e-5).all()
    assert torch.equal(kl[-1], torch.zeros(2))
    # cross-entropy = entropy + KL
    cross = -(logits[-1].softmax(-1) * logits[0].log_softmax(-1)).sum(-1)
    assert torch.allclose(kl[0], cross - lens.entropy(logits[-1]), atol=1e-4, rtol=1e-4)
    # adding a number to all logits changes nothing
    assert torch.allclose(lens.kl_to_final(logits + 7), kl, atol=1e-3, rtol=1e-3)


def test_the_rank_counts_tokens_with_a_larger_logit():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 5.0]])
    assert lens.rank(logits, 0).tolist() == [0, 2]
    assert lens.rank(logits, torch.tensor([1, 2])).tolist() == [2, 0]
    assert lens.top_tokens(logits[:1], 2).tolist() == [[0, 2]]
    assert lens.rank(logits.expand(4, 2, 3), torch.tensor([1, 2])).tolist() == [[2, 0]] * 4


def test_agreement_is_with_the_last_depth():
    logits = torch.tensor([[[0.0, 1.0]], [[2.0, 1.0]], [[9.0, 1.0]]])
    assert lens.agreement(logits).tolist() == [[False], [True], [True]]


# --- tuned lens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
def test_an_untrained_tuned_lens_is_the_logit_lens(name):
    model, tokens = model_of(name), tokens_of()
    untrained = lens.TunedLens(model.cfg.n_layers, model.cfg.d_model)
    assert torch.allclose(lens.tuned_lens(model, untrained, tokens), lens.logit_lens(model, tokens), atol=1e-5)


def test_the_translator_is_h_plus_a_h_plus_b():
    translator = lens.TunedLens(1, 2)
    translator.A.data[0] = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    translator.b.data[0] = torch.tensor([0.0, 10.0])
    assert translator(torch.tensor([1.0, 2.0]), 0).tolist() == [3.0, 12.0]


def one_token_model(attention: bool) -> Transformer:
    """Sequences of one token, no norm: the block adds h W_V W_O, a linear map, or nothing but a constant vector."""
    config = TransformerConfig(
        n_layers=1, d_model=6, n_heads=1, d_head=6, d_vocab=12, n_ctx=1, positions="shifted", attn_bias=True
    )
    model = Transformer(config).init_weights(1, 0.5).requires_grad_(False)
    if not attention:
        model.blocks[0].attn.W_O.zero_()
        model.blocks[0].attn.b_O.copy_(torch.tensor([1.0, -2.0, 0.5, 2.0, -1.0, 1.5]))
    return model


def test_a_layer_that_adds_a_constant_is_learned_by_the_bias_alone():
    model = one_token_model(attention=False)
    tokens = torch.arange(12)[:, None]
    before = lens.kl_to_final(lens.logit_lens(model, tokens))[0].mean().item()
    trained = lens.train_tuned_lens(model, tokens, steps=400, batch_size=24, lr=0.05, bias_only=True)
    after = lens.kl_to_final(lens.tuned_lens(model, trained, tokens))[0].mean().item()
    assert before > 0.5
    assert after < 1e-4
    assert torch.equal(trained.A, torch.zeros_like(trained.A))


def test_a_layer_that_maps_linearly_needs_the_matrix():
    model = one_token_model(attention=True)
    tokens = torch.arange(12)[:, None]
    before = lens.kl_to_final(lens.logit_lens(model, tokens))[0].mean().item()
    kls = {}
    for bias_only in (False, True):
        trained = lens.train_tuned_lens(model, tokens, steps=800, batch_size=24, lr=0.03, bias_only=bias_only)
        kls[bias_only] = lens.kl_to_final(lens.tuned_lens(model, trained, tokens))[0].mean().item()
    assert kls[False] < 0.01 * before
    assert kls[True] > 0.2 * before


def test_training_lowers_the_divergence_at_every_layer_leaves_the_model_alone_and_repeats_itself():
    model = model_of("native").requires_grad_(True)
    try:
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        tokens, seen = tokens_of(40, 8, seed=1), []
        options = {"steps": 150, "batch_size": 64, "lr": 0.01}
        one = lens.train_tuned_lens(model, tokens, **options, progress=lambda step, loss: seen.append((step, loss)))
        two = lens.train_tuned_lens(model, tokens, **options)
        other = lens.train_tuned_lens(model, tokens, **options, seed=1)
        assert torch.equal(one.A, two.A)
        assert not torch.equal(one.A, other.A)
        assert [step for step, _ in seen] == list(range(150))
        assert (seen[-1][1] < 0.7 * seen[0][1]).all()
        assert all(p.grad is None and torch.equal(p, weights[name]) for name, p in model.named_parameters())
    finally:
        model.requires_grad_(False)


def test_padding_is_not_trained_on():
    model, tokens = model_of("gpt2"), tokens_of(4, 6)
    padded = torch.cat([tokens, tokens.flip(0)], dim=1)
    mask = torch.arange(12).expand(4, 12) < 6
    options = {"steps": 5, "batch_size": 16}
    assert torch.allclose(
        lens.train_tuned_lens(model, padded, attention_mask=mask, **options).b,
        lens.train_tuned_lens(model, tokens, **options).b,
        atol=1e-5,
    )


def test_a_tuned_lens_is_saved_and_loaded(tmp_path):
    saved = lens.TunedLens(3, 4)
    torch.nn.init.normal_(saved.A)
    torch.nn.init.normal_(saved.b)
    saved.save(tmp_path / "lens.safetensors")
    loaded = lens.TunedLens.load(tmp_path / "lens.safetensors")
    assert torch.equal(loaded.A, saved.A)
    assert torch.equal(loaded.b, saved.b)


def test_another_file_is_no_tuned_lens(tmp_path):
    from safetensors.torch import save_file

    save_file({"A": torch.zeros(2, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"is no tuned lens: it holds A \(2, 3\)"):
        lens.TunedLens.load(tmp_path / "other.safetensors")


# --- direct logit attribution -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("heads", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_contributions_sum_to_the_logit_difference(name, heads):
    model, tokens = model_of(name), tokens_of()
    for position in (-1, 2):
        got = lens.direct_logit_attribution(model, tokens, RIGHT, WRONG, position=position, heads=heads)
        want = wanted_difference(model, tokens, position)
        assert got.values.shape == (len(got.names), 3)
        # A cap (Gemma 2) loses digits of large logits, and turning it back shows it.
        assert torch.allclose(got.total, want, atol=1e-4, rtol=1e-3 if model.logit_cap else 1e-5)
        assert want.abs().max() > 1


def test_every_bias_is_a_term_that_counts():
    got = lens.direct_logit_attribution(model_of("native"), tokens_of(), RIGHT, WRONG, heads=True)
    for name in ("b_O 0", "b_O 2", "norm bias", "b_U", "pos_embed", "embed", "head 1.3", "mlp 1"):
        assert got[name].abs().max() > 1e-2, name


@pytest.mark.parametrize("name", NAMES)
def test_one_token_alone_is_compared_with_the_mean_logit(name):
    model, tokens = model_of(name), tokens_of()
    logits = uncapped(model, tokens, -1).float()
    got = lens.direct_logit_attribution(model, tokens, 5)
    assert torch.allclose(got.total, logits[:, 5] - logits.mean(-1), atol=1e-4, rtol=1e-3 if model.logit_cap else 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_heads_and_their_bias_sum_to_their_layer(name):
    model, tokens = model_of(name), tokens_of()
    whole = lens.direct_logit_attribution(model, tokens, RIGHT, WRONG)
    split = lens.direct_logit_attribution(model, tokens, RIGHT, WRONG, heads=True)
    for layer in range(3):
        heads = sum(split[f"head {layer}.{head}"] for head in range(4)) + split[f"b_O {layer}"]
        assert torch.allclose(heads, whole[f"attn {layer}"], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in NAMES if "attention-only" not in name])
def test_neurons_and_their_bias_sum_to_their_layer(name):
    model, tokens = model_of(name), tokens_of()
    whole = lens.direct_logit_attribution(model, tokens, RIGHT, WRONG, position=3)
    for layer in range(3):
        got = lens.neuron_attribution(model, tokens, layer, RIGHT, WRONG, position=3)
        assert got.values.shape == (model.cfg.d_mlp + 1, 3)
        assert torch.allclose(got.total, whole[f"mlp {layer}"], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_source_tokens_sum_to_their_head_and_later_ones_give_nothing(name):
    model, tokens = model_of(name), tokens_of()
    heads = lens.direct_logit_attribution(model, tokens, RIGHT, WRONG, position=4, heads=True)
    for layer, head in ((0, 1), (1, 3), (2, 2)):
        got = lens.source_attribution(model, tokens, layer, head, RIGHT, WRONG, position=4)
        assert got.shape == (7, 3)
        assert torch.allclose(got.sum(0), heads[f"head {layer}.{head}"], atol=1e-4)
        assert torch.equal(got[5:], torch.zeros(2, 3))


@pytest.mark.parametrize("name", ["gpt2", "llama", "native"])
def test_a_contribution_is_what_is_lost_when_the_part_is_taken_out_under_a_frozen_scale(name):
    model, tokens = model_of(name), tokens_of()
    _, cache = model.run_with_cache(tokens, [("mlp_out", 1), ("scale", "ln_final")])
    edits = [
        (("resid_post", 2), lambda value, hook: value - cache["mlp_out", 1]),
        (("scale", "ln_final"), lambda value, hook: cache["scale", "ln_final"]),
    ]
    rows, logits = torch.arange(3), model.run_with_hooks(tokens, edits)[:, -1]
    lost = wanted_difference(model, tokens) - (logits[rows, RIGHT] - logits[rows, WRONG])
    assert torch.allclose(lens.direct_logit_attribution(model, tokens, RIGHT, WRONG)["mlp 1"], lost, atol=1e-4)


def test_an_attention_only_model_has_no_neurons():
    with pytest.raises(ValueError, match="attention only"):
        lens.neuron_attribution(model_of("native attention-only"), tokens_of(), 0, 1, 2)


# --- patching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "llama", "gemma3_text", "native"])
def test_patching_equals_patched_runs_done_one_by_one(name):
    model, clean, corrupt = model_of(name), tokens_of(1, 5, seed=1), tokens_of(1, 5, seed=2)
    metric = lens.logit_difference(3, 9)
    _, cache = model.run_with_cache(clean)
    before = {site: cache[site].clone() for site in cache}
    m_clean, m_corrupt = (metric(model(tokens)[:, -1]).item() for tokens in (clean, corrupt))
    table = lens.residual_patching(model, clean, corrupt, metric)
    mlps = lens.residual_patching(model, clean, corrupt, metric, site="mlp_out")
    for layer in range(3):
        for pos in range(5):
            for got, site in ((table, "resid_pre"), (mlps, "mlp_out")):

                def put(value, hook, site=site, layer=layer, pos=pos):
                    value = value.clone()
                    value[0, pos] = cache[site, layer][0, pos]
                    return value

                patched = metric(model.run_with_hooks(corrupt, [((site, layer), put)])[:, -1]).item()
                want = (patched - m_corrupt) / (m_clean - m_corrupt)
                assert got[layer, pos].item() == pytest.approx(want, abs=2e-4, rel=1e-3)
    assert all(torch.equal(before[site], cache[site]) for site in cache)


def test_all_heads_of_the_last_layer_carry_what_enters_through_its_attention():
    model, clean, corrupt = model_of("native"), tokens_of(1, 5, seed=1), tokens_of(1, 5, seed=2)
    metric = lens.logit_difference(3, 9)
    _, cache = model.run_with_cache(clean)
    m_clean, m_corrupt = (metric(model(tokens)[:, -1]).item() for tokens in (clean, corrupt))
    got = lens.head_patching(model, clean, corrupt, metric)
    assert got.shape == (3, 4)
    for layer, head in ((0, 2), (1, 0), (2, 3)):

        def put(value, hook, layer=layer, head=head):
            value = value.clone()
            value[:, -1, head] = cache["z", layer][:, -1, head]
            return value

        patched = metric(model.run_with_hooks(corrupt, [(("z", layer), put)])[:, -1]).item()
        assert got[layer, head].item() == pytest.approx((patched - m_corrupt) / (m_clean - m_corrupt), abs=1e-4)


def test_if_the_last_token_alone_differs_its_stream_carries_the_whole_answer():
    model = model_of("llama")
    clean = tokens_of(1, 6)
    corrupt = clean.clone()
    corrupt[0, -1] = (corrupt[0, -1] + 1) % 40
    table = lens.residual_patching(model, clean, corrupt, lens.logit_difference(3, 9))
    assert torch.allclose(table[:, -1], torch.ones(3), atol=1e-3)
    assert torch.allclose(table[:, :-1], torch.zeros(3, 5), atol=1e-3)


def test_what_cannot_be_patched_is_told():
    model, metric = model_of("gpt2"), lens.logit_difference(3, 9)
    with pytest.raises(ValueError, match=r"two single sequences of the same length, not tokens of shapes \(1, 5\) and"):
        lens.residual_patching(model, tokens_of(1, 5), tokens_of(1, 6), metric)
    with pytest.raises(ValueError, match="nothing to restore"):
        lens.head_patching(model, tokens_of(1, 5), tokens_of(1, 5), metric)


# --- texts of unequal length ------------------------------------------------------------------------------------------

LENGTHS = (4, 7, 2)  # of three texts; padded to 8
PADDED = ["gpt2", "llama", "gemma3_text", "native", "native attention-only"]


def padded_batch(side: str, seed: int = 0) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Three texts, and the same as a batch whose padding is filled with arbitrary tokens, and its mask."""
    texts = [tokens_of(1, length, seed=seed + 1 + i) for i, length in enumerate(LENGTHS)]
    batch, mask = tokens_of(3, 8, seed=seed + 9), torch.zeros(3, 8, dtype=torch.bool)
    for row, text in enumerate(texts):
        where = slice(0, text.shape[1]) if side == "right" else slice(8 - text.shape[1], 8)
        batch[row, where], mask[row, where] = text[0], True
    return texts, batch, mask


AT_ONE_POSITION = {
    "decompose": lambda model, tokens, right, wrong, **at: lens.decompose(model, tokens, **at)[1].transpose(0, 1),
    "direct_logit_attribution": lambda model, tokens, right, wrong, **at: (
        lens.direct_logit_attribution(model, tokens, right, wrong, **at).values.T
    ),
    "direct_logit_attribution of heads": lambda model, tokens, right, wrong, **at: (
        lens.direct_logit_attribution(model, tokens, right, wrong, heads=True, **at).values.T
    ),
    "lens_attribution": lambda model, tokens, right, wrong, **at: (
        lens.lens_attribution(model, tokens, 5, 2, **at).values.T
    ),
    "neuron_attribution": lambda model, tokens, right, wrong, **at: (
        lens.neuron_attribution(model, tokens, 1, right, wrong, **at).values.T
    ),
    "source_attribution": lambda model, tokens, right, wrong, **at: (
        lens.source_attribution(model, tokens, 1, 2, right, wrong, **at).T
    ),
}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("what", "name"),
    [
        (what, name)
        for what in AT_ONE_POSITION
        for name in PADDED
        if not (what == "neuron_attribution" and "attention-only" in name)
    ],
)
def test_a_padded_text_gives_at_its_own_position_what_it_gives_alone(what, name, side):
    model, found = model_of(name), AT_ONE_POSITION[what]
    texts, batch, mask = padded_batch(side)
    for position in (-1, 1):
        together = found(model, batch, RIGHT, WRONG, position=position, attention_mask=mask)
        for row, text in enumerate(texts):
            alone = found(model, text, RIGHT[row : row + 1], WRONG[row : row + 1], position=position)[0]
            mine = together[row]
            if what == "source_attribution":
                assert torch.equal(mine[~mask[row]], torch.zeros(int((~mask[row]).sum())))
                mine = mine[mask[row]]
            assert torch.allclose(mine, alone, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", PADDED)
def test_lenses_read_padded_texts_as_they_read_them_alone_and_nothing_at_padding(name, side):
    model = model_of(name)
    texts, batch, mask = padded_batch(side)
    translator = lens.TunedLens(model.cfg.n_layers, model.cfg.d_model)
    torch.nn.init.normal_(translator.A, std=0.1, generator=torch.Generator().manual_seed(1))
    readers = {
        "stream": lens.residual_stream,
        "logit": lens.logit_lens,
        "tuned": lambda model, *given: lens.tuned_lens(model, translator, *given),
    }
    for read in readers.values():
        together = read(model, batch, mask)
        assert together[:, ~mask].isnan().all()
        for row, text in enumerate(texts):
            assert torch.allclose(together[:, row, mask[row]], read(model, text)[:, 0], atol=2e-4, rtol=1e-3)


def test_hidden_states_of_a_padded_batch_are_read_at_real_tokens_alone():
    model = model_of("llama")
    texts, batch, mask = padded_batch("right")
    states = model.hf(input_ids=batch, attention_mask=mask.long(), output_hidden_states=True).hidden_states
    read = lens.logit_lens_of_hidden_states(model, states, mask)
    assert read[:, ~mask].isnan().all()
    assert torch.allclose(read[:, 0, : LENGTHS[0]], lens.logit_lens(model, texts[0])[:, 0], atol=1e-4, rtol=1e-4)


def test_no_measure_takes_padding_for_a_guess():
    logits = lens.logit_lens(model_of("gpt2"), *padded_batch("right")[1:])
    for measure in (lens.agreement, lens.top_tokens, lambda lens_logits: lens.rank(lens_logits, 3)):
        with pytest.raises(ValueError, match="NaN, as at padding"):
            measure(logits)
    mask = padded_batch("right")[2]
    assert lens.kl_to_final(logits)[:, ~mask].isnan().all()
    assert lens.entropy(logits)[:, mask].isfinite().all()
    assert lens.agreement(logits[:, mask]).shape == (4, sum(LENGTHS))


@pytest.mark.parametrize("side", ["left", "right"])
def test_patching_cuts_padding_off_before_it_compares_texts(side):
    model, metric = model_of("llama"), lens.logit_difference(3, 9)
    clean, corrupt = tokens_of(1, 5, seed=1), tokens_of(1, 5, seed=2)
    where = slice(0, 5) if side == "right" else slice(3, 8)
    batch, mask = tokens_of(1, 8, seed=4), torch.zeros(1, 8, dtype=torch.bool)
    batch[0, where], mask[0, where] = clean[0], True
    for patch in (lens.residual_patching, lens.head_patching):
        alone = patch(model, clean, corrupt, metric)
        assert torch.allclose(patch(model, batch, corrupt, metric, clean_mask=mask), alone, atol=1e-5)
        assert torch.allclose(
            patch(model, corrupt, batch, metric, corrupt_mask=mask), patch(model, corrupt, clean, metric), atol=1e-5
        )
        with pytest.raises(ValueError, match=r"same length, not tokens of shapes \(1, 8\) and \(1, 5\)"):
            patch(model, batch, corrupt, metric)
        with pytest.raises(ValueError, match="not a batch of 2"):
            patch(model, clean.expand(2, -1), corrupt, metric)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_tuned_lens_trains_on_the_real_tokens_of_padded_texts(side):
    model = model_of("native")
    texts, batch, mask = padded_batch(side)
    stream = torch.cat([lens.residual_stream(model, text)[:, 0] for text in texts], dim=1)
    losses: list[torch.Tensor] = []
    lens.train_tuned_lens(
        model,
        batch,
        attention_mask=mask,
        steps=3,
        batch_size=4000,
        lr=0.0,
        progress=lambda step, loss: losses.append(loss),
    )
    want = lens.lens_losses(model, lens.TunedLens(3, 20), stream)
    assert torch.allclose(torch.stack(losses).mean(0), want, rtol=0.05)
    with pytest.raises(ValueError, match="nothing to train on"):
        lens.train_tuned_lens(model, batch, attention_mask=torch.zeros_like(mask))


def test_texts_bring_their_own_padding():
    model = load("pico")
    pair = ["The home of Mira is in", "Mira lives in"]
    together = lens.direct_logit_attribution(model, pair, 5, 9).total
    for row, text in enumerate(pair):
        alone = lens.direct_logit_attribution(model, text, 5, 9).total[0]
        assert together[row].item() == pytest.approx(alone.item(), abs=1e-3)
        logits = model(text)[0, -1]
        assert alone.item() == pytest.approx((logits[5] - logits[9]).item(), abs=1e-3)


def test_a_position_that_a_text_does_not_have_is_told():
    model = model_of("native")
    _, batch, mask = padded_batch("left")
    for position, row in ((4, 0), (2, 2), (-3, 2), (99, 0)):
        with pytest.raises(ValueError, match=rf"no position {position} in text {row}, which has"):
            lens.direct_logit_attribution(model, batch, 1, 2, position=position, attention_mask=mask)


# --- layers and depths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "gemma3_text", "native"])
def test_a_layer_may_be_any_whole_number_and_count_from_the_end(name):
    model, tokens = model_of(name), tokens_of()
    ways = {
        "neurons": lambda layer: lens.neuron_attribution(model, tokens, layer, RIGHT, WRONG).values,
        "sources": lambda layer: lens.source_attribution(model, tokens, layer, 3, RIGHT, WRONG),
        "sources of a head": lambda head: lens.source_attribution(model, tokens, 1, head, RIGHT, WRONG),
    }
    for way, found in ways.items():
        count = 4 if way == "sources of a head" else 3
        want = found(count - 1)
        for same in (-1, np.int64(count - 1), np.int32(-1), torch.tensor(count - 1)):
            assert torch.equal(found(same), want)
        for wrong in (count, -count - 1, np.int64(99)):
            with pytest.raises(ValueError, match=f"there is no (layer|head) {wrong}: .* 0 to {count - 1}"):
                found(wrong)
        with pytest.raises(ValueError, match=r"is one whole number, not 1\.5"):
            found(1.5)


def test_a_depth_counts_from_the_end_as_in_a_lens_and_beyond_it_there_is_none():
    model, tokens = model_of("native"), tokens_of()
    read = lens.logit_lens(model, tokens)
    for depth in (-1, -2, -4, 0, 3, np.int64(2)):
        got = lens.lens_attribution(model, tokens, 7, depth)
        want = read[depth, :, -1, 7] - read[depth, :, -1].mean(-1)
        assert torch.allclose(got.total, want, atol=1e-4)
    for depth in (4, -5):
        with pytest.raises(ValueError, match=f"no depth {depth}: .* depths 0 to 3"):
            lens.lens_attribution(model, tokens, 7, depth)


def test_a_lens_of_another_shape_is_refused():
    model, tokens = model_of("native"), tokens_of()
    with pytest.raises(ValueError, match="this lens is for 5 layers of width 20; the model has 3 of width 20"):
        lens.tuned_lens(model, lens.TunedLens(5, 20), tokens)
    with pytest.raises(ValueError, match="no translator for layer 3"):
        lens.TunedLens(3, 20)(torch.zeros(20), 3)
