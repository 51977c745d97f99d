# SPDX-License-Identifier: MIT
"""What the main module does to sys.path and to the start method where it is imported, its children have."""
import multiprocessing as mp
import sys
sys.path.append("/only/" + __name__)
if __name__ != "__main__": mp.set_start_method("spawn", force=True)


def child(): print([path for path in sys.path if "only" in path], mp.get_start_method(), flush=True)


if __name__ == "__main__":
    context = mp.get_context("forkserver")
    for _ in range(2):
        process = context.Process(target=child)
        process.start(); process.join()
