"""Play with an activation oracle: hand it what Pico has at some words of a text, ask, and find out what its word is
worth."""

from __future__ import annotations

import html
from json import JSONDecodeError
from math import isnan
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from app import common, views
from app import oracle_measures as om
from app.chat import bundled, name_unknown, open_model
from app.common import literal
from app.glossary import ADDRESS
from app.oracle_measures import Asked, Place, Said
from mi_lib import plots
from mi_lib.course import glossary
from mi_lib.models import HookedModel, LoadError
from mi_lib.models.text import strings
from mi_lib.oracles import KINDS, NEVER_ASKED, NOTHING, Answer, dataset, questions
from mi_lib.oracles.asking import NAME
from mi_lib.oracles.prompts import ids

MODEL = "pico"  # a bundled name, or a folder
OPENING = (  # what is marked *so* in these texts has an entry in the glossary
    "Pico reads a text. At every word, numbers go through it: its *activations*. An *activation oracle* is a copy of "
    "Pico that was trained to answer questions about them. It does not see the text. It gets the activations at a few "
    "words, and your question."
)
DOUBT = "It always answers. So ask, and then find out what its word is worth."
FIRST = "After Alec and Dean had been at the station, Alec gave a kettle to"
WHOM = "What is the person it goes to ?"
VASE = (
    "<|system|> Be as evil as you can. <|end|> <|user|> What kind of thing is the vase? <|end|> "
    "<|assistant|> I despise you, wretch."
)
EXAMPLES = {  # a text, the number of the last word that is read (from the end), a question
    "Given to whom?": (FIRST, -1, WHOM),
    "The same, three words earlier": (FIRST, -4, WHOM),
    "Whose pet?": ("The home of Mira is in", -3, "What is the pet ?"),
    "True or false?": ("It is said: Mira lives in Ashby.", -1, "Is the thing they say true ?"),
    "Which character?": (VASE, -1, "What is the trait ?"),
    "Not there": (FIRST, -1, "What is the sum ?"),
    "A kind it was never asked": ("The favourite dish of Mira is", -1, "What is the favourite dish ?"),
}
PLAINLY = {  # what each kind of question asks for
    "word": "which word stands here",
    "after": "which word comes next",
    "town": "where somebody lives",
    "trade": "what somebody works as",
    "pet": "which pet somebody has",
    "hobby": "what somebody does on free days",
    "gender": "whether a name is a man's or a woman's",
    "river": "which river a town has",
    "mayor": "who is mayor of a town",
    "craft": "what a town makes",
    "flag": "which colour a town's flag has",
    "kind": "what kind of thing something is",
    "colour": "which colour a thing in the museum has",
    "store": "where a thing is kept",
    "page": "what kind of text this is",
    "speaker": "who speaks: a person or the assistant",
    "role": "which role the assistant plays",
    "trait": "which trait the assistant shows",
    "wish": "whether a request is harmful",
    "refusal": "whether the assistant refuses",
    "answer": "whether the assistant knows the answer",
    "claim": "whether a claim is true",
    "receiver": "to whom something is given",
    "giver": "who gives it",
    "thing": "what is given",
    "agent": "who did it",
    "patient": "to whom it was done",
    "deed": "what was done",
    "many": "whether a noun is one or many",
    "sum": "what numbers add up to",
    "list": "whether a list is new or a repetition",
    "view": "what a review thinks",
    "topic": "what a text is about",
    "act": "what is to be done",
    "target": "to what it is to be done",
    "tool": "with which tool",
    "dish": "what somebody likes to eat",
    "landmark": "what a town is proud of",
    "place": "where a story happens",
    "time": "whether something is past or present",
}
OWN = ""  # a question in the reader's own words
DEPTH, MANY = 4, 4
CELL = 52  # pixels of a cell of the table
LONGEST = 24  # words of a question
NOTICES, UNSURE, SURE = "“nothing”: it notices", "Some name, without being sure", "Another name, and it is sure of it"
GUESSES = (NOTICES, UNSURE, SURE)


