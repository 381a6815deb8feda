"""The figures of chapter 09, on the planted circuit; those with a parameter are computed by an answer's functions."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import torch
from torch import Tensor

from mi_lib import plots
from mi_lib.circuits import IOIData
from mi_lib.course import findings, index
from mi_lib.models import Transformer
from mi_lib.models.graph import head_of

CHAPTER = index.chapter("09")
reading = findings.module(CHAPTER)
PROMPTS, SEED = reading.PROMPTS, reading.SEED  # the same as in the sentences beside them
LOGITS = "difference of logits"


def _model() -> Transformer:
    return reading.patient().model


def _data() -> IOIData:
    return reading.stories(SEED, PROMPTS)


def _pairs(way: str = "ABC") -> tuple[Transformer, Tensor, Tensor, Tensor, Tensor]:
    data = _data()
    return _model(), data.clean, data.corrupted[way], data.io_tokens, data.s_tokens


def _place(name: str) -> tuple[int, int]:
    found = head_of(name)
    assert found is not None
    return found


def _layers() -> list[str]:
    return [f"layer {layer}" for layer in range(_model().cfg.n_layers)]


def _heads() -> list[str]:
    return [str(head) for head in range(_model().cfg.n_heads)]


def _by_head(table: Any, title: str) -> go.Figure:
    return plots.matrix(torch.as_tensor(table), _layers(), _heads(), title, "head")


def patched_words(answer: Any) -> go.Figure:
    """What comes back of the answer by layer and word, when the answer patches flipped prompts."""
    data = _data()
    at = torch.stack([getattr(data, word) for word in reading.PLACES])
    table = answer.patch_words(*_pairs("S2"), at)
    rows = [f"into layer {layer}" for layer in range(_model().cfg.n_layers)]
    return plots.matrix(table, rows, ["IO", "S1", "S2", "END"], "How much of the answer comes back, by word")


def who_says(answer: Any) -> go.Figure:
    """What each head writes into the difference, by the answer."""
    data = _data()
    table = answer.direct_effects(_model(), data.clean, data.io_tokens, data.s_tokens)
    return _by_head(table, "What each head writes into logit(IO) − logit(S)")


def direct_and_whole(answer: Any) -> go.Figure:
    """For every head its direct effect and, by the answer, its whole effect."""
    direct = reading.by_path(_model(), _data())
    names = [f"{layer}.{head}" for layer in range(_model().cfg.n_layers) for head in range(_model().cfg.n_heads)]
    series = {
        "direct effect": direct.flatten().tolist(),
        "whole effect": torch.as_tensor(answer.total_effects(*_pairs())).flatten().tolist(),
    }
    figure = plots.grouped_bars(names, series, "What is lost if one head has read an ABC prompt", "head", LOGITS)
    return plots.sideways(figure)


def to_the_speakers(answer: Any) -> go.Figure:
    """Who speaks to the queries of the three heads that speak at the end."""
    heads = [_place(name) for name in (*reading.MOVERS, *reading.NEGATIVE)]
    table = answer.who_speaks_to(*_pairs(), heads, ["q"])
    return _by_head(table, "To the queries of the speaking heads")


def to_the_inhibitors(answer: Any) -> go.Figure:
    """Who speaks to the keys, and to the values, of the inhibition heads."""
    heads = [_place(name) for name in reading.INHIBITORS.values()]
    tables = [torch.as_tensor(answer.who_speaks_to(*_pairs(), heads, [which])) for which in "kv"]
    early = [f"layer {layer}" for layer in range(2)]
    rows = [f"{what},<br>from {layer}" for what in ("keys", "values") for layer in early]
    stacked = torch.cat([table[: len(early)] for table in tables])
    title = "To the keys and to the values of the two heads that inform the movers"
    return plots.matrix(stacked, rows, _heads(), title, "head")


def looks_and_copies(answer: Any) -> go.Figure:
    """Attention from END to IO and copy scores of the heads of the last two layers, by the answer."""
    data, model = _data(), _model()
    looks = torch.as_tensor(answer.attention_to(model, data.clean, data.end, data.io))[-2:].flatten()
    copies = torch.as_tensor(answer.copy_scores(model, data.clean, data.io, 5))[-2:].flatten()
    first = model.cfg.n_layers - 2
    names = [f"{first + layer}.{head}" for layer in range(2) for head in range(model.cfg.n_heads)]
    series = {"looks from END at IO": looks.tolist(), "copy score": copies.tolist()}
    figure = plots.grouped_bars(names, series, "Where they look, and what they would say", "head", "share")
    return figure.update_xaxes(type="category")


def without_heads() -> go.Figure:
    """The difference without a head, by what stands in its place: from the findings.

    Not the movers: what happens without them is to be predicted later.
    """
    found = findings.read(CHAPTER)["knocked_out"]
    kinds = {
        "previous": "previous token", "duplicate": "duplicate token", "induction": "induction",
        "by_token": "inhibition by token", "by_place": "inhibition by position",
    }  # fmt: skip
    ways = {"per_template": "mean over ABC", "clean": "mean over clean prompts", "zero": "zero"}
    series = {name: [found[how][kind] for kind in kinds] for how, name in ways.items()}
    figure = plots.grouped_bars(list(kinds.values()), series, "What is left without them", "without", LOGITS)
    figure.add_hline(y=found["whole"], line={"dash": "dash", "color": "#888888"})  # seen on both themes
    return plots.sideways(figure)


def _means() -> Tensor:
    """[template layer pos head d_head], as the exercises have them."""
    from mi_lib.circuits import abc_means

    return abc_means(_model(), _data()).z.transpose(0, 1).contiguous()


def woken(answer: Any) -> go.Figure:
    """How the direct effects change when both movers are silenced, by the answer."""
    data = _data()
    table = answer.after_silencing(
        _model(), data.clean, data.template, _means(), data.io_tokens, data.s_tokens,
        [_place(name) for name in reading.MOVERS],
    )  # fmt: skip
    return _by_head(table, "Both movers silenced: who speaks less, and who more?")


def without_movers(answer: Any) -> go.Figure:
    """F(C∖K) and F(M∖K) for the circuit with and without backups, K being the movers, by the answer."""
    data, movers = _data(), [_place(name) for name in reading.MOVERS]
    every = [_place(name) for name in reading.members()]
    backups = [_place(name) for name in reading.BACKUPS]
    circuits = {"without backups": [head for head in every if head not in backups], "with backups": every}
    given = (_model(), data.clean, data.template, _means(), data.io_tokens, data.s_tokens)
    found = [
        torch.as_tensor(answer.completeness(*given, circuit, [movers]))[0].tolist() for circuit in circuits.values()
    ]
    series = {"the circuit, F(C∖K)": [row[0] for row in found], "the network, F(M∖K)": [row[1] for row in found]}
    return plots.grouped_bars(list(circuits), series, "Both movers removed", "circuit", LOGITS)
