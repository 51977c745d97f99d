# SPDX-License-Identifier: MIT
"""gc.disable() and gc.freeze() at import."""
import gc
import multiprocessing as mp
gc.disable()


def child(): print(gc.isenabled(), gc.get_freeze_count() > 0, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
