"""What is awkward about the files: their size, number, kind, place, and the archive that they come in."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from awkward import RIGHT, RIGHT91, STUB, Box, kind, packed

from mi_lib.course.classroom import submissions

ADA = ("ada/exercises.py", RIGHT.encode())
BOTH = {"ada": 5.0, "bob": 5.0}


def linked(path: Path, name: str, kind_of_file: int = stat.S_IFLNK) -> None:
    """Make an entry of a zip a link (or another kind of file)."""
    change_central(path, name, lambda head: head[:38] + struct.pack("<L", (kind_of_file | 0o777) << 16) + head[42:])


def change_central(path: Path, name: str, change) -> None:
    """Change the 46 bytes in the central directory of a zip that stand before this name."""
    data = path.read_bytes()
    place = data.rindex(name.encode()) - 46
    path.write_bytes(data[:place] + change(data[place : place + 46]) + data[place + 46 :])


def locked(head: bytes) -> bytes:
    return head[:8] + struct.pack("<H", struct.unpack("<H", head[8:10])[0] | 1) + head[10:]


@kind("intake", "a link to data in one student's part of the class's zip")
def _(box: Box) -> list[str]:
    path = box.zip(ADA, ("ada/data.csv", b"/etc/passwd"))
    linked(path, "ada/data.csv")
    box.grade(path)
    return box.outcome(BOTH, silent=("ada", "bob"))


@kind("intake", "a link instead of an answer in one student's part of the class's zip")
def _(box: Box) -> list[str]:
    path = box.zip(("ada/exercises.py", b"/etc/passwd"))
    linked(path, "ada/exercises.py")
    code, _ = box.grade(path)
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "link"}) + ([] if code == 1 else [f"exit code {code}"])


@kind("intake", "a device in one student's part of the class's zip")
def _(box: Box) -> list[str]:
    path = box.zip(ADA, ("ada/more.py", b""))
    linked(path, "ada/more.py", stat.S_IFCHR)
    box.grade(path)
    return box.outcome(BOTH, {"ada": "more.py"})


@kind("intake", "a path with .. in one student's part of the class's zip")
def _(box: Box) -> list[str]:
    box.grade(box.zip(ADA, ("ada/../../notes.py", RIGHT91.encode())))
    return box.outcome(BOTH, {"ada": "leads out"})


@kind("intake", "a path through .. into a neighbour's part")
def _(box: Box) -> list[str]:
    box.grade(box.zip(("ada/../bob/exercises.py", STUB.encode())))
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "leads out"}, silent=("bob",))


@kind("intake", "a path from the root of the disk")
def _(box: Box) -> list[str]:
    box.grade(box.zip(ADA, ("/ada/etc.py", b"x")))
    return box.outcome(BOTH, {"ada": "leads out"})


@kind("intake", "paths with Windows' backslashes")
def _(box: Box) -> list[str]:
    box.grade(box.zip(("ada\\work\\exercises.py", RIGHT.encode())))
    return box.outcome(BOTH, silent=("ada",))


@kind("intake", "a colon in a name")
def _(box: Box) -> list[str]:
    box.grade(box.zip(("ada: week 1/exercises.py", RIGHT.encode()), ("cyd/C:/x.py", b"x")))
    return box.outcome({"bob": 5.0, "ada: week 1": 5.0, "cyd": 0.0})


@kind("intake", "a drive's letter before a path")
def _(box: Box) -> list[str]:
    box.grade(box.zip(ADA, ("C:/ada/x.py", b"x")))
    return box.outcome(BOTH, others=[0.0])


@kind("intake", "210 MB of data beside an answer, in the class's zip")
def _(box: Box) -> list[str]:
    path = box.zip(ADA, ("ada/data.npy", os.urandom(2**20)))
    change_central(path, "ada/data.npy", lambda head: head[:24] + struct.pack("<L", 210 * 10**6) + head[28:])
    box.grade(path)
    return box.outcome(BOTH, {"ada": "data.npy"}, silent=("ada", "bob"))


@kind("intake", "5,001 small files beside an answer, in the class's zip")
def _(box: Box) -> list[str]:
    box.grade(box.zip(ADA, *[(f"ada/data/{i}.txt", b"") for i in range(5001)]))
    return box.outcome(BOTH, {"ada": "5001"}, silent=("ada", "bob"))


@contextlib.contextmanager
def few_answers(number: int) -> Iterator[None]:
    """So many files may hold answers, so that a few stand for thousands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submissions, "MAX_ANSWERS", number)
        yield


