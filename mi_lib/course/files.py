"""Writing so that nothing is lost: a file is either the old one or the new one, whole, whenever the power goes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mi_lib.course.index import CourseError

# Where files live on another machine: change notices do not arrive, and SQLite's write-ahead log cannot be shared.
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "gpfs", "lustre", "ceph", "glusterfs", "drvfs", "vboxsf", "fuse.")


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write beside the target, force it to the disk, then rename over it. Raises `CourseError` if that fails."""
    try:
        data = text if isinstance(text, bytes) else text.encode("utf-8")
    except UnicodeEncodeError as error:
        wrong = f"character {error.start + 1} of the text cannot be stored"
        raise CourseError(f"{path} was not written: {wrong}. Delete it and save again.") from error
    path = Path(os.path.realpath(path))  # a link stays a link: its target is replaced
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o644)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise CourseError(f"{path} could not be written ({error.strerror}). The file is as it was.") from error
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def read_text(path: Path) -> str:
    """The text of a file, line ends as they are, without a byte order mark.

    Raises `CourseError` if it cannot be read or is not UTF-8 text.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CourseError(f"{path} is not a text file in UTF-8. Save it again as UTF-8 in your editor.") from error
    except OSError as error:
        raise CourseError(f"{path} could not be read ({error.strerror}).") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, so that two of our own processes do not write at once (no lock where the system has none)."""
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    except (ImportError, OSError):
        yield
        return
    try:
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def on_network(path: Path) -> bool:
    """Whether a path lies on a network or shared file system (Linux; elsewhere it is taken to be local)."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8")
    except OSError:
        return False
    return file_system(os.path.realpath(path), mounts).startswith(_NETWORK)


def file_system(place: str, mounts: str) -> str:
    """The kind of file system ("ext4", "nfs4", ...) that a path lies on, given the text of /proc/self/mountinfo."""
    best, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        mount = before.split()[4].replace("\\040", " ")
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, after.split()[0]
    return kind


def _sync_folder(folder: Path) -> None:
    """Force the rename itself to the disk, where the system allows it."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
