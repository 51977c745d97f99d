# SPDX-License-Identifier: MIT
"""Which fds a child has open beside its streams: as many whatever the program has open."""
import multiprocessing as mp
import os


def child():
    names = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
             if os.path.exists(f"/proc/self/fd/{fd}")]
    print([name for name in names if "data" in name], flush=True)


if __name__ == "__main__":
    files = [open(f"data{number}", "w") for number in range(50)]
    for file in files: os.set_inheritable(file.fileno(), True)
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
