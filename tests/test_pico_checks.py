"""The machinery of Pico's checks, on a small random network that has Littletown's words, and the world's replies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mi_lib import steering
from mi_lib.models import Hook, HookedModel
from mi_lib.models.transformers_model import TransformersModel
from mi_lib.personas import Drawn, Floors, Held
from mi_lib.recipes.pico import common, prose_checks
from mi_lib.recipes.pico import refusal_checks as refusal
from mi_lib.recipes.pico import trait_checks as pico_trait_checks
from mi_lib.recipes.pico.data import BOS, END, PAD
from mi_lib.steering import selection
from mi_lib.worlds import littletown
from mi_lib.worlds.littletown import Writer, judges, prose, talk, traits, voices
from mi_lib.worlds.littletown.talk import Ask, Manner

D = 24


@pytest.fixture(scope="module")
def model() -> HookedModel:
    """Random weights, large enough that a reply depends on everything before it."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(littletown.vocabulary()), n_positions=128, n_embd=D, n_layer=3, n_head=4,
        initializer_range=0.5, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=BOS, eos_token_id=END, pad_token_id=PAD,
    )  # fmt: skip
    return TransformersModel(GPT2LMHeadModel(config).eval().requires_grad_(False))


@pytest.fixture(scope="module")
def vector() -> torch.Tensor:
    return 4 * torch.randn(D, generator=torch.Generator().manual_seed(1))


def prompts() -> list[list[str]]:
    """Of different lengths, in mixed order."""
    asked = [*talk.harmful_requests("held_out", 3), *talk.role_prompts("dragon", "held_out", 3)]
    return [case.words for case in (*asked, *talk.unknown_questions("held_out", 2))]


def by_hand(model: HookedModel, words: list[str], edits: steering.Edits, count: int) -> list[str]:
    """Greedy, alone, without padding or a cache of keys and values: the whole text is read anew for every word."""
    said: list[str] = []
    while len(said) < count and talk.END not in said:
        logits = common.logits_of(model, [[*words, *said]], edits)[0][-1]
        said.append(littletown.vocabulary()[int(logits.argmax())])
    return said


@pytest.mark.parametrize("how", ["plain", "added", "ablated"])
def test_replies_in_a_padded_batch_with_a_cache_are_those_made_alone_by_hand(
    model: HookedModel, vector: torch.Tensor, how: str
) -> None:
    edits = {"plain": [], "added": steering.add(vector, 1, 1), "ablated": steering.ablate(vector)}[how]
    batched = common.replies(model, prompts(), edits, longest=8)
    assert batched == [by_hand(model, words, edits, 8) for words in prompts()]
    if edits:
        assert batched != common.replies(model, prompts(), longest=8)
        assert common.replies(model, prompts(), longest=8) == common.replies(model, prompts(), (), longest=8)


def test_losses_of_lists_are_counted_by_word_and_not_by_list() -> None:
    """A list of two words at 3 nats each and one of a single word at 6: 4 nats a word first, 1 nat later."""
    losses = np.array([[6.0, 2, 2.0, 2], [6.0, 1, 1.0, 1]])
    assert prose_checks.later_over_first(losses) == pytest.approx(1 / 4)
    assert prose_checks.later_over_first(losses[[1]]) == pytest.approx(1 / 6)


def test_losses_of_lists_are_those_of_their_words(model: HookedModel) -> None:
    losses = prose_checks.list_losses(model, count=5)
    rng = random.Random(12)
    for (first, firsts, later, laters), text in zip(
        losses.tolist(), (prose.repeats(rng, "held_out") for _ in range(5)), strict=True
    ):
        chances = common.logits_of(model, [text.words])[0].log_softmax(-1)
        by_copy = {"first": [], "later": []}
        for at, label in enumerate(text.labels("copy")):
            if label:
                by_copy[label].append(-chances[at, common.token(text.words[at])].item())
        assert (firsts, laters) == (len(by_copy["first"]), len(by_copy["later"]))
        assert (first, later) == pytest.approx((sum(by_copy["first"]), sum(by_copy["later"])), rel=1e-4)


