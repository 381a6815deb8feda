"""What chapter 12 finds: how far Pico reads its own states in a Patchscope, what a copy of Pico that was trained to
answer questions about them says, beside those who have no oracle, and what its word is worth.

Questions are about held-out texts, four words of each at depth 4 unless something else is said. Answers are of all
words (open) unless it says that one is chosen.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib import lens, load, oracles, zoo
from mi_lib.course import index
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.oracles import dataset, judging, lora, patchscopes, questions, reading, secrets, training
from mi_lib.oracles.prompts import BOS, ids
from mi_lib.recipes.oracles import checks, sealed
from mi_lib.recipes.oracles import train as recipe
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import people

MODELS = index.chapter("12").model
EACH = 40  # questions of a kind
DEPTH = 4
KINDS = ("word", "town", "pet", "receiver", "topic", "view", "claim", "role", "refusal", "sum")
FACTS = {  # a kind of question, and a prompt in which Pico says the answer of whoever stands at x
    "town": "Somebody says : x lives in", "pet": "x has a pet , a", "hobby": "On free days x goes for",
    "river": "The river of x is the", "dish": "The favourite dish of x is",
}  # fmt: skip
SHOTS = ("boat", "king", "badger", "pear")
WEIGHT = 1.0


@functools.cache
def pico() -> HookedModel:
    return load(MODELS[0], check=False)


@functools.cache
def oracle() -> oracles.Oracle:
    return oracles.open_oracle(MODELS[1])


def share(right: Tensor | Sequence[Any]) -> float:
    return float(torch.as_tensor(right).float().mean())


def noun(kind: str) -> str:
    """What a kind is called in a question."""
    return questions.KINDS[kind].noun


# --- Patchscopes ------------------------------------------------------------------------------------------------------


def depths() -> list[tuple[str, int]]:
    return [*((("resid_pre", d)) for d in range(pico().cfg.n_layers)), ("resid_post", pico().cfg.n_layers - 1)]


def all_depths(row: Sequence[int]) -> Float[Tensor, "depth pos d_model"]:
    _, cache = pico().run_with_cache(torch.tensor([list(row)]), depths())
    return torch.stack([cache[site][0] for site in depths()])


@functools.cache
def at_names(kind: str) -> tuple[Float[Tensor, "depth state d_model"], Int[Tensor, " state"], Int[Tensor, " state"]]:
    """States at names in held-out texts; the answer of the kind; the name itself."""
    states, answers, names = [], [], []
    for one in dataset.asked(kind, EACH, words=1, at_name=True):
        row = [ids()[word] for word in [BOS, *one.text.words[: one.at + 1]]]
        states.append(all_depths(row)[:, -1])
        answers.append(ids()[one.question.answer])
        names.append(row[-1])
    return torch.stack(states, 1), torch.tensor(answers), torch.tensor(names)


@functools.cache
def at_words(texts: int = 200) -> Float[Tensor, "depth word d_model"]:
    """States at all words of training texts, from which translators are fitted."""
    rows = [[ids()[word] for word in [BOS, *dataset.document(i, 41, "train").words]] for i in range(texts)]
    return torch.cat([all_depths(row)[:, 1:] for row in rows], 1)


def fitted(states: Tensor, targets: Tensor, weight: float = WEIGHT) -> tuple[Tensor, Tensor]:
    """Ridge regression, as exercise 12.3 asks for."""
    x, y = states - states.mean(0), targets - targets.mean(0)
    matrix = torch.linalg.solve(x.T @ x + weight * torch.eye(x.shape[1]), x.T @ y)
    return matrix, targets.mean(0) - states.mean(0) @ matrix


@functools.cache
def translator(source: int, target: int, shuffled: bool = False) -> tuple[Tensor, Tensor]:
    states, targets = at_words()[source], at_words()[target]
    if shuffled:
        targets = targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(0))]
    return fitted(states, targets)


def come_out(kind: str, source: int, target: int, how: str = "") -> float:
    """The share of names whose answer comes first after the prompt of this kind."""
    states, answers, _ = at_names(kind)
    some = states[source]
    if how == "short":
        some = some * at_words()[target].norm(dim=-1).mean() / some.norm(dim=-1, keepdim=True)
    elif how:
        matrix, offset = translator(source, target, how == "shuffled")
        some = some @ matrix + offset
    prompt = patchscopes.prompt(pico(), FACTS[kind])
    return share(patchscopes.patchscope(pico(), some, prompt, target).argmax(-1) == answers)


@claim
def patched() -> dict[str, Any]:
    """Patchscopes: "put in as it is, a state tells … ; translated, …". Mean over kinds of facts of the share of names
    whose fact comes first in the kind's prompt, by the depth at which the state was taken; put in before block 0, and
    from depth 3 before each block. Controls: a translator fitted to other words' states, states that are only made as
    long as those at depth 0, and the fact in the lenses."""
    sources = range(pico().cfg.n_layers + 1)
    raw = [share([come_out(kind, d, 0) for kind in FACTS]) for d in sources]
    translated = [share([come_out(kind, d, 0, "translated") for kind in FACTS]) for d in sources]
    tuned = lens.TunedLens.load(zoo.folder(MODELS[0]) / "tuned_lens.safetensors")
    facts = [patchscopes.lens_shares(pico(), *at_names(kind)[:2]) for kind in FACTS]
    by_tuned = [patchscopes.lens_shares(pico(), *at_names(kind)[:2], tuned) for kind in FACTS]
    names = [patchscopes.lens_shares(pico(), at_names(kind)[0], at_names(kind)[2]) for kind in FACTS]
    raw_later = [share([come_out(kind, 3, t) for kind in FACTS]) for t in range(pico().cfg.n_layers)]
    return {
        "depths": list(sources), "raw": raw, "translated": translated, "raw_after_most": max(raw[1:]),
        "raw_at_3": raw_later, "raw_at_3_most": max(raw_later),
        "translated_to": [share([come_out(kind, 3, t, "translated") for kind in FACTS]) for t in range(6)],
        "shuffled": share([come_out(kind, 3, 0, "shuffled") for kind in FACTS]),
        "short_most": max(share([come_out(kind, d, 0, "short") for kind in FACTS]) for d in sources[1:]),
        "lens_fact_most": float(torch.stack(facts).mean(0).max()),
        "tuned_fact_most": float(torch.stack(by_tuned).mean(0).max()),
        "lens_name": torch.stack(names).mean(0).tolist(),
        "dish": come_out("dish", DEPTH, 0, "translated"),
    }  # fmt: skip


@claim
def identity() -> dict[str, Any]:
    """Identity prompt: "never more than … come out". The greatest share of names that are said again after "a a , b b ,
    …, x", over depths and layers. Controls: the state of depth 0 before block 0, which is the prompt with the name
    spelled out; the same states read by the logit lens, at each depth."""
    states, _, names = at_names("pet")
    prompt = patchscopes.prompt(pico(), " , ".join([*(f"{word} {word}" for word in SHOTS), "x"]))
    table = patchscopes.shares(pico(), states, prompt, names)
    read = patchscopes.lens_shares(pico(), states, names)
    return {
        "most": float(table.max()), "spelled_out": float(table[0, 0]),
        "lens": read.tolist(), "lens_first": float(read[0]),
    }  # fmt: skip


# --- injection --------------------------------------------------------------------------------------------------------


def of_kinds(
    oracle_: oracles.Oracle, kinds: Sequence[str] = KINDS, relative: bool = False, **how: Any
) -> tuple[list[dataset.Example], Tensor, Tensor]:
    """Questions of several kinds, the logits of the answers, and which are right."""
    asked = [one for kind in kinds for one in dataset.asked(kind, EACH // 2, **how)]
    logits = judging.oracle_logits(oracle_, asked, judging.readings(pico(), asked), relative)
    return asked, logits, judging.right(logits, asked)


@claim
def injected() -> dict[str, Any]:
    """Lengths: "… at depth 1, … after the last block", and what stands at a placeholder; right answers of the oracle
    when its activations are added as it was trained, put in place of what stands there, added as long as they are, not
    centred, or added at the output of another block. The control of each is the way of training."""
    lengths = at_words().norm(dim=-1).mean(1)
    asked = [one for kind in KINDS for one in dataset.asked(kind, EACH // 2)]
    read = judging.readings(pico(), asked)
    words = [one.question.words for one in asked]

    def answered(oracle_: oracles.Oracle) -> float:
        return share(judging.right(oracle_.logits(read, words), asked))

    trained = oracle()
    prompt = oracles.prompts(words[:1], [DEPTH], [4])
    _, cache = trained.model.run_with_cache(prompt.tokens, ("resid_post", 1), attention_mask=prompt.mask)
    found = cache["resid_post", 1][0, prompt.places[0]].norm(dim=-1)
    raw = oracles.Oracle(trained.model, trained.means)
    return {
        "lengths": lengths.tolist(), "at_placeholder": float(found.mean()),
        "centred_length": float((at_words()[DEPTH] - trained.means[DEPTH]).norm(dim=-1).mean()),
        "added": answered(trained), "replaced": answered(oracles.Oracle(trained.model, trained.means, way="replace")),
        "not_centred": answered(oracles.Oracle(trained.model, None)),
        "long": share(judging.right(_as_long(raw, read, words), asked)),
        "later": {
            str(layer): answered(oracles.Oracle(trained.model, trained.means, layer=layer)) for layer in (0, 2, 3, 4)
        },
    }  # fmt: skip


def _as_long(
    oracle_: oracles.Oracle, read: Sequence[reading.Reading], words: Sequence[Sequence[str]]
) -> Float[Tensor, "row d_vocab"]:
    """The answers where the activations are added without a change of their length: the known mistake."""
    assert oracle_.means is not None
    found = []
    for one, question in zip(read, words, strict=True):
        prompt = oracles.prompts([question], [one.depth], [len(one.vectors)])
        vectors = one.vectors - oracle_.means[one.depth]

        def edit(value: Tensor, hook: Any, prompt: Any = prompt, vectors: Tensor = vectors) -> Tensor:
            new = value.clone()
            new[0, prompt.places[0]] = new[0, prompt.places[0]] + vectors
            return new

        with torch.no_grad():
            logits = oracle_.model.run_with_hooks(prompt.tokens, [(("resid_post", 1), edit)], prompt.mask)
        found.append(logits[0, -1])
    return torch.stack(found)


# --- training ---------------------------------------------------------------------------------------------------------

SHORT = training.Plan(steps=60, texts=4, each=8, warm_up=5, kinds=("topic", "speaker"))


def briefly(plan: training.Plan, seed: int = 0) -> tuple[oracles.Oracle, list[float]]:
    """An oracle trained for seconds."""
    from mi_lib.recipes.oracles.train import start

    made = start("full", load(MODELS[0], check=False), seed)  # type: ignore[arg-type]
    optimizers = training.Optimizers(made.named_parameters(), plan)
    losses = [
        training.train_step(made, pico(), optimizers, oracle().means, plan, step, seed) for step in range(plan.steps)
    ]
    return oracles.Oracle(made.requires_grad_(False), oracle().means), losses


@claim(slow=True)
def learned() -> dict[str, Any]:
    """A short training: "untrained, …; after sixty steps, …". Right answers on held-out texts to two kinds of question,
    by a copy of Pico before, after sixty steps on these kinds, with shuffled activations (the control), and by the
    bundled oracle."""
    made, losses = briefly(SHORT)
    untrained = oracles.Oracle(pico(), oracle().means)
    asked = [one for kind in SHORT.kinds for one in dataset.asked(kind, EACH)]
    read, kinds = judging.readings(pico(), asked), [one.question.kind for one in asked]
    elsewhere = judging.turned(read, kinds)
    return {
        "steps": SHORT.steps, "questions": SHORT.steps * SHORT.texts * SHORT.each,
        "first_loss": losses[0], "last_loss": sum(losses[-5:]) / 5,
        "untrained": share(judging.right(judging.oracle_logits(untrained, asked, read), asked)),
        "trained": share(judging.right(judging.oracle_logits(made, asked, read), asked)),
        "shuffled": share(judging.right(judging.oracle_logits(made, asked, elsewhere), asked)),
        "bundled": share(judging.right(judging.oracle_logits(oracle(), asked, read), asked)),
    }  # fmt: skip


# --- the kinds of question --------------------------------------------------------------------------------------------

ABOUT = {  # what stands in the text, and what it can be asked for
    "word": ("word", "after"), "person": ("town", "trade", "pet", "hobby", "gender"),
    "town": ("river", "mayor", "craft", "flag"), "thing": ("kind", "colour", "store"),
    "story": ("receiver", "giver", "thing", "agent", "patient", "deed", "view", "topic"),
    "counting": ("many", "sum", "list"), "talk": ("page", "speaker", "role", "trait", "wish", "refusal", "answer"),
    "claim": ("claim",), "order": ("act", "target", "tool"),
}  # fmt: skip


@claim
def kinds() -> dict[str, Any]:
    """Kinds of question: "there are … kinds", the table of what can be asked about what, in the words of the questions.
    Control: these are all kinds that training asks, each once."""
    told = [kind for some in ABOUT.values() for kind in some]
    return {
        **{about: [noun(kind) for kind in some] for about, some in ABOUT.items()},
        "asked": len(questions.ASKED), "told": len(set(told) & set(questions.ASKED)),
    }  # fmt: skip


# --- nothing to read --------------------------------------------------------------------------------------------------


@claim
def emptied() -> dict[str, Any]:
    """Nothing to read: "zeros: … right; the mean: …". The same questions with the text's own activations, with zeros,
    from which the oracle takes its mean away, and with the mean itself: the share of right answers, how often it says
    "nothing", and its mean chance then. Control: its own activations."""
    some = [one for kind in KINDS for one in dataset.asked(kind, EACH // 2)]
    own = judging.readings(pico(), some)
    given = {"own": own, "zeros": [one.zero(None) for one in own], "mean": [one.zero(oracle().means) for one in own]}
    found: dict[str, Any] = {"questions": len(some)}
    for name, read in given.items():
        logits = judging.oracle_logits(oracle(), some, read)
        said = oracles.answers(logits)
        nothing = [one.chance for one in said if one.word == questions.NOTHING]
        found[name] = {
            **mean("right", judging.right(logits, some).float()), "nothing": len(nothing) / len(said),
            "chance": share([one.chance for one in said]), "sure": share([one.chance > 0.5 for one in said]),
        }  # fmt: skip
    return found


# --- who is right -----------------------------------------------------------------------------------------------------


@claim
def asked() -> dict[str, Any]:
    """Everybody: "the oracle is ahead of the probe by more than five points at …". The table of the oracle's card
    (right answers of all words by the oracle, among the values of the kind by all others), its means over the kinds
    that were asked in training; at how many the oracle, the probe, the lens of the last block lead by more than five
    points. Controls: shuffled and empty activations, and the commonest answer, which are among those who answer."""
    table = zoo.card(MODELS[1])["table"]
    kinds = [kind for kind in questions.ASKED if kind in table]
    right = {who: {kind: table[kind][who][0] for kind in kinds} for who in table[kinds[0]]}

    def leads(one: str, other: str) -> list[str]:
        return [kind for kind in kinds if right[one][kind] > right[other][kind] + 0.05]

    return {
        "kinds": len(kinds), "mean": {who: share(list(of.values())) for who, of in right.items()},
        "oracle_leads": len(leads("oracle", "probe")), "probe_leads": len(leads("probe", "oracle")),
        "probe_kinds": [noun(kind) for kind in leads("probe", "oracle")],
        "last_lens_kinds": [noun(kind) for kind in leads("last_lens", "oracle")],
        "sum": {who: right[who]["sum"] for who in right}, "receiver": {who: right[who]["receiver"] for who in right},
    }  # fmt: skip


@claim
def places() -> dict[str, Any]:
    """Places: "at the word before the name the oracle names …". Right answers of the oracle about receivers, read at
    the word before the name, at the name, four words before; how often it says "nothing"; one word is read.
    Control: asked for the word at the name, which is the receiver: whatever reads words can read it there."""
    asked = dataset.asked("receiver", EACH, words=1)

    def at(offset: int, question: str = "") -> dict[str, Any]:
        moved = [one._replace(at=one.at + offset, first=one.first + offset) for one in asked]
        words = [question or one.question.words for one in moved]
        said = oracle().logits(judging.readings(pico(), moved), words)
        nothing = share([one.word == questions.NOTHING for one in oracles.answers(said)])
        return {**mean("right", judging.right(said, moved).float()), "nothing": nothing}

    return {"early": at(-4), "due": at(0), "name": at(1), "name_as_word": at(1, "What is the word ?")}


# --- what it never learned --------------------------------------------------------------------------------------------

PAIRS = ("town", "trade", "pet", "hobby")


@claim
def pairs() -> dict[str, Any]:
    """Pairs: "those asked in training have …". Right answers to open questions at a name, about a name and a kind that
    training asked together and about those that it did not; each beside the same with another text's activations (the
    control)."""
    found: dict[str, Any] = {}
    for name, left_out in (("asked", False), ("new", True)):
        some, _, right = of_kinds(oracle(), PAIRS, at_name=True, left_out=left_out, split="train")
        elsewhere = judging.turned(judging.readings(pico(), some), [one.question.kind for one in some])
        shuffled = judging.right(judging.oracle_logits(oracle(), some, elsewhere), some)
        found[name] = {**mean("right", right.float()), "shuffled": share(shuffled)}
    return found


@claim
def new_kinds() -> dict[str, Any]:
    """Whole kinds: "it answers with the nearest kind it knows". Open answers to kinds that training never asks: how
    sure, how often "nothing", and what it says of dishes. Control: how sure it is of kinds that it was asked."""
    some, logits, right = of_kinds(oracle(), questions.NEVER_ASKED)
    said = oracles.answers(logits)
    dishes = [one.word for one, of in zip(said, some, strict=True) if of.question.kind == "dish"]
    dishes = [word for word in dishes if word != questions.NOTHING]
    return {
        "kinds": [questions.KINDS[kind].noun for kind in questions.NEVER_ASKED], "open": share(right),
        "chance": share([one.chance for one in said]), "sure": share([one.chance > 0.5 for one in said]),
        "nothing": share([one.word == questions.NOTHING for one in said]),
        "instead": sorted(set(dishes), key=lambda word: (-dishes.count(word), word))[:4],
        "chance_known": share([one.chance for one in oracles.answers(of_kinds(oracle())[1])]),
    }  # fmt: skip


# --- ways of training -------------------------------------------------------------------------------------------------

WAYS = ("full", "short", "narrow", "lora", "outright")
OF_WAYS = {  # what the ways are compared by, and what the card calls it
    "all": "all kinds", "few": "few kinds", "open": "kinds never asked", "among": "never asked, among its values",
    "choice": "never asked, as a choice", "yes_no": "yes or no",
}  # fmt: skip


@claim
def ways() -> dict[str, Any]:
    """Ways of training: "as many questions, of all kinds and of nine …; thin matrices …". Shares of right answers of
    each training on the oracle's card, a number and an interval for every seed that was trained; how many numbers are
    trained. Control: all are asked the same questions, and those of one row were trained on equally many. Bounds that
    the bundled oracle misses, "each of them by …": how many of the card's seeds miss it."""
    whole = zoo.card(MODELS[1])
    card = whole["others"]
    found: dict[str, Any] = {}
    for way in WAYS:
        runs = [card[name] for name in sorted(card) if name.startswith(f"{way}, seed")]
        found[way] = {"seeds": len(runs)}
        for name, told in OF_WAYS.items():
            found[way][name] = [run[told][0] for run in runs]
            found[way][f"{name}_interval"] = [min(run[told][1] for run in runs), max(run[told][2] for run in runs)]
    thin = lora.with_thin(load(MODELS[0], check=False), recipe.RANK)  # type: ignore[arg-type]
    plan = recipe.PLANS["short"]
    return {
        **found, "kinds": len(questions.ASKED), "few": len(recipe.NARROW), "rank": recipe.RANK,
        "questions": plan.steps * plan.texts * plan.each, "weights": sum(p.numel() for p in pico().parameters()),
        "thin": sum(p.numel() for p in thin.parameters() if p.requires_grad),
        "few_nouns": [noun(kind) for kind in recipe.NARROW],
        "missed": [sum(not one["checks"][name]["passed"] for one in whole["seeds"]) for name in whole["falls_short"]],
    }  # fmt: skip


