# SPDX-License-Identifier: MIT
"""A main module that counts its imports in a file."""
import multiprocessing as mp
with open("imports", "a") as file: file.write(__name__ + "\n")


def child(): pass


if __name__ == "__main__":
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(open("imports").read().split())
