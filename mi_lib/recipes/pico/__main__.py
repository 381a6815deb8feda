"""Train Pico, ship its two stages and measure their cards: see `mi_lib.recipes.pico.train`."""

from __future__ import annotations

import argparse

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mi_lib.recipes.pico import card
from mi_lib.recipes.pico import train as recipe
from mi_lib.recipes.pico.train import STAGES, config, train


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["base", "chat", "ship", "ship-chat", "measure-base", "measure-chat"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.what not in STAGES:
        match given.what:
            case "ship":
                card.ship(given.seed)
            case "ship-chat":
                card.ship_chat(given.seed)
            case "measure-base":
                card.measure_base()
            case "measure-chat":
                card.measure_chat()
        return
    bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                   TimeRemainingColumn())  # fmt: skip
    with bar as progress:
        train(STAGES[given.what], given.seed, config(), progress)


if __name__ == "__main__":
    main()
