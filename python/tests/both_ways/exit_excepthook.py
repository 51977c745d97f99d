# SPDX-License-Identifier: MIT
"""sys.excepthook, threading.excepthook and sys.unraisablehook that the main module sets."""
import multiprocessing as mp
import sys
import threading
sys.excepthook = lambda kind, value, trace: print("excepthook", kind.__name__, value, flush=True)
threading.excepthook = lambda args: print("thread", args.exc_type.__name__, flush=True)
sys.unraisablehook = lambda args: print("unraisable", args.exc_type.__name__, flush=True)


class Thing:
    def __del__(self): raise KeyError


def child():
    del [Thing()][0]
    thread = threading.Thread(target=int, args=("x",))
    thread.start(); thread.join()
    raise ValueError("of the child")


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
