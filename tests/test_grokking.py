"""The grokking library and its recipe, on cases whose answer is known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress

from mi_lib import grokking, load
from mi_lib.grokking.fourier import by_frequency
from mi_lib.models import Transformer, TransformerConfig
from mi_lib.recipes import cards
from mi_lib.recipes.grokking import card as grokking_cards
from mi_lib.recipes.grokking import checks
from mi_lib.recipes.grokking import train as recipe
from mi_lib.worlds.modular import Modular

odd = st.integers(1, 30).map(lambda n: 2 * n + 1)
signs = st.sampled_from([1, -1])


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def answers(p: int, sign: int = 1) -> torch.Tensor:
    return torch.tensor([(a + sign * b) % p for a in range(p) for b in range(p)])


def angles(p: int, k: int, sign: int = 1) -> np.ndarray:
    """w_k(a ± b) over all pairs."""
    return np.array([2 * math.pi * k * (a + sign * b) / p for a in range(p) for b in range(p)])


def setup(p: int = 13, sign: int = 1, **changes) -> recipe.Setup:
    return recipe.Setup(p=p, sign=sign, d_model=8, n_heads=2, d_mlp=16, steps=12, **changes)


def untrained(p: int = 13, seed: int = 0) -> Transformer:
    return recipe.new_model(setup(p, seed=seed)).eval().requires_grad_(False)


def planted(
    p: int, frequencies: list[int], sign: int = 1, strength: float = 4.0, equals_logit: bool = True
) -> Transformer:
    """A network that adds (or subtracts), written down by hand.

    Each number is a point on a circle for each frequency. One head brings the circle of a, another that of ±b. Eight
    neurons for each frequency, ReLU(cos(wa + φ) + cos(±wb + φ)) with phases φ all around, contain cos(w(a ± b) + 2φ),
    and answer c collects them with cos(wc + 2φ).
    """
    n, phases = 2 * len(frequencies), 8
    config = TransformerConfig(
        n_layers=1,
        d_model=2 * n + 3,
        n_heads=2,
        d_head=n,
        d_vocab=p + 1,
        n_ctx=3,
        d_mlp=phases * len(frequencies),
        d_vocab_out=None if equals_logit else p,
    )
    model = Transformer(config)
    block, numbers = model.blocks[0], torch.arange(p)
    with torch.no_grad():
        for position in range(3):
            model.W_pos[position, 2 * n + position] = 1.0
        for head in (0, 1):
            block.attn.W_Q[head, 2 * n + 2, 0] = 40.0 * math.sqrt(n)  # from the position of "="
            block.attn.W_K[head, 2 * n + head, 0] = 1.0  # to the head's own position
            block.attn.W_V[head, :n] = torch.eye(n)
            block.attn.W_O[head, :, :n] = torch.eye(n)
        block.attn.W_O[1, range(1, n, 2), range(1, n, 2)] = float(sign)  # sin(−wb) = −sin(wb)
        for i, k in enumerate(frequencies):
            cos, sin = 2 * i, 2 * i + 1
            angle = 2 * math.pi * k * numbers / p
            model.W_E[:p, cos], model.W_E[:p, sin] = angle.cos(), angle.sin()
            model.W_U[n + cos, :p], model.W_U[n + sin, :p] = strength * angle.cos(), strength * angle.sin()
            for j in range(phases):
                phase, neuron = 2 * math.pi * j / phases, phases * i + j
                block.mlp.W_in[cos, neuron], block.mlp.W_in[sin, neuron] = math.cos(phase), -math.sin(phase)
                block.mlp.W_out[neuron, n + cos] = math.cos(2 * phase)
                block.mlp.W_out[neuron, n + sin] = -math.sin(2 * phase)
    return model.eval().requires_grad_(False)


def renumbered(model: Transformer, factor: int) -> Transformer:
    """The same network with every number a called factor·a: it still adds."""
    p = model.cfg.d_vocab - 1
    order = [a * pow(factor, -1, p) % p for a in range(p)]
    copy = Transformer(model.config)
    copy.load_state_dict({**model.state_dict(), "W_E": model.W_E[[*order, p]], "W_U": model.W_U[:, [*order, p]]})
    return copy.requires_grad_(False)


# --- Fourier ----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(p=odd)
def test_the_basis_is_orthonormal_and_complete(p):
    basis = grokking.fourier_basis(p)
    assert torch.allclose(basis @ basis.T, torch.eye(p, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(basis.T @ basis, torch.eye(p, dtype=torch.float64), atol=1e-10)


@pytest.mark.parametrize("p", [5, 97, 113])
def test_the_last_frequency_is_there_and_a_range_that_ends_at_half_of_p_would_lose_it(p):
    last = (p - 1) // 2
    wave = torch.tensor([math.cos(2 * math.pi * last * a / p) for a in range(p)], dtype=torch.float64)
    kept = grokking.fourier_basis(p) @ wave
    assert kept.norm() == pytest.approx(wave.norm().item())
    short = torch.cat([kept[:1], *(kept[2 * k - 1 : 2 * k + 1] for k in range(1, p // 2))])
    assert short.norm() == pytest.approx(0, abs=1e-9)


def test_even_and_tiny_p_are_refused():
    for p in (1, 2, 10):
        with pytest.raises(ValueError, match="odd number"):
            grokking.fourier_basis(p)


@settings(max_examples=20, deadline=None)
@given(p=odd, seed=st.integers(0, 10**6))
def test_the_spectrum_is_that_of_numpy(p, seed):
    x = randn(p, 4, seed=seed) + 3
    energy = (np.abs(np.fft.rfft(x.numpy(), axis=0)) ** 2).sum(1)[1:]
    assert grokking.spectrum(x).numpy() == pytest.approx(energy / energy.sum(), abs=1e-9)


def test_the_spectrum_of_equal_vectors_is_zero():
    for value in (1.0, 0.1, 3e4):  # not exactly: rounding leaves something
        assert grokking.spectrum(torch.full((7, 3), value)).tolist() == [0, 0, 0]


def test_component_norms_hold_the_whole_length_and_the_constant_first():
    x = randn(11, 5)
    norms = grokking.component_norms(x)
    assert norms.pow(2).sum() == pytest.approx(x.pow(2).sum().item())
    assert norms[0] == pytest.approx(math.sqrt(11) * x.mean(0).norm().item())
    assert by_frequency(norms.pow(2)).numpy() == pytest.approx(
        2 / 11 * (np.abs(np.fft.rfft(x.numpy(), axis=0)) ** 2).sum(1)[1:]
    )


@settings(max_examples=15, deadline=None)
@given(p=st.sampled_from([7, 11, 15]), seed=st.integers(0, 10**6))
def test_the_transform_over_both_axes_can_be_undone_and_has_numpys_energy(p, seed):
    x = randn(p, p, 2, seed=seed)
    transformed, basis = grokking.fourier_2d(x), grokking.fourier_basis(p)
    assert torch.allclose(torch.einsum("ijn,ia,jb->abn", transformed, basis, basis), x)
    numpy = np.abs(np.fft.fft2(x[:, :, 0].numpy())) ** 2 / p**2
    for i, j in ((1, 2), (p // 2, 1)):  # each pair (±i, ±j) of complex waves is one block of four real ones
        block = transformed[2 * i - 1 : 2 * i + 1, 2 * j - 1 : 2 * j + 1, 0].pow(2).sum().item()
        assert block == pytest.approx(sum(numpy[s * i, t * j] for s in (1, -1) for t in (1, -1)))


@given(p=odd, k=st.integers(-200, 200))
def test_a_folded_frequency_is_the_same_wave(p, k):
    folded = grokking.fold(k, p)
    assert 0 <= folded <= (p - 1) // 2
    for a in range(p):
        assert math.cos(2 * math.pi * folded * a / p) == pytest.approx(math.cos(2 * math.pi * k * a / p), abs=1e-9)
    assert grokking.harmonic(k, p) == grokking.fold(2 * k, p)


# --- neurons ----------------------------------------------------------------------------------------------------------


def maps(p: int, *functions) -> torch.Tensor:
    a, b = np.meshgrid(2 * np.pi * np.arange(p) / p, 2 * np.pi * np.arange(p) / p, indexing="ij")
    return torch.tensor(np.stack([f(a, b) for f in functions], axis=-1))


def test_a_neuron_belongs_to_the_frequency_that_it_is_made_of():
    p = 17
    last = 8
    neurons = grokking.neuron_frequencies(
        maps(
            p,
            lambda a, b: 5 + np.cos(3 * a),  # of a alone, and a mean that must not count
            lambda a, b: np.cos(2 * a) * np.sin(2 * b) + np.sin(2 * b + 1),
            lambda a, b: np.cos(last * (a + b)),
            lambda a, b: 2 * np.cos(a) + np.cos(4 * b),  # 4 : 1 in energy
            lambda a, b: np.cos(a) * np.cos(2 * b),  # two frequencies: no single one explains it
            lambda a, b: 1e-9 * np.cos(5 * a),
        )
    )
    assert neurons.frequency[:4].tolist() == [3, 2, last, 1]
    assert neurons.explained[:5].numpy() == pytest.approx([1, 1, 1, 0.8, 0], abs=1e-9)
    assert neurons.live.tolist() == [True] * 5 + [False]


def test_key_frequencies_are_those_with_neurons_of_their_own():
    p, noise = 17, randn(17, 17, 200, seed=1)
    planted_neurons = maps(p, *[lambda a, b: 3 * np.cos(2 * a + 1) * np.cos(2 * b)] * 20, lambda a, b: np.cos(8 * b))
    assert grokking.key_frequencies(grokking.neuron_frequencies(noise)) == []
    both = grokking.neuron_frequencies(torch.cat([noise, planted_neurons], dim=2))
    assert grokking.key_frequencies(both) == [2], "one neuron of 221 is less than 2 %"
    assert grokking.key_frequencies(both, share=0.001) == [2, 8]
    for constant in (0.0, 0.1):
        neurons = grokking.neuron_frequencies(torch.full((5, 5, 3), constant))
        assert not neurons.live.any()
        assert grokking.key_frequencies(neurons) == []


# --- logits -----------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(data=st.data(), p=odd, sign=signs)
def test_key_directions_span_exactly_the_waves_of_a_plus_or_minus_b(data, p, sign):
    k = data.draw(st.integers(1, (p - 1) // 2))
    directions = grokking.key_directions(p, k, sign)
    assert torch.allclose(directions @ directions.T, torch.eye(2, dtype=torch.float64), atol=1e-10)
    angle = torch.tensor(angles(p, k, sign))
    waves = torch.stack([angle.cos(), angle.sin()])
    assert torch.allclose(waves @ directions.T @ directions, waves, atol=1e-9)
    if p > 3:  # waves of the other sum have no part in it; for p = 3 neither, but cos and sin are nearly all there is
        other = torch.tensor(angles(p, k, -sign))
        assert (directions @ torch.stack([other.cos(), other.sin()]).T).abs().max() < 1e-9


@settings(max_examples=20, deadline=None)
@given(p=st.sampled_from([3, 7, 11]), sign=signs, seed=st.integers(0, 10**6))
def test_amplitudes_shares_and_waves_agree_with_sums_written_out(p, sign, seed):
    logits = randn(p * p, p, seed=seed)
    pairs = np.array([(a, b) for a in range(p) for b in range(p)])
    centred = logits - logits.mean(1, keepdim=True)
    centred = (centred - centred.mean(0)).numpy()
    ks = range(1, (p - 1) // 2 + 1)
    found, shares = grokking.amplitudes(logits, ks, sign), grokking.wave_shares(logits, sign)
    for k in ks:
        wave = np.cos(2 * np.pi * k / p * (pairs[:, :1] + sign * pairs[:, 1:] - np.arange(p)))
        assert grokking.cosine(p, k, sign).numpy() == pytest.approx(wave, abs=1e-9)
        assert found[k] == pytest.approx((logits.numpy() * wave).sum() / (wave**2).sum())
        along = (centred * wave).sum() ** 2 / (wave**2).sum() / (centred**2).sum()
        assert shares[k - 1].item() == pytest.approx(along)


def test_shares_of_logits_that_never_vary_are_zero():
    for value in (0.0, 0.1, 3e4):
        assert grokking.wave_shares(torch.full((25, 5), value)).tolist() == [0, 0]


@settings(max_examples=10, deadline=None)
@given(sign=signs, seed=st.integers(0, 10**6))
def test_planted_amplitudes_are_found_in_noise(sign, seed):
    p, amplitude = 17, {2: 5.0, 8: -3.0}
    logits = grokking.formula_logits(p, amplitude, sign) + randn(p * p, p, seed=seed)
    assert grokking.amplitudes(logits, [2, 8], sign) == pytest.approx(amplitude, abs=0.15)
    shares = grokking.wave_shares(logits, sign)
    assert sorted(shares.topk(2).indices.tolist()) == [1, 7]
    assert shares[1] + shares[7] == pytest.approx(17 / 18, abs=0.03)  # (25 + 9)/2 of variance beside 1
    assert grokking.wave_shares(logits, -sign).sum() < 0.05


@settings(max_examples=10, deadline=None)
@given(sign=signs, seed=st.integers(0, 10**6))
def test_restricted_logits_keep_the_planted_waves_and_excluded_ones_the_rest(sign, seed):
    p, ks, right = 17, [1, 4, 8], answers(17, sign)
    formula = grokking.formula_logits(p, dict.fromkeys(ks, 10.0), sign)
    mean, noise = randn(p, seed=seed + 1), 3 * randn(p * p, p, seed=seed)
    logits = formula + mean + noise
    restricted, excluded = (f(logits, ks, sign) for f in (grokking.restricted_logits, grokking.excluded_logits))
    assert torch.allclose(restricted + excluded, logits + logits.mean(0))
    assert torch.allclose(grokking.excluded_logits(formula, ks, sign), torch.zeros_like(formula), atol=1e-9)
    assert (restricted - formula - logits.mean(0)).std() < 0.2 * noise.std()  # 6 of 289 directions of noise are left
    assert grokking.loss(restricted, right) < 0.1 * grokking.loss(logits, right)
    assert grokking.loss(excluded, right) > math.log(p)


def test_without_frequencies_the_mean_logits_are_left_and_nothing_is_excluded():
    logits = randn(49, 7)
    assert torch.allclose(grokking.restricted_logits(logits, []), logits.mean(0).expand(49, 7))
    assert torch.equal(grokking.excluded_logits(logits, []), logits)
    assert grokking.accuracy(grokking.formula_logits(7, {}), answers(7)) == pytest.approx(1 / 7)


def test_a_mask_made_by_an_outer_product_flatters_the_restricted_loss():
    p, ks, right = 13, [2, 5], answers(13)
    basis = grokking.fourier_basis(p)
    rows = [0, *(row for k in ks for row in (2 * k - 1, 2 * k))]
    block = torch.stack([torch.outer(basis[i], basis[j]).flatten() for i in rows for j in rows])
    directions = torch.cat([grokking.key_directions(p, k) for k in ks])
    assert len(block) == (2 * len(ks) + 1) ** 2
    assert len(directions) == 2 * len(ks)
    training = Modular(p).in_training
    by_heart = torch.nn.functional.one_hot(right, p).double() * training[:, None]
    memory = block.T @ (block @ by_heart)
    memory = 20 * (memory - directions.T @ (directions @ memory))  # waves of a − b, products of two frequencies
    kept_by_mask = block.T @ (block @ memory)
    restricted = grokking.restricted_logits(memory, ks)
    assert grokking.loss(restricted[training], right[training]) >= math.log(p) - 0.1
    assert grokking.loss(kept_by_mask[training], right[training]) < math.log(p) - 1, "without one wave of a + b"


def test_the_loss_does_not_vanish_where_float32_would_round_it_to_nothing():
    logits = torch.zeros(9, 3, dtype=torch.float64)
    logits[range(9), answers(3)] = 25.0
    assert grokking.loss(logits.float(), answers(3)) == pytest.approx(2 * math.exp(-25), rel=1e-4)
    assert torch.nn.functional.cross_entropy(logits.float(), answers(3)) == 0


def test_any_positive_amplitude_of_any_frequency_answers_rightly_so_only_the_loss_tells():
    p, right = 13, answers(13)
    for k in range(1, 7):
        assert grokking.accuracy(grokking.formula_logits(p, {k: 1e-3}), right) == 1
        assert grokking.loss(grokking.formula_logits(p, {k: 1e-3}), right) == pytest.approx(math.log(p), abs=0.01)
        assert grokking.accuracy(grokking.formula_logits(p, {k: -1e-3}), right) == 0


# --- measures ---------------------------------------------------------------------------------------------------------


def test_gini_of_known_cases():
    assert grokking.gini(torch.ones(8)) == pytest.approx(0)
    assert grokking.gini(torch.tensor([0.0, 0, 0, 3])) == pytest.approx(3 / 4)
    assert grokking.gini(torch.tensor([1.0, 3])) == pytest.approx(1 / 4)
    for wrong in ([-1.0, 2.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="not negative"):
            grokking.gini(torch.tensor(wrong))


@given(x=st.lists(st.floats(0.01, 100), min_size=1, max_size=20), scale=st.floats(0.1, 10))
def test_gini_is_half_the_relative_mean_difference_and_knows_no_scale(x, scale):
    numbers = np.array(x)
    expected = np.abs(numbers[:, None] - numbers).mean() / (2 * numbers.mean())
    assert grokking.gini(torch.tensor(x)) == pytest.approx(expected, abs=1e-6)
    assert grokking.gini(scale * torch.tensor(x)) == pytest.approx(expected, abs=1e-6)


def test_the_weight_norm_is_the_sum_of_squares():
    layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[3.0, 4.0]]))
        layer.bias.fill_(2.0)
    assert grokking.weight_norm(layer) == pytest.approx(29)


def test_phases_are_the_first_steps_and_an_untrained_network_has_no_circuit():
    steps = [0, 100, 200, 300, 400]
    train, excluded, test = [0.01, 1.0, 1, 1, 1], [4.7, 0.1, 1.2, 0.9, 5.0], [0.01, 0.02, 0.3, 0.9995, 1.0]
    assert grokking.phases(steps, train, excluded, test) == (100, 200, 300)
    assert grokking.phases(steps, train, [4.7, 0.1, 0.1, 0.1, 0.1], [0.0] * 5) == (100, None, None)
    assert grokking.phases(steps, [0.5] * 5, [4.7] * 5, [0.0] * 5) == (None, None, None)


# --- networks and the whole analysis ----------------------------------------------------------------------------------


def test_every_input_is_what_the_network_says_about_each_pair():
    model = untrained(p=7)
    inputs = grokking.every_input(model)
    assert inputs.logits.shape == (49, 7)
    for a, b in ((0, 0), (2, 5), (6, 1)):
        logits, cache = model.run_with_cache(torch.tensor([[a, b, 7]]))
        assert torch.allclose(inputs.logits[7 * a + b].float(), logits[0, -1, :7], atol=1e-5)
        assert torch.allclose(inputs.neurons[a, b].float(), cache["post", 0][0, -1], atol=1e-5)
    assert torch.allclose(inputs.embedding.float(), model.W_E[:7])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"n_layers": 2}, "one layer with an MLP"),
        ({"d_mlp": 0}, "one layer with an MLP"),
        ({"n_ctx": 2}, "room for three tokens"),
        ({"d_vocab": 9}, "its vocabulary is 9"),
        ({"d_vocab_out": 5}, "7 logits, or 8"),
    ],
)
def test_a_network_of_another_shape_is_refused_with_the_reason(changes, reason):
    shape = {"n_layers": 1, "d_model": 4, "n_heads": 1, "d_head": 4, "d_vocab": 8, "n_ctx": 3, "d_mlp": 4} | changes
    with pytest.raises(ValueError, match=reason):
        grokking.analyse(Transformer(TransformerConfig(**shape)).init_weights(0))


@pytest.mark.parametrize("equals_logit", [True, False])
def test_a_state_with_the_names_of_transformer_lens_is_the_same_network(equals_logit):
    model = planted(13, [2, 5], equals_logit=equals_logit)
    names = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "W_U": "unembed.W_U"}
    state = {names.get(name, name): value for name, value in model.state_dict().items()}
    state |= {"blocks.0.attn.mask": torch.ones(3, 3), "blocks.0.attn.IGNORE": torch.tensor(-1e5)}
    ours, theirs = grokking.from_state(model.state_dict()), grokking.from_state(state)
    for other in (ours, theirs):
        assert torch.equal(grokking.every_input(other).logits, grokking.every_input(model).logits)
    assert theirs.config.d_vocab_out == (None if equals_logit else 13)


def test_a_state_with_biases_is_read_with_them():
    config = TransformerConfig(
        n_layers=1, d_model=4, n_heads=1, d_head=4, d_vocab=8, n_ctx=3, d_mlp=4, attn_bias=True, unembed_bias=True
    )
    model = Transformer(config).init_weights(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".b_" in name or name == "b_U":
                parameter.fill_(0.5)
    read = grokking.from_state(model.state_dict())
    assert torch.allclose(read(grokking.networks.pairs(7)), model(grokking.networks.pairs(7)), atol=1e-6)


def test_a_state_that_does_not_fit_is_refused_by_the_name_of_the_weight():
    state = untrained(7).state_dict()
    with pytest.raises(ValueError, match="lacks W_U"):
        grokking.from_state({name: value for name, value in state.items() if name != "W_U"})
    with pytest.raises(ValueError, match=r"nothing for blocks\.0\.mlp\.W_out"):
        grokking.from_state({name: value for name, value in state.items() if not name.endswith("W_out")})
    with pytest.raises(ValueError, match=r"for ln_final\.w, where this architecture has nothing"):
        grokking.from_state({**state, "ln_final.w": torch.ones(8)})


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("equals_logit", [True, False])
def test_the_frequencies_and_the_sign_of_a_planted_network_are_found(sign, equals_logit):
    found = grokking.analyse(planted(23, [3, 4, 11], sign, equals_logit=equals_logit))
    assert found.frequencies == (3, 4, 11)
    assert found.sign == sign
    assert found.accuracy > 0.99
    assert found.formula_accuracy == 1
    assert found.grokked
    assert found.embedding_share == pytest.approx(1)
    assert f"has grokked {'a + b' if sign == 1 else 'a − b'} mod 23: waves of frequencies 3, 4, 11" in found.verdict


def test_a_renumbered_network_still_adds_at_other_frequencies():
    model, factor = planted(23, [3, 4, 11]), 5
    found = grokking.analyse(renumbered(model, factor))
    # cos(w_k a) with a called a' = factor·a is cos(w_{k / factor} a')
    expected = sorted(grokking.fold(k * pow(factor, -1, 23), 23) for k in (3, 4, 11))
    assert found.frequencies == tuple(expected)
    assert found.formula_accuracy == 1
    assert found.accuracy == grokking.analyse(model).accuracy


def with_more_in_the_embedding(model: Transformer, columns: torch.Tensor) -> Transformer:
    """The same network with more written into each number's embedding, in dimensions that nothing reads there."""
    n = (model.cfg.d_model - 3) // 2
    with torch.no_grad():
        model.W_E[: len(columns), n : n + columns.shape[1]] = columns.float()
    return model


