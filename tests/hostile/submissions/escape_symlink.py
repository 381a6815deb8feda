"""Reads through symbolic links in its own folder.

Ends: refused by isolation | raised
Sign: reaches for files
"""


def double(x):
    os.symlink(SOLUTION, "link")
    os.symlink(FOLDER, "folder")
    return open("link").read()
