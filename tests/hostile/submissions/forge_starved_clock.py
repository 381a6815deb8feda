"""Leaves the core to a thread that computes, so that the thread whose time is taken seems to wait.

Ends: refused by isolation
Sign: changes its turn
"""


def double(x):
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return x
