"""Training a dictionary, on a tensor, on a stream of a model's activations, or on batches as they come.

1. Inputs are scaled so that E‖x‖² = 1: λ, ε and learning rates then mean the same at every site. At the end the scale
   is folded into the dictionary, which reads plain activations.
2. The learning rate warms up, and falls to 0 over the last fifth; the penalty's share warms up too, or latents may die
   before they have found anything.
3. Decoder rows keep length 1 by two projections (`base`).
4. A latent that has not been active for `dead_after` inputs is dead. TopK's kin revive it by their loss (AuxK); the
   others are resampled now and then (`reviving`).

A training that is interrupted and goes on from its checkpoint ends with the same numbers, bit for bit, as one that was
not (on the same machine, with as many threads).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib.saes.base import Dictionary
from mi_lib.saes.checkpoints import read_checkpoint, write_checkpoint
from mi_lib.saes.interrupting import between_steps
from mi_lib.saes.reviving import resample
from mi_lib.saes.sources import Source, source_of

if TYPE_CHECKING:
    from rich.progress import Progress

Batches = Iterable[Float[Tensor, "batch d"]]
RECORD_EVERY = 20


class Report(NamedTuple):
    """What a step has seen, in units of normalised inputs."""

    step: int
    error: float  # E‖x − x̂‖², where E‖x‖² = 1
    penalty: float
    auxiliary: float
    l0: float
    dead: int
    fve: float  # of this batch; NaN where it does not vary


@dataclass(frozen=True)
class Settings:
    """How a dictionary is trained. The names are those of `train`."""

    steps: int
    batch: int
    lr: float
    warmup: int
    penalty_warmup: int
    dead_after: int
    resample_every: int
    seed: int
    matmuls: str


def train(
    sae: Dictionary,
    data: Float[Tensor, "n d"] | Batches,
    steps: int,
    *,
    batch: int = 512,
    lr: float = 3e-3,
    warmup: int = 100,
    penalty_warmup: int = 200,
    dead_after: int = 50_000,
    resample_every: int = 500,
    seed: int = 0,
    matmuls: Literal["float32", "bfloat16"] = "float32",
    on_step: Callable[[Report], object] | None = None,
    progress: bool | Progress = False,
    checkpoint: str | Path | None = None,
    save_every: int = 500,
) -> Dictionary:
    """Train in place, and give it back in `eval()` mode, for plain activations. Its `history` has a report of every
    20th step and of the last.

    data: activations, from which batches of `batch` are drawn in a new order each time round; an `ActivationStream`;
        or batches as they come, of any size, read one at a time.
    dead_after: in inputs. resample_every: steps, for variants whose loss revives nobody; none in the last fifth.
    matmuls: in which numbers matrices are multiplied. With bfloat16, parameters, Adam's moments, losses and projections
        stay in float32: a step of the size of the learning rate would be lost in a bfloat16 weight, which has 8 bits.
    on_step: is told of every step. progress: show a bar, or use this one.
    checkpoint: a file that is written every `save_every` steps, when Ctrl-C is pressed, and at the end. Where it is
        there, training goes on from it; one that has ended gives its dictionary back. Other data, settings or another
        dictionary are refused (LoadError), and so is a damaged file; then nothing has changed.
    Ctrl-C takes effect at the end of a step. ValueError for another width, for a stream that ends before `steps`, and
    for NaN or infinity in a batch. However it stops, the dictionary is as the last good step left it.
    """
    if steps < 1:
        raise ValueError(f"training needs at least one step, not {steps}")
    if matmuls not in ("float32", "bfloat16"):
        raise ValueError(f"matrices are multiplied in 'float32' or 'bfloat16', not {matmuls!r}")
    settings = Settings(steps, batch, lr, warmup, penalty_warmup, dead_after, resample_every, seed, matmuls)
    run = Run(sae, source_of(data, batch, seed), settings, None if checkpoint is None else Path(checkpoint))
    if run.file is not None and run.file.exists():
        run.go_on()
    else:
        run.begin(data if isinstance(data, Tensor) else None)
    with run.in_training(), between_steps() as look, _bar(progress, run) as show:
        while run.step < steps:
            if (report := run.one_step(on_step is not None)) is not None:
                show(report)
                if on_step is not None:
                    on_step(report)
            if run.file is not None and (run.step % save_every == 0 or run.step == steps):
                run.save()
            look()
    return sae


class Run:
    """A training as it goes: all that changes from step to step."""

    def __init__(self, sae: Dictionary, source: Source, settings: Settings, file: Path | None) -> None:
        self.sae, self.source, self.settings, self.file = sae, source, settings, file
        self.device = sae.W_dec.device
        self.generator = torch.Generator().manual_seed(settings.seed + 1)
        self.optimizer = torch.optim.Adam(sae.parameters(), lr=settings.lr, fused=self.device.type in ("cpu", "cuda"))
        self.silent = torch.zeros(sae.n_latents, device=self.device)  # inputs since a latent was last active
        self.step, self.scale = 0, 1.0
        self.history: list[Report] = []
        self.first: Tensor | None = None  # a batch that has been drawn, and not yet learnt from
        self.whole = True  # whether no step is half done

    def begin(self, data: Tensor | None) -> None:
        """Look at the first batch (and at all of a tensor), and put the dictionary into normalised units."""
        self.first = self._draw()
        sample = self.first if data is None else _checked(data, self.sae, 0, self.settings.steps)
        self.scale = input_scale(sample)
        if bool(self.sae.b_dec.any()):  # trained before, so it reads plain activations
            self.sae.rescale(self.scale)
        else:  # a new one starts in normalised units
            self.sae.b_dec.data.copy_(self.scale * sample.mean(0))

    @contextmanager
    def in_training(self) -> Iterator[None]:
        """Inside, the dictionary can learn; at the end, however it comes, it reads plain activations."""
        self.sae.train().requires_grad_(True)
        try:
            yield
        except KeyboardInterrupt:
            if self.whole and self.file is not None:
                self.save()
            raise
        finally:
            if not self.whole:
                self.sae.project_weight()
            self.sae.rescale(1 / self.scale)
            self.sae.eval().requires_grad_(False)
            self.sae.zero_grad(set_to_none=True)
            self.sae.history = self.history

    def one_step(self, report: bool) -> Report | None:
        """One step, and what it has seen where that is asked for or goes into the history."""
        s, sae, step = self.settings, self.sae, self.step
        last = step == s.steps - 1
        self.whole = False
        x, self.first = self.scale * (self._draw() if self.first is None else self.first), None
        for group in self.optimizer.param_groups:
            group["lr"] = s.lr * rate(step, s.steps, s.warmup)
        with self._autocast():
            pressure = min(1.0, (step + 1) / max(1, s.penalty_warmup))
            loss, seen = sae.step_losses(x, self.silent >= s.dead_after, pressure)
        if not math.isfinite(loss.total.item()):
            raise FloatingPointError(f"the loss of step {step} is no number: try a learning rate below {s.lr:g}")
        self.optimizer.zero_grad()
        loss.total.backward()
        sae.project_gradient()
        self.optimizer.step()
        sae.project_weight()
        self.silent = torch.where(seen.latents, 0.0, self.silent + len(x))
        dead = self.silent >= s.dead_after
        found = None
        if report or step % RECORD_EVERY == 0 or last:
            numbers = [loss.error, loss.penalty, loss.auxiliary, seen.l0(), dead.sum(), _fve(x, seen.out())]
            error, penalty, auxiliary, l0, n, fve = torch.stack([one.double() for one in numbers]).tolist()
            found = Report(step, error, penalty, auxiliary, l0, int(n), fve)
            if step % RECORD_EVERY == 0 or last:
                self.history.append(found)
        if not sae.revives and (step + 1) % s.resample_every == 0 and step < 0.8 * s.steps and bool(dead.any()):
            resample(sae, x, dead, self.optimizer, self.generator)
            self.silent[dead] = 0
        self.step, self.whole = step + 1, True
        return found

    def _draw(self) -> Tensor:
        return _checked(next(self.source, None), self.sae, self.step, self.settings.steps)  # type: ignore[call-overload]

    def _autocast(self) -> Any:
        half = self.settings.matmuls == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16) if half else nullcontext()

    # --- on disk --------------------------------------------------------------------------------------------------

    def about(self) -> dict[str, Any]:
        sae = self.sae
        of = {"dictionary": sae.kind, "width": sae.d, "latents": sae.n_latents, **sae.settings, **asdict(self.settings)}
        return {**of, **{f"data's {name}": value for name, value in self.source.about().items()}}

    def save(self) -> None:
        assert self.file is not None
        tensors = {f"sae.{name}": tensor for name, tensor in self.sae.state_dict().items()}
        tensors |= {f"source.{name}": tensor for name, tensor in self.source.state().items()}
        tensors |= {"silent": self.silent, "generator": self.generator.get_state()}
        for i, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": moment for name, moment in moments.items()}
        progress = {"step": self.step, "scale": self.scale, "history": self.history}
        write_checkpoint(self.file, tensors, self.about(), progress)

    def go_on(self) -> None:
        """Become what the checkpoint holds."""
        assert self.file is not None
        tensors, progress = read_checkpoint(self.file, self.about())
        self.step, self.scale = progress["step"], progress["scale"]
        self.history = [Report(*report) for report in progress["history"]]
        self.sae.load_state_dict(_under("sae.", tensors))
        self.silent.copy_(tensors["silent"])
        self.generator.set_state(tensors["generator"])
        self.source.restore(_under("source.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        parameters = list(self.sae.parameters())
        for name, tensor in _under("optimizer.", tensors).items():
            i, _, of = name.partition(".")
            like = parameters[int(i)] if tensor.ndim else tensor  # laid out in memory as what it belongs to
            moments.setdefault(int(i), {})[of] = torch.empty_like(like).copy_(tensor)
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


@contextmanager
def _bar(progress: bool | Progress, run: Run) -> Iterator[Callable[[Report], None]]:
    """What is called with reports, to show them."""
    if progress is False:
        yield lambda report: None
        return
    from rich.console import Console
    from rich.progress import Progress

    own = Progress(console=Console(stderr=True), transient=True) if progress is True else progress
    with own if progress is True else nullcontext():
        task = own.add_task(run.sae.kind, total=run.settings.steps, completed=run.step)

        def show(report: Report) -> None:
            numbers = f"FVE {report.fve:.3f}, L0 {report.l0:.1f}, {report.dead} dead"
            own.update(task, completed=report.step + 1, description=f"{run.sae.kind}: {numbers}")

        yield show


def rate(step: int, steps: int, warmup: int) -> float:
    """The learning rate's share: up along a line, 1, and down along a line over the last fifth."""
    up = (step + 1) / max(1, warmup)
    down = (steps - step) / max(1.0, 0.2 * steps)
    return min(1.0, up, down)


def input_scale(x: Float[Tensor, "n d"]) -> float:
    """What x is multiplied by so that E‖x‖² = 1. ValueError where all is 0."""
    mean = x.pow(2).sum(-1).mean().item()
    if mean == 0:
        raise ValueError("all these activations are 0: there is nothing to learn from them")
    return 1 / math.sqrt(mean)


def _fve(x: Float[Tensor, "batch d"], out: Float[Tensor, "batch d"]) -> Tensor:
    return 1 - (x - out).var(0, correction=0).sum() / x.var(0, correction=0).sum()


def _checked(x: Tensor | None, sae: Dictionary, step: int, steps: int) -> Tensor:
    """A batch that can be learnt from, or one sentence on why not."""
    if x is None:
        raise ValueError(f"the activations ended after {step} of {steps} steps: give a longer stream, or ask for fewer")
    if x.ndim != 2 or x.shape[1] != sae.d or len(x) == 0:
        raise ValueError(f"this dictionary reads activations [batch {sae.d}], not {list(x.shape)}")
    if not bool(x.isfinite().all()):
        raise ValueError(f"the activations of step {step} hold NaN or infinite numbers: look at what produced them")
    return x.detach().to(sae.W_dec)
