# SPDX-License-Identifier: MIT
"""A lock file that the main module takes at import: only one process may have it."""
import fcntl
import multiprocessing as mp
file = open("lock", "w")
try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    HAVE = True
except BlockingIOError: HAVE = False


def child(): print(HAVE, flush=True)


if __name__ == "__main__":
    fcntl.flock(file, fcntl.LOCK_UN)
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
