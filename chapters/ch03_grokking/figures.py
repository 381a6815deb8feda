"""The figures of chapter 03: computed on the bundled models and read from their cards, drawn by `mi_lib.plots`.

Those with a parameter `answer` are computed by the functions of an answer to the exercises.
"""

from __future__ import annotations

import functools
from typing import Any

import plotly.graph_objects as go
import torch

from mi_lib import grokking, load, plots, zoo
from mi_lib.course import findings, index
from mi_lib.grokking import Analysis
from mi_lib.models import Transformer

CHAPTER = index.chapter("03")
NAME, CONTROL = "grokking-113", "grokking-113-memorising"
EXAMPLE = (17, 60)  # the sum of which some figures speak
CORNER = 40  # so many numbers of each kind are drawn: of all 113 the eye sees no waves any more


@functools.cache
def _analysis(name: str = NAME, checkpoint: int | None = None) -> Analysis:
    return grokking.analyse(load(name, checkpoint=checkpoint))


@functools.cache
def _untrained() -> Analysis:
    model = load(NAME)
    assert isinstance(model, Transformer)
    return grokking.analyse(Transformer(model.config).init_weights(seed=7).requires_grad_(False))


def _measures(name: str = NAME) -> dict[str, list[Any]]:
    return zoo.card(name)["measures"]


def two_trainings() -> go.Figure:
    """Training and test loss of both networks, on a logarithmic scale."""
    mine, control = zoo.card(NAME)["curves"], zoo.card(CONTROL)["curves"]
    until = min(len(mine["step"]), len(control["step"]))
    series = {
        "the network, sums it trains on": mine["train_loss"][:until],
        "the network, sums it never saw": mine["test_loss"][:until],
        "the control, sums it never saw": control["test_loss"][:until],
    }
    return plots.lines(mine["step"][:until], series, "Loss during training", "training step", "loss (nats)", log_y=True)


def raw_embedding() -> go.Figure:
    """The embedding as it stands in the weights: numbers by dimensions."""
    return plots.maps(
        _analysis().inputs.embedding.T[None],
        ["W_E, transposed"],
        f"The embedding of {_analysis().p} numbers",
        x_title="number",
        y_title="dimension",
    )


def embedding_spectra(answer: Any) -> go.Figure:
    """The energy of the embedding by frequency, by the answer: the network, and before training."""
    networks = {"the network": _analysis(), "before training": _untrained()}
    series = {name: answer.spectrum(found.inputs.embedding) for name, found in networks.items()}
    return plots.spectrum(
        series, "The embedding, frequency by frequency", "share of the energy", _analysis().frequencies
    )


def control_spectrum() -> go.Figure:
    """The same for the control."""
    return plots.spectrum(
        {"the control": _analysis(CONTROL).spectrum}, "The embedding of the control", "share of the energy"
    )


def circle_of_numbers() -> go.Figure:
    """The embedding seen from the one plane that its strongest frequency spans."""
    found = _analysis()
    k = max(found.frequencies, key=lambda k: found.spectrum[k - 1].item())
    points = grokking.plane(found.inputs.embedding, k)
    labels = [str(a) if a % 4 == 0 else "" for a in range(found.p)]
    title = f"{found.p} numbers in the plane of frequency {k}"
    return plots.circle(points, labels, title, "first axis of the plane", "second axis")


def some_neurons() -> go.Figure:
    """The first four neurons that one frequency explains best, each of another frequency where there are enough."""
    found = _analysis()
    chosen: list[int] = []
    for k in found.frequencies[:4]:
        mine = torch.where(found.neurons.frequency == k, found.neurons.explained, torch.tensor(-1.0))
        chosen.append(int(mine.argmax()))
    titles = [f"frequency {int(found.neurons.frequency[n])}" for n in chosen]
    values = found.inputs.neurons[:CORNER, :CORNER, chosen].permute(2, 0, 1)
    return plots.maps(values, titles, f"Four neurons, for a and b from 0 to {CORNER - 1}")


def control_neurons() -> go.Figure:
    """The four neurons of the control that vary most."""
    found = _analysis(CONTROL)
    variance = found.inputs.neurons.flatten(0, 1).var(0)
    chosen = variance.topk(4).indices.tolist()
    titles = [f"{found.neurons.explained[n]:.0%} explained" for n in chosen]
    values = found.inputs.neurons[:CORNER, :CORNER, chosen].permute(2, 0, 1)
    return plots.maps(values, titles, "The four busiest neurons of the control")


