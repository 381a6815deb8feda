"""The checks of the networks that do arithmetic mod p: have they grokked, and has the control only memorised?

A network's frequencies are found by `mi_lib.grokking.analyse`. A control is measured with the frequencies of the
network that it stands beside wherever waves are kept or taken away ("without the very same waves"), and with its own
wherever frequencies are counted. All losses are in nats, over the p numbers (a logit for "=" is dropped).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from mi_lib import grokking, zoo
from mi_lib.grokking import Analysis, Phases
from mi_lib.models import HookedModel, Transformer, load
from mi_lib.recipes.checks import Check, Parts
from mi_lib.worlds.modular import Modular

Film = Sequence[tuple[int, HookedModel]]  # (step, model) in the order of training
GROKKED, MEMORISING = "grokking-113", "grokking-113-memorising"
NOTHING = 1e-12  # nats: a smaller loss is no loss, so that ratios stay finite


class Losses(NamedTuple):
    """One number for the training pairs and one for the test pairs."""

    train: float
    test: float


def split(task: Modular, logits: Float[Tensor, "pairs answer"]) -> Losses:
    """The loss on training pairs and on test pairs."""
    answers, training = task.answers, task.in_training
    return Losses(*(grokking.loss(logits[rows], answers[rows]) for rows in (training, ~training)))


def accuracies(task: Modular, logits: Float[Tensor, "pairs answer"]) -> Losses:
    """The accuracy on training pairs and on test pairs."""
    answers, training = task.answers, task.in_training
    return Losses(*(grokking.accuracy(logits[rows], answers[rows]) for rows in (training, ~training)))


def restricted_ratio(task: Modular, logits: Float[Tensor, "pairs answer"], frequencies: Sequence[int]) -> float:
    """The loss with these waves alone as a multiple of the full loss: on training or on test pairs, the larger one.

    Test pairs alone would not do: a network that has memorised is so wrong on them that mere guessing beats it.
    """
    full, alone = split(task, logits), split(task, grokking.restricted_logits(logits, frequencies, task.sign))
    return max(part / max(whole, NOTHING) for part, whole in zip(alone, full, strict=True))


def excluded_loss(task: Modular, logits: Float[Tensor, "pairs answer"], frequencies: Sequence[int]) -> float:
    """The loss on the training pairs without these waves."""
    return split(task, grokking.excluded_logits(logits, frequencies, task.sign)).train


def embedding_energy(found: Analysis, frequencies: Sequence[int]) -> float:
    """The share of the embedding's energy at these frequencies and their second harmonics."""
    kept = {*frequencies, *(grokking.harmonic(k, found.p) for k in frequencies)}
    return sum(found.spectrum[k - 1].item() for k in kept)


def listened_to(found: Analysis) -> int:
    """How many frequencies at least 2 % of the live neurons listen to most, however little it explains of them."""
    return len(grokking.key_frequencies(found.neurons, owns=0.0))


def formula(found: Analysis, task: Modular, frequencies: Sequence[int] | None = None) -> Float[Tensor, "pairs answer"]:
    """The formula with the amplitudes found in the network; its own key frequencies unless others are given."""
    ks = found.frequencies if frequencies is None else frequencies
    return grokking.formula_logits(task.p, grokking.amplitudes(found.inputs.logits, ks, task.sign), task.sign)


def numbers(logits: Float[Tensor, "pairs answer"], task: Modular, frequencies: Sequence[int]) -> dict[str, float]:
    """The losses and accuracies of one network: whole, with these waves alone (all pairs), and without (training)."""
    losses, right = split(task, logits), accuracies(task, logits)
    return {
        "train_loss": losses.train,
        "test_loss": losses.test,
        "train_accuracy": right.train,
        "test_accuracy": right.test,
        "restricted_loss": grokking.loss(grokking.restricted_logits(logits, frequencies, task.sign), task.answers),
        "excluded_loss": excluded_loss(task, logits, frequencies),
    }


def phases_of(columns: Mapping[str, Sequence[float]]) -> Phases:
    """The phases of a training, from columns of its `numbers` and the "step" of each."""
    steps, *others = (columns[key] for key in ("step", "train_accuracy", "excluded_loss", "test_accuracy"))
    return grokking.phases([int(step) for step in steps], *others)