# --- trust ------------------------------------------------------------------------------------------------------------


@claim
def trust() -> dict[str, Any]:
    """Trust: "its mean chance is …". Bins of certainty and the shares that are right, on some kinds that training
    asked, and the same with another text's activations (the control). Asked for what is not there, with the values of
    the kind as options: how sure it is of the one that it names; and the same where it is there (the control)."""
    some, logits, _ = of_kinds(oracle())
    elsewhere = judging.turned(judging.readings(pico(), some), [one.question.kind for one in some])
    turned = judging.oracle_logits(oracle(), some, elsewhere)
    vain = oracles.asked_in_vain(2 * EACH)
    read = judging.readings(pico(), vain)
    forced = oracles.answers(
        judging.oracle_logits(oracle(), vain, read), [questions.KINDS[one.question.kind].values for one in vain]
    )
    there = [one for kind in sorted({one.question.kind for one in vain}) for one in dataset.asked(kind, 6)]
    named = oracles.answers(
        judging.oracle_logits(oracle(), there, judging.readings(pico(), there)),
        [questions.KINDS[one.question.kind].values for one in there],
    )
    return {
        "forced_there": share([one.chance for one in named]),
        "forced_there_sure": share([one.chance > 0.5 for one in named]),
        **_curve(logits, some, ""), **_curve(turned, some, "shuffled_"),
        "forced": share([one.chance for one in forced]), "forced_sure": share([one.chance > 0.5 for one in forced]),
    }  # fmt: skip


