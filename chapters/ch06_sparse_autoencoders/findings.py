"""What chapter 06 finds: dictionaries on planted features, and in Pico.

Everything is seeded. Planted worlds are drawn here (`mi_lib.worlds.features`); a feature counts as found if its latent,
matched one to one, has a cosine of at least .9 with it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor
from torch.nn import functional as F

from mi_lib import load, saes, superposition
from mi_lib.course import findings, index
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.recipes.pico.common import ids, padded, token
from mi_lib.recipes.pico.common import untrained as random_network
from mi_lib.saes.absorption import fit_probe
from mi_lib.statistics import interval
from mi_lib.worlds import littletown
from mi_lib.worlds.features import Draw, PlantedFeatures, planted
from mi_lib.worlds.littletown import Document, concepts
from mi_lib.worlds.littletown.splits import Split

# --- planted features -------------------------------------------------------------------------------------------------

D, FEATURES, LATENTS, STEPS = 24, 40, 64, 2000
SEED = 2
VARIANTS: dict[str, Callable[[int], saes.Dictionary]] = {
    "relu": lambda seed: saes.ReLU(D, LATENTS, l1=0.3, seed=seed),
    "topk": lambda seed: saes.TopK(D, LATENTS, k=3, seed=seed),
    "batch_topk": lambda seed: saes.BatchTopK(D, LATENTS, k=2, seed=seed),
    "jumprelu": lambda seed: saes.JumpReLU(D, LATENTS, l0=0.03, seed=seed),
    "gated": lambda seed: saes.Gated(D, LATENTS, l1=0.6, seed=seed),
    "matryoshka": lambda seed: saes.Matryoshka(D, LATENTS, k=2, prefixes=[16, 32, LATENTS], seed=seed),
}


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def world(seed: int = SEED) -> PlantedFeatures:
    """Forty features in 24 dimensions, each present in one input of twenty."""
    return planted(FEATURES, D, frequency=0.05, seed=seed)


@functools.cache
def inputs(seed: int = SEED) -> tuple[Float[Tensor, "n d"], Draw]:
    """What is trained on, and what is held out."""
    return world(seed).draw(50_000, generator(1)).x, world(seed).draw(10_000, generator(2))


@functools.cache
def dictionary(name: str, steps: int = STEPS, seed: int = SEED) -> saes.Dictionary:
    return saes.train(VARIANTS[name](seed), inputs(seed)[0], steps, dead_after=5000)


def found(directions: Float[Tensor, "feature d"], sae: saes.Dictionary) -> float:
    return saes.match_directions(directions, sae.W_dec).found()


def judged(name: str, steps: int = STEPS, seed: int = SEED) -> dict[str, float]:
    """One variant on held-out inputs. size: Σ a f / Σ a² where feature and latent are both active."""
    sae, held = dictionary(name, steps, seed), inputs(seed)[1]
    f = sae.encode(held.x)
    matching = saes.match_directions(world(seed).directions, sae.W_dec)
    matched = f[:, matching.latent]
    both = (held.activations > 0) & (matched > 0)
    a, said = held.activations[both], matched[both]
    return {
        "found": matching.found(),
        "cosine": matching.mean,
        "correlation": saes.match_activations(held.activations, f).mean,
        "size": ((a * said).sum() / a.pow(2).sum()).item(),
        "fve": saes.fve(held.x, sae.decode(f)),
        "l0": saes.l0(f),
    }


@claim(slow=True)
def variants() -> dict[str, Any]:
    """Six ways to be sparse, on forty features in 24 dimensions: "All six find at least". Controls: the dictionaries
    before they are trained, the coordinates of x, and one trained on inputs whose coordinates were shuffled: the
    features are then gone."""
    train = inputs()[0]
    shuffled = torch.stack([c[torch.randperm(len(c), generator=generator(i))] for i, c in enumerate(train.T)], 1)
    gone = saes.train(VARIANTS["batch_topk"](SEED), shuffled, STEPS, dead_after=5000)
    rows = {name: judged(name) for name in VARIANTS}
    sizes = [row["size"] for name, row in rows.items() if name != "relu"]
    return {
        "features": FEATURES,
        "d": D,
        "latents": LATENTS,
        "l0": world().mean_l0,
        "each": rows,
        "least_found": min(row["found"] for row in rows.values()),
        "least_cosine": min(row["cosine"] for row in rows.values()),
        "untrained": max(found(world().directions, make(SEED)) for make in VARIANTS.values()),
        "shuffled": found(world().directions, gone),
        "other_size": [min(sizes), max(sizes)],
        "coordinates": saes.match_directions(world().directions, torch.eye(D)).found(),
    }


L1S = (0.1, 0.3, 0.6, 1.0)


@claim(slow=True)
def shrinkage() -> dict[str, Any]:
    """ReLU + L1 at four penalties: "they say so much of the strength of their features". Beside each the size that one
    feature alone would have, Σ a f / Σ a² with f = a − λ/2 in units of x. sharing: in inputs with a single feature, how
    many latents say a tenth of its strength or more. Control: TopK, which presses nothing."""
    train, held = inputs()
    scale = saes.input_scale(train)
    a = held.activations[held.activations > 0]
    measured, alone, share, sharing = [], [], [], []
    for l1 in L1S:
        sae = saes.train(saes.ReLU(D, LATENTS, l1=l1, seed=SEED), train, 1000, dead_after=5000)
        matching = saes.match_directions(world().directions, sae.W_dec)
        share.append(matching.found())
        f = sae.encode(held.x)[:, matching.latent]
        both = (held.activations > 0) & (f > 0)
        p, q = held.activations[both], f[both]
        measured.append(((p * q).sum() / p.pow(2).sum()).item())
        sharing.append((sae.encode(world().directions) >= 0.1).sum(1).float().mean().item())  # each of strength 1
        best = (a - l1 / 2 / scale).relu()
        there = best > 0
        alone.append(((a * best)[there].sum() / a[there].pow(2).sum()).item())
    return {"l1": list(L1S), "measured": measured, "alone": alone, "found": share, "sharing": sharing,
            "topk": judged("topk")["size"]}  # fmt: skip


@claim(slow=True)
def threshold() -> dict[str, Any]:
    """BatchTopK judged in the wrong mode: "another L0 for every batch". The same inputs in batches of one, and of many.
    Control: the same share with the threshold."""
    sae, x = dictionary("batch_topk"), inputs()[1].x[:2000]
    with torch.no_grad():
        whole, alone = sae.encode(x), torch.cat([sae.encode(row[None]) for row in x[:500]])
        sae.train()
        batch = sae.encode(x)
        single = torch.cat([sae.encode(row[None]) for row in x[:500]])
        sae.eval()
    changed = ((batch[:500] > 0) != (single > 0)).any(-1).float().mean().item()
    same = ((whole[:500] > 0) != (alone > 0)).any(-1).float().mean().item()
    return {"l0": saes.l0(whole), "l0_batch_mode": saes.l0(batch), "l0_single_mode": saes.l0(single),
            "inputs_that_differ": changed, "differ_with_threshold": same}  # fmt: skip


@claim(slow=True)
def dead() -> dict[str, Any]:
    """ "Dead latents stay dead": 64 latents of which most start at directions that no input has, trained with AuxK and
    without it, and a ReLU dictionary with resampling and without. The share that is silent on held-out inputs."""
    train, held = inputs()

    def silent(sae: saes.Dictionary, **how: Any) -> float:
        with torch.no_grad():
            sae.b_enc[16:] = -3.0  # far below 0, as after a bad start
        saes.train(sae, train, 1500, **how)
        return saes.dead_share(saes.density(sae.encode(held.x)))

    never = 10**9
    return {
        "start": 0.75,
        "auxk": silent(VARIANTS["topk"](SEED), dead_after=2000),
        "no_auxk": silent(VARIANTS["topk"](SEED), dead_after=never),
        "resampled": silent(VARIANTS["relu"](SEED), dead_after=2000, resample_every=200),
        "not_resampled": silent(VARIANTS["relu"](SEED), dead_after=never),
    }


@claim
def mean_alone() -> dict[str, float]:
    """Whoever says the mean of activations with mean 3: "it explains nothing, and by the wrong formula nearly all"."""
    x = 3 + torch.randn(20_000, 16, generator=generator(0))
    out = x.mean(0).expand_as(x)
    wrong = 1 - (x - out).pow(2).sum() / x.pow(2).sum()
    return {"right": saes.fve(x, out), "wrong": wrong.item()}


@claim
def greedy() -> dict[str, float]:
    """Twenty rows, each between two of forty features: "one latent answers for many". The share of features whose best
    cosine is at least .5, if each takes its best latent, and one to one."""
    rows = torch.nn.functional.normalize(world().directions[::2] + world().directions[1::2], dim=1)
    cosines = world().directions @ rows.T
    return {
        "free": (cosines.max(1).values >= 0.5).float().mean().item(),
        "one_to_one": saes.match_directions(world().directions, rows).found(0.5),
    }


# --- Pico -------------------------------------------------------------------------------------------------------------

NAME = "pico-flat"
TEXTS = 400  # to choose on, and as many to judge on
SPLITS: dict[str, tuple[Split, int]] = {"choose": ("train", 30), "judge": ("held_out", 31)}
FEWEST = 20  # a concept that holds at fewer words of a split is left out


@functools.cache
def pico() -> HookedModel:
    return load(index.chapter("06").model[0])


@functools.cache
def flat() -> saes.Dictionary:
    return saes.load(NAME)


@functools.cache
def site() -> str:
    """Where the dictionary reads."""
    return saes.about(NAME)["site"]


@functools.cache
def read(split: str) -> list[Document]:
    kind, seed = SPLITS[split]
    return concepts.texts(TEXTS, seed, kind)


@functools.cache
def labels(split: str) -> Bool[Tensor, "word concept"]:
    """At which words of the texts each concept holds."""
    return concepts.concepts(read(split))


@torch.no_grad()
def stream(
    documents: Sequence[Document], sites: Sequence[str], model: HookedModel | None = None
) -> dict[str, Float[Tensor, "word d"]]:
    """Activations at all words of texts, one text after another, <|bos|> left out."""
    rows: dict[str, list[Tensor]] = {name: [] for name in sites}
    for at in range(0, len(documents), 40):
        tokens, mask = padded([ids(text.words) for text in documents[at : at + 40]])
        _, cache = (model or pico()).run_with_cache(tokens, list(sites), attention_mask=mask)
        for name in sites:
            rows[name].append(cache[name][:, 1:][mask[:, 1:]])
    return {name: torch.cat(parts) for name, parts in rows.items()}


@functools.cache
def seen(split: str) -> Float[Tensor, "word d"]:
    """What the dictionary reads."""
    return stream(read(split), [site()])[site()]


@functools.cache
def active(split: str) -> Float[Tensor, "word latent"]:
    """What its latents say, in half precision: there are many."""
    with torch.no_grad():
        return torch.cat([flat().encode(x).half() for x in seen(split).split(2048)])


# --- one latent for a concept, and names ------------------------------------------------------------------------------

TOWN = "a town"
TO_NAME = (TOWN, "a verb that may do harm", "where a task begins")  # the learner is not told; three sorts of concepts
NAMED = 0.7  # detection that a learner's name must reach; set before the first name was written
SAMPLE = 3000  # words of each split that cross to a learner, who also gets some latents and neurons only
SOME = 150


@functools.cache
def number_of(concept: str) -> int:
    return concepts.CONCEPTS.index(concept)


@functools.cache
def choice(concept: str) -> saes.Choice:
    """The latent and threshold of a concept, on training texts."""
    return saes.choose(active("choose").float(), labels("choose")[:, [number_of(concept)]])[0]


@functools.cache
def neurons(split: str) -> Float[Tensor, "word neuron"]:
    """What the MLP neurons of all blocks say, in half precision."""
    names = [f"blocks.{layer}.mlp.hook_post" for layer in range(pico().cfg.n_layers)]
    return torch.cat([values.half() for values in stream(read(split), names).values()], dim=1)


def best_of(first: Tensor, second: Tensor, concept: str) -> dict[str, Any]:
    """Of latents, neurons or coordinates the best one for a concept: chosen on training texts, its F1 on the others."""
    at = [number_of(concept)]
    chosen = saes.choose(first, labels("choose")[:, at])
    judged = saes.judge(chosen, second, labels("judge")[:, at])
    return {"number": chosen[0].latents[0], "f1": judged.f1.item(), "precision": judged.precision.item(),
            "recall": judged.recall.item()}  # fmt: skip


def signed(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates with either sign, about their mean on training texts."""
    middle = first.mean(0)
    return saes.both_signs(first - middle), saes.both_signs(second - middle)


