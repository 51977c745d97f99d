# SPDX-License-Identifier: MIT
"""An fd that the main module opens at import: its offset is the child's own."""
import multiprocessing as mp
import os
fd = os.open(os.path.dirname(os.path.abspath(__file__)) + "/" + os.path.basename(__file__), os.O_RDONLY)


def child(): print(os.read(fd, 12), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
