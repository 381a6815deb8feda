"""What the lesson of chapter 05 claims. All of its claims train or read much, so that parts are measured again."""

import random
import re

import pytest
import torch
import transformers

import mi_lib
from mi_lib import superposition as sp
from mi_lib.course import files, findings, index, modules
from mi_lib.recipes.pico.data import tokenizer

CHAPTER = index.chapter("05")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_a_shape_drawn_by_lot_is_predicted_and_found_again():
    published = random.Random(5).choice([row for row in FOUND["shapes"] if row["n"] <= 5])
    size = finding.Size(published["n"], published["m"], published["S"])
    assert finding.predicted(size) == published["predicted"]
    again = finding.trained_shapes(size, seed=50, steps=1000, batch=128)
    assert again["found"] == published["found"]


def test_every_prediction_came_true_and_the_control_failed():
    rows = FOUND["shapes"]
    assert [row["predicted"] for row in rows] == [row["found"] for row in rows]
    assert [row["fixed"] == row["found"] for row in rows] == [True, True, False, True, False, False, False]


def test_the_published_shapes_have_their_dimensionality():
    for row in FOUND["shapes"]:
        assert row["sum"] == pytest.approx(row["m"], abs=0.06)


def test_the_linear_network_never_stores_more_and_the_other_does():
    found = FOUND["twenty"]
    assert set(found["linear"]["stored"]) == {5}
    assert found["relu"]["stored"][0] == 5 < found["relu"]["stored"][-1]
    assert all(0.95 < share < 1.05 for share in found["linear"]["of_floor"])
    assert min(found["relu"]["of_floor"]) < 0.5


def test_the_linear_control_is_measured_again_at_one_sparsity():
    S, importance = torch.tensor([0.9]), 0.7 ** torch.arange(20)
    toy = sp.train(S, 20, 5, importance, relu=False, steps=700, batch=128)
    assert sp.represented(toy.W).tolist() == [5]


def test_what_was_worked_out_is_worked_out_again_and_training_agrees():
    found = FOUND["phases"]
    S, r = torch.meshgrid(torch.tensor(found["sparsity"]), torch.tensor(found["importance"]), indexing="xy")
    assert sp.phase(S, r).tolist() == found["worked_out"]
    agree = sum(
        a == b for row in zip(found["worked_out"], found["trained"], strict=True) for a, b in zip(*row, strict=True)
    )
    assert agree == found["agree"]
    assert {phase for row in found["trained"] for phase in row} == {0, 1, 2}


def test_on_the_plateau_features_have_half_a_dimension_and_elsewhere_not():
    found = FOUND["sticky"]
    assert len(found["plateau"]) >= 4
    assert 0 < min(found["plateau"]) < max(found["plateau"]) < max(found["sparsity"])
    assert found["sum_least"] > 9.8
    assert found["sum_most"] < 10.01


def test_on_the_plateau_the_shapes_are_pairs_and_random_directions_waste_room():
    found = FOUND["sticky"]
    assert 9 <= found["pairs_least"] <= found["pairs_most"] == 10
    lots = torch.randn(4, 10, 40, generator=torch.Generator().manual_seed(7))
    assert sp.dimensionality(lots).sum(1).mean().item() == pytest.approx(found["sum_random"], abs=0.5)
    assert found["sum_random"] < 9 < found["sum_least"]


def test_at_the_border_the_column_jumps():
    found = FOUND["border"]
    assert found["before"] < 0.1 < 0.7 < found["after"]
    assert found["sparsity_after"] - found["sparsity_before"] < 0.06


def test_dense_features_of_equal_importance_are_mixed_and_nothing_is_stretched():
    found = FOUND["attack"]
    assert found["stored_dense"] > 5
    assert found["factor_dense"] < 1.1 < 1.8 < found["factor_sparse"]


def test_neurons_with_one_meaning_leave_little_for_random_directions():
    found = FOUND["one_meaning"]
    assert found["neurons_some"] == pytest.approx(FOUND["by_layer"]["neurons_some"], abs=0.01)
    assert found["neurons_poly"] < 0.01
    assert found["random_some"] < FOUND["by_layer"]["random_some"] / 2


def test_who_never_meets_shares_and_who_comes_together_does_not():
    found = FOUND["company"]
    assert found["correlated"]["own_pair"] < found["independent"]["own_pair"] < found["anticorrelated"]["own_pair"]


