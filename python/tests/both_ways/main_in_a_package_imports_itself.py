# SPDX-License-Identifier: MIT
"""A main module of a package that imports itself by its own name: two modules, on both sides."""
# run: -m package.tool
# file: package/__init__.py
# file: package/tool.py
import multiprocessing as mp
import sys
from package import tool as itself


class Thing: pass
def make(): return type(itself.Thing()) is Thing, itself.__name__


if __name__ == "__main__":
    with mp.Pool(1) as pool: print(pool.apply_async(make).get(10), pool.apply_async(itself.make).get(10))
    print("package.tool" in sys.modules)
