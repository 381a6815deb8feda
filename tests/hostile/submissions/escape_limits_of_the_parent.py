"""Sets the grader's limits and priority, so that the kernel ends it.

Ends: refused by isolation
Sign: changes limits
"""

import resource


def double(x):
    try:
        os.setpriority(os.PRIO_PROCESS, PARENT, 19)
    except OSError:
        pass
    resource.prlimit(PARENT, resource.RLIMIT_CPU, (1, 1))
    return x
