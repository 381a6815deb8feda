"""A stream of activations: what comes out of it, in which order, and how much it holds meanwhile."""

from __future__ import annotations

import gc
import itertools

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from mi_lib import Transformer, TransformerConfig, saes
from mi_lib.models import UnknownSite

SITE = "blocks.1.hook_resid_pre"
MIB = 2**20


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(
        n_layers=3, d_model=16, n_heads=2, d_head=8, d_vocab=19, n_ctx=32, d_mlp=20, norm="layernorm"
    )
    return Transformer(config).init_weights(0).requires_grad_(False)


def tokens(rows=8, width=12, seed=0):
    return torch.randint(1, 19, (rows, width), generator=torch.Generator().manual_seed(seed))


def padded():
    """Texts of different lengths, padded on the left or on the right: (tokens, mask)."""
    mask = torch.ones(8, 12, dtype=torch.bool)
    mask[2:5, 7:], mask[5:, :4] = False, False
    return tokens(), mask


def stream(model, corpus, site=SITE, batch=8, memory=1.0, **options):
    return saes.ActivationStream(model, site, corpus, batch=batch, memory=memory, **options)


def in_order(rows):
    """Rows sorted, so that two sets of them can be compared."""
    return torch.tensor(sorted(rows.tolist()))


def at(model, text, site=SITE, mask=None):
    return model.run_with_cache(text, names=site, attention_mask=mask)[1][site]


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_every_activation_of_the_corpus_comes_once_each_time_round_and_in_another_order(model):
    got = torch.cat(list(stream(model, [tokens(seed=0), tokens(seed=1)], epochs=2)))
    expected = torch.cat([at(model, tokens(seed=seed)).flatten(0, 1) for seed in (0, 1, 0, 1)])
    assert torch.allclose(in_order(got), in_order(expected), atol=1e-5)
    assert not torch.allclose(got, expected, atol=1e-2)


def test_neighbours_in_a_text_do_not_stay_neighbours(model):
    """Activations are known again by their value: how far apart in the corpus are those of one batch?"""
    corpus = tokens(200, 12)
    every = at(model, corpus).flatten(0, 1)
    batch = next(stream(model, corpus))
    places = torch.cdist(batch, every).argmin(1).float()
    assert places.std() > 0.5 * len(every) / 12**0.5  # uniform over the corpus: 1/√12 of its length


def test_padding_and_dropped_tokens_do_not_come_out(model):
    text, mask = padded()
    text[:, 5] = 3
    got = torch.cat(list(stream(model, [(text, mask)], epochs=1, drop=[3])))
    assert torch.allclose(in_order(got), in_order(at(model, text, mask=mask)[mask & (text != 3)]), atol=1e-5)


@pytest.mark.parametrize("chosen", [[0, -1], [-1], slice(1, 4), slice(-2, None), [40, 0]])
def test_positions_are_counted_in_each_texts_real_tokens(model, chosen):
    text, mask = padded()
    values, expected = at(model, text, mask=mask), []
    for row, real in zip(values, mask, strict=True):
        own = row[real]
        expected += list(own[chosen]) if isinstance(chosen, slice) else [own[p] for p in chosen if p < len(own)]
    got = torch.cat(list(stream(model, [(text, mask)], epochs=1, positions=chosen)))
    assert torch.allclose(in_order(got), in_order(torch.stack(expected)), atol=1e-5)


@pytest.mark.parametrize(
    ("site", "heads", "expected"),
    [
        (("z", 1), "flatten", lambda z: z.flatten(2)),
        (("z", 1), 1, lambda z: z[:, :, 1]),
        ("blocks.2.mlp.hook_post", None, lambda post: post),
        ("ln_final.hook_normalized", None, lambda x: x),
        ("hook_embed", None, lambda x: x),
    ],
)
def test_any_site_can_be_streamed_and_one_with_heads_as_it_is_asked_for(model, site, heads, expected):
    got = torch.cat(list(stream(model, tokens(), site, epochs=1, heads=heads)))
    _, cache = model.run_with_cache(tokens(), names=site)
    assert torch.allclose(in_order(got), in_order(expected(cache[site]).flatten(0, 1)), atol=1e-5)


