# SPDX-License-Identifier: MIT
"""A directory of modules that is made after the first start, as by a generator of code."""
import multiprocessing as mp
import os
import sys
sys.path.insert(0, os.path.abspath("generated"))
import json  # noqa: E402,F401


def child():
    import made
    print(made.A, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=print)
    process.start(); process.join()
    os.makedirs("generated")
    with open("generated/made.py", "w") as file: file.write("A = 1\n")
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
