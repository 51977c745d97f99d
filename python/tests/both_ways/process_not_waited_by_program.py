# SPDX-License-Identifier: MIT
"""wait() for any child, and a SIGCHLD handler, in a program that uses multiprocessing: its own children alone."""
import multiprocessing as mp
import os
import signal
import subprocess
heard = []


def child(): pass


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
    process = mp.Process(target=child)
    process.start(); process.join()
    print(len(heard), flush=True)
    sub = subprocess.Popen(["true"])
    print(os.waitid(os.P_PID, sub.pid, os.WEXITED).si_status, len(heard))
    print(process.exitcode)
