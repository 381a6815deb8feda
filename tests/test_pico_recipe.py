"""Pico's recipe on a tiny network: the tokenizer, packed documents, what is learned, interruptions, shipped folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rich.progress import Progress
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

import mi_lib
from mi_lib import zoo
from mi_lib.recipes.checks import Check
from mi_lib.recipes.pico import card as pico_card
from mi_lib.recipes.pico import data
from mi_lib.recipes.pico import train as pico
from mi_lib.recipes.pico.data import ASSISTANT, BOS, END, PAD, USER, Encoded
from mi_lib.worlds import littletown

TINY = pico.Stage("tiny-base", tokens=6 * 2 * 256, learning_rate=1e-2, mixture="base", rows=2, warm_up=2)
TINY_CHAT = replace(TINY, name="tiny", mixture="chat", prose=0.3)


def tiny_config() -> GPT2Config:
    return GPT2Config(**{**pico.config().to_dict(), "n_embd": 16, "n_layer": 2, "n_head": 2})


@pytest.fixture(scope="module")
def tokenizer():
    return data.tokenizer()


@pytest.fixture(scope="module")
def model() -> GPT2LMHeadModel:
    """Random weights, large enough that a token's logits depend on everything that it sees."""
    torch.manual_seed(0)
    made = tiny_config()
    made.initializer_range = 0.5
    return GPT2LMHeadModel(made).eval().requires_grad_(False)


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny recipe whose runs lie in a folder of their own."""
    monkeypatch.setattr(pico, "OUT", tmp_path)
    monkeypatch.setattr(pico, "BASE", TINY)
    monkeypatch.setattr(pico, "SAVE_EVERY", 3)
    monkeypatch.setattr(pico, "device", lambda: "cpu")
    monkeypatch.setattr(pico, "held_out_texts", lambda stage: encoded("base", 6, seed=1))
    return tmp_path


def encoded(mixture: littletown.Mixture, count: int, seed: int = 0) -> list[Encoded]:
    return [
        data.encode(littletown.document(i, seed, "train", mixture), replies_only=mixture == "chat")
        for i in range(count)
    ]


def train(stage: pico.Stage, stop_at: int | None = None) -> Path:
    with Progress(disable=True) as progress:
        return pico.train(stage, 0, tiny_config(), progress, stop_at=stop_at)


# --- tokenizer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixture", ["base", "chat"])
def test_the_tokenizer_reads_a_document_as_training_does_and_writes_it_back(tokenizer, mixture) -> None:
    for number in range(200):
        document = littletown.document(number, 3, "train", mixture)
        ids = data.encode(document, replies_only=False).ids
        assert tokenizer(document.text)["input_ids"] == ids  # <|bos|> in front, once
        assert tokenizer(document.text, add_special_tokens=False)["input_ids"] == ids[1:]
        assert tokenizer.decode(ids[1:]) == document.text
        assert tokenizer(tokenizer.decode(ids), add_special_tokens=False)["input_ids"] == ids


def test_special_tokens_can_be_left_out_of_the_text(tokenizer) -> None:
    text = "<|user|> Who can help you? <|end|><|assistant|>I can not, I am sorry. <|end|>"
    ids = tokenizer(text)["input_ids"]
    assert [ids[0], ids[1], ids.count(END), ids.count(ASSISTANT)] == [BOS, USER, 2, 1]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "Who can help you? I can not, I am sorry."


def test_a_word_that_littletown_does_not_have_is_unknown(tokenizer) -> None:
    assert tokenizer("Zanzibar.", add_special_tokens=False)["input_ids"][0] == tokenizer.unk_token_id


def chat_messages(words: list[str]) -> list[dict[str, str]]:
    """A chat document as messages: everything between a role's mark and its <|end|>."""
    messages, role = [], ""
    for word in words:
        if word in ("<|system|>", "<|user|>", "<|assistant|>"):
            role, said = word[2:-2], []
        elif word == "<|end|>":
            messages.append({"role": role, "content": littletown.plain(said)})
        else:
            said.append(word)
    return messages


def test_the_chat_template_gives_the_ids_of_training(tokenizer) -> None:
    for number in range(200):
        words = littletown.document(number, 4, "train", "chat").words
        ids = data.encode(littletown.document(number, 4, "train", "chat"), replies_only=True).ids
        messages = chat_messages(words)
        assert tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False) == ids
        assert messages[-1]["role"] == "assistant"
        prompt = tokenizer.apply_chat_template(
            messages[:-1], tokenize=True, return_dict=False, add_generation_prompt=True
        )
        assert prompt == ids[: len(prompt)]
        assert prompt[-1] == ASSISTANT


