# SPDX-License-Identifier: MIT
"""A pool whose initializer's process ends at once is filled again and again; closed, it is quiet."""
import multiprocessing as mp


def begin(counter):
    with counter.get_lock():
        counter.value += 1
        if counter.value < 4: raise SystemExit(3)


if __name__ == "__main__":
    counter = mp.Value("i", 0)
    with mp.Pool(1, begin, (counter,)) as pool:
        print(pool.apply_async(abs, (-1,)).get(20), counter.value)