@claim(slow=True)
def sizes() -> dict[str, Any]:
    """How many strangers and numbers there are, and how often a town comes up in the texts: "strangers and". No
    control: these are counts of the world."""
    return {
        "strangers": len(set(concepts.WORDS["a stranger"])),
        "numbers": len(set(concepts.WORDS["a number"])),
        "lists": len(concepts.WORDS),
        "town_share": labels("judge")[:, number_of(TOWN)].float().mean().item(),
    }


@claim(slow=True)
def town() -> dict[str, Any]:
    """The latent of "a town" on held-out texts: "one latent says where a town is". Controls: the best neuron of all
    blocks, the best coordinate of the residual stream, and the best latent with the labels dealt out anew. And of the
    neurons that answer to "a town" by the rule of chapter 05: how many answer to something unrelated too."""
    dealt = saes.shuffled(labels("choose"))[:, [number_of(TOWN)]]
    f, g = active("choose").float(), active("judge").float()
    blind = saes.judge(saes.choose(f, dealt), g, saes.shuffled(labels("judge"))[:, [number_of(TOWN)]]).f1.item()
    own = neurons("judge").float()
    holds = labels("judge") & (labels("judge").sum(0) >= FEWEST)
    answers = superposition.answers_to(own, holds, 0.1)
    mine = answers[:, number_of(TOWN)]
    poly = superposition.polysemantic(answers[mine], findings.module(index.chapter("05")).strangers(holds))
    return {
        "latents": flat().n_latents,
        "words": int(labels("judge")[:, number_of(TOWN)].sum()),
        "latent": best_of(f, g, TOWN),
        "threshold": choice(TOWN).thresholds[0],
        "neuron": best_of(neurons("choose").float(), own, TOWN),
        "coordinate": best_of(*signed(seen("choose"), seen("judge")), TOWN),
        "dealt_anew": blind,
        "neurons_that_answer": int(mine.sum()),
        "of_them_polysemantic": poly.float().mean().item() if bool(mine.any()) else 0.0,
    }


