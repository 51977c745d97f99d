# SPDX-License-Identifier: MIT
"""set_wakeup_fd() in the program: start() and join() with a signal in between leave it as it was."""
import multiprocessing as mp
import os
import signal
import socket


def child(pid): os.kill(pid, signal.SIGUSR1)


if __name__ == "__main__":
    ours, its = socket.socketpair()
    its.setblocking(False)
    signal.set_wakeup_fd(its.fileno())
    seen = []
    signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    process = mp.Process(target=child, args=(os.getpid(),))
    process.start(); process.join()
    print(len(seen), ours.recv(10) == bytes([signal.SIGUSR1]), process.exitcode)
