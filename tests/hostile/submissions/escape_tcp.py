"""Sends what it knows over TCP.

Ends: refused by isolation
Sign: uses the network
"""

import socket


def double(x):
    with socket.create_connection(("127.0.0.1", PORT), timeout=1) as line:
        line.sendall(b"hello")
        return line.recv(100)
