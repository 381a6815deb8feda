"""The induction library, on cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import induction
from mi_lib.induction import FactoredMatrix
from mi_lib.models import HookedModel, Transformer, TransformerConfig
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.worlds import repeats


def small_model(seed: int = 0, n_layers: int = 3, scale: float = 0.5) -> Transformer:
    config = TransformerConfig(n_layers=n_layers, d_model=12, n_heads=3, d_head=4, d_vocab=15, n_ctx=20)
    return Transformer(config).init_weights(seed, scale).requires_grad_(False)


def tokens(batch: int = 2, pos: int = 9, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 15, (batch, pos), generator=torch.Generator().manual_seed(seed))


def perfect_patterns(sample: repeats.Repeats) -> torch.Tensor:
    """Three heads: one back, one past the earlier occurrence, on the earlier occurrence."""
    batch, n = sample.tokens.shape
    pattern = torch.zeros(batch, 3, n, n)
    for b in range(batch):
        for q in range(n):
            p = int(sample.previous[b, q])
            pattern[b, 0, q, max(q - 1, 0)] = 1
            pattern[b, 1, q, p + 1 if p >= 0 else q] = 1
            pattern[b, 2, q, p if p >= 0 else q] = 1
    return pattern


def test_each_score_is_one_for_its_own_head_and_zero_for_the_others():
    sample = repeats.sample(3, seed=1, period=7, offset=2)  # <bos>, 2 words, 7, the same 7
    pattern = perfect_patterns(sample)
    assert induction.previous_token_score(pattern).tolist() == [1, 0, 0]
    assert induction.prefix_matching_score(pattern, sample.tokens).tolist() == [0, 1, 0]
    assert induction.duplicate_token_score(pattern, sample.tokens).tolist() == [0, 0, 1]


def random_patterns(batch: int, n: int, seed: int) -> torch.Tensor:
    """Three heads that attend to whatever is earlier or here."""
    scores = torch.randn(batch, 3, n, n, generator=torch.Generator().manual_seed(seed))
    return scores.masked_fill(~torch.ones(n, n, dtype=torch.bool).tril(), -torch.inf).softmax(-1)


@pytest.mark.parametrize("seed", range(4))
def test_all_earlier_copies_count_and_the_sums_are_those_written_out(seed):
    ids, pattern = tokens(3, 11, seed) % 4, random_patterns(3, 11, seed)
    duplicate, prefix = [], []
    for b in range(3):
        for q in range(11):
            earlier = [k for k in range(q) if ids[b, k] == ids[b, q]]
            if earlier:
                duplicate.append(sum(pattern[b, :, q, k] for k in earlier))
                prefix.append(sum(pattern[b, :, q, k + 1] for k in earlier))
    assert torch.allclose(induction.duplicate_token_score(pattern, ids), torch.stack(duplicate).mean(0), atol=1e-6)
    assert torch.allclose(induction.prefix_matching_score(pattern, ids), torch.stack(prefix).mean(0), atol=1e-6)


def test_a_head_that_shares_its_attention_among_three_copies_is_a_whole_induction_head():
    ids = torch.tensor([[0, *[5, 6, 7] * 4]])
    n = ids.shape[1]
    pattern = torch.zeros(1, 1, n, n)
    for q in range(n):
        after = [k + 1 for k in range(q) if ids[0, k] == ids[0, q]] or [q]
        pattern[0, 0, q, after] = 1 / len(after)
    assert induction.prefix_matching_score(pattern, ids).item() == pytest.approx(1)
    assert induction.duplicate_token_score(pattern, ids).item() == 0


def test_with_one_repeat_the_latest_copy_is_all_copies():
    sample = repeats.sample(3, seed=2, period=6, offset=3)
    pattern = random_patterns(*sample.tokens.shape, seed=0)
    batch, query = (sample.previous >= 0).nonzero(as_tuple=True)
    for score, beyond in ((induction.prefix_matching_score, 1), (induction.duplicate_token_score, 0)):
        latest = pattern[batch, :, query, sample.previous[batch, query] + beyond].mean(0)
        assert torch.allclose(score(pattern, sample.tokens), latest, atol=1e-6)


def test_scores_of_what_are_no_tokens_of_this_pattern_are_refused_and_without_repeats_there_is_none():
    sample = repeats.sample(2, seed=1, period=7)
    pattern = random_patterns(*sample.tokens.shape, seed=0)
    for score in (induction.prefix_matching_score, induction.duplicate_token_score):
        with pytest.raises(ValueError, match="give the tokens themselves, not where they stood before"):
            score(pattern, sample.previous)
        with pytest.raises(ValueError, match=r"tokens must be \[batch pos\] = \(2, "):
            score(pattern, sample.tokens[:, :-1])
        assert score(pattern[:, :, :8, :8], sample.tokens[:, :8] + torch.arange(8) * 1000).isnan().all()


# --- texts of unequal length ------------------------------------------------------------------------------------------

SIDES, LENGTHS = ["left", "right"], (6, 9, 4)  # of three texts, padded to 10


def padded_batch(side: str, seed: int = 0) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Three texts of few words, and the same as a batch whose padding is filled with those words, and its mask."""
    texts = [tokens(1, length, seed + i) % 4 for i, length in enumerate(LENGTHS)]
    batch, mask = tokens(3, 10, seed + 9) % 4, torch.zeros(3, 10, dtype=torch.bool)
    for row, text in enumerate(texts):
        where = slice(0, text.shape[1]) if side == "right" else slice(10 - text.shape[1], 10)
        batch[row, where], mask[row, where] = text[0], True
    return texts, batch, mask


