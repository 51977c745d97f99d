# SPDX-License-Identifier: MIT
"""numpy's generators, seeded at import: children draw what the seed gives, as on stock."""
# needs: numpy
import multiprocessing as mp
import numpy
numpy.random.seed(42)
new = numpy.random.default_rng(7)
legacy = numpy.random.RandomState(9)


def child(): print(numpy.random.rand(), numpy.random.normal(), new.random(), legacy.rand(), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
