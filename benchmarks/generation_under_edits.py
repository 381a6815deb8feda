"""What replies under edits cost: a vector added at some blocks while GPT-2 small goes on from prompts.

    python benchmarks/generation_under_edits.py           # two threads, on a machine that does nothing else
    python benchmarks/generation_under_edits.py --cpu     # one thread, processor seconds: on a machine that is busy
    python benchmarks/generation_under_edits.py "plain 1" --rounds 1

Random weights; 1 prompt and 16, of 15 tokens, 30 new tokens each, the likeliest ones; a vector is added to what enters
five blocks, at every position. Against the same in plain `transformers`, with forward hooks on the blocks, and in
TransformerLens, with hooks on `hook_resid_pre`; all of them keep keys and values. The same tokens are asserted, and
that without the edit there are others. TransformerLens says other words with its cache than without; it is timed with,
and compared without. TransformerLens is installed into the temporary folder by the first run.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import peers

LAYERS, DOSE, NEW = (3, 4, 5, 6, 7), 0.05, 30  # a larger dose makes all say the same word
COUNTS = (1, 16)


def vector() -> Any:
    import torch

    return torch.randn(768, generator=torch.Generator().manual_seed(1))


def prompts(count: int) -> Any:
    return peers.prompts(count)[0]


def ours(count: int) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import torch

        from mi_lib.models.generate import generate
        from mi_lib.steering import add

        model, tokens = peers.our_model(), prompts(count)
        edits = add(vector(), DOSE, LAYERS)

        def run(edits: Any = edits) -> Any:
            with model.hooks(edits):
                return torch.tensor([reply.tokens for reply in generate(model, tokens, max_new_tokens=NEW)])

        assert not torch.equal(run(), run([])), "the edit changes nothing: nothing would be compared"
        assert 2 * len(run().unique(dim=0)) > count, "prompts are replied the same: little would be compared"
        return peers.Subject(run)

    return load


def plain(count: int) -> Callable[[], peers.Subject]:
    """`transformers` alone."""

    def load() -> peers.Subject:
        import torch

        hf, tokens = peers.gpt2(), prompts(count)
        hf.generation_config.pad_token_id = 0
        hf.generation_config.eos_token_id = None
        push = DOSE * vector()
        mask = torch.ones_like(tokens)

        def add(module: Any, args: Any) -> Any:
            return (args[0] + push, *args[1:])

        def run() -> Any:
            with ExitStack() as stack, torch.no_grad():
                for layer in LAYERS:
                    stack.callback(hf.transformer.h[layer].register_forward_pre_hook(add).remove)
                return hf.generate(tokens, attention_mask=mask, max_new_tokens=NEW, do_sample=False)[
                    :, tokens.shape[1] :
                ]

        return peers.Subject(run)

    return load


def lens(count: int) -> Callable[[], peers.Subject]:
    """TransformerLens."""

    def load() -> peers.Subject:
        import torch

        torch.set_grad_enabled(False)
        model, tokens = peers.peer_model(), prompts(count)
        push = DOSE * vector()
        hooks = [(f"blocks.{layer}.hook_resid_pre", lambda value, hook: value + push) for layer in LAYERS]

        options = {"do_sample": False, "stop_at_eos": False, "return_type": "tokens", "verbose": False}

        def run(cache: bool = True) -> Any:
            with model.hooks(hooks):
                out = model.generate(tokens, max_new_tokens=NEW, use_past_kv_cache=cache, **options)
            return out[:, tokens.shape[1] :]

        return peers.Subject(run, lambda cached: (run(cache=False), cached))

    return load


SUBJECTS = {
    f"{who} {count}": make(count)
    for who, make in (("ours", ours), ("plain", plain), ("lens", lens))
    for count in COUNTS
}


def main() -> None:
    import torch

    options = peers.options(*(f"{who} {count}" for who in ("plain", "lens") for count in COUNTS))
    for name in options.subjects:
        who, count = name.split()
        peer, aim = ("", "1, no slower") if who == "plain" else ("transformer-lens", "2")
        a, b = peers.compare(__file__, f"ours {count}", name, options, peer)
        result = b.result[0] if who == "lens" else b.result
        if not torch.equal(a.result, result):
            raise SystemExit(f"{name}: the two sides say other words: {a.result.tolist()} and {result.tolist()}")
        print(f"the same {result.numel()} tokens", flush=True)
        if who == "lens":
            same = (b.result[1] == result).double().mean()
            print(
                f"(with its cache, which is timed, TransformerLens says {same:.0%} of the words that it says without)"
            )
        peers.report(f"{count} prompts, against {who}", a, b, aim)
        rates = " against ".join(f"{int(count) / statistics.median(side.seconds):.2f}" for side in (a, b))
        print(f"{'':<34} {rates} replies a second", flush=True)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        peers.serve(SUBJECTS)
    else:
        main()
