"""What EAP and EAP-IG cost: all edges of GPT-2 small, against a forward pass that is split for each head.

    python benchmarks/edge_attribution.py           # two threads, on a machine that does nothing else
    python benchmarks/edge_attribution.py --cpu     # one thread, processor seconds: on a machine that is busy
    python benchmarks/edge_attribution.py EAP --rounds 1

Random weights, some pairs of prompts of 15 tokens, logit difference at the last one. The authors' package
(hannamw/EAP-IG) keeps its scores on a CUDA device wherever the model is, so what stands here for it is the algorithm,
written from the papers (Hanna et al. 2024, arXiv 2403.17806, section 3; Syed et al. 2023, arXiv 2310.10348, section 3)
on TransformerLens, on which the package is built too: `use_split_qkv_input`, `use_attn_result` and `use_hook_mlp_in`
give each head inputs and an output of its own; hooks gather what the senders say in one matrix, and in the backward
pass multiply it with the gradient of each receiver's input. Equal scores of all edges are asserted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import peers

RIGHT, WRONG, PAIRS, STEPS = 11, 13, 8, 5


def ours(steps: int | None) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import torch

        from mi_lib.attribution import eap, eap_ig, logit_difference

        model, (clean, corrupted) = peers.our_model(), peers.prompts(PAIRS)
        metric = logit_difference(RIGHT, WRONG)
        method = eap if steps is None else partial(eap_ig, steps=steps)

        def run() -> Any:
            return method(model, clean, corrupted, metric, logits_to_keep=1)

        def summed(shares: Any) -> Any:
            """Theirs are sums over pairs in logits, ours a share of the range for each pair."""
            with torch.no_grad():
                whole = metric(model(corrupted)) - metric(model(clean))
            return {str(edge): float((value * whole).sum()) for edge, value in shares.items()}

        return peers.Subject(run, summed)

    return load


def theirs(steps: int | None) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        model = peers.peer_model(use_split_qkv_input=True, use_attn_result=True, use_hook_mlp_in=True)
        clean, corrupted = peers.prompts(PAIRS)
        split = Split(model, clean, corrupted, steps)
        return peers.Subject(split.scores, split.named)

    return load


class Split:
    """EAP (steps None) and EAP-IG with the hooks of TransformerLens: scores [sender receiver], summed over pairs."""

    def __init__(self, model: Any, clean: Any, corrupted: Any, steps: int | None) -> None:
        self.model, self.clean, self.corrupted, self.steps = model, clean, corrupted, steps
        self.layers, self.heads = model.cfg.n_layers, model.cfg.n_heads
        self.width = self.heads + 1  # what a layer writes: its heads, then its MLP

    def scores(self) -> Any:
        import torch

        n, r = 1 + self.layers * self.width, self.layers * (3 * self.heads + 1) + 1
        self.change = torch.zeros(*self.clean.shape, n, self.model.cfg.d_model)
        self.table = torch.zeros(n, r)
        with torch.no_grad():
            with self.model.hooks(self.writers(+1)):
                self.model(self.corrupted)
            start = self.change[:, :, 0].clone()
            if self.steps is not None:
                with self.model.hooks(self.writers(-1)):
                    self.model(self.clean)
        if self.steps is None:
            self.back(self.writers(-1))
            return self.table
        end = start - self.change[:, :, 0]
        for k in range(1, self.steps + 1):
            between = (start + k / self.steps * (end - start)).requires_grad_()
            self.back([("hook_embed", lambda value, hook, between=between: between)])
        return self.table / self.steps

    def back(self, forward: list[Any]) -> None:
        import torch

        with torch.enable_grad(), self.model.hooks(forward, self.readers()):
            embeddings = [("hook_embed", lambda value, hook: value.requires_grad_())]
            with self.model.hooks([] if self.steps else embeddings):
                logits = self.model(self.clean)
                (logits[:, -1, RIGHT] - logits[:, -1, WRONG]).sum().backward()

    def writers(self, sign: int) -> list[Any]:
        """Hooks that add what each sender says, or take it away."""

        def gather(value: Any, hook: Any, at: Any) -> None:
            self.change[:, :, at] += sign * value.detach()

        found = [("hook_embed", partial(gather, at=0))]
        for layer in range(self.layers):
            first = 1 + layer * self.width
            found.append((f"blocks.{layer}.attn.hook_result", partial(gather, at=slice(first, first + self.heads))))
            found.append((f"blocks.{layer}.hook_mlp_out", partial(gather, at=first + self.heads)))
        return found

    def readers(self) -> list[Any]:
        """Backward hooks that multiply the gradient of each receiver's input with what was said before it."""
        import torch

        def score(gradient: Any, hook: Any, before: int, column: int) -> None:
            gradient = gradient if gradient.ndim == 4 else gradient[:, :, None]
            found = torch.einsum("bpsm,bprm->sr", self.change[:, :, :before], gradient)
            self.table[:before, column : column + gradient.shape[2]] += found

        found = []
        for layer in range(self.layers):
            before, column = 1 + layer * self.width, layer * (3 * self.heads + 1)
            for i, which in enumerate("qkv"):
                at = partial(score, before=before, column=column + i * self.heads)
                found.append((f"blocks.{layer}.hook_{which}_input", at))
            at = partial(score, before=before + self.heads, column=column + 3 * self.heads)
            found.append((f"blocks.{layer}.hook_mlp_in", at))
        n, r = self.table.shape
        return [*found, (f"blocks.{self.layers - 1}.hook_resid_post", partial(score, before=n, column=r - 1))]

    def named(self, table: Any) -> dict[str, float]:
        """The scores under the names of `mi_lib.models.graph`."""
        senders, receivers = ["embed"], []
        for layer in range(self.layers):
            heads = [f"a{layer}.h{head}" for head in range(self.heads)]
            senders += [*heads, f"m{layer}"]
            receivers += [*(f"{head}.{which}" for which in "qkv" for head in heads), f"m{layer}"]
        columns = {name: i for i, name in enumerate([*receivers, "logits"])}
        return {
            f"{sender}->{receiver}": float(table[row, column])
            for row, sender in enumerate(senders)
            for receiver, column in columns.items()
        }


SUBJECTS = {
    "ours, EAP": ours(None),
    "ours, EAP-IG": ours(STEPS),
    "split, EAP": theirs(None),
    "split, EAP-IG": theirs(STEPS),
}


def main() -> None:
    import torch

    options = peers.options("EAP", "EAP-IG")
    for what in options.subjects:
        a, b = peers.compare(__file__, f"ours, {what}", f"split, {what}", options)
        # Positions are no sender there; what they say is the same in both prompts.
        edges = [edge for edge in a.result if not edge.startswith("pos_embed")]
        peers.same(*(torch.tensor([side.result[edge] for edge in edges]) for side in (a, b)), 1e-4)
        title = f"{what}{f'-{STEPS}' if what == 'EAP-IG' else ''}, {PAIRS} pairs, {len(edges):,} edges"
        peers.report(title, a, b, "8, memory at most ½")


if __name__ == "__main__":
    if "--serve" in sys.argv:
        peers.serve(SUBJECTS)
    else:
        main()
