"""Nobody else's page: foreign names, foreign pages and other people on this computer, tried with raw requests."""

from __future__ import annotations

import http.client
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_lib.course import Workspace, serve
from mi_lib.course.guard import MARK, Guard, came_through, own_token

TOKEN = "0123456789abcdef" * 3
HOST = "127.0.0.1:8501"
COOKIE = f"mi-course-8501={TOKEN}"


def finished(coroutine) -> None:
    """Run what waits for nothing. (Not by an event loop: the browser's tests have one, and it is running.)"""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def ask(guard: Guard, kind: str = "http", path: str = "/", query: str = "", method: str = "GET", **headers: str):
    """The status, headers and text of an answer. A WebSocket that is accepted counts as 101."""
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "websocket.connect" if kind == "websocket" else "http.request", "body": b""}

    async def send(message: dict) -> None:
        sent.append(message)

    lines = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": kind, "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": lines}
    finished(guard(scope | {"method": method}, receive, send))
    if sent[0]["type"] == "websocket.close":
        return 403, {}, sent[0]["reason"]
    if sent[0]["type"] == "websocket.accept":
        return 101, {}, ""
    found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], found, sent[1]["body"].decode()


async def pages(scope, receive, send) -> None:
    """What is guarded: it answers everybody."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a page"})


guarded = Guard(pages, token=TOKEN)
open_to_all = Guard(pages, token=None, names=["Lab.Example"])


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_foreign_host_is_refused_even_with_the_token_and_an_origin_that_fits(kind):
    status, _, text = ask(guarded, kind, host="evil.example:8501", origin="http://evil.example:8501", cookie=COOKIE)
    assert status == 403
    assert "not a name of this computer" in text


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:9999", "http://localhost:8501", "null"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("guard", [guarded, open_to_all], ids=["token", "no token"])
def test_a_foreign_page_is_refused_and_so_is_another_port_of_this_computer(guard, kind, origin):
    assert ask(guard, kind, host=HOST, origin=origin, cookie=COOKIE)[0] == 403


@pytest.mark.parametrize(("kind", "status"), [("http", 200), ("websocket", 101)])
@pytest.mark.parametrize("host", [HOST, "localhost:8501", "[::1]:8501", "LOCALHOST:8501"])
def test_the_usual_names_pass_with_the_cookie(kind, status, host):
    assert ask(guarded, kind, host=host, origin=f"http://{host}", cookie=f"a=b; {COOKIE}")[0] == status


def test_a_name_that_the_user_has_added_passes():
    assert ask(open_to_all, host="lab.example:8501")[0] == 200
    assert ask(open_to_all, host="lab.example.evil:8501")[0] == 403


@pytest.mark.parametrize(
    "headers",
    [{}, {"host": ""}, {"host": "127.0.0.1.evil.example"}, {"host": "127.0.0.1:8501@evil.example"}, {"host": "::1"}],
)
def test_a_host_that_is_missing_or_only_looks_like_ours_is_refused(headers):
    assert ask(open_to_all, **headers)[0] == 403


def test_every_answer_tells_the_browser_to_load_nothing_from_elsewhere():
    _, headers, _ = ask(guarded, host=HOST, cookie=COOKIE)
    policy = dict(each.split(" ", 1) for each in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == "'self'"
    places = {place for name, said in policy.items() for place in said.split() if name != "connect-src"}
    assert places == {"'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "blob:", "data:"}
    assert set(policy["connect-src"].split()) == {"'self'", "data:", "blob:", f"ws://{HOST}", f"wss://{HOST}"}


def test_a_request_is_marked_by_the_guard_alone():
    seen = []

    async def looks(scope, receive, send) -> None:
        seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await pages(scope, receive, send)

    ask(Guard(looks, token=None), host=HOST, **{MARK: "mine"})
    assert came_through(seen[0])
    assert not came_through({"host": HOST})
    assert not came_through({"host": HOST, MARK: "mine"})


def test_two_hosts_are_refused():
    sent = []

    async def send(message) -> None:
        sent.append(message)

    lines = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    scope = {"type": "http", "path": "/", "query_string": b"", "headers": lines, "method": "GET"}
    finished(open_to_all(scope, None, send))
    assert sent[0]["status"] == 403


@given(st.text(max_size=60))
def test_nothing_but_the_token_is_taken_for_it(given):
    value = given.encode("utf-8", "surrogatepass").decode("latin-1").replace("\n", "").replace("\r", "")
    assert ask(guarded, host=HOST, cookie=f"mi-course-8501={value}")[0] == 403


@pytest.mark.parametrize(
    "path", ["/", "/chapter", "/library.json", "/_stcore/upload_file/a/b", "/media/x.png", "/static/index.js"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_without_the_token_every_path_and_method_is_refused(path, method):
    status, _, text = ask(guarded, path=path, method=method, host=HOST)
    assert status == 403
    assert "belongs to whoever started it" in text


def test_a_websocket_without_the_cookie_is_refused_whatever_its_address_says():
    assert ask(guarded, "websocket", query=f"token={TOKEN}", host=HOST, origin=f"http://{HOST}")[0] == 403


def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address():
    status, headers, _ = ask(guarded, path="/chapter", query=f"chapter=02&token={TOKEN}&step=3", host=HOST)
    assert status == 303
    assert headers["location"] == "/chapter?chapter=02&step=3"
    assert headers["set-cookie"].startswith(f"{COOKIE};")
    assert "HttpOnly" in headers["set-cookie"]


def test_the_token_leaves_the_address_of_who_has_the_cookie_already():
    status, headers, _ = ask(guarded, path="/chapter", query=f"token={TOKEN}&step=3", host=HOST, cookie=COOKIE)
    assert status == 303
    assert headers["location"] == "/chapter?step=3"


@pytest.mark.parametrize("guard", [guarded, open_to_all], ids=["token", "no token"])
@pytest.mark.parametrize("old", ["f" * 48, ""])
def test_an_old_token_leaves_the_address_of_who_may_come_in(guard, old):
    status, headers, _ = ask(guard, path="/chapter", query=f"chapter=02&token={old}", host=HOST, cookie=COOKIE)
    assert status == 303
    assert headers["location"] == "/chapter?chapter=02"
    assert "set-cookie" not in headers


def test_an_old_token_opens_nothing():
    assert ask(guarded, query=f"token={'f' * 48}", host=HOST)[0] == 403


def test_what_is_sent_is_not_asked_for_again_without_its_token():
    """A redirect would lose what a POST carries."""
    assert ask(open_to_all, query="token=old", method="POST", host=HOST)[0] == 200


def test_the_redirect_stays_here():
    for path in ("//evil.example/x", "/\\evil.example/x", "/\\/evil.example/x"):  # a browser reads \ as /
        assert ask(guarded, path=path, query=f"token={TOKEN}", host=HOST)[1]["location"] == "/evil.example/x"


@pytest.mark.parametrize("theirs", ["a[b]=1", 'x={"a": 1, "b": "c"}', 'y="', "=", "no sign", "ü=é"])
def test_the_cookies_of_other_programs_on_this_computer_lock_nobody_out(theirs):
    """Cookies are kept by host and not by port, and any program may have set some, written anyhow."""
    for line in (f"{theirs}; {COOKIE}", f"{COOKIE}; {theirs}"):
        assert ask(guarded, host=HOST, cookie=line)[0] == 200
    assert ask(guarded, host=HOST, cookie=f"{theirs}; x{COOKIE}")[0] == 403


def test_the_cookie_of_another_port_is_not_ours():
    assert ask(guarded, host="127.0.0.1:9000", cookie=COOKIE)[0] == 403


# --- the token's file -------------------------------------------------------------------------------------------------


def test_the_token_stays_from_one_start_to_the_next(tmp_path):
    assert own_token(tmp_path / "new") == own_token(tmp_path / "new")
    assert own_token(tmp_path / "other") != own_token(tmp_path / "new")


@pytest.mark.skipif(os.name == "nt", reason="this system keeps no file modes")
def test_the_token_is_made_anew_where_others_could_read_it(tmp_path):
    first = own_token(tmp_path)
    path: Path = tmp_path / "token"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    assert own_token(tmp_path) != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", [b"", b"abc", b"\xff\xfe"])
def test_a_damaged_token_is_replaced(tmp_path, damage):
    own_token(tmp_path)
    (tmp_path / "token").write_bytes(damage)
    assert len(own_token(tmp_path)) == 48


# --- the servers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Of a server of the learner's pages that asks for its token."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home))
        with serve.running(Workspace.init(home / "work").path, token=True) as (url, _):
            yield int(url.rsplit(":", 1)[1]), own_token(home / "mi-course")


def answer(port: int, path: str, method: str = "GET", **headers: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    found = connection.getresponse()
    text = found.read().decode("utf-8", "replace")
    connection.close()
    return found.status, text, found.headers.get("set-cookie", "")


def open_socket(port: int, host: str, **headers: str) -> str:
    """The status of a WebSocket's handshake."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    handshake = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    handshake.append("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    request = "\r\n".join(["GET /_stcore/stream HTTP/1.1", f"Host: {host}", *handshake, *lines, "", ""])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.sendall(request.encode())
        return raw.recv(64).decode().split()[1]


