# SPDX-License-Identifier: MIT
"""The program has SIGPIPE at its default, as command line tools do: a child has Python's own way with it."""
import multiprocessing as mp
import os
import signal


def child():
    reader, writer = os.pipe()
    os.close(reader)
    print(signal.getsignal(signal.SIGPIPE), flush=True)
    try: os.write(writer, b"x")
    except BrokenPipeError: print("BrokenPipeError", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