def pooled(values: list[torch.Tensor], counts: list[int]) -> torch.Tensor:
    """The mean over all that counts in several texts, from the means of each."""
    return sum(value.nan_to_num() * n for value, n in zip(values, counts, strict=True)) / sum(counts)


@pytest.mark.parametrize("side", SIDES)
def test_scores_of_padded_texts_are_those_of_the_texts_alone(side):
    model = small_model(scale=0.9)
    texts, batch, mask = padded_batch(side)
    repeated = [sum(int(t) in text[0, :i].tolist() for i, t in enumerate(text[0])) for text in texts]

    def patterns(ids, mask=None):
        return model.run_with_cache(ids, ("pattern", 1), attention_mask=mask)[1]["pattern", 1]

    alone = [patterns(text) for text in texts]
    together = patterns(batch, mask)
    got = induction.previous_token_score(together, mask)
    each = [induction.previous_token_score(pattern) for pattern in alone]
    assert torch.allclose(got, pooled(each, [n - 1 for n in LENGTHS]), atol=1e-5)
    for score in (induction.prefix_matching_score, induction.duplicate_token_score):
        each = [score(pattern, text) for pattern, text in zip(alone, texts, strict=True)]
        assert torch.allclose(score(together, batch, mask), pooled(each, repeated), atol=1e-5)
    for layer in (0, 2):
        each = [induction.copying_score_attention(model, text, layer) for text in texts]
        got = induction.copying_score_attention(model, batch, layer, mask)
        assert torch.allclose(got, pooled(each, [n - 1 for n in LENGTHS]), atol=1e-5)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["zero", "mean", "pattern_preserving"])
def test_ablation_does_to_padded_texts_what_it_does_to_them_alone(kind, side):
    model, heads = small_model(scale=0.9), [(0, 1), (1, 0), (2, 2)]
    texts, batch, mask = padded_batch(side)
    reference = tokens(5, 10, seed=3)
    together = induction.ablate_heads(model, batch, heads, kind, reference, attention_mask=mask)
    for row, text in enumerate(texts):
        alone = induction.ablate_heads(model, text, heads, kind, reference)
        assert torch.allclose(together[row, mask[row]], alone[0], atol=1e-4)
        assert not torch.allclose(alone, model(text), atol=1e-2)


