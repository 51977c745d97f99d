# SPDX-License-Identifier: MIT
"""Environment variables with bytes that are no text, empty ones, big ones."""
import multiprocessing as mp
import os


def child():
    print(os.environb[b"STRANGE"], repr(os.environ["EMPTY"]), len(os.environ["BIG"]), len(os.environ) > 3,
          ascii(os.environ["\u00fcber"]), flush=True)


if __name__ == "__main__":
    os.environb[b"STRANGE"] = b"\xff\xfe"
    os.environ.update(EMPTY="", BIG="x" * 100000)
    os.environ["\u00fcber"] = "\u00e9"
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
