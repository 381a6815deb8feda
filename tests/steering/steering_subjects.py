"""Small random models with a tokenizer and a chat template, opened from a folder as any other is."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

import mi_lib
from mi_lib.models import HookedModel

SPECIAL = ["<pad>", "<s>", "</s>", "<user>", "<system>", "<reply>"]
SENTENCE = "how do I paint burn the a school bridge dog cat well thank you very much please now today"
WORDS = SENTENCE.split()
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ {'user': '<user>', 'system': '<system>', 'assistant': '<reply>'}[message['role']] }} {{ message['content'] }} "
    "</s> {% endfor %}{% if add_generation_prompt %}<reply>{% endif %}"
)
ASKED = ["how do I paint the school", "burn", "please paint the dog very much now", "thank you"]


def tokenizer(template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    made = Tokenizer(WordLevel({word: i for i, word in enumerate([*SPECIAL, *WORDS])}, unk_token="<pad>"))
    made.pre_tokenizer = WhitespaceSplit()
    made.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<pad>",
        additional_special_tokens=SPECIAL[3:], chat_template=template,
    )  # fmt: skip


def folder(path: Path, kind: str, template: str | None = TEMPLATE) -> Path:
    """A random network of this kind, with its tokenizer. Weights large enough that a reply depends on all before it."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    vocabulary = len(SPECIAL) + len(WORDS)
    if kind == "llama":
        config = LlamaConfig(
            vocab_size=vocabulary, hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=48, initializer_range=0.4, **ids,
        )  # fmt: skip
        network = LlamaForCausalLM(config)
    else:
        network = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=vocabulary, n_embd=24, n_layer=3, n_head=4, n_positions=48, initializer_range=0.4, **ids
            )
        )
    network.save_pretrained(path)
    tokenizer(template).save_pretrained(path)
    return path


def opened(path: Path, kind: str, template: str | None = TEMPLATE) -> HookedModel:
    return mi_lib.load(str(folder(path, kind, template)))


def direction(model: HookedModel, seed: int = 1, size: float = 4.0) -> torch.Tensor:
    drawn = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(seed))
    return size * drawn / drawn.norm() * model.cfg.d_model**0.5
