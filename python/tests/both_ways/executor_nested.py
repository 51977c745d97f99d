# SPDX-License-Identifier: MIT
"""Executors in workers, and a process that is started from an executor's initializer."""
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor


def inner(n):
    with ProcessPoolExecutor(1) as executor: return executor.submit(abs, -n).result(20)


def begin():
    process = mp.Process(target=print, args=("from the initializer",))
    process.start(); process.join()


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor: print(list(executor.map(inner, range(3))))
    with ProcessPoolExecutor(1, initializer=begin) as executor: print(executor.submit(abs, -7).result(20))
