"""How soon the pages answer, and how much memory their server takes, seen from a browser. Every page there is.

    python benchmarks/page.py            # about nine minutes on an idle machine; needs Chromium or Chrome
    python benchmarks/page.py --only lens --cold 0
    python benchmarks/page.py --only none --gradebook grades/     the instructor's page, of a class that is graded

It starts the course in workspaces of its own and opens every page of `app/pages.py` in a headless browser: cold, as the
first page of a new server; warm, by its address and by a click. A page that is not cold is timed when the server
computes nothing in the background. Times run until the page is whole: its script has ended, nothing on it is still
being opened, every figure is drawn. Then it types and checks an answer, changes choices, and points and types inside
components, where a reaction runs in the browser from the event to the new layout. A change of a list runs from the
choice in the open list. It prints medians beside the aims, and which aims are missed. Beside each time stand the
seconds of CPU that the server took, which a busy machine hardly changes.
"""

from __future__ import annotations

import argparse
import functools
import os
import re
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "app")]
from looking import ARGUMENTS, chromium, whole  # noqa: E402 - needs the line above
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: E402 - as the other libraries of a benchmark

from app.explorers import ADDRESS, EXPLORERS  # noqa: E402
from app.pages import PAGES, every  # noqa: E402
from mi_lib.course import index, serve  # noqa: E402

COLD, WARM, CLICK, RERUN, INSIDE, VERDICT = "cold", "by its address", "by a click", "a rerun", "inside", "verdict"
MEMORY = "memory of the server, every page opened (MB)"
AIMS = {COLD: 3.0, WARM: 0.6, CLICK: 0.6, RERUN: 0.3, INSIDE: 0.1, VERDICT: 0.7, MEMORY: 1500}  # seconds, but the last
ANYWAY = "Go on without a prediction"
WRONG, RIGHT = 'cache["pattern", 0]', 'cache["pattern", layer]'
REACTION = """([what, event, seen]) => {
    const started = performance.now()
    what.dispatchEvent(new PointerEvent(event, { bubbles: true, pointerType: "mouse" }))
    seen.getBoundingClientRect()
    return (performance.now() - started) / 1000
}"""
TYPING = """(area) => {
    const started = performance.now()
    area.focus()
    document.execCommand("insertText", false, "x")
    area.getBoundingClientRect()
    return (performance.now() - started) / 1000
}"""
# What is changed on a page, by the role of what is pressed: sliders take an arrow key, the others a click.
CHANGES = {
    "/": ("radio", "Everything"),
    "/glossary": ("textbox", "Search"),
    "/explore": ("button", "0.0"),
    "/explore-grokking": ("slider", "Training step"),
    "/explore-lens": ("combobox", None),
    "/explore-superposition": ("slider", None),
    "/explore-dictionaries": ("combobox", "Concept"),
    "/explore-probes": ("slider", None),
    "/explore-circuit": ("combobox", None),
    "/explore-steering": ("combobox", None),
    "/explore-characters": ("slider", None),
    "/explore-oracle": ("radiogroup", None),
    "/explore-images": ("combobox", "Unit"),
}


Times = dict[str, list[tuple[float, float]]]  # name: (seconds, seconds of the server's CPU) of each try


class Watch:
    """Times acts on the pages of a server."""

    def __init__(self, pid: int, found: Times) -> None:
        self.pid, self.found = pid, found

    def __call__(self, kind: str, name: str, act: Callable[[], Any]) -> None:
        if kind in (WARM, CLICK, VERDICT):
            at_rest(self.pid)
        before, started = cpu(self.pid), time.perf_counter()
        act()
        took, busy = time.perf_counter() - started, cpu(self.pid) - before
        self.found[f"{kind}: {name}"].append((took, busy))
        print(f"{kind}: {name:54} {took:8.3f} {busy:6.2f}", file=sys.stderr, flush=True)


