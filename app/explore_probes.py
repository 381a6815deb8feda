"""Play with probes: what can be read in Pico, at which depth, and does Pico use it?"""

from __future__ import annotations

import html
from json import JSONDecodeError
from typing import Any

import plotly.graph_objects as go
import streamlit as st
import torch

from app import common, views
from app import probe_measures as pm
from app.chat import bundled, name_unknown, open_model
from mi_lib import plots
from mi_lib.models import HookedModel, LoadError
from mi_lib.models.text import strings

MODEL = "pico"  # a bundled name, or a folder
GUESSES = {  # which of the two mirrors turns the verb
    "The number of the noun itself": (True, False),
    "The number of the nearer noun": (False, True),
    "Both": (True, True),
    "Neither": (False, False),
}
TURNS = 0.5  # of the verbs, for a guess to count as right
DEPTH = 3  # where the page begins: after block 2
WIDEST = 60  # words of a text


def prepare() -> None:
    open_model(MODEL)


def show() -> None:
    st.title("Explore probes")
    st.write(
        "Pico reads “The dogs above the door of Alma” and has to go on with *is* or *are*. While it reads, numbers go "
        "through it: its *activations*. A probe is a simple formula that guesses a property of the text from these "
        "numbers alone."
    )
    st.write(
        "If a probe guesses well, the property can be read in Pico. Does Pico read it too? To find out, we change what "
        "the probe reads, and look whether Pico's next word changes."
    )
    if not bundled(MODEL) or not _predicted():
        return
    try:
        _page(open_model(MODEL))
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        views.failed(f"Pico cannot be shown: {error}")


def _predicted() -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("probes-guess") or st.session_state.get("probes-anyway"):
        return True
    with st.container(border=True):
        st.markdown(
            "**Predict.** In “The **dogs** above the **door** …” two nouns stand before the verb. A probe can read "
            "whether the noun itself, *dogs*, is one or many. It can read the same of the nearer noun, *door*."
        )
        guess = st.radio("Which of the two, if it is changed, turns *are* into *is*?", list(GUESSES), index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("probes-guess", guess),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("probes-anyway", True), type="tertiary")
    return False


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _page(model: HookedModel) -> None:
    with st.container(border=True):
        left, middle, right = st.columns(3)
        name: str = left.selectbox(
            "Property",
            list(pm.NAMES),
            format_func=pm.NAMES.__getitem__,
            key=views.kept("probes-name", pm.OWN, [*pm.NAMES]),
        )
        site: str = middle.selectbox(
            "Where it is read", list(pm.SITES), format_func=pm.SITES.__getitem__,
            key=views.kept("probes-site", "resid", [*pm.SITES]),
        )  # fmt: skip
        kind: str = right.selectbox(
            "Kind of probe", list(pm.KINDS), format_func=pm.KINDS.__getitem__,
            key=views.kept("probes-kind", "ridge", [*pm.KINDS]),
        )  # fmt: skip
        offered = pm.depths(model, site)
        begin = offered[min(DEPTH, len(offered) - 1)]
        at = st.select_slider("Depth at which your text, below, is read and changed", offered,
                              key=views.kept("probes-depth", begin, offered))  # fmt: skip
        depth = offered.index(at)
        d = pm.data(MODEL, name, site)
        pair = _pair(d, name)
    _read(d, offered, name, site, kind, depth)
    _used(d, offered, name, site, kind, depth, pair)
    if name in pm.NUMBERS:
        _verdict(site, depth)
    _text(model, d, name, site, kind, depth, at, pair)


def _pair(d: pm.Data, name: str) -> pm.Pair:
    """The two labels that are compared: the last and the first, unless the reader wants others."""
    if len(d.names) == 2:
        return pm.Pair(1, 0)
    ordered = sorted(d.names, key=_number) if name == "sentiment" else d.names
    left, right = st.columns(2)
    one = left.selectbox(
        "This label …", ordered, format_func=_said, key=views.kept(f"probes-one-{name}", ordered[-1], ordered)
    )
    others = [label for label in ordered if label != one]
    other = right.selectbox(
        "… and not that one", others, format_func=_said, key=views.kept(f"probes-other-{name}", others[0], others)
    )
    return pm.Pair(d.names.index(one), d.names.index(other))


def _said(label: str) -> str:
    """A label as a reader sees it: "−2" for "-2"."""
    return f"−{label[1:]}" if label.startswith("-") else label


