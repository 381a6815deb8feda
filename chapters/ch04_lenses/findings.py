"""What chapter 04 finds in Pico, measured for its card: how a town is recalled, and what lenses see on the way.

Most prompts ask for a resident's town and stop before it. A pair of prompts has two people in the same sentence, who
live in different towns; so every position means the same in both.

Whether a vector holds a fact, and whether Pico uses it, is asked with neighbours: the other residents who share the
fact. Their mean has nothing of the resident's own name, so what it can do was not learned for that name alone.

`python -m mi_lib.recipes.pico_reading` measures it again on the bundled network, and writes it on its card.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib import lens, load, zoo
from mi_lib.models import Hook, HookedModel
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people
from mi_lib.zoo.pico_common import ids, padded, token

SENTENCES = ("{} lives in", "The home of {} is in", "{} has a house in")
DISH = "The favourite dish of {} is"
PAIRS = 40
MIXTURES: tuple[littletown.Mixture, ...] = ("base", "chat")  # of the texts that lenses are trained on
SHUFFLES = 1000
SURE, CLOSE = 0.9, 2.0  # probability of the first guess; its ratio to that of the second
MOST = 0.8  # of what all heads write together
WORDS, TEXTS = 15, 120  # of held-out prose: how many words from the beginning of each, and of how many texts


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


def among_towns(lens_logits: Float[Tensor, "depth batch pos vocab"]) -> Int[Tensor, "depth batch"]:
    """At every depth the likeliest of the towns at the last position, whatever other words are likelier still."""
    towns = labels("town").unique()
    return towns[lens_logits[:, :, -1][..., towns].argmax(-1)]


def prose(words: int = WORDS, texts: int = TEXTS) -> Int[Tensor, "batch pos"]:
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


class Exchange(NamedTuple):
    """A place whose value comes from the other prompt: a site of a block, and a position; of z, which heads."""

    site: str
    layer: int
    position: int = -1
    heads: Sequence[int] | None = None


@torch.no_grad()
def exchanged(
    model: HookedModel, places: Sequence[Exchange], sentence: str = SENTENCES[1], towns_only: bool = False
) -> float:
    """The share of pairs in which the likeliest word (or the likeliest town) becomes the other person's town, when
    these places hold what they hold in the other person's prompt."""
    found = pairs(sentence=sentence)
    clean, other = torch.cat([pair.clean for pair in found]), torch.cat([pair.corrupt for pair in found])
    _, cache = model.run_with_cache(other, [(place.site, place.layer) for place in places])

    def edit(place: Exchange) -> tuple[tuple[str, int], Any]:
        def put(x: Tensor, hook: Hook) -> Tensor:
            x, new = x.clone(), cache[place.site, place.layer]
            where = (slice(None), place.position) if place.heads is None else (slice(None), place.position, place.heads)
            x[where] = new[where]
            return x

        return (place.site, place.layer), put

    logits = model.run_with_hooks(clean, [edit(place) for place in places])
    said = among_towns(logits[None])[0] if towns_only else logits[:, -1].argmax(-1)
    return (said == torch.tensor([pair.wrong for pair in found])).float().mean().item()


def swapped(model: HookedModel, layer: int, heads: list[int], sentence: str = SENTENCES[1]) -> float:
    """The same for what these heads bring to the last position."""
    return exchanged(model, [Exchange("z", layer, heads=heads)], sentence)


def carriers(heads: Float[Tensor, "layer head"]) -> tuple[int, list[int]]:
    """The layer of the strongest head, and that layer's heads by strength."""
    layer = int(heads.max(1).values.argmax())
    return layer, heads[layer].argsort(descending=True).tolist()


# --- a name and its facts ---------------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """A question about every resident, the answers, and where the name stands."""

    tokens: Int[Tensor, "resident pos"]
    answers: Int[Tensor, " resident"]
    name: int

    @classmethod
    def about(cls, fact: str, sentence: str) -> Asked:
        """fact: "town", "dish"; the sentence stops before it."""
        return cls(torch.cat([prompt(who, sentence) for who in people.RESIDENTS]), labels(fact),
                   1 + sentence.split().index("{}"))  # fmt: skip


