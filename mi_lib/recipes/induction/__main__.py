"""Train the models of chapter 02, ship them and write their cards: see `mi_lib.recipes.induction.train`."""

from __future__ import annotations

import argparse
import json
from typing import Any

import torch
from rich.progress import Progress

from mi_lib.recipes.induction import card
from mi_lib.recipes.induction import train as recipe
from mi_lib.recipes.induction.train import OUT, SEEDS, STEPS, ship, train


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, choices=(1, 2), action="append", help="train these only")
    parser.add_argument("--seed", type=int, action="append", help="train these seeds only")
    parser.add_argument("--only-train", action="store_true", help="do not rewrite the zoo")
    parser.add_argument("--until", type=int, default=STEPS, help="stop at this step, and leave the zoo alone")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure, and write the cards")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        card.measure_again()
        return
    whole = options.until == STEPS
    runs: dict[int, list[dict[str, Any]]] = {}
    with Progress() as progress:
        for n_layers in options.layers or (2, 1):
            for seed in options.seed or SEEDS[n_layers]:
                folder = OUT / f"induction-{n_layers}l-seed{seed}{'' if whole else '-begun'}"
                done = folder / "run.json"
                run = train(n_layers, seed, folder, progress, options.until) if not done.exists() else None
                runs.setdefault(n_layers, []).append(run or json.loads(done.read_text()))
    if whole and not options.only_train:
        for n_layers, of_depth in runs.items():
            ship(n_layers, of_depth)
        card.write_cards(runs)


if __name__ == "__main__":
    main()