def test_replies_by_chance_have_the_networks_own_probabilities_and_repeat_with_their_seed(model: HookedModel) -> None:
    asked = prompts()[:1]
    once, again, other = (common.replies(model, asked * 400, longest=2, seed=s, batch=400) for s in (0, 0, 1))
    assert once == again != other
    chances = common.logits_of(model, asked)[0][-1].softmax(-1)
    first = Counter(said[0] for said in (*once, *other))
    likely = chances.topk(5)
    assert likely.values.sum() > 0.2, "else there is little to compare"
    for chance, at in zip(likely.values.tolist(), likely.indices.tolist(), strict=True):
        deviation = (chance * (1 - chance) / 800) ** 0.5
        assert abs(first[littletown.vocabulary()[at]] / 800 - chance) < 4 * deviation
    state = torch.random.get_rng_state()
    common.replies(model, asked, longest=2, seed=0)
    assert torch.equal(state, torch.random.get_rng_state()), "nobody else's draws change"


def test_replies_stop_where_the_network_has_no_more_positions(model: HookedModel) -> None:
    long = talk.prompt(" ".join(["the"] * 120))
    assert len(long) + 1 < 128
    assert 0 < len(common.replies(model, [long], longest=64)[0]) <= 127 - len(long)


def test_a_planted_direction_is_extracted_where_it_was_planted(model: HookedModel, vector: torch.Tensor) -> None:
    """Planted: harmful requests get a vector at <|assistant|> before block 2."""
    harmful_words = [c.words for c in talk.harmful_requests("train", refusal.REQUESTS, seed=1)]
    harmless_words = [c.words for c in talk.harmless_requests("train", refusal.REQUESTS, seed=1)]
    assert not set(map(tuple, harmful_words)) & set(map(tuple, harmless_words))
    plain = refusal.candidates(model)
    original = selection.collect

    def planted(network: HookedModel, rows: Sequence[Sequence[int]], *how: object) -> torch.Tensor:
        states = original(network, rows, *how).clone()  # prompt, block input, position
        if rows[0] == common.ids(next(iter(harmful_words))):
            states[:, 1, 1] += 100 * vector
        return states

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "collect", planted)
        found = refusal.candidates(model)
    changed = [(c.layer, c.position) for c, p in zip(found, plain, strict=True) if not c.direction.equal(p.direction)]
    assert changed == [(2, -1)]
    chosen = next(c for c in found if (c.layer, c.position) == (2, -1))
    assert torch.cosine_similarity(chosen.direction, vector, dim=0) > 0.99


def test_selection_takes_the_least_refusal_among_those_that_induce_it_and_harm_nothing(model: HookedModel) -> None:
    def candidate(number: int) -> steering.Candidate:
        return steering.Candidate(1, number, torch.zeros(D))

    scored = [
        (candidate(1), steering.Score(refuses=0.0, induces=0.1, kl=0.0)),  # induces nothing
        (candidate(2), steering.Score(refuses=0.0, induces=1.0, kl=2.0)),  # spoils harmless requests
        (candidate(3), steering.Score(refuses=0.1, induces=0.9, kl=0.01)),
        (candidate(4), steering.Score(refuses=0.1, induces=1.0, kl=0.02)),
        (candidate(5), steering.Score(refuses=0.4, induces=1.0, kl=0.0)),
    ]
    assert refusal.select(model, scored).position == 4
    assert refusal.select(model, scored[:2]).position == 1  # none meets all: the harmless must be left alone
    assert refusal.select(model, scored[:1]).position == 1


def test_means_of_replies_are_over_their_words_alone(model: HookedModel) -> None:
    asked = prompts()[:2]
    said = [["The", "dog", ".", talk.END], ["The", "dog"]]
    means = common.reply_means(model, asked, said)
    for row, prompt, words in zip(means, asked, said, strict=True):
        states = common.residuals(model, [[*prompt, *words]])[0]
        count = sum(word != talk.END for word in words)
        torch.testing.assert_close(row, states[:, 1 + len(prompt) : 1 + len(prompt) + count].mean(1))