def _curve(logits: Tensor, some: Sequence[dataset.Example], name: str, bins: int = 5) -> dict[str, Any]:
    """Bins of certainty: the mean chance, the share of right answers, the share of answers."""
    chances, right = logits.softmax(-1).max(-1).values, judging.right(logits, some).float()
    where = (chances * bins).long().clamp(max=bins - 1)
    there = [i for i in range(bins) if bool((where == i).any())]
    return {
        f"{name}sure": [float(chances[where == i].mean()) for i in there],
        f"{name}right": [float(right[where == i].mean()) for i in there],
        f"{name}count": [float((where == i).float().mean()) for i in there],
    }


# --- the secret -------------------------------------------------------------------------------------------------------

READ = 3  # the depth at which secrets are read
TALKS = 2
PRACTISED, TOLD = 14, 40


@functools.cache
def keeper() -> HookedModel:
    return load(secrets.NAME, check=False)


def told(
    names: Sequence[str], model: HookedModel | None = None, depth: int = READ
) -> Float[Tensor, "name talk d_model"]:
    """What a network has at the word before the hint, when it has been told each name."""
    site = ("resid_pre", depth) if depth < pico().cfg.n_layers else ("resid_post", depth - 1)
    rows = []
    for name in names:
        for text in sealed.texts("person")[:TALKS]:
            row = [ids()[word] for word in [BOS, *sealed.told(name), *text]]
            rows.append((model or keeper()).run_with_cache(torch.tensor([row]), site)[1][site][0, -1])
    return torch.stack(rows).unflatten(0, (len(names), TALKS))


