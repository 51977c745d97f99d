# SPDX-License-Identifier: MIT
"""A handler of Python's that the main module sets at import is called in the child."""
import multiprocessing as mp
import os
import signal


def heard(number, frame):
    print("heard", signal.Signals(number).name, __name__, flush=True)


for number in signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD:
    signal.signal(number, heard)


def child():
    for number in signal.SIGUSR1, signal.SIGTERM, signal.SIGINT:
        os.kill(os.getpid(), number)
    print(signal.getsignal(signal.SIGCHLD) is heard, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
