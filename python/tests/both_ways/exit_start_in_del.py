# SPDX-License-Identifier: MIT
"""A process that is started by a finalizer."""
import multiprocessing as mp


class Thing:
    def __del__(self):
        process = mp.Process(target=print, args=("of a finalizer",))
        process.start(); process.join()
        print(process.exitcode, flush=True)


if __name__ == "__main__":
    thing = Thing()
    del thing
