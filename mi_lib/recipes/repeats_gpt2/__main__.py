"""Train the model of chapter 01, ship it and write its card: see `mi_lib.recipes.repeats_gpt2.train`."""

from __future__ import annotations

import argparse
import json

import torch
from rich.progress import Progress

from mi_lib import zoo
from mi_lib.recipes.repeats_gpt2 import card
from mi_lib.recipes.repeats_gpt2 import train as recipe
from mi_lib.recipes.repeats_gpt2.train import NAME, OUT, SEEDS, train, write_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=recipe.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    runs = []
    with Progress() as progress:
        for seed in SEEDS:
            folder = OUT / f"{NAME}-seed{seed}"
            done = folder / "run.json"
            runs.append(json.loads(done.read_text()) if done.exists() else train(seed, folder, progress))
    write_folder(zoo.HERE / NAME, OUT / f"{NAME}-seed{SEEDS[0]}" / "model.safetensors")
    card.write(runs)


if __name__ == "__main__":
    main()
