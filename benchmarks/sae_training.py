"""What a step of training a dictionary costs, against SAELens with the same weights and batch.

    python benchmarks/sae_training.py               # two threads, on a machine that does nothing else
    python benchmarks/sae_training.py --cpu         # one thread, processor seconds: on a machine that is busy
    python benchmarks/sae_training.py --quick       # smaller batches, one round
    python benchmarks/sae_training.py "TopK 768 12288" "ReLU 128 1024" --rounds 1

SAELens is installed into the temporary folder by the first run. First both sides compute the loss and its gradients for
the same weights and the same batch, which must agree; then they take turns with whole steps of their trainers: losses,
gradients, Adam, and what each does besides (we keep rows at length 1, they clip the gradient's norm). TopK and
BatchTopK with k = 32. ReLU + L1 twice: half of the latents active, as at the start, and one in a hundred, as later on.
SAELens's TopK has an option for sparse activations; whichever of its two ways is quicker stands for it.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from typing import Any

import peers

K, L1, BATCHES = 32, 0.1, 4
BATCH, SMALL = 4096, 1024
SIZES = ((128, 1024), (128, 12288), (768, 1024), (768, 12288))
KINDS = ("TopK", "TopK, their sparse option", "BatchTopK", "ReLU", "ReLU, few active")
NAMES = [f"{kind} {d} {n}" for kind in KINDS for d, n in SIZES]


def material(kind: str, d: int, n: int, batch: int) -> tuple[dict[str, Any], Any]:
    """Weights, and some batches of activations with E‖x‖² = 1 that are made of few directions each."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(0)

    def numbers(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator)

    directions = F.normalize(numbers(2 * d, d), dim=1)
    amounts = (torch.rand(BATCHES * batch, 2 * d, generator=generator) < 0.05) * numbers(BATCHES * batch, 2 * d).abs()
    x = amounts @ directions + 0.02 * numbers(BATCHES * batch, d)
    x = x / x.pow(2).sum(1).mean().sqrt()
    rows = F.normalize(numbers(n, d), dim=1)
    weights = {"W_dec": rows, "W_enc": rows.T.contiguous(), "b_enc": 0.01 * numbers(n), "b_dec": x.mean(0)}
    if kind == "ReLU, few active":  # one in a hundred; between two values, lest one lie at 0
        pre = (x[:batch] - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
        count = int(0.01 * pre[:256].numel())
        weights["b_enc"] -= pre[:256].flatten().sort().values[-count - 1 : -count + 1].mean()
    return weights, x.split(batch)


def found(loss: Any, sae: Any) -> dict[str, Any]:
    """What must be the same on both sides."""
    return {"loss": loss.detach().clone(), **{name: p.grad.clone() for name, p in sae.named_parameters()}}


def steps(d: int, n: int) -> int:
    """How many make a round, so that it takes some seconds."""
    return max(1, 2_000_000 // (d * n))


def ours(kind: str, d: int, n: int, batch: int) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import itertools

        import torch

        from mi_lib import saes
        from mi_lib.saes.sources import Batches
        from mi_lib.saes.training import Run, Settings

        weights, x = material(kind, d, n, batch)
        sae: Any
        if kind.startswith("TopK"):
            sae = saes.TopK(d, n, k=K)
        elif kind == "BatchTopK":
            sae = saes.BatchTopK(d, n, k=K)
        else:
            sae = saes.ReLU(d, n, l1=L1)
        sae.train().requires_grad_(True)
        with torch.no_grad():
            for name, weight in weights.items():
                getattr(sae, name).copy_(weight)
        nobody = torch.zeros(n, dtype=torch.bool)
        loss, _ = sae.step_losses(x[0], nobody)
        loss.total.backward()
        first = found(loss.total, sae)
        sae.zero_grad()
        settings = Settings(10**6, batch, 1e-6, 0, 0, 10**9, 10**9, 0, "float32")
        run = Run(sae, Batches(itertools.cycle(x)), settings, None)
        run.one_step(False)

        def round_() -> dict[str, Any]:
            for _ in range(steps(d, n)):
                run.one_step(False)
            return first

        return peers.Subject(round_)

    return load


def theirs(kind: str, d: int, n: int, batch: int) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import itertools

        import sae_lens
        import torch
        from sae_lens.config import SAETrainerConfig
        from sae_lens.saes.sae import TrainStepInput
        from sae_lens.training.sae_trainer import SAETrainer

        weights, x = material(kind, d, n, batch)
        sae: Any
        if kind.startswith("TopK"):
            sparse = "sparse" in kind  # which torch cannot differentiate beside the other option
            option = {"use_sparse_activations": sparse, "rescale_acts_by_decoder_norm": not sparse}
            sae = sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(d_in=d, d_sae=n, k=K, **option))
        elif kind == "BatchTopK":
            sae = sae_lens.BatchTopKTrainingSAE(sae_lens.BatchTopKTrainingSAEConfig(d_in=d, d_sae=n, k=K))
        else:
            config = sae_lens.StandardTrainingSAEConfig(d_in=d, d_sae=n, l1_coefficient=L1)
            sae = sae_lens.StandardTrainingSAE(config)
        with torch.no_grad():
            for name, weight in weights.items():
                getattr(sae, name).copy_(weight)
        nobody = torch.zeros(n, dtype=torch.bool)
        out = sae.train().training_forward_pass(TrainStepInput(x[0], {"l1": L1}, nobody, 0, False))
        out.loss.backward()
        first = found(out.loss, sae)
        sae.zero_grad()
        del out
        config = SAETrainerConfig(10**6 * batch, batch, lr=1e-6, lr_end=1e-7, dead_feature_window=10**9)
        data = itertools.cycle(x)
        trainer: Any = SAETrainer(config, sae, data)
        trainer.step(next(data))

        def round_() -> dict[str, Any]:
            for _ in range(steps(d, n)):
                trainer.step(next(data))
                trainer.n_training_steps += 1
            return first

        return peers.Subject(round_)

    return load


SUBJECTS = {
    f"{who}, {kind} {d} {n} {batch}": make(kind, d, n, batch)
    for who, make in (("ours", ours), ("theirs", theirs))
    for kind in KINDS
    for d, n in SIZES
    for batch in (BATCH, SMALL)
}


def agree(a: dict[str, Any], b: dict[str, Any]) -> None:
    """The same loss and gradients, up to rounding.

    Gradients are compared by the length of their difference: of some million values one may lie so near to 0, or to
    BatchTopK's threshold, that rounding decides on which side. An entry of a hundred thousand makes some 3e-3.
    """
    gaps = {name: float((a[name] - b[name]).norm() / b[name].norm()) for name in b}
    if set(a) != set(b) or not max(gaps.values()) < 5e-3 or not gaps["loss"] < 1e-5:
        raise SystemExit(f"the two sides do not compute the same: {gaps}")
    print(f"the same loss ({float(a['loss']):.5f}) and gradients: largest difference {max(gaps.values()):.1e}")


def main() -> None:
    options = peers.options(*NAMES, quick=True)
    batch = SMALL if options.quick else BATCH
    for name in options.subjects:
        _, d, n = name.rsplit(" ", 2)
        a, b = peers.compare(__file__, f"ours, {name} {batch}", f"theirs, {name} {batch}", options, "sae-lens")
        agree(a.result, b.result)
        peers.report(f"{name}, {batch} tokens", a, b, "1.2, memory no higher")
        tokens = batch * steps(int(d), int(n))
        rates = " against ".join(f"{tokens / statistics.median(side.seconds):,.0f}" for side in (a, b))
        print(f"{'':<34} {rates} tokens a second", flush=True)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        peers.serve(SUBJECTS)
    else:
        main()
