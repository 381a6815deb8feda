"""Nests folders so deep that no path reaches the last.

Ends: answered | too much disk
Sign: reaches for files
"""


def double(x):
    home = os.getcwd()
    for _ in range(1100):
        os.mkdir("d")
        os.chdir("d")
    os.chdir(home)
    os.rename("d", f"deep{x.ndim}")
    return os.listdir()
