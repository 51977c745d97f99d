# SPDX-License-Identifier: MIT
"""The working directory is gone when a process is started."""
import multiprocessing as mp
import os


def child():
    try: print(os.getcwd(), flush=True)
    except FileNotFoundError as error: print(error, flush=True)


if __name__ == "__main__":
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir("../gone")
    process = mp.Process(target=child)
    try: process.start()
    except Exception as error: print(type(error).__name__, error)
    else: process.join(); print(process.exitcode)
