"""axe-core comes from npm: where it could have come and did not, CI fails; where there is no way to npm, it is said."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from test_accessibility import need_axe

SCRIPT = Path(__file__).parents[2] / "scripts" / "axe.sh"
PACKS = """tgz=$(mktemp -d); mkdir $tgz/package; echo 'axe = 1' > $tgz/package/NAME
tar -czf axe-core.tgz -C $tgz package; rm -r $tgz"""
NPM = {  # what npm does: in `npm pack`, in `npm ping`
    "it comes": (PACKS.replace("NAME", "axe.min.js"), "true"),
    "it is empty": (PACKS.replace("NAME", "other.js"), "true"),
    "it is refused": ("echo 'npm error 404 no such version' >&2; exit 1", "true"),
    "no network": ("exit 1", "exit 1"),
}


def fetched(folder: Path, npm: str | None) -> str:
    """What `scripts/axe.sh` says, with this npm (or none) and the few programs that it needs."""
    programs = folder / "programs"
    programs.mkdir()
    for name in ("bash", "cat", "echo", "mkdir", "mktemp", "mv", "rm", "tar", "gzip", "tee", "tail"):
        found = next(p for p in (Path(f"/bin/{name}"), Path(f"/usr/bin/{name}")) if p.exists())
        (programs / name).symlink_to(found)
    if npm:
        pack, ping = NPM[npm]
        (programs / "npm").write_text(f'#!/usr/bin/env bash\nif [ "$1" = ping ]; then {ping}; exit; fi\n{pack}\n')
        (programs / "npm").chmod(0o755)
    line = [str(programs / "bash"), str(SCRIPT), str(folder / "axe")]
    done = subprocess.run(line, env=os.environ | {"PATH": str(programs)}, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("npm", "says", "in_ci"),
    [
        (None, "There is no npm", "skipped"),
        ("no network", "does not answer", "skipped"),
        ("it is refused", "404 no such version", "failed"),
        ("it is empty", "has no axe.min.js", "failed"),
    ],
)
def test_why_axe_is_absent_is_said_and_decides_what_ci_makes_of_it(tmp_path, monkeypatch, npm, says, in_ci):
    assert says in fetched(tmp_path, npm)
    outcomes = {"skipped": pytest.skip.Exception, "failed": pytest.fail.Exception}
    monkeypatch.setenv("CI", "1")
    with pytest.raises(outcomes[in_ci], match=says):
        need_axe(tmp_path / "axe")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=says):
        need_axe(tmp_path / "axe")


def test_in_ci_it_must_have_been_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="make axe"):
        need_axe(tmp_path)


def test_it_is_kept_and_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "1")
    assert fetched(tmp_path, "it comes") == ""
    assert len(list((tmp_path / "axe").iterdir())) == 1
    need_axe(tmp_path / "axe")
