# SPDX-License-Identifier: MIT
"""A result that cannot be pickled: MaybeEncodingError of a pool, the error of an executor."""
import multiprocessing as mp
import re
from concurrent.futures import ProcessPoolExecutor


def make(): return lambda: 0


if __name__ == "__main__":
    with mp.Pool(1) as pool, ProcessPoolExecutor(1) as executor:
        for get in pool.apply_async(make).get, executor.submit(make).result:
            try: get(timeout=20)
            except Exception as error: print(type(error).__name__, re.sub("0x[0-9a-f]+", "", str(error)))