def waves(p: int, energy: dict[int, float]) -> torch.Tensor:
    """A cosine and a sine for each frequency, with as much energy as so many frequencies of `planted`."""
    angles = [2 * math.pi * k * torch.arange(p) / p for k in energy]
    pairs = [(share**0.5 * a.cos(), share**0.5 * a.sin()) for a, share in zip(angles, energy.values(), strict=True)]
    return torch.stack([wave for pair in pairs for wave in pair], dim=1)


def test_a_network_that_uses_less_than_half_of_its_embedding_is_not_called_grokked_without_a_word():
    whole = grokking.analyse(planted(23, [3, 4, 11]))
    more = 3 / 0.44 - 3  # key frequencies hold 44 % if this many more are put beside the three
    found = grokking.analyse(with_more_in_the_embedding(planted(23, [3, 4, 11]), waves(23, {7: more / 2, 9: more / 2})))
    assert torch.allclose(found.inputs.logits, whole.inputs.logits)
    assert found.frequencies == (3, 4, 11)
    assert found.key_share == pytest.approx(0.44, abs=1e-3)
    assert found.embedding_share == pytest.approx(0.44, abs=1e-3)
    assert found.without_neurons == (7, 9)
    assert found.grokked
    assert "has grokked a + b mod 23" in found.verdict
    assert "only 44% lies at key frequencies" in found.verdict
    assert "without neurons of their own: 7 (28%), 9 (28%)" in found.verdict
    assert whole.without_neurons == ()
    assert "embedding" not in whole.verdict
    assert "100% lies at key" in whole.embedding_note


