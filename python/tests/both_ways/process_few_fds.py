# SPDX-License-Identifier: MIT
"""A program that may have few fds, by its soft limit."""
import multiprocessing as mp
import resource


def child(): print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for _ in range(20):
        process = mp.Process(target=int)
        process.start(); process.join()
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
