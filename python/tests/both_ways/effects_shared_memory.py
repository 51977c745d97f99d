# SPDX-License-Identifier: MIT
"""Shared memory by name that the main module makes at import: the second one to do so fails."""
import multiprocessing as mp
import os
from multiprocessing import shared_memory
try:
    block = shared_memory.SharedMemory("both-ways-effects", create=True, size=10)
    MADE = True
except FileExistsError:
    block = shared_memory.SharedMemory("both-ways-effects")
    MADE = False
block.buf[0] += 1


def child(): print(MADE, block.buf[0], flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(block.buf[0], process.exitcode)
    try: block.unlink()
    except FileNotFoundError: print("gone")
