"""Two circuits side by side, counted by hand; and the script that puts found heads beside published ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from circuits_subjects import save_gpt2

from mi_lib.circuits import GPT2_SMALL, Alone, against_published, compare_circuits
from mi_lib.circuits.roles import ROLES
from mi_lib.models.graph import head_of

ROOT = Path(__file__).resolve().parents[2]


def test_precision_and_recall_are_shares_of_the_found_and_of_the_truth():
    got = compare_circuits("abcx", "abde")
    assert (got.both, got.missing, got.added) == (set("ab"), set("de"), set("cx"))
    assert (got.precision, got.recall) == (2 / 4, 2 / 4)
    got = compare_circuits("abc", "abde", unjudged="ce")
    assert (got.precision, got.recall) == (1, 2 / 3)
    assert str(got) == "precision 1.00, recall 0.67"


def test_by_behaviour_each_is_run_alone_with_what_is_not_judged():
    F = Alone(
        frozenset("abcde"), lambda parts: torch.full((1, 1, 1), float(len(parts))), lambda logits: logits[:, 0, 0]
    )
    got = compare_circuits("abc", "abde", unjudged="ce", F=F)
    assert (got.found_alone.share, got.truth_alone.share) == (3 / 5, 4 / 5)
    assert str(got).endswith("alone it keeps 0.60 of the answer, the other 0.80")


def test_the_published_heads_are_those_of_the_paper_and_lie_in_gpt2_small():
    assert set(GPT2_SMALL) == set(ROLES)
    every = [head_of(head) for heads in GPT2_SMALL.values() for head in heads]
    assert len(every) == len(set(every)) == 26
    assert all(layer < 12 and head < 12 for layer, head in every)
    rows = {row.role: row for row in against_published({"name mover": ("a9.h9", "a3.h1"), "induction": ()})}
    assert rows["name mover"].both == ("a9.h9",)
    assert rows["name mover"].missing == ("a9.h6", "a10.h0")
    assert rows["name mover"].added == ("a3.h1",)
    assert rows["previous token"].missing == GPT2_SMALL["previous token"]


@pytest.mark.parametrize("prompts", [30])
def test_the_script_runs_on_a_random_gpt2_in_a_folder_and_finds_none(tmp_path, prompts):
    folder = save_gpt2(tmp_path)
    script = ROOT / "scripts" / "ioi_on_gpt2.py"
    done = subprocess.run(
        [sys.executable, script, folder, "--prompts", str(prompts)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "30 prompts of 14 tokens in 15 templates"
    assert lines[2].split() == ["role", "found", "and", "published", "published", "alone", "found", "alone"]
    assert [line[:18].strip() for line in lines[3:]] == list(ROLES)
    assert all(line[18:].split()[0] == "none" and line.endswith("none") for line in lines[3:])
    assert "9.9, 10.0" in done.stdout or "9.6, 9.9, 10.0" in done.stdout
