"""Pictures for a page are the pixels that they were made of, and `mi world show scenes` shows the scenes' truth."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mi_lib.cli.models import world
from mi_lib.plots import data_url, images, png
from mi_lib.worlds import scenes


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_picture_keeps_its_pixels_and_is_enlarged_without_blur():
    image = torch.tensor([[[0.0, 1.0]], [[0.5, 1.2]], [[1.0, -0.3]]])
    got = opened(png(image, zoom=3))
    assert got.shape == (3, 6, 3)
    assert got[0, 0].tolist() == [0, 128, 255]
    assert got[2, 5].tolist() == [255, 255, 0], "what lies outside is cut off"
    assert opened(png(torch.tensor([[0.2]]))).tolist() == [[[51, 51, 51]]]
    assert (opened(base64.b64decode(data_url(image, 3).partition(",")[2])) == got).all()
    with pytest.raises(ValueError, match=r"an image is \[3 h w\] or \[h w\], not of shape \(2, 4, 4\)"):
        png(torch.zeros(2, 4, 4))


def test_text_on_a_page_of_images_is_text():
    page = images.page("A <title>", "1 < 2", [("kind & kind", "a", [("<b>", torch.zeros(2, 2))])])
    assert "A &lt;title&gt;" in page
    assert "1 &lt; 2" in page
    assert "kind &amp; kind" in page
    assert "alt='&lt;b&gt;'" in page


def test_a_page_of_scenes_has_every_kind_beside_the_truth(tmp_path):
    out = tmp_path / "page.html"
    got = CliRunner().invoke(world, ["show", "scenes", "-n", "2", "--seed", "4", "--out", str(out)])
    assert got.exit_code == 0, got.output
    assert got.output == f"12 scenes are in {out}. Open it in a browser.\n"
    page = out.read_text("utf-8")
    assert re.findall("<h2>(.*?)</h2>", page) == list(scenes.KINDS)
    shown = re.findall("base64,([^']*)", page)
    assert len(shown) == 3 * 12
    drawn = scenes.sample(2, seed=4, kinds=["sharp"])
    assert (opened(base64.b64decode(shown[0])) == images.pixels(drawn.images[0]).repeat(2, 0).repeat(2, 1)).all()
    depth = opened(base64.b64decode(shown[1]))
    assert ((depth[::2, ::2, 0] == 255) == (drawn.region[0] == 2).numpy()).all()


def test_the_labels_of_scenes_are_printed_for_programs(tmp_path):
    got = CliRunner().invoke(world, ["show", "scenes", "-n", "1", "--json"])
    rows = json.loads(got.output)
    assert [row["kind"] for row in rows] == list(scenes.KINDS)
    assert all(row["class"] in scenes.CLASSES for row in rows)
    assert [row["focus"] for row in rows] == [1, 0, -1, -1, -1, -1]


def test_a_page_that_cannot_be_written_becomes_a_sentence(tmp_path):
    got = CliRunner().invoke(world, ["show", "scenes", "-n", "1", "--out", str(tmp_path / "none" / "x.html")])
    assert got.exit_code != 0
    assert "could not be written" in str(got.exception)