def labels(fact: str) -> Int[Tensor, " resident"]:
    """The token of this fact for every resident."""
    return torch.tensor([token(people.OF_PERSON[who][fact]) for who in people.RESIDENTS])


def neighbours(x: Float[Tensor, "resident d"], label: Int[Tensor, " resident"]) -> Float[Tensor, "resident d"]:
    """For each resident the mean over the OTHERS who have the same label."""
    same = (label[:, None] == label) & ~torch.eye(len(label), dtype=torch.bool)
    return same.float() @ x / same.sum(1, keepdim=True)


def others(x: Float[Tensor, "resident d"]) -> Float[Tensor, "resident d"]:
    """For each resident the mean over all others."""
    return (x.sum(0) - x) / (len(x) - 1)


def elsewhere(label: Int[Tensor, " resident"]) -> Int[Tensor, " resident"]:
    """For each resident the number of the next one with another label."""
    n = len(label)
    return torch.tensor([next((i + k) % n for k in range(1, n) if label[(i + k) % n] != label[i]) for i in range(n)])


@torch.no_grad()
def said_with(model: HookedModel, asked: Asked, changes: Sequence[tuple[str, int, int, Tensor]]) -> Int[Tensor, " n"]:
    """The likeliest word for every resident, if each (site, layer, position) holds this [resident d_model] instead."""

    def put(position: int, new: Tensor) -> Any:
        def edit(x: Tensor, hook: Hook) -> Tensor:
            x = x.clone()
            x[:, position] = new
            return x

        return edit

    edits = [((site, layer), put(position, new)) for site, layer, position, new in changes]
    return model.run_with_hooks(asked.tokens, edits)[:, -1].argmax(-1)


def share(said: Tensor, answers: Tensor) -> float:
    return (said == answers).float().mean().item()


def parts_of_a_name(
    model: HookedModel, asked: Asked, site: str, layer: int, position: int, fact: str
) -> dict[str, float]:
    """What Pico answers if a vector of the name loses, keeps or exchanges the part that neighbours share.

    The part of a fact is the mean of the neighbours less the mean of all others.
    """
    _, cache = model.run_with_cache(asked.tokens, (site, layer))
    x, label = cache[site, layer][:, position], labels(fact)
    mean, part = neighbours(x, label), neighbours(x, label) - others(x)
    other = elsewhere(label)

    def said(new: Tensor) -> Tensor:
        return said_with(model, asked, [(site, layer, position, new)])

    with_others = said(x - part + part[other])
    return {
        "neighbours": share(said(mean), asked.answers),
        "without": share(said(x - part), asked.answers),
        "without_another": share(said(x - part[other]), asked.answers),
        "exchanged_own": share(with_others, asked.answers),
        "exchanged_other": share(with_others, asked.answers[other]),
    }


@torch.no_grad()
def table_alone(model: HookedModel) -> dict[str, float]:
    """The share of residents whose own town has the largest W_E[name] @ W_U of all; and with towns dealt out anew."""
    asked = Asked.about("town", SENTENCES[1])
    _, cache = model.run_with_cache(asked.tokens, "embed")
    towns = asked.answers.unique()
    read = towns[(cache["embed"][:, asked.name] @ model.W_U[:, towns]).argmax(-1)]
    return {"share": share(read, asked.answers), **dealt_anew(lambda answers: share(read, answers), asked.answers)}


def read_by_neighbours(x: Float[Tensor, "resident d"], label: Int[Tensor, " resident"]) -> Int[Tensor, " resident"]:
    """The label whose other holders have, in the mean, the most similar vector (cosine, centred on all others)."""
    kinds = label.unique()
    x, centre = x.double(), others(x.double())
    member = (label[:, None] == kinds).double()  # [resident kind]
    held = (
        member[None] * (1 - torch.eye(len(x), dtype=torch.double))[:, :, None]
    )  # without the resident: [i other kind]
    means = torch.einsum("iok,od->ikd", held, x) / held.sum(1)[..., None]
    return kinds[torch.cosine_similarity(means - centre[:, None], (x - centre)[:, None], dim=-1).argmax(-1)]


