# SPDX-License-Identifier: MIT
"""What the main module does to its process at import: directory, umask, limits, priority, name."""
import ctypes
import multiprocessing as mp
import os
import resource
os.makedirs("/tmp/both-ways-directory", exist_ok=True)
os.chdir("/tmp/both-ways-directory")
os.umask(0o077)
os.nice(1)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
ctypes.CDLL(None).prctl(15, b"a name")


def child():
    mask = os.umask(0)
    print(os.getcwd(), oct(mask), os.nice(0), resource.getrlimit(resource.RLIMIT_CORE),
          open("/proc/self/comm").read(), flush=True)


if __name__ == "__main__":
    os.chdir("/")
    os.umask(0o022)
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
    os.rmdir("/tmp/both-ways-directory")