PATHS = [
    "/",
    "/chapter",
    "/library.json",
    "/_stcore/health",
    "/_stcore/host-config",
    "/media/x",
    "/component/x/y",
    "/static/x.js",
]


@pytest.mark.parametrize("path", [*PATHS, "/vendor/x", "/_stcore/upload_file/a/b", "/nothing"])
def test_the_server_shows_nobody_else_a_path(port, path):
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert answer(port[0], path, method)[0] == 403
        assert answer(port[0], path, method, Host="evil.example")[0] == 403


def test_the_server_opens_to_who_has_its_address(port):
    number, token = port
    status, _, cookie = answer(number, f"/?token={token}")
    assert status == 303
    cookie = cookie.split(";")[0]
    status, text, _ = answer(number, "/", Cookie=cookie)
    assert status == 200
    assert "<html" in text.lower()
    host = f"127.0.0.1:{number}"
    assert open_socket(number, host, Origin=f"http://{host}", Cookie=cookie) == "101"
    assert open_socket(number, host, Origin=f"http://{host}") == "403"
    assert open_socket(number, host, Origin="http://evil.example", Cookie=cookie) == "403"
    assert open_socket(number, "evil.example", Origin="http://evil.example", Cookie=cookie) == "403"


def test_a_page_that_waits_names_the_part_of_the_script_that_draws_its_figures(port):
    """A file that is there. A page that waits for nothing names none, and nobody else is told."""
    number, token = port
    cookie = answer(number, f"/?token={token}")[2].split(";")[0]

    def named(path: str, **headers: str) -> list[str]:
        connection = http.client.HTTPConnection("127.0.0.1", number, timeout=20)
        connection.request("GET", path, headers=headers)
        return re.findall(r"<(.+?)>; rel=modulepreload", connection.getresponse().headers.get("link", ""))

    assert not named("/explore-oracle")
    (part,) = named("/explore-oracle", Cookie=cookie)  # in a new server Pico is not there yet
    assert answer(number, part, Cookie=cookie)[0] == 200
    assert not named("/", Cookie=cookie)