@pytest.mark.parametrize("side", SIDES)
def test_a_mean_over_padded_texts_is_over_their_real_tokens(side):
    model, ids = small_model(scale=0.9), tokens(1, 4, seed=5)
    texts, batch, mask = padded_batch(side)
    _, caches = zip(*(model.run_with_cache(text, ("z", 1)) for text in texts), strict=True)
    z = [cache["z", 1][0] for cache in caches]
    means = torch.stack([torch.stack([x[i, 1] for x in z if len(x) > i]).mean(0) for i in range(9)])  # [pos d_head]

    def put(value, hook, row=slice(None), where=slice(None), n=4):
        value = value.clone()
        value[row, where, 1] = means[:n]
        return value

    want = model.run_with_hooks(ids, [(("z", 1), put)])
    got = induction.ablate_heads(model, ids, [(1, 1)], "mean", batch, reference_mask=mask)
    assert torch.allclose(got, want, atol=1e-5)
    own = induction.ablate_heads(model, batch, [(1, 1)], "mean", attention_mask=mask)
    for row, n in enumerate(LENGTHS):
        alone = model.run_with_hooks(texts[row], [(("z", 1), lambda v, h, n=n: put(v, h, n=n))])
        assert torch.allclose(own[row, mask[row]], alone[0], atol=1e-4)
    with pytest.raises(ValueError, match="the reference has 9 positions at most, and a text has 10"):
        induction.ablate_heads(model, tokens(1, 10), [(1, 1)], "mean", batch, reference_mask=mask)


@pytest.mark.parametrize("side", SIDES)
def test_losses_of_padded_texts_are_those_of_the_texts_alone_and_nothing_elsewhere(side):
    model = small_model(scale=0.9)
    texts, batch, mask = padded_batch(side)
    together = induction.per_token_loss(model(batch, mask), batch, mask)
    alone = [induction.per_token_loss(model(text), text)[0] for text in texts]
    for row in range(3):
        real = ~together[row].isnan()
        assert int(real.sum()) == LENGTHS[row] - 1
        assert torch.allclose(together[row, real], alone[row], atol=1e-5)
    want = torch.stack([loss[2] for loss in alone]).mean() - torch.stack([loss[0] for loss in alone]).mean()
    assert induction.in_context_learning_score(together, 0, 2) == pytest.approx(want.item(), abs=1e-5)
    with pytest.raises(ValueError, match="no position 3 in the shortest text, which has 3 losses"):
        induction.in_context_learning_score(together, 0, 3)
    with pytest.raises(ValueError, match="NaN in the middle"):
        induction.in_context_learning_score(torch.tensor([[1.0, math.nan, 2.0, 1.0]]), 0, 1)


def test_uniform_attention_scores_by_chance():
    n = 10
    pattern = (torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]).expand(1, 1, n, n)
    expected = sum(1 / (q + 1) for q in range(1, n)) / (n - 1)
    assert induction.previous_token_score(pattern).item() == pytest.approx(expected, rel=1e-5)


def test_head_scores_agree_with_the_single_scores():
    sample = repeats.sample(2, seed=0, period=5, offset=2, vocab=15)
    model = small_model()
    scores = induction.head_scores(model, sample)
    _, cache = model.run_with_cache(sample.tokens, ("pattern", 1))
    expected = induction.prefix_matching_score(cache["pattern", 1], sample.tokens)
    assert torch.allclose(scores["prefix_matching"][1], expected)
    assert scores["copying"].shape == (3, 3)


def test_per_token_loss_is_cross_entropy():
    logits = torch.randn(2, 6, 9)
    ids = torch.randint(0, 9, (2, 6))
    expected = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    assert torch.allclose(induction.per_token_loss(logits, ids), expected, atol=1e-6)


def test_half_losses_of_an_ignorant_model_are_the_log_of_the_vocabulary():
    model = Transformer(TransformerConfig(n_layers=1, d_model=4, n_heads=1, d_head=4, d_vocab=15, n_ctx=20))
    first, second = induction.half_losses(model, repeats.sample(4, seed=0, period=6, offset=1, vocab=15))
    assert first == pytest.approx(math.log(15), rel=1e-5)
    assert second == pytest.approx(math.log(15), rel=1e-5)


def test_in_context_learning_score_is_negative_when_context_helps():
    loss = torch.tensor([[5.0, 3.0, 1.0]])
    assert induction.in_context_learning_score(loss, 0, 2) == -4
    with pytest.raises(ValueError, match="early < late"):
        induction.in_context_learning_score(loss, 2, 2)


