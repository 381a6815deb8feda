"""Zip files from strangers, read without being unpacked: nothing of them is ever written to the disk.

So a path that climbs out of its folder cannot overwrite anything. It is refused all the same, with its reason: whoever
made it wanted something. So are links, and archives that are much larger inside than outside.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

MAX_ENTRIES = 5_000
MAX_FILE_BYTES = 10 * 2**20  # one file that is read: a notebook with its outputs
MAX_TOTAL_BYTES = 200 * 2**20  # all that a submission claims to hold
MAX_RATIO = 200  # text compresses about tenfold; beyond this it is a bomb


class Refused(Exception):
    """An archive or file that is not graded; the text is the reason, as a sentence."""


@dataclass(frozen=True)
class Entry:
    """One file of a submission, in memory. `path` has / between its parts; `changed` is local time, if it is known."""

    path: str
    data: bytes
    changed: datetime | None = None

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


def read(data: bytes | io.BufferedIOBase, wanted: tuple[str, ...]) -> Iterator[Entry]:
    """The files of a zip whose names end in `wanted`. Raises `Refused` before any of a bad archive is given out."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Refused(f"The zip cannot be opened ({error}).") from error
    with archive:
        entries = archive.infolist()
        _check(entries)
        for info in entries:
            if not info.is_dir() and info.filename.lower().endswith(wanted) and not is_clutter(info.filename):
                yield Entry(info.filename, _content(archive, info), _changed(info))


def is_clutter(path: str) -> bool:
    """Files that no person put there: macOS resource forks, caches, editors' and version control's own."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    hidden = any(part.startswith((".", "~$")) or part in ("__MACOSX", "__pycache__", "node_modules") for part in parts)
    return hidden or parts[-1:] == ("Thumbs.db",)


def _check(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise Refused(f"The zip holds {len(entries)} entries; at most {MAX_ENTRIES} are read.")
    for info in entries:
        name = info.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or (parts and ":" in parts[0]) or "\0" in name:
            raise Refused(f"The zip holds the path {info.filename[:80]!r}, which leads out of its folder.")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refused(f"The zip holds {info.filename[:80]!r}, a link or a device, not a plain file.")
        if info.flag_bits & 1:
            raise Refused("The zip is locked with a password.")
    total, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    if total > MAX_TOTAL_BYTES:
        raise Refused(f"The zip unpacks to {total // 2**20} MiB; at most {MAX_TOTAL_BYTES // 2**20} are read.")
    if total > 2**20 and total > MAX_RATIO * max(packed, 1):
        raise Refused(f"The zip unpacks to {total // max(packed, 1)} times its size: a zip bomb.")


def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of an entry. Its header may lie about their number, so they are counted as they come."""
    try:
        with archive.open(info) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except Exception as error:  # zipfile raises many kinds for a damaged entry
        raise Refused(f"{info.filename[:80]!r} in the zip is damaged ({type(error).__name__}).") from error
    if len(data) > MAX_FILE_BYTES:
        raise Refused(f"{info.filename[:80]!r} in the zip is larger than {MAX_FILE_BYTES // 2**20} MiB.")
    return data


def _changed(info: zipfile.ZipInfo) -> datetime | None:
    try:
        return datetime(*info.date_time)
    except ValueError:
        return None
