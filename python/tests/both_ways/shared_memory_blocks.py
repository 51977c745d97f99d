# SPDX-License-Identifier: MIT
"""SharedMemory and ShareableList in children; what unlinks them, and what is left."""
import multiprocessing as mp
from multiprocessing import shared_memory


def work(name, items):
    block = shared_memory.SharedMemory(name)
    block.buf[0] += 1
    items[0] = items[0] * 2
    block.close()
    items.shm.close()


if __name__ == "__main__":
    block = shared_memory.SharedMemory(create=True, size=100)
    items = shared_memory.ShareableList([21, "text", 2.5, None, True])
    process = mp.Process(target=work, args=(block.name, items))
    process.start(); process.join()
    print(block.buf[0], list(items), process.exitcode)
    items.shm.close(); items.shm.unlink()
    block.close(); block.unlink()