def around(documents: Sequence[Document], at: int, before: int = 6, after: int = 2) -> str:
    """A word in brackets, in its text."""
    for text in documents:
        if at < len(text.words):
            plain = [word for word in text.words[max(0, at - before) : at] if word not in littletown.SPECIAL]
            rest = [word for word in text.words[at + 1 : at + 1 + after] if word not in littletown.SPECIAL]
            return " ".join([*plain, f"[{text.words[at]}]", *rest])
        at -= len(text.words)
    raise IndexError(at)


@claim(slow=True)
def to_name() -> dict[str, Any]:
    """Three latents, each with ten training texts from its strongest to its weakest: "Here are three latents". A
    latent counts as active above the threshold that its concept has chosen."""
    found = []
    for concept in TO_NAME:
        one = choice(concept)
        values = active("choose")[:, one.latents[0]].float()
        at = (values > one.thresholds[0]).nonzero()[:, 0]
        ordered = at[values[at].argsort(descending=True)]
        chosen = ordered[torch.linspace(0, len(ordered) - 1, 10).long()]
        found.append({
            "latent": one.latents[0],
            "threshold": one.thresholds[0],
            "texts": [around(read("choose"), int(i)) for i in chosen],
        })  # fmt: skip
    return {"latents": [row["latent"] for row in found], "each": found}


@functools.cache
def texts_to_name() -> dict[int, list[tuple[list[str], list[bool]]]]:
    """For the grader: latent → held-out texts, and at which of their words it is active. Enough texts for 25 words."""
    found: dict[int, list[tuple[list[str], list[bool]]]] = {}
    for row in findings.read(index.chapter("06"))["to_name"]["each"]:
        documents, rows, count = held_out_to_name(), [], 0
        says = says_in_held_out(row["latent"]) > row["threshold"]
        for text, part in zip(documents, says.split([len(text.words) for text in documents]), strict=True):
            if bool(part.any()) or len(rows) % 3 == 0:
                rows.append((list(text.words), part.tolist()))
                count += int(part.sum())
            if count >= 25:
                break
        found[row["latent"]] = rows
    return found


@functools.cache
def held_out_to_name() -> list[Document]:
    return concepts.texts(160, 61, "held_out")


@functools.cache
def says_in_held_out(latent: int) -> Float[Tensor, " word"]:
    with torch.no_grad():
        return flat().encode(read_to_name())[:, latent]


@functools.cache
def read_to_name() -> Float[Tensor, "word d"]:
    return stream(held_out_to_name(), [site()])[site()]


