"""Raises what lies about its type, its text and its cause.

Ends: raised
Sign: decides how objects compare
"""


class Lies(type):
    def __getattribute__(cls, name):
        return 5 if name == "__name__" else type.__getattribute__(cls, name)


class Passed(Exception, metaclass=Lies):
    __eq__ = __bool__ = lambda *_: True
    __hash__ = None

    def __str__(self):
        return self

    args = property(lambda self: self)


def double(x):
    error = Passed()
    error.__cause__ = error.__context__ = error
    raise error
