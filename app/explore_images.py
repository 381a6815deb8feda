"""Play with the units of an image network: what each likes, how it is tuned, what it is built from, what it is for."""

from __future__ import annotations

import functools
import math
from json import JSONDecodeError
from typing import Any

import plotly.graph_objects as go
import streamlit as st
import torch
from jaxtyping import Float

from app import common, gallery, opening, views
from app import image_measures as im
from mi_lib import features, plots, zoo
from mi_lib.models import LoadError
from mi_lib.models.vision import VisionModel
from mi_lib.worlds import scenes

FAMILY = "sight"
GUESSES = {  # which kinds of scenes suffer most, if the detectors of a change of focus are silenced
    "Those in which the figure is told by focus": {"sharp", "soft"},
    "Those in which the figure has another colour": {"colour"},
    "Those in which it stands before another": {"front"},
    "All alike": set(scenes.KINDS[:-1]),
    "None: other units take over": set(),
}
SUFFERS = 0.1  # of its scenes, for a kind to count as one that suffers; and so near to the worst, as one of the worst
SHOWN = 6  # scenes in a row
WIDE, SMALL = 220, 104  # pixels of a picture, and of one in a row
SEEN = {"the scene": None, "its depth": "depth", "its blur": "blur"}
MOST_BLUR = 3.2  # pixels: white


def show() -> None:
    st.title("Explore images")
    st.write(
        "A small network looks at a scene and says which figure is in it. Its parts are called *units*: each looks at "
        "a patch of the scene and answers with a number. Here you can ask one unit what it answers to."
    )
    names = _networks()
    if not names:
        st.error(
            "The image networks are missing. Bring them back with `git checkout -- mi_lib/zoo`, or train them with "
            "`python -m mi_lib.recipes.sight`."
        )
        return
    if not _predicted():
        return
    try:
        _page(names)
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        views.failed(f"The network cannot be shown: {error}")


def _networks() -> list[str]:
    """The trained ones first, each with its seed; the untrained one last."""
    return sorted(zoo.vision(FAMILY), key=lambda name: (name.endswith("untrained"), name))


def _predicted() -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("images-guess") or st.session_state.get("images-anyway"):
        return True
    with st.container(border=True):
        drawn = {kind: scenes.sample(1, seed=11, kinds=[kind]).images[0] for kind in ("sharp", "soft", "colour")}
        images = [im.marked(image, None, None) for image in drawn.values()]
        st.html(gallery.tiles(images, ["the first scene", "the second", "the third"], SMALL))
        st.markdown(
            "**Predict.** In the first scene a figure is in focus, and the ground is not. In the second it is the "
            "other way round. In the third only the colour differs. Some units answer to a place where fine texture "
            "meets coarse texture. We silence them all."
        )
        guess = st.radio("Which scenes does the network then misjudge most often?", list(GUESSES), index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("images-guess", guess),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("images-anyway", True), type="tertiary")
    return False


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _page(names: list[str]) -> None:
    with st.container(border=True):
        left, middle, right = st.columns(3)
        name: str = left.selectbox("Network", names, key=views.kept("images-network", names[0], names))
        model = im.open_network(name)
        offered = im.layers(model)
        layer: str = middle.selectbox(
            "Layer", offered, key=views.kept("images-layer", offered[min(2, len(offered) - 1)], offered),
            help="Later layers see larger patches of the scene.",
        )  # fmt: skip
        detectors = im.family(name, layer)
        units = [*detectors, *(u for u in range(model.channels(layer)) if u not in detectors)]
        angle = im.tuned(name, layer).angle
        unit: int = right.selectbox(
            "Unit", units, format_func=lambda u: _called(u, u in detectors, float(angle[u])),
            key=views.kept(f"images-unit-{name}-{layer}", units[0], units),
        )  # fmt: skip
    _family(name, layer, detectors)
    _picture(name, layer, unit)
    _examples(name, layer, unit)
    _tuning(name, layer, unit)
    _weights(name, layer, unit)
    _needed(name, model, layer, unit, detectors)
    at = units.index(unit)
    beside = units[max(0, at - 1) : at] + units[at + 1 : at + 2]
    opening.ahead(*(functools.partial(_look_ahead, name, layer, other) for other in beside))


