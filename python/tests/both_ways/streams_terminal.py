# SPDX-License-Identifier: MIT
"""On a terminal: children's streams, their buffering, isatty()."""
# terminal:
import multiprocessing as mp
import os
import sys


def child():
    print(sys.stdout.isatty(), sys.stdout.line_buffering, sys.stderr.isatty(), os.isatty(0))
    print(os.get_terminal_size(1)[0] >= 0, sys.stdin.isatty())


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