def test_energy_that_is_spread_over_all_frequencies_is_told_and_none_of_them_is_strong():
    noise = randn(23, 6, seed=3) * (3 * 56 / 44 / 6) ** 0.5
    found = grokking.analyse(with_more_in_the_embedding(planted(23, [3, 4, 11]), noise))
    assert found.embedding_share < 0.7
    assert found.key_share < found.embedding_share, "noise has some energy at second harmonics"
    assert found.without_neurons == ()
    assert f"only {found.embedding_share:.0%} lies at key frequencies" in found.verdict


def test_a_second_harmonic_needs_no_neurons_and_counts_as_the_networks_own():
    found = grokking.analyse(with_more_in_the_embedding(planted(23, [3, 4, 11]), waves(23, {6: 2.0})))
    assert found.key_share == pytest.approx(3 / 5, abs=1e-3)
    assert found.embedding_share == pytest.approx(1)
    assert found.without_neurons == ()
    assert "embedding" not in found.verdict


def test_the_bundled_networks_use_their_embedding_and_the_control_has_nothing_strong_in_it():
    for name in ("grokking-113", "grokking-97-subtract"):
        found = grokking.analyse(load(name))
        assert found.embedding_share > 0.95
        assert found.without_neurons == ()
        assert "embedding" not in found.verdict
    control = grokking.analyse(load("grokking-113-memorising"))
    assert (control.embedding_share, control.key_share, control.without_neurons) == (0, 0, ())
    assert control.verdict == "This network has not grokked: no frequency has neurons of its own."
    assert control.embedding_note == "No frequency is strong in its embedding."


