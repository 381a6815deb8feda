"""The circuit explorer: what it says against patches made by hand, against the planted truth, and in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest

from app import circuit_edges, circuit_networks, circuit_patching
from app.circuit_networks import Shown, Subject
from mi_lib import zoo
from mi_lib.course import Workspace
from mi_lib.worlds import planted
from mi_lib.worlds.planted.ioi import CLASSES

ROOT = Path(__file__).parents[2]
IOI = Subject("planted: indirect objects, as in GPT-2", "", "ioi")


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("MI_WORKSPACE", str(Workspace.init(tmp_path / "work").path))


def fresh() -> AppTest:
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom app import explore_circuit\nexplore_circuit.show()"
    app = AppTest.from_string(script, default_timeout=60).run()
    assert not app.exception
    return app


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def opened() -> AppTest:
    return press(fresh(), "Go on without a prediction")


def words(app: AppTest) -> str:
    return " ".join(e.value for kind in ("markdown", "caption", "warning", "error") for e in getattr(app, kind))


def metrics(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def shown(subject: Subject, seed: int = 0) -> Shown:
    (pairs,) = circuit_networks.draw(subject, 1, seed)
    fields = (pairs.clean[0], pairs.corrupted[0], pairs.answers[0], pairs.corrupted_answers[0])
    clean, corrupted, answer, other = (field.tolist() for field in fields)
    return Shown(tuple(clean), tuple(corrupted), answer, other)


def drop(app: AppTest, *heads: str) -> AppTest:
    app.button_group[0].set_value([head.removeprefix("a").replace(".h", ".") for head in heads]).run()
    assert not app.exception
    return app


# --- one place at a time ------------------------------------------------------------------------------------------


def test_the_page_asks_before_it_shows_anything():
    app = fresh()
    assert not app.get("plotly_chart")
    app.radio[0].set_value("none").run()
    press(app, "That is my prediction")
    assert "You predicted: none. There are more." in words(app)
    assert len(app.get("plotly_chart")) == 3


def by_hand(subject: Subject, pair: Shown, layer: int, head: int) -> tuple[float, torch.Tensor]:
    """What a head takes away, and the logits, by a hook of the test's own."""
    model = circuit_networks.network(subject)
    clean, corrupted = pair.prompts
    there = model.run_with_cache(corrupted, [("z", layer)])[1]["z", layer]

    def put(value, hook):
        return torch.cat([value[:, :, :head], there[:, :, head : head + 1], value[:, :, head + 1 :]], 2)

    with torch.no_grad():
        now = model.run_with_hooks(clean, [(("z", layer), put)])[0, -1]
        start, end = (model(tokens)[0, -1] for tokens in (clean, corrupted))
    m = [float(logits[pair.answer] - logits[pair.other]) for logits in (start, now, end)]
    return (m[0] - m[1]) / (m[0] - m[2]), now


def test_the_map_and_its_cells_say_what_a_patch_by_hand_says():
    pair = shown(IOI)
    shares = circuit_patching.patched(IOI, pair, "heads", True)
    for layer, head in ((2, 0), (3, 2), (0, 0)):
        share, logits = by_hand(IOI, pair, layer, head)
        assert shares[layer, head] == pytest.approx(share, abs=1e-4)
        said = circuit_patching.after_patch(IOI, pair, "heads", True, layer, head)
        torch.testing.assert_close(said, logits.softmax(-1), atol=1e-5, rtol=1e-4)
    assert shares[2, 0] > 0.1 > abs(shares[0, 0])  # else all three might be nothing


def test_every_map_of_the_stream_ends_where_it_must():
    pair = shown(IOI)
    for noising in (True, False):
        shares = circuit_patching.patched(IOI, pair, "resid_pre", noising)
        differ = [a != b for a, b in zip(pair.clean, pair.corrupted, strict=True)]
        same = [i for i, other in enumerate(differ) if not other]
        assert abs(shares[0, same]).max() < 1e-4  # before layer 0 the same word is the same stream
        assert shares[-1, -1] > 0.5  # before the last layer most of the answer stands at the end


def test_another_cell_and_another_pair_are_told():
    app = opened()
    app.selectbox(key="circuit-row").set_value(3)
    app.selectbox(key="circuit-column").set_value(2).run()
    assert not app.exception
    share, _ = by_hand(IOI, shown(IOI), 3, 2)
    assert f"head 3.2 takes away **{share:.0%}** of the answer" in words(app)
    before = words(app)
    press(app, "Draw another pair")
    assert words(app) != before


def test_the_page_comes_back_after_a_visit_to_another_one():
    script = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport streamlit as st\nfrom app import explore_circuit\n"
    script += "st.session_state.get('elsewhere') or explore_circuit.show()"
    app = press(AppTest.from_string(script, default_timeout=60).run(), "Go on without a prediction")
    for elsewhere in (True, False):  # Streamlit forgets what was chosen on a page that is left
        app.session_state["elsewhere"] = elsewhere
        app.run()
    assert not app.exception
    assert not app.error
    assert len(app.get("plotly_chart")) == 3


