"""Path patching is what its four runs say, worked out by hand; and it finds the edges of the planted circuit."""

from __future__ import annotations

import math

import pytest
import torch
import transformers
from circuits_subjects import data, ioi

from mi_lib import Transformer, TransformerConfig
from mi_lib.attribution import logit_difference, patch_heads
from mi_lib.circuits import abc_means, all_heads, knock_out, path_effects, path_patch
from mi_lib.models.graph import Edge, head_of
from mi_lib.models.transformers_model import TransformersModel

SIZES = {"n_layers": 3, "d_model": 14, "n_heads": 3, "d_head": 5, "d_vocab": 19, "n_ctx": 11}
KINDS = {
    "attention alone": {},
    "mlp and norm": {"d_mlp": 13, "norm": "layernorm", "act": "gelu_new", "attn_bias": True, "unembed_bias": True},
    "shifted": {"positions": "shifted", "d_mlp": 13},
}
RECEIVERS = [["logits"], ["a2.h1.q"], ["a2.h0.k", "a2.h2.v"], ["a1.h0.q", "a2.h1.q", "m1"], ["m1"]]
METRIC = logit_difference(3, 4)


def network(kind):
    model = Transformer(TransformerConfig(**SIZES, **KINDS[kind])).init_weights(0, 0.5)
    with torch.no_grad():  # biases and gains that show when they are left out
        for name, parameter in model.named_parameters():
            if not name.rsplit(".", 1)[-1].startswith("W"):
                parameter += 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return model.requires_grad_(False).double()


def prompts():
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(19, (4, 7), generator=generator) for _ in range(2)]


def by_hand(model, tokens, z=None, reads=None):
    """A forward pass without a hook: logits, what each head holds, what each receiver reads of the stream.

    z: what heads hold instead. reads: the stream that receivers read instead.
    """
    c, held, heard = model.config, {}, {}

    def norm(x, ln):
        return x if ln is None else torch.nn.functional.layer_norm(x, x.shape[-1:], ln.w, ln.b, ln.eps)

    def read(receiver, x):
        heard[receiver] = (reads or {}).get(receiver, x)
        return heard[receiver]

    x, where = model.W_E[tokens], model.W_pos[: tokens.shape[1]]
    x = x + where if c.positions == "learned" else x
    mask = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).tril()
    for layer, block in enumerate(model.blocks):
        written = model.b_O[layer]
        for head in range(c.n_heads):
            own = {which: norm(read(f"a{layer}.h{head}.{which}", x), block.ln1) for which in "qkv"}
            if c.positions == "shifted":
                own["q"], own["k"] = own["q"] + where, own["k"] + where
            q, k, v = (
                own[w] @ getattr(model, f"W_{w.upper()}")[layer, head] + getattr(model, f"b_{w.upper()}")[layer, head]
                for w in "qkv"
            )
            pattern = (q @ k.mT / math.sqrt(c.d_head)).masked_fill(~mask, -torch.inf).softmax(-1)
            held[layer, head] = (z or {}).get((layer, head), pattern @ v)
            written = written + held[layer, head] @ model.W_O[layer, head]
        x = x + written
        if c.d_mlp:
            x = x + block.mlp(norm(read(f"m{layer}", x), block.ln2))
    logits = norm(x, model.ln_final) @ model.W_U
    return logits if model.b_U is None else logits + model.b_U, held, heard


def patched_by_hand(model, clean, corrupted, sender, to):
    _, then, _ = by_hand(model, corrupted)  # (A)
    _, now, _ = by_hand(model, clean)  # (B)
    logits, _, heard = by_hand(model, clean, z={**now, head_of(sender): then[head_of(sender)]})  # (C)
    return logits if to == ["logits"] else by_hand(model, clean, reads={name: heard[name] for name in to})[0]  # (D)


