"""What chapter 08 finds: how methods of attribution do on networks whose circuit is known, and which part is to blame.

All planted networks are compiled here, with seeds of their own; their pairs are drawn with a seed too. A method's
scores of all edges are judged by AUROC, which looks at the order alone, and by recall: the share of the circuit's edges
to which it gives more than a twentieth of the answer. What is asked of Pico is where somebody lives, as in chapter 04.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib import attribution as at
from mi_lib import load
from mi_lib.attribution.straight import silenced, straightened
from mi_lib.course import findings, index
from mi_lib.course.findings import claim, mean
from mi_lib.models import HookedModel
from mi_lib.models.graph import Edge, all_edges, senders
from mi_lib.worlds import planted

CIRCUITS = (*planted.NAMES, "ioi")
SEED, PAIRS = 0, 16
STEPS = (1, 2, 5, 10, 50)  # of integrated gradients
MANY = (5, 20)  # of EAP-IG
SEEN = 0.05  # a method sees an edge if it gives it more than this share of the answer
PICO_PAIRS = 20
SHUFFLED = tuple(range(5))  # seeds of networks with shuffled weights
RANDOM = 200  # draws of random scores
ENOUGH, LEAST = 0.1, 0.05  # methods agree within the one; an edge that costs less than the other is none


class Case(NamedTuple):
    """A network and pairs of prompts."""

    model: HookedModel
    clean: Int[Tensor, "batch pos"]
    corrupted: Int[Tensor, "batch pos"]
    right: Int[Tensor, " batch"]
    wrong: Int[Tensor, " batch"]

    @property
    def metric(self) -> at.Metric:
        return at.logit_difference(self.right, self.wrong)

    @property
    def pair(self) -> tuple[Any, ...]:
        """What methods of the library take."""
        return self.model, self.clean, self.corrupted, self.metric

    @property
    def back(self) -> tuple[Any, ...]:
        """The same with the prompts exchanged."""
        return self.model, self.corrupted, self.clean, self.metric

    @property
    def span(self) -> Float[Tensor, " batch"]:
        return self.metric(self.model(self.clean)) - self.metric(self.model(self.corrupted))


@functools.cache
def circuit(name: str, seed: int = SEED) -> planted.Circuit:
    return planted.circuit(name, seed=seed)


@functools.cache
def case(name: str, n: int = PAIRS, seed: int = SEED) -> Case:
    one = circuit(name, seed)
    pairs = one.pairs(n, seed=1)
    return Case(one.model, pairs.clean, pairs.corrupted, pairs.answers, pairs.corrupted_answers)


@functools.cache
def pico_case(n: int = PICO_PAIRS) -> Case:
    reading = findings.module(index.chapter("04"))
    pairs = list(reading.pairs(n, sentence=reading.SENTENCES[1]))
    clean, corrupted = torch.cat([p.clean for p in pairs]), torch.cat([p.corrupt for p in pairs])
    right, wrong = torch.tensor([p.right for p in pairs]), torch.tensor([p.wrong for p in pairs])
    return Case(load(index.chapter("08").model[0]), clean, corrupted, right, wrong)


# --- methods ----------------------------------------------------------------------------------------------------------

EDGE_METHODS: dict[str, Callable[[Case], Mapping[Edge, Tensor]]] = {
    "noising": lambda one: at.edge_effects(*one.pair),
    "denoising": lambda one: at.edge_effects(*one.back),
    "eap": lambda one: at.eap(*one.pair),
    "eap_ig": lambda one: at.eap_ig(*one.pair, steps=5),
}


def share(value: float | Tensor) -> float:
    """A share of the answer to the thousandth, so that next to nothing is 0 and not −0."""
    return round(float(value), 3) + 0.0


def recall(scores: Mapping[Edge, Tensor], truth: Mapping[Edge, bool]) -> float:
    """The share of the circuit's edges that a method sees."""
    size = at.strength(scores)
    return statistics.fmean(size[edge] > SEEN for edge, on in truth.items() if on)