def test_zero_ablation_equals_an_output_matrix_of_zero():
    model = small_model()
    ids = tokens()
    without = small_model()
    without.blocks[1].attn.W_O[2] = 0.0
    assert torch.allclose(induction.ablate_heads(model, ids, [(1, 2)]), without(ids), atol=1e-6)


def test_mean_ablation_with_the_sequence_itself_changes_nothing():
    model, ids = small_model(), tokens(batch=1)
    assert torch.allclose(induction.ablate_heads(model, ids, [(0, 1), (2, 0)], "mean"), model(ids), atol=1e-5)


def test_pattern_preserving_ablation_leaves_every_pattern_and_zero_ablation_moves_later_ones():
    model, ids = small_model(scale=0.9), tokens()
    clean = model.run_with_cache(ids, lambda name: name.endswith("pattern"))[1]
    seen = {}
    reads = [(lambda name: name.endswith("pattern"), lambda value, hook: seen.update({hook.name: value.clone()}))]
    moved = {}
    for kind in ("zero", "pattern_preserving"):
        seen.clear()
        original = model.run_with_hooks

        def with_reading(run_tokens, edits, original=original, **options):
            return original(run_tokens, [*edits, *reads], **options)

        model.run_with_hooks = with_reading
        induction.ablate_heads(model, ids, [(0, 1)], kind)
        model.run_with_hooks = original
        moved[kind] = {name: (seen[name] - clean[name]).abs().max().item() for name in clean}
    assert max(moved["pattern_preserving"].values()) == 0
    assert moved["zero"]["blocks.0.attn.hook_pattern"] == 0
    assert moved["zero"]["blocks.1.attn.hook_pattern"] > 1e-2


def test_pattern_preserving_ablation_in_the_last_layer_is_zero_ablation():
    model, ids = small_model(), tokens()
    a, b = (induction.ablate_heads(model, ids, [(2, 1)], kind) for kind in ("zero", "pattern_preserving"))
    assert torch.allclose(a, b, atol=1e-5)


def test_unknown_heads_and_kinds_are_refused():
    with pytest.raises(ValueError, match=r"no head 3\.0.*last one is 2\.2"):
        induction.ablate_heads(small_model(), tokens(), [(3, 0)])
    with pytest.raises(ValueError, match="kind must be"):
        induction.ablate_heads(small_model(), tokens(), [(0, 0)], "none")


def test_heads_may_be_any_whole_numbers_and_count_from_the_end():
    model, ids = small_model(), tokens()
    want = induction.ablate_heads(model, ids, [(2, 1)])
    for head in ((-1, -2), (np.int64(2), np.int64(1)), (torch.tensor(2), 1)):
        assert torch.equal(induction.ablate_heads(model, ids, [head]), want)
    circuit = induction.ov_circuit(model, 2, 1).full()
    assert torch.equal(induction.ov_circuit(model, -1, np.int64(-2)).full(), circuit)
    assert torch.equal(induction.composition(model, "K", -3, np.int64(-1)), induction.composition(model, "K", 0, 2))
    last = induction.copying_score_attention(model, ids, 2)
    assert torch.equal(induction.copying_score_attention(model, ids, np.int64(-1)), last)
    for wrong in (3, -4, np.int64(7)):
        for call in (
            lambda layer: induction.qk_circuit(model, layer, 0),
            lambda layer: induction.composition(model, "V", 0, layer),
            lambda layer: induction.copying_score_attention(model, ids, layer),
        ):
            with pytest.raises(ValueError, match=f"there is no layer {wrong}: .* 0 to 2"):
                call(wrong)
        with pytest.raises(ValueError, match=f"there is no head {wrong}: .* 0 to 2"):
            induction.ov_circuit(model, 0, wrong)
        with pytest.raises(ValueError, match=rf"there is no head 0\.{wrong}: this model's last one is 2\.2"):
            induction.ablate_heads(model, ids, [(0, wrong)])
    with pytest.raises(ValueError, match="later layers only"):
        induction.composition(model, "K", -1, 2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 9), rank=st.integers(1, 6))
