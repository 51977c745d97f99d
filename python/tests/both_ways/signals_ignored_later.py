# SPDX-License-Identifier: MIT
"""SIGINT is ignored after the first start: what a child of before and one of after make of it."""
import multiprocessing as mp
import os
import signal


def child():
    print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN, flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
