# SPDX-License-Identifier: MIT
"""A main module that takes a while: its children all run, and stop when they are to."""
# unordered:
import multiprocessing as mp
import time
if __name__ == "__mp_main__":
    time.sleep(2)


def child(number): print("child", number, flush=True)


if __name__ == "__main__":
    processes = [mp.Process(target=child, args=(number,)) for number in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
    print([process.exitcode for process in processes])
