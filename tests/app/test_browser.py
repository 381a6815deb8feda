"""The pages in a real browser: a learner works through an exercise."""

from __future__ import annotations

import re

import pytest

from mi_lib.course import Workspace, exercise, sections, solution

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SOLVED = "    return (loss[:, late].mean() - loss[:, early].mean()).item()"
WRONG = "    return (loss[:, early].mean() - loss[:, late].mean()).item()"
EMPTY = '    raise NotImplementedError("Exercise 02.4 is waiting for your answer.")'


def open_exercise(page, number: int) -> None:
    page.goto(f"/?chapter=02&exercise={number}")
    page.get_by_role("heading", name=f"02.{number} ").wait_for()
    page.locator("textarea").first.wait_for()


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
    page.get_by_text(re.compile(r"[1-9]\d* of 14 exercises")).wait_for()
    assert page.errors == []


def test_nothing_is_asked_of_any_other_machine(page):
    for address in ("/", "/?chapter=02&exercise=1", "/explore", "/explore-grokking", "/explore-lens", "/chat"):
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
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
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
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
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
    open_exercise(page, 6)
    saved = Workspace.open(workspace)
    text, version = saved.read(exercise("02.6"))
    area = page.locator("textarea").first
    # Typed and not yet sent: the outside save comes first.
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
    page.keyboard.type("# mine")
    saved.write(exercise("02.6"), text + "# theirs\n", version)
    page.get_by_text("changed in another editor").wait_for()
    now, _ = saved.read(exercise("02.6"))
    assert "# theirs" in now
    assert "# mine" in area.input_value()
    page.get_by_role("button", name="Keep what I typed here").click()
    page.get_by_text("changed in another editor").wait_for(state="hidden")
    now, _ = saved.read(exercise("02.6"))
    assert "# mine" in now
    assert "# theirs" not in now
    assert "# theirs" in sections.get(text + "# theirs\n", "02.6")


def test_the_file_can_win_too(page, workspace):
    open_exercise(page, 7)
    saved = Workspace.open(workspace)
    text, version = saved.read(exercise("02.7"))
    area = page.locator("textarea").first
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
    page.keyboard.type("# mine")
    saved.write(exercise("02.7"), text.rstrip("\n") + "  # theirs\n", version)
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
    area = page.locator("textarea").first
    # The connection is gone, as when the server has stopped: nothing that is typed now can arrive.
    page.evaluate("() => { WebSocket.prototype.send = () => { throw new Error('gone') } }")
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
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


def test_a_long_line_scrolls_with_its_colours(browser, server):
    page = browser.new_page(base_url=server, viewport={"width": 390, "height": 844})
    open_exercise(page, 9)
    area = page.locator("textarea").first
    area.evaluate("area => { area.focus(); area.setSelectionRange(area.value.length, area.value.length) }")
    page.keyboard.type("# " + "a long remark " * 10)
    seen = area.evaluate(
        """area => { const sheet = area.closest('.sheet'), colours = sheet.querySelector('.colours')
            return { scrolled: sheet.scrollLeft, own: area.scrollLeft,
                     wider: area.offsetWidth - colours.offsetWidth } }"""
    )
    assert seen["own"] == 0  # else the letters would stand beside their colours
    assert seen["wider"] == 0
    assert seen["scrolled"] > 400  # the caret is in view
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_phone(browser, server, scheme):
    page = browser.new_page(base_url=server, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for address in ("/", "/?chapter=02&exercise=2", "/explore", "/explore-grokking", "/explore-lens", "/chat"):
        page.goto(address)
        page.get_by_role("heading").first.wait_for()
        page.wait_for_timeout(1500)
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_letters_on_the_main_buttons_stand_out(browser, server, scheme):
    page = browser.new_page(base_url=server, viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
    open_exercise(page, 1)
    for button in (page.get_by_role("button", name="Next"), page.get_by_role("button", name="Check")):
        page.wait_for_timeout(500)  # colours glide from one to the other
        letters, ground = button.evaluate(
            """button => { const style = getComputedStyle(button)
            return [style.color, style.backgroundColor].map(c => c.match(/[\\d.]+/g).slice(0, 3).map(Number)) }"""
        )
        lighter, darker = sorted((luminance(letters), luminance(ground)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, AA
    page.close()


def luminance(rgb: list[float]) -> float:
    """Relative luminance of an sRGB colour, as WCAG 2 defines it."""
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


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
