# SPDX-License-Identifier: MIT
"""Listener and Client with the processes' key."""
import multiprocessing as mp
from multiprocessing.connection import Client, Listener


def child(address):
    with Client(address, authkey=mp.current_process().authkey) as connection:
        connection.send(["from the child", connection.recv()])
    try: Client(address, authkey=b"another")
    except mp.AuthenticationError as error: print(type(error).__name__, flush=True)


if __name__ == "__main__":
    with Listener(authkey=mp.current_process().authkey) as listener:
        process = mp.Process(target=child, args=(listener.address,))
        process.start()
        with listener.accept() as connection:
            connection.send("to the child")
            print(connection.recv(), flush=True)
        try: listener.accept()
        except Exception as error: print(type(error).__name__, flush=True)
        process.join()
