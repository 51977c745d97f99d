# SPDX-License-Identifier: MIT
"""A thread that a module starts which the main module imports (a metrics client, a cache)."""
# run: main.py
# file: client.py
import threading
stop = threading.Event()
thread = threading.Thread(target=stop.wait, daemon=True)
thread.start()
# file: main.py
import multiprocessing as mp
import client


def child(): print(client.thread.is_alive(), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