def test_a_factored_matrix_agrees_with_its_product(seed, n, rank):
    generator = torch.Generator().manual_seed(seed)
    left, right, other = (
        torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((n, rank), (rank, n), (n, n))
    )
    factored = FactoredMatrix(left, right)
    full = factored.full()
    assert torch.allclose(factored.norm(), full.norm())
    assert torch.allclose(factored.T.full(), full.T)
    assert torch.allclose((factored @ other).full(), full @ other)
    assert torch.allclose((other @ factored).full(), other @ full)
    assert torch.allclose((factored @ factored.T).full(), full @ full.T)
    assert torch.allclose(factored.eigenvalues().sum().real, full.trace())
    dense, small = torch.linalg.eigvals(full).abs().sum(), factored.eigenvalues().abs().sum()
    assert torch.allclose(dense, small, atol=1e-6)
    top = min(n, rank)
    assert torch.allclose(factored.singular_values()[:top], torch.linalg.svdvals(full)[:top], atol=1e-8)


def test_factors_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        FactoredMatrix(torch.ones(3, 2), torch.ones(3, 3))
    with pytest.raises(ValueError, match="square"):
        FactoredMatrix(torch.ones(3, 2), torch.ones(2, 4)).eigenvalues()


def identity_model(sign: float) -> Transformer:
    model = Transformer(TransformerConfig(n_layers=1, d_model=6, n_heads=1, d_head=6, d_vocab=6, n_ctx=8))
    with torch.no_grad():
        for weight in (model.W_E, model.W_U):
            weight.copy_(torch.eye(6))
        model.blocks[0].attn.W_V[0] = torch.eye(6)
        model.blocks[0].attn.W_O[0] = sign * torch.eye(6)
    return model.requires_grad_(False)


def test_copying_scores_of_a_copying_and_a_forbidding_head():
    ids = torch.tensor([[0, 1, 2, 3, 4, 5]])
    for sign in (1.0, -1.0):
        assert induction.copying_score_eigenvalues(identity_model(sign)).item() == pytest.approx(sign)
    # With even attention over q + 1 words, the head raises just those words, each by as much.
    even = (
        sum(1 / (q + 1) for q in range(1, 5)) / 5
    )  # at the last position all words are raised alike: nothing stands out
    assert induction.copying_score_attention(identity_model(1.0), ids, 0).item() == pytest.approx(even, abs=1e-4)
    assert induction.copying_score_attention(identity_model(-1.0), ids, 0).item() == pytest.approx(0, abs=1e-6)


def test_circuits_with_tokens_are_tables_of_words():
    model = small_model()
    full = model.W_E @ model.W_V[1, 2] @ model.W_O[1, 2] @ model.W_U
    assert torch.allclose(induction.ov_circuit(model, 1, 2, tokens=True).full(), full, atol=1e-5)
    scores = model.W_E @ model.W_Q[0, 1] @ model.W_K[0, 1].T @ model.W_E.T
    assert torch.allclose(induction.qk_circuit(model, 0, 1, tokens=True).full(), scores, atol=1e-5)


# --- circuits of models with norms ------------------------------------------------------------------------------------


def wide(name: str) -> HookedModel:
    """A random model whose norms multiply by anything between 0.1 and 4."""
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 15, "hidden_size": 16}
    sizes |= {"num_key_value_heads": 4, "intermediate_size": 20, "max_position_embeddings": 32}
    gpt2 = {
        "n_layer": 3,
        "n_head": 4,
        "n_embd": 16,
        "vocab_size": 15,
        "n_positions": 32,
        "eos_token_id": 0,
        "bos_token_id": 0,
    }
    gemma = {**sizes, "head_dim": 4, "sliding_window": 8, "query_pre_attn_scalar": 4}
    if name == "native":
        shape = {"n_layers": 3, "d_model": 16, "n_heads": 4, "d_head": 4, "d_vocab": 15, "n_ctx": 20, "d_mlp": 10}
        model: HookedModel = Transformer(TransformerConfig(**shape, norm="layernorm")).init_weights(0, 0.4)
    else:
        config = {
            "gpt2": lambda: transformers.GPT2Config(**gpt2),
            "llama": lambda: transformers.LlamaConfig(**sizes),
            "gemma2": lambda: transformers.Gemma2Config(**gemma),
        }[name]()
        model = TransformersModel(transformers.AutoModelForCausalLM.from_config(config).eval())
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter.ndim == 1 and ("norm" in parameter_name or "ln" in parameter_name):
                bias = parameter_name.endswith(("bias", ".b"))
                drawn = 3.9 * torch.rand(parameter.shape, generator=generator) + 0.1
                parameter.copy_(torch.zeros_like(drawn) if bias else drawn - 1 if name == "gemma2" else drawn)
            elif parameter.ndim > 1:
                parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return model.requires_grad_(False)


