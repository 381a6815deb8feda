"""The card of the model of chapter 01."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from transformers import GPT2LMHeadModel

from mi_lib import zoo
from mi_lib.recipes import cards
from mi_lib.recipes.repeats_gpt2 import checks
from mi_lib.recipes.repeats_gpt2.train import (
    BATCH,
    COMMAND,
    HELD_OUT_PERIOD,
    LEARNING_RATE,
    NAME,
    PERIODS,
    SEEDS,
    STEPS,
    WEIGHT_DECAY,
    config,
    load_run,
)

DESCRIPTION = """A small GPT-2: two layers, d_model 128, four heads, learned positions, LayerNorm, tied embeddings. It
was trained on random words and their repeats. It continues blocks of the lengths that it was trained on, but not blocks
of seven words, which were left out: it counts distances. Chapter 01 builds it again from nothing."""


def sizes() -> dict[str, Any]:
    """What the lesson says about the network."""
    made = config()
    return {
        "n_layers": made.n_layer,
        "d_model": made.n_embd,
        "d_vocab": made.vocab_size,
        "parameters": GPT2LMHeadModel(made).num_parameters(),
        "guessing": math.log(made.vocab_size),
    }


def write(runs: Sequence[dict[str, Any]]) -> None:
    """Measure what is shipped, and the other seeds. runs: what training wrote of each seed, the shipped one first."""
    by_seed = [
        {"seed": run["seed"], "seconds": round(run["seconds"]), "checks": checks.measure(load_run(run["seed"]))}
        for run in runs
    ]
    known, unknown = (checks.losses(load_run(SEEDS[0]), period) for period in (checks.KNOWN_PERIODS, HELD_OUT_PERIOD))
    cards.write(
        zoo.HERE / NAME,
        title=NAME,
        text=DESCRIPTION,
        command=COMMAND,
        seed=SEEDS[0],
        recipe={
            "steps": STEPS,
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "block_lengths": list(PERIODS),
        },
        by_seed=by_seed,
        curves=runs[0]["curves"],
        facts={
            "losses": {"first": known[0], "second": known[1]},
            "bet_on_seen_words": checks.bet_on_seen_words(load_run(SEEDS[0])),
            "losses_of_seven": {"first": unknown[0], "second": unknown[1]},
            **sizes(),
        },
        words=f"Loss on first copies {known[0]:.3f}, on later copies {known[1]:.3f} nats per token; for blocks of "
        f"{HELD_OUT_PERIOD} words {unknown[0]:.3f} and {unknown[1]:.3f} (seed {SEEDS[0]}).",
    )
