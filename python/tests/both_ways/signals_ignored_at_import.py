# SPDX-License-Identifier: MIT
"""The main module ignores a signal at import; the program takes that back for itself alone."""
import multiprocessing as mp
import os
import signal
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


def child():
    print(signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGXFSZ), flush=True)
    os.kill(os.getpid(), signal.SIGUSR1)
    print("ignored", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
