# SPDX-License-Identifier: MIT
"""What a function of a child finds in sys.modules['__main__']."""
import multiprocessing as mp
import sys


def child():
    main = sys.modules["__main__"]
    print(main.__name__, main is sys.modules["__mp_main__"], main.__dict__ is globals(), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
