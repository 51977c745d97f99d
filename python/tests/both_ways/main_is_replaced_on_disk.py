# SPDX-License-Identifier: MIT
"""The main module's file changes while the program runs: a start that comes later must not fail for it."""
import multiprocessing as mp
import os


def child(): print("child", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    with open("new", "w") as file:
        file.write(open(__file__).read() + "\n# another version\n")
    os.replace("new", __file__)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
