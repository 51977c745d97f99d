# SPDX-License-Identifier: MIT
"""Pipes, one end closed, and connections that are sent through connections."""
import multiprocessing as mp
from multiprocessing.connection import wait


def child(connection):
    inner = connection.recv()
    inner.send("through the inner one")
    inner.close()
    connection.send_bytes(b"bytes")
    connection.close()


if __name__ == "__main__":
    ours, its = mp.Pipe()
    process = mp.Process(target=child, args=(its,))
    process.start()
    its.close()
    reader, writer = mp.Pipe(duplex=False)
    ours.send(writer)
    print(reader.recv(), ours.recv_bytes())
    writer.close()
    for connection in reader, ours:
        try: connection.recv()
        except EOFError: print("end")
    print(wait([process.sentinel], 20) == [process.sentinel])
    process.join()
    print(process.exitcode)
