"""The folder of the dictionaries in the zoo: files in half precision, and a card with everything measured on them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mi_lib import saes, zoo
from mi_lib.recipes import cards
from mi_lib.recipes.checks import Check, verify
from mi_lib.recipes.dictionaries import checks, data, error_term, granularity
from mi_lib.recipes.dictionaries.train import (
    BATCH,
    COMMAND,
    FLAT,
    GOOD,
    MODEL,
    NAME,
    NARROW,
    OUT,
    SECONDS,
    SHIPPED,
    SPARSE,
    WIDTHS,
    K,
    Made,
    made,
    runs,
    ship,
    subject,
)

DESCRIPTION = """Sparse autoencoders of Pico's activations: a flat one and a nested one in the middle of the residual
stream, one of what the first MLP writes; and to compare them with, the flat one with another seed and at three smaller
widths. What they reconstruct is measured against bounds. What they find is counted, and there is no bound on it: at
which width a concept is one latent is a question of what somebody chose."""


def write(*, widths: bool = True) -> None:
    """Ship what was trained, measure it, compare the widths, and write the card.

    widths: whether to compare them, which takes most of the time. What was measured once is kept in `out/recipes`.
    """
    folder = zoo.HERE / NAME
    ship(folder)
    trained, (found, facts) = runs(), _measured(folder)
    table = granularity.compare() if widths else None
    passed = sum(check.passed for check in found)
    short = [check.name for check in found if not check.passed]
    cards.write(
        folder,
        title=NAME,
        text=DESCRIPTION,
        command=COMMAND,
        seed=FLAT.seed,
        recipe={
            "words": sum(len(text.words) for text in data.training_texts()),
            "batch": BATCH,
            "active_latents_by_width": K,
        },
        by_seed=[{"seed": FLAT.seed, "seconds": sum(run["seconds"] for run in trained.values()), "checks": found}],
        curves={name: run["curve"] for name, run in trained.items()},
        facts={
            "model": MODEL,
            "seeds_wanted": 1,
            "falls_short": short,
            "dictionaries": {one.name: _about(one, trained[one.name]["seconds"]) for one in SHIPPED},
            **facts,
            **({"untrained": untrained_network(), "granularity": table} if table else {}),
        },
        words=f"{passed} of {len(found)} checks hold, on texts of combinations that training left out. "
        + (f"What falls short: {', '.join(short)}. " if short else "")
        + f"The minutes are those of all {len(SHIPPED)} files.\n\n{_seeds(facts['two_seeds'])}"
        + (f"\n\n{_widths(table)}" if table else ""),
    )


def _measured(folder: Path) -> tuple[list[Check], dict[str, Any]]:
    """The checks, and what is said of error terms and of seeds; from `out/recipes` if the files are still the same."""
    files, done = cards.checksums(folder), OUT / "measured.json"
    if done.exists() and (kept := json.loads(done.read_text()))["files"] == files:
        return [Check(**check) for check in kept["checks"]], kept["facts"]
    model, opened = subject("pico"), {one: saes.load_dictionary(folder / f"{one.name}.safetensors") for one in SHIPPED}
    found = [check for one in GOOD for check in checks.reconstruction(model, one, opened[one])]
    found += [check for one in GOOD for check in checks.loss(model, one, opened[one])]
    found.append(checks.seeds_differ(opened[FLAT], opened[SECONDS[-1]]))
    x = data.activations(model, data.held_out_texts(), [FLAT.site])[FLAT.site]
    pairs = zip((*NARROW, FLAT), SECONDS, strict=True)
    facts = {
        "error_term": {one.name: error_term.measure(model, one, opened[one]) for one in GOOD},
        "two_seeds": checks.by_width({one.n_latents: (opened[one], opened[two]) for one, two in pairs}, x),
    }
    done.write_text(json.dumps({"files": files, "checks": [asdict(check) for check in found], "facts": facts}))
    return found, facts


def measure_again() -> None:
    """Measure the shipped files again, and write that into the card. Which width finds what is kept."""
    cards.put(zoo.folder(NAME), verify(NAME))


def untrained_network() -> dict[str, Any]:
    """What the training of the flat one reaches on an untrained network: the bound on FVE alone would let it pass."""
    one = made("flat", FLAT.site, FLAT.n_latents, "untrained")
    x = granularity.read("untrained", [one.site]).judge[one.site]
    sae = saes.load_dictionary(OUT / f"{one.name}.safetensors")
    f = checks.encoded(sae, x)
    return {
        "fve": round(saes.fve(x, sae.decode(f)), 4),
        "l0": round(saes.l0(f), 2),
        "dead": round(saes.dead_share(saes.density(f)), 4),
        "steps": one.steps,
    }


def _about(one: Made, seconds: float) -> dict[str, Any]:
    return {
        "site": one.site,
        "kind": one.new(2).kind,
        "latents": one.n_latents,
        "active": one.k,
        "seed": one.seed,
        "steps": one.steps,
        "learning_rate": one.lr,
        "seconds": round(seconds),
    }


def _seeds(found: dict[str, Any]) -> str:
    """What two seeds share, for people."""
    shares = [
        f"{found[str(w)]['share']:.0%} ({found[str(w)]['share_interval'][0]:.0%} to "
        f"{found[str(w)]['share_interval'][1]:.0%}) of {w:,}"
        for w in WIDTHS
    ]
    blind, widest = max(found[str(w)]["control"] for w in WIDTHS), found[str(WIDTHS[-1])]["share"]
    return (
        f"Two seeds of the flat dictionary share {', '.join(shares)} latents (one to one, cosine of at least "
        f"{checks.SAME}; random directions share {blind:.0%}). Before the widest were compared, at least "
        f"{found['expected']:.0%} was expected: that was {'right' if widest >= found['expected'] else 'wrong'}."
    )


def _widths(table: dict[str, Any]) -> str:
    """The comparison of widths, for people."""
    lines = [
        f"Of {table['concepts']} labelled concepts, how many are found (F1 ≥ {granularity.GOOD} on held-out texts) by "
        f"one latent, and by unions of up to 4 and 16; of {table['false_sets']} sets of words that have nothing in "
        f"common, by unions of up to 16; of {table['words']} single words, the share that one latent finds. In "
        f"brackets the 95 % interval over texts. Sparse: {SPARSE} active latents whatever the width; even: that, and "
        "all different words seen equally often.",
        "",
        "| site | what | latents | FVE | L0 | 1 latent | ≤ 4 | ≤ 16 | false sets, ≤ 16 | words |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for site, name in granularity.SITES.items():
        for kind in ("flat", "matryoshka", "sparse", "even", "untrained"):
            for width in WIDTHS:
                if cell := table[site].get(kind, {}).get(str(width)):
                    unions = " | ".join(_count(cell[what]) for what in
                                        ("concepts_1", "concepts_4", "concepts_16", "false_sets_16"))  # fmt: skip
                    what = "flat, untrained network" if kind == "untrained" else kind
                    lines.append(
                        f"| {name} | {what} | {width:,} | {cell['fve']:.2f} | {cell['l0']:.1f} | {unions} | "
                        f"{_share(cell['words'])} |"
                    )
        for kind in ("coordinates", "neurons"):
            cell = table[site][kind]
            lines.append(f"| {name} | {kind} | | | | {_count(cell['concepts_1'])} | | | | {_share(cell['words'])} |")
    return "\n".join(lines)


def _count(found: dict[str, Any]) -> str:
    low, high = found["found_interval"]
    return f"{found['found']} ({low:.0f} to {high:.0f})"


def _share(found: dict[str, Any]) -> str:
    return f"{found['found'] / found['of']:.0%}"
