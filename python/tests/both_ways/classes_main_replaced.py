# SPDX-License-Identifier: MIT
"""sys.modules["__main__"] is replaced after the first start (IPython, pdb, doctest do): the next start follows."""
import multiprocessing as mp
import sys
import types


def own(): print("own", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=own)
    process.start(); process.join()
    with open("other.py", "w") as file:
        file.write("def other(): print('other', __name__, flush=True)\n")
    module = types.ModuleType("__main__")
    module.__file__ = "other.py"
    exec(open("other.py").read(), module.__dict__)
    sys.modules["__main__"] = module
    process = mp.Process(target=module.other)
    process.start(); process.join()
    print(process.exitcode)
