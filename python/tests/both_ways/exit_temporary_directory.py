# SPDX-License-Identifier: MIT
"""A temporary directory that a child keeps is gone when it has ended; one that the main module makes too."""
import multiprocessing as mp
import os
import tempfile
directory = tempfile.TemporaryDirectory(prefix="of-main-")


def child():
    global kept
    kept = tempfile.TemporaryDirectory(prefix="of-child-")
    print(os.path.isdir(kept.name), os.path.isdir(directory.name), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(process.exitcode)
