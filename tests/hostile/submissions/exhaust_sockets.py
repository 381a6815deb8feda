"""Takes the kernel's memory, in the buffers of sockets.

Ends: out of memory
Sign: uses the network
"""

import socket
import time


def double(x):
    for _ in range(12):
        if os.fork() == 0:
            pairs = [socket.socketpair() for _ in range(100)]
            for ours, _ in pairs:
                ours.setblocking(False)
                try:
                    while True:
                        ours.send(bytes(2**16))
                except OSError:
                    continue
            time.sleep(30)
    time.sleep(30)
