"""A link to what an explorer shows now, and the way back from it.

What somebody has chosen there lies in the session, under the keys of the widgets. A link carries those that `KEYS`
names, as a Python literal in the address (`?view=…`); whoever opens it finds the widgets set so.
"""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Callable, Container
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import streamlit as st

from app import common

VIEW = "view"  # the parameter's name
LONGEST = 6_000  # characters of a link's literal; a text area holds 3,000
LONG = 800  # characters of a link that is shown in a box to be scrolled
KEYS = {  # of each explorer, by its address: the keys of what can be chosen there, * for any ending
    "explore": ("explore-network", "explore-step", "explore-words", "explore-text", "explore-period", "explore-seed",
                "explore-silenced"),
    "explore-grokking": ("grok-step", "grok-frequency", "grok-removed", "grok-decay", "grok-seed"),
    "explore-lens": ("lens-text", "lens-anyway", "lens-colour", "lens-tuned", "lens-word-*", "lens-depth",
                     "lens-pos"),
    "explore-superposition": ("super-anyway", "super-features", "super-dimensions", "super-sparsity",
                              "super-decay", "super-relu", "super-seed"),
    "explore-dictionaries": ("dict-anyway", "dict-name", "dict-seen", "dict-latent", "dict-concept-*",
                             "dict-text", "dict-question", "dict-value-*", "dict-temperature", "dict-seed"),
    "explore-probes": ("probes-anyway", "probes-name", "probes-site", "probes-kind", "probes-depth",
                       "probes-one-*", "probes-other-*", "probes-text*"),
    "explore-circuit": ("circuit-anyway", "circuit-network", "circuit-seed", "circuit-what",
                        "circuit-way", "circuit-row", "circuit-column", "circuit-method-*", "circuit-threshold",
                        "circuit-truth", "circuit-instead"),
    "explore-steering": ("steer-anyway", "steer-layer", "steer-way", "steer-at", "steer-dose",
                         "steer-ready", "steer-one-*", "steer-other-*", "steer-one_system-*", "steer-other_system-*",
                         "steer-question", "steer-judge-*", "steer-asked-*"),
    "explore-characters": ("char-anyway", "char-capped", "char-floor", "char-said"),
    "explore-oracle": ("oracle-anyway", "oracle-text", "oracle-at", "oracle-depth", "oracle-many",
                       "oracle-question", "oracle-closed", "oracle-other"),
    "explore-images": ("images-anyway", "images-network", "images-layer", "images-unit-*",
                       "images-seed", "images-seen", "images-silence"),
}  # fmt: skip
IN_PARTS = ("explore-circuit", "explore-dictionaries")  # what is chosen there draws a part of the page again, alone
REFUSED = "This link asks for something that is not on this page. Here it is as it begins."
_RESTORED = "view-restored"


def chosen(path: str) -> dict[str, Any]:
    """What is chosen on an explorer's page now: what of it can be written as a literal.

    Who opens a link has no prediction to make before they see what they were sent.
    """
    found: dict[str, Any] = {}
    for key in KEYS.get(path, ()):
        if key.endswith("-anyway") and st.session_state.get(key.replace("-anyway", "-guess")):
            found[key] = True
    for key in sorted(map(str, st.session_state)):
        if _of(path, key) and not key.endswith("-kept"):
            value = _plain(st.session_state[key])
            if value is not None:
                found[key] = value
    return found


def _plain(value: Any) -> Any:
    """The value if a literal says it, else None. A list of heads is a list of tuples."""
    if isinstance(value, bool | int | float | str):
        return value
    if type(value) not in (list, tuple):
        return None
    parts = [_plain(each) for each in value]
    return None if any(part is None for part in parts) else type(value)(parts)


def write(view: dict[str, Any]) -> str:
    return repr(view)


