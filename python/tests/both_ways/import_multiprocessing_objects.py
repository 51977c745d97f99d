# SPDX-License-Identifier: MIT
"""Locks and queues of multiprocessing that the main module makes at import: each child has its own by that name."""
import multiprocessing as mp
lock, queue, value = mp.Lock(), mp.Queue(), mp.Value("i", 1)


def child(real):
    with value.get_lock(): value.value += 1
    queue.put("mine")
    print(lock.acquire(block=False), value.value, queue.get(timeout=10), real.value, flush=True)


if __name__ == "__main__":
    lock.acquire()
    for _ in range(2):
        process = mp.Process(target=child, args=(value,))
        process.start(); process.join()
    print(process.exitcode, value.value)