def _number(label: str) -> float:
    return float(label.replace("−", "-"))


# --- can it be read? ----------------------------------------------------------------------------------------------


def _read(d: pm.Data, depths: list[str], name: str, site: str, kind: str, depth: int) -> None:
    st.header("Can it be read?", divider="gray")
    found = pm.accuracies(MODEL, name, site, kind)
    here = found[depth]
    st.markdown(
        f"{depths[depth].capitalize()}, the probe is right about **{here.real.share:.0%}** of {len(d.read.rows)} texts "
        f"it has not seen. With meaningless labels it is right about {here.control.share:.0%}. The difference, "
        f"{common.percent(here.selectivity.value)}, is called *selectivity*."
    )
    real, control, guess = "the property", "the control: meaningless labels", "always the commonest label"
    series = {
        real: [each.real.share for each in found],
        control: [each.control.share for each in found],
        guess: [pm.commonest(d)] * len(found),
    }
    whiskers = {
        real: [(each.real.low, each.real.high) for each in found],
        control: [(each.control.low, each.control.high) for each in found],
    }
    left, right = st.columns(2)
    with left:
        axes = ("depth", "accuracy (share of texts)")
        figure = _curves(depths, series, whiskers, "How often the probe is right", *axes, [0, 1.05])
        common.chart(figure, key="probes-accuracy")
    with right:
        gains = {"selectivity": [each.selectivity.value for each in found]}
        ends = {"selectivity": [(each.selectivity.low, each.selectivity.high) for each in found]}
        axes = ("depth", "selectivity (share of texts)")
        figure = _curves(depths, gains, ends, "Selectivity: accuracy minus control", *axes, [-0.3, 1.05])
        common.chart(figure, key="probes-selectivity")
    st.caption(
        "Whiskers: 95 % intervals over texts. In the control, every combination of words gets a label by chance, so "
        "only a probe that learns words by heart can name it."
    )


@st.cache_resource(max_entries=96, show_spinner=False)
def _curves(
    depths: list[str],
    series: dict[str, list[float]],
    ends: dict[str, list[tuple[float, float]]],
    title: str,
    x: str,
    y: str,
    reach: list[float],
) -> go.Figure:
    return plots.lines(depths, series, title, x, y, intervals=ends).update_yaxes(range=reach)


# --- is it used? --------------------------------------------------------------------------------------------------


def _used(d: pm.Data, depths: list[str], name: str, site: str, kind: str, depth: int, pair: pm.Pair) -> None:
    st.header("Is it used?", divider="gray")
    turned = pm.effects(MODEL, name, site, kind, pair)
    one, other = _said(d.names[pair.one]), _said(d.names[pair.other])
    what = "Pico then takes the other form of the verb" if name in pm.NUMBERS else "Pico's first guess is another word"
    st.markdown(
        f"At the last word we mirror the activation: what said “{one}” now says “{other}”, and the other way round. "
        f"The curves show how often {what}. A random push of the same length is the control."
    )
    series = {edit: [share.value for share in shares] for edit, shares in turned.items()}
    ends = {edit: [(share.low, share.high) for share in shares] for edit, shares in turned.items()}
    axes = ("depth of the change", "changed (share of texts)")
    figure = _curves(depths, series, ends, "How often the next word changes", *axes, [-0.05, 1.05])
    common.chart(figure, key="probes-effects")
    count = next(iter(turned.values()))[0].n
    here = ", ".join(f"**{shares[depth].value:.0%}** ({edit})" for edit, shares in turned.items())
    st.markdown(f"{depths[depth].capitalize()}, the next word changes in {here}.")
    st.caption(
        f"{count} held-out texts, 95 % intervals. A probe may find a direction that tells the property and that Pico "
        "does not use: compare the probe's own direction with the difference of the means."
    )


def _verdict(site: str, depth: int) -> None:
    """What was predicted, against what was measured. Both numbers, at the depth that is looked at."""
    guess = st.session_state.get("probes-guess")
    if not guess:
        return
    shares = [pm.effects_of_means(MODEL, name, site, pm.Pair(1, 0))[pm.MEANS][depth].value for name in pm.NUMBERS]
    right = tuple(share >= TURNS for share in shares) == GUESSES[guess]
    st.markdown(
        f"You predicted: {guess.lower()}. At this depth, mirroring the number of the noun itself turns "
        f"{shares[0]:.0%} of the verbs, mirroring that of the nearer noun {shares[1]:.0%}. "
        f"{'So it is.' if right else 'It is not so. What could be the reason?'}"
    )


