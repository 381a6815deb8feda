"""Returns two masks of 90 MB, which as numbers would take sixteen times as much.

Ends: answered
"""


def double(x):
    mask = torch.zeros(90 * 2**20, dtype=torch.bool)
    return mask, mask
