# SPDX-License-Identifier: MIT
"""DupFd: files, pipes and memory that travel with a process."""
import multiprocessing as mp
import os
from multiprocessing import reduction


class File:
    def __init__(self, fd): self.fd = fd
    def __reduce__(self): return rebuild, (reduction.DupFd(self.fd),)


def rebuild(duplicate): return File(duplicate.detach())


def child(file, pipe):
    os.pwrite(file.fd, b"written", 0)
    os.write(pipe.fd, b"through the pipe")
    print(os.get_inheritable(file.fd), flush=True)


if __name__ == "__main__":
    memory, (reader, writer) = os.memfd_create("memory"), os.pipe()
    process = mp.Process(target=child, args=(File(memory), File(writer)))
    process.start(); process.join()
    os.close(writer)
    print(os.pread(memory, 20, 0), os.read(reader, 100), os.read(reader, 100), process.exitcode)
