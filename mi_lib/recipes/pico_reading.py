"""What chapter 04 finds in Pico, measured for its card: how a town is recalled, and what lenses see on the way.

All prompts ask for a resident's town and stop before it. A pair of prompts has two people in the same sentence, who
live in different towns; so every position means the same in both.

`python -m mi_lib.recipes.pico_reading` measures it again on the bundled network, and writes it on its card.
"""

from __future__ import annotations

import json
import random
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib import lens, load, zoo
from mi_lib.models import Hook, HookedModel
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people
from mi_lib.zoo.pico_common import ids, token

SENTENCES = ("{} lives in", "The home of {} is in", "{} has a house in")
PAIRS = 40


class Pair(NamedTuple):
    """Two prompts that differ in the name. right: the town of the clean prompt's person; wrong: of the other's."""

    clean: Int[Tensor, "1 pos"]
    corrupt: Int[Tensor, "1 pos"]
    right: int
    wrong: int


def prompt(name: str, sentence: str = SENTENCES[0]) -> Int[Tensor, "1 pos"]:
    return torch.tensor([ids(sentence.format(name).split())])


def town(name: str) -> int:
    """The token of the town where a resident lives."""
    return token(people.OF_PERSON[name]["town"])


def pairs(count: int = PAIRS, sentence: str = SENTENCES[0], seed: int = 0) -> list[Pair]:
    rng = random.Random(seed)
    found: list[Pair] = []
    while len(found) < count:
        one, other = rng.sample(people.RESIDENTS, 2)
        if town(one) != town(other):
            found.append(Pair(prompt(one, sentence), prompt(other, sentence), town(one), town(other)))
    return found


def questions(sentence: str = SENTENCES[0]) -> tuple[Int[Tensor, "batch pos"], Int[Tensor, " batch"]]:
    """Every resident's prompt, and the town."""
    tokens = torch.cat([prompt(name, sentence) for name in people.RESIDENTS])
    return tokens, torch.tensor([town(name) for name in people.RESIDENTS])


def first_guess(lens_logits: Float[Tensor, "depth batch pos vocab"], answers: Int[Tensor, " batch"]) -> list[float]:
    """At every depth the share of prompts whose answer is the first guess at the last position."""
    return (lens.rank(lens_logits[:, :, -1], answers) == 0).float().mean(1).tolist()


def prose(words: int = 15, texts: int = 120) -> Int[Tensor, "batch pos"]:
    """The beginnings of texts that training has left out, as far as they are long enough."""
    found = (littletown.document(i, 3, "held_out").words for i in range(texts))
    return torch.tensor([ids(text[:words]) for text in found if len(text) >= words])


def normed_twice(
    model: HookedModel, tokens: Int[Tensor, "batch pos"]
) -> tuple[Float[Tensor, "batch pos"], Float[Tensor, "batch pos"]]:
    """What it costs to put the last hidden state of `transformers` through the final norm once more: at every position
    the KL divergence from the network's own prediction, in nats, and 1 where the first guess is another word."""
    with torch.no_grad():
        stream = lens.residual_stream(model, tokens)[-1]
        right = lens.read_out(model, stream)
        assert model.ln_final is not None
        wrong = lens.read_out(model, model.ln_final(stream))
        return lens.kl_divergence(right, wrong), (right.argmax(-1) != wrong.argmax(-1)).float()


def travel(model: HookedModel, sentence: str = SENTENCES[1]) -> dict[str, Tensor]:
    """Mean over pairs of what patching brings back: the stream by layer and position, and what each part writes."""
    tables: dict[str, list[Tensor]] = {"resid_pre": [], "attn_out": [], "mlp_out": [], "heads": []}
    for pair in pairs(sentence=sentence):
        metric = lens.logit_difference(pair.right, pair.wrong)
        for site in ("resid_pre", "attn_out", "mlp_out"):
            table = lens.residual_patching(model, pair.clean, pair.corrupt, metric, site=site)  # type: ignore[arg-type]
            tables[site].append(table)
        tables["heads"].append(lens.head_patching(model, pair.clean, pair.corrupt, metric))
    return {name: torch.stack(rows).mean(0) for name, rows in tables.items()}


