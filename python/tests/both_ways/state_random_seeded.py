# SPDX-License-Identifier: MIT
"""Generators that the main module seeds at import: children draw the numbers that the seed gives, as on stock."""
import multiprocessing as mp
import random
random.seed(42)
own = random.Random(7)
own.random()


def child(queue): queue.put((random.random(), own.random(), own.gauss(0, 1)))


if __name__ == "__main__":
    queue = mp.Queue()
    for _ in range(3):
        process = mp.Process(target=child, args=(queue,))
        process.start()
        print(queue.get(timeout=20), flush=True)
        process.join()
