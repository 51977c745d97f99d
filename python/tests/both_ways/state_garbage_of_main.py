# SPDX-License-Identifier: MIT
"""A finalizer of garbage that the main module leaves at import runs once in each child, not in another process."""
import gc
import multiprocessing as mp
import os


class Node:
    def __init__(self): self.pid, self.me = os.getpid(), self
    def __del__(self): print("gone", self.pid == os.getpid(), flush=True)


gc.disable()
Node()


def child(): gc.collect()


if __name__ == "__main__":
    gc.collect()
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
