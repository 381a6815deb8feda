"""Points in a plane and their names: none lies upon another."""

from __future__ import annotations

import numpy as np
import pytest

from mi_lib import plots
from mi_lib.plots.charts import LETTER, LINE, RADIUS
from mi_lib.plots.ink import _rgb, contrast, luminance
from mi_lib.plots.style import AROUND

ANGLES = np.arange(113) * 19 * 2 * np.pi / 113
CLOCK = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1)


def boxes(points: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The names that are written in a plane on a phone, their middles and sizes in pixels."""
    names = [str(i) for i in range(len(points))]
    texts = plots.circle(points, names, "", "", "").data[1]
    there = [i for i, text in enumerate(texts.text) if text]
    pixel = np.abs(points - points.mean(0)).max() / RADIUS
    at = np.stack([texts.x, texts.y], 1)[there] / pixel
    return [texts.text[i] for i in there], at, np.array([[LETTER * len(texts.text[i]), LINE - 2] for i in there])


def test_no_name_lies_upon_another_or_upon_a_point_and_many_are_written():
    cloud = np.random.default_rng(0).normal(size=(113, 2))
    for points, least in ((CLOCK, 20), (cloud, 10)):
        names, at, sizes = boxes(points)
        apart = np.abs(at[:, None] - at) * 2 >= sizes[:, None] + sizes - 1e-6
        np.fill_diagonal(apart[..., 0], True)
        assert apart.any(-1).all()
        pixel = np.abs(points - points.mean(0)).max() / RADIUS
        assert (np.abs(at[:, None] - points / pixel) >= sizes[:, None] / 2).any(-1).all()
        assert least <= len(names) < len(points)


def test_a_name_stands_on_the_outer_side_of_its_point_and_every_point_says_its_name():
    figure = plots.circle(CLOCK, [str(i) for i in range(113)], "", "", "")
    marks, texts = figure.data
    at = np.stack([texts.x, texts.y], 1)
    assert (np.linalg.norm(at, axis=1) > 1.05).all()
    assert (at * CLOCK).sum(1).min() > 1.05
    assert list(marks.text) == [str(i) for i in range(113)]


@pytest.mark.parametrize("ground", ["#ffffff", "#171614"])
def test_every_colour_around_the_wheel_can_be_seen_on_a_light_page_and_on_a_dark_one(ground):
    seen = [contrast(luminance(bright), luminance(_rgb(ground))) for bright in map(_rgb, AROUND)]
    assert min(seen) >= 3  # WCAG 2, of what is drawn


def test_the_last_point_does_not_look_like_the_first():
    marker = plots.circle(np.eye(2).repeat(3, 0), "abcdef", "T", "x", "y").data[0].marker
    assert marker.color[0] == marker.cmin
    assert marker.color[-1] < marker.cmax  # where the colours have come round again
