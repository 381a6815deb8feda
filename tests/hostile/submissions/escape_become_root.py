"""Asks for its rights back, and for a new user namespace in which it is the superuser.

Ends: answered
Sign: writes to memory
"""

import ctypes


def double(x):
    done = []
    libc = ctypes.CDLL(None, use_errno=True)
    for step in (lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.chroot(FOLDER), lambda: os.nice(-5)):
        try:
            step()
            done.append("done")
        except OSError as error:
            done.append(type(error).__name__)
    done.append(libc.unshare(0x10000000))
    done.append(libc.mount(b"none", b".", b"tmpfs", 0, None))
    done.append(os.getuid())
    try:
        done.append(open(SOLUTION).read())
    except OSError as error:
        done.append(type(error).__name__)
    return done
