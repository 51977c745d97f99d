# SPDX-License-Identifier: MIT
"""Executors that the main module makes at import, one of threads that has worked already."""
import multiprocessing as mp
from concurrent.futures import ThreadPoolExecutor
fresh, used = ThreadPoolExecutor(2), ThreadPoolExecutor(2)
used.submit(int).result()


def child():
    print(fresh.submit(int, "5").result(10), flush=True)
    print(used.submit(int, "6").result(10), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
