"""Exact edge patching is what its definition says, recomputed here summand by summand."""

from __future__ import annotations

import math

import pytest
import torch
import transformers

from mi_lib import Transformer, TransformerConfig, load
from mi_lib.attribution import edge_effects, patch_edges, run_edges, sender_outputs
from mi_lib.models.graph import LOGITS, Edge, all_edges, head_of, senders

SIZES = {"n_layers": 2, "d_model": 14, "n_heads": 3, "d_head": 5, "d_vocab": 19, "n_ctx": 11}
KINDS = {
    "attention alone": {},
    "mlp and norm": {"d_mlp": 13, "norm": "layernorm", "act": "gelu_new", "attn_bias": True, "unembed_bias": True},
    "shifted": {"positions": "shifted", "d_mlp": 13},
}


def network(kind):
    model = Transformer(TransformerConfig(**SIZES, **KINDS[kind])).init_weights(0, 0.5)
    with torch.no_grad():  # biases and gains that show when they are left out
        for name, parameter in model.named_parameters():
            if not name.rsplit(".", 1)[-1].startswith("W"):
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return model.requires_grad_(False).double()


@pytest.fixture(scope="module")
def prompts():
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(19, (5, 7), generator=generator) for _ in range(2)]


def brute_force(model, tokens, instead):
    """The forward pass as a sum over senders for each receiver, without a hook: logits, and what each one said."""
    c, said = model.config, {}

    def hears(receiver, norm):
        """Sum of all that was said, the changed edges apart, and the biases that nobody says."""
        total = sum(instead.get(Edge(sender, receiver), value) for sender, value in said.items()) + constant
        return torch.nn.functional.layer_norm(total, total.shape[-1:], norm.w, norm.b, norm.eps) if norm else total

    said["embed"] = model.W_E[tokens]
    where = model.W_pos[: tokens.shape[1]].expand(len(tokens), -1, -1)
    if c.positions == "learned":
        said["pos_embed"] = where
    constant = torch.zeros(c.d_model, dtype=torch.double)
    mask = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    for layer, block in enumerate(model.blocks):
        fresh = {}
        for head in range(c.n_heads):
            x = {which: hears(f"a{layer}.h{head}.{which}", block.ln1) for which in "qkv"}
            if c.positions == "shifted":
                x["q"], x["k"] = x["q"] + where, x["k"] + where
            q, k, v = (x[which] @ getattr(model, f"W_{which.upper()}")[layer, head] for which in "qkv")
            q, k, v = (y + getattr(model, f"b_{w}")[layer, head] for y, w in zip((q, k, v), "QKV", strict=True))
            pattern = (q @ k.mT / math.sqrt(c.d_head)).masked_fill(~mask, -torch.inf).softmax(-1)
            fresh[f"a{layer}.h{head}"] = pattern @ v @ model.W_O[layer, head]
        said |= fresh
        constant = constant + model.b_O[layer]
        if c.d_mlp:
            said[f"m{layer}"] = block.mlp(hears(f"m{layer}", block.ln2))
    logits = hears(LOGITS, model.ln_final) @ model.W_U
    return logits + model.b_U if model.b_U is not None else logits, said


@pytest.mark.parametrize("kind", KINDS)
def test_every_edge_of_a_network_is_patched_as_the_sum_over_senders_says(kind, prompts):
    model, (clean, corrupted) = network(kind), prompts
    _, said = brute_force(model, corrupted, {})
    metric = lambda logits: logits[:, -1, 3] - logits[:, -1, 4]  # noqa: E731
    start, end = (metric(brute_force(model, tokens, {})[0]) for tokens in (clean, corrupted))
    effects = edge_effects(model, clean, corrupted, metric)
    assert list(effects) == all_edges(model.cfg)
    moved = 0
    for edge, effect in effects.items():
        patched, _ = brute_force(model, clean, {edge: said[edge.sender]})
        assert torch.allclose(patch_edges(model, clean, corrupted, [edge]), patched, atol=1e-9), edge
        assert torch.allclose(effect, (start - metric(patched)) / (start - end), atol=1e-9), edge
        moved += bool(effect.abs().max() > 1e-3)
    assert moved > 0.8 * len([edge for edge in effects if edge.sender != "pos_embed"])


