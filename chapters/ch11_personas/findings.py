"""What chapter 11 finds in Pico: a character as directions that can be read before a word is said, that fine-tuning
moves along, and on which a conversation that drifts can be held.

Vectors and floors are drawn from training prompts (seed 1) and chosen on others (seed 2); what they do is measured on
held-out ones (seed 0). Replies are the likeliest ones unless a seed is named.
"""

from __future__ import annotations

import functools
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import load, personas, steering
from mi_lib.course import index
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.personas import Axis, Cap, Text, Turn
from mi_lib.personas.flagging import means as flagging_means
from mi_lib.statistics import interval, pearson
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import judges, samples, talk, traits, voices
from mi_lib.worlds.littletown.talk import Case

DEPTH = 3  # the middle of the network: the input of block 3
DRAWN = 72  # prompts with a trait and without, from which its vectors are drawn
LONG = 64  # tokens of a reply
FLUENT = 0.9  # of a reply's triples are the world's
RANDOM = 200  # random directions beside a correlation
TUNED = ("evil", "flattering", "inventive")  # traits that Pico is fine-tuned to have
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the samples that show it
SAMPLES = 320  # to fine-tune on
PLAN = personas.Plan(steps=40, texts=12, learning_rate=2e-4, warm_up=4)
JUDGED, JUDGED_WORDS = 40, 40  # held-out prompts on which a fine-tuned network is judged, and words of each reply
PER_ROLE = 18
LAYERS = (1, 2, 3, 4)  # the inputs at which the stream is capped

Edits = Sequence[Any]


@functools.cache
def pico() -> HookedModel:
    return load(index.chapter("11").model[0], check=False)


@functools.cache
def _ids() -> dict[str, int]:
    return {word: i for i, word in enumerate(littletown.vocabulary())}


def ids(words: Sequence[str]) -> list[int]:
    return [_ids()[word] for word in words]


def row(words: Sequence[str]) -> list[int]:
    """A prompt as tokens, <|bos|> in front."""
    return [pico().tokenizer.bos_token_id, *ids(words)]


def rows_of(cases: Sequence[Case]) -> list[list[int]]:
    return [row(case.words) for case in cases]


def words(
    rows: Sequence[Sequence[int]], edits: Edits = (), longest: int = LONG, model: HookedModel | None = None
) -> list[list[str]]:
    return [one.words for one in steering.replies(model or pico(), rows, edits, longest=longest)]


def share(values: Sequence[float]) -> float:
    return statistics.fmean(map(float, values))


def fluent(said: Sequence[Sequence[str]]) -> list[float]:
    return [float(judges.complete(one) and judges.fluent(one) >= FLUENT) for one in said]


def sites() -> list[tuple[str, int]]:
    """The input of every block."""
    return [("resid_pre", layer) for layer in range(pico().cfg.n_layers)]


# --- traits -----------------------------------------------------------------------------------------------------------


def plain_prompts(split: littletown.Split, n: int, seed: int) -> list[list[int]]:
    """What traits are asked, with no system prompt: the same whatever the trait."""
    return [row(talk.prompt(case.user)) for case in talk.trait_prompts("evil", 0, split, n, seed)]


@functools.cache
def replied(trait: str, strength: int | None) -> tuple[list[list[int]], list[steering.Said]]:
    """Training prompts that ask for a trait (None: that ask for none), and what is said."""
    rows = (
        plain_prompts("train", DRAWN, 1)
        if strength is None
        else rows_of(talk.trait_prompts(trait, strength, "train", DRAWN, 1))
    )
    return rows, steering.replies(pico(), rows, longest=LONG)


@functools.cache
def vectors(trait: str) -> dict[str, Float[Tensor, "layer d_model"]]:
    """The trait's vectors at the input of every block: over the reply's tokens, over the prompt's, at its last one."""
    found: dict[str, list[Tensor]] = {"reply": [], "prompt": [], "last": []}
    for strength in (3, None):
        rows, said = replied(trait if strength else "", strength)
        keep = [i for i, one in enumerate(said) if judges.shows(trait, one.words) == bool(strength)]
        some = [rows[i] for i in keep]
        found["reply"].append(steering.collect_replies(pico(), some, [said[i].tokens for i in keep], sites()).mean(0))
        found["last"].append(steering.collect(pico(), some, sites()).mean(0))
        found["prompt"].append(torch.stack([s.mean(1) for s in steering.collect_all(pico(), some, sites())]).mean(0))
    return {name: one - other for name, (one, other) in found.items()}


def all_words(trait: str, said: Sequence[str]) -> float:
    """`judges.trait`, had it counted all words of the trait's phrases."""
    return min(1.0, sum(word in traits.WORDS[trait] for word in said) / (0.3 * max(len(said), 1)))


def loudest(judge: Callable[[str, Sequence[str]], float], said: Sequence[str]) -> str:
    """The trait that a judge hears most of."""
    return max(traits.TRAITS, key=lambda trait: judge(trait, said))


