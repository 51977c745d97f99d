# SPDX-License-Identifier: MIT
"""os.environ changed after the first start."""
import multiprocessing as mp
import os


def child(): print(os.environ.get("FIRST"), os.environ.get("LATER"), flush=True)


if __name__ == "__main__":
    os.environ["FIRST"] = "1"
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        del os.environ["FIRST"]
        os.environ["LATER"] = "2"
        os.environ["FIRST"] = "again"