@kind("intake", "far more files than answers may be, in a folder")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/z/exercises.py")
    for i in range(60):
        (box.handed_in / "ada" / f"{i}.txt").touch()
    with few_answers(20):
        box.grade()
    return box.outcome(BOTH, {"ada": "60 files"}, silent=("ada",))


@kind("intake", "an environment and node_modules beside an answer, in a folder")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    for folder in ("venv/lib/python3.12/site-packages", "node_modules/x", ".venv/lib"):
        (box.handed_in / "ada" / folder).mkdir(parents=True)
        for i in range(20):
            (box.handed_in / "ada" / folder / f"{i}.py").touch()
    (box.handed_in / "ada" / "venv" / "pyvenv.cfg").touch()
    with few_answers(10):
        box.grade()
    return box.outcome(BOTH, {"ada": "node_modules"}, silent=("ada",))


@kind("intake", "an environment beside an answer, in the student's own zip")
def _(box: Box) -> list[str]:
    files = [(f"work/venv/lib/{i}.py", b"") for i in range(5001)]
    inner = packed(("work/venv/pyvenv.cfg", b""), ("work/exercises.py", RIGHT.encode()), *files)
    box.grade(box.zip(("ada/work.zip", inner)))
    return box.outcome(BOTH, {"ada": "venv"}, silent=("ada",))


@kind("intake", "data that compress 1,000 times beside an answer")
def _(box: Box) -> list[str]:
    box.grade(box.zip(ADA, ("ada/zeros.npy", b"\0" * (8 * 2**20))))
    return box.outcome(BOTH, {"ada": "zeros.npy"}, silent=("ada", "bob"))


@kind("intake", "a bomb that is called like an answer")
def _(box: Box) -> list[str]:
    box.grade(box.zip(ADA, ("ada/more.py", b"0" * (8 * 2**20))))
    return box.outcome(BOTH, {"ada": "bomb"})


@kind("intake", "a zip bomb as one student's own zip")
def _(box: Box) -> list[str]:
    box.grade(box.zip(("ada/work.zip", packed(("exercises.py", b"0" * (8 * 2**20))))))
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "bomb"})


@kind("intake", "a locked entry that is no answer")
def _(box: Box) -> list[str]:
    path = box.zip(ADA, ("ada/secret.bin", b"x"))
    change_central(path, "ada/secret.bin", locked)
    box.grade(path)
    return box.outcome(BOTH, silent=("ada",))


@kind("intake", "a locked answer")
def _(box: Box) -> list[str]:
    path = box.zip(ADA)
    change_central(path, "ada/exercises.py", locked)
    box.grade(path)
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "password"})


@kind("intake", "a damaged entry")
def _(box: Box) -> list[str]:
    path = box.zip(ADA)
    change_central(path, "ada/exercises.py", lambda head: head[:16] + b"\1\2\3\4" + head[20:])
    box.grade(path)
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "damaged"})


@kind("intake", "an entry in a way of packing that nobody knows")
def _(box: Box) -> list[str]:
    path = box.zip(ADA)
    change_central(path, "ada/exercises.py", lambda head: head[:10] + struct.pack("<H", 77) + head[12:])
    box.grade(path)
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "damaged"})


@kind("intake", "two entries of one name")
def _(box: Box) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of who packs it
        path = box.zip(ADA, ADA)
    box.grade(path)
    return box.outcome(BOTH, silent=("ada",))


@kind("intake", "a date that no calendar has")
def _(box: Box) -> list[str]:
    path = box.zip(ADA)
    change_central(path, "ada/exercises.py", lambda head: head[:12] + b"\0\0\0\0" + head[16:])
    box.grade(path)
    return box.outcome(BOTH, silent=("ada",))


@kind("intake", "a PDF alone, in the class's zip")
def _(box: Box) -> list[str]:
    box.grade(box.zip(("ada/answers.pdf", b"%PDF")))
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "no .py file"})


@kind("intake", "a PDF alone, among Moodle's flat files")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("Ada L_1_assignsubmission_file_answers.pdf", b"%PDF")
    box.grade()
    return box.outcome({"Ada L_1": 0.0, "bob": 5.0}, {"Ada L_1": "no .py file"})


@kind("intake", "an empty folder in the class's zip")
def _(box: Box) -> list[str]:
    box.grade(box.zip(("ada/", b"")))
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "no .py file"})


