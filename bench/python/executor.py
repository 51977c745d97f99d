# SPDX-License-Identifier: MIT
"""An executor with two workers that gets tasks as it is told, line by line: which executor, then "CASE N". Answers with
the time a task, in µs."""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import forkserver


def nothing(_):
    pass


def mean(frame):
    return frame - frame.mean()


def make(name):
    preload = ["pandas"] if "pandas" in sys.modules else []
    if name == "ours":
        return forkserver.Executor(2, preload=preload)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", *preload])
    return ProcessPoolExecutor(2, context, max_tasks_per_child=1 if name == "stock" else None)


def tasks(executor, n):
    begin = time.perf_counter()
    for _ in executor.map(nothing, range(n)):
        pass
    return (time.perf_counter() - begin) / n


def frames(executor, n):
    """A DataFrame of 8 MB in, and one out."""
    import numpy
    import pandas

    frame = pandas.DataFrame(numpy.random.rand(100_000, 10))
    begin = time.perf_counter()
    for _ in executor.map(mean, [frame] * n):
        pass
    return (time.perf_counter() - begin) / n


def main():
    name = input()
    if name.endswith("-pandas"):
        import pandas  # noqa: F401 # so that it is preloaded
    with make(name.partition("-")[0]) as executor:
        while True:
            try:
                case, n = input().split()
            except EOFError:
                break
            print(f"{globals()[case](executor, int(n)) * 1e6:.1f}", flush=True)


if __name__ == "__main__":
    main()
