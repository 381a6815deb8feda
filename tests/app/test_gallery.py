"""Pictures in rows: every one is there, with its names, as an element that is as high as it is wide."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest

from app import chapter_page, gallery
from mi_lib import plots


def rows() -> dict[str, list[torch.Tensor]]:
    images = torch.arange(5).float()[:, None, None, None].expand(5, 3, 4, 4) / 4
    return {"top <1>": list(images[:3]), "random": list(images[3:])}


def test_every_picture_stands_in_its_row_and_column_with_its_names():
    figure = plots.gallery(rows(), ["one", "two", "three"], "A title")
    assert gallery.is_gallery(figure)
    text = gallery.as_html(figure)
    sources = [image.source for image in figure.layout.images]
    assert re.findall(r'<img src="([^"]+)"', text) == sources
    names = [f"{row}, {column}" for row, column in (
        ("top &lt;1&gt;", "one"), ("top &lt;1&gt;", "two"), ("top &lt;1&gt;", "three"), ("random", "one"),
        ("random", "two"))]  # fmt: skip
    assert re.findall(r'alt="([^"]+)"', text) == names
    assert text.count("<div></div>") == 1, "a place without a picture stays empty"
    assert "repeat(3," in text


def test_numbers_of_either_sign_are_blue_above_zero_red_below_and_white_at_it():
    red, green, blue = plots.signed(torch.tensor([[2.0, -2.0, 0.0, 1.0]]))[:, 0]
    assert blue[0] > red[0]
    assert red[1] > blue[1]
    assert (red[2], green[2], blue[2]) == (1, 1, 1)
    assert red[0] < red[3] < 1, "half as much is paler"
    assert plots.signed(torch.zeros(2, 2)).min() == 1


def test_tiles_have_their_captions_below_and_said():
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = 255, 114, 3
    text = gallery.tiles([image, image], ["a", "<b>"], 100)
    assert text.count("<img") == 2
    assert re.findall(r'alt="([^"]+)"', text) == ["a", "&lt;b&gt;"]
    (source, _) = re.findall(r'src="data:image/png;base64,([^"]+)"', text)
    assert (np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) == image).all()


def test_the_page_shows_a_gallery_as_pictures_and_any_other_figure_as_a_chart():
    def page() -> None:
        import torch

        from app import common
        from mi_lib import plots

        common.chart(plots.gallery({"row": [torch.rand(3, 4, 4)]}, ["one"], "Pictures <b>"))
        common.chart(plots.bars({"a": 1.0}, "Bars", "much"))

    app = AppTest.from_function(page, default_timeout=60).run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 1
    shown = " ".join(str(each.proto) for each in app.get("html"))
    assert "Pictures &lt;b&gt;" in shown
    assert shown.count("<img") == 1


def test_a_figure_with_many_names_gets_room_to_be_scrolled_and_no_other():
    def cloud(n: int):
        return plots.clouds({"a": [(i, i) for i in range(n)]}, "", "x", "y", {"a": [f"name {i}" for i in range(n)]})

    assert chapter_page._crowded(cloud(25))
    assert not chapter_page._crowded(cloud(6))
    turns = np.linspace(0, 2 * np.pi, 26)[:-1]
    ring = plots.circle(np.stack([np.cos(turns), np.sin(turns)], 1), list("abcdefghijklmnopqrstuvwxy"), "", "x", "y")
    assert sum(map(bool, ring.data[1].text)) > chapter_page.CROWD
    assert not chapter_page._crowded(ring)  # each of its names has room on a phone
    assert not chapter_page._crowded(plots.bars({str(i): 1.0 for i in range(40)}, "", "much"))