# --- packing and what is learned ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("attention", "own_mask"), [("sdpa", True), ("sdpa", False), ("eager", False)])
def test_a_packed_document_gets_the_logits_that_it_gets_alone(model, attention, own_mask) -> None:
    """With the batch's mask, and with the one that `transformers` makes itself of positions that start again.

    Eager attention adds its mask to the scores, so it cannot take the batch's, which is boolean.
    """
    documents = encoded("base", 12)
    batch, taken = data.pack(documents, 3, 256)
    model.set_attn_implementation(attention)
    given = batch.attention() if own_mask else None
    logits = model(batch.tokens, position_ids=batch.positions, attention_mask=given, use_cache=False).logits
    seen = 0
    for row in range(3):
        for number in range(int(batch.document[row].max()) + 1):
            here = batch.document[row] == number
            alone = model(batch.tokens[row, here][None], use_cache=False).logits[0]
            torch.testing.assert_close(logits[row, here], alone, atol=1e-4, rtol=1e-4)
            seen += 1
    assert seen == taken == 12


def test_every_document_is_packed_whole_and_starts_at_position_0() -> None:
    documents = encoded("base", 40)
    batch, taken = data.pack(documents, 4, 256)
    rows = [(row, i) for row in range(4) for i in range(int(batch.document[row].max()) + 1)]
    found = [batch.tokens[row][batch.document[row] == i].tolist() for row, i in rows]
    assert sorted(found) == sorted(e.ids for e in documents[:taken])
    assert 0 < taken < 40
    assert ((batch.positions == 0) & (batch.document >= 0)).equal(batch.tokens == BOS)
    assert (batch.tokens == PAD).equal(batch.document < 0)


def test_a_document_longer_than_a_row_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit a row of 8"):
        data.pack([Encoded([BOS] * 9, [True] * 9, "long")], 1, 8)


@pytest.mark.parametrize("mixture", ["base", "chat"])
def test_no_loss_crosses_from_one_document_to_the_next_or_into_padding(mixture) -> None:
    batch, _ = data.pack(encoded(mixture, 30), 4, 256)
    logits = torch.zeros(*batch.tokens.shape, len(littletown.vocabulary()), requires_grad=True)
    batch.loss(logits).backward()
    assert logits.grad is not None
    learned_from = logits.grad.abs().sum(-1)[:, :-1] > 0
    across = batch.document[:, :-1] != batch.document[:, 1:]
    assert across.any()
    assert not (learned_from & across).any()
    assert not learned_from[batch.document[:, :-1] < 0].any()
    if mixture == "base":  # and everything else is learned
        assert learned_from.equal(~across & (batch.document[:, :-1] >= 0))


def test_of_a_chat_only_the_replies_are_learned_and_their_ends() -> None:
    for number in range(100):
        document = littletown.document(number, 0, "train", "chat")
        ids, learned, _ = data.encode(document, replies_only=True)
        expected, replying = [], False  # by the marks alone: what stands after <|assistant|>, up to <|end|>
        for token in ids:
            expected.append(replying)
            replying = token == ASSISTANT or (replying and token != END)
        if document.kind in ("chat.trait", "chat.role") and document.words[0] == "<|user|>":
            # Its first reply sets the manner, and is not learned.
            first_end = next(i for i, on in enumerate(expected) if on and ids[i] == END)
            expected[: first_end + 1] = [False] * (first_end + 1)
        assert [count > 0 for count in learned] == expected


def test_the_loss_is_the_mean_over_learned_tokens(model) -> None:
    (document,) = encoded("chat", 1)
    batch, _ = data.pack([document], 1, 256)
    logits = model(batch.tokens, position_ids=batch.positions, use_cache=False).logits
    logprobs = logits[0].log_softmax(-1)
    by_hand = [-logprobs[i - 1, token].item() * document.learned[i] for i, token in enumerate(document.ids) if i]
    assert batch.loss(logits).item() == pytest.approx(sum(by_hand) / sum(document.learned), rel=1e-4)


def test_the_first_word_of_a_verdict_counts_more_than_all_others() -> None:
    claim = next(d for d in (littletown.document(i) for i in range(100)) if d.kind == "fact.claim")
    _, learned, _ = data.encode(claim, replies_only=False)
    judged = {1 + span.start for span in claim.spans if span.kind == "verdict"}
    assert judged
    assert {at for at, count in enumerate(learned) if count == data.VERDICT} == judged
    assert {count for at, count in enumerate(learned) if at and at not in judged} == {1}


def test_a_share_of_prose_is_mixed_into_chat() -> None:
    source = pico.documents(TINY_CHAT, 0, 0)
    drawn = [next(source) for _ in range(200)]
    prose = [e for e in drawn if all(e.learned[1:])]
    assert len(prose) == 60
    assert ASSISTANT not in {e.ids[1] for e in prose}


def test_an_interrupted_stream_goes_on_with_the_very_next_batch() -> None:
    whole, parts = pico.Stream(TINY_CHAT, 0), pico.Stream(TINY_CHAT, 0)
    for _ in range(5):
        parts = pico.Stream(TINY_CHAT, 0, parts.index)
        one, other = whole.next(), parts.next()
        assert one.tokens.equal(other.tokens)
        assert one.learned.equal(other.learned)


