"""What every page needs: the learner's workspace, their progress, and warm graders for the whole server."""

from __future__ import annotations

import functools
import gc
import html
import importlib
import logging
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit import runtime

from app.ink import AT_AXES, FIRST, as_written
from mi_lib.course import CourseError, Progress, Workspace, guard, quotes
from mi_lib.course.checks import Checks

if TYPE_CHECKING:
    import plotly.graph_objects as go

_LOG = logging.getLogger(__name__)


# What a figure offers beside itself when pointed at: zoom, back, a picture to keep. More would lie over its title.
CHART = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["pan2d", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
}
# What one that is clicked offers: a picture to keep. Its buttons would be in the way of the clicks.
CLICKED = {"displaylogo": False, "modeBarButtons": [["toImage"]]}
FOUND = "found"  # the address of what the learner has found
START = "course-map"  # the course map's name. Streamlit serves it at "/", and gives the name to no other page
SAFE = (
    "Your answers and your progress are safe in your workspace. What went wrong stands in the terminal in which the "
    "course runs."
)


def chart(figure: go.Figure, key: str | None = None, titled: str = "", **more: Any) -> Any:
    """Show a figure as wide as the page allows. In the dark theme zero is dark where it would be white.

    Its title is written above it: there it wraps, and inside a figure it would be cut in a narrow one. Long titles of
    axes are broken for the same reason. A figure that says how wide it must be at least (`least` of its layout's
    `meta`) is scrolled sideways where there is less room. A picture that is saved of it has its title in it.
    Who hears the page is told what the figure shows.

    titled: the title in a saved picture, where the page writes it itself.
    """
    from app import figures, gallery  # Plotly: only where something is drawn
    from mi_lib.plots import told

    more.setdefault("alt", told(figure))
    if title := figure.layout.title.text:
        st.html(f'<p style="font-weight: 600; margin: 0">{html.escape(title)}</p>')
    titled = titled or title or ""
    name = re.sub(r"\W+", "-", titled or "figure").strip("-").lower()
    more["config"] = more.get("config", CHART) | {"toImageButtonOptions": {"filename": name, "scale": 2}}
    if gallery.is_gallery(figure):
        return st.html(gallery.as_html(figure))
    meta = figure.layout.meta
    least = meta.get("least") if isinstance(meta, dict) else None
    with scrolled(f"wide-{key}", least) if key and least else nullcontext():
        ready = figures.ready(figure, dark=st.context.theme.type == "dark", title=titled)
        return st.plotly_chart(ready, width="stretch", key=key, **more)


@contextmanager
def scrolled(key: str, wide: int, *, at_end: bool = False) -> Iterator[None]:
    """Room for a figure that is at least so many pixels wide; in a narrower window it is scrolled sideways.

    at_end: opens at its right end. (A line that is written from the right begins there.)
    """
    direction = "rtl" if at_end else "ltr"
    st.html(
        f"<style>.st-key-{key} {{ overflow-x: auto; direction: {direction} }} "
        f".st-key-{key} > div {{ min-width: {wide}px; direction: ltr }} "
        f"{fading(f'.st-key-{key}', reverse=at_end)}</style>"
    )
    with st.container(key=key):
        yield


# What is scrolled sideways fades at the side where there is more of it (`fading`): a mask with a transparent end on
# either side is moved, so that these are in view or not. (No "<" may stand in a style: Streamlit would drop all of it.)
SIDES = """
@keyframes more-at-the-sides {
  0% { mask-position: -3rem 0; mask-size: calc(100% + 3rem) 100% }
  20%, 80% { mask-position: 0 0; mask-size: 100% 100% }
  100% { mask-position: 0 0; mask-size: calc(100% + 3rem) 100% } }
"""


def fading(what: str, *, reverse: bool = False) -> str:
    """A style: what is scrolled sideways fades towards what is out of view, and where all is in view it does not.

    reverse: it is scrolled from its right end. Browsers that cannot tell how far one has scrolled show nothing of it.
    """
    return (
        f"@supports (animation-timeline: scroll()) {{ {what} {{ "
        "mask: linear-gradient(to right, transparent, #000 3rem, #000 calc(100% - 3rem), transparent) "
        "-3rem 0 / calc(100% + 6rem) 100% no-repeat; "
        f"animation: more-at-the-sides linear{' reverse' if reverse else ''}; "
        "animation-timeline: scroll(self inline) } }"
    )


def told_at_its_end(figure: go.Figure) -> go.Figure:
    """Names of the rows and scale at the right, where a map that is scrolled to its end shows them."""
    figure.update_yaxes(side="right").update_traces(
        {"colorbar": {"x": 1, "xanchor": "right", "len": 200}}, {"type": "heatmap"}
    )
    return figure


