"""A training that stops, and goes on as if it had not; what it tells meanwhile; and files that it refuses."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import signal
import threading

import pytest
import torch
from rich.console import Console
from rich.progress import Progress
from safetensors import safe_open
from safetensors.torch import save_file

from mi_lib import Transformer, TransformerConfig, saes
from mi_lib.models.errors import LoadError
from mi_lib.saes import checkpoints

STEPS, STOP = 60, 37
MAKE = {
    "relu": lambda: saes.ReLU(16, 24, l1=0.4),
    "gated": lambda: saes.Gated(16, 24, l1=0.8),
    "topk": lambda: saes.TopK(16, 24, k=3),
    "batch_topk": lambda: saes.BatchTopK(16, 24, k=3),
    "jumprelu": lambda: saes.JumpReLU(16, 24, l0=0.3),
    "matryoshka": lambda: saes.Matryoshka(16, 24, k=3, prefixes=[8, 24]),
}


@pytest.fixture(scope="module")
def model():
    config = TransformerConfig(n_layers=2, d_model=16, n_heads=2, d_head=8, d_vocab=19, n_ctx=16, norm="layernorm")
    return Transformer(config).init_weights(0).requires_grad_(False)


TOKENS = torch.randint(0, 19, (40, 12), generator=torch.Generator().manual_seed(0))


def data(kind, model):
    if kind == "tensor":
        return model.run_with_cache(TOKENS, names=("resid_post", 0))[1]["resid_post", 0].flatten(0, 1)
    return saes.ActivationStream(model, ("resid_post", 0), list(TOKENS.split(3)), batch=32, memory=0.1)


def fit(name, data, file=None, on_step=None, steps=STEPS, **options):
    """A short training in which latents are made to die, early and shortly before `STOP`."""
    sae = MAKE[name]()

    def kill(report):
        if report.step in (3, STOP - 7):
            sae.b_enc.data[:5] = -3
        if on_step is not None:
            on_step(report)

    options = {"batch": 32, "dead_after": 100, "resample_every": 10, "warmup": 5, "penalty_warmup": 20} | options
    return saes.train(sae, data, steps, checkpoint=file, on_step=kill, **options)


def stop_at(step):
    def on_step(report):
        if report.step == step:
            raise KeyboardInterrupt

    return on_step


def same(a, b):
    return all(torch.equal(one, b.state_dict()[name]) for name, one in a.state_dict().items())


@pytest.mark.parametrize("kind", ["tensor", "stream"])
@pytest.mark.parametrize("name", MAKE)
def test_stopped_and_gone_on_is_the_same_as_in_one_go_bit_for_bit(name, kind, model, tmp_path):
    file, seen, every = tmp_path / "training", [], []
    whole = fit(name, data(kind, model), on_step=every.append)
    with pytest.raises(KeyboardInterrupt):
        fit(name, data(kind, model), file, stop_at(STOP))
    resumed = fit(name, data(kind, model), file, seen.append)
    assert [report.step for report in seen] == list(range(STOP + 1, STEPS))
    assert same(resumed, whole)
    assert resumed.history == whole.history
    assert seen == every[STOP + 1 :]
    assert every[STOP].dead >= 5, "else nothing was tested of what brings them back"
    assert every[STOP + 10].dead < every[STOP].dead or whole.revives


@pytest.mark.parametrize("forgotten", ["optimizer.", "silent", "generator", "source."])
def test_each_thing_that_is_kept_is_needed(forgotten, model, tmp_path):
    """The control: whoever forgets one of them ends elsewhere."""
    file = tmp_path / "training"
    whole = fit("relu", data("stream", model))
    with pytest.raises(KeyboardInterrupt):
        fit("relu", data("stream", model), file, stop_at(STOP))
    kept = shutil.copy(file, tmp_path / "kept")
    read = checkpoints.read_checkpoint

    def forget(path, about):
        tensors, progress = read(kept, about)
        for key in [key for key in tensors if key.startswith(forgotten)]:
            new = torch.Generator().manual_seed(1).get_state() if "generator" in key else torch.zeros_like(tensors[key])
            tensors[key] = tensors[key] if key == "source.slots" else new
        return tensors, progress

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mi_lib.saes.training.read_checkpoint", forget)
        assert not same(fit("relu", data("stream", model), file), whole)
    assert same(fit("relu", data("stream", model), kept), whole)


def test_ctrl_c_in_the_middle_of_a_step_takes_effect_at_its_end(model, tmp_path, monkeypatch):
    file, steps = tmp_path / "training", itertools.count()
    whole = fit("topk", data("tensor", model))
    project = saes.TopK.project_gradient

    def press(self):
        if next(steps) == STOP:
            os.kill(os.getpid(), signal.SIGINT)
        project(self)

    monkeypatch.setattr(saes.TopK, "project_gradient", press)
    with pytest.raises(KeyboardInterrupt):
        fit("topk", data("tensor", model), file)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    seen = []
    assert same(fit("topk", data("tensor", model), file, seen.append), whole)
    assert seen[0].step == STOP + 1


def test_whoever_presses_twice_is_obeyed_at_once_and_the_last_checkpoint_stays(model, tmp_path, monkeypatch):
    file, steps = tmp_path / "training", itertools.count()
    project, sae = saes.TopK.project_gradient, saes.TopK(16, 24, k=3)

    def press(self):
        if next(steps) == STOP:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        project(self)

    monkeypatch.setattr(saes.TopK, "project_gradient", press)
    with pytest.raises(KeyboardInterrupt):
        saes.train(sae, data("tensor", model), STEPS, batch=32, checkpoint=file, save_every=10)
    monkeypatch.undo()
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(24), atol=1e-6)
    seen = []
    saes.train(saes.TopK(16, 24, k=3), data("tensor", model), STEPS, batch=32, checkpoint=file, on_step=seen.append)
    assert seen[0].step == 30


def test_in_another_thread_signals_are_left_alone(model):
    done = []
    thread = threading.Thread(target=lambda: done.append(fit("relu", data("tensor", model), steps=3)))
    thread.start()
    thread.join()
    assert len(done) == 1


def test_a_training_that_has_ended_gives_its_dictionary_back(model, tmp_path):
    file, seen = tmp_path / "training", []
    first = fit("gated", data("tensor", model), file)
    assert same(fit("gated", data("tensor", model), file, seen.append), first)
    assert seen == []
    assert os.listdir(tmp_path) == ["training"]


def test_batches_as_they_come_go_on_where_they_were_if_the_same_ones_are_given(model, tmp_path):
    file, batches = tmp_path / "training", list(data("tensor", model).repeat(5, 1).split(32))
    whole = fit("topk", iter(batches))
    with pytest.raises(KeyboardInterrupt):
        fit("topk", iter(batches), file, stop_at(STOP))
    assert same(fit("topk", iter(batches), file), whole)


def test_a_stream_that_ends_leaves_the_last_checkpoint_from_which_a_longer_one_goes_on(model, tmp_path):
    file, batches = tmp_path / "training", list(data("tensor", model).repeat(5, 1).split(32))
    with pytest.raises(ValueError, match="ended after 40 of 60"):
        fit("topk", iter(batches[:40]), file, save_every=15)
    assert same(fit("topk", iter(batches), file), fit("topk", iter(batches)))


# --- what it tells ----------------------------------------------------------------------------------------------------


def test_a_history_is_kept_of_every_20th_step_and_of_the_last(model):
    x, seen = data("tensor", model), []
    sae = fit("topk", x, on_step=seen.append, steps=50)
    assert [report.step for report in sae.history] == [0, 20, 40, 49]
    assert [seen[report.step] for report in sae.history] == sae.history
    assert sae.history[-1].l0 == pytest.approx(3, abs=0.1)
    assert sae.history[-1].fve == pytest.approx(saes.fve(x, sae(x)), abs=0.1)
    assert sae.history[-1].error < sae.history[0].error


def test_nothing_is_printed_unless_a_bar_is_asked_for(model, capfd):
    fit("topk", data("tensor", model))
    assert capfd.readouterr() == ("", "")
    out = io.StringIO()
    bar = Progress(console=Console(file=out, force_terminal=True, width=100))
    with bar:
        fit("topk", data("tensor", model), progress=bar)
    assert bar.tasks[0].completed == STEPS
    assert "FVE 0." in out.getvalue()
    assert "L0 3" in out.getvalue()
    fit("topk", data("tensor", model), progress=True)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", MAKE)
def test_matrices_may_be_multiplied_in_bfloat16_and_all_that_is_kept_stays_in_float32(name, model):
    x = data("tensor", model)
    single, half = fit(name, x, steps=100), fit(name, x, steps=100, matmuls="bfloat16")
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.float32}
    assert torch.allclose(half.W_dec.norm(dim=1), torch.ones(24), atol=1e-6)
    assert not same(single, half), "else nothing was multiplied in bfloat16"
    assert saes.fve(x, half(x)) == pytest.approx(saes.fve(x, single(x)), abs=0.05)


# --- what it refuses --------------------------------------------------------------------------------------------------


@pytest.fixture
def file(model, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit("topk", data("tensor", model), tmp_path / "training", stop_at(STOP))
    return tmp_path / "training"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "relu"}, "dictionary = topk, not relu"),
        ({"lr": 1e-2}, "lr = 0.003, not 0.01"),
        ({"steps": 70}, "steps = 60, not 70"),
        ({"kind": "stream"}, "data's"),
        ({"shift": 1.0}, "data's checksum"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(file, model, options, said):
    before = file.read_bytes()
    options = dict(options)
    name, kind, shift = options.pop("name", "topk"), options.pop("kind", "tensor"), options.pop("shift", 0)
    activations = data(kind, model)
    with pytest.raises(LoadError, match=said) as told:
        fit(name, activations + shift if shift else activations, file, **options)
    assert "\n" not in str(told.value)
    assert file.read_bytes() == before


def damaged(path, how):
    raw = bytearray(path.read_bytes())
    if how == "flipped":
        raw[-20] ^= 4
    elif how == "foreign":
        save_file({"a": torch.zeros(1)}, path)
        return
    elif how == "no checkpoint":
        saes.save_dictionary(saes.TopK(16, 24, k=3), path)
        return
    elif how == "header":
        with safe_open(path, "pt") as old:
            header, tensors = old.metadata(), {name: old.get_tensor(name) for name in old.keys()}  # noqa: SIM118
        save_file(tensors, path, {**header, "progress": header["progress"].replace('"step": 3', '"step": 1')})
        return
    path.write_bytes(raw[: {"empty": 0, "cut": len(raw) // 2}.get(how, len(raw))])


@pytest.mark.parametrize("how", ["flipped", "foreign", "no checkpoint", "header", "empty", "cut"])
def test_a_damaged_or_foreign_checkpoint_is_refused_and_the_dictionary_is_as_it_was(file, model, how):
    damaged(file, how)
    sae = saes.TopK(16, 24, k=3)
    with pytest.raises(LoadError, match=r"training is (damaged|not a checkpoint)") as told:
        saes.train(sae, data("tensor", model), STEPS, batch=32, checkpoint=file)
    assert "\n" not in str(told.value)
    assert same(sae, saes.TopK(16, 24, k=3))


def test_whoever_is_cut_off_while_writing_leaves_the_checkpoint_before(file, model, monkeypatch):
    before = file.read_bytes()

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        fit("topk", data("tensor", model), file, save_every=1)
    assert file.read_bytes() == before
    assert os.listdir(file.parent) == [file.name]


def test_other_numbers_than_two_kinds_are_refused(model):
    with pytest.raises(ValueError, match="float32"):
        fit("topk", data("tensor", model), matmuls="float16")