@functools.cache
def scores(name: str, method: str, n: int = PAIRS) -> Mapping[Edge, Tensor]:
    return EDGE_METHODS[method](case(name, n))


def judged(name: str, method: str, n: int = PAIRS) -> dict[str, float]:
    """AUROC, average precision and recall of a method on a circuit."""
    found, truth = scores(name, method, n), circuit(name).truth()
    return {
        "auroc": at.auroc(found, truth),
        "precision": at.average_precision(found, truth),
        "recall": recall(found, truth),
    }


def order_of(first: Float[Tensor, " n"], second: Float[Tensor, " n"]) -> float:
    """Rank correlation of the sizes."""
    return at.rank_correlation(dict(enumerate(first)), dict(enumerate(second)))


def heads_of(one: Case, *, star: bool = False, site: str = "z") -> dict[str, Tensor]:
    """AtP of a site of all heads, by name, in shares lost; star: with the softmax computed anew."""
    values = at.atp_star(*one.pair, lambda name: name.endswith(f"hook_{site}"), softmax=star, grad_drop=None)
    return at.by_node(one.model, values)


# --- claims -----------------------------------------------------------------------------------------------------------


@claim
def networks() -> dict[str, Any]:
    """How large they are: "networks of which every edge is known"; "so many edges, so few in the circuit"."""
    sizes = [circuit(name) for name in CIRCUITS]
    one = circuit("induction")
    return {
        "count": len(sizes),
        "layers": [min(c.model.cfg.n_layers for c in sizes), max(c.model.cfg.n_layers for c in sizes)],
        "heads": [min(c.model.cfg.n_heads for c in sizes), max(c.model.cfg.n_heads for c in sizes)],
        "induction": {"edges": len(all_edges(one.model.cfg)), "on": len(one.edges)},
        "ioi": {"edges": len(all_edges(circuit("ioi").model.cfg)), "on": len(circuit("ioi").edges)},
    }


@claim
def saturated() -> dict[str, Any]:
    """Conjunction: "gradient × input says nothing, and each word alone turns the answer over". Controls: `previous`,
    where nothing is flat, and the words that no answer depends on."""
    found: dict[str, Any] = {}
    for name, words in (("conjunction", [2, 5]), ("previous", [6])):
        one = case(name)
        span = one.span[:, None]
        said = (at.gradient_x_input(*one.pair[:2], one.metric, one.corrupted).by_position / span).abs().mean(0)
        worth = torch.zeros(one.clean.shape)
        for pos in range(one.clean.shape[1]):
            changed = one.clean.clone()
            changed[:, pos] = one.corrupted[:, pos]
            worth[:, pos] = one.metric(one.model(one.clean)) - one.metric(one.model(changed))
        worth = (worth / span).mean(0)
        others = [pos for pos in range(one.clean.shape[1]) if pos not in words]
        found[name] = {
            "said": float(said[words].max()),
            "worth": float(worth[words].min()),
            "worth_of_others": float(worth[others].abs().max()),
        }
    return found


@claim
def gaps() -> dict[str, Any]:
    """Conjunction: "with … steps the words add up". The gap as a share of the range, by steps, in the middle of each
    piece; and what each of the two words gets. Controls: the right end of each piece (`right_…`), and `previous`,
    where nothing bends, with one step."""
    one, straight = case("conjunction"), case("previous")
    words = at.integrated_gradients(*straight.pair[:2], straight.metric, straight.corrupted, steps=1).by_position
    found: dict[str, Any] = {"straight_1": float((words.sum(-1) / straight.span - 1).abs().mean())}
    x, start = (one.model.run_with_cache(tokens, "embed")[1]["embed"] for tokens in (one.clean, one.corrupted))
    for steps in STEPS:
        for rule, shift in (("middle", 0.5), ("right", 1.0)):
            mean_slope = torch.zeros_like(x)
            for k in range(steps):
                alpha = (k + shift) / steps
                leaf = (start + alpha * (x - start)).clone().requires_grad_()
                with torch.enable_grad():
                    logits = one.model.run_with_hooks(one.clean, [("embed", lambda value, hook, leaf=leaf: leaf)])
                    mean_slope += torch.autograd.grad(one.metric(logits).sum(), leaf)[0] / steps
            words = ((x - start) * mean_slope).sum(-1) / one.span[:, None]
            found[f"{rule}_{steps}"] = float((words.sum(-1) - 1).abs().mean())
            if rule == "middle" and steps == STEPS[-1]:
                found["words"] = [float(words[:, pos].mean()) for pos in (2, 5)]
    return found