@contextmanager
def one_thread() -> Iterator[None]:
    """Also a decorator. Networks this small gain nothing from more threads, and lose much on a busy machine."""
    import torch  # the pages that compute nothing are shown sooner without it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def served() -> bool:
    """Whether this is a server; a test draws pages in its own process."""
    # A test has a stand-in for the runtime, which is an instance of it by name alone.
    return runtime.exists() and issubclass(type(runtime.get_instance()), runtime.Runtime)


def only_behind_the_guard(command: str) -> None:
    """Show nothing but a sentence where this page is served without its guard, which keeps others out.

    Outside a server (a test draws a page in its own process) there is nobody to be kept out.
    command: which starts the page behind its guard.
    """
    if served() and not guard.came_through(st.context.headers):
        st.error(f"Here anybody on this computer could see this page and run code in it. Start it with `{command}`.")
        st.stop()


def guarded(show: Callable[..., Any], way_on: Callable[[], None] | None = None) -> Callable[..., Any]:
    """The same function; where it raises, a sentence of ours and a way on. The trace goes to the terminal alone.

    For pages and for fragments (Streamlit runs those without their page).
    way_on: goes to the course map, for a page that can.
    """

    @functools.wraps(show)
    def guard(*args: Any, **kwargs: Any) -> Any:
        try:
            return show(*args, **kwargs)
        except Exception:  # Streamlit's own ways out of a run are no `Exception`
            _LOG.exception("%s.%s raised", show.__module__, show.__qualname__)
            _apology(show.__qualname__, way_on)

    return guard


@st.fragment
@guarded
def unfolding(label: str, show: Callable[[], Any], *, key: str, icon: str | None = None) -> None:
    """An expander whose content is made when it is opened, for code and figures that most readers of a page never open.

    Code alone costs a page a tenth of a second in the browser, seen or not.
    """
    inside = st.expander(label, icon=icon, key=key, on_change="rerun")
    if inside.open:
        with inside:
            show()


