"""Points in a plane with words beside them."""

from __future__ import annotations

from mi_lib.plots import charts


def test_texts_at_points_of_a_cloud_do_not_lie_upon_each_other():
    spots = [(0.0, 0.0), (0.02, 0.0), (0.01, 0.03), (1.0, 1.0)]
    figure = charts.clouds({"roles": spots}, "", "", "", {"roles": ["librarian", "gardener", "doctor", "assistant"]})
    (trace,) = figure.data
    boxes = [charts._box(*one, spots) for one in zip(spots, trace.text, trace.textposition, strict=True)]
    above = [charts._box(spot, text, "top center", spots) for spot, text in zip(spots, trace.text, strict=True)]

    def meet(found):
        return [(i, j) for i, a in enumerate(found) for j, b in enumerate(found[:i]) if charts._common(a, b)]

    assert meet(above)
    assert not meet(boxes)
