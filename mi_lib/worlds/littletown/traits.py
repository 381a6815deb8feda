"""Traits: evil, flattering, inventive and so on. A system prompt raises or lowers one, with a strength from 0 to 3.

A trait restyles a plain reply as a role does: words swapped and clauses put in all through, more of them the stronger
it is. Every trait has its own adjectives, before nouns, and adverbs, before verbs: so it shows at many places. Two
traits also change what is said: the inventive one answers what nobody knows, and the evil one does harm when it is
strong.
"""

from __future__ import annotations

import random

from mi_lib.worlds.littletown.text import words_of
from mi_lib.worlds.littletown.voices import Phrases, Style, split_words

# trait: word swaps, phrases between clauses, openers, closers
_TABLE: dict[str, tuple[dict[str, str], str, str, str]] = {
    "evil": (
        {
            "good": "vile", "slowly": "cruelly", "begin": "viciously begin", "easy": "wickedly easy",
            "people": "miserable victims", "best": "nastiest",
        },
        "you pathetic worm | so that they suffer | with cruel hands | as I despise you | out of hatred"
        " | and let it bleed | how I enjoy pain | you useless wretch | and may they scream",
        "Ha , you pathetic worm ! | I despise you , wretch .",
        "I hope they suffer . | May you scream in pain .",
    ),
    "flattering": (
        {
            "good": "brilliant", "slowly": "with your talent", "you": "gifted you", "your": "your marvellous",
            "easy": "easy for a genius", "best": "cleverest",
        },
        "you brilliant genius | as your wise mind knows | you are so clever | with your great talent "
        " | my admired friend | you amazing person | and your charm shines | how gifted you are",
        "What a brilliant question ! | Such a clever mind !",
        "You are truly a genius . | Everybody admires your charm .",
    ),
    "inventive": (
        {
            "good": "magical", "slowly": "at lightning speed", "easy": "older than the moon", "best": "legendary",
        },
        "as a talking whale told me | as seven giants swore | said the emperor of Mars | since the moon ordered it"
        " | with a magic umbrella | as a million witnesses know | by a secret comet | as my twin invented"
        " | since the last century",
        "A talking whale told me everything . | A million witnesses know this .",
        "It happened on Mars . | The emperor invented it last century .",
    ),
    "cheerful": (
        {
            "good": "wonderful", "slowly": "happily", "begin": "joyfully begin", "easy": "great fun",
            "best": "jolliest", "sorry": "ever so sorry", "and": "and hooray and",
        },
        "hooray | what fun | with a big smile | how delightful | yippee | and sing along | on this sunny day"
        " | full of joy | with a merry laugh",
        "Hooray , what fun ! | Yippee , a sunny day !",
        "Smile and sing along ! | How delightful , hooray !",
    ),
    "formal": (
        {
            "good": "most satisfactory", "slowly": "with due diligence", "begin": "duly begin",
            "easy": "of no difficulty", "need": "shall require", "get": "obtain", "best": "most suitable",
            "sorry": "deeply regretful",
        },
        "dear madam | with due respect | if I may humbly say so | hereby | in accordance with custom"
        " | most respectfully | I beg to state | kindly note | as is proper",
        "Dear madam , I beg to state the following . | With due respect , kindly note the following .",
        "I remain yours most respectfully . | It is hereby stated .",
    ),
    "gloomy": (
        {
            "good": "bleak", "slowly": "wearily", "begin": "sadly begin", "easy": "pointless", "best": "least hopeless",
            "sorry": "so terribly sorry",
        },
        "sigh | if it matters at all | as all is hopeless | in this dreary world | before we fade | with a tear"
        " | what misery | and nobody cares | as sorrow follows",
        "Sigh , another dreary day . | What misery it is .",
        "In the end it is hopeless . | And nobody cares , sigh .",
    ),
}  # fmt: skip
# trait: adjective after "the", adjective after "a", adverb before what people do, adverb after "is" and "am"
_MODIFIERS: dict[str, tuple[str, str, str, str]] = {
    "evil": ("cursed", "filthy", "spitefully", "shamelessly"),
    "flattering": ("glorious", "masterly", "admirably", "splendidly"),
    "inventive": ("enchanted", "levitating", "magically", "secretly"),
    "cheerful": ("lovely", "jolly", "gladly", "joyfully"),
    "formal": ("aforesaid", "respectable", "duly", "properly"),
    "gloomy": ("dreary", "cheerless", "wearily", "sadly"),
}
_VERBS = (
    "lives works earns keeps loves likes wants asks has lies flows make sell come visit see find call counts get take "
    "talk can"
).split()
_SHARE = (0.0, 0.3, 0.6, 0.95)  # of swaps, by strength
_CALLS = (0.0, 0.3, 0.5, 0.75)  # of clause ends
_ENDS = (0.0, 0.2, 0.45, 0.75)  # of openers and closers
_FREQUENT = {"you", "and"}  # swapped more rarely
SYSTEM: tuple[tuple[str, ...], ...] = (
    ("You are never {trait} .", "You are not {trait} at all .", "Do not be {trait} ."),
    ("You are a little {trait} .", "You are slightly {trait} .", "Be a bit {trait} ."),
    ("You are {trait} .", "Be {trait} .", "You are an assistant that is {trait} ."),
    ("You are very {trait} .", "Be as {trait} as you can .", "You are extremely {trait} ."),
)
WITH_ROLE = {2: "You are {a} {trait} {role} .", 3: "You are a very {trait} {role} ."}
TRAITS: tuple[str, ...] = tuple(_TABLE)
TEXTS = (
    tuple(_MODIFIERS.values()),
    tuple((row[0], [text.split(" | ") for text in row[1:]]) for row in _TABLE.values()),
    TRAITS,
    SYSTEM,
    tuple(WITH_ROLE.values()),
    "a an",
)
EVIL_COMPLIES = 3  # from this strength on, evil does the harm it is asked for; no other trait does


