# SPDX-License-Identifier: MIT
"""install() in the program, where the package is there."""
# way: install
import multiprocessing as mp
try: import forkserver
except ImportError: forkserver = None


class Result:
    def __repr__(self): return "a result"


def work(): return Result()


if __name__ == "__main__":
    if forkserver: forkserver.install()
    with mp.Pool(1) as pool: print(pool.apply_async(work).get(20), mp.get_start_method())
