"""What is shipped of the runs of `mi_lib.recipes.grokking`, and what is measured on it: zoo folders and cards."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress
from torch import Tensor

from mi_lib import grokking, zoo
from mi_lib.models import Transformer
from mi_lib.recipes import cards
from mi_lib.recipes.checks import Check
from mi_lib.recipes.grokking import checks
from mi_lib.recipes.grokking.train import COMMAND, OUT, RUNS, SAVE_EVERY, Setup, load_run
from mi_lib.worlds.modular import Modular

Columns = dict[str, list[float]]

NETWORK, CONTROL, SECOND = "grokking-113", "grokking-113-memorising", "grokking-97-subtract"
MODELS = {  # bundled models and their runs; the first is shipped, chosen before any result was seen
    NETWORK: ("add-113-seed0", "add-113-seed1", "add-113-seed2"),
    CONTROL: ("add-113-memorising",),
    SECOND: ("subtract-97-seed0",),
}
DRAWS = 20  # random sets of other frequencies, as a control

DESCRIPTIONS = {
    NETWORK: """A one-layer transformer that adds modulo 113. It first memorises the 30 % of all sums that it is trained
on. Much later it groks: it answers all sums, with waves of a handful of frequencies.""",
    CONTROL: """The control: the same training on the same sums without weight decay. It memorises, and does not
