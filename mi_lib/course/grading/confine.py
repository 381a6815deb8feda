"""What a learner's process gives up before any of the learner's code runs, and what of it the system granted.

The fork server looks around and takes itself the network once, so that no run has to. Each learner's process then
limits itself, becomes an unprivileged user, and shuts the doors behind it: Landlock for files, a filter of system calls
for the network and other processes. Nothing here is fatal: what a system does not grant is reported as not in force.
"""

from __future__ import annotations

import ctypes
import functools
import os
import resource
import signal
import stat
import struct
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from mi_lib.course.grading import landlock, seccomp
from mi_lib.course.grading.isolation import Measure

LINUX = sys.platform.startswith("linux")
_LIBRARY = Path(__file__).parents[2]  # mi_lib, which holds no test and no answer
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_SET_NO_NEW_PRIVS = 1, 8, 38
_NEW_IPC, _NEW_USER, _NEW_NET = 0x08000000, 0x10000000, 0x40000000
_NEW_MOUNTS, _PRIVATE, _READ_ONLY = 0x00020000, 1 << 18 | 1 << 14, 0b1111  # MS_REC too; no set-uid, devices, programs
_DAC_READ_SEARCH = 1 << 2
_NOBODY = 65534
_FIRST_USER = 2_000_000_000  # above every user that a system gives out; plus a process number it stays below 2**31
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache", "/etc/localtime",
    "/usr/share/zoneinfo", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu", "/dev/urandom", "/dev/random",
)  # fmt: skip


# --- the fork server --------------------------------------------------------------------------------------------------


def look_around() -> None:
    """Find out, once and while everything can still be read, what later has to be let in."""
    _needs_reading()


def close_network() -> bool:
    """Move to a network namespace without any network, for this process and all that come of it. False if refused."""
    if not LINUX:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if user == 0 and libc.unshare(_NEW_NET | _NEW_IPC) == 0:
        return True
    if libc.unshare(_NEW_USER | _NEW_NET | _NEW_IPC) != 0:
        return False
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    except OSError:
        return True  # the namespace is there all the same
    return True


# --- the learner's process --------------------------------------------------------------------------------------------


def confine(
    folder: str,
    limits: dict[str, int],
    network_closed: bool,
    unreadable: Collection[str] = (),
    hide: Collection[str] = (),
) -> list[Measure]:
    """Give everything up, in the order in which it can be. Returns what is in force.

    unreadable: files and folders of the library that are not to be read. hide: folders outside the process's view.
    """
    with_words: list[Measure] = []
    server = os.getppid()
    _write("/proc/self/oom_score_adj", "1000")  # when the machine runs out of memory, this process goes first
    seen = _hide([path for path in hide if not _within(folder, path)])
    with_words += _limit(limits)
    with_words.append(_drop_privileges(folder, server))
    with_words += _close_doors(folder, limits, network_closed, unreadable)
    return [*with_words, *seen]


def _hide(folders: Collection[str]) -> list[Measure]:
    """Put empty folders before these, for this process alone: Landlock lets it ask whether a file is there."""
    if not folders or not LINUX:
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.unshare(_NEW_MOUNTS) == 0 and libc.mount(b"none", b"/", None, _PRIVATE, None) == 0
    needed = readable()
    for path in map(os.path.realpath, folders):
        if done and os.path.isdir(path) and not any(_within(place, path) for place in needed):
            done = libc.mount(b"none", os.fsencode(path), b"tmpfs", _READ_ONLY, b"size=4k,nr_inodes=1,mode=000") == 0
    words = "the course's chapters and solutions are outside its view" if done else "not granted by this system"
    return [Measure("view", done, words)]


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _limit(limits: dict[str, int]) -> list[Measure]:
    """Limits that the kernel enforces. It may refuse one and grant the others."""
    cpu, memory, size, files = (limits[k] for k in ("cpu_seconds", "memory_bytes", "file_bytes", "open_files"))
    # What is mapped already (torch's libraries) is not the learner's doing. macOS accepts this limit and ignores it.
    in_memory = _set("RLIMIT_AS", _mapped() + memory) and LINUX
    _set("RLIMIT_CORE", 0)
    return [
        Measure("time", _set("RLIMIT_CPU", cpu), f"processor time limit {cpu} s"),
        Measure("memory", in_memory, f"memory limit {memory / 2**30:.2g} GiB, for each process and for all together"),
        Measure("file size", _set("RLIMIT_FSIZE", size), f"file size limit {size // 2**20} MiB, for each and for all"),
        Measure("open files", _set("RLIMIT_NOFILE", files), f"at most {files} open files"),
        Measure("processes", LINUX, f"at most {limits['processes']} processes, all ended with the run"),
    ]


def _set(name: str, value: int) -> bool:
    """Set a limit, or keep the one that is lower already. False if this system does not know it."""
    number = getattr(resource, name, None)
    if number is None:
        return False
    _, hard = resource.getrlimit(number)
    ceiling = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(number, (ceiling, ceiling))
    except (ValueError, OSError):
        return False
    return True


