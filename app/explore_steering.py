"""Play with steering: draw one direction from two sets of prompts, push Pico along it, and see what it then says."""

from __future__ import annotations

from json import JSONDecodeError
from typing import Any

import streamlit as st

from app import common, views
from app import steering_measures as sm
from app.chat import bundled, name_unknown, open_model, sentence_case
from app.common import literal
from app.glossary import ADDRESS
from mi_lib import plots, steering
from mi_lib.course import glossary
from mi_lib.models import HookedModel, LoadError

MODEL = "pico"  # a bundled name, or a folder
OPENING = (  # what is marked *so* in these texts has an entry in the glossary
    "Pico refuses to say how a bridge is burnt. Somewhere in its numbers it must have decided so. Take the mean of "
    "these numbers over *prompts* that it refuses, and over prompts that it answers. The difference of the two is a "
    "*direction*. Push Pico along it, or take it out. What does Pico say then?"
)
LAYER = 3
QUESTION, ABOUT = "How do I burn the bridge?", ("burn", "the bridge")
EXAMPLES = (QUESTION, "How do I paint the school?", "Where does Mira live?", "How are you today?")
REFUSES, ANSWERS, BREAKS = "It refuses as before", "It says how to do it", "It says nothing that makes sense"
GUESSES = (REFUSES, ANSWERS, BREAKS)
NAMES = ("As it is", "With the direction", "With a random direction, as long")
TAKEN_OUT = ("As it is", "The direction taken out", "A random direction taken out")


def prepare() -> None:
    open_model(MODEL)


def show() -> None:
    st.title("Explore steering")
    st.write(_explained(OPENING))
    if not bundled(MODEL) or not _predicted():
        return
    try:
        _page(open_model(MODEL))
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        views.failed(f"Pico cannot be shown: {error}")


def _predicted() -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("steer-guess") or st.session_state.get("steer-anyway"):
        return True
    with st.container(border=True):
        st.markdown(
            f"**Predict.** Pico is asked “{QUESTION}”. While it answers, one direction of the 192 is taken out of all "
            "that it writes: the difference between harmful and harmless requests."
        )
        guess = st.radio("What does it say?", GUESSES, index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("steer-guess", guess),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("steer-anyway", True), type="tertiary")
    return False


def _explained(text: str) -> str:
    """With what the glossary says at each word that is marked *so*."""
    return glossary.marked(text, ADDRESS)


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _page(model: HookedModel) -> None:
    sets = _sets(model)
    if sets is None:
        return
    layers = list(range(model.cfg.n_layers))
    with st.container(border=True):
        left, right = st.columns(2)
        middle = layers[min(LAYER, len(layers) - 1)]
        layer: int = left.selectbox(
            "The direction is read before block", layers, key=views.kept("steer-layer", middle),
            help="At the last mark of the prompt, where the reply begins.",
        )  # fmt: skip
        way: str = right.selectbox("What is done with it", list(sm.WAYS), format_func=sm.WAYS.__getitem__,
                                   key=views.kept("steer-way", sm.ABLATE))  # fmt: skip
        dose = 1.0
        at: tuple[int, ...] = (layer,)
        if way != sm.ABLATE:
            left, right = st.columns(2)
            at = tuple(sorted(left.multiselect("Before which blocks", layers, key=views.kept("steer-at", [middle]))))
            dose = right.number_input("Dose", step=0.25, key=views.kept("steer-dose", 1.5), help=_dose_help(way))
    if not at:
        st.info("Choose at least one block.")
        return
    try:
        drawn = sm.drawn(MODEL, sets, layer)
        ways = [[], *(sm.edits(way, each, dose, at) for each in (drawn, sm.random_one(drawn)))]
    except ValueError as error:
        st.warning(_sentence(error))
        return
    st.caption(
        _explained(
            f"The direction is {sm.length(drawn):.1f} long. Along it the first set lies at {_number(drawn.high)}, "
            f"the second at {_number(drawn.low)} on average (units of the *residual stream*)."
        )
    )
    _replies(model, sets, layer, way, dose, at, ways)
    _doses(model, sets, layer, way, at)


def _number(value: float) -> str:
    return f"{round(value, 1) + 0.0:.1f}".replace("-", "−")


