# SPDX-License-Identifier: MIT
"""Processes that threads start at the same time, and one after the main thread's code has ended."""
import multiprocessing as mp
import threading


def child(queue, number): queue.put(number)


def run(queue, number):
    process = mp.Process(target=child, args=(queue, number))
    process.start()
    process.join()


def late():
    threading.main_thread().join()
    process = mp.Process(target=print, args=("after the main thread",))
    process.start(); process.join()


if __name__ == "__main__":
    queue = mp.Queue()
    threads = [threading.Thread(target=run, args=(queue, number)) for number in range(8)]
    for thread in threads: thread.start()
    print(sorted(queue.get(timeout=20) for _ in threads), flush=True)
    for thread in threads: thread.join()
    threading.Thread(target=late).start()
