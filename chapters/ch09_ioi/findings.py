"""What chapter 09 finds: a circuit that was planted, by the tools with which the paper found one in GPT-2.

The patient is `planted.circuit("ioi")`, whose heads and edges are known. Effects are in logits, as means over prompts.
They vary by less than a hundredth from prompt to prompt (`task` has the intervals).

Two networks that were trained do the same task; what is measured on their stories has intervals.
"""

from __future__ import annotations

import functools
import itertools
import random
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mi_lib import lens, load
from mi_lib.attribution import auroc, average_precision, eap, eap_ig, patch_edges, strength
from mi_lib.circuits import (
    Alone,
    IOIData,
    abc_means,
    acdc,
    all_heads,
    attention_scores,
    compare_circuits,
    copy_scores,
    edges_alone,
    faithfulness,
    giving_data,
    greedy_completeness,
    head_roles,
    heads_alone,
    knock_out,
    littletown_data,
    minimality,
    path_effects,
    planted_data,
    run_without,
    subsets,
)
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.models.graph import Edge, head_name, head_of
from mi_lib.worlds import planted
from mi_lib.worlds.planted import ioi

PROMPTS, SEED = 192, 0
TAU = 0.05  # logits, below which ACDC drops an edge
MACHINE_PROMPTS = 16  # for ACDC, which makes hundreds of runs
PLACES = ("io", "s1", "s2", "end")  # words of a prompt, in the order of the table
MOVERS, NEGATIVE, BACKUPS = (ioi.CLASSES[kind] for kind in ("name mover", "negative mover", "backup mover"))
INHIBITORS = {"by_token": "a2.h0", "by_place": "a2.h3"}
EARLY = {"previous": "a0.h1", "duplicate": "a0.h3", "induction": "a1.h2"}

Table = Float[Tensor, "layer head"]


@functools.cache
def patient() -> planted.Circuit:
    return planted.circuit("ioi")


@functools.cache
def stories(seed: int = SEED, n: int = PROMPTS) -> IOIData:
    return planted_data(patient(), n, seed)


def members() -> tuple[str, ...]:
    """The heads of the planted circuit."""
    return tuple(sorted(name for name in patient().parts if head_of(name)))


def place(name: str) -> tuple[int, int]:
    """The layer and the number of a head."""
    where = head_of(name)
    assert where is not None
    return where


def at(table: Table, name: str) -> float:
    """An entry by the name of its head."""
    return float(table[place(name)])


def largest(table: Table, but: tuple[str, ...] | list[str]) -> float:
    """The largest absolute value of all heads that are not named."""
    cfg = patient().model.cfg
    return max(abs(at(table, name)) for name in all_heads(cfg) if name not in but)


def to_thousandths(x: float) -> float:
    """Of a logit; and no −0, of which a table would make "-0.00"."""
    return round(x, 3) + 0.0


def number(name: str) -> str:
    """ "a3.h0" → "3.0", as the lesson writes heads."""
    return name.removeprefix("a").replace(".h", ".")


def differences(model: HookedModel, data: IOIData, tokens: Tensor) -> Float[Tensor, " batch"]:
    """logit(IO) − logit(S) of each prompt, with the names of the clean one."""
    with torch.no_grad():
        return data.metric(model(tokens))


def written(model: HookedModel, data: IOIData, tokens: Tensor | None = None) -> Table:
    """What each head writes into the difference of the names of the clean prompts, with the final norm held: in logits.

    tokens: which prompts; the clean ones if None.
    """
    layers, last = range(model.cfg.n_layers), ("resid_post", model.cfg.n_layers - 1)
    _, cache = model.run_with_cache(data.clean if tokens is None else tokens, [*(("z", at) for at in layers), last])
    z = torch.stack([cache["z", layer][:, -1] for layer in layers])
    parts = lens.frozen_norm(model, cache[last][:, -1]).linear(torch.einsum("lbhd,lhdm->lhbm", z, model.W_O))
    direction = (model.W_U[:, data.io_tokens] - model.W_U[:, data.s_tokens]).T
    return (parts * direction).sum(-1).mean(-1)


def whole(model: HookedModel, data: IOIData, way: str = "ABC") -> float:
    """m of the clean prompts minus m of the corrupted ones, in logits."""
    return float((differences(model, data, data.clean) - differences(model, data, data.corrupted[way])).mean())


