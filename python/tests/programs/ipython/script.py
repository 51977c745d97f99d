# SPDX-License-Identifier: MIT
"""A script for ipython: its functions and classes are of a __main__ that IPython makes."""
import multiprocessing
from concurrent.futures import ProcessPoolExecutor


class Result:
    def __init__(self, value):
        self.value = value


def work(number):
    return Result(number * 2)


if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        print([result.value for result in pool.map_async(work, range(4)).get(20)])
    with ProcessPoolExecutor(1) as executor:
        print(executor.submit(work, 4).result(20).value)
    process = multiprocessing.Process(target=print, args=("child",))
    process.start()
    process.join()
    print(process.exitcode)
