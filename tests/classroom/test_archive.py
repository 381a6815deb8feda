"""Zips from strangers: what is refused, and what is read."""

from __future__ import annotations

import stat

import pytest
from small_class import packed

from mi_lib.course.classroom import archive
from mi_lib.course.classroom.archive import Refused, read


def names(data: bytes) -> list[str]:
    return [entry.path for entry in read(data, (".py", ".ipynb"))]


def test_answers_are_read_and_nothing_else():
    files = [("a/exercises.py", b"x"), ("a/notes.txt", b"x"), ("a/nb.ipynb", b"{}"), ("a/evil.pth", b"x")]
    assert names(packed(*files)) == ["a/exercises.py", "a/nb.ipynb"]


def test_resource_forks_and_caches_are_no_answers():
    files = [("__MACOSX/a/._exercises.py", b"x"), ("a/._exercises.py", b"x"), (".git/hooks/x.py", b"x"), ("a.py", b"x")]
    assert names(packed(*files, ("a/__pycache__/b.py", b"x"))) == ["a.py"]


@pytest.mark.parametrize("path", ["../exercises.py", "a/../../x.py", "/etc/x.py", "C:/x.py", "..\\x.py"])
def test_a_path_that_leads_out_is_refused(path):
    with pytest.raises(Refused, match="leads out of its folder"):
        names(packed((path, b"x")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(kind):
    with pytest.raises(Refused, match="a link or a device"):
        names(packed(("exercises.py", b"/etc/passwd"), mode=kind | 0o777))


def test_a_bomb_is_refused_before_it_is_unpacked():
    with pytest.raises(Refused, match="zip bomb"):
        names(packed(("exercises.py", b"0" * (8 * 2**20))))


def test_too_many_entries_are_refused(monkeypatch):
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(Refused, match="at most 3"):
        names(packed(*[(f"{i}.py", b"x") for i in range(4)]))


def test_a_large_file_is_refused(monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 10)
    with pytest.raises(Refused, match="is larger"):
        names(packed(("exercises.py", b"x" * 11)))


def test_a_header_that_lies_about_the_size_is_found_out():
    data = bytearray(packed(("exercises.py", b"x" * 5000)))
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (5).to_bytes(4, "little")  # the central directory says 5 bytes
    with pytest.raises(Refused, match="damaged"):
        names(bytes(data))


def test_what_is_no_zip_is_refused():
    with pytest.raises(Refused, match="cannot be opened"):
        names(b"PK not really")