@functools.cache
def sample_for(concept: str) -> tuple[Tensor, ...]:
    """For the grader: some latents and labels at words of training texts and of held-out ones, and neurons in the
    place of latents."""
    at = number_of(concept)
    first, second = concepts.texts(45, 63, "train"), concepts.texts(45, 64, "held_out")
    latent = findings.read(index.chapter("06"))["town"]["latent"]["number"]
    wanted = torch.arange(latent % 10, flat().n_latents, 10)
    block = f"blocks.{pico().cfg.n_layers // 2 - 1}.mlp.hook_post"
    parts = [stream(documents, [site(), block]) for documents in (first, second)]
    with torch.no_grad():
        values = [flat().encode(part[site()])[:, wanted] for part in parts]
    holds = [concepts.concepts(documents)[:, at] for documents in (first, second)]
    return (*values, *holds, *(part[block][:, ::5].clone() for part in parts))


# --- only for reading? ------------------------------------------------------------------------------------------------

PROMPTS, LONG = 60, 14  # held-out beginnings of texts, this many words long
DRAWS = 5  # random pushes for each
NEAR = 10  # latents whose rows are most like that of another one


class Lever(NamedTuple):
    """For the grader: Pico before a word is said, and a latent to pull."""

    model: HookedModel
    tokens: Int[Tensor, "batch pos"]
    site: str
    x: Float[Tensor, "batch pos d"]
    f: Float[Tensor, "batch pos latent"]
    W_dec: Float[Tensor, "latent d"]
    latent: int
    value: float
    words: Int[Tensor, " word"]


def beginnings(split: str, n: int) -> Int[Tensor, "batch pos"]:
    kind, seed = {"choose": ("train", 71), "judge": ("held_out", 72)}[split]
    rows = [ids(text.words[:LONG]) for text in concepts.texts(3 * n, seed, kind) if len(text.words) > LONG]
    return torch.tensor(rows[:n])


@functools.cache
def word_lists() -> dict[str, Int[Tensor, " word"]]:
    return {name: torch.tensor(sorted({token(word) for word in words})) for name, words in concepts.WORDS.items()}


@torch.no_grad()
def next_words(tokens: Int[Tensor, "batch pos"], x: Float[Tensor, "batch pos d"]) -> Float[Tensor, "batch d_vocab"]:
    """Probabilities of the next word if this is what flows into the dictionary's block."""
    layer = int(site().split(".")[1])
    return pico()(tokens, start_at_layer=layer, residual=x)[:, -1].softmax(-1)


@torch.no_grad()
def flowing(tokens: Int[Tensor, "batch pos"]) -> tuple[Float[Tensor, "batch pos d"], Float[Tensor, "batch pos latent"]]:
    x = pico().run_with_cache(tokens, site())[1][site()]
    return x, flat().encode(x)


def with_last(x: Float[Tensor, "batch pos d"], change: Float[Tensor, "batch d"]) -> Float[Tensor, "batch pos d"]:
    """x, moved at the last position."""
    return torch.cat([x[:, :-1], x[:, -1:] + change[:, None]], 1)


@functools.cache
def pulled() -> tuple[str, int, float]:
    """Which word list, which latent, and its largest value on training texts: of the three latents that write most
    towards each list (its words' columns of W_U against the mean column), the pair in which clamping raises the
    probability of the list most, on beginnings of training texts."""
    tokens = beginnings("choose", 24)
    x, f = flowing(tokens)
    before = next_words(tokens, x)
    U, largest = pico().W_U, active("choose").float().amax(0)
    writes = F.normalize(flat().W_dec, dim=1) @ (U - U.mean(1, keepdim=True))
    best: tuple[float, str, int] = (0.0, "", 0)
    for name, words in word_lists().items():
        for latent in writes[:, words].mean(1).topk(3).indices.tolist():
            change = (largest[latent] - f[:, -1, latent])[:, None] * flat().W_dec[latent]
            rise = (next_words(tokens, with_last(x, change)) - before)[:, words].sum(-1).mean().item()
            best = max(best, (rise, name, latent))
    return best[1], best[2], largest[best[2]].item()


@claim(slow=True)
def lever() -> dict[str, Any]:
    """One latent clamped in Pico: "Pico goes on with somebody's name". Held-out beginnings of texts; the probability
    that the next word is of the list. Controls: pushes of the same length in random directions, other latents clamped
    at their own largest values, and pushes of the same length along the ten rows that are most like its own."""
    name, latent, value = pulled()
    words, tokens = word_lists()[name], beginnings("judge", PROMPTS)
    x, f = flowing(tokens)
    sae, generator_ = flat(), generator(9)

    def said(change: Float[Tensor, "batch d"]) -> list[float]:
        return next_words(tokens, with_last(x, change))[:, words].sum(-1).tolist()

    change = (value - f[:, -1, latent])[:, None] * sae.W_dec[latent]
    random = [F.normalize(torch.randn(change.shape, generator=generator_), dim=1) * change.norm(dim=1, keepdim=True)
              for _ in range(DRAWS)]  # fmt: skip
    near = saes.neighbours(sae, latent, NEAR)
    near_held = np.array([said(change.norm(dim=1, keepdim=True) * F.normalize(sae.W_dec[one.latent], dim=0))
                          for one in near])  # fmt: skip
    strongest = int(near_held.mean(1).argmax())
    others = torch.randperm(sae.n_latents, generator=generator_)[:20].tolist()
    largest = active("choose").float().amax(0)
    return {
        "list": name,
        "latent": latent,
        "value": value,
        "prompts": PROMPTS,
        "neighbours": len(near),
        "others": len(others),
        "nearest_cosine": near[0].value,
        **mean("untouched", np.array(said(torch.zeros_like(change)))),
        **mean("clamped", np.array(said(change))),
        **mean("near_held", near_held.mean(0)),
        "strongest": near[strongest].latent,
        "strongest_cosine": near[strongest].value,
        **mean("strongest_held", near_held[strongest]),
        "strongest_texts": [
            around(read("choose"), int(at), 4, 2)
            for at in active("choose")[:, near[strongest].latent].float().topk(60).indices[::20]
        ],
        **mean("random", np.array([said(push) for push in random]).mean(0)),
        **mean(
            "other_latents",
            np.array([said((largest[i] - f[:, -1, i])[:, None] * sae.W_dec[i]) for i in others]).mean(0),
        ),
        "texts": [
            " ".join(word for word in pico().to_str_tokens(row.tolist()) if word not in littletown.SPECIAL)
            for row in tokens[:3]
        ],
    }


