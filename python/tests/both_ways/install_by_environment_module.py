# SPDX-License-Identifier: MIT
"""FORKSERVER_INSTALL=1 and -m; children see it too."""
# way: install
# run: -m tool
# environment: FORKSERVER_INSTALL=1
# file: tool.py
import multiprocessing as mp
class Result: x = 1
def work(): return Result()


if __name__ == "__main__":
    with mp.Pool(1) as pool: print(type(pool.apply_async(work).get(20)) is Result, __spec__.name)