def total(model: HookedModel, data: IOIData, way: str = "ABC") -> Table:
    """m_patched − m_clean for each head, in logits."""
    clean, other = data.clean, data.corrupted[way]
    _, cache = model.run_with_cache(other, lambda name: name.endswith("hook_z"))
    base = float(differences(model, data, clean).mean())
    found = torch.zeros(model.cfg.n_layers, model.cfg.n_heads)
    for layer in range(model.cfg.n_layers):
        for head in range(model.cfg.n_heads):

            def put(z: Tensor, hook: Any, layer: int = layer, head: int = head) -> None:
                z[:, :, head] = cache["z", layer][:, :, head]

            found[layer, head] = float(data.metric(model.run_with_hooks(clean, [(("z", layer), put)])).mean()) - base
    return found


def by_path(model: HookedModel, data: IOIData, *to: str) -> Table:
    """m_patched − m_clean of the path from each head to these receivers, in logits."""
    effects = path_effects(model, data.clean, data.corrupted["ABC"], data.metric, to or ("logits",))
    return -effects * whole(model, data)


def restored(model: HookedModel, data: IOIData, way: str) -> Float[Tensor, "layer word"]:
    """What comes back of the answer when the stream at one word is put back before one block."""
    clean, other = data.clean, data.corrupted[way]
    _, cache = model.run_with_cache(clean, lambda name: name.endswith("resid_pre"))
    rows, low = torch.arange(len(data)), float(differences(model, data, other).mean())
    table = torch.zeros(model.cfg.n_layers, len(PLACES))
    for layer in range(model.cfg.n_layers):
        for column, where in enumerate(getattr(data, word) for word in PLACES):

            def put(x: Tensor, hook: Any, layer: int = layer, where: Tensor = where) -> None:
                x[rows, where] = cache["resid_pre", layer][rows, where]

            logits = model.run_with_hooks(other, [(("resid_pre", layer), put)])
            table[layer, column] = (float(data.metric(logits).mean()) - low) / whole(model, data, way)
    return table


def silenced(model: HookedModel, data: IOIData, heads: tuple[str, ...]) -> tuple[Table, float]:
    """The direct effects when these heads are knocked out, and the difference."""
    with model.hooks(knock_out(model, heads, abc_means(model, data), data.template)):
        return written(model, data), float(differences(model, data, data.clean).mean())


# --- the task ---------------------------------------------------------------------------------------------------------


@claim
def network() -> dict[str, Any]:
    """The patient's size: "layers of heads each". Control: it was built, not trained, so that this is all there is."""
    cfg = patient().model.cfg
    return {
        "layers": cfg.n_layers,
        "heads_each": cfg.n_heads,
        "heads": cfg.n_layers * cfg.n_heads,
        "names": len(ioi.NAMES),
        "templates": len(ioi.TEMPLATES),
        "words": len(ioi.VOCABULARY),
        "members": len(members()),
        "idle": len(patient().decoys),
        "prompts": PROMPTS,
    }


@claim
def task() -> dict[str, Any]:
    """ "It says the right name". Controls: prompts without a giver (ABC), and with the other giver (flipped)."""
    model, data = patient().model, stories()
    clean = differences(model, data, data.clean)
    abba = data.io < data.s1
    return {
        "right": float((clean > 0).float().mean()),
        "right_abba": float((clean[abba] > 0).float().mean()),
        "right_baba": float((clean[~abba] > 0).float().mean()),
        **mean("clean", clean),
        **mean("abc", differences(model, data, data.corrupted["ABC"])),
        **mean("flipped", differences(model, data, data.corrupted["S2"])),
    }


@claim
def words() -> dict[str, Any]:
    """ "Between which rows does it move?": what comes back, by layer and word, for both corruptions."""
    model, data, found = patient().model, stories(), {}
    for name, way in (("flipped", "S2"), ("abc", "ABC")):
        table = restored(model, data, way)
        found[name] = {
            word: {f"layer_{layer}": float(table[layer, i]) for layer in range(len(table))}
            for i, word in enumerate(PLACES)
        }
    return found


def look(cache: Any, heads: tuple[str, ...], query: Tensor, key: Tensor) -> list[float]:
    """How much each of these heads looks from one place at another, in the mean over prompts."""
    rows, found = torch.arange(len(query)), []
    for layer, head in map(place, heads):
        found.append(float(cache["pattern", layer][rows, head, query, key].mean()))
    return found