PROBABLE = 0.5  # from here on a name is what Pico expects


@claim(slow=True)
def needed() -> dict[str, Any]:
    """Is the latent of `lever` needed? "So ask where a name is probable anyway": held-out beginnings of 5 to 29 words
    at which names have a probability of at least .5, and of these the ones at which the latent is active (elsewhere
    silencing it changes nothing, whatever it is for). Controls: a push of the same length in a random direction; the
    strongest other latent that is active there, silenced; and, where some of the ten neighbours are active as well,
    all of these silenced, and a push of the latent's own length that takes away what they say."""
    found = findings.read(index.chapter("06"))["lever"]
    words, latent, source = word_lists()[found["list"]], found["latent"], generator(9)
    near = [one.latent for one in saes.neighbours(flat(), latent, NEAR)]
    documents, probable = concepts.texts(MANY, 72, "held_out"), 0
    lengths = range(5, 30, 2)
    said, far = ({name: np.zeros((len(documents), len(lengths))) for name in EDITS} for _ in range(2))
    here, both = (np.zeros((len(documents), len(lengths)), bool) for _ in range(2))
    for column, long in enumerate(lengths):
        rows = torch.tensor([i for i, text in enumerate(documents) if len(text.words) > long])
        tokens = torch.tensor([ids(documents[i].words[:long]) for i in rows.tolist()])
        x, f = flowing(tokens)
        likely = next_words(tokens, x)[:, words].sum(-1) >= PROBABLE
        kept = likely & (f[:, -1, latent] > 0)
        probable += int(likely.sum())
        if not bool(kept.any()):
            continue
        here[rows[kept], column] = True
        both[rows[kept], column] = (f[kept, -1][:, near] > 0).any(1).numpy()
        for name, change in taken_away(f[kept, -1], latent, near, source).items():
            moved = next_words(tokens[kept], with_last(x[kept], change))
            said[name][rows[kept], column] = moved[:, words].sum(-1).double().numpy()
            far[name][rows[kept], column] = change.norm(dim=1).numpy()

    def shares(where: Bool[np.ndarray, "text length"], names: Sequence[str]) -> dict[str, Any]:
        some = where.any(1)  # beginnings of one text are no independent draws
        found_here: dict[str, Any] = {"count": int(where.sum())}
        for name in names:
            found_here |= mean(name, said[name][some], where[some])
        return found_here

    in_lever = flowing(beginnings("judge", PROMPTS))[1][:, -1] > 0
    return {
        "probable": probable,
        "silent": probable - int(here.sum()),
        "active": shares(here, EDITS[:4]),
        "both": shares(both, EDITS),
        "length": far["silenced"][both].mean().item(),
        "near_length": far["near_silenced"][both].mean().item(),
        "active_in_lever": int(in_lever[:, latent].sum()),
    }


MANY = 540  # texts whose beginnings are looked through
EDITS = ("untouched", "silenced", "random", "strongest_other", "near_silenced", "near_as_far")


def taken_away(
    f: Float[Tensor, "batch latent"], latent: int, near: list[int], source: torch.Generator
) -> dict[str, Float[Tensor, "batch d"]]:
    """How x moves if a latent is silenced, and what it is compared with."""
    rows, others = flat().W_dec, f.clone()
    others[:, latent] = 0
    strongest = others.max(-1)
    change = -f[:, latent, None] * rows[latent]
    long = change.norm(dim=1, keepdim=True)
    by_neighbours = -(f[:, near] @ rows[near])
    edits = (
        torch.zeros_like(change),
        change,
        long * F.normalize(torch.randn(change.shape, generator=source), dim=1),
        -strongest.values[:, None] * rows[strongest.indices],
        by_neighbours,
        long * F.normalize(by_neighbours, dim=1),
    )
    return dict(zip(EDITS, edits, strict=True))


@functools.cache
def lever_case() -> Lever:
    """For the grader: eight beginnings that no finding is about."""
    found = findings.read(index.chapter("06"))["lever"]
    tokens = torch.tensor([ids(text.words[:LONG]) for text in concepts.texts(30, 73, "held_out")
                           if len(text.words) > LONG][:8])  # fmt: skip
    x, f = flowing(tokens)
    # The learner gets the row alone: a whole decoder would have to cross to another process.
    at = found["latent"]
    return Lever(
        pico(), tokens, site(), x, f[..., [at]], flat().W_dec[[at]], 0, found["value"], word_lists()[found["list"]]
    )


# --- at which width? --------------------------------------------------------------------------------------------------

WIDTHS = (12, 24, 48, 96, 192)
BAR = 0.8
PREDICTED = 0.7  # agreement that a learner's prediction must reach; ours had .8 when this was set


class Words(NamedTuple):
    """For the grader: words, which concepts hold of them, and what trained dictionaries found."""

    vectors: Float[Tensor, "word d"]
    holds: Bool[Tensor, "word concept"]
    widths: list[int]
    trained: Float[Tensor, "width concept"]


@functools.cache
def vocabulary() -> tuple[list[str], Float[Tensor, "word d"], Bool[Tensor, "word concept"], list[str]]:
    """Pico's words, their embeddings, and the concepts that a word alone can have, of five words or more."""
    spare = {word for line in littletown.SPARE for word in line.split()}
    words = [word for word in littletown.vocabulary() if word not in littletown.SPECIAL and word not in spare]
    names = [name for name, members in concepts.WORDS.items() if len(set(members)) >= 5]
    holds = torch.tensor([[word in members for members in (frozenset(concepts.WORDS[name]) for name in names)]
                          for word in words])  # fmt: skip
    return words, pico().W_E.detach()[[token(word) for word in words]], holds, names


