# SPDX-License-Identifier: MIT
"""faulthandler.register(): SIGUSR1 writes a stack, and the child goes on."""
import faulthandler
import multiprocessing as mp
import os
import signal
faulthandler.register(signal.SIGUSR1)


def child():
    os.kill(os.getpid(), signal.SIGUSR1)
    print("still alive", flush=True)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