# --- one text -----------------------------------------------------------------------------------------------------


def _text(model: HookedModel, d: pm.Data, name: str, site: str, kind: str, depth: int, at: str, pair: pm.Pair) -> None:
    st.header("Your own text", divider="gray")
    key = views.kept(f"probes-text-{name}", _example(model, d, 0))
    text = st.text_area("A text of Littletown, up to the word after which Pico is to go on", key=key, max_chars=900)
    number = st.session_state.setdefault("probes-number", 0)
    st.button("Another example", icon=":material/casino:", on_click=common.caught(_another), args=(key, d, number))
    if not text.strip():
        st.info("Type at least one word.")
        return
    if name_unknown(model.tokenizer, text, key):
        return
    tokens = model.to_tokens(text)
    if tokens.shape[1] > WIDEST:
        st.warning(f"There is room for {WIDEST} words and marks. This text has {tokens.shape[1]}.")
        return
    one, other = _said(d.names[pair.one]), _said(d.names[pair.other])
    st.markdown(f"What the probe reads at every word, {at}: is it rather “{one}” or “{other}”?")
    values = pm.projections(model, d, site, kind, depth, pair, tokens)
    st.html(
        f"<style>{STYLE}</style>" + shaded(strings(model.tokenizer, tokens[0].tolist())[1:], values[1:], one, other)
    )
    st.caption(
        f"+1 is the mean of the texts labelled “{one}”, −1 that of “{other}”. The probe was fitted at the last word "
        "of such texts. What it says at earlier words is a guess about places that it has never seen."
    )
    _next(model, d, site, kind, depth, pair, tokens[0].tolist())


def _example(model: HookedModel, d: pm.Data, number: int) -> str:
    return model.tokenizer.decode(d.read.rows[number % len(d.read.rows)][1:])


def _another(key: str, d: pm.Data, number: int) -> None:
    st.session_state.update({"probes-number": number + 1, key: _example(open_model(MODEL), d, number + 1)})


def _next(model: HookedModel, d: pm.Data, site: str, kind: str, depth: int, pair: pm.Pair, tokens: list[int]) -> None:
    chances = pm.next_word(model, d, site, kind, depth, pair, tokens)
    best = torch.stack(list(chances.values())).max(0).values.topk(6).indices
    names = [word.replace("<|", "⟨").replace("|>", "⟩") for word in strings(model.tokenizer, best.tolist())]
    series = {edit: each[best].tolist() for edit, each in chances.items()}
    figure = plots.grouped_bars(names, series, "What Pico says next, if its last word is changed", "next word",
                                "probability")  # fmt: skip
    common.chart(figure.update_yaxes(range=[0, 1]), key="probes-next")


# Blue and orange on a light page and on a dark one; the number under each word says the same without colour.
STYLE = """
.probed { display: flex; flex-wrap: wrap; gap: .3em; max-width: 60rem }
.probed span { display: inline-flex; flex-direction: column; align-items: center; padding: .1em .35em;
    border-radius: .25em; background: color-mix(in srgb, var(--side) calc(var(--far) * 1%), transparent) }
.probed small { font-size: .72rem; opacity: .85 }
.probed-key { display: flex; gap: 1em; font-size: .85rem; margin-bottom: .4em }
.probed-key i { display: inline-block; width: 1em; height: 1em; border-radius: .2em; margin-right: .3em;
    vertical-align: -.15em }
"""
ONE, OTHER, TINT, TINT_AT = "#0072B2", "#E69F00", 60, 1.5  # colours; per cent of them, from so far away on


def shaded(words: list[str], values: list[float], one: str, other: str) -> str:
    """Each word on blue (one) or orange (other), the stronger the farther it lies, with its number below."""
    key = "".join(
        f'<span><i style="background: {colour}"></i>{html.escape(label)}</span>'
        for label, colour in ((one, ONE), (other, OTHER))
    )
    parts = [
        f'<span style="--side: {ONE if value > 0 else OTHER}; --far: {min(abs(value) / TINT_AT, 1) * TINT:.0f}">'
        f"{html.escape(word)}<small>{_signed(value)}</small></span>"
        for word, value in zip(words, values, strict=True)
    ]
    return f'<div class="probed-key">{key}</div><div class="probed">{"".join(parts)}</div>'


def _signed(value: float) -> str:
    return f"{round(value, 1) + 0.0:+.1f}".replace("-", "−")
