# SPDX-License-Identifier: MIT
"""A program that SIGTERM ends leaves its children to themselves."""
import multiprocessing as mp
import os
import signal
import time


def child(event):
    event.set()
    time.sleep(0.5)
    print("child ends by itself", flush=True)


if __name__ == "__main__":
    event = mp.Event()
    mp.Process(target=child, args=(event,), daemon=True).start()
    event.wait(20)
    os.kill(os.getpid(), signal.SIGTERM)
