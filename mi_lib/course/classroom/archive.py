"""Folders and zip files from strangers, listed first and read file by file: nothing is ever unpacked to the disk.

So a path that climbs out of its folder cannot overwrite anything. It is refused all the same, with its reason: whoever
made it wanted something. So are links. Each file is judged by itself, so that one refuses nobody else.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from mi_lib.course import texts

MAX_RATIO = 200  # text compresses about tenfold; a text beyond this is a bomb
_STAMP = 0x5455  # the extra field of a zip that holds a time as seconds since 1970, in UTC


class Refused(Exception):
    """An archive or file that is not graded; the text is the reason, as a sentence."""


@dataclass(frozen=True)
class File:
    """One file that was handed in, not read yet; a folder where `path` ends in /.

    path: with / between its parts, as text. changed: when, if it is known; without a zone where the archive says none.
    fault: why it is not read, as the end of a sentence; empty if it may be.
    """

    path: str
    size: int = 0
    packed: int = 0
    changed: datetime | None = None
    fault: str = ""
    open: Callable[[], IO[bytes]] = io.BytesIO

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rsplit("/", 1)[-1]

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()

    def below(self, start: int) -> File:
        """The same file, its path without so many of its first parts."""
        return replace(self, path="/".join(self.path.split("/")[start:]))

    def read(self, most: int) -> bytes:
        """Its bytes. Raises `Refused` with the reason if it is damaged, a bomb, or has more than `most`."""
        if self.fault:
            raise Refused(f"{self.name} {self.fault}.")
        if self.size > 2**20 and self.size > MAX_RATIO * max(self.packed, 1) and self.suffix != ".ipynb":
            raise Refused(f"{self.name} unpacks to {self.size // max(self.packed, 1)} times its size: a zip bomb.")
        try:
            with self.open() as file:
                data = file.read(most + 1)  # a header may lie about the size, so it is counted
        except OSError as error:
            raise Refused(f"{self.name} cannot be read ({error.strerror or type(error).__name__}).") from error
        except Exception as error:  # zipfile raises many kinds for a damaged entry
            raise Refused(f"{self.name} in the zip is damaged ({type(error).__name__}).") from error
        if len(data) > most:
            raise Refused(f"{self.name} is larger than {most // 2**20} MiB.")
        return data


def in_folder(folder: Path) -> Iterator[File]:
    """Everything below a folder. Links are named and not followed; environments and clutter are named, not entered."""
    top = os.fsencode(folder)
    for root, folders, names in os.walk(top):
        here = root[len(top) :].lstrip(b"/")
        place = "".join(f"{_name(part)}/" for part in here.split(b"/") if part)
        if here and not folders and not names:
            yield File(place)
        if b"pyvenv.cfg" in names:
            folders[:], names = [], [b"pyvenv.cfg"]
        for name in sorted(folders):
            if os.path.islink(os.path.join(root, name)):
                yield File(place + _name(name), fault="is a link")
            elif is_clutter(_name(name)) and (here or name.lower() in _CLUTTER_BYTES):
                yield File(f"{place}{_name(name)}/")
        folders[:] = sorted(f for f in folders if not (is_clutter(_name(f)) and (here or f.lower() in _CLUTTER_BYTES)))
        for name in sorted(names):
            yield _on_disk(Path(os.fsdecode(os.path.join(root, name))), place + _name(name))


def in_zip(file: Path | bytes, stack: contextlib.ExitStack) -> list[File]:
    """Everything in a zip, which stays open as long as the stack. Raises `Refused` if it is no zip."""
    try:
        opened = stack.enter_context(file.open("rb")) if isinstance(file, Path) else io.BytesIO(file)
        try:
            archive = zipfile.ZipFile(opened)
        except (UnicodeDecodeError, zipfile.BadZipFile):
            archive = zipfile.ZipFile(_mended(opened))
        stack.enter_context(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise Refused(f"The zip cannot be opened ({error}).") from error
    return [_entry(archive, info) for info in archive.infolist()]


def outside(path: str) -> bool:
    """Whether a path leads out of its folder, or would on some system."""
    return path.startswith("/") or ".." in path.split("/") or "\0" in path or bool(re.match("[A-Za-z]:/", path))


_CLUTTER = {"__macosx", "__pycache__", "node_modules", "site-packages", "thumbs.db", ".git", ".venv", ".ds_store"}
_CLUTTER |= {".ipynb_checkpoints", ".idea", ".vscode", ".svn", ".hg", ".trash", ".mi"}
_CLUTTER_BYTES = {name.encode() for name in _CLUTTER}


def is_clutter(name: str) -> bool:
    """Files and folders that no person put there: resource forks, caches, editors' and version control's own."""
    return name.startswith((".", "~$")) or name.lower() in _CLUTTER


def at_top(name: str) -> bool:
    """The same among students' own folders, whose names may begin with a dot."""
    return name.lower() in _CLUTTER or name.startswith(("._", "~$"))


