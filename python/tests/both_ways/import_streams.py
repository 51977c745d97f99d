# SPDX-License-Identifier: MIT
"""sys.stdout and stderr that the main module replaces at import."""
import io
import multiprocessing as mp
import sys


class Upper(io.TextIOBase):
    def write(self, text): return sys.__stdout__.write(text.upper())
    def flush(self): sys.__stdout__.flush()


sys.stdout = Upper()
sys.stderr.reconfigure(errors="backslashreplace", line_buffering=True)


def child():
    print("child")
    print("on stderr", type(sys.stdin).__name__, sys.stdin.read() == "", file=sys.stderr)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print("exit", process.exitcode)
