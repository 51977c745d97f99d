# SPDX-License-Identifier: MIT
"""A directory with a __main__.py."""
# run: app one two
# file: app/helper.py
def told(): print("helper in child", __name__, flush=True)
# file: app/__main__.py
import multiprocessing as mp
import sys
import helper


def own():
    print("own function", __name__, flush=True)


if __name__ == "__main__":
    print(sys.argv, sys.path[0], __file__, __package__ == "", __spec__ and __spec__.name, __loader__ is not None)
    for target in helper.told, own:
        process = mp.Process(target=target)
        process.start()
        process.join()
        print("exit", process.exitcode, flush=True)