def _look_ahead(name: str, layer: str, unit: int) -> None:
    """Measure and draw what the page shows of a unit, for the caches."""
    _rows(name, layer, unit, SEEN["the scene"])
    for draw in (_tuning_map, _tuning_curve):
        draw(name, layer, unit, _strongest(_answers(name, layer, unit)[0]))
    _misjudged(name, layer, (unit,))
    if random := im.control(name, layer, [unit]):
        im.judged(name, layer, tuple(random))


def _called(unit: int, detector: bool, angle: float) -> str:
    return f"{unit}: detector, fine texture at {im.degrees(angle)}°" if detector else str(unit)


def _family(name: str, layer: str, detectors: list[int]) -> None:
    if not detectors:
        st.markdown(f"No unit of {layer} in {name} is a high-low frequency detector.")
        return
    count = f"{len(detectors)} unit{' is a' if len(detectors) == 1 else 's are'}"
    noun = "detector" if len(detectors) == 1 else "detectors"
    st.markdown(
        f"{count} *high-low frequency {noun}*. Such a unit answers to fine texture on one side and coarse texture on "
        "the other. It answers more to that than to either alone, to an edge of brightness or of colour, or to the two "
        "exchanged. They stand first in the list, the clearest at its head."
    )


# --- what excites it ----------------------------------------------------------------------------------------------


def _picture(name: str, layer: str, unit: int) -> None:
    st.header("Which picture does it like best?", divider="gray")
    st.write(
        "We start from grey and change every pixel a little, so that the unit answers more. Then again, from there. "
        "The picture is moved a little at each step: what only fits one place is not kept."
    )
    seed = st.session_state.setdefault("images-seed", 0)
    run: im.Run | None = st.session_state.get("images-run")
    if run is None or run.about != (name, layer, unit, seed):
        run = st.session_state["images-run"] = im.begun(name, layer, unit, seed)
    st.fragment(common.guarded(_forming), run_every=0.1 if run.going else None)()


def _forming() -> None:
    """A few steps, then draw. Streamlit calls this again and again while the run is going."""
    run: im.Run = st.session_state["images-run"]
    if run.going:
        im.go_on(run)
        if not run.going:
            st.rerun()
    if run.trouble:
        st.info(f"There is no picture of this unit: {run.trouble}.")
        return
    left, right = st.columns([1, 2])
    if run.last is not None:
        alt = f"What the unit likes, after {len(run.values)} of {im.STEPS} steps."
        left.image(im.marked(run.last.images[0], None, None, zoom=4), width=WIDE, alt=alt)
    with right:
        st.progress(min(1.0, len(run.values) / im.STEPS), f"step {len(run.values)} of {im.STEPS}")
        if run.louder:
            st.caption("Near grey this unit is silent. Its picture was begun with more noise.")
        with st.container(horizontal=True):
            if not run.finished:
                label, icon = ("Stop", ":material/stop:") if run.going else ("Go on", ":material/play_arrow:")
                if st.button(label, icon=icon, key="images-stop"):
                    run.going = not run.going
                    st.rerun()
            args = ("images-seed", run.about[3] + 1)
            st.button("From another start", icon=":material/casino:", on_click=common.caught(_set), args=args)
        if len(run.values) > 1 and not run.going:
            steps = list(range(1, len(run.values) + 1))
            title = "How strongly the unit answers to it (mean over the picture)"
            common.chart(plots.lines(steps, {"answer": run.values}, title, "step", "answer").update_layout(height=230),
                         key="images-climb")  # fmt: skip


def _examples(name: str, layer: str, unit: int) -> None:
    st.header("Which scenes excite it most?", divider="gray")
    truth = st.segmented_control("Show", list(SEEN), key=views.kept("images-seen", "the scene", list(SEEN)))
    best, random = _rows(name, layer, unit, SEEN[truth or "the scene"])
    st.markdown(
        f"The {SHOWN} strongest of {len(im.world())} scenes. The box is what the unit sees; the line is the truth."
    )
    st.html(best)
    st.markdown("And random ones, to compare:")
    st.html(random)
    st.caption("The line is where one thing ends and another begins. Depth: the brighter, the nearer. Blur: the more.")


