# SPDX-License-Identifier: MIT
"""A signal handler runs while join() waits, and what it raises comes out of join()."""
import multiprocessing as mp
import os
import signal
import threading
import time


class Stop(Exception): pass
def stop(*_): raise Stop
def child(): time.sleep(1000)


if __name__ == "__main__":
    process = mp.Process(target=child)
    process.start()
    signal.signal(signal.SIGUSR1, stop)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    begin = time.monotonic()
    try: process.join(10)
    except Stop: print("stopped", time.monotonic() - begin < 5, process.is_alive())
    process.kill()
    process.join()
    print(process.exitcode)
