"""Train Pico's dictionaries, ship them and write their card: see `mi_lib.recipes.dictionaries.train`."""

from __future__ import annotations

import argparse

import torch
from rich.progress import Progress

from mi_lib.recipes.dictionaries import card
from mi_lib.recipes.dictionaries import train as recipe
from mi_lib.recipes.dictionaries.granularity import compared
from mi_lib.recipes.dictionaries.train import SHIPPED, train_all


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only-train", action="store_true", help="do not rewrite the zoo")
    parser.add_argument("--without-widths", action="store_true", help="ship and measure, and do not compare widths")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure what is shipped, for its card")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        card.measure_again()
        return
    with Progress() as progress:
        train_all(SHIPPED if options.without_widths else list(dict.fromkeys([*SHIPPED, *compared()])), progress)
    if not options.only_train:
        card.write(widths=not options.without_widths)


if __name__ == "__main__":
    main()
