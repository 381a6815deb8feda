"""What `mi app` and `mi instructor` serve: a page behind its guard.

MI_PAGE names the page; MI_HOSTS the names that the user has added; MI_NO_TOKEN is set where none is asked for.
"""

import os
import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from app import library, opening  # noqa: E402 - needs the line above
from mi_lib.course.guard import Guard, own_token  # noqa: E402

PAGES = os.environ["MI_PAGE"] == "main.py"  # the learner's, not the instructor's


def entries(_: Request) -> Response:
    """The library's entries, for the search; read in a thread of their own, and once."""
    return Response(library.entries_as_json(), media_type="application/json", headers={"cache-control": "no-cache"})


def chunks() -> str:
    """A header that names the part of Streamlit's own script that draws figures.

    It is five megabytes. Named, it is fetched while the page waits for its network, and not after that.
    """
    folder = Path(st.__file__).parent / "static" / "static" / "js"
    return ", ".join(f"</static/js/{file.name}>; rel=modulepreload" for file in folder.glob("PlotlyChart.*.js"))


class Asked:
    """Begins what a page needs when it is asked for, in the server and in the browser."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.link = (b"link", chunks().encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        figures = scope["type"] == "http" and opening.asked_for(scope["path"])

        async def and_chunks(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], self.link]
            await send(message)

        await self.app(scope, receive, and_chunks if figures else send)


app = st.App(
    HERE / os.environ["MI_PAGE"],
    routes=[Route(library.ADDRESS, entries)],
    middleware=[
        Middleware(
            Guard,
            token=None if os.environ.get("MI_NO_TOKEN") else own_token(),
            names=os.environ.get("MI_HOSTS", "").split(),
        ),
        *([Middleware(Asked)] if PAGES else []),
    ],
)
if PAGES:
    opening.at_start()
