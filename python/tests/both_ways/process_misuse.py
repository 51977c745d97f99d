# SPDX-License-Identifier: MIT
"""Errors of start(), join(), close(): twice, too early, of another process's, in a daemon."""
import multiprocessing as mp


def child(): pass


if __name__ == "__main__":
    process = mp.Process(target=child)
    for call in process.join, process.terminate, process.start, process.start:
        try: print(call.__name__, call())
        except Exception as error: print(call.__name__, type(error).__name__, error)
    process.join()
    for make in (lambda: mp.Process(target=child, group=1), lambda: mp.set_start_method("none"),
                 lambda: mp.get_context("none"), lambda: mp.set_start_method("spawn"),
                 lambda: mp.set_start_method("forkserver", force=True)):
        try: print(make())
        except Exception as error: print(type(error).__name__, error)
    print(mp.get_start_method(), mp.get_all_start_methods(), type(mp.get_context()).__name__)
