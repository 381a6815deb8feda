"""Plain prose, each kind with one thing to find out: who did what, one or many, where a list was heard before, how good
a meal was, what a sum makes, which sense a word has, what a paragraph is about.
"""

from __future__ import annotations

import random

from mi_lib.worlds.littletown import people
from mi_lib.worlds.littletown.splits import Split, held_out
from mi_lib.worlds.littletown.text import Document, Writer

# --- who did what to whom ---------------------------------------------------------------------------------------------
AGENTS = (
    "baker tailor farmer potter teacher doctor sailor miller painter weaver singer carpenter king queen thief nurse "
    "judge guard monk clown"
).split()
DEEDS = {  # present, past, participle
    "chase": ("chases", "chased", "chased"),
    "help": ("helps", "helped", "helped"),
    "follow": ("follows", "followed", "followed"),
    "see": ("sees", "saw", "seen"),
    "call": ("calls", "called", "called"),
    "push": ("pushes", "pushed", "pushed"),
    "paint": ("paints", "painted", "painted"),
    "find": ("finds", "found", "found"),
    "teach": ("teaches", "taught", "taught"),
    "praise": ("praises", "praised", "praised"),
}
ACTIVE = (
    "{when} the {agent} {verb} the {patient} .",
    "{when} the {agent} with the lamp {verb} the {patient} .",
    "{when} the old {agent} {verb} the young {patient} .",
)
PASSIVE = (
    "{when} the {patient} {be} {verb} by the {agent} .",
    "{when} the {patient} with the lamp {be} {verb} by the {agent} .",
    "{when} the old {patient} {be} {verb} by the young {agent} .",
)
WHEN = {"present": ("Today", "Now", "This morning"), "past": ("Yesterday", "Last week", "Long ago")}
ASKED = (
    ("Who did it ? The {agent} .", "agent"),
    ("To whom ? To the {patient} .", "patient"),
    ("Was it the {agent} ? Yes .", "agent"),
    ("Was it the {patient} ? No , it was the {agent} .", "agent"),
)


def deed(rng: random.Random, split: Split) -> Document:
    """One person does something to another, in either voice and tense; then someone asks who and to whom."""
    writer = Writer()
    while True:
        agent, patient = rng.sample(AGENTS, 2)
        base = rng.choice(tuple(DEEDS))
        if (held_out("pair", agent, patient) or held_out("agent", agent, base)) == (split == "held_out"):
            break
    present, past, participle = DEEDS[base]
    tense = rng.choice(("present", "past"))
    voice = rng.choice(("active", "passive"))
    template = rng.choice(ACTIVE if voice == "active" else PASSIVE)
    verb = participle if voice == "passive" else present if tense == "present" else past
    about = {"subject": agent, "object": patient, "tense": tense, "voice": voice, "deed": base}
    be = "is" if tense == "present" else "was"
    writer.say(template, about, when=rng.choice(WHEN[tense]), agent=agent, patient=patient, verb=verb, be=be)
    for question, kind in rng.sample(ASKED, 2):
        writer.say(question, {"asked": kind}, agent=agent, patient=patient)
    return writer.document("prose.deed", **about)


# --- one or many, over a distance -------------------------------------------------------------------------------------
NOUNS = {
    "key": "keys", "lamp": "lamps", "door": "doors", "tree": "trees", "dog": "dogs", "boat": "boats", "cup": "cups",
    "horse": "horses", "letter": "letters", "picture": "pictures", "wall": "walls", "stone": "stones",
    "bell": "bells", "chair": "chairs", "house": "houses", "flower": "flowers",
}  # fmt: skip
WEDGES = ("near", "behind", "beside", "above", "below", "under", "next to", "in front of")
MIDDLE = (
    "The {noun} {wedge} the {attractor} {be} {state} .",
    "The {size} {noun} {wedge} the {attractor} {be} {state} .",
    "The {noun} that you see {wedge} the {size} {attractor} {be} {state} .",
    "The {noun} {wedge} the {attractor} of {owner} {be} {state} .",
)
STATES = "old new clean dirty broken pretty heavy cheap lost wet dry dusty".split()
SIZES = "big small tall little large tiny".split()
BE = {("singular", "present"): "is", ("plural", "present"): "are"}
BE |= {("singular", "past"): "was", ("plural", "past"): "were"}


