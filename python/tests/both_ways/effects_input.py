# SPDX-License-Identifier: MIT
"""A main module that reads standard input at import."""
# input: first\nsecond\nthird\n
import multiprocessing as mp
import sys
LINE = sys.stdin.readline()


def child(): print(repr(LINE), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(repr(sys.stdin.readline()))