def told(port: int, **headers: str) -> tuple[list[str], list[str]]:
    """What a page sends to a browser that opens it: the kinds of its elements, and the texts of its complaints."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect

    kinds, errors = [], []
    with connect(f"ws://127.0.0.1:{port}/_stcore/stream", additional_headers=headers, max_size=None) as socket:
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        socket.send(asked.SerializeToString())
        while True:
            message = ForwardMsg.FromString(socket.recv(timeout=30))
            if message.WhichOneof("type") == "script_finished":
                return kinds, errors
            if message.WhichOneof("type") == "delta" and message.delta.WhichOneof("type") == "new_element":
                element = message.delta.new_element
                kinds.append(element.WhichOneof("type"))
                errors += [element.alert.body] if element.HasField("alert") else []


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command"), [("main.py", "mi app"), ("instructor.py", "mi instructor")])
def test_a_page_that_is_started_by_hand_shows_nothing_but_how_to_start_it(tmp_path, page, command):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    app = Path(__file__).parents[2] / "app"
    line = [sys.executable, "-m", "streamlit", "run", str(app / page), *serve._flags(number)]
    # Variables that the guarded server has been given, too: they are no guard.
    given = {"MI_WORKSPACE": str(tmp_path / "work"), "MI_GRADEBOOK": str(tmp_path), "MI_PAGE": page, "MI_NO_TOKEN": "1"}
    quiet = subprocess.DEVNULL
    by_hand = subprocess.Popen(line, env=os.environ | given, cwd=app.parent, stdout=quiet, stderr=quiet)
    try:
        serve._wait_for(number, 60)
        kinds, errors = told(number, **{MARK: "let-me-in"})
    finally:
        by_hand.terminate()
        by_hand.wait(timeout=20)
    assert kinds == ["alert"]
    assert command in errors[0]


def test_the_same_page_is_shown_behind_its_guard(port):
    """The control."""
    number, token = port
    kinds, errors = told(number, Cookie=f"mi-course-{number}={token}")
    assert "heading" in kinds
    assert errors == []


@pytest.mark.parametrize("token", [True, False])
def test_the_instructors_page_stands_behind_the_same_guard(tmp_path, monkeypatch, capsys, token):
    started = []

    class Server:
        def __init__(self, command, env, cwd):
            started.append((command, env))

        def wait(self, timeout=None):
            return 0

        def terminate(self):
            pass

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(serve.subprocess, "Popen", Server)
    monkeypatch.setattr(serve.signal, "signal", lambda *_: None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    assert serve.run_instructor(tmp_path / "grades", number, open_browser=False, token=token, names=["lab"]) == 0
    command, env = started[0]
    assert command[4].endswith("guarded.py")
    assert env["MI_PAGE"] == "instructor.py"
    assert env["MI_HOSTS"] == "lab"
    assert ("?token=" in capsys.readouterr().out) == token == (not env["MI_NO_TOKEN"])
