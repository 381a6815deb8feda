"""A server of the pages for tests and benchmarks."""

from __future__ import annotations

import pytest

from mi_lib.course import Workspace, serve


def test_a_server_that_does_not_answer_in_time_is_ended_and_told(tmp_path, monkeypatch):
    started = []
    real = serve.subprocess.Popen
    monkeypatch.setattr(
        serve.subprocess, "Popen", lambda *given, **more: started.append(real(*given, **more)) or started[0]
    )
    with (
        pytest.raises(TimeoutError, match="did not answer in 0 seconds"),
        serve.running(Workspace.init(tmp_path / "work").path, seconds=0),
    ):
        pass
    assert started[0].poll() is not None
