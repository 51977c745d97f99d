# SPDX-License-Identifier: MIT
"""Numbers that the main module draws at import are each child's own."""
import multiprocessing as mp
import os
import random
import uuid
DRAWN = random.random(), random.getrandbits(64), os.getrandom(8), uuid.uuid4()


def child(queue): queue.put(DRAWN)


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    for _ in range(3):
        process = mp.Process(target=child, args=(queue,))
        process.start(); process.join()
    print([len(set(one)) for one in zip(*(queue.get() for _ in range(3)))])
