"""The scripts that every page brings are one component, and each of them begins."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from app import everywhere


def begun(folder, **scripts: str) -> str:
    """What is printed when these scripts, put together, begin in Node."""
    names = tuple(f"{name}.js" for name in scripts)
    for name, text in scripts.items():
        (folder / f"{name}.js").write_text(text)
    file = folder / "all.mjs"
    file.write_text(everywhere._together(names, folder) + "\n")
    call = f"import begin from {json.dumps(file.as_uri())}; begin({{ data: {{ address: '/here' }} }})"
    command = [shutil.which("node"), "--input-type=module", "-e", call]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not here")
def test_each_begins_with_names_of_its_own_and_one_that_fails_does_not_stop_the_others(tmp_path):
    first = "const NAME = 'first'\nexport default function () { console.log(NAME) }"
    broken = "export default function () { throw new Error('broken') }"
    last = "const NAME = 'last'\nexport default function (component) { console.log(NAME, component.data.address) }"
    assert begun(tmp_path, first=first, broken=broken, last=last).split() == ["first", "last", "/here"]


@pytest.mark.parametrize("name", everywhere.SCRIPTS)
def test_every_script_of_the_course_can_be_put_together(name):
    """It ends with what begins it, and imports nothing: of two that are put together, none could."""
    text = (everywhere.HERE / name).read_text("utf-8")
    assert text.count("export") == text.count("export default function") == 1
    assert not [line for line in text.splitlines() if line.startswith("import ")]
    assert text.rstrip().endswith("}")
