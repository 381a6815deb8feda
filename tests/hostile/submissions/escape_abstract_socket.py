"""Talks over a unix socket that has no file, with a socket that it was given as one of a pair.

Ends: answered
Sign: uses the network
"""

import socket


def double(x):
    done = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for address in (ABSTRACT, SOCKET):
            try:
                line = socket.socketpair(socket.AF_UNIX, kind)[0]
                line.connect(address)
                line.send(b"hello")
                done.append(line.recv(100))
            except OSError as error:
                done.append(type(error).__name__)
    return done