@pytest.mark.parametrize("kind", KINDS)
def test_several_edges_at_once_are_changed_in_one_run(kind, prompts):
    """A sender whose own input was patched says something new to all but those who are told the corrupted word."""
    model, (clean, corrupted) = network(kind), prompts
    edges = [
        *("embed->a0.h1.v", "a0.h1->a1.h2.k", "a0.h2->a1.h2.k", "embed->a1.h2.q", "a0.h1->logits", "a1.h2->logits"),
    ]
    edges = [Edge.parse(edge) for edge in edges]
    _, said = brute_force(model, corrupted, {})
    expected, _ = brute_force(model, clean, {edge: said[edge.sender] for edge in edges})
    assert torch.allclose(patch_edges(model, clean, corrupted, edges), expected, atol=1e-9)
    alone = sum(patch_edges(model, clean, corrupted, [edge]) - model(clean) for edge in edges) + model(clean)
    assert not torch.allclose(expected, alone, atol=1e-3)


def test_all_edges_at_once_are_the_corrupted_run_and_an_edge_removed_is_one_of_zeros(prompts):
    model, (clean, corrupted) = network("mlp and norm"), prompts
    assert torch.allclose(patch_edges(model, clean, corrupted, all_edges(model.cfg)), model(corrupted), atol=1e-9)
    edge = Edge("a0.h1", "m1")
    removed = run_edges(model, clean, {edge: torch.zeros(5, 7, 14, dtype=torch.double)})
    assert torch.allclose(removed, brute_force(model, clean, {edge: torch.tensor(0.0)})[0], atol=1e-9)


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox"])
def test_it_is_the_same_on_models_of_transformers(family, tmp_path):
    """All that a receiver reads exchanged is that receiver as it is in the corrupted run."""
    config = {
        "gpt2": transformers.GPT2Config(vocab_size=19, n_embd=16, n_layer=2, n_head=2, n_positions=9),
        "gpt_neox": transformers.GPTNeoXConfig(
            vocab_size=19, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2
        ),
    }[family]
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = load(tmp_path)
    clean, corrupted = torch.randint(19, (2, 3, 6), generator=torch.Generator().manual_seed(0))
    everything = sender_outputs(model, corrupted, senders(model.cfg))
    _, cache = model.run_with_cache(corrupted, [("q", 1), ("mlp_out", 1)])

    def heard(receiver, site):
        edges = [edge for edge in all_edges(model.cfg) if edge.receiver == receiver]
        assert {edge.sender for edge in edges} == set(everything) - {"a1.h0", "a1.h1", "m1"} | extra[receiver]
        found = {}
        with model.hooks([(site, lambda value, hook: found.update({"v": value}))]):
            patch_edges(model, clean, corrupted, edges)
        return found["v"]

    extra = {"a1.h1.q": set(), "m1": {"a1.h0", "a1.h1"} if family == "gpt2" else set()}
    assert torch.allclose(heard("a1.h1.q", ("q", 1))[:, :, 1], cache["q", 1][:, :, 1], atol=1e-5)
    assert torch.allclose(heard("m1", ("mlp_out", 1)), cache["mlp_out", 1], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m, a, b: patch_edges(m, a, b[:, 1:], [Edge("embed", "logits")]), "of the same length"),
        (lambda m, a, b: patch_edges(m, a, b, []), "name at least one"),
        (lambda m, a, b: patch_edges(m, a, b, [Edge("a1.h0", "a0.h0.q")]), "runs backwards"),
        (lambda m, a, b: edge_effects(m, a, b, lambda y: y[:, -1, 0], [Edge("a1.h0", "a0.h0.q")]), "runs backwards"),
        (lambda m, a, b: edge_effects(m, a, a, lambda y: y[:, -1, 0]), "with another answer"),
        (lambda m, a, b: run_edges(m, a, {}), "name at least one"),
    ],
)
def test_what_cannot_be_patched_is_refused_in_a_sentence(call, words, prompts):
    with pytest.raises(ValueError, match=words):
        call(network("attention alone"), *prompts)


def test_a_model_that_norms_what_is_written_is_refused(tmp_path):
    config = transformers.Gemma3TextConfig(
        vocab_size=19,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=1,
        num_attention_heads=2,
        head_dim=8,
        num_key_value_heads=1,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    model = load(tmp_path)
    with pytest.raises(ValueError, match="no summand of its own"):
        sender_outputs(model, torch.tensor([[1, 2]]), ["a0.h0"])
    with pytest.raises(ValueError, match="no summand of its own"):
        run_edges(model, torch.tensor([[1, 2]]), {Edge("a0.h0", "logits"): torch.zeros(1, 2, 16)})


def test_heads_are_found_in_names():
    assert head_of("a1.h12.k") == head_of("a1.h12") == (1, 12)
    assert head_of("m1") is head_of("embed") is None