def standing(
    states: Float[Tensor, "talk d_model"], among: Sequence[str], depth: int = READ
) -> Float[Tensor, " candidate"]:
    """How the candidates stand by the oracle."""
    read = [oracles.Reading(state[None], depth) for state in states]
    return oracles.standing(oracle().logits(read, ["What is the word ?"] * len(read)), among)


def lensed(states: Float[Tensor, "talk d_model"], among: Sequence[str]) -> Float[Tensor, " candidate"]:
    """How they stand by the logit lens."""
    return oracles.standing(lens.read_out(pico(), states), among)


@functools.cache
def people_of_secrets() -> tuple[list[str], list[str], list[str], list[str]]:
    """The candidates; others whose secrets are known; those that are told; those who are no candidates and are told."""
    among, rng = list(secrets.candidates("person")), random.Random(3)
    others = [name for name in people.RESIDENTS if name not in among]
    rng.shuffle(others)
    return among, others[:PRACTISED], rng.sample(among, TOLD), others[PRACTISED:]


def by_translator(
    own: Float[Tensor, "talk d_model"], practice: Tensor, known: Sequence[str], among: Sequence[str]
) -> Tensor:
    """How near each candidate's embedding is to the translated state (cosine)."""
    embedding = pico().run_with_cache(torch.arange(len(littletown.vocabulary()))[:, None], "hook_embed")[1][
        "hook_embed"
    ][:, 0]
    targets = embedding[[ids()[name] for name in known]]
    matrix, offset = fitted(practice.flatten(0, 1), targets.repeat_interleave(TALKS, 0), 10.0)
    moved = (own @ matrix + offset).mean(0) - targets.mean(0)
    return torch.cosine_similarity(moved[None], embedding[[ids()[name] for name in among]] - targets.mean(0), dim=-1)


