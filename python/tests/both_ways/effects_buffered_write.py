# SPDX-License-Identifier: MIT
"""A main module that prints at import what is only written at the end."""
import multiprocessing as mp
print("printed at import as", __name__)


def child(): print("child")


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
