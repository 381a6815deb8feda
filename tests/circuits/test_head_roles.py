"""Roles by tests: those of the planted circuit are recovered, and the heads that only look like it have none."""

from __future__ import annotations

import pytest
import torch
from circuits_subjects import data, ioi

from mi_lib import load
from mi_lib.attribution import randomised
from mi_lib.circuits import (
    all_heads,
    attention_scores,
    copy_scores,
    effects_without,
    head_roles,
    littletown_data,
    total_effects,
)
from mi_lib.circuits.roles import AGAINST, COPIES, DIRECT, LOOKS, ON_QUERIES, PREVIOUS, ROLES, TOTAL, WOKEN
from mi_lib.models.graph import head_of
from mi_lib.worlds.planted.ioi import CLASSES

TESTS = {  # of each role, the look that it rests on
    "previous token": PREVIOUS,
    "duplicate token": "S2 to S1",
    "induction": "S2 to S1 + 1",
    "s-inhibition": "END to S2",
    "name mover": "END to IO",
    "negative mover": "END to IO",
}


@pytest.fixture(scope="module")
def found():
    return head_roles(ioi().model, data())


def test_every_planted_head_has_its_role_and_no_idle_one_has_any(found):
    assert dict(found.roles) == CLASSES
    assert tuple(found.roles) == ROLES


@pytest.mark.parametrize("seed", [1, 2])
def test_other_prompts_and_other_random_heads_give_the_same_roles(seed):
    assert dict(head_roles(ioi().model, data(40, 20 + seed), seed=seed).roles) == CLASSES


def test_a_decoy_looks_as_the_head_that_it_imitates_and_only_the_effect_tells_them_apart(found):
    circuit = ioi()
    imitated = [
        (decoy, head)
        for decoy, head in circuit.decoys.items()
        for r, hs in CLASSES.items()
        if head in hs and r in TESTS
    ]
    assert len(imitated) >= 6
    for decoy, head in imitated:
        (role,) = [role for role, heads in CLASSES.items() if head in heads]
        assert found.of(decoy)[TESTS[role]] > 0.3, decoy
        assert abs(found.of(decoy)[TOTAL]) < 0.02 < abs(found.of(head)[TOTAL]), decoy


def test_a_head_whose_queries_are_turned_does_not_look_there(found):
    for role, test in TESTS.items():
        for head in CLASSES[role]:
            assert found.scores[test][head_of(head)] > 0.7
            assert found.controls[test][head_of(head)] < 0.3


def test_movers_copy_and_a_random_head_in_their_place_does_not(found):
    for head in (*CLASSES["name mover"], *CLASSES["backup mover"]):
        assert found.of(head)[COPIES] >= 0.95
        assert found.of(head)[AGAINST] < 0.2
    (negative,) = CLASSES["negative mover"]
    assert found.of(negative)[AGAINST] >= 0.95
    assert found.of(negative)[COPIES] < 0.2
    assert found.controls[COPIES].mean() < 0.35


def test_a_backup_shows_only_once_the_movers_are_knocked_out(found):
    for head in CLASSES["backup mover"]:
        scores = found.of(head)
        assert abs(scores[DIRECT]) < 0.01
        assert abs(scores[TOTAL]) < 0.01
        assert scores[WOKEN] > 0.05
    for head in CLASSES["name mover"]:
        assert found.of(head)[WOKEN] == 0
    asleep = effects_without(ioi().model, data(), ())
    assert max(asleep[head_of(head)].abs() for head in CLASSES["backup mover"]) < 0.02


