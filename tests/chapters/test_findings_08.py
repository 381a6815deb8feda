"""What the lesson of chapter 08 claims. Of the table, which is slow, some cells are measured again; and the reference's
functions run on a random model in the format of GPT-2 from a folder, as the lesson says of a real one."""

import random

import pytest
import torch
import transformers

import mi_lib
from mi_lib import attribution as at
from mi_lib.course import files, findings, index
from mi_lib.models.graph import all_edges

CHAPTER = index.chapter("08")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)
CELLS = [(name, method) for name in finding.CIRCUITS[:-1] for method in finding.EDGE_METHODS]  # ioi is dear


@pytest.mark.parametrize(("name", "method"), random.Random(14).sample(CELLS, 4))
def test_cells_of_the_table_drawn_by_lot_are_measured_again(name, method):
    again = findings.rounded(finding.judged(name, method))
    assert findings.differences(again, FOUND["table"][method][name]) == []


def test_no_method_finds_the_redundant_pair_and_eap_sees_few_circuits_whole():
    table = FOUND["table"]
    for method in finding.EDGE_METHODS:
        assert table[method]["redundant"]["recall"] < 0.5
        others = [table[method][name]["recall"] for name in finding.CIRCUITS if name != "redundant"]
        assert max(others) == 1.0
    assert sum(table["eap"][name]["recall"] == 1.0 for name in finding.CIRCUITS) == 1
    assert all(abs(table["chance"][name]["auroc"] - 0.5) < 0.05 for name in finding.CIRCUITS)


def test_auroc_praises_scores_of_next_to_nothing():
    quiet = FOUND["flattered"]["eap_quiet"]
    assert quiet["auroc"] > 0.8
    assert quiet["largest"] < 0.001
    assert FOUND["flattered"]["eap_ig_quiet"]["largest"] > 0.2


def test_every_failure_has_one_part_and_no_other_edit_comes_near():
    for name, found in FOUND["causes"].items():
        assert max(found["before"]["eap_off"], found["before"]["exact_off"]) > 0.4, name
        assert len({edit.split()[1] for edit in found["right"]}) == 1, name
        assert found["wrong_least"] > 0.4, name
        assert max(found["after"]["eap_off"], found["after"]["exact_off"]) < 0.01, name


def test_one_failure_has_no_single_part_and_its_edits_could_have_done_it():
    assert FOUND["two_sure"]["single"]["right"] == 0
    assert FOUND["two_sure"]["both"]["eap_off"] < 0.01
    assert {name for name, found in FOUND["causes"].items() if found["wrong"] < 10} == {"redundant"}


def test_dropped_parts_mend_what_cancels_and_not_what_is_full():
    cancelling, conjunction = FOUND["drops"]["cancelling"], FOUND["drops"]["conjunction"]
    assert max(cancelling["none"], cancelling["layers"]) < 0.01 < 0.5 < cancelling["parts"]
    assert max(conjunction["none"], conjunction["layers"], conjunction["parts"]) < 0.01 < 0.9 < conjunction["exact"]


def test_a_head_that_looks_and_reads_needs_both_its_edges():
    readers = FOUND["both_readers"]
    assert max(map(abs, readers["keys"] + readers["values"])) < 0.01 < 0.9 < min(readers["both"])


def test_eap_sees_two_edges_of_the_induction_network_and_exact_noising_all():
    eap, noising = FOUND["seen"]["eap"], FOUND["seen"]["noising"]
    assert set(eap["yes"]) == {"embed->a1.h1.v", "a1.h1->logits"}
    assert "embed->a0.h2.v" in eap["no"]
    assert noising["no"] == []


def test_the_twin_explains_noising_and_not_eap():
    twin = FOUND["twin"]
    assert twin["before"]["noising"] < 0.01 < 0.9 < twin["without_twin"]["noising"]
    assert abs(twin["without_twin"]["eap"]) < 0.01
    assert twin["without_other"]["noising"] < 0.01


def test_the_order_of_picos_heads_is_right_and_the_largest_size_is_not():
    pico = FOUND["pico"]
    assert pico["agreement"] > 0.9 > pico["dealt_anew_most"]
    assert pico["first_exact"] == pico["first_quick"] == pico["worst"]
    assert pico["first_exact_estimate"] < 0.6 * pico["first_exact_share"]


def test_what_moves_outlives_the_weights_and_attribution_does_not():
    sanity = FOUND["sanity"]
    for name in finding.SANE:
        assert sanity[name]["moved"] > sanity[name]["heads"] + 0.2
    assert max(sanity[name]["heads"] for name in finding.SANE) < 0.2
    assert max(sanity[name]["moved"] for name in finding.SANE) > 0.7
    apart = {name: sanity[name]["moved_each"][0] > sanity[name]["heads_each"][1] for name in finding.SANE}
    assert [name for name in finding.SANE if not apart[name]] == ["duplicate"]


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A random GPT-2, saved and loaded as a person's own folder."""
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(5)
    config = transformers.GPT2Config(
        vocab_size=31, n_embd=24, n_layer=3, n_head=4, n_positions=16, initializer_range=0.4, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return mi_lib.load(str(folder))


@pytest.fixture(scope="module")
def answers():
    """The functions of the reference."""
    namespace = {}
    exec(files.read_text(CHAPTER.solutions_folder / "exercises.py"), namespace)
    return namespace


def test_the_functions_run_on_a_folder_in_the_format_of_gpt2_and_agree_with_the_library(gpt2, answers):
    clean, corrupted = (torch.randint(1, 31, (2, 7), generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    change = (gpt2(clean) - gpt2(corrupted))[:, -1]
    case = gpt2, clean, corrupted, change.argmax(-1), change.argmin(-1)
    pair = *case[:3], at.logit_difference(*case[3:])
    for noising in (True, False):
        want = at.patch_heads(*pair, "z", noising=noising)
        assert torch.allclose(answers["patch_heads"](*case, noising), want, atol=1e-3)
    scores = answers["eap"](*case)
    library = at.eap(*pair)
    for edge in all_edges(gpt2.cfg):
        assert torch.allclose(scores[str(edge)], library[edge], atol=1e-3, rtol=1e-2)
    heads = answers["attribution_patching"](*case)
    assert heads.shape == (3, 4, 2)
    assert answers["query_effects"](*case).isfinite().all()
    words, gap = answers["integrated_gradients"](*case, 3)
    assert torch.allclose(words.sum(-1) - gap, pair[3](gpt2(clean)) - pair[3](gpt2(corrupted)), atol=1e-3)
