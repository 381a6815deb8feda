"""The planted IOI circuit does what Wang et al. 2022 found in GPT-2, each head in its role, the backups included.

Edges, distractors and saving are tested with all other circuits in test_planted.
"""

from __future__ import annotations

import pytest
import torch

from mi_lib.attribution import edge_effects, patch_edges
from mi_lib.models.graph import Edge, head_of
from mi_lib.worlds import planted
from mi_lib.worlds.planted.circuit import places
from mi_lib.worlds.planted.ioi import CLASSES, N_CTX, NAMES, TEMPLATES

MOVERS, NEGATIVE, BACKUPS = (CLASSES[kind] for kind in ("name mover", "negative mover", "backup mover"))


@pytest.fixture(scope="module")
def circuit():
    return planted.circuit("ioi")


@pytest.fixture(scope="module")
def pairs(circuit):
    return circuit.pairs(150, seed=11)


@pytest.fixture(scope="module")
def clean(circuit, pairs):
    """Logits and activations of the clean prompts."""
    return circuit.model.run_with_cache(pairs.clean, lambda name: name.endswith(("pattern", "hook_result")))


def attention(cache, head, queries, keys):
    """What a head pays from one position of each prompt to another."""
    layer, number = head_of(head)
    return cache["pattern", layer][torch.arange(len(keys)), number, queries, keys]


def result(cache, head):
    layer, number = head_of(head)
    return cache["result", layer][:, :, number]


def silenced(heads, values):
    """Hooks that put these values in the place of what the heads write."""

    def edit(number, value):
        def fn(old, hook):
            old[:, :, number] = value
            return old

        return fn

    return [(("result", head_of(head)[0]), edit(head_of(head)[1], values[head])) for head in heads]


def test_it_says_the_other_name_in_every_template_and_both_orders(circuit, pairs, clean):
    last = clean[0][:, -1]
    assert (last.argmax(-1) == pairs.answers).all()
    assert circuit.metric(clean[0], pairs).min() > 3
    kinds = {(int(t), bool(a < b)) for t, a, b in zip(pairs.template, pairs.io, pairs.s1, strict=True)}
    assert len(kinds) == 2 * len(TEMPLATES)
    for row in range(len(pairs)):
        names = [word for word in circuit.text(pairs.clean[row]).split() if word in NAMES]
        assert [name for name in names if names.count(name) == 1] == [circuit.text(pairs.answers[row][None])]
        at = [pairs.clean[row, position[row]] for position in (pairs.io, pairs.s1, pairs.s2)]
        assert at == [pairs.answers[row], pairs.corrupted_answers[row], pairs.corrupted_answers[row]]


def test_a_corrupted_prompt_has_three_other_names_and_decides_nothing(circuit, pairs):
    differ = pairs.clean != pairs.corrupted
    assert (differ.sum(-1) == 3).all()
    logits = circuit.model(pairs.corrupted)
    assert circuit.metric(logits, pairs).abs().max() < 0.3
    for row in range(len(pairs)):
        names = [word for word in circuit.text(pairs.corrupted[row]).split() if word in NAMES]
        assert len(set(names)) == 3
        assert not set(names) & set(circuit.text(pairs.clean[row]).split())


def test_with_the_second_subject_exchanged_the_other_name_is_said(circuit, pairs):
    """The corruption that keeps both names: now the first S is the indirect object."""
    exchanged = pairs.clean.clone()
    exchanged[torch.arange(len(pairs)), pairs.s2] = pairs.answers
    assert (circuit.model(exchanged)[:, -1].argmax(-1) == pairs.corrupted_answers).all()


def test_every_head_looks_where_its_role_says(pairs, clean):
    _, cache = clean
    end = torch.full((len(pairs),), -1)
    bos = torch.zeros(len(pairs), dtype=torch.long)
    assert attention(cache, "a0.h1", pairs.s1 + 1, pairs.s1).min() > 0.99
    assert attention(cache, "a0.h3", pairs.s2, pairs.s1).min() > 0.99
    assert attention(cache, "a1.h2", pairs.s2, pairs.s1 + 1).min() > 0.99
    for head in CLASSES["s-inhibition"]:
        assert attention(cache, head, end, pairs.s2).min() > 0.99
    for head in (*MOVERS, *NEGATIVE):
        assert attention(cache, head, end, pairs.io).min() > 0.75
        assert attention(cache, head, end, pairs.s1).max() < 0.05
    for head in BACKUPS:
        assert attention(cache, head, end, bos).min() > 0.99


def test_one_inhibition_head_brings_the_name_of_s_and_the_other_its_place(circuit, pairs, clean):
    _, cache = clean
    by_name = result(cache, "a2.h0")[:, -1] @ circuit.space["avoid"].float().T
    assert (1 + by_name.argmax(-1) == pairs.corrupted_answers).all()
    by_place = result(cache, "a2.h3")[:, -1] @ circuit.space["where"].float().T @ places(N_CTX).float().T
    assert (by_place.argmax(-1) == pairs.s1).all()


def test_without_either_kind_of_inhibition_the_answer_gets_worse_and_without_both_s_wins_by_being_there_twice(
    circuit, pairs, clean
):
    movers = (*MOVERS, *NEGATIVE)
    whole = circuit.metric(clean[0], pairs)

    def kept(*heads):
        edges = [Edge(head, f"{mover}.q") for head in heads for mover in movers]
        return (circuit.metric(patch_edges(circuit.model, pairs.clean, pairs.corrupted, edges), pairs) / whole).mean()

    name, place, both = kept("a2.h0"), kept("a2.h3"), kept("a2.h0", "a2.h3")
    assert name < 0.2
    assert 0.5 < place < 0.85
    assert both < -0.3  # a third of the attention for IO, and two for S


