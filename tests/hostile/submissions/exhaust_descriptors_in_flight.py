"""Sends descriptors to itself, so that more are held than can be counted.

Ends: refused by isolation
Sign: uses the network
"""

import socket


def double(x):
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [theirs.fileno()])
    return x
