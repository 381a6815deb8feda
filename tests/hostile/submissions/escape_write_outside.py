"""Writes into the course's folder, and changes the rights of what lies there.

Ends: answered
Sign: reaches for files
"""


def double(x):
    done = []
    for step in (
        lambda: open(SOLUTION, "w").write("mine"),
        lambda: open(os.path.join(FOLDER, "new.txt"), "w").write("mine"),
        lambda: os.chmod(OTHER, 0),
        lambda: os.utime(OTHER, (0, 0)),
        lambda: os.truncate(TESTS, 0),
        lambda: os.remove(OTHER),
        lambda: os.rename(OTHER, "mine"),
        lambda: os.mkdir(os.path.join(FOLDER, "new")),
        lambda: os.chown(OTHER, os.getuid(), -1),
    ):
        try:
            step()
            done.append("done")
        except OSError as error:
            done.append(type(error).__name__)
    return done