@claim
def both_ways() -> dict[str, Any]:
    """AND and OR: "noise either lock …". What is left after noising and comes back by denoising, of two heads each.
    Controls: a busy head that nobody reads; the same two networks with the prompts exchanged."""
    found: dict[str, Any] = {}
    for name, heads in (("conjunction", [(0, 1), (1, 2)]), ("redundant", [(0, 0), (1, 3)])):
        for way, pair in (("", case(name).pair), ("_exchanged", case(name).back)):
            one = case(name)
            metric = one.metric if not way else at.logit_difference(one.wrong, one.right)
            left, back = (at.patch_heads(*pair[:3], metric, "z", noising=noising).mean(-1) for noising in (True, False))
            idle = [
                (layer, head)
                for layer in range(one.model.cfg.n_layers)
                for head in range(one.model.cfg.n_heads)
                if (layer, head) not in heads
            ]
            found[f"{name}{way}"] = {
                "left": [share(left[head]) for head in heads],
                "back": [share(back[head]) for head in heads],
                "idle_left": min(float(left[head]) for head in idle),
                "idle_back": share(max(abs(float(back[head])) for head in idle)),
            }
    return found


@claim
def pico() -> dict[str, Any]:
    """Pico's heads: "the two orders agree by …". Rank correlation of attribution patching with exact noising over all
    heads, by size, for each pair; the head that each puts first; and where they differ most. Control: the values of
    exact noising dealt out anew among the heads, judged in the same way, in the mean of draws and in the best one."""
    one = pico_case()
    exact = 1 - at.patch_heads(*one.pair, "z", noising=True, logits_to_keep=1)
    quick = heads_of(one)
    cfg = one.model.cfg
    table = torch.stack(
        [torch.stack([quick[f"a{layer}.h{head}"] for head in range(cfg.n_heads)]) for layer in range(cfg.n_layers)]
    )

    def flat(values: Tensor) -> Tensor:
        return values.flatten(0, 1)

    agree = [order_of(flat(exact)[:, i], flat(table)[:, i]) for i in range(PICO_PAIRS)]
    source = torch.Generator().manual_seed(1)
    dealt = []
    for _ in range(RANDOM):
        order = torch.randperm(cfg.n_layers * cfg.n_heads, generator=source)
        dealt.append(statistics.fmean(order_of(flat(exact)[order][:, i], flat(table)[:, i]) for i in range(PICO_PAIRS)))
    e, q = exact.mean(-1), table.mean(-1)
    best_exact, best_quick = (divmod(int(v.abs().argmax()), cfg.n_heads) for v in (e, q))
    worst = divmod(int((e - q).abs().argmax()), cfg.n_heads)
    return {
        "heads": cfg.n_layers * cfg.n_heads,
        "pairs": PICO_PAIRS,
        **mean("agreement", agree),
        "dealt_anew": statistics.fmean(dealt),
        "dealt_anew_most": max(dealt),
        "first_exact": "{}.{}".format(*best_exact),
        "first_quick": "{}.{}".format(*best_quick),
        "first_exact_share": float(e[best_exact]),
        "first_exact_estimate": float(q[best_exact]),
        "worst": "{}.{}".format(*worst),
        "worst_exact": float(e[worst]),
        "worst_estimate": float(q[worst]),
        "exact_table": e.tolist(),
        "quick_table": q.tolist(),
    }


