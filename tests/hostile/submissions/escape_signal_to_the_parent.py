"""Sends signals to the grader, by kill, by process descriptor and by the owner of a pipe.

Ends: answered
Sign: sends signals
"""

import fcntl
import signal


def double(x):
    done = []
    read, write = os.pipe()

    def by_owner():
        fcntl.fcntl(read, fcntl.F_SETOWN, PARENT)
        fcntl.fcntl(read, 10, signal.SIGUSR1)
        fcntl.fcntl(read, fcntl.F_SETFL, fcntl.fcntl(read, fcntl.F_GETFL) | os.O_ASYNC)
        os.write(write, b"x")

    for step in (
        lambda: os.kill(PARENT, signal.SIGUSR1),
        lambda: os.kill(os.getppid(), signal.SIGKILL),
        lambda: os.kill(-1, signal.SIGUSR1),
        lambda: signal.pidfd_send_signal(os.pidfd_open(PARENT), signal.SIGUSR1),
        by_owner,
    ):
        try:
            step()
            done.append("done")
        except OSError as error:
            done.append(type(error).__name__)
    return done
