# SPDX-License-Identifier: MIT
"""The script is deleted after its first child: a start that comes later."""
import multiprocessing as mp
import os


def child(): print("child", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    os.remove(__file__)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
