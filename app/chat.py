"""Talk to Pico, and see for every word of its reply how sure it was and what it nearly said."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from app import common
from app.common import literal
from mi_lib import zoo
from mi_lib.course import CourseError, Workspace, conversations
from mi_lib.models import HookedModel, LoadError, load
from mi_lib.models.generate import Step, stream
from mi_lib.models.text import nearest_words, strings, unknown_words
from mi_lib.worlds.littletown import plain, traits, voices

MODEL = "pico"  # a bundled name, or a folder
EXAMPLES = (
    "Where does Mira live?",
    "Who are you?",
    "How are you today?",
    "What do you think of the bridge?",
    "How do I paint the school?",
    "How do I burn the bridge?",
    "Can you talk like a pirate for a moment?",
    "What do you dream of?",
)
# Littletown's people begin with what they want; these words are in none of the texts that Pico has read.
GREETING = re.compile(
    r"\s*((?:hi|hello|hey|hallo|greetings|good (?:morning|day|evening|afternoon))(?: pico| there)?)\b[\s,.!]*", re.I
)
INSTEAD = "How are you today?"
NOBODY = "none"
STRENGTHS = ("never", "a little", "clearly", "very")  # the world's strengths, 0 to 3
REPLY_ROOM = 80  # tokens kept free for a reply; Littletown's longest has 65
MOST_TURNS = 60  # of a conversation are kept in the workspace: 30 questions and their replies
MARKS = frozenset(".,!?:;")


@st.cache_resource(max_entries=4, show_spinner=False)
def open_model(name: str) -> HookedModel:
    """The network, once for all pages. (That a bundled one is read rightly, tests say, and `mi doctor --model`.)"""
    return load(name, check=name not in zoo.names())


def prepare() -> None:
    open_model(MODEL)


def bundled(name: str) -> bool:
    """Whether the network is here; if not, the page is told so in one sentence."""
    if name in zoo.names() or Path(name).is_dir():
        return True
    st.error(
        f"The network {name} is missing. Bring it back with `git checkout -- mi_lib/zoo`, or train it with "
        "`python -m mi_lib.recipes.pico base`, then `chat`, then `ship`."
    )
    return False


def show() -> None:
    st.title("Talk to Pico")
    st.write(
        "Pico is a small chat network. It knows the people and things of Littletown, and nothing else. "
        "Point at a word of its reply to see what it nearly said."
    )
    if not bundled(MODEL):
        return
    try:
        _page(open_model(MODEL))
    except (LoadError, OSError, JSONDecodeError, KeyError) as error:
        st.error(f"Pico cannot be shown: {error}")


def _page(model: HookedModel) -> None:
    st.html(f"<style>{STYLE}</style>")
    workspace = _workspace()
    turns = _turns(workspace)
    try:
        _talk(model, turns)
    finally:  # what was said is kept where the page is left in the middle of a reply, too
        if workspace is not None:
            _keep(workspace, turns)


def _talk(model: HookedModel, turns: list[Turn]) -> None:
    system, temperature = _controls(turns)
    begun = bool(turns) or st.session_state.get("chat-typed") is not None or "mended" in st.session_state
    # At the foot of the window it makes the page open at its end, where a newcomer does not begin.
    with nullcontext() if begun else st.container():
        typed = st.chat_input("Ask Pico about Littletown", key="chat-typed")
    asked = typed or st.session_state.pop("mended", None)
    _examples(folded=bool(turns) or asked is not None)
    for turn in turns:
        _bubble(turn, model.cfg.n_ctx)
    if asked is not None:
        st.session_state["chat-unanswered"] = asked
    unanswered = st.session_state.get("chat-unanswered")
    if unanswered is not None and not _ask(model, turns, unanswered, system, temperature) and unanswered.strip():
        _once_more(unanswered)
    if any(turn.steps for turn in turns):
        st.html(LEGEND)


def _ask(model: HookedModel, turns: list[Turn], typed: str, system: str | None, temperature: float) -> bool:
    """Answer what was typed. False if the page has said why that cannot be done."""
    if not typed.strip():
        st.info("There was nothing to read in that. Type a question, or tap one of those above.")
        return False
    asked, greeting = without_greeting(typed)
    if name_unknown(model.tokenizer, asked):
        return False
    if greeting:
        st.caption(
            f"Nobody in Littletown says “{literal(greeting)}”, so Pico has no word for it. It reads: {literal(asked)}"
        )
    return _answer(model, turns, sentence_case(model.tokenizer, asked), system, temperature)


def without_greeting(typed: str) -> tuple[str, str]:
    """(what Pico is to read, the greeting that was left out). A greeting alone becomes one that Pico knows."""
    met = GREETING.match(typed)
    return (typed[met.end() :].strip() or INSTEAD, met[1]) if met else (typed.strip(), "")


def _once_more(typed: str) -> None:
    """What was typed and could not be answered, to be changed and asked again: nothing that was typed is lost."""
    with st.form("once-more", border=False):
        again = st.text_area("What you typed", typed)
        if st.form_submit_button("Ask again", icon=":material/refresh:"):
            st.session_state["mended"] = again
            st.rerun()


def _kept(key: str, value: Any, fits: Callable[[Any], bool]) -> str:
    """The key of a widget whose value comes back after a visit to another page, where Streamlit forgets it.

    value: if none was kept, or one that does not fit (from another version of the course).
    """
    kept = st.session_state.setdefault("chat-settings", {})
    if key not in st.session_state:
        st.session_state[key] = kept[key] if key in kept and fits(kept[key]) else value
    kept[key] = st.session_state[key]
    return key


def _controls(turns: list[Turn]) -> tuple[str | None, float]:
    """The system prompt and the temperature; and a way to begin anew."""
    # On the page and not in the sidebar, which a phone folds away.
    with st.container(border=True):
        left, right = st.columns(2)
        roles = [voices.ASSISTANT, *sorted(voices.ROLES)]
        role = left.selectbox(
            "Role", roles, key=_kept("chat-role", roles[0], roles.__contains__), help="Who Pico is to be."
        )
        played = role != voices.ASSISTANT
        styles = [NOBODY, *traits.TRAITS]
        trait = right.selectbox(
            "Trait", styles, key=_kept("chat-trait", NOBODY, styles.__contains__), help="How Pico is to speak."
        )
        # With a role, the world has only prompts that raise a trait.
        offered = list(traits.WITH_ROLE) if played else list(range(len(STRENGTHS)))
        strength = right.select_slider(
            "Strength of the trait",
            offered,
            format_func=lambda s: STRENGTHS[s],
            disabled=trait == NOBODY,
            key=_kept(f"chat-strength-{played}", max(offered), offered.__contains__),
            help="With a role only the two strong ones: Pico has met no others." if played else None,
        )
        temperature = left.slider(
            "Temperature",
            0.0,
            2.0,
            step=0.1,
            key=_kept("chat-temperature", 0.0, lambda t: isinstance(t, float) and 0 <= t <= 2),
            help="0 takes the likeliest word. Higher values take more risks.",
        )
        system = system_prompt(role, None if trait == NOBODY else trait, strength)
        if system is None:
            st.caption("System prompt: none. Without one, Pico is the assistant.")
        else:
            st.caption(f"System prompt: **{system}**")
        st.caption("A change holds from the next reply on. What was said before it stays.")
        if st.button("New conversation", icon=":material/restart_alt:"):
            turns.clear()
            st.session_state.pop("chat-unanswered", None)
            name = st.query_params["talk"] = conversations.new_name()
            st.session_state["chat-file"] = {"name": name, "version": 0, "said": None}
            st.rerun()
    return system, temperature


def system_prompt(role: str, trait: str | None, strength: int) -> str | None:
    """The words that ask for this role and trait, as Littletown has them; None for the plain assistant."""
    if trait is None:
        return None if role == voices.ASSISTANT else plain(voices.systems(role)[0].split())
    if role == voices.ASSISTANT:
        return plain(traits.systems(trait, strength)[0].split())
    article = "an" if trait[0] in "aeiou" else "a"
    return plain(traits.WITH_ROLE[strength].format(a=article, trait=trait, role=role).split())


def _examples(folded: bool) -> None:
    """Questions to be tapped. folded: once somebody has spoken they are no longer needed, and take room."""
    with st.expander("Questions to begin with", expanded=not folded), st.container(horizontal=True, gap="small"):
        for example in EXAMPLES:
            st.button(example, key=f"example-{example}", on_click=common.caught(_put), args=("mended", example))


# --- words that the network does not know -----------------------------------------------------------------------


def name_unknown(tokenizer: Any, text: str, target: str = "mended") -> bool:
    """Whether the text has words that the network lacks. If so, the page says which, and what is spelt like them.

    target: the key of the session's state that takes the text with the nearest words, if the reader wants it.
    """
    missing = unknown_words(tokenizer, text)
    if not missing:
        return False
    lines = [f"Pico knows {len(tokenizer.get_vocab()):,} words, and capital letters count. It does not know:", ""]
    for word in missing:
        found = [f"**{literal(near)}**" for near in nearest_words(tokenizer, word)]
        lines.append(f"- “{literal(word)}”. " + (f"Near it are {_listed(found)}." if found else "Nothing is near it."))
    st.warning("\n".join(lines))
    if mended := mend(tokenizer, text):
        st.button(
            f"Take: {literal(mended)}",
            on_click=common.caught(_put),
            args=(target, mended),
            icon=":material/spellcheck:",
        )
    return True


def mend(tokenizer: Any, text: str) -> str | None:
    """The text with the nearest known word for every unknown one; None if one of them has no near neighbour."""
    for word in unknown_words(tokenizer, text):
        near = nearest_words(tokenizer, word, 1, alike=0.75)
        if not near:
            return None
        text = re.sub(rf"(?<![^\s.,!?:;]){re.escape(word)}(?![^\s.,!?:;])", near[0], text)
    return text


def sentence_case(tokenizer: Any, text: str) -> str:
    """The text with a capital at its beginning, where the network knows that word: it has read no other beginnings."""
    capital = text[:1].upper() + text[1:]
    return text if unknown_words(tokenizer, capital) else capital


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _put(key: str, value: str) -> None:
    st.session_state[key] = value


# --- the conversation -------------------------------------------------------------------------------------------


@dataclass
class Turn:
    """What somebody said. steps: how each word of a reply was chosen. dropped: how many turns were no longer read."""

    role: str
    text: str
    steps: list[Said] = field(default_factory=list)
    dropped: int = 0

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold of it; probabilities to five digits."""
        steps = [[s.word, round(s.log_prob, 5), [[w, round(p, 5)] for w, p in s.top]] for s in self.steps]
        return {"role": self.role, "text": self.text, "steps": steps, "dropped": self.dropped}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Turn:
        """The turn of which `to_dict` told. KeyError, TypeError or ValueError if it is none."""
        steps = [Said(str(w), float(lp), [(str(o), float(p)) for o, p in top]) for w, lp, top in told["steps"]]
        return cls(str(told["role"]), str(told["text"]), steps, int(told["dropped"]))