def family(pid: int) -> list[int]:
    """A process and all that it has started. Itself alone where there is no /proc."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int(re.search(r"\) \S (\d+)", (entry / "stat").read_text())[1])  # type: ignore[index]
        except (OSError, TypeError):
            continue
    members = [pid]
    for member in members:
        members += [child for child, parent in parents.items() if parent == member]
    return members


def cpu(pid: int) -> float:
    """Seconds of CPU that a server and its graders have taken so far; 0 where there is no /proc."""
    total = 0
    for member in family(pid):
        try:
            total += sum(map(int, Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()[11:13]))
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


class Ends:
    """How many runs of a page's script have come to their end, as its server says."""

    def __init__(self, page: Any) -> None:
        self.count = 0
        page.on("websocket", lambda socket: socket.on("framereceived", self.hear))

    def hear(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes) and len(frame) < 100:  # what says so is short
            message = ForwardMsg.FromString(frame)
            if message.WhichOneof("type") == "script_finished":
                self.count += message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN


def again(page: Any, act: Callable[[], Any]) -> None:
    """Do this, and wait for the run that it leads to, until the page is whole again. TimeoutError after 20 seconds."""
    page.evaluate("0")  # what the server has said meanwhile is heard now
    before, until = page.ends.count, time.perf_counter() + 20
    act()
    while page.ends.count == before:
        if time.perf_counter() > until:
            raise TimeoutError(f"nothing was run anew at {page.url}")
        page.wait_for_timeout(2)
    whole(page)


def anyway(page: Any) -> None:
    """Go past the questions that stand before an explorer."""
    for _ in range(page.get_by_text(ANYWAY).count()):
        again(page, page.get_by_text(ANYWAY).first.click)


def opened(page: Any, address: str) -> None:
    page.goto(address)
    whole(page)


def cold(browser: Any, workspace: Path, found: Times, name: str, address: str) -> None:
    """The first page of a new server."""
    with serve.running(workspace) as (url, pid):
        page = new_page(browser, url)
        Watch(pid, found)(COLD, name, lambda: opened(page, address))
        page.close()


def instructors(browser: Any, gradebook: Path, found: Times, tries: int) -> None:
    """The instructor's page of a class: the first of a new server, warm, and a change of the student who is shown."""
    name = "the instructor's page"
    with serve.running_instructor(gradebook) as (url, pid):
        page, watch = new_page(browser, url), Watch(pid, found)
        watch(COLD, name, lambda: opened(page, "/"))
        for _ in range(tries):
            watch(WARM, name, lambda: opened(page, "/"))
        page.get_by_role("tab", name="One student").click()
        student = page.get_by_role("combobox", name="Student")
        for _ in range(2 * tries):
            act = choice(page, student, "combobox", 0)
            watch(f"{RERUN}, another student", name, functools.partial(again, page, act))
        page.close()


def at_rest(pid: int, seconds: float = 0.5, at_most: float = 30) -> None:
    """Wait until a server computes nothing in the background: the aims are for idle cores, as a reader leaves them."""
    until, before = time.perf_counter() + at_most, -1.0
    while cpu(pid) - before > 0.05 * seconds and time.perf_counter() < until:
        before = cpu(pid)
        time.sleep(seconds)


def warm(page: Any, watch: Watch, pages: dict[str, str], tries: int) -> None:
    """Every page by its address. Each is opened once before it is timed, its questions passed by."""
    opened(page, "/")
    at_rest(watch.pid, seconds=2)
    for name, address in pages.items():
        opened(page, address)
        if address[1:] in EXPLORERS:
            anyway(page)
        for _ in range(tries):
            watch(WARM, name, lambda to=address: opened(page, to))  # type: ignore[misc]


def clicks(page: Any, watch: Watch, pages: dict[str, str]) -> None:
    """Pages by the links and buttons that lead to them."""

    def there(name: str, link: Any) -> None:
        watch(CLICK, name, lambda: again(page, link.click))

    for path, (title, _, _) in PAGES.items():
        if title in pages and path:
            opened(page, "/")
            there(title, page.get_by_role("link", name=title, exact=True).first)
    for path, each in EXPLORERS.items():
        if each.title in pages:
            opened(page, f"/{ADDRESS}")
            there(each.title, page.locator(f'[data-testid=stMainBlockContainer] a[href="{path}"]').first)
    for number in (chapter.number for chapter in index.chapters()):
        if f"chapter {number}, beginning" in pages:
            opened(page, "/")
            there(f"chapter {number}, beginning", page.locator(f".st-key-open-{number} button"))
            there(f"chapter {number}, next", page.get_by_role("button", name="Next"))


