"""The image explorer: what it says against pictures, curves and ablations made by hand, on a small random network."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import explore_images
from app import image_measures as im
from mi_lib import features
from mi_lib.course import Workspace, findings, index
from mi_lib.features import tuning
from mi_lib.models.vision import ConvNet, ConvNetConfig, load_vision
from mi_lib.models.vision.loading import save_vision
from mi_lib.worlds import scenes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Unit 1 of the last layer is dead."""
    made = tmp_path_factory.mktemp("nets") / "small"
    config = ConvNetConfig((4, 5, 6), (5, 3, 3), (2, 2, 2), scenes.CLASSES, 64, (0.5,) * 3, (0.2,) * 3)
    net = ConvNet(config).init_weights(0)
    with torch.no_grad():
        net.conv3.weight[1], net.conv3.bias[1] = 0, -1
    save_vision(net, made, "small")
    return str(made)


@pytest.fixture(autouse=True)
def small(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))
    monkeypatch.setattr(explore_images, "_networks", lambda: [folder])
    for name, value in {"SCENES": 40, "DRAWS": 2, "RATIOS": (1.0, 3.0), "STEPS": 8, "AT_ONCE": 1}.items():
        monkeypatch.setattr(im, name, value)


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def asked() -> AppTest:
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import explore_images\nexplore_images.show()"
    app = AppTest.from_string(script, default_timeout=60).run()
    assert not app.exception
    assert not app.get("plotly_chart")  # it asks first
    return app


def opened() -> AppTest:
    return press(asked(), "Go on without a prediction")


def said(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "info") for e in getattr(app, kind))


def test_degrees_are_those_of_sixteen_angles_whatever_rounding_does():
    turns = [im.degrees(a) for a in tuning.angles(16).tolist()]
    assert turns == [im.degrees(2 * math.pi * i / 16) for i in range(16)]
    assert turns[:4] == [0, 23, 45, 68]
    assert im.degrees(2 * math.pi - 1e-6) == 0


def test_the_page_shows_a_unit_from_every_side_after_the_question(folder):
    app = asked()
    app.radio[0].set_value("All alike").run()
    press(app, "That is my prediction")
    headers = [header.value for header in app.header]
    assert headers[0] == "Which picture does it like best?"
    assert headers[-1] == "Does the network need it?"
    assert [box.label for box in app.selectbox] == ["Network", "Layer", "Unit"]
    assert app.selectbox[1].options == ["relu1", "relu2", "relu3"]
    assert len(app.selectbox[2].options) == 6


def test_a_picture_forms_can_be_stopped_and_is_the_one_of_the_library(folder):
    app = opened()
    app.selectbox[2].set_value(2).run()
    run = app.session_state["images-run"]
    press(app, "Stop")
    assert not run.going
    seen = len(run.values)
    app.run()
    assert len(run.values) == seen < im.STEPS
    press(app, "Go on")
    assert len(run.values) > seen
    while run.going:
        im.go_on(run)
    assert run.finished
    waves = features.Waves(colours=features.colours_of(im.world().images[:100]))
    by_hand = features.render(load_vision(folder), features.channel("relu3", 2), steps=8, parameterisation=waves)
    assert torch.allclose(run.last.images, by_hand.images, atol=1e-5)
    press(app, "From another start")
    assert app.session_state["images-run"].about[3] == 1


@pytest.mark.slow
def test_a_unit_that_is_silent_near_grey_is_begun_with_more_noise():
    run = im.begun("sight", "relu3", findings.read(index.chapter("14"))["one_unit"]["unit"], 0)
    for _ in range(16):
        im.go_on(run)
    assert run.louder
    assert not run.trouble
    assert run.values[-1] > 0


def test_a_unit_without_a_picture_is_said_in_a_sentence():
    app = opened()
    app.selectbox[2].set_value(1).run()
    while app.session_state["images-run"].going:
        im.go_on(app.session_state["images-run"])
    app.run()
    assert "There is no picture of this unit" in said(app)
    assert "ReLU is 0 at every place" in said(app)


def test_the_curves_of_the_map_are_those_of_the_library_and_a_cell_shows_its_stimulus(folder):
    found, model = im.tuned(folder, "relu3"), load_vision(folder)
    eye = tuning.look(model, "relu3", im.SIZE)
    with torch.no_grad():
        row = tuning.by_ratio(model, "relu3", eye, [3.0], seed=0, high=im.HIGH, draws=2)[:, 0]
    assert torch.allclose(found.curves["gratings 3 : 1"], row)
    assert list(found.curves) == im.rows()
    shown = im.stimulus(folder, "relu3", im.NOISE, math.pi / 2)
    detail = (shown - shown.roll(1, -1)).abs().mean(0)
    assert detail[:13].mean() > 2 * detail[-13:].mean(), "fine texture above, at 90°"
    app = opened()
    app.selectbox[2].set_value(0).run()
    app.session_state["images-cell"] = (0, 4)
    app.run()
    assert not app.exception
    assert app.session_state["images-cell"] == (0, 4)
    app.selectbox[2].set_value(3).run()
    table = torch.stack([found.curves[name][3] for name in im.rows()])
    assert app.session_state["images-cell"] == divmod(int(table.argmax()), 16), "of another unit, its strongest"


