"""Makes a device file for the disk, and opens the machine's memory.

Ends: refused by isolation
Sign: reaches for files
"""

import stat


def double(x):
    for place in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda"):
        try:
            return open(place, "rb").read(100)
        except OSError:
            continue
    os.mknod("disk", 0o600 | stat.S_IFBLK, os.makedev(254, 0))
    return open("disk", "rb").read(100)
