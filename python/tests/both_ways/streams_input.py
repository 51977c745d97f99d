# SPDX-License-Identifier: MIT
"""Standard input of a program is its own: children have /dev/null."""
# input: first line\nsecond line\n
import multiprocessing as mp
import sys


def child(): print(repr(sys.stdin.read()), sys.stdin.isatty(), sys.stdin.fileno() > 2, flush=True)


if __name__ == "__main__":
    print(repr(input()), flush=True)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(repr(sys.stdin.readline()), process.exitcode)
