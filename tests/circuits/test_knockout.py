"""A head that is knocked out holds its mean over ABC prompts of its template, at each position by itself."""

from __future__ import annotations

import pytest
import torch
from circuits_subjects import data, ioi

from mi_lib.circuits import abc_means, knock_out, run_without
from mi_lib.worlds.planted.ioi import CLASSES


def z_of(tokens, layer):
    return ioi().model.run_with_cache(tokens, ("z", layer))[1]["z", layer]


def test_what_a_head_holds_is_the_mean_of_its_template_at_its_position_and_no_other_head_changes():
    model, d = ioi().model, data()
    means = abc_means(model, d)
    kept = {}

    def keep(value, hook):
        kept[hook.layer] = value.clone()

    heads = ["a1.h2", "a3.h0", "a3.h2"]
    with model.hooks([*knock_out(model, heads, means, d.template), ([("z", 1), ("z", 3)], keep)]):
        model(d.clean)
    own = z_of(d.clean, 1)
    for layer, silent in ((1, [2]), (3, [0, 2])):
        abc = z_of(d.corrupted["ABC"], layer)
        for head in silent:
            for row in range(len(d)):
                same = [i for i in range(len(d)) if d.template[i] == d.template[row]]
                for pos in (4, 12):
                    want = sum(abc[i, pos, head] for i in same) / len(same)
                    assert torch.allclose(kept[layer][row, pos, head], want, atol=1e-5)
    assert torch.equal(kept[1][:, :, [0, 1, 3]], own[:, :, [0, 1, 3]])


def test_the_metric_falls_to_nothing_when_all_heads_are_knocked_out_and_stays_without_idle_ones():
    circuit, d = ioi(), data(200, 5)
    model, means = circuit.model, abc_means(circuit.model, d)
    every = [f"a{layer}.h{head}" for layer in range(5) for head in range(4)]
    whole = d.metric(model(d.clean)).mean()
    assert d.metric(run_without(model, d, every, means)).mean().abs() < 0.01 * whole
    idle = [head for head in every if head not in circuit.parts]
    assert d.metric(run_without(model, d, idle, means)).mean() / whole == pytest.approx(1, abs=0.03)
    assert torch.equal(run_without(model, d, [], means), model(d.clean))


def test_the_wrong_ways_give_other_means():
    model, d = ioi().model, data()
    right, pooled, clean, zero = (abc_means(model, d, how) for how in ("per template", "pooled", "clean", "zero"))
    z = z_of(d.corrupted["ABC"], 2)
    for template in range(4):
        assert torch.allclose(pooled.z[2, template], z.mean(0), atol=1e-5)
        own = z_of(d.clean, 2)[d.template == template]
        assert torch.allclose(clean.z[2, template], own.mean(0), atol=1e-5)
    assert not zero.z.any()
    for wrong in (pooled, clean, zero):
        assert (wrong.z - right.z).abs().max() > 0.1


def test_a_mean_over_clean_prompts_still_tells_that_a_name_is_there_twice():
    """Without the induction head S2 has half a mark, and the inhibitors find nothing; the clean mean has the mark."""
    model, d = ioi().model, data()
    whole = d.metric(model(d.clean)).mean()
    left = {
        how: float(d.metric(run_without(model, d, CLASSES["induction"], abc_means(model, d, how))).mean() / whole)
        for how in ("per template", "clean")
    }
    assert left["per template"] < 0
    assert left["clean"] == pytest.approx(1, abs=0.03)  # as if the head did nothing


def test_means_of_some_prompts_serve_others_of_the_same_templates():
    model, d = ioi().model, data()
    other = data(80, 9)
    means = abc_means(model, other)
    got = run_without(model, d, ["a2.h0"], means)
    assert not torch.allclose(got, model(d.clean), atol=1e-2)
    assert means.rows(2, d.template).shape == (60, 13, 4, 24)
