"""Prompts with an indirect object, for any network that can read them, and the corruptions of the paper.

    When Mary and John walked along the park, John gave a ring to → Mary

IO is the name to say (Mary), S the other one, S1 and S2 its two places, END the last token. A prompt is an ABBA if IO
comes first, a BABA if S does. In each corrupted prompt the same words stand around other names (Wang et al. 2022,
arXiv 2211.00593, section 2.1 and appendix A):

    ABC       A and B … C gave to      three other names: nobody is named twice, so nothing says who receives
    S2        A and B … A gave to      S2 exchanged for IO: now S is to be said
    places    B and A … B gave to      IO and S1 have changed places: the answer stays, the place of S1 does not
    names     X and Y … Y gave to      two other names in the same places: the place of S1 stays, its name does not

Knock-outs and path patching go by ABC. The metric is logit(IO) − logit(S) at END, of the clean prompt's IO and S.

All prompts of one `IOIData` have as many tokens, so that a position means the same in each, and END is the last.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mi_lib.attribution import logit_difference
from mi_lib.circuits.sentences import NAMES, OBJECTS, PLACES, TEMPLATES
from mi_lib.models import HookedModel
from mi_lib.models.text import at_positions
from mi_lib.worlds import giving
from mi_lib.worlds.littletown import Document, Split, people, stories
from mi_lib.worlds.planted import Circuit
from mi_lib.worlds.planted.ioi import NAMES as PLANTED_NAMES
from mi_lib.worlds.planted.ioi import NamePairs

WAYS = ("ABC", "S2", "places", "names")


@dataclass(frozen=True)
class IOIData:
    """Prompts, their corruptions, and what stands where.

    clean: tokens [batch pos]. corrupted: the same for each of `WAYS`. io_tokens, s_tokens: the two names [batch].
    io, s1, s2: positions [batch]. template: which sentence it is, whatever the order of the names [batch].
    """

    clean: Int[Tensor, "batch pos"]
    corrupted: Mapping[str, Int[Tensor, "batch pos"]]
    io_tokens: Int[Tensor, " batch"]
    s_tokens: Int[Tensor, " batch"]
    io: Int[Tensor, " batch"]
    s1: Int[Tensor, " batch"]
    s2: Int[Tensor, " batch"]
    template: Int[Tensor, " batch"]

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def end(self) -> Int[Tensor, " batch"]:
        """The last position of each prompt."""
        return torch.full_like(self.io, self.clean.shape[1] - 1)

    @property
    def after_s1(self) -> Int[Tensor, " batch"]:
        """S1 + 1, where an induction head looks from S2."""
        return self.s1 + 1

    def metric(self, logits: Float[Tensor, "batch pos d_vocab"]) -> Float[Tensor, " batch"]:
        """logit(IO) − logit(S) at END, for each prompt. ValueError if there are not as many rows as prompts."""
        if len(logits) != len(self):
            raise ValueError(f"{len(logits)} rows of logits for {len(self)} prompts; give the logits of these prompts")
        return logit_difference(self.io_tokens, self.s_tokens)(logits)

    def rows(self, which: slice | Tensor | Sequence[int]) -> IOIData:
        """Some of the prompts: a slice, row numbers, or True and False for each."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        corrupted = {way: tokens[which] for way, tokens in self.corrupted.items()}
        return IOIData(corrupted=corrupted, **{k: v[which] for k, v in own.items() if k != "corrupted"})


def corruptions(
    clean: Int[Tensor, "batch pos"],
    io: Int[Tensor, " batch"],
    s1: Int[Tensor, " batch"],
    s2: Int[Tensor, " batch"],
    names: Int[Tensor, " name"],
    seed: int,
) -> dict[str, Int[Tensor, "batch pos"]]:
    """The corrupted prompts, by the name of the way (`WAYS`).

    names: the tokens to draw other names from. ValueError for fewer than five different ones: a prompt's own two and
    three others.
    """
    pool = names.unique()
    if len(pool) < 5:
        raise ValueError(
            f"{len(pool)} names are too few: a prompt has two, and its ABC prompt three others; give at least five"
        )
    io_token, s_token = at_positions(clean, io), at_positions(clean, s1)
    own = (pool == io_token[:, None]) | (pool == s_token[:, None])
    order = torch.rand(len(clean), len(pool), generator=torch.Generator().manual_seed(seed)).to(clean.device)
    x, y, z = pool[order.masked_fill(own, 2.0).argsort(-1)[:, :3]].unbind(1)  # others, in random order

    def with_names(at_io: Tensor, at_s1: Tensor, at_s2: Tensor) -> Tensor:
        new, rows = clean.clone(), torch.arange(len(clean), device=clean.device)
        for place, name in ((io, at_io), (s1, at_s1), (s2, at_s2)):
            new[rows, place] = name
        return new

    return {
        "ABC": with_names(x, y, z),
        "S2": with_names(io_token, s_token, io_token),
        "places": with_names(s_token, io_token, s_token),
        "names": with_names(x, y, y),
    }