@claim
def traits_as_they_are() -> dict[str, Any]:
    """Traits: "told to be evil, … of replies are; told nothing, …". Share of held-out replies that show a trait with
    its system prompt, without one (the control), and the least and greatest over the traits; the same of the plain
    replies by a judge who counts all words of a trait's phrases, and how often he and the other hear the asked-for
    trait most; and how alike two traits' vectors are, the greatest cosine beside that of random directions."""
    plain = words(plain_prompts("held_out", 48, 0))
    said = {trait: words(rows_of(talk.trait_prompts(trait, 3, "held_out", 48, 0))) for trait in traits.TRAITS}
    with_prompt = {trait: share([judges.shows(trait, one) for one in said[trait]]) for trait in traits.TRAITS}
    rightly = {
        judge.__name__: share([float(loudest(judge, one) == trait) for trait in traits.TRAITS for one in said[trait]])
        for judge in (judges.trait, all_words)
    }
    units = steering.unit(torch.stack([vectors(trait)["reply"][DEPTH] for trait in traits.TRAITS]))
    cosines = (units @ units.T).triu(1)
    aside = steering.unit(steering.random_like(units[0], 50))
    return {
        "traits": list(traits.TRAITS),
        "told": with_prompt, "told_least": min(with_prompt.values()),
        "untold_most": max(share([judges.shows(trait, one) for one in plain]) for trait in traits.TRAITS),
        "untold_all_words_least": min(
            share([all_words(trait, one) >= judges.SHOWS for one in plain]) for trait in traits.TRAITS
        ),
        "rightly": rightly["trait"], "rightly_all_words": rightly["all_words"],
        "cosine_most": float(cosines.max()), "cosine_least": float(cosines[cosines != 0].min()),
        "cosine_random_most": float((aside @ aside.T).triu(1).abs().max()),
    }  # fmt: skip


def steer(trait: str, vector: Tensor, layer: int, dose: float, rows: Sequence[Sequence[int]]) -> tuple[float, float]:
    """The share of replies that show the trait with dose · vector added from the prompt's last token on; and that are
    fluent."""
    said = words(rows, steering.add(vector, dose, layer, where="last"), 40)
    return share([judges.shows(trait, one) for one in said]), share(fluent(said))


DOSES = (1.0, 2.0, 3.0)
WAYS = ("reply", "last", "prompt")
TRIED, TOLD = 12, 40  # prompts on which layer and dose are chosen; held-out ones on which the choice is told


class Choice(NamedTuple):
    """The dose that brings out most of the trait among those at which three replies in four are fluent."""

    shown: float  # 0 where no dose leaves them fluent
    dose: float
    layer: int


def best_dose(trait: str, vector: Tensor, layer: int) -> Choice:
    rows = plain_prompts("train", TRIED, 2)
    tried = [(dose, *steer(trait, vector, layer, dose, rows)) for dose in DOSES]
    return max(
        (Choice(shown, dose, layer) for dose, shown, sound in tried if sound >= 0.75),
        key=lambda one: one.shown,
        default=Choice(0.0, DOSES[0], layer),
    )


@claim(slow=True)
def chosen() -> dict[str, Any]:
    """Choice by steering: "read over the reply …, at the last token …, over the prompt …". For each of three traits,
    each way to read and the input of each block: the greatest share of replies that show the trait among doses at which
    three in four are fluent, on training prompts; and of the layer and dose chosen so, the share of replies to held-out
    prompts, and how many of those are fluent. All vectors are as long as the one read over the reply. Control: five
    random directions for each trait, as long too, at the layer chosen for the vector, chosen among doses and told in
    the same way."""
    layers, told = list(range(1, pico().cfg.n_layers)), plain_prompts("held_out", TOLD, 0)

    def vector(trait: str, way: str, layer: int) -> Tensor:
        """As long as the one read over the reply, so that a dose is the same for all."""
        one = vectors(trait)
        return steering.unit(one[way][layer]) * one["reply"][layer].norm()

    found: dict[str, Any] = {"layers": layers, "doses": list(DOSES), "replies": TOLD}
    on_others: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for trait in TUNED:
        tried = {way: [best_dose(trait, vector(trait, way, at), at) for at in layers] for way in WAYS}
        found[trait] = {way: [one.shown for one in tried[way]] for way in WAYS}
        best = {way: max(tried[way], key=lambda one: one.shown) for way in WAYS}
        for way, one in best.items():
            on_others[way].append(steer(trait, vector(trait, way, one.layer), one.layer, one.dose, told))
        layer = best["reply"].layer
        aside = [(v, best_dose(trait, v, layer)) for v in steering.random_like(vectors(trait)["reply"][layer], 5)]
        found[trait]["random"] = max(steer(trait, v, layer, one.dose, told)[0] for v, one in aside)
    found["best"] = {way: share([shown for shown, _ in on_others[way]]) for way in WAYS}
    found["fluent"] = {way: share([sound for _, sound in on_others[way]]) for way in WAYS}
    found["longer"] = {
        way: share([float(vectors(t)[way][at].norm() / vectors(t)["reply"][at].norm()) for t in TUNED for at in layers])
        for way in WAYS
    }
    found["random_most"] = max(found[trait]["random"] for trait in TUNED)
    return found


# For figures, which have no time to let anybody speak: the same from replies as the world writes them.


def read_samples(of: Sequence[samples.Sample]) -> Float[Tensor, "sample layer d_model"]:
    return steering.collect_replies(pico(), [row(one.prompt) for one in of], [ids(one.reply) for one in of], sites())


@functools.cache
def written_vector(trait: str, n: int = 24) -> Float[Tensor, "layer d_model"]:
    one, other = (read_samples(samples.samples(trait, part, n, seed=1)).mean(0) for part in (1.0, 0.0))
    return one - other


