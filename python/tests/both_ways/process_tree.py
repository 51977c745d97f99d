# SPDX-License-Identifier: MIT
"""Processes of processes: each level's children, exit codes through, daemons ended with their parent."""
import multiprocessing as mp
import sys
import time


def level(depth):
    if depth:
        process = mp.Process(target=level, args=(depth - 1,))
        process.start(); process.join()
        sys.exit(process.exitcode + 1)


def with_daemon():
    mp.Process(target=time.sleep, args=(1000,), daemon=True).start()
    mp.Process(target=print, args=("not waited for by hand",)).start()


if __name__ == "__main__":
    for target, args in (level, (4,)), (with_daemon, ()):
        process = mp.Process(target=target, args=args)
        process.start(); process.join()
        print(process.exitcode, flush=True)