def grouped(vectors: Float[Tensor, "word d"], width: int) -> Bool[Tensor, "word group"]:
    """Ward's groups."""
    labels = fcluster(linkage(vectors.double().numpy(), "ward"), width, "maxclust")
    return F.one_hot(torch.from_numpy(labels).long() - 1).bool()


def single(
    vectors: Float[Tensor, "word d"], width: int, steps: int = 800, seed: int = 0
) -> Bool[Tensor, "word latent"]:
    """At which words each latent of a trained dictionary is active, if one is active at a time. All words are equally
    frequent here."""
    source = generator(seed)
    data = (vectors[torch.randint(len(vectors), (512,), generator=source)] for _ in iter(int, 1))
    sae = saes.TopK(vectors.shape[1], width, k=1, seed=seed)
    saes.train(sae, data, steps, batch=512, dead_after=8000, lr=1e-2)
    with torch.no_grad():
        return sae.encode(vectors) > 0


def best_f1(groups: Bool[Tensor, "word group"], holds: Bool[Tensor, "word concept"]) -> Float[Tensor, " concept"]:
    return saes.f1(groups, holds).amax(0)


def agreement(a: Float[Tensor, "width concept"], b: Float[Tensor, "width concept"]) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


SHOWN = ("a stranger", "a thing", "a town", "a number", "a hobby", "a noun of many", "a vegetable")


SEEDS = 5  # dictionaries of each width: what a single one finds is to a good part a matter of its seed


@claim(slow=True)
def widths() -> dict[str, Any]:
    """At which width a concept is one latent, predicted by groups of words and found by dictionaries, the mean F1 of
    five: "predicted, and found". Agreements are those with one dictionary, the mean over the five. Controls: the
    predictions dealt out anew among concepts (each keeps its widths), the prediction of the same network with random
    embeddings, and one dictionary in place of a prediction for another one. Intervals are over dictionaries."""
    _, vectors, holds, names = vocabulary()
    predicted = torch.stack([best_f1(grouped(vectors, width), holds) for width in WIDTHS])
    each = torch.stack([torch.stack([best_f1(single(vectors, width, seed=seed), holds) for width in WIDTHS])
                        for seed in range(SEEDS)])  # fmt: skip
    trained = each.mean(0)
    noise = torch.randn(vectors.shape, generator=generator(0)) * vectors.std()
    blind = torch.stack([best_f1(grouped(noise, width), holds) for width in WIDTHS])
    orders = [torch.randperm(len(names), generator=generator(i)) for i in range(50)]
    dealt = [sum(agreement(predicted[:, order], one) for one in each) / SEEDS for order in orders]
    pairs = [agreement(each[i], each[j]) for i in range(SEEDS) for j in range(i)]
    good = (predicted >= BAR, trained >= BAR)
    return {
        "widths": list(WIDTHS),
        "seeds": SEEDS,
        "concepts": names,
        "count": len(names),
        "words": len(vectors),
        "predicted": predicted.tolist(),
        "trained": trained.tolist(),
        **mean("agreement", [agreement(predicted, one) for one in each]),
        "agreement_with_mean": agreement(predicted, trained),
        "dealt_anew": sum(dealt) / len(dealt),
        "dealt_anew_most": max(dealt),
        **mean("random_embeddings", [agreement(blind, one) for one in each]),
        **mean("another_seed", pairs),
        "predicted_good": good[0].sum(1).tolist(),
        "trained_good": good[1].sum(1).tolist(),
        "both_good": (good[0] & good[1]).sum(1).tolist(),
        "ever": int(good[1].any(0).sum()),
        "never": [names[i] for i in (~good[1].any(0)).nonzero()[:, 0].tolist()],
        "shown": [
            {
                "name": name,
                "predicted": _interval(predicted[:, names.index(name)]),
                "found": _interval(trained[:, names.index(name)]),
                "each": [_interval(one[:, names.index(name)]) for one in each],
            }
            for name in SHOWN
        ],
    }


def _interval(scores: Float[Tensor, " width"]) -> str:
    good = [width for width, score in zip(WIDTHS, scores.tolist(), strict=True) if score >= BAR]
    return "never" if not good else f"at {good[0]}" if len(good) == 1 else f"{good[0]} to {good[-1]}"


@functools.cache
def width_case() -> Words:
    """For the grader: four widths."""
    found = findings.read(index.chapter("06"))["widths"]
    _, vectors, holds, _ = vocabulary()
    rows = [found["widths"].index(width) for width in WIDTHS[1:5]]
    return Words(vectors, holds, list(WIDTHS[1:5]), torch.tensor(found["trained"])[rows])


# --- absorption -------------------------------------------------------------------------------------------------------


@claim(slow=True)
def holes() -> dict[str, Any]:
    """Ten planted parents, each with a child that comes only with it: "the parent's latent is silent". A flat
    dictionary and a nested one, in four worlds. The share of the child's inputs at which the parent's latent is silent.
    Control: the same share where the parent is there without its child."""
    parents = {child: child - 10 for child in range(10, 20)}
    frequency = torch.cat([torch.full((10,), 0.2), torch.full((10,), 0.1)])
    rows: dict[str, list[list[float]]] = {"flat": [], "nested": []}
    for seed in range(4):
        one = planted(20, 20, frequency=frequency, parent=parents, seed=seed)
        x, (held, a) = one.draw(50_000, generator(1)).x, one.draw(5_000, generator(2))
        for name, sae in (
            ("flat", saes.BatchTopK(20, 20, k=3, seed=seed)),
            ("nested", saes.Matryoshka(20, 20, k=3, prefixes=[10, 20], seed=seed)),
        ):
            f = saes.train(sae, x, 1500).encode(held)
            silent = f[:, saes.match_directions(one.directions[:10], sae.W_dec).latent] == 0
            child, parent = a[:, 10:] > 0, (a[:, :10] > 0) & (a[:, 10:] == 0)
            shares = [silent[where].float().mean().item() for where in (child, parent)]
            rows[name].append([*shares, saes.fve(held, sae.decode(f))])
    found: dict[str, Any] = {"worlds": 4}
    for name, table in rows.items():
        found[name] = dict(zip(("with_child", "alone", "fve"), torch.tensor(table).mean(0).tolist(), strict=True))
        found[name]["each"] = [row[0] for row in table]
    return found


