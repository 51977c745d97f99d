# SPDX-License-Identifier: MIT
"""joblib's multiprocessing backend: results, errors, memory maps of large arrays, a pool that is used again."""
import numpy
from joblib import Parallel, delayed


class Result:
    def __init__(self, value):
        self.value = value


def work(number, data):
    return Result(number * float(data.sum()))


def fail(number):
    raise ValueError(f"no {number}")


if __name__ == "__main__":
    data = numpy.arange(400000, dtype=float)
    with Parallel(n_jobs=2, backend="multiprocessing") as parallel:
        for _ in range(2):
            print([result.value for result in parallel(delayed(work)(n, data) for n in range(8))])
    try:
        Parallel(n_jobs=2, backend="multiprocessing")(delayed(fail)(n) for n in range(1))
    except ValueError as error:
        print(error)
