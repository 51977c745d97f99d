# SPDX-License-Identifier: MIT
"""A program that leaves only the standard library and itself on its path, as bundles do."""
import multiprocessing as mp
import sys


def child(): print([entry for entry in sys.path if entry.endswith("-packages")], flush=True)


if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if "-packages" not in entry]
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