@claim
def s2_alone() -> dict[str, Any]:
    """ "The name at S2 draws attention to itself": before layer 3, in flipped prompts, S2 alone is put back.

    Control: the heads that speak held as they were in the flipped prompts, by which nothing is left of the harm.
    """
    model, data, rows = patient().model, stories(), torch.arange(PROMPTS)
    flipped, low = (
        data.corrupted["S2"],
        float(differences(patient().model, stories(), stories().corrupted["S2"]).mean()),
    )
    _, clean = model.run_with_cache(data.clean, lambda name: name.endswith("resid_pre"))
    _, before = model.run_with_cache(flipped)

    def put(x: Tensor, hook: Any) -> None:
        x[rows, data.s2] = clean["resid_pre", 3][rows, data.s2]

    def hold(z: Tensor, hook: Any) -> None:
        own = [head for layer, head in map(place, (*MOVERS, *NEGATIVE)) if layer == hook.layer]
        z[:, :, own] = before[hook.name][:, :, own]

    with model.hooks([(("resid_pre", 3), put)]):
        _, after = model.run_with_cache(flipped)
    logits = model.run_with_hooks(flipped, [(("resid_pre", 3), put), (lambda name: name.endswith("hook_z"), hold)])
    return {
        "looks_before": max(look(before, MOVERS, data.end, data.s2)),
        "looks_after": min(look(after, MOVERS, data.end, data.s2)),
        "held": (float(data.metric(logits).mean()) - low) / whole(model, data, "S2"),
    }


# --- who ------------------------------------------------------------------------------------------------------------


@claim
def direct() -> dict[str, Any]:
    """ "Two heads say the name, and one speaks against it". Control: all others write next to nothing."""
    table = written(patient().model, stories())
    speak = [name for name in all_heads(patient().model.cfg) if abs(at(table, name)) > 0.1]
    return {
        "for": [number(name) for name in speak if at(table, name) > 0],
        "against": [number(name) for name in speak if at(table, name) < 0],
        "each": sum(at(table, name) for name in MOVERS) / len(MOVERS),
        "negative": at(table, NEGATIVE[0]),
        "others": largest(table, speak),
        "sum": float(table.sum()),
    }


@claim
def effects() -> dict[str, Any]:
    """ "A head may matter greatly and write nothing": the whole effect beside the direct one, for both corruptions."""
    model, data = patient().model, stories()
    abc, flipped, direct = total(model, data), total(model, data, "S2"), by_path(model, data)
    named = {**EARLY, **INHIBITORS, "mover": MOVERS[0], "negative": NEGATIVE[0], "backup": BACKUPS[0]}
    by_writing = written(model, data) - written(model, data, data.corrupted["ABC"])
    return {
        "head": {kind: number(name) for kind, name in named.items()},
        "whole": {kind: to_thousandths(at(abc, name)) for kind, name in named.items()},
        "flipped": {kind: to_thousandths(at(flipped, name)) for kind, name in named.items()},
        "direct": {kind: to_thousandths(at(direct, name)) for kind, name in named.items()},
        "idle": largest(abc, members()),
        "idle_direct": largest(direct, members()),
        "by_path_and_by_writing": float((direct + by_writing).abs().max()),
    }


@claim
def exchanged() -> dict[str, Any]:
    """ "It says the wrong name": the word that leads when one of the first three heads has read an ABC prompt.

    Control: the clean prompts, in which S never leads.
    """
    model, data = patient().model, stories()
    _, cache = model.run_with_cache(data.corrupted["ABC"], lambda name: name.endswith("hook_z"))
    shares = []
    for layer, head in map(place, EARLY.values()):

        def put(z: Tensor, hook: Any, layer: int = layer, head: int = head) -> None:
            z[:, :, head] = cache["z", layer][:, :, head]

        best = model.run_with_hooks(data.clean, [(("z", layer), put)])[:, -1].argmax(-1)
        shares.append(float((best == data.s_tokens).float().mean()))
    with torch.no_grad():
        clean = model(data.clean)[:, -1].argmax(-1)
    return {"says_s": min(shares), "says_s_clean": float((clean == data.s_tokens).float().mean())}


@claim
def said_in_both() -> dict[str, Any]:
    """ "Up to S2 they say the same in both prompts": how far apart z is in a clean and in a flipped prompt, at most.

    Controls: the same head behind S2, and another head at S2.
    """
    model, data = patient().model, stories()
    (_, clean), (_, flipped) = (model.run_with_cache(x) for x in (data.clean, data.corrupted["S2"]))
    behind = torch.arange(data.clean.shape[1]) > data.s2[:, None]

    def apart(name: str, where: Tensor) -> float:
        layer, head = place(name)
        return float((clean["z", layer] - flipped["z", layer])[:, :, head].norm(dim=-1)[where].max())

    return {
        "previous": apart(EARLY["previous"], ~behind),
        "induction": apart(EARLY["induction"], ~behind),
        "previous_behind": apart(EARLY["previous"], behind),
        "duplicate": apart(EARLY["duplicate"], ~behind),
    }