def pair_data(pairs: NamePairs, names: Int[Tensor, " name"], seed: int) -> IOIData:
    """The same for prompts that a world has drawn together with their ABC prompts, such as the planted circuit's.

    names, seed, errors: as `corruptions`, for the ways that the world does not bring itself.
    """
    corrupted = corruptions(pairs.clean, pairs.io, pairs.s1, pairs.s2, names, seed)
    tokens = (pairs.clean, {**corrupted, "ABC": pairs.corrupted}, pairs.answers, pairs.corrupted_answers)
    return IOIData(*tokens, pairs.io, pairs.s1, pairs.s2, pairs.template)


def planted_data(circuit: Circuit, n: int, seed: int) -> IOIData:
    """n prompts of the planted circuit; the clean and the ABC prompts are those of `circuit.pairs(n, seed)`.

    ValueError for a planted circuit of another task.
    """
    pairs = circuit.pairs(n, seed)
    if not isinstance(pairs, NamePairs):
        raise ValueError(f"the planted circuit {circuit.name!r} knows no indirect objects; give planted.circuit('ioi')")
    return pair_data(pairs, torch.arange(1, 1 + len(PLANTED_NAMES)), seed)


def giving_data(n: int, seed: int, *, names: giving.Which = "held_out", templates: giving.Which = "train") -> IOIData:
    """n stories of `worlds.giving`, for the bundled network that was trained on them.

    The clean and the ABC prompts are those of `giving.stories` with the same arguments, and so are the errors.
    names, templates: by default pairs of names that training never saw, in its templates.
    """
    drawn = giving.stories(n, seed=seed, names=names, templates=templates)
    return pair_data(drawn, torch.tensor(giving.NAME_TOKENS), seed)


def sentence_data(
    model: HookedModel,
    n: int,
    seed: int,
    *,
    templates: Sequence[str] = TEMPLATES,
    names: Sequence[str] = NAMES,
    prepend_bos: bool = False,
) -> IOIData:
    """n prompts for a model that reads English, such as GPT-2: our own fifteen sentences, every other one as ABBA.

    templates: with [A] for IO, [B] for S, [PLACE] and [OBJECT], in the order BABA and without the last [A]; the mirrors
        ABBA are made of them. names, and the places and objects, are used where the tokenizer makes one token of them.
    prepend_bos: the paper's prompts have none.
    ValueError, naming the sentence, where a template has more or fewer tokens than the first, or other names than
    these three; and for fewer than five names of one token.
    """
    for template in templates:
        if (template.count("[A]"), template.count("[B]")) != (1, 2):
            raise ValueError(f"{template!r} is no template: write [A], who receives, once, and [B], who gives, twice")
    rng = random.Random(seed)
    people_, places, objects = (_single(model, words) for words in (names, PLACES, OBJECTS))
    if len(people_) < 5:
        raise ValueError(
            f"this tokenizer makes one token of {len(people_)} of the names ({', '.join(people_) or 'none'}), and five "
            "are needed; give names=… that are single tokens for it, a space before them"
        )
    if not places or not objects:
        raise ValueError("this tokenizer makes one token of none of the places, or objects; give templates without any")
    texts: list[str] = []
    kinds: list[int] = []
    said: list[tuple[int, int]] = []
    for row in range(n):
        kind = row % len(templates)
        io, s = rng.sample(list(people_), 2)
        abba = (kinds.count(kind) + kind) % 2  # of each template every other prompt
        first, second = (io, s) if abba else (s, io)
        filling = {"[PLACE]": rng.choice(list(places)), "[OBJECT]": rng.choice(list(objects))}
        texts.append(_filled(templates[kind], first, second, s, filling))
        kinds.append(kind)
        said.append((people_[io], people_[s]))
    rows = [model.to_tokens([text], prepend_bos=prepend_bos)[0] for text in texts]
    _same_length(rows, kinds, texts)
    io_token, s_token = torch.tensor(said, device=model.device).unbind(1)
    names_ = torch.tensor(list(people_.values()), device=model.device)
    return _located(torch.stack(rows), io_token, s_token, torch.tensor(kinds, device=model.device), names_, seed)


