"""Hidden tests of chapter 13: other sizes, a trained network, units of another seed. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from mi_lib import features
from mi_lib.course import findings, index
from mi_lib.course.grading import expect, expect_close, grades
from mi_lib.models.vision import VisionModel, load_vision
from mi_lib.worlds import scenes


@functools.cache
def trained() -> tuple[VisionModel, Tensor]:
    return load_vision("sight-seed1"), scenes.sample(24, seed=4711).images


@grades("13.1")
def test_a_trained_unit(answer):
    """A unit of a trained network, on a scene."""
    model, images = trained()
    conv = model.module.conv1
    for unit in (0, 7):
        kernel, bias = conv.weight[unit].detach(), float(conv.bias[unit])
        want = torch.nn.functional.conv2d(images[:1], kernel[None]).add(bias).relu()[0, 0]
        expect_close(answer.unit_map(images[0], kernel, bias), want, "the map", axes="row column", atol=1e-3)


@grades("13.2")
def test_examples_of_a_trained_unit(answer):
    """The strongest scenes of units of a trained network."""
    model, images = trained()
    acts = features.activations(model, "relu3", images)
    for unit in (3, 40):
        want = features.top(acts[:, unit], 5)
        got = answer.top_examples(acts[:, unit], 5)
        expect_close(got[:, 0], want.image, "the images")


@grades("13.5")
def test_large_images(answer):
    """Waves of a large image that is not square."""
    spectrum = torch.randn(1, 3, 48, 17, 2, generator=torch.Generator().manual_seed(5))
    expect_close(answer.from_waves(spectrum, 32), features.from_waves(spectrum, 32), "the image", atol=1e-3)


@grades("13.6")
def test_colours_of_scenes(answer):
    """The colours of scenes."""
    _, images = trained()
    mean, root = answer.colour_root(images)
    want = features.colours_of(images)
    expect_close(mean, want.mean, "the mean colour", atol=1e-4)
    expect_close(root, want.root, "the root", axes="3 3", atol=5e-4)


@grades("13.9")
def test_likeness_in_a_trained_network(answer):
    """How alike scenes are in a trained network."""
    model, images = trained()
    acts = features.activations(model, "relu2", images[:5])
    want = features.diversity("relu2")({"relu2": acts})
    expect_close(answer.alike(acts), want, "how alike they are", axes="picture", atol=1e-3)


@grades("13.12")
def test_units_of_another_seed(answer):
    """What units of another network do, promised from their pictures."""
    measured = findings.module(index.chapter("13"))
    pictures, stimuli, answers = measured.case("sight-seed1", seed=13_131)
    promised = answer.foretell(pictures, stimuli).double()
    own = float(measured.kept(promised, answers).mean())
    other = float(measured.shuffled(promised, answers).mean())
    expect(own >= 0.25 and own - other >= 0.15, "Promises for the units of another network are not kept well enough.")
