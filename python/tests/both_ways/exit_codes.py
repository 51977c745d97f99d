# SPDX-License-Identifier: MIT
"""Exit codes of all kinds."""
import multiprocessing as mp
import os
import signal
import sys


def leave(value): sys.exit(value)
def leave_at_once(code): os._exit(code)
def die(number): os.kill(os.getpid(), number)
def fail(): raise ValueError("a failure")
def interrupt(): raise KeyboardInterrupt


if __name__ == "__main__":
    targets = [(leave, (value,)) for value in (None, 0, 1, 77, 255, 256, -1, True, "a text", 1.5)]
    targets += [(leave_at_once, (3,)), (die, (signal.SIGKILL,)), (die, (signal.SIGTERM,)), (die, (signal.SIGABRT,)),
                (die, (signal.SIGRTMIN,)), (fail, ()), (interrupt, ())]
    for target, args in targets:
        process = mp.Process(target=target, args=args)
        process.start(); process.join()
        print(target.__name__, *args, "->", process.exitcode, flush=True)