def test_the_strongest_scenes_are_framed_where_the_unit_looks(folder):
    maps = im.maps(folder, "relu3")
    assert torch.allclose(maps, load_vision(folder).run(im.world().images, "relu3")["relu3"], atol=1e-5)
    size, stride, start = im.field_of(folder, "relu3")
    assert (size, stride, start) == (17, 8, -8)
    image, outline = torch.full((3, 64, 64), 0.5), torch.zeros(64, 64, dtype=torch.bool)
    plain, boxed = im.marked(image, outline, None), im.marked(image, outline, (8, 16, 17))
    changed = (plain != boxed).any(-1).nonzero()
    assert (changed[0].min(), changed[0].max()) == (24, 24 + 51 - 1)
    assert (changed[1].min(), changed[1].max()) == (48, 48 + 51 - 1)
    im.marked(image, outline, (-8, 60, 17))  # where a patch leaves the image
    outline[5, 7] = True
    lined = (im.marked(image, outline, None) != plain).any(-1).nonzero()
    assert set(lined[0]) == {15, 16, 17}
    assert set(lined[1]) == {21, 22, 23}


def test_what_is_silenced_says_nothing_and_its_control_has_no_detectors(folder, monkeypatch):
    model, drawn = load_vision(folder), im.world()
    with model.edited({"relu2": lambda a: a.index_fill(1, torch.tensor([3]), 0.0)}):
        said = model.logits(drawn.images).argmax(1)
    found = im.judged(folder, "relu2", (3,))
    assert torch.equal(found.without, said)
    assert torch.equal(found.whole, model.logits(drawn.images).argmax(1))
    soft = drawn.kind == 1
    assert found.right("whole", "soft") == pytest.approx((found.whole == drawn.labels())[soft].float().mean().item())
    family = torch.tensor([True, True, False, False, False])
    monkeypatch.setattr(im, "tuned", lambda *_: im.Tuned({}, family, *[torch.zeros(5)] * 6))
    assert set(im.control(folder, "relu2", [3])) <= {2, 4}
    assert len(im.control(folder, "relu2", [0, 1])) == 2
    assert not set(im.control(folder, "relu2", [0, 1])) & {0, 1}
    assert im.control(folder, "relu2", [0, 1, 2]) == []


@pytest.mark.slow
def test_the_detectors_are_those_of_the_chapter_and_the_clearest_stands_first(monkeypatch):
    found = findings.read(index.chapter("14"))
    monkeypatch.setattr(im, "DRAWS", 32)
    monkeypatch.setattr(im, "RATIOS", (2.0,))
    family = im.family("sight", "relu3")
    assert len(family) == found["look_alikes"]["detectors"] < found["look_alikes"]["without_colour"]
    assert family[0] == found["one_unit"]["unit"]


def test_every_layer_can_be_looked_at():
    app = opened()
    for layer, words in (("relu1", "its weights lie on the image itself"), ("relu2", "Choose the third layer")):
        app.selectbox[1].set_value(layer).run()
        assert not app.exception
        assert words in " ".join(e.value for e in app.markdown)
    app.selectbox[1].set_value("relu3").run()
    assert "Two groups come out of any weights" in said(app)


def test_a_missing_network_is_said_in_a_sentence(monkeypatch):
    monkeypatch.setattr(explore_images, "_networks", list)
    app = asked()
    assert "The image networks are missing" in app.error[0].value


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_into_the_map_shows_that_stimulus(page):
    page.goto("/explore-images")
    page.get_by_role("button", name="Go on without a prediction").click()
    cells = page.locator("[class*=st-key-images-map] .nsewdrag").first
    cells.wait_for()
    page.get_by_text("step 120 of 120").wait_for()  # its picture, which forms live, is there
    cells.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # figures have found their height
    box = cells.bounding_box()
    rows, columns = 1 + 6, 16
    page.mouse.click(box["x"] + box["width"] * 8.5 / columns, box["y"] + box["height"] * 0.5 / rows)
    page.get_by_text("Noise, sharp against blurred, the fine side at 180°").wait_for()
    page.mouse.click(box["x"] + box["width"] * 4.5 / columns, box["y"] + box["height"] * 4.5 / rows)
    page.get_by_text("Gratings 3 : 1, the fine side at 90°").wait_for()
    assert not page.errors
