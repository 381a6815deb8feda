"""Values cross as data: what goes out comes back, and nothing that breaks the rules is rebuilt."""

from __future__ import annotations

import io
import json
import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mi_lib
from mi_lib.course.grading import codec, wire
from mi_lib.course.grading.crossing import ByName, Handle, from_judge, from_learner, to_judge, to_learner
from mi_lib.models import ActivationCache, Hook, Transformer, TransformerConfig
from mi_lib.models.vision import ConvNet, ConvNetConfig, VisionModel
from mi_lib.models.vision.loading import wrapped


def over_the_wire(message: wire.Message) -> wire.Message:
    stream = io.BytesIO(b"".join(bytes(piece) for piece in wire.pack(message)))
    return wire.read(stream.read)


def to_the_learner(value):
    return codec.decode(over_the_wire(codec.encode(value, from_judge)), to_learner({}))


def to_the_judge(value):
    return codec.decode(over_the_wire(codec.encode(value, from_learner(lambda _: 1))), to_judge(lambda *_: None))


def same(a, b) -> bool:
    """Equal in type, dtype, shape and every bit that matters (NaN equals NaN)."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(codec_bits(a), codec_bits(b)) and a.shape == b.shape
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    return a == b


def codec_bits(x: torch.Tensor) -> torch.Tensor:
    return torch.tensor(list(codec.raw_bytes(x.detach().contiguous())), dtype=torch.uint8)


NUMPY = st.sampled_from(sorted(codec.NUMPY_DTYPES)).map(np.dtype)
ARRAYS = NUMPY.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
KEYS = st.one_of(
    st.integers(), st.text(max_size=4), st.booleans(), st.none(), st.tuples(st.integers(), st.text(max_size=2))
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(max_size=8))
LEAVES = st.one_of(SCALARS, st.binary(max_size=8), st.frozensets(KEYS, max_size=3), st.slices(9), ARRAYS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(VALUES)
def test_plain_values_come_back_exactly(value):
    assert same(to_the_judge(value), value)
    assert same(to_the_learner(value), value)


@pytest.mark.parametrize("name", sorted(codec.TORCH_DTYPES))
def test_tensors_of_every_dtype_come_back(name):
    x = torch.arange(6).reshape(2, 3).to(codec.TORCH_DTYPES[name])
    assert same(to_the_judge(x), x)


def test_nan_and_infinities_come_back():
    x = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0])
    assert same(to_the_judge(x), x)
    assert same(to_the_judge(x.bfloat16()), x.bfloat16())


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0, 4), (1,)])
def test_empty_and_zero_dimensional_tensors_keep_their_shape(shape):
    assert to_the_judge(torch.zeros(shape)).shape == torch.Size(shape)
    assert to_the_judge(np.zeros(shape)).shape == shape


def test_views_come_back_as_their_values():
    base = torch.arange(24.0).reshape(2, 3, 4)
    for view in (
        base.transpose(0, 2),
        base[:, ::2],
        base[..., 1],
        base[:1].expand(5, 3, 4),
        torch.view_as_complex(torch.ones(3, 2)).conj(),
    ):
        assert torch.equal(to_the_judge(view), view)


def test_tensors_arrive_detached_and_parameters_as_plain_tensors():
    got = to_the_judge(torch.nn.Parameter(torch.ones(2)) * 3)
    assert type(got) is torch.Tensor
    assert not got.requires_grad
    assert type(to_the_judge(torch.nn.Parameter(torch.ones(2)))) is torch.Tensor


def test_a_subclass_of_a_builtin_arrives_as_the_builtin():
    class Sly(int):
        def __eq__(self, other):
            return True

        __hash__ = int.__hash__

    assert type(to_the_judge(Sly(3))) is int
    assert type(to_the_judge(torch.ones(2, 3).max(dim=0))) is tuple


def test_an_object_stays_behind_a_handle():
    class Anything:
        pass

    got = to_the_judge([Anything(), len])
    assert [type(g) for g in got] == [Handle, Handle]
    assert [g.type_name for g in got] == ["Anything", "builtin_function_or_method"]


def test_the_judge_refuses_to_pass_what_it_cannot():
    with pytest.raises(codec.CannotCross, match="a function cannot be passed"):
        codec.encode(test_an_object_stays_behind_a_handle, from_judge)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({torch.ones(1): 1}, "as keys"),
        (torch.ones(2, device="meta"), "cannot be handed over"),
        (10**4000, "digits"),
    ],
)
def test_what_has_no_form_as_data_is_told_in_a_sentence(value, sentence):
    with pytest.raises(codec.CannotCross, match=sentence):
        to_the_judge(value)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "an unknown kind": ({"t": "pickle", "b": 0}, [pickle.dumps(1)]),
    "a library name, which only the judge may send": ({"t": "lib", "name": "mi_lib.zoo:names"}, []),
    "a model by name, which only the judge may send": ({"t": "source", "name": "x", "step": None}, []),
    "a shape larger than its bytes": ({"t": "tensor", "dtype": "float32", "shape": [10**9], "b": 0}, [b"1234"]),
    "a negative shape": ({"t": "tensor", "dtype": "float32", "shape": [-1], "b": 0}, [b"1234"]),
    "an absurd shape of nothing": ({"t": "tensor", "dtype": "float32", "shape": [0, 2**62, 2**62], "b": 0}, [b""]),
    "a shape that is a text": ({"t": "tensor", "dtype": "float32", "shape": "11", "b": 0}, [b"1234"]),
    "an unknown dtype": ({"t": "tensor", "dtype": "object", "shape": [1], "b": 0}, [b"12345678"]),
    "a dtype that is a list": ({"t": "array", "dtype": ["float32"], "shape": [1], "b": 0}, [b"1234"]),
    "a buffer that is not there": ({"t": "bytes", "b": 7}, []),
    "a negative buffer": ({"t": "bytes", "b": -1}, [b"secret"]),
    "too deep a value": (nested(60), []),
    "a dict with a list as key": ({"t": "dict", "v": [[[1], 2]]}, []),
    "a dict that is no pairs": ({"t": "dict", "v": [1, 2]}, []),
    "a value without a kind": ({"x": 1}, []),
    "a handle without a number": ({"t": "handle", "id": "0", "type": "x"}, []),
    "a model of absurd size": (
        {"t": "model", "weights": {"t": "dict", "v": []}, "config": {"t": "dict", "v": [
            ["n_layers", 1], ["d_model", 2**40], ["n_heads", 2**20], ["d_head", 2**20], ["d_vocab", 2**40],
            ["n_ctx", 2**40], ["d_mlp", 0]]}}, []),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_the_judge_rebuilds_nothing_that_breaks_the_rules(case):
    body, buffers = HOSTILE[case]
    with pytest.raises(codec.BadData):
        codec.decode(wire.Message(body, buffers), to_judge(lambda *_: None))


def test_a_bool_tensor_with_strange_bytes_becomes_true_and_false():
    node = {"t": "tensor", "dtype": "bool", "shape": [3], "b": 0}
    got = codec.decode(wire.Message(node, [b"\x00\x07\xff"]), to_judge(lambda *_: None))
    assert got.tolist() == [False, True, True]


@pytest.mark.parametrize(
    "frame",
    [
        wire.HEADER.pack(2**40, 0),
        wire.HEADER.pack(2, 2**50) + b"{}",
        wire.HEADER.pack(2, 0) + b"{}",
        wire.HEADER.pack(3, 0) + b"\xff\xfe\xfd",
        wire.HEADER.pack(200_000, 0) + b"[" * 200_000,
        wire.HEADER.pack(24, 1) + json.dumps({"body": 1, "sizes": [2]}).encode() + b"x",
        wire.HEADER.pack(27, 1) + json.dumps({"body": 1, "sizes": [2, -1]}).encode() + b"x",
    ],
)
def test_a_frame_that_breaks_the_rules_is_refused_before_it_is_believed(frame):
    with pytest.raises(wire.WireError):
        wire.read(io.BytesIO(frame).read)


def test_pickle_and_eval_appear_nowhere_in_the_engine():
    folder = Path(codec.__file__).parent
    for file in folder.glob("*.py"):
        if file.name == "glance.py":
            continue  # it runs in the learner's process alone: see the next test
        text = file.read_text()
        for word in ("import pickle", "torch.load", "allow_pickle", "eval(", "marshal", "import dill"):
            assert word not in text.replace(".eval()", ""), f"{word} in {file.name}"


def test_what_evaluates_a_learners_lines_is_imported_in_the_learners_process_alone():
    course = Path(codec.__file__).parents[1]
    imports = re.compile(r"^\s*(?:from|import) .*\bglance\b", re.MULTILINE)
    assert [file.name for file in course.rglob("*.py") if imports.search(file.read_text())] == ["session.py"]


TINY = TransformerConfig(n_layers=1, d_model=4, n_heads=2, d_head=2, d_vocab=5, n_ctx=6)


def test_a_native_model_crosses_both_ways_with_its_weights():
    model = Transformer(TINY).init_weights(0)
    tokens = torch.tensor([[0, 1, 2]])
    there = to_the_learner(model)
    back = to_the_judge(there)
    assert type(back) is Transformer
    assert torch.equal(there(tokens), model(tokens))
    assert torch.equal(back(tokens), model(tokens))


def test_a_learners_model_whose_weights_do_not_fit_is_told_which():
    model = Transformer(TINY)
    model.W_U = torch.nn.Parameter(torch.zeros(5, 4))
    with pytest.raises(codec.CannotCross, match=r"its weight W_U has shape \(5, 4\), but its config says \(4, 5\)"):
        to_the_judge(model)


def test_hooks_and_caches_cross_to_the_learner():
    hook, cache = to_the_learner((Hook("blocks.0.attn.hook_z"), ActivationCache({"hook_embed": torch.ones(1)}, 2)))
    assert (hook.name, hook.layer) == ("blocks.0.attn.hook_z", 0)
    assert cache["embed"].tolist() == [1.0]


@pytest.mark.parametrize(
    "name", ["os:system", "mi_lib.zoo", "mi_lib.zoo:_HERE", "mi_lib.course.solutions:solution", "mi_libx:y"]
)
def test_only_public_library_functions_have_a_name_to_cross_by(name):
    with pytest.raises(ValueError, match=r"mi_lib|library"):
        ByName(name)


def test_what_crosses_by_name_is_called_as_it_stands_where_nothing_crosses():
    """As where the reference, which is code of the course, draws a figure."""
    assert ByName("mi_lib.zoo:names")() == mi_lib.zoo.names()


def saved(folder: Path) -> Transformer:
    Transformer(TINY).init_weights(0).save(folder)
    return mi_lib.load(str(folder))


def test_a_loaded_model_crosses_by_name_and_each_call_gets_a_fresh_one(tmp_path):
    model = saved(tmp_path)
    message = codec.encode(model, from_judge)
    assert message.body["t"] == "source"
    assert message.buffers == []
    other = to_learner({})
    first = codec.decode(message, other)
    with torch.no_grad():
        first.W_E.zero_()
    second = codec.decode(message, other)
    assert torch.equal(second.W_E, model.W_E)
    _, cache = second.run_with_cache(torch.tensor([[0, 1]]), names="blocks.0.attn.hook_pattern")
    assert cache["pattern", 0].shape == (1, 2, 2, 2)  # the copy's parts speak to the copy


def test_a_loaded_model_whose_weights_a_test_changed_crosses_with_them(tmp_path):
    model = saved(tmp_path)
    with torch.no_grad():
        model.W_U[0, 0] += 1
    assert codec.encode(model, from_judge).body["t"] == "model"
    assert torch.equal(to_the_learner(model).W_U, model.W_U)


def test_an_image_network_crosses_with_its_weights_and_another_module_does_not():
    config = ConvNetConfig((4, 5), (3, 3), (1, 2), ("disc", "bar"), 8, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    model = wrapped(ConvNet(config).init_weights(0), "sight")
    got, images = to_the_learner(model), torch.rand(2, 3, 8, 8)
    assert torch.equal(got.logits(images), model.logits(images))
    assert (got.classes, got.size, got.source) == (["disc", "bar"], 8, "sight")
    assert not any(p.requires_grad for p in got.module.parameters())
    with pytest.raises(codec.CannotCross, match="a VisionModel around a Flatten cannot be handed over"):
        to_the_learner(VisionModel(torch.nn.Flatten()))