# -- one file ---------------------------------------------------------------------------------------------------


def _name(raw: bytes) -> str:
    return texts.decoded(raw)


def _on_disk(path: Path, place: str) -> File:
    try:
        facts = path.lstat()
    except OSError as error:
        return File(place, fault=f"cannot be read ({error.strerror})")
    if stat.S_ISLNK(facts.st_mode) or not stat.S_ISREG(facts.st_mode):
        return File(place, fault="is a link or a device, not a plain file")
    changed = None
    with contextlib.suppress(ValueError, OverflowError, OSError):  # a year that no calendar has
        changed = datetime.fromtimestamp(facts.st_mtime, UTC)
    return File(place, facts.st_size, facts.st_size, changed, open=lambda: path.open("rb"))


def _entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> File:
    name = info.orig_filename
    with contextlib.suppress(UnicodeEncodeError):
        name = name if info.flag_bits & 0x800 else texts.decoded(name.encode("cp437"))
    fault = ""
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        fault = "is a link or a device, not a plain file"
    elif info.flag_bits & 1:
        fault = "is locked with a password"
    path = name.replace("\\", "/")
    return File(path, info.file_size, info.compress_size, _changed(info), fault, lambda: archive.open(info))


def _changed(info: zipfile.ZipInfo) -> datetime | None:
    """When an entry was changed: as an instant where its extra field says one, else as the clock of whoever packed."""
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == _STAMP and size >= 5 and len(extra) >= 9 and extra[4] & 1:
            return datetime.fromtimestamp(struct.unpack("<l", extra[5:9])[0], UTC)
        extra = extra[4 + size :]
    try:
        return datetime(*info.date_time)
    except ValueError:
        return None


# -- a zip with one name or field that is no good ---------------------------------------------------------------


class _Joined(io.RawIOBase):
    """The beginning of a file with some of its bytes exchanged, and other bytes behind it."""

    def __init__(self, file: IO[bytes], length: int, tail: bytes, exchanged: dict[int, int]) -> None:
        self._file, self._length, self._tail, self._at = file, length, tail, 0
        self._exchanged = exchanged

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length + len(self._tail)}[whence]
        if start + offset < 0:
            raise OSError(22, "before the beginning")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        if self._at < self._length:
            self._file.seek(self._at)
            data = bytearray(self._file.read(min(len(buffer), self._length - self._at)))
            for place, byte in self._exchanged.items():
                if self._at <= place < self._at + len(data):
                    data[place - self._at] = byte
        else:
            data = bytearray(self._tail[self._at - self._length :][: len(buffer)])
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _mended(file: IO[bytes]) -> IO[bytes]:
    """The zip with a directory that `zipfile` reads: one student's name that is no UTF-8 closes it to everybody else.

    Names that claim to be UTF-8 and are none lose the claim; extra fields that are cut short are left out.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
    if end is None or end[4] > 0xFFFF:
        raise zipfile.BadZipFile("File is not a zip file")
    size, offset, place = end[5], end[6], end[9]
    start = place - size
    file.seek(start)
    old, new, at = file.read(size), bytearray(), 0
    exchanged = {}  # in the headers that stand before the files themselves
    while at + 46 <= len(old) and old[at : at + 4] == b"PK\x01\x02":
        head = bytearray(old[at : at + 46])
        name_size, extra_size, remark_size = struct.unpack("<HHH", head[28:34])
        name = old[at + 46 : at + 46 + name_size]
        extra = old[at + 46 + name_size : at + 46 + name_size + extra_size]
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            head[9] &= ~0x08
            exchanged[struct.unpack("<L", head[42:46])[0] + start - offset + 7] = head[9]
        head[30:34] = struct.pack("<HH", len(kept := _whole_fields(extra)), 0)
        new += head + name + kept
        at += 46 + name_size + extra_size + remark_size
    count = min(end[4], 0xFFFF)
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(new), offset, 0)
    return io.BufferedReader(_Joined(file, start, bytes(new) + tail, exchanged))  # type: ignore[return-value]


def _whole_fields(extra: bytes) -> bytes:
    at = 0
    while at + 4 <= len(extra) and at + 4 + (size := struct.unpack("<H", extra[at + 2 : at + 4])[0]) <= len(extra):
        at += 4 + size
    return extra[:at]
