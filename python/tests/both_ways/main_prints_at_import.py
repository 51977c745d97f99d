# SPDX-License-Identifier: MIT
"""A main module that prints at import."""
import multiprocessing as mp
import sys
print("imported as", __name__, flush=True)
sys.stderr.write(f"and on stderr as {__name__}\n")


def child(): print("child", flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
