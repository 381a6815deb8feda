"""What is shown of a network that learns sums, at one step of its training, and the figures of it.

An analysis holds every neuron at every pair of numbers, 64 MB. A page moves through many steps: it keeps what it draws.
"""

from __future__ import annotations

from typing import NamedTuple

import plotly.graph_objects as go
import streamlit as st
import torch
from jaxtyping import Float, Int
from torch import Tensor

from app import common
from mi_lib import grokking, plots
from mi_lib.grokking import Analysis
from mi_lib.models import load

KEPT = 10  # looks: two networks at a step, at the steps beside it, and at the end
PAIR = 2  # neurons that are shown of a frequency


class Look(NamedTuple):
    """loss: on all sums, nats. best: for each frequency the neurons that it explains best, as titles and values."""

    p: int
    accuracy: float
    loss: float
    said: str
    frequencies: tuple[int, ...]
    spectrum: Float[Tensor, " frequency"]
    embedding: Float[Tensor, "p d"]
    logits: Float[Tensor, "pairs answer"]
    best: dict[int, tuple[list[str], Float[Tensor, "neuron a b"]]]


@st.cache_resource(max_entries=KEPT, show_spinner="Looking into the network …")
@common.one_thread()
def look(name: str, step: int | None) -> Look:
    """step: a checkpoint of the network, or None for the end of training."""
    found = grokking.analyse(load(name, checkpoint=step))
    inputs, every = found.inputs, range(1, len(found.spectrum) + 1)
    best = {k: _best(found, k) for k in every}
    return Look(
        p=found.p,
        accuracy=found.accuracy,
        loss=grokking.loss(inputs.logits, answers(found.p)),
        said=_said(found),
        frequencies=found.frequencies,
        spectrum=found.spectrum,
        embedding=inputs.embedding,
        logits=inputs.logits,
        best=best,
    )


def answers(p: int) -> Int[Tensor, " pairs"]:
    """a + b mod p of all pairs, row a·p + b."""
    numbers = torch.arange(p)
    return ((numbers[:, None] + numbers) % p).flatten()


def _said(found: Analysis) -> str:
    """The verdict, and what the embedding holds, if the verdict does not say so itself."""
    verdict, note = found.verdict, found.embedding_note
    return verdict if note in verdict else f"{verdict} {note}"


def _best(found: Analysis, k: int) -> tuple[list[str], Float[Tensor, "neuron a b"]]:
    neurons = found.neurons
    mine = torch.where((neurons.frequency == k) & neurons.live, neurons.explained, -1.0)
    best = [n for n in mine.topk(PAIR).indices.tolist() if mine[n] >= 0]
    titles = [f"neuron {n}: {neurons.explained[n]:.0%} explained" for n in best]
    return titles, found.inputs.neurons[:, :, best].permute(2, 0, 1).float().contiguous()


# --- figures, which are drawn once ------------------------------------------------------------------------------


@st.cache_resource(max_entries=4 * KEPT, show_spinner=False)
def spectrum(name: str, step: int | None, said: str) -> go.Figure:
    found = look(name, step)
    title = f"The embedding of {said}"
    return plots.spectrum({said: found.spectrum}, title, "share of the energy", found.frequencies)


@st.cache_resource(max_entries=4 * KEPT, show_spinner=False)
def circle(name: str, step: int | None, said: str, k: int) -> go.Figure:
    found = look(name, step)
    labels = [str(a) if a % 4 == 0 else "" for a in range(found.p)]
    title = f"{said.capitalize()}: plane of frequency {k}"
    return plots.circle(grokking.plane(found.embedding, k), labels, title, "first axis", "second axis")


@st.cache_resource(max_entries=4 * KEPT, show_spinner=False)
def neurons(name: str, step: int | None, said: str, k: int) -> go.Figure | None:
    """The neurons that this frequency explains best; None where it has none."""
    titles, values = look(name, step).best[k]
    return plots.maps(values, titles, f"Neurons of {said} at frequency {k}") if titles else None
