# SPDX-License-Identifier: MIT
"""SharedMemoryManager; and memory that nobody unlinks, which the resource tracker tells of."""
import multiprocessing as mp
from multiprocessing.managers import SharedMemoryManager


def work(items): items[0] = "changed"; items.shm.close()


if __name__ == "__main__":
    with SharedMemoryManager() as manager:
        items = manager.ShareableList(["longer text", 1])
        process = mp.Process(target=work, args=(items,))
        process.start(); process.join()
        print(items[0], process.exitcode)
        items.shm.close()
