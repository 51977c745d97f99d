# SPDX-License-Identifier: MIT
"""alarm() and setitimer() of the program are its own; a child's work in it."""
import multiprocessing as mp
import signal


def heard(*_): print("alarm", __name__, flush=True)


def child():
    print(signal.getitimer(signal.ITIMER_REAL), flush=True)
    signal.signal(signal.SIGALRM, heard)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    signal.pause()


if __name__ == "__main__":
    signal.alarm(1000)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(signal.alarm(0) > 900, process.exitcode)
