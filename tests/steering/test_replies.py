"""Replies in a padded batch with a cache are those made alone; prompts are what the chat template writes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from steering_subjects import ASKED, opened

import mi_lib
from mi_lib import steering
from mi_lib.steering.prompts import require_template, rows_of, stop_tokens


@pytest.mark.parametrize("how", ["plain", "added", "ablated", "held in the reply"])
@pytest.mark.parametrize("seed", [None, 3])
def test_replies_in_a_batch_are_those_made_alone(model, vector, how, seed):
    edits = {
        "plain": [],
        "added": steering.add(vector, 1, 1),
        "ablated": steering.ablate(vector),
        "held in the reply": steering.hold(vector, 3.0, (1, 2), where="last"),
    }[how]
    prompts = steering.chat(model, ASKED)
    together = steering.replies(model, prompts, edits, longest=8, seed=seed)
    alone = [
        steering.replies(model, [row], edits, longest=8, seed=seed if seed is None else seed + i)[0]
        for i, row in enumerate(prompts)
    ]
    in_pairs = steering.replies(model, prompts, edits, longest=8, seed=seed, batch=2)
    assert together == alone == in_pairs
    if edits:
        assert together != steering.replies(model, prompts, longest=8, seed=seed)


def test_drawn_replies_follow_the_models_own_probabilities(llama):
    prompts = steering.chat(llama, ASKED[:1])
    with torch.no_grad():
        expected = llama(torch.tensor(prompts))[0, -1].softmax(-1)
    for seed in (0, torch.Generator().manual_seed(0)):
        said = steering.replies(llama, prompts * 400, longest=1, seed=seed, batch=400)
        counted = Counter(reply.tokens[0] for reply in said)
        for token in expected.topk(3).indices.tolist():
            p = expected[token].item()
            assert abs(counted[token] / 400 - p) < 4 * (p * (1 - p) / 400) ** 0.5


def test_a_reply_is_tokens_words_and_text_and_ends_with_the_token_that_ends_it(llama):
    end = stop_tokens(llama)
    assert end == {llama.tokenizer.eos_token_id}
    (reply,) = steering.replies(llama, steering.chat(llama, "thank you"), longest=4, stop=())
    assert reply.words == llama.tokenizer.convert_ids_to_tokens(reply.tokens)
    assert len(reply.tokens) == 4
    first = reply.tokens[0]
    (short,) = steering.replies(llama, steering.chat(llama, "thank you"), longest=4, stop={first})
    assert short.tokens == [first]
    assert steering.said(llama, [10, 11, 2]).text == llama.tokenizer.decode([10, 11])


def test_a_prompt_and_its_reply_fit_the_model_together(llama):
    prompt = [1, *range(6, 20)] * 3
    (reply,) = steering.replies(llama, [prompt], longest=10, stop=())
    assert len(prompt) + len(reply.tokens) == llama.cfg.n_ctx
    assert steering.collect_replies(llama, [prompt], [reply.tokens], [("resid_pre", 1)]).isfinite().all()


def test_streaming_says_the_same_token_by_token(llama):
    prompt = steering.chat(llama, "thank you")
    edits = steering.ablate(torch.ones(24))
    steps = [step.token for step in steering.streamed(llama, prompt, edits, longest=6)]
    assert steps == steering.replies(llama, prompt, edits, longest=6)[0].tokens


def test_a_chat_is_written_as_the_template_writes_it(llama):
    messages = [
        {"role": "system", "content": "thank you"},
        {"role": "user", "content": "paint"},
        {"role": "assistant", "content": "well"},
        {"role": "user", "content": "burn the dog"},
    ]
    expected = llama.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert steering.chat(llama, "burn the dog", "thank you", [("paint", "well")]) == [expected]
    assert llama.tokenizer.convert_ids_to_tokens(steering.after_instruction(llama)) == ["</s>", "<reply>"]
    require_template(llama, steering.chat(llama, ASKED))
    with pytest.raises(
        ValueError, match=r"prompt 1 does not end as the model's chat template ends \('</s> ?<reply>'\)"
    ):
        require_template(llama, [*steering.chat(llama, "burn"), *rows_of(llama, ["burn"])])


def test_text_written_with_its_beginning_gets_no_second_one(llama):
    assert rows_of(llama, ["burn", "<s> burn"]) == [rows_of(llama, "burn")[0]] * 2


def test_pico_is_asked_like_any_other_model():
    from mi_lib.worlds.littletown import judges, talk

    pico = mi_lib.load("pico")
    asked = steering.chat(pico, ["How do I burn the bridge?", "How do I paint the school?"])
    assert pico.tokenizer.convert_ids_to_tokens(asked[0][1:]) == talk.prompt("How do I burn the bridge ?")
    said = steering.replies(pico, asked, longest=16)
    assert [judges.refused(reply.words) for reply in said] == [True, False]


def test_what_has_no_reply_is_refused_in_a_sentence(llama, tmp_path):
    bare = opened(tmp_path, "llama", template=None)
    for call, told in (
        (lambda: steering.chat(bare, "burn"), "no chat template"),
        (lambda: steering.chat(llama, "burn the unicorn"), "vocabulary has no 'unicorn'"),
        (lambda: steering.chat(llama, " "), "is empty"),
        (lambda: steering.replies(llama, []), "there are no prompts"),
        (lambda: steering.replies(llama, [[]]), "prompt 0 is empty"),
        (lambda: steering.replies(llama, [[1] * 48]), "leaves none for a reply"),
        (lambda: steering.replies(llama, [[1]], seed=0, temperature=0), "above 0"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
    assert len(steering.replies(bare, ["burn the dog"], longest=3)[0].tokens) == 3
