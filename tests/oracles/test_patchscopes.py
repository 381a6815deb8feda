"""A state is put in place of a token of another prompt, at one depth; the rest of the network goes on with it."""

from __future__ import annotations

import pytest
import torch

from mi_lib import lens
from mi_lib.oracles import BadReading, continuation, identity_prompt, lens_shares, patchscope, prompt, read, shares
from mi_lib.worlds import littletown


def test_a_prompt_knows_where_its_placeholder_stands(subject):
    target = prompt(subject, "owl owl , cat cat , x")
    assert target.place == 7 == len(target.tokens) - 1
    assert prompt(subject, "x is a bird").place == 1
    for text in ("owl owl", "x and x"):
        with pytest.raises(BadReading, match="the placeholder 'x' once"):
            prompt(subject, text)


def test_an_identity_prompt_says_each_word_twice(subject):
    target = identity_prompt(subject, ["owl", "cat", "goat"], 2, seed=1)
    words = [littletown.vocabulary()[token] for token in target.tokens[1:-1]]
    assert words[0] == words[1] != words[3] == words[4]
    assert words[2] == words[5] == ","
    assert target.place == 7


def test_putting_a_prompts_own_state_back_changes_nothing(subject):
    target = prompt(subject, "owl owl , cat cat , x")
    own = torch.tensor([target.tokens])
    for depth in (0, 3, 5):
        _, cache = subject.run_with_cache(own, [("resid_pre", depth)])
        found = patchscope(subject, cache["resid_pre", depth][0, target.place][None], target, depth)
        torch.testing.assert_close(found[0], subject(own)[0, -1], rtol=1e-4, atol=1e-4)


def test_each_state_has_its_own_text_and_what_stands_before_the_place_stays(subject):
    target = prompt(subject, "owl owl , x is")
    states = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))
    together = patchscope(subject, states, target, 2)
    assert (together[0] - together[1]).abs().max() > 1e-3
    for i in range(3):
        alone = patchscope(subject, states[i : i + 1], target, 2)[0]
        torch.testing.assert_close(together[i], alone, rtol=1e-4, atol=1e-4)


def test_a_continuation_begins_with_the_likeliest_word_and_goes_on_with_the_state_in_place(subject):
    target = prompt(subject, "owl owl , x")
    state = torch.randn(24, generator=torch.Generator().manual_seed(5))
    said = continuation(subject, state, target, 2, 3)
    assert len(said) == 3
    tokens = [*target.tokens]
    for word in said:

        def put(value, hook):
            value[:, target.place] = state

        logits = subject.run_with_hooks(torch.tensor([tokens]), [(("resid_pre", 2), put)])[0, -1]
        assert littletown.vocabulary()[int(logits.argmax())] == word
        tokens.append(int(logits.argmax()))


def test_the_lens_is_read_on_the_same_states_and_needs_no_target(subject):
    words = ["owl", "cat", "goat"]
    stream = lens.residual_stream(subject, [f"the {word}" for word in words])[:, :, -1]
    final = lens.read_out(subject, stream[-1]).argmax(-1)
    assert float(lens_shares(subject, stream, final)[-1]) == 1
    table = shares(subject, stream, prompt(subject, "owl owl , x"), final)
    assert table.shape == (7, 6)
    tuned = lens.TunedLens(6, 24)
    torch.testing.assert_close(lens_shares(subject, stream, final, tuned), lens_shares(subject, stream, final))


def test_a_depth_without_a_block_and_states_of_another_width_are_refused(subject):
    target = prompt(subject, "owl owl , x")
    with pytest.raises(BadReading, match="after depth 6 no block follows: put the state in at 0 to 5"):
        patchscope(subject, torch.ones(1, 24), target, 6)
    with pytest.raises(BadReading, match="there is no layer 7"):
        patchscope(subject, torch.ones(1, 24), target, 7)
    with pytest.raises(BadReading, match=r"shape \(1, 25\)"):
        patchscope(subject, torch.ones(1, 25), target, 2)
    assert read(subject, "the owl", 6)