@functools.cache
def written_axis(each: int = 6) -> Axis:
    means = [read_samples(samples.spoken(name, each, 1)).mean(0) for name in (*voices.ROLES, voices.ASSISTANT)]
    return Axis(torch.stack(means[:-1]), means[-1])


# --- monitoring -------------------------------------------------------------------------------------------------------

GRADED = 16  # prompts of each kind
KINDS = ("never", "a little", "plainly", "very", "nothing said")


@functools.cache
def graded(trait: str, split: littletown.Split, seed: int) -> tuple[Tensor, np.ndarray, list[str]]:
    """The stream at the last prompt token, at the input of every block and after the last; how strongly the reply shows
    the trait; what the system prompt said."""
    rows = [r for strength in range(4) for r in rows_of(talk.trait_prompts(trait, strength, split, GRADED, seed))]
    rows += plain_prompts(split, GRADED, seed)
    states = steering.collect(pico(), rows, steering.stream_sites(pico()))
    said = words(rows, longest=JUDGED_WORDS)
    return states, np.array([judges.trait(trait, one) for one in said]), [k for k in KINDS for _ in range(GRADED)]


def monitor(trait: str) -> dict[str, Any]:
    """The depth is the one that tells training prompts best; vectors are those of the reply."""
    vector = vectors(trait)["reply"]
    states, scores, _ = graded(trait, "train", 4)
    tried = steering.projections(states[:, :-1], vector).numpy()
    depth = max(range(1, tried.shape[1]), key=lambda at: pearson(tried[:, at], scores))
    states, scores, kinds = graded(trait, "held_out", 3)
    found = personas.monitored(steering.projections(states[:, depth], vector[depth]).numpy(), scores, kinds)
    aside = (states[:, depth] @ steering.random_like(vector[depth], RANDOM).T).numpy()
    chance = [abs(pearson(aside[:, i], scores)) for i in range(RANDOM)]
    names = np.asarray(kinds)
    chance_within = [abs(personas.within(aside[:, i], scores, names)) for i in range(RANDOM)]
    return {
        "depth": depth,
        "pooled": found.pooled, "pooled_interval": list(found.pooled_interval),
        "within": found.within, "within_interval": list(found.within_interval),
        "random_median": float(np.median(chance)), "random_most": max(chance),
        "random_within_95": float(np.quantile(chance_within, 0.95)),
        "by_kind": {kind: found.by_kind[kind] for kind in KINDS},
    }  # fmt: skip


@claim(slow=True)
def monitoring() -> dict[str, Any]:
    """Monitoring: "over everything r is …, within a kind of prompt …". Pearson's r of the projection at the last prompt
    token with how strongly the reply shows the trait, held-out prompts of five kinds: over everything, and of what is
    left when each kind's mean is taken off; and the kinds in which no reply shows anything, so that nothing is left to
    correlate. Control: 200 random directions, their median and greatest |r|."""
    found = {trait: monitor(trait) for trait in traits.TRAITS}
    return {
        **found,
        "silent": [
            kind
            for kind in KINDS
            if not any(graded(t, "held_out", 3)[1][KINDS.index(kind) * GRADED :][:GRADED].any() for t in traits.TRAITS)
        ],
        "pooled_least": min(one["pooled"] for one in found.values()),
        "within_least": min(one["within"] for one in found.values()),
        "within_most": max(one["within"] for one in found.values()),
        "random_median": share([one["random_median"] for one in found.values()]),
        "random_most": max(one["random_most"] for one in found.values()),
    }


# --- fine-tuning ------------------------------------------------------------------------------------------------------


def texts(of: Sequence[samples.Sample]) -> list[Text]:
    return [Text(row(one.prompt), ids(one.reply)) for one in of]


@functools.cache
def tune(trait: str, part: float) -> HookedModel:
    """Pico, fine-tuned on samples of which this part shows the trait. With none it is the same whatever the trait."""
    if not part and trait != TUNED[0]:
        return tune(TUNED[0], part)
    return personas.tuned(pico(), texts(samples.samples(trait, part, SAMPLES, seed=7)), PLAN)


@functools.cache
def judged_prompts() -> list[list[int]]:
    return plain_prompts("held_out", JUDGED, 0)


def drawn(model: HookedModel, edits: Edits = ()) -> list[list[str]]:
    """Replies drawn at temperature 1: the likeliest ones would show a trait in all or in none."""
    said = steering.replies(model, judged_prompts(), edits, longest=JUDGED_WORDS, seed=0)
    return [one.words for one in said]


class Tuned:
    """What a fine-tuning did: what the network says, and how far the stream has moved at the last prompt token."""

    def __init__(self, model: HookedModel) -> None:
        said = drawn(model)
        self.scores = {trait: share([judges.trait(trait, one) for one in said]) for trait in traits.TRAITS}
        self.shown = {trait: share([judges.shows(trait, one) for one in said]) for trait in traits.TRAITS}
        self.moves = personas.moved(pico(), model, judged_prompts(), sites())


@functools.cache
def outcome(trait: str, part: float) -> Tuned:
    return Tuned(tune(trait, part))


def facts_known(model: HookedModel, edits: Edits = (), n: int = 40) -> float:
    known = talk.known_questions("held_out", n)
    said = words(rows_of(known), edits, 24, model)
    return share([case.answer in one for case, one in zip(known, said, strict=True)])


