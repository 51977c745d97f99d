# SPDX-License-Identifier: MIT
"""What the main module and the child register with atexit, weakref.finalize and multiprocessing.util.Finalize."""
import atexit
import multiprocessing as mp
import multiprocessing.util
import weakref


class Thing: pass


def say(*words): print(*words, __name__, flush=True)


atexit.register(say, "atexit of main")
kept = Thing()
weakref.finalize(kept, say, "finalize of main")
multiprocessing.util.Finalize(None, say, ("Finalize of main",), exitpriority=5)


def child():
    global mine
    mine = Thing()
    atexit.register(say, "atexit of the child")
    weakref.finalize(mine, say, "finalize of the child")
    multiprocessing.util.Finalize(None, say, ("Finalize of the child",), exitpriority=5)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
