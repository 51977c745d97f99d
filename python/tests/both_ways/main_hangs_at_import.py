# SPDX-License-Identifier: MIT
"""A main module that hangs when it is imported: start() returns, and the process can be ended."""
import multiprocessing as mp
import time
if __name__ == "__mp_main__":
    time.sleep(1000)


def child(): pass


if __name__ == "__main__":
    begin = time.monotonic()
    process = mp.Process(target=child)
    process.start()
    print("started", time.monotonic() - begin < 5, process.is_alive(), flush=True)
    process.terminate()
    process.join()
    print(process.exitcode, time.monotonic() - begin < 10)
