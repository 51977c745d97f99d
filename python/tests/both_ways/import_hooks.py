# SPDX-License-Identifier: MIT
"""Hooks that the main module sets at import: meta path, path hooks, audit, profile, builtins."""
import builtins
import multiprocessing as mp
import sys
import threading


class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "made_up": print("asked for", name, flush=True)


sys.meta_path.insert(0, Finder)
sys.addaudithook(lambda event, args: print("audit", args, flush=True) if event == "of.mine" else None)
builtins.mine = "in builtins"
calls = []
threading.setprofile(lambda *args: calls.append(1))


def child():
    try: import made_up
    except ImportError as error: print(error)
    sys.audit("of.mine", 1)
    print(mine, sys.getprofile(), flush=True)  # noqa: F821


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
