"""Train the networks that see scenes, ship them and write their card: see `mi_lib.recipes.sight.train`."""

from __future__ import annotations

import argparse
import json

import torch
from rich.progress import Progress

from mi_lib.recipes.sight import card
from mi_lib.recipes.sight import train as recipe
from mi_lib.recipes.sight.train import SEEDS, folder_of, ship, train


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help="train these seeds only")
    parser.add_argument("--only-train", action="store_true", help="do not rewrite the zoo")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure what is shipped, for its card")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        card.measure_again()
        return
    runs = []
    with Progress() as progress:
        for seed in options.seed or SEEDS:
            done = folder_of(seed) / "run.json"
            runs.append(json.loads(done.read_text()) if done.exists() else train(seed, folder_of(seed), progress))
    if not options.only_train:
        ship(runs)
        card.write(runs)


if __name__ == "__main__":
    main()
