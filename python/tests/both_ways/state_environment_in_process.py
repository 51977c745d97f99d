# SPDX-License-Identifier: MIT
"""A child's /proc/self/environ does not show what the program removed before its first start."""
# environment: SECRET=hidden
import multiprocessing as mp
import os


def child(): print(b"SECRET" in open("/proc/self/environ", "rb").read(), os.environ.get("SECRET"), flush=True)


if __name__ == "__main__":
    del os.environ["SECRET"]
    process = mp.Process(target=child)
    process.start(); process.join()
