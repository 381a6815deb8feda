"""Whether dictionaries survive the way to SAELens and back: each side loads what the other has written.

    python benchmarks/saelens_files.py

SAELens is installed into the temporary folder by the first run. Every kind, with weights in which every part counts and
rows that are not of length 1; activations and reconstructions of the same inputs must agree to 1e-5 of the largest.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import peers

D, N, K, TOLERANCE = 16, 48, 5, 1e-5
SITE = "blocks.1.hook_resid_pre"


def numbers(*shape: int, seed: int) -> Any:
    import torch

    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shake(sae: Any) -> Any:
    """Every weight moved, so that one that is forgotten shows. (What must be positive stays so.)"""
    import torch

    with torch.no_grad():
        for i, (name, weight) in enumerate(sorted(sae.state_dict().items())):
            moved = 0.2 * numbers(*weight.shape, seed=i).to(weight)
            weight.add_(moved.abs() if "threshold" in name else moved)
    return sae


# --- on their side ----------------------------------------------------------------------------------------------------


def theirs(folder: Path) -> None:
    """Load what we have written; write each of their kinds, as it is in training and for inference."""
    import sae_lens
    import torch
    from safetensors.torch import load_file, save_file

    x = load_file(folder / "x.safetensors")["x"]

    def note(sae: Any, file: Path) -> None:
        with torch.no_grad():
            f = sae.encode(x)
            save_file({"f": f.contiguous(), "out": sae.decode(f).contiguous()}, file)

    for path in sorted((folder / "ours").iterdir()):
        note(sae_lens.SAE.load_from_disk(path), folder / f"ours {path.name}.theirs")
    sizes: dict[str, Any] = {"d_in": D, "d_sae": N, "apply_b_dec_to_input": True}
    apart = {**sizes, "apply_b_dec_to_input": False}
    widths = [16, N]
    made = {
        "standard": sae_lens.StandardSAE(sae_lens.StandardSAEConfig(**sizes)),
        "standard, b_dec apart": sae_lens.StandardSAE(sae_lens.StandardSAEConfig(**apart)),
        "gated": sae_lens.GatedSAE(sae_lens.GatedSAEConfig(**sizes)),
        "gated, b_dec apart": sae_lens.GatedSAE(sae_lens.GatedSAEConfig(**apart)),
        "jumprelu": sae_lens.JumpReLUSAE(sae_lens.JumpReLUSAEConfig(**sizes)),
        "jumprelu, b_dec apart": sae_lens.JumpReLUSAE(sae_lens.JumpReLUSAEConfig(**apart)),
        "topk": sae_lens.TopKSAE(sae_lens.TopKSAEConfig(**sizes, k=K)),
        "topk, rescaled": sae_lens.TopKSAE(sae_lens.TopKSAEConfig(**apart, k=K, rescale_acts_by_decoder_norm=True)),
    }
    for name, sae in made.items():
        shake(sae).save_model(folder / "theirs" / name)
        note(sae, folder / f"{name}.theirs")
    training = {
        "standard, in training": sae_lens.StandardTrainingSAE(sae_lens.StandardTrainingSAEConfig(**sizes)),
        "gated, in training": sae_lens.GatedTrainingSAE(sae_lens.GatedTrainingSAEConfig(**sizes)),
        "jumprelu, in training": sae_lens.JumpReLUTrainingSAE(sae_lens.JumpReLUTrainingSAEConfig(**sizes)),
        "topk, in training": sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(**sizes, k=K)),
        "batchtopk, in training": sae_lens.BatchTopKTrainingSAE(sae_lens.BatchTopKTrainingSAEConfig(**sizes, k=K)),
        "matryoshka, in training": sae_lens.MatryoshkaBatchTopKTrainingSAE(
            sae_lens.MatryoshkaBatchTopKTrainingSAEConfig(**sizes, k=K, matryoshka_widths=widths)
        ),
    }
    for name, sae in training.items():
        shake(sae).save_model(folder / "theirs" / name)
        inference = name.replace("in training", "for inference")
        sae.save_inference_model(folder / "theirs" / inference)
        note(sae_lens.SAE.load_from_disk(folder / "theirs" / inference), folder / f"{inference}.theirs")
        (folder / f"{name}.theirs").write_bytes((folder / f"{inference}.theirs").read_bytes())  # the same function


# --- on ours ----------------------------------------------------------------------------------------------------------


def ours() -> dict[str, Any]:
    from mi_lib import saes

    return {
        "relu": saes.ReLU(D, N),
        "gated": saes.Gated(D, N),
        "topk": saes.TopK(D, N, k=K),
        "batch_topk": saes.BatchTopK(D, N, k=K),
        "jumprelu": saes.JumpReLU(D, N),
        "matryoshka": saes.Matryoshka(D, N, k=K, prefixes=[16, N]),
    }


def main() -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from mi_lib.saes.saelens import load_saelens, save_saelens

    x = numbers(200, D, seed=100)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_file({"x": x}, folder / "x.safetensors")
        written = {name: shake(sae).eval().requires_grad_(False) for name, sae in ours().items()}
        for name, sae in written.items():
            save_saelens(sae, folder / "ours" / name, model="gpt2", site=SITE, density=torch.full((N,), 0.1))
        command = [peers.peer_python("sae-lens"), __file__, "--theirs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"SAELens could not read or write:\n{done.stderr[-3000:]}")
        worst = 0.0

        def compare(what: str, sae: Any, file: Path) -> None:
            nonlocal worst
            wanted, f = load_file(file), sae.encode(x)
            gaps = [
                float((a - b).abs().max() / b.abs().max())
                for a, b in ((f, wanted["f"]), (sae.decode(f), wanted["out"]))
            ]
            active = float((wanted["f"] > 0).float().mean())
            print(f"{what:<56} {sae.kind:<12} gaps {gaps[0]:.1e} {gaps[1]:.1e}, {active:.0%} of the latents active")
            if not max(gaps) <= TOLERANCE:
                raise SystemExit(f"{what}: the two sides differ")
            worst = max(worst, *gaps)

        for name, sae in written.items():
            compare(f"written here, read there: {name}", sae, folder / f"ours {name}.theirs")
        for path in sorted((folder / "theirs").iterdir()):
            compare(f"written there, read here: {path.name}", load_saelens(path).sae, folder / f"{path.name}.theirs")
        print(f"all agree; the largest difference is {worst:.1e} of the largest value (aim: {TOLERANCE:g})")


if __name__ == "__main__":
    if "--theirs" in sys.argv:
        theirs(Path(sys.argv[sys.argv.index("--theirs") + 1]))
    else:
        main()