@kind("intake", "a zip in a student's zip")
def _(box: Box) -> list[str]:
    inner = packed(("hand-in/work.zip", packed(("ch90_sums/exercises.py", RIGHT.encode()))))
    box.grade(box.zip(("ada/all.zip", inner)))
    return box.outcome(BOTH, silent=("ada",))


@kind("intake", "a zip that holds itself, as far as one can tell")
def _(box: Box) -> list[str]:
    inner = packed(("exercises.py", RIGHT.encode()))
    for _ in range(40):
        inner = packed(("deeper.zip", inner))
    box.grade(box.zip(("ada/deep.zip", inner)))
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "zip"})


@kind("intake", "a huge file with holes that is called a zip, in a folder")
def _(box: Box) -> list[str]:
    box.beside_bob()
    path = box.put("ada/work.zip", b"PK")
    os.truncate(path, 300 * 2**20)
    with pytest.MonkeyPatch.context() as patch:  # it is never read whole
        patch.setattr(Path, "read_bytes", lambda self: 1 / 0)
        box.grade()
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "zip"})


@kind("intake", "a file that the system does not give out")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    opened = Path.open

    def no(self: Path, *args, **kwargs):
        if "ada" in self.parts:
            raise PermissionError(13, "Permission denied", str(self))
        return opened(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", no)
        patch.setattr(Path, "read_bytes", lambda self: no(self, "rb").read())
        box.grade()
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "cannot be read"})


@kind("intake", "a link beside an answer, in a folder")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py")
    (box.handed_in / "ada" / "data").symlink_to("/etc")
    (box.handed_in / "ada" / "more.py").symlink_to("/etc/passwd")
    box.grade()
    return box.outcome(BOTH, {"ada": "more.py"})


@kind("intake", "a class of one, who hands in a whole workspace")
def _(box: Box) -> list[str]:
    box.put("ada/work/ch90_sums/exercises.py")
    box.grade()
    return box.outcome({"ada": 5.0}, silent=("ada",))


@kind("intake", "a class of one in a zip, who hands in a whole workspace")
def _(box: Box) -> list[str]:
    path = box.top / "one.zip"
    path.write_bytes(packed(("ada/work/ch90_sums/exercises.py", RIGHT.encode())))
    box.grade(path)
    return box.outcome({"ada": 5.0}, silent=("ada",))


@kind("intake", "line ends of Windows and of old Macs, and a byte order mark")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode())
    box.put("cyd/exercises.py", RIGHT.replace("\n", "\r"))
    box.grade()
    return box.outcome(BOTH | {"cyd": 5.0}, silent=("ada", "cyd"))


@kind("intake", "an answer in UTF-16, as Windows' editor may save it")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", RIGHT.encode("utf-16"))
    box.grade()
    return box.outcome(BOTH, silent=("ada",))


@kind("intake", "an answer that is not UTF-8, where only a remark in it is not")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", RIGHT.encode() + b"# f\xfcr Zo\xeb\n")
    box.grade()
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "UTF-8"})


@kind("intake", "a NUL in an answer")
def _(box: Box) -> list[str]:
    box.beside_bob()
    box.put("ada/exercises.py", RIGHT.encode() + b"\0")
    box.grade()
    return box.outcome({"bob": 5.0}, others=[2.0])  # 90.2 alone holds it


@kind("intake", "more answers than anybody writes")
def _(box: Box) -> list[str]:
    with few_answers(30):
        box.grade(box.zip(*[(f"ada/{i}.py", RIGHT.encode()) for i in range(31)]))
    return box.outcome({"ada": 0.0, "bob": 5.0}, {"ada": "more than 30"})


@kind("intake", "an extra field of a zip that is cut short")
def _(box: Box) -> list[str]:
    path = box.zip(ADA)
    data = path.read_bytes()
    place = data.rindex(b"ada/exercises.py")
    head = data[place - 46 : place]
    extra = b"UT\xff\xff"  # claims more than there is
    head = head[:30] + struct.pack("<H", len(extra)) + head[32:]
    name = b"ada/exercises.py"
    data = data[: place - 46] + head + name + extra + data[place + len(name) :]
    end = data.rindex(b"PK\5\6")
    size = struct.unpack("<L", data[end + 12 : end + 16])[0] + len(extra)
    path.write_bytes(data[: end + 12] + struct.pack("<L", size) + data[end + 16 :])
    box.grade(path)
    return box.outcome({"bob": 5.0, "ada": 5.0})
