"""What each head does, by tests: where it looks, what it copies, and whether the answer depends on it.

    looks        attention from one place to another, in the mean over prompts: END to IO, to S1, to S2; S2 to S1 and
                 to S1 + 1; every token to the one before                   (Wang et al. 2022, arXiv 2211.00593, §3)
    copies       the copy score: give the head what the stream holds at a name after block 0, take it through values
                 and output (the OV circuit), and see whether the logits have the name among the first k. `copies
                 negatively`: the same with what the head writes turned round                                (§3.1, 3.3)
    total        what is lost when the head's z is that of the ABC prompt
    direct       what is lost when that reaches the logits by no other head (`path_patching`)
    on queries   what is lost when it reaches the queries of the name movers directly: S-inhibition, and not just a look
                 at S2                                                                                       (§3.2)
    without movers    what is lost when the head is knocked out too, once the name movers are: a backup shows only here

A head that looks right need do nothing: others may not listen. So a role asks for a look **and** an effect. And a look
or a copy counts only beside the **random-head control**: the same head with its queries turned by a random rotation,
so that it looks as sharply, but elsewhere; for copies its values are turned before they are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution import patch_heads
from mi_lib.attribution.pairs import metric_range
from mi_lib.circuits.circuit import heads_alone
from mi_lib.circuits.data import IOIData
from mi_lib.circuits.parts import all_heads, layer_and_head
from mi_lib.circuits.path_patching import path_effects
from mi_lib.models import Hook, HookedModel
from mi_lib.models.graph import head_name
from mi_lib.models.text import at_positions

Heads = Float[Tensor, "layer head"]

ROLES = (
    *("previous token", "duplicate token", "induction", "s-inhibition"),
    *("name mover", "negative mover", "backup mover"),
)
LOOKS = {  # the role that a look belongs to, where it is one
    "END to IO": ("end", "io"),
    "END to S1": ("end", "s1"),
    "END to S2": ("end", "s2"),
    "S2 to S1": ("s2", "s1"),
    "S2 to S1 + 1": ("s2", "after_s1"),
}
PREVIOUS, COPIES, AGAINST = "to the token before", "copies", "copies negatively"
TOTAL, DIRECT = "total effect", "direct effect"
ON_QUERIES, WOKEN = "effect on movers' queries", "effect without movers"


@dataclass(frozen=True)
class HeadRoles:
    """Scores of every head by the name of the test, the controls of some, and the roles that follow.

    scores, controls: [layer head]. Effects have no random-head control.
    roles: heads by role; a head may have none, or several.
    """

    scores: Mapping[str, Heads]
    controls: Mapping[str, Heads]
    roles: Mapping[str, tuple[str, ...]]

    def of(self, head: str) -> dict[str, float]:
        """All scores of one head, "a1.h2"."""
        return {test: float(value[_place(head)]) for test, value in self.scores.items()}

    def table(self) -> list[dict[str, str | float]]:
        """A row for each head that has a role: its name, the role, its scores, and the controls beside them."""
        rows: list[dict[str, str | float]] = []
        for role, heads in self.roles.items():
            for head in heads:
                controls = {f"{test} (random head)": float(v[_place(head)]) for test, v in self.controls.items()}
                rows.append({"head": head, "role": role, **self.of(head), **controls})
        return rows


def head_roles(
    model: HookedModel,
    data: IOIData,
    *,
    looks: float = 0.3,
    copies: float = 0.5,
    matters: float = 0.02,
    k: int = 5,
    random_heads: int = 5,
    seed: int = 0,
) -> HeadRoles:
    """Every head's scores, and its role.

    looks, copies: what attention and copy score a role needs at least; each must also be twice that of random heads.
    matters: the effect that it needs, as a share of the answer. k: see `copy_scores`.
    random_heads, seed: how many of them the control is the mean of, for each head.
    ValueError where the metric is the same in a clean prompt and its ABC prompt, and for no random head.
    """
    if random_heads < 1:
        raise ValueError(f"random_heads must be at least 1, not {random_heads}: a score without a control says little")
    turns = [seed * random_heads + i for i in range(random_heads)]
    scores = attention_scores(model, data)
    found_by_chance = [attention_scores(model, data, turned=turn) for turn in turns]
    controls = {test: torch.stack([one[test] for one in found_by_chance]).mean(0) for test in scores}
    for name, sign in ((COPIES, 1), (AGAINST, -1)):
        scores[name] = copy_scores(model, data, k=k, sign=sign)
        by_chance = [copy_scores(model, data, k=k, sign=sign, turned=turn) for turn in turns]
        controls[name] = torch.stack(by_chance).mean(0)
    scores[TOTAL] = total_effects(model, data)
    where = (model, data.clean, data.corrupted["ABC"], data.metric)
    scores[DIRECT] = path_effects(*where, logits_to_keep=1)

    def passes(test: str, least: float) -> Tensor:
        return (scores[test] >= least) & (scores[test] >= 2 * controls[test])

    needed, helps, hurts = scores[TOTAL] >= matters, scores[DIRECT] >= matters, scores[DIRECT] <= -matters
    mover = passes("END to IO", looks) & passes(COPIES, copies) & helps
    scores[ON_QUERIES] = torch.zeros_like(scores[DIRECT])
    if queries := [f"{name}.q" for name in _names(mover)]:
        scores[ON_QUERIES] = path_effects(*where, queries, logits_to_keep=1)
    scores[WOKEN] = effects_without(model, data, _names(mover))
    woken = (scores[WOKEN] >= matters) & (scores[WOKEN] >= 2 * scores[DIRECT]) & mover.any()
    found = {
        "previous token": passes(PREVIOUS, looks) & needed,
        "duplicate token": passes("S2 to S1", looks) & needed,
        "induction": passes("S2 to S1 + 1", looks) & needed,
        "s-inhibition": passes("END to S2", looks) & (scores[ON_QUERIES] >= matters),
        "name mover": mover,
        "negative mover": passes("END to IO", looks) & passes(AGAINST, copies) & hurts,
        "backup mover": ~mover & passes(COPIES, copies) & woken,
    }
    return HeadRoles(scores, controls, {role: _names(found[role]) for role in ROLES})


def attention_scores(model: HookedModel, data: IOIData, *, turned: int | None = None) -> dict[str, Heads]:
    """Where each head looks in the clean prompts, in the mean over prompts, by the name of the test.

    turned: a seed, for the control: each layer's queries, and those alone, are turned by a random rotation per head.
    """
    of_layers: dict[str, list[Tensor]] = {test: [] for test in (*LOOKS, PREVIOUS)}
    for pattern in _patterns(model, data.clean, turned):
        rows = torch.arange(len(data), device=pattern.device)
        for test, (query, key) in LOOKS.items():
            of_layers[test].append(pattern[rows, :, getattr(data, query), getattr(data, key)].mean(0))
        of_layers[PREVIOUS].append(pattern.diagonal(offset=-1, dim1=-2, dim2=-1).mean((0, -1)))
    return {test: torch.stack(values) for test, values in of_layers.items()}


def copy_scores(model: HookedModel, data: IOIData, *, k: int = 5, sign: int = 1, turned: int | None = None) -> Heads:
    """The share of names (IO, S1 and S2 of each prompt) that a head's OV circuit has among its first k logits.

    The stream after block 0 at the name → the head's norm → W_V, W_O → sign → the final norm → logits.
    turned: a seed, for the control: what the values are turned by before W_O. ValueError for k < 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}: among how many first tokens may the name be?")
    with torch.no_grad():
        _, cache = model.run_with_cache(data.clean, ("resid_post", 0))
        at = [at_positions(cache["resid_post", 0], where) for where in (data.io, data.s1, data.s2)]
        x, names = torch.cat(at), torch.cat([data.io_tokens, data.s_tokens, data.s_tokens])
        W_V, b_V, W_O = model.W_V, model.b_V, model.W_O
        found = x.new_zeros(model.cfg.n_layers, model.cfg.n_heads)
        for layer in range(model.cfg.n_layers):
            norm = model.pre_norm(layer, "attn")
            read = x if norm is None else norm(x)
            turn = _rotations(model, layer, turned).to(x)
            for head in range(model.cfg.n_heads):
                v = (read @ W_V[layer, head] + b_V[layer, head]) @ turn[head]
                written = sign * v @ W_O[layer, head]
                logits = model.unembed(written if model.ln_final is None else model.ln_final(written))
                first = logits.topk(min(k, logits.shape[-1])).indices
                found[layer, head] = (first == names[:, None]).any(-1).to(x).mean()
        return found


