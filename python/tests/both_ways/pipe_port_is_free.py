# SPDX-License-Identifier: MIT
"""A port that the program closes is free while a child runs that was started before."""
import multiprocessing as mp
import socket


def child(event): event.wait(20)


if __name__ == "__main__":
    listener, event = socket.socket(), mp.Event()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.set_inheritable(True)
    process = mp.Process(target=child, args=(event,))
    process.start()
    port = listener.getsockname()
    listener.close()
    again = socket.socket()
    again.bind(port)
    print("bound again")
    event.set()
    process.join()
