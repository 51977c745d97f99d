# SPDX-License-Identifier: MIT
"""A ThreadPool beside processes, and a pool in a daemon, which may not have children."""
import multiprocessing as mp
from multiprocessing.pool import ThreadPool


def child(): return mp.current_process().name


def run():
    process = mp.Process(target=child)
    process.start(); process.join()
    return process.exitcode


def in_daemon(_):
    try: mp.Process(target=child).start()
    except AssertionError as error: return str(error)


if __name__ == "__main__":
    with ThreadPool(4) as threads: print([threads.apply_async(run) for _ in range(1)][0].get(20), threads.map(
        lambda _: run(), range(6)))
    with mp.Pool(1) as pool: print(pool.map(in_daemon, [0]))