@claim
def inhibitors() -> dict[str, Any]:
    """ "One says which name, the other which place": whole effects if only the place of S1, or only the names differ.

    Control: each of the two heads is the other one's.
    """
    model, data = patient().model, stories()
    return {way: {k: at(total(model, data, way), v) for k, v in INHIBITORS.items()} for way in ("places", "names")}


@claim
def paths() -> dict[str, Any]:
    """ "Who speaks to them?": the path from each head to one kind of input, in logits. Control: all other heads."""
    model, data = patient().model, stories()
    speaking = (*MOVERS, *NEGATIVE)
    inhibitors = tuple(INHIBITORS.values())
    to = {
        "movers_q": [f"{head}.q" for head in speaking],
        "movers_k": [f"{head}.k" for head in speaking],
        "movers_v": [f"{head}.v" for head in speaking],
        "inhibitors_q": [f"{head}.q" for head in inhibitors],
        "inhibitors_k": [f"{head}.k" for head in inhibitors],
        "inhibitors_v": [f"{head}.v" for head in inhibitors],
        "by_token_v": [f"{INHIBITORS['by_token']}.v"],
        "by_place_v": [f"{INHIBITORS['by_place']}.v"],
        "induction_q": [f"{EARLY['induction']}.q"],
        "induction_k": [f"{EARLY['induction']}.k"],
        "induction_v": [f"{EARLY['induction']}.v"],
    }
    found: dict[str, Any] = {}
    for name, receivers in to.items():
        table = by_path(model, data, *receivers)
        strong = [head for head in all_heads(model.cfg) if abs(at(table, head)) > 0.1]
        found[name] = {
            "heads": [number(head) for head in strong],
            "effects": {number(head).replace(".", "_"): at(table, head) for head in strong},
            "others": largest(table, strong),
        }
    return found


@claim
def roles() -> dict[str, Any]:
    """ "By tests, not by eye": attention and copy scores of movers, of the heads that look like them, and of all."""
    model, data = patient().model, stories()
    looks, copies, against = attention_scores(model, data), copy_scores(model, data), copy_scores(model, data, sign=-1)
    decoys = [name for name, like in patient().decoys.items() if like in MOVERS]
    others = [name for name in all_heads(model.cfg) if name not in (*MOVERS, *BACKUPS, *NEGATIVE)]
    return {
        "decoys": [number(name) for name in decoys],
        "mover_looks": at(looks["END to IO"], MOVERS[0]),
        "decoy_looks": at(looks["END to IO"], decoys[0]),
        "mover_copies": min(at(copies, name) for name in MOVERS),
        "backup_copies": min(at(copies, name) for name in BACKUPS),
        "backup_looks": max(at(looks["END to IO"], name) for name in BACKUPS),
        "decoy_copies": max(at(copies, name) for name in decoys),
        "others_copy": sum(at(copies, name) for name in others) / len(others),
        "most_of_others": max(at(copies, name) for name in others),
        "negative_against": at(against, NEGATIVE[0]),
        "chance": 5 / len(ioi.VOCABULARY),
        "inhibitor_looks": min(at(looks["END to S2"], name) for name in INHIBITORS.values()),
        "duplicate_looks": at(looks["S2 to S1"], EARLY["duplicate"]),
        "induction_looks": at(looks["S2 to S1 + 1"], EARLY["induction"]),
        "previous_looks": at(looks["to the token before"], EARLY["previous"]),
    }


@claim
def role_controls() -> dict[str, Any]:
    """ "It could have failed": the same looks in ABC prompts, where no name is said twice; and where backups look."""
    model, data = patient().model, stories()
    (_, clean), (_, abc) = (model.run_with_cache(x) for x in (data.clean, data.corrupted["ABC"]))
    against = copy_scores(model, data, sign=-1)
    first = torch.zeros_like(data.end)
    decoys = tuple(name for name, like in patient().decoys.items() if like == EARLY["duplicate"])
    return {
        "abc_duplicate": max(look(abc, (EARLY["duplicate"],), data.s2, data.s1)),
        "abc_induction": max(look(abc, (EARLY["induction"],), data.s2, data.after_s1)),
        "abc_inhibitors": max(look(abc, tuple(INHIBITORS.values()), data.end, data.s2)),
        "idle_duplicate": min(look(clean, decoys, data.s2, data.s1)),
        "idle_duplicate_head": [number(name) for name in decoys],
        "backups_at_first": min(look(clean, BACKUPS, data.end, first)),
        "negative_looks": min(look(clean, NEGATIVE, data.end, data.io)),
        "against_others": largest(against, NEGATIVE),
    }