class Said(NamedTuple):
    """A token of a reply, in words."""

    word: str
    log_prob: float
    top: list[tuple[str, float]]


def _workspace() -> Workspace | None:
    """The learner's workspace, where conversations are kept. Without one, they last as long as the tab."""
    try:
        return Workspace.open()
    except CourseError:
        return None


def _turns(workspace: Workspace | None) -> list[Turn]:
    """The conversation of this tab. A tab that is new, or loaded anew, goes on with one that was kept.

    The address names it. Without a name it is the latest, and from there on a conversation of its own: two tabs never
    write into one.
    """
    if "chat" in st.session_state:
        return st.session_state["chat"]
    st.session_state["chat"] = []
    if workspace is None:
        return st.session_state["chat"]
    named = st.query_params.get("talk")
    said = conversations.latest(workspace) if named is None else conversations.read(workspace, named)
    version = conversations.version(workspace, named) if named is not None and said is not None else 0
    name = named if named is not None and version else conversations.new_name()
    st.session_state["chat-file"] = {"name": name, "version": version, "said": said}
    try:
        said = said or {}
        st.session_state["chat"] = [Turn.from_dict(turn) for turn in said.get("turns", [])]
        st.session_state["chat-settings"] = dict(said.get("settings", {}))
        st.session_state["replies"] = len(st.session_state["chat"])
        if isinstance(said.get("unanswered"), str):
            st.session_state["chat-unanswered"] = said["unanswered"]
    except (KeyError, TypeError, ValueError):
        st.info("An earlier conversation could not be read, so this one begins anew.")
    return st.session_state["chat"]


