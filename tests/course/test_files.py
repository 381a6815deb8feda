"""Where a path lies decides how files there are watched and how progress is stored."""

from __future__ import annotations

import pytest

from mi_lib.course.files import file_system, on_network

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home/me/my\\040share rw - nfs4 server:/share rw
31 22 0:41 / /home rw - fuse.sshfs host: rw
32 22 0:42 / /mnt/c rw - 9p C: rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/tmp/work", "ext4"),
        ("/homework", "ext4"),
        ("/home/me/work", "fuse.sshfs"),
        ("/home/me/my share/work", "nfs4"),
        ("/home/me/my share", "nfs4"),
        ("/mnt/c/work", "9p"),
    ],
)
def test_the_innermost_mount_decides(place, kind):
    assert file_system(place, MOUNTS) == kind


def test_this_machines_temporary_folder_is_local(tmp_path):
    assert not on_network(tmp_path)
