# SPDX-License-Identifier: MIT
"""sys.path and sys.argv, changed before the first start and between two."""
import multiprocessing as mp
import sys


def child():
    import there
    print(there.WHO, sys.argv, sys.path[:2], flush=True)


if __name__ == "__main__":
    sys.argv += ["more", "-x"]
    for name in "one", "two":
        sys.path.insert(0, name)
        process = mp.Process(target=child)
        process.start(); process.join()
        sys.argv.pop()
# file: one/there.py
WHO = "one"
# file: two/there.py
WHO = "two"
