# SPDX-License-Identifier: MIT
"""A pool's initializer, maxtasksperchild, close and join, terminate."""
import multiprocessing as mp
import os
import time
STATE = []


def begin(word): STATE.append(word)
def state(_): return STATE, os.getpid()
def sleep(_): time.sleep(1000)


if __name__ == "__main__":
    with mp.Pool(1, begin, ("begun",), maxtasksperchild=2) as pool:
        answers = pool.map(state, range(4), chunksize=1)
        print([words for words, _ in answers], len({pid for _, pid in answers}))
        pool.close()
        pool.join()
    pool = mp.Pool(2)
    pool.map_async(sleep, range(2))
    pool.terminate()
    pool.join()