def swapped(model: HookedModel, layer: int, heads: list[int], sentence: str = SENTENCES[1]) -> float:
    """The share of pairs in which the likeliest word becomes the other person's town, when these heads bring at the
    last position what they bring in the other person's prompt."""
    turned = []
    for pair in pairs(sentence=sentence):
        _, cache = model.run_with_cache(pair.corrupt, ("z", layer))
        other = cache["z", layer][:, -1]

        def edit(z: Tensor, hook: Hook, other: Tensor = other) -> Tensor:
            z = z.clone()
            z[:, -1, heads] = other[:, heads]
            return z

        logits = model.run_with_hooks(pair.clean, [(("z", layer), edit)])[0, -1]
        turned.append(int(logits.argmax()) == pair.wrong)
    return sum(turned) / len(turned)


def carriers(heads: Float[Tensor, "layer head"]) -> tuple[int, list[int]]:
    """The layer of the strongest head, and that layer's heads by strength."""
    layer = int(heads.max(1).values.argmax())
    return layer, heads[layer].argsort(descending=True).tolist()


def measure(
    model: HookedModel, untrained: HookedModel, tuned: lens.TunedLens, shifted: lens.TunedLens
) -> dict[str, Any]:
    """For the card. shifted: the tuned lens's control, which learned only a bias."""
    tokens, answers = questions(SENTENCES[1])
    plain = lens.logit_lens(model, tokens)
    seen = travel(model)
    layer, order = carriers(seen["heads"])
    middle = model.cfg.n_layers // 2
    divergences = {
        "logit": lens.kl_to_final(plain),
        "bias": lens.kl_to_final(lens.tuned_lens(model, shifted, tokens)),
        "tuned": lens.kl_to_final(lens.tuned_lens(model, tuned, tokens)),
    }
    elsewhere = model.cfg.n_layers - 1 if layer == 0 else 0
    cost, changed = normed_twice(model, prose())
    _, changed_towns = normed_twice(model, tokens)
    return {
        "first_guess": {f"depth_{depth}": share for depth, share in enumerate(first_guess(plain, answers))},
        "first_guess_tuned": {
            f"depth_{depth}": share
            for depth, share in enumerate(first_guess(lens.tuned_lens(model, tuned, tokens), answers))
        },
        "first_guess_untrained": max(first_guess(lens.logit_lens(untrained, tokens), answers)),
        "kl_at_1": {name: value[1].mean().item() for name, value in divergences.items()},
        "kl_in_the_middle": {name: value[middle].mean().item() for name, value in divergences.items()},
        "middle": middle,
        "pairs": PAIRS,
        "travel": {name: [[round(x, 4) for x in row] for row in table.tolist()] for name, table in seen.items()},
        "twice": {
            "words": cost[:, 1:].numel(),
            "kl": cost[:, 1:].mean().item(),
            "changed": changed[:, 1:].mean().item(),
            "changed_towns": changed_towns[:, -1].mean().item(),
        },
        "recall": {
            "layer": layer,
            "head": order[0],
            "second": order[1],
            "third": order[2],
            "head_share": seen["heads"][layer, order[0]].item(),
            "attention_share": seen["attn_out"][layer, -1].item(),
            "mlp_share": seen["mlp_out"][layer, -1].item(),
            "mlp_at_name": seen["mlp_out"][layer, -3].item(),
            "swapped_by_one": swapped(model, layer, order[:1]),
            "swapped_by_three": swapped(model, layer, order[:3]),
            "swapped_by_layer": swapped(model, layer, list(range(model.cfg.n_heads))),
            "swapped_elsewhere": swapped(model, elsewhere, list(range(model.cfg.n_heads))),
            "elsewhere": elsewhere,
        },
    }


def main() -> None:
    """Measure the bundled network again. Its tuned lens stays; the control, a bias alone, is trained anew."""
    from mi_lib.recipes import pico_card

    model = load("pico")
    tokens, mask = pico_card.lens_texts(("base", "chat"))
    shifted = lens.train_tuned_lens(model, tokens, steps=pico_card.LENS_STEPS, attention_mask=mask, bias_only=True)
    tuned = lens.TunedLens.load(zoo.folder("pico") / "tuned_lens.safetensors")
    file = zoo.folder("pico") / "card.json"
    card = json.loads(file.read_text())
    card["reading"] = measure(model, pico_card.untrained(), tuned, shifted)
    file.write_text(json.dumps(card, separators=(",", ":")) + "\n")
    print(json.dumps(card["reading"], indent=2))


if __name__ == "__main__":
    main()