@st.cache_data(max_entries=64, show_spinner=False)
def _rows(name: str, layer: str, unit: int, truth: str | None) -> tuple[str, str]:
    """The scenes that excite a unit most, and random ones, as HTML."""
    maps, box = im.maps(name, layer)[:, unit], im.field_of(name, layer)
    return _row(features.top(maps, SHOWN), box, truth), _row(features.random(maps, SHOWN), box, truth)


def _row(found: features.Examples, box: tuple[int, int, int] | None, truth: str | None) -> str:
    drawn = im.world()
    labels, outline = drawn.labels(), drawn.outline()
    images, captions = [], []
    for image, row, column, value in zip(*(each.tolist() for each in found), strict=True):
        shown = drawn.images[image]
        if truth:
            values = drawn[image : image + 1].truth(truth)[0].float()
            shown = (1 - values / 2 if truth == "depth" else values / MOST_BLUR).expand(3, -1, -1)
        seen = (box[2] + box[1] * row, box[2] + box[1] * column, box[0]) if box else None
        images.append(im.marked(shown, outline[image], seen if value > 0 else None))
        captions.append(f"{scenes.CLASSES[labels[image]]}: {value:.2f}")
    return gallery.tiles(images, captions, SMALL)


# --- tuning -------------------------------------------------------------------------------------------------------


def _tuning(name: str, layer: str, unit: int) -> None:
    st.header("How is it tuned?", divider="gray")
    st.write(
        "Now we make the stimuli: fine texture on one side of a line, coarse texture on the other. We turn the line, "
        "and change how much finer the one is."
    )
    st.caption("Click a cell: that stimulus is shown.")
    table, angles = _answers(name, layer, unit)
    cell = row, column = _place(name, layer, unit, table)
    st.markdown(
        "**How strongly the unit answers**, in hundredths of its most. Across: where the fine texture is "
        "(0° is right, 90° is up). In a narrow window the map is scrolled sideways."
    )  # titles would be scrolled with the map
    with common.scrolled("images-tuning", 620):
        clicks = st.session_state.setdefault("images-clicks", 0)  # a new chart after each click, nothing selected
        common.chart(
            _tuning_map(name, layer, unit, cell), key=f"images-map-{clicks}", titled="How strongly the unit answers",
            on_select=common.caught(_clicked), selection_mode="points", config=common.CLICKED,
        )  # fmt: skip
    left, right = st.columns([1, 2])
    texture = im.rows()[row]
    image = im.stimulus(name, layer, texture, angles[column])
    said = f"{texture.capitalize()}, the fine side at {im.degrees(angles[column])}°: {float(table[cell]):.2f}"
    left.image(im.marked(image, None, None, zoom=4), caption=said, width=WIDE, alt=f"A picture: {said}")
    with right:
        common.chart(_tuning_curve(name, layer, unit, cell), key="images-curve")
    st.caption(
        f"Means over {im.DRAWS} draws of each stimulus, half of them with the contrast reversed. "
        "What is not seen lies at 0."
    )


def _answers(name: str, layer: str, unit: int) -> tuple[Float[torch.Tensor, "texture angle"], list[float]]:
    """A unit's mean answer to each pair of textures at each angle, and the angles in radians."""
    table = torch.stack([im.tuned(name, layer).curves[row][unit] for row in im.rows()])
    return table, [2 * math.pi * i / table.shape[1] for i in range(table.shape[1])]


