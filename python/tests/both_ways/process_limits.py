# SPDX-License-Identifier: MIT
"""Resource limits, nice value, affinity, session of a child, and what the program changed of them before."""
import multiprocessing as mp
import os
import resource


def child():
    print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE), os.nice(0),
          os.getsid(0) == os.getsid(os.getppid()), len(os.sched_getaffinity(0)), os.isatty(0), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(3)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    process = mp.Process(target=child)
    process.start(); process.join()