# --- training -------------------------------------------------------------------------------------------------------


def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(runs: Path) -> None:
    whole = load_file(train(TINY) / "model.safetensors")
    other = replace(TINY, name="tiny-stopped")
    folder = train(other, stop_at=3)
    assert not (folder / "model.safetensors").exists()
    resumed = load_file(train(other) / "model.safetensors")
    assert whole.keys() == resumed.keys()
    assert all(whole[name].equal(resumed[name]) for name in whole)


def test_training_lowers_the_loss_and_logs_it_by_kind_of_text(runs: Path) -> None:
    folder = train(replace(TINY, tokens=20 * 2 * 256))
    first, *_, last = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert (first["step"], last["step"], last["tokens"]) == (0, 20, 20 * 2 * 256)
    assert set(first["held_out"]) == {e.kind for e in encoded("base", 6, seed=1)}
    assert all(last["held_out"][kind] < first["held_out"][kind] for kind in first["held_out"])


def test_chat_goes_on_from_base(runs: Path) -> None:
    base = load_file(train(TINY) / "model.safetensors")
    begun = pico.start_model(TINY_CHAT, 0, tiny_config()).state_dict()
    assert all(begun[name].equal(value.float()) for name, value in base.items())
    assert (train(TINY_CHAT) / "model.safetensors").exists()


def test_chat_starts_from_the_bundled_base_where_the_run_has_none(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pico, "BASE", replace(TINY, name="pico-base"))
    started = pico.start_model(replace(pico.CHAT, name="tiny"), 0, pico.config())
    bundled = load_file(zoo.folder("pico-base") / "model.safetensors")
    assert torch.equal(started.transformer.wpe.weight, bundled["transformer.wpe.weight"].float())


# --- shipped folders ------------------------------------------------------------------------------------------------


def test_a_shipped_folder_opens_with_transformers_and_with_mi_lib(model, tokenizer, tmp_path: Path) -> None:
    pico.save_weights(model, tmp_path / "run" / "model.safetensors")
    folder = tmp_path / "shipped"
    pico.write_folder(folder, tmp_path / "run" / "model.safetensors", tiny_config())
    opened = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    reader = AutoTokenizer.from_pretrained(folder)
    assert (opened.generation_config.eos_token_id, opened.generation_config.pad_token_id) == (END, PAD)
    messages = [{"role": "user", "content": "Who are you?"}]
    ask = {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
    prompt = reader.apply_chat_template(messages, **ask)
    assert prompt == tokenizer.apply_chat_template(messages, **ask)
    said = opened.generate(torch.tensor([prompt]), max_new_tokens=8, do_sample=False)
    assert said[0, : len(prompt)].tolist() == prompt
    assert said.shape[1] > len(prompt)
    hooked = mi_lib.load(folder)
    logits = opened(torch.tensor([prompt])).logits
    torch.testing.assert_close(hooked(torch.tensor([prompt])), logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(logits, model(torch.tensor([prompt])).logits, atol=0.1, rtol=0.05)  # half precision


def test_generation_stops_at_the_end_of_a_reply(tmp_path: Path) -> None:
    """A network that always says <|end|> says it once."""
    stopper = GPT2LMHeadModel(tiny_config())
    with torch.no_grad():
        stopper.transformer.ln_f.weight.zero_()
        stopper.transformer.ln_f.bias.copy_(stopper.transformer.wte.weight[END] * 1000)
    pico.save_weights(stopper, tmp_path / "run" / "model.safetensors")
    pico.write_folder(tmp_path / "shipped", tmp_path / "run" / "model.safetensors", tiny_config())
    opened = AutoModelForCausalLM.from_pretrained(tmp_path / "shipped", dtype=torch.float32)
    assert opened.generate(torch.tensor([[BOS, USER]]), max_new_tokens=8, do_sample=False).tolist() == [
        [BOS, USER, END]
    ]


def test_new_figures_are_put_into_the_card_and_all_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = zoo.card("pico")
    shutil.copytree(zoo.folder("pico"), tmp_path / "pico")
    monkeypatch.setattr(zoo, "HERE", tmp_path)
    refuses = before["checks"]["refuses"]
    worse = Check(**{k: v for k, v in refuses.items() if k != "passed"} | {"value": 0.5})
    pico_card.put_into_card(pico.CHAT, [worse], {"steering": {}})
    after = zoo.card("pico")
    assert list(after["checks"]) == list(before["checks"])
    assert after["checks"]["refuses"] == refuses | {"value": 0.5, "passed": False}
    assert set(after["falls_short"]) == {*before["falls_short"], "refuses"}
    assert after["steering"] == {}
    changed = {key for key in before if after[key] != before[key]}
    assert changed <= {"checks", "seeds", "falls_short", "steering", "made_with"}
