# SPDX-License-Identifier: MIT
"""SIGINT to a child that has no handler: KeyboardInterrupt with its traceback, exit code 1."""
import multiprocessing as mp
import os
import signal


def child(): os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
