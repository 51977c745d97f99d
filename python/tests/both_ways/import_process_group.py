# SPDX-License-Identifier: MIT
"""A main module that makes a process group or a session of its own at import."""
import multiprocessing as mp
import os
os.setpgid(0, 0) if os.getpgrp() != os.getpid() and os.getsid(0) != os.getpid() else None


def child(): print(os.getpgrp() == os.getpid(), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
