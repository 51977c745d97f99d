# SPDX-License-Identifier: MIT
"""Thirty processes at once."""
# limit: 40
import multiprocessing as mp


def child(barrier, queue, number):
    barrier.wait(30)
    queue.put(number)


if __name__ == "__main__":
    barrier, queue = mp.Barrier(31), mp.Queue()
    processes = [mp.Process(target=child, args=(barrier, queue, number)) for number in range(30)]
    for process in processes: process.start()
    barrier.wait(30)
    print(sorted(queue.get(timeout=20) for _ in processes) == list(range(30)))
    for process in processes: process.join()
    print({process.exitcode for process in processes})
