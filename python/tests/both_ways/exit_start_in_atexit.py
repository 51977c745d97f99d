# SPDX-License-Identifier: MIT
"""A process that is started by an exit function."""
import atexit
import multiprocessing as mp


def late():
    process = mp.Process(target=print, args=("late child",))
    process.start(); process.join()
    print(process.exitcode, flush=True)


if __name__ == "__main__":
    atexit.register(late)
    process = mp.Process(target=print, args=("child",))
    process.start(); process.join()