def test_the_model_stops_at_the_site(model):
    with model.hooks([(lambda name: name.startswith("blocks.2"), lambda value, hook: pytest.fail(hook.name))]):
        assert len(next(stream(model, tokens(), ("resid_post", 1)))) == 8
    with pytest.raises(pytest.fail.Exception), model.hooks([(("resid_pre", 2), lambda *args: pytest.fail("seen"))]):
        next(stream(model, tokens(), ("resid_post", 2)))


def words(*names):
    vocabulary = {"<bos>": 0, **{name: i + 1 for i, name in enumerate(names)}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<bos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def test_texts_and_lists_of_tokens_are_read_together_and_give_what_each_gives_alone(model, monkeypatch):
    monkeypatch.setattr(model, "tokenizer", words(*"abcdefg"))
    texts = ["a b c", "d", "e f g a b"]
    expected = torch.cat([at(model, text)[0] for text in texts])
    ids = [[0, 1, 2, 3], [0, 4], [0, 5, 6, 7, 1, 2]]
    for corpus in (texts, [texts], ids, [torch.tensor(one) for one in ids], iter(texts)):
        got = torch.cat(list(stream(model, corpus, epochs=1)))
        assert torch.allclose(in_order(got), in_order(expected), atol=1e-5)
    assert saes.special_tokens(model) == [0]
    assert len(torch.cat(list(stream(model, texts, epochs=1, drop=saes.special_tokens(model))))) == 9


def test_a_sentence_ends_and_what_can_be_read_again_does_not(model):
    one = tokens(1, 5)
    assert [len(batch) for batch in stream(model, iter([one]), batch=3)] == [3, 2]
    for again in ([one], one, lambda: iter([one])):
        assert len(list(itertools.islice(stream(model, again, batch=3), 20))) == 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_are_stored_as_asked(model, dtype):
    got = next(stream(model, tokens(), dtype=dtype))
    assert got.dtype == dtype
    expected = at(model, tokens()).flatten(0, 1)
    assert torch.cdist(got.float(), expected, compute_mode="donot_use_mm_for_euclid_dist").min(1).values.max() < (
        1e-5 if dtype == torch.float32 else 0.05
    )


def test_the_same_seed_gives_the_same_stream_and_another_seed_another(model):
    first, same, other = ([*itertools.islice(stream(model, tokens(), seed=seed), 9)] for seed in (1, 1, 2))
    assert all(map(torch.equal, first, same))
    assert not any(map(torch.equal, first, other))


@pytest.mark.parametrize("steps", [0, 1, 7, 30])
def test_a_stream_goes_on_where_another_has_stopped(model, steps):
    corpus = [tokens(3, 12, seed) for seed in range(5)]
    first, second = stream(model, corpus, memory=0.06, batch=4), stream(model, corpus, memory=0.06, batch=4)
    for _ in range(steps):
        next(first)
    second.restore({name: tensor.clone() for name, tensor in first.state().items()})
    for _ in range(40):
        assert torch.equal(next(first), next(second))


# --- how much it holds ------------------------------------------------------------------------------------------------


def most_held(work):
    """The most that torch's allocator has given out at once, by its own account, in bytes. (Not by ours.)"""
    from torch.profiler import ProfilerActivity, profile

    gc.collect()  # what earlier tests have left would be given back meanwhile, and counted
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = recorded.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    return max(itertools.accumulate(change for _, change in changes))


@pytest.mark.parametrize("memory", [0.25, 1.0])
@pytest.mark.parametrize("site", ["hook_embed", "blocks.2.hook_resid_post"])
@pytest.mark.parametrize("lists", [False, True])
def test_a_stream_never_holds_more_than_it_says_and_uses_most_of_it(model, memory, site, lists):
    corpus = [tokens(400, 32, seed) for seed in range(2)]
    if lists:  # of texts of many lengths, which the stream pads itself
        corpus = [row[: 32 - i % 9].tolist() for i, row in enumerate(torch.cat(corpus))]

    def read():
        for _ in itertools.islice(stream(model, corpus, site, batch=64, memory=memory), 60):
            pass

    held = most_held(read)
    print(f"{site} {lists}: {held / MIB:.3f} of {memory} MiB")
    assert 0.6 * memory < held / MIB <= memory


def test_bytes_are_counted_while_a_storage_lives_and_views_of_what_was_there_are_not():
    from mi_lib.saes.holding import Holding

    before = torch.zeros(1000)
    with Holding() as held:
        a = torch.ones(1000) + before.view(10, 100).flatten()
        assert held.now == 4000  # the ones are gone again
        b = a.view(10, 100)[:5]
        assert held.now == 4000
        del a, b
    assert (held.now, held.peak) == (0, 8000)


# --- what cannot be streamed ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("site", "options", "said"),
    [
        (("z", 1), {}, "a vector for each head"),
        (("pattern", 1), {}, "each pair of positions"),
        (SITE, {"memory": 0.001}, r"hold too few activations .* give it 0.0\d+ MiB or more"),
        (SITE, {"memory": 0.02, "batch": 1}, "to read 16 tokens takes"),
        (SITE, {"dtype": torch.float16}, "float32 or bfloat16"),
        (SITE, {"batch": 0}, "at least one"),
        (SITE, {"drop": range(19)}, "nothing of this corpus is kept"),
        (lambda name: name.endswith("resid_pre"), {}, "one site, not 3"),
    ],
)
def test_what_cannot_be_streamed_is_told_in_one_sentence(model, site, options, said):
    with pytest.raises(ValueError, match=said) as told:
        next(stream(model, tokens(), site, **options))
    assert "\n" not in str(told.value)


