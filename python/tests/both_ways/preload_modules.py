# SPDX-License-Identifier: MIT
"""A preload list: modules that print, warn, change sys.path and read sys.argv; one that isn't there."""
# run: main.py an-argument
# file: talking.py
import sys, warnings
print("talking", flush=True)
warnings.warn("a warning of a module")
sys.path.append("/added/by/it")
# file: main.py
import multiprocessing as mp
import sys


def child(): print("talking" in sys.modules, flush=True)


if __name__ == "__main__":
    mp.set_forkserver_preload(["talking"])
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
        print(process.exitcode, flush=True)
