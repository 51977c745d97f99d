# SPDX-License-Identifier: MIT
"""The main thread of a child, as threading has it."""
import multiprocessing as mp
import threading


def child():
    me = threading.current_thread()
    print(me is threading.main_thread(), me.name, me.daemon, threading.enumerate() == [me], flush=True)


def start():
    process = mp.Process(target=child)
    process.start(); process.join()


if __name__ == "__main__":
    threading.current_thread().name = "another name"
    start()
    thread = threading.Thread(target=start, name="a thread")
    thread.start(); thread.join()