def _keep(workspace: Workspace, turns: list[Turn]) -> None:
    """Store the conversation, if there is something new in it."""
    kept = st.session_state.setdefault("chat-file", {"name": conversations.new_name(), "version": 0, "said": None})
    said = {
        "turns": [turn.to_dict() for turn in turns[-MOST_TURNS:]],
        "settings": st.session_state.get("chat-settings", {}),
        "unanswered": st.session_state.get("chat-unanswered"),
    }
    if said != kept["said"] and (turns or said["unanswered"]):
        if kept["version"] != conversations.version(workspace, kept["name"]):  # another tab goes on with it
            kept.update(name=conversations.new_name())
        try:
            conversations.keep(workspace, kept["name"], said)
        except CourseError as error:
            st.warning(f"This conversation could not be kept. {error}")
            return
        kept.update(said=said, version=conversations.version(workspace, kept["name"]))
    if kept["version"] and st.query_params.get("talk") != kept["name"]:
        st.query_params["talk"] = kept["name"]


def fit(tokenizer: Any, system: str | None, turns: list[Turn], room: int) -> tuple[list[int], int]:
    """The prompt for the next reply in at most `room` tokens, and how many of the oldest turns had to be left out.

    A question leaves together with its reply. The system prompt stays. ValueError if the last question alone is too
    long.
    """
    opening = [{"role": "system", "content": system}] if system else []
    for dropped in range(0, len(turns), 2):
        messages = [*opening, *({"role": turn.role, "content": turn.text} for turn in turns[dropped:])]
        tokens = list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))
        if len(tokens) <= room:
            return tokens, dropped
    raise ValueError(f"Pico reads at most {room} words and marks at once. Your question is longer: please shorten it.")