def test_a_pair_without_a_difference_is_one_sentence(monkeypatch):
    real = circuit_networks.draw

    def same(*given, **more):
        (pairs,) = real(*given, **more)
        return [planted.Pairs(pairs.clean, pairs.clean, pairs.answers, pairs.corrupted_answers)]

    monkeypatch.setattr("app.explore_circuit.draw", same)
    app = fresh()
    assert "Nothing can be patched with this pair" in app.warning[0].value
    assert not app.get("plotly_chart")


# --- edges --------------------------------------------------------------------------------------------------------


def test_exact_patching_finds_every_planted_edge_that_shows_alone_and_no_other():
    circuit = planted.circuit("ioi")
    weighed = circuit_edges.weigh(IOI, "exact")
    kept = {edge for edge, size in weighed.size.items() if size >= 0.1}
    silent = circuit.constant_edges | circuit.dormant
    alone = circuit.edges - frozenset().union(*circuit.together)
    assert alone <= kept
    assert kept - circuit.edges - silent == set()
    app = opened()
    app.select_slider(key="circuit-threshold").set_value(0.1)
    app.toggle(key="circuit-truth").set_value(True).run()
    assert not app.exception
    assert metrics(app)["Planted edges found"] == f"{len(circuit.edges & kept)} of {len(circuit.edges)}"
    assert float(metrics(app)["Faithfulness"].rstrip("%")) > 80


def test_a_higher_threshold_keeps_fewer_edges_and_an_empty_circuit_has_nothing():
    app = opened()
    kept = []
    for threshold in (0.002, 0.2, 0.75):
        app.select_slider(key="circuit-threshold").set_value(threshold).run()
        assert not app.exception
        kept.append(int(metrics(app)["Edges kept"].split(" of ")[0]))
    assert kept[0] > kept[1] > kept[2]
    assert circuit_edges.faithful(IOI, "exact", 1000.0) == 0


def test_the_truth_tells_found_missed_and_false_edges_apart():
    redundant = Subject("", "", "redundant")
    weighed, circuit = circuit_edges.weigh(redundant, "exact"), planted.circuit("redundant")
    off = next(edge for edge in weighed.size if edge not in circuit.edges)
    kept = [edge for edge, size in weighed.size.items() if size >= 0.1] + [off]
    figure = circuit_edges.graph(circuit.model.cfg, weighed, kept, circuit, set())
    legend = [trace.name for trace in figure.data if trace.name and "(" in trace.name]
    missed = len(circuit.edges - set(kept))
    assert legend == [
        f"planted and found ({len(circuit.edges & set(kept))})",
        f"planted and missed ({missed})",
        "found and not planted (1)",
    ]
    assert missed == 6  # of each pair either suffices, so that no single patch shows it
    looks = {(trace.line.color, trace.line.dash) for trace in figure.data if trace.mode == "lines"}
    assert len({color for color, _ in looks}) == len({dash for _, dash in looks}) == 3


# --- heads --------------------------------------------------------------------------------------------------------


def test_an_idle_head_can_go_a_mover_is_backed_up_and_without_backups_the_answer_goes():
    app = opened()
    whole = metrics(app)
    decoy = next(head for head in planted.circuit("ioi").decoys if head.startswith("a3"))
    label = f"Right answers on {circuit_edges.N_HELD_OUT} held-out prompts"
    assert float(metrics(drop(app, decoy))["Logit difference there (logits)"]) == pytest.approx(
        float(whole["Logit difference there (logits)"]), abs=0.1
    )
    without_movers = metrics(drop(app, *CLASSES["name mover"]))
    assert without_movers[label] == whole[label] == "100%"
    without_any = metrics(drop(app, *CLASSES["name mover"], *CLASSES["backup mover"]))
    assert float(without_any[label].rstrip("%")) < 60
    assert float(without_any["Logit difference there (logits)"]) < 0.3 * float(whole["Logit difference there (logits)"])


def test_the_heads_of_the_graph_are_enough_and_all_can_come_back():
    app = opened()
    press(app, "Keep those of the graph")
    dropped = app.button_group[0].value
    assert 0 < len(dropped) < 20
    assert metrics(app)[f"Right answers on {circuit_edges.N_HELD_OUT} held-out prompts"] == "100%"
    press(app, "Keep all heads")
    assert app.button_group[0].value == []


def test_means_are_taken_for_each_template():
    groups = circuit_networks.draw(IOI, 48, circuit_edges.HELD_OUT_SEED, held_out=True)
    assert len(groups) == 4
    model = circuit_networks.network(IOI)
    for pairs in groups:
        places = {tuple(i for i, w in enumerate(model.to_str_tokens(row)) if w == "and") for row in pairs.clean}
        assert len(places) == 1  # the words that are no names stand at the same places


