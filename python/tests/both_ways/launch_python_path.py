# SPDX-License-Identifier: MIT
"""PYTHONPATH comes after the script's directory, in children too."""
# environment: PYTHONPATH=more PYTHONSAFEPATH
import multiprocessing as mp
import sys


def tell():
    import there
    print(there.__name__, sys.path[:2], sys.orig_argv[1:3] if False else "", flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
# file: more/there.py
