# SPDX-License-Identifier: MIT
"""numpy's generators, made at import without a seed: each child draws others."""
# needs: numpy
import multiprocessing as mp
import numpy
new = numpy.random.default_rng()
legacy = numpy.random.RandomState()
philox = numpy.random.Generator(numpy.random.Philox())


def child(queue): queue.put([g.random() for g in (new, philox)] + [legacy.rand(), legacy.normal()])


if __name__ == "__main__":
    queue = mp.Queue()
    processes = [mp.Process(target=child, args=(queue,)) for _ in range(3)]
    for process in processes: process.start()
    drawn = [queue.get(timeout=20) for _ in processes]
    for process in processes: process.join()
    print([len(set(column)) for column in zip(*drawn)])
