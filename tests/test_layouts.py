"""State dicts in other layouts: a random network, written out in each, is the same network when it is read back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_lib import grokking, induction
from mi_lib.models import Transformer, TransformerConfig
from mi_lib.models.layouts import transformer_from_state

NAMES = {"W_E": "embed.W_E", "W_pos": "pos_embed.W_pos", "W_U": "unembed.W_U", "b_U": "unembed.b_U"}


def network(**changes) -> Transformer:
    """A random network none of whose sizes are equal; biases and gains are random, too."""
    sizes = {"n_layers": 2, "d_model": 10, "n_heads": 3, "d_head": 4, "d_vocab": 15, "n_ctx": 6, "d_mlp": 7}
    model = Transformer(TransformerConfig(**{**sizes, **changes}))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model.eval().requires_grad_(False)


def as_transformer_lens(model: Transformer) -> dict[str, torch.Tensor]:
    state = {NAMES.get(name, name): value.clone() for name, value in model.state_dict().items()}
    for layer in range(model.cfg.n_layers):
        state[f"blocks.{layer}.attn.mask"] = torch.ones(6, 6)
        state[f"blocks.{layer}.attn.IGNORE"] = torch.tensor(-torch.inf)
    return state


def as_nanda(model: Transformer, blocks: str = "blocks") -> dict[str, torch.Tensor]:
    """As the networks of Nanda et al. 2023 are saved: transposed, and W_O with all heads side by side."""
    state = {}
    for name, value in model.state_dict().items():
        kind = name.rsplit(".", 1)[-1]
        if kind == "W_O":
            value = torch.cat(list(value)).T  # [d_model, head · d_head]
        elif kind not in ("W_pos", "W_U"):
            value = value.transpose(-1, -2) if value.ndim > 1 and kind.startswith("W_") else value
        state[NAMES.get(name, name).replace("blocks.", f"{blocks}.")] = value.clone()
    for layer in range(model.cfg.n_layers):
        state[f"{blocks}.{layer}.attn.mask"] = torch.ones(6, 6)
    return state


WRITTEN = {
    "ours": lambda model: dict(model.state_dict()),
    "TransformerLens": as_transformer_lens,
    "Nanda": as_nanda,
    "Nanda, attn_blocks": lambda model: as_nanda(model, "attn_blocks"),
    "Nanda, attn_blocks without attn": lambda model: {
        name.replace(".attn.", "."): value for name, value in as_nanda(model, "attn_blocks").items()
    },
}
WITH_LAYERNORM = {"norm": "layernorm", "attn_bias": True, "unembed_bias": True}


def same(one: Transformer, other: Transformer) -> bool:
    tokens = torch.arange(12).view(2, 6) % min(one.cfg.d_vocab, other.cfg.d_vocab)
    return torch.allclose(one(tokens), other(tokens), atol=1e-6)


@pytest.mark.parametrize("layout", WRITTEN)
@pytest.mark.parametrize("n_layers", [1, 3])
@pytest.mark.parametrize("d_vocab_out", [None, 14])
def test_a_network_with_an_mlp_is_read_back(layout, n_layers, d_vocab_out):
    model = network(n_layers=n_layers, d_vocab_out=d_vocab_out)
    read = grokking.from_state(WRITTEN[layout](model))
    assert same(read, model)
    assert read.config == model.config


@pytest.mark.parametrize("layout", WRITTEN)
@pytest.mark.parametrize("changes", [{}, {"positions": "shifted"}, WITH_LAYERNORM], ids=str)
def test_an_attention_only_network_is_read_back(layout, changes):
    model = network(n_layers=2, d_mlp=0, **changes)
    read = induction.from_state(WRITTEN[layout](model), positions=changes.get("positions", "learned"))
    assert same(read, model)


@pytest.mark.parametrize("layout", ["ours", "TransformerLens"])
def test_layernorm_and_all_biases_are_read_and_another_activation_is_said(layout):
    model = network(act="gelu", **WITH_LAYERNORM)
    assert same(transformer_from_state(WRITTEN[layout](model), act="gelu"), model)
    assert not same(transformer_from_state(WRITTEN[layout](model)), model)


@settings(max_examples=60, deadline=None)
@given(
    layout=st.sampled_from(list(WRITTEN)),
    d_model=st.integers(1, 4),
    n_heads=st.integers(1, 3),
    d_head=st.integers(1, 4),
    d_vocab=st.integers(1, 4),
    d_mlp=st.integers(0, 4),
    n_layers=st.integers(1, 2),
)
def test_however_many_shapes_are_square_the_network_is_read_back(layout, d_mlp, **sizes):
    model = network(d_mlp=d_mlp, **sizes)
    read = (grokking if d_mlp else induction).from_state(WRITTEN[layout](model))
    assert same(read, model)


def test_a_layernorm_whose_weights_were_folded_away_still_normalises_if_one_says_so():
    model = network(d_mlp=0, norm="layernorm")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".w", ".b")):
                parameter.fill_(1.0 if name.endswith(".w") else 0.0)
    state = {name: value for name, value in as_transformer_lens(model).items() if not name.endswith((".w", ".b"))}
    assert same(induction.from_state(state, norm="layernorm"), model)
    assert not same(induction.from_state(state), model)


def test_half_precision_becomes_single_and_the_state_stays_as_it_is():
    state = {name: value.half() for name, value in as_nanda(network()).items()}
    before = {name: value.clone() for name, value in state.items()}
    read = grokking.from_state(state)
    assert read.W_E.dtype == torch.float32
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_weights_that_lie_one_way_do_not_settle_a_square_one_that_another_way_would_contradict():
    state = as_transformer_lens(network(n_heads=2, d_head=5))  # 2 · 5 = d_model
    flat = torch.cat(list(state["blocks.0.attn.W_O"]))
    with pytest.raises(
        ValueError, match=r"W_O cannot be told: .*shape \(10, 10\).*needed is \[head, d_head, d_model\]"
    ):
        grokking.from_state({**state, "blocks.0.attn.W_O": flat})
    mixed = as_transformer_lens(network(d_vocab=10))
    mixed["blocks.0.mlp.W_in"] = mixed["blocks.0.mlp.W_in"].T
    with pytest.raises(ValueError, match=r"W_E cannot be told: .*\(10, 10\).*Nanda \(blocks.0.mlp.W_in\)"):
        grokking.from_state(mixed)


@pytest.mark.parametrize("layout", ["TransformerLens", "Nanda"])
def test_a_shape_that_fits_no_layout_is_told_by_its_own_name_with_what_is_needed(layout):
    state = WRITTEN[layout](network())
    for name, wrong, needed in (
        (
            "blocks.1.attn.W_K",
            torch.zeros(3, 9, 4),
            r"W_K has shape \(3, 9, 4\), and d_model is 10; needed is \[head, d_m",
        ),
        ("blocks.0.attn.W_O", torch.zeros(12, 10), r"W_O has shape \(12, 10\).*\[d_model, head · d_head\].*neither"),
        ("embed.W_E", torch.zeros(15, 11), r"W_E has shape \(15, 11\), .*\[d_vocab, d_model\].*\[d_model, d_vocab\]"),
        ("blocks.0.attn.W_Q", torch.zeros(10, 12), r"W_Q has shape \(10, 12\).*\[head, d_model, d_head\].*neither"),
        ("unembed.W_U", torch.zeros(15, 10), r"d_model is cannot be told: .* found are \(6, 10\) and \(15, 10\)"),
    ):
        with pytest.raises(ValueError, match=needed):
            grokking.from_state({**state, name: wrong})


@pytest.mark.parametrize("layout", list(WRITTEN))
def test_weights_that_are_missing_or_left_over_are_named(layout):
    state = WRITTEN[layout](network())
    for kind in ("W_E", "W_U", "W_pos"):
        with pytest.raises(ValueError, match=f"lacks {kind}; it holds "):
            grokking.from_state({name: value for name, value in state.items() if not name.endswith(kind)})
    for kind in ("1.attn.W_V", "1.mlp.W_out", "0.mlp.b_in"):
        short = kind.replace(".attn.", ".") if "without attn" in layout else kind
        with pytest.raises(ValueError, match=rf"for blocks\.{kind}, where|for blocks\..\.mlp\.b_"):
            grokking.from_state({name: value for name, value in state.items() if not name.endswith(short)})
    with pytest.raises(ValueError, match=r"\(8,\) for blocks\.0\.ln9\.w, where this architecture has nothing"):
        grokking.from_state({**state, "blocks.0.ln9.w": torch.ones(8)})
    with pytest.raises(ValueError, match="two tensors for W_E"):
        grokking.from_state(twice(state))


def twice(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The embedding by both of its names."""
    found = state.get("W_E", state.get("embed.W_E"))
    return {**state, "W_E": found, "embed.W_E": found}


def test_what_is_no_state_dict_is_told():
    with pytest.raises(ValueError, match=r"'epoch' is none; if the state dict is inside .* \(found: epoch, model\)"):
        induction.from_state({"epoch": 3, "model": as_nanda(network())})
    with pytest.raises(ValueError, match=r"attention alone, and the state has an MLP \(blocks\.0\.mlp"):
        induction.from_state(as_transformer_lens(network()))
    with pytest.raises(ValueError, match=r"lacks blocks\.0\.mlp\.W_in"):
        grokking.from_state(as_nanda(network(d_mlp=0)))


def test_a_network_in_nandas_layout_is_analysed_like_its_own():
    """At his sizes, where d_model = heads · d_head and W_O is square."""
    model = network(n_layers=1, d_model=12, n_heads=3, d_head=4, d_vocab=12, d_mlp=12, n_ctx=3)
    read = grokking.from_state(as_nanda(model))
    assert torch.equal(grokking.every_input(read).logits, grokking.every_input(model).logits)
