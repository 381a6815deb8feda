"""Whatever is drawn is the same in every run of Python, though the order of a set of strings is another in each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mi_lib import probing
from mi_lib.course import files, index
from mi_lib.worlds.littletown import properties


def drawn() -> dict:
    """Sentences, cuts and meaningless labels, by the library and by the answers to the exercises of chapter 07."""
    verbs = properties.verbs("train", 200, 3)
    pairs = [verb.nouns for verb in verbs]
    own: dict = {}
    exec(compile(files.read_text(index.chapter("07").solutions_folder / "exercises.py"), "reference", "exec"), own)
    return {
        "sentences": [verb.words for verb in verbs],
        "examples": {
            name: [e.words for e in properties.examples(name, "held_out", 20, 3)] for name in ("topic", "truth")
        },
        "a cut": probing.by_combination(pairs, 0.25, seed=1).read.tolist(),
        "labels": probing.control_labels(pairs, 2, seed=4).tolist(),
        "labels of the cards": probing.control_labels(pairs, 3).tolist(),
        "names of labels": probing.numbered([first for first, _ in pairs])[1],
        "exercise 07.5": own["split"](pairs, 0.25, 1).tolist(),
        "exercise 07.6": own["control_labels"]([first for first, _ in pairs], 2, 5).tolist(),
    }


@pytest.mark.slow  # a start of Python with torch
def test_with_another_seed_of_hash_the_same_is_drawn():
    code = f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_same_everywhere as t"
    code += "; print(json.dumps([hash('keys'), t.drawn()]))"
    other = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    )
    hashed, there = json.loads(run.stdout)
    assert hashed != hash("keys")  # else the two runs would have the same order of sets
    here = json.loads(json.dumps(drawn()))
    assert [name for name in here if here[name] != there[name]] == []