def _dose_help(way: str) -> str:
    if way == sm.ADD:
        return "How often the direction is added. A negative dose subtracts it."
    return "0: where the second set lies on average. 1: where the first set does. What lies farther is left alone."


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


# --- the two sets -------------------------------------------------------------------------------------------------


def _sets(model: HookedModel) -> sm.Sets | None:
    """The two sets as they stand on the page; None if a word of them is not known (the page then says so)."""
    st.header("Two sets of prompts", divider="gray")
    name: str = st.selectbox("Begin with", sm.READY, key=views.kept("steer-ready", sm.REFUSAL))
    first = sm.ready(name)
    fields: dict[str, str] = {}
    with st.expander("The prompts, one in each line. Change them as you like.", expanded=name == sm.OWN):
        for column, which, label in zip(st.columns(2), ("one", "other"), ("First", "Second"), strict=True):
            fields[which] = column.text_area(
                f"{label} set",
                height=180,
                max_chars=3000,
                key=views.kept(f"steer-{which}-{name}", getattr(first, which)),
            )
            system = f"{which}_system"
            fields[system] = column.text_input(
                f"{label} set: system prompt (may be empty)", max_chars=300,
                key=views.kept(f"steer-{system}-{name}", getattr(first, system)),
            )  # fmt: skip
        for key, text in fields.items():
            if text.strip() and name_unknown(model.tokenizer, _cased(model, text), f"steer-{key}-{name}"):
                return None
    return sm.Sets(**fields)


def _cased(model: HookedModel, text: str) -> str:
    return "\n".join(sentence_case(model.tokenizer, line.strip()) for line in text.splitlines())


# --- replies ------------------------------------------------------------------------------------------------------


def _replies(
    model: HookedModel, sets: sm.Sets, layer: int, way: str, dose: float, at: tuple[int, ...], ways: list
) -> None:
    st.header("What it says", divider="gray")
    question = st.text_input("Ask Pico", max_chars=300, key=views.kept("steer-question", QUESTION))
    with st.container(horizontal=True):
        for example in EXAMPLES:
            st.button(example, key=f"steer-{example}", on_click=common.caught(_set), args=("steer-question", example))
    if not question.strip():
        st.info("Type a question, or tap one of those above.")
        return
    question = sentence_case(model.tokenizer, question.strip())
    if name_unknown(model.tokenizer, question, "steer-question"):
        return
    (row,) = steering.chat(model, [question])
    about = (question, sets, layer, way, dose, at)
    known = st.session_state.setdefault("steer-said", {})  # Pico says the same to the same
    kept = known.get(about)
    places = []
    for number, (column, name) in enumerate(zip(st.columns(3), TAKEN_OUT if way == sm.ABLATE else NAMES, strict=True)):
        box = column.container(border=True, height="stretch", key=f"steer-reply-{number}")
        box.markdown(f"**{name}**")
        places.append(box.empty())
    if kept:
        said = kept
        for place, reply in zip(places, said, strict=True):
            place.markdown(literal(sm.tokens_as_text(model, reply)[0]))
    else:
        said = []
        for place, changed in zip(places, ways, strict=True):
            tokens: list[int] = []
            try:
                for tokens in sm.spoken(model, row, changed):
                    place.markdown(literal(sm.tokens_as_text(model, tokens)[0]) + " ▌")
            except ValueError as error:
                place.warning(_sentence(error))
                return
            place.markdown(literal(sm.tokens_as_text(model, tokens)[0]) or "*(nothing)*")
            said.append(list(tokens))
        known[about] = said
    _verdict(model, about, said[1])


def _verdict(model: HookedModel, about: tuple, tokens: list[int]) -> None:
    """What was predicted, where the page still does what was asked about."""
    guess = st.session_state.get("steer-guess")
    question, sets, _, way = about[:4]
    if not guess or (question, way, sets) != (QUESTION, sm.ABLATE, sm.ready(sm.REFUSAL)):
        return
    words = sm.tokens_as_text(model, tokens)[1]
    found = REFUSES if sm.judge_of(sm.REFUSED)(words) else ANSWERS if sm.on_topic(*ABOUT, words) else BREAKS
    st.markdown(
        f"You predicted: {guess[0].lower()}{guess[1:]}. "
        + ("So it is." if guess == found else f"It is not so: {found[0].lower()}{found[1:]}. What could be the reason?")
    )


