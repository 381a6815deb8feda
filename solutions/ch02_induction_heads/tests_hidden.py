"""Hidden tests of chapter 02: other shapes, other numbers, a model that no learner has seen. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

import mi_lib
from mi_lib.course.grading import Wrong, expect, expect_close, expect_equal, grades
from mi_lib.models import Transformer
from mi_lib.worlds import repeats


@grades("02.2")
def test_large_logits_anywhere(answer):
    """Large logits stay finite wherever in the vocabulary the large one stands."""
    for place in range(4):
        logits = torch.zeros(1, 3, 4)
        logits[..., place] = 2000.0
        tokens = torch.tensor([[0, 1, place]])
        want = [0.0 if token == place else 2000.0 for token in tokens[0, 1:].tolist()]
        expect_close(answer.loss_per_token(logits, tokens), torch.tensor([want]), "the loss", axes="batch pos-1")


@grades("02.4")
def test_indices_in_any_order(answer):
    """The two indices are taken as they are given, whichever comes first, and may be the same."""
    loss = 6 * torch.rand(4, 7, generator=torch.Generator().manual_seed(31))
    for early, late in ((5, 1), (6, 0), (3, 3)):
        want = sum(row[late] - row[early] for row in loss.tolist()) / 4
        expect_close(answer.in_context_learning_score(loss, early, late), want, "the score")


@grades("02.6")
def test_any_vocabulary(answer):
    """A vocabulary may be as large as that of a real model, and a sequence longer than those of this chapter."""
    generator = torch.Generator().manual_seed(77)
    words = torch.randint(0, 150_000, (40,), generator=generator)
    tokens = words[torch.randint(0, 40, (2, 120), generator=generator)]
    want = []
    for row in tokens.tolist():
        want.append([max((p for p in range(t) if row[p] == row[t]), default=-1) for t in range(len(row))])
    expect_equal(answer.previous_occurrence(tokens), torch.tensor(want), "the earlier occurrence")


def with_idle_layer(model: Transformer) -> Transformer:
    """The same function with a layer in the middle that writes nothing: its heads move up by one layer."""
    config = dataclasses.replace(model.config, n_layers=3)
    deeper = Transformer(config)
    weights = deeper.state_dict()
    for name, value in model.state_dict().items():
        weights[name.replace("blocks.1.", "blocks.2.")] = value
    for name, value in weights.items():
        if name.startswith("blocks.1."):
            weights[name] = torch.zeros_like(value)
    deeper.load_state_dict(weights)
    return deeper.requires_grad_(False)


def heads_looking(model: Transformer, tokens: Tensor, targets: list[list[int]]) -> list[tuple[int, int]]:
    """Heads that pay at least half of their attention to targets[b][q], where that is not negative."""
    found = []
    _, cache = model.run_with_cache(tokens, lambda name: name.endswith("pattern"))
    for layer in range(model.cfg.n_layers):
        pattern = cache["pattern", layer]
        for head in range(model.cfg.n_heads):
            paid = [
                pattern[b, head, q, key].item()
                for b, row in enumerate(targets)
                for q, key in enumerate(row)
                if key >= 0
            ]
            found += [(layer, head)] if sum(paid) / len(paid) >= 0.5 else []
    return found


@grades("02.13")
def test_a_deeper_model(answer):
    """In a deeper model, induction heads may stand in any layer above the first."""
    model = with_idle_layer(mi_lib.load("induction-2l"))
    sample = repeats.sample(6, seed=1234, period=(7, 13))
    rows = sample.previous.tolist()
    after = [[p + 1 if p >= 0 else -1 for p in row] for row in rows]
    want = [head for head in heads_looking(model, sample.tokens, after) if head[0] > 0]
    got = answer.find_circuit([(0, model)], sample.tokens, sample.second)
    expect(isinstance(got, dict) and "induction_heads" in got, "Return a dict with the entries of the docstring.")
    found = sorted(tuple(int(part) for part in head) for head in got["induction_heads"])
    if found != want:
        raise Wrong(f"The induction heads are {want}, but your code found {found}.")
