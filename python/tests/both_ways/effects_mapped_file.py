# SPDX-License-Identifier: MIT
"""A counter in a mapped file that the main module raises at import."""
import mmap
import multiprocessing as mp
import os
fd = os.open("counter", os.O_RDWR | os.O_CREAT)
os.ftruncate(fd, 4096)
memory = mmap.mmap(fd, 4096)
memory[0] += 1


def child(): memory[1] += 1


if __name__ == "__main__":
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(memory[0], memory[1])
