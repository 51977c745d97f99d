# SPDX-License-Identifier: MIT
"""Directories and links that the main module makes, renames and removes at import: once for each import."""
import multiprocessing as mp
import os
os.mkdir(f"made-{len(os.listdir('.'))}")
os.symlink("nowhere", "link")
os.rename("link", f"moved-{len(os.listdir('.'))}")


def child(): pass


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(len(os.listdir(".")), process.exitcode)
