# SPDX-License-Identifier: MIT
"""An exception that nobody catches: the traceback shows the program's frames alone."""
import multiprocessing as mp


def inner():
    raise ValueError("of main")


if __name__ == "__main__":
    process = mp.Process(target=print, args=("child",))
    process.start()
    process.join()
    inner()
