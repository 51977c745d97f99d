# SPDX-License-Identifier: MIT
"""A program that closes its standard output itself, and one that points it elsewhere."""
import multiprocessing as mp
import os
import sys


def child(): os.write(1, b"a child writes\n"); print("and prints", flush=True)


if __name__ == "__main__":
    kept = os.dup(1)
    os.dup2(os.open("elsewhere", os.O_CREAT | os.O_WRONLY), 1)
    process = mp.Process(target=child)
    process.start(); process.join()
    os.dup2(kept, 1)
    print(process.exitcode, open("elsewhere").read().splitlines())
