# SPDX-License-Identifier: MIT
"""What the program sets in its main module after import isn't there in a child."""
import multiprocessing as mp
VALUE = 1


def child(): print(VALUE, "LATER" in globals(), flush=True)


if __name__ == "__main__":
    VALUE = 2
    LATER = 3
    process = mp.Process(target=child)
    process.start(); process.join()