def agreement(rng: random.Random, split: Split) -> Document:
    """Sentences whose verb agrees with a noun that another noun stands between."""
    writer = Writer()
    for _ in range(rng.randint(1, 3)):
        while True:
            one, other = rng.sample(tuple(NOUNS), 2)
            number, attracting = rng.choice(("singular", "plural")), rng.choice(("singular", "plural"))
            if held_out("nouns", one, number, other, attracting) == (split == "held_out"):
                break
        tense = rng.choice(("present", "past"))
        if tense == "past":
            writer.say(rng.choice(("In those days", "Back then", "Years ago")), {"tense": tense})
        template = rng.choice(MIDDLE)
        if tense == "past":
            template = "the" + template[3:]
        writer.say(
            template,
            {"number": number, "attractor number": attracting, "tense": tense},
            noun=one if number == "singular" else NOUNS[one],
            attractor=other if attracting == "singular" else NOUNS[other],
            wedge=rng.choice(WEDGES),
            be=BE[number, tense],
            state=rng.choice(STATES),
            size=rng.choice(SIZES),
            owner=rng.choice(people.NAMES),
        )
    return writer.document("prose.agreement")


# --- lists, said again ------------------------------------------------------------------------------------------------
LISTED: tuple[str, ...] = tuple(
    sorted(
        {*people.OF_THING, *NOUNS, *people.PETS, *people.PLACES, *people.COLOURS, *people.THINGS_TO_GIVE, *STATES}
        | {*AGENTS, *people.TOWNS, *people.NAMES, *people.CRAFTS}
    )
)
AGAIN = ("Again :", "Once more :", "Say it again :", "And again :")
FIRST = ("Listen :", "Learn this list :", "Remember :", "The list :")


def repeats(rng: random.Random, split: Split) -> Document:
    """A list of random words, said two or three times with something in between. Held out: lists of 8, 13 or 18."""
    writer = Writer()
    long = rng.choice((8, 13, 18) if split == "held_out" else (4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17, 19, 20))
    listed = rng.sample(LISTED, long)
    if rng.random() < 0.5:
        writer.words.extend(rng.sample(LISTED, rng.randint(1, 8)))
        writer.words.append(".")
    writer.words.extend(rng.choice(FIRST).split(" "))
    for copy in range(rng.choice((2, 2, 3))):
        if copy:
            writer.words.append(".")
            if rng.random() < 0.7:
                writer.words.extend(rng.choice(AGAIN).split(" "))
        start = len(writer.words)
        writer.words.extend(listed)
        writer.mark(start, "copy", "first" if copy == 0 else "later")
    writer.words.append(".")
    return writer.document("prose.repeats", long=str(long))


# --- how good it was --------------------------------------------------------------------------------------------------
GRADES = {
    2: ("wonderful", "perfect", "splendid", "superb"),
    1: ("good", "nice", "pleasant", "tasty"),
    0: ("plain", "usual", "average", "normal"),
    -1: ("bad", "poor", "dull", "stale"),
    -2: ("awful", "horrible", "dreadful", "terrible"),
}
NOT = {1: -1, -1: 1}  # "not good" is bad, "not bad" is good; nobody says "not awful"
JUDGED = "soup bread room service music pie bed view garden wine tea staff".split()
SAID = (
    "The {judged} was {grade} .",
    "We found the {judged} {grade} .",
    "I must say the {judged} was {grade} .",
    "The {judged} at the inn seemed {grade} .",
)
STARS = {2: "five", 1: "four", 0: "three", -1: "two", -2: "one"}
FEELING = {2: "very happy", 1: "happy", 0: "content", -1: "sad", -2: "very sad"}
CLOSING = ("I give it {stars} stars .", "That makes {stars} stars .", "All in all , {stars} stars .")


def review(rng: random.Random, split: Split) -> Document:
    """One or two judgements, some negated; the stars follow from their mean."""
    writer = Writer()
    grades = []
    writer.say("A review :")
    for _ in range(rng.randint(1, 2)):
        while True:
            judged, grade, negated = rng.choice(JUDGED), rng.choice((-2, -1, 0, 1, 2)), rng.random() < 0.3
            negated = negated and grade in NOT
            word = rng.choice(GRADES[grade])
            if held_out("review", judged, word, "not" if negated else "") == (split == "held_out"):
                break
        felt = NOT[grade] if negated else grade
        grades.append(felt)
        said = f"not {word}" if negated else word
        total = _mean(grades)
        about = {"sentiment": str(felt), "sentiment so far": str(total), "negated": "yes" if negated else "no"}
        writer.say(rng.choice(SAID), about, judged=judged, grade=said)
    total = _mean(grades)
    writer.say(rng.choice(CLOSING), {"sentiment so far": str(total)}, stars=STARS[total])
    writer.say("I left {feeling} .", {"sentiment so far": str(total)}, feeling=FEELING[total])
    return writer.document("prose.review", stars=STARS[total], sentiment=str(total))


