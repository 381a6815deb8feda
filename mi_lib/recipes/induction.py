"""Train the two models of chapter 02: attention-only transformers with two layers, and with one as a control.

    python -m mi_lib.recipes.induction                 # both models, all seeds, cards; the zoo is rewritten
    python -m mi_lib.recipes.induction --layers 2 --seed 1 --only-train
    python -m mi_lib.recipes.induction --layers 2 --until 400   # as far as the birth of the heads, for --measure
    python -m mi_lib.recipes.induction --measure       # the shipped weights, and the cards

What the network is and sees:

- Words are fixed random directions of one length in the first WORD_DIMS dimensions: the embedding is not trained. So a
  word means nothing but itself, and the other dimensions of the residual stream are free for what heads write.
- Positions are "shifted": added to what queries and keys read, never to the residual stream.
- Blocks of random words and their repeats (`mi_lib.worlds.repeats`), with 41 words and 3 block lengths kept back.
- From step RENT_FROM on, each head pays rent: a penalty on the square root of ‖W_V W_O‖. A head that earns nothing
  shrinks away, and heads that do the same merge, so the finished circuit is small and its parts can be told apart.
- From step NONCE_FROM on, more and more words in a sequence are replaced by nonce words: directions drawn anew for this
  sequence alone. The network need not predict them, but it must recognise them when they come back. So the match that
  it learns is "the same direction as before", not a list of the words it knows.

It can be interrupted and run again: it goes on from the last saved state in `out/recipes`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from rich.progress import Progress
from safetensors.torch import save_file
from torch import Tensor

from mi_lib import induction, zoo
from mi_lib.induction.loss import split_loss
from mi_lib.models import HookedModel, Transformer, TransformerConfig, load
from mi_lib.recipes import cards, induction_facts
from mi_lib.worlds import repeats
from mi_lib.zoo import induction_checks as checks
from mi_lib.zoo.checks import Check

STEPS = 2200
BATCH = 64
N_CTX = 72
LEARNING_RATE = 5e-3
WARM_UP = 100
COOL_DOWN_FROM = 1400  # then the rate falls linearly to 5 %
WEIGHT_DECAY = 0.005  # on attention matrices; none on positions and unembedding
D_MODEL, WORD_DIMS, D_HEAD = 96, 48, 48
EMBEDDING_LENGTH = 4.0
POSITION_SCALE = 1.2  # standard deviation of the initial position vectors
NONCE_FROM, NONCE_UNTIL, NONCE_SHARE = 600, 1000, 0.5
RENT_FROM, RENT_UNTIL, RENT = 600, 900, 0.02  # nats for a head with ‖W_V W_O‖ = 1
SAVE_EVERY = 20
SEEDS = {2: (0, 1, 2, 3, 4, 5), 1: (0, 1, 2)}  # by depth; the first is shipped, chosen before any result was seen
OUT = Path("out/recipes")
COMMAND = "python -m mi_lib.recipes.induction"


def config(n_layers: int) -> TransformerConfig:
    return TransformerConfig(
        n_layers=n_layers,
        d_model=D_MODEL,
        n_heads=4,
        d_head=D_HEAD,
        d_vocab=repeats.D_VOCAB,
        n_ctx=N_CTX,
        positions="shifted",
    )


def new_model(n_layers: int, seed: int) -> Transformer:
    """Untrained, with embeddings of equal length and large positions."""
    model = Transformer(config(n_layers)).init_weights(seed)
    with torch.no_grad():
        model.W_E.copy_(word_directions(model.W_E))
        model.W_pos.mul_(POSITION_SCALE / model.W_pos.std())
    model.W_E.requires_grad_(False)
    return model


def word_directions(values: Float[Tensor, "... d_model"]) -> Float[Tensor, "... d_model"]:
    """Directions of one length in the dimensions that belong to words, zero in the others."""
    words = F.normalize(values[..., :WORD_DIMS], dim=-1) * EMBEDDING_LENGTH
    return F.pad(words, (0, values.shape[-1] - WORD_DIMS))


def training_batch(seed: int, step: int) -> Int[Tensor, "batch pos"]:
    sample = repeats.sample(
        BATCH, seed=1_000_003 * (seed + 1) + step, period=repeats.TRAIN_PERIODS, copies=(2, 5), n_ctx=N_CTX
    )
    return sample.tokens


def nonce_words(
    model: Transformer, tokens: Int[Tensor, "batch pos"], share: float, generator: torch.Generator
) -> tuple[Bool[Tensor, "batch pos"], Float[Tensor, "batch pos d_model"]]:
    """Which positions hold a nonce word, and its direction: the same wherever the word stands in this sequence."""
    first = (tokens[:, :, None] == tokens[:, None, :]).int().argmax(-1)  # [batch pos]: where this word stood first
    chosen = torch.rand(tokens.shape, generator=generator) < share
    is_nonce = chosen.gather(1, first) & (tokens != repeats.BOS_TOKEN)
    directions = word_directions(torch.randn(*tokens.shape, model.cfg.d_model, generator=generator))
    return is_nonce, directions.gather(1, first[..., None].expand_as(directions))


def training_loss(model: Transformer, tokens: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Mean cross-entropy over the tokens that are not nonce words."""
    is_nonce, directions = nonce_words(model, tokens, share, generator)
    with model.hooks([("hook_embed", lambda value, hook: torch.where(is_nonce[..., None], directions, value))]):
        loss = induction.per_token_loss(model(tokens), tokens)
    counts = ~is_nonce[:, 1:]
    return (loss * counts).sum() / counts.sum()


