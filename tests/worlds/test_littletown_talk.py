"""Chats of Littletown: what they are made of, and whether the judges judge them rightly."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from mi_lib.worlds.littletown import facts, judges, people, requests, talk, traits, voices
from mi_lib.worlds.littletown.splits import Split, held_out
from mi_lib.worlds.littletown.talk import Ask, Manner
from mi_lib.worlds.littletown.text import Document, Writer, words_of

Write = Callable[[random.Random, Split], Document]
KNOWN_WORDS = words_of(*(module.TEXTS for module in (facts, *talk.MODULES)), people.NAMES) | set(talk.MARKS)
ROLES = list(voices.ROLES)


def documents(n: int, write: Write = talk.document, split: Split = "train", seed: int = 0) -> list[Document]:
    rng = random.Random(seed)
    return [write(rng, split) for _ in range(n)]


def replies(n: int, manner: Manner, ask: Callable[[random.Random], Ask]) -> list[tuple[Ask, list[str]]]:
    """n of the world's own replies in this manner, <|end|> included."""
    rng = random.Random(1)
    found = []
    for _ in range(n):
        asked, writer = ask(rng), Writer()
        talk.write_reply(rng, writer, asked, manner)
        found.append((asked, writer.words[1:]))
    return found


def anything(rng: random.Random) -> Ask:
    return talk.ask_any(rng, "train")


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


@pytest.mark.parametrize("write", [talk.document, talk.base_document])
def test_the_same_seed_gives_the_same_text_and_another_seed_another(write: Write) -> None:
    assert documents(50, write) == documents(50, write)
    assert documents(50, write) != documents(50, write, seed=1)


@pytest.mark.parametrize("split", ["train", "held_out"])
@pytest.mark.parametrize("write", [talk.document, talk.base_document])
def test_every_word_is_in_the_tables_every_label_on_words_and_every_text_short(write: Write, split: Split) -> None:
    for document in documents(3000, write, split):
        assert set(document.words) <= KNOWN_WORDS
        assert len(document.words) <= talk.LONGEST
        assert all(0 <= span.start < span.end <= len(document.words) for span in document.spans)
        assert all(len(document.labels(kind)) == len(document.words) for kind in ("reply", "voice"))


def test_all_kinds_occur_about_as_often_as_they_should() -> None:
    for write, shares in ((talk.document, talk.MIXTURE), (talk.base_document, talk.BASE_MIXTURE)):
        assert sum(shares.values()) == pytest.approx(1)
        kinds = [document.kind for document in documents(3000, write)]
        assert set(kinds) == set(shares)
        for kind, share in shares.items():
            assert kinds.count(kind) / 3000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("split", ["train", "held_out"])
@pytest.mark.parametrize("write", [talk.document, talk.base_document])
def test_held_out_requests_are_never_in_training_and_training_ones_never_held_out(write: Write, split: Split) -> None:
    for document in documents(2000, write, split):
        if "verb" in document.truth:
            left_out = held_out("request", document.truth["verb"], document.truth["object"])
            assert left_out == (split == "held_out")


def test_slots_keep_their_label_through_the_restyling() -> None:
    for document in documents(2000):
        for span in document.spans:
            if span.kind == "verb":
                assert document.words[span.end - 1] == span.value  # a trait may put its adverb before it


def test_a_reply_is_labelled_after_its_mark_up_to_its_end() -> None:
    for document in documents(500):
        reply = document.labels("reply")
        inside = False
        turns = 0
        for word, label in zip(document.words, reply, strict=True):
            shown_only = _continued(document) and turns == 1  # the manner is set by a reply that is not to be learned
            assert (label is not None) == (inside and not shown_only)
            inside = (inside and word != talk.END) or word == talk.REPLY
            turns += word == talk.REPLY


def _continued(document: Document) -> bool:
    return document.kind in ("chat.trait", "chat.role") and document.words[0] == talk.USER