@claim
def sure_heads() -> dict[str, Any]:
    """Queries: "plain attribution patching sees nothing, with the softmax it sees …". Exact noising, AtP and AtP* of
    the query that decides, in three networks. Control: the largest of all other heads of the layer, by AtP*."""
    found: dict[str, Any] = {}
    for name, head in (("induction", "a1.h1"), ("position", "a1.h2"), ("two_hop", "a2.h0")):
        one = case(name)
        exact = at.node_effects(*one.pair)[f"{head}.q"]
        plain, star = (heads_of(one, star=anew, site="q") for anew in (False, True))
        others = [key for key in star if key != f"{head}.q" and key[:2] == head[:2]]
        found[name] = {
            "exact": float(exact.mean()),
            "plain": float(plain[f"{head}.q"].mean()),
            "star": float(star[f"{head}.q"].mean()),
            "others": max(float(star[key].abs().mean()) for key in others),
        }
    return found


@claim
def drops() -> dict[str, Any]:
    """GradDrop: "dropping layers loses both", "neither half mends an MLP that is saturated". What AtP says of one head
    each of `cancelling` and `conjunction`, without GradDrop, with layers dropped, and with single parts dropped.
    Control: exact noising; and the parts dropped, which do mend the one and not the other."""
    found: dict[str, Any] = {}
    for name, head in (("cancelling", "a0.h2"), ("conjunction", "a0.h1")):
        one = case(name, 6)
        row = {"exact": float(at.node_effects(*one.pair)[head].mean())}
        for key, drop in (("none", None), ("layers", "layers"), ("parts", "parts")):
            values = at.atp_star(*one.pair, lambda site: site.endswith("hook_z"), grad_drop=drop)
            row[key] = float(at.by_node(one.model, values)[head].abs().mean())
        found[name] = row
    return found


@claim
def seen() -> dict[str, Any]:
    """Induction: "two: into the values of the last head, and from there to the logits". The edges of the circuit that
    get more than a twentieth of the answer by EAP, and those that do not. Control: exact noising sees them all."""
    found: dict[str, Any] = {}
    for method in ("eap", "noising"):
        size = at.strength(scores("induction", method))
        edges = {str(edge): size[edge] > SEEN for edge in sorted(circuit("induction").edges, key=str)}
        found[method] = {
            "yes": [text for text, big in edges.items() if big],
            "no": [text for text, big in edges.items() if not big],
        }
    return found


@claim
def both_readers() -> dict[str, Any]:
    """Redundant, denoising: "an edge into a head that must look and read needs both at once". How much comes back when
    the embedding's edge to the keys of a head is denoised, to its values, and to both. Control: each of them alone."""
    one, found = case("redundant", 6), {}
    for head in ("a0.h0", "a1.h3"):
        sets = {"keys": "k", "values": "v", "both": "kv"}
        for key, reads in sets.items():
            edges = [Edge("embed", f"{head}.{letter}") for letter in reads]
            m = one.metric(at.patch_edges(one.model, one.corrupted, one.clean, edges))
            start = one.metric(one.model(one.corrupted))
            found.setdefault(key, []).append(float(((m - start) / one.span).mean()))
    return found


@claim(slow=True)
def table() -> dict[str, Any]:
    """Methods × circuits: "the table". AUROC, average precision and recall over all edges. Control: random scores, in
    the mean of draws (AUROC), and the share of the circuit among all edges (average precision by chance)."""
    found: dict[str, Any] = {method: {name: judged(name, method) for name in CIRCUITS} for method in EDGE_METHODS}
    found["pairs"] = PAIRS
    chance: dict[str, Any] = {}
    for name in CIRCUITS:
        truth = circuit(name).truth()
        source = torch.Generator().manual_seed(7)
        draws = [
            at.auroc(dict(zip(truth, torch.rand(len(truth), generator=source), strict=True)), truth)
            for _ in range(RANDOM)
        ]
        chance[name] = {"auroc": statistics.fmean(draws), "precision": statistics.fmean(truth.values())}
    found["chance"] = chance
    found["means"] = {
        method: {
            judge: statistics.fmean(found[method][name][judge] for name in CIRCUITS) for judge in ("auroc", "recall")
        }
        for method in EDGE_METHODS
    }
    return found


