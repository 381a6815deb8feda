"""ACDC: automatic circuit discovery, by leaving out one edge after another (Conmy et al. 2023, arXiv 2304.14997, §3).

    H ← all edges
    for each receiver v, from the logits back to the first layer:
        for each sender u before v:
            leave u → v out: v reads what u says in the corrupted run
            if the metric changes by less than τ, it stays out

The change is counted from H as it is then, so that what was left out before does not count again. By KL divergence it
is how much further H moves from the whole model, KL(M ‖ H without the edge) − KL(M ‖ H), a fall being no change; by
another metric the size of the change of its mean.

What it cannot find:

    of two edges of which each suffices (planted "redundant") the first one visited goes, and then the other stays. So
    the order of the senders matters: here the last written comes first, or last with `latest_first=False`
    what carries the same in both prompts changes nothing
    a head that sleeps says nothing in either prompt, so that its way to the logits goes; from then on whatever keeps it
    asleep has nothing to do. Of the planted IOI all that the backups read is lost, though patched alone it counts

The published code runs the model once for an edge. Here the result is the same and there are fewer runs:

    1. what comes before the receiver is whole, so that its stream and all that was said there are those of the clean
       run, and a run starts at the receiver's layer
    2. most edges go. So one run has, in rows of its own, H without the first edge, without the first two, the first
       three, …: as long as each row is within τ of the row before, all these edges go. The first that is not stays,
       and the next run begins behind it
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from mi_lib.attribution import sender_outputs
from mi_lib.attribution.edges import add_to_reader, layer_of_reader
from mi_lib.attribution.pairs import Metric, metric_range, read_pairs
from mi_lib.models import Hook, HookedModel
from mi_lib.models.graph import Edge, all_edges, head_name, mlp_name, receivers, senders
from mi_lib.models.sites import layer_of


def acdc(
    model: HookedModel,
    clean: Int[Tensor, "batch pos"],
    corrupted: Int[Tensor, "batch pos"],
    tau: float,
    metric: Metric | Literal["kl"] = "kl",
    *,
    latest_first: bool = True,
    rows: int = 512,
    progress: Callable[[str, int], None] | None = None,
) -> frozenset[Edge]:
    """The edges that ACDC keeps.

    tau: τ, in nats for "kl" (of the prediction at the last position, in the mean over pairs), else in units of the
        metric. rows: how many prompts are run together at most.
    progress(receiver, edges kept so far) is called after each receiver.
    ValueError for τ ≤ 0, prompts of unequal length, a metric that is the same in both runs of a pair (for "kl": two
    prompts with the same prediction), and a model in which heads have no summand of their own.
    """
    if not tau > 0:
        raise ValueError(f"tau must be more than 0, not {tau}: an edge goes if the metric changes by less")
    runs, kept = _Runs(model, clean, corrupted, metric), set()
    now = runs.start
    for receiver in reversed(receivers(model.cfg)):
        waiting = [edge.sender for edge in all_edges(model.cfg) if edge.receiver == receiver]
        waiting = waiting[::-1] if latest_first else waiting
        while waiting:
            scores = [now, *runs.without(receiver, waiting[: max(1, rows // len(clean))])]
            gone = next((i for i, two in enumerate(pairwise(scores)) if runs.change(*two) >= tau), len(scores) - 1)
            runs.leave_out(receiver, waiting[:gone])
            now = scores[gone]
            if gone < len(scores) - 1:
                kept.add(Edge(waiting[gone], receiver))
                gone += 1
            waiting = waiting[gone:]
        if progress is not None:
            progress(receiver, len(kept))
    return frozenset(kept)


class _Runs:
    """Runs of the clean prompts in which edges that were left out carry the corrupted word."""

    def __init__(self, model: HookedModel, clean: Tensor, corrupted: Tensor, metric: Metric | Literal["kl"]) -> None:
        clean, corrupted, _ = read_pairs(model, clean, corrupted)
        self.model, self.tokens, self.metric = model, clean, metric
        self.names = {name: i for i, name in enumerate(senders(model.cfg))}
        then, said = (sender_outputs(model, tokens, self.names) for tokens in (corrupted, clean))
        # [sender batch pos d_model]: what the corrupted prompt says, and by how much it differs from the clean one.
        self.then = torch.stack([then[name].expand_as(then["embed"]) for name in self.names])
        self.less = self.then - torch.stack([said[name].expand_as(said["embed"]) for name in self.names])
        self.out = {name: self.then.new_zeros(len(self.names)) for name in receivers(model.cfg)}  # 1 for what is out
        with torch.no_grad():
            logits, self.streams = model.run_with_cache(clean, [("resid_pre", at) for at in range(model.cfg.n_layers)])
            self.whole, other = logits[:, -1].log_softmax(-1), model(corrupted)
            metric_range(self.score(logits), self.score(other))
            self.start = float(self.score(logits).mean())

    def score(self, logits: Tensor) -> Tensor:
        """The metric, or KL(M ‖ H), of each prompt."""
        if self.metric != "kl":
            return self.metric(logits)
        return (self.whole.exp() * (self.whole - logits[:, -1].log_softmax(-1))).sum(-1)

    def change(self, old: float, new: float) -> float:
        return new - old if self.metric == "kl" else abs(new - old)

    def leave_out(self, receiver: str, which: list[str]) -> None:
        self.out[receiver][[self.names[name] for name in which]] = 1

    def without(self, receiver: str, which: list[str]) -> list[float]:
        """The metric of H less the first of these senders' edges to the receiver, less the first two, …"""
        cfg, first, times = self.model.cfg, layer_of_reader(receiver, self.model), len(which)
        less = self.less.repeat(1, times, 1, 1)  # of all rows; what is said from layer `first` on is not known yet

        def keep(value: Tensor, hook: Hook) -> None:
            new = value.movedim(2, 0) if value.ndim == 4 else value[None]  # [sender row pos d_model]
            layer = layer_of(hook.name) or 0
            start = self.names[head_name(layer, 0) if value.ndim == 4 else mlp_name(layer)]
            at = slice(start, start + len(new))
            less[at] = self.then[at].repeat(1, times, 1, 1) - new

        tried = self.less[[self.names[name] for name in which]].cumsum(0).flatten(0, 1)
        edits = [add_to_reader(receiver, lambda: tried, self.model)]
        for name, out in self.out.items():
            if bool(out.any()) and layer_of_reader(name, self.model) >= first:
                edits.append(add_to_reader(name, partial(torch.tensordot, out, less, 1), self.model))
        said = [("result", at) for at in range(first, cfg.n_layers)]
        said += [("mlp_out", at) for at in range(first, cfg.n_layers) if cfg.d_mlp]
        with torch.no_grad(), self.model.hooks([(said, keep), *edits]):
            stream = self.streams["resid_pre", first].repeat(times, 1, 1)
            logits = self.model(self.tokens.repeat(times, 1), start_at_layer=first, residual=stream)
            return [float(self.score(one).mean()) for one in logits.split(len(self.tokens))]
