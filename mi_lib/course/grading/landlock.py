"""Landlock: a process takes itself the right to open files, to connect and to signal, for good (Linux 5.13 and newer).

Three system calls without a wrapper in libc: make a ruleset that names the rights it is about, allow some of them
beneath certain folders, and put the own process under it. Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every architecture
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_FILE_RIGHTS = _EXECUTE | _WRITE | _READ | _TRUNCATE | _IOCTL  # the ones that make sense for what is no folder
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # ABI: how many rights it knows
_TCP = 0b11  # bind and connect, from ABI 4
_SCOPES = 0b11  # abstract unix sockets and signals, from ABI 6


def abi() -> int:
    """The version that this kernel speaks; 0 if none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, _syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))


def restrict(read: Iterable[str], write: Iterable[str], devices: Iterable[str] = (), listed: Iterable[str] = ()) -> int:
    """From here on only these can be opened; nothing can be executed. Returns the ABI; OSError if it is refused.

    read: folders and files to read. write: folders for everything but devices. devices: to read and write. listed:
    folders of which the names can be read, and no file.
    """
    version = abi()
    if not version:
        raise OSError("this kernel has no Landlock")
    rights = (1 << _FS_RIGHTS[min(version, 5)]) - 1
    attributes = struct.pack("=Q", rights)
    if version >= 4:
        attributes += struct.pack("=Q", _TCP)
    if version >= 6:
        attributes += struct.pack("=Q", _SCOPES)
    ruleset = _check(_syscall(_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)))
    try:
        for path in read:
            _allow(ruleset, path, _READ | _LIST)
        for path in listed:
            _allow(ruleset, path, _LIST)
        for path in devices:
            _allow(ruleset, path, _READ | _WRITE)
        for path in write:
            _allow(ruleset, path, rights & ~_EXECUTE & ~_MAKE_DEVICES & ~_IOCTL)
        _check(_syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return version


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow rights beneath a path; one that is not there needs no permission."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _FILE_RIGHTS
        rule = struct.pack("=Qi", rights, place)
        _check(_syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0)))
    finally:
        os.close(place)


def _syscall(number: int, *arguments: object) -> int:
    return ctypes.CDLL(None, use_errno=True).syscall(ctypes.c_long(number), *arguments)


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