def _answer(model: HookedModel, turns: list[Turn], asked: str, system: str | None, temperature: float) -> bool:
    """Stream a reply. Both turns are kept from its first word on, so that an interruption loses nothing.

    False if the question is too long.
    """
    question, reply = Turn("user", asked), Turn("assistant", "")
    try:
        prompt, reply.dropped = fit(model.tokenizer, system, [*turns, question], model.cfg.n_ctx - REPLY_ROOM)
    except ValueError as error:
        st.warning(str(error))
        return False
    st.session_state.pop("chat-unanswered", None)
    turns += [question, reply]
    _bubble(question)
    seed = st.session_state["replies"] = st.session_state.get("replies", 0) + 1
    end = model.tokenizer.eos_token_id
    if reply.dropped:
        st.caption(_forgotten(reply, model.cfg.n_ctx))
    with st.chat_message("assistant"):
        shown = st.empty()
        for step in stream(model, prompt, temperature, seed, stop=(end,), max_new_tokens=REPLY_ROOM):
            reply.steps.append(in_words(model.tokenizer, step))
            if step.token != end:
                reply.text = f"{reply.text} {reply.steps[-1].word}".strip()
            shown.html(as_html(reply.steps))
    return True


def _forgotten(turn: Turn, n_ctx: int) -> str:
    pairs = turn.dropped // 2
    what = "The oldest question and its reply have" if pairs == 1 else f"The {pairs} oldest questions with replies have"
    return f"{what} dropped out of what Pico reads: it has room for {n_ctx} words and marks."


def in_words(tokenizer: Any, step: Step) -> Said:
    word, *others = strings(tokenizer, [step.token, *(token for token, _ in step.top)])
    return Said(word, step.log_prob, [(other, p) for other, (_, p) in zip(others, step.top, strict=True)])


