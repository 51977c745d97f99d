# SPDX-License-Identifier: MIT
"""The end of a program waits for its children and ends its daemons; then its exit functions run."""
import atexit
import multiprocessing as mp
import time


def work():
    time.sleep(0.3)
    print("child has ended", flush=True)


if __name__ == "__main__":
    atexit.register(print, "atexit of main", flush=True)
    mp.Process(target=work).start()
    mp.Process(target=time.sleep, args=(1000,), daemon=True).start()
    print("main has ended", flush=True)
