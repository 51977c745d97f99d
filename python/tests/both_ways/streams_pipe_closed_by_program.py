# SPDX-License-Identifier: MIT
"""A pipe whose writing end only the program and a child have: its end is seen when both have closed it."""
import multiprocessing as mp
import os


def child(): pass


if __name__ == "__main__":
    reader, writer = os.pipe()
    os.dup2(writer, 1)
    os.close(writer)
    process = mp.Process(target=child)
    process.start(); process.join()
    os.dup2(2, 1)
    os.set_blocking(reader, False)
    try: print(os.read(reader, 10), flush=True)
    except BlockingIOError: print("somebody holds it", flush=True)
