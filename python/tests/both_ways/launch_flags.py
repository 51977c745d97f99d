# SPDX-License-Identifier: MIT
"""-OO, -W, -X tracemalloc, -d and others in parent and child."""
# options: -OO -W error::UserWarning -X tracemalloc=2 -b
import multiprocessing as mp
import sys
import tracemalloc


def tell():
    """Nobody reads that."""
    assert False
    print(sys.flags, sys.warnoptions, sys._xoptions, tracemalloc.get_traceback_limit(), tell.__doc__, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start(); process.join()
    print(process.exitcode)