def _mapped() -> int:
    """Bytes of address space in use."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 2**31


def _drop_privileges(folder: str, server: int) -> Measure:
    """No way back to more rights than now; and the superuser becomes a user whom nothing belongs to but the folder."""
    sealed = _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    was_root = os.geteuid() == 0
    user = _become_nobody(folder) if was_root else os.geteuid()
    _capabilities(_DAC_READ_SEARCH if was_root and user and _needs_reading() else 0)
    # A change of user forgets the agreement to die with the server.
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(0)
    if not LINUX:
        return Measure("privileges", False, "only Linux lets a process give them up for good")
    if not user:
        return Measure("privileges", False, "the superuser could not become another user")
    who = f"an unprivileged user ({user})" if was_root else "the grader's own user"
    return Measure("privileges", sealed, f"no new privileges, as {who}" if sealed else "no_new_privs was refused")


def _become_nobody(folder: str) -> int:
    """Change to a user of this run's own, or to `nobody` where the system has no such numbers. 0 if that fails."""
    _prctl(_PR_SET_KEEPCAPS, 1)
    for user in (_FIRST_USER + os.getpid(), _NOBODY):
        try:
            os.chown(folder, user, user)
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        except OSError:
            continue
        return user
    return 0


@functools.cache
def _needs_reading() -> bool:
    """Whether the interpreter or the library lies where only the superuser can read (a Python in /root, say).

    Then the one right to read is kept, in its place Landlock says what. Without Landlock it is not.
    """
    if not landlock.abi():
        return False
    return not all(_open_to_all(Path(path)) for path in readable())


def _open_to_all(path: Path) -> bool:
    try:
        modes = [place.stat().st_mode for place in (path, *path.parents)]
    except OSError:
        return True  # not there, so nobody needs to read it
    return bool(modes[0] & stat.S_IROTH) and all(mode & stat.S_IXOTH for mode in modes[1:])


def _capabilities(keep: int) -> bool:
    """Keep only these of the superuser's rights (the low 32 of them)."""
    if not LINUX:
        return False
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    sets = struct.pack("=6I", keep, keep, 0, 0, 0, 0)  # effective, permitted, inheritable; then the high halves
    return ctypes.CDLL(None, use_errno=True).capset(header, sets) == 0


def _close_doors(
    folder: str, limits: dict[str, int], network_closed: bool, unreadable: Collection[str] = ()
) -> list[Measure]:
    """Files, network, other processes."""
    tasks = limits["processes"] + limits["threads"]
    # The kernel counts by user: with a user of the run's own the count is exact, else there is the user's own work too.
    _set("RLIMIT_NPROC", tasks if os.getuid() >= _FIRST_USER else _tasks_of_this_user() + tasks)
    rest = [path for path in readable() if path != str(_LIBRARY)] if unreadable else readable()
    library = list(_but(str(_LIBRARY), set(unreadable))) if unreadable else []
    listed = [str(_LIBRARY)] if unreadable else []
    version, why_not = _try(lambda: landlock.restrict([*rest, *library], [folder], [os.devnull], listed))
    course = str(_LIBRARY.parent)
    exposed = [path for path in readable() if course == path or course.startswith(path.rstrip("/") + "/")]
    files = Measure("files", bool(version), f"no files but the library's and its own (Landlock {version})")
    if not version:
        files = Measure("files", False, f"no Landlock: {why_not}")
    elif exposed:
        files = Measure("files", False, f"the course lies in {exposed[0]}, which code must be able to read")
    filtered, no_filter = _try(_filter_calls)
    if filtered:
        network = Measure("network", True, "no network: TCP, UDP and unix sockets are refused")
        others = Measure("other processes", True, "no signals to other processes, no tracing of them")
    else:
        network = Measure("network", False, f"no filter of system calls: {no_filter}")
        others = Measure("other processes", bool(version and version >= 6), "no signals to other processes")
    spaces = "a network namespace without any network" if network_closed else "not granted by this system"
    return [files, network, others, Measure("namespaces", network_closed, spaces)]


def _filter_calls() -> int:
    seccomp.install(os.getpid())
    return 1


def _try(step: Callable[[], int]) -> tuple[int, str]:
    try:
        return step(), ""
    except OSError as error:
        return 0, error.strerror or str(error)


@functools.cache
def readable() -> tuple[str, ...]:
    """What a learner's process must be able to read: interpreter, packages, mi_lib, the system's libraries."""
    course = _LIBRARY.parent
    places = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix)}
    places |= {os.path.realpath(path) for path in sys.path if path and os.path.exists(path)}
    places |= {*_SYSTEM, str(_LIBRARY)}
    return tuple(sorted(places - {str(course), os.path.realpath(course), "/"}))


def _but(folder: str, unreadable: set[str]) -> Iterator[str]:
    """What a folder holds but for these paths, as few paths as it takes."""
    for entry in os.scandir(folder):
        if entry.path in unreadable:
            continue
        if entry.is_dir() and any(path.startswith(entry.path + "/") for path in unreadable):
            yield from _but(entry.path, unreadable)
        else:
            yield entry.path


def _tasks_of_this_user() -> int:
    """Processes and threads that this user has now."""
    count, user = 0, os.getuid()
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            if os.stat(f"/proc/{pid}").st_uid == user:
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count or 2**12


def _prctl(option: int, value: int) -> bool:
    if not LINUX:
        return False
    try:
        return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0
    except (OSError, AttributeError):
        return False


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text)
    except OSError:
        return
