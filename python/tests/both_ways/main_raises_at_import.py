# SPDX-License-Identifier: MIT
"""A main module that cannot be imported in a child."""
import multiprocessing as mp
if __name__ == "__mp_main__":
    raise ImportError("not here")


def child(): pass


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
