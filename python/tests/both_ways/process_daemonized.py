# SPDX-License-Identifier: MIT
"""A daemon: two forks, a session of its own, every fd closed; then it starts processes."""
import multiprocessing as mp
import os


def child(): open("child", "w").close()


def daemon():
    os.setsid()
    if os.fork(): os._exit(0)
    os.closerange(0, 256)
    for _ in range(3): os.open(os.devnull, os.O_RDWR)
    process = mp.Process(target=child)
    process.start(); process.join()
    with open("result", "w") as file: file.write(f"{process.exitcode} {os.path.exists('child')}")
    os._exit(0)


if __name__ == "__main__":
    reader, writer = os.pipe()
    os.dup2(writer, 300)
    os.close(writer)
    if os.fork() == 0: daemon()
    os.close(300)
    os.read(reader, 1)  # until nobody has it any more
    os.wait()
    print(open("result").read())