def comes_before(sender, to):
    layer = head_of(sender)[0]
    return all(
        name == "logits" or (head_of(name)[0] > layer if head_of(name) else int(name[1:]) >= layer) for name in to
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to", RECEIVERS, ids=" ".join)
def test_every_path_of_a_network_is_patched_as_the_four_runs_by_hand_say(kind, to):
    model, (clean, corrupted) = network(kind), prompts()
    if not model.config.d_mlp:
        to = [name for name in to if name != "m1"] or ["a1.h2.v"]
    start, moved = by_hand(model, clean)[0], 0
    for sender in [name for name in all_heads(model.cfg) if comes_before(name, to)]:
        got, want = (
            path_patch(model, clean, corrupted, sender, to),
            patched_by_hand(model, clean, corrupted, sender, to),
        )
        assert torch.allclose(got, want, atol=1e-9), sender
        moved += bool((got - start).abs().max() > 1e-3)
    assert moved >= 3


def test_effects_are_shares_of_what_the_corrupted_prompts_lose_and_nothing_where_no_path_leads():
    model, (clean, corrupted) = network("mlp and norm"), prompts()
    clean, corrupted = (x[METRIC(model(clean)) > METRIC(model(corrupted))] for x in (clean, corrupted))
    start, end = METRIC(model(clean)).mean(), METRIC(model(corrupted)).mean()
    for to in (["logits"], ["a1.h1.q", "a1.h2.v"]):
        effects = path_effects(model, clean, corrupted, METRIC, to)
        for name in all_heads(model.cfg):
            want = 0.0
            if comes_before(name, to):
                want = (start - METRIC(patched_by_hand(model, clean, corrupted, name, to)).mean()) / (start - end)
            assert effects[head_of(name)] == pytest.approx(float(want), abs=1e-9)
    assert effects[0].abs().min() > 1e-5


def test_with_receivers_in_several_layers_a_head_between_them_has_a_path_to_the_later_ones():
    model, (clean, corrupted) = network("mlp and norm"), prompts()
    both = path_effects(model, clean, corrupted, METRIC, ["a1.h0.q", "a2.h0.q"])
    assert both[1].abs().min() > 0
    assert not both[2].any()
    assert torch.allclose(both[1], path_effects(model, clean, corrupted, METRIC, ["a2.h0.q"])[1])


CONFIGS = {
    "gpt2": lambda: transformers.GPT2Config(vocab_size=19, n_embd=16, n_layer=3, n_head=4, n_positions=16),
    "gpt_neox": lambda: transformers.GPTNeoXConfig(
        vocab_size=19, hidden_size=16, intermediate_size=20, num_hidden_layers=3, num_attention_heads=4
    ),
    "llama": lambda: transformers.LlamaConfig(
        vocab_size=19,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    ),
}


@pytest.mark.parametrize("family", CONFIGS)
def test_on_models_of_transformers_it_is_the_four_whole_runs(family):
    """Each of the four runs from the first layer on, and receivers by their input in the stream, by plain hooks."""
    torch.manual_seed(0)
    model = TransformersModel(transformers.AutoModelForCausalLM.from_config(CONFIGS[family]()).eval())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    model.requires_grad_(False).double()
    clean, corrupted = prompts()
    every = [("z", layer) for layer in range(3)]
    then, now = (model.run_with_cache(tokens, every)[1] for tokens in (corrupted, clean))
    to = ["a2.h0.q", "a2.h2.k"]
    start = model(clean)
    for sender in ("a0.h1", "a1.h3"):
        layer, head = head_of(sender)

        def freeze(z, hook, layer=layer, head=head):
            z[:] = now[hook.name]
            if hook.layer == layer:
                z[:, :, head] = then[hook.name][:, :, head]

        heard = {}

        def hear(value, hook, heard=heard):
            heard[hook.name] = value.clone()

        inputs = [("q_input", 2), ("k_input", 2)]
        logits = model.run_with_hooks(clean, [(every, freeze), (inputs, hear)])
        assert torch.allclose(path_patch(model, clean, corrupted, sender), logits, atol=1e-6)

        def say(value, hook, heard=heard):
            at = 0 if "q_input" in hook.name else 2 * model.cfg.kv_heads // 4
            value[:, :, at] = heard[hook.name][:, :, at]

        want = model.run_with_hooks(clean, [(inputs, say)])
        got = path_patch(model, clean, corrupted, sender, to)
        assert torch.allclose(got, want, atol=1e-6)
        assert (got - start).abs().max() > 1e-3


def test_an_mlp_hears_the_heads_beside_it_but_not_in_a_parallel_block():
    serial, parallel = (
        TransformersModel(transformers.AutoModelForCausalLM.from_config(CONFIGS[family]()).eval().requires_grad_(False))
        for family in ("gpt2", "gpt_neox")
    )
    assert path_patch(serial, *prompts(), "a1.h0", ["m1"]).shape == (4, 7, 19)
    with pytest.raises(ValueError, match=r"a1\.h0->m1 runs backwards"):
        path_patch(parallel, *prompts(), "a1.h0", ["m1"])


def test_the_direct_senders_of_each_reader_in_the_planted_circuit_are_its_edges():
    circuit, d = ioi(), data(24, 1)
    together = {edge for edges in circuit.together for edge in edges}  # seen only when both are patched
    readers = sorted({edge.receiver for edge in circuit.edges if head_of(edge.sender)})
    found_any = 0
    for reader in readers:
        effects = path_effects(circuit.model, d.clean, d.corrupted["ABC"], d.metric, [reader])
        want = {edge.sender for edge in circuit.edges - together if edge.receiver == reader and head_of(edge.sender)}
        got = {head for head in all_heads(circuit.model.cfg) if effects[head_of(head)].abs() > 0.05}
        assert got == want, reader
        rest = [head for head in all_heads(circuit.model.cfg) if head not in want]
        assert max(effects[head_of(head)].abs() for head in rest) < 0.01, reader
        found_any += len(got)
    assert found_any == len([e for e in circuit.edges - together if head_of(e.sender)])


def test_several_readers_at_once_hear_the_inhibitors_together_and_the_negative_mover_counts_against():
    circuit, d = ioi(), data(24, 1)
    where = (circuit.model, d.clean, d.corrupted["ABC"], d.metric)
    movers = ["a3.h0.q", "a3.h2.q"]
    together, one = path_effects(*where, movers), path_effects(*where, movers[:1])
    assert together[2, 0] > one[2, 0] + 0.1
    direct = path_effects(*where)
    assert direct[4, 0] < -0.1
    assert min(direct[3, 0], direct[3, 2]) > 0.3


def test_plain_patching_of_an_inhibitor_shows_an_effect_where_its_direct_path_shows_none():
    """Were other heads let go in (C), they would carry it on: the total effect instead of the direct one."""
    circuit, d = ioi(), data(24, 1)
    where = (circuit.model, d.clean, d.corrupted["ABC"], d.metric)
    total = 1 - patch_heads(*where, noising=True).mean(-1)
    assert total[2, 0] > 0.5
    assert path_effects(*where)[2, 0].abs() < 0.01
    assert Edge("a2.h0", "logits") not in circuit.edges


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_logits_of_the_last_positions_alone_effects_are_the_same(kind):
    model, (clean, corrupted) = network(kind), prompts()
    for to in (["logits"], ["a2.h1.q"]):
        whole, last, two = (path_effects(model, clean, corrupted, METRIC, to, logits_to_keep=n) for n in (0, 1, 2))
        assert torch.allclose(whole, last, atol=1e-9)
        assert torch.allclose(whole, two, atol=1e-9)


def test_under_edits_all_four_runs_are_edited_so_that_a_backup_shows_once_the_movers_are_silent():
    circuit, d = ioi(), data(24, 1)
    model, means = circuit.model, abc_means(circuit.model, d)
    effects = []
    for silent in ([], ["a3.h0"], ["a3.h0", "a3.h2"]):
        with model.hooks(knock_out(model, silent, means, d.template)):
            start = d.metric(model(d.clean))
            patched = d.metric(path_patch(model, d.clean, d.corrupted["ABC"], "a4.h1"))
        effects.append(float((start - patched).mean()))
    assert max(abs(effect) for effect in effects[:2]) < 0.02
    assert effects[2] > 2
