# SPDX-License-Identifier: MIT
"""A preload list with one module that raises and one that is fine."""
# run: main.py
# file: fine.py
# file: raising.py
raise ValueError("at import")
# file: main.py
import multiprocessing as mp
import sys


def child(): print([name in sys.modules for name in ("fine", "raising")], flush=True)


if __name__ == "__main__":
    mp.set_forkserver_preload(["raising", "fine"])
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