# --- the circuit ------------------------------------------------------------------------------------------------------


@functools.cache
def F() -> Alone[str]:
    return heads_alone(patient().model, stories())


@claim
def knocked_out() -> dict[str, Any]:
    """ "Two ways to get it wrong": the difference without a head, by what stands in its place. Control: all intact."""
    model, data = patient().model, stories()
    cases = {**{k: (v,) for k, v in {**EARLY, **INHIBITORS}.items()}, "movers": MOVERS}
    found: dict[str, Any] = {"whole": F()(F().everything)}
    for how in ("per template", "pooled", "clean", "zero"):
        means = abc_means(model, data, how)  # type: ignore[arg-type]
        found[how.replace(" ", "_")] = {
            name: float(data.metric(run_without(model, data, heads, means)).mean()) for name, heads in cases.items()
        }
    return found


@claim
def alone() -> dict[str, Any]:
    """ "The circuit does it alone". Controls: as many heads drawn at random, and the circuit without its backups."""
    C, rng = frozenset(members()), random.Random(0)
    drawn = [faithfulness(F(), rng.sample(sorted(F().everything), len(C))).share for _ in range(50)]
    less = C - set(BACKUPS)
    found = faithfulness(F(), C)
    return {
        "size": len(C),
        "share": found.share,
        "gap": found.gap,
        "smaller": len(less),
        "smaller_share": faithfulness(F(), less).share,
        "nothing": F()([]),
        "random_faithful": sum(0.87 <= share <= 1.13 for share in drawn),
        "random_mean": sum(drawn) / len(drawn),
        "random_draws": len(drawn),
        "idle_share": F()(F().everything - C) / F()(F().everything),
    }


@claim
def whole_and_small() -> dict[str, Any]:
    """ "Faithful, and not complete": F without some heads, with and without backups. Control: the model."""
    M, C = F().everything, frozenset(members())
    less, movers = C - set(BACKUPS), frozenset(MOVERS)
    sets = subsets(C, 20, seed=0)
    worst = {name: greedy_completeness(F(), circuit) for name, circuit in (("circuit", C), ("smaller", less))}
    return {
        "model_without_movers": F()(M - movers),
        "circuit_without_movers": F()(C - movers),
        "smaller_without_movers": F()(less - movers),
        "movers_gap": abs(F()(less - movers) - F()(M - movers)),
        "largest_gap": max(abs(F()(C - K) - F()(M - K)) for K in sets),
        "sets": len(sets),
        "worst_gap": worst["circuit"][1],
        "worst_gap_smaller": worst["smaller"][1],
        "worst_set_smaller": [number(name) for name in sorted(worst["smaller"][0])],
        "backup_alone": max(minimality(F(), C, head) for head in BACKUPS) / F()(M),
        "backup_without_movers": min(minimality(F(), C, head, movers) for head in BACKUPS) / F()(M),
        "least_of_others": min(minimality(F(), C, head) for head in C - set(BACKUPS)) / F()(M),
    }


@claim
def backup() -> dict[str, Any]:
    """ "Two others begin to speak". Control: with one mover silenced nobody wakes."""
    model, data = patient().model, stories()
    before = written(model, data)
    (one, after_one), (both, after_both) = silenced(model, data, MOVERS[:1]), silenced(model, data, MOVERS)
    base = float(differences(model, data, data.clean).mean())
    return {
        "heads": [number(name) for name in BACKUPS],
        "before": max(abs(at(before, name)) for name in BACKUPS),
        "one_silent": max(abs(at(one, name)) for name in BACKUPS),
        "both_silent": min(at(both, name) for name in BACKUPS),
        "mover": at(before, MOVERS[0]),
        "difference": base,
        "difference_one": after_one,
        "difference_both": after_both,
        "negative": at(both, NEGATIVE[0]),
    }


