"""One server of the pages and one Chromium for all page tests, each test with a workspace of its own state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from looking import ARGUMENTS, against_the_policy, chromium


@pytest.fixture(autouse=True)
def _patient(monkeypatch, scanned_once):
    """A page that is drawn in this process waits until its network is open: nothing would draw it again."""
    monkeypatch.setattr("app.opening.PATIENCE", 60)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory) -> Path:
    from mi_lib.course import Workspace

    path = tmp_path_factory.mktemp("pages") / "work"
    Workspace.init(path)
    return path


@pytest.fixture(scope="session")
def pico_like(tmp_path_factory) -> Path:
    """The folder of a small random network that has Pico's tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from mi_lib.recipes.pico.data import tokenizer

    words = tokenizer()
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 256, "initializer_range": 0.3}
    torch.manual_seed(0)
    made = GPT2LMHeadModel(GPT2Config(vocab_size=len(words), bos_token_id=2, eos_token_id=6, **sizes))
    path = tmp_path_factory.mktemp("zoo") / "pico-like"
    made.save_pretrained(path)
    words.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def server(workspace):
    """The address of a running server."""
    from mi_lib.course import serve

    with serve.running(workspace) as (url, _):
        yield url


@pytest.fixture(scope="session")
def browser():
    path = chromium()
    if path is None:
        reason = "no Chromium was found, so the pages cannot be tested here; install one (Debian: chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser, server):
    """A page that remembers which addresses it asked for and what went wrong in its console."""
    made = browser.new_page(base_url=server, viewport={"width": 1280, "height": 1000})
    made.set_default_timeout(60_000)
    made.asked, made.errors = [], []
    made.on("request", lambda request: made.asked.append(request.url))
    made.on("pageerror", lambda error: made.errors.append(str(error)))
    made.on("console", lambda said: made.errors.extend(against_the_policy(said.text)))
    yield made
    made.close()
