# SPDX-License-Identifier: MIT
"""input() in a child, and sys.stdin as it is there."""
# input: a line\n
import multiprocessing as mp
import sys


def child():
    print(type(sys.stdin).__name__, sys.stdin.closed, sys.stdin.encoding, flush=True)
    input("prompt ")


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, input())
