# SPDX-License-Identifier: MIT
"""A module of the user's that has the name of one of the standard library which a start does not need."""
# run: main.py
# file: statistics.py
X = "the user's"
# file: bisect.py
X = "the user's"
def bisect(*_): return 0
insort = bisect_left = bisect_right = insort_right = insort_left = bisect
# file: main.py
import multiprocessing as mp
import statistics


def child():
    import bisect
    print(statistics.X, getattr(bisect, "X", "another"), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
