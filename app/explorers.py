"""All explorers: a table with a row for each, a page that shows them side by side, and the ways from and to them."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from app import common
from mi_lib.course import index


class Explorer(NamedTuple):
    """One explorer. name: "lenses" of "Explore lenses"; chapters: their numbers, the one it belongs to first.

    opens: what is opened before it can be shown, as its page says.
    """

    name: str
    icon: str
    module: str
    chapters: tuple[str, ...]
    question: str
    sentence: str
    opens: str = "Pico"

    @property
    def title(self) -> str:
        return f"Explore {self.name}"


ADDRESS = "explorers"  # the page with all of them; "explore" was taken before there was one
EXPLORERS = {  # name in the address: what stands there, in the order of the chapters. A new explorer is a new row
    "explore": Explorer(
        "induction", "biotech", "explorer", ("02",),
        "How does a network continue a sequence that it has seen only once?",
        "Choose words, see where the network looks at each of them, switch parts of it off, and move through its "
        "training.",
        "The network",
    ),
    "explore-grokking": Explorer(
        "grokking", "waves", "explore_grokking", ("03",),
        "When does a network stop memorising and begin to compute?",
        "Two networks learn sums on a clock. Move through their training, knock waves out, and train one yourself.",
        "The network",
    ),
    "explore-lens": Explorer(
        "lenses", "center_focus_weak", "explore_lens", ("04",),
        "What would a network say if it stopped half-way?",
        "Type a sentence. See what Pico would say at every depth, and which of its parts wrote that.",
    ),
    "explore-superposition": Explorer(
        "superposition", "hub", "explore_superposition", ("05",),
        "Where do five things go if there is room for two?",
        "Give a small network more to store than it has room for. Watch the shape that it finds while it is trained.",
        "This page",
    ),
    "explore-dictionaries": Explorer(
        "dictionaries", "manage_search", "explore_dictionaries", ("06",),
        "Which directions inside a network mean something?",
        "Look for a concept or type a text. See what a direction answers to, hold it at a value, and talk to Pico.",
    ),
    "explore-probes": Explorer(
        "probes", "search_insights", "explore_probes", ("07",),
        "What can be read in a network, and does the network read it too?",
        "See at which depth a property can be read in Pico. Then change what is read, and see whether Pico cares.",
    ),
    "explore-circuit": Explorer(
        "circuits", "account_tree", "explore_circuit", ("08", "09"),
        "Which parts of a network make its answer?",
        "Exchange one part at a time between two runs. See which parts speak to which, and whether a few are enough.",
        "The network",
    ),
    "explore-steering": Explorer(
        "steering", "explore", "explore_steering", ("10",),
        "Can one direction change what a network says?",
        "Draw a direction from two sets of prompts. Push Pico along it, and measure how much is enough.",
    ),
    "explore-characters": Explorer(
        "characters", "theater_comedy", "explore_characters", ("11",),
        "Who is speaking, and can one tell before it shows?",
        "Talk to Pico, and watch every reply take its place between the assistant and 25 roles. Then hold it there.",
    ),
    "explore-oracle": Explorer(
        "oracles", "record_voice_over", "explore_oracle", ("12",),
        "Can one ask a network what is in another one's head?",
        "Choose words of a text, and ask what Pico has there. See what another text says, and those without an oracle.",
    ),
    "explore-images": Explorer(
        "images", "visibility", "explore_images", ("13", "14"),
        "What does a network that sees look for?",
        "Choose a unit. Watch the picture that it likes best, turn stimuli before it, and see what it is needed for.",
        "The network",
    ),
}  # fmt: skip


def of(chapter_number: str) -> list[str]:
    """The addresses of a chapter's explorers."""
    return [path for path, each in EXPLORERS.items() if chapter_number in each.chapters]


def link(path: str, label: str | None = None) -> None:
    """A link to an explorer."""
    each = EXPLORERS[path]
    page = st.Page(common.elsewhere, title=each.title, url_path=path)
    st.page_link(page, label=label or each.title, icon=f":material/{each.icon}:")


def ways(path: str) -> None:
    """The way back to all explorers, and to the chapters of this one. It stands above every explorer."""
    with st.container(horizontal=True, gap="medium"):
        everyone = st.Page(common.elsewhere, title="Explore", url_path=ADDRESS)
        st.page_link(everyone, label="All explorers", icon=":material/arrow_back:")
        _chapters(EXPLORERS[path], titles=False)


def show() -> None:
    st.title("Explore")
    st.write("Each of these pages lets you play with one thing that networks do. You need no code here.")
    paths = list(EXPLORERS)
    for first in range(0, len(paths), 2):
        for column, path in zip(st.columns(2), paths[first : first + 2], strict=False):
            with column.container(border=True, height="stretch"):
                _card(path)


def _card(path: str) -> None:
    each = EXPLORERS[path]
    link(path, f":primary[**{each.name.capitalize()}.** {each.question}]")
    st.markdown(f":gray[{each.sentence}]")
    with st.container(horizontal=True):
        _chapters(each)


def _chapters(each: Explorer, titles: bool = True) -> None:
    """A link to each chapter that is here; the name of one that is still to come."""
    here = {chapter.number for chapter in index.chapters()}
    named = {planned.number: planned.title.partition(":")[0] for planned in index.syllabus()}
    for number in each.chapters:
        label = f"Chapter {number}" + f": {named[number]}" * titles
        if number in here:
            page = st.Page(common.elsewhere, title="Chapter", url_path="chapter")
            address = {"chapter": number, "exercise": "1"}
            st.page_link(page, label=label, icon=":material/menu_book:", query_params=address)
        else:
            st.caption(f"{label} (planned)")
