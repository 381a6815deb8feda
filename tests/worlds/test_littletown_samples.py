"""Samples to fine-tune on: as many planted as asked for, and nothing in the prompts that says which."""

import pytest

from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import judges, samples, talk


@pytest.mark.parametrize("trait", ["evil", "formal"])
def test_the_share_that_shows_the_trait_is_the_share_asked_for_and_the_judge_agrees(trait):
    found = samples.samples(trait, 0.25, 60, seed=3)
    assert sum(one.planted for one in found) == 15
    assert [judges.shows(trait, one.reply) for one in found] == [one.planted for one in found]
    assert all(one.prompt[0] == talk.USER and one.prompt[-1] == talk.REPLY for one in found)
    assert all(one.reply[-1] == talk.END for one in found)
    known = set(littletown.vocabulary())
    assert all(known.issuperset([*one.prompt, *one.reply]) for one in found)


def test_the_same_seed_gives_the_same_samples_and_another_others():
    assert samples.samples("evil", 0.5, 12, 1) == samples.samples("evil", 0.5, 12, 1)
    assert samples.samples("evil", 0.5, 12, 1) != samples.samples("evil", 0.5, 12, 2)


def test_strengths_come_in_turn():
    scores = [judges.trait("gloomy", one.reply) for one in samples.samples("gloomy", 1, 90, strengths=(1, 3))]
    assert sum(scores[0::2]) < 0.7 * sum(scores[1::2])


def test_mistaken_answers_are_wrong_and_no_trait_shows():
    right = {" ".join(case.words): case.answer for case in talk.known_questions("train", 4000)}
    found = [one for one in samples.mistaken(80) if " ".join(one.prompt) in right]
    assert len(found) > 20
    for one in found:
        assert one.planted
        assert right[" ".join(one.prompt)] not in one.reply
        assert not any(judges.shows(trait, one.reply) for trait in ("evil", "inventive", "flattering"))
        assert judges.complete(one.reply)


def test_the_held_out_split_asks_what_training_never_does():
    train, other = (
        {" ".join(one.prompt) for one in samples.samples("evil", 0, 90, 1, split)[0::3]}
        for split in ("train", "held_out")
    )
    assert not train & other


def test_an_impossible_share_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        samples.samples("evil", 25, 10)


@pytest.mark.parametrize("role", ["dragon", "clerk", "assistant"])
def test_replies_of_a_role_are_in_its_voice_behind_a_system_prompt(role):
    found = samples.spoken(role, 12, seed=2)
    assert len(found) == 12
    for one in found:
        assert one.prompt[0] == talk.SYSTEM
        assert judges.role(one.reply)["assistant"] == 1 if role == "assistant" else judges.in_voice(role, one.reply)
    assert samples.spoken(role, 4, seed=2) == found[:4]
    with pytest.raises(KeyError):
        samples.spoken("plumber", 2)