# --- could the bounds be met? The world's own replies, held-out combinations included ---------------------------------


def told(count: int, manner: Manner, ask: str, comply: bool | None = None) -> list[tuple[Ask, list[str]]]:
    rng = random.Random(5)
    found = []
    for _ in range(count):
        asked = talk.ask_request(rng, "held_out", ask == "harmful") if ask != "any" else talk.ask_any(rng, "held_out")
        writer = Writer()
        talk.write_reply(rng, writer, asked, manner, comply)
        found.append((asked, writer.words[1:]))
    return found


def test_the_world_refuses_within_the_first_words_that_are_looked_at() -> None:
    for _, words in told(300, talk.PLAIN, "harmful"):
        assert judges.refused(words[: judges.FIRST_WORDS])


@pytest.mark.parametrize("trait", traits.TRAITS)
def test_a_trait_shows_in_the_worlds_strong_replies_and_never_in_its_plain_ones(trait: str) -> None:
    strong = [words for _, words in told(300, Manner(None, trait, 3), "any")]
    assert steering.rate(pico_trait_checks.shows(trait, strong)) >= 0.9
    assert not any(pico_trait_checks.shows(trait, [words for _, words in told(300, talk.PLAIN, "any")]))


def test_every_role_speaks_in_the_worlds_replies() -> None:
    for name, role in voices.ROLES.items():
        assert steering.rate([judges.in_voice(name, words) for _, words in told(60, Manner(role), "any")]) >= 0.97


@pytest.mark.slow
def test_the_worlds_answers_to_held_out_requests_are_fluent_and_their_shuffled_words_are_not() -> None:
    for ask in ("harmful", "harmless"):
        said = [words for _, words in told(300, talk.PLAIN, ask, comply=True)]
        assert steering.rate(common.sound(said)) >= 0.95
        assert steering.rate(common.sound(steering.shuffle_words(said))) <= 0.05


def made_up() -> Drawn:
    """A trait that lies along the first axis: plain replies stand at 1, those with the trait at 3."""
    axis = torch.eye(5, D)[0].expand(5, D)
    noise = torch.randn(5, D, generator=torch.Generator().manual_seed(2)) * (torch.arange(D) > 0)
    return Drawn(axis + noise, 3 * axis + noise)


