"""The trained IOI network: training goes on where it was interrupted, and the checks would notice another network."""

from __future__ import annotations

import pytest
import torch
from rich.progress import Progress

from mi_lib import load, zoo
from mi_lib.circuits import giving_data
from mi_lib.models.graph import LOGITS
from mi_lib.recipes.ioi import checks, train
from mi_lib.worlds import giving, planted


@pytest.fixture(scope="module")
def model():
    return load("ioi-3l")


def failed(found):
    return {check.name for check in found if not check.passed}


def test_a_batch_is_stories_of_training_and_repeats_and_each_step_has_its_own():
    batch = train.training_batch(0, 5)
    assert batch.shape == (train.BATCH, giving.N_CTX + 1)
    assert (batch[: train.STORIES, -2] == giving.VOCABULARY.index("to")).all()
    assert (batch[train.STORIES :, -2] == giving.VOCABULARY.index("to")).float().mean() < 0.5
    assert torch.equal(batch, train.training_batch(0, 5))
    assert not torch.equal(batch, train.training_batch(0, 6))
    assert not torch.equal(batch, train.training_batch(1, 5))


def test_the_loss_asks_for_every_word_but_the_first():
    texts, net = train.training_batch(0, 0)[:3], train.new_model(0)
    with torch.no_grad():
        logp = net(texts[:, :-1]).log_softmax(-1)
        wanted = [-logp[row, pos, texts[row, pos + 1]] for row in range(3) for pos in range(giving.N_CTX)]
        assert train.training_loss(net, texts).item() == pytest.approx(torch.stack(wanted).mean().item(), rel=1e-5)


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path, monkeypatch):
    for name, value in (("STEPS", 6), ("COOL_DOWN_FROM", 4), ("SAVE_EVERY", 2), ("RECORD_EVERY", 2)):
        monkeypatch.setattr(train, name, value)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    with Progress(disable=True) as progress:
        first = train.train(7, whole, progress)
        batch, asked = train.training_batch, []

        def power_cut(seed, step):
            asked.append(step)
            if step == 5:
                raise KeyboardInterrupt
            return batch(seed, step)

        monkeypatch.setattr(train, "training_batch", power_cut)
        with pytest.raises(KeyboardInterrupt):
            train.train(7, broken, progress)
        monkeypatch.setattr(train, "training_batch", batch)
        second = train.train(7, broken, progress)
    assert asked == [0, 1, 2, 3, 4, 5]
    assert first["curves"] == second["curves"]
    assert first["curves"]["step"] == [0, 2, 4, 6]
    assert (whole / "model.safetensors").read_bytes() == (broken / "model.safetensors").read_bytes()


def test_both_names_are_brought_before_the_giver_is_taken_away():
    card = zoo.card("ioi-3l")
    phases, curves = card["phases"], card["curves"]
    assert phases["both_names"] < phases["giver"]
    at = curves["step"].index(phases["both_names"])
    assert curves["s"][at] > 0.75 * curves["io"][at]
    assert curves["s"][-1] < 0.25 * curves["io"][-1]


def test_an_untrained_network_fails_the_checks_that_it_can_fail():
    blank, circuit = train.untrained(), zoo.card("ioi-3l")["circuit"]
    assert failed(checks.behaviour(blank)) >= {"abba", "baba", "templates", "difference"}
    assert failed(checks.algorithm(blank, tuple(circuit["giver_heads"]))) >= {
        *("looks_at_the_giver", "giver_heads_decide", "adds_both_names", "suppresses_a_new_giver"),
        "suppresses_what_is_read",
    }


def test_other_heads_are_no_giver_heads(model):
    givers = zoo.card("ioi-3l")["circuit"]["giver_heads"]
    others = tuple(f"a1.h{head}" for head in range(4) if f"a1.h{head}" not in givers)
    missed = failed(checks.algorithm(model, others))
    assert missed >= {"looks_at_the_giver", "giver_heads_decide", "suppresses_what_is_read"}


def test_a_part_of_the_circuit_is_no_circuit(model):
    heads = zoo.card("ioi-3l")["circuit"]["heads"]
    givers = zoo.card("ioi-3l")["circuit"]["giver_heads"]
    assert set(givers) & set(heads)
    without = tuple(head for head in heads if head not in givers)
    assert "faithfulness" in failed(checks.circuit_checks(model, without))


def test_random_sets_have_as_many_heads_in_each_layer_and_are_not_the_circuit(model):
    heads = ("a0.h1", "a1.h0", "a1.h2")
    found = checks.random_sets(model, heads)
    assert len(set(found)) == checks.RANDOM_SETS
    assert heads not in found
    assert {tuple(head[:2] for head in drawn) for drawn in found} == {("a0", "a1", "a1")}


def test_what_is_lost_by_all_edges_of_a_head_is_all_that_it_says():
    circuit = planted.circuit("ioi")
    data = checks.planted_data(circuit, 20, 1)
    every = (".q", ".k", ".v", LOGITS)
    movers = checks.edges_from(circuit.model, planted.ioi.CLASSES["name mover"], every)
    assert checks.lost(circuit.model, data, "S2", movers).mean() > 0.5
    idle = checks.edges_from(circuit.model, list(circuit.decoys)[:2], every)
    assert checks.lost(circuit.model, data, "S2", idle).abs().mean() < 0.02
    assert checks.lost(circuit.model, data, "S2", []).tolist() == [0.0] * 20


def test_names_that_do_not_occur_are_those_of_no_position():
    data = giving_data(5, 3)
    logits = torch.zeros(5, giving.D_VOCAB)
    logits[:, list(giving.NAME_TOKENS)] = torch.arange(1.0, 25.0)
    for row in range(5):
        absent = [n for n in giving.NAME_TOKENS if n not in data.clean[row].tolist()]
        assert len(absent) == 22
        mean = checks.absent_mean(logits, data.clean)[row].item()
        assert mean == pytest.approx(sum(absent) / 22)


def test_the_data_are_the_stories_with_the_papers_corruptions():
    data, drawn = giving_data(30, 4, names="held_out"), giving.stories(30, seed=4, names="held_out")
    assert torch.equal(data.clean, drawn.clean)
    assert torch.equal(data.corrupted["ABC"], drawn.corrupted)
    assert torch.equal(data.template, drawn.template)
    rows = torch.arange(30)
    assert torch.equal(data.corrupted["S2"][rows, data.s2], data.io_tokens)
    assert torch.equal(data.clean[rows, data.s2], data.s_tokens)


def test_the_giver_heads_of_the_card_are_those_that_are_found_in_the_shipped_network(model):
    claimed = zoo.card("ioi-3l")["circuit"]
    assert list(checks.find_giver_heads(model)) == claimed["giver_heads"]
