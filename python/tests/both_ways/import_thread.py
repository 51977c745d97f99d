# SPDX-License-Identifier: MIT
"""A thread that the main module starts at import runs in each child."""
import multiprocessing as mp
import queue
import threading
jobs, done = queue.Queue(), queue.Queue()


def work():
    while True: done.put(jobs.get() * 2)


thread = threading.Thread(target=work, daemon=True)
thread.start()


def child():
    jobs.put(21)
    print(thread.is_alive(), threading.active_count(), done.get(timeout=10), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
