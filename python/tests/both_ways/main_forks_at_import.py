# SPDX-License-Identifier: MIT
"""A main module that forks when it is imported, and waits for that."""
import multiprocessing as mp
import os
pid = os.fork()
if pid == 0:
    os._exit(3)
CODE = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def child(): print("child", CODE, flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
