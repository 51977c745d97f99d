# SPDX-License-Identifier: MIT
"""A preload list that is set after the first start."""
import multiprocessing as mp
import sys


def child(): print("fractions" in sys.modules, flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        mp.set_forkserver_preload(["fractions"])
