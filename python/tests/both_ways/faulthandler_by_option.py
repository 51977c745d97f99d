# SPDX-License-Identifier: MIT
"""-X faulthandler reaches the children."""
# options: -X faulthandler
import faulthandler
import multiprocessing as mp
import os
import signal


def child():
    print(faulthandler.is_enabled(), flush=True)
    os.kill(os.getpid(), signal.SIGABRT)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
