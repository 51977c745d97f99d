# SPDX-License-Identifier: MIT
"""Locks, events and conditions that the main module makes at import, one of them taken."""
import multiprocessing as mp
import threading
lock, event, condition = threading.Lock(), threading.Event(), threading.Condition()
recursive = threading.RLock()
recursive.acquire()
lock.acquire()
event.set()
local = threading.local()
local.x = 5


def child():
    print(lock.acquire(blocking=False), event.is_set(), local.x, recursive._is_owned(), flush=True)
    recursive.release()
    with condition: condition.notify_all()


if __name__ == "__main__":
    lock.release()
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
