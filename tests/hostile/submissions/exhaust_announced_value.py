"""Returns a tensor that says it is enormous and has no memory.

Ends: answered
"""


def double(x):
    return torch.empty(2**50, device="meta")
