"""Collecting, editing and erasing, on small networks and on numbers whose answer is known."""

from __future__ import annotations

import pytest
import torch
import transformers

from mi_lib import probing
from mi_lib.course.grading.material import random_transformer
from mi_lib.models.transformers_model import TransformersModel

SIZES = {"n_layers": 3, "n_heads": 2, "d_head": 6, "d_model": 12, "d_mlp": 20, "d_vocab": 17, "n_ctx": 11}
GROUPED = {
    "vocab_size": 17,
    "hidden_size": 12,
    "intermediate_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
    "initializer_range": 0.3,
}


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model():
    return random_transformer(3, scale=0.4, **SIZES)


@pytest.fixture(scope="module")
def texts():
    source = torch.Generator().manual_seed(8)
    return [torch.randint(0, 17, (length,), generator=source).tolist() for length in (5, 9, 3, 7, 9, 4, 6)]


# --- collecting -------------------------------------------------------------------------------------------------------


def test_what_is_collected_is_what_stands_there_when_a_text_is_read_alone(model, texts):
    sites = [("resid_pre", 0), ("resid_pre", 2), ("mlp_out", 1)]
    found = probing.collect(model, texts, sites, [-1, 1], batch=3)
    assert found.shape == (3, 2, 7, 12)
    for i, text in enumerate(texts):
        _, cache = model.run_with_cache(torch.tensor([text]), sites)
        for s, site in enumerate(sites):
            torch.testing.assert_close(found[s, 0, i], cache[site][0, -1], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(found[s, 1, i], cache[site][0, 1], atol=1e-5, rtol=1e-4)


def test_each_text_is_read_once_and_no_block_after_the_last_site(model, texts):
    runs = []
    with model.hooks([(("resid_pre", layer), lambda value, hook: runs.append(hook.name)) for layer in range(3)]):
        probing.collect(model, texts, [("resid_pre", 0), ("resid_pre", 1)], [-1, 0])
    assert runs == ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre"]


def test_heads_are_collected_as_one_row_of_numbers(model, texts):
    assert probing.collect(model, texts, [("z", 1)]).shape == (1, 1, 7, 12)


def test_texts_as_words_are_read_too():
    import mi_lib

    induction = mi_lib.load("induction-2l", check=False)
    one = probing.collect(induction, ["river lamp", "lamp river cat"], [("resid_post", 1)])
    _, cache = induction.run_with_cache("lamp river cat", ("resid_post", 1))
    torch.testing.assert_close(one[0, 0, 1], cache["resid_post", 1][0, -1], atol=1e-5, rtol=1e-4)


def test_what_cannot_be_collected_is_refused(model, texts):
    for asked, says in (
        (([], [("resid_pre", 0)]), "no text to read"),
        ((texts, []), "at least one site"),
        ((texts, [("resid_pre", 0)], []), "at least one site and one position"),
        (([[1, 2], []], [("resid_pre", 0)]), "a text has no tokens"),
        ((texts, [("resid_pre", 0), ("mlp_post", 1)]), "differ in width"),
    ):
        with pytest.raises(probing.Unusable, match=says):
            probing.collect(model, *asked)
    with pytest.raises(ValueError, match=r"no position 3 in text 2, which has 3 tokens"):
        probing.collect(model, texts, [("resid_pre", 0)], [3])


# --- editing ----------------------------------------------------------------------------------------------------------


def test_a_mirror_exchanges_the_sides_and_leaves_all_else():
    direction, middle, x = numbers(6, seed=1), numbers(6, seed=2), numbers(9, 6, seed=3)
    change = probing.mirror(direction, middle)
    unit = direction / direction.norm()
    torch.testing.assert_close((change(x) - middle) @ unit, -((x - middle) @ unit))
    across = torch.eye(6) - torch.outer(unit, unit)
    torch.testing.assert_close(change(x) @ across, x @ across)
    torch.testing.assert_close(change(change(x)), x, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(probing.mirror(5 * direction, middle)(x), change(x))


def test_mirroring_classes_exchanges_their_means_along_the_difference():
    x, y = numbers(100, 6), torch.arange(100) % 2
    x[:, 1] += 4 * y
    x += 10
    means = probing.class_means(x, y, 2)
    mirrored = probing.class_means(probing.mirror_classes(x, y)(x), y, 2)
    torch.testing.assert_close(mirrored, means.flip(0), atol=1e-4, rtol=1e-4)


def test_a_flip_makes_a_probe_say_the_opposite_by_moving_along_any_direction():
    x, reading, direction = numbers(9, 6, seed=3), numbers(6, seed=4), numbers(6, seed=5)
    before, moved = x @ reading + 0.7, probing.flip(reading, 0.7, direction)(x)
    torch.testing.assert_close(moved @ reading + 0.7, -before, atol=1e-4, rtol=1e-4)
    away = moved - x
    want = (away @ direction)[:, None] * direction / direction.norm() ** 2
    torch.testing.assert_close(away, want, atol=1e-4, rtol=1e-4)
    plane = -0.7 * reading / reading.norm() ** 2
    torch.testing.assert_close(probing.flip(reading, 0.7, reading)(x), probing.mirror(reading, plane)(x))
    with pytest.raises(probing.Unusable, match="does not read this direction"):
        probing.flip(torch.tensor([1.0, 0.0]), 0.0, torch.tensor([0.0, 1.0]))


def test_moving_to_the_other_class_moves_each_text_from_its_own():
    x, y = numbers(100, 6), torch.arange(100) % 2
    means = probing.class_means(x, y, 2)
    moved = probing.to_other_mean(x, y)(torch.tensor([0, 1]))(torch.zeros(2, 6))
    torch.testing.assert_close(moved, torch.stack([means[1] - means[0], means[0] - means[1]]))


def test_random_directions_have_the_length_and_no_favourite_side():
    like = 3 * numbers(40)
    drawn = probing.random_directions(like, 500)
    torch.testing.assert_close(drawn.norm(dim=1), like.norm().expand(500))
    assert (drawn @ like / like.norm() ** 2).abs().mean() < 0.2
    assert drawn.mean(0).norm() < 0.1 * like.norm()


def test_only_the_texts_own_position_is_edited(model, texts):
    """By hand, one text at a time, at positions that padding has moved."""
    vector = 3 * numbers(12, seed=5)
    for position in (-1, 1):
        got = probing.end_logits(model, texts, ("resid_pre", 1), probing.along(vector), position=position, batch=3)
        for i, text in enumerate(texts):

            def edit(value, hook, position=position):
                value[:, position] += vector

            want = model.run_with_hooks(torch.tensor([text]), [(("resid_pre", 1), edit)])[0, -1]
            torch.testing.assert_close(got[i], want, atol=1e-4, rtol=1e-3)


def test_a_change_may_depend_on_the_text(model, texts):
    vectors = numbers(7, 12, seed=6)
    got = probing.end_logits(
        model, texts, ("resid_pre", 2), lambda rows: probing.along(vectors[rows]), by_rows=True, batch=3
    )
    for i, text in enumerate(texts):
        one = probing.end_logits(model, [text], ("resid_pre", 2), probing.along(vectors[i]))
        torch.testing.assert_close(got[i], one[0], atol=1e-4, rtol=1e-3)


def test_what_is_turned_is_whose_likelier_token_changes(model, texts):
    one, other = torch.full((7,), 3), torch.full((7,), 5)
    towards = 40 * (model.W_U[:, 3] - model.W_U[:, 5])
    before = probing.preference(probing.end_logits(model, texts), one, other)
    up = probing.turned(model, texts, ("resid_post", 2), probing.along(towards), one, other, batch=2)
    down = probing.turned(model, texts, ("resid_post", 2), probing.along(-towards), one, other)
    assert up.tolist() == (before < 0).tolist()
    assert down.tolist() == (before > 0).tolist()
    assert not probing.turned(model, texts, ("resid_post", 2), probing.along(0 * towards), one, other).any()


FAMILIES = {
    "gpt2": lambda: transformers.GPT2Config(vocab_size=17, n_embd=12, n_layer=3, n_head=2, n_positions=16),
    "llama": lambda: transformers.LlamaConfig(**GROUPED),
    "gemma2": lambda: transformers.Gemma2Config(**GROUPED, head_dim=6, sliding_window=3, query_pre_attn_scalar=6),
}


@pytest.mark.parametrize("family", ["native", *FAMILIES])
def test_many_edits_of_the_ends_at_once_are_those_of_a_run_each(model, texts, family):
    if family != "native":
        torch.manual_seed(1)
        model = TransformersModel(transformers.AutoModelForCausalLM.from_config(FAMILIES[family]()).eval())
    push, last = probing.along(2 * numbers(12, seed=5)), model.cfg.n_layers - 1
    shift = probing.mirror(numbers(12, seed=6), numbers(12, seed=7))
    sites = [("mlp_out", 1), ("resid_pre", 0), ("resid_post", last), ("attn_out", 1), ("resid_pre", 1)]
    edits = [(site, change) for site in sites for change in (push, shift)]
    for batch in (1024, 20):
        found = probing.end_logits_of_each(model, texts, edits, batch=batch)
        for got, (site, change) in zip(found, edits, strict=True):
            torch.testing.assert_close(got, probing.end_logits(model, texts, site, change), atol=1e-4, rtol=1e-3)
    clean = probing.end_logits(model, texts)
    assert (found - clean).abs().amax((1, 2)).min() > 1e-3  # else no edit did anything


def test_many_edits_need_a_place_in_a_block_each(model, texts):
    for site in ("hook_embed", lambda name: name.endswith("hook_resid_pre")):
        with pytest.raises(probing.Unusable, match="each edit needs one site, which lies in a block"):
            probing.end_logits_of_each(model, texts, [(site, probing.along(numbers(12)))])


def test_a_direction_of_length_0_and_a_class_alone_are_refused():
    with pytest.raises(probing.Unusable, match="length 0"):
        probing.mirror(torch.zeros(3), torch.zeros(3))
    with pytest.raises(probing.Unusable, match="one example alone"):
        probing.mirror_classes(numbers(5, 3), torch.tensor([0, 0, 0, 0, 1]))
    with pytest.raises(probing.Unusable, match="there are 2 classes"):
        probing.mirror_classes(numbers(6, 3), torch.arange(6) % 3)


# --- erasing ----------------------------------------------------------------------------------------------------------


def classes_apart(classes=3, n=300, d=8, seed=0):
    """Correlated activations, far from 0, in which a label is spread over several directions."""
    y = torch.arange(n) % classes
    mixing = numbers(d, d, seed=50)
    return (numbers(n, d, seed=seed) + 2 * numbers(classes, d, seed=51)[y]) @ mixing + 5, y


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_after_leace_the_class_means_coincide_and_nothing_is_correlated(classes):
    x, y = classes_apart(classes)
    x = x.double()
    eraser = probing.leace(x, y)
    means = probing.class_means(eraser(x), y, classes)
    torch.testing.assert_close(means, x.mean(0).expand(classes, -1), atol=1e-8, rtol=1e-8)
    assert eraser.rank == classes - 1
    torch.testing.assert_close(eraser.matrix @ eraser.matrix, eraser.matrix), "a projection"


@pytest.mark.parametrize("classes", [2, 3])
def test_after_leace_no_linear_probe_does_better_than_guessing(classes):
    """Control: the same probes before it, and after directions of a label that means nothing were taken out."""
    x, y = classes_apart(classes)
    erased = probing.leace(x, y)(x)
    other = probing.leace(x, torch.randint(classes, (300,), generator=torch.Generator().manual_seed(3)))(x)
    for fit in (probing.ridge, probing.logistic, probing.mass_mean):
        k = classes
        assert probing.judge(fit(x, y), x, y).share > 0.9
        assert probing.judge(fit(other, y), other, y).share > 0.75
        assert probing.judge(fit(erased, y), erased, y).share < 1 / k + 0.12
    likely = probing.logistic(erased, y).chances(erased)
    torch.testing.assert_close(likely, torch.full_like(likely, 1 / classes), atol=0.01, rtol=0)


def test_leace_is_its_formula_where_the_covariance_has_an_inverse():
    """r(x) = x − W⁺ P W (x − μ), with W from an eigendecomposition by hand and P from a least-squares projector."""
    x, y = classes_apart(3)
    x = x.double()
    centred = x - x.mean(0)
    sigma = centred.T @ centred / len(x)
    z = torch.nn.functional.one_hot(y, 3).double()
    values, vectors = torch.linalg.eigh(sigma)
    W = vectors @ torch.diag(values**-0.5) @ vectors.T
    A = W @ (centred.T @ (z - z.mean(0)) / len(x))
    P = A @ torch.linalg.pinv(A, rtol=1e-10)
    want = x - centred @ (torch.linalg.inv(W) @ P @ W).T
    torch.testing.assert_close(probing.leace(x, y)(x), want)


def test_no_other_affine_eraser_changes_less():
    """Any matrix M with M Σ_XZ = Σ_XZ erases (as affine map x − M (x − μ)). LEACE moves least, by three norms."""
    x, y = classes_apart(2, d=6)
    x = x.double()
    centred = x - x.mean(0)
    cross = (probing.class_means(x, y, 2)[1] - x.mean(0))[:, None]
    least = probing.leace(x, y)
    for seed in range(30):
        row = numbers(1, 6, seed=seed).double()
        other = cross @ row / (row @ cross)
        erased = centred - centred @ other.T
        torch.testing.assert_close(erased[y == 0].mean(0), erased[y == 1].mean(0))
        for norm in (torch.eye(6).double(), torch.diag(torch.arange(1, 7).double()), numbers(6, 6, seed=70).double()):
            mine, theirs = ((centred @ m.T @ norm).pow(2).sum() for m in (least.matrix, other))
            assert mine < theirs


def test_directions_that_never_vary_are_left_alone():
    x, y = classes_apart(2, d=4)
    wide = torch.cat([x, torch.full((300, 2), 7.0), x[:, :1] * 2], 1)
    erased = probing.leace(wide, y)(wide)
    assert torch.isfinite(erased).all()
    torch.testing.assert_close(erased[:, 4:6], wide[:, 4:6])
    means = probing.class_means(erased, y, 2)
    torch.testing.assert_close(means[0], means[1], atol=1e-3, rtol=1e-3)


def test_an_eraser_reads_any_leading_axes_and_refuses_another_width():
    x, y = classes_apart(2)
    eraser = probing.leace(x, y)
    torch.testing.assert_close(eraser(x.view(30, 10, 8)).view(300, 8), eraser(x))
    with pytest.raises(probing.Unusable, match="numbers in a row"):
        eraser(x[:, :5])
    with pytest.raises(probing.Unusable, match="all labels are the same"):
        probing.leace(x, torch.zeros(300).long())
