# SPDX-License-Identifier: MIT
"""A thread that starts a process of the module that -m runs after the main thread's code has ended."""
# run: -m tool
# file: tool.py
import multiprocessing as mp
import threading


def child(): print("child", flush=True)


def late():
    threading.main_thread().join()
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)


if __name__ == "__main__":
    threading.Thread(target=late).start()
