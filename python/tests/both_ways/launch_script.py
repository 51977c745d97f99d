# SPDX-License-Identifier: MIT
"""A script knows itself as the interpreter has it: names, files, loader, path, arguments."""
# run: launch_script.py one --two -m x
import multiprocessing as mp
import sys


def tell():
    main = sys.modules[__name__]
    print(__name__, main.__file__, main.__spec__, type(main.__loader__).__name__, main.__package__, main.__cached__)
    print(sys.argv, sys.path[0], __builtins__ is sys.modules["builtins"], sorted(vars(main)), flush=True)
    print(sys.modules["__main__"] is main, sys.modules.get("__mp_main__") is main, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
    print(process.exitcode)
