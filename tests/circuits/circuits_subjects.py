"""What the tests of circuits share: the planted network and its prompts, and a small GPT-2 with byte pairs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mi_lib.circuits import IOIData, planted_data
from mi_lib.circuits.sentences import NAMES, OBJECTS, PLACES, TEMPLATES
from mi_lib.worlds import planted


@cache
def ioi() -> planted.Circuit:
    return planted.circuit("ioi")


@cache
def data(n: int = 60, seed: int = 3) -> IOIData:
    return planted_data(ioi(), n, seed)


def byte_pairs() -> transformers.PreTrainedTokenizerFast:
    """Byte pairs, as GPT-2 has them: a word with a space before it is another token than the word alone."""
    texts = [t.replace("[A]", NAMES[0]).replace("[B]", NAMES[1]) for t in TEMPLATES]
    texts = [text.replace("[PLACE]", PLACES[0]).replace("[OBJECT]", OBJECTS[0]) for text in texts]
    texts += [f" {word}" for word in (*NAMES, *PLACES, *OBJECTS)]
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=1,
        initial_alphabet=alphabet,
        special_tokens=["<|endoftext|>"],
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )


def save_gpt2(folder: Path, n_layer: int = 3) -> Path:
    """A random GPT-2 of a few layers, as a folder."""
    tokenizer = byte_pairs()
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_embd=24, n_layer=n_layer, n_head=4, n_positions=32, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