@claim
def waking() -> dict[str, Any]:
    """ "They hear it by their queries": the difference if the backups' queries alone hear that both movers are silent.

    Control: both movers silent, and these queries as they are in the clean run.
    """
    model, data = patient().model, stories()
    silence = knock_out(model, MOVERS, abc_means(model, data), data.template)
    _, clean = model.run_with_cache(data.clean, lambda name: name.endswith("hook_q"))
    with model.hooks(silence):
        _, quiet = model.run_with_cache(data.clean, lambda name: name.endswith("hook_q"))
    layer, _ = place(BACKUPS[0])
    own = [place(name)[1] for name in BACKUPS]

    def hear(cache: Any) -> Any:
        def put(q: Tensor, hook: Any) -> None:
            q[:, :, own] = cache["q", layer][:, :, own]

        return (("q", layer), put)

    runs = {"only_queries": [hear(quiet)], "queries_as_before": [*silence, hear(clean)]}
    return {name: float(data.metric(model.run_with_hooks(data.clean, edits)).mean()) for name, edits in runs.items()}


def gaps_of_all_sets(n: int, size: int | None = None) -> list[tuple[float, tuple[str, ...]]]:
    """|F(C∖K) − F(M∖K)| for all K of the circuit without its backups, or those of one size, on n prompts: with K."""
    F, C = heads_alone(patient().model, stories(n=n)), sorted(set(members()) - set(BACKUPS))
    sizes = range(len(C) + 1) if size is None else [size]
    sets = [K for size in sizes for K in itertools.combinations(C, size)]
    return [(abs(F(set(C) - set(K)) - F(F.everything - set(K))), K) for K in sets]


@claim(slow=True)
def all_sets() -> dict[str, Any]:
    """ "It is the largest of all": every K of the circuit without backups. Control: the one that the search found."""
    found = gaps_of_all_sets(16)
    gap, worst = max(found)
    movers = next(gap for gap, K in found if set(K) == set(MOVERS))
    return {
        "sets": len(found),
        "worst_gap": gap,
        "worst_set": [number(name) for name in worst],
        "above_movers": gap - movers,
    }


@claim
def edges_into_backups() -> dict[str, Any]:
    """ "What a backup reads": how much the answer changes if one edge into a backup carries the ABC prompt.

    Control: what a backup writes into the logits, which is nothing while the movers work.
    """
    circuit, data = patient(), stories(seed=1, n=MACHINE_PROMPTS)
    base = float(differences(circuit.model, data, data.clean).mean())

    def change(*texts: str) -> float:
        edges = [Edge.parse(text) for text in texts]
        return float(data.metric(patch_edges(circuit.model, data.clean, data.corrupted["ABC"], edges)).mean()) - base

    movers = {backup: [f"{mover}->{backup}.q" for mover in MOVERS] for backup in BACKUPS}
    return {
        "avoid": max((change(f"{INHIBITORS['by_token']}->{backup}.q") for backup in BACKUPS), key=abs),
        "names": max((change(f"embed->{backup}.k") for backup in BACKUPS), key=abs),
        "one_mover": max((change(edge) for edges in movers.values() for edge in edges), key=abs),
        "both_movers": min((change(*edges) for edges in movers.values()), key=abs),
        "written": max((change(f"{backup}->logits") for backup in BACKUPS), key=abs),
    }


@claim(slow=True)
def machine() -> dict[str, Any]:
    """ "What the machine finds": edges by ACDC against the planted ones. Control: what it keeps, run alone."""
    circuit, data = patient(), stories(seed=1, n=MACHINE_PROMPTS)
    found = acdc(circuit.model, data.clean, data.corrupted["ABC"], TAU, data.metric)
    silent = circuit.constant_edges | circuit.dormant
    compared = compare_circuits(found, circuit.edges, unjudged=silent, F=edges_alone(circuit.model, data))
    assert compared.found_alone is not None
    assert compared.truth_alone is not None
    return {
        "tau": TAU,
        "edges": len(circuit.truth()),
        "true": len(circuit.edges),
        "found": len(compared.both) + len(compared.added),
        "precision": compared.precision,
        "recall": compared.recall,
        "missed": len(compared.missing),
        "missing": sorted(map(str, compared.missing)),
        "added": sorted(map(str, compared.added)),
        "share": compared.found_alone.share,
        "true_share": compared.truth_alone.share,
    }


@claim(slow=True)
def by_gradients() -> dict[str, Any]:
    """ "The quick way": edges ranked by EAP-IG against the planted ones.

    Controls: a random order has the base rate, and the slope at the clean prompt alone (EAP) does not see the edges
    into the backups.
    """
    circuit, data = patient(), stories(seed=1, n=MACHINE_PROMPTS)
    scores = strength(eap_ig(circuit.model, data.clean, data.corrupted["ABC"], data.metric, steps=10))
    at_clean = strength(eap(circuit.model, data.clean, data.corrupted["ABC"], data.metric))
    truth = circuit.truth()
    into = [edge for edge, true in truth.items() if true and edge.receiver.rpartition(".")[0] in BACKUPS]
    return {
        "into_backups": min(scores[edge] for edge in into),
        "largest_false": max(scores[edge] for edge, true in truth.items() if not true),
        "eap_into_backups": max(at_clean[edge] for edge in into),
        "auroc": auroc(scores, truth),
        "precision": average_precision(scores, truth),
        "base_rate": sum(truth.values()) / len(truth),
    }