def test_frequencies_that_grow_in_the_embedding_before_neurons_have_gathered_are_named():
    early, later = (grokking.analyse(load("grokking-113", checkpoint=step)) for step in (2600, 6400))
    assert early.frequencies == ()
    assert early.without_neurons == (36,)
    assert "strong in its embedding without neurons of their own: 36 (6%)" in early.verdict
    assert later.frequencies == (24, 36)
    assert later.without_neurons == (19, 44)
    end = grokking.analyse(load("grokking-113")).frequencies
    assert {*later.without_neurons, *early.without_neurons} <= set(end)


def test_an_untrained_network_has_not_grokked():
    found = grokking.analyse(untrained(23))
    assert not found.grokked
    assert found.frequencies == ()
    assert "has not grokked" in found.verdict


def test_a_network_with_teams_of_neurons_whose_waves_are_weak_has_not_grokked_yet():
    model = planted(23, [3, 4], strength=0.1)
    noise = untrained(23)
    with torch.no_grad():
        model.W_U.add_(torch.randn(model.W_U.shape, generator=torch.Generator().manual_seed(0)))
    found = grokking.analyse(model)
    assert found.frequencies == (3, 4)
    assert not found.grokked
    assert "not grokked (yet)" in found.verdict
    assert grokking.analyse(noise).one_frequency == 0


