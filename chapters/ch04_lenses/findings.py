"""What chapter 04 finds in Pico: how a town is recalled, and what lenses see on the way.

Most prompts ask for a resident's town and stop before it. A pair of prompts has two people in the same sentence, who
live in different towns; so every position means the same in both.

Whether a vector holds a fact, and whether Pico uses it, is asked with neighbours: the other residents who share the
fact. Their mean has nothing of the resident's own name, so what it can do was not learned for that name alone.

Pairs of residents and texts are drawn, so that what is measured on them has an interval. The residents themselves are
all there are: what is measured on all of them has none.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib import lens, load, zoo
from mi_lib.course import index
from mi_lib.course.findings import claim, mean
from mi_lib.models import Hook, HookedModel
from mi_lib.recipes.pico.card import LENS_STEPS, LENS_TEXTS, lens_texts
from mi_lib.recipes.pico.common import ids, padded, token, untrained
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people

SENTENCES = ("{} lives in", "The home of {} is in", "{} has a house in")
DISH = "The favourite dish of {} is"
PAIRS = 40
MIXTURES: tuple[littletown.Mixture, ...] = ("base", "chat")  # of the texts that lenses are trained on
SHUFFLES = 1000
SURE, CLOSE = 0.9, 2.0  # probability of the first guess; its ratio to that of the second
MOST = 0.8  # of what all heads write together
CARRIER = 0  # the block whose attention brings the town; `recall` finds it, and a test holds the two together
WORDS, TEXTS = 15, 120  # of held-out prose: how many words from the beginning of each, and of how many texts


@functools.cache
def pico() -> HookedModel:
    return load(index.chapter("04").model[0])


@functools.cache
def control() -> HookedModel:
    """The same architecture with random weights."""
    return untrained()


@functools.cache
def tuned() -> lens.TunedLens:
    """The tuned lens that is bundled with the network."""
    return lens.TunedLens.load(zoo.folder(index.chapter("04").model[0]) / "tuned_lens.safetensors")


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


def prose_texts(words: int = WORDS, texts: int = TEXTS) -> Int[Tensor, "batch pos"]:
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


def travel_of(model: HookedModel, found: Sequence[Pair]) -> dict[str, Float[Tensor, "pair layer place"]]:
    """What patching brings back in each pair: the stream by layer and position, what each part writes by layer and
    position, and what each head does, by layer and head."""
    tables: dict[str, list[Tensor]] = {"resid_pre": [], "attn_out": [], "mlp_out": [], "heads": []}
    for pair in found:
        metric = lens.logit_difference(pair.right, pair.wrong)
        for site in ("resid_pre", "attn_out", "mlp_out"):
            table = lens.residual_patching(model, pair.clean, pair.corrupt, metric, site=site)  # type: ignore[arg-type]
            tables[site].append(table)
        tables["heads"].append(lens.head_patching(model, pair.clean, pair.corrupt, metric))
    return {name: torch.stack(rows) for name, rows in tables.items()}


@functools.cache
def travelled() -> dict[str, Float[Tensor, "pair layer place"]]:
    """The same for all pairs of the sentence that the chapter asks with."""
    return travel_of(pico(), pairs(sentence=SENTENCES[1]))


class Exchange(NamedTuple):
    """A place whose value comes from the other prompt: a site of a block, and a position; of z, which heads."""

    site: str
    layer: int
    position: int = -1
    heads: Sequence[int] | None = None


@torch.no_grad()
def exchanged(
    model: HookedModel, places: Sequence[Exchange], sentence: str = SENTENCES[1], towns_only: bool = False
) -> Float[Tensor, " pair"]:
    """1 for each pair in which the likeliest word (or the likeliest town) becomes the other person's town, when these
    places hold what they hold in the other person's prompt; else 0."""
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
    return (said == torch.tensor([pair.wrong for pair in found])).float()


def swapped(model: HookedModel, layer: int, heads: list[int], sentence: str = SENTENCES[1]) -> Float[Tensor, " pair"]:
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


# --- lenses ----------------------------------------------------------------------------------------------------------


def unmet(parts: int = 3) -> list[str]:
    """The residents whom the held-out lens never meets: every third."""
    return list(people.RESIDENTS[::parts])


def held_out_lens(model: HookedModel) -> lens.TunedLens:
    """A tuned lens trained as the bundled one is, on texts in which the residents of `unmet` do not occur."""
    tokens, mask = texts_without(unmet(), LENS_TEXTS)
    return lens.train_tuned_lens(model, tokens, steps=LENS_STEPS, attention_mask=mask)