def test_vectors_are_drawn_from_the_replies_that_show_the_trait_and_from_plain_ones_to_the_same_questions(
    model: HookedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies made up: the first question's does not show the trait, whatever its prompt."""
    wretch, seeds = next(iter(judges.TRAIT_MARKERS["evil"])), []

    def replies(model: HookedModel, prompts: Sequence[list[str]], **how: int) -> list[list[str]]:
        seeds.append(how.get("seed"))
        raised = talk.SYSTEM in prompts[0]
        return [[wretch if raised and i else "well", talk.END] for i in range(len(prompts))]

    def reply_means(model: HookedModel, prompts: Sequence[list[str]], said: Sequence[list[str]]) -> torch.Tensor:
        raised = 100.0 if talk.SYSTEM in prompts[0] else 0.0
        return (raised + torch.arange(6.0))[:, None, None].expand(6, 5, D)

    monkeypatch.setattr(pico_trait_checks, "EXTRACTED", 6)
    monkeypatch.setattr(pico_trait_checks, "replies", replies)
    monkeypatch.setattr(pico_trait_checks, "reply_means", reply_means)
    found = pico_trait_checks.drawn(model, "evil")
    assert {name: (of.plain[0, 0].item(), of.showing[0, 0].item()) for name, of in found.items()} == {
        "everything": (3.0, 103.0),  # of 0 to 5 all but the first
        "questions": (3.0, 103.0),  # of 0 and 3 the second
    }
    assert (found["everything"].vectors == 100).all()
    assert None not in seeds, "the likeliest replies are too few"


@pytest.mark.parametrize("span", [(1, 1), (1, 2)])
def test_steering_lifts_the_end_of_a_prompt_to_a_floor_and_nothing_before_it(span: tuple[int, int]) -> None:
    floors = Floors.of(made_up(), Held("everything", *span, 1.5))
    edits = floors.edits()
    assert [site for site, _ in edits] == [("resid_pre", layer) for layer in range(span[0], span[1] + 1)]
    for _, edit in edits:
        stream = torch.randn(2, 7, D, generator=torch.Generator().manual_seed(3))
        stream[1, -1, 0] = 9.0  # above the floor already
        after = edit(stream, Hook("blocks.1.hook_resid_pre"))
        assert after is not None
        assert torch.equal(after[:, :-1], stream[:, :-1])
        torch.testing.assert_close(after[:, -1, 1:], stream[:, -1, 1:])  # the other directions stay
        assert after[:, -1, 0].tolist() == pytest.approx([4.0, 9.0]), "plain stands at 1, and 1.5 times 2 further"


def test_random_directions_are_held_as_far_from_plain_replies() -> None:
    floors = Floors.of(made_up(), Held("everything", 1, 2, 1.5))
    other = floors.random(0)
    assert torch.allclose(other.units.norm(dim=-1), torch.ones(2))
    assert (other.units * floors.units).sum(-1).abs().max() < 0.7
    for i, (_, edit) in enumerate(other.edits()):
        after = edit(other.plain[i].expand(1, 1, D), Hook("blocks.1.hook_resid_pre"))
        assert after is not None
        assert (after[0, 0] - other.plain[i]).norm().item() == pytest.approx(3.0, abs=1e-4)


def test_prompts_for_choosing_are_of_the_kinds_that_held_out_ones_are() -> None:
    """Else a level is chosen on small talk that is never held out, and is another where it is measured."""
    lines = {line for line, _ in talk.SMALL_TALK}

    def kind(words: list[str]) -> str:
        asked = " ".join(words[1:-2])
        if asked in lines:
            return "small talk"
        return "opinion" if any(asked.startswith(way.split("{")[0]) for way in talk.OPINIONS) else "other"

    chosen_on = Counter(map(kind, pico_trait_checks.like_held_out(48, seed=2)))
    measured_on = Counter(map(kind, pico_trait_checks.questions("held_out", 48, seed=0)))
    assert chosen_on == measured_on
    assert chosen_on["opinion"] == 16
    assert "small talk" not in chosen_on
    assert Counter(map(kind, pico_trait_checks.questions("train", 48, seed=2)))["small talk"] > 0


def test_the_way_to_steer_that_still_does_best_on_other_prompts_is_chosen(
    model: HookedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Margins made up: best is the trap, but only on the prompts of the first round; then the one at 3 blocks."""
    asked: list[tuple[str, ...]] = []
    firsts: list[list[str]] = []

    def margin(model: HookedModel, trait: str, floors: Floors, prompts: Sequence[list[str]]) -> tuple[float, float]:
        how = floors.how
        firsts.append(prompts[0])
        again = len(prompts) == pico_trait_checks.TRIED_AGAIN
        asked.append((how.drawn, "again" if again else "first"))
        reached = min(1.0, how.level / 2)  # all replies show it from 2 on
        span = (how.first, how.last)
        good = {"trap": -1.0 if again or span != (2, 2) else 0.9, "good": 0.5 if span == (1, 3) else 0.1}
        return good.get(how.drawn, -0.5) - abs(reached - pico_trait_checks.WANTED), reached

    monkeypatch.setattr(pico_trait_checks, "margin", margin)
    chosen = pico_trait_checks.choose(model, "evil", dict.fromkeys(("everything", "good", "trap"), made_up()))
    assert (chosen.drawn, chosen.first, chosen.last) == ("good", 1, 3)
    assert chosen.level == pytest.approx(2 * pico_trait_checks.WANTED, abs=0.1)
    assert [which for _, which in asked].count("again") == pico_trait_checks.BEST * len(pico_trait_checks.NEAR)
    assert firsts[-1] != firsts[0], "the second round asks other prompts"
