# SPDX-License-Identifier: MIT
"""A small program that starts processes as it is told, line by line: a start method, then "CASE N". Answers with N
times in µs."""

import multiprocessing
import time


def nothing():
    pass


def same(x):
    return x


def start_join(n):
    """One at a time, each from start() to the end of join()."""
    for _ in range(n):
        begin = time.perf_counter()
        process = multiprocessing.Process(target=nothing)
        process.start()
        process.join()
        yield time.perf_counter() - begin


def in_flight(n, depth=8):
    """The time a process, when there are eight at once."""
    begin = time.perf_counter()
    running = []
    for _ in range(n):
        if len(running) == depth:
            running.pop(0).join()
        running.append(multiprocessing.Process(target=nothing))
        running[-1].start()
    for process in running:
        process.join()
    return [(time.perf_counter() - begin) / n]


def pool(n):
    """Four workers, one map of 100 items, closed."""
    for _ in range(n):
        begin = time.perf_counter()
        with multiprocessing.Pool(4) as workers:
            workers.map(same, range(100))
            workers.close()
            workers.join()
        yield time.perf_counter() - begin


def tell_memory(pipe):
    with open("/proc/self/smaps_rollup") as file:
        pipe.send([line.split()[1] for line in file if line.startswith("Private_Dirty")][0])


def memory(n):
    """Not times: KiB of private dirty memory in a child that does nothing."""
    for _ in range(n):
        receiver, sender = multiprocessing.Pipe(False)
        process = multiprocessing.Process(target=tell_memory, args=(sender,))
        process.start()
        yield float(receiver.recv()) / 1e6
        process.join()


def main(preload):
    method = input()
    if method != "default":
        multiprocessing.set_start_method(method)
    if preload and method != "fork":
        multiprocessing.set_forkserver_preload(["__main__", *preload])
    while True:
        try:
            case, n = input().split()
        except EOFError:
            break
        print(*[f"{x * 1e6:.1f}" for x in globals()[case](int(n))], flush=True)


if __name__ == "__main__":
    main([])
