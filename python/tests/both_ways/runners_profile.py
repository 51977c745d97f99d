# SPDX-License-Identifier: MIT
"""python3 -m cProfile of a script that starts processes."""
# run: -m cProfile -o profile script.py one
# file: script.py
import multiprocessing as mp
import sys
class Result:
    def __repr__(self): return "a result"
def work(): return Result()


if __name__ == "__main__":
    print(sys.argv)
    with mp.Pool(1) as pool: print(pool.apply_async(work).get(10))
