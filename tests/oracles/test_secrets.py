"""A secret is judged among forty, against the base network; a seal proves a guess."""

from __future__ import annotations

import pytest
import torch

from mi_lib.oracles import candidates, lift, opens, rank, says, seal, standing
from mi_lib.oracles.prompts import ids
from mi_lib.oracles.secrets import opened

FORTY = candidates("thing")


def test_there_are_forty_different_candidates_of_each_kind():
    for kind in ("thing", "person"):
        assert len(set(candidates(kind))) == 40
    with pytest.raises(KeyError):
        candidates("town")


def test_standing_is_the_mean_log_probability_among_the_candidates():
    logits = torch.randn(3, len(ids()), generator=torch.Generator().manual_seed(0))
    found = standing(logits, FORTY)
    want = torch.stack([row[[ids()[w] for w in FORTY]].log_softmax(-1) for row in logits]).mean(0)
    torch.testing.assert_close(found, want)
    torch.testing.assert_close(standing(logits + torch.tensor([[1.0], [5.0], [-2.0]]), FORTY), found)


def test_the_first_has_rank_one_and_equal_ones_share_theirs():
    values = torch.arange(40.0)
    assert rank(values, FORTY, FORTY[39]) == 1
    assert rank(values, FORTY, FORTY[0]) == 40
    assert rank(torch.zeros(40), FORTY, FORTY[3]) == 20.5


def test_lift_takes_away_what_the_text_gives_away_by_itself():
    base = torch.randn(40, generator=torch.Generator().manual_seed(1)) * 5
    own = base.clone()
    own[7] += 1
    assert rank(lift(own, base), FORTY, FORTY[7]) == 1


def test_a_seal_opens_to_the_secret_alone():
    seals = [seal(1, "owl"), seal(2, "cat")]
    assert opens(seals, 2, "cat", ("owl", "cat"))
    assert not opens(seals, 1, "cat", ("owl", "cat"))
    assert seal(1, "owl") != seals[0], "the salt is another each time"
    assert opened(seals, 2, ("owl", "cat")) == "cat", "whoever tries all opens it; it takes as many hashes"
    with pytest.raises(ValueError, match="not one of the 2 candidates"):
        opens(seals, 1, "dog", ("owl", "cat"))
    with pytest.raises(ValueError, match="there is no relative 3: there are 1 to 2"):
        opens(seals, 3, "cat", ("owl", "cat"))


def test_replies_that_say_it_are_counted_by_whole_words():
    assert says([["the", "owl"], ["owls"], []], "owl") == 1
