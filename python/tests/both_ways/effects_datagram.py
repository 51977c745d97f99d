# SPDX-License-Identifier: MIT
"""A datagram that the main module sends at import."""
import multiprocessing as mp
import socket
if __name__ == "__mp_main__":
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client: client.sendto(b"imported", "socket")


def child(): pass


if __name__ == "__main__":
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind("socket")
    server.setblocking(False)
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    count = 0
    try:
        while server.recv(100): count += 1
    except BlockingIOError: print(count, process.exitcode)
