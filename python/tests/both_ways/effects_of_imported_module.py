# SPDX-License-Identifier: MIT
"""A module that the main module imports appends to a file at import."""
# run: main.py
# file: counting.py
with open("count", "a") as file: file.write("x")
# file: main.py
import multiprocessing as mp
import counting


def child(): pass


if __name__ == "__main__":
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(open("count").read())
