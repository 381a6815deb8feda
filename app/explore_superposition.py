"""Play with superposition: store more features than there is room for, and watch the shape that training finds."""

from __future__ import annotations

import plotly.graph_objects as go
import streamlit as st
import torch
from jaxtyping import Float
from torch import Tensor

from app import common
from app.superposition_run import NETWORKS, STEPS, Frame, Run, Settings, begun, go_on
from mi_lib import plots
from mi_lib import superposition as sp

SPARSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)
DECAYS = (0.1, 0.2, 0.4, 0.7, 0.8, 0.9, 1.0, 1.5, 2.5, 5.0, 10.0)
MOST_FEATURES, MOST_DIMENSIONS, DRAWN = 20, 8, 3  # DRAWN: dimensions of which arrows can be drawn
STICKY = {"1 (alone)": 1, "3/4": 3 / 4, "2/3": 2 / 3, "1/2 (pair)": 1 / 2, "2/5": 2 / 5, "3/8": 3 / 8}
PHASE_S, PHASE_R = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95), (0.1, 0.2, 0.4, 0.7, 1.5, 2.5, 5.0, 10.0)
PHASES = ("dropped", "alone", "shares")
IN_A_CELL = ("drop", "alone", "share")  # a cell is narrow on a phone
GUESSES = {  # what can be predicted of five features in two dimensions, and the shapes that are meant
    "Two arrows at a right angle, and three features are dropped": ["own axis", "own axis"],
    "Two lines with an arrow at either end, and one feature is dropped": ["antipodal pair", "antipodal pair"],
    "A regular star of five arrows": ["pentagon"],
    "Five arrows in no order": None,
}


FIRST = Settings()
EXAMPLES = {
    "Five in two": FIRST,
    "Three in two, often there": Settings(3, 2, 0.4),
    "Four in three, often there": Settings(4, 3, 0.2),
    "Eight in three": Settings(8, 3, 0.95),
    "Twenty in five, unequal": Settings(20, 5, 0.9, 0.7),
    "Two in one": Settings(2, 1, 0.9),
}


def show() -> None:
    st.title("Explore superposition")
    st.write(
        "A small network has to remember things and give them back. A thing is called a *feature*. Most of the time it "
        "is absent. If it is there, it has a strength between 0 and 1."
    )
    st.write(
        "The memory has fewer numbers than there are features. These numbers are its *dimensions*. In training every "
        "feature gets an arrow in this small space: the direction in which it is stored. If two arrows are not at "
        "right angles, each feature is also heard where the other one is read."
    )
    if not _predicted():
        return
    settings = _controls()
    run = _run(settings)
    st.fragment(common.guarded(_live), run_every=0.1 if run.going else None)()
    _phases(settings, run)


def _predicted() -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("super-guess") or st.session_state.get("super-anyway"):
        return True
    with st.container(border=True):
        st.markdown(
            "**Predict.** Five features are to be stored in two dimensions: five arrows in a plane. All are equally "
            f"important, and each is absent {FIRST.sparsity:.0%} of the time."
        )
        guess = st.radio("What will training make of them?", list(GUESSES), index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("super-guess", guess),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("super-anyway", True), type="tertiary")
    return False


def _set(key: str, value: object) -> None:
    st.session_state[key] = value


# --- what is trained ----------------------------------------------------------------------------------------------


def _choose(settings: Settings) -> None:
    """Move the sliders to these settings. What is chosen is trained at once."""
    st.session_state.update({f"super-{name}": value for name, value in settings._asdict().items()})
    st.session_state["super-kept"] = settings


def _controls() -> Settings:
    kept: Settings = st.session_state.setdefault("super-kept", FIRST)
    for name, value in kept._asdict().items():  # after a visit to another page Streamlit has forgotten the sliders
        st.session_state.setdefault(f"super-{name}", value)
    with st.container(border=True):
        with st.container(horizontal=True, gap="small"):
            for label, example in EXAMPLES.items():
                st.button(label, key=f"super-{label}", on_click=common.caught(_choose), args=(example,))
        # A row for each two, so that a phone shows them in this order.
        left, right = st.columns(2)
        left.slider("Features", 2, MOST_FEATURES, key="super-features")
        right.slider("Dimensions", 1, MOST_DIMENSIONS, key="super-dimensions")
        left, right = st.columns(2)
        left.select_slider(
            "Sparsity: how often a feature is absent", SPARSITIES, format_func=_percent, key="super-sparsity"
        )
        right.select_slider(
            "Importance: each feature counts so many times as much as the one before",
            DECAYS,
            format_func="{:g} ×".format,
            key="super-decay",
        )
        left, right = st.columns(2)
        left.toggle(
            "Cut off what is below zero (ReLU)",
            key="super-relu",
            help="The last thing that the network does to each output. Without it the network is linear: the control.",
        )
        seed = st.session_state["super-seed"]
        right.button(
            "Once more, from another start",
            icon=":material/casino:",
            on_click=common.caught(_set),
            args=("super-seed", seed + 1),
        )
    chosen = Settings(*(st.session_state[f"super-{name}"] for name in Settings._fields))
    st.session_state["super-kept"] = chosen
    return chosen


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _run(settings: Settings) -> Run:
    """The run of these settings; a new one if they have changed."""
    run: Run | None = st.session_state.get("super-run")
    if run is None or run.settings != settings:
        run = st.session_state["super-run"] = begun(settings)
    return run


