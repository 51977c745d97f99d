# SPDX-License-Identifier: MIT
"""set_executable(): the server runs in another interpreter's name."""
import multiprocessing as mp
import os
import sys


def child(): print(os.path.basename(sys.executable), os.path.basename(os.readlink("/proc/self/exe"))[:6], flush=True)


if __name__ == "__main__":
    os.symlink(sys.executable, "another")
    mp.set_executable(os.path.abspath("another"))
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
