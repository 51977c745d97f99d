# SPDX-License-Identifier: MIT
"""A child of a program on standard input: there is no main module for it, and the interpreter's `__file__` says
"<stdin>"."""
# run: -
import multiprocessing as mp
if __name__ == "__main__":
    process = mp.Process(target=print, args=("child",))
    process.start(); process.join()
    print("exit", process.exitcode)
