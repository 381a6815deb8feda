"""The library at hand: the search one key away, and what a name under the mouse means."""

from __future__ import annotations

import json
import urllib.request

import pytest
from looking import whole
from test_browser import open_exercise

from mi_lib.course import library

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The middle of a word in an editor: [x, y].
PLACE = """([editor, word]) => {
    const editors = [...document.querySelectorAll("[data-testid=stBidiComponentIsolated]")]
        .map((host) => host.shadowRoot?.querySelector(".colours")).filter(Boolean)
    const walker = document.createTreeWalker(editors[editor], NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
        const at = walker.currentNode.data.indexOf(word)
        if (at < 0) continue
        const range = document.createRange()
        range.setStart(walker.currentNode, at)
        range.setEnd(walker.currentNode, at + word.length)
        range.startContainer.parentElement.scrollIntoView({ block: "center" })
        const box = range.getBoundingClientRect()
        return [box.x + box.width / 2, box.y + box.height / 2]
    }
}"""


def hover(page, editor: int, word: str) -> None:
    page.evaluate(PLACE, [editor, word])  # once to bring it into view
    page.wait_for_timeout(300)
    x, y = page.evaluate(PLACE, [editor, word])
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y)


def bubble(page):
    return page.locator(".mi-library-bubble:not([hidden])")


def test_the_entries_are_served_by_the_course_itself(server):
    with urllib.request.urlopen(f"{server}/library.json") as answer:
        assert json.load(answer) == library.as_data()


def test_a_key_opens_the_search_and_what_is_found_unfolds(page):
    page.goto("/glossary")
    page.get_by_role("heading", name="Glossary").wait_for()
    page.wait_for_function("() => window.miLibrary")
    page.keyboard.press("/")
    dialog = page.locator(".mi-library[open]")
    dialog.get_by_text("Type a part of a name").wait_for()
    page.keyboard.type("per_token_loss")
    dialog.get_by_text("mi_lib.induction", exact=True).first.wait_for()
    first = dialog.locator("li").first
    assert 'logits: Float[Tensor, "batch pos d_vocab"]' in first.inner_text()
    assert "from the logits at t." in first.inner_text()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    first.get_by_text("from mi_lib.induction import per_token_loss").wait_for()
    assert "the loss is NaN where either of the two is padding" in first.inner_text()
    dialog.get_by_role("searchbox").fill("qqzz")
    dialog.get_by_text("Nothing in the library has this.").wait_for()
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    page.get_by_placeholder("a word, or a part of one").click()
    page.keyboard.type("/")  # in a field it is a letter
    assert dialog.count() == 0
    assert page.errors == []


def test_a_search_that_is_opened_before_the_library_is_read_says_so(browser, server):
    """It said that the server did not answer, until the answer came; and says so still if none comes."""
    page = browser.new_page(base_url=server)
    asked = []
    page.route("**/library.json", lambda route: asked.append(route))  # answered below
    page.goto("/explorers")
    page.get_by_role("heading", name="Explore").wait_for()
    page.wait_for_function("window.miLibrary")
    page.keyboard.press("Control+k")
    page.get_by_text("Reading the library …").wait_for()
    asked.pop().abort()
    page.get_by_text("The course's server does not answer").wait_for()
    page.close()


def test_names_say_what_they_are_where_the_file_imports_them(page):
    open_exercise(page, 1)
    page.locator("textarea").nth(1).wait_for()
    page.wait_for_function("() => window.miLibrary")
    whole(page)  # what still moves would leave the place that is pointed at
    hover(page, 0, "HookedModel")
    bubble(page).get_by_text("whose activations can be read and edited by name").wait_for()
    hover(page, 1, "load")
    bubble(page).get_by_text("from mi_lib import load").wait_for()
    hover(page, 0, "tokens")  # the learner's own
    page.locator(".mi-library-bubble").wait_for(state="hidden")
    hover(page, 0, "attention_pattern")
    page.wait_for_timeout(300)
    assert bubble(page).count() == 0
    area = page.locator("textarea").first
    before = area.input_value()
    area.evaluate("a => { a.focus(); const i = a.value.indexOf('HookedModel'); a.setSelectionRange(i + 3, i + 3) }")
    page.keyboard.press("Control+k")
    page.locator(".mi-library[open] li").first.wait_for()
    assert page.get_by_role("searchbox").input_value() == "HookedModel"
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert area.input_value() == before  # nothing is put into the answer
    assert area.evaluate("a => a.getRootNode().activeElement === a")
    assert page.errors == []


def test_a_name_means_what_the_imports_say_under_whatever_module(page):
    page.goto("/glossary")
    page.wait_for_function("() => window.miLibrary")
    find = "([text, chain]) => miLibrary.load().then(() => miLibrary.find(text, chain)?.module ?? null)"
    for text, chain, module in (
        ("from mi_lib.models import load", "load", "mi_lib"),
        ("from mi_lib import induction", "induction.per_token_loss", "mi_lib.induction"),
        ("from mi_lib import induction", "induction", None),  # a module, and not a planted network's function
        ("from mi_lib.worlds.planted.copying import induction", "induction", "mi_lib.worlds.planted.copying"),
    ):
        assert page.evaluate(find, [text, chain]) == module


def test_the_search_opens_by_a_tap_and_fits_a_phone(browser, server):
    page = browser.new_page(base_url=server, viewport={"width": 390, "height": 844}, has_touch=True)
    page.set_default_timeout(60_000)
    open_exercise(page, 2)
    page.get_by_role("button", name="Search the library").first.tap()
    page.get_by_role("searchbox").fill("ablate")
    page.locator(".mi-library li button").first.tap()
    page.locator(".mi-library li pre").wait_for()
    sizes = page.locator(".mi-library").evaluate(
        "box => [box.scrollWidth - box.clientWidth, box.getBoundingClientRect().right]"
    )
    assert sizes[0] == 0
    assert sizes[1] <= 390
    page.close()


def test_code_in_a_lesson_says_what_it_is(page):
    page.goto("/?chapter=07&exercise=12")
    page.get_by_role("heading", name="07.12 ").wait_for()
    page.wait_for_function("() => window.miLibrary")
    page.evaluate("() => window.miLibrary.load()")
    page.get_by_text("Which normal?").click()
    code = page.locator("code", has_text="mi_lib.probing.cav")
    code.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # the box unfolds
    code.hover()
    bubble(page).get_by_text("from mi_lib.probing import cav").wait_for()
