# SPDX-License-Identifier: MIT
"""sys.argv that the program changes in place between two starts."""
import multiprocessing as mp
import sys


def child(): print(sys.argv[1:], flush=True)


if __name__ == "__main__":
    for word in "abc":
        process = mp.Process(target=child)
        process.start(); process.join()
        sys.argv.append(word)
