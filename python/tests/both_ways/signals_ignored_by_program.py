# SPDX-License-Identifier: MIT
"""A program that ignores signals (nohup, a job in the background): its children's dispositions."""
import multiprocessing as mp
import os
import signal


def child():
    for number in signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2:
        print(signal.Signals(number).name, signal.getsignal(number) == signal.SIG_IGN, flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("went on", flush=True)


if __name__ == "__main__":
    for number in signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2:
        signal.signal(number, signal.SIG_IGN)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
