"""The labelled concepts: a fixed list, each there in training texts and held-out ones, each label where it belongs."""

from __future__ import annotations

import torch

from mi_lib.worlds.littletown import people
from mi_lib.worlds.littletown.concepts import CONCEPTS, concepts, texts


def test_there_are_48_concepts_and_texts_of_both_splits_have_each_of_them():
    assert len(set(CONCEPTS)) == len(CONCEPTS) == 48
    for split in ("train", "held_out"):
        holds = concepts(texts(300, 30, split))
        assert holds.shape[1] == 48
        assert holds.any(0).all()
        assert not holds.all(0).any()


def test_rows_are_the_words_of_all_texts_in_their_order():
    documents = texts(20, 3, "train")
    holds = concepts(documents)
    apart = [concepts([document]) for document in documents]
    assert [len(rows) for rows in apart] == [len(document.words) for document in documents]
    assert torch.equal(torch.cat(apart), holds)
    assert concepts([]).shape == (0, 48)


def test_words_are_labelled_by_what_they_are():
    documents = texts(60, 3, "train")
    words = [word for document in documents for word in document.words]
    holds = concepts(documents)
    birds = [thing for thing, of in people.OF_THING.items() if of["kind"] == "bird"]
    for name, members in (("a town", people.TOWNS), ("a bird", birds)):
        assert [word in members for word in words] == holds[:, CONCEPTS.index(name)].tolist()


def test_turns_share_out_the_words_of_a_chat():
    chats = texts(60, 3, "train")[1::2]
    holds = concepts(chats)
    turns = holds[:, [CONCEPTS.index(f"the {who}'s turn") for who in ("system", "user", "assistant")]]
    assert (turns.sum(1) <= 1).all()
    assert turns.any(0).all()
    refusal = holds[:, CONCEPTS.index("a refusal")]
    assert refusal.any()
    assert turns[refusal, 2].all(), "only the assistant refuses"


def test_a_sentence_begins_after_the_end_of_one():
    documents = texts(40, 3, "train")
    words = [word for document in documents for word in document.words]
    holds = concepts(documents)
    first, end = (holds[:, CONCEPTS.index(name)] for name in ("the first word of a sentence", "the end of a sentence"))
    assert end.sum() > 100
    after = torch.zeros_like(end)
    after[1:] = end[:-1]
    special = torch.tensor([word.startswith("<|") for word in words])
    assert (first | special)[after].all()
    assert not first[special].any()
