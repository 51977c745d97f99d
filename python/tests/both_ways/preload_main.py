# SPDX-License-Identifier: MIT
"""__main__ in the preload list, with another module."""
import multiprocessing as mp
import sys


def child(): print(__name__, "decimal" in sys.modules, flush=True)


if __name__ == "__main__":
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "decimal"])
    process = context.Process(target=child)
    process.start(); process.join()
