# SPDX-License-Identifier: MIT
"""ProcessPoolExecutor: map, submit, exceptions with their traceback, initializer, cancel, shutdown."""
import multiprocessing as mp
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
STATE = []


def begin(word): STATE.append(word)
def state(number): return STATE, number
def fail(): raise KeyError("of a worker")


if __name__ == "__main__":
    with ProcessPoolExecutor(2, initializer=begin, initargs=("begun",)) as executor:
        print(list(executor.map(state, range(3), chunksize=2)))
        futures = [executor.submit(pow, 2, n) for n in range(5)]
        print(sorted(future.result() for future in as_completed(futures)), len(wait(futures).done))
        error = executor.submit(fail).exception(20)
        print(repr(error), error.__cause__)
        print(repr(executor.submit(state, lambda: 0).exception(20)))
    try: executor.submit(fail)
    except RuntimeError as error: print(error)
    with ProcessPoolExecutor(1, mp.get_context("forkserver")) as executor:
        print(executor.submit(sum, [1, 2]).result(20))
        print(executor.shutdown(cancel_futures=True))
