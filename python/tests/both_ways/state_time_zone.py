# SPDX-License-Identifier: MIT
"""The time zone that a program sets by TZ before its first start."""
import multiprocessing as mp
import os
import time


def child(): print(time.tzname, time.localtime(0).tm_hour, flush=True)


if __name__ == "__main__":
    os.environ["TZ"] = "XYZ+5"
    time.tzset()
    process = mp.Process(target=child)
    process.start(); process.join()