def test_a_network_whose_neurons_are_all_dead_gives_numbers_and_not_nan():
    found = grokking.analyse(Transformer(setup().config))
    assert found.one_frequency == 0
    assert found.frequencies == ()
    assert found.wave_share == 0


# --- the checks -------------------------------------------------------------------------------------------------------


def memorising_logits(task: Modular) -> torch.Tensor:
    """Sure of the answers in training, and sure of something else for all other pairs."""
    said = torch.where(task.in_training, task.answers, (task.answers + 1 + torch.arange(task.p**2) % 5) % task.p)
    return 20.0 * torch.nn.functional.one_hot(said, task.p).double()


def test_waves_beat_a_memorising_network_on_test_pairs_but_never_on_those_it_memorised():
    task = Modular(13, fraction=0.5)
    logits = memorising_logits(task)
    restricted = grokking.restricted_logits(logits, [2, 5])
    assert checks.split(task, restricted).test < checks.split(task, logits).test
    assert checks.restricted_ratio(task, logits, [2, 5]) > 1e3
    assert checks.excluded_loss(task, logits, [2, 5]) < 0.1


def test_numbers_without_frequencies_are_those_of_the_mean_logits():
    task = Modular(13)
    logits = randn(169, 13)
    found = checks.numbers(logits, task, [])
    assert found["restricted_loss"] == pytest.approx(grokking.loss(logits.mean(0).expand(169, 13), task.answers))
    assert found["excluded_loss"] == pytest.approx(found["train_loss"])
    perfect = 1e4 * torch.nn.functional.one_hot(task.answers, 13).double()
    assert math.isfinite(checks.restricted_ratio(task, perfect, []))