# --- dose by dose -------------------------------------------------------------------------------------------------


def _doses(model: HookedModel, sets: sm.Sets, layer: int, way: str, at: tuple[int, ...]) -> None:
    st.header("How much is enough?", divider="gray")
    st.write(
        _explained(
            f"One reply is one reply. Here a *judge* reads, *dose* by dose, the replies to {sm.ASKED_EACH} *held-out* "
            "prompts. None of them is in a ready set."
        )
    )
    trait = st.session_state["steer-ready"].partition(":")[0]
    left, right = st.columns(2)
    # What fits the sets is offered first: harmful requests are refused, and to add refusal one asks harmless ones.
    fitting = trait if trait in sm.JUDGES else sm.REFUSED
    asks = sm.EVERYDAY if trait in sm.JUDGES else sm.HARMFUL if way == sm.ABLATE else sm.HARMLESS
    judge: str = left.selectbox(
        "What is judged: the reply is …", sm.JUDGES, key=views.kept(f"steer-judge-{trait}", fitting)
    )
    asked: str = right.selectbox("Pico is asked", sm.ASKED, key=views.kept(f"steer-asked-{trait}-{way}", asks))
    plan = sm.Plan(sets, layer, way, at, judge, asked)
    run: sm.Measured | None = st.session_state.get("steer-run")
    if run is None or run.plan != plan:
        run = st.session_state["steer-run"] = sm.Measured(plan)
    st.fragment(common.guarded(_live), run_every=0.2 if run.going else None)()


def _live() -> None:
    """Measure one dose, then draw. Streamlit calls this again and again while the measurement is going."""
    run: sm.Measured = st.session_state["steer-run"]
    if run.going:
        waits = run.plan.judge == sm.FLUENT and not run.found
        with st.spinner("Reading Littletown's chats, to know its English …" if waits else "Pico replies …"):
            sm.go_on(MODEL, run)
        if not run.going:
            st.rerun()
    done, total = len(run.found), len(run.doses)
    if run.failed:
        st.warning(run.failed)
    elif not run.finished:
        label, icon = ("Stop", ":material/stop:") if run.going else ("Measure", ":material/play_arrow:")
        label = label if not done or run.going else "Go on"
        # A callback: it runs before this fragment, so that no further dose is measured when one wants to stop.
        if st.button(label, icon=icon, key="steer-stop", on_click=common.caught(_turn), args=(run,)):
            st.rerun()
    if not run.finished and (run.going or done):
        st.progress(done / total, f"dose {done} of {total}")
    if done:
        _drawn(run)


def _turn(run: sm.Measured) -> None:
    run.going = not run.going


def _drawn(run: sm.Measured) -> None:
    judge, doses = run.plan.judge, list(run.doses[: len(run.found)])
    shares = [response.shares[judge][0] for response in run.found]
    own, other = "the direction", "a random direction, as long"
    series = {
        own: [share.value for share in shares],
        other: [float(response.controls[judge][0, 0]) for response in run.found],
    }
    unit = {sm.ABLATE: "0: as it is, 1: taken out", sm.HOLD: "dose (1: where the first set lies)"}
    x_title = unit.get(run.plan.way, "dose (times the direction)")
    left, right = st.columns(2)
    with left:
        what = "share of word triples that are Littletown's" if judge == sm.FLUENT else f"{judge} (share of replies)"
        figure = plots.lines(doses, series, f"How often the reply is {judge}", x_title, what,
                             intervals={own: [(share.low, share.high) for share in shares]})  # fmt: skip
        figure.update_yaxes(range=[-0.05, 1.05]).update_xaxes(range=[-0.1, run.doses[-1] + 0.1])
        common.chart(figure, key="steer-doses")
    with right:
        odd = {own: [response.surprise[0] for response in run.found]}
        figure = plots.lines(
            doses, odd, "How odd Pico, as it is, finds these replies", x_title, "surprise (nats per word)"
        )
        common.chart(figure.update_xaxes(range=[-0.1, run.doses[-1] + 0.1]), key="steer-odd")
    st.caption(
        f"Replies to {shares[0].n} held-out prompts ({run.plan.asked}). Whiskers: 95 % intervals over replies. If the "
        "surprise grows, the replies fall apart, or say what Pico would not say."
    )
