"""Hidden tests of chapter 14: other seeds, shapes and a network whose units are known. See
`mi_lib/course/classroom/hidden.py`: of each test the learner reads the first line of the docstring and nothing else."""

from __future__ import annotations

import math

import torch

from mi_lib.course.grading import expect, expect_close, grades
from mi_lib.features import tuning
from mi_lib.features.tuning import stimuli
from mi_lib.models.vision.loading import wrapped
from mi_lib.worlds.planted import focus

EYE = tuning.Eye(33, 8, 8, 0, 33, 0, 33)


@grades("14.2")
def test_curves_of_planted_units(answer):
    """Tuning curves of a network whose units are known."""
    model = wrapped(focus.network(seed=11).net)
    sharp, blurred = tuning.sharp(6, 33, 8), tuning.blurred(6, 33, 9)
    contrast = 0.125 * tuning.signs(6, 1)
    want = [
        tuning.respond(model, "relu3", tuning.paint(tuning.across(sharp, blurred, a), contrast), EYE).mean(0)
        for a in tuning.angles(12).tolist()
    ]
    got = answer.by_angle(model, "relu3", sharp, blurred, contrast, 12)
    expect_close(got, torch.stack(want, 1), "the curves", axes="unit angle", atol=1e-2, rtol=1e-3)


@grades("14.5")
def test_polarity_of_planted_units(answer):
    """How little planted units mind polarity."""
    planted = focus.network(seed=12)
    model = wrapped(planted.net)
    patterns = tuning.across(tuning.sharp(8, 33, 8), tuning.blurred(8, 33, 9), 0.0)
    got = answer.polarity(model, "relu3", patterns, 0.125)
    at_0 = [k for k, (kind, a) in enumerate(zip(planted.kinds, planted.angles, strict=True))
            if kind == "detector" and abs(a) < 0.1]  # fmt: skip
    expect(bool((got[at_0] > 0.9).all()), "A planted detector is said to mind polarity.")


@grades("14.7")
def test_other_layers(answer):
    """Contracted weights with kernels of 5 and 1, and a stride of 2."""
    source = torch.Generator().manual_seed(5)
    upper, lower = torch.randn(3, 6, 5, 5, generator=source), torch.randn(6, 2, 1, 1, generator=source)
    gate = torch.rand(6, generator=source)
    want = tuning.contract(upper, lower, 2, gate)
    expect_close(answer.contract(upper, lower, 2, gate), want, "the weights", axes="unit below row column", atol=1e-4)


@grades("14.9")
def test_maps_that_point_everywhere(answer):
    """Maps of planted detectors point where they were planted."""
    planted = focus.network(seed=13)
    mine = torch.tensor([kind == "detector" for kind in planted.kinds])
    weights = planted.net.conv3.weight[mine]
    high, low = (weights[:, list(channels)].sum(1) for channels in (planted.high, planted.low))
    off = tuning.apart(answer.pointing(high, low).float(), torch.tensor(planted.angles)[mine])
    expect(float(off.max()) < math.radians(3), "A map of a planted detector points elsewhere.")


@grades("14.12")
def test_a_planted_family(answer):
    """A network in which the family is known."""
    planted = focus.network(seed=14)
    model = wrapped(planted.net)
    images = tuning.paint(tuning.sharp(12, 33, 3))
    family, angle, _ = answer.find_family(model, "relu3", images, torch.zeros(12).long(), torch.arange(12) % 2)
    mine = torch.tensor([kind == "detector" for kind in planted.kinds])
    expect(torch.equal(family.bool(), mine), "The units of the family are not those that were planted.")
    off = tuning.apart(angle.float(), torch.tensor(planted.angles))[mine]
    expect(float(off.max()) <= 2 * math.pi / stimuli.ANGLES + 1e-4, "A planted detector looks elsewhere.")