def test_phases_are_counted_in_their_order():
    assert checks.phases_in_order(grokking.Phases(100, 200, 200)) == 3
    assert checks.phases_in_order(grokking.Phases(100, 200, None)) == 2
    assert checks.phases_in_order(grokking.Phases(100, 300, 200)) == 2
    assert checks.phases_in_order(grokking.Phases(100, 100, 200)) == 1
    assert checks.phases_in_order(grokking.Phases(100, None, 200)) == 1
    assert checks.phases_in_order(grokking.Phases(None, None, 200)) == 0


def test_the_checks_of_a_planted_network_hold_where_they_can_and_its_control_is_finite():
    task = Modular(23, sign=-1)
    film = [(0, untrained(23)), (100, planted(23, [3, 4, 11], -1, strength=8.0))]
    measured = {check.name: check for check in checks.grokked(film, task, ([(0, untrained(23, 1))], task))}
    assert list(measured) == list(checks.CLAIMS)
    assert all(math.isfinite(check.value) and math.isfinite(check.control) for check in measured.values())
    for name in ("key_frequencies_at_least", "key_frequencies_at_most", "embedding_energy", "excluded_loss", "formula"):
        assert measured[name].passed, name
    for name in ("test_accuracy", "key_frequencies_at_least", "embedding_energy", "one_frequency", "formula", "phases"):
        assert measured[name].control < measured[name].bound, name