def readable(model: HookedModel, site: str, layer: int, position: int) -> dict[str, float]:
    """The share of residents whose town their neighbours' vectors tell, and the same with towns dealt out anew."""
    asked = Asked.about("town", SENTENCES[1])
    _, cache = model.run_with_cache(asked.tokens, (site, layer))
    x = cache[site, layer][:, position]

    def told(answers: Tensor) -> float:
        return share(read_by_neighbours(x, answers), answers)

    return {"share": told(asked.answers), **dealt_anew(told, asked.answers, 100)}


def dealt_anew(measured: Any, answers: Tensor, times: int = SHUFFLES) -> dict[str, float]:
    """Mean and largest value of what is measured, if every resident gets the town of a random one."""
    generator = torch.Generator().manual_seed(0)
    found = [measured(answers[torch.randperm(len(answers), generator=generator)]) for _ in range(times)]
    return {"shuffled": sum(found) / times, "shuffled_most": max(found)}


def knocked_out(model: HookedModel, places: Sequence[tuple[str, int, int]]) -> float:
    """The share of residents whose town is still said if what is written at these (site, layer, position) is, for
    each, the mean over all other residents: what is about this one person is gone, and nothing else."""
    asked = Asked.about("town", SENTENCES[1])
    _, cache = model.run_with_cache(asked.tokens, [(site, layer) for site, layer, _ in places])
    changes = [(site, layer, position, others(cache[site, layer][:, position])) for site, layer, position in places]
    return share(said_with(model, asked, changes), asked.answers)


def lookup(model: HookedModel, untrained: HookedModel, layer: int) -> dict[str, Any]:
    """Where a resident's town is kept: read from the embedding alone, then tried by what Pico says."""
    home, dish = Asked.about("town", SENTENCES[1]), Asked.about("dish", DISH)
    later = range(layer + 1, model.cfg.n_layers)
    return {
        "table": table_alone(model),
        "table_untrained": table_alone(untrained)["share"],
        "attention": readable(model, "attn_out", layer, -1),
        "attention_untrained": readable(untrained, "attn_out", layer, -1)["share"],
        "name": {
            asked_for: {
                part: parts_of_a_name(model, asked, "resid_pre", 0, asked.name, part) for part in ("town", "dish")
            }
            for asked_for, asked in (("town", home), ("dish", dish))
        },
        "brought": {
            asked_for: {part: parts_of_a_name(model, asked, "attn_out", layer, -1, part) for part in ("town", "dish")}
            for asked_for, asked in (("town", home), ("dish", dish))
        },
        "without_attention": knocked_out(model, [("attn_out", layer, -1)]),
        "without_mlp": knocked_out(model, [("mlp_out", layer, -1)]),
        "without_later_mlps": knocked_out(model, [("mlp_out", i, -1) for i in later]),
        "without_mlps_at_name": knocked_out(model, [("mlp_out", i, home.name) for i in range(model.cfg.n_layers)]),
    }


# --- for the card -----------------------------------------------------------------------------------------------------


def unmet(parts: int = 3) -> list[str]:
    """The residents whom the held-out lens never meets: every third."""
    return list(people.RESIDENTS[::parts])


def held_out_lens(model: HookedModel) -> lens.TunedLens:
    """A tuned lens trained as the bundled one is, on texts in which the residents of `unmet` do not occur."""
    from mi_lib.recipes import pico_card

    tokens, mask = texts_without(unmet(), pico_card.LENS_TEXTS)
    return lens.train_tuned_lens(model, tokens, steps=pico_card.LENS_STEPS, attention_mask=mask)