# --- other networks -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["conjunction", "two_hop"])
def test_every_kind_of_planted_network_can_be_opened(name):
    app = fresh()
    title = f"planted: {name.replace('_', ' ')}"
    chosen = next(subject for subject in circuit_networks.subjects() if subject.title == title)
    app.selectbox(key="circuit-network").set_value(chosen.title).run()
    press(app, "Go on without a prediction")
    assert len(app.get("plotly_chart")) == 3


def test_pico_is_asked_where_people_live(pico_like, monkeypatch):
    monkeypatch.setattr(circuit_networks, "PICO", str(pico_like))
    app = fresh()
    chosen = next(subject for subject in circuit_networks.subjects() if subject.task == circuit_networks.HOMES)
    app.selectbox(key="circuit-network").set_value(chosen.title).run()
    press(app, "Go on without a prediction")
    assert "The home of" in words(app)
    app.selectbox(key="circuit-what").set_value("mlp_out").run()
    assert not app.exception
    assert len(app.get("plotly_chart")) == 3
    (first,), (judged,) = (circuit_networks.draw(chosen, 30, 0, held_out=held_out) for held_out in (False, True))
    assert not {*first.clean[:, 4].tolist()} & {*judged.clean[:, 4].tolist()}  # no resident is in both


def test_a_trained_network_is_offered_once_it_is_bundled_and_pico_only_if_it_is_there(monkeypatch):
    monkeypatch.setattr(zoo, "names", lambda: ["ioi-3l"])
    found = circuit_networks.subjects()
    assert [subject.network for subject in found if subject.network] == ["ioi-3l"]
    assert "Pico is missing" in words(fresh())


def test_a_bundled_network_of_giving_is_taken_apart_and_judged_on_names_that_were_kept_back(tmp_path, monkeypatch):
    from mi_lib.recipes.ioi.train import new_model

    new_model(0).save(tmp_path / "ioi-random")  # it has learned nothing, and has other answers to every pair
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    app = fresh()
    chosen = next(subject for subject in circuit_networks.subjects() if subject.task == circuit_networks.GIVING)
    app.selectbox(key="circuit-network").set_value(chosen.title).run()
    press(app, "Go on without a prediction")
    assert len(app.get("plotly_chart")) == 3
    couples = [
        {
            tuple(sorted(row))
            for pairs in groups
            for row in zip(pairs.answers.tolist(), pairs.corrupted_answers.tolist(), strict=True)
        }
        for groups in (circuit_networks.draw(chosen, 200, 0, held_out=held_out) for held_out in (False, True))
    ]
    assert couples[0]
    assert not couples[0] & couples[1]


# --- in a browser -------------------------------------------------------------------------------------------------


@pytest.fixture
def graph(page):
    page.goto("/explore-circuit")
    page.get_by_role("button", name="Go on without a prediction").click()
    page.get_by_text("likeliest of all words").wait_for()
    page.locator(".st-key-circuit-graph .scatterlayer text", has_text="2.0").wait_for()
    page.wait_for_timeout(500)  # figures have found their height
    return page


def click(page, found, across: float = 0.5, down: float = 0.5) -> None:
    """Click into what stands on the page; with the mouse, as a figure looks at where the pointer is."""
    found.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    box = found.bounding_box()
    page.mouse.click(box["x"] + across * box["width"], box["y"] + down * box["height"])


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_on_a_head_of_the_graph_drops_it_and_another_takes_it_back(graph):
    head = graph.locator(".st-key-circuit-graph .scatterlayer text", has_text="2.0").first
    change = graph.get_by_text("against the whole network").first
    click(graph, head)
    change.wait_for()
    graph.wait_for_timeout(500)
    click(graph, head)
    change.wait_for(state="hidden")
    assert not graph.errors


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_on_a_cell_tells_what_its_patch_does(graph):
    cells = graph.locator(".st-key-circuit-patching .nsewdrag").first
    click(graph, cells, across=2.5 / 5, down=3.5 / 5)  # layer 3 of 5; head 2 of 4, beside which the MLP stands
    graph.get_by_text("The head 3.2 takes away").wait_for()
    assert not graph.errors


@pytest.mark.browser
@pytest.mark.slow
def test_the_link_and_the_program_follow_what_is_chosen_in_a_part_of_the_page(graph):
    graph.get_by_text("A link to this view").click()
    link = graph.locator("code", has_text="view=").first
    assert "circuit-way%27%3A%20True" in link.inner_text()
    graph.get_by_text("bring back (denoising)").click()
    graph.locator("code", has_text="circuit-way%27%3A%20False").first.wait_for()
    assert not graph.errors
