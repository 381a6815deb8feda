"""Side by side with a peer: each subject in a process of its own, taking turns, the peer in an environment of its own.

No benchmark itself; the others here use it. A benchmark gives a subject twice, as a
function of ours and of the peer's. They run in two processes that hold the same random weights, so that neither's
memory nor imports disturb the other's, and take turns in one run, so that a slow minute of the machine meets both.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
PEERS = {"transformer-lens": "transformer-lens==3.9.*", "sae-lens": "sae-lens==6.54.*"}
LENGTH = 15
VOCABULARY = 50_257


def peer_python(peer: str = "transformer-lens") -> str:
    """The Python of an environment in which this peer is installed; made in the temporary folder where it is not.

    Everything at the versions of constraints.txt, so that both sides compute with the same torch. One environment for
    each, since their pins may exclude one another.
    """
    wanted = PEERS[peer]
    name = "mi-course-peers" if peer == "transformer-lens" else f"mi-course-peers-{peer}"
    folder = Path(tempfile.gettempdir()) / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / "ready").exists():
        print(f"installing {wanted} into {folder} …", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        constraints = HERE.parent / "constraints.txt"
        command = [str(python), "-m", "pip", "install", "-q", "-c", str(constraints), wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(
                f"{wanted} could not be installed, so that there is nobody to compare with:\n{done.stderr}"
            )
        (folder / "ready").touch()
    return str(python)


# --- in the process of one side ---------------------------------------------------------------------------------------


def gpt2() -> Any:
    """GPT-2 small with random weights, the same in both processes."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(transformers.GPT2Config()).eval().requires_grad_(False)


def our_model() -> Any:
    from mi_lib.models.transformers_model import TransformersModel

    return TransformersModel(gpt2())


def peer_model(**options: bool) -> Any:
    """The same weights in TransformerLens, unprocessed."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights

    hf = gpt2()
    c = hf.config
    cfg = HookedTransformerConfig(
        n_layers=c.n_layer,
        d_model=c.n_embd,
        n_ctx=c.n_positions,
        d_head=c.n_embd // c.n_head,
        n_heads=c.n_head,
        d_mlp=4 * c.n_embd,
        d_vocab=c.vocab_size,
        act_fn=c.activation_function,
        normalization_type="LN",
        eps=c.layer_norm_epsilon,
        device="cpu",
        **options,
    )
    model = HookedTransformer(cfg)
    state = convert_gpt2_weights(hf, cfg)
    missing = set(dict(model.named_parameters())) - set(state)
    for name in missing:  # GPT-2 has no bias there
        assert name == "unembed.b_U", name
    model.load_state_dict(state, strict=False)
    model.unembed.b_U.data.zero_()
    return model.eval().requires_grad_(False)


def prompts(pairs: int) -> tuple[Any, Any]:
    import torch

    clean, corrupted = torch.randint(VOCABULARY, (2, pairs, LENGTH), generator=torch.Generator().manual_seed(0))
    return clean, corrupted


class Subject(NamedTuple):
    """What is timed, and what makes of its result the form that is compared."""

    run: Callable[[], Any]
    form: Callable[[Any], Any] = lambda result: result


def serve(subjects: dict[str, Callable[[], Subject]]) -> None:
    """The process of one side: what it loads for a subject, then a round for each line it is sent.

    It answers with the seconds and with the file of the result; at the end with the peak of its memory.
    """
    import torch

    name, folder, threads, clock = sys.argv[sys.argv.index("--serve") + 1 :][:4]
    torch.set_num_threads(int(threads))
    now = {"wall": time.perf_counter, "cpu": time.process_time}[clock]
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        run, form = subjects[name]()
        before = _settled()

        def say(value: Any) -> None:
            print(json.dumps(value), file=out, flush=True)

        say("ready")
        for _ in sys.stdin:
            start = now()
            result = run()
            said = {"seconds": now() - start, "loaded": before, "peak": _peak()}
            if not (file := Path(folder) / name).exists():
                torch.save(form(result), file)
            say(said)


def _settled() -> float:
    """MiB held by this process once all is loaded. From here on its peak is counted, where the system lets it."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    return _status("VmRSS") or _peak()