def choice(page: Any, what: Any, role: str, i: int) -> Callable[[], Any]:
    """What changes a choice, there and back by turns. A list is open by then, and what is typed stands there."""
    if role == "slider":
        if i % 2 == 0:
            at_its_end = what.evaluate("e => (e.ariaValueNow ?? e.value) === (e.ariaValueMin ?? e.min)")
            page.ways = ("ArrowRight", "ArrowLeft") if at_its_end else ("ArrowLeft", "ArrowRight")
        return functools.partial(what.press, page.ways[i % 2])
    if role == "textbox":
        what.fill(f"he{'ad' * (i % 2)}")
        return functools.partial(what.press, "Enter")
    if role == "radio":  # another one of its group, if it is chosen already
        what = what.locator("xpath=ancestor::*[@role='radiogroup'][1]")
    if role in ("radio", "radiogroup"):
        return what.get_by_role("radio", checked=False).first.click
    if role == "combobox":
        now = what.input_value()
        what.click()
        options = page.locator(f'[id="{what.get_attribute("aria-controls")}"]').get_by_role("option")
        options.first.wait_for()
        others = [at for at, text in enumerate(options.all_text_contents()) if text != now]
        return options.nth(others[i % 2 % len(others)]).click
    return what.click


def reruns(page: Any, watch: Watch, pages: dict[str, str], tries: int) -> None:
    """A choice is changed, and what depends on it is drawn anew. The first change may compute what is then kept."""
    for name, address in pages.items():
        if address not in CHANGES:
            continue
        opened(page, address)
        anyway(page)
        role, label = CHANGES[address]
        what = page.get_by_test_id("stMainBlockContainer").get_by_role(role, **({"name": label} if label else {})).first
        what.scroll_into_view_if_needed()
        page.wait_for_timeout(300)  # a list that is opened while the page scrolls closes again
        for i in range(2 * tries):
            at_rest(watch.pid, seconds=2.5)  # a reader looks so long: what is computed ahead begins meanwhile
            act = choice(page, what, role, i)
            watch(f"{RERUN}, {'once more' if i > 1 else 'first'}", name, functools.partial(again, page, act))


def inside(page: Any, found: Times, tries: int) -> None:
    """Pointing, clicking and typing inside components."""

    def note(name: str, seconds: float) -> None:
        found[f"{INSIDE}: {name}"].append((seconds, 0.0))

    for name, address in (("induction", "/explore"), ("lenses", "/explore-lens")):
        opened(page, address)
        anyway(page)
        page.locator(".head").nth(7).wait_for()
        said, box = page.locator(".said").element_handle(), page.locator(".open").element_handle()
        for i in range(1, tries + 1):
            word, head = (page.locator(kind).nth(i).element_handle() for kind in (".word", ".head"))
            note(f"pointing at a word, {name}", page.evaluate(REACTION, [word, "pointerover", said]))
            note(f"click on a head, {name}", page.evaluate(REACTION, [head, "click", box]))
    opened(page, "/?chapter=02&exercise=2")
    for _ in range(tries):
        note("a letter in the editor", page.locator("textarea").first.evaluate(TYPING))
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("searchbox").wait_for()
    page.wait_for_timeout(1500)  # the entries have come
    for _ in range(tries):
        note("a letter in the library's search", page.get_by_role("dialog").get_by_role("searchbox").evaluate(TYPING))


def write_answer(page: Any, body: str) -> None:
    """Put this line in place of the last one of the editor."""
    area = page.locator("textarea").first
    area.evaluate("a => { a.focus(); a.setSelectionRange(a.value.trimEnd().lastIndexOf('\\n') + 1, a.value.length) }")
    page.keyboard.insert_text(f"    return model.run_with_cache(tokens)[1]{body.removeprefix('cache')}")


