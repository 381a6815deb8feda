"""Who may open the pages: whoever has the token, from this course's own pages, under this computer's own names.

What runs a learner's code must not be reachable by others. Three kinds of others, three questions, asked of every path,
every upload and every WebSocket:

1. Host: is it a name of this computer? A foreign site may let its own name point to 127.0.0.1 (DNS rebinding); then
   the browser takes our pages for that site's.
2. Origin, where the browser names one: is it the very address that is asked? Other sites and ports are not.
3. Token: other people on a shared computer can reach the port, and no file of mode 600. The address that `mi app` opens
   carries the token, as Jupyter's does; it is put into a cookie and taken out of the address at once.

And nothing of a page comes from elsewhere, or goes there: every answer says so to the browser (`POLICY`), for a figure
that a learner's code has made may name a picture of any site.

A plain ASGI middleware, which knows nothing of Streamlit. It marks each request that it lets through, so that a page
can refuse to be shown without it (`came_through`).
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

NAMES = ("127.0.0.1", "localhost", "[::1]")
PARAMETER = "token"
# What a browser may load for a page: what this server sends, what the page holds (data:), and what it makes (blob:).
# Streamlit's pages have a script and styles of their own in them, and Plotly compiles what draws many points.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "media-src": "'self' data: blob:",
    "connect-src": "'self' data: blob:",  # and the WebSocket of the same host, which older browsers do not count to it
    "worker-src": "'self' blob:",
    "frame-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
MARK = "x-mi-guard"
_SECRET = secrets.token_hex(16)  # of this process: nobody can send what they do not know

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

NO_TOKEN = (
    "This page belongs to whoever started it. Open the address that `mi app` or `mi instructor` printed: "
    "its token opens the pages."
)


class Guard:
    """token: None where none is asked for. names: hosts that count as this computer's, besides the three usual ones."""

    def __init__(self, app: Application, *, token: str | None, names: Iterable[str] = ()) -> None:
        self.app, self.token = app, token
        self.names = {*NAMES, *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if (reason := self.foreign(scope)) is not None:
            await refuse(scope, receive, send, reason)
            return
        asked = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if self.token is not None and asked and self.has_parameter(scope):
            await self.elsewhere(scope, send, self.cookie(scope))  # with a cookie too, or the address would keep it
        elif self.token is not None and not self.has_cookie(scope):
            await refuse(scope, receive, send, NO_TOKEN)
        elif asked and any(name == PARAMETER for name, _ in parameters(scope)):
            await self.elsewhere(scope, send)  # an old one
        else:
            await self.app(marked(scope), receive, policed(scope, send))

    def foreign(self, scope: Scope) -> str | None:
        """Why the address is not one of ours, or None."""
        hosts, origins = headers(scope, b"host"), headers(scope, b"origin")
        host = hosts[0] if len(hosts) == 1 else ""
        name = re.sub(r":\d*$", "", host)
        if name not in self.names:
            return (
                f"{name[:100]!r} is not a name of this computer. If it is, say so with "
                "`--allow-host NAME` when you start the course."
            )
        if any(re.sub("^https?://", "", origin) != host for origin in origins):
            return f"The course answers its own pages alone, and not {origins[0][:100]!r}."
        return None

    def has_cookie(self, scope: Scope) -> bool:
        """Read pair by pair: a cookie that another program on this computer has set may be written anyhow."""
        pairs = (pair.partition("=") for line in headers(scope, b"cookie", lower=False) for pair in line.split(";"))
        return any(name.strip() == cookie_name(scope) and self.right(value.strip()) for name, _, value in pairs)

    def has_parameter(self, scope: Scope) -> bool:
        return any(name == PARAMETER and self.right(value) for name, value in parameters(scope))

    def right(self, given: str) -> bool:
        assert self.token is not None
        return secrets.compare_digest(given.encode(), self.token.encode())

    def cookie(self, scope: Scope) -> str:
        """The token, where no script can read it."""
        return f"{cookie_name(scope)}={self.token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={365 * 24 * 3600}"

    async def elsewhere(self, scope: Scope, send: Send, cookie: str = "") -> None:
        """To the same address without a token."""
        rest = urlencode([(name, value) for name, value in parameters(scope) if name != PARAMETER])
        asked = scope.get("raw_path", scope["path"].encode()).decode("latin-1")
        path = "/" + asked.lstrip("/\\")  # "//x" is another host, and so is "/\\x" to a browser
        sent = [(b"location", (path + ("?" + rest if rest else "")).encode("latin-1"))]
        sent += [(b"set-cookie", cookie.encode())] if cookie else []
        await send({"type": "http.response.start", "status": 303, "headers": [*sent, (b"cache-control", b"no-store")]})
        await send({"type": "http.response.body", "body": b""})


def marked(scope: Scope) -> Scope:
    """The request with our mark, and with no other."""
    kept = [(name, value) for name, value in scope["headers"] if name.lower() != MARK.encode()]
    return {**scope, "headers": [*kept, (MARK.encode(), _SECRET.encode())]}


def came_through(given: Mapping[str, str]) -> bool:
    """Whether the request with these headers was let through by a guard of this process."""
    return secrets.compare_digest(given.get(MARK, "").encode(), _SECRET.encode())


def policed(scope: Scope, send: Send) -> Send:
    """The same `send`, which tells the browser to load nothing from elsewhere, and to tell nobody of our address."""
    host = (headers(scope, b"host") or [""])[0]
    policy = {**POLICY, "connect-src": f"{POLICY['connect-src']} ws://{host} wss://{host}"}
    said = [
        (b"content-security-policy", "; ".join(" ".join(each) for each in policy.items()).encode("latin-1")),
        (b"referrer-policy", b"same-origin"),
    ]

    async def sends(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *said]}
        await send(message)

    return sends


async def refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    """403 and one sentence. A WebSocket that is closed before it was accepted is answered 403 by the server."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason[:100]})
        return
    kind = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 403, "headers": kind})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})


def headers(scope: Scope, name: bytes, lower: bool = True) -> list[str]:
    found = [value.decode("latin-1").strip() for key, value in scope["headers"] if key.lower() == name]
    return [value.lower() for value in found] if lower else found


def parameters(scope: Scope) -> list[tuple[str, str]]:
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def cookie_name(scope: Scope) -> str:
    """With the port: cookies are kept by host, and a learner's and an instructor's page may be open at once."""
    host = (headers(scope, b"host") or [""])[0]
    return f"mi-course-{(re.findall(r':([0-9]+)$', host) or ['80'])[0]}"


def own_token(folder: Path | None = None) -> str:
    """This user's token: made once, kept in a file that only this user can read.

    It stays from one start to the next, so that a page that is still open goes on.
    """
    import platformdirs

    folder = folder or platformdirs.user_state_path("mi-course")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / "token"
    try:
        found = path.read_text("ascii").strip()
        if re.fullmatch("[0-9a-f]{48}", found) and (os.name == "nt" or not path.stat().st_mode & 0o077):
            return found
        path.unlink()  # cut short, or others could read it
    except (FileNotFoundError, UnicodeDecodeError):
        path.unlink(missing_ok=True)
    made = secrets.token_hex(24)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made)
    return made
