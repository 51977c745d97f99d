# SPDX-License-Identifier: MIT
"""The streams' encoding and errors by PYTHONIOENCODING, -X utf8 and -u."""
# options: -u -X utf8=1
# environment: PYTHONIOENCODING=latin-1:replace LC_ALL=C
import multiprocessing as mp
import sys


def child():
    print(sys.stdout.encoding, sys.stdout.errors, sys.flags.utf8_mode, sys.getfilesystemencoding(),
          sys.stdout.write_through, "\u20ac")


if __name__ == "__main__":
    child()
    process = mp.Process(target=child)
    process.start(); process.join()
