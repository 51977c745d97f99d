# SPDX-License-Identifier: MIT
"""A file beside the script that has the name of this package."""
# run: sub/main.py
# file: sub/forkserver.py
X = "the user's forkserver"
# file: sub/main.py
import multiprocessing as mp


def child(): print("child", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