@functools.cache
def bias_alone() -> lens.TunedLens:
    """The control of the tuned lens: trained as it was, but a bias is all that it may learn."""
    tokens, mask = lens_texts(MIXTURES)
    return lens.train_tuned_lens(pico(), tokens, steps=LENS_STEPS, attention_mask=mask, bias_only=True)


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


@claim
def on_towns() -> dict[str, Any]:
    """How often each lens has the right town: as the likeliest of all words, and as the likeliest of the towns: "most
    of the towns were there already, and could not be read without an interpreter".

    Control: the towns dealt out anew among the residents; mean and largest share of the draws, at every depth.
    """
    tokens, answers = questions(SENTENCES[1])
    read = {"logit": lens.logit_lens(pico(), tokens), "tuned": lens.tuned_lens(pico(), tuned(), tokens)}
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
        "shuffles": SHUFFLES,
        "words": {name: judged(said) for name, said in all_words.items()},
        "among_towns": {name: judged(said) for name, said in towns.items()},
    }


def by_sentence_of(model: HookedModel, sentence: str) -> dict[str, Any]:
    """The head that brings back most when it is patched alone, how much of the answer that is, and in how many pairs
    the other person's town becomes the likeliest of the towns when that head is exchanged."""
    tables = [
        lens.head_patching(model, pair.clean, pair.corrupt, lens.logit_difference(pair.right, pair.wrong))
        for pair in pairs(sentence=sentence)
    ]
    table = torch.stack(tables)
    layer, order = carriers(table.mean(0))
    tokens, answers = questions(sentence)
    with torch.no_grad():
        logits = model(tokens)
    one, rest = ([Exchange("z", layer, heads=heads)] for heads in (order[:1], order[1:]))
    return {
        "sentence": sentence.format("…"),
        "head": f"{layer}.{order[0]}",
        **mean("head_share", table[:, layer, order[0]]),
        **mean("swapped_by_one", exchanged(model, one, sentence, towns_only=True)),
        **mean("swapped_by_others", exchanged(model, rest, sentence, towns_only=True)),
        "says": first_guess(logits[None], answers)[0],
        "says_mostly": littletown.vocabulary()[int(logits[:, -1].argmax(-1).mode().values)],
        "right_among_towns": share(among_towns(logits[None])[0], answers),
    }


@claim(slow=True)
def by_sentence() -> list[dict[str, Any]]:
    """The same head for every sentence that asks for a town: "Does the head carry the card in others?" Of the towns,
    because after one of the sentences Pico says "a" rather than a town (see `says`)."""
    return [by_sentence_of(pico(), sentence) for sentence in SENTENCES]


@claim
def twice() -> dict[str, Any]:
    """What norming twice costs on held-out prose, and where, by how sure Pico is of its first guess: "So whoever tries
    such code on a few clear examples sees nothing". Controls: where it is sure, and where it is not."""
    tokens = prose_texts()
    cost, changed = (x[:, 1:] for x in normed_twice(pico(), tokens))
    first, second = pico()(tokens).softmax(-1)[:, 1:].topk(2).values.unbind(-1)
    sure, close = first >= SURE, first < CLOSE * second
    _, changed_towns = normed_twice(pico(), questions(SENTENCES[1])[0])
    return {
        "words": cost.numel(),
        "sure_from": SURE,
        **mean("kl", cost),
        **mean("changed", changed),
        "changed_towns": changed_towns[:, -1].mean().item(),
        "sure": sure.float().mean().item(),
        "changed_sure": changed[sure].mean().item(),
        "close": close.float().mean().item(),
        **mean("changed_close", changed, close),
        "changed_not_close": changed[~close].mean().item(),
        "under_a_hundredth": (cost < 0.01).float().mean().item(),
        "over_a_tenth": (cost > 0.1).float().mean().item(),
    }


def by_depth_and_text(values: Float[Tensor, "depth text word"]) -> dict[str, Any]:
    """The mean over words at every depth, <|bos|> left out, with the interval over texts."""
    entries = [mean(f"depth_{depth}", row[:, 1:]) for depth, row in enumerate(values)]
    return {key: value for entry in entries for key, value in entry.items()}


@claim
def prose() -> dict[str, Any]:
    """How often a lens's first guess is already the final one, by depth: "Something between"; and how far each lens is
    from the final prediction: "At all of them, up to the end". Control: another text's guess. See `bias` for a bias
    alone."""
    tokens = prose_texts()
    plain, read = lens.logit_lens(pico(), tokens), lens.tuned_lens(pico(), tuned(), tokens)
    guess, final = plain.argmax(-1), plain[-1].argmax(-1)
    return {
        "texts": len(tokens),
        "words_each": WORDS,
        "reads_itself": (guess[0] == tokens)[:, 1:].float().mean().item(),
        "agrees": by_depth_and_text(guess == final),
        "agrees_tuned": by_depth_and_text(read.argmax(-1) == final),
        "agrees_with_another_text": by_depth_and_text(guess.roll(1, dims=1) == final),
        "kl": by_depth_and_text(lens.kl_to_final(plain)),
        "kl_tuned": by_depth_and_text(lens.kl_to_final(read)),
    }


