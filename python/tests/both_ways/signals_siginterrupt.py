# SPDX-License-Identifier: MIT
"""siginterrupt() and handlers with system calls that go on, in a child."""
import multiprocessing as mp
import os
import signal
import threading


def child():
    signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
    signal.siginterrupt(signal.SIGUSR1, True)
    reader, writer = os.pipe()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    threading.Timer(0.3, os.write, (writer, b"x")).start()
    print(os.read(reader, 1), flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
