"""The pages in a real browser: a learner works through an exercise."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from app.explorers import ADDRESS, EXPLORERS
from mi_lib.course import Workspace, exercise, solution

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOLVED = "    return (loss[:, late].mean() - loss[:, early].mean()).item()"
WRONG = "    return (loss[:, early].mean() - loss[:, late].mean()).item()"
EMPTY = '    raise NotImplementedError("Exercise 02.4 is waiting for your answer.")'


def open_exercise(page, number: int) -> None:
    page.goto(f"/?chapter=02&exercise={number}")
    page.get_by_role("heading", name=f"02.{number} ").wait_for()
    page.locator("textarea").first.wait_for()


def go_to_the_end(page) -> None:
    """Put the caret behind the last letter in the editor."""
    page.locator("textarea").first.evaluate(
        "area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }"
    )


def until(page, condition: Callable[[], bool]) -> None:
    """Wait while the page lives on."""
    for _ in range(200):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it did not happen in 20 seconds")


def type_answer(page, old: str, new: str) -> None:
    """Select a line in the editor as a person would, and type another over it."""
    area = page.locator("textarea").first
    area.evaluate(
        """(area, line) => {
            const at = area.value.indexOf(line)
            if (at < 0) throw new Error("the editor does not hold: " + line + " but: " + area.value)
            area.focus()
            area.setSelectionRange(at, at + line.length)
        }""",
        old,
    )
    page.keyboard.insert_text(new)


class Line:
    """The connection between a page and its server, which can lose or hold back what the server says."""

    def __init__(self, page) -> None:
        self.lose_while: Callable[[], bool] | None = None  # looked at whenever a run of the page begins
        self.hold = False
        self.held: list[bytes] = []
        self.finished = 0  # how many runs have gone through to their end
        page.route_web_socket(re.compile("_stcore/stream"), self._connect)

    def release(self, some: int | None = None) -> None:
        """Let through what was held back, or the first of it. With all of it gone, nothing more is held."""
        self.hold = some is not None
        for message in self.held[:some]:
            self.page.send(message)
        del self.held[:some]

    def _connect(self, page) -> None:
        self.page, server = page, page.connect_to_server()
        page.on_message(server.send)
        server.on_message(self._down)

    def _down(self, message: bytes) -> None:
        said = ForwardMsg.FromString(message)
        if said.HasField("script_finished") and said.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            self.finished += 1
        if self.lose_while and said.HasField("new_session") and not self.lose_while():
            self.lose_while = None
        if self.hold:
            self.held.append(message)
        elif not self.lose_while:
            self.page.send(message)


def change_both(page, workspace, number: int) -> Line:
    """Open an exercise and type "# mine", while another editor saves "# theirs".

    The page hears nothing meanwhile, so that what is typed belongs to the old text however slow the machine is.
    """
    line = Line(page)
    open_exercise(page, number)
    saved = Workspace.open(workspace)
    text, version = saved.read(exercise(f"02.{number}"))
    line.hold = True
    saved.write(exercise(f"02.{number}"), text + "# theirs\n", version)
    go_to_the_end(page)
    page.keyboard.type("# mine")
    line.release()
    # The last of what that draws. The warning comes first: whoever goes on from there can lose the buttons below it.
    page.get_by_role("button", name="Take the file's version").wait_for()
    return line


def test_a_learner_is_told_what_is_wrong_corrects_it_passes_and_finds_it_again(page, workspace):
    open_exercise(page, 4)
    type_answer(page, EMPTY, WRONG)
    page.get_by_role("button", name="Check").click()
    page.get_by_text("The sign is turned round").first.wait_for()
    type_answer(page, WRONG, SOLVED)
    page.keyboard.press("Control+Enter")
    page.get_by_text("Passed: 5 of 5 points").wait_for()
    text, _ = Workspace.open(workspace).read(exercise("02.4"))
    assert SOLVED in text
    page.reload()
    page.get_by_text(re.compile(r"[1-9]\d* of 14 passed")).wait_for()
    page.goto("/")
    page.get_by_text(re.compile(r"[1-9]\d* of 14 done")).wait_for()
    assert page.errors == []


def test_nothing_is_asked_of_any_other_machine(page):
    explorers = (f"/{path}" for path in (ADDRESS, *EXPLORERS))
    for address in ("/", "/?chapter=02&exercise=1", *explorers, "/chat"):
        page.goto(address)
        page.get_by_role("heading").first.wait_for()
        page.wait_for_timeout(1500)
    foreign = [url for url in page.asked if not re.match(r"(data:|blob:|(http|ws)://127\.0\.0\.1[:/])", url)]
    assert foreign == []
    assert page.errors == []


def test_tab_indents_undo_takes_back_and_brackets_close(page):
    open_exercise(page, 3)
    area = page.locator("textarea").first
    before = area.input_value()
    go_to_the_end(page)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("if (x")
    assert area.input_value().endswith("    if (x)")
    page.keyboard.type("):")
    page.keyboard.press("Enter")
    assert re.search(r"if \(x\):\n {4,}$", area.input_value())
    for _ in range(20):
        page.keyboard.press("Control+z")
        if area.input_value() == before:
            break
    assert area.input_value() == before


def test_a_pause_in_typing_takes_nothing_away(page, workspace):
    open_exercise(page, 10)
    area = page.locator("textarea").first
    before = area.input_value()
    go_to_the_end(page)
    page.keyboard.type("# saved")
    page.keyboard.press("Enter")
    page.wait_for_timeout(2500)  # the text is saved meanwhile, without the empty line at its end
    assert "# saved" in Workspace.open(workspace).read(exercise("02.10"))[0]
    page.keyboard.type("x")
    assert area.input_value().endswith("# saved\n    x")
    for _ in range(12):
        page.keyboard.press("Control+z")
    assert area.input_value() == before


def test_escape_and_tab_leave_the_editor(page):
    open_exercise(page, 3)
    page.locator("textarea").first.focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert (
        page.evaluate(
            """() => { let a = document.activeElement; while (a.shadowRoot && a.shadowRoot.activeElement)
            a = a.shadowRoot.activeElement; return a.className }"""
        )
        == "check"
    )


def test_what_an_outside_editor_saves_appears_and_is_graded(page, workspace):
    open_exercise(page, 5)
    saved = Workspace.open(workspace)
    _, version = saved.read(exercise("02.5"))
    saved.write(exercise("02.5"), solution(exercise("02.5")), version)
    page.get_by_text("Passed: 10 of 10 points").wait_for()
    assert "diagonal" in page.locator("textarea").first.input_value()


def test_when_both_sides_change_neither_is_overwritten_unseen(page, workspace):
    change_both(page, workspace, 6)
    saved = Workspace.open(workspace)
    now, _ = saved.read(exercise("02.6"))
    assert "# theirs" in now
    assert "# mine" in page.locator("textarea").first.input_value()
    page.get_by_role("button", name="Keep what I typed here").click()
    page.get_by_text("changed in another editor").wait_for(state="hidden")
    now, _ = saved.read(exercise("02.6"))
    assert "# mine" in now
    assert "# theirs" not in now


def test_a_choice_counts_when_what_it_changed_on_the_page_is_lost(page, workspace):
    # Streamlit drops what a run has drawn when a message from the browser arrives just as the run ends.
    line = change_both(page, workspace, 12)
    saved = Workspace.open(workspace)
    line.lose_while = lambda: True
    page.get_by_role("button", name="Keep what I typed here").click()
    until(page, lambda: "# theirs" not in saved.read(exercise("02.12"))[0])
    finished = line.finished
    line.lose_while = lambda: line.finished == finished  # all that the click led to is lost, what comes later is not
    page.get_by_text("changed in another editor").wait_for(state="hidden")
    go_to_the_end(page)  # and the editor goes on from there
    page.keyboard.type(" and more")
    until(page, lambda: "# mine and more" in saved.read(exercise("02.12"))[0])
    assert page.get_by_text("changed in another editor").count() == 0


def test_a_late_answer_takes_nothing_of_what_was_typed_meanwhile(page, workspace):
    line = Line(page)
    open_exercise(page, 13)
    saved = Workspace.open(workspace)
    go_to_the_end(page)
    line.hold = True
    page.keyboard.type("# one")
    until(page, lambda: "# one" in saved.read(exercise("02.13"))[0])
    finished = line.finished
    until(page, lambda: line.finished > finished)
    answer = len(line.held)  # it knows of "# one" and no more
    page.keyboard.type(" two")
    until(page, lambda: "# one two" in saved.read(exercise("02.13"))[0])
    line.release(answer)
    page.wait_for_timeout(1000)
    line.release()
    page.wait_for_timeout(1000)
    assert page.locator("textarea").first.input_value().endswith("# one two")
    page.keyboard.type(" three")
    until(page, lambda: "# one two three" in saved.read(exercise("02.13"))[0])


def test_the_file_can_win_too(page, workspace):
    change_both(page, workspace, 7)
    saved = Workspace.open(workspace)
    page.get_by_role("button", name="Take the file's version").click()
    page.get_by_text("changed in another editor").wait_for(state="hidden")
    page.wait_for_function(
        "() => { for (const e of document.querySelectorAll('*')) { const a = e.shadowRoot?.querySelector('textarea');"
        " if (a) return a.value.includes('# theirs') && !a.value.includes('# mine') } }"
    )
    now, _ = saved.read(exercise("02.7"))
    assert "# theirs" in now
    assert "# mine" not in now


def test_what_was_typed_survives_a_page_that_is_closed_at_once(browser, server, workspace):
    context = browser.new_context(base_url=server)
    page = context.new_page()
    open_exercise(page, 8)
    # The connection is gone, as when the server has stopped: nothing that is typed now can arrive.
    page.evaluate("() => { WebSocket.prototype.send = () => { throw new Error('gone') } }")
    go_to_the_end(page)
    page.keyboard.type("# typed before the end")
    page.close()
    saved = Workspace.open(workspace)
    assert "# typed before the end" not in saved.read(exercise("02.8"))[0]
    page = context.new_page()
    open_exercise(page, 8)
    assert "# typed before the end" in page.locator("textarea").first.input_value()
    page.wait_for_timeout(1500)
    assert "# typed before the end" in saved.read(exercise("02.8"))[0]
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_a_long_line_wraps_with_its_colours_and_its_number(browser, server, width):
    page = browser.new_page(base_url=server, viewport={"width": width, "height": 844})
    open_exercise(page, 9)
    area = page.locator("textarea").first
    go_to_the_end(page)
    page.keyboard.type("# " + "a long remark " * 20 + "x" * 200)  # words, and what has no place to break
    page.keyboard.press("Enter")
    page.keyboard.type("pass")
    seen = area.evaluate(
        """area => { const paper = area.closest(".paper"), rows = [...paper.querySelectorAll(".colours div")]
            const box = (row) => row.getBoundingClientRect()
            return { text: [area.scrollWidth - area.clientWidth, area.scrollHeight - area.clientHeight],
                     colours: [paper.querySelector(".colours").offsetWidth - area.offsetWidth,
                               paper.querySelector(".colours").offsetHeight - area.offsetHeight],
                     rows: rows.length, lines: area.value.split("\\n").length,
                     long: box(rows.at(-2)).height / box(rows.at(-1)).height,
                     numbers: rows.slice(-2).map((row) => row.dataset.line) } }"""
    )
    assert seen["text"] == [0, 0]  # nothing is out of sight
    assert seen["colours"] == [0, 0]
    assert seen["rows"] == seen["lines"]
    assert seen["long"] >= 4
    assert int(seen["numbers"][1]) == int(seen["numbers"][0]) + 1
    # The text area's own letters are as high as the colours' say: it would be scrolled, were they not.
    assert (
        area.evaluate(
            "area => { area.scrollTop = 1e6; area.scrollLeft = 1e6; return area.scrollTop + area.scrollLeft }"
        )
        == 0
    )
    page.close()


def test_the_file_is_named_and_its_imports_unfold_above_the_editor(page, workspace):
    open_exercise(page, 2)
    page.get_by_text(str(workspace / "ch02_induction_heads" / "exercises.py")).wait_for()
    page.get_by_text("Imports and set-up of this file").click()
    unfolded = page.get_by_text("from mi_lib.models import HookedModel, TransformerConfig")
    unfolded.wait_for()
    assert unfolded.bounding_box()["y"] < page.locator("textarea").first.bounding_box()["y"]


@pytest.fixture(scope="module")
def phone(browser, server):
    made = browser.new_page(base_url=server, viewport={"width": 390, "height": 844}, has_touch=True)
    made.set_default_timeout(60_000)
    yield made
    made.close()


# Everything that ends right of the window, inside components too, unless it stands in a box that is meant to scroll;
# and every box of a component whose contents are wider than it is.
TOO_WIDE = """() => {
    const found = []
    const look = (element) => {
        const { display, overflowX } = getComputedStyle(element)
        if (display === "none") return
        const { right, width, height } = element.getBoundingClientRect()
        const name = `${element.tagName}.${element.getAttribute("class")}`
        if (width > 1 && height > 1 && right > innerWidth + 0.5) found.push(`${name} ends at ${right}`)
        if (element.matches(".all") && element.scrollWidth > element.clientWidth)
            found.push(`${name} holds ${element.scrollWidth} in ${element.clientWidth}`)
        if (overflowX === "visible") [...(element.shadowRoot?.children ?? []), ...element.children].forEach(look)
    }
    look(document.querySelector("[data-testid=stMainBlockContainer]"))
    return found
}"""
PAGES = {
    "home": ("/", "16 The audit"),
    "no such page": ("/nonsense", "no page of the name"),
    "an exercise": ("/?chapter=02&exercise=2", "02.2 "),
    "a chapter's end": ("/?chapter=02&exercise=end", "Next chapter"),
    "all explorers": ("/explorers", "Which parts of a network make its answer?"),
    "induction": ("/explore", "Loss on words seen again"),
    "grokking": ("/explore-grokking", "Train one yourself"),
    "lenses": ("/explore-lens", "Go on without a prediction"),
    "superposition": ("/explore-superposition", "Go on without a prediction"),
    "dictionaries": ("/explore-dictionaries", "Go on without a prediction"),
    "circuits": ("/explore-circuit", "Go on without a prediction"),
    "probes": ("/explore-probes", "Go on without a prediction"),
    "images": ("/explore-images", "Go on without a prediction"),
    "steering": ("/explore-steering", "Go on without a prediction"),
    "chat": ("/chat", "What do you dream of?"),
}


SHOWN = {  # near the end, once the question is passed by
    "lenses": "counted from 0, as in code",
    "superposition": "The second feature: what is best, worked out",
    "dictionaries": "A random direction beside it",
    "circuits": "likeliest of all words",
    "probes": "What Pico says next, if its last word is changed",
    "images": "What is silenced says 0 all the time",
    "steering": "How much is enough?",
}


SCROLLED = "e => e.scrollWidth > e.clientWidth"
# By where the mask of what is scrolled sideways lies and how large it is: the sides at which it fades.
FADES = {
    "-48px 0px / calc(100% + 48px) 100%": {"right"},
    "0px 0px / calc(100% + 48px) 100%": {"left"},
    "0px 0px / 100% 100%": {"left", "right"},
}
MASK = "e => getComputedStyle(e).maskPosition + ' / ' + getComputedStyle(e).maskSize"


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone(phone, name):
    address, near_its_end = PAGES[name]
    phone.goto(address)
    phone.get_by_text(near_its_end).last.wait_for()
    if near_its_end.startswith("Go on"):
        phone.get_by_text(near_its_end).click()
        phone.get_by_text(SHOWN[name]).wait_for()
        # The lens opens at its answer, on the right; the others at their left.
        edge = "right" if name == "lenses" else "left"
        for table in phone.locator("[class*=st-key-lens-table], [class*=st-key-circuit-]").all():
            hidden = table.evaluate(
                "(e, edge) => Math.abs(e.getBoundingClientRect()[edge] - "
                "e.firstElementChild.getBoundingClientRect()[edge])",
                edge,
            )
            assert hidden <= 1
            more = {"left", "right"} - {edge} if table.evaluate(SCROLLED) else set()
            assert FADES.get(table.evaluate(MASK), set()) == more
    phone.wait_for_timeout(1000)
    assert phone.evaluate(TOO_WIDE) == []
    assert phone.evaluate("document.scrollingElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_letters_on_the_main_buttons_stand_out(browser, server, scheme):
    page = browser.new_page(base_url=server, viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
    open_exercise(page, 1)
    for button in (page.get_by_role("button", name="Next"), page.get_by_role("button", name="Check")):
        page.wait_for_timeout(500)  # colours glide from one to the other
        assert contrast(button, button) >= 4.5  # WCAG 2, AA
    ring = page.get_by_test_id("stRadioOption").first.locator("div > div").first
    assert "rgba" not in ring.evaluate("e => getComputedStyle(e).borderColor")  # nor is it half transparent
    assert contrast(ring, page.get_by_test_id("stApp"), "borderTopColor") >= 3  # of what shows that one can choose
    page.close()


@pytest.mark.parametrize(("first", "then"), [("light", "dark"), ("dark", "light")])
def test_letters_stand_out_when_the_theme_changes_under_the_page(browser, server, first, then):
    """As many computers do it in the evening. No script is run then."""
    page = browser.new_page(base_url=server, viewport={"width": 1280, "height": 1000}, color_scheme=first)
    page.goto("/glossary")
    label = page.locator("[data-testid=stWidgetLabel] p").first
    label.wait_for()
    app = page.locator("[data-testid=stApp]")
    ground = app.evaluate("app => getComputedStyle(app).backgroundColor")
    page.emulate_media(color_scheme=then)
    until(page, lambda: app.evaluate("app => getComputedStyle(app).backgroundColor") != ground)
    page.wait_for_timeout(500)
    assert contrast(label, app) >= 4.5
    page.close()


def contrast(letters, ground, part: str = "color") -> float:
    """The contrast of one element's letters (or another part of it) against another's ground, as WCAG 2 defines it."""
    colours = [
        of.evaluate(f"e => getComputedStyle(e).{what}.match(/[\\d.]+/g).slice(0, 3).map(Number)")
        for of, what in ((letters, part), (ground, "backgroundColor"))
    ]
    darker, lighter = sorted(map(luminance, colours))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(rgb: list[float]) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_direction_taken_out_makes_pico_answer_and_a_random_one_does_not(page):
    page.goto("/explore-steering")
    page.get_by_text("It says how to do it").click()
    page.get_by_role("button", name="That is my prediction").click()
    page.get_by_text("You predicted: it says how to do it. So it is.").wait_for()
    before, without, beside = (box.inner_text() for box in page.locator("[class*=st-key-steer-reply]").all())
    assert "I am sorry" in before
    assert "I am sorry" in beside
    assert "I am sorry" not in without
    assert "matches" in without
    assert page.locator('a[href^="glossary?"]').count() >= 4


def test_silencing_a_head_changes_the_loss_that_is_shown(page):
    from mi_lib import zoo

    layer, head = zoo.card("induction-2l")["circuit"]["induction"][0]
    page.goto("/explore")
    metric = page.get_by_test_id("stMetricValue").nth(1)
    metric.wait_for()
    before = float(metric.inner_text().split()[0])
    page.get_by_role("button", name=f"{layer}.{head}", exact=True).click()
    page.get_by_test_id("stMetricDelta").first.wait_for()
    after = float(metric.inner_text().split()[0])
    assert after > before + 2