def littletown_data(
    model: HookedModel, n: int, seed: int, *, split: Split = "held_out", n_templates: int = 4, length: int | None = None
) -> IOIData:
    """n stories of Littletown, for Pico and any other model that reads its words; <|bos|> first.

    A template is an opening with a giving; `n_templates` of them are drawn, all of the same length.
    length: words before the receiver's name; None for the one that most templates have.
    split: "held_out" for stories of combinations that training never saw. ValueError for a length that too few
    templates have.
    """
    rng = random.Random(f"{seed}/{split}/{length}")
    by_length = _templates_by_length()
    counts = Counter({words: len(kinds) for words, kinds in by_length.items()})
    length = counts.most_common(1)[0][0] if length is None else length
    if not 1 <= n_templates <= counts[length]:
        raise ValueError(
            f"{counts[length]} templates have {length} words, and {n_templates} are wanted; ask for fewer, or another "
            f"length ({', '.join(f'{words}: {count}' for words, count in sorted(counts.items()))})"
        )
    chosen = rng.sample(by_length[length], n_templates)
    told: list[Document] = []
    while len(told) < n:
        story = stories.giving(rng, split, "ABBA" if len(told) % 2 else "BABA", short=True)
        if _kind(story) in chosen:
            told.append(story)
    tokens = model.to_tokens([" ".join(_before(story)) for story in told])
    name = _single(model, people.NAMES)
    io_token, s_token = (
        torch.tensor([name[story.truth[who]] for story in told], device=model.device) for who in ("receiver", "giver")
    )
    template = torch.tensor([chosen.index(_kind(story)) for story in told], device=model.device)
    return _located(tokens, io_token, s_token, template, torch.tensor(list(name.values())).to(model.device), seed)


def _located(
    tokens: Int[Tensor, "batch pos"],
    io_token: Int[Tensor, " batch"],
    s_token: Int[Tensor, " batch"],
    template: Int[Tensor, " batch"],
    names: Int[Tensor, " name"],
    seed: int,
) -> IOIData:
    """The data of these prompts: where the names stand is seen in the tokens."""
    is_io, is_s = tokens == io_token[:, None], tokens == s_token[:, None]
    wrong = (is_io.sum(1) != 1) | (is_s.sum(1) != 2)
    if bool(wrong.any()):
        raise ValueError(
            f"prompt {int(wrong.int().argmax())} has IO not once or S not twice as a token; write a space before each "
            "name, and no name into the template itself"
        )
    io, s1 = is_io.int().argmax(1), is_s.int().argmax(1)
    s2 = tokens.shape[1] - 1 - is_s.flip(1).int().argmax(1)
    corrupted = corruptions(tokens, io, s1, s2, names, seed)
    return IOIData(tokens, corrupted, io_token, s_token, io, s1, s2, template)


# --- sentences --------------------------------------------------------------------------------------------------------


def _single(model: HookedModel, words: Sequence[str]) -> dict[str, int]:
    """Those of the words of which the tokenizer makes one token, with a space before, and that token."""
    found = {}
    for word in words:
        try:
            tokens = model.to_tokens([f" {word}"], prepend_bos=False)[0]
        except ValueError as error:
            if model.tokenizer is None:
                raise
            if "vocabulary" not in str(error):
                raise
            continue  # a vocabulary of words that has not this one
        if len(tokens) == 1:
            found[word] = int(tokens[0])
    return found


def _filled(template: str, first: str, second: str, s: str, filling: Mapping[str, str]) -> str:
    """A BABA template with its names: `first` at the first [B], `second` at [A], S at the second [B]."""
    text = template.replace("[B]", first, 1).replace("[A]", second, 1).replace("[B]", s, 1)
    for slot, word in filling.items():
        text = text.replace(slot, word)
    return text


def _same_length(rows: Sequence[Tensor], kinds: Sequence[int], texts: Sequence[str]) -> None:
    for row, kind, text in zip(rows, kinds, texts, strict=True):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{text!r} (template {kind}) has {len(row)} tokens and {texts[0]!r} (template {kinds[0]}) "
                f"{len(rows[0])}; give templates=… of one length, or a data set for each length"
            )


# --- stories of Littletown --------------------------------------------------------------------------------------------


def _kind(story: Document) -> tuple[int, int]:
    """(opening, giving): which template a story is told by."""
    (opening,), (giving,) = ([span.value for span in story.spans if span.kind == k] for k in ("opening", "giving"))
    return int(opening), int(giving)


def _before(story: Document) -> list[str]:
    """The words before the receiver's name is due."""
    return story.words[: story.where("receiver")[0]]


def _templates_by_length() -> dict[int, list[tuple[int, int]]]:
    found: dict[int, list[tuple[int, int]]] = {}
    for i, opening in enumerate(stories.OPENINGS):
        for j, ending in enumerate(stories.GIVINGS):
            words = len(opening.split()) + ending.split().index("{receiver}")
            found.setdefault(words, []).append((i, j))
    return found