# --- what is seen -------------------------------------------------------------------------------------------------


def _live() -> None:
    """Train a little, then draw. Streamlit calls this again and again while the run is going."""
    run: Run = st.session_state["super-run"]
    if run.going:
        go_on(run)
        if run.finished:
            st.rerun()
    frame, network = _watched(run)
    W = frame.W[network]
    _verdict(run)
    _numbers(run, frame, network)
    names = [str(i) for i in range(run.settings.features)]
    weak = [i for i, length in enumerate(W.norm(dim=0).tolist()) if length < 0.5]
    left, right = st.columns(2)
    with left:
        if run.settings.dimensions <= DRAWN:
            title = "The arrows of the features"
            common.chart(plots.arrows(W.T, names, title, "dimension", faint=weak), key="super-arrows")
        else:
            common.chart(_overlaps(W, names), key="super-overlaps")
    with right:
        D = sp.dimensionality(W).tolist()
        figure = plots.bars(
            dict(zip(names, D, strict=True)), "How much room a feature has (D)", "dimensions", marks=STICKY,
            faint=[names[i] for i in weak],
        )  # fmt: skip
        figure.update_layout(height=440, margin={"r": 70}).update_yaxes(range=[0, 1.1]).update_xaxes(title="feature")
        common.chart(figure, key="super-room")
    st.caption(
        "Grey: an arrow shorter than 0.5. Its feature is hardly stored. The room D is 1 if no other arrow is in the "
        "way, and 1/2 if two features share a line. The dotted lines are values at which training likes to stay."
    )
    if run.going:  # what is not looked at would hold up the arrows
        return
    common.unfolding("The loss, and who is heard where", lambda: _more(run, network, W, names), key="super-more")


def _more(run: Run, network: int, W: Float[Tensor, "hidden feature"], names: list[str]) -> None:
    left, right = st.columns(2)
    with left:
        common.chart(_losses(run, network), key="super-losses")
    with right:
        if run.settings.dimensions <= DRAWN:
            common.chart(_overlaps(W, names), key="super-overlaps")
        else:
            st.caption("Who is heard where is drawn above, since arrows in so many dimensions cannot be.")


def _watched(run: Run) -> tuple[Frame, int]:
    """The moment and the network that are looked at: the first one while it is trained, then the best one."""
    last = run.frames[-1].step
    if not run.finished:
        label, icon = ("Stop", ":material/stop:") if run.going else ("Go on", ":material/play_arrow:")
        if st.button(label, icon=icon, key="super-stop"):
            run.going = not run.going
            st.rerun()
        st.progress(last / STEPS, f"step {last} of {STEPS}")
    network = 0
    # The widgets are new ones for each run and moment: what was chosen in an earlier one would come back.
    about = f"{id(run)}-{last}"
    if run.losses is not None:
        best = int(run.losses.argmin())
        network = st.selectbox(
            "Network",
            range(NETWORKS),
            best,
            format_func=lambda i: _called(run, i),
            key=f"super-network-{about}",
        )
    steps = [frame.step for frame in run.frames]
    if run.going or len(steps) == 1:
        return run.frames[-1], network
    help_ = "Move back, and see how it came about."
    step = st.select_slider("Training step", steps, last, key=f"super-step-{about}", help=help_)
    return run.frames[steps.index(step)], network


def _called(run: Run, network: int) -> str:
    """What a network is called in the list, once all are trained."""
    assert run.losses is not None
    best = ", the smallest" if network == int(run.losses.argmin()) else ""
    return f"network {network + 1}: {run.shapes[network]} (loss {run.losses[network]:.3g}{best})"


def _verdict(run: Run) -> None:
    """What was found, and what was predicted."""
    if run.losses is None:
        st.markdown(f"{NETWORKS} networks are trained at once, each from a start of its own. You see the first one.")
        return
    best = int(run.losses.argmin())
    found = run.shapes[best]
    same = run.shapes.count(found)
    st.markdown(f"The network with the smallest loss has found: **{found}**. In all, {same} of {NETWORKS} found this.")
    guess = st.session_state.get("super-guess")
    if guess and run.settings._replace(seed=0) == FIRST:
        meant = GUESSES[guess]
        known = [name for name in GUESSES.values() if name]
        got = [each.name.removesuffix(" (irregular)") for each in sp.shapes(run.frames[-1].W[best])]
        right = got == meant if meant else got not in known
        st.markdown(f"You predicted: {guess}. {'So it is.' if right else 'It is not so. What could be the reason?'}")