grok.""",
    SECOND: """A second task for the same method: the same recipe on a − b modulo 97.""",
}
WORDS = {
    NETWORK: "Key frequencies {frequencies}. Memorised by step {memorised}, the circuit carries the training set by "
    "step {circuit}, cleaned up by step {cleaned} (first seed). Which frequencies a network uses, and how many of its "
    "neurons keep to one, varies from seed to seed.",
    CONTROL: "Memorised by step {memorised}; no later phase. Losses with and without waves are measured with the "
    "frequencies of the network that has grokked, {frequencies}.",
    SECOND: "Key frequencies {frequencies}. Memorised by step {memorised}, the circuit carries the training set by "
    "step {circuit}, cleaned up by step {cleaned}. The control is the same network at step {memorised}. One claim of "
    "grokking-113 does not hold here: this network is better as a whole ({loss:.1e} nats on all pairs) than with key "
    "waves alone ({alone:.1e}), because its logits hold second harmonics too (with them: {harmonics:.1e}).",
}


def result(run: str) -> dict[str, Any] | None:
    """The time and the curves of a run; None if it is not finished."""
    file = OUT / f"grokking-{run}" / "run.json"
    return json.loads(file.read_text()) if file.exists() else None


def saved_steps(run: str) -> list[int]:
    """The steps at which the weights of a run were saved."""
    return sorted(int(file.stem.split("_")[1]) for file in (OUT / f"grokking-{run}").glob("step_*.safetensors"))


def key_waves(run: str) -> list[int]:
    """The frequencies by which a run is measured: the key frequencies of its network at the end.

    The control has none of its own, so those of the network that it stands beside.
    """
    return list(grokking.analyse(load_run(MODELS[NETWORK][0] if run in MODELS[CONTROL] else run)).frequencies)


def measures(run: str, frequencies: Sequence[int], steps: Iterable[int]) -> Columns:
    """The progress measures of a run at each of these steps (Nanda et al. 2023, section 5), as columns.

    restricted_loss: all pairs, these waves alone. excluded_loss: training pairs, without them. gini_W_E: of the
    embedding's Fourier components; gini_W_L: of those of W_out W_U, from neurons to logits. weights: sum of squares.
    key_frequencies: how many the network has at that step.
    """
    columns: Columns = {}
    for step in steps:
        model, setup = load_run(run, step), RUNS[run]
        found = grokking.analyse(model)
        to_logits: Any = model.blocks[0].mlp.W_out @ model.W_U  # type: ignore[operator, union-attr]
        row = {
            "step": step,
            **checks.numbers(found.inputs.logits, setup.task, frequencies),
            "gini_W_E": grokking.gini(grokking.component_norms(model.W_E[: setup.p])),
            "gini_W_L": grokking.gini(grokking.component_norms(to_logits[:, : setup.p].T)),
            "weights": grokking.weight_norm(model),
            "key_frequencies": len(found.frequencies),
        }
        for key, value in row.items():
            columns.setdefault(key, []).append(value)
    return columns


def falls(columns: Columns, shares: Sequence[float]) -> list[int]:
    """For each share: the first step after the peak of the test loss at which it is at most that share of the peak."""
    steps, losses = columns["step"], columns["test_loss"]
    peak = losses.index(max(losses))
    later = list(zip(steps[peak:], losses[peak:], strict=True))
    found = (next((step for step, loss in later if loss <= share * max(losses)), None) for share in shares)
    return [int(step) for step in found if step is not None]


def steps_to_ship(setup: Setup, columns: Columns, many: bool) -> list[int]:
    """Step 0 and where each phase is over; in a run that never groks, also each quarter.

    many: also the peak of the test loss and half-way to it, densely where the loss falls, and twice after that.
    """
    over = checks.phases_of(columns)
    steps: list[float] = [0, *(step for step in over if step is not None)]
    if over.cleaned is None:
        steps += [setup.steps * i / 4 for i in (1, 2, 3)]
    elif many:
        peak, *dense = falls(columns, [1.0, 0.9, 0.75, 0.6, 0.45, 0.3, 0.15, 0.05, 1e-2, 1e-3, 1e-4, 1e-5])
        steps += [peak / 2, peak, *dense, *(dense[-1] + (setup.steps - dense[-1]) * i / 3 for i in (1, 2))]
    return sorted({SAVE_EVERY * round(step / SAVE_EVERY) for step in steps} - {setup.steps})


def film(run: str, steps: Sequence[int]) -> list[tuple[int, Transformer]]:
    """The networks of a run at these steps, and at its end."""
    return [(step, load_run(run, step)) for step in [*steps, RUNS[run].steps]]


def facts(run: str, frequencies: Sequence[int]) -> dict[str, Any]:
    """What was found in the network of a run at its end. Losses are in nats, on all pairs unless named otherwise.

    frequencies: those kept in the restricted loss and taken away in the others (see `key_waves`).
    """
    setup, model = RUNS[run], load_run(run)
    found, task = grokking.analyse(model), setup.task
    logits, neurons = found.inputs.logits, found.neurons
    members = neurons.frequency[neurons.live & (neurons.explained >= 0.5)]
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "guessing": math.log(setup.p),
        "verdict": found.verdict,
        "frequencies": list(found.frequencies),
        "n_frequencies": len(found.frequencies),
        "amplitudes": {str(k): a for k, a in found.amplitudes.items()},
        "embedding_shares": {str(k): found.spectrum[k - 1].item() for k in found.frequencies},
        "waves": {str(k): found.waves[k - 1].item() for k in found.frequencies},
        "wave_share": found.wave_share,
        "all_waves_share": found.waves.sum().item(),
        "live_neurons": int(neurons.live.sum()),
        "neurons_of": {str(k): int((members == k).sum()) for k in found.frequencies},
        "accuracy": found.accuracy,
        "loss": grokking.loss(logits, task.answers),
        **checks.numbers(logits, task, frequencies),
        "restricted_loss_with_harmonics": with_harmonics(logits, task, frequencies),
        "loss_without": loss_without(logits, task, frequencies),
        "formula": formula_facts(found, task),
    }


def with_harmonics(logits: Tensor, task: Modular, frequencies: Sequence[int]) -> float:
    """The loss on all pairs with the waves of these frequencies and of their second harmonics alone."""
    kept = sorted({*frequencies, *(grokking.harmonic(k, task.p) for k in frequencies)})
    return grokking.loss(grokking.restricted_logits(logits, kept, task.sign), task.answers)


def other_frequencies(p: int, frequencies: Sequence[int], count: int) -> list[list[int]]:
    """DRAWS random sets of `count` frequencies that are not among these."""
    rest = torch.tensor([k for k in range(1, (p + 1) // 2) if k not in frequencies])
    generator = torch.Generator().manual_seed(p)
    return [sorted(rest[torch.randperm(len(rest), generator=generator)[:count]].tolist()) for _ in range(DRAWS)]


def loss_without(logits: Tensor, task: Modular, frequencies: Sequence[int]) -> dict[str, Any]:
    """The loss on all pairs without waves: each of these alone, all of them, as many others (the highest of DRAWS)."""

    def without(ks: Sequence[int]) -> float:
        return grokking.loss(grokking.excluded_logits(logits, ks, task.sign), task.answers)

    each = {str(k): without([k]) for k in frequencies}
    return {
        "each": each,
        "least": min(each.values()),
        "most": max(each.values()),
        "one_other": max(without(ks) for ks in other_frequencies(task.p, frequencies, 1)),
        "all": without(frequencies),
        "as_many_others": max(without(ks) for ks in other_frequencies(task.p, frequencies, len(frequencies))),
    }


def formula_facts(found: grokking.Analysis, task: Modular) -> dict[str, float]:
    """How well Σ A_k cos w_k(a ± b − c) answers in the network's place, with its amplitudes, with 1, with other waves.

    A wave with a positive amplitude is highest at the right answer, whatever its frequency. So accuracy only says that
    the signs are right; the loss says whether these are the network's waves. At other frequencies (mean of DRAWS) the
    amplitudes are near 0, and their signs, and with them the accuracy, are luck.
    """

    def both(logits: Tensor) -> tuple[float, float]:
        return grokking.accuracy(logits, task.answers), grokking.loss(logits, task.answers)

    ks = found.frequencies
    own = both(checks.formula(found, task))
    equal = both(grokking.formula_logits(task.p, dict.fromkeys(ks, 1.0), task.sign))
    drawn = [both(checks.formula(found, task, other)) for other in other_frequencies(task.p, ks, len(ks))]
    other = tuple(sum(values) / DRAWS for values in zip(*drawn, strict=True))
    cases = {"": own, "_equal_amplitudes": equal, "_other_frequencies": other}
    return {f"{what}{case}": values[i] for case, values in cases.items() for i, what in enumerate(("accuracy", "loss"))}


def rounded(columns: Columns) -> Columns:
    """Five digits are enough for a figure."""
    return {key: [x if isinstance(x, int) else float(f"{x:.5g}") for x in values] for key, values in columns.items()}


def ship(model_name: str, steps: Sequence[int]) -> Path:
    """Write a zoo folder with the weights of the first run, at its end and at these steps, without a card."""
    run = MODELS[model_name][0]
    source, setup, folder = OUT / f"grokking-{run}", RUNS[run], zoo.HERE / model_name
    cards.empty(folder)
    Transformer(setup.config, cards.word_tokenizer([*map(str, range(setup.p)), "="])).save(folder)
    (folder / "model.safetensors").write_bytes((source / f"step_{setup.steps:06d}.safetensors").read_bytes())
    for step in steps:
        cards.ship_checkpoint(folder, source / f"step_{step:06d}.safetensors")
    return folder


def check(model_name: str, run: str, steps: dict[str, list[int]]) -> list[Check]:
    """The checks of a run, on the steps that are shipped, or would be."""
    mine, task, (network, *_), (control, *_) = film(run, steps[run]), RUNS[run].task, MODELS[NETWORK], MODELS[CONTROL]
    if model_name == CONTROL:
        return checks.memorised(mine, task, film(network, steps[network]))
    if model_name == NETWORK and control in steps:
        return checks.grokked(mine, task, (film(control, steps[control]), RUNS[control].task))
    return checks.grokked(mine, task, but=checks.NOT_OF_SUBTRACTION if model_name == SECOND else ())


def write_card(model_name: str, folder: Path, waves: dict[str, list[int]], columns: dict[str, Columns]) -> None:
    """The card of a shipped model, with all of its runs that are in `columns`."""
    runs = [run for run in MODELS[model_name] if run in columns]
    first, setup, results = runs[0], RUNS[runs[0]], {run: result(run) or {} for run in runs}
    steps = {run: steps_to_ship(RUNS[run], columns[run], run in MODELS[NETWORK]) for run in columns}
    over, at = checks.phases_of(columns[first]), columns[first]
    found = facts(first, waves[first])
    settings = ("p", "sign", "fraction", "steps", "weight_decay", "learning_rate", "d_model", "n_heads", "d_mlp")
    seeds = len(MODELS[model_name])
    cards.write(
        folder,
        title=model_name,
        text=DESCRIPTIONS[model_name],
        command=COMMAND,
        seed=setup.seed,
        recipe={key: getattr(setup, key) for key in settings},
        by_seed=[
            {
                "seed": RUNS[run].seed,
                "seconds": round(results[run]["seconds"]),
                "checks": check(model_name, run, steps),
            }
            for run in runs
        ],
        curves=rounded(results[first]["curves"]),
        facts={
            # A control or a second task says here that fewer than three seeds were meant to be trained.
            **({"seeds_wanted": seeds} if seeds < 3 else {}),
            **found,
            "measured_with": waves[first],
            "phases": over._asdict(),
            "at_memorisation": {key: values[at["step"].index(over.memorised)] for key, values in at.items()}
            if over.memorised is not None
            else None,
            "runs": [
                {
                    "seed": RUNS[run].seed,
                    "frequencies": list(grokking.analyse(load_run(run)).frequencies),
                    "phases": checks.phases_of(columns[run])._asdict(),
                }
                for run in runs
            ],
            "measures": rounded(at),
        },
        words=WORDS[model_name].format(
            **over._asdict(),
            frequencies=", ".join(map(str, waves[first])),
            loss=found["loss"],
            alone=found["restricted_loss"],
            harmonics=found["restricted_loss_with_harmonics"],
        ),
    )


def measured(run: str, frequencies: list[int], progress: Progress) -> Columns:
    """`measures` of a run at all saved steps: from its folder, where they are kept, or now, which takes minutes."""
    file, steps = OUT / f"grokking-{run}" / "measures.json", saved_steps(run)
    kept = json.loads(file.read_text()) if file.exists() else {}
    if kept.get("frequencies") == frequencies and kept["columns"]["step"] == steps:
        return kept["columns"]
    columns = measures(run, frequencies, progress.track(steps, description=f"measuring {run}"))
    file.write_text(json.dumps({"frequencies": frequencies, "columns": columns}))
    return columns


def write_models(progress: Progress) -> list[str]:
    """Ship every model whose first run is finished, with a card. Returns the runs that are missing."""
    done = [run for run in RUNS if result(run)]
    waves = {run: key_waves(run) for run in done}
    columns = {run: measured(run, waves[run], progress) for run in done}
    for model_name, (first, *_) in MODELS.items():
        if first in columns:
            folder = ship(model_name, steps_to_ship(RUNS[first], columns[first], model_name == NETWORK))
            write_card(model_name, folder, waves, columns)
    return [run for run in RUNS if run not in done]