def _mean(grades: list[int]) -> int:
    """The mean, halves away from zero."""
    mean = sum(grades) / len(grades)
    return int(mean + 0.5) if mean >= 0 else -int(-mean + 0.5)


# --- counting and sums ------------------------------------------------------------------------------------------------
NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen"
).split()
SUMS = (
    "The sum of {first} and {second} is {total} .",
    "{name} has {first} {things} and finds {second} more . Now there are {total} .",
)


def numbers(rng: random.Random, split: Split) -> Document:
    """Sums of two digits, and counting on."""
    writer = Writer()
    for _ in range(rng.randint(2, 4)):
        if rng.random() < 0.3:
            start = rng.randrange(12)
            writer.say("Count :")
            for n in range(start, min(start + rng.randint(3, 6), 19)):
                writer.say("{number}", number=NUMBERS[n])
            writer.say(".")
            continue
        while True:
            first, second = rng.randrange(10), rng.randrange(10)
            if held_out("sum", str(first), str(second)) == (split == "held_out"):
                break
        writer.say(
            rng.choice(SUMS),
            {"sum": str(first + second)},
            first=NUMBERS[first],
            second=NUMBERS[second],
            total=NUMBERS[first + second],
            name=rng.choice(people.NAMES),
            things=rng.choice(tuple(NOUNS.values())),
        )
    return writer.document("prose.numbers")


# --- words with two senses --------------------------------------------------------------------------------------------
# word: sense: (contexts that show it, what follows)
SENSES: dict[str, dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "bank": {
        "money": (("counted coins", "asked for a loan"), ("It was closed .", "The clerk was rude .")),
        "river": (("caught a fish", "rowed all day"), ("It was muddy .", "The reeds were high .")),
    },
    "bat": {
        "animal": (("entered the cave", "looked at the night sky"), ("It flew away .", "Its wings were thin .")),
        "stick": (("hit the ball", "won the game"), ("It was made of wood .", "It broke in two .")),
    },
    "ring": {
        "jewel": (("got married", "went to the jeweller"), ("It was gold .", "It sat on a finger .")),
        "sound": (("waited for the phone", "ran to the bell"), ("It was loud .", "It woke the house .")),
    },
    "bark": {
        "tree": (("cut the oak", "walked in the wood"), ("It was rough .", "Moss grew on it .")),
        "dog": (("woke the hound", "trained the puppy"), ("It was loud .", "It came from the yard .")),
    },
    "spring": {
        "season": (("waited all winter", "planted bulbs"), ("It came in March .", "The birds sang .")),
        "water": (("was thirsty", "dug in the rock"), ("It was cool and clear .", "We drank from it .")),
    },
    "seal": {
        "animal": (("sailed to the ice", "fed the herring"), ("It swam away .", "It lay on the beach .")),
        "wax": (("closed the letter", "melted the candle"), ("It was red .", "It bore a crown .")),
    },
    "pen": {
        "ink": (("wrote a poem", "signed the paper"), ("It ran dry .", "It left a blot .")),
        "fence": (("fed the pigs", "herded the sheep"), ("It had a gate .", "It was full of mud .")),
    },
    "match": {
        "fire": (("lit the stove", "sat in the dark"), ("It burned out .", "It smelled of smoke .")),
        "game": (("put on the jersey", "cheered the team"), ("It ended in a draw .", "We lost it .")),
    },
    "trunk": {
        "case": (("packed for the journey", "locked the clothes away"), ("It had two handles .", "It was heavy .")),
        "elephant": (("rode in the circus", "went to the zoo"), ("It was long and grey .", "It sprayed water .")),
    },
    "crane": {
        "bird": (("watched the marsh", "walked among the reeds"), ("It flew away .", "It stood on one leg .")),
        "machine": (("built the tower", "unloaded the ship"), ("It lifted a beam .", "It was made of steel .")),
    },
}
MEETING = ("{name} {context} and saw the {word} .", "There was the {word} when {name} {context} .")


def senses(rng: random.Random, split: Split) -> Document:
    """Two to three words of two senses; what comes before tells which is meant, what follows depends on it."""
    writer = Writer()
    for _ in range(rng.randint(1, 3)):
        while True:
            word = rng.choice(tuple(SENSES))
            sense = rng.choice(tuple(SENSES[word]))
            name = rng.choice(people.NAMES)
            contexts, followings = SENSES[word][sense]
            context, following = rng.randrange(len(contexts)), rng.randrange(len(followings))
            if held_out("sense", name, word, sense, str(context)) == (split == "held_out"):
                break
        start = len(writer.words)
        template = MEETING[0] if rng.random() < 0.7 else MEETING[1]
        writer.say(template, name=name, context=contexts[context], word=word)
        writer.say(followings[following])
        writer.mark(start, "sense", f"{word} ({sense})")
    return writer.document("prose.senses")