def absorbed_share(concept: str, split: str) -> tuple[saes.Absorbed, Int[Tensor, " word"], int]:
    """What `saes.absorbed` says at the words of a concept, which words these are, and the latent of the concept."""
    at = labels(split)[:, number_of(concept)].nonzero()[:, 0]
    main = choice(concept).latents[0]
    x, f = seen(split)[at] - flat().b_dec, active(split)[at].float()
    return saes.absorbed(x, f, flat().W_dec, direction_of(concept), [main]), at, main


@functools.cache
def direction_of(concept: str) -> Float[Tensor, " d"]:
    """Of a logistic probe, on training texts."""
    return fit_probe(seen("choose"), labels("choose")[:, number_of(concept)]).direction


def absorbers(concept: str, split: str) -> dict[int, int]:
    """At how many words of full absorption which latent does the work, of those latents that are special: of the fifty
    training words at which they are strongest, nine in ten belong to the concept."""
    result = absorbed_share(concept, split)[0]
    holds, found = labels("choose")[:, number_of(concept)], {}
    for latent in result.latent[result.full].unique().tolist():
        if holds[active("choose")[:, latent].float().topk(50).indices].float().mean().item() >= 0.9:
            found[latent] = int((result.full & (result.latent == latent)).sum())
    return found


@claim(slow=True)
def hole() -> dict[str, Any]:
    """A hole in Pico: "is silent at". Of the concepts that words have, the one of which most is absorbed by a more
    special latent, on training texts; the shares are those on held-out texts. Controls: the same for a direction that
    belongs to no concept (a probe for labels dealt out anew), and the other concepts."""
    names = [name for name in concepts.WORDS if int(labels("choose")[:, number_of(name)].sum()) >= 60]
    shares = {name: max(absorbers(name, "choose").values(), default=0) / int(labels("choose")[:, number_of(name)].sum())
              for name in names}  # fmt: skip
    name = max(shares, key=lambda one: shares[one])
    by = max(absorbers(name, "choose").items(), key=lambda pair: pair[1])[0]
    result, at, main = absorbed_share(name, "judge")
    words = [word for text in read("judge") for word in text.words]
    here = result.full & (result.latent == by)
    taken = [words[i] for i in at[here].tolist()]
    word = max(set(taken), key=taken.count)
    said = [words[i] == word for i in active("judge")[:, by].float().topk(20).indices.tolist()]
    blind = fit_probe(seen("choose"), saes.shuffled(labels("choose"))[:, number_of(name)]).direction
    x, f = seen("judge")[at] - flat().b_dec, active("judge")[at].float()
    other = saes.absorbed(x, f, flat().W_dec, blind, [main])
    return {
        "concept": name,
        "latent": main,
        "f1": best_of(active("choose").float(), active("judge").float(), name)["f1"],
        "words": len(at),
        "silent": (f[:, main] == 0).float().mean().item(),
        **mean("absorbed", here.float().numpy()),
        "by": by,
        "word": word,
        "by_says_word": sum(said) / len(said),
        "main_at_word": (f[[words[i] == word for i in at.tolist()], main] > 0).float().mean().item(),
        "control": (other.full & (other.latent == by)).float().mean().item(),
        "concepts": len(names),
        "without": sum(share == 0 for share in shares.values()),
    }


# --- the sober box ----------------------------------------------------------------------------------------------------


@claim(slow=True)
def probes() -> dict[str, Any]:
    """Plain logistic probes on x, beside the best latent and the best union of up to 16 latents: "the probe wins". F1
    on held-out texts, in the mean over the concepts that hold at 60 words or more. Control: probes for labels that
    were dealt out anew."""
    names = [i for i in range(len(concepts.CONCEPTS)) if int(labels("choose")[:, i].sum()) >= 60]
    f, g = active("choose").float(), active("judge").float()
    old, new = labels("choose")[:, names], labels("judge")[:, names]
    one = saes.choose(f, old, k=16)
    single = [saes.Choice(c.latents[:1], c.thresholds[:1], c.score) for c in one]
    scores = {"latent": saes.judge(single, g, new).f1, "union": saes.judge(one, g, new).f1}
    scores["probe"] = probed(seen("choose"), old, seen("judge"), new)
    scores["dealt_anew"] = probed(seen("choose"), saes.shuffled(old), seen("judge"), saes.shuffled(new))
    return {
        "concepts": len(names),
        **{f"{name}_f1": values.mean().item() for name, values in scores.items()},
        "probe_beats_latent": int((scores["probe"] > scores["latent"]).sum()),
        "probe_beats_union": int((scores["probe"] > scores["union"]).sum()),
        "latent_beats_probe": [concepts.CONCEPTS[names[i]] for i in
                               (scores["latent"] > scores["probe"]).nonzero()[:, 0].tolist()],
    }  # fmt: skip


def probed(x: Tensor, holds: Tensor, new: Tensor, holds_anew: Tensor) -> Float[Tensor, " concept"]:
    """F1 of a probe for each concept."""
    rows = []
    for column, other in zip(holds.T, holds_anew.T, strict=True):
        rows.append(saes.f1(fit_probe(x, column).says(new)[:, None], other[:, None])[0, 0])
    return torch.stack(rows)