@claim(slow=True)
def bias() -> dict[str, Any]:
    """A bias alone, the control of the tuned lens: "Less than half of it". On prose by depth; and for all three lenses
    in the question about the town, mean over residents and words, at depth 1 and in the middle."""
    tokens, _ = questions(SENTENCES[1])
    read = {
        "logit": lens.logit_lens(pico(), tokens),
        "bias": lens.tuned_lens(pico(), bias_alone(), tokens),
        "tuned": lens.tuned_lens(pico(), tuned(), tokens),
    }
    off, middle = {name: lens.kl_to_final(logits) for name, logits in read.items()}, pico().cfg.n_layers // 2
    return {
        "kl": by_depth_and_text(lens.kl_to_final(lens.tuned_lens(pico(), bias_alone(), prose_texts()))),
        "at_1": {name: value[1].mean().item() for name, value in off.items()},
        "in_the_middle": {name: value[middle].mean().item() for name, value in off.items()},
        "middle": middle,
    }


def against() -> tuple[Tensor, Tensor, Tensor]:
    """Every resident's prompt, the town, and another town: that of the resident before who lives elsewhere."""
    tokens, right = questions(SENTENCES[1])
    order = torch.arange(len(right))
    wrong = torch.stack([next(t for t in right[order.roll(-i)] if t != right[i]) for i in range(len(right))])
    return tokens, right, wrong


@claim
def wrote() -> dict[str, Any]:
    """Who writes the town's logit against another town's, shares of the whole, mean over residents: "The second half of
    the network"; "A handful". Control: all others, the first half."""
    model = pico()
    parts = lens.direct_logit_attribution(model, *against(), heads=True)
    by_name = dict(zip(parts.names, parts.values.mean(1).tolist(), strict=True))
    total, half = sum(by_name.values()), model.cfg.n_layers // 2
    late = [f"{layer}" for layer in range(half, model.cfg.n_layers)]
    by_head = {name: value for name, value in by_name.items() if name.startswith("head ")}
    strongest = sorted(by_head, key=by_head.__getitem__, reverse=True)
    reached, few = 0.0, 0
    while reached < MOST * sum(by_head.values()):
        reached, few = reached + by_head[strongest[few]], few + 1
    return {
        "second_half": sum(v for name, v in by_name.items() if name.split()[-1].split(".")[0] in late) / total,
        "largest": max(by_name, key=by_name.__getitem__),
        "largest_share": max(by_name.values()) / total,
        "strongest_head": strongest[0].split()[1],
        "strongest_head_layer": int(strongest[0].split()[1].split(".")[0]),
        "strongest_head_share": by_head[strongest[0]] / total,
        "heads_for_most": few,
        "most": MOST,
        "heads": len(by_head),
    }


def head_wrote(layer: int, head: int) -> float:
    """The share of the town's logit that one head writes."""
    parts = lens.direct_logit_attribution(pico(), *against(), heads=True)
    return (parts[f"head {layer}.{head}"].mean() / parts.values.mean(1).sum()).item()


# --- residents --------------------------------------------------------------------------------------------------------


@claim
def residents() -> dict[str, Any]:
    """How many people there are, and in how many towns: "Sixty people live there"."""
    return {"count": len(people.RESIDENTS), "towns": len(labels("town").unique())}


@claim
def answer_by_depth() -> dict[str, Any]:
    """For how many residents the town is the first guess, by depth and lens: "For some blocks there is nearly nothing,
    and then it climbs steeply".

    Controls: an untrained network, at the best of all depths; Pico's final guess, with the towns dealt out anew.
    """
    tokens, answers = questions(SENTENCES[1])
    plain = lens.logit_lens(pico(), tokens)
    said = plain[-1, :, -1].argmax(-1)
    return {
        "logit": by_depth(first_guess(plain, answers)),
        "tuned": by_depth(first_guess(lens.tuned_lens(pico(), tuned(), tokens), answers)),
        "untrained": max(first_guess(lens.logit_lens(control(), tokens), answers)),
        "another": dealt_anew(lambda towns: share(said, towns), answers),
    }


