# SPDX-License-Identifier: MIT
"""A main module that points fd 1 elsewhere at import."""
import multiprocessing as mp
import os
import sys
kept = os.dup(1)
os.dup2(os.open("out-of-" + __name__, os.O_CREAT | os.O_WRONLY | os.O_APPEND), 1)


def child(): print("child")


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    sys.stdout.flush()
    os.dup2(kept, 1)
    for name in "__main__", "__mp_main__": print(name, open("out-of-" + name).read().split())
