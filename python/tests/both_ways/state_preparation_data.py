# SPDX-License-Identifier: MIT
"""Libraries that add an object of their own to the preparation data (coverage.py, viztracer)."""
# run: main.py
# file: rider.py
class Rider:
    def __getstate__(self): return {"x": 1}
    def __setstate__(self, state): print("the rider is there", flush=True)
# file: main.py
import multiprocessing as mp
from multiprocessing import spawn
from rider import Rider
stock = spawn.get_preparation_data
spawn.get_preparation_data = lambda name: {**stock(name), "rider": Rider()}


def child(): print("child ran", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