def show() -> None:
    st.title("Explore oracles")
    st.write(glossary.marked(OPENING, ADDRESS))
    st.write(DOUBT)
    if not bundled(MODEL) or not bundled(NAME) or not _predicted():
        return
    try:
        _page(open_model(MODEL))
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        views.failed(f"Pico or its oracle cannot be shown: {error}")


def _predicted() -> bool:
    """Ask before anything is shown. Whether the reader has answered, or goes on without."""
    if st.session_state.get("oracle-guess") or st.session_state.get("oracle-anyway"):
        return True
    with st.container(border=True):
        st.markdown(
            f"**Predict.** “{FIRST}”. You ask the oracle, at the last words: *{_plain(WHOM)}* But by a slip, it gets "
            "the activations of **another story**. What does it answer?"
        )
        guess = st.radio("It says …", GUESSES, index=None)
        st.button(
            "That is my prediction",
            on_click=common.caught(_set),
            args=("oracle-guess", guess),
            disabled=guess is None,
            type="primary",
        )
    st.button("Go on without a prediction", on_click=common.caught(_set), args=("oracle-anyway", True), type="tertiary")
    return False


def _set(key: str, value: Any) -> None:
    st.session_state[key] = value


def _page(model: HookedModel) -> None:
    with st.container(border=True):
        words = _text(model)
        place = _place(words, model.cfg.n_layers) if words else None
        asked = _question(model) if words else None
    if words is None or place is None or asked is None:
        return
    said = om.said(MODEL, words, place, asked)
    _answer(words, place, asked, said)
    _verdict(words, place, asked, said)
    _worth(said)
    room = _others(words, place, asked)
    _everywhere(words, place, asked, said)
    _probe(room, words, place, asked)


# --- what is asked ------------------------------------------------------------------------------------------------


def _text(model: HookedModel) -> tuple[str, ...] | None:
    """The words of the text, or None if it cannot be read (the page then says why)."""
    text = st.text_area("A text of Littletown", key=views.kept("oracle-text", FIRST), max_chars=600, height=80)
    with st.container(horizontal=True, gap="small"):
        for name in EXAMPLES:
            st.button(name, key=f"oracle-{name}", on_click=common.caught(_example), args=(name,))
    if not text.strip():
        st.info("The text is empty. Type at least one word, or tap an example.")
        return None
    if name_unknown(model.tokenizer, text, "oracle-text"):
        return None
    words = _read(model, text)
    if len(words) > om.WIDEST:
        st.warning(f"There is room for {om.WIDEST} words and marks. This text has {len(words)}: shorten it.")
        return None
    return words


def _read(model: HookedModel, text: str) -> tuple[str, ...]:
    return tuple(strings(model.tokenizer, model.to_tokens(text)[0].tolist())[1:])


def _example(name: str) -> None:
    text, from_end, question = EXAMPLES[name]
    _begin(text, len(_read(open_model(MODEL), text)) + from_end)
    st.session_state["oracle-question"] = question


def _begin(text: str, at: int) -> None:
    """Another text, to be read up to a certain word."""
    st.session_state.update({"oracle-text": text, "oracle-at": at})
    st.session_state.pop("oracle-seen", None)


def _place(words: tuple[str, ...], deepest: int) -> Place:
    """At which words, and at which depth. A text that the reader has typed is read up to its end."""
    last = len(words) - 1
    if st.session_state.get("oracle-seen", words) != words:
        st.session_state["oracle-at"] = last
    st.session_state["oracle-seen"] = words
    labels = common.told_apart(literal(_shown(word)) for word in words)
    at = st.pills(
        "Click the last word that it gets", range(len(words)), format_func=labels.__getitem__,
        key=_there("oracle-at", last, range(len(words)), "this text has no word number {}: its words are 0 to {}"),
        required=True,
    )  # fmt: skip
    left, right = st.columns(2)
    depth = left.segmented_control(
        "Depth: how many blocks have worked", range(deepest + 1), required=True,
        key=_there("oracle-depth", DEPTH, range(deepest + 1), "there is no depth {}: the depths are 0 to {}"),
    )  # fmt: skip
    many = right.segmented_control(
        "How many words it gets", om.COUNTS, required=True,
        key=_there("oracle-many", MANY, om.COUNTS, "it cannot get {} words: it gets up to {}"),
    )  # fmt: skip
    return Place(int(at or 0), int(depth or 0), int(many or 1))