def test_neurons_become_polysemantic_and_outputs_easier_to_move():
    mono, attack = FOUND["absolute"]["mono"], FOUND["attack"]
    assert mono[0] > 0.9 > 0.5 > mono[-1]
    assert max(attack["moved_apart"]) < 1.01 < min(attack["moved"][1:])
    assert attack["moved"][0] < 1.1


def test_a_part_of_the_neurons_of_pico_is_asked_again():
    """One layer, some of the texts: the shares are near those of all texts, and of an untrained network near 0."""
    texts = finding.read()[:60]
    n = sum(len(text.words) for text in texts)
    holds = finding.labels()[:n]
    holds = holds & (holds.sum(0) >= 5)
    own = finding.asked(finding.neurons(finding.pico(), texts, [3])[3], holds)
    other = finding.asked(finding.neurons(finding.control(), texts, [3])[3], holds)
    assert own["some"] == pytest.approx(FOUND["by_layer"]["layer_3"]["neurons"]["some"], abs=0.2)
    assert other["poly"] < 0.05 < own["poly"]


def test_neurons_are_not_far_from_random_directions_and_far_from_the_controls():
    found = FOUND["by_layer"]
    assert found["neurons_poly"] < 2 * found["random_poly"]
    assert found["random_poly"] > 0.03 > found["untrained_poly"] >= found["shuffled_poly"]


def test_the_neuron_of_the_opening_answers_to_two_strangers():
    found = FOUND["example"]
    names = [finding.concepts.CONCEPTS.index(one["name"]) for one in found["concepts"]]
    assert finding.strangers(finding.labels())[names[0], names[1]]
    assert all(one["share"] >= 0.5 > 3 * one["mean_neuron"] for one in found["concepts"])
    texts = finding.read()[:80]
    n = sum(len(text.words) for text in texts)
    values = finding.neurons(finding.pico(), texts, [found["layer"]])[found["layer"]][:, [found["neuron"]]]
    shares = finding.shares(values, finding.labels()[:n])[0]
    assert all(shares[name] > 0.4 for name in names if finding.labels()[:n, name].any())


def test_percentages_are_names_of_bars_and_cells_and_no_numbers():
    drawn = modules.load(CHAPTER.folder / "figures.py")
    for figure in (drawn.how_many_are_stored(), drawn.nudges(), drawn.neurons_of_the_toy(), drawn.phases_trained()):
        assert figure.layout.xaxis.type == "category"


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A random GPT-2 with six blocks, saved and loaded as a person's own folder."""
    folder, words = tmp_path_factory.mktemp("gpt2"), tokenizer()
    torch.manual_seed(5)
    sizes = {"n_embd": 16, "n_layer": 6, "n_head": 2, "n_positions": 256, "initializer_range": 0.3}
    config = transformers.GPT2Config(vocab_size=len(words), bos_token_id=2, eos_token_id=6, **sizes)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return mi_lib.load(str(folder))


def test_the_block_on_a_real_model_runs_as_it_stands_and_agrees_with_the_library(gpt2):
    lesson = files.read_text(CHAPTER.folder / "lesson.md")
    block = lesson[lesson.index("On a real model") :]
    code = re.search(r"```python\n(.*?)```", block, re.DOTALL)[1]
    assert 'mi_lib.load("gpt2")' in code
    namespace = {"text": " ".join(text_words(120)), "load_it": lambda: gpt2}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), namespace)
    namespace["mi_lib"] = mi_lib
    exec(code.replace('mi_lib.load("gpt2")', "load_it()") + "\nn_top = len(words) // 10\n", namespace)
    values, holds, n_top = (namespace[name] for name in ("values", "holds", "n_top"))
    got = namespace["answers_to"](values, holds, n_top)
    assert got.shape == (4 * 16, 2)
    assert holds.any(0).tolist()[1]  # some words begin with a capital
    assert torch.equal(got, sp.answers_to(values, holds, top=n_top / len(values)))
    anew = sp.random_directions(values, 50)
    assert namespace["answers_to"](anew, holds, n_top).shape == (50, 2)
    assert namespace["is_polysemantic"](got, holds).shape == (64,)


def text_words(n: int) -> list[str]:
    """The first words of held-out texts, without the marks of a chat."""
    words = [word for text in finding.read() for word in text.words if not word.startswith("<|")]
    return words[:n]
