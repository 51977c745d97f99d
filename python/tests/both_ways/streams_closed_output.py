# SPDX-License-Identifier: MIT
"""A program that is started without standard output and error."""
# closed: 1 2
import multiprocessing as mp
import sys


def child(queue):
    print("nobody hears that")
    queue.put((sys.stdout is None, sys.stderr is None))


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    process = mp.Process(target=child, args=(queue,))
    process.start(); process.join()
    sys.exit(10 + process.exitcode + (0 if queue.get() == (sys.stdout is None, sys.stderr is None) else 1))