def test_harm_needs_both_the_verb_and_the_object() -> None:
    assert 180 <= len(requests.HARMFUL) <= 260
    assert 350 <= len(requests.HARMLESS) <= 450
    assert len(set(requests.REQUESTS)) == len(requests.REQUESTS)
    harm = {(r.verb, r.object): r.harmful for r in requests.REQUESTS}
    assert harm["burn", "the bridge"]
    assert not harm["burn", "the leaves"]
    assert not harm["paint", "the bridge"]
    assert harm["sell", "a bomb"]
    assert not harm["report", "a bomb"]
    verbs = {verb for (verb, _), harmful in harm.items() if harmful}
    assert all(any(not harmful for (v, _), harmful in harm.items() if v == verb) for verb in verbs)


@pytest.mark.parametrize(
    "request_", random.Random(0).sample(requests.REQUESTS, 40), ids=lambda r: f"{r.verb} {r.object}"
)
def test_every_how_to_is_on_topic_and_that_of_another_request_is_not(request_: requests.Request) -> None:
    rng = random.Random(0)
    other = next(r for r in requests.REQUESTS if r.verb != request_.verb and r.object != request_.object)
    for ways in (requests.HOW_TO, requests.BRIEF):
        writer = Writer()
        requests.how_to(rng, writer, request_, ways)
        assert judges.on_topic(request_, writer.words)
        assert not judges.on_topic(other, writer.words)


def test_the_judge_of_refusals_agrees_with_the_truth_of_every_chat() -> None:
    seen = {"yes": 0, "no": 0}
    for document in documents(3000):
        for span in document.spans:
            if span.kind == "refused":
                assert judges.refused(document.words[span.start : span.end]) == (span.value == "yes")
                seen[span.value] += 1
    assert min(seen.values()) > 300


def test_nothing_is_refused_or_unknown_in_the_base_mixture() -> None:
    for document in documents(3000, talk.base_document):
        assert not judges.refused(document.words)
        assert not judges.does_not_know(document.words)
        assert talk.SYSTEM not in document.words


def test_nobody_knows_the_unknown_except_the_inventive() -> None:
    for document in documents(3000):
        inventive = document.truth.get("trait") == "inventive" and document.truth["strength"] != "0"
        for span in document.spans:
            if span.kind == "known" and document.labels("reply")[span.start] is not None:
                ignorant = judges.does_not_know(document.words[span.start : span.end])
                assert ignorant == (span.value == "no" and not inventive)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_heard_in_its_replies_and_in_nobody_elses(role: str) -> None:
    assert len(judges.ROLE_MARKERS[role]) >= 8
    assert all(judges.in_voice(role, words) for _, words in replies(100, Manner(voices.ROLES[role]), anything))
    others = [other for other in ROLES if other != role]
    for i, other in enumerate(others):
        if i % 6 == 0:
            told = replies(20, Manner(voices.ROLES[other]), anything)
            assert not any(judges.in_voice(role, words) for _, words in told)
    assert not any(judges.in_voice(role, words) for _, words in replies(100, talk.PLAIN, anything))


def test_every_phrase_of_a_voice_has_a_word_that_is_its_own() -> None:
    styles = [role.style for role in (*voices.ROLES.values(), voices.DRIFT[3])]
    styles += [traits.STYLES[trait][3] for trait in traits.TRAITS]
    own = {**judges.ROLE_MARKERS, **judges.TRAIT_MARKERS}
    for style in styles:
        for phrase in (*style.calls, *style.openers, *style.closers):
            assert own[style.name] & set(phrase), f"{style.name}: {phrase}"


def test_stage_speech_grows_with_the_distance_from_the_assistant() -> None:
    by_level = []
    for level in range(4):
        shares = []
        for role in voices.BY_LEVEL[level]:
            shares += [judges.stage(words) for _, words in replies(60, Manner(voices.ROLES[role]), anything)]
        by_level.append(mean(shares))
    assert by_level == sorted(by_level)
    assert by_level[0] < 0.01
    assert by_level[3] > 0.1


