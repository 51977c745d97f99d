# SPDX-License-Identifier: MIT
"""dump_traceback_later() in a child, and cancelled."""
import faulthandler
import multiprocessing as mp
import time


def child():
    faulthandler.dump_traceback_later(0.1)
    time.sleep(0.6)
    faulthandler.dump_traceback_later(1000)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
