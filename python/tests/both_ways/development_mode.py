# SPDX-License-Identifier: MIT
"""-X dev in parent and child."""
# options: -X dev
import faulthandler
import multiprocessing as mp
import sys


def child():
    print(sys.flags.dev_mode, faulthandler.is_enabled(), sys.warnoptions, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
