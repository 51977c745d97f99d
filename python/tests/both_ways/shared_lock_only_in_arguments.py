# SPDX-License-Identifier: MIT
"""A lock that only the arguments of a process refer to lives until the child has it, which takes a while."""
import multiprocessing as mp
import time


class Slow:
    def __reduce__(self): return time.sleep, (0.3,)


def work(_, lock, queue):
    with lock: queue.put("done")


if __name__ == "__main__":
    queue = mp.SimpleQueue()
    process = mp.Process(target=work, args=(Slow(), mp.Lock(), queue))
    process.start(); process.join()
    print(process.exitcode, flush=True)
