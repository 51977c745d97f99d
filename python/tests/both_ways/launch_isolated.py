# SPDX-License-Identifier: MIT
"""-I: neither the script's directory nor the environment's paths."""
# options: -I
# environment: PYTHONPATH=/nowhere
import multiprocessing as mp
import sys


def tell():
    print(sys.flags.isolated, sys.flags.ignore_environment, sys.path, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
    print(process.exitcode)