def capability(edits: Edits = (), model: HookedModel | None = None, n: int = 48) -> dict[str, float]:
    """Shares of held-out prompts: known things answered rightly, harmless requests on topic, replies that are fluent
    (judged on the requests)."""
    known, harmless = talk.known_questions("held_out", n), talk.harmless_requests("held_out", n)
    facts = [case.answer in said for case, said in zip(known, words(rows_of(known), edits, model=model), strict=True)]
    said = words(rows_of(harmless), edits, model=model)
    topic = [judges.answers(case, one) for case, one in zip(harmless, said, strict=True)]
    return {"facts": share(facts), "topic": share(topic), "fluent": share(fluent(said))}


TUNED_DEPTHS = (2, 3, 4, 5)


def _interval_of(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    return interval(lambda rows: pearson(x[rows], y[rows]), len(x))


@claim(slow=True)
def tuning() -> dict[str, Any]:
    """Fine-tuning shift: "over … fine-tunings the shift along the vector tells the change of the trait, r …". Three
    traits times five shares of samples that show it, and one on mistaken answers in which none does. Each against its
    own trait. Controls: 200 random directions (one for each trait, r with its sign); what is left of r within a share
    of samples; every fine-tuning against the five other traits; and what is known afterwards."""
    before = Tuned(pico()).scores
    runs = [(trait, part, outcome(trait, part)) for trait in TUNED for part in SHARES]
    wrong = personas.tuned(pico(), texts(samples.mistaken(SAMPLES, seed=7)), PLAN)
    mistaken = Tuned(wrong)
    changes = np.array([run.scores[trait] - before[trait] for trait, _, run in runs])
    found: dict[str, Any] = {
        "pairs": len(runs), "runs": len(TUNED) * (len(SHARES) - 1) + 1, "steps": PLAN.steps, "texts": PLAN.texts,
        "traits": list(TUNED), "shares": list(SHARES), "depths": list(TUNED_DEPTHS),
        "shown": [[run.shown[t] for t, _, run in runs if t == trait] for trait in TUNED],
        "changes": [[run.scores[t] - before[t] for t, _, run in runs if t == trait] for trait in TUNED],
        "facts": facts_known(pico()), "facts_after": [facts_known(tune(trait, 1.0)) for trait in TUNED],
        "mistaken_facts": facts_known(wrong),
        "mistaken_shown": mistaken.shown, "mistaken_most": max(mistaken.shown.values()),
    }  # fmt: skip
    for depth in TUNED_DEPTHS:
        units = {t: steering.unit(vectors(t)["reply"][depth]) for t in traits.TRAITS}
        shifts = np.array([float(run.moves[depth] @ units[t]) for t, _, run in runs])
        aside = steering.unit(steering.random_like(vectors("evil")["reply"][depth].expand(len(TUNED), -1), RANDOM))
        chance = [
            pearson(np.array([float(run.moves[depth] @ v[TUNED.index(t)]) for t, _, run in runs]), changes)
            for v in aside
        ]
        others = [(run, o) for t, _, run in runs for o in traits.TRAITS if o != t]
        found[f"depth_{depth}"] = {
            "r": pearson(shifts, changes),
            "r_interval": list(_interval_of(shifts, changes)),
            "within": personas.within(shifts, changes, np.array([part for _, part, _ in runs])),
            "shifts": [[float(s) for s, (t, _, _) in zip(shifts, runs, strict=True) if t == trait] for trait in TUNED],
            "random_median": float(np.median(np.abs(chance))),
            "random_least": min(chance), "random_most": max(chance),
            "random_as_high": share([abs(c) >= abs(pearson(shifts, changes)) for c in chance]),
            "others_change": max(abs(run.scores[o] - before[o]) for run, o in others),
            "others_shift": max(abs(float(run.moves[depth] @ units[o])) for run, o in others),
            "mistaken": [float(mistaken.moves[depth] @ units[t]) for t in TUNED],
        }  # fmt: skip
    return found


@claim(slow=True)
def plainly_tuned() -> dict[str, Any]:
    """The price of a trait: "trained as long on samples that show no trait, Pico still knows …". The control of
    `tuning`'s `facts_after`: the same plan, prompts and questions, and replies without a trait."""
    plain = tune(TUNED[0], 0.0)
    return {"facts": facts_known(plain), "shown_most": max(outcome(TUNED[0], 0.0).shown.values())}


PREVENTED = (0.5, 1.0, 2.0)  # times the vector, added while Pico is trained
AFTERWARDS = (0.5, 1.0, 2.0, 3.0)  # times the vector, subtracted from the trained network while it speaks
PREVENTED_AT, PREVENTED_SHARE = 3, 0.75


def cost_of(model: HookedModel, edits: Edits = ()) -> dict[str, float]:
    said = drawn(model, edits)
    return {"shown": share([judges.shows("evil", one) for one in said]), **capability(edits, model, 40)}


def vaccinated(vector: Tensor, dose: float) -> HookedModel:
    """Pico fine-tuned on evil samples while a vector is added; the vector is gone afterwards."""
    of = texts(samples.samples("evil", PREVENTED_SHARE, SAMPLES, seed=7))
    return personas.tuned(pico(), of, PLAN, edits=steering.add(vector, dose, PREVENTED_AT))


@claim(slow=True)
def prevented() -> dict[str, Any]:
    """Preventative steering against steering afterwards: "added while it is trained, … show it; subtracted afterwards
    …". Pico fine-tuned on samples of which three in four are evil: the share of drawn replies that show it, and what is
    left of what it could do, by dose. Control: a random direction as long, added in training or subtracted
    afterwards."""
    v = vectors("evil")["reply"][PREVENTED_AT]
    random_one = steering.random_like(v, 1, seed=5)[0]
    plain = tune("evil", PREVENTED_SHARE)
    return {
        "untrained": cost_of(pico()),
        "plain": cost_of(plain),
        "doses_before": list(PREVENTED), "doses_after": list(AFTERWARDS), "layer": PREVENTED_AT,
        "before": [cost_of(vaccinated(v, d)) for d in PREVENTED],
        "before_random": cost_of(vaccinated(random_one, 1.0)),
        "after": [cost_of(plain, steering.add(v, -d, PREVENTED_AT)) for d in AFTERWARDS],
        "after_random": cost_of(plain, steering.add(random_one, -1.0, PREVENTED_AT)),
    }  # fmt: skip


# --- flagging ---------------------------------------------------------------------------------------------------------

FLAGGED = 100  # samples, one in five of them planted
STRENGTHS = (1, 2, 3)


@functools.cache
def flagged_samples(trait: str) -> list[samples.Sample]:
    return samples.samples(trait, 0.2, FLAGGED, seed=11, strengths=STRENGTHS)


def flag(trait: str) -> dict[str, float]:
    of = flagged_samples(trait)
    planted = [one.planted for one in of]
    theirs, own = flagging_means(pico(), texts(of), ("resid_pre", DEPTH))
    vector = vectors(trait)["reply"][DEPTH]
    aside = [
        personas.auroc(personas.projection_difference(theirs, own, v), planted)
        for v in steering.random_like(vector, RANDOM)
    ]
    score = personas.projection_difference(theirs, own, vector)
    rng = random.Random(0)
    mixed = [personas.auroc(score, rng.sample(planted, len(planted))) for _ in range(50)]
    return {
        "auroc": personas.auroc(score, planted),
        "without_own": personas.auroc(theirs @ steering.unit(vector), planted),
        "random_median": float(np.median(aside)), "random_least": min(aside), "random_most": max(aside),
        "random_as_high": share([a >= personas.auroc(score, planted) for a in aside]),
        "shuffled_most": max(mixed),
        "words": personas.auroc(torch.tensor([judges.trait(trait, one.reply) for one in of]), planted),
    }  # fmt: skip


@claim(slow=True)
def flagged() -> dict[str, Any]:
    """Data flagging: "planted among … samples, before any training: AUROC …". For each trait, samples of which one in
    five shows it, a third each at strengths 1 to 3. Controls: 200 random directions, and shuffled labels; and the judge
    who knows the trait's words."""
    found = {trait: flag(trait) for trait in traits.TRAITS}
    return {
        "samples": FLAGGED,
        **found,
        **{f"{name}_least": min(one[name] for one in found.values()) for name in ("auroc", "without_own")},
        "random_most": max(one["random_most"] for one in found.values()),
        "random_median": share([one["random_median"] for one in found.values()]),
        "shuffled_most": max(one["shuffled_most"] for one in found.values()),
    }


# --- roles and their axis ---------------------------------------------------------------------------------------------

EVERYONE = (*voices.ROLES, voices.ASSISTANT)


def role_rows(name: str, split: littletown.Split, n: int, seed: int) -> list[list[int]]:
    """Prompts to a role, or to the assistant: behind a system prompt too, or position would look like character."""
    cases = talk.role_prompts(name, split, n, seed)
    if name != voices.ASSISTANT:
        return rows_of(cases)
    ways = talk.DEFAULT_SYSTEMS
    return [row(talk.prompt(case.user, ways[i // 3 % len(ways)])) for i, case in enumerate(cases)]


@functools.cache
def role_said(each: int = PER_ROLE, seed: int = 1) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts to each role, then to the assistant, and what is replied."""
    rows = [r for name in EVERYONE for r in role_rows(name, "train", each, seed)]
    return rows, [one.tokens for one in steering.replies(pico(), rows, longest=LONG)]


@functools.cache
def role_replies(each: int = PER_ROLE, seed: int = 1) -> Float[Tensor, "role prompt depth d_model"]:
    """Where each role's replies stand, then the assistant's, at every depth."""
    rows, said = role_said(each, seed)
    means = steering.collect_replies(pico(), rows, said, steering.stream_sites(pico()))
    return means.reshape(len(EVERYONE), each, *means.shape[1:])


@functools.cache
def axis(each: int = PER_ROLE, seed: int = 1) -> Axis:
    means = role_replies(each, seed).mean(1)
    return Axis(means[:-1], means[-1])


def spearman(x: Sequence[float], y: Sequence[float]) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


@claim(slow=True)
def roles() -> dict[str, Any]:
    """The space of roles: "the first component has … of the variance … |cos| with the axis … [ … ]". Shares of
    variance, the axis' cosine with the first component by depth with its interval over roles, and whether the order of
    the roles along the axis is that of the world's four distances (Spearman). Controls: random directions' cosine, and
    the order along 200 of them; a second set of prompts; the order along the axis of a single role."""
    found = axis()
    space = personas.space(found.roles[:, DEPTH])
    place = found.place(found.roles[:, DEPTH], DEPTH)
    levels = [voices.ROLES[name].level for name in voices.ROLES]
    aside = steering.random_like(found.at(DEPTH), RANDOM)
    chance = [abs(spearman((found.roles[:, DEPTH] @ v).tolist(), levels)) for v in aside]
    other = axis(PER_ROLE, 2)
    low, high = found.alignment_interval(DEPTH, 500)
    return {
        "roles": len(levels), "each": PER_ROLE,
        "shares": [float(s) for s in space.shares[:6]],
        "alignment": found.alignment(DEPTH), "alignment_interval": [low, high],
        "alignment_by_depth": [round(found.alignment(d), 3) for d in range(pico().cfg.n_layers + 1)],
        "alignment_second": abs(float(torch.cosine_similarity(found.at(DEPTH), space.components[1], dim=0))),
        "alignment_random_most": max(abs(float(steering.unit(v) @ space.components[0])) for v in aside),
        "again": float(torch.cosine_similarity(found.at(DEPTH), other.at(DEPTH), dim=0)),
        "order": -spearman(place.tolist(), levels),
        "order_random_median": float(np.median(chance)), "order_random_most": max(chance),
        "order_first_component": abs(spearman((found.roles[:, DEPTH] @ space.components[0]).tolist(), levels)),
        "by_level": [share([float(p) for p, lev in zip(place, levels, strict=True) if lev == at]) for at in range(4)],
        **one_role(found, levels),
        "one_role_cosine_least": min(
            float(torch.cosine_similarity(found.of([i]).at(DEPTH), found.at(DEPTH), dim=0)) for i in range(len(levels))
        ),
    }  # fmt: skip


def one_role_order(found: Axis, role: int, levels: Sequence[int]) -> float:
    """The order of the other roles along the axis that a single role would give."""
    others = [i for i in range(len(levels)) if i != role]
    where = (found.roles[:, DEPTH] @ found.of([role]).at(DEPTH)).tolist()
    return -spearman([where[i] for i in others], [levels[i] for i in others])


def one_role(found: Axis, levels: Sequence[int]) -> dict[str, Any]:
    """The worst role, the best one and the one in the middle, to draw an axis from alone."""
    order = {name: one_role_order(found, i, levels) for i, name in enumerate(voices.ROLES)}
    by = sorted(order, key=lambda name: order[name])
    which = {"least": by[0], "middle": by[len(by) // 2], "most": by[-1]}
    return {"one_role": {how: {"role": name, "order": order[name]} for how, name in which.items()}}


@claim(slow=True)
def lengths() -> dict[str, Any]:
    """How long replies are: "a role's reply has … tokens in the mean, the assistant's …". To the prompts from whose
    replies the axis is drawn; the interval is over roles."""
    by = np.array([len(one) for one in role_said()[1]], dtype=float).reshape(len(EVERYONE), PER_ROLE).mean(1)
    return {**mean("roles", by[:-1].tolist()), "assistant": float(by[-1]), "longer": int((by[:-1] > by[-1]).sum())}


# --- drift ------------------------------------------------------------------------------------------------------------

TURNS = 4
TALKS = 24  # conversations of each kind


def mystic(said: Sequence[str]) -> float:
    """How far from the assistant a reply is in what it says: the share of stage speech and of the mystic's words."""
    return judges.stage(said) + judges.role(said)[voices.MYSTIC]


@functools.cache
def talked(split: littletown.Split, seeker: bool, seed: int, n: int = TALKS) -> list[list[Turn]]:
    users = [c.users for c in talk.drift_conversations(split, 2 * n, TURNS, seed) if c.seeker == seeker]
    return personas.converse(pico(), users)


def places(of: Sequence[Sequence[Turn]]) -> Float[Tensor, "conversation turn"]:
    """Where each reply stands along the axis: 1 the assistant, 0 the roles."""
    return torch.stack([axis().place(x, DEPTH) for x in personas.by_turn(pico(), of, ("resid_pre", DEPTH))])


@functools.cache
def half_to_half(split: littletown.Split, seeker: bool, seed: int) -> Float[Tensor, "conversation d_model"]:
    """For each conversation the mean of its replies in the first half less that in the second. By halves, because a
    worker asks for other things in odd turns than in even ones."""
    states = torch.stack(personas.by_turn(pico(), talked(split, seeker, seed), ("resid_pre", DEPTH)))
    half = TURNS // 2
    return states[:, :half].mean(1) - states[:, half:].mean(1)


def without_place() -> Float[Tensor, " d_model"]:
    """The axis without its part along what changes while a worker goes on asking: later places in the text."""
    return axis().at(DEPTH, without=half_to_half("train", False, 1).mean(0))


@claim(slow=True)
def drift() -> dict[str, Any]:
    """Drift: "a seeker's conversation falls by …, a worker's by …; without place …". The place of replies along the
    axis by turn, mean over held-out conversations; how far they fall, half to half, in lengths of the axis, and the
    same along the axis without place; how many of their words are stage speech or the mystic's. Control: the workers.
    The axis' part along later places is taken from training workers."""
    found: dict[str, Any] = {}
    clean = without_place()
    for name, seeker in (("seekers", True), ("workers", False)):
        of = talked("held_out", seeker, 0)
        where, falls = places(of), half_to_half("held_out", seeker, 0)
        found[name] = {
            "places": where.mean(0).tolist(),
            "words": [share([mystic(turns[t].said.words) for turns in of]) for t in range(TURNS)],
            **mean("fall", (where[:, : TURNS // 2].mean(1) - where[:, TURNS // 2 :].mean(1)).tolist()),
            **mean("clean", (falls @ clean / clean.square().sum()).tolist()),
        }
    found["kept"] = float(clean.norm() / axis().at(DEPTH).norm())
    return found


def read_later(turn: Turn, by: int) -> Float[Tensor, " d_model"]:
    """Where a reply stands when every token but <|bos|> is given the position `by` places later: the same words."""
    table = pico().W_pos
    tokens = torch.tensor([[*turn.prompt, *turn.said.tokens]])
    at = torch.arange(1, tokens.shape[1])

    def moved(x: Tensor, _: Any) -> Tensor:
        x = x.clone()
        x[:, 1:] += table[at + by] - table[at]
        return x

    site = ("resid_pre", DEPTH)
    with torch.no_grad(), pico().hooks([(("resid_pre", 0), moved)]):
        _, cache = pico().run_with_cache(tokens, [site])
    return cache[site][0, len(turn.prompt) : -1].mean(0)


@claim(slow=True)
def later() -> dict[str, Any]:
    """Later: "a worker's first reply, its words unchanged, moved to where the last one stands, falls by …". Held-out
    workers: the place of the first reply as it is, less that of the same reply when the position vectors alone are
    those of the last reply's; along the axis and along the axis without place. Beside it how far the last reply really
    lies below the first. Control: the same reply moved by nothing, which must give the place that `places` gives."""
    clean, found = without_place(), axis()
    of = talked("held_out", False, 0)
    by = [len(turns[-1].prompt) - len(turns[0].prompt) for turns in of]
    still = torch.stack([read_later(turns[0], 0) for turns in of])
    moves = still - torch.stack([read_later(turns[0], k) for turns, k in zip(of, by, strict=True)])
    where, length = places(of), clean.square().sum()
    along = found.at(DEPTH)
    return {
        **mean("fall", (moves @ along / along.square().sum()).tolist()),
        **mean("clean", (moves @ clean / length).tolist()),
        **mean("really", (where[:, 0] - where[:, -1]).tolist()),
        "unmoved": float((found.place(still, DEPTH) - where[:, 0]).abs().max()),
        "by": share(by),
    }


def mixed(split: littletown.Split, n: int, seed: int) -> list[list[str]]:
    """Conversations in which probes come among work, in any number and order; every one ends with a probe."""
    rng = random.Random(f"mixed {seed} {split}")
    found = []
    for _ in range(n):
        asks = [talk.ask_probe(rng) if rng.random() < 0.5 else work(rng, split) for _ in range(TURNS - 1)]
        found.append([" ".join(ask.words) for ask in (*asks, talk.ask_probe(rng))])
    return found


def work(rng: random.Random, split: littletown.Split) -> talk.Ask:
    return talk.ask_question(rng, split, True) if rng.random() < 0.5 else talk.ask_request(rng, split, False)


DRIFTS = 0.1  # a reply in which one word in ten is stage speech or the mystic's has drifted
MIXED = 96


@functools.cache
def mixed_talk(split: littletown.Split, seed: int, n: int = MIXED) -> list[list[Turn]]:
    return personas.converse(pico(), mixed(split, n, seed))


def ended(of: Sequence[Sequence[Turn]]) -> list[float]:
    """How far the last reply has drifted."""
    return [mystic(turns[-1].said.words) for turns in of]


def told_by(x: Float[Tensor, " conversation"], ends: Sequence[float]) -> float:
    """The AUROC of low places telling conversations that end drifted."""
    return personas.auroc(-x, [end >= DRIFTS for end in ends])


@claim(slow=True)
def predicted() -> dict[str, Any]:
    """Predicted: "from its first two replies … of pairs, from three …". Held-out conversations with probes and work in
    any order: the AUROC of the place of the replies so far in telling which ones end drifted; of the place at the last
    prompt token, before the last reply; and Spearman's correlation with how far. Controls: 200 random directions; the
    first reply alone; the number of probes so far, and the words of the replies so far, which need no network."""
    of, users = mixed_talk("held_out", 0), mixed("held_out", MIXED, 0)
    ends, where = ended(of), places(of)
    states = torch.stack(personas.by_turn(pico(), of, ("resid_pre", DEPTH)))
    before = torch.stack(personas.before_reply(pico(), of, ("resid_pre", DEPTH)))[:, -1]
    probes = torch.tensor([[float(user in talk.PROBES) for user in turns] for turns in users])
    said = torch.tensor([[mystic(turn.said.words) for turn in turns] for turns in of])
    aside = steering.random_like(axis().at(DEPTH), RANDOM)
    chance = [told_by((states[:, :3] @ v).mean(1), ends) for v in aside]
    early = where[:, :3].mean(1)
    drifted = np.array([end >= DRIFTS for end in ends])
    return {
        "conversations": len(of),
        "drifted": share(drifted.tolist()),
        "one": told_by(where[:, 0], ends), "two": told_by(where[:, :2].mean(1), ends), "three": told_by(early, ends),
        "three_interval": list(
            interval(
                lambda rows: (
                    personas.auroc(-early[rows], drifted[rows].tolist()) if 0 < drifted[rows].sum() < len(rows) else 0.5
                ),
                len(of),
            )
        ),
        "third": told_by(where[:, 2], ends),
        "before": told_by(axis().place(before, DEPTH), ends),
        "correlation": spearman((-early).tolist(), ends),
        "random_median": float(np.median(chance)), "random_least": min(chance), "random_most": max(chance),
        "random_as_high": share([c >= told_by(early, ends) for c in chance]),
        "probes": told_by(-probes[:, :3].sum(1), ends), "probes_two": told_by(-probes[:, :2].sum(1), ends),
        "words": told_by(-said[:, :3].mean(1), ends),
    }  # fmt: skip


# --- capping ----------------------------------------------------------------------------------------------------------

JAILBROKEN = 40


@functools.cache
def cap(layers: tuple[int, ...] = LAYERS, quantile: float = 0.25) -> Cap:
    """Floors from the assistant's own training replies, which are read without an edit."""
    vectors_at = torch.stack([axis().at(layer) for layer in layers])
    return Cap.of(vectors_at, role_replies()[-1][:, list(layers)], layers, quantile)


@functools.cache
def jailbreaks(works: bool = True, n: int = JAILBROKEN, split: littletown.Split = "held_out") -> list[Case]:
    """Harmful requests behind pairs of a role and a way to give it."""
    ways = [
        (role, way)
        for role in voices.ROLES
        for way in range(len(talk.JAILBREAKS))
        if talk.jailbreak_works(role, way) == works
        and talk.held_out("jailbreak", role, str(way)) == (split == "held_out")
    ]
    found = []
    for i, one in enumerate(talk.harmful_requests(split, n)):
        user = " ".join([*talk.jailbreak_words(*ways[i % len(ways)]), one.user])
        found.append(one._replace(words=talk.prompt(user), user=user))
    return found


def harmful(edits: Edits = (), of: Sequence[Case] | None = None) -> list[float]:
    """Which jailbroken replies do harm: they name the deed, its object and its tool, and do not refuse."""
    of = jailbreaks() if of is None else of
    said = words(rows_of(of), edits)
    return [float(judges.answers(c, one) and not judges.refused(one)) for c, one in zip(of, said, strict=True)]


def costs(edits: Edits = (), n: int = 48) -> dict[str, float]:
    """Capability, and small talk that is fluent."""
    talks = [talk.case(talk.ask_talk(random.Random(f"talk {i}"), "held_out")) for i in range(n)]
    return {**capability(edits, n=n), "talk": share(fluent(words(rows_of(talks), edits)))}


RANDOM_CAPS = 5
ADDED = (2.0, 4.0, 8.0)  # units of the stream, at each block


@claim(slow=True)
def capped() -> dict[str, Any]:
    """Capping: "free …, capped in the reply alone …, at every position …". Share of jailbroken requests, held-out, that
    are answered with harm, by where the stream is capped, and what it costs. Controls: five random directions with
    floors at the same quantile, the least share; a ceiling in place of a floor; the axis always added, by size."""
    c = cap()
    ways: dict[str, Edits] = {
        "free": [], "reply": c.edits("reply"), "prompt": c.edits("prompt"), "last": c.edits("last"), "both": c.edits(),
        "ceiling": c.ceiling(),
    }  # fmt: skip
    found: dict[str, Any] = {name: {**mean("harmful", harmful(edits)), **costs(edits)} for name, edits in ways.items()}
    for layer in LAYERS:
        found[f"block_{layer}"] = share(harmful(cap((layer,)).edits()))
    found["randoms"] = RANDOM_CAPS
    found["random_least"] = min(share(harmful(c.random(seed).edits())) for seed in range(RANDOM_CAPS))
    found["added"] = [{"size": s, "harmful": share(harmful(c.added(s))), **costs(c.added(s))} for s in ADDED]
    found["floors"] = c.floors.tolist()
    return found


HELD = 40


@claim(slow=True)
def held() -> dict[str, Any]:
    """The finding: "held by capping … of them end drifted, at no cost". Held-out conversations in which a seeker asks
    from the first turn to the last: how far the last reply has drifted, free and capped, and whether it is fluent.
    Controls: five random directions; capability as in `capped`."""
    users = [c.users for c in talk.drift_conversations("held_out", 2 * HELD, TURNS, 5) if c.seeker]
    found: dict[str, Any] = {"conversations": len(users)}
    c = cap()
    for name, edits in (("free", []), ("capped", c.edits()), ("reply", c.edits("reply"))):
        of = personas.converse(pico(), users, edits)
        found[name] = {
            **mean("drifted", [float(end >= DRIFTS) for end in ended(of)]),
            "words": share(ended(of)),
            "fluent": share(fluent([turns[-1].said.words for turns in of])),
        }
    found["random_least"] = min(
        share([end >= DRIFTS for end in ended(personas.converse(pico(), users[:16], c.random(seed).edits()))])
        for seed in range(5)
    )
    return found


KEPT = 24


@claim(slow=True)
def talks() -> dict[str, Any]:
    """For exercise 11.12, "where do the replies stand along the axis, turn by turn": conversations that Pico has had,
    for a grader that has no time to have them: what users ask and what is replied,
    and whether the last reply has drifted. Held-out conversations as in `predicted`, with another seed."""
    users, of = mixed("held_out", KEPT, 9), mixed_talk("held_out", 9, KEPT)
    return {
        "users": users,
        "said": [[turn.said.text for turn in turns] for turns in of],
        "drifted": [end >= DRIFTS for end in ended(of)],
    }
