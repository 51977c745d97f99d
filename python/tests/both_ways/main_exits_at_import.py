# SPDX-License-Identifier: MIT
"""A main module that ends the interpreter when it is imported in a child."""
import multiprocessing as mp
import sys
if __name__ == "__mp_main__":
    sys.exit(7)


def child(): pass


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