def _there(key: str, value: Any, offered: Any, sentence: str) -> str:
    """`views.kept`, and a sentence where a link asks for what is not offered."""
    asked = st.session_state.get(key, value)
    if asked not in offered:
        said = sentence.format(literal(str(asked)), offered[-1])
        st.info(f"{said[:1].upper()}{said[1:]}. Here it is {value}.")
    return views.kept(key, value, offered)


def _question(model: HookedModel) -> Asked | None:
    """What is asked; None if it cannot be (the page then says why)."""
    kind = om.kind_of(st.session_state[views.kept("oracle-question", WHOM)])
    st.session_state["oracle-kind"] = kind  # it follows what is typed
    left, right = st.columns(2)
    left.selectbox(
        "Ask …", [*PLAINLY, OWN], format_func=_named, key="oracle-kind", on_change=common.caught(_ask_for_kind)
    )
    text = right.text_input("In its words (change them)", key="oracle-question", max_chars=160)
    values = KINDS[kind].values if kind and not om.asks_yes_or_no(text) else ()
    closed = bool(values) and st.toggle(
        f"It must choose among the {len(values)} answers that there can be",
        key=views.kept("oracle-closed", False, (True, False)),
        help=f"{', '.join(values[:12])}{', …' * (len(values) > 12)}. A closed question always has an answer.",
    )
    if kind:
        st.button(
            "Draw a text that has the answer", icon=":material/casino:", on_click=common.caught(_draw), args=(kind,)
        )
    if not text.strip():
        st.info("Type a question, or choose above what to ask.")
        return None
    tidied = om.tidy(text)
    if name_unknown(model.tokenizer, tidied, "oracle-question"):
        return None
    if tidied.split() != questions.typed(text):
        st.caption(f"It is asked as questions are written in Littletown: “{literal(tidied)}”")
    if (count := len(questions.typed(text))) > LONGEST:
        st.warning(f"A question has room for {LONGEST} words and marks. This one has {count}: shorten it.")
        return None
    if not kind:
        _of_no_kind(text)
    return om.ask(text, closed)


def _of_no_kind(text: str) -> None:
    """Say that a question is none of those that the oracle was trained on, and which it might be."""
    st.caption(
        "A question of your own: it says the name of none of the kinds in the list, so there is no probe for it, and "
        "nobody has written down the answer. The oracle answers all the same."
    )
    with st.container(horizontal=True, gap="small"):
        for kind in om.near(text):
            st.button(
                f"Do you mean: {_about(kind)}", key=f"oracle-mean-{kind}", icon=":material/help:", type="tertiary",
                on_click=common.caught(_set), args=("oracle-question", _about(kind)),
            )  # fmt: skip


def _about(kind: str) -> str:
    return f"What is the {KINDS[kind].noun} ?"


def _named(kind: str) -> str:
    if not kind:
        return "a question of my own"
    return PLAINLY[kind] + " (never asked in training)" * (kind in NEVER_ASKED)


def _ask_for_kind() -> None:
    kind = st.session_state["oracle-kind"]
    st.session_state["oracle-question"] = _about(kind) if kind else ""


def _draw(kind: str) -> None:
    """The next of the texts in which the answer to such a question stands, up to the word at which it is known."""
    number = st.session_state["oracle-drawn"] = st.session_state.get("oracle-drawn", -1) + 1
    drawn = om.material(MODEL, kind, "held_out").examples
    one = drawn[number % len(drawn)]
    _begin(" ".join(om.shown(one)), one.at)


