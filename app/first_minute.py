"""The first minute: type a list, see a network remember it, and find the head that does it by silencing heads."""

from __future__ import annotations

import html
import random
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

import streamlit as st

from app import common

if TYPE_CHECKING:
    from mi_lib.models import HookedModel

PATIENT = "induction-2l"
FIRST = "river lamp cat stone piano owl"
FEWEST, MOST = 5, 12
TITLE = "Type a list. Watch a network remember it."
STYLE = """
.heard { display: flex; flex-wrap: wrap; gap: .35rem; margin: .1rem 0 .3rem }
.heard > span { border-radius: .4rem; padding: .15rem .55rem; border: 1px solid rgba(128, 128, 128, .45) }
.heard > .right { background: rgba(33, 160, 90, .2); border-color: rgba(33, 160, 90, .8) }
.heard > .wrong { background: rgba(214, 64, 64, .16); border-color: rgba(214, 64, 64, .75) }
.heard small { display: block; font-size: .8rem }
"""


class Guess(NamedTuple):
    """What the network expected in the place of a word, before it read that word."""

    word: str
    guessed: str
    share: float  # the probability of its guess

    @property
    def right(self) -> bool:
        return self.word == self.guessed


@st.cache_resource
def _waking() -> Future[HookedModel]:
    """The network, which is loaded while the rest of the page is read already."""
    found: Future[HookedModel] = Future()

    def load() -> None:
        try:
            from app.explorer import network  # so it is opened once for both pages

            found.set_result(network(PATIENT, None))
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=load, daemon=True).start()
    return found


def show() -> None:
    """The network asleep, then awake: until it is there, this piece of the page looks for it by itself."""
    waking = _waking()
    if waking.done():
        _play()
    else:
        _wait()


@st.fragment(run_every=0.4)
@common.guarded
def _wait() -> None:
    st.header(TITLE, anchor=False)
    st.caption("The network is waking up …")
    if _waking().done():
        st.rerun()


@st.fragment
@common.guarded
def _play() -> None:
    model = _waking().result()
    st.html(f"<style>{STYLE}</style>")
    st.header(TITLE, anchor=False)
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    text = left.text_input(f"{FEWEST} to {MOST} different nouns", FIRST, key="minute-list", max_chars=200)
    right.button("Other words", on_click=common.caught(_other), width="stretch")
    listed = text.lower().replace(",", " ").split()
    if problem := _unreadable(model, listed):
        st.warning(problem)
        return
    st.caption("It reads your list, which nobody has ever shown it:")
    st.html(_line([(word, "", "") for word in listed]))
    st.caption("Now the list begins again. What does it expect next, each time before it reads the word?")
    heads = [(layer, head) for layer in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    silenced = st.session_state.get("minute-heads") or []
    said = guesses(model, listed, silenced)
    st.html(_line([(listed[0], "", "")] + [_shown(one) for one in said]))
    st.pills(
        f"It has {len(heads)} parts that look back, called heads. Tap one to silence it. Which ones does it need?",
        heads,
        format_func=lambda head: f"{head[0]}.{head[1]}",
        selection_mode="multi",
        key="minute-heads",
    )
    _say(model, listed, said, silenced)


def _say(model: HookedModel, listed: list[str], said: list[Guess], silenced: list[tuple[int, int]]) -> None:
    right = f"{sum(one.right for one in said)} of {len(said)}"
    if not silenced:
        st.markdown(f"**{right} right.** Nothing was trained on your list. How can it know?")
        return
    names = _listed([f"{layer}.{head}" for layer, head in silenced])
    st.markdown(f"**Without head{'s' * (len(silenced) > 1)} {names}: {right} right.**")
    alone = [guesses(model, listed, [head]) for head in silenced]
    if len(silenced) == 1 and sum(one.right for one in said) < len(said) / 2:
        layer, head = silenced[0]
        at, share = looks(model, listed, layer, head)
        st.markdown(
            f"You have found one that it needs. At the second *{listed[1]}*, this head looks most at "
            f"*{at}* ({share:.0%} of its attention). What is that good for? Chapter 02 takes it apart."
        )
    elif len(silenced) == 1:
        st.markdown("It does not miss this one. Silence another.")
    elif all(sum(one.right for one in each) > len(each) / 2 for each in alone):
        st.markdown("Each of these alone it does not miss.")


def guesses(model: HookedModel, listed: list[str], silenced: list[tuple[int, int]]) -> list[Guess]:
    """What is expected in the place of each word of the list's second copy but the first, before it is read."""
    import torch

    from mi_lib import induction

    tokens = model.to_tokens(" ".join(listed * 2))
    with torch.no_grad(), common.one_thread():
        logits = induction.ablate_heads(model, tokens, silenced) if silenced else model(tokens)
    n = len(listed)
    chances, places = logits[0, n + 1 : 2 * n].softmax(-1).max(-1)  # <bos> stands in front
    return [Guess(*one) for one in zip(listed[1:], model.to_str_tokens(places), chances.tolist(), strict=True)]


def looks(model: HookedModel, listed: list[str], layer: int, head: int) -> tuple[str, float]:
    """The word at which a head looks most from the second copy's second word, as it is to be read, and how much."""
    import torch

    tokens, n = model.to_tokens(" ".join(listed * 2)), len(listed)
    with torch.no_grad(), common.one_thread():
        _, cache = model.run_with_cache(tokens, [("pattern", layer)])
    share, at = cache["pattern", layer][0, head, n + 2].max(-1)
    place = int(at)
    name = "the beginning" if place == 0 else f"the {'first' if place <= n else 'second'} {listed[(place - 1) % n]}"
    return name, float(share)


def _unreadable(model: HookedModel, listed: list[str]) -> str:
    from app.explorer import unreadable

    if not FEWEST <= len(listed) <= MOST:
        return f"Type {FEWEST} to {MOST} words: {'here is one' if len(listed) == 1 else f'here are {len(listed)}'}."
    if twice := [word for word in dict.fromkeys(listed) if listed.count(word) > 1]:
        return f"Each word must be another one: **{common.literal(twice[0])}** is there {listed.count(twice[0])} times."
    return unreadable(model, " ".join(listed))


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _other() -> None:
    model = _waking().result()
    known = [word for word in model.tokenizer.get_vocab() if word.isalpha()]
    st.session_state["minute-list"] = " ".join(random.sample(known, len(FIRST.split())))


def _shown(one: Guess) -> tuple[str, str, str]:
    if one.right:
        return one.word, f"✓ expected, {_percent(one.share)}", "right"
    return one.word, f"✗ expected {one.guessed}, {_percent(one.share)}", "wrong"


def _percent(share: float) -> str:
    """What it names first has some chance, however little: "<1%" and not "0%"."""
    return "<1%" if share < 0.005 else f"{share:.0%}"


def _line(words: list[tuple[str, str, str]]) -> str:
    """Words with a line of small print below and a class, as a list."""
    items = []
    for word, small, kind in words:
        below = f"<small>{html.escape(small)}</small>" if small else ""
        items.append(f'<span role="listitem" class="{kind}">{html.escape(word)}{below}</span>')
    return f'<div class="heard" role="list">{"".join(items)}</div>'
