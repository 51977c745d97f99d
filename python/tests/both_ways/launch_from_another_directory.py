# SPDX-License-Identifier: MIT
"""A script by a relative path that changes its directory before it starts a process."""
# run: sub/script.py
# file: sub/beside.py
# file: sub/script.py
import multiprocessing as mp
import os
import sys
import beside


def child(): print(beside.__name__, os.path.isabs(__file__), os.path.isabs(sys.path[0]), flush=True)


if __name__ == "__main__":
    child()
    os.chdir("/")
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
