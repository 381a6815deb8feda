"""Names of nodes and edges, and which edges a model can have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mi_lib.models import ModelConfig
from mi_lib.models.graph import Edge, all_edges, check_edge, head_name, node_of, receivers, senders

CFG = ModelConfig(n_layers=2, d_model=8, n_heads=2, d_head=4, d_vocab=9, n_ctx=5, d_mlp=6)


def into(receiver, cfg=CFG):
    return [edge.sender for edge in all_edges(cfg) if edge.receiver == receiver]


def test_a_reader_has_an_edge_from_everything_written_before_it():
    assert into("a0.h1.k") == ["embed", "pos_embed"]
    assert into("m0") == ["embed", "pos_embed", "a0.h0", "a0.h1"]
    assert into("a1.h0.v") == ["embed", "pos_embed", "a0.h0", "a0.h1", "m0"]
    assert into("m1") == ["embed", "pos_embed", "a0.h0", "a0.h1", "m0", "a1.h0", "a1.h1"]
    assert into("logits") == senders(CFG)
    assert len(all_edges(CFG)) == len(set(all_edges(CFG))) == 6 * 2 + 4 + 6 * 5 + 7 + 8


def test_beside_each_other_heads_and_mlp_do_not_read_each_other():
    parallel = replace(CFG, parallel=True, positions="rotary")
    assert into("m0", parallel) == ["embed"]
    assert into("m1", parallel) == into("a1.h0.q", parallel) == ["embed", "a0.h0", "a0.h1", "m0"]


def test_without_mlp_or_positions_in_the_stream_there_is_no_such_sender():
    assert senders(replace(CFG, d_mlp=0, positions="shifted")) == ["embed", "a0.h0", "a0.h1", "a1.h0", "a1.h1"]
    assert receivers(replace(CFG, d_mlp=0, n_layers=1))[-2:] == ["a0.h1.v", "logits"]


def test_an_edge_is_written_and_read_back():
    for edge in all_edges(CFG):
        assert Edge.parse(str(edge)) == edge
    assert str(Edge("a0.h1", "a1.h2.k")) == "a0.h1->a1.h2.k"
    assert Edge.parse(" embed -> m0 ") == Edge("embed", "m0")
    assert node_of("a1.h12.v") == head_name(1, 12) == "a1.h12"
    assert node_of("m1") == "m1"


@pytest.mark.parametrize(
    ("edge", "words"),
    [
        (Edge("a1.h0", "a0.h1.q"), "a1.h0->a0.h1.q runs backwards: a0.h1.q is computed before a1.h0 has written"),
        (Edge("m1", "m1"), "runs backwards"),
        (Edge("a1.h0", "a1.h1.q"), "runs backwards"),
        (Edge("a0.h0", "a1.h1"), "no receiver 'a1.h1'; say which of its inputs: a1.h1.q, a1.h1.k or a1.h1.v"),
        (Edge("a0.h0.q", "a1.h1.q"), "no sender 'a0.h0.q'; a head writes once, as a0.h0"),
        (Edge("logits", "m1"), "logits is a receiver"),
        (Edge("a0.h5", "m1"), "no sender 'a0.h5'"),
        (Edge("a0.h0", "m7"), "no receiver 'm7'"),
    ],
)
def test_an_edge_that_cannot_be_is_refused_in_a_sentence(edge, words):
    with pytest.raises(ValueError, match=words.split(":")[0].replace(".", r"\.")) as error:
        check_edge(edge, CFG)
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["a0.h1", "->", "a0.h1->", "a0.h1>a1.h0.k"])
def test_a_text_that_is_no_edge_is_refused(text):
    with pytest.raises(ValueError, match="write sender->receiver, as in a0"):
        Edge.parse(text)