def test_scores_are_what_the_patterns_say_row_by_row(found):
    model, d = ioi().model, data()
    _, cache = model.run_with_cache(d.clean, lambda name: name.endswith("pattern"))
    places = {"end": d.end, "io": d.io, "s1": d.s1, "s2": d.s2, "after_s1": d.s1 + 1}
    for test, (query, key) in LOOKS.items():
        for layer, head in ((0, 3), (2, 0), (3, 2)):
            rows = range(len(d))
            seen = [cache["pattern", layer][r, head, places[query][r], places[key][r]] for r in rows]
            assert found.scores[test][layer, head] == pytest.approx(float(sum(seen) / len(d)), abs=1e-5)
    pattern = cache["pattern", 0][:, 1]
    want = torch.stack([pattern[:, i, i - 1] for i in range(1, 13)]).mean()
    assert found.scores[PREVIOUS][0, 1] == pytest.approx(float(want), abs=1e-5)


def test_copy_scores_count_names_among_the_first_k():
    model, d = ioi().model, data(20, 1)
    _, cache = model.run_with_cache(d.clean, ("resid_post", 0))
    right = 0
    for row in range(20):
        for place, name in ((d.io, d.io_tokens), (d.s1, d.s_tokens), (d.s2, d.s_tokens)):
            x = cache["resid_post", 0][row, place[row]]
            logits = (x @ model.W_V[4, 2] + model.b_V[4, 2]) @ model.W_O[4, 2] @ model.W_U + model.b_U
            right += int((logits > logits[name[row]]).sum() < 3)
    assert copy_scores(model, d, k=3)[4, 2] == pytest.approx(right / 60, abs=1e-5)


def test_total_effects_are_what_the_answer_loses_with_the_head_of_the_abc_prompt():
    model, d = ioi().model, data(20, 1)
    _, then = model.run_with_cache(d.corrupted["ABC"], ("z", 2))

    def put(z, hook):
        z[:, :, 3] = then["z", 2][:, :, 3]

    clean, other = d.metric(model(d.clean)).mean(), d.metric(model(d.corrupted["ABC"])).mean()
    patched = d.metric(model.run_with_hooks(d.clean, [(("z", 2), put)])).mean()
    assert total_effects(model, d)[2, 3] == pytest.approx(float((clean - patched) / (clean - other)), abs=1e-4)


def test_a_network_with_shuffled_weights_has_no_roles():
    model = randomised(ioi().model, 0)
    found = head_roles(model, data())
    assert all(heads == () for heads in found.roles.values())
    assert found.table() == []


def test_the_table_has_a_row_for_each_head_with_its_controls(found):
    rows = found.table()
    assert [row["head"] for row in rows] == [head for role in ROLES for head in CLASSES[role]]
    first = rows[0]
    assert first["role"] == "previous token"
    assert first[PREVIOUS] == pytest.approx(float(found.scores[PREVIOUS][0, 1]))
    assert first[f"{PREVIOUS} (random head)"] == pytest.approx(float(found.controls[PREVIOUS][0, 1]))


def test_random_heads_are_seeded():
    model, d = ioi().model, data(12, 2)
    one, again, other = (attention_scores(model, d, turned=seed)["END to S2"] for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_inhibitors_act_on_the_movers_queries_and_nobody_else_does(found):
    values = found.scores[ON_QUERIES]
    for head in CLASSES["s-inhibition"]:
        assert values[head_of(head)] > 0.1
    others = [head for head in all_heads(ioi().model.cfg) if head not in CLASSES["s-inhibition"]]
    assert max(values[head_of(head)].abs() for head in others) < 0.01


def test_in_a_network_that_does_it_otherwise_no_head_is_called_a_mover_or_an_inhibitor():
    """Pico looks at S2 from END in its first layer, and needs it; but it has no movers whose queries would hear it."""
    pico = load("pico-base")
    stories = littletown_data(pico, 16, seed=0)
    found = head_roles(pico, stories, random_heads=1)
    assert found.scores["END to S2"].max() > 0.3
    assert found.scores[TOTAL].max() > 0.3
    assert all(found.roles[role] == () for role in ("name mover", "backup mover", "s-inhibition"))
    assert not found.scores[ON_QUERIES].any()
