"""What is awkward about groups, about carrying forward, and about tables of platforms."""

from __future__ import annotations

from awkward import NOON, RIGHT, STUB, Box, kind
from awkward_grades import TIMES

GROUP = '[groups]\n"Blue" = ["ada", "Zoë", "dan"]\n'


@kind("groups", "one member's file is no text, another's name is composed otherwise")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", b"\xff\xfe\xd8")
    box.put("Zoe\u0308/exercises.py")
    box.grade(config=GROUP)
    return box.outcome({"ada": 5.0, "Zoë": 5.0, "dan": 5.0, "bob": 5.0})


@kind("groups", "the stub by one member after the answer by another")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", TIMES, when=NOON)
    box.put("dan/exercises.py", STUB, when=NOON + 60)
    box.grade(config=GROUP)
    return box.outcome({"ada": 1.5, "Zoë": 1.5, "dan": 1.5, "bob": 5.0})


@kind("carry", "markers twice, a section gone, half a surrogate, a null byte, none of which stops the others")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("twice/exercises.py", TIMES + TIMES)
    box.put("gone/exercises.py", TIMES.split("# %% [90.1]")[0] + "# %% [90.2]" + RIGHT.split("# %% [90.2]")[1])
    box.put("half/exercises.py", TIMES.replace("return a * b", "return '\\ud800' # \ufffd"))
    box.put("null/exercises.py", TIMES.replace("return a * b", "return a * b\0"))
    box.put("cyd/exercises.py", TIMES)
    box.grade(config="carry_forward = true\n")
    return box.outcome({"twice": 0.0, "gone": 3.0, "half": 3.0, "null": 3.0, "cyd": 3.0, "bob": 5.0})


@kind("platforms", "a table whose names are formulas, tags and half of nothing")
def _(box: Box) -> list[str]:
    box.put("Bob_1_assignsubmission_file_/exercises.py")
    box.put("=1+1_2_assignsubmission_file_/exercises.py")
    box.grade()
    table = box.top / "sheet.csv"
    table.write_bytes(b'Identifier,Full name,Grade\nParticipant 1,"=1,+\r\n<b>\xff",\nParticipant 2,\xed\xa0\x80,\n')
    code, said = box.mi("grade", "fill", table, "-g", box.out)
    wanted = b'Identifier,Full name,Grade\nParticipant 1,"=1,+\r\n<b>\xff",5\nParticipant 2,\xed\xa0\x80,5\n'
    if code or (box.top / "sheet-filled.csv").read_bytes() != wanted:
        return [f"the table is not as it was but for the grades: {said}"]
    return []
