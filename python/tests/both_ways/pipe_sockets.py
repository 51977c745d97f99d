# SPDX-License-Identifier: MIT
"""Sockets, listening ones and connected ones, as arguments and through a pipe."""
import multiprocessing as mp
import socket


def serve(listener, connection):
    its = listener.accept()[0]
    connection.send(its)
    connection.recv()


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    ours, its = mp.Pipe()
    process = mp.Process(target=serve, args=(listener, its))
    process.start()
    client = socket.create_connection(listener.getsockname())
    server = ours.recv()
    client.sendall(b"hello")
    print(server.recv(10), server.getpeername() == client.getsockname())
    ours.send(None)
    process.join()
    print(process.exitcode)
