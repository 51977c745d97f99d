# SPDX-License-Identifier: MIT
"""A preload list with a module that isn't there: the others are loaded, and the program goes on."""
# run: main.py
# file: fine.py
# file: main.py
import multiprocessing as mp
import sys


def child(): print([name in sys.modules for name in ("fine", "missing")], flush=True)


if __name__ == "__main__":
    mp.set_forkserver_preload(["missing", "fine"])
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
