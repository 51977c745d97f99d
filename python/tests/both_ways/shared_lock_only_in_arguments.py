# SPDX-License-Identifier: MIT
"""A lock that only the arguments of a process refer to lives until the child has it."""
import multiprocessing as mp


def work(lock, queue):
    with lock: queue.put("done")


def start(queue):
    process = mp.Process(target=work, args=(mp.Lock(), queue))
    process.start()
    return process


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    processes = [start(queue) for _ in range(4)]
    for process in processes: process.join()
    print([queue.get() for process in processes if process.exitcode == 0])
