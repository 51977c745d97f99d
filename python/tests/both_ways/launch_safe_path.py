# SPDX-License-Identifier: MIT
"""-P: the script's directory is not on the path, and nothing else of it is lost."""
# versions: 3.11-
# options: -P
import multiprocessing as mp
import os
import sys


def tell():
    print(sys.flags.safe_path, os.path.dirname(os.path.abspath(__file__)) in sys.path, sys.path[:2], flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
    print(process.exitcode)
