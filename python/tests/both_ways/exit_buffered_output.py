# SPDX-License-Identifier: MIT
"""What a child's buffers hold at its end is written: by print, by a file, after an exception, not after os._exit()."""
import multiprocessing as mp
import os
import sys


def child(way):
    global file
    file = open("written", "a")
    file.write(f"{way} ")
    print("printed", way)
    sys.stderr.write(f"on stderr {way}\n")
    if way == "raise": raise KeyError(way)
    if way == "exit": sys.exit(3)
    if way == "_exit": os._exit(4)


if __name__ == "__main__":
    for way in "return", "raise", "exit", "_exit":
        process = mp.Process(target=child, args=(way,))
        process.start(); process.join()
        print(process.exitcode, flush=True)
    print(open("written").read())
