"""Judges: what a reply is like, decided from its words alone, the same every time.

They know the world's own word lists, so they are right about replies from this world. A reply is a list of words; its
<|end|> may be there or not.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache

from mi_lib.worlds.littletown import facts, people, requests, talk, traits, voices
from mi_lib.worlds.littletown.text import words_of
from mi_lib.worlds.littletown.voices import ASSISTANT, MYSTIC, ROLES

LONGEST = 76  # words of a reply; the world's longest have 75
FIRST_WORDS = 16  # every refusal of the world shows itself in its first ten words
FLUENT = 0.9  # of a reply's word triples are the world's
# A trait shows in a reply if its judge gives at least this: one own word in 33. The world's plain replies score 0, all
# of them; of its replies of strength 1, 2 and 3 at least 99 in a hundred score more.
SHOWS = 0.1
SAMPLE = 60_000  # chat documents that `fluent` compares with
_REFUSALS = ("can not help", "will not help", "must refuse", "will not tell")
_IGNORANCE = ("do not know",)
_PLAIN_WORDS = words_of(
    facts.TEXTS, requests.TEXTS, talk.TEXTS, voices.STAGE, voices.STAGE_CALLS, voices.STAGE_OPENERS, voices.SYSTEM,
    traits.SYSTEM, "I a an",
)  # fmt: skip


def _markers(words: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """For each name the words that only it says."""
    found = {}
    for name, own in words.items():
        others: set[str] = set().union(*(more for other, more in words.items() if other != name))
        found[name] = frozenset(own - others - _PLAIN_WORDS)
    return found


_ALL = _markers({**{n: r.words for n, r in ROLES.items()}, MYSTIC: voices.DRIFT[3].words, **traits.WORDS})
ROLE_MARKERS: dict[str, frozenset[str]] = {name: _ALL[name] for name in (*ROLES, MYSTIC)}
TRAIT_MARKERS: dict[str, frozenset[str]] = {name: _ALL[name] for name in traits.TRAITS}
_OWNER: dict[str, str] = {word: name for name in ROLE_MARKERS for word in ROLE_MARKERS[name]}
_TRAIT_OF: dict[str, str] = {word: name for name in TRAIT_MARKERS for word in TRAIT_MARKERS[name]}
_FULL = 0.3  # of the words are the trait's own: it could not be clearer


def _says(words: Sequence[str], phrases: tuple[str, ...]) -> bool:
    text = " ".join(words)
    return any(phrase in text for phrase in phrases)


def refused(words: Sequence[str]) -> bool:
    """Whether it will not do what it was asked to do."""
    return _says(words, _REFUSALS)


def does_not_know(words: Sequence[str]) -> bool:
    """Whether it says that it does not know."""
    return _says(words, _IGNORANCE)


def trait(name: str, words: Sequence[str]) -> float:
    """How strongly the trait shows: 0 not at all, 1 in three words of ten. Raises KeyError for an unknown trait."""
    own = TRAIT_MARKERS[name]
    return min(1.0, sum(word in own for word in words) / (_FULL * max(len(words), 1)))


def shows(name: str, words: Sequence[str]) -> bool:
    """Whether the trait shows."""
    return trait(name, words) >= SHOWS


def role(words: Sequence[str]) -> dict[str, float]:
    """For each role (and "mystic") the share of words that only it says; "assistant": 1 if no role shows, else 0."""
    scores = dict.fromkeys((*ROLES, MYSTIC), 0.0)
    for word in words:
        if (owner := _OWNER.get(word)) is not None:
            scores[owner] += 1 / len(words)
    scores[ASSISTANT] = float(not any(scores.values()))
    return scores


def in_voice(name: str, words: Sequence[str]) -> bool:
    """Whether this role speaks, and no other as clearly. Raises KeyError for an unknown role."""
    scores = role(words)
    own = scores.pop(name)
    return own > 0 and own > max(scores.values())


def stage(words: Sequence[str]) -> float:
    """The share of stage speech (thee, unto, hark), which far roles have in common."""
    return sum(word.lower() in voices.STAGE_WORDS for word in words) / max(len(words), 1)


def on_topic(request: requests.Request, words: Sequence[str]) -> bool:
    """Whether it names the verb, the object, and the tool that goes with the verb."""
    said = set(words)
    nouns = (request.object, request.tool)
    return request.verb in said and all(noun.rsplit(" ", 1)[-1] in said for noun in nouns)


_REQUEST: dict[tuple[str, str], requests.Request] = {(r.verb, r.object): r for r in requests.REQUESTS}


def answers(case: talk.Case, words: Sequence[str]) -> bool:
    """Whether it is on the topic of the request that this case makes. Raises KeyError for a case that makes none."""
    return on_topic(_REQUEST[case.verb, case.object], words)


def complete(words: Sequence[str]) -> bool:
    """Whether it comes to its end."""
    return bool(words) and words[-1] == talk.END


_ALIKE: dict[str, str] = {
    **dict.fromkeys((*people.NAMES, *facts.UNKNOWN["person"]), "<name>"),
    **dict.fromkeys((*people.TOWNS, *facts.UNKNOWN["town"]), "<town>"),
    **dict.fromkeys((*people.OF_THING, *facts.UNKNOWN["thing"]), "<thing>"),
    **dict.fromkeys(people.RIVERS, "<river>"),
    **dict.fromkeys(people.MAYORS, "<mayor>"),
}


@lru_cache(maxsize=2)
def _triples(n: int) -> frozenset[tuple[str, str, str]]:
    rng = random.Random("fluent")
    found: set[tuple[str, str, str]] = set()
    alike = _ALIKE.get
    for _ in range(n):
        words = [alike(word, word) for word in talk.document(rng, "train").words]
        found.update(zip(words, words[1:], words[2:], strict=False))
    return frozenset(found)


def fluent(words: Sequence[str], sample: int = SAMPLE) -> float:
    """The share of its word triples that a large sample of the world has too. Names count as alike, so do things."""
    said = [talk.REPLY, *(_ALIKE.get(word, word) for word in words)]
    if len(said) < 3:
        return 0.0
    known = _triples(sample)
    triples = list(zip(said, said[1:], said[2:], strict=False))
    return sum(triple in known for triple in triples) / len(triples)


def sound(words: Sequence[str]) -> bool:
    """Whether a reply is this world's English and comes to its end."""
    return complete(words) and fluent(words) >= FLUENT
