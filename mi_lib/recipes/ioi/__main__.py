"""Train the IOI network, ship it and write its card: see `mi_lib.recipes.ioi.train`."""

from __future__ import annotations

import argparse
import json

import torch
from rich.progress import Progress

from mi_lib import zoo
from mi_lib.recipes.ioi import card
from mi_lib.recipes.ioi import train as recipe
from mi_lib.recipes.ioi.train import NAME, OUT, SEEDS, ship, train


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, action="append", help="train these seeds only")
    parser.add_argument("--only-train", action="store_true", help="do not rewrite the zoo")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure what is shipped, for its card")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        card.measure_again()
        return
    runs = []
    with Progress() as progress:
        for seed in options.seed or SEEDS:
            folder = OUT / f"{NAME}-seed{seed}"
            done = folder / "run.json"
            runs.append(json.loads(done.read_text()) if done.exists() else train(seed, folder, progress))
    if options.only_train or options.seed:  # the card is of all seeds
        return
    ship(SEEDS[0], zoo.HERE / NAME)
    card.write(runs)


if __name__ == "__main__":
    main()
