"""What replies under edits cost: a vector added at some blocks while GPT-2 small goes on from prompts, and a direction
taken out at every write while Pico answers requests.

    python benchmarks/generation_under_edits.py           # two threads, on a machine that does nothing else
    python benchmarks/generation_under_edits.py --cpu     # one thread, processor seconds: on a machine that is busy
    python benchmarks/generation_under_edits.py "plain 1" --rounds 1

GPT-2 has random weights; 1 prompt and 16, of 15 tokens, 30 new tokens each, the likeliest ones; a vector is added to
what enters five blocks, at every position. Against the same in plain `transformers`, with forward hooks on the blocks,
and in TransformerLens, with hooks on `hook_resid_pre`; all of them keep keys and values. The same tokens are asserted,
and that without the edit there are others. TransformerLens says other words with its cache than without; it is timed
with, and compared without. TransformerLens is installed into the temporary folder by the first run.

Pico answers 16 and 128 requests of unlike length, as `steering.replies` and as the `generate` of `transformers` with
hooks on every block, attention and MLP, to the end of each reply or 24 tokens; what is compared is the tokens.
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
MANY, WORDS = (16, 128), 24  # requests to Pico, and tokens of a reply


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


# --- Pico, a direction taken out at every write -----------------------------------------------------------------------


def asked(count: int) -> list[str]:
    from mi_lib.worlds.littletown import talk

    return [case.user for case in talk.harmless_requests("held_out", count, 5)]


def direction() -> Any:
    """Of no meaning, so that replies stay replies."""
    import torch

    drawn = torch.randn(192, generator=torch.Generator().manual_seed(3))
    return drawn / drawn.norm()


def our_ablation(count: int) -> Callable[[], peers.Subject]:
    def load() -> peers.Subject:
        import mi_lib
        from mi_lib import steering

        model = mi_lib.load("pico", check=False)
        rows, edits = steering.chat(model, asked(count)), steering.ablate(direction())

        def run(edits: Any = edits) -> Any:
            return [one.tokens for one in steering.replies(model, rows, edits, longest=WORDS, batch=count)]

        assert run() != run([]), "the edit changes nothing: nothing would be compared"
        return peers.Subject(run, lambda said: padded(said, model.tokenizer.pad_token_id))

    return load


def plain_ablation(count: int) -> Callable[[], peers.Subject]:
    """`transformers` alone."""

    def load() -> peers.Subject:
        import torch
        import transformers

        from mi_lib import zoo

        folder = zoo.folder("pico")
        hf = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left")
        unit = direction()

        def without(value: Any) -> Any:
            return value - (value @ unit)[..., None] * unit

        def entering(module: Any, args: Any) -> Any:
            return (without(args[0]), *args[1:])

        def leaving(module: Any, args: Any, out: Any) -> Any:
            return (without(out[0]), *out[1:]) if isinstance(out, tuple) else without(out)

        def run() -> Any:
            turns = [[{"role": "user", "content": text}] for text in asked(count)]
            read = tokenizer.apply_chat_template(
                turns, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
            )
            with ExitStack() as stack, torch.no_grad():
                for block in hf.transformer.h:
                    stack.callback(block.register_forward_pre_hook(entering).remove)
                    stack.callback(block.attn.register_forward_hook(leaving).remove)
                    stack.callback(block.mlp.register_forward_hook(leaving).remove)
                out = hf.generate(**read, max_new_tokens=WORDS, do_sample=False)
            new = out[:, read["input_ids"].shape[1] :]
            tokenizer.batch_decode(new)  # ours are words and texts too
            return new

        return peers.Subject(run, lambda new: padded(new.tolist(), tokenizer.pad_token_id))

    return load


def padded(rows: list[list[int]], padding: int) -> Any:
    """Replies, filled up on the right."""
    import torch

    return torch.tensor([[*row, *[padding] * (WORDS - len(row))] for row in rows])


SUBJECTS = {
    f"{who} {count}": make(count)
    for who, make in (("ours", ours), ("plain", plain), ("lens", lens))
    for count in COUNTS
} | {
    f"{who} {count}": make(count)
    for who, make in (("ours-ablated", our_ablation), ("ablated", plain_ablation))
    for count in MANY
}


def main() -> None:
    import torch

    options = peers.options(
        *(f"{who} {count}" for who in ("plain", "lens") for count in COUNTS), *(f"ablated {count}" for count in MANY)
    )
    for name in options.subjects:
        who, count = name.split()
        peer, aim = ("transformer-lens", "2") if who == "lens" else ("", "1, no slower")
        ours_ = f"ours-ablated {count}" if who == "ablated" else f"ours {count}"
        a, b = peers.compare(__file__, ours_, name, options, peer)
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
