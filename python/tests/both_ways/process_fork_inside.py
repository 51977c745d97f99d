# SPDX-License-Identifier: MIT
"""os.fork() in the program, in a child, and a process that is started in what was forked."""
import multiprocessing as mp
import os


def fork(what):
    pid = os.fork()
    if pid == 0:
        what()
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def start():
    process = mp.Process(target=print, args=("started in a fork",))
    process.start(); process.join()


def child(): fork(lambda: print("forked in a child", flush=True))


if __name__ == "__main__":
    fork(start)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode, flush=True)
    fork(lambda: print("forked after a start", flush=True))