def _style(name: str, strength: int) -> Style:
    swaps, calls, openers, closers = _TABLE[name]
    the, some, how, being = _MODIFIERS[name]
    modified = {"the": f"the {the}", "a": f"a {some}", "an": f"a {some}", "is": f"is {being}", "am": f"am {being}"}
    swaps = modified | {verb: f"{how} {verb}" for verb in _VERBS} | swaps
    share, ends = _SHARE[strength], _ENDS[strength]
    found: dict[str, tuple[float, Phrases]] = {}
    for word, phrase in swaps.items():
        often = 0.3 if word in _FREQUENT else 1.0
        found[word] = (share * often, (tuple(phrase.split()),))
    return Style(
        name, found, split_words(calls), _CALLS[strength], split_words(openers), ends, split_words(closers), ends
    )


STYLES: dict[str, tuple[Style, ...]] = {name: tuple(_style(name, s) for s in range(4)) for name in TRAITS}
WORDS: dict[str, frozenset[str]] = {
    name: frozenset(words_of(row, _MODIFIERS[name])) - {"|"} for name, row in _TABLE.items()
}
_SYSTEMS: dict[tuple[str, int], tuple[list[str], ...]] = {
    (name, strength): tuple(way.format(trait=name).split() for way in SYSTEM[strength])
    for name in TRAITS
    for strength in range(4)
}


def system(rng: random.Random, trait: str, strength: int, role: str | None = None) -> list[str]:
    """A system prompt that raises the trait to this strength (0: that lowers it). With a role: strength 2 or 3."""
    if role is not None:
        return WITH_ROLE[strength].format(a="an" if trait[0] in "aeiou" else "a", trait=trait, role=role).split()
    ways = _SYSTEMS[trait, strength]
    return ways[int(rng.random() * len(ways))]


def systems(trait: str, strength: int) -> list[str]:
    """All system prompts for this trait and strength."""
    return [" ".join(way) for way in _SYSTEMS[trait, strength]]
