# SPDX-License-Identifier: MIT
"""Blocked signals of the program, and of a thread that starts a process."""
import multiprocessing as mp
import signal
import threading


def child(): print(sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())), flush=True)


def start():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    process = mp.Process(target=child)
    process.start(); process.join()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    start()
    thread = threading.Thread(target=start)
    thread.start(); thread.join()
