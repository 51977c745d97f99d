# SPDX-License-Identifier: MIT
"""Preloaded modules that have random numbers, pids and locks: what children make of them."""
# run: main.py
# file: stateful.py
import os, random, threading, uuid
PID, LOCK, RANDOM = os.getpid(), threading.Lock(), random.Random()
LOCK.acquire()
NAME = uuid.uuid4()
# file: main.py
import multiprocessing as mp


def child(queue):
    import stateful
    queue.put((stateful.RANDOM.random(), stateful.LOCK.locked(), stateful.NAME))


if __name__ == "__main__":
    mp.set_forkserver_preload(["stateful"])
    queue = mp.Queue()
    processes = [mp.Process(target=child, args=(queue,)) for _ in range(3)]
    for process in processes: process.start()
    found = [queue.get(timeout=20) for _ in processes]
    for process in processes: process.join()
    print({locked for _, locked, _ in found}, len({name for _, _, name in found}))
