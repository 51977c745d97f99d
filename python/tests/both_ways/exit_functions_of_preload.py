# SPDX-License-Identifier: MIT
"""What a preloaded module registers with atexit, weakref.finalize and Finalize, and a finalizer that a child makes."""
# run: child.py
# file: loaded.py
import atexit, os, weakref
import multiprocessing.util
def say(*words): print(*words, "in a child" if os.getpid() != PID else "where it was loaded", flush=True)
class Thing: pass
PID = os.getpid()
kept = Thing()
atexit.register(say, "atexit of the module")
weakref.finalize(kept, say, "finalize of the module")
multiprocessing.util.Finalize(None, say, ("Finalize of the module",), exitpriority=5)
# file: child.py
import multiprocessing as mp, sys, weakref
def child():
    import loaded
    global mine
    mine = loaded.Thing()
    weakref.finalize(mine, loaded.say, "finalize of the child")
if __name__ == "__main__":
    mp.set_forkserver_preload(["loaded"])
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