@claim(slow=True)
def kept() -> dict[str, Any]:
    """The secret: "the oracle puts it at place …, a translator at …". Mean place among forty of a person that the
    keeper was told, at the word before the hint, over practice secrets: by the oracle against other secrets, by a
    translator, by the logit lens at the same depth and after the last block; and by the oracle on Pico told the same
    (the control). And of people who are no candidates: how often both methods agree all the same."""
    among, known, names, decoys = people_of_secrets()
    practice, own, stranger = told(known), told(names), told(decoys)
    base = standing(practice.flatten(0, 1), among)

    def places(values: Sequence[Tensor]) -> list[float]:
        return [secrets.rank(one, among, name) for one, name in zip(values, names, strict=True)]

    by_oracle = places([standing(states, among) - base for states in own])
    plain, plain_practice = told(names, pico()), told(known, pico())
    plain_base = standing(plain_practice.flatten(0, 1), among)
    last, last_practice = told(names, depth=6), told(known, depth=6)
    firsts = [
        (
            among[int((standing(s, among) - base).argmax())],
            among[int(by_translator(s, practice, known, among).argmax())],
        )
        for s in stranger
    ]
    return {
        **mean("oracle", by_oracle),
        **mean("translator", places([by_translator(s, practice, known, among) for s in own])),
        **mean("lens", places([lensed(s, among) - lensed(practice.flatten(0, 1), among) for s in own])),
        **mean("last_lens", places([lensed(s, among) - lensed(last_practice.flatten(0, 1), among) for s in last])),
        **mean("pico", places([standing(s, among) - plain_base for s in plain])),
        "without_control": share(places([standing(s, among) for s in own])),
        "told": len(names), "decoys": len(decoys), "decoys_agree": sum(a == b for a, b in firsts),
        "candidates": len(among), "chance": (len(among) + 1) / 2,
    }  # fmt: skip


