# SPDX-License-Identifier: MIT
"""A child's parent, to the kernel: the program's pid as multiprocessing tells it lives, with it and after it."""
import multiprocessing as mp
import os


def child(pid): print(mp.parent_process().pid == pid, mp.parent_process().is_alive(), os.getppid() > 1, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child, args=(os.getpid(),))
    process.start(); process.join()
