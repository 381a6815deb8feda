"""Who and what there is in Littletown: people, towns, things. Drawn once from a fixed seed; the same on every machine.

Sixty residents have a town, a trade, a pet, a hobby and a favourite dish. Towns have a river, a mayor, a craft, a
colour and a landmark. Things have a kind, the colour of the one in the museum, and a store where they are kept.
A hundred strangers have only names: they walk through stories, but nothing is ever said about where they live.
"""

from __future__ import annotations

import random

WOMEN = (
    "Ada Alma Amy Anna Beth Cara Clara Dora Edna Ella Emma Eva Faye Fern Gina Grace Greta Hazel Helen Ida Iris Jane "
    "Joan Judy Kate Lara Lena Lily Lucy Mara Maud Mira Nell Nina Nora Olive Opal Pearl Polly Rosa Ruby Ruth Sara Tess "
    "Tina Vera Wilma Zoe"
).split()
MEN = (
    "Abel Adam Alan Alec Ben Bill Carl Cole Dan Dean Earl Eric Evan Finn Frank Fred Gary Glen Hal Hank Hugo Ian Ivan "
    "Jack Jake Joel John Karl Kurt Lars Leo Luke Mark Max Miles Ned Neil Noah Oscar Otto Paul Pete Ralph Rex Sam Seth "
    "Tom Walt"
).split()
# They come and go, and live elsewhere.
VISITING_WOMEN = (
    "Agnes Anita Bella Betty Carol Celia Daphne Diana Elsa Esther Flora Frida Gloria Hanna Irma Jenny Julia Karen "
    "Laura Linda Mabel Martha Nancy Norma Paula Rita Sonia Stella Sylvia Thea Ursula Wanda"
).split()
VISITING_MEN = (
    "Albert Arnold Barry Boris Cyril David Edgar Edwin Felix George Gilbert Harold Henry Howard Jasper Julian Keith "
    "Leon Louis Martin Morris Nigel Norman Oliver Patrick Peter Ray Robert Roger Simon Stanley Victor"
).split()
NAMES: tuple[str, ...] = tuple(sorted([*WOMEN, *MEN, *VISITING_WOMEN, *VISITING_MEN]))
GENDER: dict[str, str] = {name: "she" if name in {*WOMEN, *VISITING_WOMEN} else "he" for name in NAMES}

TOWNS = (
    "Oakham Ashby Redford Milton Westley Norden Tarrow Selby Dunmere Kelton Brixby Hollin Marwick Penrow Stanby Thorley"
).split()
TRADES = "baker tailor farmer potter teacher doctor sailor miller painter weaver singer carpenter".split()
PETS = "cat dog goat parrot rabbit tortoise pony goose mouse owl".split()
HOBBIES = "chess fishing sewing dancing rowing cycling running skating drawing swimming".split()
DISHES = "soup bread cheese rice fish pie stew salad cake porridge".split()
RIVERS = "Arden Bourne Calder Derwen Esk Fenn Garrow Humbel Itchen Jory Kennet Lodden Medlin Nidd Orwin Pell".split()
MAYORS = (
    "Abbott Barlow Cooper Dalton Ellis Foster Gibson Harper Irwin Jarvis Keller Lawson Mercer Newman Osborne Porter"
).split()
CRAFTS = "lace glass rope paper candles boots clocks drums kites baskets ribbons barrels".split()
COLOURS = "red blue green yellow white black brown grey purple orange pink silver".split()
LANDMARKS = "castle tower bridge mill abbey lighthouse fountain statue windmill harbour".split()

_KINDS = {
    "fruit": "apple pear plum cherry lemon peach grape melon".split(),
    "vegetable": "carrot onion potato cabbage pea bean leek turnip".split(),
    "tool": "hammer saw spade rake axe chisel drill shovel".split(),
    "instrument": "flute drum violin harp trumpet piano guitar horn".split(),
    "garment": "coat hat scarf glove sock shirt skirt boot".split(),
    "vehicle": "cart boat bicycle wagon sledge ferry tram carriage".split(),
    "vessel": "cup jug bottle bowl kettle vase bucket jar".split(),
    "bird": "robin crow swan duck eagle heron sparrow gull".split(),
    "animal": "horse cow sheep pig fox badger hare deer".split(),
    "flower": "rose tulip daisy violet poppy orchid lotus thistle".split(),
}
_STORES = "cellar attic kitchen shed garden barn hall pantry".split()

# attribute: the words it can be
PERSON = {"town": TOWNS, "trade": TRADES, "pet": PETS, "hobby": HOBBIES, "dish": DISHES}
TOWN = {"river": RIVERS, "mayor": MAYORS, "craft": CRAFTS, "colour": COLOURS, "landmark": LANDMARKS}
THING = {"kind": tuple(_KINDS), "colour": COLOURS, "store": _STORES}

_rng = random.Random("Littletown")
RESIDENTS: tuple[str, ...] = tuple(sorted(_rng.sample(sorted([*WOMEN, *MEN]), 60)))
STRANGERS: tuple[str, ...] = tuple(name for name in NAMES if name not in set(RESIDENTS))
ASKED_STRANGERS: tuple[str, ...] = STRANGERS[::3] + STRANGERS[1::3]  # training asks about these in vain, never the rest
UNASKED_STRANGERS: tuple[str, ...] = STRANGERS[2::3]


def _spread(values: list[str], n: int) -> list[str]:
    """n values, each as often as any other, in random order."""
    repeated = [values[i % len(values)] for i in range(n)]
    _rng.shuffle(repeated)
    return repeated


def _facts(entities: tuple[str, ...], attributes: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    columns = {attribute: _spread(list(values), len(entities)) for attribute, values in attributes.items()}
    return {e: {attribute: columns[attribute][i] for attribute in attributes} for i, e in enumerate(entities)}


OF_PERSON = _facts(RESIDENTS, PERSON)
OF_TOWN = _facts(tuple(TOWNS), TOWN)
_things = tuple(thing for things in _KINDS.values() for thing in things)
OF_THING = _facts(_things, {k: list(v) for k, v in THING.items() if k != "kind"})
for _kind, _members in _KINDS.items():
    for _thing in _members:
        OF_THING[_thing] = {"kind": _kind, **OF_THING[_thing]}

THINGS_TO_GIVE = (
    "ring book key letter drink apple pear coin lamp rope basket map ball cake flower kettle candle scarf hat box "
    "hammer pencil photo ticket"
).split()
PLACES = (
    "market school park garden station harbour library shop church barn museum bakery office hospital mill beach "
    "castle forest cafe theatre"
).split()


def a(noun: str) -> str:
    """The noun with "a" or "an"."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
