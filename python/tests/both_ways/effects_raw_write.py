# SPDX-License-Identifier: MIT
"""A main module that writes to fd 1 itself at import, and by C's own puts()."""
import ctypes
import multiprocessing as mp
import os
os.write(1, b"written at import\n")
libc = ctypes.CDLL(None)
libc.puts(b"by C")
libc.fflush(None)


def child(): pass


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