def _peak() -> float:
    """The most that this process has held, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _status(field: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":")), None)


# --- in the process that compares -------------------------------------------------------------------------------------


def options(*subjects: str, quick: bool = False) -> argparse.Namespace:
    """What the command line asks for. quick: there is a smaller form of this benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("subjects", nargs="*", default=list(subjects), help=f"of {', '.join(subjects)}; all if none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="one thread and processor seconds")
    if quick:
        parser.add_argument("--quick", action="store_true", help="a smaller form, one round")
    found = parser.parse_args()
    if quick and found.quick:
        found.rounds = 1
    if unknown := set(found.subjects) - set(subjects):
        parser.error(f"no subject {unknown.pop()!r}; there are {', '.join(subjects)}")
    return found


class Side(NamedTuple):
    """What was measured of one side."""

    seconds: list[float]
    result: Any
    loaded: float
    peak: float


class Process:
    """One side's process."""

    def __init__(self, python: str, script: str, name: str, folder: str, clock: list[str]) -> None:
        self.file = Path(folder) / name
        self.errors = Path(folder) / f"{name}.errors"  # a file: progress bars would fill a pipe that nobody reads
        command = [python, script, "--serve", name, folder, *clock]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=HERE
            )

    def answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise SystemExit(f"{self.file.name} failed:\n{self.errors.read_text()[-3000:]}")
        return json.loads(line)

    def round(self) -> dict[str, float]:
        assert self.process.stdin is not None
        print("go", file=self.process.stdin, flush=True)
        return self.answer()


def compare(
    script: str, ours: str, peers: str, options: argparse.Namespace, peer: str = "transformer-lens"
) -> tuple[Side, Side]:
    """Both sides of one subject, taking turns; the first round of ours is a warm-up that is not counted.

    peer: whose environment the other side needs; "" if ours has all of it.
    """
    import torch

    clock = ["1", "cpu"] if options.cpu else ["2", "wall"]
    with tempfile.TemporaryDirectory() as folder:
        sides = [
            Process(python, script, name, folder, clock)
            for python, name in ((sys.executable, ours), (peer_python(peer) if peer else sys.executable, peers))
        ]
        try:
            for side in sides:
                assert side.answer() == "ready"
            sides[0].round()
            said: list[list[dict[str, float]]] = [[], []]
            for _ in range(options.rounds):
                for side, answers in zip(sides, said, strict=True):
                    answers.append(side.round())
            results = [torch.load(side.file) for side in sides]
        finally:
            for side in sides:
                side.process.kill()
                side.process.wait()
    first, second = (
        Side([one["seconds"] for one in answers], result, answers[-1]["loaded"], answers[-1]["peak"])
        for answers, result in zip(said, results, strict=True)
    )
    return first, second


def same(ours: Any, peers: Any, tolerance: float) -> None:
    """Raise unless both sides have found the same, up to this share of the largest value; zeros say nothing."""
    if ours.shape != peers.shape:
        raise SystemExit(f"the two sides differ in shape: {tuple(ours.shape)} and {tuple(peers.shape)}")
    gap, size = float((ours - peers).abs().max()), float(peers.abs().max())
    if size == 0 or not gap <= tolerance * size:
        raise SystemExit(f"the two sides differ by {gap:.2e}, where the largest value is {size:.2e}")
    print(f"equal outputs: largest difference {gap:.1e} of values up to {size:.3g}", flush=True)


def report(what: str, ours: Side, peers: Side, aim: str) -> None:
    """A line of the table: medians, their ratio, and the memory beyond the loaded model."""
    a, b = (statistics.median(side.seconds) for side in (ours, peers))
    memory = " against ".join(f"{side.peak - side.loaded:,.0f}" for side in (ours, peers))
    total = " against ".join(f"{side.peak:,.0f}" for side in (ours, peers))
    print(f"{what:<34} {a:7.2f} s against {b:7.2f} s   {b / a:5.1f} × (aim: {aim})")
    print(f"{'':<34} rounds {_list(ours.seconds)} against {_list(peers.seconds)}")
    print(f"{'':<34} peak memory above the loaded model {memory} MiB (in all {total})", flush=True)


def _list(seconds: list[float]) -> str:
    return " ".join(f"{one:.2f}" for one in seconds)