# --- another network --------------------------------------------------------------------------------------------------

WILD, WILD_STORIES = "ioi-3l", 216
PICO, STORIES = "pico-base", 96


@functools.cache
def wild() -> tuple[HookedModel, IOIData]:
    """The small trained network, and stories of pairs of names that its training left out."""
    return load(WILD), giving_data(WILD_STORIES, seed=1)


@functools.cache
def pico() -> tuple[HookedModel, IOIData]:
    """The trained network, and stories of combinations that its training left out."""
    model = load(PICO)
    return model, littletown_data(model, STORIES, seed=0)


def with_another_giver(data: IOIData) -> tuple[Tensor, Tensor]:
    """The clean prompts with a third person at S2, and who that is."""
    rows, third = torch.arange(len(data)), data.corrupted["ABC"][torch.arange(len(data)), data.s2]
    other = data.clean.clone()
    other[rows, data.s2] = third
    return other, third


def told_by(model: HookedModel, data: IOIData, heads: list[str], hold: tuple[str, ...] = ()) -> Float[Tensor, " batch"]:
    """logit(S) − logit(T) at END when these heads bring there what they bring if T gives: prompt by prompt.

    hold: ends of the names of sites that stay as they are in the clean run ("hook_z", "mlp_out").
    """
    other, third = with_another_giver(data)
    _, then = model.run_with_cache(other, lambda name: name.endswith("hook_z"))
    _, now = model.run_with_cache(data.clean, lambda name: name.endswith(("hook_z", "mlp_out")))
    places = [place for place in map(head_of, heads) if place]

    def edit(value: Tensor, hook: Any) -> Tensor:
        value = now[hook.name].clone() if hook.name.endswith(hold) else value
        own = [head for layer, head in places if layer == hook.layer]
        if hook.name.endswith("hook_z"):
            value[:, -1, own] = then[hook.name][:, -1, own]
        return value

    logits = model.run_with_hooks(data.clean, [(lambda name: name.endswith(("hook_z", *hold)), edit)])
    rows = torch.arange(len(data))
    return logits[rows, -1, data.s_tokens] - logits[rows, -1, third]


def share_told(model: HookedModel, data: IOIData, heads: list[str], hold: tuple[str, ...] = ()) -> float:
    """Of the change that another giver makes to logit(S) − logit(T), the share that these heads tell at END."""
    other, third = with_another_giver(data)
    rows = torch.arange(len(data))
    with torch.no_grad():
        ends = [model(tokens)[:, -1] for tokens in (data.clean, other)]
    start, end = ((x[rows, data.s_tokens] - x[rows, third]).mean() for x in ends)
    return float((told_by(model, data, heads, hold).mean() - start) / (end - start))


@claim
def trained() -> dict[str, Any]:
    """ "It adds both names, and subtracts the giver's": the rise of S, in logits, if heads say that T gives, with all
    others held. Controls: all other heads; the patient's inhibitors (`patient_told`)."""
    model, data = wild()
    clean, table = differences(model, data, data.clean), written(model, data)
    looks = attention_scores(model, data)["END to S2"]
    strong = max(all_heads(model.cfg), key=lambda name: at(table, name))
    rows, (other, third) = torch.arange(len(data)), with_another_giver(data)
    with torch.no_grad():
        start, end = (model(tokens)[:, -1] for tokens in (data.clean, other))
    before, after = (x[rows, data.s_tokens] - x[rows, third] for x in (start, end))
    every = all_heads(model.cfg)
    told = {name: told_by(model, data, [name], ("hook_z",)) - before for name in every}
    givers = [name for name in every if float(told[name].mean()) >= 0.3]
    rest = [name for name in every if name not in givers]
    return {
        "stories": len(data),
        "right": float((clean > 0).float().mean()),
        **mean("difference", clean),
        "head": number(strong),
        "writes": at(table, strong),
        "looks_at_giver": at(looks, strong),
        "givers": [number(name) for name in givers],
        **mean("whole_rise", after - before),
        **mean("head_rise", told[strong]),
        **mean("givers_rise", told_by(model, data, givers, ("hook_z",)) - before),
        **mean("givers_free", told_by(model, data, givers) - before),
        **mean("rest_rise", told_by(model, data, rest, ("hook_z",)) - before),
    }


