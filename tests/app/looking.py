"""Where the pages' browser is, and when a page is whole: for the tests of the pages and for `benchmarks/page.py`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Its script has run to its end; nothing in it says that it is still waited for; every figure is drawn, every component
# has its content, and nothing that stood there before is still fading.
WHOLE = """() => {
    const app = document.querySelector("[data-testid=stApp]")
    const all = (what) => [...(app?.querySelectorAll(what) ?? [])]
    return app?.dataset.testScriptState === "notRunning" && app.dataset.testConnectionState === "CONNECTED" &&
        all("[data-testid=stMainBlockContainer] :is(h1, h2, h3)").length > 0 &&
        all("[data-testid=stSkeleton], [data-testid=stSpinner], [class*=st-key-opening]").length === 0 &&
        all("[data-stale=true]").length === 0 &&
        all("[data-testid=stPlotlyChart]").every((chart) => chart.querySelector("svg.main-svg, canvas")) &&
        all("[data-testid=stBidiComponentIsolated]").every((host) => host.shadowRoot?.childElementCount)
}"""


def chromium() -> str | None:
    """The first Chromium or Chrome on this machine."""
    mac = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), str(mac) if mac.exists() else None)


def against_the_policy(said: str) -> list[str]:
    """What the browser's console says, if it is that the page wanted something that the guard's policy refuses."""
    return [said] if "Content Security Policy" in said else []


def whole(page: Any, timeout_ms: float = 60_000) -> None:
    """Wait until all of a page is there. TimeoutError after so many milliseconds."""
    page.wait_for_function(WHOLE, polling="raf", timeout=timeout_ms)