@st.cache_resource(max_entries=64, show_spinner=False)
def _tuning_map(name: str, layer: str, unit: int, cell: tuple[int, int]) -> go.Figure:
    table, angles = _answers(name, layer, unit)
    names = [f"{im.degrees(a)}°" for a in angles]
    hovers = [
        [
            f"<b>{row}</b><br>fine texture at {angle}<br>answer {value:.3f}"
            for angle, value in zip(names, values, strict=True)
        ]
        for row, values in zip(im.rows(), table.tolist(), strict=True)
    ]
    return plots.click_map(
        table / (float(table.abs().max()) or 1.0), hovers, ["noise", *(f"{r:g} : 1" for r in im.RATIOS)], names,
        "", "share of its largest answer",
        "", "ratio of frequencies", chosen=cell,
    ).update_layout(margin={"t": 70})  # fmt: skip


@st.cache_resource(max_entries=64, show_spinner=False)
def _tuning_curve(name: str, layer: str, unit: int, cell: tuple[int, int]) -> go.Figure:
    """The row of the map in which the cell is, beside the unit's answers to simpler things."""
    (table, angles), found, (row, column) = _answers(name, layer, unit), im.tuned(name, layer), cell
    series = {im.rows()[row]: table[row].tolist(), "an edge of brightness": found.edge[unit].tolist()}
    series |= {"fine texture alone": [float(found.sharp[unit])] * len(angles)}
    series |= {"coarse texture alone": [float(found.blurred[unit])] * len(angles)}
    series |= {"the best edge of colour": [float(found.colour_edge[unit])] * len(angles)}
    degrees = [im.degrees(a) for a in angles]
    title = "The same row as a curve, beside what must not be mistaken for it"
    return plots.lines(degrees, series, title, "angle (degrees)", "mean answer", vline=degrees[column])


def _place(name: str, layer: str, unit: int, table: torch.Tensor) -> tuple[int, int]:
    """Which cell is looked at: of another unit, its strongest."""
    about = (name, layer, unit)
    if st.session_state.get("images-about") != about or "images-cell" not in st.session_state:
        cell = _strongest(table)
        st.session_state.update({"images-about": about, "images-cell": cell})
    return st.session_state["images-cell"]


def _strongest(table: Float[torch.Tensor, "texture angle"]) -> tuple[int, int]:
    return divmod(int(table.argmax()), table.shape[1])


def _clicked() -> None:
    clicks = st.session_state["images-clicks"]
    points = st.session_state[f"images-map-{clicks}"]["selection"]["points"]
    if points:
        st.session_state["images-cell"] = (round(points[0]["y"]), round(points[0]["x"]))
        st.session_state["images-clicks"] = clicks + 1


# --- what it is built from ----------------------------------------------------------------------------------------


