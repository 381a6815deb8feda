"""How good the dictionaries are that a training leaves, against SAELens: the same activations, steps and sizes.

    python benchmarks/sae_quality.py            # about a quarter of an hour on two idle cores
    python benchmarks/sae_quality.py --quick    # fewer steps: says whether it runs, and not much more
    python benchmarks/sae_quality.py planted    # one of the two alone

SAELens is installed into the temporary folder by the first run. Two sources of activations: planted features (40
directions in 24 dimensions), and what enters block 2 of Pico. Each side trains with its own trainer, with inputs
normalised as it does that, and with the same warm-up and decay, from five learning rates; the one that explains most
of the held-out variance stands for it. TopK and BatchTopK have the same k; ReLU + L1 has another scale of λ on each
side, so on both it is searched, at each rate, until L0 is the k of TopK. What SAELens has written is read and measured
here, on held-out activations: planted features found (one to one, cosine at least .9), L0, and the variance explained.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import peers

RATES = (3e-3, 1e-2, 3e-2, 6e-2, 1e-1)
BATCH, WARMUP, DEAD_AFTER, SEARCHES = 512, 100, 50_000, 12


class Job(NamedTuple):
    """One dictionary. size: k, or the L0 that λ is chosen for."""

    data: str
    kind: str
    d: int
    n: int
    size: float
    rate: float
    steps: int

    @property
    def name(self) -> str:
        return f"{self.data} {self.kind} {self.rate:g}"


def jobs(data: str, quick: bool) -> list[Job]:
    d, n, k, steps = (24, 64, 3, 2000) if data == "planted" else (192, 1024, 24, 2000)
    rates = RATES[1:-1] if quick else RATES
    sizes = {"TopK": k, "BatchTopK": k - (data == "planted"), "ReLU": k}
    return [
        Job(data, kind, d, n, size, rate, 500 if quick else steps) for kind, size in sizes.items() for rate in rates
    ]


# --- on their side ----------------------------------------------------------------------------------------------------


def theirs(folder: Path, threads: int) -> None:
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(threads)
    for job in (Job(*line) for line in json.loads((folder / "jobs.json").read_text())):
        x = load_file(folder / f"{job.data}.safetensors")
        sae = at_size(job, lambda size, job=job, x=x: fit(job, x["train"], size), x["held_out"])
        sae.save_inference_model(folder / "theirs" / job.name)


def at_size(job: Job, train: Callable[[float], Any], held_out: Any) -> Any:
    """What `train` makes of the size; for ReLU, of the λ with which L0 is the size, up to a hundredth."""
    import torch

    if job.kind != "ReLU":
        return train(job.size)
    low, high = math.log(1e-3), math.log(1e3)  # by halves, in logarithms: a larger λ leaves fewer latents
    for _ in range(SEARCHES):
        middle = (low + high) / 2
        sae = train(math.exp(middle))
        with torch.no_grad():
            l0 = float((sae.encode(held_out) > 0).sum(1).float().mean())
        if abs(l0 / job.size - 1) < 0.01:
            break
        low, high = (middle, high) if l0 > job.size else (low, middle)
    return sae


def fit(job: Job, x: Any, size: float) -> Any:
    """Train one of theirs."""
    import sae_lens
    import torch
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    torch.manual_seed(0)
    sizes = {"d_in": job.d, "d_sae": job.n, "normalize_activations": "expected_average_only_in"}
    sae: Any
    if job.kind == "TopK":
        sae = sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(**sizes, k=int(size)))
    elif job.kind == "BatchTopK":
        sae = sae_lens.BatchTopKTrainingSAE(sae_lens.BatchTopKTrainingSAEConfig(**sizes, k=size))
    else:
        config = sae_lens.StandardTrainingSAEConfig(**sizes, l1_coefficient=size, l1_warm_up_steps=2 * WARMUP)
        sae = sae_lens.StandardTrainingSAE(config)
    generator = torch.Generator().manual_seed(0)
    batches = (x[rows] for _ in itertools.count() for rows in torch.randperm(len(x), generator=generator).split(BATCH))
    cfg = SAETrainerConfig(
        job.steps * BATCH,
        BATCH,
        lr=job.rate,
        lr_end=0.0,
        lr_warm_up_steps=WARMUP,
        lr_decay_steps=job.steps // 5,
        dead_feature_window=DEAD_AFTER // BATCH,
        n_batches_for_norm_estimate=20,
    )
    return SAETrainer(cfg, sae, (batch for batch in batches if len(batch) == BATCH)).fit()


# --- on ours ----------------------------------------------------------------------------------------------------------


def planted() -> tuple[dict[str, Any], Any]:
    import torch

    from mi_lib.worlds.features import planted

    world = planted(40, 24, frequency=0.05, seed=3)
    train, held_out = (world.draw(n, torch.Generator().manual_seed(seed)).x for n, seed in ((50_000, 1), (10_000, 2)))
    return {"train": train, "held_out": held_out}, world.directions


def pico() -> tuple[dict[str, Any], None]:
    """What enters block 2, at every word but the special tokens."""
    import torch

    import mi_lib
    from mi_lib import saes
    from mi_lib.worlds import littletown

    model = mi_lib.load("pico")
    ids = {word: i for i, word in enumerate(littletown.vocabulary())}

    def read(split: Any, texts: int) -> Any:
        corpus = [[ids[word] for word in littletown.document(i, 0, split, "base").words] for i in range(texts)]
        special = saes.special_tokens(model)
        return torch.cat(
            list(saes.ActivationStream(model, ("resid_pre", 2), corpus, epochs=1, drop=special, memory=200))
        )

    return {"train": read("train", 3000), "held_out": read("held_out", 300)}, None


def ours(job: Job, x: Any, size: float) -> Any:
    from mi_lib import saes

    sae: Any
    if job.kind == "TopK":
        sae = saes.TopK(job.d, job.n, k=int(size))
    elif job.kind == "BatchTopK":
        sae = saes.BatchTopK(job.d, job.n, k=int(size))
    else:
        sae = saes.ReLU(job.d, job.n, l1=size)
    return saes.train(
        sae, x, job.steps, batch=BATCH, lr=job.rate, warmup=WARMUP, penalty_warmup=2 * WARMUP, dead_after=DEAD_AFTER
    )


class Measured(NamedTuple):
    rate: float
    fve: float
    l0: float
    dead: float
    found: float
    cosine: float

    def __str__(self) -> str:
        features = "" if math.isnan(self.found) else f", found {self.found:.1%} (mean cosine {self.cosine:.3f})"
        return f"FVE {self.fve:.3f} at L0 {self.l0:.2f}, dead {self.dead:.1%}{features}, from rate {self.rate:g}"


def measure(sae: Any, job: Job, x: Any, directions: Any) -> Measured:
    from mi_lib import saes

    f = sae.encode(x)
    found, cosine = math.nan, math.nan
    if directions is not None:
        matching = saes.match_directions(directions, sae.W_dec)
        found, cosine = matching.found(), matching.mean
    return Measured(job.rate, saes.fve(x, sae.decode(f)), saes.l0(f), saes.dead_share(saes.density(f)), found, cosine)


def best(side: dict[Job, Measured], kind: str) -> Measured:
    """The one of the learning rates that explains most."""
    return max((measured for job, measured in side.items() if job.kind == kind), key=lambda measured: measured.fve)


def main() -> None:
    import torch
    from safetensors.torch import save_file

    from mi_lib.saes.saelens import load_saelens

    parser = argparse.ArgumentParser()
    parser.add_argument("subjects", nargs="*", default=["planted", "pico"], choices=["planted", "pico"])
    parser.add_argument("--quick", action="store_true", help="few steps, and three learning rates")
    parser.add_argument("--kinds", nargs="*", default=["TopK", "BatchTopK", "ReLU"])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for data in options.subjects:
        x, directions = {"planted": planted, "pico": pico}[data]()
        print(f"{data}: {len(x['train']):,} activations to train on, {len(x['held_out']):,} to measure", flush=True)
        wanted = [job for job in jobs(data, options.quick) if job.kind in options.kinds]
        mine = {}
        for job in wanted:
            sae = at_size(job, lambda size, job=job, x=x: ours(job, x["train"], size), x["held_out"])
            mine[job] = measure(sae, job, x["held_out"], directions)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            save_file(x, folder / f"{data}.safetensors")
            (folder / "jobs.json").write_text(json.dumps(wanted))
            command = [peers.peer_python("sae-lens"), __file__, "--theirs", str(folder), str(options.threads)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"SAELens could not train:\n{done.stderr[-3000:]}")
            peer = {
                job: measure(load_saelens(folder / "theirs" / job.name).sae, job, x["held_out"], directions)
                for job in wanted
            }
        for kind in options.kinds:
            a, b = best(mine, kind), best(peer, kind)
            print(f"  {kind:<10} ours     {a}\n  {'':<10} SAELens  {b}", flush=True)


if __name__ == "__main__":
    if "--theirs" in sys.argv:
        theirs(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
