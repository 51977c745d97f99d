# SPDX-License-Identifier: MIT
"""Generators of random numbers that the main module makes at import without a seed: each child draws others."""
import multiprocessing as mp
import random
import secrets
import tempfile
import uuid
own = random.Random()
system = random.SystemRandom()
names = tempfile._get_candidate_names()
next(names)


def child(queue):
    queue.put((own.random(), random.random(), system.random(), next(names), uuid.uuid4(), secrets.token_hex(4)))


if __name__ == "__main__":
    queue = mp.Queue()
    processes = [mp.Process(target=child, args=(queue,)) for _ in range(4)]
    for process in processes: process.start()
    drawn = [queue.get(timeout=20) for _ in processes]
    for process in processes: process.join()
    print([len(set(column)) for column in zip(*drawn)])