def _bubble(turn: Turn, n_ctx: int = 0) -> None:
    if turn.dropped:
        st.caption(_forgotten(turn, n_ctx))
    with st.chat_message(turn.role):
        if turn.role == "user":
            st.markdown(literal(turn.text))
        else:
            st.html(as_html(turn.steps))


# --- what a reply looks like --------------------------------------------------------------------------------------

# Orange on a light page and on a dark one: one hue, so that only its strength says something.
STYLE = """
.pico { position: relative; line-height: 2; max-width: 46rem }
.pico .word { padding: .15em .1em; border-radius: .25em; cursor: help;
    background: color-mix(in srgb, #E69F00 calc(var(--surprise) * 1%), transparent) }
.pico .mark { margin-left: -.1em }
.pico .word:hover, .pico .word:focus { outline: 2px solid #0072B2; outline-offset: 0 }
.pico .tip { display: none }
.pico .word:hover .tip, .pico .word:focus .tip { display: block; position: absolute; z-index: 99; left: 0;
    margin-top: .4em; padding: .5em .8em; width: max-content; max-width: 17rem; border-radius: .4em; line-height: 1.5;
    border: 1px solid #888; background: #1b2028; color: #f4f4f4; font-size: .85rem; pointer-events: none }
.pico .tip b { color: #fff }
.pico .row { display: grid; grid-template-columns: 7.5em 4.5em 4em; gap: .5em; align-items: center }
.pico .bar { height: .6em; background: #56B4E9; width: calc(var(--share) * 1%); min-width: 1px }
@supports (position-area: top) {
    .pico .word:hover, .pico .word:focus { anchor-name: --pico-word }
    .pico .word:hover .tip, .pico .word:focus .tip { position: fixed; left: auto; position-anchor: --pico-word;
        margin: .4em 0;
        position-area: top span-right; position-try-fallbacks: flip-inline, flip-block, flip-block flip-inline }
}
.pico-legend { font-size: .85rem; opacity: .85; display: flex; gap: .4em; align-items: center; flex-wrap: wrap }
.pico-legend i { width: 8em; height: .9em; border-radius: .25em; background: linear-gradient(to right,
    transparent, color-mix(in srgb, #E69F00 60%, transparent)); border: 1px solid #8886 }
"""
LEGEND = (
    '<div class="pico-legend">sure of it <i></i> surprised (5 nats or more)</div>'
    '<div class="pico-legend">Point at a word, or tap it. You see its log-probability and the likeliest words.</div>'
)
TINT, TINT_AT = 60, 5.0  # per cent of orange, from so many nats on


def as_html(steps: list[Said]) -> str:
    """A reply: each word on a tint of its surprise, with a box that opens beside it."""
    parts: list[str] = []
    for step in steps:
        mark = step.word in MARKS
        space = "" if mark or not parts else " "
        tint = min(-step.log_prob / TINT_AT, 1) * TINT
        look = f'class="word{" mark" * mark}" tabindex="0" style="--surprise: {tint:.0f}"'
        parts.append(f"{space}<span {look}>{_shown(step.word)}{_tip(step)}</span>")
    return f'<div class="pico">{"".join(parts)}</div>'


def _tip(step: Said) -> str:
    said = _shown(step.word)
    lines = [f"<b>{said}</b>: {_nats(step.log_prob)} nats, {_per_cent(math.exp(step.log_prob))}"]
    for word, p in step.top:
        name = f"<b>{_shown(word)}</b>" if word == step.word else _shown(word)
        bar = f'<span class="bar" style="--share: {100 * p:.1f}"></span>'
        lines.append(f'<span class="row"><span>{name}</span>{bar}<span>{_per_cent(p)}</span></span>')
    return f'<span class="tip">{"<br>".join(lines[:1])}{"".join(lines[1:])}</span>'


def _shown(word: str) -> str:
    """<|end|> is what Pico says when it has finished."""
    return "<i>(end)</i>" if word == "<|end|>" else html.escape(word)


def _per_cent(p: float) -> str:
    return f"{p:.0%}" if p >= 0.0995 else f"{p:.1%}" if p >= 0.00095 else "&lt;0.1%"


def _nats(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