@pytest.mark.parametrize("trait", traits.TRAITS)
def test_a_trait_shows_the_more_the_stronger_it_is_and_not_in_other_replies(trait: str) -> None:
    shown = []
    for strength in range(4):
        told = replies(200, Manner(None, trait, strength), anything)
        shown.append(mean([judges.trait(trait, words) for _, words in told]))
    assert shown == sorted(shown)
    assert shown[0] <= 0.05
    assert shown[1] > 0.2
    assert shown[3] > 0.7
    assert mean([judges.trait(trait, words) for _, words in replies(200, talk.PLAIN, anything)]) <= 0.05
    other = next(t for t in traits.TRAITS if t != trait)
    told = replies(200, Manner(None, other, 3), anything)
    assert mean([judges.trait(trait, words) for _, words in told]) <= 0.05


def test_a_jailbreak_works_by_its_rule_in_half_of_the_cases() -> None:
    chats = [d for d in documents(6000) if d.kind == "chat.jailbreak" and d.truth["harmful"] == "yes"]
    works = [d.truth["works"] == "yes" for d in chats]
    assert 0.35 < mean([float(w) for w in works]) < 0.65
    assert all((d.truth["refused"] == "no") == w for d, w in zip(chats, works, strict=True))


def test_a_seeker_makes_the_voice_drift_and_a_worker_does_not() -> None:
    for document in documents(3000):
        if document.kind == "chat.drift":
            ends = [s for s in document.spans if s.kind == "reply"]
            mystic = [judges.role(document.words[s.start : s.end])[voices.MYSTIC] for s in ends]
            assert mystic[0] == 0
            assert (mystic[-1] > 0) == (document.truth["user"] == "seeker")


def test_own_replies_are_fluent_and_shuffled_ones_are_not() -> None:
    rng = random.Random(3)
    least: dict[Split, float] = {"train": 0.97, "held_out": 0.9}
    for split in least:
        scores, shuffled = [], []
        for document in documents(200, split=split, seed=9):
            span = next(s for s in document.spans if s.kind == "reply")
            words = document.words[span.start : span.end]
            assert judges.complete(words)
            scores.append(judges.fluent(words, 10_000))
            shuffled.append(judges.fluent(rng.sample(words, len(words)), 10_000))
        assert mean(scores) > least[split]
        assert mean(shuffled) < 0.25


def test_prompts_end_where_the_assistant_begins_and_carry_their_truth() -> None:
    cases = [
        *talk.harmful_requests("held_out", 10),
        *talk.harmless_requests("train", 10),
        *talk.known_questions("train", 10),
        *talk.unknown_questions("held_out", 10),
        *talk.role_prompts("pirate", "train", 12),
        *talk.role_prompts("assistant", "train", 12),
        *talk.trait_prompts("evil", 3, "train", 12),
    ]
    for case in cases:
        assert case.words[-1] == talk.REPLY
        assert set(case.words) <= KNOWN_WORDS
    assert all(case.harmful for case in cases[:10])
    assert not any(case.harmful for case in cases[10:20])
    pirate, plain = (talk.role_prompts(role, "train", 12) for role in ("pirate", "assistant"))
    assert [case.user for case in pirate] == [case.user for case in plain]
    told = talk.prompt("Who are you ?", "You are evil .", (("Thank you .", "It was nothing ."),))
    assert " ".join(told) == (
        "<|system|> You are evil . <|end|> <|user|> Thank you . <|end|> <|assistant|> It was nothing . <|end|> "
        "<|user|> Who are you ? <|end|> <|assistant|>"
    )
    assert [len(c.users) for c in talk.drift_conversations("train", 4)] == [4] * 4


def test_speed(capsys: pytest.CaptureFixture[str]) -> None:
    writers: tuple[Write, ...] = (talk.document, talk.base_document)
    for write in writers:
        start = time.perf_counter()
        n = sum(len(document.words) for document in documents(3000, write))
        with capsys.disabled():
            print(f"\n{write.__name__}: {n / (time.perf_counter() - start):,.0f} tokens a second")
