"""What exact patching costs: every place of GPT-2 small, against TransformerLens, which runs the model once for each.

    python benchmarks/patching_sweep.py           # two threads, on a machine that does nothing else
    python benchmarks/patching_sweep.py --cpu     # one thread, processor seconds: on a machine that is busy
    python benchmarks/patching_sweep.py heads --rounds 1

Random weights. TransformerLens is installed into the temporary folder by the first run. Denoising of one pair of
prompts of 15 tokens, logit difference at the last one: the residual stream by layer and position (180 runs), and what
each head has read at all positions (144 runs). Equal outputs are asserted. Timed is all that a user calls, the clean
run included.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import peers

RIGHT, WRONG = 11, 13


def ours(sweep: str) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import mi_lib.attribution as attribution

        model, (clean, corrupted) = peers.our_model(), peers.prompts(1)
        metric = attribution.logit_difference(RIGHT, WRONG)
        patch = getattr(attribution, sweep)
        return peers.Subject(lambda: patch(model, clean, corrupted, metric, logits_to_keep=1)[..., 0])

    return load


def theirs(sweep: str) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import torch
        from transformer_lens import patching

        torch.set_grad_enabled(False)
        model, (clean, corrupted) = peers.peer_model(), peers.prompts(1)
        patch = getattr(patching, sweep)

        def difference(logits: Any) -> Any:
            return logits[0, -1, RIGHT] - logits[0, -1, WRONG]

        def run() -> Any:
            logits, cache = model.run_with_cache(clean)
            end, start = difference(logits), difference(model(corrupted))
            return patch(model, corrupted, cache, lambda logits: (difference(logits) - start) / (end - start))

        return peers.Subject(run)

    return load


SUBJECTS = {
    "ours, residual": ours("patch_positions"),
    "ours, heads": ours("patch_heads"),
    "peer, residual": theirs("get_act_patch_resid_pre"),
    "peer, heads": theirs("get_act_patch_attn_head_out_all_pos"),
}


def main() -> None:
    options = peers.options("residual", "heads")
    for what, aim in (("residual", "20"), ("heads", "13")):
        if what not in options.subjects:
            continue
        a, b = peers.compare(__file__, f"ours, {what}", f"peer, {what}", options)
        peers.same(a.result, b.result, 1e-4)
        peers.report(f"patching sweep, {what} {' × '.join(map(str, a.result.shape))}", a, b, aim)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        peers.serve(SUBJECTS)
    else:
        main()
