# SPDX-License-Identifier: MIT
"""-m of a package is its __main__.py."""
# run: -m package a b
# file: package/__init__.py
import sys
print("package imported", __name__, "package.__main__" in sys.modules, flush=True)
# file: package/__main__.py
import multiprocessing as mp
import sys


def tell():
    print(__name__, __package__, __spec__ and __spec__.name, sys.argv, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
