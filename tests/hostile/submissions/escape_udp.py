"""Sends what it knows over UDP.

Ends: refused by isolation
Sign: uses the network
"""

import socket


def double(x):
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.sendto(b"hello", ("127.0.0.1", UDP_PORT))
    return line.recv(100)