def test_the_least_memory_that_is_named_is_enough(model):
    with pytest.raises(ValueError, match="MiB or more") as told:
        stream(model, tokens(1, 2), memory=0.001)
    least = float(str(told.value).rsplit("give it ", 1)[1].split()[0])
    assert stream(model, tokens(1, 2), memory=1.01 * least).buffer.size >= 16


def test_a_site_that_is_not_there_and_a_corpus_that_is_none(model):
    with pytest.raises(UnknownSite, match="hook_resid_pre"):
        stream(model, tokens(), "blocks.1.hook_resid_prae")
    with pytest.raises(TypeError, match="this is a float"):
        next(stream(model, [0.5]))
    with pytest.raises(ValueError, match="read once, not 3 times"):
        stream(model, iter([tokens()]), epochs=3)


def test_nan_in_the_stream_is_told_with_its_place_and_the_dictionary_stays_finite(model):
    calls = itertools.count()

    def spoil(value, hook):
        return value / 0 if next(calls) > 20 else value

    sae = saes.TopK(16, 24, k=4)
    with model.hooks([("hook_embed", spoil)]), pytest.raises(ValueError, match=r"in one of the .* item") as told:
        saes.train(sae, stream(model, [tokens(seed=seed) for seed in range(50)], memory=0.1), 1000)
    assert "NaN" in str(told.value)
    assert "\n" not in str(told.value)
    assert all(bool(parameter.isfinite().all()) for parameter in sae.parameters())


def test_a_dictionary_learns_from_a_stream_and_one_of_another_width_does_not(model):
    x = at(model, tokens(20, 12, seed=5)).flatten(0, 1)
    streamed = saes.train(saes.TopK(16, 24, k=4), stream(model, tokens(200, 12), batch=64), 100)
    at_once = saes.train(saes.TopK(16, 24, k=4), at(model, tokens(200, 12)).flatten(0, 1), 100, batch=64)
    assert saes.fve(x, streamed(x)) == pytest.approx(saes.fve(x, at_once(x)), abs=0.05)
    assert saes.fve(x, streamed(x)) > saes.fve(x, saes.TopK(16, 24, k=4)(x)) + 0.1
    with pytest.raises(ValueError, match=r"\[batch 7\], not \[8, 16\]"):
        saes.train(saes.TopK(7, 24, k=4), stream(model, tokens()), 5)
    with pytest.raises(ValueError, match="ended after 2 of 50 steps"):
        saes.train(saes.TopK(16, 24, k=4), stream(model, iter([tokens(1, 16)])), 50)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("where", ["cuda", "cpu"])
def test_model_and_dictionary_may_be_on_a_gpu_and_the_buffer_on_either_side(model, where):
    import copy

    sae = saes.TopK(16, 24, k=4).to("cuda")
    activations = stream(copy.deepcopy(model).to("cuda"), tokens(200, 12), batch=64, device=where)
    assert next(activations).device.type == where
    saes.train(sae, activations, 50, matmuls="bfloat16")
    assert sae.W_dec.device.type == "cuda"
    assert sae.W_dec.dtype == torch.float32
