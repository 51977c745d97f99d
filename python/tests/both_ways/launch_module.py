# SPDX-License-Identifier: MIT
"""-m of a module in a package: __spec__, __package__, relative imports, the child's main."""
# run: -m package.tool --flag value
# file: package/__init__.py
# file: package/helper.py
def help(): return "helped"
# file: package/tool.py
import multiprocessing as mp
import sys
from . import helper


def tell():
    main = sys.modules[__name__]
    print(__name__, main.__file__, main.__spec__ and main.__spec__.name, main.__package__, helper.help())
    print(sys.argv, sys.path[0], sys.modules["__main__"] is main, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
    print(process.exitcode)