def phases_of_film(film: Film, task: Modular, frequencies: Sequence[int]) -> Phases:
    """The same, measured. frequencies: those of the network at the END."""
    rows = [{"step": step, **numbers(grokking.every_input(m).logits, task, frequencies)} for step, m in film]
    return phases_of({key: [row[key] for row in rows] for key in rows[0]})


def phases_in_order(phases: Phases) -> int:
    """How many of the three phases come about, counted while memorised < circuit ≤ cleaned holds."""
    if phases.memorised is None:
        return 0
    if phases.circuit is None or phases.circuit <= phases.memorised:
        return 1
    return 2 if phases.cleaned is None or phases.cleaned < phases.circuit else 3


def until_memorised(film: Film, task: Modular) -> Film:
    """The beginning of a training, up to the first network that knows 99.9 % of the training pairs."""
    known = (accuracies(task, grokking.every_input(model).logits).train >= 0.999 for _, model in film)
    return film[: next((i + 1 for i, yes in enumerate(known) if yes), len(film))]


def measure(film: Film, task: Modular, frequencies: Sequence[int] | None = None) -> dict[str, float]:
    """What `grokked` makes claims about, for the last network of a training.

    frequencies: the waves that are kept or taken away; the network's own key frequencies unless given.
    """
    found = grokking.analyse(film[-1][1])
    ks, logits = found.frequencies if frequencies is None else frequencies, found.inputs.logits
    alone = formula(found, task)
    return {
        "test_accuracy": accuracies(task, logits).test,
        "key_frequencies_at_least": len(found.frequencies),
        "key_frequencies_at_most": listened_to(found),
        "embedding_energy": embedding_energy(found, ks),
        "one_frequency": found.one_frequency,
        "restricted_loss": restricted_ratio(task, logits, ks),
        "restricted_accuracy": accuracies(task, grokking.restricted_logits(logits, ks, task.sign)).test,
        "excluded_loss": excluded_loss(task, logits, ks),
        "formula": grokking.accuracy(alone, task.answers),
        "formula_loss": grokking.loss(alone, task.answers),
        "phases": phases_in_order(phases_of_film(film, task, ks)),
    }


# Not claimed of the network that subtracts: it writes second harmonics of its key frequencies into its logits too, and
# is better with them than with key waves alone. Its card has the figures, and the lesson shows them.
NOT_OF_SUBTRACTION = ("restricted_loss",)

CLAIMS: dict[str, tuple[str, float, bool]] = {  # of a network that has grokked: the claim, its bound, "at least"
    "test_accuracy": ("accuracy on pairs that training never showed", 0.999, True),
    "key_frequencies_at_least": ("key frequencies: those to which neurons belong", 3, True),
    "key_frequencies_at_most": ("frequencies that at least 2 % of the live neurons listen to most", 8, False),
    "embedding_energy": ("share of the embedding's energy at key frequencies and second harmonics", 0.9, True),
    "one_frequency": ("share of live neurons that one frequency explains to at least 85 %", 0.6, True),
    "restricted_loss": (
        "loss with key waves alone, in multiples of the full loss (training or test pairs, the larger)",
        1.0,
        False,
    ),
    "restricted_accuracy": ("accuracy with key waves alone, on pairs that training never showed", 0.999, True),
    "excluded_loss": ("loss on the training pairs without the key waves, in nats", 1.0, True),
    "formula": ("accuracy of the formula alone, on all pairs", 0.999, True),
    "formula_loss": ("loss of the formula alone, on all pairs, in nats", 0.01, False),
    "phases": ("phases that come about in the order memorised < circuit ≤ cleaned", 3, True),
}


