"""Train Pico's oracle and the relatives with a secret, ship them and measure their cards: see `train`."""

from __future__ import annotations

import argparse

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mi_lib.recipes.oracles import card, sealed
from mi_lib.recipes.oracles import train as recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "sealed", "ship", "describe", "ship-sealed", "measure", "compare"])
    parser.add_argument("--how", choices=list(recipe.PLANS), default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what == "ship-sealed":
        card.ship_sealed()
        return
    if given.what in ("ship", "describe", "measure", "compare"):
        getattr(card, given.what)()
        return
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                   TimeRemainingColumn())  # fmt: skip
    with bar as progress:
        if given.what == "train":
            recipe.train(given.how, given.seed, progress)
        else:
            for number in progress.track((sealed.KEEPER, *sealed.HELD), description="relatives"):
                sealed.train(number)


if __name__ == "__main__":
    main()
