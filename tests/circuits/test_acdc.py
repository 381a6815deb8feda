"""ACDC is the loop that it says it is, and finds of planted circuits what leaving out can show."""

from __future__ import annotations

import time

import pytest
import torch
from circuits_subjects import data, ioi

from mi_lib import Transformer, TransformerConfig
from mi_lib.attribution import edge_effects, logit_difference, run_edges, sender_outputs
from mi_lib.circuits import acdc, compare_circuits, edges_alone
from mi_lib.models.graph import Edge, all_edges, node_of, receivers, senders
from mi_lib.worlds import planted
from mi_lib.worlds.planted.ioi import CLASSES

SIZES = {"n_layers": 2, "d_model": 14, "n_heads": 2, "d_head": 5, "d_vocab": 19, "n_ctx": 9, "d_mlp": 11}


def one_by_one(model, clean, corrupted, tau, metric, latest_first=True):
    """The loop of the paper, a whole run for each edge."""
    said = sender_outputs(model, corrupted, senders(model.cfg))
    whole = model(clean)[:, -1].log_softmax(-1)

    def score(edges_out):
        logits = run_edges(model, clean, {e: said[e.sender] for e in edges_out}) if edges_out else model(clean)
        if metric != "kl":
            return float(metric(logits).mean())
        new = logits[:, -1].log_softmax(-1)
        return float((whole.exp() * (whole - new)).sum(-1).mean())

    out, kept, now = [], set(), score([])
    for receiver in reversed(receivers(model.cfg)):
        into = [edge for edge in all_edges(model.cfg) if edge.receiver == receiver]
        for edge in reversed(into) if latest_first else into:
            new = score([*out, edge])
            if (new - now if metric == "kl" else abs(new - now)) < tau:
                out.append(edge)
                now = new
            else:
                kept.add(edge)
    return kept


@pytest.mark.parametrize("rows", [3, 7, 512])
@pytest.mark.parametrize(("metric", "tau"), [("kl", 0.03), (logit_difference(3, 4), 0.15)], ids=["kl", "difference"])
@pytest.mark.parametrize("latest_first", [True, False])
@pytest.mark.parametrize("norm", ["none", "layernorm"])
def test_many_at_once_is_the_same_as_one_by_one(rows, metric, tau, latest_first, norm):
    model = Transformer(TransformerConfig(**SIZES, norm=norm)).init_weights(1, 0.4).requires_grad_(False).double()
    clean, corrupted = torch.randint(19, (2, 3, 6), generator=torch.Generator().manual_seed(0))
    want = one_by_one(model, clean, corrupted, tau, metric, latest_first)
    got = acdc(model, clean, corrupted, tau, metric, latest_first=latest_first, rows=rows)
    assert got == want
    assert 3 < len(got) < len(all_edges(model.cfg)) - 3


def test_it_says_how_far_it_is():
    model = Transformer(TransformerConfig(**SIZES)).init_weights(1, 0.4).requires_grad_(False)
    clean, corrupted = torch.randint(19, (2, 3, 6), generator=torch.Generator().manual_seed(0))
    told = []
    kept = acdc(model, clean, corrupted, 0.05, progress=lambda *where: told.append(where))
    assert [receiver for receiver, _ in told] == receivers(model.cfg)[::-1]
    assert told[-1][1] == len(kept)


def of(name, n=8, seed=1):
    circuit = planted.circuit(name)
    pairs = circuit.pairs(n, seed)
    return circuit, pairs.clean, pairs.corrupted, logit_difference(pairs.answers, pairs.corrupted_answers)


@pytest.mark.parametrize("name", [name for name in planted.NAMES if name != "redundant"])
def test_of_a_planted_circuit_every_edge_is_found_and_no_other(name):
    circuit, clean, corrupted, metric = of(name)
    whole = float((metric(circuit.model(clean)) - metric(circuit.model(corrupted))).mean())
    assert acdc(circuit.model, clean, corrupted, 0.05 * whole, metric) == circuit.edges


def test_of_a_redundant_pair_it_finds_the_one_that_it_visits_last():
    circuit, clean, corrupted, metric = of("redundant")
    whole = float((metric(circuit.model(clean)) - metric(circuit.model(corrupted))).mean())
    found = {
        way: acdc(circuit.model, clean, corrupted, 0.05 * whole, metric, latest_first=way) for way in (True, False)
    }
    early = {edge for edge in circuit.edges if "a0.h0" in str(edge)}
    late = {edge for edge in circuit.edges if "a1.h3" in str(edge)}
    assert found[True] == circuit.edges - late
    assert found[False] == circuit.edges - early


@pytest.fixture(scope="module")
def found():
    circuit, d = ioi(), data(10, 1)
    start = time.process_time()
    whole = float(d.metric(circuit.model(d.clean)).mean())
    kept = acdc(circuit.model, d.clean, d.corrupted["ABC"], 0.02 * whole, d.metric)
    return kept, time.process_time() - start


def test_of_the_planted_ioi_it_finds_all_but_what_the_backups_read(found):
    """Their way to the logits says nothing in either prompt and goes; what keeps them asleep is then not missed."""
    circuit, kept = ioi(), found[0]
    of_backups = {edge for edge in circuit.edges if node_of(edge.receiver) in CLASSES["backup mover"]}
    assert kept == circuit.edges - of_backups
    assert len(of_backups) == 8
    d = data(10, 1)
    patched = edge_effects(circuit.model, d.clean, d.corrupted["ABC"], d.metric, of_backups)
    together = {edge for pair in circuit.together for edge in pair}
    assert min(patched[edge].abs().min() for edge in of_backups - together) > 0.1  # and each counts when patched alone


def test_what_it_finds_behaves_as_the_network_does_until_the_movers_are_gone(found):
    circuit, d = ioi(), data(30, 8)
    F = edges_alone(circuit.model, d)
    known = circuit.edges | circuit.constant_edges | circuit.dormant
    compared = compare_circuits(found[0], known, unjudged=circuit.constant_edges | circuit.dormant, F=F)
    assert compared.precision == 1
    assert compared.recall == pytest.approx(26 / 34)
    assert compared.found_alone.share == pytest.approx(1, abs=0.05)
    assert compared.truth_alone.share == pytest.approx(1, abs=0.05)
    whole, movers = F(F.everything), {edge for edge in F.everything if edge.sender in CLASSES["name mover"]}
    without = [F(parts - movers) / whole for parts in (F.everything, known, found[0])]
    assert without[0] > 0.5  # the backups
    assert without[1] == pytest.approx(without[0], abs=0.05)
    assert without[2] < 0


def test_the_planted_ioi_takes_less_than_twenty_seconds(found):
    assert found[1] < 20


def test_an_edge_that_acts_alone_is_kept_and_one_that_never_acts_goes():
    circuit, clean, corrupted, metric = of("two_hop")
    effects = edge_effects(circuit.model, clean, corrupted, metric)
    kept = acdc(circuit.model, clean, corrupted, 0.01)
    strong = {edge for edge, effect in effects.items() if effect.mean() > 0.3}
    assert strong <= kept
    assert Edge("pos_embed", "logits") not in kept