def verdicts(page: Any, watch: Watch, tries: int) -> None:
    """One answer, wrong and right by turns: from Ctrl + Enter to the new verdict on the screen."""
    opened(page, "/?chapter=02&exercise=1")
    for i in range(2 * tries + 1):
        body, said = ((RIGHT, "Passed: "), (WRONG, "These are the patterns of layer 0"))[i % 2]
        write_answer(page, body)
        page.wait_for_timeout(1500)  # what was typed is saved
        told = page.get_by_test_id("stAlert").get_by_text(said).first

        def act(told: Any = told) -> None:
            page.keyboard.press("Control+Enter")
            told.wait_for()

        watch(VERDICT, "the first" if not i else "right" if body == RIGHT else "wrong", act)


def new_page(browser: Any, url: str) -> Any:
    page = browser.new_page(base_url=url, viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(90_000)
    page.ends = Ends(page)
    return page


def memory(pid: int) -> dict[str, float]:
    """MB of the server, and of all that belongs to it (shared pages counted once). Empty where there is no /proc."""
    sizes: dict[str, float] = {}
    total = 0.0
    for member in family(pid):
        try:
            command = Path(f"/proc/{member}/cmdline").read_text()
            rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text())
            pss = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{member}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        total += int(pss[1]) / 1000 if pss else 0
        if rss and "streamlit" in command:
            sizes[MEMORY] = int(rss[1]) / 1000
    return sizes | ({"memory of the server and its graders (MB)": total} if total else {})


def aim(name: str) -> float | None:
    return AIMS.get(name, AIMS.get(name.partition(":")[0].partition(",")[0]))


def table(found: Times, sizes: dict[str, float]) -> str:
    lines = [f"{'':54} {'median':>8} {'least':>8} {'most':>8} {'CPU':>6} {'tries':>5} {'aim':>5}"]
    missed = []
    for name, tries in found.items():
        seconds = [took for took, _ in tries]
        row = [f"{f(seconds):8.3f}" for f in (statistics.median, min, max)]
        busy = statistics.median(took for _, took in tries)
        lines.append(f"{name:54} {' '.join(row)} {busy:6.2f} {len(tries):5} {aim(name) or '':>5}")
        if (wanted := aim(name)) and statistics.median(seconds) > wanted:
            missed.append(name)
    for name, size in sizes.items():
        lines.append(f"{name:54} {size:8.0f} {aim(name) or '':>38}")
        missed += [name] * bool((wanted := aim(name)) and size > wanted)
    timed = sum(aim(name) is not None for name in [*found, *sizes])
    return "\n".join([*lines, "", f"Missed: {len(missed)} of {timed} aims.", *(f"  {name}" for name in missed)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tries", type=int, default=2)
    parser.add_argument(
        "--cold", type=int, default=1, help="how many servers are started for the first page of each kind"
    )
    parser.add_argument("--only", default="", help="only pages with this in their name")
    parser.add_argument("--gradebook", type=Path, help="of `mi grade`: its instructor's page is timed too")
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    from mi_lib.course import Workspace

    if chromium() is None:
        raise SystemExit("No Chromium was found. Install one (Debian: chromium).")
    pages = {name: address for name, address in every().items() if asked.only.lower() in name.lower()}
    # Of the chapters one is enough: a new server opens nothing for a chapter that it does not for another.
    first = {name: address for name, address in pages.items() if "chapter" not in name or "chapter 02" in name}
    found: Times = defaultdict(list)
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        workspace = Workspace.init(Path(folder) / "work").path
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        new_page(browser, "about:blank").close()
        for name, address in first.items():
            for _ in range(asked.cold):
                cold(browser, workspace, found, name, address)
        with serve.running(workspace) as (url, pid):
            page, watch = new_page(browser, url), Watch(pid, found)
            warm(page, watch, pages, asked.tries)
            clicks(page, watch, pages)
            reruns(page, watch, pages, asked.tries)
            if not asked.only:
                inside(page, found, 5)
                verdicts(page, watch, asked.tries)
            sizes = memory(pid)
        if asked.gradebook:
            instructors(browser, asked.gradebook, found, asked.tries)
        browser.close()
    now = os.getloadavg()
    print(f"Seconds. Load of this machine: {load[0]:.1f} at first, {now[0]:.1f} at the end, {os.cpu_count()} cores.")
    print(table(found, sizes))


if __name__ == "__main__":
    main()
