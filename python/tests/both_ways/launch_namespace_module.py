# SPDX-License-Identifier: MIT
"""-m of a module in a namespace package."""
# run: -m space.tool
# file: space/tool.py
import multiprocessing as mp


def tell():
    print(__name__, __spec__ and __spec__.name, __package__, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