@claim
def flattered() -> dict[str, Any]:
    """EAP on the conjunction: "AUROC praises a method that says nothing". The AUROC, the largest share that it gives to
    any edge before the last, and both in a network with ten times the noise. Control: EAP-IG."""
    found: dict[str, Any] = {}
    for leak in (0.0003, 0.003):
        one = planted.circuit("conjunction", seed=SEED, leak=leak)
        pairs = one.pairs(PAIRS, seed=1)
        metric = at.logit_difference(pairs.answers, pairs.corrupted_answers)
        for method, ask in (("eap", at.eap), ("eap_ig", at.eap_ig)):
            said = ask(one.model, pairs.clean, pairs.corrupted, metric)
            size = at.strength(said)
            early = [size[edge] for edge in one.edges if str(edge) != "m1->logits"]
            found[f"{method}_{'quiet' if leak < 0.001 else 'noisy'}"] = {
                "auroc": at.auroc(said, one.truth()),
                "largest": max(early),
            }
    return found


@claim
def areas() -> dict[str, Any]:
    """Cancelling: "a circuit without the brake answers twice as loud". CPR and CMD by exact scores with each ranking,
    and the faithfulness of the circuit without what speaks against the answer. Control: the right ranking for each."""
    one = case("cancelling")
    exact = scores("cancelling", "noising")
    signed, absolute = (at.faithfulness_curve(*one.pair, exact, signed=way) for way in (True, False))
    without = [edge for edge in circuit("cancelling").edges if "m1" not in str(edge)]
    without += list(circuit("cancelling").constant_edges)
    logs = torch.tensor(signed.fractions).log()
    return {
        "cpr": signed.cpr,
        "cpr_by_size": absolute.cpr,
        "cmd": absolute.cmd,
        "cmd_by_sign": signed.cmd,
        "cpr_on_log_axis": float(torch.trapezoid(torch.tensor(signed.faithfulness), logs)),
        "without_brake": at.faithfulness(*one.pair, without),
        "largest_signed": max(signed.faithfulness),
        "fractions": list(signed.fractions),
        "signed": list(signed.faithfulness),
        "absolute": list(absolute.faithfulness),
    }


SANE = ("previous", "induction", "duplicate", "two_hop")


def moved(one: Case, model: HookedModel) -> Float[Tensor, " place"]:
    """How far the stream moves between the two prompts, by layer and position: no answer is asked for."""
    sites = [("resid_post", layer) for layer in range(model.cfg.n_layers)]
    now, then = (model.run_with_cache(tokens, sites)[1] for tokens in (one.clean, one.corrupted))
    return torch.stack([(then[site] - now[site]).norm(dim=-1).mean(0) for site in sites]).flatten()


@claim
def sanity() -> dict[str, Any]:
    """Shuffled weights: "what is left of the ranking". Mean rank correlation between each network and copies with
    shuffled weights: over heads, of attribution patching; and over layers and positions, of how far the stream moves
    between the two prompts, a score that never looks at the answer. Each is the control of the other."""
    found: dict[str, Any] = {"seeds": len(SHUFFLED)}
    for name in SANE:
        one = case(name)

        def heads(model: HookedModel, one: Case = one) -> Mapping[str, Tensor]:
            return heads_of(Case(model, *one[1:]))

        def streams(model: HookedModel, one: Case = one) -> Tensor:
            return moved(one, model)

        checks = {
            kind: at.sanity_check(method, one.model, range(len(SHUFFLED)))
            for kind, method in {"heads": heads, "moved": streams}.items()
        }
        found[name] = {kind: check.mean for kind, check in checks.items()}
        found[name] |= {
            f"{kind}_each": [min(check.correlations), max(check.correlations)] for kind, check in checks.items()
        }
    return found


FAILURES = {
    "conjunction": "a0.h1->m1",
    "redundant": "a0.h0->m1",
    "cancelling": "embed->a0.h2.v",
    "induction": "embed->a1.h1.q",
    "position": "a0.h3->a1.h2.q",
}


