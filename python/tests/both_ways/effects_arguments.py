# SPDX-License-Identifier: MIT
"""A main module that parses its arguments at import, and leaves when they are wrong."""
# run: effects_arguments.py --number 5
import argparse
import multiprocessing as mp
import sys
parser = argparse.ArgumentParser()
parser.add_argument("--number", type=int)
NUMBER = parser.parse_args().number


def child(): print(NUMBER, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    sys.argv[2] = "x"
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
