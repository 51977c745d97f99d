# SPDX-License-Identifier: MIT
"""A file that the main module takes away at import: the one that does so has it."""
import multiprocessing as mp
import os
if __name__ == "__main__":
    with open("ticket", "w"): pass
    MINE = False
else:
    try:
        os.remove("ticket")
        MINE = True
    except FileNotFoundError: MINE = False


def child(): print(MINE, flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
