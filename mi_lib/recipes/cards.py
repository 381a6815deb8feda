"""What every recipe does at its end: tokenizer, checksums and the model card, for programs and for people."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from mi_lib.models import difference
from mi_lib.recipes.checks import Check


def empty(folder: Path) -> None:
    """Start a zoo folder anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def ship_checkpoint(folder: Path, weights: Path) -> Path:
    """Store the weights of a step ("step_000400.safetensors") as their 8-bit difference from those of the end."""
    return difference.write(folder / "checkpoints" / weights.name, load_file(weights), folder / "model.safetensors")


def word_tokenizer(vocabulary: Sequence[str]) -> Tokenizer:
    """One token per word; token i is vocabulary[i]."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token=vocabulary[0]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    return tokenizer


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every weight and configuration file, by path inside the folder."""
    described = (file for name in ("config", "tokenizer", "vision") for file in folder.glob(f"{name}.json"))
    files = sorted([*folder.rglob("*.safetensors"), *described])
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def write(
    folder: Path,
    *,
    title: str,
    text: str,
    command: str,
    seed: int,
    recipe: dict[str, Any],
    by_seed: list[dict[str, Any]],
    curves: dict[str, list],
    facts: dict[str, Any],
    words: str,
) -> None:
    """Write card.json and README.md.

    by_seed: for each seed its time and its checks, the shipped seed first. words: a paragraph that the README has
    after the table of checks.
    """
    shipped = by_seed[0]["checks"]
    card = {
        "name": title,
        "description": " ".join(text.split()),
        "command": command,
        "seed": seed,
        "recipe": recipe,
        "seconds": by_seed[0]["seconds"],
        "made_with": {"torch": torch.__version__, "python": platform.python_version(), "machine": platform.machine()},
        "checks": {check.name: check.to_dict() for check in shipped},
        "seeds": [
            {
                "seed": run["seed"],
                "seconds": run["seconds"],
                "checks": {check.name: {"value": check.value, "passed": check.passed} for check in run["checks"]},
            }
            for run in by_seed
        ],
        **facts,
        "curves": curves,
        "sha256": checksums(folder),
    }
    (folder / "card.json").write_text(json.dumps(card, separators=(",", ":")) + "\n")
    (folder / "README.md").write_text(_words(card, by_seed, words))


def _words(card: dict[str, Any], by_seed: list[dict[str, Any]], words: str) -> str:
    """The card for people. Written by the recipe; do not edit."""
    seeds = [run["seed"] for run in by_seed]
    lines = [
        f"# {card['name']}",
        "",
        card["description"],
        "",
        f"Made by `{card['command']}`, seed {card['seed']}, in {card['seconds'] / 60:.1f} minutes on a CPU. "
        "This page is written by that command; the same figures, and the training curves, are in `card.json`. "
        "`mi zoo verify` measures them again on the shipped float16 weights.",
        "",
        "| check | bound | " + " | ".join(f"seed {s}" for s in seeds) + " | control | what the control is |",
        "|---|---|" + "---|" * len(seeds) + "---|---|",
    ]
    for i, check in enumerate(by_seed[0]["checks"]):
        lines.append(_row(check, [_value(run["checks"][i]) for run in by_seed]))
    lines += [
        "",
        words,
        "",
        "Recipe: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in card["recipe"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"


def _row(check: Check, values: list[str]) -> str:
    bound = f"{'≥' if check.at_least else '≤'} {check.bound:.3g}"
    return f"| {check.claim} | {bound} | {' | '.join(values)} | {check.control:.3g} | {check.control_is} |"


def put(folder: Path, measured: Sequence[Check]) -> None:
    """Write what was measured on the shipped files anew, and their checksums, into a card; the rest stays as it is."""
    card, page = json.loads((folder / "card.json").read_text()), (folder / "README.md").read_text().splitlines()
    for check in measured:
        card["checks"][check.name] = check.to_dict()
        card["seeds"][0]["checks"][check.name] = {"value": check.value, "passed": check.passed}
        at = next(i for i, line in enumerate(page) if line.startswith(f"| {check.claim} |"))
        other_seeds = page[at].split(" | ")[3:-2]
        page[at] = _row(check, [_value(check), *other_seeds])
    card["sha256"] = checksums(folder)
    (folder / "card.json").write_text(json.dumps(card, separators=(",", ":")) + "\n")
    (folder / "README.md").write_text("\n".join(page) + "\n")


def _value(check: Check) -> str:
    """The value, its 95 % bootstrap interval where there is one, and a cross if it misses its bound."""
    interval = "" if check.low is None or check.high is None else f" ({check.low:.3g} to {check.high:.3g})"
    return f"{check.value:.3g}{interval}{'' if check.passed else ' ✗'}"
