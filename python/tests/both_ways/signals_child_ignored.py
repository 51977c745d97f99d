# SPDX-License-Identifier: MIT
"""A program that ignores SIGCHLD, so that its own children need no wait: exit codes of processes stay true."""
import multiprocessing as mp
import signal
import subprocess
import sys


def child():
    print(subprocess.run(["true"]).returncode, flush=True)
    sys.exit(4)


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
