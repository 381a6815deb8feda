"""`mi app` and `mi instructor`: serve the pages on this computer, and open the browser when they answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from mi_lib.course import renewal
from mi_lib.course.guard import PARAMETER, own_token
from mi_lib.course.index import CourseError
from mi_lib.course.workspace import Workspace

HOST = "127.0.0.1"
LOOK = 1.0  # seconds from one look at the course's files to the next


def run(
    workspace: Workspace, port: int, open_browser: bool = True, token: bool = True, names: Sequence[str] = ()
) -> int:
    """Serve until Ctrl-C. Returns the exit code. Raises `CourseError` if the port is taken or the pages are missing.

    token: whether the address carries one (see `guard`). names: hosts that count as this computer's besides the usual.
    """
    said = f"(Ctrl-C ends it). Your answers are in {workspace.path}."
    page = {"MI_PAGE": "main.py", "MI_WORKSPACE": str(workspace.path)}
    return _serve("The course", page, port, open_browser, token, names, said)


def run_instructor(
    gradebook: Path, port: int, open_browser: bool = True, token: bool = True, names: Sequence[str] = ()
) -> int:
    """Serve the instructor's page of a gradebook until Ctrl-C. As `run`."""
    said = f"(Ctrl-C ends it). Its gradebook is {gradebook}."
    page = {"MI_PAGE": "instructor.py", "MI_GRADEBOOK": str(gradebook)}
    return _serve("The class", page, port, open_browser, token, names, said)


@contextmanager
def running(workspace: Path, seconds: float = 60.0, token: bool = False) -> Iterator[tuple[str, int]]:
    """The pages of a workspace, served on a free port by a process of their own: its address and its number.

    It ends with the block. token: whether they are only shown to who has it (see `guard`). TimeoutError if it does not
    answer in so many seconds.
    """
    with _running(["app"], {"MI_WORKSPACE": str(workspace)}, seconds, token) as found:
        yield found


@contextmanager
def running_instructor(gradebook: Path, seconds: float = 60.0, token: bool = False) -> Iterator[tuple[str, int]]:
    """The instructor's page of a gradebook, as `running`."""
    with _running(["instructor", str(gradebook)], {}, seconds, token) as found:
        yield found


@contextmanager
def _running(
    command: Sequence[str], variables: dict[str, str], seconds: float, token: bool
) -> Iterator[tuple[str, int]]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "mi_lib.cli", *command, "--port", str(port), "--no-browser"]
    line += [] if token else ["--no-token"]
    variables = {**variables, "PYTHONPATH": str(Path(__file__).parents[2])}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(line, env=os.environ | variables, stdout=quiet, stderr=quiet)
    try:
        _wait_for(port, seconds)
        yield _url(port), server.pid
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(port: int, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(_url(port), timeout=1).read()
            return
        except urllib.error.HTTPError:  # it answers, if only to say that the token is missing
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"the server of the pages did not answer in {seconds:g} seconds at {_url(port)}")


def _serve(
    what: str,
    variables: dict[str, str],
    port: int,
    open_browser: bool,
    token: bool,
    names: Sequence[str],
    said: str,
) -> int:
    _claim(port)
    folder = Path(__file__).parents[2] / "app"
    if not (folder / variables["MI_PAGE"]).exists():
        missing = folder / variables["MI_PAGE"]
        raise CourseError(f"{missing} is missing. Install the course from its clone with `pip install -e .`.")
    url = f"{_url(port)}/?{PARAMETER}={own_token()}" if token else _url(port)
    click.echo(f"{what} is at {url} {said}")
    variables = variables | {"MI_HOSTS": " ".join(names), "MI_NO_TOKEN": "" if token else "1"}
    # Streamlit reads .streamlit/config.toml (theme, toolbar) from the folder in which it starts.
    command = [sys.executable, "-m", "streamlit", "run", str(folder / "guarded.py"), *_flags(port)]

    def started() -> subprocess.Popen[Any]:
        return subprocess.Popen(command, env=os.environ | variables, cwd=folder.parent)

    def when_ready(server: subprocess.Popen[Any]) -> None:
        if open_browser:
            threading.Thread(target=_open_when_ready, args=(url, port, server), daemon=True).start()

    return _kept_up(started, when_ready, renewal.FOLDERS)


def _kept_up(
    started: Callable[[], subprocess.Popen[Any]],
    when_first: Callable[[subprocess.Popen[Any]], None],
    folders: Sequence[Path],
) -> int:
    """Keep a server up until it ends or is ended; the exit code. It is started anew when the course changes on disk.

    One that does not start anew waits for the next change: a pull with conflicts leaves files that do not run, for a
    while.

    started: starts it. when_first: is called with the first one. folders: in which the course's own code lies.
    """
    ended = threading.Event()
    code, anew = renewal.stamp(folders), False
    server = started()

    def end(*_: Any) -> None:
        ended.set()
        server.terminate()

    signal.signal(signal.SIGTERM, end)
    when_first(server)
    try:
        while True:
            if _ends_before_a_change(server, code, folders, ended):
                status = max(server.wait(), 0)  # a server ended by a signal was ended on purpose
                if ended.is_set() or not (anew and status):
                    return status
                click.echo(
                    "The pages could not begin anew: what stands above says which file. Probably it is half of two "
                    "versions (`git status` lists such files). They are tried again when a file of the course changes."
                )
                while renewal.stamp(folders) == code:
                    if ended.wait(LOOK):
                        return 0
            code, anew = renewal.wait_until_quiet(folders), True
            click.echo("The course itself has changed on disk, so its pages begin anew.")
            server.terminate()
            server.wait()
            if ended.is_set():
                return 0
            server = started()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0


def _ends_before_a_change(
    server: subprocess.Popen[Any], code: int, folders: Sequence[Path], ended: threading.Event
) -> bool:
    """Wait for whichever comes first: the server's end (True), or another stamp of the course's files (False)."""
    while True:
        try:
            server.wait(timeout=LOOK)
            return True
        except subprocess.TimeoutExpired:
            if ended.is_set():
                server.terminate()  # the signal may have come as this one was started
            elif renewal.stamp(folders) != code:
                return False


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _flags(port: int) -> list[str]:
    # Headless: Streamlit would otherwise ask for an e-mail address on its first start. We open the browser ourselves.
    return [
        f"--server.address={HOST}",
        f"--server.port={port}",
        "--server.headless=true",
        "--browser.gatherUsageStats=false",
    ]


def _claim(port: int) -> None:
    if not 1 <= port <= 65535:
        raise CourseError(f"{port} is not a port. Choose one from 1024 to 65535, for example `mi app --port 9000`.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CourseError(
                f"Port {port} cannot be used ({error.strerror}). Is the course open already, at http://{HOST}:{port}? "
                f"Else take another port: `mi app --port {port + 1}` or `make learn PORT={port + 1}`."
            ) from error


def _open_when_ready(url: str, port: int, server: subprocess.Popen[Any]) -> None:
    for _ in range(150):
        if server.poll() is not None:
            return
        try:
            with socket.create_connection((HOST, port), timeout=1):
                break
        except OSError:
            time.sleep(0.2)
    webbrowser.open(url)
