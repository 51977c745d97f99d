# SPDX-License-Identifier: MIT
"""A socket that the main module connects at import: each child has a connection of its own."""
import multiprocessing as mp
import socket
import threading
if __name__ == "__main__":
    server = socket.create_server(("127.0.0.1", 0))
    open("port", "w").write(str(server.getsockname()[1]))
connection = socket.create_connection(("127.0.0.1", int(open("port").read())))


def child():
    connection.sendall(b"x")
    print(connection.recv(10), flush=True)


def serve():
    for number in range(4):
        its = server.accept()[0]
        threading.Thread(target=lambda its=its, number=number: its.recv(1) and its.sendall(b"%d" % number),
                         daemon=True).start()


if __name__ == "__main__":
    threading.Thread(target=serve, daemon=True).start()
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