def neurons_by_frequency(answer: Any) -> go.Figure:
    """How many neurons belong to each frequency, and which frequencies are key, by the answer."""

    def members(found: Analysis) -> list[int]:
        frequency, explained = answer.neuron_frequencies(found.inputs.neurons[..., found.neurons.live])
        return torch.bincount(frequency[explained >= 0.5], minlength=len(found.spectrum) + 1)[1:].tolist()

    series = {"the network": members(_analysis()), "the control": members(_analysis(CONTROL))}
    key = answer.key_frequencies(_analysis().inputs.neurons)
    return plots.spectrum(series, "Neurons that one frequency explains to at least half", "neurons", key)


def why_several_waves() -> go.Figure:
    """One question: the highest answers, if 1, 2 or all key waves are added."""
    found = _analysis()
    a, b = EXAMPLE
    order = sorted(found.frequencies, key=lambda k: -found.amplitudes[k])
    series = {}
    for n in (1, 2, len(order)):
        kept = {k: found.amplitudes[k] for k in order[:n]}
        logits = grokking.formula_logits(found.p, kept, found.sign)[a * found.p + b]
        series[f"{n} wave" + ("s" if n > 1 else "")] = (logits / logits.max()).topk(12).values
    title = f"{a} + {b}: the twelve highest answers (the right one is the highest)"
    return plots.grouped_bars(range(1, 13), series, title, "rank of the answer", "share of the peak")


def waves_in_the_logits() -> go.Figure:
    """The share of the logits' variance along each cos w(a + b − c)."""
    series = {"the network": _analysis().waves, "the control": _analysis(CONTROL).waves}
    title = "Waves cos w(a + b − c) in the logits"
    return plots.spectrum(series, title, "share of the variance", _analysis().frequencies)


def with_and_without(answer: Any) -> go.Figure:
    """Loss on all pairs of the whole network, with key waves alone, and without them, by the answer; on a logarithmic
    scale.

    Of the random sets of other waves that are taken away instead, the one that hurts most, from the card.
    """
    found = _analysis()
    _, answers = answer.dataset(found.p)
    logits, ks, every = found.inputs.logits, list(found.frequencies), torch.ones(len(answers), dtype=torch.bool)
    bars = {
        "whole network": answer.precise_loss(logits, answers),
        "key waves alone": answer.restricted_loss(logits, answers, ks),
        "without key waves": answer.excluded_loss(logits, answers, ks, every),
        f"without {len(ks)} other waves": zoo.card(NAME)["loss_without"]["as_many_others"],
    }
    draws = findings.read(CHAPTER)["waves"]["draws"]
    title = f"Loss on all {found.p**2:,} sums; of {draws} draws of other waves the worst"
    figure = plots.bars(bars, title, "loss (nats)")
    figure.update_yaxes(type="log", exponentformat="power")
    return figure


def progress_measures() -> go.Figure:
    """Test loss, restricted loss and excluded loss during training."""
    m = _measures()
    series = {
        "test loss": m["test_loss"],
        "excluded loss (training sums, no waves)": m["excluded_loss"],
        "restricted loss (all sums, the waves alone)": m["restricted_loss"],
    }
    return plots.lines(m["step"], series, "Three losses during training", "training step", "loss (nats)", log_y=True)


def sparsity_and_size() -> go.Figure:
    """The Gini coefficient of the embedding's spectrum, network and control."""
    mine, control = _measures(), _measures(CONTROL)
    until = min(len(mine["step"]), len(control["step"]))
    series = {
        "embedding, the network": mine["gini_W_E"][:until],
        "embedding, the control": control["gini_W_E"][:until],
        "from neurons to logits, the network": mine["gini_W_L"][:until],
        "from neurons to logits, the control": control["gini_W_L"][:until],
    }
    return plots.lines(
        mine["step"][:until], series, "How sparse the weights are in frequencies", "training step", "Gini coefficient"
    )


def weight_norms() -> go.Figure:
    """The sum of squares of all weights."""
    mine, control = zoo.card(NAME)["curves"], zoo.card(CONTROL)["curves"]
    until = min(len(mine["step"]), len(control["step"]))
    series = {"the network": mine["weights"][:until], "the control": control["weights"][:until]}
    return plots.lines(mine["step"][:until], series, "Size of the weights", "training step", "sum of squares")