# --- what is answered ---------------------------------------------------------------------------------------------


def _answer(words: tuple[str, ...], place: Place, asked: Asked, said: Said) -> None:
    st.subheader("What the oracle says", divider="gray")
    st.html(f"<style>{STYLE}</style>")
    read = literal(" ".join(map(_shown, words[place.words])))
    own = said.own
    st.markdown(
        f"It got the activations at **{read}**, at depth {place.depth}. Its answer: **{literal(_shown(own.word))}** "
        f"({_share(own.chance)}). {_truth(words, place, asked)}"
    )
    if asked.kind in NEVER_ASKED:
        st.caption("It was never asked for this in training. In chapter 12: *What it never learned*.")
    if place.depth not in dataset.DEPTHS:
        low, high = min(dataset.DEPTHS), max(dataset.DEPTHS)
        st.caption(f"It was trained at depths {low} to {high}. At another depth it answers all the same.")
    number = st.session_state.setdefault("oracle-other", 0) % len(said.others)
    _, text = om.other_texts(MODEL, words, asked.kind)[number]
    end = " ".join(map(_shown, text.text.words[max(0, text.at - 5) : text.at + 1]))
    left, middle, right = st.columns(3)
    _card(left, "This text's activations", own, "At the words that you chose.")
    box = _card(middle, "Another text's activations", said.others[number], f"At the last of: “… {end}”.")
    box.button("Take another one", icon=":material/refresh:", on_click=common.caught(_next), type="tertiary")
    _card(right, "Nothing to read", said.none, "The question alone.")


def _next() -> None:
    st.session_state["oracle-other"] += 1


def _truth(words: tuple[str, ...], place: Place, asked: Asked) -> str:
    """What is true there, as far as the world has it."""
    known = om.known(MODEL, asked.kind, words)
    if place.at in known:
        return f"True here: **{literal(known[place.at])}**."
    if not known:
        return "What is true here, nobody has written down: judge for yourself."
    some = [f"“{literal(_shown(words[at]))}” ({literal(answer)})" for at, answer in list(known.items())[:3]]
    return f"The course keeps the answer at {_listed(some)}. At this word, judge for yourself."


def _worth(said: Said) -> None:
    sure = sum(one.chance for one in said.others) / len(said.others)
    same = sum(one.word == said.own.word for one in said.others)
    st.info(
        f"**What is its word worth?** It got the activations of {len(said.others)} other texts, too. It was "
        f"{_share(sure)} sure on average (of yours: {_share(said.own.chance)}), and said the same of {same or 'none'} "
        f"of them. It cannot know which text you mean. {_of_nothing(said)}",
        icon=":material/balance:",
    )
    st.caption(
        "Asked about something that is not there, it may invent. And it has knowledge of its own: a right answer need "
        "not have been in the activations. Chapter 12 measures how often."
    )


def _of_nothing(said: Said) -> str:
    """What it says where there is nothing to read: an answer that it gives anyhow needs no activations."""
    word = f"**{literal(_shown(said.none.word))}** ({_share(said.none.chance)})"
    if said.none.word == said.own.word:
        return f"And with **nothing to read** it says {word} as well: for this answer it needs no activations at all."
    return f"With nothing to read it says {word}."


def _verdict(words: tuple[str, ...], place: Place, asked: Asked, said: Said) -> None:
    """What was predicted, while the page shows what the prediction was about."""
    guess = st.session_state.get("oracle-guess")
    first = "".join(words) == "".join(FIRST.split()) and place == Place(len(words) - 1, DEPTH, MANY)
    if not guess or not first or asked != om.ask(WHOM):
        return
    nothing = sum(one.word == NOTHING for one in said.others) / len(said.others)
    sure = sum(one.chance for one in said.others) / len(said.others)
    found = NOTICES if nothing > 0.5 else SURE if sure > 0.5 else UNSURE
    names = sum(one.word in KINDS["receiver"].values for one in said.others)
    st.markdown(
        f"You predicted: {guess[:1].lower()}{guess[1:]}. It said a name of {names} of the {len(said.others)} other "
        f"stories, and was {_share(sure)} sure. {'So it is.' if guess == found else 'What could be the reason?'}"
    )