def errors(one: Case, edge: Edge) -> dict[str, float]:
    """What three methods say of an edge, and how far they are apart."""
    noising = at.edge_effects(*one.pair, [edge])[edge]
    denoising = at.edge_effects(*one.back, [edge])[edge]
    quick = at.eap(*one.pair)[edge]
    return {
        "noising": share(noising.mean()),
        "denoising": share(denoising.mean()),
        "eap": share(quick.mean()),
        "eap_off": float((quick - noising).abs().mean()),
        "exact_off": float((denoising - noising).abs().mean()),
    }


def edits_of(one: Case) -> list[tuple[str, str]]:
    parts = [name for name in senders(one.model.cfg) if "embed" not in name]
    return [(kind, part) for part in parts for kind in ("straighten", "silence")]


def tried(one: Case, edge: Edge, kind: str, part: str) -> dict[str, float] | None:
    """The same after an edit; None where the network no longer answers both prompts right."""
    edit = straightened(*one.pair[:3], part) if kind == "straighten" else silenced(one.model, part)
    with edit:
        said, other = one.metric(one.model(one.clean)), one.metric(one.model(one.corrupted))
        return errors(one, edge) if bool((said > 0).all() and (other < 0).all()) else None


def does_it(found: dict[str, float] | None) -> bool:
    return found is not None and max(found["eap_off"], found["exact_off"]) < ENOUGH and found["noising"] >= LEAST


@claim
def causes() -> dict[str, Any]:
    """Five failures: "straighten that part, and they agree". What the methods say before and after, and which of all
    edits do it. Control: all other edits with which the network still answers and the edge still matters: how many
    there are, and the smallest error that any of them leaves."""
    result: dict[str, Any] = {}
    for name, text in FAILURES.items():
        one, edge = case(name, 6), Edge.parse(text)
        every = {f"{kind} {part}": tried(one, edge, kind, part) for kind, part in edits_of(one)}
        right = [edit for edit, found in every.items() if does_it(found)]
        wrong = [
            max(found["eap_off"], found["exact_off"])
            for edit, found in every.items()
            if edit not in right and found is not None and found["noising"] >= LEAST
        ]
        result[name] = {
            "before": errors(one, edge),
            "after": every[right[0]],
            "right": right,
            "edits": len(every),
            "wrong": len(wrong),
            "wrong_least": min(wrong),
        }
    return result


@claim
def twin() -> dict[str, Any]:
    """Redundant: "silence the twin: noising says all, EAP still nothing". Control: another head of its layer."""
    one, edge = case("redundant", 6), Edge.parse(FAILURES["redundant"])
    with silenced(one.model, "a1.h3"):
        without_twin = errors(one, edge)
    with silenced(one.model, "a1.h0"):
        without_other = errors(one, edge)
    return {"before": errors(one, edge), "without_twin": without_twin, "without_other": without_other}


@claim
def two_sure() -> dict[str, Any]:
    """Duplicate: "one sure head behind another". EAP, noising and their distance for the query of the first head, when
    the one, the other or both softmaxes are straightened; "no single edit does it": how many of all do; and the recall
    of EAP-IG by steps. Each single one is the control of both, few steps that of more."""
    one, edge = case("duplicate", 6), Edge("embed", "a0.h1.q")
    found: dict[str, Any] = {}
    for key, parts in {"first": ["a0.h1"], "second": ["a1.h0"], "both": ["a0.h1", "a1.h0"]}.items():
        with ExitStack() as stack:
            for part in parts:
                stack.enter_context(straightened(*one.pair[:3], part))
            found[key] = errors(one, edge)
    every = [tried(one, edge, kind, part) for kind, part in edits_of(one)]
    found["single"] = {"edits": len(every), "right": sum(map(does_it, every))}
    truth = circuit("duplicate").truth()
    pair = case("duplicate").pair
    found["recall"] = {f"steps_{steps}": recall(at.eap_ig(*pair, steps=steps), truth) for steps in MANY}
    return found