class ByHand:
    """The maps from stream to stream of a model in `wide`, from its own modules: gains times weights."""

    def __init__(self, name: str, model: HookedModel) -> None:
        gains = {n: p.detach() + (name == "gemma2") for n, p in model.named_parameters() if p.ndim == 1}
        path = {
            "native": ("blocks.{}.ln1.w", None, "ln_final.w"),
            "gpt2": ("hf.transformer.h.{}.ln_1.weight", None, "hf.transformer.ln_f.weight"),
            "llama": ("hf.model.layers.{}.input_layernorm.weight", None, "hf.model.norm.weight"),
            "gemma2": (
                "hf.model.layers.{}.input_layernorm.weight",
                "hf.model.layers.{}.post_attention_layernorm.weight",
                "hf.model.norm.weight",
            ),
        }[name]
        d = model.cfg.d_model
        self.centre = torch.eye(d) - 1 / d if name in ("native", "gpt2") else torch.eye(d)
        self.layers = range(model.cfg.n_layers)
        first = [torch.diag(gains[path[0].format(layer)]) for layer in self.layers]
        behind = [torch.eye(d) if path[1] is None else torch.diag(gains[path[1].format(i)]) for i in self.layers]
        self.W_E, self.W_U = model.W_E, self.centre @ torch.diag(gains[path[2]]) @ model.W_U
        self.reads = [[self.centre @ g @ W[i] for W in (model.W_Q, model.W_K, model.W_V)] for i, g in enumerate(first)]
        self.writes = [model.W_O[i] @ g for i, g in enumerate(behind)]

    def ov(self, layer: int, head: int) -> torch.Tensor:
        return self.reads[layer][2][head] @ self.writes[layer][head]

    def qk(self, layer: int, head: int) -> torch.Tensor:
        return self.reads[layer][0][head] @ self.reads[layer][1][head].T


WIDE = ["native", "gpt2", "llama", "gemma2"]


@pytest.mark.parametrize("name", WIDE)
def test_weight_circuits_read_and_write_through_the_gains_of_norms(name):
    model = wide(name)
    hand = ByHand(name, model)
    for layer, head in ((0, 1), (2, 3)):
        ov, qk = hand.ov(layer, head), hand.qk(layer, head)
        words = (hand.W_E @ ov @ hand.W_U, hand.W_E @ qk @ hand.W_E.T)
        for got, want, of_words in (
            (induction.ov_circuit, ov, words[0]),
            (induction.qk_circuit, qk, words[1]),
        ):
            assert torch.allclose(got(model, layer, head).full(), want, atol=1e-4)
            assert torch.allclose(got(model, layer, head, tokens=True).full(), of_words, atol=1e-3)
            assert not torch.allclose(got(model, layer, head, fold=False).full(), want, atol=1e-1)


@pytest.mark.parametrize("name", WIDE)
def test_copying_scores_have_the_sign_that_the_gains_give_them(name):
    model = wide(name)
    hand = ByHand(name, model)
    want = torch.zeros(3, 4)
    for layer in range(3):
        for head in range(4):
            values = torch.linalg.eigvals((hand.W_E @ hand.ov(layer, head) @ hand.W_U).double())
            want[layer, head] = values.real.sum() / values.abs().sum()
    got, without = (induction.copying_score_eigenvalues(model, fold=fold) for fold in (True, False))
    assert torch.allclose(got, want, atol=1e-4)
    assert (got.sign() == want.sign()).all()
    assert (got - without).abs().max() > 0.2
    sample = repeats.sample(2, seed=0, period=5, vocab=15)
    assert torch.allclose(induction.head_scores(model, sample)["copying"], want, atol=1e-4)


