# SPDX-License-Identifier: MIT
"""What a main module finds out at import is the child's own: its pid, its thread, its parent."""
import multiprocessing as mp
import os
import threading
PID, PARENT, THREAD = os.getpid(), os.getppid(), threading.get_ident()
NATIVE = threading.get_native_id()


def child():
    print(PID == os.getpid(), PARENT == os.getppid(), THREAD == threading.get_ident(),
          NATIVE == threading.get_native_id(), threading.main_thread().native_id == os.getpid(), flush=True)


if __name__ == "__main__":
    for _ in range(2):
        process = mp.Process(target=child)
        process.start(); process.join()