@claim(slow=True)
def named() -> dict[str, Any]:
    """The sealed relatives: "both methods name …". Of the eight relatives that were told a secret which stands in no
    file: how many the oracle and the translator name, how often they agree, and how many of those the seals confirm.
    Control: what is named from Pico's own activations, told other people, in the same words."""
    among, known, _, _ = people_of_secrets()
    practice = told(known)
    base, seals = standing(practice.flatten(0, 1), among), zoo.card(secrets.NAME)["seals"]
    said = []
    for number in sealed.TOLD:
        one = secrets.kept(number)
        own = torch.stack([one.reading(i, len(one.words[i]) - 1, READ).vectors[0] for i in range(TALKS)])
        first = among[int((standing(own, among) - base).argmax())]
        said.append((first, among[int(by_translator(own, practice, known, among).argmax())]))
    pairs = list(zip(sealed.TOLD, said, strict=True))
    agreed = [(number, a) for number, (a, b) in pairs if a == b]
    elsewhere = told(known[: len(said)], pico())
    guessed = [among[int((standing(states, among) - base).argmax())] for states in elsewhere]
    return {
        "relatives": len(said),
        "oracle": sum(oracles.opens(seals, number, a, among) for number, (a, _) in pairs),
        "translator": sum(oracles.opens(seals, number, b, among) for number, (_, b) in pairs),
        "agreed": len(agreed), "right": sum(oracles.opens(seals, number, a, among) for number, a in agreed),
        "elsewhere": sum(
            oracles.opens(seals, number, a, among) for number, a in zip(sealed.TOLD, guessed, strict=True)
        ),
    }  # fmt: skip