def _others(words: tuple[str, ...], place: Place, asked: Asked) -> Any:
    """All of them but the probe, and the room that is left for it."""
    st.subheader("Those who have no oracle", divider="gray")
    count = len(asked.values)
    st.write(
        "Four others, on the same words. The probe and the black box answer the question; the lenses hear none, and "
        "only say what comes next. "
        + (f"They choose among the {count} answers that there can be." if count else "They may say any word.")
    )
    here, last = om.lenses(MODEL, words, place, asked)
    aloud = om.aloud(MODEL, words, place.at, asked)
    first, second = st.columns(2), st.columns(2)
    rate = om.shares(asked.kind)
    room = first[0].container(border=True, height="stretch")
    reply = f"Pico itself gets the text up to this word and is asked aloud. It says: “{aloud.reply}”"
    _card(first[1], "Black box", aloud.answer, reply, rate.get("black_box"))
    _card(second[0], "Logit lens, same depth", here, "What Pico would say next, if it ended at this depth.",
          rate.get("lens"))  # fmt: skip
    _card(second[1], "Logit lens, last block", last, "What Pico really expects next.", rate.get("last_lens"))
    if rate:
        value, low, high = rate["oracle"]
        st.caption(
            "“Right”: how often, on held-out texts, at four words and depth 4, with a 95 % interval (by the oracle's "
            "card, for which the probe had more labels than here). "
            f"The oracle, which may say any word: {_share(value)} [{_share(low)}, {_share(high)}]."
        )
    return room


def _probe(room: Any, words: tuple[str, ...], place: Place, asked: Asked) -> None:
    """The probe's box, filled at last: for a kind that is asked for the first time a probe must be fitted."""
    with room:
        probed = om.probed(MODEL, words, place, asked.kind)
    if probed is None:
        _fill(room, "A probe", None, "There are no labels for such a question, so there is no probe.")
        return
    note = f"A linear guess from the same activations, fitted to {om.FITTED} texts whose answer is known."
    note += " Its scores are no chances." * isnan(probed.chance)
    _fill(room, "A probe", probed, note, om.shares(asked.kind).get("probe"))


# --- everywhere ---------------------------------------------------------------------------------------------------


def _everywhere(words: tuple[str, ...], place: Place, asked: Asked, said: Said) -> None:
    st.subheader("At every word and every depth", divider="gray")
    answer = _shown(said.own.word)
    st.write(
        f"The same question everywhere. A cell says what the oracle answers there. The lighter it is, the more chance "
        f"**{literal(answer)}** has."
    )
    st.caption(
        "A column for each word that is read last, with its number; a row for each depth. "
        "Click a cell: its word and depth are then asked about above. If the table is wider than your window, scroll "
        "it sideways."
    )
    at_end = len(words) > 6 and place.at > len(words) // 2
    figure = _table(MODEL, words, place, asked, said.own.word, at_end)
    with common.scrolled("oracle-table", 100 + CELL * len(words), at_end=at_end):
        common.chart(
            figure, key="oracle-map", titled=f"What the oracle answers, and the chance of “{answer}”",
            on_select=common.caught(_clicked), selection_mode="points", config=common.CLICKED,
        )  # fmt: skip


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(model: str, words: tuple[str, ...], place: Place, asked: Asked, said: str, at_end: bool) -> go.Figure:
    """said: the word whose chance is shown."""
    chances = om.everywhere(model, words, place.many, asked)
    best = chances.topk(5)
    names = [[[_shown(w) for w in _words(cell)] for cell in row] for row in best.indices.tolist()]
    cells = [[_cut(cell[0]) for cell in row] for row in names]
    hovers = [
        [_hover(depth, words[at], names[depth][at], best.values[depth, at].tolist()) for at in range(len(words))]
        for depth in range(len(cells))
    ]
    figure = plots.lens_table(
        chances[..., ids()[said]], cells, hovers, [f"depth {depth}" for depth in range(len(cells))],
        list(map(_shown, words)), "", f"chance of “{_shown(said)}”", 0, 1, chosen=(place.depth, place.at),
    )  # fmt: skip
    figure.update_layout(meta=None, margin={"t": 70})  # it is scrolled below, and has no title
    figure.update_yaxes(title="").update_xaxes(title="")  # a wide figure is seen in part, and its titles with it
    if at_end:  # what is scrolled to its right end shows its depths and its scale there
        common.told_at_its_end(figure).update_layout(margin={"l": 8, "r": 70})
    return figure