# --- what it is about -------------------------------------------------------------------------------------------------
# topic: (people, deeds, things, moods)
TOPICS: dict[str, tuple[tuple[str, ...], ...]] = {
    "kitchen": (
        ("cook", "waiter"),
        ("stirred", "tasted", "boiled"),
        ("stew", "dough", "sauce", "gravy"),
        ("hungry",),
    ),
    "garden": (
        ("gardener", "neighbour"),
        ("watered", "planted", "picked"),
        ("roses", "beans", "herbs", "lawn"),
        ("calm",),
    ),
    "school": (
        ("pupil", "teacher"),
        ("read", "learned", "copied"),
        ("lesson", "poem", "map", "spelling"),
        ("curious",),
    ),
    "harbour": (
        ("sailor", "captain"),
        ("loaded", "anchored", "repaired"),
        ("ship", "net", "cargo", "mast"),
        ("salty",),
    ),
    "music": (
        ("singer", "fiddler"),
        ("played", "practised", "hummed"),
        ("tune", "song", "melody", "waltz"),
        ("merry",),
    ),
    "sickness": (
        ("doctor", "nurse"),
        ("bandaged", "examined", "treated"),
        ("wound", "fever", "cough", "patient"),
        ("weak",),
    ),
    "winter": (
        ("skater", "child"),
        ("shovelled", "built", "cleared"),
        ("snow", "sledge", "snowman", "ice"),
        ("cold",),
    ),
    "law": (
        ("judge", "lawyer"),
        ("heard", "studied", "settled"),
        ("case", "trial", "quarrel", "contract"),
        ("stern",),
    ),
    "market": (
        ("trader", "customer"),
        ("weighed", "bought", "priced"),
        ("cheese", "cloth", "spice", "honey"),
        ("busy",),
    ),
    "travel": (
        ("rider", "pilgrim"),
        ("crossed", "climbed", "reached"),
        ("valley", "hill", "border", "inn"),
        ("tired",),
    ),
    "war": (
        ("soldier", "general"),
        ("attacked", "guarded", "besieged"),
        ("fort", "gate", "camp", "army"),
        ("brave",),
    ),
    "night": (
        ("watchman", "dreamer"),
        ("watched", "counted", "followed"),
        ("stars", "moon", "shadows", "owls"),
        ("sleepy",),
    ),
}
ABOUT = (
    "The {who} {did} the {what} .",
    "All day long the {who} {did} the {what} .",
    "The {who} was {mood} .",
    "Then {name} {did} the {what} with the {who} .",
    "It was time , so the {who} {did} the {what} .",
)


def topic(rng: random.Random, split: Split) -> Document:
    """A paragraph about one of twelve topics, and at its end its name."""
    writer = Writer()
    about = rng.choice(tuple(TOPICS))
    who, did, what, mood = TOPICS[about]
    for _ in range(rng.randint(3, 5)):
        while True:
            person, deed_, thing, feeling = rng.choice(who), rng.choice(did), rng.choice(what), rng.choice(mood)
            if held_out("topic", person, deed_, thing, one_in=6) == (split == "held_out"):
                break
        writer.say(
            rng.choice(ABOUT),
            {"topic": about, "tense": "past"},
            who=person,
            did=deed_,
            what=thing,
            mood=feeling,
            name=rng.choice(people.NAMES),
        )
    writer.say("This was about {topic.named} .", {"topic": about}, topic=about)
    return writer.document("prose.topic", topic=about)


TEXTS: tuple[object, ...] = (
    (AGENTS, DEEDS, tuple(DEEDS), ACTIVE, PASSIVE, WHEN, [question for question, _ in ASKED], "is was the yes no"),
    (NOUNS, tuple(NOUNS), WEDGES, MIDDLE, STATES, SIZES, BE, "In those days Back then Years ago"),
    (LISTED, AGAIN, FIRST, GRADES, JUDGED, SAID, STARS, FEELING, CLOSING, "not A review : I left"),
    (NUMBERS, SUMS, "Count : .", tuple(SENSES), SENSES, MEETING, tuple(TOPICS), TOPICS, ABOUT),
    ("This was about", people.NAMES),
)
