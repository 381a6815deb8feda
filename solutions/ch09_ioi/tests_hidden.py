"""Hidden tests of chapter 09: other seeds, other shapes, names at other places. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lib.circuits import abc_means, heads_alone, knock_out, path_patch, planted_data
from mi_lib.course.grading import expect, expect_close, grades
from mi_lib.models.graph import head_of
from mi_lib.worlds import planted
from mi_lib.worlds.planted.ioi import CLASSES


def differences(logits: Tensor, io: Tensor, s: Tensor) -> Tensor:
    rows = torch.arange(len(logits))
    return logits[rows, -1, io] - logits[rows, -1, s]


def place(name: str) -> tuple[int, int]:
    found = head_of(name)
    assert found is not None
    return found


@grades("09.1")
def test_exactly_five_names(answer):
    """With five names there is one set of three for each prompt, in any order."""
    names = torch.tensor([31, 7, 50, 12, 3])
    got = answer.other_names(torch.tensor([7] * 40), torch.tensor([3] * 40), names, 11)
    expect({tuple(sorted(row)) for row in got.tolist()} == {(12, 31, 50)}, "The three names left are the only ones.")
    expect(len({tuple(row) for row in got.tolist()}) > 3, "The order should be random, too.")


@grades("09.7")
def test_paths_in_a_planted_network_with_norms(answer):
    """The planted circuit with LayerNorm, from another seed."""
    circuit = planted.circuit("ioi", seed=11, norm=True)
    data = planted_data(circuit, 9, seed=5)
    for sender, to, inputs in (
        ("a2.h3", ("a3.h0", "a4.h0"), ["q"]),
        ("a0.h3", ("a2.h0", "a2.h3"), ["k", "v"]),
        ("a0.h1", ("a1.h2",), ["k"]),
    ):
        names = [f"{head}.{which}" for head in to for which in inputs]
        want = path_patch(circuit.model, data.clean, data.corrupted["ABC"], sender, names)
        got = answer.path_patch(
            circuit.model, data.clean, data.corrupted["ABC"], place(sender), [place(head) for head in to], inputs
        )
        expect_close(got, want, f"the logits of the path from {sender}", axes="batch pos d_vocab", atol=2e-3, rtol=1e-3)


@grades("09.10")
def test_knocked_out_in_a_planted_network_with_norms(answer):
    """Means and knock-outs of the planted circuit with LayerNorm, from another seed."""
    circuit = planted.circuit("ioi", seed=11, norm=True)
    data = planted_data(circuit, 20, seed=6)
    means = abc_means(circuit.model, data)
    mine = answer.abc_means(circuit.model, data.corrupted["ABC"], data.template)
    expect_close(mine, means.z.transpose(0, 1), "the means", axes="template layer pos head d_head", atol=1e-3)
    for kind in ("induction", "name mover"):
        with circuit.model.hooks(knock_out(circuit.model, CLASSES[kind], means, data.template)):
            want = circuit.model(data.clean)
        heads = [place(name) for name in CLASSES[kind]]
        got = answer.knock_out(circuit.model, data.clean, data.template, mine, heads)
        expect_close(got, want, f"the logits without the {kind}", axes="batch pos d_vocab", atol=2e-3, rtol=1e-3)


@grades("09.15")
def test_a_circuit_of_a_network_with_norms(answer):
    """A planted network with LayerNorm, from another seed: faithful, and complete without the speakers."""
    circuit = planted.circuit("ioi", seed=11, norm=True)
    data, fresh = planted_data(circuit, 24, seed=7), planted_data(circuit, 24, seed=8)
    got = answer.find_circuit(
        circuit.model, data.clean, data.corrupted["ABC"], data.template, data.io_tokens, data.s_tokens
    )
    F = heads_alone(circuit.model, fresh)
    C, M = frozenset(f"a{layer}.h{head}" for layer, head in got), F.everything
    movers = frozenset(CLASSES["name mover"])
    expect(len(C) < 16, "Nearly all heads were named.")
    expect(0.87 <= F(C) / F(M) <= 1.13, "The circuit is not faithful on other prompts.")
    expect(
        abs(F(C - movers) - F(M - movers)) <= 0.15 * F(M), "The circuit is not complete: something wakes outside of it."
    )
