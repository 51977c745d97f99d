# SPDX-License-Identifier: MIT
"""A handler that raises while the first start() still loads the main module: no child goes on by itself."""
# limit: 30
import multiprocessing as mp
import os
import signal
import threading
import time
if __name__ == "__mp_main__":
    time.sleep(3)


def child():
    open("written", "w").close()
    time.sleep(1000)


if __name__ == "__main__":
    threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
    process, begin = mp.Process(target=child), time.monotonic()
    try:
        process.start()
        process.join()
    except KeyboardInterrupt:
        print("interrupted at once", time.monotonic() - begin < 2, flush=True)
    if process.pid:
        process.terminate()
        process.join()
    time.sleep(4)
    print(mp.active_children(), os.path.exists("written"))
