# SPDX-License-Identifier: MIT
"""A program that ends at once, by os._exit(), with a child that still runs for a while."""
import multiprocessing as mp
import os
import time


def child():
    time.sleep(0.5)
    print("child ends by itself", flush=True)


if __name__ == "__main__":
    mp.Process(target=child).start()
    print("main", flush=True)
    os._exit(3)
