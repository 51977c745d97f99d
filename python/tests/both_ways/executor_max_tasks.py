# SPDX-License-Identifier: MIT
"""max_tasks_per_child with a context of this method."""
# versions: 3.11-
import multiprocessing as mp
import os
from concurrent.futures import ProcessPoolExecutor


def pid(_): return os.getpid()


if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=mp.get_context("forkserver"), max_tasks_per_child=2) as executor:
        print(len(set(executor.submit(pid, n).result(20) for n in range(4))))
    with ProcessPoolExecutor(1, max_tasks_per_child=1) as executor:
        print(len(set(executor.submit(pid, n).result(20) for n in range(2))), executor._mp_context.get_start_method())
