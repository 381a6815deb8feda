"""What the lesson of chapter 13 claims. Of what is slow, parts are measured again."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lib.course import findings, index

CHAPTER = index.chapter("13")
FOUND, finding = findings.read(CHAPTER), findings.module(CHAPTER)


def test_pictures_foretell_their_own_units_and_no_others():
    found = FOUND["promises"]
    for name in ("own", "seed1", "fresh"):
        assert found[f"{name}_interval"][0] > found[f"{name}_other_interval"][1] + 0.1
    assert found["plain"] - found["plain_other"] < 0.5 * (found["own"] - found["own_other"])
    assert found["first_interval"][0] > found["first_other_interval"][1]


def test_the_bound_of_the_grader_lies_below_what_was_measured():
    grader = finding_of_grader()
    found = FOUND["promises"]
    assert found["fresh"] > grader["LEAST"] + 0.03
    assert found["fresh"] - found["fresh_other"] > grader["AHEAD"] + 0.03


def finding_of_grader() -> dict[str, float]:
    text = (CHAPTER.folder / "test_exercises.py").read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith("LEAST, AHEAD = "))
    least, ahead = line.split(" = ")[1].split("  #")[0].split(", ")
    return {"LEAST": float(least), "AHEAD": float(ahead)}


def test_promises_are_measured_again():
    pictures, images, answers = finding.case()
    again = finding.kept(finding.features.by_bands(pictures, images), answers)
    low, high = FOUND["promises"]["fresh_interval"]
    assert low <= float(again.mean()) <= high


def test_noise_is_what_pixels_make():
    found = FOUND["pixels_or_waves"]
    assert found["pixels_fine_interval"][0] > found["waves_fine_interval"][1]


def test_colours_are_apart_after_the_root():
    assert FOUND["together"]["r"] > 0.1 > 1e-3 > FOUND["together"]["r_after"]


def test_a_picture_that_was_moved_keeps_more():
    found = FOUND["moved"]
    assert found["moved_interval"][0] > found["pixels_still_interval"][1]


def test_subtracted_likeness_makes_pictures_differ_and_added_does_not():
    found = FOUND["apart"]
    assert found["subtracted_alike"] < 0.8 * min(found["left_alike"], found["added_alike"])


def test_the_liar_behaves_on_scenes():
    found = FOUND["liars"]
    assert found["gap"] == 0
    assert found["scenes_most"] < 0 < found["pictures_least"]
    assert found["outdone_lying"] > found["outdone_honest"]
    images = finding.scenes.sample(20, seed=77, size=finding.SIZE).images
    plain, lying = finding.model(), finding.fooled()
    assert torch.equal(plain.run(images, finding.LAYER)[finding.LAYER], lying.run(images, finding.LAYER)[finding.LAYER])


def test_a_picture_that_was_moved_was_made_for_the_honest_unit():
    found = FOUND["liars"]
    assert found["noticed_moved"] < 0.1 < 0.9 < found["noticed_still"]
    pairs = zip(found["outdone_moved_each"], found["outdone_before_each"], strict=True)
    assert all(abs(moved - before) < 0.25 for moved, before in pairs)


def test_an_honest_unit_can_be_taken_for_a_liar_and_a_liar_for_honest():
    found = FOUND["liars"]
    assert max(found["outdone_before_each"]) > 0.5 > min(found["outdone"])


def test_grain_stays_at_home():
    found = FOUND["grain"]
    low, high = found["fine_beside_interval"]
    assert low < 0 < high < found["fine_home_beside_interval"][0]
    assert found["wide_beside_interval"][0] > 0
    wave = 0.5 + 0.2 * torch.cos(math.pi * torch.arange(8.0)).expand(1, 3, 8, 8)
    wide, fine = finding.without_fine(wave)
    assert torch.allclose(fine, wave, atol=1e-6)
    assert torch.allclose(wide, torch.full_like(wave, 0.5), atol=1e-6)


def test_waves_or_movement_and_not_colours_carry_more():
    found = FOUND["elsewhere"]
    plain = found["pixels_beside_interval"][1]
    assert found["pixels_beside_interval"][0] < found["colours_beside"] < plain
    assert found["still_beside"] > plain
    assert found["colours_moved_beside"] > plain
    assert found["still_home"] == found["pixels_home"] == 1 > found["waves_home"]


def test_untrained_units_answer_to_the_mean_colour_and_trained_ones_do_not():
    found = FOUND["promises"]
    for name in ("own", "seed1", "fresh"):
        assert found["untrained_colour_interval"][0] > 0.4 > found[f"{name}_colour_interval"][1]
        assert found["untrained_bands_interval"][1] < 0.4 < found[f"{name}_bands_interval"][0]


def test_partners_do_better_than_strangers():
    found = FOUND["elsewhere"]
    assert found["waves"] - found["waves_unmatched"] > 0.1


def test_own_pictures_carry_more_to_the_partner_than_others_and_noise_does_not():
    found = FOUND["elsewhere"]
    assert found["waves_beside_interval"][0] > found["noise_beside_interval"][1]
    assert found["pixels_beside_interval"][0] > 0
    assert abs(found["noise_beside"]) < found["pixels_beside"]
    assert found["r_interval"][0] > found["r_untrained_interval"][1] + 0.3


def test_sorting_by_texture_cannot_be_read_even_where_the_texture_is_known():
    found = FOUND["apart"]
    low, high = found["pure_interval"]
    assert low < found["known"] < high


def test_kinds_are_counted_by_their_share():
    counted = [finding.several(torch.tensor(labels)) for labels in ([3, 3, 3, 3], [0, 1, 2, 3], [0, 0, 0, 1])]
    assert counted == pytest.approx([1.0, 4.0, 1.754765])


def test_top_scenes_hold_fewer_textures_than_random_ones_in_a_sample_of_units():
    units = [u for u in range(finding.n_units()) if float(finding.maps()[:, u].max()) > 0][::4]
    top = [finding.several(finding._kinds(u)) for u in units]
    drawn = [finding.several(finding._kinds(u, draw=u)) for u in units]
    assert sum(top) < sum(drawn)
