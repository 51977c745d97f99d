# SPDX-License-Identifier: MIT
"""A file that the main module opens at import: each child reads from its beginning, and appends."""
import multiprocessing as mp
with open("data", "w") as file: file.write("first\nsecond\nthird\n")
reading, appending = open("data"), open("log", "a")


def child():
    print(reading.readline().strip(), reading.readline().strip(), flush=True)
    appending.write("line\n")


if __name__ == "__main__":
    for _ in range(3):
        process = mp.Process(target=child)
        process.start(); process.join()
    print(open("log").read().count("line"))
