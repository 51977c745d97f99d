# SPDX-License-Identifier: MIT
"""inspect.getsource() and lines of tracebacks in a child that has another directory."""
import inspect
import multiprocessing as mp
import os
import traceback


def child():
    os.chdir("/")
    print(inspect.getsource(child).splitlines()[0], inspect.getsourcefile(child) == os.path.abspath(__file__))
    try: raise KeyError("x")  # this line is shown
    except KeyError: print(traceback.format_exc(), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
