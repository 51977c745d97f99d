# SPDX-License-Identifier: MIT
"""An argument that cannot be made again in the child: its traceback, exit code 1."""
import multiprocessing as mp


def boom(): raise RuntimeError("cannot be made again")


class Boom:
    def __reduce__(self): return boom, ()


if __name__ == "__main__":
    process = mp.Process(target=print, args=(Boom(),))
    process.start()
    process.join()
    print(process.exitcode)
