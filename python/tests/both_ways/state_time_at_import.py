# SPDX-License-Identifier: MIT
"""When the main module was imported: after the start of its child, or before that if it is preloaded."""
import multiprocessing as mp
import time
BEGIN = time.monotonic()


def child(begin): print(BEGIN >= begin, flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child, args=(time.monotonic(),))
        process.start(); process.join()