def rent(model: Transformer) -> Tensor:
    """Σ over heads of √‖W_V W_O‖: two heads that share a job pay more than one that does it alone."""
    return (induction.FactoredMatrix(model.W_V, model.W_O).norm() + 1e-4).sqrt().sum()


def learning_rate(step: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    cool = 1 - 0.95 * max(0.0, (step - COOL_DOWN_FROM) / (STEPS - COOL_DOWN_FROM))
    return LEARNING_RATE * warm * cool


def ramp(step: int, start: int, end: int) -> float:
    """0 before `start`, 1 after `end`, a straight line between."""
    return min(1.0, max(0.0, (step - start) / (end - start)))


def train(n_layers: int, seed: int, folder: Path, progress: Progress, until: int = STEPS) -> dict[str, Any]:
    """Train one model; write its checkpoints and curves to `folder`. Goes on from a saved state if there is one.

    until: stop at this step. The learning rate, the rent and the nonce words are those of the whole training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = new_model(n_layers, seed)
    matrices = [p for name, p in model.named_parameters() if name.startswith("blocks")]
    others = [model.W_pos, model.W_U]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.98),
    )
    curves: dict[str, list] = {k: [] for k in ("step", "first", "second", "previous_token", "prefix_matching")}
    start, seconds = 0, 0.0
    state_file = folder / "state.pt"
    if state_file.exists():
        state = torch.load(state_file)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        curves, start, seconds = state["curves"], state["step"], state["seconds"]
    sample = repeats.sample(64, seed=70_000, period=(8, 24))
    task = progress.add_task(f"{n_layers} layers, seed {seed}", total=until, completed=start)
    began = time.monotonic() - seconds
    for step in range(start, until + 1):
        if step % SAVE_EVERY == 0:
            record(model, sample, step, curves)
            save_file(model.weights(torch.float16), folder / f"step_{step:06d}.safetensors")
        if step == until:
            break
        if step % (5 * SAVE_EVERY) == 0 and step > start:
            spent = time.monotonic() - began
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "curves": curves}
            save_whole({**state, "step": step, "seconds": spent}, state_file)
            drop_last(curves)  # the state is saved before the step is taken, so it is recorded again on resuming
            record(model, sample, step, curves)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        # A generator of its own for every step, so that a resumed run draws what an uninterrupted one would have.
        generator = torch.Generator().manual_seed(7_919 * (seed + 1) + step)
        share = NONCE_SHARE * ramp(step, NONCE_FROM, NONCE_UNTIL)
        loss = training_loss(model, training_batch(seed, step), share, generator)
        if step > RENT_FROM:
            loss = loss + RENT * ramp(step, RENT_FROM, RENT_UNTIL) * rent(model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.update(task, advance=1, description=f"{n_layers} layers, seed {seed}, loss {curves['second'][-1]:.2f}")
    state_file.unlink(missing_ok=True)
    result = {"seed": seed, "n_layers": n_layers, "steps": until, "seconds": time.monotonic() - began, "curves": curves}
    (folder / "run.json").write_text(json.dumps(result))
    return result


def record(model: Transformer, sample: repeats.Repeats, step: int, curves: dict[str, list]) -> None:
    """Measure the model during training, on words it is trained on."""
    with torch.no_grad():
        logits, cache = model.run_with_cache(sample.tokens, lambda name: name.endswith("hook_pattern"))
        first, second = split_loss(induction.per_token_loss(logits, sample.tokens), sample)
    patterns = [cache["pattern", layer] for layer in range(model.cfg.n_layers)]
    curves["step"].append(step)
    curves["first"].append(round(first, 4))
    curves["second"].append(round(second, 4))
    for name, values in (
        ("previous_token", [induction.previous_token_score(p) for p in patterns]),
        ("prefix_matching", [induction.prefix_matching_score(p, sample.tokens) for p in patterns]),
    ):
        curves[name].append([[round(x, 4) for x in layer.tolist()] for layer in values])


def drop_last(curves: dict[str, list]) -> None:
    for values in curves.values():
        values.pop()


def save_whole(state: dict[str, Any], path: Path) -> None:
    """An interrupted write leaves the older state in place."""
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def phase_change(curves: dict[str, list]) -> int:
    """The step at which the loss on later copies has fallen half-way from its start to its end."""
    half = (curves["second"][0] + curves["second"][-1]) / 2
    return next(step for step, loss in zip(curves["step"], curves["second"], strict=True) if loss <= half)


def steps_to_ship(curves: dict[str, list], n_layers: int) -> list[int]:
    """Dense around the phase change, sparse elsewhere."""
    if n_layers == 1:
        return [0, 200, 400, 1000]
    centre = phase_change(curves)
    around = [centre * f for f in (0.3, 0.6, 0.8, 0.88, 0.94, 0.97, 1.0, 1.03, 1.06, 1.12, 1.2, 1.35)]
    steps = [0, *(SAVE_EVERY * math.floor(s / SAVE_EVERY + 0.5) for s in around), NONCE_UNTIL]
    return sorted({s for s in steps if s < STEPS})


def ship(n_layers: int, runs: list[dict[str, Any]]) -> Path:
    """Write the zoo folder of the first run, without a card."""
    name = f"induction-{n_layers}l"
    source = OUT / f"{name}-seed{runs[0]['seed']}"
    folder = zoo.HERE / name
    cards.empty(folder)
    model = Transformer(config(n_layers), cards.word_tokenizer(repeats.VOCABULARY))
    model.save(folder)
    (folder / "model.safetensors").write_bytes((source / f"step_{STEPS:06d}.safetensors").read_bytes())
    (folder / "checkpoints").mkdir()
    for step in steps_to_ship(runs[0]["curves"], n_layers):
        file = f"step_{step:06d}.safetensors"
        (folder / "checkpoints" / file).write_bytes((source / file).read_bytes())
    return folder


def load_run(n_layers: int, seed: int) -> Transformer:
    """The final weights of a run, as they would be shipped (float16)."""
    from safetensors.torch import load_file

    model = Transformer(config(n_layers))
    model.load_state_dict(load_file(OUT / f"induction-{n_layers}l-seed{seed}" / f"step_{STEPS:06d}.safetensors"))
    return model.float().eval().requires_grad_(False)


def write_cards(runs: dict[int, list[dict[str, Any]]]) -> None:
    """Measure what is shipped, and the other seeds, and write both cards."""
    begun = {run["seed"]: run["curves"] for run in runs[2]}
    for n_layers in (2, 1):
        by_seed = []
        for run in runs[n_layers]:
            measured = _checks(n_layers, load_run(n_layers, run["seed"]), load_run(2, run["seed"]))
            by_seed.append({"seed": run["seed"], "seconds": round(run["seconds"]), "checks": measured})
        _write(n_layers, by_seed, {n: of_depth[0]["curves"] for n, of_depth in runs.items()}, begun)


def measure_again() -> None:
    """Measure the shipped weights again, and write both cards. What is known of the other seeds alone is kept: the
    figures of those checks that are still there. (A check that asks something else gets another name.)"""
    shipped = {n_layers: zoo.card(f"induction-{n_layers}l") for n_layers in (2, 1)}
    curves = {n_layers: card["curves"] for n_layers, card in shipped.items()}
    begun = {0: curves[2]} | {
        json.loads(file.read_text())["seed"]: json.loads(file.read_text())["curves"]
        for file in sorted(OUT.glob("induction-2l-seed*-begun/run.json"))
    }
    models = {n_layers: load(f"induction-{n_layers}l") for n_layers in (2, 1)}
    for n_layers, card in shipped.items():
        measured = _checks(n_layers, models[n_layers], models[2])
        others = [_still_asked(seed, measured) for seed in card["seeds"][1:]]
        by_seed = [{"seed": card["seed"], "seconds": card["seconds"], "checks": measured}]
        _write(n_layers, by_seed, curves, begun, others)


def _still_asked(seed: dict[str, Any], now: list[Check]) -> dict[str, Any]:
    """The record of another seed without the checks that are no more."""
    names = {check.name for check in now}
    return {**seed, "checks": {name: check for name, check in seed["checks"].items() if name in names}}


def _checks(n_layers: int, model: HookedModel, deeper: HookedModel) -> list[Check]:
    return checks.two_layer(model) if n_layers == 2 else checks.one_layer(model, deeper)


def _write(
    n_layers: int,
    by_seed: list[dict[str, Any]],
    curves: dict[int, dict[str, list]],
    begun: dict[int, dict[str, list]],
    others: Sequence[dict[str, Any]] = (),
) -> None:
    """One card. begun: the curves of each seed's 2-layer training. others: the records of further seeds."""
    folder = zoo.HERE / f"induction-{n_layers}l"
    model = load(folder.name)
    assert isinstance(model, Transformer)
    facts: dict[str, Any] = {
        "parameters": sum(p.numel() for p in model.parameters()),
        "losses": induction_facts.losses(model),
        "bets": induction_facts.bets(model),
        "bets_untrained": induction_facts.bets(checks.untrained(model)),
        "phase_change": phase_change(curves[2]),
        "fall": induction_facts.fall(curves[n_layers]),
        "most_ever": {
            name: induction_facts.most_ever(curves[n_layers], name) for name in ("previous_token", "prefix_matching")
        },
    }
    if n_layers == 2:
        early = load(folder.name, checkpoint=induction_facts.EARLY)
        assert isinstance(early, Transformer)
        facts["circuit"] = induction_facts.circuit(model, early)
        facts["times_smaller_than_gpt2"] = induction_facts.gpt2_parameters() / facts["parameters"]
        facts["no_better_until"] = induction_facts.no_better_until(curves[2], curves[1])
        facts["no_better_by"] = induction_facts.BETTER
        facts["births"] = {
            f"seed_{seed}": induction_facts.birth(film, curves[1]) for seed, film in sorted(begun.items())
        }
        passed = _passed("k_composition", by_seed, others)
        facts["k_by_seed"] = {"seeds": len(passed), "fail": passed.count(False)}
    first, second = facts["losses"]["first"], facts["losses"]["second"]
    cards.write(
        folder,
        title=folder.name,
        text=TWO_LAYERS if n_layers == 2 else ONE_LAYER,
        command=COMMAND,
        seed=by_seed[0]["seed"],
        recipe={
            "steps": STEPS,
            "batch": BATCH,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "rent_from": RENT_FROM,
            "save_every": SAVE_EVERY,
        },
        by_seed=by_seed,
        curves=curves[n_layers],
        facts=facts,
        words=f"Loss on first copies {first:.3f}, on later copies {second:.3f} nats per token (seed "
        f"{by_seed[0]['seed']}). Bounds that depend on a run (K-composition) are those of the first seed."
        + _table_of_seeds(others),
    )
    if others:
        card = zoo.card(folder.name)
        card["seeds"] += others
        (folder / "card.json").write_text(json.dumps(card, separators=(",", ":")) + "\n")


def _passed(name: str, by_seed: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> list[bool]:
    """Whether a check passes, seed by seed. by_seed: checks as measured; others: as a card has them."""
    measured = [check.passed for seed in by_seed for check in seed["checks"] if check.name == name]
    return measured + [seed["checks"][name]["passed"] for seed in others]


def _table_of_seeds(seeds: Sequence[dict[str, Any]]) -> str:
    """The figures of further seeds, for people."""
    if not seeds:
        return ""
    names = list(seeds[0]["checks"])
    lines = [
        "\n\nOther seeds of the same recipe, by the checks' short names:\n",
        "| seed | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for seed in seeds:
        cells = [f"{check['value']:.3g}{'' if check['passed'] else ' ✗'}" for check in seed["checks"].values()]
        lines.append(f"| {seed['seed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


TWO_LAYERS = """An attention-only transformer with two layers of four heads, trained on repeats of random words. A
head of layer 0 looks one word back, a head of layer 1 looks for the present word among what the first one wrote, and
the other six have stopped writing. Embeddings are fixed random directions, so the circuit also works on words that
training never showed."""

ONE_LAYER = """The control: the same recipe with one layer. It learns that words of a sequence come back, and hardly
which one comes next: there is no layer before its heads whose notes they could read."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, choices=(1, 2), action="append", help="train these only")
    parser.add_argument("--seed", type=int, action="append", help="train these seeds only")
    parser.add_argument("--only-train", action="store_true", help="do not rewrite the zoo")
    parser.add_argument("--until", type=int, default=STEPS, help="stop at this step, and leave the zoo alone")
    parser.add_argument("--measure", action="store_true", help="train nothing: measure, and write the cards")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.measure:
        measure_again()
        return
    whole = options.until == STEPS
    runs: dict[int, list[dict[str, Any]]] = {}
    with Progress() as progress:
        for n_layers in options.layers or (2, 1):
            for seed in options.seed or SEEDS[n_layers]:
                folder = OUT / f"induction-{n_layers}l-seed{seed}{'' if whole else '-begun'}"
                done = folder / "run.json"
                run = train(n_layers, seed, folder, progress, options.until) if not done.exists() else None
                runs.setdefault(n_layers, []).append(run or json.loads(done.read_text()))
    if whole and not options.only_train:
        for n_layers, of_depth in runs.items():
            ship(n_layers, of_depth)
        write_cards(runs)


if __name__ == "__main__":
    main()
