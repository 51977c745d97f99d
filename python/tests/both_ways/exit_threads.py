# SPDX-License-Identifier: MIT
"""Threads of a child at its end: those that go on are waited for, daemons are not; threading's own exit functions."""
import multiprocessing as mp
import threading
import time


def work(done):
    time.sleep(0.1)
    print(done, flush=True)


def child():
    threading.Thread(target=work, args=("a thread has ended",)).start()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    getattr(threading, "_register_atexit", lambda *_: None)(print, "threading's exit function", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