def grokked(
    film: Film, task: Modular, control: tuple[Film, Modular] | None = None, but: Sequence[str] = ()
) -> list[Check]:
    """The claims about the last network of a training.

    control: the training of a network that has memorised, and its task. Without one, the beginning of `film` serves,
    up to where the network has memorised. but: claims that are not made of this network.
    """
    control_is = "a network that has memorised, trained without weight decay"
    if control is None:
        control, control_is = (until_memorised(film, task), task), "the same network when it has just memorised"
    mine = measure(film, task)
    theirs = measure(*control, grokking.analyse(film[-1][1]).frequencies)
    return [
        Check(name, claim, mine[name], bound, at_least, theirs[name], control_is)
        for name, (claim, bound, at_least) in CLAIMS.items()
        if name not in but
    ]


def memorised(film: Film, task: Modular, control: Film) -> list[Check]:
    """The claims about a network that has only memorised. control: the training of one that has grokked the task."""
    model = film[-1][1]
    assert isinstance(model, Transformer)
    found, other = grokking.analyse(model), grokking.analyse(control[-1][1])
    ks = other.frequencies
    blank = Transformer(model.config).init_weights(seed=12345).requires_grad_(False)

    def both(name: str, claim: str, bound: float, value: Any, at_least: bool = False) -> Check:
        return Check(name, claim, value(found), bound, at_least, value(other), "the network that has grokked")

    def formula_accuracy(x: Analysis) -> float:
        return grokking.accuracy(formula(x, task), task.answers)

    return [
        Check(
            "train_accuracy",
            "accuracy on the training pairs",
            accuracies(task, found.inputs.logits).train,
            0.999,
            True,
            accuracies(task, grokking.every_input(blank).logits).train,
            "an untrained network",
        ),
        both("test_accuracy", "accuracy on the other pairs", 0.5, lambda x: accuracies(task, x.inputs.logits).test),
        both("key_frequencies", "key frequencies: those to which neurons belong", 2, lambda x: len(x.frequencies)),
        both("one_frequency", "share of live neurons that one frequency explains", 0.1, lambda x: x.one_frequency),
        both("waves", "share of the logits' variance along all waves together", 0.5, lambda x: x.waves.sum().item()),
        both("formula", "accuracy of the formula alone, on all pairs", 0.5, formula_accuracy),
        both(
            "excluded_loss",
            "loss on the training pairs without the waves of the network that has grokked, in nats",
            0.5,
            lambda x: excluded_loss(task, x.inputs.logits, ks),
        ),
        Check(
            "phases",
            "phases that come about in the order memorised < circuit ≤ cleaned",
            phases_in_order(phases_of_film(film, task, ks)),
            1,
            False,
            phases_in_order(phases_of_film(control, task, ks)),
            "the network that has grokked",
        ),
    ]


def task_of(name: str) -> Modular:
    """The task of a bundled network, with its split into training and test pairs, from its card."""
    card = zoo.card(name)
    made = card["recipe"]
    return Modular(made["p"], made["sign"], made["fraction"], card["seed"])


def shipped(name: str, model: HookedModel | None = None) -> Film:
    """The training of a bundled network: its checkpoints, and at the end `model` (the shipped one unless given)."""
    return [*((step, load(name, checkpoint=step)) for step in zoo.checkpoints(name)), *end(name, model)]


def end(name: str, model: HookedModel | None = None) -> Film:
    """The last network of that training alone."""
    return [(zoo.card(name)["recipe"]["steps"], load(name) if model is None else model)]


def parts(name: str) -> Parts:
    """The checks of a bundled network: those of its end, and its phases, for which the whole training is measured.

    The one that groks is measured beside the one that only memorises.
    """
    task = task_of(name)

    def measured(film: Callable[[str, HookedModel | None], Film], model: HookedModel) -> list[Check]:
        if name == MEMORISING:
            return memorised(film(name, model), task, film(GROKKED, None))
        if name == GROKKED:
            return grokked(film(name, model), task, (film(MEMORISING, None), task_of(MEMORISING)))
        whole = shipped(name, model)  # its own beginning is the control
        short = [*until_memorised(whole[:-1], task), whole[-1]]
        return grokked(short if film is end else whole, task, but=NOT_OF_SUBTRACTION)

    return {
        "end": lambda model: [check for check in measured(end, model) if check.name != "phases"],
        "phases": lambda model: [check for check in measured(shipped, model) if check.name == "phases"],
    }