def test_with_wide_gains_signs_of_copying_scores_flip_if_they_are_left_out():
    flipped = sum(
        int(
            (
                induction.copying_score_eigenvalues(m).sign()
                != induction.copying_score_eigenvalues(m, fold=False).sign()
            ).sum()
        )
        for m in map(wide, WIDE)
    )
    assert flipped >= 4


@pytest.mark.parametrize("kind", ["Q", "K", "V"])
@pytest.mark.parametrize("name", WIDE)
def test_composition_goes_through_the_gains_of_norms(name, kind):
    model = wide(name)
    hand = ByHand(name, model)
    got = induction.composition(model, kind, 0, 2)
    for first in range(4):
        for second in range(4):
            qk = hand.qk(2, second)
            later = {"Q": qk, "K": qk.T, "V": hand.ov(2, second)}[kind]
            want = (hand.ov(0, first) @ later).norm() / (hand.ov(0, first).norm() * later.norm())
            assert got[first, second].item() == pytest.approx(want.item(), abs=1e-4)
    assert not torch.allclose(got, induction.composition(model, kind, 0, 2, fold=False), atol=1e-2)


@pytest.mark.parametrize("name", WIDE)
def test_copying_by_attention_measures_the_logits_that_a_head_really_raises(name):
    model, ids = wide(name), tokens(3, 9, seed=2)
    hand = ByHand(name, model)
    _, cache = model.run_with_cache(ids, [("pattern", 1), ("z", 1)])
    want = torch.zeros(4)
    for head in range(4):
        logits = cache["z", 1][:, :, head] @ hand.writes[1][head] @ hand.W_U
        raised = (logits - logits.mean(-1, keepdim=True)).relu()
        for b in range(3):
            for q in range(1, 9):
                attention = torch.zeros(15).index_add_(0, ids[b], cache["pattern", 1][b, head, q])
                want[head] += (raised[b, q] / raised[b, q].sum() * attention).sum() / 24
    assert torch.allclose(induction.copying_score_attention(model, ids, 1), want, atol=1e-4)


def test_without_norms_there_is_nothing_to_fold_and_folding_leaves_the_model_as_it_is():
    plain = small_model()
    folded, raw = (induction.copying_score_eigenvalues(plain, fold=fold) for fold in (True, False))
    assert torch.equal(folded, raw)
    model = wide("native")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    induction.copying_score_eigenvalues(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("kind", ["Q", "K", "V"])
def test_a_planted_pair_composes_most_and_only_in_its_own_way(kind):
    model = small_model(seed=4, n_layers=2)
    reads = {"Q": model.W_Q, "K": model.W_K, "V": model.W_V}[kind]
    with torch.no_grad():
        model.blocks[0].attn.W_O[1] = reads[1, 2].T
    scores = {k: induction.composition(model, k, 0, 1) for k in ("Q", "K", "V")}
    assert divmod(int(scores[kind].argmax()), 3) == (1, 2)
    assert all(scores[kind][1, 2] > scores[other][1, 2] for other in scores if other != kind)


def test_random_heads_compose_as_the_baseline_says():
    config = TransformerConfig(n_layers=2, d_model=32, n_heads=16, d_head=8, d_vocab=4, n_ctx=4)
    model = Transformer(config).init_weights(3, 1.0).requires_grad_(False)
    mean, spread = induction.composition_baseline(model, "K", samples=500)
    for kind in ("Q", "K", "V"):
        scores = induction.composition(model, kind, 0, 1)
        assert scores.mean().item() == pytest.approx(mean, abs=0.01)
        assert scores.std().item() == pytest.approx(spread, rel=0.25)


def test_composition_does_not_change_when_heads_are_scaled():
    model = small_model(n_layers=2)
    before = induction.composition(model, "K", 0, 1)
    with torch.no_grad():
        model.blocks[0].attn.W_V *= 7
        model.blocks[1].attn.W_K *= 0.1
    assert torch.allclose(induction.composition(model, "K", 0, 1), before, atol=1e-5)


def test_a_head_composes_with_later_layers_only():
    with pytest.raises(ValueError, match="later layers only"):
        induction.composition(small_model(), "K", 1, 1)
