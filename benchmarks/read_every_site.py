"""What reading costs: every site of a model against a plain eager forward pass, and a patching sweep in batches.

    python benchmarks/read_every_site.py            # random GPT-2-small weights, two threads, about a minute
    python benchmarks/read_every_site.py --cpu      # one thread, processor seconds: on a machine that is busy

Equal outputs are asserted before anything is timed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable

import torch

from mi_lib import load

clock = time.process_time if "--cpu" in sys.argv else time.perf_counter


def best_of(run: Callable[[], object], repeats: int = 5) -> float:
    """The fastest of several runs, in seconds: the one that was disturbed least."""
    times = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times)


def main() -> None:
    import transformers

    torch.set_num_threads(1 if "--cpu" in sys.argv else 2)
    transformers.utils.logging.set_verbosity_error()
    config = transformers.GPT2Config()
    with tempfile.TemporaryDirectory() as folder:
        transformers.GPT2LMHeadModel(config).save_pretrained(folder)
        model = load(folder)
        plain = transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    tokens = torch.randint(0, config.vocab_size, (4, 64), generator=torch.Generator().manual_seed(0))
    names = None  # all but what is asked for by name (hook_result and the inputs of heads), as in TransformerLens
    sites = len(model.run_with_cache(tokens[:1, :2])[1])
    with torch.no_grad():
        expected = plain(input_ids=tokens, use_cache=False).logits
        assert torch.allclose(model.run_with_cache(tokens, names)[0], expected, atol=1e-3)
        fused = best_of(lambda: model(tokens))
        eager = best_of(lambda: plain(input_ids=tokens, use_cache=False))
        every = best_of(lambda: model.run_with_cache(tokens, names))
    print(f"plain eager forward          {eager * 1e3:8.1f} ms")
    print(f"fused forward                {fused * 1e3:8.1f} ms")
    print(f"reading {sites:3d} sites            {every * 1e3:8.1f} ms   {every / eager:.2f} × (aim: at most 1.10)")

    clean, corrupt = tokens[:1, :15], tokens[1:2, :15]
    _, cache = model.run_with_cache(clean, [("resid_pre", layer) for layer in range(model.cfg.n_layers)])

    def patch(layer: int, position: int):
        def edit(value, hook):
            value = value.clone()
            value[:, position] = cache["resid_pre", layer][:, position]
            return value

        return ("resid_pre", layer), edit

    edits = [patch(layer, position) for layer in range(model.cfg.n_layers) for position in range(15)]
    with torch.no_grad():
        one_by_one = torch.stack([model.run_with_hooks(corrupt, [edit], logits_to_keep=1)[0, 0] for edit in edits])
        batched = model.run_edits(corrupt, edits, logits_to_keep=1)[:, 0]
        assert torch.allclose(one_by_one, batched, atol=1e-3)
        slow = best_of(lambda: [model.run_with_hooks(corrupt, [edit], logits_to_keep=1) for edit in edits], repeats=1)
        fast = best_of(lambda: model.run_edits(corrupt, edits, logits_to_keep=1), repeats=2)
    print(f"patching 12 × 15, one by one {slow:8.2f} s")
    print(f"patching 12 × 15, run_edits  {fast:8.2f} s    {slow / fast:.1f} × faster")


if __name__ == "__main__":
    main()