def total_effects(model: HookedModel, data: IOIData) -> Heads:
    """What is lost when each head's z is that of the ABC prompt, as a share of the whole; each is a mean over prompts.

    ValueError where the metric is the same in both runs of a pair.
    """
    clean, corrupted = data.clean, data.corrupted["ABC"]
    with torch.no_grad():
        whole = metric_range(*(data.metric(model(tokens, logits_to_keep=1)) for tokens in (clean, corrupted)))
    left = patch_heads(model, clean, corrupted, data.metric, noising=True, logits_to_keep=1)
    return ((1 - left) * whole).mean(-1) / whole.mean()


def effects_without(model: HookedModel, data: IOIData, movers: tuple[str, ...]) -> Heads:
    """(F(M∖K) − F(M∖(K∪{v}))) / F(M) of each head v, with the movers as K: what it adds once they are knocked out.

    0 for the movers themselves.
    """
    F, K = heads_alone(model, data), frozenset(movers)
    M = F.everything
    found = torch.zeros(model.cfg.n_layers, model.cfg.n_heads, device=model.device)
    for head in all_heads(model.cfg):
        found[layer_and_head(head, model.cfg)] = (F(M - K) - F(M - (K | {head}))) / F(M)
    return found


def _patterns(
    model: HookedModel, tokens: Int[Tensor, "batch pos"], turned: int | None
) -> Iterator[Float[Tensor, "batch head query key"]]:
    """The attention of each layer; with the queries of this layer alone turned, if there is a seed."""
    layers = range(model.cfg.n_layers)
    _, cache = model.run_with_cache(tokens, [(site, layer) for layer in layers for site in ("resid_pre", "pattern")])
    for layer in layers:
        if turned is None:
            yield cache["pattern", layer]
            continue
        seen: list[Tensor] = []

        def keep(value: Tensor, hook: Hook, seen: list[Tensor] = seen) -> None:
            seen.append(value.clone())

        turn = _rotations(model, layer, turned)

        def rotate(q: Tensor, hook: Hook, turn: Tensor = turn) -> Tensor:
            return torch.einsum("bphd,hde->bphe", q, turn.to(q))

        with torch.no_grad(), model.hooks([(("q", layer), rotate), (("pattern", layer), keep)]):
            model(tokens, start_at_layer=layer, residual=cache["resid_pre", layer], stop_at_layer=layer + 1)
        yield seen[0]


def _rotations(model: HookedModel, layer: int, seed: int | None) -> Float[Tensor, "head d_head d_head"]:
    """A random rotation for each head of a layer; with no seed, none."""
    heads, d = model.cfg.n_heads, model.cfg.d_head
    if seed is None:
        return torch.eye(d).expand(heads, d, d)
    generator = torch.Generator().manual_seed(1000 * seed + layer)
    return torch.linalg.qr(torch.randn(heads, d, d, generator=generator))[0]


def _names(chosen: Tensor) -> tuple[str, ...]:
    return tuple(head_name(layer, head) for layer, head in chosen.nonzero().tolist())


def _place(head: str) -> tuple[int, int]:
    layer, number = head[1:].split(".h")
    return int(layer), int(number)