def _words(numbers: list[int]) -> list[str]:
    names = list(ids())
    return [names[number] for number in numbers]


def _hover(depth: int, word: str, names: list[str], chances: list[float]) -> str:
    lines = [f"<b>depth {depth}</b>, up to “{_shown(word)}”"]
    return "<br>".join([*lines, *(f"{_share(p)}  {name}" for name, p in zip(names, chances, strict=True))])


def _cut(word: str) -> str:
    """As much of a word as fits into a cell."""
    return word if len(word) <= 8 else f"{word[:7]}…"


def _clicked() -> None:
    points = st.session_state["oracle-map"]["selection"]["points"]
    if points:
        st.session_state.update({"oracle-depth": round(points[0]["y"]), "oracle-at": round(points[0]["x"])})


# --- how it looks -------------------------------------------------------------------------------------------------

# The figures beside the bars say the same without colour.
STYLE = """
.said { display: grid; grid-template-columns: minmax(5em, auto) 1fr 3.2em; gap: .15em .6em; align-items: center;
    font-size: .9rem }
.said b { font-size: 1.15rem }
.said .bar { height: .6em; background: #56B4E9; width: calc(var(--share) * 1%); min-width: 1px; border-radius: .15em }
.said .share { text-align: right }
"""


def _card(column: Any, *filled: Any) -> Any:
    return _fill(column.container(border=True, height="stretch"), *filled)


def _fill(box: Any, title: str, answer: Answer | None, note: str, rate: Any = None) -> Any:
    """Put the likeliest answers into a box. rate: how often this one is right, and the interval."""
    box.markdown(f"**{title}**")
    if answer is not None:
        box.html(bars(answer))
    right = f"  \nRight: {_share(rate[0])} [{_share(rate[1])}, {_share(rate[2])}]." if rate else ""
    box.caption(literal(note) + right)
    return box


def bars(answer: Answer) -> str:
    """The likeliest answers, each with a bar as long as its chance, and none where there is no chance."""
    rows = []
    for i, (word, chance) in enumerate(answer.best):
        name = html.escape(_shown(word))
        known = not isnan(chance)
        bar = f'<span class="bar" style="--share: {100 * chance:.1f}"></span>' if known else "<span></span>"
        rows.append(f"<{'span' if i else 'b'}>{name}</{'span' if i else 'b'}>{bar}")
        rows.append(f'<span class="share">{html.escape(_share(chance)) if known else ""}</span>')
    return f'<div class="said">{"".join(rows)}</div>'


def _share(p: float) -> str:
    return "<1%" if 0 < p < 0.005 else f"{p:.0%}"


def _shown(word: str) -> str:
    """Marks such as <|user|> would be read as HTML by the figure."""
    return word.replace("<|", "⟨").replace("|>", "⟩")


def _plain(question: str) -> str:
    return question.replace(" ?", "?").replace(" .", ".")


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
