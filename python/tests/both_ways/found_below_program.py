# SPDX-License-Identifier: MIT
"""A child is found below its program in the process tree, as debuggers and psutil look for it."""
import multiprocessing as mp
import os


def parent(pid):
    with open(f"/proc/{pid}/stat") as file: return int(file.read().rpartition(")")[2].split()[1])


def child(program):
    pid, steps = os.getpid(), 0
    while pid > 1 and pid != program: pid, steps = parent(pid), steps + 1
    print("below", pid == program, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child, args=(os.getpid(),))
    process.start(); process.join()
    print(process.exitcode)
