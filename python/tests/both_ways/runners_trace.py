# SPDX-License-Identifier: MIT
"""python3 -m trace of a script that starts processes."""
# run: -m trace --count --missing -C . script.py
# file: script.py
import multiprocessing as mp
def child(): print("child", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
