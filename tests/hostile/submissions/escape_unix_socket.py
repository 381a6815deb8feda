"""Talks to a service of the grader's user over a unix socket.

Ends: refused by isolation
Sign: uses the network
"""

import socket


def double(x):
    line = socket.socket(socket.AF_UNIX)
    line.connect(SOCKET)
    line.sendall(b"hello")
    return line.recv(100)
