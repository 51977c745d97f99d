# SPDX-License-Identifier: MIT
"""An executor and a pool that are never shut down end with the program."""
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor
if __name__ == "__main__":
    executor = ProcessPoolExecutor(2)
    print(executor.submit(abs, -5).result(20))
    pool = mp.Pool(2)
    print(pool.map(abs, [-1, -2]))