def test_without_a_control_the_beginning_of_the_training_serves():
    task, blank = Modular(23), untrained(23)
    film = [(0, blank), (100, planted(23, [3, 4, 11], strength=8.0)), (200, blank)]
    assert [step for step, _ in checks.until_memorised(film, task)] in ([0, 100], [0, 100, 200])
    assert checks.until_memorised([(0, blank)], task) == [(0, blank)]


# --- the recipe -------------------------------------------------------------------------------------------------------


def test_last_logits_are_those_of_the_model():
    for p in (7, 13):
        model, task = recipe.new_model(setup(p, seed=3)), Modular(p)
        assert torch.allclose(recipe.last_logits(model, task.tokens), model(task.tokens)[:, -1], atol=1e-5)


def test_text_is_read_with_a_vocabulary_that_has_no_beginning_of_sequence():
    model = Transformer(setup(7).config, cards.word_tokenizer([*map(str, range(7)), "="]))
    assert model.to_tokens("3 5 =").tolist() == [[3, 5, 7]]
    tokens, mask = model.tokenize(["3 5 =", "6 ="])
    assert tokens[mask].tolist() == [3, 5, 7, 6, 7]
    with pytest.raises(ValueError, match="'8'"):
        model.to_tokens("8 5 =")


def test_the_loss_of_training_has_a_gradient_where_float32_would_have_none():
    logits = torch.tensor([[40.0, 0.0]], requires_grad=True)
    recipe.high_precision_loss(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    small = torch.tensor([[40.0, 0.0]], requires_grad=True)
    torch.nn.functional.cross_entropy(small, torch.tensor([0])).backward()
    assert logits.grad[0, 0] <= 0
    assert recipe.high_precision_loss(torch.tensor([[30.0, 0.0]]), torch.tensor([0])) > 0
    assert torch.nn.functional.cross_entropy(torch.tensor([[30.0, 0.0]]), torch.tensor([0])) == 0


def test_an_untrained_network_knows_nothing_and_records_it():
    run = recipe.Run(setup(13))
    run.record()
    assert run.curves["step"] == [0]
    assert run.curves["test_loss"][0] == pytest.approx(math.log(14), abs=1.0)
    assert run.curves["weights"][0] == pytest.approx(grokking.weight_norm(run.model), rel=1e-5)


def parameters(run: recipe.Run) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


def test_a_run_that_is_stopped_and_resumed_equals_an_uninterrupted_one(tmp_path):
    whole, first, second = (recipe.Run(setup(7)) for _ in range(3))
    for _ in whole:
        whole.record()
    for step in first:
        if step == 5:
            torch.save(first.state(), tmp_path / "state.pt")
            break
        first.record()
    second.resume(torch.load(tmp_path / "state.pt"))
    for _ in second:
        second.record()
    assert second.curves == whole.curves
    assert torch.equal(parameters(second), parameters(whole))
    assert not torch.equal(parameters(first), parameters(whole))


def test_a_training_that_breaks_off_goes_on_from_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "RUNS", {"tiny": setup(7, seed=1)})
    monkeypatch.setattr(recipe, "SAVE_EVERY", 2)
    monkeypatch.setattr(recipe, "RECORD_EVERY", 1)

    def train(folder):
        monkeypatch.setattr(recipe, "OUT", folder)
        with Progress(disable=True) as progress:
            recipe.train("tiny", progress)

    train(tmp_path / "whole")
    real = recipe.Run.record

    def breaks_off(run):
        if run.step == 11:
            raise KeyboardInterrupt
        real(run)

    monkeypatch.setattr(recipe.Run, "record", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken")
    monkeypatch.setattr(recipe.Run, "record", real)
    train(tmp_path / "broken")
    folders = [tmp_path / name / "grokking-tiny" for name in ("whole", "broken")]
    files = sorted(path.name for path in folders[0].glob("step_*"))
    assert len(files) == 7
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in files)


