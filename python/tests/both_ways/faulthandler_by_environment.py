# SPDX-License-Identifier: MIT
"""PYTHONFAULTHANDLER=1 reaches the children, of a pool too."""
# environment: PYTHONFAULTHANDLER=1
import faulthandler
import multiprocessing as mp


def child(): faulthandler._sigfpe()


if __name__ == "__main__":
    with mp.Pool(1) as pool:
        print(pool.apply(faulthandler.is_enabled))
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
