# SPDX-License-Identifier: MIT
"""A timer that the main module sets at import runs in each child."""
import multiprocessing as mp
import signal
signal.signal(signal.SIGALRM, lambda *_: print("alarm of", __name__, flush=True))
signal.setitimer(signal.ITIMER_REAL, 0.3)


def child(): signal.pause()


if __name__ == "__main__":
    signal.setitimer(signal.ITIMER_REAL, 0)
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