def _weights(name: str, layer: str, unit: int) -> None:
    st.header("What is it built from?", divider="gray")
    found = im.built(name, layer)
    if found is None:
        if layer == im.layers(im.open_network(name))[0]:
            st.write("This is the first layer: its weights lie on the image itself. Grey is 0.")
            alt = "The weights of the unit, as a small image."
            st.image(im.marked(im.kernel(name, unit), None, None, zoom=24), width=150, alt=alt)
        else:
            st.write("Choose the third layer or a later one: its weights are multiplied out over two layers.")
        return
    st.write(
        f"We multiply the weights out, over the layer between, down to {found.below}. That gives every channel of "
        f"{found.below} a weight at every place. Two groups of channels explain most of it. The first likes fine "
        "texture more than the second."
    )
    places, channels = _groups(name, layer, unit, found)
    left, right = st.columns(2)
    with left:
        common.chart(places, key="images-factors")
    with right:
        common.chart(channels, key="images-channels")
    st.caption(
        f"Non-negative factorisation of the weights of all units of {layer}: {found.factors.explained:.0%} of their "
        "squares. Beside each group stands what its channels prefer: +1 is fine texture alone, −1 coarse alone. Two "
        "groups come out of any weights, also of untrained ones."
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _groups(name: str, layer: str, unit: int, _found: im.Built) -> tuple[go.Figure, go.Figure]:
    """The two groups of channels that a unit is built from: where each excites it, and which channels it has."""
    maps = _found.factors.maps[:, unit]
    likes = (_found.factors.channels * _found.preference).sum(1)
    titles = [
        f"{title} group ({like:+.2f})".replace("-", "−")
        for title, like in zip(("finer", "coarser"), likes.tolist(), strict=True)
    ]
    title = "Where each group excites (blue) and inhibits (red)"
    places = plots.gallery({"the places that the unit reads": [plots.signed(m) for m in maps]}, titles, title)
    channels = [str(c) for c in range(_found.factors.channels.shape[1])]
    series = dict(zip(("finer group", "coarser group"), _found.factors.channels.tolist(), strict=True))
    title = f"Which channels of {_found.below} belong to a group"
    return places, plots.grouped_bars(channels, series, title, f"channel of {_found.below}", "share of the group")


# --- what it is for -----------------------------------------------------------------------------------------------


def _needed(name: str, model: VisionModel, layer: str, unit: int, detectors: list[int]) -> None:
    st.header("Does the network need it?", divider="gray")
    options = {f"unit {unit}": [unit]}
    if len(detectors) > 1:
        options[f"all {len(detectors)} detectors of {layer}"] = detectors
    asked = st.radio("Silence", list(options), key=views.kept("images-silence", next(iter(options)), list(options)))
    units = options[asked]
    random = im.control(name, layer, units)
    st.write("What is silenced says 0 all the time, whatever the scene: it never sees what it looks for.")
    found = im.judged(name, layer, tuple(units))
    series = {
        "the whole network": [found.right("whole", kind) for kind in scenes.KINDS],
        f"without {asked}": [found.right("without", kind) for kind in scenes.KINDS],
    }
    if random:
        other = im.judged(name, layer, tuple(random))
        label = "without as many others, as active"
        series[label] = [other.right("without", kind) for kind in scenes.KINDS]
    common.chart(_rightly(series), key="images-needed")
    if units == detectors:
        _verdict(found)
    said, tiles = _misjudged(name, layer, tuple(units))
    st.markdown(said)
    if tiles:
        st.html(tiles)


@st.cache_resource(max_entries=64, show_spinner=False)
def _rightly(series: dict[str, list[float]]) -> go.Figure:
    title, unit = "Whose figure is said rightly", "right (share of scenes)"
    return plots.grouped_bars(scenes.KINDS, series, title, "kind of scene", unit).update_yaxes(range=[0, 1.02])


def _verdict(found: im.Judged) -> None:
    """What was predicted, against what was measured."""
    guess = st.session_state.get("images-guess")
    if not guess:
        return
    lost = {kind: found.right("whole", kind) - found.right("without", kind) for kind in scenes.KINDS[:-1]}
    most = max(lost.values())
    worst = {kind for kind, loss in lost.items() if most >= SUFFERS and loss > most - SUFFERS}
    told = ", ".join(f"{loss:.0%} of {kind}" for kind, loss in sorted(lost.items(), key=lambda item: -item[1]))
    st.markdown(
        f"You predicted: {guess[0].lower()}{guess[1:]}. What is lost: {told}. "
        f"{'So it is.' if worst == GUESSES[guess] else 'It is not so. What could be the reason?'}"
    )
    others = [kind for kind, loss in lost.items() if loss >= SUFFERS and kind not in worst]
    if others:
        st.markdown(f"What else suffers: {', '.join(others)}. So these units are not for the worst kinds alone.")


@st.cache_data(max_entries=64, show_spinner=False)
def _misjudged(name: str, layer: str, units: tuple[int, ...]) -> tuple[str, str]:
    """A sentence, and some of the scenes that are misjudged without these units, as HTML."""
    found, drawn = im.judged(name, layer, units), im.world()
    labels = drawn.labels()
    newly = ((found.whole == labels) & (found.without != labels)).nonzero()[:, 0].tolist()
    if not newly:
        return "No scene is misjudged now that was not before.", ""
    shown = newly[: 2 * SHOWN]
    outline = drawn.outline()
    images = [im.marked(drawn.images[i], outline[i], None) for i in shown]
    captions = [f"{scenes.CLASSES[labels[i]]}; now “{scenes.CLASSES[found.without[i]]}”" for i in shown]
    said = f"{len(newly)} of {len(drawn)} scenes are misjudged now that were not before. Some of them:"
    return said, gallery.tiles(images, captions, SMALL)
