"""Words one can put a finger on, in a real browser, and what the function refuses."""

from __future__ import annotations

import pytest
import torch

from app.words import MAX_WORDS, words


@pytest.mark.parametrize(
    "given",
    [
        {"tokens": []},
        {"tokens": ["a"] * (MAX_WORDS + 1)},
        {"tokens": ["a", "b"], "heads": ["0.0"], "weights": torch.zeros(1, 2, 3)},
        {"tokens": ["a", "b"], "heads": ["0.0", "0.1"], "weights": torch.zeros(1, 2, 2)},
        {"tokens": ["a", "b"], "next_words": [[[("c", 1.0)]]]},
        {"tokens": ["a"] * 60, "heads": [str(i) for i in range(60)], "weights": torch.zeros(60, 60, 60)},
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(given):
    with pytest.raises(ValueError, match="words"):
        words("key", **given)


@pytest.fixture
def line(page):
    """The induction explorer, open at its words. `line.sent` is what the page has sent to the server."""
    page.sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: page.sent.append(frame)))
    page.goto("/explore")
    page.locator(".head").nth(7).wait_for()
    return settled(page)


@pytest.fixture
def depths(page):
    """The lens explorer, open at its words. `depths.sent` is what the page has sent to the server."""
    page.sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: page.sent.append(frame)))
    page.goto("/explore-lens")
    page.get_by_role("button", name="Go on without a prediction").click()
    page.locator(".head").nth(35).wait_for()
    return settled(page)


def settled(page):
    """The page when it has nothing more to ask of the server."""
    assert page.sent  # the page has asked for itself, so that what it sends is seen
    before = -1
    while before != len(page.sent):
        before = len(page.sent)
        page.wait_for_timeout(1000)
    return page


# The quickest of several tries: a busy machine may hold up any one of them.
REACTION = """([whats, event, seen]) => Math.min(...whats.map(what => {
    const started = performance.now()
    what.dispatchEvent(new PointerEvent(event, {bubbles: true, pointerType: "mouse"}))
    seen.getBoundingClientRect()
    return performance.now() - started
}))"""


def reaction(page, things, event: str, seen) -> float:
    """Milliseconds from an event, on each of these things in turn, to the page as it is then laid out."""
    return page.evaluate(REACTION, [[thing.element_handle() for thing in things], event, seen.element_handle()])


@pytest.mark.browser
@pytest.mark.slow
def test_pointing_and_opening_react_at_once_and_run_nothing_on_the_server(line):
    sent = len(line.sent)
    word, said = line.locator(".word"), line.locator(".said")
    assert reaction(line, [word.nth(i) for i in range(10, 15)], "pointerover", said) < 100
    assert "(14)" in said.inner_text()
    assert "Expected after" in line.locator(".next h2").inner_text()
    head = line.locator(".head")
    assert reaction(line, [head.nth(i) for i in (1, 3, 5)], "click", line.locator(".open")) < 300
    assert line.locator(".open").is_visible()
    assert "Head 1.1" in line.locator(".open h2").inner_text()
    line.wait_for_timeout(500)
    assert len(line.sent) == sent
    assert not line.errors


@pytest.mark.browser
@pytest.mark.slow
def test_the_lens_explorer_s_words_depths_and_heads_move_without_the_server(depths):
    sent, said = len(depths.sent), depths.locator(".said")
    words = depths.locator(".word")
    assert reaction(depths, [words.nth(i) for i in (1, 2, 3)], "pointerover", said) < 100
    assert "(3)" in said.inner_text()
    expected, names = depths.locator(".next h2"), depths.locator(".bars .name")
    assert "(3)" in expected.inner_text()
    depths.locator(".word[tabindex='0']").focus()
    depths.keyboard.press("End")
    depths.keyboard.press("ArrowLeft")
    assert words.nth(words.count() - 2).get_attribute("aria-selected") == "true"
    depths.keyboard.press("ArrowRight")
    assert names.first.inner_text() == "Selby"  # the network's answer, at the last depth
    slider = depths.locator(".depth input")
    slider.focus()
    depths.keyboard.press("Home")
    assert depths.locator(".depth span").inner_text() == "embedding"
    assert names.first.inner_text() != "Selby"
    heads = depths.locator(".head")
    assert reaction(depths, [heads.nth(i) for i in (7, 20, 33)], "click", depths.locator(".open")) < 300
    assert "Head 5.3" in depths.locator(".open h2").inner_text()
    depths.keyboard.press("Escape")
    assert depths.locator(".open").is_hidden()
    depths.wait_for_timeout(500)
    assert len(depths.sent) == sent
    assert not depths.errors


@pytest.mark.browser
@pytest.mark.slow
def test_the_keyboard_moves_along_the_words_and_opens_and_closes_a_head(line):
    line.locator(".word[tabindex='0']").focus()
    line.keyboard.press("Home")
    line.keyboard.press("ArrowRight")
    assert line.locator(".word[aria-selected='true']").get_attribute("aria-label").endswith("position 1")
    line.keyboard.press("Tab")
    line.keyboard.press("ArrowRight")
    line.keyboard.press("Enter")
    assert "Head 0.1" in line.locator(".open h2").inner_text()
    line.keyboard.press("Escape")
    assert line.locator(".open").is_hidden()
    assert "Head 0.1" in line.evaluate(
        "[...document.querySelectorAll('*')].map(e => e.shadowRoot?.activeElement ?? null).find(e => e)?.title"
        " ?? document.activeElement.title"
    )


@pytest.mark.browser
@pytest.mark.slow
def test_what_is_typed_moves_the_bars_and_unknown_words_are_named(line):
    line.get_by_text("my own").click()
    field = line.locator(".ask input")
    field.wait_for()
    field.fill("river lamp cat stone piano ginger owl tent river lamp")
    line.get_by_text("Expected after “lamp” (10)").wait_for()
    assert line.locator(".bars .name").first.inner_text() == "cat"
    field.fill("river $lamp$ river")
    line.get_by_text("It does not know").wait_for()
    assert line.get_by_text("“$lamp$”").is_visible()
    assert not line.locator("[data-testid=stAlert] .katex").count()


@pytest.mark.browser
@pytest.mark.slow
def test_on_a_phone_a_tap_holds_a_word_and_opens_a_head(browser, server):
    phone = browser.new_page(base_url=server, viewport={"width": 390, "height": 844}, has_touch=True)
    phone.set_default_timeout(30_000)
    try:
        phone.goto("/explore")
        phone.locator(".word").nth(3).tap()
        assert phone.locator(".word.held").get_attribute("aria-label").endswith("position 3")
        phone.locator(".head").first.tap()
        assert phone.locator(".open").is_visible()
        assert phone.locator(".all").evaluate("e => e.scrollWidth - e.clientWidth") <= 0
    finally:
        phone.close()
