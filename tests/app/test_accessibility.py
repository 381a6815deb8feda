"""Can everybody use the pages? Looked at by axe-core, and gone through with the keyboard alone.

The suite looks at a sample of the pages, always the same; with MI_EVERY_PAGE=1 at all of them, in both themes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from budget import sample
from looking import against_the_policy, whole

from app.pages import every
from mi_lib.course import Workspace, exercise

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE_FOLDER = Path(sys.prefix) / "axe"
AXE = next(iter(sorted(AXE_FOLDER.glob("*.js"))), None)
ANYWAY = "Go on without a prediction"
THEMES = ("light", "dark")
WIDTHS = (1280, 390)
ALWAYS = ["Course map", "Explore lenses"]  # something alive; a table, bars, and what is scrolled on a phone
LOOK = """async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    const found = await axe.run(document, { resultTypes: ["violations"], runOnly: { type: "tag", values: tags } })
    return found.violations.filter((each) => ["serious", "critical"].includes(each.impact)).flatMap((each) =>
        each.nodes.map((node) => [each.id, node.target.flat().join(" "), node.html, node.failureSummary]))
}"""
# What Streamlit draws so and no page of ours can change: rule, a part of the element's HTML, the reason.
STREAMLITS: list[tuple[str, str, str]] = []


def chosen() -> list[tuple[str, str]]:
    """Pages and themes to look at."""
    cases = [(name, theme) for name in every() for theme in THEMES]
    if os.environ.get("MI_EVERY_PAGE"):
        return cases
    return sample([case for case in cases if case[0] not in ALWAYS], 4, "axe") + list(zip(ALWAYS, THEMES, strict=True))


def need_axe(folder: Path = AXE_FOLDER) -> None:
    """Skip with the reason where axe-core is not here. In CI fail, unless `scripts/axe.sh` has found no way to npm."""
    if any(folder.glob("*.js")):
        return
    note = folder / "absent"
    reason = note.read_text().strip() if note.exists() else "axe-core is not here; `make axe` fetches it from npm."
    no_way = note.exists() and "npm's registry answers" not in reason
    pytest.fail(reason) if os.environ.get("CI") and not no_way else pytest.skip(reason)


def complaints(page) -> list[str]:
    """What axe-core finds serious or critical, at both widths."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(600)  # what has become too wide can be scrolled by then
        for rule, where, html, said in page.evaluate(LOOK):
            if not any(rule == known and part in html for known, part, _ in STREAMLITS):
                found.append(f"{width} px: {rule} at {where[-120:]}: {html[:160]}: {said}")
    return found


@contextmanager
def looking_at(browser, url: str, theme: str) -> Iterator[Any]:
    """A page in one theme, which axe-core can look at. In the end the browser must have refused it nothing."""
    need_axe()
    page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 1000}, color_scheme=theme)
    page.set_default_timeout(60_000)
    refused = []
    page.on("console", lambda said: refused.extend(against_the_policy(said.text)))
    yield page
    page.close()
    assert refused == []


@pytest.fixture
def looked_at(request, browser, server):
    with looking_at(browser, server, request.param) as page:
        yield page


@pytest.mark.parametrize(("name", "looked_at"), chosen(), indirect=["looked_at"])
def test_axe_finds_nothing_serious(looked_at, name):
    looked_at.goto(every()[name])
    whole(looked_at)
    for _ in range(looked_at.get_by_text(ANYWAY).count()):  # a page may have several questions
        looked_at.get_by_text(ANYWAY).first.click()
        looked_at.wait_for_timeout(300)
        whole(looked_at)
    assert complaints(looked_at) == []


@pytest.mark.parametrize("looked_at", ["light"], indirect=True)
def test_axe_finds_nothing_serious_in_a_verdict(looked_at, workspace):
    saved = Workspace.open(workspace)
    text, version = saved.read(exercise("01.1"))
    saved.write(exercise("01.1"), text.replace("raise NotImplementedError", "return tokens  #"), version)
    looked_at.goto("/?chapter=01&exercise=1")
    whole(looked_at)
    looked_at.get_by_role("button", name="Check").click()
    looked_at.get_by_test_id("stAlert").first.wait_for()
    whole(looked_at)
    assert complaints(looked_at) == []


@pytest.mark.parametrize("looked_at", ["light"], indirect=True)
def test_axe_finds_nothing_serious_in_a_solution_and_none_of_its_lines_is_cut(looked_at):
    looked_at.goto("/?chapter=03&exercise=2")
    whole(looked_at)
    looked_at.get_by_role("button", name="Solution").click()
    looked_at.get_by_role("button", name="Show it all the same").click()
    code = looked_at.get_by_test_id("stPopoverBody").locator("pre")
    code.wait_for()
    assert complaints(looked_at) == []
    assert looked_at.viewport_size["width"] == 390
    assert code.evaluate("pre => pre.scrollWidth <= pre.clientWidth")


