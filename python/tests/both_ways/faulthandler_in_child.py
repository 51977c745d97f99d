# SPDX-License-Identifier: MIT
"""faulthandler, enabled by the main module at import: a crash of a child shows its stack."""
import faulthandler
import multiprocessing as mp
import os
import signal
faulthandler.enable()


def child():
    print(faulthandler.is_enabled(), flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start(); process.join()
    print(process.exitcode)
