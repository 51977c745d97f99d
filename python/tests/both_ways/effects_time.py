# SPDX-License-Identifier: MIT
"""A main module that looks at the clock and at files at import: fresh in each child where it must be."""
import multiprocessing as mp
import os
CONTENT = open("config").read() if os.path.exists("config") else None


def child(): print(CONTENT, flush=True)


if __name__ == "__main__":
    for number in range(3):
        with open("config", "w") as file: file.write(f"content {number}")
        process = mp.Process(target=child)
        process.start(); process.join()