@pytest.mark.parametrize("looked_at", ["dark"], indirect=True)
def test_axe_finds_nothing_serious_in_a_bubble_and_in_the_search(looked_at):
    looked_at.goto("/?chapter=01&exercise=1")
    whole(looked_at)
    looked_at.locator('a[href^="glossary?"]').first.focus()
    assert complaints(looked_at) == []
    looked_at.keyboard.press("Control+k")
    looked_at.get_by_role("searchbox").fill("load")
    looked_at.locator(".mi-library[open] li").first.wait_for()
    assert complaints(looked_at) == []


def test_axe_would_find_it(looked_at_light):
    """The control: letters that are too faint, a picture without words and a button without a name are found."""
    page = looked_at_light
    page.set_content(
        "<html lang='en'><title>x</title><main><h1>x</h1><p style='color: #aaa'>faint</p><img src='a.png'>"
        "<button></button></main></html>"
    )
    rules = {complaint.split(": ")[1].split(" at ")[0] for complaint in complaints(page)}
    assert rules == {"color-contrast", "image-alt", "button-name"}


@pytest.fixture
def looked_at_light(browser):
    need_axe()
    page = browser.new_page()
    yield page
    page.close()


# Everything that a mouse can press or type into, and how it looks; of what arrow keys move inside (tabs, one choice of
# several, the steps of a number, words, heads) one part is enough.
GATHER = """() => {
    const GROUPS = ".heads, [data-testid=stSelectbox], [data-testid=stNumberInput], " +
        ["tablist", "radiogroup", "toolbar", "listbox"].map((role) => `[role=${role}]`)
    const found = [], groups = new Map()
    const look = (root) => {
        for (const element of root.querySelectorAll("*")) {
            if (element.shadowRoot) look(element.shadowRoot)
            const { visibility, display } = getComputedStyle(element)
            const { width, height } = element.getBoundingClientRect()
            const tapped = "a[href], button, input:not([type=hidden]), textarea, select, summary, [role=button]"
            const away = element.closest("[inert], [hidden], .modebar") || (width < 1 && height < 1)
            const out = away || element.disabled
            if (!element.matches(tapped) || out || visibility === "hidden" || display === "none") continue
            const group = element.closest(GROUPS)
            found.push(element)
            groups.set(element, group ?? element)
        }
    }
    look(document)
    window.told = { found, groups, reached: new Set(), seen: new Map() }
    const face = (element) => {
        const parts = []
        for (let each = element, up = 0; each && up < 4; each = each.parentElement, up++) {
            const style = getComputedStyle(each)
            parts.push(style.outline, style.boxShadow, style.borderColor, style.backgroundColor, style.clipPath)
            const beside = each.nextElementSibling ?? each.previousElementSibling
            if (beside) parts.push(getComputedStyle(beside).boxShadow, getComputedStyle(beside).outline)
        }
        return parts.join()
    }
    for (const element of found) window.told.seen.set(element, face(element))
    window.told.face = face
    return found.length
}"""
STEP = """() => {
    let now = document.activeElement
    while (now?.shadowRoot?.activeElement) now = now.shadowRoot.activeElement
    if (!now || now === document.body) return { ended: true }
    const { groups, reached, seen, face } = window.told
    const again = reached.has(now)
    reached.add(now)
    reached.add(groups.get(now))
    const name = now.getAttribute("aria-label") ?? now.textContent.trim().slice(0, 40)
    return { again, writing: now.matches("textarea") && Boolean(now.getAttribute("aria-description")),
             unseen: seen.has(now) && seen.get(now) === face(now) ? `${now.tagName} ${name}` : null }
}"""
STILL = """() => {
    let now = document.activeElement
    while (now?.shadowRoot?.activeElement) now = now.shadowRoot.activeElement
    return window.told.seen.get(now) === window.told.face(now)
}"""
LEFT = """() => window.told.found
    .filter((each) => each.isConnected && !each.hidden && !window.told.reached.has(window.told.groups.get(each)))
    .map((each) => `${each.tagName} ${each.getAttribute("aria-label") ?? each.textContent.trim().slice(0, 40)}`)"""


@pytest.mark.parametrize("address", ["/?chapter=02&exercise=3", "/explore", "/chat"])
def test_tab_reaches_everything_is_seen_and_leaves_the_editor(page, address):
    page.goto(address)
    whole(page)
    page.wait_for_timeout(500)
    assert page.evaluate(GATHER) > 10
    unseen = []
    for _ in range(300):
        page.keyboard.press("Tab")
        at = page.evaluate(STEP)
        if at.get("ended") or at["again"]:
            break
        if at["unseen"]:  # a change of colour takes its time
            page.wait_for_timeout(500)
            unseen += [at["unseen"]] if page.evaluate(STILL) else []
        if at["writing"]:
            page.keyboard.press("Escape")
    assert page.evaluate(LEFT) == []
    assert unseen == []