def copied(circuit, head, sign=1):
    """The copy score of Wang et al. 2022: the share of names that their OV circuit puts among the first five."""
    layer, number = head_of(head)
    model = circuit.model
    names = torch.arange(1, 1 + len(NAMES))
    logits = sign * model.W_E[names] @ model.W_V[layer, number] @ model.W_O[layer, number] @ model.W_U
    return (logits.topk(5).indices == names[:, None]).any(-1).float().mean()


def test_movers_copy_a_negative_one_copies_backwards_and_idle_heads_do_not(circuit):
    assert min(copied(circuit, head) for head in (*MOVERS, *BACKUPS)) >= 0.95
    assert copied(circuit, NEGATIVE[0], sign=-1) >= 0.95
    assert copied(circuit, NEGATIVE[0]) < 0.2
    idle = [f"a{layer}.h{h}" for layer in range(5) for h in range(4) if f"a{layer}.h{h}" not in circuit.parts]
    assert sum(copied(circuit, head) for head in idle) / len(idle) < 0.3


def test_as_many_heads_are_idle_as_work(circuit):
    working = {part for part in circuit.parts if head_of(part)}
    assert working == {head for heads in CLASSES.values() for head in heads} == set(circuit.roles)
    assert len(working) == circuit.model.cfg.n_layers * circuit.model.cfg.n_heads - len(working) == 10
    assert len(circuit.decoys) == 10  # each looks like one that works
    assert set(circuit.decoys.values()) <= working


def test_silencing_the_negative_mover_helps(circuit, pairs, clean):
    hooks = silenced(NEGATIVE, dict.fromkeys(NEGATIVE, 0.0))
    better = circuit.metric(circuit.model.run_with_hooks(pairs.clean, hooks), pairs) / circuit.metric(clean[0], pairs)
    assert better.min() > 1.3


@pytest.mark.parametrize("how", ["zeros", "means over ABC", "another prompt"])
def test_backups_wake_when_both_movers_are_silenced(circuit, pairs, clean, how):
    _, cache = circuit.model.run_with_cache(pairs.corrupted, lambda name: name.endswith("hook_result"))
    values = {}
    for head in (*MOVERS, *BACKUPS):
        written = result(cache, head)
        for template in range(len(TEMPLATES)):
            here = pairs.template == template
            values.setdefault(head, {"zeros": 0.0, "another prompt": written, "means over ABC": written.clone()})
            values[head]["means over ABC"][here] = written[here].mean(0)
    values = {head: ways[how] for head, ways in values.items()}
    end = torch.full((len(pairs),), -1)

    with circuit.model.hooks(silenced(MOVERS, values)):
        logits, without = circuit.model.run_with_cache(pairs.clean, lambda name: name.endswith("pattern"))
    whole = circuit.metric(clean[0], pairs)
    for head in BACKUPS:
        assert attention(clean[1], head, end, pairs.io).max() < 0.01
        assert attention(without, head, end, pairs.io).min() > 0.5
    assert (circuit.metric(logits, pairs) / whole).mean() > 0.5
    none = circuit.model.run_with_hooks(pairs.clean, silenced((*MOVERS, *BACKUPS), values))
    assert (circuit.metric(none, pairs) / whole).max() < 0  # only the one that writes against it is left


def test_one_mover_is_enough_to_keep_the_backups_asleep(circuit, pairs, clean):
    end = torch.full((len(pairs),), -1)
    for mover in MOVERS:
        with circuit.model.hooks(silenced([mover], {mover: 0.0})):
            _, cache = circuit.model.run_with_cache(pairs.clean, ("pattern", 4))
        assert max(attention(cache, head, end, pairs.io).max() for head in BACKUPS) < 0.01


def test_what_a_backup_carries_is_dormant_until_the_movers_are_silent(circuit):
    """Edges that do nothing in the clean run are those that carry the answer without the movers."""
    pairs = circuit.pairs(8, seed=3)
    metric = lambda logits: circuit.metric(logits, pairs)  # noqa: E731
    awake = edge_effects(circuit.model, pairs.clean, pairs.corrupted, metric, sorted(circuit.dormant))
    assert max(effect.abs().max() for effect in awake.values()) < 0.01
    hooks = silenced(MOVERS, dict.fromkeys(MOVERS, 0.0))
    with circuit.model.hooks(hooks):
        start = metric(circuit.model(pairs.clean))
        for edge in circuit.dormant:
            patched = metric(patch_edges(circuit.model, pairs.clean, pairs.corrupted, [edge]))
            assert ((start - patched) / start > 0.1).all(), edge


def test_with_another_rotation_and_with_a_norm_it_is_the_same_circuit():
    other = planted.circuit("ioi", seed=5, norm=True)
    pairs = other.pairs(100, seed=4)
    logits = other.model(pairs.clean)
    assert (logits[:, -1].argmax(-1) == pairs.answers).all()
    assert other.metric(logits, pairs).min() > 3
    assert other.model.ln_final is not None
    rest = [edge for edge, on in other.truth().items() if not on]
    kept = other.metric(patch_edges(other.model, pairs.clean, pairs.corrupted, rest), pairs)
    assert ((kept - other.metric(logits, pairs)) / other.metric(logits, pairs)).abs().max() < 0.05
