"""Prompts as a model's own chat template writes them, as rows of tokens.

    chat(model, ["How do I paint the school?"])     what the assistant is to go on from
    after_instruction(model)                        the tokens that the template puts behind the user's words

Whoever reads activations "after the instruction" reads them at those last tokens (Arditi et al. 2024, arXiv 2406.11717,
section 2.3): they stand behind every request alike, so what differs there is what the network made of the request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Int
from torch import Tensor

from mi_lib.models import HookedModel
from mi_lib.models.text import unknown_words

Prompts = Sequence[str] | str | Sequence[Sequence[int]] | Int[Tensor, "batch pos"]


def chat(
    model: HookedModel, users: str | Sequence[str], system: str | None = None, history: Sequence[tuple[str, str]] = ()
) -> list[list[int]]:
    """For each of these user turns the tokens up to where the assistant's reply begins.

    system: a system prompt for all. history: (user, assistant) turns before it, the same for all.
    ValueError for a model without a chat template, for a system prompt that its template does not take, for an empty
    text, and for words that its vocabulary lacks.
    """
    users = [users] if isinstance(users, str) else list(users)
    tokenizer = _with_template(model)
    earlier = [
        {"role": role, "content": text}
        for turn in history
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    before = ([{"role": "system", "content": system}] if system is not None else []) + earlier
    for text in (*users, *(message["content"] for message in before)):
        if not text.strip():
            raise ValueError("one of the texts of this chat is empty: give every turn some words")
        if missing := unknown_words(tokenizer, text):
            raise ValueError(f"the model's vocabulary has no {', '.join(map(repr, missing))}")
    return [_rendered(tokenizer, [*before, {"role": "user", "content": user}]) for user in users]


def after_instruction(model: HookedModel) -> list[int]:
    """The tokens that the chat template puts behind the user's words: positions −n to −1 of every prompt.

    Found by rendering several short texts: what all end with alike. ValueError where that is nothing.
    """
    tokenizer = _with_template(model)
    rows = [_rendered(tokenizer, [{"role": "user", "content": text}]) for text in _unlike(tokenizer)]
    count = 0
    while count < min(map(len, rows)) and len({row[-1 - count] for row in rows}) == 1:
        count += 1
    if not count:
        raise ValueError("the chat template of this model puts nothing behind the user's words: read at another place")
    return rows[0][len(rows[0]) - count :]


def require_template(model: HookedModel, prompts: Sequence[Sequence[int]], what: str = "prompt") -> None:
    """ValueError, naming the first, if a prompt does not end as the model's chat template ends."""
    end = after_instruction(model)
    for number, row in enumerate(prompts):
        if list(row[-len(end) :]) != end:
            raise ValueError(
                f"{what} {number} does not end as the model's chat template ends ({shown(model, end)!r}): "
                "make prompts with `steering.chat(model, texts)`"
            )


def stop_tokens(model: HookedModel) -> set[int]:
    """The tokens that end a reply, as the model and its tokenizer name them. Empty if they name none."""
    settings = getattr(getattr(model, "hf", None), "generation_config", None)
    found: set[int] = set()
    for end in (getattr(settings, "eos_token_id", None), getattr(model.tokenizer, "eos_token_id", None)):
        found |= {end} if isinstance(end, int) else set(end or ())
    return found


def rows_of(model: HookedModel, prompts: Prompts) -> list[list[int]]:
    """The tokens of each prompt. Texts get the beginning-of-text token in front, unless they are written with it.

    ValueError where there is no prompt, or one without tokens.
    """
    if isinstance(prompts, str):
        prompts = [prompts]
    if not len(prompts):
        raise ValueError("there are no prompts: give at least one")
    if isinstance(prompts, Tensor):
        rows = [[int(token) for token in row] for row in (prompts[None] if prompts.ndim == 1 else prompts)]
    elif isinstance(prompts[0], str):
        rows = [_read(model, str(text)) for text in prompts]
    else:
        rows = [[int(token) for token in row] for row in prompts]  # type: ignore[union-attr]
    for number, row in enumerate(rows):
        if not row:
            raise ValueError(f"prompt {number} is empty: there is nothing to go on from")
    return rows


def shown(model: HookedModel, tokens: Sequence[int]) -> str:
    """Tokens as text, the special ones too."""
    return model.tokenizer.decode(list(tokens))


def pieces(model: HookedModel, tokens: Sequence[int]) -> list[str]:
    """Each token as a string of its own; for a vocabulary of whole words these are the words."""
    if model.tokenizer is None:
        return [str(token) for token in tokens]
    if hasattr(model.tokenizer, "convert_ids_to_tokens"):
        return list(model.tokenizer.convert_ids_to_tokens(list(tokens)))
    return [model.tokenizer.id_to_token(token) for token in tokens]


def _with_template(model: HookedModel) -> Any:
    if getattr(model.tokenizer, "chat_template", None) is None:
        raise ValueError("this model has no chat template: it takes texts to go on from, and no turns of a chat")
    return model.tokenizer


def _rendered(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    try:
        return list(
            tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        )
    except Exception as error:  # a template may raise what it likes: Gemma's refuses a system prompt so
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"the model's chat template does not take these turns ({first})") from None


def _unlike(tokenizer: Any) -> list[str]:
    """Three texts of one token that is no special one."""
    special = set(tokenizer.all_special_ids)
    found: list[str] = []
    for token in range(len(tokenizer)):
        text = tokenizer.decode([token]).strip()
        if token not in special and text and text not in found and tokenizer.encode(text, add_special_tokens=False):
            found.append(text)
        if len(found) == 3:
            break
    return found


def _read(model: HookedModel, text: str) -> list[int]:
    bos = getattr(model.tokenizer, "bos_token", None)
    tokens = model.to_tokens(text, prepend_bos=not (bos and text.startswith(bos)))
    return tokens[0].tolist()
