# SPDX-License-Identifier: MIT
"""Hashes of strings: those of siblings, and with PYTHONHASHSEED."""
# environment: PYTHONHASHSEED=5
import multiprocessing as mp


def child(queue): queue.put((hash("a string"), list({"b", "c", "d", "e"})))


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    for _ in range(2):
        process = mp.Process(target=child, args=(queue,))
        process.start()
        print(queue.get() == (hash("a string"), list({"b", "c", "d", "e"})))
        process.join()
