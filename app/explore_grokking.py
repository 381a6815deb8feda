"""Play with grokking: move through training, look at waves, knock some out, and train a small network yourself."""

from __future__ import annotations

import dataclasses
import functools
import time
from concurrent.futures import ThreadPoolExecutor
from json import JSONDecodeError
from typing import Any

import plotly.graph_objects as go
import streamlit as st
import torch

from app import common, grokking_look, opening, views
from app.grokking_look import Look
from mi_lib import grokking, plots, zoo
from mi_lib.models import LoadError
from mi_lib.recipes.grokking import train as recipe

Steps = dict[str, int | None]  # of each network: a checkpoint, or None for the end of training
NETWORK, CONTROL = "grokking-113", "grokking-113-memorising"
TITLES = {NETWORK: "the network", CONTROL: "the control"}
GUESSES = {  # shares of sums
    "less than a tenth": (0.0, 0.1),
    "a tenth to a half": (0.1, 0.5),
    "a half to nine tenths": (0.5, 0.9),
    "more than nine tenths": (0.9, 1.01),
}


@st.cache_data
def _card(name: str) -> dict[str, Any]:
    return zoo.card(name)


def prepare() -> None:
    with ThreadPoolExecutor() as both:
        list(both.map(lambda name: grokking_look.look(name, None), TITLES))


def show() -> None:
    st.title("Explore grokking")
    st.write(
        "Two networks learned sums on a clock of 113 hours. One was trained with weight decay. The other, the control, "
        "was not. Move through their training, and see what the loss does not show."
    )
    try:
        missing = [name for name in TITLES if name not in zoo.names()]
        if missing:
            st.error(f"{', '.join(missing)} is missing. Bring it back with `git checkout -- mi_lib/zoo`.")
            return
        step = _step()
        _curves(step)
        at = {name: _nearest(name, step) for name in TITLES}
        found = {name: grokking_look.look(name, at[name]) for name in TITLES}
        _sentences(found)
        _spectra(at)
        k = _frequency(found[NETWORK])
        _circles(at, k)
        _neurons(at, k)
        _knock_out(found)
        opening.ahead(*(functools.partial(_look_ahead, beside, k) for beside in _beside(step)))
    except (LoadError, OSError, JSONDecodeError, KeyError, ValueError) as error:
        views.failed(f"The networks cannot be shown: {error}")
    _live()


def _step() -> int | None:
    """A checkpoint of the network, or None for the end of training."""
    steps = zoo.checkpoints(NETWORK)
    chosen = st.select_slider("Training step", [*map(str, steps), "finished"], key=views.first("grok-step", "finished"))
    return None if chosen == "finished" else int(chosen)


def _nearest(name: str, step: int | None) -> int | None:
    """The control has fewer checkpoints: take the nearest one."""
    return None if step is None else min(zoo.checkpoints(name), key=lambda s: abs(s - step))


def _beside(step: int | None) -> list[int | None]:
    """The steps to which the slider may be moved next."""
    steps = [*zoo.checkpoints(NETWORK), None]
    at = steps.index(step)
    return [steps[i] for i in (at - 1, at + 1) if 0 <= i < len(steps)]


def _look_ahead(step: int | None, k: int) -> None:
    """Draw what the page shows at a step, for the caches."""
    _losses(step)
    for name, said in TITLES.items():
        at = _nearest(name, step)
        grokking_look.spectrum(name, at, said)
        grokking_look.circle(name, at, said, k)
        grokking_look.neurons(name, at, said, k)


def _curves(step: int | None) -> None:
    for column, (name, figure) in zip(st.columns(2), _losses(step).items(), strict=True):
        with column:
            common.chart(figure, f"curves-{name}")


@st.cache_resource(max_entries=40, show_spinner=False)
def _losses(step: int | None) -> dict[str, go.Figure]:
    """The losses of both networks during training, with a line at this step."""
    figures = {}
    for name in (NETWORK, CONTROL):
        measured = _card(name)["measures"]
        series = {
            "loss on training sums": measured["train_loss"],
            "loss on other sums": measured["test_loss"],
            "waves alone (restricted)": measured["restricted_loss"],
            "training sums without waves (excluded)": measured["excluded_loss"],
        }
        at = measured["step"][-1] if step is None else step
        title = f"{TITLES[name].capitalize()}: losses during training"
        figure = plots.lines(measured["step"], series, title, "training step", "loss (nats)", vline=at, log_y=True)
        figures[name] = figure.update_layout(height=440)
    plots.share_y(*figures.values())
    return figures


def _sentences(found: dict[str, Look]) -> None:
    for column, (name, each) in zip(st.columns(2), found.items(), strict=True):
        column.metric(f"Sums that {TITLES[name]} answers rightly", f"{each.accuracy:.1%}")
        column.caption(each.said)


def _spectra(at: Steps) -> None:
    for column, (name, step) in zip(st.columns(2), at.items(), strict=True):
        with column:
            common.chart(grokking_look.spectrum(name, step, TITLES[name]), f"spectrum-{name}")


def _frequency(found: Look) -> int:
    """Which frequency to look at: the network's own first, then all others."""
    st.header("One frequency", divider="gray")
    others = [k for k in range(1, len(found.spectrum) + 1) if k not in found.frequencies]
    chosen = st.selectbox(
        "Frequency",
        [*found.frequencies, *others],
        format_func=lambda k: f"{k} (key)" if k in found.frequencies else str(k),
        help="The network's key frequencies come first. Any other one is a control.",
        key="grok-frequency",
    )
    return int(chosen)


