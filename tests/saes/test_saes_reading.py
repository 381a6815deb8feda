"""Texts of a latent, edits of latents, logit effects, neighbours and histograms, against what is computed by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import Transformer, TransformerConfig, saes

SITE = "blocks.1.hook_resid_pre"
LAST = "blocks.1.hook_resid_post"
LATENTS = 24


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small(norm):
    torch.manual_seed(0)
    sizes = {"n_layers": 2, "d_model": 16, "n_heads": 2, "d_head": 8, "d_vocab": 19, "n_ctx": 16, "d_mlp": 20}
    model = Transformer(TransformerConfig(**sizes, norm=norm))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return small("layernorm")


@pytest.fixture(scope="module")
def sae():
    """Random directions; each latent is active at some tokens and silent at others."""
    sae = saes.ReLU(16, LATENTS, seed=3)
    with torch.no_grad():
        sae.b_enc.fill_(-0.5)
        sae.b_dec.copy_(0.3 * torch.randn(16, generator=generator(1)))
    return sae.eval().requires_grad_(False)


TOKENS = torch.randint(0, 19, (30, 12), generator=generator())
LENGTHS = torch.randint(3, 13, (30,), generator=generator(1))
MASK = torch.arange(12) < LENGTHS[:, None]
TEXTS = [row[:length].tolist() for row, length in zip(TOKENS, LENGTHS, strict=True)]


def by_hand(model, sae, site=SITE):
    """For each text alone, f [pos latent]."""
    found = []
    for ids in TEXTS:
        _, cache = model.run_with_cache(torch.tensor([ids]), names=site)
        found.append(sae.encode(cache[site][0]))
    return found


# --- top texts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 7, 64])
@pytest.mark.parametrize("skip", [0, 2])
def test_top_texts_are_those_whose_largest_activation_is_largest(model, sae, batch, skip):
    f = by_hand(model, sae)
    top = saes.top_texts(model, sae, SITE, TEXTS, 5, 4, batch=batch, skip=skip)
    largest = torch.stack([each[skip:, 5].max() for each in f])
    assert [text.text for text in top] == largest.argsort(descending=True)[:4].tolist()
    for text in top:
        assert text.tokens == TEXTS[text.text]
        assert text.words == [str(i) for i in text.tokens]
        assert torch.allclose(text.activations, f[text.text][:, 5], atol=1e-5)
        assert text.value == text.activations[text.at] == text.activations[skip:].max()
        assert text.at >= skip


def test_texts_may_come_as_tokens_as_rows_or_one_by_one_and_padding_says_nothing(model, sae):
    loud = torch.where(MASK, TOKENS, 3)
    ways = (
        saes.top_texts(model, sae, SITE, TEXTS, 5),
        saes.top_texts(model, sae, SITE, iter(TEXTS), 5),
        saes.top_texts(model, sae, SITE, TOKENS, 5, attention_mask=MASK),
        saes.top_texts(model, sae, SITE, loud, 5, attention_mask=MASK),
    )
    for way in ways[1:]:
        assert [(t.text, t.tokens, t.at) for t in way] == [(t.text, t.tokens, t.at) for t in ways[0]]


def test_several_latents_are_read_in_one_go(model, sae, monkeypatch):
    runs = []
    run = type(model).run_with_cache
    monkeypatch.setattr(type(model), "run_with_cache", lambda *a, **k: (runs.append(1), run(*a, **k))[1])
    together = saes.top_texts_of(model, sae, SITE, TEXTS, [5, 0, 9], 3)
    assert len(runs) == 2, "thirty texts, sixteen at a time"
    for latent in (0, 5, 9):
        alone = saes.top_texts(model, sae, SITE, TEXTS, latent, 3)
        assert [(t.text, t.value) for t in together[latent]] == [(t.text, t.value) for t in alone]


def test_a_latent_that_is_never_active_has_no_texts(model, sae):
    silent = saes.ReLU(16, 3)
    silent.b_enc.data.fill_(-1e6)
    assert saes.top_texts(model, silent.eval(), SITE, TEXTS, 1) == []


# --- edits ------------------------------------------------------------------------------------------------------------


def f_of(*shape):
    return torch.rand(*shape, generator=generator(4))


def test_clamping_silencing_and_scaling_change_these_latents_and_no_other():
    f = f_of(2, 5, 7)
    for edit, want in (
        (saes.clamped(3, 2.5), torch.full((2, 5), 2.5)),
        (saes.silenced(3), torch.zeros(2, 5)),
        (saes.scaled(3, 2.0), 2 * f[..., 3]),
    ):
        out = edit(f.clone())
        assert torch.equal(out[..., 3], want)
        assert torch.equal(out[..., [0, 1, 2, 4, 5, 6]], f[..., [0, 1, 2, 4, 5, 6]])
    assert not saes.silenced([1, 6])(f)[..., [1, 6]].any()
    both = saes.in_turn(saes.clamped(3, 1.0), saes.scaled([3, 4], 3.0))(f)
    assert torch.equal(both[..., 3], torch.full((2, 5), 3.0))
    assert torch.equal(both[..., 4], 3 * f[..., 4])


MASKED = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 1, 0, 0]]).bool()


@pytest.mark.parametrize(
    ("positions", "places"),
    [(1, [[1], [1]]), (-1, [[4], [4]]), ([0, -2], [[0, 3], [0, 3]]), ([], [[], []]), (MASKED, [[0, 3], [2]])],
)
def test_an_edit_at_positions_leaves_the_others(positions, places):
    f = f_of(2, 5, 7)
    out = saes.clamped(3, 9.0, positions)(f)
    assert [(row == 9).nonzero()[:, 0].tolist() for row in out[..., 3]] == places
    assert torch.equal(out[out != 9], f[out != 9])


def test_silencing_in_a_run_takes_the_latents_row_out_of_the_site(model, sae):
    tokens = TOKENS[:3]
    _, before = model.run_with_cache(tokens, names=SITE)
    f = sae.encode(before[SITE])
    edit = saes.spliced(sae, keep_error=True, edit=saes.silenced([2, 5], positions=[1, -1]))
    with model.hooks([(SITE, edit)]):
        _, after = model.run_with_cache(tokens, names=SITE)
    moved = f[..., 2, None] * sae.W_dec[2] + f[..., 5, None] * sae.W_dec[5]
    moved[:, [0, *range(2, 11)]] = 0
    assert moved.abs().max() > 0.1
    assert torch.allclose(before[SITE] - after[SITE], moved, atol=1e-5)


# --- logit effects ----------------------------------------------------------------------------------------------------


def frozen(model, sae, latent, tokens):
    """The change of the logits at the active positions if the latent's row is taken out before a norm that keeps its
    scale: by hooks, and not by the formula."""
    _, cache = model.run_with_cache(tokens, [LAST, "ln_final.hook_scale"])
    f = sae.encode(cache[LAST])[..., latent, None]
    hooks = [
        (LAST, lambda x, hook: x - f * sae.W_dec[latent]),
        ("ln_final.hook_scale", lambda x, hook: cache["ln_final.hook_scale"]),
    ]
    change = (model(tokens) - model.run_with_hooks(tokens, hooks))[f[..., 0] > 0].mean(0)
    return change - change.mean()


def test_the_direct_effect_is_that_of_a_norm_whose_scale_is_held(model, sae):
    got = saes.direct_effects(model, sae, LAST, 5, TOKENS)
    assert got.abs().max() > 0.1
    assert torch.allclose(got, frozen(model, sae, 5, TOKENS), atol=1e-5)
    alone = saes.direct_effects(model, sae, LAST, 5)
    assert torch.nn.functional.cosine_similarity(got, alone, dim=0) == pytest.approx(1, abs=1e-6)


def test_without_a_norm_and_after_the_last_block_direct_and_intervened_effects_are_one(sae):
    plain = small("none")
    direct = saes.direct_effects(plain, sae, LAST, 5, TEXTS)
    assert torch.allclose(direct, saes.effects_of_silencing(plain, sae, LAST, 5, TEXTS), atol=1e-4)
    earlier = [f(plain, sae, SITE, 5, TEXTS) for f in (saes.direct_effects, saes.effects_of_silencing)]
    assert not torch.allclose(*earlier, atol=0.1), "the block in between answers"


def test_an_intervention_is_the_difference_to_a_run_without_the_latent(model, sae):
    sums, count = torch.zeros(19), 0
    for ids in TEXTS:
        tokens = torch.tensor([ids])
        _, cache = model.run_with_cache(tokens, names=SITE)
        f = sae.encode(cache[SITE])[..., 5, None]
        change = model(tokens) - model.run_with_hooks(tokens, [(SITE, lambda x, hook, f=f: x - f * sae.W_dec[5])])
        sums += change[f[..., 0] > 0].sum(0)
        count += int((f > 0).sum())
    want = sums / count
    got = saes.effects_of_silencing(model, sae, SITE, 5, TEXTS)
    assert torch.allclose(got, want - want.mean(), atol=1e-4)
    masked = saes.effects_of_silencing(model, sae, SITE, 5, TOKENS, MASK)
    assert torch.allclose(got, masked, atol=1e-4)


@pytest.mark.parametrize("by", ["direct", "intervention"])
def test_the_words_are_those_that_rise_and_fall_most(model, sae, by):
    change = {"direct": saes.direct_effects, "intervention": saes.effects_of_silencing}[by](model, sae, SITE, 5, TEXTS)
    rises, falls = saes.logit_effects(model, sae, SITE, 5, 3, texts=TEXTS, by=by)
    order = change.argsort(descending=True).tolist()
    assert rises == [(str(i), change[i].item()) for i in order[:3]]
    assert falls == [(str(i), change[i].item()) for i in order[:-4:-1]]
    assert rises[0][1] > 0 > falls[0][1]


# --- neighbours and histograms ----------------------------------------------------------------------------------------


def test_neighbours_by_cosine_are_sorted_and_leave_the_latent_out(sae):
    near = saes.neighbours(sae, 5, 4)
    cosines = torch.nn.functional.cosine_similarity(sae.W_dec, sae.W_dec[5][None])
    want = [i for i in cosines.argsort(descending=True).tolist() if i != 5][:4]
    assert [n.latent for n in near] == want
    assert [n.value for n in near] == pytest.approx(cosines[want].tolist(), abs=1e-6)
    everyone = saes.neighbours(sae, 5, 1000)
    assert len(everyone) == LATENTS - 1
    assert everyone[-1].value < 0


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40))
def test_neighbours_by_correlation_are_pearsons_in_whatever_chunks(seed, size):
    sae = saes.ReLU(4, 6).eval()
    values = torch.randn(50, 6, generator=generator(seed)).relu() + 100
    values[:, 3] = 7.0
    near = saes.neighbours(sae, 1, 5, values=values.split(size))
    want = torch.corrcoef(values[:, [0, 1, 2, 4, 5]].double().T)[1]
    got = {n.latent: n.value for n in near}
    assert got.pop(3) == 0
    assert [got[i] for i in (0, 2, 4, 5)] == pytest.approx(want[[0, 2, 3, 4]].tolist(), abs=1e-4)
    assert [n.value for n in near] == sorted((n.value for n in near), reverse=True)


def test_a_histogram_counts_each_active_word_once():
    counts, edges, silent = saes.histogram(torch.tensor([0.0, 0.5, 1.0, 1.1, 2.0, 0.0, 0.0, 0.0]), bins=4)
    assert counts.tolist() == [0, 1, 2, 1]
    assert edges.tolist() == [0, 0.5, 1, 1.5, 2]
    assert silent == 0.5
    counts, edges, silent = saes.histogram(torch.zeros(5), bins=2)
    assert (counts.tolist(), edges.tolist(), silent) == ([0, 0], [0, 0.5, 1], 1.0)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m, s: saes.top_texts(m, s, SITE, TEXTS, 24), "no latent 24: this dictionary has 24"),
        (lambda m, s: saes.top_texts(m, s, SITE, [], 1), "no text"),
        (lambda m, s: saes.top_texts(m, s, SITE, TEXTS, 1, 0), "n = 0"),
        (lambda m, s: saes.top_texts(m, s, SITE, TEXTS, 1, attention_mask=MASK), "belongs to tokens"),
        (lambda m, s: saes.top_texts(m, s, SITE, TOKENS, 1, attention_mask=MASK[:3]), r"\[batch pos\]"),
        (lambda m, s: saes.top_texts(m, s, "blocks.0.mlp.hook_post", TEXTS, 1), "width 16, not 20"),
        (lambda m, s: saes.top_texts(m, s, [SITE, LAST], TEXTS, 1), "one site, not to 2"),
        (lambda m, s: saes.top_texts(m, s, ("z", 0), TEXTS, 1), r"reads a site \[batch pos d\]"),
        (lambda m, s: saes.top_texts(m, s, SITE, [[1, 2], []], 1), "no tokens"),
        (lambda m, s: saes.neighbours(s, -1), "no latent -1"),
        (lambda m, s: saes.neighbours(s, 1, values=torch.zeros(3, 5)), "activations of 5 latents"),
        (lambda m, s: saes.neighbours(s, 1, values=[]), "no activations"),
        (lambda m, s: saes.histogram(torch.zeros(0)), r"are \[n\]"),
        (lambda m, s: saes.histogram(torch.tensor([-1.0])), "at least 0"),
        (lambda m, s: saes.clamped(1, -1.0), "cannot be -1"),
        (lambda m, s: saes.clamped(1, float("nan")), "cannot be nan"),
        (lambda m, s: saes.scaled(1, -2), "factor of -2"),
        (lambda m, s: saes.silenced(24)(f_of(1, 2, 24)), "no latent 24"),
        (lambda m, s: saes.silenced(1, 2)(f_of(1, 2, 24)), "no position 2"),
        (lambda m, s: saes.silenced(1, MASKED)(f_of(1, 2, 24)), "mask of positions"),
        (lambda m, s: saes.direct_effects(m, s, "blocks.0.mlp.hook_post", 1), "does not write"),
        (lambda m, s: saes.logit_effects(m, s, SITE, 1, by="intervention"), "in texts that are given"),
        (lambda m, s: saes.effects_of_silencing(m, s, SITE, 30, TEXTS), "no latent 30"),
    ],
)
def test_what_cannot_be_asked_is_told_in_one_sentence(model, sae, call, said):
    with pytest.raises(ValueError, match=said) as told:
        call(model, sae)
    assert "\n" not in str(told.value)


def test_a_latent_that_is_active_nowhere_has_no_effect_to_measure(model):
    silent = saes.ReLU(16, 3)
    silent.b_enc.data.fill_(-1e6)
    for by in ("direct", "intervention"):
        with pytest.raises(ValueError, match="active nowhere"):
            saes.logit_effects(model, silent.eval(), SITE, 1, texts=TEXTS, by=by)
