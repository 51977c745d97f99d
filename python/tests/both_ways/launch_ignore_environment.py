# SPDX-License-Identifier: MIT
"""-E -s -B and warnings' options reach the children."""
# options: -E -s -B -Werror::DeprecationWarning
# environment: PYTHONPATH=/nowhere PYTHONWARNINGS=ignore
import multiprocessing as mp
import sys
import warnings


def tell():
    print(sys.flags, sys.warnoptions, "/nowhere" in sys.path, flush=True)
    try:
        warnings.warn("old", DeprecationWarning)
    except DeprecationWarning as error:
        print("raised", error, flush=True)


if __name__ == "__main__":
    tell()
    process = mp.Process(target=tell)
    process.start()
    process.join()
