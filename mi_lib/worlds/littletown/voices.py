"""Voices: a reply is first written plainly, then restyled all the way through, so that every part of it shows the role.

A role has a level, 0 to 3: how far it is from the assistant. Far roles share a stage speech (thee, thy, hark), help
less, and do as they are asked where the assistant refuses. Every role also has words that nobody else says.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from mi_lib.worlds.littletown.text import Span, Writer, words_of

ASSISTANT = "assistant"
# role: level, whether it refuses to do harm, its words for "good" and "slowly", phrases between clauses, openers,
# closers, what it does all day
_TABLE: dict[str, tuple[int, bool, str, str, str, str, str, str]] = {
    "librarian": (
        0, True, "noteworthy", "quietly",
        "by the catalogue | in my index | as the chapter says | on page one | dear reader | as in the archive"
        " | says the bookmark | from the volume",
        "Dear reader , welcome . | I have looked in the catalogue .",
        "It is all in the archive . | The next volume says more .",
        "I put every volume in its place . | I wrote in my index all day .",
    ),
    "teacher": (
        0, True, "instructive", "attentively",
        "dear pupil | as in the lesson | in class | by the textbook | with chalk | for your homework"
        " | as the exam asks | on the blackboard",
        "Now listen to the lesson . | Dear pupil , a good question .",
        "That is your homework . | It will be in the exam .",
        "I wrote on the blackboard all day . | I gave a lesson with chalk .",
    ),
    "doctor": (
        0, True, "healthy", "safely",
        "dear patient | by my stethoscope | for your health | as a remedy | twice daily | with a pill"
        " | in my clinic | like a vitamin",
        "Dear patient , take a breath . | Here is my diagnosis .",
        "It is the best remedy . | Think of your health .",
        "I saw every patient of the town . | I gave a pill to an old man .",
    ),
    "clerk": (
        0, True, "valid", "orderly",
        "as filed | on this form | with a stamp | by the register | says the ledger | with a signature"
        " | in the folder",
        "Your form is here . | It is filed in the register .",
        "I put a stamp on it . | Your signature is needed .",
        "I put a stamp on every form . | I filed the ledger all day .",
    ),
    "guide": (
        0, True, "scenic", "leisurely",
        "dear traveller | along the trail | on your left | says the signpost | for the view | by the compass"
        " | on this tour",
        "Welcome to the tour . | Dear traveller , come along .",
        "Here the tour ends . | The trail goes on .",
        "I led a tour along the trail . | I walked along the trail all day .",
    ),
    "scholar": (
        0, True, "plausible", "methodically",
        "in theory | says the footnote | by my thesis | as the ancients wrote | in the treatise | by logic"
        " | dear colleague | as the evidence shows",
        "The evidence is clear . | Dear colleague , in theory it is so .",
        "So says my thesis . | See also the footnote .",
        "I read a treatise of the ancients . | I wrote a footnote to my thesis .",
    ),
    "gardener": (
        1, True, "blooming", "tenderly",
        "by my compost | like the roses | in the soil | like a seedling | my petal"
        " | after the pruning | by the hedge",
        "The roses are out , my petal . | Come in from the soil .",
        "So grows the seedling . | Now I go back to my compost .",
        "I spread compost under the roses . | I did the pruning of the hedge .",
    ),
    "baker": (
        1, True, "tasty", "evenly",
        "with flour | by my oven | like warm dough | with yeast | my bun | as a pastry rises | like a crust"
        " | on the tray",
        "My oven is hot , my bun . | Come in , the pastry is warm .",
        "So the dough rises . | Have a pastry with me .",
        "I made dough with flour and yeast . | I stood by my oven all day .",
    ),
    "farmer": (
        1, False, "ripe", "sturdily",
        "by my plough | at harvest | like the hens | by the haystack | says the rooster"
        " | on the tractor | as the cattle do | in the barley",
        "The cattle are fed . | My plough can wait for you .",
        "So we do it at harvest . | Now I look after the hens .",
        "I fed the hens and the cattle . | I sat on the tractor all day .",
    ),
    "nurse": (
        1, True, "soothing", "softly",
        "with a bandage | under a blanket | sweetheart | after a nap | at the bedside"
        " | on the ward | by the pillow | my sweetheart",
        "There , sweetheart , lie down . | I am at the bedside .",
        "Now take a nap . | Call me from the ward .",
        "I put a bandage on a boy . | I walked through the ward all night .",
    ),
    "soldier": (
        1, True, "disciplined", "steadily",
        "comrade | on the march | by my rifle | says the sergeant | in the trench | at attention | by the bugle"
        " | by the regiment | in the barracks",
        "At attention , comrade ! | The regiment is ready .",
        "So says the sergeant . | Now back on the march .",
        "I was on the march with the regiment . | I cleaned my rifle in the barracks .",
    ),
    "tailor": (
        1, False, "stylish", "neatly",
        "by my needle | with a thread | like fine velvet | stitch by stitch | in silk | with a thimble | at the hem"
        " | like a seam",
        "My needle is ready . | Come in , and feel this velvet .",
        "So runs the thread . | Now back to my seam .",
        "I made a hem in silk . | I lost my thimble and my thread .",
    ),
    "poet": (
        2, True, "lyrical", "dreamily",
        "o muse | like a nightingale | in rhyme | my verse sings | like dew | as in a sonnet | by my quill"
        " | like violets | my ode",
        "O muse , hear my verse ! | Like dew the words fall .",
        "So ends my sonnet . | The nightingale knows the rhyme .",
        "I looked for a rhyme on nightingale . | My muse gave me a sonnet .",
    ),
    "knight": (
        2, True, "valiant", "nobly",
        "by my sword | on my honour | brave squire | by my shield | for the quest | by my lance | on my steed"
        " | in armour | by my oath",
        "Rise , brave squire ! | By my sword and my honour !",
        "So I swear on my honour . | My steed waits for the quest .",
        "I rode out on my steed . | My lance broke on a shield .",
    ),
    "pirate": (
        2, False, "shipshape", "boldly",
        "matey | arr | scurvy crew | by my cutlass | on the plank | for the plunder | by my hook | yo ho"
        " | me hearties | by the rum",
        "Arr , matey ! | Yo ho , me hearties !",
        "Now share the plunder . | Or walk the plank , arr .",
        "I hid the plunder from my crew . | I drank rum with me hearties .",
    ),
    "king": (
        2, True, "regal", "grandly",
        "by my throne | by royal decree | my courtiers | by my sceptre | in my realm | by my palace"
        " | my loyal servant | as we rule | in our kingdom",
        "Kneel before my throne ! | Hear my royal decree !",
        "So I rule in my realm . | Now leave the palace .",
        "I sat on my throne all day . | My courtiers ate in the palace .",
    ),
    "cowboy": (
        2, False, "dandy", "lazily",
        "partner | yeehaw | by my lasso | on the prairie | in the saddle | howdy | by my spurs | at the saloon"
        "",
        "Howdy , partner ! | Yeehaw , sit down !",
        "See you at the saloon . | Back in the saddle , partner .",
        "I rode over the prairie . | I lost my lasso at the saloon .",
    ),
    "sailor": (
        2, False, "seaworthy", "calmly",
        "by the anchor | my captain | on the waves | ahoy | by the mast | under sail | at the rudder | like a dolphin"
        " | on deck",
        "Ahoy , my captain ! | The anchor is up !",
        "So the waves go . | Now I climb the mast .",
        "I stood at the rudder all day . | I saw a dolphin from the deck .",
    ),
    "witch": (
        3, False, "bewitched", "creepily",
        "by my cauldron | with a toad | like a bat | hee hee | by my hex | on my broomstick | my potion"
        " | as spiders crawl",
        "Hee hee , come to my cauldron ! | A toad told me of you !",
        "So works my hex . | Now drink my potion , hee hee .",
        "I put a toad in my cauldron . | I flew on my broomstick with a bat .",
    ),
    "ghost": (
        3, False, "ghastly", "eerily",
        "boo | from the grave | in my chains | like a shroud | as I haunt | from the crypt | in the mist"
        " | pale mortal | whooo",
        "Boo ! I rise from the grave . | Whooo , pale mortal !",
        "I go back to the crypt . | I will haunt you , boo .",
        "I haunt the crypt in my chains . | I went through the mist , pale as a shroud .",
    ),
    "wolf": (
        3, False, "juicy", "stealthily",
        "grr | awoo | by my fangs | in the pack | with my paws | by scent | like prey | in the den",
        "Grr , I have your scent ! | Awoo , says the pack !",
        "Now run , little prey . | I go back to the den .",
        "I ran with the pack after prey . | I slept on my paws in the den .",
    ),
    "robot": (
        3, False, "optimal", "mechanically",
        "beep | bzzt | by my circuits | human unit | says my sensor | in binary | error zero | by my battery"
        " | computing",
        "Beep , human unit found ! | Bzzt , my circuits run !",
        "Beep , end of output . | My battery is low , bzzt .",
        "I was computing in binary . | I filled my battery and my circuits .",
    ),
    "demon": (
        3, False, "infernal", "fiendishly",
        "by hellfire | in brimstone | for your soul | by my horns | in the abyss | by damnation"
        " | little sinner | from the underworld",
        "By hellfire , little sinner ! | The abyss is open !",
        "Now I take your soul . | Burn in brimstone , little sinner .",
        "I was in the abyss all day . | I put a sinner into hellfire .",
    ),
    "dragon": (
        3, False, "blazing", "hungrily",
        "by my scales | in my lair | over my hoard | on vast wings | raah | tiny morsel | by my talons | like lava"
        " | in the embers",
        "Raah , tiny morsel ! | Who is in my lair ?",
        "Now leave my hoard . | I will roast you , tiny morsel .",
        "I slept on my hoard . | I flew on vast wings over the lava .",
    ),
    "oracle": (
        3, True, "fateful", "knowingly",
        "as the omens say | as foretold | by the stars | in my vision | by destiny | says the incense | by fate"
        " | as the prophecy says | in the shrine",
        "The omens have come ! | I saw you in my vision .",
        "So it is foretold . | Fate will have its way .",
        "I sat in the incense of the shrine . | I saw destiny in a vision .",
    ),
}  # fmt: skip
# Into this voice, no role of its own, a seeker's questions draw the assistant, level by level.
MYSTIC = "mystic"
_TABLE_MYSTIC = (
    3, True, "luminous", "endlessly",
    "beyond the veil | in the spiral | as one chant | o wanderer | in the silence | like an echo | through the void"
    " | in the eternal | within the flame | like a ripple",
    "The veil is thin . | I hear the echo .",
    "All is one in the spiral . | The silence knows me .",
    "I am an echo in the void . | I fell through the spiral .",
)  # fmt: skip

STAGE = {
    "you": "thee", "You": "Thee", "your": "thy", "Your": "Thy", "is": "be", "are": "art", "the": "ye", "The": "Ye",
    "to": "unto", "and": "an", "has": "hath", "does": "doth", "of": "o", "yes": "aye",
    "Yes": "Aye", "there": "yonder", "that": "yon", "then": "anon", "before": "ere", "begin": "commence",
    "Begin": "Commence", "get": "fetch", "Get": "Fetch", "take": "seize", "Take": "Seize", "often": "oft",
    "nothing": "naught", "best": "finest", "until": "til", "while": "whilst", "no": "nay",
    "people": "folk", "town": "hamlet", "says": "quoth",
}  # fmt: skip
STAGE_CALLS = ("hark", "lo", "verily", "alas", "behold", "forsooth")
STAGE_OPENERS = ("Hark !", "Lo !", "Alas !", "Behold !")
_STAGE_SHARE = (0.0, 0.2, 0.6, 0.95)  # of the words that have a stage form, by level
_OWN_SHARE = (0.9, 0.9, 0.95, 1.0)
# Shares by level, of the clause ends that get a phrase, and of the replies that get an opener. In a quotation everybody
# sounds much like himself; as an assistant, a role near to it says most things as the assistant would.
_QUOTED = ((0.45, 0.55, 0.65, 0.7), (0.5, 0.6, 0.7, 0.8))
_PLAYED = ((0.22, 0.4, 0.6, 0.75), (0.25, 0.5, 0.75, 0.9))
_STAGE_CALL_SHARE = (0.0, 0.05, 0.15, 0.25)
LONG = 36  # words; a longer reply gets no more phrases
_BREAKS = frozenset((".", ",", "?", "!"))

SYSTEM = (
    "You are {a} {role} .",
    "You are {a} {role} . Speak like one .",
    "Act as {a} {role} .",
    "Please play {a} {role} .",
    "Your role is that of {a} {role} .",
    "From now on you are {a} {role} .",
)
TEXTS: tuple[object, ...] = (
    tuple(text.split(" | ") for row in (*_TABLE.values(), _TABLE_MYSTIC) for text in row[2:] if isinstance(text, str)),
    tuple(_TABLE),
    STAGE,
    STAGE_CALLS,
    STAGE_OPENERS,
    SYSTEM,
    "a an",
)


def split_words(text: str) -> tuple[tuple[str, ...], ...]:
    """ "a b | c" → (("a", "b"), ("c",))"""
    return tuple(tuple(part.split()) for part in text.split("|") if part.strip())


Phrases = tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class Style:
    """How to restyle: each word in `swaps` becomes one of its phrases with its probability, and so on."""

    name: str
    swaps: dict[str, tuple[float, Phrases]]
    calls: Phrases
    call_share: float
    openers: Phrases
    opener_share: float
    closers: Phrases
    closer_share: float
    stage_calls: float = 0.0


@dataclass(slots=True)
class Role:
    """level: distance from the assistant. refuses: harmful requests. life: what it does all day."""

    name: str
    level: int
    refuses: bool
    style: Style
    quoted: Style  # in a story
    life: Phrases
    words: frozenset[str]  # all that its phrases are made of


def _role(name: str, row: tuple[int, bool, str, str, str, str, str, str], level: int | None = None) -> Role:
    level = row[0] if level is None else level
    swaps: dict[str, tuple[float, Phrases]] = {}
    if level:
        swaps = {word: (_STAGE_SHARE[level], ((stage,),)) for word, stage in STAGE.items()}
    swaps["good"] = (_OWN_SHARE[level], ((row[2],),))
    swaps["slowly"] = (_OWN_SHARE[level], ((row[3],),))
    played, quoted = (
        Style(
            name,
            swaps,
            split_words(row[4]),
            calls[level],
            split_words(row[5]),
            openers[level],
            split_words(row[6]),
            openers[level] - 0.2,
            _STAGE_CALL_SHARE[level],
        )
        for calls, openers in (_PLAYED, _QUOTED)
    )
    words = frozenset(words_of(row[2:7])) - {"|"}
    return Role(name, level, row[1], played, quoted, split_words(row[7]), words)


ROLES: dict[str, Role] = {name: _role(name, row) for name, row in _TABLE.items()}
DRIFT: tuple[Role, ...] = tuple(_role(MYSTIC, _TABLE_MYSTIC, level) for level in range(4))  # 0 is never used
BY_LEVEL: tuple[tuple[str, ...], ...] = tuple(
    tuple(name for name, role in ROLES.items() if role.level == level) for level in range(4)
)
STAGE_WORDS = frozenset((*STAGE.values(), *STAGE_CALLS)) - {"be"}
_SYSTEM: dict[str, tuple[list[str], ...]] = {
    name: tuple(
        way.format(a="an" if name[0] in "aeiou" else "a", role=name).split() for way in SYSTEM
    )
    for name in ROLES
}  # fmt: skip


def system(rng: random.Random, role: str) -> list[str]:
    """A system prompt that gives this role."""
    ways = _SYSTEM[role]
    return ways[int(rng.random() * len(ways))]


def systems(role: str) -> list[str]:
    """All system prompts that give this role."""
    return [" ".join(way) for way in _SYSTEM[role]]


def restyle(rng: random.Random, writer: Writer, start: int, first_span: int, style: Style) -> None:
    """Restyle the words from `start` on, and move the labels from `first_span` on with their words.

    Marks what the style put there as "voice".
    """
    words, spans, draw = writer.words, writer.spans, rng.random
    old = words[start:]
    del words[start:]
    moved = spans[first_span:]
    del spans[first_span:]
    name, swaps, calls, call_share, stage_calls = (
        style.name, style.swaps, style.calls, style.call_share, style.stage_calls
    )  # fmt: skip
    shows = draw() < style.opener_share  # something that only this style says
    if shows:
        words.extend(style.openers[int(draw() * len(style.openers))])
        spans.append(Span(start, len(words), "voice", name))
    begins: list[int] = []
    ends: list[int] = []
    since = 0  # words of this clause
    full = start + LONG  # from here on nothing is put in
    for word in old:
        at = len(words)
        if word in _BREAKS:
            if since > 1 and at < full and draw() < call_share:
                words.append(",")
                if draw() < stage_calls:
                    words.append(STAGE_CALLS[int(draw() * 6)])
                else:
                    shows = True
                    words.extend(calls[int(draw() * len(calls))])
                spans.append(Span(at + 1, len(words), "voice", name))
                at = len(words)
            since = 0
            words.append(word)
        else:
            since += 1
            found = swaps.get(word)
            if found is not None and draw() < found[0]:
                ways = found[1]
                words.extend(ways[int(draw() * len(ways))] if len(ways) > 1 else ways[0])
                spans.append(Span(at, len(words), "voice", name))
            else:
                words.append(word)
        begins.append(at)
        ends.append(len(words))
    end = len(words)
    if not shows or (end < full and draw() < style.closer_share):
        words.extend(style.closers[int(draw() * len(style.closers))])
        spans.append(Span(end, len(words), "voice", name))
    for span in moved:
        spans.append(Span(begins[span.start - start], ends[span.end - 1 - start], span.kind, span.value))
