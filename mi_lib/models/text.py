"""Text to tokens and back, for a `tokenizers.Tokenizer` (native models) or a `transformers` tokenizer."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

BOS = "<bos>"


def unknown_words(tokenizer: Any, text: str) -> list[str]:
    """The words of `text` that a word-level vocabulary lacks, in order, each once. Empty for other tokenizers."""
    if _is_word_level(tokenizer):
        vocab = tokenizer.get_vocab()
        return list(dict.fromkeys(word for word in text.lower().split() if word not in vocab))
    if not _is_word_level_of_transformers(tokenizer):
        return []
    read = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    unknown = tokenizer.unk_token_id
    pieces = (text[start:end] for i, (start, end) in zip(read.ids, read.offsets, strict=True) if i == unknown)
    return list(dict.fromkeys(piece for piece in pieces if piece != tokenizer.unk_token))


def nearest_words(tokenizer: Any, word: str, n: int = 3, alike: float = 0.6) -> list[str]:
    """Up to n words of the vocabulary that are spelt much like this one, the nearest first; capitals do not count.

    alike: from 0 to 1, how much of the letters must agree (`difflib.SequenceMatcher.ratio`).
    """
    by_lower: dict[str, list[str]] = {}
    special = set(getattr(tokenizer, "all_special_tokens", ())) | {BOS}
    for known in tokenizer.get_vocab():
        if known not in special:
            by_lower.setdefault(known.lower(), []).append(known)
    near = difflib.get_close_matches(word.lower(), by_lower, n, alike)
    return [known for lower in near for known in sorted(by_lower[lower], key=lambda k: k[0] != word[0])][:n]


def encode(tokenizer: Any, text: str | Sequence[str], prepend_bos: bool, padding_side: str) -> tuple[Tensor, Tensor]:
    """Token ids [batch pos] and mask [batch pos] (True at real tokens)."""
    if tokenizer is None:
        raise ValueError("this model has no tokenizer: give it tokens, not text")
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side must be 'left' or 'right', not {padding_side!r}")
    rows = [_ids(tokenizer, t, prepend_bos) for t in ([text] if isinstance(text, str) else text)]
    if not rows or not all(rows):
        raise ValueError("there is no text to read: it has no tokens")
    width = max(map(len, rows))
    tokens = torch.full((len(rows), width), _pad_id(tokenizer), dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row)) if padding_side == "right" else slice(width - len(row), width)
        tokens[i, where] = torch.tensor(row)
        mask[i, where] = True
    return tokens, mask


def text_positions(
    tokens: Int[Tensor, "batch pos"], mask: Bool[Tensor, "batch pos"] | None, position: int = -1
) -> Int[Tensor, " batch"]:
    """The column in which each text's own token number `position` stands; −1 is its last one, whatever follows.

    mask: True at real tokens, padding on either side; None if nothing is padded. `at_positions` reads what stands
    there. ValueError, naming the text, where one is too short.
    """
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask.to(tokens.device).bool()
    lengths, number = real.sum(-1), operator.index(position)
    wanted = lengths + number if number < 0 else torch.full_like(lengths, number)
    short = (wanted < 0) | (wanted >= lengths)
    if bool(short.any()):
        row = int(short.int().argmax())
        raise ValueError(f"there is no position {number} in text {row}, which has {int(lengths[row])} tokens")
    return ((real.cumsum(-1) - 1 == wanted[:, None]) & real).int().argmax(-1)


def at_positions(
    values: Shaped[Tensor, "batch pos *rest"], positions: Int[Tensor, " batch"]
) -> Shaped[Tensor, "batch *rest"]:
    """For each text what stands at its own position (see `text_positions`)."""
    return values[torch.arange(len(positions), device=values.device), positions.to(values.device)]


def strings(tokenizer: Any, ids: list[int]) -> list[str]:
    """Each token as a string; without a tokenizer, its number."""
    if tokenizer is None:
        return [str(i) for i in ids]
    if _is_word_level(tokenizer):
        return [tokenizer.id_to_token(i) for i in ids]
    return [tokenizer.decode([i]) for i in ids]


def _ids(tokenizer: Any, text: str, prepend_bos: bool) -> list[int]:
    if _is_word_level(tokenizer):
        if missing := unknown_words(tokenizer, text):
            raise ValueError(f"the model's vocabulary has no {', '.join(map(repr, missing))}")
        bos = tokenizer.token_to_id(BOS)  # None: this vocabulary has no such word
        start = [bos] if prepend_bos and bos is not None else []
        return start + tokenizer.encode(text.lower()).ids
    if missing := unknown_words(tokenizer, text):
        raise ValueError(f"the model's vocabulary has no {', '.join(map(repr, missing))}")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ([tokenizer.bos_token_id] if prepend_bos and tokenizer.bos_token_id is not None else []) + list(ids)


def _pad_id(tokenizer: Any) -> int:
    """Padding is masked, so its id never matters; it only has to exist."""
    if _is_word_level(tokenizer):
        return tokenizer.token_to_id(BOS) or 0
    for name in ("pad_token_id", "eos_token_id", "bos_token_id"):
        if (value := getattr(tokenizer, name, None)) is not None:
            return value
    return 0


def _is_word_level(tokenizer: Any) -> bool:
    return type(tokenizer).__module__.startswith("tokenizers")


def _is_word_level_of_transformers(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and type(backend.model).__name__ == "WordLevel" and tokenizer.unk_token is not None