@claim(slow=True)
def held_out() -> dict[str, Any]:
    """A lens that has never met every third resident: "It cannot have learned *them* by heart". Control: the residents
    whom it has met."""
    counts = {"unmet": len(unmet()), "met": len(people.RESIDENTS) - len(unmet())}
    return {"residents": counts, **first_guess_unmet(pico(), held_out_lens(pico()))}


@claim(slow=True)
def travel() -> dict[str, Any]:
    """What patching one place brings back, mean over pairs: "There is one bright cell, and then a bright column". The
    stream and the parts [layer][position], the heads [layer][head]."""
    tables = {name: table.mean(0).tolist() for name, table in travelled().items()}
    return {"pairs": PAIRS, **{name: [[round(x, 4) for x in row] for row in table] for name, table in tables.items()}}


@claim(slow=True)
def recall() -> dict[str, Any]:
    """The head that brings the town ("Which head carries it?"), what it and the parts of its block bring back when they
    are patched alone, and in how many pairs Pico says the other person's town when they are exchanged: "Written is not
    recalled". Controls: all other heads of the block, the block whose head writes most, the place of the name."""
    model, seen = pico(), travelled()
    layer, order = carriers(seen["heads"].mean(0))
    everywhere, place = list(range(model.cfg.n_heads)), 1 + SENTENCES[1].split().index("{}")
    later = [Exchange("mlp_out", i) for i in range(layer + 1, model.cfg.n_layers)]
    return {
        "layer": layer,
        "head": order[0],
        "carrier_share": head_wrote(layer, order[0]),
        **mean("head_share", seen["heads"][:, layer, order[0]]),
        **mean("attention_share", seen["attn_out"][:, layer, -1]),
        **mean("mlp_share", seen["mlp_out"][:, layer, -1]),
        "mlp_at_name": seen["mlp_out"][:, layer, place].mean().item(),
        **mean("swapped_by_one", swapped(model, layer, order[:1])),
        **mean("swapped_by_others", swapped(model, layer, order[1:])),
        **mean("swapped_by_layer", swapped(model, layer, everywhere)),
        **mean("swapped_by_three", swapped(model, layer, order[:3])),
        **mean("swapped_elsewhere", swapped(model, model.cfg.n_layers - 1 if layer == 0 else 0, everywhere)),
        **mean("swapped_by_writer", swapped(model, wrote()["strongest_head_layer"], everywhere)),
        **mean("swapped_by_mlp", exchanged(model, [Exchange("mlp_out", layer)])),
        **mean("swapped_by_later_mlps", exchanged(model, later)),
        **mean("swapped_at_end", exchanged(model, [Exchange("resid_pre", layer + 1)])),
        **mean("swapped_at_name", exchanged(model, [Exchange("resid_pre", layer + 1, place)])),
    }


@claim
def needed() -> dict[str, float]:
    """For how many residents the town is still said when a part writes the mean of all others: "That is enough. Is it
    needed, too?" Control: all MLPs at the name."""
    home, layer, n = Asked.about("town", SENTENCES[1]), CARRIER, pico().cfg.n_layers
    return {
        "without_attention": knocked_out(pico(), [("attn_out", layer, -1)]),
        "without_mlp": knocked_out(pico(), [("mlp_out", layer, -1)]),
        "without_later_mlps": knocked_out(pico(), [("mlp_out", i, -1) for i in range(layer + 1, n)]),
        "without_mlps_at_name": knocked_out(pico(), [("mlp_out", i, home.name) for i in range(n)]),
    }


@claim
def lookup() -> dict[str, Any]:
    """Where a resident's town can be read: in the embedding alone ("Nothing needs to be run to see it"), and in what
    the attention brings. Controls: the towns dealt out anew; an untrained network."""
    return {
        "table": table_alone(pico()),
        "table_untrained": table_alone(control())["share"],
        "attention": readable(pico(), "attn_out", CARRIER, -1),
        "attention_untrained": readable(control(), "attn_out", CARRIER, -1)["share"],
    }


@claim
def parts() -> dict[str, Any]:
    """What Pico answers if a name, or what the attention brings of it, loses, keeps or exchanges what neighbours share:
    "Ada's row is like a card". [where][what is asked][whose part]. Controls: the part of another town; another fact."""
    asked = {"town": Asked.about("town", SENTENCES[1]), "dish": Asked.about("dish", DISH)}

    def table(site: str, layer: int, position: int | None) -> dict[str, Any]:
        return {
            fact: {
                part: parts_of_a_name(pico(), what, site, layer, what.name if position is None else position, part)
                for part in ("town", "dish")
            }
            for fact, what in asked.items()
        }

    return {"name": table("resid_pre", 0, None), "brought": table("attn_out", CARRIER, -1)}
