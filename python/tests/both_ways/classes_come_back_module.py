# SPDX-License-Identifier: MIT
"""The same of a module that -m runs."""
# run: -m tool
# file: tool.py
import multiprocessing as mp


class Thing:
    def __repr__(self): return "a thing"


def make(): return Thing()


if __name__ == "__main__":
    with mp.Pool(1) as pool:
        thing = pool.apply_async(make).get(20)
        print(thing, type(thing) is Thing)