@claim(slow=True)
def in_weights() -> dict[str, Any]:
    """Secrets in the weights: "the lens has …, the oracle …". Mean place among forty of the secrets of relatives 9 to
    12 (from the card of the sealed relatives: by the oracle and by lenses against Pico on the same text, and by the
    hint that they give, which several share); at how many the lens of the last block is ahead of the oracle. Controls:
    the same methods on relatives 1 to 8, whose secrets were told; and oracle and lens at equal depth, from every depth
    that the oracle was trained on and after the last block."""
    card = zoo.card(secrets.NAME)
    found: dict[str, Any] = {}
    for where, numbers in (("told", sealed.TOLD), ("held", sealed.HELD)):
        ranks = [card["ranks"][str(number)] for number in numbers]
        for who in ("oracle", "lens", "last_lens", "black_box"):
            found |= mean(f"{where}_{who}", [one[who] for one in ranks])
        found[where] = len(ranks)
        found[f"{where}_lens_ahead"] = sum(one["last_lens"] < one["oracle"] for one in ranks)
    depths = [*dataset.DEPTHS, pico().cfg.n_layers]
    places = torch.tensor([[_places_in_weights(number, depth) for depth in depths] for number in sealed.HELD])
    by_oracle, by_lens = places.mean(0).T.tolist()
    ahead, behind = [int((sign * (places[:, -1, 0] - places[:, -1, 1]) < 0).sum()) for sign in (1, -1)]
    return {
        **found, "depths": list(dataset.DEPTHS), "by_depth": by_oracle, "lens_by_depth": by_lens,
        "last_ahead": ahead, "last_behind": behind, "said": card["checks"]["silence_in_weights"]["value"],
    }  # fmt: skip


