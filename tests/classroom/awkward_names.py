"""What is awkward about names, and about all other texts of a learner that reach a file."""

from __future__ import annotations

import re
import unicodedata
from html import unescape
from urllib.parse import unquote

from awkward import BOB, RIGHT, RIGHT91, STUB, Box, kind, packed
from small_class import TIMES

BROKEN = RIGHT.replace("return a + b", "raise ValueError('\\ud800 =1+1 \\x1b[31m <script>')")


def called(box: Box, *names: str | bytes, others: list[float] | None = None) -> list[str]:
    """Everybody hands in the same under these names: nobody is stopped, nobody shares a row or a file."""
    box.beside_bob()
    for name in names:
        box.put(os_bytes(name) + b"/exercises.py")
    box.grade()
    return box.outcome({"bob": 5.0}, others=others or [5.0] * len(names))


def os_bytes(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")


@kind("names", "a folder in Latin-1")
def _(box: Box) -> list[str]:
    wrong = called(box, "Zoë".encode("latin-1"))
    return wrong + ([] if "Zoë" in box.students() else [f"her name is not Zoë: {list(box.students())}"])


@kind("names", "two folders whose bytes are no text")
def _(box: Box) -> list[str]:
    return called(box, b"ada\xff", b"ada\xfe")


@kind("names", "an extra file whose name is no text")
def _(box: Box) -> list[str]:
    box.put(b"ada/notes\xff.py", RIGHT + "# older\n")
    box.put(b"ada/data\xff.csv", b"")
    return called(box, "ada", others=[5.0])


@kind("names", "an exception with half a character, a formula and a tag")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", BROKEN)
    box.grade()
    return box.outcome({"ada": 0.0, "bob": 5.0})


@kind("names", "half a character is printed")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", RIGHT.replace("return a + b", "print('\\ud800\\x00\\x1b'); return a - b"))
    box.grade()
    return box.outcome({"bob": 5.0}, others=[1.5])


@kind("names", "80 Chinese letters")
def _(box: Box) -> list[str]:
    return called(box, "学" * 80)


@kind("names", "63 letters of four bytes, twice, with one that differs")
def _(box: Box) -> list[str]:
    return called(box, "𒀀" * 63, "𒀀" * 62 + "𒀁")


@kind("names", "one student, once with composed and once with decomposed letters")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put(unicodedata.normalize("NFC", "Zoë") + "/exercises.py", RIGHT)
    box.put(unicodedata.normalize("NFD", "Zoë") + "/more.py", RIGHT91)
    box.grade()
    return box.outcome({"bob": 5.0, "Zoë": 10.0})


@kind("names", "composed in the first week, decomposed in the second")
def _(box: Box) -> list[str]:
    box.beside_bob()
    folder = box.put(unicodedata.normalize("NFC", "Zoë") + "/exercises.py", RIGHT).parent
    box.grade()
    folder.rename(folder.with_name(unicodedata.normalize("NFD", "Zoë")))
    box.grade()
    return box.outcome({"bob": 5.0, "Zoë": 5.0})


@kind("names", "a formula")
def _(box: Box) -> list[str]:
    return called(box, "=cmd|' '!A0", "@SUM(1)", "+1")


@kind("names", "a formula behind spaces, a tab or a line's end")
def _(box: Box) -> list[str]:
    return called(box, "  =1+1", "\t=1+2", "ada\n=1+3", "\u00a0=1+4", "\u200b=1+5")


@kind("names", "a formula of wide letters, which Excel takes for one")
def _(box: Box) -> list[str]:
    return called(box, "\uff1d1+1", "\uff0b1")


@kind("names", "lines' ends of all kinds")
def _(box: Box) -> list[str]:
    wrong = called(box, "ada\nbob", "ada\rcyd", "ada\u2028dan", "ada\x0b\x0c\x85eve")
    lines = (box.out / "grades.csv").read_text("utf-8-sig").split("\n")
    return wrong + ([] if len(lines) == 7 else [f"grades.csv has {len(lines)} lines for five students"])


@kind("names", "words that a terminal would take for colours")
def _(box: Box) -> list[str]:
    return called(box, "[", "[bold]ada", "ada [", "\x1b[31mada\x1b]8;;x\x07")


@kind("names", "a closing tag of a terminal's colours, out of the settings")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    box.grade(config='[students]\nada = "[/red]"\n')
    return box.outcome({"bob": 5.0, "[/red]": 5.0})


@kind("names", "right-to-left letters and what turns others round")
def _(box: Box) -> list[str]:
    return called(box, "عائشة", "\u202eada\u202c", "\u2066ada")


@kind("names", "dots and spaces alone")
def _(box: Box) -> list[str]:
    return called(box, "...", " ", "_", " .")


@kind("names", "names that differ by case and signs alone")
def _(box: Box) -> list[str]:
    return called(box, "Ada", "ada", "A da", "A_da", "A-da")


@kind("names", "names that Windows keeps for itself")
def _(box: Box) -> list[str]:
    wrong = called(box, "con", "NUL", "aux", "com1")
    held = {path.stem.split(".")[0].lower() for path in (box.out / "students").iterdir()}
    return wrong + [f"a file is called {name}" for name in ("con", "nul", "aux", "com1") if name in held]


@kind("names", "a name in a zip that says UTF-8 and is none")
def _(box: Box) -> list[str]:
    path = box.zip(("adaé/exercises.py", RIGHT.encode()), change=lambda data: data.replace("é".encode(), b"\xff\xfe"))
    box.grade(path)
    return box.outcome({"bob": 5.0}, others=[5.0])


@kind("names", "a name in UTF-8 in a zip that does not say so, as macOS packs it")
def _(box: Box) -> list[str]:
    def silent(data: bytes) -> bytes:
        place = data.index(b"Zo") - 30
        data = data[: place + 6] + b"\0\0" + data[place + 8 :]
        place = data.rindex(b"Zo") - 46
        return data[: place + 8] + b"\0\0" + data[place + 10 :]

    box.grade(box.zip(("Zoë/exercises.py", RIGHT.encode()), change=silent))
    return box.outcome({"bob": 5.0, "Zoë": 5.0})


@kind("names", "a NUL in a name in a zip")
def _(box: Box) -> list[str]:
    change = lambda data: data.replace(b"adaQ/ex", b"ada\0/ex")  # noqa: E731
    box.grade(box.zip(("adaQ/exercises.py", RIGHT.encode()), change=change))
    return box.outcome({"bob": 5.0}, others=[5.0])


@kind("names", "a very long path in a zip")
def _(box: Box) -> list[str]:
    deep = "/".join(["deep" * 50] * 40)
    box.grade(box.zip((f"ada/{deep}/exercises.py", RIGHT.encode())))
    return box.outcome({"bob": 5.0, "ada": 5.0})


@kind("names", "a display name that is shaped like a folder of Moodle's")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("Ada L_1_assignsubmission_file_/exercises.py", RIGHT)
    box.put("Ada L_1_assignsubmission_file__7_assignsubmission_file_/exercises.py", "nothing of the course")
    box.grade()
    return box.outcome({"bob": 5.0, "Ada L_1": 5.0}, others=[0.0], silent=("Ada L_1",))


@kind("names", "a display name that is shaped like a flat file of Moodle's")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("Ada L_1_assignsubmission_file_exercises.py", RIGHT, when=1_790_000_000)
    box.put(
        "Ada L_1_assignsubmission_file__7_assignsubmission_file_exercises.py",
        RIGHT.replace("a + b", "a - b"),
        when=1_790_000_900,
    )
    box.grade()
    return box.outcome({"bob": 5.0, "Ada L_1": 5.0}, others=[1.5])


@kind("names", "folders of groups, whose names are shaped like Canvas's files")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("group_1_2_ada/exercises.py", RIGHT)
    box.put("group_1_3_cyd/exercises.py", RIGHT.replace("a + b", "a - b"))
    box.grade()
    found = box.students()
    return [] if len(found) == 3 else [f"three students are {list(found)}"]


@kind("names", "Moodle's online text beside a file")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("Ada L_1_assignsubmission_file_/exercises.py", RIGHT)
    box.put("Ada L_1_assignsubmission_onlinetext_/onlinetext.html", "<p>I hope so")
    box.put("Cyd_2_assignsubmission_onlinetext_/onlinetext.html", "<p>Sorry")
    box.grade()
    return box.outcome({"bob": 5.0, "Ada L_1": 5.0, "Cyd_2": 0.0}, {"Cyd_2": "no .py file"}, silent=("Ada L_1",))


@kind("names", "a class whose zip has its folder's name in half characters")
def _(box: Box) -> list[str]:
    path = box.top / "class.zip"
    files = [("wéek/ada/exercises.py", RIGHT.encode()), ("wéek/" + BOB[0], BOB[1])]
    path.write_bytes(packed(*files).replace("é".encode(), b"\xff\xff"))
    box.grade(path)
    return box.outcome({"bob": 5.0, "ada": 5.0})


@kind("exports", "Canvas's files where names are hidden, one of them late, one handed in again")
def _(box: Box) -> list[str]:
    box.put("anon_8Xk3q_4711_exercises.py", STUB)
    box.put("anon_8Xk3q_4712_exercises-1.py")
    box.put("LATE_anon_9ab2c_4713_exercises.py", TIMES)
    box.beside_bob()
    box.grade()
    return box.outcome({"bob": 5.0, "anon_8Xk3q": 5.0, "anon_9ab2c": 1.5})


@kind("exports", "Canvas's files of those who wrote into its editor or gave an address")
def _(box: Box) -> list[str]:
    box.put("lovelaceada_815_text.html", "<p>def add(a, b)</p>")
    box.put("eve_LATE_816_link.html", "<a>here</a>")
    box.beside_bob()
    box.grade()
    says = dict.fromkeys(("lovelaceada_815", "eve_816"), "no .py file")
    return box.outcome({"bob": 5.0, "lovelaceada_815": 0.0, "eve_816": 0.0}, says)


@kind("exports", "Canvas's files of a name with an underscore, and of one who handed in eleven times")
def _(box: Box) -> list[str]:
    box.put("o_neil_815_4711_exercises.py", STUB)
    box.put("o_neil_815_4712_exercises-1.py")
    box.put("o_neil_LATE_816_4713_exercises.py", TIMES)
    box.put("ada_817_4714_exercises-10.py")
    box.put("ada_817_4715_exercises-9.py", TIMES)
    box.beside_bob()
    box.grade()
    return box.outcome({"bob": 5.0, "o_neil_815": 5.0, "o_neil_816": 1.5, "ada_817": 5.0})


@kind("exports", "Moodle's folders of who is in no group, who has no name, who wrote into its editor alone")
def _(box: Box) -> list[str]:
    box.put("Default group_assignsubmission_file/exercises.py")
    box.put("Participant_77_assignsubmission_file/mine/ch90_sums/exercises.py")
    box.put("Eve_12_assignsubmission_onlinetext/onlinetext.html", "<p>x</p>")
    box.beside_bob()
    box.grade()
    want = {"bob": 5.0, "Participant_77": 5.0, "Eve_12": 0.0}
    return box.outcome(want, {"Eve_12": "no .py file"}, others=[5.0])


@kind("names", "names that a link must quote, and what no eye sees")
def _(box: Box) -> list[str]:
    names = (
        "50% #1?.html",
        "a&b<c>",
        '\'"q"',
        "\u200b",
        "ada\u200b",
        "ada",
        "\U0001f469\u200d\U0001f4bb",
        "-rf",
        "\xdf",
        "SS",
    )
    for name in names:
        box.put(f"{name}/exercises.py")
    box.beside_bob()
    box.grade()
    page = (box.out / "class.html").read_text("utf-8")
    links = [link for link in re.findall(r'href="([^"]+)"', page) if not link.startswith(("#", "http"))]
    lost = [link for link in links if not (box.out / unquote(unescape(link).partition("#")[0])).is_file()]
    wrong = [f"{link!r} leads nowhere" for link in lost] if len(links) >= len(names) else ["there are no links"]
    return wrong + box.outcome({"bob": 5.0}, others=[5.0] * len(names))
