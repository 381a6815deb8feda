"""A figure of a learner's may name pictures, maps and pages of any site. The browser asks none of them for anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from looking import whole
from test_scratch import type_lines

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Ways in which a figure or a text can name something elsewhere.
LINES = """
import plotly.graph_objects as go
away = "AWAY"
figure = go.Figure(go.Image(source=away + "/trace.png"))
figure.add_layout_image(source=away + "/layout.png", x=0, y=1, sizex=1, sizey=1, xref="paper", yref="paper")
figure.add_annotation(text=f"<img src='{away}/annotation.png'><a href='{away}/link'>there</a>")
layers = [{"below": "traces", "sourcetype": "raster", "source": [away + "/tile/{z}/{x}/{y}.png"]}]
style = {"version": 8, "sources": {}, "layers": [], "glyphs": away + "/{fontstack}/{range}.pbf"}
chart = go.Figure(go.Scattermap(lat=[0], lon=[0], text=["x"], mode="text"))
chart.update_layout(map={"style": style, "layers": layers, "zoom": 1})
disguised = go.Figure(go.Heatmap(z=[[0]]))
disguised.add_layout_image(source=away + '/gallery.png" onerror="fetch(1)', x=-.5, y=-.5)
disguised.update_layout(meta="gallery", xaxis_ticktext=["x"], yaxis_ticktext=["y"])
print("drawn", f"![x]({away}/printed.png)")
figure, chart, disguised, f"![x]({away}/text.png) <img src='{away}/html.png'>"
"""


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another site on this computer, and what it was asked for."""
    asked: list[str] = []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.send_header("access-control-allow-origin", "*")
            self.end_headers()

        do_POST = do_HEAD = do_OPTIONS = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        thread = threading.Thread(target=site.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{site.server_port}", asked
        site.shutdown()


def try_it(browser, server: str, away: str, bypass: bool) -> None:
    context = browser.new_context(base_url=server, bypass_csp=bypass)
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto("/?chapter=02&exercise=11")
    whole(page)
    type_lines(page, LINES.replace("AWAY", away))
    page.keyboard.press("Control+Enter")
    page.get_by_text("drawn").last.wait_for()
    page.locator("[class*=st-key-tried] .js-plotly-plot").nth(1).wait_for()
    page.wait_for_timeout(1500)
    context.close()


def test_a_figure_asks_no_other_site_for_anything(browser, server, elsewhere):
    away, asked = elsewhere
    try_it(browser, server, away, bypass=False)
    assert asked == []


def test_without_the_policy_it_would(browser, server, elsewhere):
    """The control: the same lines, in a browser that is told to overlook what the guard says."""
    away, asked = elsewhere
    try_it(browser, server, away, bypass=True)
    assert {"layout.png", "tile", "gallery.png%22%20onerror=%22fetch(1)"} <= {path.split("/")[1] for path in asked}
