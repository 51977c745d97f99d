# SPDX-License-Identifier: MIT
"""A main module that is killed while it is imported."""
import multiprocessing as mp
import os
import signal
if __name__ == "__mp_main__":
    os.kill(os.getpid(), signal.SIGKILL)


def child(): pass


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