def columns_of_a_training(groks: bool) -> dict[str, list[float]]:
    """Made up: the test loss rises to 20 at step 2000, and falls by a tenth every 400 steps from step 6000 on."""
    steps = list(range(0, 20_001, 200))
    fall = [10 ** -max(0, (step - 6000) / 400) if groks else 1.0 for step in steps]
    test = [max(1e-6, 20 * min(1, 0.2 + step / 2500) * f) for step, f in zip(steps, fall, strict=True)]
    return {
        "step": steps,
        "train_accuracy": [0.01, *[1.0] * (len(steps) - 1)],
        "test_loss": test,
        "test_accuracy": [float(loss < 0.01) for loss in test],
        "excluded_loss": [4.7, *[3.0 if groks and step >= 5000 else 0.1 for step in steps[1:]]],
    }


def test_checkpoints_are_dense_where_the_test_loss_falls_and_mark_each_phase():
    columns = columns_of_a_training(groks=True)
    steps = grokking_cards.steps_to_ship(recipe.Setup(), columns, many=True)
    over = checks.phases_of(columns)
    assert 12 <= len(steps) <= 20
    assert {0, *over} <= set(steps) <= set(columns["step"])
    assert sum(6000 <= step <= 9000 for step in steps) >= 6
    assert 20_000 not in steps, "the end is the model itself"
    few = grokking_cards.steps_to_ship(recipe.Setup(), columns, many=False)
    assert few == [0, *over]


def test_a_run_that_never_groks_ships_its_quarters():
    steps = grokking_cards.steps_to_ship(recipe.Setup(), columns_of_a_training(groks=False), many=False)
    assert steps == [0, 200, 5000, 10_000, 15_000]


def test_the_control_frequencies_of_a_card_are_others_and_drawn_the_same_each_time():
    drawn = grokking_cards.other_frequencies(23, [3, 4], 5)
    assert drawn == grokking_cards.other_frequencies(23, [3, 4], 5)
    assert all(len(set(ks)) == 5 and not {3, 4} & set(ks) and set(ks) <= set(range(1, 12)) for ks in drawn)


@pytest.mark.slow
def test_the_small_clock_groks_while_one_watches():
    run = recipe.Run(recipe.LIVE)
    for step in run:
        if step % recipe.RECORD_EVERY == 0:
            run.record()
            if run.curves["test_accuracy"][-1] >= 0.999:
                break
    assert run.step < recipe.LIVE.steps
    memorised = run.curves["train_accuracy"].index(1.0)
    assert run.curves["test_accuracy"][memorised] < 0.5, "it knows the training pairs long before"
    assert grokking.analyse(run.model).grokked


def test_a_network_whose_waves_are_there_but_not_yet_strong_enough_is_on_its_way():
    found = grokking.analyse(load("grokking-113", checkpoint=7000))
    assert found.accuracy < 0.999
    assert "is on its way to a + b mod 113" in found.verdict
