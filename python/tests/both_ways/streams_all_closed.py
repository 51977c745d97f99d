# SPDX-License-Identifier: MIT
"""A program that is started with every standard stream closed."""
# closed: 0 1 2
import multiprocessing as mp
import sys


def child(value): value.value = 40 + (sys.stdin is not None) + (sys.stdout is not None)


if __name__ == "__main__":
    value = mp.Value("i", 0)
    for _ in range(2):
        process = mp.Process(target=child, args=(value,))
        process.start(); process.join()
    sys.exit(value.value + process.exitcode)