@claim
def patient_told() -> dict[str, Any]:
    """ "In the patient, S rises", in logits, if its inhibitors say that T gives. Control: all other heads held."""
    model, data = patient().model, stories()
    rows, (_, third) = torch.arange(len(data)), with_another_giver(data)
    with torch.no_grad():
        end = model(data.clean)[:, -1]
    before = end[rows, data.s_tokens] - end[rows, third]
    heads = list(INHIBITORS.values())
    return {
        **mean("free", told_by(model, data, heads) - before),
        "held": to_thousandths(float((told_by(model, data, heads, ("hook_z",)) - before).mean())),
    }


@claim(slow=True)
def same_task() -> dict[str, Any]:
    """ "Same behaviour, another algorithm": Pico by the same tools. Controls: heads of its other layers."""
    model, data = pico()
    clean = differences(model, data, data.clean)
    parts: dict[str, float] = {"attn": 0.0, "mlp": 0.0}
    for right, wrong, row in zip(data.io_tokens.tolist(), data.s_tokens.tolist(), data.clean, strict=True):
        found = lens.direct_logit_attribution(model, row[None], right, wrong)
        for name, value in zip(found.names, found.values[:, 0].tolist(), strict=True):
            for kind in parts:
                parts[kind] += value / len(data) if name.startswith(kind) else 0.0
    layers = range(model.cfg.n_layers)
    of_layer = [[head_name(layer, head) for head in range(model.cfg.n_heads)] for layer in layers]
    free = [share_told(model, data, heads) for heads in of_layer]
    paths = path_effects(model, data.clean, data.corrupted["ABC"], data.metric)
    strong = max(all_heads(model.cfg), key=lambda name: at(paths, name))
    return {
        "stories": len(data),
        "right": float((clean > 0).float().mean()),
        **mean("difference", clean),
        "heads_write": parts["attn"],
        "mlps_write": parts["mlp"],
        "head": number(strong),
        "head_path": at(paths, strong),
        "head_writes": at(written(model, data), strong),
        "head_looks_at_s2": at(attention_scores(model, data)["END to S2"], strong),
        "copies_most": float(copy_scores(model, data).max()),
        "with_roles": sum(map(len, head_roles(model, data).roles.values())),
        "tells": {f"layer_{layer}": share for layer, share in enumerate(free)},
        "heads_held": share_told(model, data, of_layer[0], ("hook_z",)),
        "mlps_held": share_told(model, data, of_layer[0], ("hook_z", "mlp_out")),
    }


def by_layer_0(model: HookedModel, data: IOIData, hold: tuple[str, ...]) -> Float[Tensor, "batch d_vocab"]:
    """Logits at END of the clean prompts, if the heads of layer 0 bring there what they bring in the flipped ones."""
    _, then = model.run_with_cache(data.corrupted["S2"], ("z", 0))
    _, now = model.run_with_cache(data.clean, lambda name: name.endswith(("hook_z", "mlp_out")))

    def edit(value: Tensor, hook: Any) -> Tensor:
        value = now[hook.name].clone() if hook.name.endswith(hold) else value
        if hook.name.endswith("hook_z") and hook.layer == 0:
            value[:, -1] = then["z", 0][:, -1]
        return value

    return model.run_with_hooks(data.clean, [(lambda name: name.endswith(hold), edit)])[:, -1]


@claim(slow=True)
def turned_by_layer_0() -> dict[str, Any]:
    """ "And it says the other name": Pico's layer 0 brings, at END, who gives in the flipped prompt; other heads held.

    Control: the MLPs held as well.
    """
    model, data = pico()
    rows, found = torch.arange(len(data)), {}
    for name, hold in (("heads_held", ("hook_z",)), ("mlps_held", ("hook_z", "mlp_out"))):
        end = by_layer_0(model, data, hold)
        found |= mean(name, end[rows, data.io_tokens] - end[rows, data.s_tokens])
        found[f"{name}_says_s"] = float((end.argmax(-1) == data.s_tokens).float().mean())
    return found


@claim(slow=True)
def patient_roles() -> dict[str, Any]:
    """ "In the patient the same tests find all": how many heads with a role `head_roles` finds there. Control: Pico."""
    found = head_roles(patient().model, stories(n=48)).roles
    return {
        "with_roles": sum(map(len, found.values())),
        "right": sum(set(found[kind]) == set(heads) for kind, heads in ioi.CLASSES.items()),
    }