def texts_without(names: Sequence[str], count: int) -> tuple[Tensor, Tensor]:
    """The texts a lens is trained on, without those in which one of these people occurs."""
    found: list[list[int]] = []
    number = 0
    while len(found) < count:
        words = littletown.document(number, 41, "train", MIXTURES[number % len(MIXTURES)]).words
        number += 1
        if not set(names) & set(words):
            found.append(ids(words))
    return padded(found)


def first_guess_unmet(model: HookedModel, held_out: lens.TunedLens) -> dict[str, dict[str, float]]:
    """At every depth: the share of residents whose town is first, of those the lens never met and of the others; and
    how many residents that is."""
    tokens, answers = questions(SENTENCES[1])
    read = lens.tuned_lens(model, held_out, tokens)
    never = torch.tensor([name in unmet() for name in people.RESIDENTS])
    groups = {"unmet": never, "met": ~never}
    shares = {group: by_depth(first_guess(read[:, who], answers[who])) for group, who in groups.items()}
    counts: dict[str, dict[str, float]] = {
        f"{group}_right": {depth: round(value * int(who.sum())) for depth, value in shares[group].items()}
        for group, who in groups.items()
    }
    return {**shares, **counts}


def by_depth(values: Sequence[float]) -> dict[str, float]:
    return {f"depth_{depth}": value for depth, value in enumerate(values)}


def on_towns(model: HookedModel, tuned: lens.TunedLens) -> dict[str, Any]:
    """How often each lens has the right town: as the likeliest of all words, and as the likeliest of the towns.

    The control deals the towns out anew among the residents: mean and largest share of the draws, at every depth.
    """
    tokens, answers = questions(SENTENCES[1])
    read = {"logit": lens.logit_lens(model, tokens), "tuned": lens.tuned_lens(model, tuned, tokens)}
    all_words = {name: x[:, :, -1].argmax(-1) for name, x in read.items()}
    towns = {name: among_towns(x) for name, x in read.items()}

    def judged(said: Int[Tensor, "depth batch"]) -> dict[str, Any]:
        anew = [dealt_anew(lambda dealt, row=row: share(row, dealt), answers) for row in said]
        return {
            **by_depth([share(row, answers) for row in said]),
            "shuffled": by_depth([found["shuffled"] for found in anew]),
            "shuffled_most": by_depth([found["shuffled_most"] for found in anew]),
            "shuffled_most_residents": max(round(found["shuffled_most"] * len(answers)) for found in anew),
            "shuffled_highest": max(found["shuffled"] for found in anew),
        }

    return {
        "towns": len(answers.unique()),
        "words": {name: judged(said) for name, said in all_words.items()},
        "among_towns": {name: judged(said) for name, said in towns.items()},
    }


def by_sentence(model: HookedModel) -> dict[str, dict[str, Any]]:
    """For every sentence that asks for a town: the head that brings back most when it is patched alone, how much of
    the answer that is, and in how many pairs the other person's town becomes the likeliest of the towns when that head
    is exchanged. Of the towns, because after one of the sentences Pico says "a" rather than a town (see `says`)."""
    found: dict[str, dict[str, Any]] = {}
    for number, sentence in enumerate(SENTENCES):
        tables = [
            lens.head_patching(model, pair.clean, pair.corrupt, lens.logit_difference(pair.right, pair.wrong))
            for pair in pairs(sentence=sentence)
        ]
        table = torch.stack(tables).mean(0)
        layer, order = carriers(table)
        tokens, answers = questions(sentence)
        with torch.no_grad():
            logits = model(tokens)
        found[f"sentence_{number}"] = {
            "sentence": sentence.format("…"),
            "layer": layer,
            "head": order[0],
            "head_share": table[layer, order[0]].item(),
            "swapped_by_one": exchanged(model, [Exchange("z", layer, heads=order[:1])], sentence, towns_only=True),
            "swapped_by_others": exchanged(model, [Exchange("z", layer, heads=order[1:])], sentence, towns_only=True),
            "says": first_guess(logits[None], answers)[0],
            "says_mostly": littletown.vocabulary()[int(logits[:, -1].argmax(-1).mode().values)],
            "right_among_towns": share(among_towns(logits[None])[0], answers),
        }
    return found