def _circles(at: Steps, k: int) -> None:
    for column, (name, step) in zip(st.columns(2), at.items(), strict=True):
        with column:
            common.chart(grokking_look.circle(name, step, TITLES[name], k), f"circle-{name}")


def _neurons(at: Steps, k: int) -> None:
    for column, (name, step) in zip(st.columns(2), at.items(), strict=True):
        with column:
            if figure := grokking_look.neurons(name, step, TITLES[name], k):
                common.chart(figure, f"neurons-{name}")
            else:
                st.info(f"No neuron of {TITLES[name]} prefers frequency {k}.")


def _knock_out(found: dict[str, Look]) -> None:
    """Take waves out of the logits and see what is left."""
    st.header("Knock out waves", divider="gray")
    keys = found[NETWORK].frequencies
    guess = _guess(len(keys))
    others = [k for k in range(1, len(found[NETWORK].spectrum) + 1) if k not in keys][: max(3, len(keys))]
    removed = st.pills(
        "Waves to take out of the logits (the last few are not the network's own, for comparison)",
        [*keys, *others],
        selection_mode="multi",
        format_func=lambda k: f"{k} (key)" if k in keys else str(k),
        key="grok-removed",
    )
    right = {}
    for column, (name, each) in zip(st.columns(2), found.items(), strict=True):
        answers = grokking_look.answers(each.p)
        left = grokking.excluded_logits(each.logits, list(removed))
        after = grokking.loss(left, answers)
        change = common.three_figures(after - each.loss, "+") if removed else None
        if change and change.startswith("−"):
            change = f"-{change[1:]}"  # by this sign the arrow points down
        column.metric(
            f"Loss of {TITLES[name]} on all sums", f"{common.three_figures(after)} nats", change, delta_color="inverse"
        )
        right[name] = grokking.accuracy(left, answers)
        column.metric(f"Sums that {TITLES[name]} answers rightly", f"{right[name]:.1%}")
    if guess and len(removed) == 1 and removed[0] in keys:
        least, most = GUESSES[guess]
        come = least <= right[NETWORK] < most
        st.markdown(
            f"You predicted: {guess}. Without wave {removed[0]} it answers {right[NETWORK]:.0%} rightly. "
            f"{'So it is.' if come else 'What could be the reason?'} Take another one, or all of them."
        )


def _guess(keys: int) -> str | None:
    """Ask, before a wave is taken out, what that will do. The answer, or None."""
    if keys < 2:
        return None  # early in training there are none to choose from
    with st.container(border=True):
        return st.radio(
            f"**Predict.** The network has {keys} key waves. You take one of them out of its logits, and no other. How "
            "many of the sums does it still answer rightly?",
            list(GUESSES),
            index=None,
            key="grok-guess",
        )


# --- training here and now ------------------------------------------------------------------------------------


def _live() -> None:
    st.header("Train one yourself", divider="gray")
    live = recipe.LIVE
    st.write(
        f"A smaller clock, of {live.p} hours, trained on this computer. Set the weight decay first: at 0 you get a "
        "control. You can pause, look, and go on."
    )
    decay = st.slider("Weight decay", 0.0, 3.0, step=0.25, key=views.first("grok-decay", live.weight_decay))
    seed = int(st.number_input("Seed", 0, 999, key=views.first("grok-seed", 0)))
    wanted = dataclasses.replace(live, weight_decay=decay, seed=seed)
    kept = st.session_state.setdefault("grokking-live", {"run": None, "going": False})
    with st.container(horizontal=True):
        if st.button("Start anew", icon=":material/play_arrow:", type="primary"):
            kept.update(run=recipe.Run(wanted), going=True, seconds=0.0)
        ready = kept["run"] is not None and kept["run"].step < kept["run"].setup.steps
        label = "Pause" if kept["going"] else "Go on"
        icon = ":material/pause:" if kept["going"] else ":material/resume:"
        if ready and st.button(label, icon=icon):
            kept["going"] = not kept["going"]
            st.rerun()
    if kept["run"] is not None:
        st.fragment(common.guarded(_train_a_little), run_every=0.2 if kept["going"] else None)()


def _train_a_little() -> None:
    """Train for about a second, then draw. Streamlit calls this again and again while the run is going."""
    kept = st.session_state["grokking-live"]
    run: recipe.Run = kept["run"]
    until = time.monotonic() + 1.0
    if kept["going"]:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # matrices this small gain nothing from more
        for step in run:
            if step % recipe.RECORD_EVERY == 0 and step > run.curves.get("step", [-1])[-1]:
                run.record()
            if time.monotonic() > until:
                break
        torch.set_num_threads(threads)
        if run.step >= run.setup.steps:
            kept["going"] = False
            st.rerun()
    st.progress(run.step / run.setup.steps, f"step {run.step} of {run.setup.steps}")
    if not run.curves:
        return
    accuracy = {"training sums": run.curves["train_accuracy"], "other sums": run.curves["test_accuracy"]}
    loss = {"training sums": run.curves["train_loss"], "other sums": run.curves["test_loss"]}
    left, right = st.columns(2)
    with left:
        figure = plots.lines(run.curves["step"], accuracy, "Answered rightly", "training step", "share of sums")
        common.chart(figure.update_yaxes(range=[0, 1.02]), "live-accuracy")
    with right:
        common.chart(
            plots.lines(run.curves["step"], loss, "Loss", "training step", "loss (nats)", log_y=True), "live-loss"
        )
    if not kept["going"]:
        found = grokking.analyse(run.model)
        st.write(_said(found))
        title = "The embedding of your network"
        common.chart(
            plots.spectrum({"yours": found.spectrum}, title, "share of the energy", found.frequencies), "live-spectrum"
        )
