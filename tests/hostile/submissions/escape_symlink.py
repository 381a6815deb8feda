"""Reads through symbolic links in its own folder.

Ends: refused by isolation
Sign: reaches for files
"""


def double(x):
    os.symlink(SOLUTION, "link")
    os.symlink(FOLDER, "folder")
    return open("link").read()
