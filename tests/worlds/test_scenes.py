"""Scenes are what they are said to be, pixel by pixel."""

from __future__ import annotations

import math
import time

import pytest
import torch

from mi_lib.worlds import scenes
from mi_lib.worlds.scenes import drawing, sampling, shapes, textures
from mi_lib.worlds.scenes.drawing import BEHIND, CHECKS, FRONT, GRATING, GROUND, NOISE, PLAIN


@pytest.fixture(scope="module")
def drawn():
    return scenes.sample(400, seed=1)


def grey(images):
    return images.mean(1)


def fast_part(field, above=0.12):
    """The share of the variance above a frequency, in cycles per pixel. field: [n h w]."""
    power = torch.fft.fft2(field - field.mean((1, 2), keepdim=True)).abs() ** 2
    f = torch.fft.fftfreq(field.shape[-1])
    radius = torch.hypot(f[:, None], f[None, :])
    return power[:, radius > above].sum(1) / power.sum((1, 2))


def test_the_same_seed_gives_the_same_scenes_and_another_gives_others():
    one, same, other = (scenes.sample(7, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.images, same.images)
    assert torch.equal(one.region, same.region)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (7, 3, 64, 64)
    assert 0 <= float(one.images.min()) < float(one.images.max()) <= 1


def test_every_class_occurs_about_equally_often_and_kinds_can_be_chosen():
    labels = scenes.sample(2100, seed=5, size=8).labels()
    counts = torch.bincount(labels, minlength=len(scenes.CLASSES))
    assert len(scenes.CLASSES) == 21
    assert counts.min() > 60
    assert counts.max() < 145
    few = scenes.sample(60, seed=0, kinds=["soft", "absent"])
    named = {scenes.CLASSES[label].split()[0] for label in few.labels().tolist()}
    assert named == {"soft", "absent"}


@pytest.mark.parametrize("number", range(len(scenes.SHAPES)))
def test_shapes_of_one_size_cover_the_area_of_a_disc(number):
    n, radius = 6, 13.0
    angle = torch.arange(n) * 0.7
    out = shapes.distance(torch.full((n,), number), torch.zeros(n, 2), torch.full((n,), radius), angle, 64)
    covered = (0.5 - out).clamp(0, 1).sum((1, 2))
    assert covered.tolist() == pytest.approx([math.pi * radius**2] * n, rel=0.02)


def test_angles_turn_anticlockwise_and_y_points_up():
    def inside(number, angle):
        centre, radius = torch.zeros(1, 2), torch.tensor([12.0])
        out = shapes.distance(torch.tensor([number]), centre, radius, torch.tensor([angle]), 33)[0]
        return {(x, y): bool(out[16 - y, 16 + x] < -0.01) for x, y in [(14, 0), (0, 14), (-14, 0), (0, -14)]}

    assert [at for at, there in inside(scenes.SHAPES.index("bar"), 0.0).items() if there] == [(14, 0), (-14, 0)]
    assert [at for at, there in inside(scenes.SHAPES.index("triangle"), 0.0).items() if there] == [(0, 14)]
    assert [at for at, there in inside(scenes.SHAPES.index("triangle"), math.pi / 2).items() if there] == [(-14, 0)]
    assert [at for at, there in inside(shapes.HALF, math.pi / 2).items() if there] == [(0, 14)]


@pytest.mark.parametrize("blur", [0.6, 1.5, 2.6])
def test_noise_has_its_blur_and_equal_contrast_whatever_it_is(blur):
    field = textures.noise(torch.full((40,), blur), torch.Generator().manual_seed(0), 64)
    assert field.var((1, 2)).tolist() == pytest.approx([1.0] * 40, rel=1e-3)
    neighbours = (field * field.roll(1, -1)).mean()
    # White noise blurred by σ has the correlation exp(−d² / 4σ²) at distance d; σ = .6 is so small that pixels show.
    wanted = math.exp(-1 / (4 * blur**2))
    assert float(neighbours) == pytest.approx(wanted, abs=0.05)


@pytest.mark.parametrize("wave", [textures.grating, textures.checks])
def test_waves_have_their_frequency_and_direction_and_the_contrast_of_noise(wave):
    frequency, orientation = torch.tensor([1 / 8, 1 / 8]), torch.tensor([0.0, math.pi / 2])
    field = wave(frequency, orientation, torch.tensor([0.3, 0.3]), 64)
    assert field.var((1, 2)).tolist() == pytest.approx([1.0, 1.0], rel=0.02)
    assert torch.allclose(field, field.roll(8, -1), atol=1e-3) or wave is textures.grating
    assert torch.allclose(field[0], field[0].roll(8, -1), atol=1e-3), "it comes back after a wave to the right"
    assert not torch.allclose(field[0], field[0].roll(4, -1), atol=0.5)
    if wave is textures.grating:
        assert torch.allclose(field[0], field[0].roll(3, -2), atol=1e-3), "and does not change upwards"
        assert torch.allclose(field[1], field[1].roll(3, -1), atol=1e-3)


@pytest.mark.parametrize(("kind", "sign"), [("sharp", 1), ("soft", -1)])
def test_focus_is_where_the_truth_says_at_equal_brightness_and_contrast(kind, sign):
    drawn = scenes.sample(150, seed=2, kinds=[kind])
    blur, inside, x = drawn.truth("blur"), drawn.region == FRONT, grey(drawn.images)
    assert ((blur > 2) == inside).all() if kind == "soft" else ((blur < 1) == inside).all()
    assert drawn.labels("focus").unique().tolist() == [int(kind == "sharp")]
    detail = (x - x.roll(1, -1)).abs()  # from pixel to pixel
    within, without = (torch.stack([detail[i][m[i]].mean() for i in range(150)]) for m in (inside, ~inside))
    assert bool((sign * (within - without) > 0).all())
    spread = [torch.stack([x[i][m[i]].std() for i in range(150)]).mean().item() for m in (inside, ~inside)]
    assert spread[0] == pytest.approx(spread[1], rel=0.15)
    mean = [torch.stack([x[i][m[i]].mean() for i in range(150)]).mean().item() for m in (inside, ~inside)]
    assert mean[0] == pytest.approx(mean[1], rel=0.03)
    assert torch.equal(drawn.layout.colour[:, GROUND], drawn.layout.colour[:, FRONT])


def test_a_figure_of_another_colour_has_the_grounds_texture(drawn):
    some = drawn[drawn.kind == scenes.KINDS.index("colour")]
    apart = (some.layout.colour[:, FRONT] - some.layout.colour[:, GROUND]).norm(dim=1)
    assert (apart > sampling.APART).float().mean() > 0.99
    for what in ("texture", "blur", "frequency", "orientation"):
        values = some.truth(what).flatten(1)
        assert (values == values[:, :1]).all(), what
    others = drawn[(drawn.kind != scenes.KINDS.index("colour")) & (drawn.kind != scenes.KINDS.index("front"))]
    assert torch.equal(others.layout.colour[:, GROUND], others.layout.colour[:, FRONT])


def test_a_figure_of_another_texture_is_turned_or_of_another_wave_length(drawn):
    lay = drawn[drawn.kind == scenes.KINDS.index("texture")].layout
    assert torch.equal(lay.texture[:, GROUND], lay.texture[:, FRONT])
    assert set(lay.texture[:, FRONT].tolist()) == {GRATING, CHECKS}
    ratio = lay.frequency[:, FRONT] / lay.frequency[:, GROUND]
    other_length = (ratio - 1).abs() > 1e-4
    assert 0.3 < other_length.float().mean() < 0.7
    assert torch.allclose(ratio[other_length].log().abs(), torch.tensor(math.log(sampling.LONGER)), atol=1e-3)
    turn = (lay.orientation[:, FRONT] - lay.orientation[:, GROUND]).remainder(math.pi)
    period = torch.where(lay.texture[:, FRONT] == CHECKS, math.pi / 2, math.pi)
    turn = torch.minimum(turn % period, period - turn % period)
    assert (turn[~other_length] > math.pi / 6 - 1e-3).all()
    assert (turn[other_length] < 1e-3).all()


def test_of_two_figures_the_one_in_front_counts_and_both_are_seen(drawn):
    some = drawn[drawn.kind == scenes.KINDS.index("front")]
    assert torch.equal(some.layout.shape[:, FRONT], some.shape)
    assert (some.layout.shape[:, BEHIND] != some.shape).all()
    seen = torch.stack([(some.region == r).sum((1, 2)) for r in (BEHIND, FRONT)])
    assert bool((seen[1] > 0).all())
    assert float((seen[0] > 20).float().mean()) > 0.97
    alone = drawing.draw(some.layout, 0).region == BEHIND
    uncovered = some.layout
    there = uncovered.there.clone()
    there[:, FRONT] = False
    whole = drawing.draw(drawing.Layout(**{**vars(uncovered), "there": there}), 0).region == BEHIND
    assert ((whole.sum((1, 2)) - alone.sum((1, 2))) > 20).float().mean() > 0.9, "some of it is covered"
    assert torch.equal(some.truth("depth"), 2 - some.region)


def test_the_truth_of_a_pixel_is_what_is_drawn_there():
    lay = scenes.blank(1)
    lay.there[:, 1:] = True
    lay.shape[:] = scenes.SHAPES.index("square")
    lay.centre[0, BEHIND], lay.centre[0, FRONT] = torch.tensor([-8.0, 0.0]), torch.tensor([8.0, 0.0])
    lay.radius[:] = 12.0
    colours = torch.tensor([[0.2, 0.3, 0.4], [0.9, 0.1, 0.5], [0.3, 0.8, 0.6]])
    lay.colour[0] = colours
    lay.texture[0] = torch.tensor([PLAIN, PLAIN, GRATING])
    drawn = scenes.draw(lay, seed=0)
    assert drawn.images[0, :, 32, 14].tolist() == pytest.approx(colours[1].tolist())
    assert drawn.images[0, :, 32, 40].tolist() == pytest.approx(colours[2].tolist())
    assert drawn.images[0, :, 2, 2].tolist() == pytest.approx(colours[0].tolist())
    assert drawn.truth("colour")[0, 32, 14].tolist() == pytest.approx(colours[1].tolist())
    assert drawn.truth("depth")[0, 32, [2, 14, 32, 40]].tolist() == [2, 1, 0, 0]
    assert drawn.truth("texture")[0, 32, [2, 14, 40]].tolist() == [PLAIN, PLAIN, GRATING]
    assert drawn.truth("frequency")[0, 32, [2, 14, 40]].tolist() == pytest.approx([0, 0, 0.1])
    assert drawn.truth("shape")[0, 32, [2, 14]].tolist() == [-1, 1]
    row = drawn.outline()[0, 32]
    assert row.nonzero()[:, 0].tolist() == [12, 28, 50]
    with pytest.raises(ValueError, match="there is no truth about 'smell'; there is about texture"):
        drawn.truth("smell")


def test_light_falls_off_where_the_layout_says():
    lay = scenes.blank(2)
    lay.light[0, 0], lay.light[1, 1] = 0.4, 0.4
    to_the_right, upwards = scenes.draw(lay, seed=0).images[:, 0]
    assert float(to_the_right[5, 63] / to_the_right[5, 0]) == pytest.approx(1.2 / 0.8, rel=0.02)
    assert torch.allclose(upwards, to_the_right.T.flip(0), atol=1e-6)


def test_a_focus_edge_is_sharp_on_the_side_to_which_it_points():
    angle = torch.arange(8) * math.pi / 4
    drawn = scenes.focus_edges(angle, seed=0)
    x, y = textures.coordinates(64)
    side = torch.cos(angle)[:, None, None] * x + torch.sin(angle)[:, None, None] * y
    detail = (grey(drawn.images) - grey(drawn.images).roll(1, -1)).abs()
    for i in range(8):
        assert detail[i][side[i] > 3].mean() > 2 * detail[i][side[i] < -3].mean()
        assert drawn.truth("blur")[i][side[i] > 2].unique().tolist() == pytest.approx([0.6])
    bright = scenes.brightness_edges(angle, seed=0, blur=2.6)
    plain = scenes.brightness_edges(angle, seed=0)
    for i in range(8):
        for one in (bright, plain):
            assert grey(one.images)[i][side[i] > 3].mean() > grey(one.images)[i][side[i] < -3].mean() + 0.15
        assert bright.truth("blur")[i].unique().tolist() == pytest.approx([2.6])
    assert fast_part(grey(scenes.uniform(9, 0.6, seed=0).images)).min() > 0.5
    assert fast_part(grey(scenes.uniform(9, 2.6, seed=0).images)).max() < 0.1


def test_what_is_asked_for_wrongly_becomes_a_sentence():
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        scenes.sample(0, seed=0)
    with pytest.raises(ValueError, match="no scenes of the kind 'blurry'; there are sharp, soft"):
        scenes.sample(3, seed=0, kinds=["blurry"])
    with pytest.raises(ValueError, match="no scenes of the kind nothing"):
        scenes.sample(3, seed=0, kinds=[])
    with pytest.raises(ValueError, match="there is no task 'colour'; there are figure"):
        scenes.sample(1, seed=0).labels("colour")


def test_labels_of_all_tasks_fit_together(drawn):
    for label, kind, shape in zip(drawn.labels(), drawn.labels("kind"), drawn.labels("shape"), strict=True):
        name = scenes.KINDS[kind] if shape < 0 else f"{scenes.KINDS[kind]} {scenes.SHAPES[shape]}"
        assert scenes.CLASSES[label] == name
    absent = drawn[drawn.kind == scenes.KINDS.index("absent")]
    assert (absent.region == GROUND).all()
    assert (absent.labels("focus") == -1).all()
    assert set(absent.layout.texture[:, GROUND].tolist()) == {PLAIN, NOISE, GRATING, CHECKS}


def test_a_thousand_images_take_less_than_a_second_of_one_core():
    scenes.sample(32, seed=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        began = time.process_time()
        scenes.sample(256, seed=1)
        assert time.process_time() - began < 0.256
    finally:
        torch.set_num_threads(threads)


def test_figures_stand_upright_but_for_a_tilt(drawn):
    angle = drawn.layout.angle[:, FRONT]
    assert angle.abs().max() <= sampling.TILT
    assert angle.abs().max() > 0.8 * sampling.TILT
    assert -0.1 < angle.mean() < 0.1
