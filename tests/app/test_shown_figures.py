"""How figures and numbers are made ready for the page."""

from __future__ import annotations

import pytest

from app import common, figures
from app.ink import AT_AXES, FIRST
from mi_lib import plots
from mi_lib.plots.ink import contrast, luminance


@pytest.mark.parametrize(
    ("number", "sign", "said"),
    [
        (9.67e-07, "", "9.67\u00a0·\u00a010⁻⁷"),
        (0.0, "", "0"),
        (36.23, "", "36.2"),
        (-0.25, "", "−0.25"),
        (1.5, "+", "+1.5"),
        (-2.5e-5, "+", "−2.50\u00a0·\u00a010⁻⁵"),
        (12_345, "", "1.23\u00a0·\u00a010⁴"),
    ],
)
def test_three_figures_of_a_number_and_the_rest_as_a_power_of_ten(number, sign, said):
    assert common.three_figures(number, sign) == said


def test_shares_have_a_minus_sign_and_nothing_is_no_less_than_nothing():
    assert [common.percent(share) for share in (-0.001, -0.12, 0.5, 1.02)] == ["0%", "−12%", "50%", "102%"]


@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_takes_its_ground_with_it_when_it_is_kept_as_a_picture(dark):
    drawn = plots.lines([0, 1], {"a": [1, 2]}, "Lines", "step", "nats")
    assert figures.ready(drawn, dark).to_dict()["layout"]["paper_bgcolor"] == figures.GROUND[dark]
    assert drawn.layout.paper_bgcolor == "rgba(0, 0, 0, 0)"  # in a lesson's cache it has none


def test_letters_at_the_axes_follow_a_theme_that_changes_though_no_script_is_run():
    drawn = plots.lines([0, 1], {"a": [1, 2]}, "Lines", "step", "nats")
    light, dark = AT_AXES
    assert figures.ready(drawn, dark=False).to_dict()["layout"]["xaxis"]["tickfont"]["color"] == light == "#5f6672"
    style = f'text[style*="fill: rgb(95, 102, 114)"] {{ fill: light-dark({light}, {dark}) !important }}'
    assert style in common.readable()


def test_bars_and_thin_lines_can_be_seen_on_a_dark_page():
    light, dark = FIRST
    assert plots.PALETTE[0] == light
    for part in ("fill", "stroke"):
        style = f'path[style*="{part}: rgb(0, 114, 178)"] {{ {part}: light-dark({light}, {dark}) !important }}'
        assert style in common.readable()
    ground = bright(figures.GROUND[True])
    shown = [contrast(bright(color), ground) for color in (dark, *plots.PALETTE[1:])]
    assert min(shown) >= 4.5  # WCAG 2.2 asks for 3 : 1 of what is drawn; the light theme's blue has 3.5 : 1 here
    assert contrast(bright(dark), bright("#ffffff")) >= 3  # if the theme changes while a page is looked at


def bright(color: str) -> float:
    return luminance([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])


@pytest.mark.parametrize(("dark", "color"), [(False, None), (True, "#e6e6e6")])
def test_whiskers_can_be_seen_on_a_dark_page(dark, color):
    drawn = plots.bars({"a": 1.0}, "Bars", "nats", errors={"a": 0.5})
    assert figures.ready(drawn, dark).to_dict()["data"][0]["error_y"].get("color") == color


def test_a_map_is_written_on_in_letters_for_the_colours_that_the_theme_gives_it():
    drawn = plots.matrix([[0.0, 1.0]], ["row"], ["a", "b"], "Matrix")
    letters = [
        {trace["textfont"]["color"]: trace["text"][0] for trace in figures.ready(drawn, dark).to_dict()["data"]}
        for dark in (False, True)
    ]
    assert letters[0] == {"#000000": ["0", ""], "#ffffff": ["", "1"]}
    assert letters[1] == {"#ffffff": ["0", ""], "#000000": ["", "1"]}


def test_what_is_scrolled_sideways_fades_at_the_side_where_there_is_more():
    style = common.fading(".wide")
    assert style.startswith("@supports (animation-timeline: scroll()) { .wide {")  # elsewhere it would fade for ever
    assert "animation: more-at-the-sides linear;" in style
    assert "linear reverse;" in common.fading(".wide", reverse=True)  # what opens at its right end
    assert "@keyframes more-at-the-sides" in common.SIDES
    assert "<" not in common.SIDES + style  # Streamlit drops a style in which one stands


@pytest.mark.parametrize(("total", "said"), [(90, "1 h 30 min"), (60, "1 h"), (5, "5 min"), (0, "0 min")])
def test_minutes_are_told_in_hours_and_no_line_ends_within(total, said):
    assert common.minutes(total) == said.replace(" ", "\u00a0")
