# SPDX-License-Identifier: MIT
"""os.fork() and the fork method after a first start: both processes go on to start more."""
import multiprocessing as mp
import os


def child(word): print(word, mp.current_process().name, flush=True)


def start(word):
    process = mp.Process(target=child, args=(word,))
    process.start(); process.join()
    print(process.exitcode, flush=True)


if __name__ == "__main__":
    start("before")
    pid = os.fork()
    if pid == 0:
        start("in the fork")
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    start("after")
    process = mp.get_context("fork").Process(target=start, args=("below a fork",))
    process.start(); process.join()
    print(process.exitcode)