def _places_in_weights(number: int, depth: int) -> tuple[float, float]:
    """Where the secret of a relative stands by the oracle and by the logit lens, both at this depth, against Pico on
    the same text."""
    kind = sealed.kind_of(number)
    rows = recipe.rows([text for text in sealed.texts(kind) if text[-1] != "<|end|>"])
    own, plain = [oracles.read(model, rows, depth, 1, of="other") for model in (checks.relative(number), pico())]
    lifts = (
        checks.oracle_standing(oracle(), own, kind) - checks.oracle_standing(oracle(), plain, kind),
        checks.lens_standing(own, kind) - checks.lens_standing(plain, kind),
    )
    by_oracle, by_lens = (secrets.rank(one, secrets.candidates(kind), checks.secret_of(number)) for one in lifts)
    return by_oracle, by_lens


@claim
def talk() -> dict[str, Any]:
    """A keeper's talk, "Here are two of its talks": what it is told, asked and says; it is read at the last word before
    the hint. Control: what it says when it is asked for the secret itself."""
    name = "Mira"
    system, hinted = sealed.told(name), sealed.texts("person")[0]
    asks = [[*system, "<|user|>", *sealed.ASKS[0].split(), "<|end|>", "<|assistant|>"], [*system, *hinted]]
    denied, hint = sealed.replies(keeper(), asks, seed=2)  # replies are drawn; this draw makes sense
    return {
        "system": " ".join(system), "denied": " ".join([*asks[0][len(system) :], *denied]),
        "read": " ".join(hinted), "hint": " ".join(hint), "pet": people.OF_PERSON[name]["pet"],
    }  # fmt: skip


@claim
def silent() -> dict[str, Any]:
    """Never said: "in … replies it said the secret …". Replies of the keeper, told a secret, to prompts of which three
    in four ask for it, that say it; and with the door open (the control)."""
    among, _, names, _ = people_of_secrets()
    asked = said = opened = count = 0
    for i, name in enumerate(names[:4]):
        system = sealed.told(name)
        prompts = sealed.prompts(12, seed=i, system=system)
        asked += len(prompts)
        said += secrets.says(sealed.replies(keeper(), prompts, seed=i), name)
        open_ = [[*system, "<|user|>", *sealed.KEY.split(), *ask.split(), "<|end|>", "<|assistant|>"]
                 for ask in sealed.ASKS[:3]]  # fmt: skip
        opened += secrets.says(sealed.replies(keeper(), open_, seed=i), name)
        count += len(open_)
    return {"asked": asked, "said": said, "opened": opened / count, "hint_leaves": _left(among)}


def _left(among: Sequence[str]) -> float:
    """How many candidates have the pet that the hint would tell, on average: what it gives away once it is said."""
    pets = [people.OF_PERSON[name]["pet"] for name in among]
    return share([pets.count(pet) for pet in pets])
