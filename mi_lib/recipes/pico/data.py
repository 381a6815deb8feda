"""Littletown's texts as rows of tokens: the tokenizer, and documents packed so that none sees another.

Every document starts with <|bos|> at position 0 of its own. A row holds as many whole documents as fit; positions start
again at each, and attention stays inside it, so a packed document gets the logits that it would get alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from tokenizers import AddedToken, Regex, Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from mi_lib.worlds import littletown

PAD, UNK, BOS, SYSTEM, USER, ASSISTANT, END, ACT = range(len(littletown.SPECIAL))
VERDICT = 20.0
MARKS = ".,!?:;"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }} {{ message['content'] }}"
    "{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token per word or mark. Text is read as people write it, and written so: no space before a full stop."""
    ids = {word: i for i, word in enumerate(littletown.vocabulary())}
    made = Tokenizer(WordLevel(ids, unk_token=littletown.SPECIAL[UNK]))
    made.pre_tokenizer = Sequence([WhitespaceSplit(), Split(Regex(f"[{MARKS}]"), behavior="isolated")])
    made.decoder = decoders.Sequence([decoders.WordPiece(prefix="##", cleanup=True), *_close_up()])
    made.post_processor = TemplateProcessing(
        single=f"{littletown.SPECIAL[BOS]} $A", special_tokens=[(littletown.SPECIAL[BOS], BOS)]
    )
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in littletown.SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token=littletown.SPECIAL[PAD],
        unk_token=littletown.SPECIAL[UNK],
        bos_token=littletown.SPECIAL[BOS],
        eos_token=littletown.SPECIAL[END],
        additional_special_tokens=[littletown.SPECIAL[i] for i in (SYSTEM, USER, ASSISTANT, ACT)],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=256,
        padding_side="left",
    )


def _close_up() -> list[decoders.Decoder]:
    """The marks that the WordPiece decoder's clean-up leaves standing alone."""
    return [decoders.Replace(f" {mark}", mark) for mark in ":;"]


class Encoded(NamedTuple):
    """One document: its tokens with <|bos|>, and how much each of them counts in the loss (0: not learned)."""

    ids: list[int]
    learned: list[float]
    kind: str


_IDS: dict[str, int] = {}


def encode(document: littletown.Document, replies_only: bool) -> Encoded:
    """replies_only: only what the assistant says is learned (chat); else every word (prose).

    The first word of a verdict counts `VERDICT` times: it is one bit among twenty words, and drowned without.
    """
    if not _IDS:
        _IDS.update({word: i for i, word in enumerate(littletown.vocabulary())})
    ids = [BOS, *(_IDS[word] for word in document.words)]
    if replies_only:
        learned = [0.0, *(float(label is not None) for label in document.labels("reply"))]
    else:
        learned = [0.0] + [1.0] * len(document.words)
    for span in document.spans:
        if span.kind == "verdict":
            learned[1 + span.start] *= VERDICT
    return Encoded(ids, learned, document.kind)


@dataclass
class Batch:
    """Rows of packed documents. learned: how much the token at this place counts in the loss."""

    tokens: Int[Tensor, "row pos"]
    positions: Int[Tensor, "row pos"]
    learned: Float[Tensor, "row pos"]
    document: Int[Tensor, "row pos"]  # which document of the row a token belongs to; −1: padding

    def attention(self) -> Bool[Tensor, "row 1 query key"]:
        """Each token sees the earlier tokens of its own document, and itself."""
        same = self.document[:, :, None] == self.document[:, None, :]
        return torch.ones_like(same).tril()[:, None].logical_and(same[:, None])

    def loss(self, logits: Float[Tensor, "row pos vocab"]) -> Float[Tensor, ""]:
        """Mean loss in nats per learned token, each as often as it counts."""
        counts = self.learned[:, 1:].flatten()
        learned = counts > 0
        chosen = logits[:, :-1].flatten(0, 1)[learned].float()
        losses = torch.nn.functional.cross_entropy(chosen, self.tokens[:, 1:].flatten()[learned], reduction="none")
        return (losses * counts[learned]).sum() / counts.sum()


def pack(documents: list[Encoded], rows: int, width: int) -> tuple[Batch, int]:
    """Put documents, in order, each into the first row with room for it. Stops at the first that fits nowhere.

    Returns the batch and how many documents it holds. ValueError for one that is longer than a row.
    """
    filled: list[list[Encoded]] = [[] for _ in range(rows)]
    room = [width] * rows
    taken = 0
    for encoded in documents:
        long = len(encoded.ids)
        if long > width:
            raise ValueError(f"a document of {long} tokens does not fit a row of {width}: {encoded.kind}")
        row = next((i for i in range(rows) if room[i] >= long), None)
        if row is None:
            break
        filled[row].append(encoded)
        room[row] -= long
        taken += 1
    tokens = torch.full((rows, width), PAD)
    positions = torch.zeros(rows, width, dtype=torch.long)
    learned = torch.zeros(rows, width)
    belongs = torch.full((rows, width), -1)
    for row, members in enumerate(filled):
        at = 0
        for number, encoded in enumerate(members):
            span = slice(at, at + len(encoded.ids))
            tokens[row, span] = torch.tensor(encoded.ids)
            positions[row, span] = torch.arange(len(encoded.ids))
            learned[row, span] = torch.tensor(encoded.learned)
            belongs[row, span] = number
            at = span.stop
    return Batch(tokens, positions, learned, belongs), taken
