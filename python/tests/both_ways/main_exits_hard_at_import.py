# SPDX-License-Identifier: MIT
"""os._exit() in a main module that is imported."""
import multiprocessing as mp
import os
if __name__ == "__mp_main__":
    os._exit(9)


def child(): pass


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
