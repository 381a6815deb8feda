"""Zips from strangers: what is listed, what is refused, and that each file is judged by itself."""

from __future__ import annotations

import contextlib
import stat
from datetime import UTC, datetime

import pytest
from small_class import packed

from mi_lib.course.classroom import archive
from mi_lib.course.classroom.archive import Refused

MOST = 10 * 2**20


def read(data: bytes, most: int = MOST) -> dict[str, bytes | str]:
    """path → its content, or why it is refused."""
    found: dict[str, bytes | str] = {}
    with contextlib.ExitStack() as stack:
        for file in archive.in_zip(data, stack):
            try:
                found[file.path] = file.read(most)
            except Refused as refused:
                found[file.path] = str(refused)
    return found


@pytest.mark.parametrize("path", ["../exercises.py", "a/../../x.py", "/etc/x.py", "C:/x.py", "..", "a\0b"])
def test_a_path_that_leads_out_is_known(path):
    assert archive.outside(path)


@pytest.mark.parametrize("path", ["a/b.py", "a..b/c.py", "ada: week 1/x.py", "...", "CC:/x.py"])
def test_a_path_that_stays_inside_is_not_taken_for_one(path):
    assert not archive.outside(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind):
    found = read(packed(("exercises.py", b"/etc/passwd"), mode=kind | 0o777))
    assert "a link or a device" in found["exercises.py"]


def test_a_bomb_is_refused_before_it_is_unpacked_and_its_neighbour_is_read():
    found = read(packed(("exercises.py", b"0" * (8 * 2**20)), ("other.py", b"x")))
    assert "zip bomb" in found["exercises.py"]
    assert found["other.py"] == b"x"


def test_a_large_file_is_refused():
    assert "is larger" in read(packed(("exercises.py", b"x" * 11)), most=10)["exercises.py"]


def test_a_header_that_lies_about_the_size_is_found_out():
    data = bytearray(packed(("exercises.py", b"x" * 5000)))
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (5).to_bytes(4, "little")  # the central directory says 5 bytes
    assert "damaged" in read(bytes(data))["exercises.py"]


def test_what_is_no_zip_is_refused():
    with pytest.raises(Refused, match="cannot be opened"):
        read(b"PK not really")


def test_an_instant_in_an_extra_field_counts_and_not_the_clock_of_whoever_packed():
    data = packed(("a.py", b"x"))
    stamp = b"UT\x05\x00\x01" + (1_790_000_000).to_bytes(4, "little")
    place = data.rindex(b"a.py")
    head = data[place - 46 : place]
    data = data[: place - 46] + head[:30] + b"\x09\x00" + head[32:] + b"a.py" + stamp + data[place + 4 :]
    end = data.rindex(b"PK\5\6")
    size = int.from_bytes(data[end + 12 : end + 16], "little") + len(stamp)
    data = data[: end + 12] + size.to_bytes(4, "little") + data[end + 16 :]
    with contextlib.ExitStack() as stack:
        (stamped,) = archive.in_zip(data, stack)
        (plain,) = archive.in_zip(packed(("a.py", b"x")), stack)
    assert stamped.changed == datetime.fromtimestamp(1_790_000_000, UTC)
    assert plain.changed == datetime(2026, 11, 30, 12, 0)  # whose zone nobody has said


def test_a_folder_is_listed_like_a_zip(tmp_path):
    for name in ("ada/work/x.py", "ada/venv/pyvenv.cfg", "ada/venv/lib/y.py", "ada/.git/z.py", "zoe/.keep"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "eve").mkdir()
    (tmp_path / "ada" / "link.py").symlink_to("/etc/passwd")
    found = {file.path: file.fault for file in archive.in_folder(tmp_path)}
    assert found["ada/link.py"].startswith("is a link")
    assert {"ada/work/x.py", "ada/venv/pyvenv.cfg", "ada/.git/", "eve/", "zoe/.keep"} <= set(found)
    assert not [path for path in found if path.endswith(("y.py", "z.py"))]  # nobody goes in there
