"""Train the models of chapter 03, ship them and write their cards: see `mi_lib.recipes.grokking.train`."""

from __future__ import annotations

import argparse

import torch
from rich.progress import Progress

from mi_lib import zoo
from mi_lib.recipes import cards
from mi_lib.recipes.checks import verify
from mi_lib.recipes.grokking import card
from mi_lib.recipes.grokking import train as recipe
from mi_lib.recipes.grokking.train import OUT, RUNS, train


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=RUNS, action="append", help="train these only, and leave the zoo as it is")
    parser.add_argument("--ship", action="store_true", help="train nothing; write the zoo with the runs that exist")
    parser.add_argument(
        "--measure", action="store_true", help="train nothing: measure the shipped files, write the cards"
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        for name in card.MODELS:
            cards.put(zoo.folder(name), verify(name))
        return
    with Progress() as progress:
        for name in () if options.ship else options.run or RUNS:
            if not (OUT / f"grokking-{name}" / "run.json").exists():
                train(name, progress)
        if options.ship or not options.run:
            missing = card.write_models(progress)
            progress.console.print(f"Not trained yet: {', '.join(missing)}." if missing else "All runs are shipped.")


if __name__ == "__main__":
    main()