def read(path: str, text: str) -> dict[str, Any] | None:
    """The choices that a link carries; None if it is none of ours, or none of this page's."""
    if len(text) > LONGEST:
        return None
    try:
        view = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, SystemError):  # the last of deep brackets
        return None
    if not isinstance(view, dict) or not all(isinstance(key, str) for key in view):
        return None
    return view if all(_of(path, key) and _plain(value) is not None for key, value in view.items()) else None


def _of(path: str, key: str) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in KEYS.get(path, ()))


def restore(path: str) -> None:
    """Set the page as its link says, once; before any widget of it is made."""
    if st.session_state.pop("view-refused", False):
        st.warning(REFUSED)
    text = st.query_params.get(VIEW)
    if not text or st.session_state.get(_RESTORED) == (path, text):
        return
    st.session_state[_RESTORED] = (path, text)
    view = read(path, text)
    if view is None:
        st.warning(REFUSED)
        return
    for key, value in view.items():
        st.session_state[key] = value
        st.session_state[f"{key}-kept"] = value
    st.session_state["view-keys"] = list(view)


def give_up() -> bool:
    """Take back what a link has set, because the page cannot show it. Whether there was anything."""
    keys = st.session_state.pop("view-keys", [])
    for key in keys:
        st.session_state.pop(key, None)
        st.session_state.pop(f"{key}-kept", None)
    st.session_state["view-refused"] = bool(keys)
    return bool(keys)


def failed(said: str) -> None:
    """Say why the page cannot be shown; or begin it anew, if it was a link that set it so."""
    if give_up():
        st.rerun()
    st.error(said)


def first(key: str, value: Any) -> str:
    """The key of a widget that begins with this value, unless a link or the learner has set another."""
    st.session_state.setdefault(key, value)
    return key


def kept(key: str, value: Any, offered: Container[Any] | None = None) -> str:
    """The key of a widget whose value comes back after a visit to another page, where Streamlit forgets it.

    value: what it begins with, and what stands in for one that is not among `offered` (None: anything may be kept).
    """
    found = st.session_state.get(key, st.session_state.get(f"{key}-kept", value))
    if offered is not None and found not in offered:
        found = value
    st.session_state[key] = st.session_state[f"{key}-kept"] = found
    return key


def foot(path: str, program: Callable[[], str]) -> None:
    """The link to what the page shows now, and the program of it, as they are when they are unfolded.

    Where a part of the page is drawn again alone, they are looked at again every second, while one is unfolded.
    program: writes it; "" for none.
    """
    follows = path in IN_PARTS and any(map(st.session_state.get, ("view-link", "view-program")))
    st.fragment(common.guarded(_foot), run_every=1 if follows else None)(path, program, follows)


def _foot(path: str, program: Callable[[], str], follows: bool) -> None:
    st.session_state.pop("view-keys", None)  # the page has been shown: what fails later is no fault of a link's

    def shown(show: Callable[[], None]) -> Callable[[], None]:
        return st.rerun if path in IN_PARTS and not follows else show  # the page begins to look again

    def link() -> None:
        _link(write_link(path))

    common.unfolding("A link to this view", shown(link), key="view-link", icon=":material/link:")
    if program():
        common.unfolding(
            "Do it in code", shown(lambda: _program(program())), key="view-program", icon=":material/code:"
        )


def write_link(path: str) -> str | None:
    """The address of what a page shows now; None if that is too long for one."""
    text = write(chosen(path))
    here = urlsplit(st.context.url or "")
    link = urlunsplit((here.scheme, here.netloc, here.path, f"{VIEW}={quote(text, safe='')}", ""))
    return link if len(text) <= LONGEST else None


def _link(link: str | None) -> None:
    if link is None:
        st.caption("What you have chosen is too long for a link.")
        return
    st.caption(
        "Whoever opens it in this course finds what you have chosen. What a button has begun (a training, a "
        "measurement) they begin themselves."
    )
    st.code(link, language=None, wrap_lines=True, height=200 if len(link) > LONG else "content")


def _program(text: str) -> None:
    st.caption("What stands above, by the course's library. It runs as it stands, in Python or in a notebook.")
    st.code(text, language="python", wrap_lines=True)