def _numbers(run: Run, frame: Frame, network: int) -> None:
    W, settings, floor = frame.W[network], run.settings, _floor(run.settings)
    with st.container(horizontal=True, gap="large"):  # side by side on a phone too
        stored = f"{int(sp.represented(W))} of {settings.features}"
        st.metric("Stored", stored, width="content", help="Features whose arrow is at least 0.5 long.")
        st.metric(
            "Room used",
            f"{sp.dimensionality(W).sum():.2f} of {settings.dimensions}",
            width="content",
            help="The room of all features together, in dimensions. It can never be more than there are.",
        )
        if floor > 0:
            st.metric(
                "Loss, against the best linear network",
                f"{frame.losses[network] / floor:.2f} ×",
                width="content",
                help="A network without the ReLU cannot do better than 1, but for the luck of a sample. How well it "
                "can do is known by a formula.",
            )


def _floor(settings: Settings) -> float:
    """The least loss of a linear network."""
    sparsity = torch.tensor([settings.sparsity])
    return float(sp.linear_floor(sparsity, settings.importance, settings.dimensions))


def _losses(run: Run, network: int) -> object:
    steps = [frame.step for frame in run.frames]
    series = {"this network": [float(frame.losses[network]) for frame in run.frames]}
    if (floor := _floor(run.settings)) > 0:
        series["the best linear network"] = [floor] * len(steps)
    title, unit = "Loss during training", "loss (weighted squared error)"
    return plots.lines(steps, series, title, "training step", unit)


def _overlaps(W: Float[Tensor, "hidden feature"], names: list[str]) -> object:
    heard = W.T @ W
    hovers = [
        [f"feature {j} at strength 1<br>is heard as {heard[i, j]:+.2f} in output {i}" for j in range(len(names))]
        for i in range(len(names))
    ]
    return plots.square(heard, names, hovers, "Who is heard where (Wᵀ W)", "how strongly", "feature", "output")


# --- two features, one dimension ----------------------------------------------------------------------------------


def _phases(settings: Settings, run: Run) -> None:
    st.header("When does a feature share?", divider="gray")
    st.write(
        "Take the smallest case: two features, one dimension. What becomes of the second feature? It can be dropped. "
        "It can be alone, and the first one is dropped. Or both share the line, in opposite directions. For each of "
        "the three the loss can be worked out with a pencil. The map shows which one is smallest."
    )
    st.caption("Click a cell: the sliders move there, and networks are trained. Do they do what was worked out?")
    chosen = None
    if (settings.features, settings.dimensions) == (2, 1) and settings.relu:
        if settings.sparsity in PHASE_S and settings.decay in PHASE_R:
            chosen = (PHASE_R.index(settings.decay), PHASE_S.index(settings.sparsity))
        _agree(settings, run)
    count = st.session_state.setdefault("super-clicks", 0)  # a new chart after each click, with nothing selected
    common.chart(
        _phase_map(chosen),
        key=f"super-phases-{count}",
        on_select=common.caught(_clicked),
        selection_mode="points",
        config=common.CLICKED,
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _phase_map(chosen: tuple[int, int] | None) -> go.Figure:
    r, s = torch.meshgrid(torch.tensor(PHASE_R), torch.tensor(PHASE_S), indexing="ij")
    losses = sp.phase_losses(s, r)
    hovers = [
        [
            f"<b>{_percent(PHASE_S[j])} absent, the second counts {PHASE_R[i]:g} ×</b><br>"
            + "<br>".join(f"{name}: loss {losses[k, i, j]:.4f}" for k, name in enumerate(PHASES))
            for j in range(len(PHASE_S))
        ]
        for i in range(len(PHASE_R))
    ]
    return plots.kinds_map(
        losses.argmin(0),
        IN_A_CELL,
        hovers,
        [f"{value:g} ×" for value in PHASE_R],
        [_percent(value) for value in PHASE_S],
        "The second feature: what is best, worked out",
        "sparsity: how often a feature is absent",
        "importance of the second",
        chosen,
    )


def _clicked() -> None:
    count = st.session_state["super-clicks"]
    points = st.session_state[f"super-phases-{count}"]["selection"]["points"]
    if points:
        row, column = round(points[0]["y"]), round(points[0]["x"])
        _choose(Settings(2, 1, PHASE_S[column], PHASE_R[row], seed=st.session_state["super-seed"]))
        st.session_state["super-clicks"] = count + 1


def _agree(settings: Settings, run: Run) -> None:
    """What was worked out for the settings of the sliders, and what training has found."""
    worked = PHASES[int(sp.phase(torch.tensor(settings.sparsity), torch.tensor(settings.decay)))]
    said = f"{_percent(settings.sparsity)} absent, the second counts {settings.decay:g} ×. Worked out: **{worked}**."
    if run.losses is None:
        st.markdown(f"{said} Training …")
        return
    found = [PHASES[kind] for kind in sp.phase_of(run.frames[-1].W).tolist()]
    best = found[int(run.losses.argmin())]
    st.markdown(
        f"{said} Trained: **{best}**, by the network with the smallest loss; {found.count(best)} of {NETWORKS} end so."
    )