@claim(slow=True)
def dark() -> dict[str, Any]:
    """What the dictionary does not explain: "it rises by". Losses of Pico on held-out texts with x̂ in the place of x,
    and, as the control, with x moved as far in a random direction at every word, in nats above the untouched loss.
    more: by how much the one rises more than the other, word by word."""
    documents = concepts.texts(DARK, 31, "held_out")
    source = generator(3)
    rows: dict[str, list[Float[np.ndarray, "text pos"]]] = {name: [] for name in ("clean", "spliced", "random")}
    counts = []
    for at in range(0, len(documents), 40):
        tokens, mask = padded([ids(text.words) for text in documents[at : at + 40]])
        counts.append(widened(mask[:, 1:].numpy()))
        for how, found in rows.items():
            found.append(widened(losses(how, tokens, mask, source)))
    where = np.concatenate(counts)
    clean, spliced, random = (np.concatenate(found) for found in rows.values())
    with torch.no_grad():
        error = seen("judge") - flat()(seen("judge"))
    share, between = unexplained(error, seen("judge"), [len(text.words) for text in read("judge")])
    return {
        "texts": DARK,
        "clean": clean[where].mean().item(),
        **mean("spliced", spliced - clean, where),
        **mean("random", random - clean, where),
        **mean("more", spliced - random, where),
        "unexplained": share,
        "unexplained_interval": between,
    }


DARK = 1200  # texts
LONGEST = 300  # words, of any of them


def widened(table: np.ndarray) -> np.ndarray:
    """The same table with `LONGEST` columns, so that tables of several batches can stand above each other."""
    return np.pad(table, ((0, 0), (0, LONGEST - table.shape[1])))


@torch.no_grad()
def losses(
    how: str, tokens: Int[Tensor, "text pos+1"], mask: Bool[Tensor, "text pos+1"], source: torch.Generator
) -> Float[np.ndarray, "text pos"]:
    """Pico's loss at every word as it is ("clean"), with x̂ in the place of x, and with x moved as far at random."""

    def edit(x: Tensor, hook: Any) -> Tensor:
        error = x - flat()(x)
        if how == "random":
            push = F.normalize(torch.randn(x.shape, generator=source), dim=-1)
            return x - push * error.norm(dim=-1, keepdim=True)
        return x - error if how == "spliced" else x

    logits = pico().run_with_hooks(tokens, [(site(), edit)], attention_mask=mask)
    return -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0].numpy()


def unexplained(
    error: Float[Tensor, "word d"], x: Float[Tensor, "word d"], lengths: list[int]
) -> tuple[float, list[float]]:
    """Σ Var(x − x̂) / Σ Var(x), and its interval over texts of these lengths."""
    n = np.array(lengths)
    sums = [[np.stack([part.sum(0).numpy() for part in v.double().split(lengths)]) for v in (rows, rows.pow(2))]
            for rows in (error, x)]  # fmt: skip

    def share(texts: Int[np.ndarray, " text"]) -> float:
        count = n[texts].sum()
        left, whole = ((second[texts].sum(0) / count - (first[texts].sum(0) / count) ** 2).sum()
                       for first, second in sums)  # fmt: skip
        return float(left / whole)

    return share(np.arange(len(n))), list(interval(share, len(n)))


# --- one dictionary of many -------------------------------------------------------------------------------------------


@claim(slow=True)
def others() -> dict[str, Any]:
    """Narrower dictionaries of the same place, and one with another seed: "labelled concepts". How many concepts have a
    latent with an F1 of at least .8 on held-out texts; the F1 of the best latent for towns. Controls: neurons of all
    blocks, and coordinates with either sign."""

    def asked(first: Tensor, second: Tensor) -> dict[str, Any]:
        chosen = saes.choose(first, labels("choose"))
        scores = saes.judge(chosen, second, labels("judge")).f1
        good = (scores >= BAR).nonzero()[:, 0].tolist()
        return {
            "found": len(good),
            "which": [concepts.CONCEPTS[i] for i in good],
            "town": scores[number_of(TOWN)].item(),
        }

    found: dict[str, Any] = {"concepts": len(concepts.CONCEPTS)}
    for name in (*(f"{NAME}-{width}" for width in (24, 96, 384)), NAME, f"{NAME}-seed1"):
        sae = saes.load(name)
        with torch.no_grad():
            values = [torch.cat([sae.encode(x) for x in seen(split).split(2048)]) for split in ("choose", "judge")]
        found[name.removeprefix("pico-").replace("-", "_")] = asked(*values)
    found["neurons"] = asked(neurons("choose").float(), neurons("judge").float())
    found["coordinates"] = asked(*signed(seen("choose"), seen("judge")))
    return found


CONTROL_WIDTH, CONTROL_K, CONTROL_STEPS = 384, 16, 800


@claim(slow=True)
def untrained() -> dict[str, Any]:
    """The control of all of this: the same small dictionary, trained on Pico and on a network with random weights, on
    the same texts: "that has never learnt anything". How many concepts have a latent, the F1 for towns, how well the
    best names of concepts and single words say where latents are active (`saes.interpret`). Control of the names:
    exchanged among latents."""
    words = {split: [word for text in read(split) for word in text.words] for split in SPLITS}
    known = saes.Labels.of(concepts.CONCEPTS, words["choose"])
    held = {split: known.hold(words[split], labels(split)) for split in SPLITS}
    random = {split: stream(read(split), [site()], random_network())[site()] for split in SPLITS}
    found: dict[str, Any] = {"latents": CONTROL_WIDTH}
    for name, x in (("pico", {split: seen(split) for split in SPLITS}), ("random", random)):
        sae = saes.BatchTopK(x["choose"].shape[1], CONTROL_WIDTH, k=CONTROL_K, seed=0)
        saes.train(sae, x["choose"], CONTROL_STEPS, batch=256)
        f, g = (sae.encode(x[split]) for split in ("choose", "judge"))
        scores = saes.judge(saes.choose(f, labels("choose")), g, labels("judge")).f1
        names = saes.interpret(f, held["choose"], terms=1)
        found[name] = {
            "found": int((scores >= BAR).sum()),
            "town": scores[number_of(TOWN)].item(),
            "names": saes.detect(names, g, held["judge"]).mean,
            "exchanged": saes.detect(saes.exchanged(names), g, held["judge"]).mean,
            "fve": saes.fve(x["judge"], sae.decode(g)),
        }
    return found
