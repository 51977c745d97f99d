# SPDX-License-Identifier: MIT
"""FORKSERVER_INSTALL=1 instead of the launcher."""
# way: install
# environment: FORKSERVER_INSTALL=1
import multiprocessing as mp
import sys
from concurrent.futures import ProcessPoolExecutor


class Result:
    def __repr__(self): return "a result"


def work(): return Result()


if __name__ == "__main__":
    print(mp.get_start_method(), sys.argv, sys.path[0])
    with ProcessPoolExecutor(1) as executor: print(executor.submit(work).result(20))
    process = mp.Process(target=work)
    process.start(); process.join()
    print(process.exitcode)
