"""A filter of system calls, for what files and limits do not cover: the network, other processes, the kernel's own.

A short program in the kernel's packet filter language looks at the number of each call and, for some, at its
arguments. A refused call fails with "Operation not permitted". It is a list of what is forbidden and not of what is
allowed, so that it need not be mended with every release of torch; what it does not name, Landlock and the limits hold.
Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct

# name: (number on x86_64, number on aarch64); None where the architecture never had the call
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201), "accept": (43, 202),
    "accept4": (288, 242), "socketpair": (53, 199), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "prctl": (157, 167),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "prlimit64": (302, 261), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setaffinity": (203, 122), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "setns": (308, 268), "unshare": (272, 97),
    "clone": (56, 220), "clone3": (435, 435),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "kexec_load": (246, 104),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "syslog": (103, 116),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "shmget": (29, 194), "semget": (64, 190), "msgget": (68, 186), "mq_open": (240, 180),
    # Landlock does not look at these: they would reach any file that belongs to the same user.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "lchown": (94, None), "fchown": (93, 55), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None), "utimensat": (280, 88),
    "fcntl": (72, 25), "ioctl": (16, 29),
}  # fmt: skip
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW… flags
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _FIOSETOWN, _SIOCSPGRP, _TIOCSTI = 8, 10, 15, 0x8901, 0x8902, 0x5412

_PR_SET_DUMPABLE = 4
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
Step = tuple[int, int, int, int]  # code, steps to skip if true, if false, operand


def available() -> bool:
    """Whether there is a filter for this architecture (its kernel may still refuse it)."""
    return platform.machine() in _ARCHITECTURES and platform.system() == "Linux"


def install(pid: int) -> None:
    """Put the own process, number `pid`, under the filter for good. OSError if the kernel refuses."""
    if not available():
        raise OSError(f"no filter of system calls for {platform.machine()}")
    steps = program(platform.machine(), pid)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    # struct sock_fprog; flag 4: without the slow-down that some kernels add, which guards against what we are not
    header = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    number = _SECCOMP[platform.machine()]
    if libc.syscall(ctypes.c_long(number), ctypes.c_uint(1), ctypes.c_uint(4), header) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def program(machine: str, pid: int) -> list[Step]:
    """The filter as the kernel reads it, for a process of this number."""
    column, architecture = _ARCHITECTURES[machine]
    own = [*_if_argument(0, 0), *_if_argument(0, pid), _end(_REFUSE)]
    special = {
        "socketpair": _stream_pair(),
        "sendto": [*_unless_argument(4, 0), *_unless_argument(4, 0, high=True), _end(_ALLOW)],
        "clone": [_load(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _end(_REFUSE), _end(_ALLOW)],
        "clone3": [_end(_UNKNOWN)],  # its flags lie in memory, where a filter cannot look; libc then uses clone
        "fcntl": _unless(1, _F_SETOWN, _F_SETSIG, _F_SETOWN_EX),
        "prctl": _unless(0, _PR_SET_DUMPABLE),  # else nobody could look at what it holds open
        "ioctl": _unless(1, _FIOSETOWN, _SIOCSPGRP, _TIOCSTI),
        **dict.fromkeys(("kill", "tgkill", "prlimit64", "sched_setaffinity"), own),
    }
    steps: list[Step] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), _end(_REFUSE), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, 0x40000000), _end(_REFUSE)]  # the x32 calls, another door to the same rooms
    for name, numbers in _CALLS.items():
        if (number := numbers[column]) is not None:
            block = special.get(name, [_end(_REFUSE)])
            steps += [(_EQUAL, 0, len(block), number), *block]
    return [*steps, _end(_ALLOW)]


def _end(result: int) -> Step:
    return (_RETURN, 0, 0, result)


def _load(argument: int, high: bool = False) -> Step:
    return (_LOAD, 0, 0, 16 + 8 * argument + 4 * high)  # both architectures are little-endian


def _if_argument(argument: int, value: int) -> list[Step]:
    """Allow if the argument (its low half: a process number has no other) is this."""
    return [_load(argument), (_EQUAL, 0, 1, value), _end(_ALLOW)]


def _unless_argument(argument: int, value: int, high: bool = False) -> list[Step]:
    """Refuse if it is not."""
    return [_load(argument, high), (_EQUAL, 1, 0, value), _end(_REFUSE)]


def _unless(argument: int, *values: int) -> list[Step]:
    """Allow if it is none of these."""
    tests = [step for value in values for step in ((_EQUAL, 0, 1, value), _end(_REFUSE))]
    return [_load(argument), *tests, _end(_ALLOW)]


@functools.cache
def _stream_pair() -> list[Step]:
    """A connected pair of unix stream sockets (asyncio and multiprocessing use one) can reach nobody else."""
    return [*_unless_argument(0, 1), _load(1), (_AND, 0, 0, 0xF), (_EQUAL, 1, 0, 1), _end(_REFUSE), _end(_ALLOW)]