def twice(model: HookedModel) -> dict[str, float]:
    """What norming twice costs on held-out prose, and where: by how sure Pico is of its first guess."""
    tokens = prose()
    cost, changed = (x[:, 1:] for x in normed_twice(model, tokens))
    first, second = model(tokens).softmax(-1)[:, 1:].topk(2).values.unbind(-1)
    sure, close = first >= SURE, first < CLOSE * second
    _, changed_towns = normed_twice(model, questions(SENTENCES[1])[0])
    return {
        "words": cost.numel(),
        "sure_from": SURE,
        "kl": cost.mean().item(),
        "changed": changed.mean().item(),
        "changed_towns": changed_towns[:, -1].mean().item(),
        "sure": sure.float().mean().item(),
        "changed_sure": changed[sure].mean().item(),
        "close": close.float().mean().item(),
        "changed_close": changed[close].mean().item(),
        "changed_not_close": changed[~close].mean().item(),
        "under_a_hundredth": (cost < 0.01).float().mean().item(),
        "over_a_tenth": (cost > 0.1).float().mean().item(),
    }


def on_prose(model: HookedModel, tuned: lens.TunedLens, shifted: lens.TunedLens) -> dict[str, Any]:
    """How often a lens's first guess is already the final one, by depth; the control takes another text's guess. And
    the divergence from the final prediction, with a bias alone (`shifted`) as the control of the tuned lens."""
    tokens = prose()
    plain, read = lens.logit_lens(model, tokens), lens.tuned_lens(model, tuned, tokens)
    guess, final = plain.argmax(-1), plain[-1].argmax(-1)

    def mean(values: Tensor) -> dict[str, float]:
        return by_depth(values[:, :, 1:].float().mean((1, 2)).tolist())

    return {
        "texts": len(tokens),
        "words_each": WORDS,
        "reads_itself": (guess[0] == tokens)[:, 1:].float().mean().item(),
        "agrees": mean(guess == final),
        "agrees_tuned": mean(read.argmax(-1) == final),
        "agrees_with_another_text": mean(guess.roll(1, dims=1) == final),
        "kl": mean(lens.kl_to_final(plain)),
        "kl_bias": mean(lens.kl_to_final(lens.tuned_lens(model, shifted, tokens))),
        "kl_tuned": mean(lens.kl_to_final(read)),
    }


def against() -> tuple[Tensor, Tensor, Tensor]:
    """Every resident's prompt, the town, and another town: that of the resident before who lives elsewhere."""
    tokens, right = questions(SENTENCES[1])
    order = torch.arange(len(right))
    wrong = torch.stack([next(t for t in right[order.roll(-i)] if t != right[i]) for i in range(len(right))])
    return tokens, right, wrong


def writers(model: HookedModel, head: str) -> dict[str, Any]:
    """Who writes the town's logit against another town's: shares of the whole, mean over residents."""
    parts = lens.direct_logit_attribution(model, *against(), heads=True)
    mean = dict(zip(parts.names, parts.values.mean(1).tolist(), strict=True))
    total, half = sum(mean.values()), model.cfg.n_layers // 2
    late = [f"{layer}" for layer in range(half, model.cfg.n_layers)]
    by_head = {name: value for name, value in mean.items() if name.startswith("head ")}
    strongest = sorted(by_head, key=by_head.__getitem__, reverse=True)
    reached, few = 0.0, 0
    while reached < MOST * sum(by_head.values()):
        reached, few = reached + by_head[strongest[few]], few + 1
    return {
        "second_half": sum(v for name, v in mean.items() if name.split()[-1].split(".")[0] in late) / total,
        "largest": max(mean, key=mean.__getitem__),
        "largest_share": max(mean.values()) / total,
        "carrier_share": mean[head] / total,
        "strongest_head": strongest[0].split()[1],
        "strongest_head_layer": int(strongest[0].split()[1].split(".")[0]),
        "strongest_head_share": by_head[strongest[0]] / total,
        "heads_for_most": few,
        "most": MOST,
        "heads": len(by_head),
    }