def caught(act: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, for what a tap or a keystroke calls; where it raises, a sentence of ours over the page.

    The page is then drawn as it was: the way on is there. A callback runs before its page or fragment, and has no
    place on it to draw into.
    """

    def catch(*args: Any, **kwargs: Any) -> Any:
        try:
            return act(*args, **kwargs)
        except Exception:
            _LOG.exception("%r raised", act)
            st.toast(
                f"That did not work, by a fault of the course and not of yours. Try it once more. {SAFE}",
                icon=":material/healing:",
                duration="infinite",
            )

    return catch


def _apology(key: str, way_on: Callable[[], None] | None) -> None:
    st.error(
        f"This could not be shown, by a fault of the course and not of yours. {SAFE}",
        icon=":material/healing:",
    )
    with st.container(horizontal=True):
        st.button("Try again", key=f"again-{key}", type="primary", icon=":material/refresh:")
        if way_on and st.button("Course map", key=f"map-{key}", icon=":material/map:"):
            way_on()


@st.cache_resource
def checks() -> Checks:
    """The server's graders. The first starts in the background, so that the first check is quick too."""
    threading.Thread(target=_import_torch, daemon=True).start()
    return Checks()


def _import_torch() -> None:
    """And what the pages with Pico need, Pico itself included: so the first of them is there at once."""
    importlib.import_module("torch")
    importlib.import_module("app.opening").begun("app.chat").exception()
    # Looking through all of torch for garbage takes a tenth of a second, on a busy machine several, and nothing else in
    # the server moves meanwhile; what is frozen is not looked through.
    gc.freeze()


def workspace() -> Workspace:
    """The learner's workspace, made if there is none. What was repaired in it is said on the page."""
    path = Workspace.default_path()
    try:
        found = Workspace.open(path)
    except CourseError as error:
        st.error(str(error))
        if not path.exists() and st.button("Make a workspace", type="primary"):
            Workspace.init(path)
            st.rerun()
        st.stop()
    for notice in found.notices:
        st.warning(notice)
    return found


def progress(of: Workspace) -> Progress:
    kept = Progress(of)
    if kept.notice:
        st.warning(kept.notice)
    return kept


def ink(light: str, dark: str) -> str:
    """A style: letters of one of two colours, as the theme is.

    The browser chooses, by what Streamlit says of its theme: where the theme changes while a page is looked at (many
    computers change it in the evening) no script is run, and letters chosen here would be white on white.
    """
    known = dark if st.context.theme.type == "dark" else light  # for browsers from before 2024
    return f"color: {known}" + f"; color: light-dark({light}, {dark})" * (light != dark)


def readable() -> str:
    """Styles for small print, quotations and labels of what cannot be used now: Streamlit's own are too faint to read
    (WCAG 2 asks for 4.5 : 1). So is white on the light blue of a button in the dark theme. What opens over the page
    stands outside of what Streamlit says its theme of. Letters at the axes of figures were drawn for one theme, and the
    first colour of figures is dim in the dark one. The ring of a choice that is not taken is nearly as dim."""
    ring = "[data-testid=stRadioOption]:not([data-selected]) > div > div:first-child"
    faint = "[data-testid=stCaptionContainer], [data-testid=stMarkdownContainer] blockquote"
    return f"""
{faint} {{ opacity: 1; color: color-mix(in srgb, currentColor 80%, transparent) }}
[data-testid=stWidgetLabel] p {{ {ink("#2f2d2b", "#edebe8")} }}
[data-testid^=stBaseButton-primary]:enabled {{ {ink("#ffffff", "#10151c")} }}
{_exchanged("text", "fill", *AT_AXES)}
{_exchanged("path", "fill", *FIRST)}
{_exchanged("path", "stroke", *FIRST)}
{ring} {{ border-color: light-dark(#767676, #959595) }}
[data-testid=stPopoverBody] {{ color-scheme: {st.context.theme.type or "light"} }}
"""


def _exchanged(what: str, part: str, light: str, dark: str) -> str:
    """A style: what figures draw in the one colour has the other in the dark theme, which may begin at any time."""
    drawn = f'.js-plotly-plot {what}[style*="{part}: {as_written(light)}"]'
    return f"{drawn} {{ {part}: light-dark({light}, {dark}) !important }}"


def go_home() -> None:
    """Go to the course map."""
    st.switch_page(st.Page(elsewhere, title="Course map", url_path=START, default=True))


def open_exercise(chapter_number: str, exercise_id: str) -> None:
    """Go to the chapter page at this exercise."""
    page = st.Page(elsewhere, title="Chapter", url_path="chapter")
    st.switch_page(page, query_params={"chapter": chapter_number, "exercise": exercise_id.split(".")[1]})


def elsewhere() -> None:
    """Stands for a page that `main` knows by its path, so that pages need not import each other."""


def busy(limit: float) -> str:
    """Why a run whose code may take `limit` seconds takes longer by the clock, and how much longer at most."""
    from mi_lib.course.grading.forkserver import BUSY

    return (
        "This computer is busy with other things, and the time in which your code waits for it does not "
        f"count. The run ends after {BUSY * limit:g} seconds at the latest."
    )


def minutes(total: int) -> str:
    """90 → "1 h 30 min", in one line (its spaces do not break)."""
    hours, rest = divmod(total, 60)
    parts = [*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest or not hours else [])]
    return " ".join(parts).replace(" ", "\u00a0")


def percent(share: float) -> str:
    """−0.12 → "−12%": with a minus sign, which a hyphen is not, and no "-0%"."""
    return quotes.said(float(share), ".0%")


def three_figures(number: float, sign: str = "") -> str:
    """Three figures of a number: 0.25 → "0.25", 9.67e-07 → "9.67 · 10⁻⁷". sign: "+" writes that of a positive one."""
    plain = number == 0 or 1e-4 <= abs(number) < 1e3
    return quotes.said(float(number), f"{sign}.3g" if plain else f"{sign}.2e")


def near(path: Path) -> str:
    """A path as one would type it: from the folder in which the course was started, else from one's home."""
    for folder, name in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(folder):
            return name + path.relative_to(folder).as_posix()
    return str(path)


def asked_for(parameters: dict[str, str]) -> str:
    """{"page": "7"} → "page=7", as the address says it."""
    return " and ".join(f"`{name}={value}`".replace("``", "") for name, value in parameters.items())


def literal(text: str) -> str:
    """Text that Markdown is to leave alone."""
    return re.sub(r"([\\`*_{}\[\]()#+\-!|<>~$:])", r"\\\1", text)


def told_apart(labels: Iterable[str]) -> list[str]:
    """The same labels to the eye, no two alike: of pills that have one label Streamlit takes the last for all."""
    seen: Counter[str] = Counter()
    found = []
    for label in labels:
        found.append(label + "\u200b" * seen[label])  # spaces of no width
        seen[label] += 1
    return found


def lost(sentence: str, way_on: Callable[[], None] | None = None) -> None:
    """A link that leads nowhere: say so, and offer the way back."""
    st.warning(sentence, icon=":material/wrong_location:")
    if way_on and st.button("Course map", key="lost", type="primary", icon=":material/map:"):
        way_on()
