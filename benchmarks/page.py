"""How soon the pages answer, and how much memory their server takes, seen from a browser.

    python benchmarks/page.py            # under four minutes on an idle machine; needs Chromium or Chrome

It starts the course in a workspace of its own, opens every page in a headless browser, types and checks an answer, and
prints a table of medians. Times run from the click (or the address) to what the page shows for it. Reactions inside a
component are timed in the browser, from the event to the new layout.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from mi_lib.course import serve  # noqa: E402 - needs the line above

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
# page: (address, where the link to it is and what it says, words that stand near the page's end)
PAGES = {
    "course map": ("/", "sidebar", "Course map", "16 The audit"),
    "exercise 02.2": ("/?chapter=02&exercise=2", "sidebar", "Chapter", "Start again"),
    "all explorers": ("/explorers", "sidebar", "Explore", "Which parts of a network make its answer?"),
    "explore induction": ("/explore", "explorers", "Induction", "Loss on words seen again"),
    "explore grokking": ("/explore-grokking", "explorers", "Grokking", "Train one yourself"),
    "explore lenses": ("/explore-lens", "explorers", "Lenses", "Go on without a prediction"),
    "explore superposition": ("/explore-superposition", "explorers", "Superposition", "Go on without a prediction"),
    "explore dictionaries": ("/explore-dictionaries", "explorers", "Dictionaries", "Go on without a prediction"),
    "explore circuits": ("/explore-circuit", "explorers", "Circuits", "Go on without a prediction"),
    "talk to Pico": ("/chat", "sidebar", "Talk to Pico", "What do you dream of?"),
}
AIMS = {  # seconds; MB
    "course map, first page of a new server": 2.8,
    "page by its address": 0.5,
    "by a click": 0.2,
    "pointing at a word": 0.1,
    "click on a head": 0.3,
    "verdict": 0.7,
    "memory of the server, every page opened": 900,
}
WRONG, RIGHT = 'cache["pattern", 0]', 'cache["pattern", layer]'
REACTION = """([what, event, seen]) => {
    const started = performance.now()
    what.dispatchEvent(new PointerEvent(event, { bubbles: true, pointerType: "mouse" }))
    seen.getBoundingClientRect()
    return (performance.now() - started) / 1000
}"""

Times = dict[str, list[float]]
LONGEST = 210.0  # seconds in which a new measurement may begin: on a busy machine there are fewer tries
BEGUN = time.monotonic()


def rounds(tries: int) -> Iterator[int]:
    """0, 1, 2, …: the first in any case, the others while there is time."""
    yield 0
    for attempt in range(1, tries):
        if time.monotonic() - BEGUN < LONGEST:
            yield attempt


def timed(act: Callable[[], Any], seen: Any) -> float:
    """Seconds from an act until a thing is to be seen."""
    started = time.perf_counter()
    act()
    seen.wait_for()
    return time.perf_counter() - started


def text(page: Any, words: str) -> Any:
    return page.get_by_test_id("stMain").or_(page.locator("body")).get_by_text(words).last


def write_answer(page: Any, body: str) -> None:
    """Put this line in place of the last one of the editor."""
    area = page.locator("textarea").first
    area.evaluate("a => { a.focus(); a.setSelectionRange(a.value.trimEnd().lastIndexOf('\\n') + 1, a.value.length) }")
    page.keyboard.insert_text(f"    return model.run_with_cache(tokens)[1]{body.removeprefix('cache')}")


def verdict(page: Any, body: str) -> float:
    """Seconds from Ctrl + Enter to a new verdict on the screen."""
    write_answer(page, body)
    said = "These are the patterns of layer 0" if body == WRONG else "Passed: "
    page.wait_for_timeout(1500)  # what was typed is saved
    return timed(lambda: page.keyboard.press("Control+Enter"), page.get_by_test_id("stAlert").get_by_text(said).first)


def cold(browser: Any, workspace: Path, found: Times) -> None:
    """A new server: its first page, and the first verdict, asked for as soon as an exercise can be read."""
    with serve.running(workspace) as (url, _):
        page = new_page(browser, url)
        name = "course map, first page of a new server"
        found[name].append(timed(lambda: page.goto("/"), text(page, PAGES["course map"][3])))
        page.goto("/?chapter=02&exercise=1")
        page.locator("textarea").first.wait_for()
        found["first verdict of a new server"].append(verdict(page, WRONG))
        page.close()


def warm(page: Any, found: Times, tries: int) -> None:
    """Every page by its address, and explorers by a click; each is opened once before it is timed."""
    for attempt in rounds(tries + 1):
        for name, (address, _, _, words) in PAGES.items():
            took = timed(lambda to=address: page.goto(to), text(page, words))
            if attempt:
                found[f"page by its address: {name}"].append(took)
    for _ in rounds(tries):
        for name, (_, where, link, words) in PAGES.items():
            if "explore" not in name:
                continue
            start = "course map" if where == "sidebar" else "all explorers"
            page.get_by_role("link", name=PAGES[start][2], exact=True).click()
            text(page, PAGES[start][3]).wait_for()
            page.wait_for_timeout(500)
            there = page.get_by_role("link", name=link, exact=True)
            found[f"by a click: {name}"].append(timed(there.click, text(page, words)))


def reactions(page: Any, found: Times, tries: int) -> None:
    """Pointing and clicking inside the words of two explorers."""
    for name, address in (("induction", "/explore"), ("lenses", "/explore-lens")):
        page.goto(address)
        if name == "lenses":
            page.get_by_text("Go on without a prediction").click()
        page.locator(".head").nth(7).wait_for()
        page.wait_for_timeout(2000)
        said, opened = page.locator(".said").element_handle(), page.locator(".open").element_handle()
        for i in range(1, tries + 1):
            word, head = (page.locator(kind).nth(i).element_handle() for kind in (".word", ".head"))
            found[f"pointing at a word: {name}"].append(page.evaluate(REACTION, [word, "pointerover", said]))
            found[f"click on a head: {name}"].append(page.evaluate(REACTION, [head, "click", opened]))


def verdicts(page: Any, found: Times, tries: int) -> None:
    """One answer, wrong and right by turns."""
    page.goto("/?chapter=02&exercise=1")
    page.locator("textarea").first.wait_for()
    verdict(page, RIGHT)
    for _ in rounds(tries):
        found["verdict: wrong"].append(verdict(page, WRONG))
        found["verdict: right"].append(verdict(page, RIGHT))


def new_page(browser: Any, url: str) -> Any:
    page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(90_000)
    return page


def memory(pid: int) -> dict[str, float]:
    """MB of the server, and of all that belongs to it (shared pages counted once). Empty where there is no /proc."""
    sizes: dict[str, float] = {}
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(re.search(r"\) \S (\d+)", (entry / "stat").read_text())[1])  # type: ignore[index]
        except (OSError, TypeError):
            continue
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    total = 0.0
    for member in family:
        try:
            command = Path(f"/proc/{member}/cmdline").read_text()
            rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text())
            pss = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{member}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(pss[1]) / 1000 if pss else 0
        if rss and "streamlit" in command:
            sizes["memory of the server, every page opened"] = int(rss[1]) / 1000
    return sizes | ({"memory of the server and its graders": total} if total else {})


def table(found: Times) -> str:
    lines = [f"{'':58} {'median':>8} {'least':>8} {'most':>8} {'tries':>6} {'aim':>6}"]
    for name, values in found.items():
        aim = AIMS.get(name.partition(":")[0], "")
        digits = 0 if "memory" in name else 3
        row = [f"{f(values):8.{digits}f}" for f in (statistics.median, min, max)]
        lines.append(f"{name:58} {' '.join(row)} {len(values):6} {aim:>6}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=3)
    parser.add_argument("--cold", type=int, default=2, help="how many servers are started for the first page")
    chosen = parser.parse_args()
    from playwright.sync_api import sync_playwright

    from mi_lib.course import Workspace

    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    chromium = next(filter(None, map(shutil.which, names)), str(mac) if mac.exists() else None)
    if chromium is None:
        raise SystemExit("No Chromium was found. Install one (Debian: chromium).")
    found: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        # A workspace for each server: a verdict that is kept would stand on the page before it is asked for.
        workspaces = [Workspace.init(Path(folder) / f"work{i}").path for i in range(chosen.cold + 1)]
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        new_page(browser, "about:blank").close()
        for i in rounds(chosen.cold):
            cold(browser, workspaces[i], found)
        with serve.running(workspaces[-1]) as (url, pid):
            page = new_page(browser, url)
            verdicts(page, found, chosen.tries)
            reactions(page, found, 5)
            warm(page, found, chosen.tries)
            for name, megabytes in memory(pid).items():
                found[f"{name} (MB)" if name not in AIMS else name].append(megabytes)
        browser.close()
    print("Seconds; memory in MB. Load of this machine: " + ", ".join(f"{load:.1f}" for load in os.getloadavg()))
    print(table(found))


if __name__ == "__main__":
    main()