def measure(
    model: HookedModel,
    untrained: HookedModel,
    tuned: lens.TunedLens,
    shifted: lens.TunedLens,
) -> dict[str, Any]:
    """For the card. shifted: the tuned lens's control, which learned only a bias. A lens that has not met some
    residents is trained here."""
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
    said = plain[-1, :, -1].argmax(-1)
    wrote = writers(model, f"head {layer}.{order[0]}")
    everywhere, place = list(range(model.cfg.n_heads)), 1 + SENTENCES[1].split().index("{}")
    return {
        "first_guess": by_depth(first_guess(plain, answers)),
        "first_guess_tuned": by_depth(first_guess(lens.tuned_lens(model, tuned, tokens), answers)),
        "on_towns": on_towns(model, tuned),
        "first_guess_untrained": max(first_guess(lens.logit_lens(untrained, tokens), answers)),
        "first_guess_another": dealt_anew(lambda towns: share(said, towns), answers),
        "first_guess_held_out": first_guess_unmet(model, held_out_lens(model)),
        "unmet": len(unmet()),
        "met": len(people.RESIDENTS) - len(unmet()),
        "shuffles": SHUFFLES,
        "by_sentence": by_sentence(model),
        "kl_at_1": {name: value[1].mean().item() for name, value in divergences.items()},
        "kl_in_the_middle": {name: value[middle].mean().item() for name, value in divergences.items()},
        "middle": middle,
        "pairs": PAIRS,
        "travel": {name: [[round(x, 4) for x in row] for row in table.tolist()] for name, table in seen.items()},
        "twice": twice(model),
        "prose": on_prose(model, tuned, shifted),
        "wrote": wrote,
        "lookup": lookup(model, untrained, layer),
        "recall": {
            "layer": layer,
            "head": order[0],
            "head_share": seen["heads"][layer, order[0]].item(),
            "attention_share": seen["attn_out"][layer, -1].item(),
            "mlp_share": seen["mlp_out"][layer, -1].item(),
            "mlp_at_name": seen["mlp_out"][layer, place].item(),
            "swapped_by_one": swapped(model, layer, order[:1]),
            "swapped_by_others": swapped(model, layer, order[1:]),
            "swapped_by_layer": swapped(model, layer, everywhere),
            "swapped_by_three": swapped(model, layer, order[:3]),
            "swapped_elsewhere": swapped(model, model.cfg.n_layers - 1 if layer == 0 else 0, everywhere),
            "swapped_by_writer": swapped(model, wrote["strongest_head_layer"], everywhere),
            "swapped_by_mlp": exchanged(model, [Exchange("mlp_out", layer)]),
            "swapped_by_later_mlps": exchanged(
                model, [Exchange("mlp_out", i) for i in range(layer + 1, model.cfg.n_layers)]
            ),
            "swapped_at_end": exchanged(model, [Exchange("resid_pre", layer + 1)]),
            "swapped_at_name": exchanged(model, [Exchange("resid_pre", layer + 1, place)]),
        },
    }


def main() -> None:
    """Measure the bundled network again. Its tuned lens stays; the controls, a bias alone and a lens that has not met
    some residents, are trained anew."""
    from mi_lib.recipes import pico_card

    model = load("pico")
    tokens, mask = pico_card.lens_texts(MIXTURES)
    shifted = lens.train_tuned_lens(model, tokens, steps=pico_card.LENS_STEPS, attention_mask=mask, bias_only=True)
    tuned = lens.TunedLens.load(zoo.folder("pico") / "tuned_lens.safetensors")
    file = zoo.folder("pico") / "card.json"
    card = json.loads(file.read_text())
    card["reading"] = measure(model, pico_card.untrained(), tuned, shifted)
    file.write_text(json.dumps(card, separators=(",", ":")) + "\n")
    print(json.dumps(card["reading"], indent=2))


if __name__ == "__main__":
    main()
